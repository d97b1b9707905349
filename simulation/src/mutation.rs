//! Deliberate faults in the protocol, made where the production code meets the outside: what it asks for is altered on the way. A
//! simulation that is worth its time finds every one of them.

use service::{
    bucket,
    table::PK,
    table::store::{Action, Change, Condition, Value, Write},
};

macro_rules! mutations {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A fault built in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutation {
            $($(#[$doc])* $name,)*
        }
        impl Mutation {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// Its name on the command line and in the documents.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

mutations! {
    /// Commits do not look at the epoch.
    CommitWithoutEpoch = "commit-without-epoch";
    /// Commits look neither at the cursor nor at whether the row is there. Each of the two alone is enough, so that leaving out one
    /// changes nothing.
    CommitTwice = "commit-twice";
    /// Cursor and row of a commit are written one after the other.
    CommitInTwoWrites = "commit-in-two-writes";
    /// A commit is believed before it has taken place.
    CommitBelievedEarly = "commit-believed-early";
    /// Fills do not look at the epoch.
    FillWithoutEpoch = "fill-without-epoch";
    /// Fills look neither at where the live timeline ends nor at whether the row is there. Each of the two alone is enough.
    FillTwice = "fill-twice";
    /// Fills do not look at the floor.
    FillWithoutFloor = "fill-without-floor";
    /// The floor is set without a look at where the live timeline ends.
    FloorWithoutEnd = "floor-without-end";
    /// Segments are put over what is there.
    SegmentNotCreateOnly = "segment-not-create-only";
    /// Segments are believed to be stored before they are.
    SegmentBelievedEarly = "segment-believed-early";
    /// Chunks are put over what is there.
    ChunkNotCreateOnly = "chunk-not-create-only";
    /// Chunks are told of before they are stored.
    ChunkBelievedEarly = "chunk-believed-early";
    /// Manifests are put over whatever is there.
    ManifestNotSwapped = "manifest-not-swapped";
    /// The stable posters of lives are put over whatever is there.
    PosterNotSwapped = "poster-not-swapped";
    /// A move to another encoder leaves the epoch as it is.
    RebindSameEpoch = "rebind-same-epoch";
    /// A move to another encoder does not look at the epoch.
    RebindWithoutEpoch = "rebind-without-epoch";
    /// A move to another encoder leaves the counts of bindings as they are.
    RebindUncounted = "rebind-uncounted";
    /// A publish number is given without a look at the last one.
    PublishNotConditional = "publish-not-conditional";
    /// A broadcast is made without a look at the live's current one.
    CreateNotConditional = "create-not-conditional";
    /// The availability start is fixed again and again.
    StartNotConditional = "start-not-conditional";
    /// A broadcast is ended without a look at the epoch.
    EndWithoutEpoch = "end-without-epoch";
    /// A broadcast expires whatever publish has come.
    ExpireNotConditional = "expire-not-conditional";
    /// Listings of the bucket come back empty.
    NoListing = "no-listing";
    /// What is left out of a ladder to keep up are its smallest rungs.
    ShedTheSmallest = "shed-the-smallest";
    /// Nobody sweeps, and no encoder takes up what was left.
    NoSweep = "no-sweep";
}

impl std::str::FromStr for Mutation {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|mutation| mutation.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|mutation| mutation.name()).collect();
            format!("one of {}", names.join(", "))
        })
    }
}

/// Drops conditions on an attribute.
fn strip(write: &mut Write, attribute: &str) {
    write.conditions.retain(|condition| match condition {
        Condition::Is(name, _)
        | Condition::IsNot(name, _)
        | Condition::Present(name)
        | Condition::Absent(name)
        | Condition::AbsentOr(name, _) => *name != attribute,
    });
}

fn is_binding(write: &Write) -> bool {
    write.key.sk == "BINDING"
}

