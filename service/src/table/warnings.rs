//! What is kept of the verdicts on a broadcast, for its operator: one row per code, so that there are never more than there are codes.

use media::{
    id::{BroadcastId, PublishNo},
    time::WallTime,
    verdict::{Code, Verdict},
};

use super::{
    Row, Table, TableError,
    broadcasts::broadcast_pk,
    store::{Change, Key, Write},
};

/// A state of a stream that its broadcaster was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The latest verdict.
    pub verdict: Verdict,
    /// The publish that it is on.
    pub publish: PublishNo,
    /// When the state was found first.
    pub first: WallTime,
    /// When it began or ended last.
    pub last: WallTime,
    /// How often it began.
    pub count: u32,
    /// It is so still, as far as is known.
    pub active: bool,
}

fn key(broadcast: &BroadcastId, code: Code) -> Key {
    Key::new(broadcast_pk(broadcast), format!("WARN#{}", code.as_str()))
}

impl Table {
    /// Notes that a state has begun.
    ///
    /// # Errors
    /// When the table could not be written.
    pub async fn note_warning(
        &self,
        broadcast: &BroadcastId,
        publish: PublishNo,
        verdict: &Verdict,
        at: WallTime,
    ) -> Result<(), TableError> {
        let changes = vec![
            Change::Set("code", verdict.code.as_str().into()),
            Change::Set("message", verdict.message.as_str().into()),
            Change::Set("publish", publish.get().into()),
            Change::SetIfAbsent("first", at.0.into()),
            Change::Set("last", at.0.into()),
            Change::Set("active", true.into()),
            Change::Add("count", 1),
        ];
        self.write("note warning", vec![Write::update(key(broadcast, verdict.code), changes)]).await
    }

    /// Notes that a state has ended.
    ///
    /// # Errors
    /// [`TableError::Conflict`] if it was never noted; when the table could not be written.
    pub async fn clear_warning(
        &self,
        broadcast: &BroadcastId,
        code: Code,
        at: WallTime,
    ) -> Result<(), TableError> {
        let changes = vec![Change::Set("last", at.0.into()), Change::Set("active", false.into())];
        let write =
            Write::update(key(broadcast, code), changes).when(super::store::Condition::Present("code"));
        self.write("clear warning", vec![write]).await
    }

    /// All that is kept of a broadcast's verdicts, the latest first.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn warnings(&self, broadcast: &BroadcastId) -> Result<Vec<Warning>, TableError> {
        let rows = self.query(&broadcast_pk(broadcast), "WARN#", Code::ALL.len() + 1).await?;
        let mut warnings =
            rows.iter().filter_map(|row| read(row).transpose()).collect::<Result<Vec<_>, _>>()?;
        warnings.sort_by_key(|warning| std::cmp::Reverse(warning.last));
        Ok(warnings)
    }
}

/// A row; `None` for a code that this version does not know.
fn read(row: &Row) -> Result<Option<Warning>, TableError> {
    let name: String = row.required("code")?;
    let Some(code) = Code::ALL.iter().copied().find(|code| code.as_str() == name) else { return Ok(None) };
    let publish = PublishNo::new(row.required("publish")?).ok_or_else(|| row.damaged("publish is 0"))?;
    Ok(Some(Warning {
        verdict: Verdict::new(code, row.required::<String>("message")?),
        publish,
        first: WallTime(row.required("first")?),
        last: WallTime(row.required("last")?),
        count: row.parsed("count")?.unwrap_or(1),
        active: row.flag("active"),
    }))
}
