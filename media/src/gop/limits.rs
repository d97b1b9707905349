//! The bounds of the cutter, each with its reason, and what a broadcaster is told who passes one.

use crate::{
    time::Ticks,
    verdict::{Code, Verdict},
};

/// IDR pictures nearer than this to the GOP's first, in ms, do not cut: encoders put them at scene changes, some send nothing else, and
/// every cut costs a write, a notice and an encoder's start.
pub const GOP_MIN_MS: i64 = 500;
/// Longest GOP in ms: OBS's default is 250 frames, 10 s at 25 frames a second.
pub const GOP_MAX_MS: i64 = 10_000;
/// How long pictures may come before their configuration, in ms, on arrival or by their stamps: it is the first thing that an encoder
/// sends, and nothing can be made of them without.
pub const CONFIG_WAIT_MS: i64 = 4_000;
/// By how much stamps of whole milliseconds may overstate a length.
pub(super) const ROUNDING_MS: i64 = 2;
/// Most bytes of a GOP's pictures: what a chunk holds, less room for sound and tables.
pub const GOP_BYTES_MAX: usize = 60 << 20;
/// Most pictures of a GOP: the longest at 240 frames a second.
pub const GOP_PICTURES_MAX: usize = 2_400;
/// How long a GOP waits for its sound, in ms, on arrival or by the pictures' stamps: encoders interleave within a second.
pub const SOUND_WAIT_MS: i64 = 2_000;
/// A distance of pictures from which the GOP is not held open, in ms: a picture held for longer is better told as a hole.
pub const PAUSE_MS: i64 = 5_000;
/// Sound without any picture for so long, in ms, makes a show without pictures.
pub const SOUND_ONLY_AFTER_MS: i64 = 3_000;
/// Length of the chunks of a show without pictures, in ticks: 2 s.
pub const SOUND_ONLY_TICKS: Ticks = 180_000;
/// How far presentation may lag behind arrival, in ticks: 4 s. More, for [`LAG_SUSTAIN_MS`], and the timeline is set anew to wall-clock time.
pub const LAG_MAX: Ticks = 360_000;
/// How long the lag must last, in ms, with pictures flowing and without being caught up with.
pub const LAG_SUSTAIN_MS: i64 = 10_000;
/// Pictures this far apart on arrival, in ms, are a stall of the network (or of this edge), after which what was held back comes in a burst.
pub(super) const STALL_MS: i64 = 1_000;
/// A lag that has shrunk by so much, in ticks, is being caught up with: a tenth of [`LAG_MAX`].
pub(super) const CATCH_UP: Ticks = LAG_MAX / 10;
/// Most GOPs that wait for sound at once: four of the shortest make up [`SOUND_WAIT_MS`]. Beyond, the oldest goes without.
pub const CLOSING_MAX: usize = 6;
/// Later than any presentation time.
pub(super) const EVER: Ticks = 1 << 60;
/// Largest composition offset believed, in ms: 16 frames of reordering at 4 frames a second.
pub const COMPOSITION_MAX_MS: i32 = 4_000;

/// For pictures whose configuration does not come.
pub(super) fn no_config() -> Verdict {
    Verdict::new(
        Code::VideoConfig,
        "Pictures arrive without their decoder configuration (the sequence header); restart the encoder's stream, and update the encoder if it happens again.",
    )
}

/// For pictures that go on for too long without an IDR picture; `claimed`: some were marked as key frames all the same.
pub(super) fn no_idr(claimed: bool) -> Verdict {
    if claimed {
        Verdict::new(
            Code::OpenGop,
            "The stream's key frames do not start closed GOPs; turn open GOP and intra refresh off and set the keyframe interval to 2 seconds.",
        )
    } else {
        Verdict::new(
            Code::GopTooLong,
            "There was no key frame for 10 seconds; set the keyframe interval to 2 seconds.",
        )
    }
}

/// For pictures that nobody can begin to watch: none of them, for longer than the longest GOP, was marked as a key frame.
pub(super) fn no_keyframe() -> Verdict {
    Verdict::new(
        Code::NoKeyframe,
        "The stream's pictures came without a key frame for 10 seconds; restart the stream, and set the keyframe interval to 2 seconds.",
    )
}
