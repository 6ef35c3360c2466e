//! Rows, medians, the table, JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What a number counts, and so which of two is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Microseconds,
    Milliseconds,
    Kilobytes,
    Megabytes,
    /// Just so many.
    Number,
    /// Of what there is.
    Percent,
    /// Of what was to be done.
    PercentDone,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Kilobytes => "kB",
            Self::Megabytes => "MB",
            Self::Number => "",
            Self::Percent | Self::PercentDone => "%",
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Self::PerSecond | Self::PercentDone)
    }
}

/// One thing that was measured several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured(Vec<f64>);

impl Measured {
    /// Adds a run.
    pub(crate) fn add(&mut self, run: f64) {
        self.0.push(run);
    }

    /// The middle one of all runs; of two middle ones their mean.
    pub(crate) fn median(&self) -> f64 {
        let mut runs = self.0.clone();
        runs.sort_by(f64::total_cmp);
        let half = runs.len() / 2;
        match runs.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => runs[half],
            _ => f64::midpoint(runs[half - 1], runs[half]),
        }
    }

    /// How far the run that is farthest from the median is away from it, as a part of the median.
    fn spread(&self) -> f64 {
        let median = self.median();
        self.0.iter().map(|run| (run - median).abs() / median).fold(0.0, f64::max)
    }
}

impl From<f64> for Measured {
    fn from(run: f64) -> Self {
        Self(vec![run])
    }
}

/// Two contenders at the same thing.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) ours: Measured,
    pub(crate) theirs: Measured,
}

impl Row {
    /// How many times better ours is: above 1 it is better, below 1 worse.
    fn ratio(&self) -> f64 {
        let (ours, theirs) = (self.ours.median(), self.theirs.median());
        if self.unit.more_is_better() { ours / theirs } else { theirs / ours }
    }
}

/// Rows with one and the same rival.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// The head of the rival's column.
    pub(crate) rival: &'static str,
    pub(crate) rows: Vec<Row>,
    /// What one should know when reading it.
    pub(crate) notes: Vec<String>,
}

/// All of it as one JSON object.
pub(crate) fn to_json(machine: &str, sections: &[Section]) -> Value {
    let row = |row: &Row| {
        json!({
            "what": row.what, "unit": row.unit.name(), "ratio": row.ratio(),
            "provost": row.ours.median(), "provost_runs": row.ours.0,
            "rival": row.theirs.median(), "rival_runs": row.theirs.0,
        })
    };
    let section = |section: &Section| {
        json!({
            "title": section.title, "rival": section.rival, "notes": section.notes,
            "rows": section.rows.iter().map(row).collect::<Vec<_>>(),
        })
    };
    json!({ "machine": machine, "sections": sections.iter().map(section).collect::<Vec<_>>() })
}

/// All of it as a table.
pub(crate) fn to_table(machine: &str, sections: &[Section]) -> String {
    let rows = sections.iter().flat_map(|section| &section.rows);
    let width = rows.map(|row| row.what.chars().count()).max().unwrap_or(0);
    let mut text = format!("{machine}\n");
    for Section { title, rival, rows, notes } in sections {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{title}");
        let _ =
            writeln!(text, "  {:width$}     {:>12}  {rival:>12}  {:>8}  {:>4}", "", "Provost", "ratio", "±");
        for row in rows {
            let (ours, theirs) = (number(row.ours.median()), number(row.theirs.median()));
            let spread = row.ours.spread().max(row.theirs.spread()) * 100.0;
            let (what, unit, ratio) = (&row.what, row.unit.name(), number(row.ratio()));
            let _ = writeln!(
                text,
                "  {what:width$}  {unit}  {ours:>11}  {theirs:>12}  {ratio:>7}×  {spread:>3.0}%"
            );
        }
        for note in notes {
            let _ = writeln!(text, "  {note}");
        }
    }
    text
}

/// A number with three digits that mean something, and a comma at every thousand.
pub(crate) fn number(number: f64) -> String {
    let decimals = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{number:.decimals$}");
    let (whole, rest) = text.find('.').map_or((text.as_str(), ""), |at| text.split_at(at));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(runs: &[f64]) -> Measured {
        Measured(runs.to_vec())
    }

    #[test]
    fn the_median_is_not_moved_by_one_bad_run() {
        for (runs, median, spread) in
            [(&[3.0][..], 3.0, 0.0), (&[9.0, 2.0, 1.0], 2.0, 3.5), (&[1.0, 3.0], 2.0, 0.5)]
        {
            assert_eq!((measured(runs).median(), measured(runs).spread()), (median, spread), "{runs:?}");
        }
    }

    #[test]
    fn a_ratio_above_one_is_always_better() {
        let row = |unit| Row { what: "x".into(), unit, ours: 4.0.into(), theirs: 2.0.into() };
        assert_eq!(row(Unit::PerSecond).ratio(), 2.0);
        assert_eq!(row(Unit::Milliseconds).ratio(), 0.5);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.714, "0.71"),
            (12.345, "12.3"),
            (270.4, "270"),
            (1_234.5, "1,234"),
            (12_345.0, "12,345"),
            (1_234_567.0, "1,234,567"),
            (-123.0, "-123"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn the_table_is_aligned() {
        let row = |what: &str, ours: f64| Row {
            what: what.into(),
            unit: Unit::PerSecond,
            ours: ours.into(),
            theirs: 20.0.into(),
        };
        let section = Section {
            title: "Reading".into(),
            rival: "caucased",
            rows: vec![row("one", 1_000.0), row("three", 10.0)],
            notes: vec!["as told".into()],
        };
        let table = to_table("machine", std::slice::from_ref(&section));
        let widths: Vec<usize> =
            table.lines().filter(|line| line.contains("  ")).map(|line| line.chars().count()).collect();
        assert!(widths[..3].windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        assert!(table.contains("1,000") && table.contains("50.0×") && table.contains("0.50×"), "{table}");
        assert_eq!(to_json("machine", &[section])["sections"][0]["rows"][0]["ratio"], 50.0);
    }
}
