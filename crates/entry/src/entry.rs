//! An entry: a signed statement about bytes (networkcache contract, sections 3 and 4).
//!
//! ```text
//! PUT   ["{\"sha512\": \"9b71…\", \"url\": \"http://…\"}", "hikTG1V7…="]       one entry: text and signature
//! GET   [["{\"sha512\": …}", "hikTG…"], ["{\"sha512\": …}", ""], …]           all of a key
//! ```
//! The text is a JSON document as a string, and that string is what was signed: it is kept character for character
//! and never written anew. The signature is in base64, or empty where nobody signed.
//!
//! What is malformed here would stop old clients from reading anything under the same key (contract, section 18), so
//! it is refused at the door, and passed over where others let it in.

use base::{Explain, Kind, Sha512};

use crate::base64;
use crate::json::{self, JsonError};
use crate::python;
use crate::value::{Object, Value};

/// The longest body that is taken for one entry: 1 MiB. Old servers take 100 KB and more.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The most entries that are read from one list.
pub const LIST_ENTRIES_MAX: usize = 65_536;

/// Why something was not taken for an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Longer than is read.
    #[error("the entry is longer than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// Not text.
    #[error("the entry is not UTF-8")]
    NotUtf8,
    /// The body is not JSON.
    #[error("the entry is not JSON")]
    Body(#[source] JsonError),
    /// It is JSON of another shape.
    #[error("an entry is an array of exactly two strings, its text and its signature")]
    NotAPair,
    /// A text that nobody can sign, as it has no bytes.
    #[error("the entry has one half of a surrogate pair, which UTF-8 cannot carry")]
    Surrogate,
    /// The text is not JSON.
    #[error("the entry's text is not JSON")]
    Text(#[source] JsonError),
    /// The text is JSON of another shape.
    #[error("the entry's text is not a JSON object")]
    NotAnObject,
    /// It does not say which bytes it is about.
    #[error("the entry's text has no `sha512`")]
    NoDigest,
    /// What it says is no name of any bytes. Those with capital letters are none: no server has an object there.
    #[error("the entry's `sha512` is not 128 lower-case hexadecimal digits")]
    Digest,
    /// Old readers die of a signature that they cannot decode.
    #[error("the entry's signature is neither base64 nor empty")]
    Signature,
}

impl Explain for EntryError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge => Kind::TooLarge,
            Self::Body(source) | Self::Text(source) => source.kind(),
            Self::NotUtf8
            | Self::NotAPair
            | Self::Surrogate
            | Self::NotAnObject
            | Self::NoDigest
            | Self::Digest
            | Self::Signature => Kind::Invalid,
        }
    }
}

/// What an entry says: which bytes it is about, and what is said about them.
#[derive(Debug, Clone)]
pub struct Statement {
    sha512: Sha512,
    members: Object,
}

impl Statement {
    fn parse(text: &str) -> Result<Self, EntryError> {
        let Value::Object(members) = json::read(text).map_err(EntryError::Text)? else {
            return Err(EntryError::NotAnObject);
        };
        let sha512 = members.get("sha512").ok_or(EntryError::NoDigest)?;
        let sha512 = sha512.as_str().and_then(Sha512::parse).ok_or(EntryError::Digest)?;
        Ok(Self { sha512, members })
    }

    /// The name of the bytes.
    #[must_use]
    pub fn sha512(&self) -> Sha512 {
        self.sha512
    }

    /// What is said under `name`; `sha512` is such a name too.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// All that is said.
    #[must_use]
    pub fn members(&self) -> &Object {
        &self.members
    }
}

/// A statement, as it was signed, and the signature. Two are equal when both are, character for character.
#[derive(Debug, Clone)]
pub struct Entry {
    text: String,
    signature: String,
    statement: Statement,
}

