//! Objects on disk: atomic, conditional writes and reads that no overwrite disturbs.
//!
//! Layout below the root: `{bucket}/{key as names.rs spells it}` holds an object (body and metadata in one file,
//! see `object.rs`); `.tmp/` holds uploads under way and is emptied at start.
//!
//! Invariants: a body is on disk in full before its write's condition is judged; judging and `rename` happen under
//! the bucket's index lock, so of racing conditional writes exactly one wins; a reader works on one open file, so
//! it sees one version whole whatever is written meanwhile; the index equals what is on disk. A killed process
//! loses no acknowledged write. Nothing is synced to the medium: a power cut may lose the last writes, but a file
//! cut short is recognised at the next start and left out.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::list::{self, Listed, Page, Query};
use super::names;
use super::object::{self, Conditions, Damage, FOOTER_BYTES, Meta, Refused};

/// Uploads under way lie here; bucket names never start with a dot.
const TEMP_DIR: &str = ".tmp";

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such bucket.
    #[error("no bucket is named {0:?}")]
    NoSuchBucket(String),
    /// The bucket exists already.
    #[error("the bucket {0:?} exists already")]
    BucketExists(String),
    /// The bucket still holds objects.
    #[error("the bucket {0:?} is not empty")]
    BucketNotEmpty(String),
    /// There is no such object.
    #[error("the bucket holds no such object")]
    NoSuchKey,
    /// `If-Match` or `If-None-Match` did not hold.
    #[error("the condition of the request does not hold")]
    PreconditionFailed,
    /// A bucket name or key that cannot be spelled as a file name.
    #[error("the bucket name or the key is empty, too long or not allowed")]
    BadName,
    /// An object's file is damaged.
    #[error("the object's file is damaged")]
    Damaged(#[source] Damage),
    /// The disk failed.
    #[error("the disk failed while {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
}

/// Adds what was being done to a failure of the disk.
fn failed(doing: &'static str) -> impl Fn(io::Error) -> StoreError {
    move |source| StoreError::Io { doing, source }
}

/// All buckets below one directory. Every method blocks on the disk.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    buckets: RwLock<HashMap<String, Arc<Bucket>>>,
    uploads: AtomicU64,
}

#[derive(Debug)]
struct Bucket {
    dir: PathBuf,
    index: Mutex<BTreeMap<String, Listed>>,
}

/// An object opened for reading: one version of it, whatever happens to the key.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) meta: Meta,
    file: Arc<fs::File>,
}

impl Opened {
    /// The body's bytes from `start`, `length` of them; the caller keeps inside `meta.size`.
    pub(crate) fn read(&self, start: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start).map_err(failed("reading an object"))?;
        Ok(bytes)
    }
}

/// A body being received, in a file of its own; gone when dropped.
#[derive(Debug)]
pub(crate) struct Upload {
    file: fs::File,
    path: PathBuf,
}

impl Upload {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(failed("receiving an object"))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // After a commit the file has another name and this finds nothing; otherwise `.tmp` is emptied at start.
        drop(fs::remove_file(&self.path));
    }
}

