//! The threads of one transcode. First this one decodes (`decode`) and `survey` looks at what comes; then the pictures go to one thread per rung, which
//! scales and encodes (`rung`). Rung *n* hands its scaled pictures to rung *n + 1*, so that each scales from the next larger one. All channels
//! are bounded; a rung that fails closes its end, which stops those before it.
//!
//! Rungs that the plan leaves out are scaled through all the same ([`Cascade`]), so that what is below them gets the pictures that it always
//! gets: leaving out changes no other rung's bytes.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError, mpsc::sync_channel},
    thread,
};

use media::{
    chunk::{Chunk, VideoTrack},
    ladder::{Profile, Rendition},
    time::{FrameRate, Ticks},
    verdict::{Code, Verdict},
};

use super::{
    EncodedTrack, Jpeg, Plan, Preset, TranscodeError, Transcoded,
    decode::decode,
    libav::{LibavError, Scaler},
    params::{Pace, nominal_rate},
    rung::{self, Attempt, Made, Order, Shot},
    sound,
    source::source,
    survey::{Statistics, Surveyor},
    thumbnail::TILE,
};

/// Pictures between two threads: enough that neither waits for the other's jitter, few enough that 2160p stays below 100 MB a rung.
const PICTURES_IN_FLIGHT: usize = 6;

/// Pictures of the largest rung's size kept from the survey to the encode, in bytes of one chunk: 2 s of 1080p30 or 4.5 s of 720p30. Longer or larger
/// chunks are decoded twice, which costs a tenth more.
const HELD_BYTES_MAX: u64 = 192 << 20;

/// Transcodes one chunk: every rendition of `plan.profile` that its pictures are large enough for.
///
/// A picture that can't be decoded is replaced by the one before it, so that count and timeline stay whole, and
/// [`Code::VideoCorrupt`] is among the warnings. Blocks for as long as it takes; uses as many threads as there are renditions, and more
/// for large ones.
///
/// # Errors
/// When not one picture can be decoded, or FFmpeg fails.
pub fn transcode(chunk: &Chunk, plan: &Plan) -> Result<Transcoded, TranscodeError> {
    let done = Mutex::new(Vec::new());
    let mut tile = None;
    let mut warnings = transcode_each(chunk, plan, &mut |made| tile = Some(made), &|track| {
        done.lock().unwrap_or_else(PoisonError::into_inner).push(track);
    })?;
    let mut tracks: Vec<EncodedTrack> = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    tracks.sort_by_key(|track| std::cmp::Reverse(track.rendition.rank()));
    let (sound, of_sound) = sound::transcode(chunk);
    warnings.extend(of_sound);
    Ok(Transcoded { tracks, tile, sound, warnings })
}

/// The pictures alone: the first one, small, is given to `tile` before any is encoded, and each rendition to `out` as soon as it is done, by
/// whichever thread has done it; usually the smallest first.
///
/// # Errors
/// The same. What was given before an error is not to be used.
pub fn transcode_each(
    chunk: &Chunk,
    plan: &Plan,
    tile: &mut dyn FnMut(Jpeg),
    out: &(dyn Fn(EncodedTrack) + Sync),
) -> Result<Vec<Verdict>, TranscodeError> {
    let Some(video) = &chunk.header.video else { return Ok(Vec::new()) };
    let source = if plan.source { source(chunk, video).ok() } else { None };
    let mut tile = Some(tile);
    let mut first = |shot: &Shot| {
        // Pictures may have to be gone through twice.
        let Some(tile) = tile.take() else { return };
        match TILE.of_shot(shot) {
            Ok(made) => tile(made),
            // The show goes on without.
            Err(error) => tracing::warn!(%error, "a chunk has no picture for the storyboard"),
        }
    };
    let damaged = match source {
        // Unlike the rungs that are encoded, it would show the damage.
        Some(source) => match each(chunk, video, plan, Some(source), &mut first, out)? {
            0 => 0,
            _ => each(chunk, video, plan, None, &mut first, out)?,
        },
        None => each(chunk, video, plan, None, &mut first, out)?,
    };
    let mut warnings = Vec::new();
    if damaged > 0 {
        warnings.push(Verdict::new(
            Code::VideoCorrupt,
            format!(
                "{damaged} of {} pictures arrived damaged and were repaired; check the encoder and the network",
                video.pts.len()
            ),
        ));
    }
    Ok(warnings)
}

