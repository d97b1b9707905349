//! The servers under test, each in a process of its own whose cost the kernel counts.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bench::cost::cpu_of;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Time to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The edge: reads, cuts, hashes, signs and sends every GOP to the sink.
    Edge,
    /// nginx with the RTMP module, and TLS by its stream module in front: reads, and discards what nobody watches.
    Nginx,
    /// SRS: as nginx, without TLS.
    Srs,
}

impl Kind {
    /// As people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edge => "gopcast",
            Self::Nginx => "nginx-rtmp",
            Self::Srs => "srs",
        }
    }
}

/// What all servers of a benchmark are started with.
pub(crate) struct Setup {
    /// For certificates, configurations and logs.
    pub(crate) dir: PathBuf,
    /// The edge's program.
    pub(crate) edge: PathBuf,
    /// Where S3 and Lambda are, for the edge.
    pub(crate) sink: SocketAddr,
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where plain RTMP is.
    pub(crate) plain: SocketAddr,
    /// Where RTMPS is.
    pub(crate) tls: SocketAddr,
}

/// What a server has cost so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// Seconds of processor time.
    pub(crate) cpu: f64,
    /// Resident memory in bytes, what is shared counted in parts.
    pub(crate) memory: f64,
}

impl Server {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// When it can't be started, or does not listen in time.
    pub(crate) fn start(kind: Kind, setup: &Setup) -> Result<Self> {
        let (plain, tls) = (free()?, free()?);
        let mut command = match kind {
            Kind::Edge => edge(setup, plain, tls),
            Kind::Nginx => nginx(setup, plain, tls)?,
            Kind::Srs => srs(setup, plain)?,
        };
        let log = setup.dir.join(format!("{}.log", kind.name()));
        let log = fs::File::create(&log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let server = Self { child, plain, tls };
        let begin = std::time::Instant::now();
        while TcpStream::connect(plain).is_err() {
            if begin.elapsed() > PATIENCE {
                bail!("{} does not listen; see its log in {}", kind.name(), setup.dir.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// What it has cost so far: one process each, so the kernel's account of it is the whole server's.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn spent(&self) -> Result<Spent> {
        let id = self.child.id();
        let cpu = cpu_of(Pid::from_raw(i32::try_from(id)?)).context("the server has ended")?;
        let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kilobytes: f64 =
            pss.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).context("no Pss")?;
        Ok(Spent { cpu, memory: kilobytes * 1024.0 })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx ends at once for this; the edge would finish its publishes.
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn edge(setup: &Setup, plain: SocketAddr, tls: SocketAddr) -> Command {
    let sink = format!("http://{}", setup.sink);
    let mut command = Command::new(&setup.edge);
    command.env_clear().envs([
        ("GOPCAST_LOG", "error"),
        ("GOPCAST_RTMP_ADDR", &plain.to_string()),
        ("GOPCAST_RTMPS_ADDR", &tls.to_string()),
        ("GOPCAST_BUCKET", "bench"),
        ("GOPCAST_GATEWAY_FUNCTION", "gateway"),
        ("GOPCAST_CONNECTIONS_MAX", "100000"),
        ("GOPCAST_CONNECTIONS_PER_ADDRESS_MAX", "100000"),
        ("AWS_ENDPOINT_URL_S3", &sink),
        ("AWS_ENDPOINT_URL_LAMBDA", &sink),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
    ]);
    command.env("GOPCAST_TLS_CERT", setup.dir.join("cert.pem"));
    command.env("GOPCAST_TLS_KEY", setup.dir.join("key.pem"));
    command
}

/// One process that does everything, so that its cost is one number; a worker of its own would do the same work.
fn nginx(setup: &Setup, plain: SocketAddr, tls: SocketAddr) -> Result<Command> {
    let dir = setup.dir.display();
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx-error.log error;
worker_rlimit_nofile 65536;
events {{ worker_connections 32768; }}
rtmp {{ access_log off; server {{ listen {plain}; chunk_size 4096; application live {{ live on; record off; }} }} }}
stream {{ server {{ listen {tls} ssl; ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem; proxy_pass {plain}; }} }}
"
    );
    let path = setup.dir.join("nginx.conf");
    fs::write(&path, config)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&setup.dir).arg("-c").arg(path);
    Ok(command)
}

fn srs(setup: &Setup, plain: SocketAddr) -> Result<Command> {
    let config = format!(
        "listen {}; max_connections 32000; daemon off; srs_log_tank console; srs_log_level error;
pid {}/srs.pid; vhost __defaultVhost__ {{ }}
",
        plain.port(),
        setup.dir.display()
    );
    let path = setup.dir.join("srs.conf");
    fs::write(&path, config)?;
    let mut command = Command::new("srs");
    command.arg("-c").arg(path);
    Ok(command)
}

/// A certificate for localhost in `dir`; its DER.
///
/// # Errors
/// When it can't be made or written.
pub(crate) fn certificate(dir: &Path) -> Result<rustls_pki_types::CertificateDer<'static>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    fs::write(dir.join("cert.pem"), made.cert.pem())?;
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(made.cert.der().clone())
}
