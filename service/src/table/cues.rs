//! Timed events of a broadcast ([`media::cue`]).

use media::{
    cue::{self, Cue},
    id::BroadcastId,
};

use super::{
    Table, TableError,
    broadcasts::{State, broadcast_pk, meta_key, state_is},
    json,
    store::{Change, Condition, Key, Write},
};

/// How many cues a broadcast has, and their bytes: what the next one is conditional on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CueCount {
    /// How many.
    pub cues: u32,
    /// Bytes of their data together.
    pub bytes: u32,
}

fn cue_key(broadcast: &BroadcastId, id: &str) -> Key {
    Key::new(broadcast_pk(broadcast), format!("CUE#{id}"))
}

impl Table {
    /// How many cues a broadcast has.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn cue_count(&self, broadcast: &BroadcastId) -> Result<CueCount, TableError> {
        let Some(row) = self.get(&broadcast_pk(broadcast), "META").await? else {
            return Ok(CueCount::default());
        };
        Ok(CueCount { cues: row.parsed("cues")?.unwrap_or(0), bytes: row.parsed("cue_bytes")?.unwrap_or(0) })
    }

    /// A cue by its name.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn cue(&self, broadcast: &BroadcastId, id: &str) -> Result<Option<Cue>, TableError> {
        let Key { pk, sk } = cue_key(broadcast, id);
        self.get(&pk, &sk).await?.map(|row| row.document("cue")).transpose()
    }

    /// Every cue of a broadcast, by number.
    ///
    /// # Errors
    /// When the table could not be read, or a row is damaged.
    pub async fn cues(&self, broadcast: &BroadcastId) -> Result<Vec<Cue>, TableError> {
        let limit = usize::try_from(cue::CUES_MAX).unwrap_or(usize::MAX);
        let rows = self.query(&broadcast_pk(broadcast), "CUE#", limit).await?;
        let mut cues = rows.iter().map(|row| row.document("cue")).collect::<Result<Vec<Cue>, _>>()?;
        cues.sort_by_key(|cue| cue.number);
        Ok(cues)
    }

    /// Puts a cue into a broadcast that is on air and has as many as were `seen`.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if there is one of that name, the count has changed, or the broadcast takes no more.
    pub async fn add_cue(
        &self,
        broadcast: &BroadcastId,
        seen: CueCount,
        cue: &Cue,
    ) -> Result<(), TableError> {
        let bytes = u32::try_from(cue.data.len()).unwrap_or(u32::MAX);
        let changes = vec![
            Change::Set("cues", seen.cues.saturating_add(1).into()),
            Change::Set("cue_bytes", seen.bytes.saturating_add(bytes).into()),
        ];
        let before = (seen.cues > 0).then(|| seen.cues.into());
        let count = Write::update(meta_key(broadcast), changes)
            .when(Condition::seen("cues", before))
            .when(state_is(State::Live));
        let put = Write::create(cue_key(broadcast, &cue.id), vec![("cue", json(cue)?)]);
        self.write("add cue", vec![count, put]).await
    }
}