impl Store {
    /// Opens the store below `root`, made when absent, and indexes what it holds.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let temp = root.join(TEMP_DIR);
        match fs::remove_dir_all(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("emptying the upload directory")(error));
            }
            _ => {}
        }
        fs::create_dir_all(&temp).map_err(failed("making the store's directory"))?;
        let mut buckets = HashMap::new();
        for entry in fs::read_dir(root).map_err(failed("listing the buckets"))? {
            let entry = entry.map_err(failed("listing the buckets"))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if names::is_bucket_name(&name) && entry.path().is_dir() {
                let mut index = BTreeMap::new();
                scan(&entry.path(), "", &mut index)?;
                let bucket = Bucket { dir: entry.path(), index: Mutex::new(index) };
                buckets.insert(name, Arc::new(bucket));
            }
        }
        Ok(Self { root: root.to_owned(), buckets: RwLock::new(buckets), uploads: AtomicU64::new(0) })
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// When it exists, when the name is not allowed, or when the disk fails.
    pub fn create_bucket(&self, name: &str) -> Result<(), StoreError> {
        if !names::is_bucket_name(name) {
            return Err(StoreError::BadName);
        }
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        if buckets.contains_key(name) {
            return Err(StoreError::BucketExists(name.to_owned()));
        }
        let dir = self.root.join(name);
        fs::create_dir_all(&dir).map_err(failed("making a bucket"))?;
        buckets.insert(name.to_owned(), Arc::new(Bucket { dir, index: Mutex::default() }));
        Ok(())
    }

    pub(crate) fn delete_bucket(&self, name: &str) -> Result<(), StoreError> {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.get(name).ok_or_else(|| StoreError::NoSuchBucket(name.to_owned()))?;
        let index = bucket.index.lock().unwrap_or_else(PoisonError::into_inner);
        if !index.is_empty() {
            return Err(StoreError::BucketNotEmpty(name.to_owned()));
        }
        fs::remove_dir_all(&bucket.dir).map_err(failed("removing a bucket"))?;
        drop(index);
        buckets.remove(name);
        Ok(())
    }

    pub(crate) fn bucket_names(&self) -> Vec<String> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = buckets.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn has_bucket(&self, name: &str) -> bool {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    fn bucket(&self, name: &str) -> Result<Arc<Bucket>, StoreError> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets.get(name).map(Arc::clone).ok_or_else(|| StoreError::NoSuchBucket(name.to_owned()))
    }

    /// Begins to receive a body.
    pub(crate) fn upload(&self) -> Result<Upload, StoreError> {
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(TEMP_DIR).join(number.to_string());
        let file = fs::File::create_new(&path).map_err(failed("starting an upload"))?;
        Ok(Upload { file, path })
    }

    /// Makes a received body the object `key`, if the conditions hold at that moment.
    pub(crate) fn commit(
        &self,
        mut upload: Upload,
        bucket: &str,
        key: &str,
        meta: &Meta,
        conditions: &Conditions,
    ) -> Result<(), StoreError> {
        let bucket = self.bucket(bucket)?;
        let path = bucket.dir.join(names::key_to_path(key).ok_or(StoreError::BadName)?);
        upload.write(&object::trailer(meta).map_err(StoreError::Damaged)?)?;

        let mut index = bucket.index.lock().unwrap_or_else(PoisonError::into_inner);
        check(conditions, &index, key)?;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed("making an object's directory"))?;
        }
        fs::rename(&upload.path, &path).map_err(failed("putting an object in place"))?;
        index.insert(key.to_owned(), listed(meta));
        Ok(())
    }

    /// Opens the object `key`.
    pub(crate) fn read(&self, bucket: &str, key: &str) -> Result<Opened, StoreError> {
        let bucket = self.bucket(bucket)?;
        let path = bucket.dir.join(names::key_to_path(key).ok_or(StoreError::NoSuchKey)?);
        match fs::File::open(&path) {
            Ok(file) => {
                let meta = read_meta(&file)?;
                Ok(Opened { meta, file: Arc::new(file) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NoSuchKey),
            // A key below an object's file, as `a@/b`, cannot arise from names.rs; anything else is the disk's.
            Err(error) => Err(failed("opening an object")(error)),
        }
    }

    /// Removes the object `key`, if the conditions hold; that it is absent is no failure.
    pub(crate) fn delete(&self, bucket: &str, key: &str, conditions: &Conditions) -> Result<(), StoreError> {
        let bucket = self.bucket(bucket)?;
        let path = bucket.dir.join(names::key_to_path(key).ok_or(StoreError::BadName)?);
        let mut index = bucket.index.lock().unwrap_or_else(PoisonError::into_inner);
        check(conditions, &index, key)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("removing an object")(error));
            }
            _ => {}
        }
        index.remove(key);
        // Directories that became empty go too; the first that is not empty ends the walk.
        for dir in path.ancestors().skip(1).take_while(|dir| *dir != bucket.dir) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn list(&self, bucket: &str, query: &Query) -> Result<Page, StoreError> {
        let bucket = self.bucket(bucket)?;
        let index = bucket.index.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(list::page(&index, query))
    }
}

fn check(conditions: &Conditions, index: &BTreeMap<String, Listed>, key: &str) -> Result<(), StoreError> {
    conditions.check(index.get(key).map(|listed| listed.etag.as_str())).map_err(|refused| match refused {
        Refused::Missing => StoreError::NoSuchKey,
        Refused::Failed => StoreError::PreconditionFailed,
    })
}

fn listed(meta: &Meta) -> Listed {
    Listed { size: meta.size, etag: meta.etag.clone(), modified_ms: meta.modified_ms }
}

