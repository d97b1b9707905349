//! The names of all objects in the bucket, in one place. Golden-tested: a change of one byte here orphans what is stored.
//!
//! ```text
//! ingest/{broadcast}/{publish:06}/{seq:08}.gop       private, expires
//! vod/{live}/{broadcast}/manifest.mpd                dynamic while live, static once over
//! vod/{live}/{broadcast}/{rung}/init-{config}.mp4    immutable
//! vod/{live}/{broadcast}/{rung}/{t}.m4s              immutable; t = media time in ticks of the rung's track
//! vod/{live}/{broadcast}/{rung}/{t}-p{publish}.m4s   the same, where another chunk's segment has the plain name
//! vod/{live}/{broadcast}/{rung}/{t}-fill.m4s         the same, of a hole's fill where a chunk's segment has the plain name
//! vod/{live}/{broadcast}/tiles/{t}.jpg               immutable; the storyboard's picture of a chunk, with the suffixes of its segments
//! vod/{live}/{broadcast}/poster.jpg                  immutable; a picture of the show, written when it is over
//! vod/{live}/{broadcast}/master.m3u8                 HLS: which media playlists there are
//! vod/{live}/{broadcast}/{rung}/{playlist}.m3u8      HLS: live (from second 0), window, replay
//! live/{live}/manifest.mpd                           the stable URL
//! live/{live}/master.m3u8                            the stable URL of HLS
//! live/{live}/poster.jpg                             the stable URL of a picture of the show
//! live/{live}/index.json  live/index.json            what the pages list
//! slate/{live}/{sha256}                              private; the image shown while a publisher is away
//! ```

use crate::{
    id::{BroadcastId, ChunkPos, ChunkSeq, LiveId, PublishNo},
    ledger::{Naming, TILE_RUNG},
};

/// The list of lives that the front page shows.
pub const LIVES_INDEX: &str = "live/index.json";

/// The prefix of a broadcast's stored chunks.
#[must_use]
pub fn ingest_prefix(broadcast: &BroadcastId) -> String {
    format!("ingest/{broadcast}/")
}

/// The prefix of the chunks of one publish.
#[must_use]
pub fn publish_prefix(broadcast: &BroadcastId, publish: PublishNo) -> String {
    format!("ingest/{broadcast}/{:06}/", publish.get())
}

/// One stored chunk.
#[must_use]
pub fn chunk(broadcast: &BroadcastId, pos: ChunkPos) -> String {
    format!("ingest/{broadcast}/{:06}/{:08}.gop", pos.publish.get(), pos.seq.0)
}

/// The position of a chunk from its key; `None` for a key that [`chunk`] does not make.
#[must_use]
pub fn parse_chunk(broadcast: &BroadcastId, key: &str) -> Option<ChunkPos> {
    let rest = key.strip_prefix(&ingest_prefix(broadcast))?.strip_suffix(".gop")?;
    let (publish, seq) = rest.split_once('/')?;
    let pos = ChunkPos { publish: PublishNo::new(publish.parse().ok()?)?, seq: ChunkSeq(seq.parse().ok()?) };
    (chunk(broadcast, pos) == key).then_some(pos)
}

/// The prefix of everything that viewers read of one broadcast.
#[must_use]
pub fn vod_prefix(live: &LiveId, broadcast: &BroadcastId) -> String {
    format!("vod/{live}/{broadcast}/")
}

/// The manifest of one broadcast, from second 0.
#[must_use]
pub fn vod_manifest(live: &LiveId, broadcast: &BroadcastId) -> String {
    format!("vod/{live}/{broadcast}/manifest.mpd")
}

/// The multivariant playlist of one broadcast.
#[must_use]
pub fn vod_master(live: &LiveId, broadcast: &BroadcastId) -> String {
    format!("vod/{live}/{broadcast}/master.m3u8")
}

/// A media playlist of one rung; `file` says which.
#[must_use]
pub fn playlist(live: &LiveId, broadcast: &BroadcastId, rung: &str, file: &str) -> String {
    format!("vod/{live}/{broadcast}/{rung}/{file}")
}

/// The initialization segment of a rung; `config` is a hash of its bytes.
#[must_use]
pub fn init(live: &LiveId, broadcast: &BroadcastId, rung: &str, config: &str) -> String {
    format!("vod/{live}/{broadcast}/{rung}/init-{config}.mp4")
}

/// One media segment; `time` is its earliest presentation as media time in ticks of its track.
#[must_use]
pub fn segment(live: &LiveId, broadcast: &BroadcastId, rung: &str, time: u64, naming: Naming) -> String {
    format!("vod/{live}/{broadcast}/{rung}/{time}{}.m4s", suffix(naming))
}

