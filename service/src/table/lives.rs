//! Lives: creating, listing and deleting them, their keys, and the list of their broadcasts.

use media::{
    id::{BroadcastId, KeyHash, LiveId},
    ladder::Profile,
    limits::Limits,
    time::WallTime,
};

use super::{
    Row, SK, State, Table, TableError, json, revoked,
    store::{Change, Condition, Key, Write},
};

/// Partition of the list of lives.
const LIVES: &str = "LIVES";
/// Most lives listed at once.
const LIVES_MAX: usize = 10_000;

/// A live as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its name.
    pub live: LiveId,
    /// Its name for people.
    pub title: String,
    /// Hash of its stream key.
    pub key_hash: KeyHash,
    /// Its ladder profile.
    pub profile: Profile,
    /// The source itself is the top rung, where it can be one.
    pub source_rung: bool,
    /// How long a broadcast waits for a lost publisher, in seconds (0 to 1800).
    pub window_seconds: u32,
    /// What its shows may be like.
    pub limits: Limits,
    /// The image shown live while its publisher is away, by its key in the bucket.
    pub slate: Option<String>,
    /// It takes no publisher.
    pub disabled: bool,
    /// Its current or last broadcast.
    pub current: Option<BroadcastId>,
    /// When it was created.
    pub created: WallTime,
}

/// One of a live's broadcasts, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastEntry {
    /// Which.
    pub broadcast: BroadcastId,
    /// Whether it is on air, ending or ended.
    pub state: State,
    /// When it was opened, until it has an availability start.
    pub started: WallTime,
    /// When it ended.
    pub ended: Option<WallTime>,
    /// How long it plays, in 1/90 000 s; 0 until it ended.
    pub duration: i64,
    /// Whether it has a poster of its own; not before it ended.
    pub poster: bool,
}

fn live_pk(live: &LiveId) -> String {
    format!("LIVE#{live}")
}
fn key_pk(hash: &KeyHash) -> String {
    format!("KEY#{hash}")
}
pub(super) fn live_key(live: &LiveId) -> Key {
    Key::new(live_pk(live), "META")
}
fn key_key(hash: &KeyHash) -> Key {
    Key::new(key_pk(hash), "LIVE")
}
pub(super) fn entry_key(live: &LiveId, broadcast: &BroadcastId) -> Key {
    Key::new(live_pk(live), format!("BCAST#{broadcast}"))
}
fn list_key(live: &LiveId) -> Key {
    Key::new(LIVES, live.as_str())
}
fn put_key(hash: &KeyHash, live: &LiveId) -> Write {
    Write::create(key_key(hash), vec![("live", live.as_str().into())])
}

impl Table {
    /// Creates a live with its key.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if there is a live of that name, or the key is in use.
    pub async fn create_live(&self, live: &Live) -> Result<(), TableError> {
        let mut meta = vec![
            ("live", live.live.as_str().into()),
            ("title", live.title.as_str().into()),
            ("key_hash", live.key_hash.as_str().into()),
            ("profile", live.profile.name().into()),
            ("window", live.window_seconds.into()),
            ("created", live.created.0.into()),
        ];
        if !live.limits.is_empty() {
            meta.push(("limits", json(&live.limits)?));
        }
        meta.extend(live.slate.as_deref().map(|slate| ("slate", slate.into())));
        meta.extend(live.source_rung.then(|| ("source_rung", true.into())));
        let writes = vec![
            Write::create(live_key(&live.live), meta),
            put_key(&live.key_hash, &live.live),
            Write::put(list_key(&live.live), vec![]),
        ];
        self.write("create live", writes).await
    }

    /// Changes a live's title, what its next broadcast goes by (its reconnect window, its limits, whether the source is a rung) and what the current one does (its slate) to what
    /// they are in `live`.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if there is no such live.
    pub async fn set_live(&self, live: &Live) -> Result<(), TableError> {
        let slate = match live.slate.as_deref() {
            Some(slate) => Change::Set("slate", slate.into()),
            None => Change::Remove("slate"),
        };
        let changes = vec![
            Change::Set("title", live.title.as_str().into()),
            Change::Set("window", live.window_seconds.into()),
            slate,
            match live.limits.is_empty() {
                true => Change::Remove("limits"),
                false => Change::Set("limits", json(&live.limits)?),
            },
            match live.source_rung {
                true => Change::Set("source_rung", true.into()),
                false => Change::Remove("source_rung"),
            },
        ];
        let write = Write::update(live_key(&live.live), changes).when(Condition::Present(SK));
        self.write("set live", vec![write]).await
    }

