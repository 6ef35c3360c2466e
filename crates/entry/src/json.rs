//! Reads JSON as Python's `json.loads` does, within bounds.
//!
//! It takes what Python takes beyond RFC 8259 (`NaN`, `Infinity`, `-Infinity`, halves of surrogate pairs, repeated
//! names, of which the last counts) and refuses what Python refuses. Two things are refused that a small text could hurt
//! others with: nesting deeper than [`DEPTH_MAX`], on which Python's recursion ends at some depth, and an integer of
//! more than [`INT_DIGITS_MAX`] digits, which Python 3.11 and later do not read.

use base::{Explain, Kind};

use crate::value::{Int, Object, Text, Value};

/// How many arrays and objects may stand inside each other.
pub const DEPTH_MAX: usize = 64;
/// How many digits an integer may have: as many as Python reads (`sys.int_info.default_max_str_digits`).
pub const INT_DIGITS_MAX: usize = 4300;
/// How many values one text may have, those inside of others and an object's names included.
pub const VALUES_MAX: usize = 65_536;

/// Why a text was not read as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("{what} at byte {at}")]
    Malformed {
        /// Where, in bytes from the beginning.
        at: usize,
        /// What is wrong, or what is missing.
        what: &'static str,
    },
    /// Arrays and objects inside each other.
    #[error("its arrays and objects are nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// Too many values.
    #[error("it has more than {values_max} values")]
    TooMany {
        /// The bound.
        values_max: usize,
    },
    /// An integer that Python refuses.
    #[error("a number in it has more than {INT_DIGITS_MAX} digits")]
    LongNumber,
}

impl Explain for JsonError {
    fn kind(&self) -> Kind {
        match self {
            Self::Malformed { .. } | Self::TooDeep | Self::TooMany { .. } | Self::LongNumber => Kind::Invalid,
        }
    }
}

/// The one value that `text` is, with white space around it.
///
/// # Errors
/// When it is not JSON, or beyond a bound.
pub fn read(text: &str) -> Result<Value, JsonError> {
    read_within(text, VALUES_MAX)
}

