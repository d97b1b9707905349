//! The bodies of the fuzz targets of this crate (`docs/FUZZING.md`). Not part of the edge: built for its own tests, which run every body over
//! the committed corpus, and with the feature `fuzzing`, for `ingest-edge/fuzz`.
//!
//! Invariant: a body takes any bytes, and panics only if the code under it does not keep its word.

mod amf0;
mod chunk_reader;
mod session;

pub use self::{amf0::amf0, chunk_reader::chunk_reader, session::session};

/// What seeds are made with.
#[cfg(feature = "fuzzing")]
pub(crate) mod parts {
    pub(crate) use super::super::{
        amf0::{Value, encode},
        chunk_reader::{ChunkReader, Message},
        limits::Limits,
    };
}

/// A body: takes any bytes.
pub type Body = fn(&[u8]);

/// The targets by their names, which are those of the corpora's folders.
pub const TARGETS: [(&str, Body); 3] = [("amf0", amf0), ("chunk_reader", chunk_reader), ("session", session)];

/// Numbers that a few bytes of the input stand for, so that one input is always cut and timed the same way.
struct Dice(u64);

impl Dice {
    /// Takes its seed off the input.
    fn take(data: &[u8]) -> Option<(Self, &[u8])> {
        let (seed, rest) = data.split_first_chunk::<4>()?;
        Some((Self(u64::from(u32::from_le_bytes(*seed)) | 1 << 32), rest))
    }

    /// Below `end`, which is not 0 (xorshift64).
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % end
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    fn files(folder: &Path) -> Vec<PathBuf> {
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
        let folders: Vec<_> = files(&root.join("corpus"))
            .into_iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
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
                body(&[first; 6]);
                body(&[first; 64]);
            }
        }
    }
}
