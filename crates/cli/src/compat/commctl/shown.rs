//! How a result is printed: as the original does, or in one of our formats.

use clap::ValueEnum;
use serde_json::Value;

use super::yaml;

/// What `--output` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// JSON
    Json,
    /// YAML, as without the option
    Yaml,
    /// Columns
    Table,
    /// Names or addresses only, one a line
    Name,
}

/// The members that name a thing.
const NAMES: [&str; 2] = ["address", "name"];

/// `result` as text.
pub(super) fn shown(result: &Value, format: Option<Format>) -> String {
    match format {
        None | Some(Format::Yaml) => yaml::dump(result),
        Some(Format::Json) => format!("{result:#}\n"),
        Some(Format::Table) => table(result),
        Some(Format::Name) => items(result).iter().map(|item| name(item) + "\n").collect(),
    }
}

fn items(result: &Value) -> &[Value] {
    match result {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

fn name(item: &Value) -> String {
    let named = NAMES.iter().find_map(|member| item.get(member));
    cell(named.unwrap_or(item))
}

/// A row for each thing; a line for each member of a single one.
fn table(result: &Value) -> String {
    if let Value::Object(members) = result {
        let rows = members.iter().map(|(key, value)| vec![one_line(key), cell(value)]);
        return aligned(&rows.collect::<Vec<_>>());
    }
    let items = items(result);
    let mut columns: Vec<&str> =
        items.iter().filter_map(Value::as_object).flat_map(|item| item.keys()).map(String::as_str).collect();
    // The name first, the rest in alphabetical order.
    columns.sort_by_key(|column| (!NAMES.contains(column), *column));
    columns.dedup();
    let mut rows: Vec<Vec<String>> = Vec::new();
    if !columns.is_empty() {
        rows.push(columns.iter().map(|column| one_line(column).to_uppercase()).collect());
    }
    rows.extend(items.iter().map(|item| match item {
        Value::Object(members) => {
            columns.iter().map(|column| members.get(*column).map(cell).unwrap_or_default()).collect()
        }
        other => vec![cell(other)],
    }));
    aligned(&rows)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

/// What a server sent must not steer a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<width$}", width = width(at)));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_format_shows_the_same_things() {
        let hosts = json!([
            {"address": "10.0.0.1", "cpus": 2, "os": "fedora", "status": "active"},
            {"address": "10.0.0.22", "cpus": 16, "os": "", "status": "failed", "x": ["a\u{1b}b"]},
        ]);
        for (result, format, expected) in [
            (&hosts, Format::Name, "10.0.0.1\n10.0.0.22\n"),
            (
                &hosts,
                Format::Table,
                "ADDRESS    CPUS  OS      STATUS  X\n\
                 10.0.0.1   2     fedora  active\n\
                 10.0.0.22  16            failed  [\"a\\u001bb\"]\n",
            ),
            (&hosts[0], Format::Table, "address  10.0.0.1\ncpus     2\nos       fedora\nstatus   active\n"),
            (&hosts[0], Format::Name, "10.0.0.1\n"),
            (&json!(["a", "b\u{1b}[2J"]), Format::Table, "a\nb\u{fffd}[2J\n"),
            (&json!(["a", "b"]), Format::Json, "[\n  \"a\",\n  \"b\"\n]\n"),
            (&json!(["a", "b"]), Format::Yaml, "- a\n- b\n"),
            (&json!("Success"), Format::Table, "Success\n"),
            (&json!("Success"), Format::Name, "Success\n"),
        ] {
            assert_eq!(shown(result, Some(format)), expected, "{format:?}");
        }
    }
}
