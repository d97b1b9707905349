//! The posters of one broadcast: at the live's stable address a picture of what is on air, made anew now and then; at the broadcast's own
//! address one of the whole show, once it is over.
//!
//! Which picture is a pure function of the ledger. A poster is made beside the work on chunks and never waited for for long: one that can't be
//! made is left out. The stable one is swapped as manifests are: never over that of a later epoch, or of a later broadcast of the live.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use media::{
    id::{BroadcastId, ChunkPos, Epoch},
    ledger::{Row, Tile},
    names,
    time::WallTime,
};
use service::{
    bucket::{Condition, Kind},
    table::{Broadcast, Ledger},
};

use super::{
    claim::Deps,
    finish::chain,
    job::JobError,
    publisher::{Context, Draft, PublishError, Target, View},
};

/// How long a poster on air stands, in microseconds: a front page that shows what went on half a minute ago looks live, and one read, one
/// picture and one write in that time are nothing beside the chunks'.
const STANDS_MICROS: i64 = 30_000_000;
/// How long one may take. The page that lists a show waits for its first poster, and the end of a show for its last one.
const PATIENCE: Duration = Duration::from_secs(3);
/// A picture with less contrast than this (see [`Tile::contrast`]) shows nothing: black, a fade, an empty slate.
const CONTRAST_MIN: u8 = 8;
/// Most bytes of a JPEG comment segment, without its length (ITU-T T.81, B.2.4.5).
const COMMENT_MAX: usize = 0xffff - 2;

/// The chunk whose picture stands for what is on air: the newest with something to see, else the newest with a picture.
fn newest(ledger: &Ledger) -> Option<ChunkPos> {
    let tiled = || ledger.rows.iter().rev().filter(|row| row.tile.is_some());
    tiled().find(|row| shows_something(row)).or_else(|| tiled().next()).map(|row| row.pos)
}

/// The chunk whose picture stands for the whole show: from a third of the way on the first with something to see. Shows begin and end with
/// titles. Before that, if there is none; else whatever there is a picture of.
fn of_show(ledger: &Ledger) -> Option<ChunkPos> {
    let mut rows: Vec<&Row> =
        ledger.rows.iter().chain(&ledger.late).filter(|row| row.tile.is_some()).collect();
    rows.sort_by_key(|row| row.pos);
    let (before, after) = rows.split_at(rows.len() / 3);
    let mut wanted = after.iter().chain(before.iter().rev());
    wanted.find(|row| shows_something(row)).or_else(|| rows.first()).map(|row| row.pos)
}

fn shows_something(row: &Row) -> bool {
    row.tile.as_ref().is_some_and(|tile: &Tile| tile.contrast >= CONTRAST_MIN)
}

/// A JPEG that names its epoch in a comment. An entity tag is a hash of the bytes: without it, two epochs that show the same picture would
/// have the same tag, and an encoder that has lost the broadcast could go on swapping where its successor has been.
fn of_epoch(jpeg: &Bytes, broadcast: &BroadcastId, epoch: Epoch) -> Bytes {
    const START: [u8; 2] = [0xff, 0xd8];
    const COMMENT: [u8; 2] = [0xff, 0xfe];
    let Some(rest) = jpeg.strip_prefix(&START) else { return jpeg.clone() };
    let mut comment = format!("broadcast {broadcast} epoch {}", epoch.0);
    comment.truncate(COMMENT_MAX);
    let length = u16::try_from(comment.len() + 2).unwrap_or(u16::MAX);
    let mut out = BytesMut::with_capacity(jpeg.len() + comment.len() + 4);
    out.put_slice(&START);
    out.put_slice(&COMMENT);
    out.put_u16(length);
    out.put_slice(comment.as_bytes());
    out.put_slice(rest);
    out.freeze()
}

/// Why there is no poster.
#[derive(Debug, thiserror::Error)]
enum PosterError {
    #[error("the chunk could not be read")]
    Job(#[from] JobError),
    #[error("its picture could not be made: {0}")]
    Picture(String),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("it took too long")]
    Late,
}

