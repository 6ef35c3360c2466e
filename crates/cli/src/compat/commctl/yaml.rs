//! YAML as the original prints it: block style, keys in order, lines of 80 columns, nothing but ASCII.
//!
//! Scripts compare this text, so it is the one that PyYAML's `safe_dump(default_flow_style=False)` writes,
//! byte for byte; only the `...` behind a bare scalar is left out (commissaire, section 12.3).

use serde_json::{Map, Value};

use super::yaml_words::means_something;

/// A line is not continued beyond this column where it can be broken.
const WIDTH: usize = 80;

/// Keys longer than this are written behind a `?` (PyYAML counts 128 and 5 of them for the hidden tag).
const SIMPLE_KEY_CHARS_MAX: usize = 122;

/// `value` as a YAML document.
pub(super) fn dump(value: &Value) -> String {
    let mut writer = Writer { out: String::new(), column: 0, after_space: true, only_indented: true };
    writer.node(value, None, false);
    writer.out.push('\n');
    writer.out
}

/// How a string is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
}

struct Writer {
    out: String,
    /// How many characters the current line has.
    column: usize,
    /// Whether the last thing written separates already.
    after_space: bool,
    /// Whether the line has nothing but indentation and `-` or `?` so far.
    only_indented: bool,
}

impl Writer {
    /// `indent` is that of the collection around it; `in_mapping` says that it is the value of a key.
    fn node(&mut self, value: &Value, indent: Option<usize>, in_mapping: bool) {
        match value {
            Value::Array(items) if items.is_empty() => self.word("[]"),
            Value::Object(members) if members.is_empty() => self.word("{}"),
            Value::Array(items) => self.sequence(items, indent, in_mapping),
            Value::Object(members) => self.mapping(members, indent),
            Value::Null => self.word("null"),
            Value::Bool(truth) => self.word(if *truth { "true" } else { "false" }),
            Value::Number(number) => {
                let text = if number.is_f64() {
                    float(number.as_f64().unwrap_or_default())
                } else {
                    number.to_string()
                };
                self.word(&text);
            }
            Value::String(text) => self.string(text, indent, false),
        }
    }

    fn sequence(&mut self, items: &[Value], indent: Option<usize>, in_mapping: bool) {
        // Under a key, the dashes stand below the key itself.
        let indent = match indent {
            None => 0,
            Some(indent) if in_mapping && !self.only_indented => indent,
            Some(indent) => indent + 2,
        };
        for item in items {
            self.line(indent);
            self.mark("-", true);
            self.node(item, Some(indent), false);
        }
    }

    fn mapping(&mut self, members: &Map<String, Value>, indent: Option<usize>) {
        let indent = indent.map_or(0, |indent| indent + 2);
        // PyYAML sorts by code points, as this does by UTF-8: the same order.
        let mut members: Vec<_> = members.iter().collect();
        members.sort_by_key(|(key, _)| key.as_str());
        for (key, value) in members {
            self.line(indent);
            if is_simple_key(key) {
                self.string(key, Some(indent), true);
                self.put(":");
                self.only_indented = false;
            } else {
                self.mark("?", true);
                self.string(key, Some(indent), false);
                self.line(indent);
                self.mark(":", true);
            }
            self.node(value, Some(indent), true);
        }
    }

    fn string(&mut self, text: &str, indent: Option<usize>, is_key: bool) {
        let chars: Vec<char> = text.chars().collect();
        let indent = indent.unwrap_or_default() + 2;
        match style(text, &chars, is_key) {
            Style::Plain => self.plain(&chars, indent, !is_key),
            Style::Single => self.single(&chars, indent, !is_key),
            Style::Double => self.double(&chars, indent, !is_key),
        }
    }

    fn plain(&mut self, text: &[char], indent: usize, may_break: bool) {
        self.separate();
        self.only_indented = false;
        // Words and the runs of spaces between them, in turns. A single space may become a line end.
        for run in text.chunk_by(|a, b| (*a == ' ') == (*b == ' ')) {
            if run == [' '] && self.column > WIDTH && may_break {
                self.line(indent);
                self.after_space = false;
                self.only_indented = false;
            } else {
                self.put_chars(run);
            }
        }
    }

    fn single(&mut self, text: &[char], indent: usize, may_break: bool) {
        self.mark("'", false);
        let runs: Vec<&[char]> = text.chunk_by(|a, b| kind(*a) == kind(*b)).collect();
        for (at, run) in runs.iter().enumerate() {
            let is_inside = at > 0 && at + 1 < runs.len();
            match kind(run[0]) {
                // Two line ends are written for one: the first is a fold. Nothing else breaks a line here, as
                // other line ends are not ASCII, and those are written with escapes.
                Kind::LineEnd => {
                    (0..=run.len()).for_each(|_| self.end_line());
                    self.pad(indent);
                }
                Kind::Space if run.len() == 1 && is_inside && self.column > WIDTH && may_break => {
                    self.line(indent)
                }
                Kind::Quote => run.iter().for_each(|_| self.put("''")),
                Kind::Space | Kind::Other => self.put_chars(run),
            }
        }
        self.put("'");
        self.only_indented = false;
    }

