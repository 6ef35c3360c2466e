//! The configuration file: TOML, each value with the line it stands on.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::config::{Said, Value};
use super::key::{self, KEYS, Key};
use super::problem::{Origin, Problem};

/// What a file at `path` with this `text` says, in the order of the file, and what is wrong with it:
/// broken syntax wherever it stands, and names that no setting has. Whether values are right is not looked at.
pub fn read(path: &Path, text: &str) -> (Vec<(&'static Key, Said)>, Vec<Problem>) {
    let mut reader = Reader { path, text, said: Vec::new(), problems: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        let what = error.message().replace('\n', ", ");
        let origin = reader.origin(at);
        // Of several on one line, the first is the cause of the others.
        if reader.problems.iter().all(|problem| problem.origin != origin) {
            reader.problems.push(Problem { origin, key: None, what, hint: None });
        }
    }
    reader.table("", document.get_ref());
    reader.said.sort_by_key(|(_, said)| said.origin.place());
    reader.problems.sort_by_key(|problem| problem.origin.place());
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
        Origin::Line(self.path.to_owned(), self.line(offset))
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn table(&mut self, table: &str, items: &DeTable<'_>) {
        for (word, item) in items {
            let (at, word) = (word.span().start, word.get_ref());
            let name = if table.is_empty() { word.to_string() } else { format!("{table}.{word}") };
            let lines = self.line(at)..=self.line(item.span().end.saturating_sub(1).max(at));
            let is_broken = |problem: &Problem| matches!(problem.origin, Origin::Line(_, line) if problem.key.is_none() && lines.contains(&line));
            // A name that is missing, `[ca.]` say, is told as broken syntax.
            if word.is_empty() && self.problems.iter().any(|problem| problem.key.is_none()) {
                continue;
            }
            // What was read of a value whose syntax is broken is a guess.
            if matches!(item.get_ref(), DeValue::Table(_)) || !self.problems.iter().any(is_broken) {
                self.item(&name, item, self.origin(at));
            }
        }
    }

    fn item(&mut self, name: &str, item: &Spanned<DeValue<'_>>, origin: Origin) {
        let item = item.get_ref();
        if let Some(key) = key::find(name) {
            let from = self.path.parent().map(Path::to_owned);
            self.said.push((key, Said { value: value(item), origin, from }));
            return;
        }
        let is_table = KEYS.iter().any(|key| key.name.starts_with(&format!("{name}.")));
        match (is_table, item) {
            (true, DeValue::Table(items)) => self.table(name, items),
            (true, _) => {
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

fn value(item: &DeValue<'_>) -> Value {
    match item {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number of more than 64 bits"), Value::Whole),
        DeValue::Float(number) => {
            number.as_str().parse().map_or(Value::Other("a number that is none"), Value::Fraction)
        }
        DeValue::Boolean(switch) => Value::Switch(*switch),
        DeValue::Array(items) => Value::List(items.iter().map(|item| value(item.get_ref())).collect()),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
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
        check(
            "netloc = a\nbase_port = 80\nbind = [\"::1\"]]\n[ca\nkey_bits = 2048\n[log]\nlevel = \"info\nformt = 1\n\
             [limits]\nidle_seconds = 1 2\n",
            &[
                "provost.toml:1: string values must be quoted, expected literal string",
                "provost.toml:3: unexpected key or value, expected newline, `#`",
                "provost.toml:4: unclosed table, expected `]`",
                "provost.toml:7: invalid basic string, expected `\"`",
                "provost.toml:8: log.formt: no setting has this name (is `log.format` meant?)",
                "provost.toml:10: string values must be quoted, expected literal string",
            ],
        );
        for text in
            ["= 3\n", "[ca.]\nkey_bits = 2048\n", "[]\n", "ca. = 3\n", "log.  .level = 1\n", ". = 1\n"]
        {
            let (_, problems) = read_file(text);
            assert!(!problems.is_empty(), "{text}");
            assert!(problems.iter().all(|problem| !problem.contains("no setting")), "{text}: {problems:?}");
        }
        let (said, _) = read_file("netloc = a\nbase_port = 80\nbind = [\"::1\"]]\n");
        assert_eq!(said.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), ["base_port"], "no guesses");
        let (_, problems) = read_file("netloc = \"a\"\nbind = [\n");
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].starts_with("provost.toml:2: ") || problems[0].starts_with("provost.toml:3: "),
            "{problems:?}"
        );
    }
}