/// The storyboard's picture of a chunk whose pictures begin at `time`, as media time in 1/90 000 s.
#[must_use]
pub fn tile(live: &LiveId, broadcast: &BroadcastId, time: u64, naming: Naming) -> String {
    format!("vod/{live}/{broadcast}/{TILE_RUNG}/{time}{}.jpg", suffix(naming))
}

/// What follows the time in a media segment's name.
#[must_use]
pub fn suffix(naming: Naming) -> String {
    match naming {
        Naming::Plain => String::new(),
        Naming::Publish(publish) => format!("-p{}", publish.get()),
        Naming::Fill => "-fill".to_owned(),
    }
}

/// A picture of one broadcast, there once it is over.
#[must_use]
pub fn vod_poster(live: &LiveId, broadcast: &BroadcastId) -> String {
    format!("vod/{live}/{broadcast}/poster.jpg")
}

/// The stable picture of a live: of what is on air now, else of the last show.
#[must_use]
pub fn live_poster(live: &LiveId) -> String {
    format!("live/{live}/poster.jpg")
}

/// The image of a live's slate; `sha256` of its bytes, in hexadecimal.
#[must_use]
pub fn slate(live: &LiveId, sha256: &str) -> String {
    format!("slate/{live}/{sha256}")
}

/// The stable manifest of a live: what is on air now, else the last replay.
#[must_use]
pub fn live_manifest(live: &LiveId) -> String {
    format!("live/{live}/manifest.mpd")
}

/// The stable multivariant playlist of a live.
#[must_use]
pub fn live_master(live: &LiveId) -> String {
    format!("live/{live}/master.m3u8")
}

/// What the watch page of a live reads.
#[must_use]
pub fn live_index(live: &LiveId) -> String {
    format!("live/{live}/index.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_names() {
        let live: LiveId = "shoes".parse().unwrap();
        let id = BroadcastId::new(1_700_000_000_001, [0; 10]);
        let pos = ChunkPos { publish: PublishNo::new(2).unwrap(), seq: ChunkSeq(41) };
        let b = "018bcfe5-6801-7000-8000-000000000000";
        assert_eq!(chunk(&id, pos), format!("ingest/{b}/000002/00000041.gop"));
        assert_eq!(publish_prefix(&id, pos.publish), format!("ingest/{b}/000002/"));
        assert_eq!(vod_manifest(&live, &id), format!("vod/shoes/{b}/manifest.mpd"));
        assert_eq!(init(&live, &id, "720p", "a1b2c3d4"), format!("vod/shoes/{b}/720p/init-a1b2c3d4.mp4"));
        let named = |naming| segment(&live, &id, "audio", 48_000, naming);
        assert_eq!(named(Naming::Plain), format!("vod/shoes/{b}/audio/48000.m4s"));
        assert_eq!(named(Naming::Publish(pos.publish)), format!("vod/shoes/{b}/audio/48000-p2.m4s"));
        assert_eq!(named(Naming::Fill), format!("vod/shoes/{b}/audio/48000-fill.m4s"));
        let named = |naming| tile(&live, &id, 90_000, naming);
        assert_eq!(named(Naming::Plain), format!("vod/shoes/{b}/tiles/90000.jpg"));
        assert_eq!(named(Naming::Publish(pos.publish)), format!("vod/shoes/{b}/tiles/90000-p2.jpg"));
        assert_eq!(vod_poster(&live, &id), format!("vod/shoes/{b}/poster.jpg"));
        assert_eq!(live_poster(&live), "live/shoes/poster.jpg");
        assert_eq!(slate(&live, "ab"), "slate/shoes/ab");
        assert_eq!(live_manifest(&live), "live/shoes/manifest.mpd");
        assert_eq!(vod_master(&live, &id), format!("vod/shoes/{b}/master.m3u8"));
        assert_eq!(playlist(&live, &id, "720p", "live.m3u8"), format!("vod/shoes/{b}/720p/live.m3u8"));
        assert_eq!(live_master(&live), "live/shoes/master.m3u8");
        assert_eq!(live_index(&live), "live/shoes/index.json");
    }

    #[test]
    fn chunk_names_parse_back_and_nothing_else_does() {
        let id = BroadcastId::new(1, [3; 10]);
        let pos = ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(12_345_678) };
        assert_eq!(parse_chunk(&id, &chunk(&id, pos)), Some(pos));
        for bad in ["000001/1.gop", "000000/00000001.gop", "000001/00000001.gop.tmp", "x/00000001.gop"] {
            assert_eq!(parse_chunk(&id, &format!("ingest/{id}/{bad}")), None, "{bad}");
        }
    }
}
