//! What publishes were lately deprived of: a key that was replaced, a live that was disabled, a broadcast that the operator ended. The
//! edges ask for these rows (through the gateway) while they have publishes, so that one is cut within seconds, however long its GOPs are.
//!
//! Invariants: a row states a lasting fact (this key is dead, this broadcast is over), never an order: reading it again, or in any order,
//! changes nothing, so there are no cursors and no clocks to compare. It is written in one transaction with what makes it true, and
//! goes after [`REVOCATION_KEPT_SECONDS`], since everybody has read it by then or has given its publishes up.

use media::{
    id::{BroadcastId, KeyHash, LiveId},
    time::WallTime,
    wire::Revocation,
};

use super::{
    TTL, Table, TableError, json,
    store::{Key, Write},
};

/// Partition of the revocations.
const REVOKED: &str = "REVOKED";
/// How long a revocation is told, in seconds: an edge that can't reach the gateway for so long has ended its publishes by itself
/// long before (after 90 s, and 70 s to store what is left).
pub const REVOCATION_KEPT_SECONDS: i64 = 900;
/// Most revocations read at once: a rotation of every key there is.
const REVOCATIONS_MAX: usize = 10_000;

/// The document's attribute.
const DOCUMENT: &str = "revocation";

fn key(revocation: &Revocation) -> Key {
    Key::new(
        REVOKED,
        match revocation {
            Revocation::Key { key_hash, .. } => format!("KEY#{key_hash}"),
            Revocation::Live { live } => format!("LIVE#{live}"),
            Revocation::Broadcast { broadcast } => format!("BCAST#{broadcast}"),
        },
    )
}

fn put(revocation: &Revocation, now: WallTime) -> Result<Write, TableError> {
    let until = seconds(now).saturating_add(REVOCATION_KEPT_SECONDS);
    Ok(Write::put(key(revocation), vec![(DOCUMENT, json(revocation)?), (TTL, until.into())]))
}

fn seconds(at: WallTime) -> i64 {
    at.0.div_euclid(1_000_000)
}

/// A key has been replaced.
pub(super) fn of_key(live: &LiveId, key_hash: &KeyHash, now: WallTime) -> Result<Write, TableError> {
    put(&Revocation::Key { live: live.clone(), key_hash: key_hash.clone() }, now)
}

/// A live has been disabled, or is enabled again.
pub(super) fn of_live(live: &LiveId, disabled: bool, now: WallTime) -> Result<Write, TableError> {
    let revocation = Revocation::Live { live: live.clone() };
    if disabled { put(&revocation, now) } else { Ok(Write::delete(key(&revocation))) }
}

/// A broadcast has been ended.
pub(super) fn of_broadcast(broadcast: &BroadcastId, now: WallTime) -> Result<Write, TableError> {
    put(&Revocation::Broadcast { broadcast: broadcast.clone() }, now)
}

impl Table {
    /// What has been revoked in the last [`REVOCATION_KEPT_SECONDS`]. One query, of one page in all but the strangest quarter of an hour.
    ///
    /// # Errors
    /// When the table could not be read.
    pub async fn revocations(&self, now: WallTime) -> Result<Vec<Revocation>, TableError> {
        let mut revocations = Vec::new();
        for row in self.query(REVOKED, "", REVOCATIONS_MAX).await? {
            // DynamoDB takes expired rows away when it has time, up to days later.
            if row.required::<i64>(TTL)? > seconds(now) {
                revocations.push(row.document(DOCUMENT)?);
            }
        }
        Ok(revocations)
    }
}
