//! The edge's configuration, from environment variables (see the table in [`Config::read`]).

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use service::{
    config::{ConfigError, Env},
    metrics::emf,
    ops,
};

use crate::rtmp::Limits;

/// Where publishers connect unless told otherwise: RTMPS on the HTTPS port, which every network lets through.
const RTMPS_ADDR: &str = "0.0.0.0:443";
/// Most connections of the process: at 25 Mbit/s each they fill a 10 Gbit/s port.
const CONNECTIONS_MAX: usize = 400;
/// Most connections from one address: a studio's worth behind one router, not a flood.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;

/// Most megabits a second that one connection is read at, on average: nearly twice what an encoder takes of a publish (60 Mbit/s), so that
/// a backlog is caught up with; whoever sends more is held back by TCP.
const CONNECTION_MBPS_MAX: u32 = 100;
/// What it may be set to: below a megabit sound alone would hardly fit.
const CONNECTION_MBPS: RangeInclusive<u32> = 1..=10_000;
/// What the time-outs may be set to, in seconds. Below a second a round trip to another continent would not fit; above a minute a
/// connection that does nothing holds its slot for too long.
const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=60;

/// What the edge needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where RTMPS is listened on.
    pub rtmps: SocketAddr,
    /// Where plain RTMP is listened on, if at all: for networks that are private already.
    pub rtmp: Option<SocketAddr>,
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The server URL that publishers who used a wrong one are told.
    pub public_url: String,
    /// The bucket of chunks.
    pub bucket: String,
    /// The gateway function's name.
    pub function: String,
    /// Most connections at once.
    pub connections_max: usize,
    /// Most connections at once from one address.
    pub connections_per_address_max: usize,
    /// Most bytes a second that one connection is read at.
    pub connection_bytes_per_second_max: u32,
    /// Time for the TLS handshake.
    pub tls_timeout: Duration,
    /// What a session goes by.
    pub limits: Limits,
    /// Where metrics and health are served, if at all.
    pub ops: Option<SocketAddr>,
    /// Metrics in the log.
    pub metrics: emf::Config,
}

impl Config {
    /// Reads the settings.
    ///
    /// | variable | meaning |
    /// | --- | --- |
    /// | `GOPCAST_RTMPS_ADDR` | address and port of RTMPS; 0.0.0.0:443 |
    /// | `GOPCAST_RTMP_ADDR` | address and port of plain RTMP; off |
    /// | `GOPCAST_TLS_CERT`, `GOPCAST_TLS_KEY` | PEM files, read again when they change |
    /// | `GOPCAST_PUBLIC_URL` | the server URL as publishers should spell it; made from `GOPCAST_RTMPS_ADDR` |
    /// | `GOPCAST_BUCKET` | the S3 bucket |
    /// | `GOPCAST_GATEWAY_FUNCTION` | the Lambda function |
    /// | `GOPCAST_CONNECTIONS_MAX`, `GOPCAST_CONNECTIONS_PER_ADDRESS_MAX` | limits; 400 and 64 |
    /// | `GOPCAST_CONNECTION_MBPS_MAX` | megabits a second that one connection is read at; 100 |
    /// | `GOPCAST_HANDSHAKE_TIMEOUT` | seconds for each of: the TLS handshake, the RTMP handshake, connect and publish; 8 |
    /// | `GOPCAST_IDLE_TIMEOUT` | seconds without a byte after which a publisher counts as lost; 5 |
    /// | `GOPCAST_MEDIA_TIMEOUT` | seconds without pictures and sound after which it does; 8 |
    /// | `GOPCAST_OPS_ADDR` | address and port of metrics and health; off |
    /// | `GOPCAST_METRICS_NAMESPACE`, `GOPCAST_METRICS_SECONDS` | CloudWatch's namespace, time between lines; `Gopcast`, 60 |
    ///
    /// # Errors
    /// Every problem there is.
    pub fn read(mut env: Env) -> Result<Self, ConfigError> {
        let unset = SocketAddr::from(([0, 0, 0, 0], 443));
        let rtmps: SocketAddr = env.or("GOPCAST_RTMPS_ADDR", RTMPS_ADDR.parse().unwrap_or(unset));
        let default = Limits::default();
        let mbps = within(&mut env, "GOPCAST_CONNECTION_MBPS_MAX", CONNECTION_MBPS_MAX, &CONNECTION_MBPS);
        let handshake = seconds(&mut env, "GOPCAST_HANDSHAKE_TIMEOUT", default.handshake_timeout);
        let limits = Limits {
            handshake_timeout: handshake,
            setup_timeout: handshake,
            idle_timeout: seconds(&mut env, "GOPCAST_IDLE_TIMEOUT", default.idle_timeout),
            media_timeout: seconds(&mut env, "GOPCAST_MEDIA_TIMEOUT", default.media_timeout),
            ..default
        };
        let config = Self {
            rtmps,
            rtmp: env.optional("GOPCAST_RTMP_ADDR"),
            certificate: env.required(
                "GOPCAST_TLS_CERT",
                "the PEM file of the certificate chain",
                PathBuf::new(),
            ),
            key: env.required("GOPCAST_TLS_KEY", "the PEM file of the private key", PathBuf::new()),
            public_url: env.or("GOPCAST_PUBLIC_URL", format!("rtmps://{rtmps}/{}", crate::rtmp::APP)),
            bucket: env.required("GOPCAST_BUCKET", "the name of the S3 bucket", String::new()),
            function: env.required("GOPCAST_GATEWAY_FUNCTION", "the gateway function's name", String::new()),
            connections_max: env.or("GOPCAST_CONNECTIONS_MAX", CONNECTIONS_MAX),
            connections_per_address_max: env
                .or("GOPCAST_CONNECTIONS_PER_ADDRESS_MAX", CONNECTIONS_PER_ADDRESS_MAX),
            connection_bytes_per_second_max: mbps.saturating_mul(125_000),
            tls_timeout: handshake,
            limits,
            ops: ops::address(&mut env),
            metrics: emf::Config::read(&mut env),
        };
        env.finish()?;
        Ok(config)
    }
}

