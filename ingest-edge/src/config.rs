//! The edge's configuration, from environment variables (see the table in [`Config::read`]).

use std::{net::SocketAddr, path::PathBuf};

use service::config::{ConfigError, Env};

/// Where publishers connect unless told otherwise: RTMPS on the HTTPS port, which every network lets through.
const RTMPS_ADDR: &str = "0.0.0.0:443";
/// Most connections of the process: at 25 Mbit/s each they fill a 10 Gbit/s port.
const CONNECTIONS_MAX: usize = 400;
/// Most connections from one address: a studio's worth behind one router, not a flood.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;

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
    ///
    /// # Errors
    /// Every problem there is.
    pub fn read(mut env: Env) -> Result<Self, ConfigError> {
        let unset = SocketAddr::from(([0, 0, 0, 0], 443));
        let rtmps: SocketAddr = env.or("GOPCAST_RTMPS_ADDR", RTMPS_ADDR.parse().unwrap_or(unset));
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
        };
        env.finish()?;
        Ok(config)
    }
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
    }
}
