//! Writes DER (X.690 §10) into one buffer.

use crate::der_reader::tag;
use crate::oid::ObjectIdentifier;

/// Appends elements to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// With room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends what is DER already.
    pub(crate) fn raw(&mut self, der: &[u8]) {
        self.bytes.extend_from_slice(der);
    }

    /// Appends an element with `content`.
    pub(crate) fn element(&mut self, tag: u8, content: &[u8]) {
        self.nested(tag, |writer| writer.raw(content));
    }

    /// Appends an element whose content is what `write` appends.
    pub(crate) fn nested(&mut self, tag: u8, write: impl FnOnce(&mut Self)) {
        self.bytes.push(tag);
        // One byte is kept for the length; a long content is moved up to make room for more.
        let length_at = self.bytes.len();
        self.bytes.push(0);
        write(self);
        let length = self.bytes.len() - length_at - 1;
        match u8::try_from(length) {
            Ok(short @ 0..=0x7f) => self.bytes[length_at] = short,
            _ => {
                let digits = length.to_be_bytes();
                let zeros = digits.iter().take_while(|digit| **digit == 0).count();
                let digits = &digits[zeros..];
                let count = u8::try_from(digits.len()).expect("a usize has at most 8 bytes");
                self.bytes.splice(
                    length_at..=length_at,
                    std::iter::once(0x80 | count).chain(digits.iter().copied()),
                );
            }
        }
    }

    /// Appends a SEQUENCE.
    pub(crate) fn sequence(&mut self, write: impl FnOnce(&mut Self)) {
        self.nested(tag::SEQUENCE, write);
    }

    /// Appends an OBJECT IDENTIFIER.
    pub(crate) fn oid(&mut self, oid: &ObjectIdentifier) {
        self.element(tag::OBJECT_IDENTIFIER, oid.as_bytes());
    }

    /// Appends an INTEGER with the value of `big_endian`, which is not negative.
    pub(crate) fn unsigned(&mut self, big_endian: &[u8]) {
        let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
        let digits = &big_endian[zeros..];
        self.nested(tag::INTEGER, |writer| {
            // Zero has one byte, and a first bit that is set would mean a negative number.
            if digits.first().is_none_or(|first| *first >= 0x80) {
                writer.bytes.push(0);
            }
            writer.raw(digits);
        });
    }

    /// Appends a BIT STRING of whole bytes.
    pub(crate) fn bit_string(&mut self, bytes: &[u8]) {
        self.nested(tag::BIT_STRING, |writer| {
            writer.bytes.push(0);
            writer.raw(bytes);
        });
    }
}

/// One SEQUENCE.
pub(crate) fn sequence(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.sequence(write);
    writer.into_bytes()
}

/// One element with `content`.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.element(tag, content);
    writer.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_few_bytes_as_they_need() {
        let table: &[(usize, &[u8])] = &[
            (0, &[4, 0]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (255, &[4, 0x81, 255]),
            (256, &[4, 0x82, 1, 0]),
            (65_536, &[4, 0x83, 1, 0, 0]),
        ];
        for (length, head) in table {
            let der = element(tag::OCTET_STRING, &vec![7; *length]);
            assert_eq!(&der[..head.len()], *head);
            assert_eq!(&der[head.len()..], vec![7; *length]);
        }
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        let table: &[(&[u8], &[u8])] = &[
            (&[], &[2, 1, 0]),
            (&[0, 0], &[2, 1, 0]),
            (&[0, 5], &[2, 1, 5]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0, 0xff, 1], &[2, 3, 0, 0xff, 1]),
        ];
        for (value, der) in table {
            let mut writer = Writer::default();
            writer.unsigned(value);
            assert_eq!(writer.into_bytes(), *der);
        }
    }

    #[test]
    fn nests() {
        let der = sequence(|outer| {
            outer.sequence(|inner| inner.element(tag::OCTET_STRING, &[1; 200]));
            outer.bit_string(&[9]);
        });
        assert_eq!(&der[..6], &[0x30, 0x81, 210, 0x30, 0x81, 203]);
        assert_eq!(&der[der.len() - 4..], &[3, 2, 0, 9]);
    }
}
