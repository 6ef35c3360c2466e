//! The configuration file: TOML, each value with the line it stands on.

use std::path::Path;

use toml_edit::{Document, Item, TableLike};

use super::config::{Said, Value};
use super::key::{self, KEYS, Key};
use super::problem::{Origin, Problem};

/// What a file at `path` with this `text` says, in the order of the file, and what is wrong with it:
/// broken syntax, and names that no setting has. Whether values are right is not looked at.
pub fn read(path: &Path, text: &str) -> (Vec<(&'static Key, Said)>, Vec<Problem>) {
    let mut reader = Reader { path, text, said: Vec::new(), problems: Vec::new() };
    match Document::parse(text) {
        Ok(document) => reader.table("", document.as_table()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let what = error.message().replace('\n', ", ");
            let origin = reader.origin(at);
            reader.problems.push(Problem { origin, key: None, what, hint: None });
        }
    }
    (reader.said, reader.problems)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    said: Vec<(&'static Key, Said)>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// The line on which the byte at `offset` stands.
    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        Origin::Line(self.path.to_owned(), 1 + before.iter().filter(|byte| **byte == b'\n').count())
    }

    fn table(&mut self, table: &str, items: &dyn TableLike) {
        for (word, item) in items.iter() {
            let name = if table.is_empty() { word.to_owned() } else { format!("{table}.{word}") };
            let span = items.key(word).and_then(|key| key.span()).or_else(|| item.span());
            self.item(&name, item, self.origin(span.map_or(0, |span| span.start)));
        }
    }

    fn item(&mut self, name: &str, item: &Item, origin: Origin) {
        if let Some(key) = key::find(name) {
            let from = self.path.parent().map(Path::to_owned);
            self.said.push((key, Said { value: value(item), origin, from }));
            return;
        }
        let is_table = KEYS.iter().any(|key| key.name.starts_with(&format!("{name}.")));
        match (is_table, item.as_table_like()) {
            (true, Some(items)) => self.table(name, items),
            (true, None) => {
                let problem =
                    Problem::new(origin, name, format!("is a table, not {}", value(item).type_name()));
                self.problems.push(problem.hint(format!("settings in it are written under `[{name}]`")));
            }
            (false, _) => {
                let mut problem = Problem::new(origin, name, "no setting has this name");
                problem.hint = key::nearest(name).map(|key| format!("is `{}` meant?", key.name));
                self.problems.push(problem);
            }
        }
    }
}

fn value(item: &Item) -> Value {
    let Some(value) = item.as_value() else { return Value::Other("a table") };
    match value {
        toml_edit::Value::String(text) => Value::Text(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::Whole(*number.value()),
        toml_edit::Value::Float(number) => Value::Fraction(*number.value()),
        toml_edit::Value::Boolean(switch) => Value::Switch(*switch.value()),
        toml_edit::Value::Array(items) => {
            Value::List(items.iter().map(|item| self::value(&Item::Value(item.clone()))).collect())
        }
        toml_edit::Value::Datetime(_) => Value::Other("a date"),
        toml_edit::Value::InlineTable(_) => Value::Other("a table"),
    }
}

impl Value {
    /// What it is, in words: `a text`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Whole(_) => "a whole number",
            Self::Fraction(_) => "a number with a fraction",
            Self::Switch(_) => "true or false",
            Self::List(_) => "a list",
            Self::Other(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_file(text: &str) -> (Vec<(&'static str, Value, String)>, Vec<String>) {
        let (said, problems) = read(Path::new("provost.toml"), text);
        let said =
            said.into_iter().map(|(key, said)| (key.name, said.value, said.origin.to_string())).collect();
        let problems = problems
            .into_iter()
            .map(|problem| match &problem.hint {
                Some(hint) => format!("{problem} ({hint})"),
                None => problem.to_string(),
            })
            .collect();
        (said, problems)
    }

    #[test]
    fn values_know_their_line() {
        let text = "netloc = \"ca:80\"\n\nca.key_bits = 2048\n[ca.services]\nmax_csr = 3\n\
                    # a remark\ncrt_validity_days = 0.5\n[cors]\nwhitelist = [\n  \"https://a\",\n]\n";
        let (said, problems) = read_file(text);
        assert_eq!(problems, [""; 0]);
        let list = Value::List(vec![Value::Text("https://a".to_owned())]);
        let at = |line: usize| format!("provost.toml:{line}");
        assert_eq!(
            said,
            [
                ("netloc", Value::Text("ca:80".to_owned()), at(1)),
                ("ca.key_bits", Value::Whole(2048), at(3)),
                ("ca.services.max_csr", Value::Whole(3), at(5)),
                ("ca.services.crt_validity_days", Value::Fraction(0.5), at(7)),
                ("cors.whitelist", list, at(9)),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_line() {
        let check = |text: &str, expected: &[&str]| assert_eq!(read_file(text).1, expected, "{text}");
        check(
            "[ca.services]\nmax_crs = 3\n[colour]\nred = 1\n",
            &[
                "provost.toml:2: ca.services.max_crs: no setting has this name (is `ca.services.max_csr` meant?)",
                "provost.toml:3: colour: no setting has this name",
            ],
        );
        check(
            "\nca = 4\n",
            &["provost.toml:2: ca: is a table, not a whole number (settings in it are written under `[ca]`)"],
        );
        let (_, problems) = read_file("netloc = \"a\"\nbind = [\n");
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].starts_with("provost.toml:2: ") || problems[0].starts_with("provost.toml:3: "),
            "{problems:?}"
        );
    }
}