/// A number that must lie within bounds.
fn within<T: PartialOrd + Copy + std::fmt::Display + std::str::FromStr<Err: std::fmt::Display>>(
    env: &mut Env,
    key: &str,
    default: T,
    bounds: &RangeInclusive<T>,
) -> T {
    let value = env.or(key, default);
    if !bounds.contains(&value) {
        env.problem(format!("{key}: {value} is not within {} to {}", bounds.start(), bounds.end()));
    }
    value
}

fn seconds(env: &mut Env, key: &str, default: Duration) -> Duration {
    Duration::from_secs(within(env, key, default.as_secs(), &TIMEOUT_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(Env::from_vars(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))))
    }

    #[test]
    fn what_is_missing_is_named_all_at_once() {
        let error = read(&[("GOPCAST_RTMP_ADDR", "1935")]).unwrap_err();
        assert_eq!(error.0.len(), 5, "{error}");
    }

    #[test]
    fn defaults_are_for_production() {
        let vars = [
            ("GOPCAST_TLS_CERT", "c"),
            ("GOPCAST_TLS_KEY", "k"),
            ("GOPCAST_BUCKET", "b"),
            ("GOPCAST_GATEWAY_FUNCTION", "f"),
        ];
        let config = read(&vars).unwrap();
        assert_eq!(config.rtmps.port(), 443);
        assert_eq!((config.rtmp, config.public_url.as_str()), (None, "rtmps://0.0.0.0:443/live"));
        assert_eq!((config.limits, config.connection_bytes_per_second_max), (Limits::default(), 12_500_000));
    }

    #[test]
    fn limits_are_set_within_bounds() {
        let vars = [
            ("GOPCAST_TLS_CERT", "c"),
            ("GOPCAST_TLS_KEY", "k"),
            ("GOPCAST_BUCKET", "b"),
            ("GOPCAST_GATEWAY_FUNCTION", "f"),
        ];
        let with = |more: &[(&'static str, &'static str)]| read(&[&vars[..], more].concat());
        let config = with(&[
            ("GOPCAST_CONNECTION_MBPS_MAX", "8"),
            ("GOPCAST_HANDSHAKE_TIMEOUT", "3"),
            ("GOPCAST_IDLE_TIMEOUT", "20"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.connection_bytes_per_second_max, 1_000_000);
        let three = Duration::from_secs(3);
        assert_eq!(
            [config.tls_timeout, config.limits.handshake_timeout, config.limits.setup_timeout],
            [three; 3]
        );
        assert_eq!(config.limits.idle_timeout, Duration::from_secs(20));
        let error =
            with(&[("GOPCAST_CONNECTION_MBPS_MAX", "0"), ("GOPCAST_MEDIA_TIMEOUT", "61")]).unwrap_err();
        assert_eq!(error.0.len(), 2, "{error}");
    }
}