/// The same with the source as a rung, if it is given; nothing comes of it then if a picture is damaged. Says how many are.
fn each(
    chunk: &Chunk,
    video: &VideoTrack,
    plan: &Plan,
    source: Option<EncodedTrack>,
    first: &mut dyn FnMut(&Shot),
    out: &(dyn Fn(EncodedTrack) + Sync),
) -> Result<usize, TranscodeError> {
    let (times, rate) = schedule(video);
    let size = (video.width, video.height);
    let mut works = Works::new(plan, size, times, video.end, rate);
    if source.is_some() {
        works.without(size);
    }
    let mut cascade = works.cascade();
    let held = works.bytes() <= HELD_BYTES_MAX;
    let mut kept = Vec::new();
    let mut decoded = |to: &mut Sink<'_>| -> Result<usize, TranscodeError> {
        let mut scaled = Ok(());
        let damaged = decode(chunk, video, &works.times, plan, &mut |shot| {
            if shot.picture.index() == Some(0) {
                first(&shot);
            }
            if held && scaled.is_ok() {
                scaled = cascade.scale(&shot).map(|shot| kept.extend(shot));
            }
            to(shot)
        });
        scaled?;
        damaged
    };
    if works.made().is_empty() {
        let damaged = decoded(&mut |_| true)?;
        source.filter(|_| damaged == 0).into_iter().for_each(out);
        return Ok(damaged);
    }
    let (surveyed, damaged) = works.survey(decoded)?;
    match source {
        Some(_) if damaged > 0 => return Ok(damaged),
        source => source.into_iter().for_each(out),
    }
    let again = |to: &mut Sink<'_>| -> Result<(), TranscodeError> {
        if held {
            for shot in &kept {
                if !to(shot.share()?) {
                    break;
                }
            }
            return Ok(());
        }
        let mut scaled = Ok(());
        decode(chunk, video, &works.times, plan, &mut |shot| match cascade.scale(&shot) {
            Ok(Some(shot)) => to(shot),
            Ok(None) => true,
            Err(error) => {
                scaled = Err(error);
                false
            }
        })?;
        Ok(scaled?)
    };
    works.encode(&surveyed, again, out)?;
    Ok(damaged)
}

/// The whole ladder of a chunk's pictures, largest first, and the rate that it is encoded with.
#[must_use]
pub fn ladder(video: &VideoTrack, profile: Profile) -> (FrameRate, Vec<Rendition>) {
    let (_, rate) = schedule(video);
    (rate, profile.renditions(video.width, video.height, Some(rate)))
}

/// The same without a rung that the source takes the place of: what `plan` encodes of a chunk's pictures if nothing is left out.
#[must_use]
pub fn encoded(chunk: &Chunk, video: &VideoTrack, plan: &Plan) -> (FrameRate, Vec<Rendition>) {
    let (rate, mut renditions) = ladder(video, plan.profile);
    if plan.source && is_replaced(&renditions, (video.width, video.height)) && source(chunk, video).is_ok() {
        renditions.remove(0);
    }
    (rate, renditions)
}

/// Whether the largest of these would only be the source again, which is of this size.
fn is_replaced(renditions: &[Rendition], source: (u32, u32)) -> bool {
    renditions.first().is_some_and(|first| (first.width, first.height) == source)
}

/// A track's presentation times in order, and the rate that it is encoded with.
pub(super) fn schedule(video: &VideoTrack) -> (Vec<Ticks>, FrameRate) {
    let mut times = video.pts.clone();
    times.sort_unstable();
    times.push(video.end);
    let rate = nominal_rate(video.frame_rate, &times);
    times.pop();
    (times, rate)
}