impl Entry {
    /// Reads what a client puts: JSON, an array of exactly two strings, of which the first is JSON again.
    ///
    /// # Errors
    /// When it is longer than [`BODY_BYTES_MAX`], or [`Entry::new`] does not take it, or a bound of [`crate::json`] is
    /// passed.
    pub fn parse(body: &[u8]) -> Result<Self, EntryError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(EntryError::TooLarge);
        }
        let body = std::str::from_utf8(body).map_err(|_| EntryError::NotUtf8)?;
        let body = json::read(body).map_err(EntryError::Body)?;
        let Some([Value::Text(text), Value::Text(signature)]) = body.as_list() else {
            return Err(EntryError::NotAPair);
        };
        let text = text.as_str().ok_or(EntryError::Surrogate)?;
        Self::new(text.to_owned(), signature.as_str().ok_or(EntryError::Signature)?.to_owned())
    }

    /// An entry of this text with this signature, which is base64 (line breaks may stand in it) or empty. Whether the
    /// signature is anybody's is not looked at: see [`crate::TrustList`].
    ///
    /// # Errors
    /// When the text is longer than [`BODY_BYTES_MAX`], not a JSON object or without a proper `sha512`, or the signature
    /// is not base64.
    pub fn new(text: String, signature: String) -> Result<Self, EntryError> {
        if text.len().saturating_add(signature.len()) > BODY_BYTES_MAX {
            return Err(EntryError::TooLarge);
        }
        let statement = Statement::parse(&text)?;
        if !base64::is_proper(&signature) {
            return Err(EntryError::Signature);
        }
        Ok(Self { text, signature, statement })
    }

    /// What was signed: JSON, as its author wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature in base64, as its author wrote it; empty where nobody signed.
    #[must_use]
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// What it says.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// What names this entry among others: two that have the same text and the same signature are one, however
    /// their JSON was written.
    #[must_use]
    pub fn digest(&self) -> Sha512 {
        Sha512::of(self.to_json().as_bytes())
    }

    /// The SHA-512 of the text alone: what a withdrawal names it by.
    #[must_use]
    pub fn text_digest(&self) -> Sha512 {
        Sha512::of(self.text.as_bytes())
    }

    /// What a client puts: JSON of ASCII characters, `["text", "signature"]`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(self.json_bytes());
        write_pair(&mut out, &self.text, &self.signature);
        out
    }

    /// About how long its JSON is.
    fn json_bytes(&self) -> usize {
        // Each double quote in the text takes a backslash.
        self.text.len() + self.text.len() / 4 + self.signature.len() + 16
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.text(), self.signature()) == (other.text(), other.signature())
    }
}

impl Eq for Entry {}

/// The list of these entries as old clients read it: JSON of ASCII characters, `[["text", "signature"], …]`.
#[must_use]
pub fn render<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    render_pairs(entries.into_iter().map(|entry| (entry.text(), entry.signature())))
}

/// As [`render`], of texts and signatures that were entries when they were stored.
#[must_use]
pub fn render_pairs<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("[");
    for (n, (text, signature)) in entries.into_iter().enumerate() {
        out.push_str(if n == 0 { "" } else { ", " });
        write_pair(&mut out, text, signature);
    }
    out.push(']');
    out
}

fn write_pair(out: &mut String, text: &str, signature: &str) {
    out.push('[');
    python::write_string(out, text.chars().map(u32::from));
    out.push_str(", ");
    python::write_string(out, signature.chars().map(u32::from));
    out.push(']');
}

/// Why a server's reply was not taken for a list of entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Longer than is read.
    #[error("the list of entries is longer than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// Not text.
    #[error("Failed to parse json response: it is not UTF-8")]
    NotUtf8,
    /// Not JSON. The words are the original's.
    #[error("Failed to parse json response")]
    Json(#[source] JsonError),
    /// It is JSON of another shape.
    #[error("Failed to parse json response: it is not an array")]
    NotAList,
}

impl Explain for ListError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Json(source) => source.kind(),
            Self::NotUtf8 | Self::NotAList => Kind::Invalid,
        }
    }
}

/// What a server keeps under a key.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// The entries that are in order, in the server's order.
    pub entries: Vec<Entry>,
    /// What was passed over: where it stood in the list, counted from 0, and what is wrong with it.
    pub skipped: Vec<(usize, EntryError)>,
}

