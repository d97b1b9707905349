//! Encoders: heartbeats, and the count of bindings that stand on each, kept in the same transactions as the bindings themselves.

use media::{id::EncoderId, time::WallTime};

use super::{
    Row, SK, TTL, Table, TableError,
    store::{Change, Condition, Key, Write},
};

/// Rows of encoders that have fallen silent are kept this long, in seconds: bindings on them must still be moved and uncounted.
const KEPT_SECONDS: u64 = 3600;
/// Partition of the encoders.
const ENCODERS: &str = "ENCODERS";
/// Most encoders read at once.
const ENCODERS_MAX: usize = 10_000;

/// An encoder as it last said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoder {
    /// Its id: one per process life, so that no two processes ever share an epoch.
    pub id: EncoderId,
    /// `address:port` of its HTTP server in the private network.
    pub address: String,
    /// What it can transcode, in pixels per second, as it measured.
    pub capacity: u64,
    /// It is shutting down and takes nothing new.
    pub draining: bool,
    /// When it last said so, by its own clock.
    pub seen: WallTime,
    /// How many bindings stand on it. Written only together with bindings.
    pub bound: i64,
}

impl Table {
    /// Writes an encoder's heartbeat; the count of bindings is left as it is.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn heartbeat(&self, encoder: &Encoder) -> Result<(), TableError> {
        let changes = vec![
            Change::Set("address", encoder.address.as_str().into()),
            Change::Set("capacity", encoder.capacity.into()),
            Change::Set("draining", encoder.draining.into()),
            Change::Set("seen", encoder.seen.0.into()),
            Change::Set(TTL, (encoder.seen.unix_ms() / 1000 + KEPT_SECONDS).into()),
        ];
        self.write("heartbeat", vec![Write::update(key(&encoder.id), changes)]).await
    }

    /// Takes an encoder off the list: its process ends.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn forget_encoder(&self, id: &EncoderId) -> Result<(), TableError> {
        self.write("forget encoder", vec![Write::delete(key(id))]).await
    }

    /// One encoder, alive or not; `None` when it has no row (any more).
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn encoder(&self, id: &EncoderId) -> Result<Option<Encoder>, TableError> {
        Ok(self.get(ENCODERS, id.as_str()).await?.map(|row| read_encoder(&row)).transpose()?.flatten())
    }

    /// Every encoder that has a row, alive or not.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn encoders(&self) -> Result<Vec<Encoder>, TableError> {
        let mut encoders = Vec::new();
        for row in self.query(ENCODERS, "", ENCODERS_MAX).await? {
            encoders.extend(read_encoder(&row)?);
        }
        Ok(encoders)
    }
}

fn key(id: &EncoderId) -> Key {
    Key::new(ENCODERS, id.as_str())
}

/// One more binding on `encoder`, if its count is still what was read: two placements at once see each other.
pub(super) fn count_binding(encoder: &Encoder) -> Write {
    let more = vec![Change::Set("bound", (encoder.bound + 1).into())];
    let seen = encoder.bound.into();
    Write::update(key(&encoder.id), more).when(Condition::Present("address")).when(if encoder.bound == 0 {
        Condition::AbsentOr("bound", seen)
    } else {
        Condition::Is("bound", seen)
    })
}

/// One binding less on the encoder. Without condition: its row may be gone.
pub(super) fn uncount_binding(id: &EncoderId) -> Write {
    let less = vec![Change::SetIfAbsent(TTL, 1u32.into()), Change::Add("bound", -1)];
    Write::update(key(id), less)
}

/// An encoder's row; `None` for one that only uncounting has left behind: it has no address, nobody lives there.
fn read_encoder(row: &Row) -> Result<Option<Encoder>, TableError> {
    let Some(address) = row.parsed::<String>("address")? else { return Ok(None) };
    Ok(Some(Encoder {
        id: row.required(SK)?,
        address,
        capacity: row.required("capacity")?,
        draining: row.flag("draining"),
        seen: WallTime(row.required("seen")?),
        bound: row.parsed("bound")?.unwrap_or(0),
    }))
}
