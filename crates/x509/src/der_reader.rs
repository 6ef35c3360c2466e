//! A strict reader of DER (X.690 §8 and §10), which is all that RFC 5280 allows.
//!
//! It knows tags of one byte and definite lengths of up to four, written with as few bytes as they
//! need. It hands out slices of what it was given, never copies, and goes into a constructed element
//! only when asked to: there is no recursion to run away.

use crate::error::ParseError;
use crate::oid::ObjectIdentifier;

/// The tags used here (X.680 §8.4); constructed ones have bit 0x20 set.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[number]`, primitive.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// `[number]`, constructed.
    pub(crate) const fn constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// One element: a tag, a length and a content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    /// The tag byte.
    pub(crate) tag: u8,
    /// The bytes after the length.
    pub(crate) content: &'a [u8],
    /// All its bytes, tag and length included.
    pub(crate) der: &'a [u8],
}

/// Reads elements one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// What is being read, for the error.
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Over the elements in `bytes`, which belong to a `what` (the error says `the {what} is not DER`).
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// Inside the one element that `bytes` are, which must have `tag` and nothing after it.
    pub(crate) fn whole(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<Self, ParseError> {
        let mut reader = Self::new(bytes, what);
        let inside = reader.inside(tag)?;
        reader.finish()?;
        Ok(inside)
    }

    /// Says that this part is malformed.
    pub(crate) fn malformed(&self) -> ParseError {
        ParseError::Der { what: self.what }
    }

    /// The same reader under another name.
    pub(crate) fn named(mut self, what: &'static str) -> Self {
        self.what = what;
        self
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), ParseError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }

    /// The next element, whatever its tag.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, ParseError> {
        let (element, rest) = split(self.rest).ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(element)
    }

    /// The next element if it has `tag`.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, ParseError> {
        if self.rest.first() == Some(&tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// The next element, which must have `tag`.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, ParseError> {
        self.optional(tag)?.ok_or_else(|| self.malformed())
    }

    /// A reader inside the next element, which must have `tag`.
    pub(crate) fn inside(&mut self, tag: u8) -> Result<Self, ParseError> {
        Ok(Self::new(self.expect(tag)?.content, self.what))
    }

    /// The next element, which must be an OBJECT IDENTIFIER.
    pub(crate) fn oid(&mut self) -> Result<ObjectIdentifier, ParseError> {
        let content = self.expect(tag::OBJECT_IDENTIFIER)?.content;
        ObjectIdentifier::from_bytes(content).ok_or_else(|| self.malformed())
    }

    /// The next element, which must be an INTEGER that is not negative: its value, big-endian, without
    /// leading zeros (so zero is empty).
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8], ParseError> {
        match self.expect(tag::INTEGER)?.content {
            [0] => Ok(&[]),
            [0, rest @ ..] if rest[0] >= 0x80 => Ok(rest),
            content @ [1..=0x7f, ..] => Ok(content),
            // Empty, negative, or with a zero too many in front.
            _ => Err(self.malformed()),
        }
    }

    /// The next element, which must be an INTEGER from 0 to 2⁶⁴−1.
    pub(crate) fn number(&mut self) -> Result<u64, ParseError> {
        let bytes = self.unsigned()?;
        if bytes.len() > 8 {
            return Err(self.malformed());
        }
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// `BOOLEAN DEFAULT FALSE`: false when absent; DER writes neither the default nor any other truth
    /// than 0xff.
    pub(crate) fn flag(&mut self) -> Result<bool, ParseError> {
        match self.optional(tag::BOOLEAN)? {
            None => Ok(false),
            Some(Element { content: [0xff], .. }) => Ok(true),
            Some(_) => Err(self.malformed()),
        }
    }

    /// The next element, which must be a BIT STRING of whole bytes.
    pub(crate) fn bit_string(&mut self) -> Result<&'a [u8], ParseError> {
        match self.expect(tag::BIT_STRING)?.content {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(self.malformed()),
        }
    }
}

/// The first element of `bytes`, and what follows it.
fn split(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, after_tag) = bytes.split_first()?;
    // 0x1f announces a tag of several bytes, which nothing in these formats has.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, after_first) = after_tag.split_first()?;
    let (length, content) = match first {
        0..=0x7f => (usize::from(first), after_first),
        0x81..=0x84 => {
            let (digits, content) = after_first.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0_u64, |length, digit| length << 8 | u64::from(*digit));
            // As few bytes as it needs: neither a leading zero nor the long form of a short length.
            if digits[0] == 0 || length < 0x80 {
                return None;
            }
            (usize::try_from(length).ok()?, content)
        }
        _ => return None,
    };
    let (content, rest) = content.split_at_checked(length)?;
    Some((Element { tag, content, der: &bytes[..bytes.len() - rest.len()] }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_elements_and_refuses_what_is_not_der() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 128]].concat();
        let table: &[(&[u8], Option<usize>)] = &[
            (&[0x05, 0x00], Some(0)),
            (&[0x04, 0x02, 1, 2], Some(2)),
            (&long, Some(128)),
            (&[], None),
            (&[0x04], None),
            (&[0x04, 0x02, 1], None),
            (&[0x04, 0x80, 0, 0], None),
            (&[0x04, 0x81, 0x01, 1], None),
            (&[0x04, 0x82, 0x00, 0x80], None),
            (&[0x04, 0x85, 1, 0, 0, 0, 0], None),
            (&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff], None),
            (&[0x1f, 0x01, 0x00], None),
        ];
        for (bytes, length) in table {
            let element = Reader::new(bytes, "test").any().ok();
            assert_eq!(element.map(|element| element.content.len()), *length, "{bytes:02x?}");
        }
    }

    #[test]
    fn integers_have_one_form() {
        let table: &[(&[u8], Option<u64>)] = &[
            (&[2, 1, 0], Some(0)),
            (&[2, 1, 0x7f], Some(0x7f)),
            (&[2, 2, 0, 0x80], Some(0x80)),
            (&[2, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255], Some(u64::MAX)),
            (&[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0], None),
            (&[2, 0], None),
            (&[2, 1, 0x80], None),
            (&[2, 2, 0, 1], None),
        ];
        for (bytes, number) in table {
            assert_eq!(Reader::new(bytes, "test").number().ok(), *number, "{bytes:02x?}");
        }
    }

    #[test]
    fn nothing_may_follow_the_whole() {
        assert!(Reader::whole(&[0x30, 0x00], tag::SEQUENCE, "test").is_ok());
        assert!(Reader::whole(&[0x30, 0x00, 0x00], tag::SEQUENCE, "test").is_err());
        assert!(Reader::whole(&[0x31, 0x00], tag::SEQUENCE, "test").is_err());
    }

    #[test]
    fn truth_has_one_form() {
        let flag = |bytes| Reader::new(bytes, "test").flag().ok();
        assert_eq!(flag(&[]), Some(false));
        assert_eq!(flag(&[1, 1, 0xff]), Some(true));
        assert_eq!(flag(&[1, 1, 0]), None);
        assert_eq!(flag(&[1, 1, 1]), None);
    }
}