/// Reads a server's list. An element that is not an entry is passed over; a signature that is `null` is an empty one.
///
/// # Errors
/// When it is longer than `bytes_max`, is not a JSON array, or has more than about [`LIST_ENTRIES_MAX`] elements.
pub fn read_list(body: &[u8], bytes_max: usize) -> Result<List, ListError> {
    // Each element is an array and two strings.
    const VALUES_MAX: usize = 1 + 3 * LIST_ENTRIES_MAX;
    if body.len() > bytes_max {
        return Err(ListError::TooLarge { bytes_max });
    }
    let body = std::str::from_utf8(body).map_err(|_| ListError::NotUtf8)?;
    let Value::List(elements) = json::read_within(body, VALUES_MAX).map_err(ListError::Json)? else {
        return Err(ListError::NotAList);
    };
    let mut list = List::default();
    for (n, element) in elements.into_iter().enumerate() {
        match read_element(&element) {
            Ok(entry) => list.entries.push(entry),
            Err(error) => list.skipped.push((n, error)),
        }
    }
    Ok(list)
}

fn read_element(element: &Value) -> Result<Entry, EntryError> {
    let (text, signature) = match element.as_list() {
        Some([Value::Text(text), Value::Text(signature)]) => {
            (text, signature.as_str().ok_or(EntryError::Signature)?)
        }
        Some([Value::Text(text), Value::Null]) => (text, ""),
        _ => return Err(EntryError::NotAPair),
    };
    Entry::new(text.as_str().ok_or(EntryError::Surrogate)?.to_owned(), signature.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector;

    fn error(body: &str) -> EntryError {
        Entry::parse(body.as_bytes()).expect_err(body)
    }

    /// The body of an entry with this text.
    fn body(text: &str, signature: &str) -> String {
        let mut out = String::new();
        write_pair(&mut out, text, signature);
        out
    }

    #[test]
    fn the_vector_is_read() {
        let entry = Entry::parse(vector::ENTRY.as_bytes()).unwrap();
        assert_eq!(entry.statement().sha512(), Sha512::of(b"hello"));
        assert_eq!(
            entry.statement().get("url").and_then(Value::as_str),
            Some("http://example.invalid/é.tar.gz")
        );
        assert_eq!(python::dumps(entry.statement().get("v").unwrap()), "[4, 10]");
        assert_eq!(entry.statement().members().len(), 4);
        // Written by Python, and by us, in the same way.
        assert_eq!(entry.to_json(), vector::ENTRY);
        assert_eq!(render([&entry, &entry]), format!("[{0}, {0}]", vector::ENTRY));
        assert_eq!(render([]), "[]");
    }

    #[test]
    fn the_text_comes_back_character_for_character() {
        let digest = Sha512::of(b"");
        for text in [
            format!(r#"{{"sha512":"{digest}"}}"#),
            format!(
                "\n\t {{ \"sha512\" : \"{digest}\" , \"sha512\":\"{digest}\",\"n\":1.50,\"u\":\"\\u00e9é😀\\ud83d\" }} \r\n"
            ),
            format!("{{\"sha512\": \"{digest}\", \"x\": \"\u{7f}\u{0080}\u{2028}\u{fffd}\u{10ffff}\\/\"}}"),
        ] {
            let entry = Entry::parse(body(&text, "").as_bytes()).unwrap();
            assert_eq!((entry.text(), entry.signature()), (text.as_str(), ""));
            let rendered = render([&entry]);
            assert!(rendered.is_ascii());
            let list = read_list(rendered.as_bytes(), usize::MAX).unwrap();
            assert_eq!(list.entries, [entry]);
        }
    }

    #[test]
    fn one_entry_has_one_digest_however_it_is_written() {
        let digest = Sha512::of(b"");
        let plain = format!(r#"["{{\"sha512\": \"{digest}\", \"x\": \"é/\"}}", "aA=="]"#);
        let escaped = plain.replace('é', "\\u00E9").replace('/', "\\/").replace(", \"aA", "  ,\n\"aA");
        let [plain, escaped] = [plain, escaped].map(|body| Entry::parse(body.as_bytes()).unwrap());
        assert_eq!(plain, escaped);
        assert_eq!(plain.digest(), escaped.digest());
        let unsigned = Entry::new(plain.text().to_owned(), String::new()).unwrap();
        assert_ne!(plain.digest(), unsigned.digest());
    }

    #[test]
    fn each_wrong_body_is_refused_with_its_reason() {
        let digest = Sha512::of(b"").to_string();
        let text = format!(r#"{{"sha512": "{digest}"}}"#);
        for (wrong, expected) in [
            ("[\"{}\", \"\"".to_owned(), "the entry is not JSON"),
            (String::new(), "the entry is not JSON"),
            ("{}".to_owned(), "an entry is an array of exactly two strings, its text and its signature"),
            ("null".to_owned(), "an entry is an array of exactly two strings, its text and its signature"),
            (
                "[\"{}\"]".to_owned(),
                "an entry is an array of exactly two strings, its text and its signature",
            ),
            (
                "[\"{}\", \"\", \"\"]".to_owned(),
                "an entry is an array of exactly two strings, its text and its signature",
            ),
            (
                "[\"{}\", null]".to_owned(),
                "an entry is an array of exactly two strings, its text and its signature",
            ),
            (
                "[{}, \"\"]".to_owned(),
                "an entry is an array of exactly two strings, its text and its signature",
            ),
            (
                r#"["\ud800", ""]"#.to_owned(),
                "the entry has one half of a surrogate pair, which UTF-8 cannot carry",
            ),
            (body("", ""), "the entry's text is not JSON"),
            (body("{'a': 1}", ""), "the entry's text is not JSON"),
            (body("[1]", ""), "the entry's text is not a JSON object"),
            (body("\"a\"", ""), "the entry's text is not a JSON object"),
            (body("{}", ""), "the entry's text has no `sha512`"),
            (body(r#"{"SHA512": "a"}"#, ""), "the entry's text has no `sha512`"),
            (
                body(&text.replace(&digest, &digest[1..]), ""),
                "the entry's `sha512` is not 128 lower-case hexadecimal digits",
            ),
            (
                body(&text.to_uppercase().replace("SHA", "sha"), ""),
                "the entry's `sha512` is not 128 lower-case hexadecimal digits",
            ),
            (
                body(r#"{"sha512": null}"#, ""),
                "the entry's `sha512` is not 128 lower-case hexadecimal digits",
            ),
            (body(r#"{"sha512": 1}"#, ""), "the entry's `sha512` is not 128 lower-case hexadecimal digits"),
            (body(&text, "aA="), "the entry's signature is neither base64 nor empty"),
            (body(&text, "aA"), "the entry's signature is neither base64 nor empty"),
            (body(&text, "é"), "the entry's signature is neither base64 nor empty"),
            (body(&text, "not base64!"), "the entry's signature is neither base64 nor empty"),
        ] {
            let error = error(&wrong);
            assert_eq!((error.to_string().as_str(), error.kind()), (expected, Kind::Invalid), "{wrong}");
        }
        assert_eq!(Entry::parse(b"[\"\xff\", \"\"]"), Err(EntryError::NotUtf8));
        assert_eq!(Entry::parse(&vec![b' '; BODY_BYTES_MAX + 1]).unwrap_err().kind(), Kind::TooLarge);
        assert_eq!(error(&"[".repeat(BODY_BYTES_MAX)), EntryError::Body(JsonError::TooDeep));
        let deep = format!(r#"{{"a": {}"#, "[".repeat(100_000));
        assert_eq!(error(&body(&deep, "")), EntryError::Text(JsonError::TooDeep));
    }

    #[test]
    fn of_a_list_what_is_no_entry_is_passed_over() {
        let digest = Sha512::of(b"").to_string();
        let text = format!(r#""{{\"sha512\": \"{digest}\"}}""#);
        let list =
            format!(r#"[1, [{text}, null], [{text}], [{text}, "aA="], {{}}, [{text}, "aA=="], ["{{", ""]]"#);
        let list = read_list(list.as_bytes(), usize::MAX).unwrap();
        assert_eq!(list.entries.iter().map(Entry::signature).collect::<Vec<_>>(), ["", "aA=="]);
        assert_eq!(list.skipped.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0, 2, 3, 4, 6]);
        for (wrong, expected) in [
            (&b"\xff"[..], "Failed to parse json response: it is not UTF-8"),
            (b"<html>", "Failed to parse json response"),
            (b"{}", "Failed to parse json response: it is not an array"),
            (b"[        ]", "the list of entries is longer than 8 bytes"),
        ] {
            assert_eq!(read_list(wrong, 8).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn metadata_of_a_hundred_kilobytes_is_taken() {
        let digest = Sha512::of(b"");
        let numbers = vec!["1"; 40_000].join(", ");
        let text =
            format!(r#"{{"sha512": "{digest}", "numbers": [{numbers}], "text": "{}"}}"#, "x".repeat(200_000));
        assert!(Entry::parse(body(&text, "").as_bytes()).is_ok());
    }
}