/// Takes a picture; `false` when nobody wants any more: what took them has failed and says why itself.
pub(super) type Sink<'a> = dyn FnMut(Shot) -> bool + 'a;

/// One GOP to be made into renditions.
pub(super) struct Works {
    /// Presentation times in order.
    times: Vec<Ticks>,
    /// Where the last picture ends.
    end: Ticks,
    preset: Preset,
    /// Largest first.
    renditions: Vec<Rendition>,
    /// How many of those, from the top, are not made.
    left_out: usize,
    whole: Pace,
    half: Pace,
}

impl Works {
    /// What `plan` makes of a source of this size, whose pictures are shown at `times`, in order.
    pub(super) fn new(plan: &Plan, size: (u32, u32), times: Vec<Ticks>, end: Ticks, rate: FrameRate) -> Self {
        let renditions = plan.profile.renditions(size.0, size.1, Some(rate));
        let left_out = plan.left_out(renditions.len());
        let (whole, half) = (Pace::whole(&times, rate), Pace::halved(&times, rate));
        Self { times, end, preset: plan.preset, renditions, left_out, whole, half }
    }

    /// The source, of this size, is a rung as it is.
    fn without(&mut self, source: (u32, u32)) {
        if is_replaced(&self.renditions, source) {
            self.left_out = self.left_out.max(1);
        }
    }

    /// Those that are made, largest first.
    fn made(&self) -> &[Rendition] {
        self.renditions.get(self.left_out..).unwrap_or_default()
    }

    fn pace(&self, rendition: &Rendition) -> &Pace {
        if rendition.halved { &self.half } else { &self.whole }
    }

    /// How large the pictures are, all together, that [`Works::encode`] wants.
    fn bytes(&self) -> u64 {
        let Some(first) = self.made().first() else { return 0 };
        let pictures = u64::try_from(self.pace(first).times.len()).unwrap_or(u64::MAX);
        // 4:2:0: a byte and a half per pixel.
        pictures.saturating_mul(u64::from(first.width) * u64::from(first.height) * 3 / 2)
    }

