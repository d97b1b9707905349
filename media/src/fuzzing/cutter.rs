//! From tags with times to chunks.

use bytes::Bytes;

use crate::{
    audio::FRAME_TICKS_MAX,
    chunk::{Chunk, Header},
    gop::{CLOSING_MAX, GOP_MAX_MS, PAUSE_MS},
    id::{BroadcastId, ChunkSeq, LiveId, PublishNo},
    ingest::{Assembler, Output, PENDING_MAX, Publish},
    time::{Ticks, WallTime},
};

/// When the first tag arrives.
const BEGIN: WallTime = WallTime(1_700_000_000_000_000);
/// Bytes of an FLV file's header, and of a tag's.
const FILE_HEADER: usize = 13;
const TAG_HEADER: usize = 11;
const BACK_POINTER: usize = 4;
/// Longest wait between two arrivals, in ms.
const WAIT_MAX_MS: u32 = 60_000;
/// Most frames of silence that one tag may bring: what a jump goes on by, at the highest sample rate.
const SILENT_PER_TAG: u64 = 10_000;
/// Sound begins less than this behind its pictures, in 1/90 000 s: a frame, and what is rounded up to whole samples (22.5 at 4 kHz).
const FRAME_MAX: i64 = FRAME_TICKS_MAX + 60;
/// Most chunks that one tag may bring: those that waited for their sound or the broadcast's start, and a hole's worth of sound alone.
const CHUNKS_PER_TAG: usize = CLOSING_MAX + PENDING_MAX + 52;
/// Longest chunk in ticks: the longest GOP with a last picture that is held as long as may be.
const LONGEST: Ticks = (GOP_MAX_MS + 2 * PAUSE_MS) * 90;

/// An FLV file, with or without its header. A tag's stream id, which is 0 in files, says how many ms, less one, after the tag before
/// it arrives; 0: when its stamp says. A tag of type 18 with two bytes declares so many hundredths of a frame a second. Tags of unknown types
/// let time pass, type 1 also answers when the broadcast began. That is answered at once unless bit 7 of the file header's flags is set.
///
/// Every chunk encodes and is decoded as the same, chunks are numbered, pictures and sound go on where they ended, to the tick, or say that they
/// do not, and nothing comes that is longer than it may be, however odd the stamps.
pub fn cutter(data: &[u8]) {
    let Some(mut publish) =
        Sender::new(data.get(4).is_some_and(|flags| data.starts_with(b"FLV") && flags & 0x80 != 0))
    else {
        return;
    };
    let mut rest = if data.starts_with(b"FLV") { data.get(FILE_HEADER..).unwrap_or_default() } else { data };
    while let Some((header, after)) = rest.split_first_chunk::<TAG_HEADER>() {
        let number = |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        let stamp = number(4) | u32::from(header[7]) << 24;
        let size = usize::try_from(number(1)).unwrap_or(usize::MAX).min(after.len());
        let (body, after) = after.split_at(size);
        rest = after.get(BACK_POINTER..).unwrap_or_default();
        if !publish.tag(header[0], stamp, number(8), &Bytes::copy_from_slice(body)) {
            break;
        }
    }
    publish.end();
}

struct Sender {
    assembler: Assembler,
    now: WallTime,
    last_stamp: Option<u32>,
    /// When the first frame came, if that has not been answered.
    unanswered: Option<WallTime>,
    late_answer: bool,
    tags: u64,
    count: u32,
    previous: Option<Header>,
    samples: u64,
}

impl Sender {
    fn new(late_answer: bool) -> Option<Self> {
        let live: LiveId = "demo".parse().ok()?;
        let publish = Publish {
            live,
            broadcast: BroadcastId::new(1_700_000_000_001, [0; 10]),
            publish: PublishNo::FIRST,
        };
        Some(Self {
            assembler: Assembler::new(publish),
            now: BEGIN,
            last_stamp: None,
            unanswered: None,
            late_answer,
            tags: 0,
            count: 0,
            previous: None,
            samples: 0,
        })
    }