impl Mutation {
    /// What becomes of writes on the table: those to carry out, in so many steps.
    #[must_use]
    pub fn table(self, operation: &str, mut writes: Vec<Write>) -> Vec<Vec<Write>> {
        match (self, operation) {
            (Self::CommitWithoutEpoch, "commit")
            | (Self::FillWithoutEpoch, "commit fill")
            | (Self::RebindWithoutEpoch, "rebind")
            | (Self::EndWithoutEpoch, "end broadcast") => {
                writes.iter_mut().filter(|write| is_binding(write)).for_each(|write| strip(write, "epoch"));
            }
            (Self::CommitTwice, "commit") => writes.iter_mut().for_each(|write| {
                strip(write, "cursor_publish");
                strip(write, "cursor_seq");
                strip(write, PK);
            }),
            (Self::CommitInTwoWrites, "commit") => {
                return writes.into_iter().map(|write| vec![write]).collect();
            }
            (Self::FillTwice, "commit fill") => writes.iter_mut().for_each(|write| {
                strip(write, "live_end");
                strip(write, PK);
            }),
            (Self::FloorWithoutEnd, "set floor") => {
                writes.iter_mut().for_each(|write| strip(write, "live_end"));
            }
            (Self::FillWithoutFloor, "commit fill") => {
                writes.iter_mut().for_each(|write| strip(write, "floor_publish"));
            }
            (Self::RebindSameEpoch, "rebind") => writes.iter_mut().for_each(|write| {
                if let Action::Update(changes) = &mut write.action {
                    changes.retain(|change| !matches!(change, Change::Set("epoch", _)));
                }
            }),
            (Self::RebindUncounted, "rebind") => writes.retain(is_binding),
            (Self::PublishNotConditional, "next publish") => {
                writes.iter_mut().for_each(|write| strip(write, "publish"));
            }
            (Self::CreateNotConditional, "create broadcast") => {
                writes.iter_mut().for_each(|write| strip(write, "current"));
            }
            (Self::StartNotConditional, "availability start") => {
                writes.iter_mut().for_each(|write| strip(write, "availability_start"));
            }
            (Self::ExpireNotConditional, "expire") => {
                writes.iter_mut().for_each(|write| strip(write, "publish"))
            }
            _ => {}
        }
        vec![writes]
    }

    /// What becomes of a write to the bucket.
    pub fn object(self, write: &mut bucket::Write) {
        let blind = match self {
            Self::SegmentNotCreateOnly => is_segment(&write.key),
            Self::ChunkNotCreateOnly => is_chunk(&write.key),
            Self::ManifestNotSwapped => is_manifest(&write.key),
            Self::PosterNotSwapped => is_poster(&write.key),
            _ => false,
        };
        if blind {
            write.condition = bucket::Condition::Always;
        }
    }

    /// Whether this write to the bucket is believed before it has taken place.
    #[must_use]
    pub fn believes_object(self, key: &str) -> bool {
        match self {
            Self::SegmentBelievedEarly => is_segment(key),
            Self::ChunkBelievedEarly => is_chunk(key),
            _ => false,
        }
    }

    /// Whether these writes to the table are believed before they have taken place.
    #[must_use]
    pub fn believes_write(self, operation: &str) -> bool {
        self == Self::CommitBelievedEarly && operation == "commit"
    }
}

/// A media segment, or the tile beside it.
#[must_use]
pub fn is_segment(key: &str) -> bool {
    key.ends_with(".m4s") || key.contains("/tiles/")
}

/// The stable poster of a live.
#[must_use]
pub fn is_poster(key: &str) -> bool {
    key.starts_with("live/") && key.ends_with("/poster.jpg")
}

/// A stored chunk.
#[must_use]
pub fn is_chunk(key: &str) -> bool {
    key.ends_with(".gop")
}

/// A manifest: an MPD or a playlist.
#[must_use]
pub fn is_manifest(key: &str) -> bool {
    key.ends_with(".mpd") || is_playlist(key)
}

/// An HLS playlist.
#[must_use]
pub fn is_playlist(key: &str) -> bool {
    key.ends_with(".m3u8")
}

/// The number in an attribute.
#[must_use]
pub fn number(value: Option<&Value>) -> Option<i128> {
    match value {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for mutation in Mutation::ALL {
            assert_eq!(mutation.name().parse(), Ok(*mutation));
        }
    }
}
