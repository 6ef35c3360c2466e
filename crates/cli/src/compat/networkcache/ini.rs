//! Configuration files as Python's `configparser` reads them, with its interpolation (networkcache contract, section 5).
//!
//! ```text
//! [DEFAULT]                    what all sections have that do not say otherwise
//! host = cache.example
//! [networkcache]
//! # comments stand on lines of their own, with # or ;
//! download-cache-url: http://%(host)s/a%%20b
//! signature-certificate-list =
//!   -----BEGIN CERTIFICATE-----        deeper lines go on; blank ones among them too
//!   …
//! ```
//! Names of options are read without regard to case; names of sections are not. What is said twice is an error.
//!
//! **Invariant:** pure; no input makes it panic, recurse without end, or take more memory than [`VALUE_BYTES_MAX`] for a
//! value.

use std::collections::BTreeMap;

use base::{Explain, Kind};

/// The section whose options all others have.
const DEFAULT: &str = "DEFAULT";
/// How deep values may name each other.
const DEPTH_MAX: usize = 10;
/// How many values may be put into one, at all depths together.
const NAMED_MAX: usize = 10_000;
/// The longest value after interpolation, in bytes: as much as there may be certificates.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// Why a file, or a value in it, was not understood. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IniError {
    /// An option before the first section.
    #[error("line {line}: there is no `[section]` above it")]
    NoHeader {
        /// Where.
        line: usize,
    },
    /// A line that is nothing.
    #[error("line {line} is neither a section, an option nor a comment")]
    Line {
        /// Where.
        line: usize,
    },
    /// A section that was there already.
    #[error("line {line}: section `{section}` already exists")]
    Section {
        /// Where.
        line: usize,
        /// Its name.
        section: String,
    },
    /// An option that was there already.
    #[error("line {line}: option `{option}` in section `{section}` already exists")]
    Option {
        /// Where.
        line: usize,
        /// The section's name.
        section: String,
        /// Its name.
        option: String,
    },
    /// A percent sign that means nothing.
    #[error("option `{option}`: `%` stands alone")]
    Percent {
        /// Whose value it is.
        option: String,
    },
    /// A value that names an option which is not there.
    #[error("option `{option}` names `{named}`, which is not there")]
    Unknown {
        /// Whose value it is.
        option: String,
        /// What it names.
        named: String,
    },
    /// Values that name each other, too deep or for ever.
    #[error("option `{option}` is interpolated more than {DEPTH_MAX} times")]
    Depth {
        /// Whose value it is.
        option: String,
    },
    /// A value that grew too long, or that too many others are put into.
    #[error("option `{option}` has more in it than {VALUE_BYTES_MAX} bytes or {NAMED_MAX} other values")]
    TooLong {
        /// Whose value it is.
        option: String,
    },
}

impl Explain for IniError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLong { .. } => Kind::TooLarge,
            Self::NoHeader { .. }
            | Self::Line { .. }
            | Self::Section { .. }
            | Self::Option { .. }
            | Self::Percent { .. }
            | Self::Unknown { .. }
            | Self::Depth { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        matches!(self, Self::Percent { .. })
            .then(|| "write `%%` for a percent sign, and `%(name)s` for another option's value".into())
    }
}

/// Options and their values, by name, as they were written.
type Options = BTreeMap<String, String>;

/// A file.
#[derive(Debug, Clone, Default)]
pub struct Ini {
    sections: BTreeMap<String, Options>,
    defaults: Options,
}

/// A section of a file, with what it inherits.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    own: &'a Options,
    defaults: &'a Options,
}

impl Ini {
    /// Reads a file.
    ///
    /// # Errors
    /// At the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, IniError> {
        let mut reader = Reader::default();
        for (at, line) in lines(text).enumerate() {
            reader.read(at + 1, line)?;
        }
        reader.finish_option();
        Ok(reader.ini)
    }

    /// The section of this name, if there is one. `DEFAULT` is none.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Section<'_>> {
        Some(Section { own: self.sections.get(name)?, defaults: &self.defaults })
    }

    /// The names of the sections, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }
}

