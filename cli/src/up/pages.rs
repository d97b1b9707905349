//! The web pages: found where the player was built, put into the bucket under `player/`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use service::bucket::{Bucket, Condition, Kind};

/// Uploads at a time.
const UPLOADS: usize = 8;
/// Most files of the player; it has about ten.
const FILES_MAX: usize = 1000;
/// Files whose name holds a hash of their content never change.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// All others are asked for again after a second.
const SHORT: &str = "max-age=1, stale-while-revalidate=1";

/// Where the player is: `GOPCAST_PLAYER_DIR`, else `player` beside this program, else `player/dist` of the sources that it was built from.
#[must_use]
pub(crate) fn find(programs: &Path) -> Option<PathBuf> {
    let given = std::env::var_os("GOPCAST_PLAYER_DIR").map(PathBuf::from);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../player/dist");
    let candidates = [given, Some(programs.join("player")), Some(sources)];
    let found = candidates.into_iter().flatten().find(|dir| dir.join("index.html").is_file())?;
    Some(found.canonicalize().unwrap_or(found))
}

/// Puts all files of `dir` into the bucket and takes away what an earlier version has left. How many files there are.
///
/// # Errors
/// When a file can't be read or the bucket not be written.
pub(crate) async fn upload(bucket: &Bucket, dir: &Path) -> anyhow::Result<usize> {
    let mut files = Vec::new();
    walk(dir, dir, &mut files)?;
    files.sort();
    let keys: Vec<String> = files.iter().map(|name| format!("player/{name}")).collect();
    futures_util::stream::iter(files.iter().zip(&keys).map(Ok))
        .try_for_each_concurrent(UPLOADS, |(name, key)| async move {
            let path = dir.join(name);
            let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let cache_control = if name.starts_with("assets/") { IMMUTABLE } else { SHORT };
            let kind = Kind { content_type: content_type(name), cache_control };
            bucket.put(key, Bytes::from(bytes), kind, Condition::Always, &[]).await?;
            anyhow::Ok(())
        })
        .await?;
    let stored = bucket.list("player/", None, FILES_MAX).await?;
    let old = stored.iter().filter(|key| !keys.contains(key));
    futures_util::stream::iter(old)
        .map(|key| bucket.delete(key))
        .buffer_unordered(UPLOADS)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(files.len())
}

/// The names of all files below `dir`, relative to `root`, with `/`.
fn walk(root: &Path, dir: &Path, files: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            walk(root, &path, files)?;
        } else if files.len() < FILES_MAX {
            files.extend(path.strip_prefix(root).ok().and_then(Path::to_str).map(str::to_owned));
        }
    }
    Ok(())
}

/// The content type of a page's file; the CDN's rules say the same.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "js" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_those_of_the_cdn() {
        let rules: serde_json::Value =
            serde_json::from_str(include_str!("../../../infra/data/cdn.json")).unwrap();
        for extension in
            ["css", "html", "ico", "js", "json", "map", "png", "svg", "txt", "webmanifest", "woff2"]
        {
            assert_eq!(
                rules["content_types"][extension],
                content_type(&format!("a.b.{extension}")),
                "{extension}"
            );
        }
        assert_eq!(content_type("noextension"), "application/octet-stream");
    }

    #[test]
    fn all_files_are_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("assets")).unwrap();
        for name in ["index.html", "assets/a.js"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let mut files = Vec::new();
        walk(dir.path(), dir.path(), &mut files).unwrap();
        files.sort();
        assert_eq!(files, ["assets/a.js", "index.html"]);
    }
}