    fn double(&mut self, text: &[char], indent: usize, may_break: bool) {
        self.mark("\"", false);
        let (mut start, mut end) = (0, 0);
        while end <= text.len() {
            let next = text.get(end).copied();
            if next.is_none_or(needs_escape) {
                self.put_chars(&text[start..end]);
                start = end;
                if let Some(c) = next {
                    self.put(&escape(c));
                    start = end + 1;
                }
            }
            let is_inside = 0 < end && end + 1 < text.len();
            let pending = end.saturating_sub(start);
            if is_inside && (next == Some(' ') || start >= end) && self.column + pending > WIDTH && may_break
            {
                if start < end {
                    self.put_chars(&text[start..end]);
                    start = end;
                }
                self.put("\\");
                self.line(indent);
                self.after_space = false;
                self.only_indented = false;
                if text[start] == ' ' {
                    self.put("\\");
                }
            }
            end += 1;
        }
        self.put("\"");
    }

    /// Something that is never quoted nor broken.
    fn word(&mut self, text: &str) {
        self.separate();
        self.put(text);
        self.only_indented = false;
    }

    /// `-`, `?` and `:`, which may have more on their line, and the quotes, which may not.
    fn mark(&mut self, text: &str, keeps_indented: bool) {
        self.separate();
        self.put(text);
        self.only_indented &= keeps_indented;
    }

    fn separate(&mut self) {
        if !self.after_space {
            self.put(" ");
        }
        self.after_space = false;
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
        self.after_space = false;
    }

    fn put_chars(&mut self, chars: &[char]) {
        self.out.extend(chars);
        self.column += chars.len();
    }

    /// Goes to column `indent`, on a new line unless this one is still free up to there.
    fn line(&mut self, indent: usize) {
        if !self.only_indented || self.column > indent || (self.column == indent && !self.after_space) {
            self.end_line();
        }
        self.pad(indent);
    }

    fn end_line(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.after_space = true;
        self.only_indented = true;
    }

    fn pad(&mut self, indent: usize) {
        while self.column < indent {
            self.put(" ");
            self.after_space = true;
        }
    }
}

/// What a character is to a single-quoted string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    LineEnd,
    Quote,
    Other,
}

fn kind(c: char) -> Kind {
    match c {
        ' ' => Kind::Space,
        '\n' => Kind::LineEnd,
        '\'' => Kind::Quote,
        _ => Kind::Other,
    }
}

fn is_simple_key(key: &str) -> bool {
    !key.is_empty() && key.chars().count() <= SIMPLE_KEY_CHARS_MAX && !key.contains(is_line_end)
}

/// The line ends of YAML 1.1.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Plain where it can be read back as the same string; else in single quotes, and in double quotes where
/// something has to be escaped.
fn style(text: &str, chars: &[char], is_key: bool) -> Style {
    let is_space = |at: usize| chars.get(at).is_some_and(|c| *c == ' ');
    let is_end = |at: usize| chars.get(at).is_some_and(|c| is_line_end(*c));
    let last = chars.len().saturating_sub(1);
    let is_special = chars.iter().any(|c| *c != '\n' && !(' '..='~').contains(c));
    let space_then_end = (1..chars.len()).any(|at| is_space(at - 1) && is_end(at));
    let end_then_space = (1..chars.len()).any(|at| is_end(at - 1) && is_space(at));
    if is_special || space_then_end || end_then_space {
        return Style::Double;
    }
    let has_line_end = chars.contains(&'\n');
    let is_edged = is_space(0) || is_end(0) || is_space(last) || is_end(last);
    let is_plain = !(means_something(text)
        || has_line_end
        || is_edged
        || has_indicator(chars)
        || (is_key && chars.is_empty()));
    match (is_plain, is_key && has_line_end) {
        (true, _) => Style::Plain,
        (false, false) => Style::Single,
        (false, true) => Style::Double,
    }
}

/// Whether something in it would be read as the beginning of something else, in block style.
fn has_indicator(chars: &[char]) -> bool {
    let is_gap =
        |at: usize| chars.get(at).is_none_or(|c| matches!(c, '\0' | ' ' | '\t' | '\r') || is_line_end(*c));
    let is_marker = chars.starts_with(&['-', '-', '-']) || chars.starts_with(&['.', '.', '.']);
    is_marker
        || chars.iter().enumerate().any(|(at, c)| match (at, c) {
            (
                0,
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                | '`',
            ) => true,
            (0, '?' | ':' | '-') => is_gap(1),
            (at, ':') => is_gap(at + 1),
            (at, '#') => is_gap(at - 1),
            _ => false,
        })
}

fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '\\') || !(' '..='~').contains(&c)
}

fn escape(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        other => {
            return match u32::from(other) {
                code @ ..=0xff => format!("\\x{code:02X}"),
                code @ ..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

/// A number with a fraction or an exponent, as Python writes it and YAML 1.1 reads it.
fn float(number: f64) -> String {
    let text = format!("{number:?}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    let dot = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{dot}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is printed most. Everything else is compared with PyYAML itself, in the program's tests.
    #[test]
    fn documents_look_as_ever() {
        for (value, expected) in [
            (json!("Success"), "Success\n"),
            (json!("No object found."), "No object found.\n"),
            (json!(["Created web"]), "- Created web\n"),
            (json!(["10.0.0.1", "10.0.0.2"]), "- 10.0.0.1\n- 10.0.0.2\n"),
            (
                json!({"name": "web", "hosts": {"total": 1}, "hostset": ["10.0.0.1"], "status": ""}),
                "hosts:\n  total: 1\nhostset:\n- 10.0.0.1\nname: web\nstatus: ''\n",
            ),
            (
                json!([{"address": "10.0.0.1", "last_check": "2016-01-01T00:00:00.000000", "x": []}]),
                "- address: 10.0.0.1\n  last_check: '2016-01-01T00:00:00.000000'\n  x: []\n",
            ),
            (json!({"a": "é\u{1b}"}), "a: \"\\xE9\\e\"\n"),
        ] {
            assert_eq!(dump(&value), expected);
        }
    }
}
