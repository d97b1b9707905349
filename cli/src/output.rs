//! What commands print: a table or a list for people, one JSON document for scripts. A reader that is gone is no error.

use std::io::Write as _;

use media::time::WallTime;
use serde::Serialize;

/// Prints a JSON document on one line.
///
/// # Errors
/// When it can't be spelled.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string(value)?);
    Ok(())
}

/// Prints text and a line end.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A table: columns as wide as their widest cell, two spaces between.
#[must_use]
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width =
        |column: usize| lines.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let spell = |row: &&Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(spell).collect::<Vec<_>>().join("\n")
}

/// Names and values, one a line.
#[must_use]
pub(crate) fn list(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect::<Vec<_>>().join("\n")
}

/// An instant for people: to the second, UTC.
#[must_use]
pub(crate) fn instant(at: WallTime) -> String {
    let text = at.rfc3339();
    format!("{} {} UTC", text.get(..10).unwrap_or(""), text.get(11..19).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [vec!["demo".to_owned(), "on air".to_owned()], vec!["größer".to_owned(), String::new()]];
        assert_eq!(table(&["LIVE", "STATE"], &rows), "LIVE    STATE\ndemo    on air\ngrößer");
        assert_eq!(list(&[("a", "1".to_owned()), ("bcd", "2".to_owned())]), "a    1\nbcd  2");
    }

    #[test]
    fn instants_for_people() {
        assert_eq!(instant(WallTime(951_782_400_000_000)), "2000-02-29 00:00:00 UTC");
    }
}
