//! The directory of one local stack: where each file of it is, how secrets are written, and the lock that keeps two stacks apart.
//!
//! ```text
//! lock          held by the running `gopcast up`
//! stack.json    the running stack: endpoints, processes (private)
//! keys.json     stream keys of the lives; the table has only their hashes (private)
//! hop-secret    what the gateway and the encoders sign with (private)
//! ca.pem  edge.pem  edge-key.pem  certificate.json
//! capacity.json what this machine was measured to transcode
//! aws/          the embedded AWS
//! log/          one file per process
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use media::{id::LiveId, id::StreamKey};

/// Tries for the lock: a command that looks whether a stack is running holds it for an instant.
const LOCK_TRIES: u32 = 5;
/// Wait between two of them.
const LOCK_WAIT: std::time::Duration = std::time::Duration::from_millis(20);

/// The directory of one stack.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// The directory at `path`, made if it is not there. Readable by its owner only.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("making the data directory {}", path.display()))?;
        let root =
            path.canonicalize().with_context(|| format!("finding the data directory {}", path.display()))?;
        Ok(Self { root })
    }

    /// The directory at `path`, which may not be there.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { root: path.canonicalize().unwrap_or_else(|_| path.to_owned()) }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file or directory in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Takes the lock for as long as the returned value lives.
    ///
    /// # Errors
    /// When another `gopcast up` holds it.
    pub fn lock(&self) -> anyhow::Result<Lock> {
        let path = self.file("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("locking {}", path.display()));
                }
            }
        }
        bail!(
            "a stack is already running with its data in {}; stop it, or start another with --data DIR --rtmps ADDR --http ADDR",
            self.root.display()
        )
    }

    /// Whether a `gopcast up` holds the lock.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        let Ok(file) = OpenOptions::new().write(true).open(self.file("lock")) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Writes a file that only its owner may read, whole or not at all.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_private(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let (path, partial) = (self.file(name), self.file(&format!("{name}.partial")));
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&partial)?;
            file.write_all(bytes)?;
            fs::rename(&partial, &path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    /// The hop secret of this stack, made at first use.
    ///
    /// # Errors
    /// When it can't be read or written.
    pub fn hop_secret(&self) -> anyhow::Result<service::config::Secret> {
        let name = "hop-secret";
        if let Some(text) = read_optional(&self.file(name))? {
            return Ok(service::config::Secret::new(text.trim()));
        }
        let secret = hex::encode(service::clock::random_bytes::<32>());
        self.write_private(name, secret.as_bytes())?;
        Ok(service::config::Secret::new(secret))
    }

    /// The stream key of a live, if it was created here.
    ///
    /// # Errors
    /// When `keys.json` can't be read.
    pub fn key(&self, live: &LiveId) -> anyhow::Result<Option<StreamKey>> {
        Ok(self.keys()?.get(live).and_then(|key| key.parse().ok()))
    }

    /// Remembers (or with `None` forgets) the stream key of a live.
    ///
    /// # Errors
    /// When `keys.json` can't be read or written.
    pub fn set_key(&self, live: &LiveId, key: Option<&StreamKey>) -> anyhow::Result<()> {
        // Two commands may do this at once; the lock makes read and write one step.
        let guard =
            OpenOptions::new().create(true).truncate(false).write(true).open(self.file("keys.lock"))?;
        guard.lock().context("locking keys.json")?;
        let mut keys = self.keys()?;
        match key {
            Some(key) => keys.insert(live.clone(), key.reveal().to_owned()),
            None => keys.remove(live),
        };
        self.write_private("keys.json", &serde_json::to_vec_pretty(&keys)?)
    }

    fn keys(&self) -> anyhow::Result<std::collections::BTreeMap<LiveId, String>> {
        let path = self.file("keys.json");
        match read_optional(&path)? {
            Some(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", path.display())),
            None => Ok(std::collections::BTreeMap::new()),
        }
    }
}

/// The lock on a data directory.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A text file's content; `None` if it is not there.
///
/// # Errors
/// When it is there and can't be read.
pub fn read_optional(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_private_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::create(&dir.path().join("a/b")).unwrap();
        let secret = data.hop_secret().unwrap();
        assert!(secret.reveal().len() >= 32);
        assert_eq!(data.hop_secret().unwrap().reveal(), secret.reveal());
        assert_eq!(mode(&data.file("hop-secret")), 0o600);
        assert_eq!(mode(data.root()), 0o700);

        let (a, b): (LiveId, LiveId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let key = StreamKey::generate([7; 15]);
        data.set_key(&a, Some(&key)).unwrap();
        data.set_key(&b, Some(&StreamKey::generate([8; 15]))).unwrap();
        data.set_key(&b, None).unwrap();
        assert_eq!(data.key(&a).unwrap(), Some(key));
        assert_eq!(data.key(&b).unwrap(), None);
        assert_eq!(mode(&data.file("keys.json")), 0o600);
    }

    #[test]
    fn one_stack_per_directory() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::create(dir.path()).unwrap();
        assert!(!data.is_locked());
        let lock = data.lock().unwrap();
        assert!(data.is_locked());
        assert!(data.lock().unwrap_err().to_string().contains("already running"));
        drop(lock);
        assert!(!data.is_locked());
        data.lock().unwrap();
    }
}