impl Section<'_> {
    /// The names of its options, inherited ones included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let inherited = self.defaults.keys().filter(|name| !self.own.contains_key(*name));
        self.own.keys().chain(inherited).map(String::as_str)
    }

    /// The value of an option as it was written, several lines with a line feed between.
    #[must_use]
    pub fn raw(&self, option: &str) -> Option<&str> {
        let option = option.to_lowercase();
        self.own.get(&option).or_else(|| self.defaults.get(&option)).map(String::as_str)
    }

    /// The value of an option, with what it names put in.
    ///
    /// # Errors
    /// When it names what is not there, names itself, grows too long, or has a percent sign that means nothing.
    pub fn get(&self, option: &str) -> Result<Option<String>, IniError> {
        let Some(raw) = self.raw(option) else { return Ok(None) };
        let mut value = Interpolated::default();
        self.interpolate(option, raw, 1, &mut value)?;
        Ok(Some(value.text))
    }

    fn interpolate(
        &self,
        option: &str,
        raw: &str,
        depth: usize,
        out: &mut Interpolated,
    ) -> Result<(), IniError> {
        if depth > DEPTH_MAX && raw.contains('%') {
            return Err(IniError::Depth { option: option.to_owned() });
        }
        let percent = || IniError::Percent { option: option.to_owned() };
        let too_long = || IniError::TooLong { option: option.to_owned() };
        let mut rest = raw;
        while let Some((plain, behind)) = rest.split_once('%') {
            out.push(plain).ok_or_else(too_long)?;
            if let Some(behind) = behind.strip_prefix('%') {
                out.push("%").ok_or_else(too_long)?;
                rest = behind;
                continue;
            }
            let (name, behind) =
                behind.strip_prefix('(').and_then(|named| named.split_once(')')).ok_or_else(percent)?;
            rest = behind.strip_prefix('s').filter(|_| !name.is_empty()).ok_or_else(percent)?;
            let unknown = || IniError::Unknown { option: option.to_owned(), named: name.to_owned() };
            let value = self.raw(name).ok_or_else(unknown)?;
            out.named += 1;
            if out.named > NAMED_MAX {
                return Err(too_long());
            }
            self.interpolate(option, value, depth + 1, out)?;
        }
        out.push(rest).ok_or_else(too_long)
    }
}

/// A value as far as it is known.
#[derive(Debug, Default)]
struct Interpolated {
    text: String,
    /// How many other values were put in.
    named: usize,
}

impl Interpolated {
    /// `None` when it would be too long.
    fn push(&mut self, text: &str) -> Option<()> {
        if self.text.len() + text.len() > VALUE_BYTES_MAX {
            return None;
        }
        self.text.push_str(text);
        Some(())
    }
}

/// Reads line by line.
#[derive(Debug, Default)]
struct Reader {
    ini: Ini,
    /// The section that lines belong to.
    section: Option<String>,
    /// The option that deeper lines belong to, and its lines so far.
    option: Option<(String, Vec<String>)>,
    /// How deep the line with the option is.
    indent: usize,
}

impl Reader {
    fn read(&mut self, number: usize, line: &str) -> Result<(), IniError> {
        let value = line.trim_matches(is_space);
        if value.starts_with(['#', ';']) {
            return Ok(());
        }
        if value.is_empty() {
            if let Some((_, lines)) = &mut self.option {
                lines.push(String::new());
            }
            return Ok(());
        }
        let indent = line.chars().take_while(|c| is_space(*c)).count();
        if let Some((_, lines)) = &mut self.option
            && indent > self.indent
        {
            lines.push(value.to_owned());
            return Ok(());
        }
        self.finish_option();
        self.indent = indent;
        if let Some(name) = header(value) {
            return self.begin_section(number, name);
        }
        let Some(section) = self.section.clone() else { return Err(IniError::NoHeader { line: number }) };
        let (name, value) = value.split_once(['=', ':']).ok_or(IniError::Line { line: number })?;
        let name = name.trim_end_matches(is_space).to_lowercase();
        if name.is_empty() {
            return Err(IniError::Line { line: number });
        }
        if self.options(&section).contains_key(&name) {
            return Err(IniError::Option { line: number, section, option: name });
        }
        // So that it is known to be there; its value follows when it has ended.
        self.options(&section).insert(name.clone(), String::new());
        self.option = Some((name, vec![value.trim_matches(is_space).to_owned()]));
        Ok(())
    }

    fn begin_section(&mut self, line: usize, name: &str) -> Result<(), IniError> {
        if name != DEFAULT {
            if self.ini.sections.contains_key(name) {
                return Err(IniError::Section { line, section: name.to_owned() });
            }
            self.ini.sections.insert(name.to_owned(), Options::new());
        }
        self.section = Some(name.to_owned());
        Ok(())
    }

    fn finish_option(&mut self) {
        let (Some((name, lines)), Some(section)) = (self.option.take(), self.section.clone()) else { return };
        let value = lines.join("\n").trim_end_matches(is_space).to_owned();
        self.options(&section).insert(name, value);
    }

    fn options(&mut self, section: &str) -> &mut Options {
        if section == DEFAULT {
            &mut self.ini.defaults
        } else {
            self.ini.sections.entry(section.to_owned()).or_default()
        }
    }
}

