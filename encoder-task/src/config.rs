//! The encoder's settings.

use std::{
    net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use media::id::EncoderId;
use service::{
    clock,
    config::{ConfigError, Env, Secret, Shared, hop_secret},
    metrics::emf,
    ops,
};

/// What an encoder task needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bucket and table.
    pub shared: Shared,
    /// `GOPCAST_HOP_SECRET`.
    pub secret: Secret,
    /// `GOPCAST_ENCODER_ID`: unique per process life; made up when absent.
    pub id: EncoderId,
    /// `GOPCAST_GATEWAY_FUNCTION`: which finds other encoders for what this one must give up.
    pub gateway: String,
    /// `GOPCAST_HTTP_ADDR`: where notices are taken. Default `0.0.0.0:80`, the private hop's port.
    pub http: SocketAddr,
    /// `GOPCAST_ADVERTISE_ADDR`: the address that the gateway reaches this task at. Default: the address listened on, or the one
    /// that the machine's route outwards has.
    pub advertise: Option<Advertise>,
    /// `GOPCAST_ENCODER_THREADS`: cores to use. Default: all.
    pub threads: usize,
    /// `GOPCAST_OPS_ADDR`: where metrics and health are served. Default: nowhere.
    pub ops: Option<SocketAddr>,
    /// `GOPCAST_METRICS_NAMESPACE`, `GOPCAST_METRICS_SECONDS`: metrics in the log.
    pub metrics: emf::Config,
}

/// An address to be reached at: `IP`, or `IP:PORT` where a forwarder stands before the task and listens on a port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertise {
    ip: IpAddr,
    /// Absent: the port listened on.
    port: Option<u16>,
}

impl FromStr for Advertise {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ip) = text.parse() {
            return Ok(Self { ip, port: None });
        }
        let address: SocketAddr = text.parse()?;
        Ok(Self { ip: address.ip(), port: Some(address.port()) })
    }
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// All problems found.
    pub fn read(mut env: Env) -> Result<Self, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let config = Self {
            shared: Shared::read(&mut env),
            secret: hop_secret(&mut env),
            gateway: env.required("GOPCAST_GATEWAY_FUNCTION", "the gateway function's name", String::new()),
            id: env.optional("GOPCAST_ENCODER_ID").unwrap_or_else(made_up),
            http: env.or("GOPCAST_HTTP_ADDR", SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80))),
            advertise: env.optional("GOPCAST_ADVERTISE_ADDR"),
            threads: env.or("GOPCAST_ENCODER_THREADS", cores),
            ops: ops::address(&mut env),
            metrics: emf::Config::read(&mut env),
        };
        if config.threads == 0 {
            env.problem("GOPCAST_ENCODER_THREADS must be 1 or more");
        }
        env.finish()?;
        Ok(config)
    }

    /// The address that the gateway is told, given the one listened on.
    #[must_use]
    pub fn advertised(&self, listening: SocketAddr) -> SocketAddr {
        let ip = || if listening.ip().is_unspecified() { outward() } else { listening.ip() };
        let told = self.advertise.unwrap_or_else(|| Advertise { ip: ip(), port: None });
        SocketAddr::new(told.ip, told.port.unwrap_or(listening.port()))
    }
}

fn made_up() -> EncoderId {
    let random = hex::encode(clock::random_bytes::<8>());
    // The form is within what an id may hold, so this never falls back.
    format!("encoder-{random}").parse().unwrap_or_else(|_| made_up())
}

/// The address of this machine on the route to others. Nothing is sent: connecting a UDP socket only looks the route up.
fn outward() -> IpAddr {
    let look = || -> std::io::Result<IpAddr> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // TEST-NET-1 (RFC 5737): routed like any other address, never answered.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        Ok(socket.local_addr()?.ip())
    };
    look().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_named_at_once() {
        let vars = [
            ("GOPCAST_HTTP_ADDR", "nowhere"),
            ("GOPCAST_ENCODER_ID", "a b"),
            ("GOPCAST_ENCODER_THREADS", "0"),
        ];
        let env = Env::from_vars(vars.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let error = Config::read(env).unwrap_err().to_string();
        for name in [
            "GOPCAST_HTTP_ADDR",
            "GOPCAST_ENCODER_ID",
            "GOPCAST_ENCODER_THREADS",
            "GOPCAST_BUCKET",
            "GOPCAST_TABLE",
            "GOPCAST_HOP_SECRET",
            "GOPCAST_GATEWAY_FUNCTION",
        ] {
            assert!(error.contains(name), "{name} in {error}");
        }
    }

    #[test]
    fn the_gateway_is_told_where_to_reach_the_task() {
        let listening: SocketAddr = "127.0.0.1:8081".parse().unwrap();
        for (told, reached) in
            [("10.0.0.7", "10.0.0.7:8081"), ("10.0.0.7:80", "10.0.0.7:80"), ("", "127.0.0.1:8081")]
        {
            let secret = "0123456789abcdef0123456789abcdef";
            let vars = [
                ("GOPCAST_ADVERTISE_ADDR", told),
                ("GOPCAST_BUCKET", "b"),
                ("GOPCAST_GATEWAY_FUNCTION", "f"),
                ("GOPCAST_TABLE", "t"),
                ("GOPCAST_HOP_SECRET", secret),
            ];
            let env = Env::from_vars(vars.map(|(k, v)| (k.to_owned(), v.to_owned())));
            assert_eq!(Config::read(env).unwrap().advertised(listening).to_string(), reached);
        }
    }

    #[test]
    fn ids_are_made_up_anew_each_time() {
        assert_ne!(made_up(), made_up());
    }
}
