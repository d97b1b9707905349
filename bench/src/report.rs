//! Reports: a Markdown table for people and the same as JSON for programs.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

/// A table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Column names.
    pub columns: Vec<String>,
    /// Rows of as many cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one.
    #[must_use]
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("\n**{}**\n\n{}", self.title, line(&self.columns));
        let _ = writeln!(text, "|{}", " --- |".repeat(self.columns.len()));
        for row in &self.rows {
            text.push_str(&line(row));
        }
        text
    }
}

/// Whether a goal was met, in words for a table.
#[must_use]
pub fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Prints `tables` and writes them with `data` to `{folder}/{name}.md` and `.json`.
///
/// # Errors
/// When a file can't be written.
pub fn publish(folder: &Path, name: &str, tables: &[Table], data: &impl Serialize) -> Result<()> {
    let text: String = tables.iter().map(Table::markdown).collect();
    println!("{text}");
    fs::create_dir_all(folder)?;
    let write = |extension: &str, content: String| {
        let path = folder.join(format!("{name}.{extension}"));
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))
    };
    write("md", text)?;
    write("json", serde_json::to_string_pretty(data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new("sums", &["a", "b"]);
        table.row(["1", "2"]);
        assert_eq!(table.markdown(), "\n**sums**\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n");
    }
}
