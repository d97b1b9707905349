//! One GOP on its way: collecting pictures ([`Building`]), then waiting for its sound ([`Closing`]).

use std::sync::Arc;

use bytes::Bytes;

use super::{GOP_BYTES_MAX, GOP_PICTURES_MAX, Gop, Picture, sound::Taken};
use crate::{
    chunk::VideoTrack,
    picture::SampleKind,
    time::{Ticks, WallTime},
    timeline::{Line, Millis, video::VideoTimeline},
    verdict::{Code, Verdict},
    video,
};

/// Collects the pictures of a GOP.
pub(super) struct Building {
    config: Arc<video::Config>,
    start: Ticks,
    discontinuity: bool,
    first: Millis,
    /// Presentation minus decode time of the IDR picture, in ms.
    lead: i64,
    last_decoded: Millis,
    received: WallTime,
    stamps: Vec<Millis>,
    samples: Vec<Bytes>,
    bytes: usize,
    open_keyframes: bool,
}

impl Building {
    pub(super) fn new(
        config: Arc<video::Config>,
        start: Ticks,
        discontinuity: bool,
        dts: Millis,
        pts: Millis,
    ) -> Self {
        Self {
            config,
            start,
            discontinuity,
            first: pts,
            lead: pts.saturating_sub(dts),
            last_decoded: dts,
            received: WallTime(i64::MIN),
            stamps: Vec::new(),
            samples: Vec::new(),
            bytes: 0,
            open_keyframes: false,
        }
    }

    /// The stamp of the IDR picture.
    pub(super) fn first(&self) -> Millis {
        self.first
    }

    /// The decode time of the newest picture.
    pub(super) fn last_decoded(&self) -> Millis {
        self.last_decoded
    }

    /// Pictures that were marked as key frames and are not.
    pub(super) fn has_open_keyframes(&self) -> bool {
        self.open_keyframes
    }

    pub(super) fn push(&mut self, picture: Picture, pts: Millis) -> Result<(), Verdict> {
        self.bytes = self.bytes.saturating_add(picture.data.len());
        if self.bytes > GOP_BYTES_MAX {
            let megabytes = GOP_BYTES_MAX >> 20;
            let message = format!(
                "The pictures between two key frames have more than {megabytes} MB; lower the bit rate or set the keyframe interval to 2 seconds."
            );
            return Err(Verdict::new(Code::BitRate, message));
        }
        if self.samples.len() >= GOP_PICTURES_MAX {
            let message = format!(
                "There are more than {GOP_PICTURES_MAX} pictures between two key frames; lower the frame rate or set the keyframe interval to 2 seconds."
            );
            return Err(Verdict::new(Code::VideoFrameRate, message));
        }
        self.open_keyframes |= picture.claims_start() && picture.kind != SampleKind::Start;
        self.last_decoded = self.last_decoded.max(picture.dts);
        self.received = self.received.max(picture.arrival);
        self.stamps.push(pts);
        self.samples.push(picture.data);
        Ok(())
    }

    /// Ends the GOP before the IDR picture stamped `next`, or after its last picture.
    pub(super) fn close(
        self,
        timeline: &mut VideoTimeline,
        line: Line,
        next: Option<Millis>,
        since: (WallTime, Millis),
    ) -> Closing {
        let mapped = timeline.map(line, self.start, &self.stamps, next, self.lead);
        let video = VideoTrack {
            codec: self.config.codec(),
            config: self.config.record().to_vec(),
            width: self.config.format().width,
            height: self.config.format().height,
            frame_rate: mapped.frame_rate,
            start: self.start,
            end: mapped.end,
            pts: mapped.pts,
            dts: mapped.dts,
            sizes: self.samples.iter().map(|s| u32::try_from(s.len()).unwrap_or(u32::MAX)).collect(),
        };
        Closing {
            until: video.end,
            video,
            samples: self.samples,
            received: self.received,
            discontinuity: self.discontinuity,
            since,
        }
    }
}

/// A GOP whose pictures are complete, waiting for its sound.
pub(super) struct Closing {
    video: VideoTrack,
    samples: Vec<Bytes>,
    received: WallTime,
    discontinuity: bool,
    until: Ticks,
    since: (WallTime, Millis),
}

impl Closing {
    pub(super) fn start(&self) -> Ticks {
        self.video.start
    }

    pub(super) fn end(&self) -> Ticks {
        self.video.end
    }

    /// Sound that begins before this belongs to it.
    pub(super) fn until(&self) -> Ticks {
        self.until
    }

    pub(super) fn take_until(&mut self, until: Ticks) {
        self.until = until;
    }

    /// Whether it has waited for `ms`, by arrival or by stamps.
    pub(super) fn waited(&self, arrival: WallTime, at: Millis, ms: i64) -> bool {
        arrival.micros_since(self.since.0) >= ms.saturating_mul(1000) || at.saturating_sub(self.since.1) >= ms
    }

    pub(super) fn complete(self, sound: Option<Taken>) -> Gop {
        let (mut samples, mut received, mut silent) = (self.samples, self.received, 0);
        let mut discontinuity = self.discontinuity;
        let audio = sound.map(|taken| {
            discontinuity |= taken.broken;
            received = received.max(taken.received);
            silent = taken.silent;
            samples.extend(taken.frames);
            taken.track
        });
        Gop { received, discontinuity, video: Some(self.video), audio, samples, silent }
    }
}