/// The name in `[name]`: up to the last bracket, whatever follows.
fn header(value: &str) -> Option<&str> {
    let (name, _) = value.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

/// What Python's `str.strip` takes away: Unicode's white space, and four control characters that separate things.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The lines of a text: they end with a line feed, a carriage return, or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.filter(|text| !text.is_empty())?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let behind = &text[end..];
        rest = behind.strip_prefix("\r\n").or_else(|| behind.get(1..));
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<Option<String>, IniError> {
        Ini::parse(text)?.section("s").map_or(Ok(None), |section| section.get("o"))
    }

    /// Each as Python 3.11 read option `o` of section `s`.
    #[test]
    fn values_are_what_python_reads() {
        for (text, expected) in [
            ("[s]\no = v", Some("v")),
            ("[s]\nO: v", Some("v")),
            ("[s]\no=v=w:x", Some("v=w:x")),
            ("[s]\no : v = w", Some("v = w")),
            ("[s]\no = v # w ; x", Some("v # w ; x")),
            ("[s]\no =", Some("")),
            ("[s]\n\t o = v \t", Some("v")),
            ("[s]\r\no = v\r\n w\r\n", Some("v\nw")),
            ("[s]\ro = v\r w", Some("v\nw")),
            ("[s]\no =\n  a\n   b\n c\n", Some("\na\nb\nc")),
            ("[s]\no = a\n\n  b\n\n\n[t]", Some("a\n\nb")),
            ("[s]\no = a\n# c\n  # d\n  b", Some("a\nb")),
            ("[s]\no = a\n  [t]\n", Some("a\n[t]")),
            ("[s]\no = a\n  p = b\n", Some("a\np = b")),
            ("  [s]\n  o = a\n  p = b\n", Some("a")),
            ("[s]\n  o = a\n p = b\n", Some("a")),
            ("[s] text ] more\no = v", None),
            ("[s] text\no = v", Some("v")),
            ("[DEFAULT]\no = d\n[s]", Some("d")),
            ("[DEFAULT]\no = d\n[s]\no = v\n[DEFAULT]\np = q", Some("v")),
            ("[t]\no = v", None),
            ("[DEFAULT]\no = d", None),
            ("", None),
            ("[s]\np = x%%y\no = a%(p)sb%(P)s", Some("ax%ybx%y")),
            ("[DEFAULT]\nh = 1\n[s]\nh = 2\no = %(h)s", Some("2")),
            ("[s]\no = 100%%", Some("100%")),
            ("[s]\nkey with blanks = 1\no = %(key with blanks)s", Some("1")),
            ("# c\n; d\n\n[s]\n;o = 1\no = 2", Some("2")),
            ("[s]\no = a\u{a0}\u{1f}", Some("a")),
        ] {
            assert_eq!(value(text).as_ref().map(Option::as_deref), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        let option = || "o".to_owned();
        for (text, expected) in [
            ("o = v", IniError::NoHeader { line: 1 }),
            ("\n[]\no = v", IniError::NoHeader { line: 2 }),
            ("\u{feff}[s]", IniError::NoHeader { line: 1 }),
            ("[s]\nword", IniError::Line { line: 2 }),
            ("[s]\n= v", IniError::Line { line: 2 }),
            ("[s]\n[t]\n[s]", IniError::Section { line: 3, section: "s".into() }),
            ("[s]\no = 1\nO = 2", IniError::Option { line: 3, section: "s".into(), option: option() }),
            (
                "[DEFAULT]\no = 1\n[DEFAULT]\no = 2\n[s]",
                IniError::Option { line: 4, section: "DEFAULT".into(), option: option() },
            ),
            ("[s]\no = 50%", IniError::Percent { option: option() }),
            ("[s]\no = %x", IniError::Percent { option: option() }),
            ("[s]\no = %(x", IniError::Percent { option: option() }),
            ("[s]\no = %(x)d", IniError::Percent { option: option() }),
            ("[s]\no = %()s", IniError::Percent { option: option() }),
            ("[s]\no = %(x)s", IniError::Unknown { option: option(), named: "x".into() }),
            ("[s]\no = %(o)s", IniError::Depth { option: option() }),
            ("[s]\no = %(p)s\np = 5%", IniError::Percent { option: option() }),
        ] {
            assert_eq!(value(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn values_do_not_grow_without_end() {
        let mut text = String::from("[s]\na0 = ");
        text.push_str(&"x".repeat(1000));
        for n in 1..9 {
            let of_before = format!("%(a{})s", n - 1).repeat(30);
            text.push_str(&format!("\na{n} = {of_before}"));
        }
        text.push_str("\no = %(a8)s");
        assert_eq!(value(&text), Err(IniError::TooLong { option: "o".into() }));
        // Nor is time wasted on what is empty.
        let nothing = text.replace(&"x".repeat(1000), "");
        assert_eq!(value(&nothing), Err(IniError::TooLong { option: "o".into() }));
    }
}