/// What the posters on air have come to. Here when idle, and inside a future while one is made.
#[derive(Debug, Default)]
pub(super) struct Posters {
    /// What the one in the bucket shows.
    shown: Option<ChunkPos>,
    target: Target,
    /// Somebody else has the broadcast, or the address.
    over: bool,
}

/// When there is to be another.
#[derive(Debug)]
pub(super) struct Schedule {
    posters: Option<Box<Posters>>,
    due: WallTime,
}

impl Schedule {
    /// The first one is due at once.
    pub(super) fn new() -> Self {
        Self { posters: Some(Box::default()), due: WallTime(0) }
    }

    /// Whether none is being made.
    pub(super) fn is_idle(&self) -> bool {
        self.posters.is_some()
    }

    /// The work of making the next one, if it is due and there is something new to show.
    pub(super) fn next(
        &mut self,
        deps: &Deps,
        meta: &Broadcast,
        epoch: Epoch,
        view: &View,
    ) -> Option<BoxFuture<'static, Box<Posters>>> {
        let now = deps.clock.now();
        let idle = self.posters.as_ref()?;
        if idle.over || now < self.due {
            return None;
        }
        let pos = newest(&view.lock()).filter(|pos| idle.shown != Some(*pos))?;
        let mut posters = self.posters.take()?;
        self.due = now.plus_micros(STANDS_MICROS);
        let (deps, meta) = (deps.clone(), meta.clone());
        Some(Box::pin(async move {
            match in_time(posters.show(&deps, &meta, epoch, pos)).await {
                Ok(()) => posters.shown = Some(pos),
                Err(PosterError::Publish(PublishError::Fenced)) => posters.over = true,
                Err(error) => {
                    tracing::warn!(live = %meta.live, broadcast = %meta.broadcast, error = %chain(&error), "no poster");
                }
            }
            posters
        }))
    }

    /// One was made, or not.
    pub(super) fn done(&mut self, posters: Box<Posters>) {
        self.posters = Some(posters);
    }
}

impl Posters {
    /// Makes the live's poster that of a chunk.
    async fn show(
        &mut self,
        deps: &Deps,
        meta: &Broadcast,
        epoch: Epoch,
        pos: ChunkPos,
    ) -> Result<(), PosterError> {
        let Some(jpeg) = picture(deps, meta, pos).await? else { return Ok(()) };
        self.swap(deps, meta, epoch, &jpeg).await
    }

    async fn swap(
        &mut self,
        deps: &Deps,
        meta: &Broadcast,
        epoch: Epoch,
        jpeg: &Bytes,
    ) -> Result<(), PosterError> {
        let (bucket, health) = (&deps.workshop.bucket, &deps.workshop.health);
        let context = Context { bucket, health, broadcast: &meta.broadcast, epoch };
        let draft = Draft {
            key: names::live_poster(&meta.live),
            text: of_epoch(jpeg, &meta.broadcast, epoch),
            kind: Kind::POSTER,
            shared: true,
            quiet: false,
        };
        context.swap(&mut self.target, &draft).await?;
        self.over |= self.target.is_taken();
        Ok(())
    }
}

/// Leaves the poster of a show that is over at both addresses. Says whether the broadcast has one of its own.
pub(super) async fn leave(deps: &Deps, meta: &Broadcast, epoch: Epoch, view: &View) -> bool {
    let Some(pos) = of_show(&view.lock()) else { return false };
    let left = async {
        let Some(jpeg) = picture(deps, meta, pos).await? else { return Ok(false) };
        let key = names::vod_poster(&meta.live, &meta.broadcast);
        let put = || deps.workshop.bucket.put(&key, jpeg.clone(), Kind::PICTURE, Condition::Absent, &[]);
        // One that is there is that of an encoder which did not come to the end of the end.
        deps.workshop.health.insist("put poster", put).await.map_err(JobError::from)?;
        match Posters::default().swap(deps, meta, epoch, &jpeg).await {
            // Somebody else's business now.
            Ok(()) | Err(PosterError::Publish(PublishError::Fenced)) => Ok(true),
            Err(error) => Err(error),
        }
    };
    in_time(left).await.unwrap_or_else(|error| {
        tracing::warn!(live = %meta.live, broadcast = %meta.broadcast, error = %chain(&error), "the show has no poster");
        false
    })
}

