//! Prints results: columns for reading, JSON for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::context::Format;
use crate::cli::exit::Failure;

/// Rows under a heading, each column as wide as its longest cell.
pub(crate) struct Table<const N: usize> {
    heading: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(heading: [&'static str; N], rows: impl IntoIterator<Item = [String; N]>) -> Self {
        Self { heading, rows: rows.into_iter().map(|row| row.map(visible)).collect() }
    }

    fn text(&self) -> String {
        let heading = self.heading.map(str::to_owned);
        let lines = || std::iter::once(&heading).chain(&self.rows);
        let mut widths = [0; N];
        for line in lines() {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let padded = |line: &[String; N]| {
            let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        lines().map(padded).collect()
    }
}

/// A text as it is safe on a terminal: what services and callers name things must neither move the cursor nor change the order
/// in which the line is shown.
fn visible(text: String) -> String {
    let is_hidden = |symbol: char| {
        symbol.is_control()
            || matches!(symbol, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !text.chars().any(is_hidden) {
        return text;
    }
    let shown = |symbol: char| {
        if is_hidden(symbol) { symbol.escape_unicode().to_string() } else { symbol.to_string() }
    };
    text.chars().map(shown).collect()
}

/// Prints `value` as JSON, or the table that shows it.
pub(crate) fn print<const N: usize>(
    format: Format,
    value: &impl Serialize,
    table: &Table<N>,
) -> Result<(), Failure> {
    match format {
        Format::Json => json(value),
        Format::Table => text(&table.text()),
    }
}

/// Prints one sentence about what was done, or the JSON that says the same.
pub(crate) fn done(format: Format, value: &impl Serialize, sentence: &str) -> Result<(), Failure> {
    match format {
        Format::Json => json(value),
        Format::Table => text(&format!("{sentence}\n")),
    }
}

/// A number and what is counted.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Prints JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    text(&format!("{json}\n"))
}

/// Prints text. A reader that went away, such as `head`, is no failure.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_how_a_line_is_shown_is_spelled_out() {
        let rows = [["a\u{202e}b".to_owned(), "\u{1b}[2J".to_owned()]];
        assert_eq!(Table::new(["ID", "NAME"], rows).text(), "ID          NAME\na\\u{202e}b  \\u{1b}[2J\n");
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_blanks() {
        let rows = [["a".to_owned(), "x".to_owned()], ["ééé".to_owned(), String::new()]];
        assert_eq!(Table::new(["ID", "NAME"], rows).text(), "ID   NAME\na    x\nééé\n");
    }
}
