//! Tables: columns side by side.
//!
//! Columns are as wide as what has been seen of them, so a list of any length is written page by page: a page with
//! longer words is wider than the one before. Where that is more than a terminal has, the widest ones are cut, so that one
//! long name, which somebody else may have chosen, hides no other column.

use std::fmt::Write as _;

/// Between two columns.
const GAP: &str = "  ";

/// Columns are not cut to less than that.
const WIDTH_MIN: usize = 8;

/// How the head of a table begins and ends where colours are welcome.
const BOLD: [&str; 2] = ["\u{1b}[1m", "\u{1b}[0m"];

/// So many of something: `1 host`, `2 hosts`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A table that is being written.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    widths: Vec<usize>,
    is_colourful: bool,
    /// The most characters in a line.
    columns_max: Option<usize>,
    has_begun: bool,
}

impl Table {
    /// A table with these columns, whose lines end after `columns_max` characters.
    pub(crate) fn new(head: &[&str], is_colourful: bool, columns_max: Option<usize>) -> Self {
        let head: Vec<String> = head.iter().map(|&word| word.to_owned()).collect();
        let widths = head.iter().map(|word| word.chars().count()).collect();
        Self { head, widths, is_colourful, columns_max, has_begun: false }
    }

    /// The next rows, each with a cell for each column; the head before the first ones.
    pub(crate) fn rows(&mut self, rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let widths = fitted(&self.widths, self.columns_max);
        let mut text = String::new();
        if !rows.is_empty() && !self.has_begun {
            self.has_begun = true;
            let [begin, end] = if self.is_colourful { BOLD } else { [""; 2] };
            let _ = writeln!(text, "{begin}{}{end}", self.line(&self.head, &widths)); // to a String: cannot fail
        }
        for row in &rows {
            text += &self.line(row, &widths);
            text.push('\n');
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let padded =
            cells.iter().zip(widths).map(|(cell, &width)| format!("{:<width$}", cut(cell, Some(width))));
        let line = padded.collect::<Vec<_>>().join(GAP);
        cut(line.trim_end(), self.columns_max)
    }
}

/// `widths` that fit into a line of `columns_max` characters, the widest ones being less wide; or as much as that helps.
fn fitted(widths: &[usize], columns_max: Option<usize>) -> Vec<usize> {
    let mut fitted = widths.to_vec();
    let Some(max) = columns_max else { return fitted };
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    let fits = |limit: usize| widths.iter().map(|&width| width.min(limit)).sum::<usize>() + gaps <= max;
    let widest = widths.iter().copied().max().unwrap_or(0);
    // The greatest limit that is not too much: each column that is wider shares what there is.
    let limit = (WIDTH_MIN..widest).rev().find(|&limit| fits(limit)).unwrap_or(WIDTH_MIN);
    if !fits(widest) {
        fitted.iter_mut().for_each(|width| *width = (*width).min(limit));
    }
    fitted
}

/// A line for each name and value.
pub(crate) fn details(pairs: &[(&str, String)], columns_max: Option<usize>) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        cut(format!("{name:<width$}{GAP}{}", one_line(value)).trim_end(), columns_max) + "\n"
    };
    pairs.iter().map(line).collect()
}

/// `line` in `columns_max` characters.
pub(crate) fn cut(line: &str, columns_max: Option<usize>) -> String {
    match columns_max {
        Some(max) if line.chars().count() > max => {
            line.chars().take(max.saturating_sub(1)).chain(std::iter::once('…')).collect()
        }
        _ => line.to_owned(),
    }
}

/// What a server sent must not steer a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_unseen(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether a character has no shape of its own, and changes where others stand or how a line breaks: what is decided about
/// is to look like what it is (Unicode's bidirectional controls, zero widths, separators of lines and paragraphs).
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn columns_stand_side_by_side() {
        let mut table = Table::new(&["NAME", "OS"], false, None);
        assert_eq!(table.rows(&[]), "", "no head without anything under it");
        assert_eq!(
            table.rows(&[row(&["a", "fedora"]), row(&["bcdef", ""])]),
            "NAME   OS\na      fedora\nbcdef\n"
        );
        assert_eq!(table.rows(&[row(&["ghijklm", "x\u{1b}[2J"])]), "ghijklm  x\u{fffd}[2J\n");
        assert_eq!(one_line("ev\u{202e}gnp.a\u{200b} é"), "ev\u{fffd}gnp.a\u{fffd} é");
    }

    #[test]
    fn lines_end_where_the_terminal_does() {
        for (max, expected) in
            [(9, "NAME  OS\na     fe…\n"), (4, "NAM…\na  …\n"), (12, "NAME  OS\na     fedora\n")]
        {
            let mut table = Table::new(&["NAME", "OS"], false, Some(max));
            assert_eq!(table.rows(&[row(&["a", "fedora"])]), expected, "{max}");
        }
        assert_eq!(details(&[("name", "abcdef".into())], Some(8)), "name  a…\n");
    }

    /// Somebody else's long name hides nothing of what stands behind it.
    #[test]
    fn the_widest_columns_are_cut() {
        let long = "x".repeat(200);
        let rows = |max, cells: &[&str]| {
            let mut table = Table::new(&["ID", "SUBJECT", "NAMES", "KEY"], false, max);
            table.rows(&[row(cells)]).lines().last().unwrap().to_owned()
        };
        let cells = ["12345", &long, "DNS:a", "p256"];
        assert_eq!(rows(Some(40), &cells), format!("12345  {}…  DNS:a  p256", "x".repeat(19)));
        assert_eq!(
            rows(Some(40), &["12345", &long, &long, "p256"]),
            format!("12345  {0}…  {0}…  p256", "x".repeat(11))
        );
        assert_eq!(rows(None, &cells), format!("12345  {long}  DNS:a  p256"));
        // There is no room for anything.
        assert_eq!(rows(Some(10), &cells), "12345  xx…");
    }

    #[test]
    fn only_the_head_is_bold() {
        let mut table = Table::new(&["NAME"], true, None);
        assert_eq!(table.rows(&[row(&["a"])]), "\u{1b}[1mNAME\u{1b}[0m\na\n");
        assert_eq!(
            details(&[("name", "a\nb".into()), ("os", String::new())], None),
            "name  a\u{fffd}b\nos\n"
        );
    }
}