    /// What pictures must go through between [`Works::survey`] and [`Works::encode`].
    pub(super) fn cascade(&self) -> Cascade<'_> {
        let until = self.renditions.len().min(self.left_out + 1);
        let scaler = |rendition: &Rendition| Scaler::new(rendition.width, rendition.height);
        Cascade {
            scalers: self.renditions.iter().take(until).map(scaler).collect(),
            pace: self.made().first().map(|first| self.pace(first)),
        }
    }

    /// Surveys what `feed` gives, one picture for each of the times and tagged with its index.
    pub(super) fn survey<T>(
        &self,
        feed: impl FnOnce(&mut Sink<'_>) -> Result<T, TranscodeError>,
    ) -> Result<(Statistics, T), TranscodeError> {
        let is_wanted = |halved: bool| self.made().iter().any(|rendition| rendition.halved == halved);
        let paces = [&self.whole, &self.half].into_iter().filter(|pace| is_wanted(pace.is_halved()));
        let paces: Vec<&Pace> = paces.collect();
        let (statistics, fed) = thread::scope(|scope| {
            let (to, from) = sync_channel::<Shot>(PICTURES_IN_FLIGHT);
            let survey = move || {
                let mut surveyor = Surveyor::new(paces)?;
                for shot in from {
                    surveyor.push(&shot.picture)?;
                }
                surveyor.finish()
            };
            let thread = thread::Builder::new().name("survey".to_owned()).spawn_scoped(scope, survey);
            let thread = thread.map_err(|_| TranscodeError::Thread("survey"))?;
            let fed = feed(&mut |shot| to.send(shot).is_ok());
            drop(to);
            Ok::<_, TranscodeError>((thread.join().unwrap_or(Err(TranscodeError::Thread("survey"))), fed))
        })?;
        // The feeder's error first: a survey of nothing is not what went wrong.
        let fed = fed?;
        Ok((statistics?, fed))
    }

    /// Encodes what `feed` gives, the same pictures again and brought through the [`Cascade`], and gives each rendition to `out` when it
    /// is done. Asks for the pictures again while there is a rung to be attempted again.
    pub(super) fn encode(
        &self,
        surveyed: &Statistics,
        mut feed: impl FnMut(&mut Sink<'_>) -> Result<(), TranscodeError>,
        out: &(dyn Fn(EncodedTrack) + Sync),
    ) -> Result<(), TranscodeError> {
        let made = self.made();
        let files: Vec<PathBuf> = made.iter().map(|one| surveyed.of(self.pace(one))).collect();
        let order = |(rendition, statistics)| Order {
            rendition,
            pace: self.pace(rendition),
            end: self.end,
            preset: self.preset,
            statistics,
        };
        let orders: Vec<Order<'_>> = made.iter().zip(files.iter().map(PathBuf::as_path)).map(order).collect();
        let mut attempts: Vec<Option<Attempt>> = orders.iter().map(|order| Some(order.attempt())).collect();
        while let Some(smallest) = attempts.iter().rposition(Option::is_some) {
            attempts.truncate(smallest + 1);
            attempts = attempt_all(&orders, attempts, &mut feed, out)?;
        }
        Ok(())
    }
}

/// Encodes as many of the rungs, from the first on, as there are `attempts`. Says which of them are to be attempted again.
fn attempt_all(
    orders: &[Order<'_>],
    attempts: Vec<Option<Attempt>>,
    feed: &mut dyn FnMut(&mut Sink<'_>) -> Result<(), TranscodeError>,
    out: &(dyn Fn(EncodedTrack) + Sync),
) -> Result<Vec<Option<Attempt>>, TranscodeError> {
    let count = attempts.len();
    let (rungs, fed) = thread::scope(|scope| {
        let (to_first, mut from_before) = sync_channel(PICTURES_IN_FLIGHT);
        let mut rungs = Vec::with_capacity(count);
        for (n, (order, attempt)) in orders.iter().zip(attempts).enumerate() {
            let (to_next, from_this) = sync_channel(PICTURES_IN_FLIGHT);
            let input = std::mem::replace(&mut from_before, from_this);
            let to_next = (n + 1 < count).then_some(to_next);
            let work = move || -> Result<Option<Attempt>, TranscodeError> {
                match rung::run(order, attempt, &input, to_next)? {
                    Some(Made::Track(track)) => out(track),
                    Some(Made::Over(next)) => return Ok(Some(next)),
                    None => {}
                }
                Ok(None)
            };
            let name = format!("rung-{}", order.rendition.name);
            let spawned = thread::Builder::new().name(name).spawn_scoped(scope, work);
            rungs.push(spawned.map_err(|_| TranscodeError::Thread("rung"))?);
        }
        // The last one's output: nobody takes it.
        drop(from_before);
        let fed = feed(&mut |shot| to_first.send(shot).is_ok());
        drop(to_first);
        let rungs: Vec<Result<Option<Attempt>, TranscodeError>> = rungs
            .into_iter()
            .map(|rung| rung.join().unwrap_or(Err(TranscodeError::Thread("rung"))))
            .collect();
        Ok::<_, TranscodeError>((rungs, fed))
    })?;
    // The feeder's error first: rungs that were given nothing fail in its wake.
    fed?;
    rungs.into_iter().collect()
}

/// Brings pictures to the size of the largest rung that is made, by way of those above it.
pub(super) struct Cascade<'a> {
    scalers: Vec<Scaler>,
    /// That of the largest rung: those below are no faster.
    pace: Option<&'a Pace>,
}

impl Cascade<'_> {
    /// The picture as that rung takes it; `None` for one that no rung has.
    pub(super) fn scale(&mut self, shot: &Shot) -> Result<Option<Shot>, LibavError> {
        let place = |index| self.pace.and_then(|pace| pace.place(index));
        if shot.picture.index().and_then(place).is_none() {
            return Ok(None);
        }
        let mut shot = shot.share()?;
        for scaler in &mut self.scalers {
            shot.picture = scaler.scale(&shot.picture)?;
        }
        Ok(Some(shot))
    }
}
