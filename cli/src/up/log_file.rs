//! One process's log: appended to, turned over once when it is full (`x.log` → `x.log.1`), so that it takes at most twice
//! [`LOG_MAX`]. Trouble with it is never trouble for the show: a line that can't be written is dropped.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes after which a log is turned over: days of a quiet stack, minutes of a debug level, and quick to read with any editor.
const LOG_MAX: u64 = 16 * 1024 * 1024;
/// Logs kept of processes that are gone; encoders have a new name at each start.
const LOGS_KEPT: usize = 40;

/// A log file. Clones write to the same.
#[derive(Debug, Clone)]
pub(crate) struct LogFile(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    max: u64,
}

impl LogFile {
    /// The log at `path`, made if it is not there.
    #[must_use]
    pub(crate) fn open(path: PathBuf) -> Self {
        Self::with_max(path, LOG_MAX)
    }

    fn with_max(path: PathBuf, max: u64) -> Self {
        let mut inner = Inner { path, file: None, bytes: 0, max };
        inner.reopen();
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Appends a line.
    pub(crate) fn line(&self, line: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.append(line.as_bytes());
        inner.append(b"\n");
    }
}

impl Inner {
    fn reopen(&mut self) {
        self.file = OpenOptions::new().create(true).append(true).open(&self.path).ok();
        self.bytes = self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        }
        if self.bytes >= self.max && bytes.ends_with(b"\n") {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            if fs::rename(&self.path, old).is_ok() {
                self.reopen();
            }
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Removes the oldest logs of a directory, so that it does not grow with every start.
pub(crate) fn prune(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut logs: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    logs.sort();
    let surplus = logs.len().saturating_sub(LOGS_KEPT);
    for (_, path) in logs.into_iter().take(surplus) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!(path = %path.display(), error = &error as &dyn std::error::Error, "old log stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_turned_over_once_and_appended_to_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let log = LogFile::with_max(path.clone(), 10);
        for line in ["0123456789", "abc", "0123456789", "d"] {
            log.line(line);
        }
        LogFile::with_max(path.clone(), 10).line("e");
        assert_eq!(fs::read_to_string(&path).unwrap(), "d\ne\n");
        assert_eq!(fs::read_to_string(dir.path().join("x.log.1")).unwrap(), "abc\n0123456789\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn old_logs_go() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..LOGS_KEPT + 5 {
            LogFile::open(dir.path().join(format!("{i}.log"))).line("x");
        }
        prune(dir.path());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), LOGS_KEPT);
    }
}
