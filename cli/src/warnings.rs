//! What the broadcaster of a show was told, as the commands tell it.

use media::{id::BroadcastId, verdict::Code};
use serde::{Deserialize, Serialize};
use service::table::{Table, Warning};

use crate::output;

/// One code. A contract: these fields, spelled so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What it is.
    pub code: Code,
    /// It ended the publish.
    pub fatal: bool,
    /// It is so still.
    pub active: bool,
    /// What the broadcaster was told.
    pub message: String,
    /// On which publish last.
    pub publish: u32,
    /// When it was found first (RFC 3339).
    pub first: String,
    /// When it began or ended last (RFC 3339).
    pub last: String,
    /// How often it began.
    pub count: u32,
}

impl Told {
    /// How it stands, in a word or two.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.fatal, self.active) {
            (true, _) => "ended it",
            (false, true) => "now",
            (false, false) => "over",
        }
    }
}

impl From<Warning> for Told {
    fn from(warning: Warning) -> Self {
        let code = warning.verdict.code;
        Self {
            code,
            fatal: code.is_fatal(),
            active: warning.active,
            message: warning.verdict.message,
            publish: warning.publish.get(),
            first: warning.first.rfc3339(),
            last: warning.last.rfc3339(),
            count: warning.count,
        }
    }
}

/// What is kept of a broadcast.
///
/// # Errors
/// When the table can't be read.
pub(crate) async fn of(table: &Table, broadcast: &BroadcastId) -> anyhow::Result<Vec<Told>> {
    Ok(table.warnings(broadcast).await?.into_iter().map(Told::from).collect())
}

/// For people: nothing if there is nothing.
pub(crate) fn human(warnings: &[Told]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let row = |told: &Told| {
        vec![
            told.code.as_str().to_owned(),
            told.state().to_owned(),
            told.count.to_string(),
            told.last.clone(),
            told.message.clone(),
        ]
    };
    let rows: Vec<_> = warnings.iter().map(row).collect();
    format!("\n\n{}", output::table(&["WARNING", "STATE", "TIMES", "LAST", "TOLD"], &rows))
}

#[cfg(test)]
mod tests {
    use media::{id::PublishNo, time::WallTime, verdict::Verdict};

    use super::*;

    #[test]
    fn the_contract_to_the_letter() {
        let warning = Warning {
            verdict: Verdict::new(Code::GopLong, "Too long."),
            publish: PublishNo::FIRST,
            first: WallTime(0),
            last: WallTime(1_000_000),
            count: 2,
            active: true,
        };
        let told = Told::from(warning);
        assert_eq!(
            serde_json::to_string(&told).unwrap(),
            r#"{"code":"gop-long","fatal":false,"active":true,"message":"Too long.","publish":1,"first":"1970-01-01T00:00:00.000Z","last":"1970-01-01T00:00:01.000Z","count":2}"#
        );
        let text = human(&[told]);
        assert!(text.contains("gop-long  now    2"), "{text}");
        assert_eq!(human(&[]), "");
    }
}