async fn in_time<T>(work: impl Future<Output = Result<T, PosterError>>) -> Result<T, PosterError> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(PosterError::Late))
}

/// The poster of a chunk.
async fn picture(deps: &Deps, meta: &Broadcast, pos: ChunkPos) -> Result<Option<Bytes>, PosterError> {
    let (chunk, _) = deps.workshop.fetch(&meta.broadcast, pos).await?;
    deps.workshop.transcoder.poster(chunk).await.map_err(PosterError::Picture)
}

#[cfg(test)]
mod tests {
    use media::{
        id::{ChunkSeq, PublishNo},
        ledger::{Naming, Object},
    };

    use super::*;

    fn pos(seq: usize) -> ChunkPos {
        ChunkPos { publish: PublishNo::FIRST, seq: ChunkSeq(u32::try_from(seq).unwrap()) }
    }

    /// Rows whose tiles have these contrasts.
    fn ledger(contrasts: &[Option<u8>]) -> Ledger {
        let object = Object { bytes: 1, sha256: String::new() };
        let tile = |contrast| Tile { width: 320, height: 180, contrast, object: object.clone() };
        let row = |(seq, contrast): (usize, &Option<u8>)| Row {
            pos: pos(seq),
            epoch: Epoch::FIRST,
            start: i64::try_from(seq).unwrap() * 180_000,
            end: i64::try_from(seq + 1).unwrap() * 180_000,
            discontinuity: false,
            late: false,
            naming: Naming::Plain,
            source: object.clone(),
            segments: vec![],
            tile: contrast.map(tile),
            verdict: None,
            committed: WallTime(0),
        };
        Ledger { rows: contrasts.iter().enumerate().map(row).collect(), ..Ledger::default() }
    }

    #[test]
    fn on_air_the_newest_picture_that_shows_something() {
        for (contrasts, expected) in [
            (&[][..], None),
            (&[None, None], None),
            (&[Some(50)], Some(0)),
            (&[Some(0), Some(40), Some(60)], Some(2)),
            (&[Some(0), Some(40), Some(7)], Some(1)),
            (&[Some(0), Some(40), None], Some(1)),
            (&[Some(0), Some(3), None], Some(1)),
        ] {
            assert_eq!(newest(&ledger(contrasts)), expected.map(pos), "{contrasts:?}");
        }
    }

    #[test]
    fn of_a_show_the_first_from_a_third_on() {
        let bright = [Some(50); 9];
        assert_eq!(of_show(&ledger(&bright)), Some(pos(3)));
        let mut dark = [Some(2); 9];
        assert_eq!(of_show(&ledger(&dark)), Some(pos(0)));
        dark[7] = Some(50);
        dark[2] = Some(50);
        assert_eq!(of_show(&ledger(&dark)), Some(pos(7)));
        dark[7] = None;
        assert_eq!(of_show(&ledger(&dark)), Some(pos(2)));
        assert_eq!(of_show(&ledger(&[None])), None);
        // A chunk that came late belongs where its position is.
        let mut late = ledger(&bright);
        let moved = late.rows.remove(3);
        late.late.push(moved);
        assert_eq!(of_show(&late), Some(pos(3)));
    }

    #[test]
    fn one_picture_has_other_bytes_in_each_epoch_and_is_a_jpeg_all_the_same() {
        let id = BroadcastId::new(1, [0; 10]);
        let jpeg = Bytes::from_static(&[0xff, 0xd8, 0xff, 0xdb, 1, 2, 3]);
        let (first, second) = (of_epoch(&jpeg, &id, Epoch(1)), of_epoch(&jpeg, &id, Epoch(2)));
        assert_ne!(first, second);
        let length = usize::from(u16::from_be_bytes([first[4], first[5]]));
        assert_eq!((&first[..4], &first[4 + length..]), (&[0xff, 0xd8, 0xff, 0xfe][..], &jpeg[2..]));
    }
}
