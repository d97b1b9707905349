//! The programs of the services: where they are, and the environment that each gets. The same variables as in production; only the
//! `AWS_ENDPOINT_URL_*` point at the embedded AWS.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use localstack::LocalAws;
use service::config::Secret;

use super::{
    certificate,
    child::Spec,
    hub::Listening,
    supervisor::{EDGE, ENCODER, GATEWAY},
};
use crate::{
    data_dir::DataDir,
    stack::{ACCESS_KEY, FUNCTION, SECRET_KEY},
};

/// Where each process serves its metrics: it says which port it got.
const OPS_ADDR: &str = "127.0.0.1:0";

/// The directory of the services' programs: `GOPCAST_BIN_DIR`, else that of this program.
///
/// # Errors
/// When one of them is missing there.
pub(crate) fn find() -> anyhow::Result<PathBuf> {
    let dir = match std::env::var_os("GOPCAST_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let exe = std::env::current_exe().context("finding this program's directory")?;
            exe.parent().map(Path::to_owned).unwrap_or_default()
        }
    };
    let dir = dir.canonicalize().with_context(|| format!("finding the programs in {}", dir.display()))?;
    let missing: Vec<_> =
        [EDGE, GATEWAY, ENCODER].into_iter().filter(|name| !dir.join(name).is_file()).collect();
    if !missing.is_empty() {
        bail!(
            "{} not in {}: build all programs with `make build` (or `cargo build --workspace`), or set GOPCAST_BIN_DIR",
            missing.join(", "),
            dir.display()
        );
    }
    Ok(dir)
}

/// What the environments are made of.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// Their directory.
    pub(crate) dir: PathBuf,
    /// What reaches the embedded AWS.
    pub(crate) aws: Vec<(String, String)>,
    /// What the gateway and the encoders sign with.
    pub(crate) secret: Secret,
}

impl Programs {
    /// The programs in `dir` of a stack whose embedded AWS is up, with bucket and table called `names`.
    ///
    /// # Errors
    /// When the hop secret can't be read or written.
    pub(crate) fn new(dir: &Path, data: &DataDir, aws: &LocalAws, names: &str) -> anyhow::Result<Self> {
        let mut env: Vec<_> =
            aws.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let fixed = [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            // Nobody's own settings or credentials get in.
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("GOPCAST_BUCKET", names),
            ("GOPCAST_TABLE", names),
        ];
        env.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(Self { dir: dir.to_owned(), aws: env, secret: data.hop_secret()? })
    }

    /// The edge. Once it has listened somewhere, its next lives listen there too.
    #[must_use]
    pub(crate) fn edge(
        &self,
        data: &DataDir,
        rtmps: SocketAddr,
        rtmp: Option<SocketAddr>,
        last: Option<&Listening>,
    ) -> Spec {
        let path = |name: &str| data.file(name).display().to_string();
        let rtmps = last.map_or_else(|| rtmps.to_string(), |last| last.rtmps.clone());
        let rtmp =
            last.and_then(|last| last.rtmp.clone()).or_else(|| rtmp.map(|address| address.to_string()));
        let mut own = vec![
            ("GOPCAST_GATEWAY_FUNCTION", FUNCTION.to_owned()),
            ("GOPCAST_RTMPS_ADDR", rtmps),
            ("GOPCAST_TLS_CERT", path(certificate::CERTIFICATE)),
            ("GOPCAST_TLS_KEY", path(certificate::KEY)),
            ("GOPCAST_OPS_ADDR", OPS_ADDR.to_owned()),
        ];
        own.extend(rtmp.map(|rtmp| ("GOPCAST_RTMP_ADDR", rtmp)));
        self.spec(EDGE, own)
    }

    /// The gateway function; Lambda adds its own variables.
    #[must_use]
    pub(crate) fn gateway(&self) -> Spec {
        self.spec(GATEWAY, vec![("GOPCAST_HOP_SECRET", self.secret.reveal().to_owned())])
    }

    /// An encoder, on a port that the system chooses.
    #[must_use]
    pub(crate) fn encoder(&self, id: &str) -> Spec {
        let own = vec![
            ("GOPCAST_HOP_SECRET", self.secret.reveal().to_owned()),
            ("GOPCAST_GATEWAY_FUNCTION", FUNCTION.to_owned()),
            ("GOPCAST_ENCODER_ID", id.to_owned()),
            ("GOPCAST_HTTP_ADDR", "127.0.0.1:0".to_owned()),
            ("GOPCAST_OPS_ADDR", OPS_ADDR.to_owned()),
        ];
        self.spec(ENCODER, own)
    }

    fn spec(&self, role: &str, own: Vec<(&str, String)>) -> Spec {
        let mut env = self.aws.clone();
        env.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Spec { program: self.dir.join(role), args: Vec::new(), env, redact: None }
    }
}

/// Says which option to change when an address is taken, before anything is started.
///
/// # Errors
/// When the address can't be listened on.
pub(crate) fn check_free(option: &str, address: SocketAddr) -> anyhow::Result<()> {
    std::net::TcpListener::bind(address).map(drop).with_context(|| in_use(option, address))
}

/// What is said when an address can't be listened on.
#[must_use]
pub(crate) fn in_use(option: &str, address: SocketAddr) -> String {
    format!(
        "can't listen on {address}; stop what uses it, or choose another address with {option} (port 0 chooses a free one)"
    )
}

/// An address that clients on this machine can connect to.
#[must_use]
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_names_the_option() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let error = format!("{:#}", check_free("--rtmps", address).unwrap_err());
        assert!(error.contains("--rtmps") && error.contains(&address.to_string()), "{error}");
        drop(listener);
        check_free("--rtmps", address).unwrap();
    }

    #[test]
    fn addresses_for_all_are_reached_on_loopback() {
        let shown = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(shown("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(shown("[::]:80"), "[::1]:80");
        assert_eq!(shown("192.0.2.1:80"), "192.0.2.1:80");
    }

    #[test]
    fn the_edge_keeps_its_ports_and_only_signers_get_the_secret() {
        let tmp = tempfile::tempdir().unwrap();
        let data = DataDir::create(tmp.path()).unwrap();
        let programs = Programs { dir: "/p".into(), aws: Vec::new(), secret: Secret::new("s3cret") };
        let get = |spec: &Spec, name: &str| spec.env.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = programs.edge(&data, any, Some(any), None);
        assert_eq!(get(&first, "GOPCAST_RTMPS_ADDR").as_deref(), Some("127.0.0.1:0"));
        let last = Listening { rtmps: "127.0.0.1:5".to_owned(), rtmp: Some("127.0.0.1:6".to_owned()) };
        let second = programs.edge(&data, any, Some(any), Some(&last));
        assert_eq!(get(&second, "GOPCAST_RTMPS_ADDR").as_deref(), Some("127.0.0.1:5"));
        assert_eq!(get(&second, "GOPCAST_RTMP_ADDR").as_deref(), Some("127.0.0.1:6"));
        assert_eq!(get(&programs.edge(&data, any, None, None), "GOPCAST_RTMP_ADDR"), None);
        assert_eq!(get(&second, "GOPCAST_HOP_SECRET"), None);
        assert_eq!(get(&programs.gateway(), "GOPCAST_HOP_SECRET").as_deref(), Some("s3cret"));
        assert_eq!(get(&programs.encoder("e"), "GOPCAST_HOP_SECRET").as_deref(), Some("s3cret"));
    }
}