/// As [`read`], with another bound on the number of values.
pub(crate) fn read_within(text: &str, values_max: usize) -> Result<Value, JsonError> {
    let mut reader = Reader { text, at: 0, values: 0, values_max };
    reader.skip_blanks();
    let value = reader.value(0)?;
    reader.skip_blanks();
    if reader.at < text.len() {
        return Err(reader.malformed("something stands behind the value"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
    values_max: usize,
}

impl<'a> Reader<'a> {
    fn malformed(&self, what: &'static str) -> JsonError {
        JsonError::Malformed { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Whether `word` comes next; takes it if so.
    fn take(&mut self, word: &str) -> bool {
        let is_next = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn count(&mut self) -> Result<(), JsonError> {
        self.values += 1;
        if self.values > self.values_max {
            return Err(JsonError::TooMany { values_max: self.values_max });
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.count()?;
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            Some(b'0'..=b'9' | b'-') => self.number(),
            _ => {
                for (word, value) in [
                    ("null", Value::Null),
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                    ("NaN", Value::Float(f64::NAN)),
                    ("Infinity", Value::Float(f64::INFINITY)),
                ] {
                    if self.take(word) {
                        return Ok(value);
                    }
                }
                Err(self.malformed("a value is missing"))
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth == DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.take("]") {
            return Ok(Value::List(items));
        }
        loop {
            self.skip_blanks();
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            if self.take("]") {
                return Ok(Value::List(items));
            }
            if !self.take(",") {
                return Err(self.malformed("a comma or the end of an array is missing"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth == DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        let mut members = Vec::new();
        self.skip_blanks();
        if self.take("}") {
            return Ok(Value::Object(Object::new()));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.malformed("a name in double quotes is missing"));
            }
            self.count()?;
            let name = self.string()?;
            self.skip_blanks();
            if !self.take(":") {
                return Err(self.malformed("a colon is missing"));
            }
            self.skip_blanks();
            members.push((name, self.value(depth + 1)?));
            self.skip_blanks();
            if self.take("}") {
                return Ok(Value::Object(Object::from_all(members)));
            }
            if !self.take(",") {
                return Err(self.malformed("a comma or the end of an object is missing"));
            }
        }
    }

    fn digits(&mut self) -> &'a str {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        &self.text[from..self.at]
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let from = self.at;
        if self.take("-") && self.take("Infinity") {
            return Ok(Value::Float(f64::NEG_INFINITY));
        }
        let whole = if self.take("0") { "0" } else { self.digits() };
        if whole.is_empty() {
            return Err(self.malformed("a digit is missing"));
        }
        let end_of_whole = self.at;
        if self.take(".") && self.digits().is_empty() {
            return Err(self.malformed("a digit is missing"));
        }
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            if self.digits().is_empty() {
                return Err(self.malformed("a digit is missing"));
            }
        }
        let text = &self.text[from..self.at];
        if self.at == end_of_whole {
            if whole.len() > INT_DIGITS_MAX {
                return Err(JsonError::LongNumber);
            }
            return Int::parse(text).map(Value::Int).ok_or_else(|| self.malformed("a digit is missing"));
        }
        text.parse().map(Value::Float).map_err(|_| self.malformed("a digit is missing"))
    }

    fn string(&mut self) -> Result<Text, JsonError> {
        self.at += 1;
        let mut string = Text::new();
        loop {
            let from = self.at;
            while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            string.push_str(&self.text[from..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => {
                    self.at += 1;
                    string.push(self.escape()?);
                }
                Some(_) => return Err(self.malformed("a control character stands in a string")),
                None => return Err(self.malformed("the end of a string is missing")),
            }
        }
    }

    /// The code point that is written behind a backslash: one, or two halves of a surrogate pair if they stand
    /// together.
    fn escape(&mut self) -> Result<u32, JsonError> {
        const WHAT: &str = "an escape is not one of JSON's";
        let point = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let high = self.four_digits()?;
                if (0xd800..0xdc00).contains(&high) {
                    let behind_high = self.at;
                    if self.take("\\u") {
                        let low = self.four_digits()?;
                        if (0xdc00..0xe000).contains(&low) {
                            return Ok(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
                        }
                    }
                    self.at = behind_high;
                }
                return Ok(high);
            }
            _ => return Err(self.malformed(WHAT)),
        };
        self.at += 1;
        Ok(point.into())
    }

    fn four_digits(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.ok_or_else(|| self.malformed("four hexadecimal digits are missing"))?;
        self.at += 4;
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => byte - b'A' + 10,
        };
        Ok(digits.iter().fold(0, |number, byte| number << 4 | u32::from(digit(*byte))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::dumps;

    #[test]
    fn reads_what_python_reads() {
        for (text, expected) in [
            (" null\n", "null"),
            ("true", "true"),
            ("false", "false"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("0e5", "0.0"),
            ("1E400", "Infinity"),
            ("-1e-400", "-0.0"),
            ("[NaN,Infinity, -Infinity]", "[NaN, Infinity, -Infinity]"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            (r#""\ud83d\ude00é""#, r#""\ud83d\ude00\u00e9""#),
            (r#""\ud83d \ude00\ud83d""#, r#""\ud83d \ude00\ud83d""#),
            (r#""\uD83D\u0041\/\b\f\n\r\t\"\\""#, r#""\ud83dA/\b\f\n\r\t\"\\""#),
            (r#"{"b":1,"a":[ ],"b" : {} }"#, r#"{"b": {}, "a": []}"#),
            ("\"\u{7f}\u{2028}\"", "\"\\u007f\\u2028\""),
        ] {
            assert_eq!(dumps(&read(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_python_refuses() {
        for text in [
            "",
            " ",
            "nul",
            "True",
            "+1",
            "01",
            "1.",
            ".5",
            "-",
            "- 1",
            "1e",
            "1e+",
            "-NaN",
            "--1",
            "0x1",
            "1_0",
            "[1,]",
            "[1 2]",
            "[",
            "]",
            "[1",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\\u12\"",
            "\"\n\"",
            "\"\t\"",
            "'a'",
            "1 2",
            "\u{feff}1",
            "\u{a0}1",
            "// x\n1",
            "inf",
            "\"\\u+123\"",
        ] {
            assert!(matches!(read(text), Err(JsonError::Malformed { .. })), "{text:?}");
        }
    }

    #[test]
    fn has_bounds() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(read(&deep(DEPTH_MAX + 1)).unwrap_err(), JsonError::TooDeep);
        assert_eq!(read(&"[".repeat(1 << 20)).unwrap_err(), JsonError::TooDeep);
        assert_eq!(read(&"{\"a\":".repeat(1 << 20)).unwrap_err(), JsonError::TooDeep);
        let many = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        assert!(read(&many(VALUES_MAX - 1)).is_ok());
        assert_eq!(read(&many(VALUES_MAX)).unwrap_err(), JsonError::TooMany { values_max: VALUES_MAX });
        assert!(read(&"9".repeat(INT_DIGITS_MAX)).is_ok());
        assert_eq!(read(&"9".repeat(INT_DIGITS_MAX + 1)).unwrap_err(), JsonError::LongNumber);
        assert!(read(&format!("{}.5", "9".repeat(INT_DIGITS_MAX + 1))).is_ok(), "a float is never too long");
    }
}