    /// A live by name.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn live(&self, live: &LiveId) -> Result<Option<Live>, TableError> {
        self.get(&live_pk(live), "META").await?.map(|row| read_live(&row)).transpose()
    }

    /// The live that a stream key belongs to.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn live_of_key(&self, hash: &KeyHash) -> Result<Option<Live>, TableError> {
        let Some(row) = self.get(&key_pk(hash), "LIVE").await? else { return Ok(None) };
        let live = self.live(&row.required("live")?).await?;
        // The key row and the live's row change in one transaction; between two reads the key may have been rotated away.
        Ok(live.filter(|live| live.key_hash == *hash))
    }

    /// Every live, by name.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn lives(&self) -> Result<Vec<Live>, TableError> {
        let mut lives = Vec::new();
        for row in self.query(LIVES, "", LIVES_MAX).await? {
            if let Some(live) = self.live(&row.required(SK)?).await? {
                lives.push(live);
            }
        }
        Ok(lives)
    }

    /// Replaces a live's stream key. A publish that was opened with the old one is cut.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if the live has changed meanwhile.
    pub async fn rotate_key(&self, live: &Live, new: &KeyHash, now: WallTime) -> Result<(), TableError> {
        let change = vec![Change::Set("key_hash", new.as_str().into())];
        let meta = Write::update(live_key(&live.live), change)
            .when(Condition::Is("key_hash", live.key_hash.as_str().into()));
        let writes = vec![
            meta,
            Write::delete(key_key(&live.key_hash)),
            put_key(new, &live.live),
            revoked::of_key(&live.live, &live.key_hash, now)?,
        ];
        self.write("rotate key", writes).await
    }

    /// Disables a live, so that it takes no publisher and a running publish is cut, or enables it again.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if there is no such live.
    pub async fn set_disabled(&self, live: &LiveId, disabled: bool, now: WallTime) -> Result<(), TableError> {
        let change = vec![Change::Set("disabled", disabled.into())];
        let writes = vec![
            Write::update(live_key(live), change).when(Condition::Present(SK)),
            revoked::of_live(live, disabled, now)?,
        ];
        self.write("set disabled", writes).await
    }

    /// Deletes a live, its key and its list of broadcasts. What the broadcasts stored stays where it is.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn delete_live(&self, live: &Live) -> Result<(), TableError> {
        for entry in self.broadcasts_of(&live.live, usize::MAX).await? {
            self.write("delete live", vec![Write::delete(entry_key(&live.live, &entry.broadcast))]).await?;
        }
        let writes = vec![
            Write::delete(live_key(&live.live)),
            Write::delete(key_key(&live.key_hash)),
            Write::delete(list_key(&live.live)),
        ];
        self.write("delete live", writes).await
    }

    /// A live's broadcasts, oldest first, at most `limit` of the oldest.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn broadcasts_of(
        &self,
        live: &LiveId,
        limit: usize,
    ) -> Result<Vec<BroadcastEntry>, TableError> {
        let rows = self.query(&live_pk(live), "BCAST#", limit).await?;
        rows.iter()
            .map(|row| {
                Ok(BroadcastEntry {
                    broadcast: row.required("broadcast")?,
                    state: row.required("state")?,
                    started: WallTime(row.required("started")?),
                    ended: row.parsed("ended")?.map(WallTime),
                    duration: row.parsed("duration")?.unwrap_or(0),
                    poster: row.flag("poster"),
                })
            })
            .collect()
    }
}

fn read_live(row: &Row) -> Result<Live, TableError> {
    Ok(Live {
        live: row.required("live")?,
        title: row.required("title")?,
        key_hash: row.required("key_hash")?,
        profile: row.required("profile")?,
        source_rung: row.flag("source_rung"),
        window_seconds: row.required("window")?,
        limits: read_limits(row)?,
        slate: row.parsed("slate")?,
        disabled: row.flag("disabled"),
        current: row.parsed("current")?,
        created: WallTime(row.required("created")?),
    })
}

/// The limits in a row of a live or a broadcast; none if it has none.
pub(super) fn read_limits(row: &Row) -> Result<Limits, TableError> {
    if row.text("limits").is_some() { row.document("limits") } else { Ok(Limits::default()) }
}