fn read_meta(file: &fs::File) -> Result<Meta, StoreError> {
    let doing = "reading an object's metadata";
    let file_bytes = file.metadata().map_err(failed(doing))?.len();
    let footer_bytes = u64::try_from(FOOTER_BYTES).unwrap_or(u64::MAX);
    let footer_at = file_bytes.checked_sub(footer_bytes).ok_or(StoreError::Damaged(Damage::NoFooter))?;
    let mut footer = [0; FOOTER_BYTES];
    file.read_exact_at(&mut footer, footer_at).map_err(failed(doing))?;
    let length = object::meta_length(&footer, file_bytes).map_err(StoreError::Damaged)?;
    let meta_at = footer_at
        .checked_sub(u64::try_from(length).unwrap_or(u64::MAX))
        .ok_or(StoreError::Damaged(Damage::NoFooter))?;
    let mut json = vec![0; length];
    file.read_exact_at(&mut json, meta_at).map_err(failed(doing))?;
    object::parse_meta(&json, file_bytes).map_err(StoreError::Damaged)
}

/// Indexes every object below `dir`, whose keys start with `prefix`. Depth is bounded by the length of a key.
fn scan(dir: &Path, prefix: &str, index: &mut BTreeMap<String, Listed>) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).map_err(failed("indexing a bucket"))? {
        let entry = entry.map_err(failed("indexing a bucket"))?;
        let kind = entry.file_type().map_err(failed("indexing a bucket"))?;
        let name = entry.file_name();
        let Some(segment) = name.to_str().and_then(|name| names::segment_of(name, kind.is_file())) else {
            tracing::warn!(path = %entry.path().display(), "file is not an object, left out");
            continue;
        };
        let key = format!("{prefix}{segment}");
        if kind.is_dir() {
            scan(&entry.path(), &format!("{key}/"), index)?;
            continue;
        }
        let file = fs::File::open(entry.path()).map_err(failed("indexing a bucket"))?;
        match read_meta(&file) {
            Ok(meta) => drop(index.insert(key, listed(&meta))),
            Err(StoreError::Damaged(damage)) => {
                tracing::warn!(%key, %damage, "damaged object left out");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(
        store: &Store,
        key: &str,
        body: &[u8],
        etag: &str,
        conditions: &Conditions,
    ) -> Result<(), StoreError> {
        let mut upload = store.upload()?;
        upload.write(body)?;
        let meta = Meta { size: body.len() as u64, etag: etag.into(), ..Meta::default() };
        store.commit(upload, "bucket", key, &meta, conditions)
    }

    #[test]
    fn objects_outlive_the_process_and_damage_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = Store::open(dir.path()).unwrap();
            store.create_bucket("bucket").unwrap();
            put(&store, "a", b"file", "1", &Conditions::default()).unwrap();
            put(&store, "a/b", b"folder of the same name", "2", &Conditions::default()).unwrap();
            put(&store, "a/cut", b"x", "3", &Conditions::default()).unwrap();
        }
        fs::write(dir.path().join("bucket/a/cut@"), b"cut short").unwrap();
        fs::write(dir.path().join(TEMP_DIR).join("0"), b"left by a crash").unwrap();

        let store = Store::open(dir.path()).unwrap();
        let page = store.list("bucket", &Query { max: 10, ..Query::default() }).unwrap();
        let keys: Vec<&str> = page.objects.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["a", "a/b"]);
        let opened = store.read("bucket", "a/b").unwrap();
        assert_eq!(opened.read(0, 6).unwrap(), b"folder");
        assert!(fs::read_dir(dir.path().join(TEMP_DIR)).unwrap().next().is_none());
    }

    #[test]
    fn an_open_object_outlives_its_overwrite_and_deletion() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.create_bucket("bucket").unwrap();
        put(&store, "d/k", b"old", "1", &Conditions::default()).unwrap();
        let old = store.read("bucket", "d/k").unwrap();
        put(&store, "d/k", b"newer", "2", &Conditions::default()).unwrap();
        store.delete("bucket", "d/k", &Conditions::default()).unwrap();
        assert_eq!(old.read(0, 3).unwrap(), b"old");
        assert!(matches!(store.read("bucket", "d/k"), Err(StoreError::NoSuchKey)));
        assert!(!dir.path().join("bucket/d").exists(), "the empty directory went too");
    }

    #[test]
    fn a_refused_write_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.create_bucket("bucket").unwrap();
        let create = Conditions { absent: true, matches: None };
        put(&store, "k", b"first", "1", &create).unwrap();
        assert!(matches!(put(&store, "k", b"second", "2", &create), Err(StoreError::PreconditionFailed)));
        assert_eq!(store.read("bucket", "k").unwrap().meta.etag, "1");
        assert!(fs::read_dir(dir.path().join(TEMP_DIR)).unwrap().next().is_none());
    }
}
