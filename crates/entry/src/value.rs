//! The values of JSON as Python has them, for the readers and writers of entries are Python programs.
//!
//! ```text
//! null  true  12345678901234567890  1.5  NaN  -Infinity  "a\ud800"  [1]  {"a": 1}
//! ```
//! Integers have any size and are kept by their digits; `NaN` and the infinities are floats; text may hold one half
//! of a surrogate pair; an object remembers the order of its names, and of two equal names the last one's value.

use std::borrow::Cow;
use std::fmt;

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`; a number too, 1 or 0, where values are compared.
    Bool(bool),
    /// A number without a point and without an exponent.
    Int(Int),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Text),
    /// An array.
    List(Vec<Value>),
    /// An object.
    Object(Object),
}

impl Value {
    /// Text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(Text::from(text))
    }

    /// The text that it is, if it is one and Rust can hold it.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { text.as_str() } else { None }
    }

    /// The number that it is, if it is an integer from 0 to 2⁶⁴−1.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Int(number) = self { number.digits().parse().ok() } else { None }
    }

    /// The values in it, if it is an array.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The object that it is, if it is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

/// An integer of any size: its decimal digits, without zeros in front, behind `-` if it is negative. Zero has no sign.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Int(Box<str>);

impl Int {
    /// The one that `text` spells: an optional `-` and ASCII digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
        if digits.is_empty() || digits.bytes().any(|byte| !byte.is_ascii_digit()) {
            return None;
        }
        let digits = digits.trim_start_matches('0');
        Some(Self(if digits.is_empty() { "0".into() } else { format!("{sign}{digits}").into() }))
    }

    /// Its digits, behind `-` if it is negative.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl From<i64> for Int {
    fn from(number: i64) -> Self {
        Self(number.to_string().into())
    }
}

impl From<u64> for Int {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl fmt::Debug for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Int({})", self.0)
    }
}

/// Text as Python has it: code points, among which may be surrogates that have no other half. Two are ordered by
/// their code points.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text {
    /// WTF-8: as UTF-8, with three bytes for a surrogate too. The order of such bytes is the order of code points. A
    /// high surrogate never stands right before a low one: that would be one code point, of four bytes.
    bytes: Vec<u8>,
}

impl Text {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The text, if every surrogate in it has its other half.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// The text, with U+FFFD in the place of what Rust cannot hold.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its code points, surrogates included.
    pub fn code_points(&self) -> impl Iterator<Item = u32> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (&first, behind) = rest.split_first()?;
            let (mut point, more) = match first {
                0..0x80 => (u32::from(first), 0),
                0x80..0xe0 => (u32::from(first & 0x1f), 1),
                0xe0..0xf0 => (u32::from(first & 0x0f), 2),
                0xf0.. => (u32::from(first & 0x07), 3),
            };
            let (continued, behind) = behind.split_at_checked(more)?;
            for byte in continued {
                point = point << 6 | u32::from(byte & 0x3f);
            }
            rest = behind;
            Some(point)
        })
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// `point` is at most U+10FFFF; a high surrogate is not followed by a low one.
    pub(crate) fn push(&mut self, point: u32) {
        if let Some(character) = char::from_u32(point) {
            self.push_str(character.encode_utf8(&mut [0; 4]));
        } else {
            let low = |shift: u32| 0x80 | (point >> shift & 0x3f) as u8;
            self.bytes.extend_from_slice(&[0xe0 | (point >> 12 & 0x0f) as u8, low(6), low(0)]);
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec() }
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.bytes == other.as_bytes()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str_lossy(), f)
    }
}

/// Names and their values, in the order in which the names first came; each name once.
#[derive(Clone, Default)]
pub struct Object {
    members: Vec<(Text, Value)>,
    /// Where each stands in `members`, by name.
    by_name: Vec<usize>,
    /// Whether a name came more than once.
    has_repeated: bool,
}

impl Object {
    /// No members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of all that came, in order: a name that comes again keeps its place and takes the new value.
    pub(crate) fn from_all(all: Vec<(Text, Value)>) -> Self {
        let count = all.len();
        let mut by_name: Vec<usize> = (0..count).collect();
        by_name.sort_by(|a, b| all[*a].0.cmp(&all[*b].0).then(a.cmp(b)));
        // Where the value of each first one is, or nothing for those that came again.
        let mut value_at: Vec<Option<usize>> = vec![None; all.len()];
        for same in by_name.chunk_by(|a, b| all[*a].0 == all[*b].0) {
            if let [first, ..] = same {
                value_at[*first] = same.last().copied();
            }
        }
        let (names, mut values): (Vec<_>, Vec<_>) =
            all.into_iter().map(|(name, value)| (name, Some(value))).unzip();
        let members: Vec<(Text, Value)> = names
            .into_iter()
            .zip(value_at)
            .filter_map(|(name, at)| Some((name, values.get_mut(at?)?.take()?)))
            .collect();
        let has_repeated = members.len() < count;
        let mut by_name: Vec<usize> = (0..members.len()).collect();
        by_name.sort_by(|a, b| members[*a].0.cmp(&members[*b].0));
        Self { members, by_name, has_repeated }
    }

    /// The value under `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at =
            self.by_name.binary_search_by(|at| self.members[*at].0.bytes.as_slice().cmp(name.as_bytes()));
        at.ok().map(|at| &self.members[self.by_name[at]].1)
    }

    /// Puts a value under `name`: in its place if the name is there, else behind the others.
    pub fn insert(&mut self, name: &str, value: Value) {
        let name = Text::from(name);
        match self.by_name.binary_search_by(|at| self.members[*at].0.cmp(&name)) {
            Ok(at) => self.members[self.by_name[at]].1 = value,
            Err(at) => {
                self.by_name.insert(at, self.members.len());
                self.members.push((name, value));
            }
        }
    }

    /// Puts all members of the other one behind these, or in their places.
    pub(crate) fn extend(&mut self, other: &Self) {
        let all = self.members.drain(..).chain(other.members.iter().cloned()).collect();
        *self = Self { has_repeated: self.has_repeated || other.has_repeated, ..Self::from_all(all) };
    }

    /// The same without the member `name`.
    #[must_use]
    pub(crate) fn without(&self, name: &str) -> Self {
        let others = self.members.iter().filter(|member| member.0 != *name).cloned().collect();
        Self { has_repeated: self.has_repeated, ..Self::from_all(others) }
    }

    /// All members, in the order in which their names first came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        self.members.iter().map(|(name, value)| (name, value))
    }

    /// All members, ordered by the code points of their names.
    pub fn iter_by_name(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        self.by_name.iter().map(|at| (&self.members[*at].0, &self.members[*at].1))
    }

    /// Whether a name came more than once where this was read: which of its values counts, not all readers agree about.
    #[must_use]
    pub fn has_repeated(&self) -> bool {
        self.has_repeated
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        for (text, expected) in [
            ("0", Some("0")),
            ("-0", Some("0")),
            ("-000", Some("0")),
            ("007", Some("7")),
            ("-10", Some("-10")),
            ("123456789012345678901234567890", Some("123456789012345678901234567890")),
            ("", None),
            ("-", None),
            ("+1", None),
            ("1.0", None),
            ("--1", None),
            ("٣", None),
        ] {
            assert_eq!(Int::parse(text).as_ref().map(Int::digits), expected, "{text}");
        }
    }

    #[test]
    fn text_holds_lone_surrogates_in_the_order_of_code_points() {
        let points = [
            0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff, 0x10000,
            0x10ffff,
        ];
        let texts: Vec<Text> = points
            .iter()
            .map(|point| {
                let mut text = Text::from("a");
                text.push(*point);
                text
            })
            .collect();
        for (text, point) in texts.iter().zip(points) {
            assert_eq!(text.code_points().collect::<Vec<_>>(), [u32::from(b'a'), point]);
            assert_eq!(text.as_str().is_some(), char::from_u32(point).is_some(), "{point:x}");
        }
        assert!(texts.is_sorted());
    }

    #[test]
    fn a_name_that_comes_again_keeps_its_place_and_takes_the_new_value() {
        let names = ["b", "a", "b", "c", "a", "b"];
        let all =
            names.iter().zip(0_i64..).map(|(name, n)| (Text::from(*name), Value::Int(n.into()))).collect();
        let mut object = Object::from_all(all);
        let shown = |object: &Object| format!("{object:?}");
        assert_eq!(shown(&object), r#"{"b": Int(Int(5)), "a": Int(Int(4)), "c": Int(Int(3))}"#);
        assert_eq!(object.iter_by_name().map(|(name, _)| name.as_str().unwrap()).collect::<String>(), "abc");
        object.insert("a", Value::Null);
        object.insert("", Value::Null);
        assert_eq!(shown(&object), r#"{"b": Int(Int(5)), "a": Null, "c": Int(Int(3)), "": Null}"#);
        assert!(matches!(object.get("c"), Some(Value::Int(_))) && object.get("d").is_none());
        assert_eq!((object.len(), object.get("").is_some()), (4, true));
    }
}