    /// Feeds one tag; false when the publish is over.
    fn tag(&mut self, kind: u8, stamp: u32, wait: u32, body: &Bytes) -> bool {
        self.tags += 1;
        let ms = match wait.checked_sub(1) {
            Some(ms) => ms.min(WAIT_MAX_MS),
            // Not later than it would be in real time, and never back.
            None => {
                let passed = stamp.wrapping_sub(self.last_stamp.unwrap_or(stamp));
                if passed < WAIT_MAX_MS { passed } else { 0 }
            }
        };
        self.last_stamp = Some(stamp);
        self.now = self.now.plus_micros(i64::from(ms) * 1000);
        let result = match kind {
            8 => self.assembler.audio(self.now, stamp, body),
            9 => self.assembler.video(self.now, stamp, body),
            18 => {
                let rate = body[..].try_into().ok().map(|bytes| f64::from(u16::from_be_bytes(bytes)) / 100.0);
                self.assembler.metadata(rate);
                Ok(())
            }
            kind => {
                if kind == 1 {
                    self.answer();
                }
                self.assembler.tick(self.now)
            }
        };
        self.drain();
        if self.assembler.blocked() {
            self.answer();
            self.drain();
            assert!(!self.assembler.blocked());
        }
        if let Err(verdict) = &result {
            assert!(verdict.message.len() <= 300 && !verdict.message.is_empty());
        }
        result.is_ok()
    }

    fn end(mut self) {
        self.tags += 1;
        self.answer();
        self.assembler.finish();
        self.drain();
        let stats = self.assembler.stats();
        assert!(stats.gop.sound.silent <= self.tags * SILENT_PER_TAG, "{stats:?} of {} tags", self.tags);
        assert!(stats.gop.pictures + stats.gop.left_out <= self.tags);
        assert!(self.samples <= self.tags + stats.gop.sound.silent);
        assert_eq!(self.assembler.next_seq(), ChunkSeq(self.count));
        // There is nothing after the end.
        let _ = self.assembler.tick(self.now.plus_micros(60_000_000));
        assert_eq!(self.assembler.poll(), None);
    }

    fn answer(&mut self) {
        if let Some(first_frame) = self.unanswered.take() {
            self.assembler.started(first_frame, None);
        }
    }

    fn drain(&mut self) {
        let mut chunks = 0;
        while let Some(output) = self.assembler.poll() {
            match output {
                Output::Start { first_frame } => {
                    assert!(self.unanswered.is_none() && self.count == 0 && first_frame <= self.now);
                    self.unanswered = Some(first_frame);
                    if !self.late_answer {
                        self.answer();
                    }
                }
                Output::Chunk(chunk) => {
                    chunks += 1;
                    self.chunk(*chunk);
                }
            }
        }
        assert!(chunks <= CHUNKS_PER_TAG, "{chunks} chunks at once");
    }

    fn chunk(&mut self, chunk: Chunk) {
        let bytes = chunk.encode();
        assert_eq!(bytes.and_then(|bytes| Chunk::decode(&bytes)).as_ref(), Ok(&chunk));
        let Chunk { header, .. } = chunk;
        assert_eq!(header.pos.seq, ChunkSeq(self.count));
        assert!(header.received <= self.now);
        self.count += 1;
        if let Some(video) = &header.video {
            assert!(video.end - video.start <= LONGEST, "{} ticks", video.end - video.start);
            self.samples += u64::try_from(video.sizes.len()).unwrap_or(u64::MAX);
        }
        if let Some(audio) = &header.audio {
            let longest = (LONGEST / 90_000 + 20) * i64::from(audio.sample_rate);
            assert!(audio.end - audio.start <= longest, "{} samples", audio.end - audio.start);
            // The lead has been in a chunk before.
            let lead = usize::try_from(audio.lead).unwrap_or(usize::MAX);
            self.samples += u64::try_from(audio.sizes.len() - lead).unwrap_or(u64::MAX);
            let rate = i64::from(audio.sample_rate);
            let after =
                self.previous.as_ref().and_then(|header| header.audio.as_ref()).map(|audio| audio.end);
            // Sound that begins only when its pictures are over is that of a pause.
            assert!(
                header.video.as_ref().is_none_or(|video| {
                    let behind = audio.start * 90_000 - video.start * rate;
                    behind < rate * FRAME_MAX
                        || audio.start * 90_000 >= video.end * rate
                        || after == Some(audio.start)
                }),
                "sound from {} of {rate} Hz on, {:?}",
                audio.start,
                header.video.as_ref().map(|video| (video.start, video.end))
            );
        }
        if let Some(previous) = &self.previous {
            if let (Some(a), Some(b)) = (&previous.video, &header.video) {
                assert!(
                    b.start == a.end || (header.discontinuity && b.start > a.end),
                    "{} → {}",
                    a.end,
                    b.start
                );
            }
            if let (Some(a), Some(b)) = (&previous.audio, &header.audio)
                && a.sample_rate == b.sample_rate
            {
                assert!(
                    b.start == a.end || (header.discontinuity && b.start > a.end),
                    "{} → {}",
                    a.end,
                    b.start
                );
            }
        }
        self.previous = Some(header);
    }
}
