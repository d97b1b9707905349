//! The bodies of the fuzz targets of this crate (`docs/FUZZING.md`). Not part of the library: built for its own tests, which run every body
//! over the committed corpus, and with the feature `fuzzing`, for `media/fuzz`.
//!
//! Invariant: a body takes any bytes, and panics only if the code under it does not keep its word.

mod chunk;
mod config;
mod cutter;
mod nal;
mod tag;

use bytes::Bytes;

pub use self::{
    chunk::chunk,
    config::{aac_config, sps, video_config},
    cutter::cutter,
    nal::nal,
    tag::tag,
};

/// A body: takes any bytes.
pub type Body = fn(&[u8]);

/// The targets by their names, which are those of the corpora's folders.
pub const TARGETS: [(&str, Body); 7] = [
    ("aac_config", aac_config),
    ("chunk", chunk),
    ("cutter", cutter),
    ("nal", nal),
    ("sps", sps),
    ("tag", tag),
    ("video_config", video_config),
];

/// Splits the first byte off, which says what the rest is.
fn selected(data: &[u8]) -> Option<(u8, Bytes)> {
    let (first, rest) = data.split_first()?;
    Some((*first, Bytes::copy_from_slice(rest)))
}

/// Lengths at which to cut `length` bytes short: all of them while they are few, else the first ones and some of the others.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    const ALL: usize = 128;
    let step = (length / ALL).max(1);
    (0..length.min(ALL)).chain((ALL..length).step_by(step))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Where the files of a corpus lie.
    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
    }

    #[test]
    fn every_target_has_a_corpus_and_bears_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let mut folders: Vec<_> = files(&root.join("corpus"))
            .into_iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        folders.sort();
        assert_eq!(folders, TARGETS.map(|(name, _)| name));
        for (name, body) in TARGETS {
            assert!(root.join(format!("fuzz_targets/{name}.rs")).exists(), "{name} can't be run");
            let corpus = files(&root.join("corpus").join(name));
            assert!(!corpus.is_empty(), "{name} has no corpus");
            for path in corpus {
                // Says which file it was when the body panics.
                println!("{}", path.display());
                body(&fs::read(&path).unwrap());
            }
        }
    }

    #[test]
    fn the_shortest_inputs() {
        for (_, body) in TARGETS {
            body(&[]);
            for first in 0..=u8::MAX {
                body(&[first]);
                body(&[first, 0]);
                body(&[first; 64]);
            }
        }
    }
}
