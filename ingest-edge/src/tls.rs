//! The TLS end: rustls with ring, TLS 1.2 and 1.3, certificate and key from PEM files.
//!
//! The files are looked at again when connections come, at most every [`CHECK_INTERVAL`]; when they have changed they are read. New
//! files that can't be used leave the old certificate in force, and the log says so once per change.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at, at most: certificates are renewed days ahead.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Largest PEM file read, in bytes: a chain has 3 to 10 KB.
const PEM_MAX: u64 = 1 << 20;

/// Why the certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{path}: {message}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Certificate and key do not go together, or are not what TLS can use.
    #[error("the certificate and key can't be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// What tells that a file has changed.
type Seen = (Option<SystemTime>, u64);

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    seen: [Seen; 2],
    checked: Instant,
}

/// The certificate in force.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    state: Mutex<State>,
}

impl Certificate {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// When they can't be read or used.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let seen = [seen(chain), seen(key)];
        let state = State { config: config(chain, key)?, seen, checked: Instant::now() };
        Ok(Self { chain: chain.to_owned(), key: key.to_owned(), state: Mutex::new(state) })
    }

    /// An acceptor with the certificate in force. Looks at the files when it is time; that is two `stat` calls, and two reads of some
    /// kilobytes when they have changed.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.checked.elapsed() >= CHECK_INTERVAL {
            state.checked = Instant::now();
            self.check(&mut state);
        }
        TlsAcceptor::from(Arc::clone(&state.config))
    }

    fn check(&self, state: &mut State) {
        let now = [seen(&self.chain), seen(&self.key)];
        if now == state.seen {
            return;
        }
        state.seen = now;
        match config(&self.chain, &self.key) {
            Ok(config) => {
                state.config = config;
                tracing::info!("certificate reloaded");
            }
            Err(error) => {
                tracing::error!(error = %error, "the new certificate can't be used, the old one stays in force");
            }
        }
    }
}

fn seen(path: &Path) -> Seen {
    std::fs::metadata(path).map_or((None, 0), |meta| (meta.modified().ok(), meta.len()))
}

fn config(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let fail = |path: &Path, message: String| TlsError::File { path: path.to_owned(), message };
    let read = |path: &Path| {
        let length = std::fs::metadata(path).map_err(|error| fail(path, error.to_string()))?.len();
        if length > PEM_MAX {
            return Err(fail(path, format!("larger than {PEM_MAX} bytes")));
        }
        std::fs::read(path).map_err(|error| fail(path, error.to_string()))
    };
    let certificates = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| fail(chain, error.to_string()))?;
    if certificates.is_empty() {
        return Err(fail(chain, "no certificate in it".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| fail(key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(certificates, private)?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn in_force(certificate: &Certificate) -> Arc<ServerConfig> {
        Arc::clone(certificate.acceptor().config())
    }

    #[tokio::test(start_paused = true)]
    async fn changed_files_come_into_force_and_bad_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "first.example");
        let (chain, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let certificate = Certificate::load(&chain, &key).unwrap();
        let first = in_force(&certificate);

        write(dir.path(), "second-with-another-length.example");
        assert!(Arc::ptr_eq(&first, &in_force(&certificate)), "looked before the interval was over");
        tokio::time::advance(CHECK_INTERVAL).await;
        let second = in_force(&certificate);
        assert!(!Arc::ptr_eq(&first, &second));

        std::fs::write(&chain, "nonsense").unwrap();
        tokio::time::advance(CHECK_INTERVAL).await;
        assert!(Arc::ptr_eq(&second, &in_force(&certificate)));
    }

    #[test]
    fn unusable_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.pem");
        let error = Certificate::load(&missing, &missing).unwrap_err().to_string();
        assert!(error.contains("none.pem"), "{error}");
    }
}
