//! Columns of text that fit a terminal: what matters least is left out before anything is cut. Pure.

/// No value.
pub(super) const NONE: &str = "–";
/// Between two columns.
const GAP: usize = 2;
/// What long names are cut to before a column is left out.
const NAME_MAX: usize = 20;
/// What the first column is cut to at last.
const FIRST_MIN: usize = 6;

/// What a text means to whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing.
    Plain,
    /// Well.
    Good,
    /// To be looked at.
    Bad,
    /// Of no importance.
    Dim,
    /// A title.
    Title,
}

impl Tone {
    /// The text in this tone for a terminal (ECMA-48's SGR), or as it is.
    pub(super) fn paint(self, text: &str, colours: bool) -> String {
        let code = match self {
            _ if !colours || text.trim().is_empty() => return text.to_owned(),
            Self::Plain => return text.to_owned(),
            Self::Good => 32,
            Self::Bad => 33,
            Self::Dim => 2,
            Self::Title => 1,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// A cell with nothing in particular to say.
pub(super) fn plain(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), tone: Tone::Plain }
}

/// A cell with a tone.
pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

/// A cell with a value, if there is one.
pub(super) fn optional(text: Option<String>) -> Cell {
    text.map_or_else(|| toned(NONE, Tone::Dim), plain)
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) head: &'static str,
    /// Numbers stand on the right.
    pub(super) right: bool,
    /// Of the columns that do not fit, the one with the least of this goes first.
    pub(super) keep: u8,
    pub(super) cells: Vec<Cell>,
}

impl Column {
    /// Of the rows' column.
    pub(super) fn of<T>(head: &'static str, keep: u8, rows: &[T], cell: impl Fn(&T) -> Cell) -> Self {
        Self { head, right: false, keep, cells: rows.iter().map(cell).collect() }
    }

    /// On the right.
    pub(super) fn right(self) -> Self {
        Self { right: true, ..self }
    }

    fn width(&self) -> usize {
        let texts = self.cells.iter().map(|cell| cell.text.as_str()).chain([self.head]);
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    }

    fn cut(&mut self, width: usize) {
        for cell in &mut self.cells {
            cell.text = shortened(&cell.text, width);
        }
    }
}

/// The text, or its beginning and an ellipsis.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The text in lines of a width, broken between words.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(shortened(word, width)),
        }
    }
    lines
}

/// The lines of a table, its head first, none wider than `width`. Columns that have no value in any row are left out.
pub(super) fn table(mut columns: Vec<Column>, width: usize, colours: bool) -> Vec<String> {
    let total = |columns: &[Column]| {
        columns.iter().map(|column| column.width() + GAP).sum::<usize>().saturating_sub(GAP)
    };
    columns.retain(|column| column.cells.is_empty() || column.cells.iter().any(|cell| cell.text != NONE));
    if total(&columns) > width {
        columns.iter_mut().filter(|column| !column.right).for_each(|column| column.cut(NAME_MAX));
    }
    while total(&columns) > width && columns.len() > 1 {
        let least = (1..columns.len()).min_by_key(|at| columns.get(*at).map_or(0, |column| column.keep));
        columns.remove(least.unwrap_or(1));
    }
    let over = total(&columns).saturating_sub(width);
    if let Some(first) = columns.first_mut()
        && over > 0
    {
        first.cut(first.width().saturating_sub(over).max(FIRST_MIN));
    }
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let line = |cell: &dyn Fn(&Column) -> Option<Cell>| {
        let cells = columns.iter().zip(&widths).filter_map(|(column, width)| {
            let cell = cell(column)?;
            let text = if column.right {
                format!("{:>width$}", cell.text)
            } else {
                format!("{:<width$}", cell.text)
            };
            // Only the text itself has the tone, so that ends of lines can be trimmed.
            let (text, tone) = (text.as_str(), cell.tone);
            let body = text.trim();
            Some(text.replacen(
                body,
                &tone.paint(body, colours && !body.is_empty()),
                usize::from(!body.is_empty()),
            ))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let head = line(&|column| Some(toned(column.head, Tone::Title)));
    let body = (0..rows).map(|row| line(&|column| column.cells.get(row).cloned()));
    std::iter::once(head).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let rows = ["a", "a-very-long-name-of-a-live-that-sells"];
        vec![
            Column::of("LIVE", 9, &rows, |row| plain(*row)),
            Column::of("STATE", 8, &rows, |_| toned("on air", Tone::Good)),
            Column::of("BEHIND", 5, &rows, |row| optional((*row == "a").then(|| "3.1 s".to_owned()))).right(),
            Column::of("LOAD", 7, &rows, |_| optional(None)).right(),
            Column::of("EPOCH", 1, &rows, |_| plain("12")).right(),
        ]
    }

    #[test]
    fn everything_when_there_is_room_but_empty_columns() {
        assert_eq!(
            table(columns(), 80, false),
            [
                "LIVE                                   STATE   BEHIND  EPOCH",
                "a                                      on air   3.1 s     12",
                "a-very-long-name-of-a-live-that-sells  on air       –     12",
            ]
        );
    }

    #[test]
    fn names_are_cut_first_then_the_least_important_columns_go() {
        assert_eq!(
            table(columns(), 40, false),
            [
                "LIVE                  STATE   BEHIND",
                "a                     on air   3.1 s",
                "a-very-long-name-of…  on air       –",
            ]
        );
        assert_eq!(table(columns(), 30, false)[2], "a-very-long-name-of…  on air");
        for width in 6..80 {
            let lines = table(columns(), width, false);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:?}");
        }
    }

    #[test]
    fn tones_are_colours_and_take_no_room() {
        let lines = table(columns(), 80, true);
        assert!(lines[2].contains("\x1b[32mon air\x1b[0m       \x1b[2m–\x1b[0m     12"), "{lines:?}");
        let bare: Vec<_> = lines
            .iter()
            .map(|line| {
                let codes = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m"];
                codes.iter().fold(line.clone(), |line, code| line.replace(code, ""))
            })
            .collect();
        assert_eq!(bare, table(columns(), 80, false));
    }

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible", 8), ["incompr…"]);
    }
}
