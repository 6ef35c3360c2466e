//! Distinguished names (RFC 5280 §4.1.2.4), kept as they came.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::der_reader::{Element, Reader, tag};
use crate::der_writer::sequence;
use crate::error::{NameError, ParseError};
use crate::oid::{self, ObjectIdentifier};

/// A subject or an issuer: its DER, verbatim. Two are equal when their bytes are. Cloning shares them.
///
/// `Display` is RFC 4514: the last attribute first, as in `CN=host,O=company`. Attributes without a
/// name in that standard are called by their number, and their text is written as text nevertheless.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<[u8]>);

/// ub-common-name (RFC 5280 §A.1), in characters.
const COMMON_NAME_MAX: usize = 64;

impl Name {
    /// One common name and nothing else, as UTF8String.
    ///
    /// # Errors
    /// When it is empty or has more than 64 characters.
    pub fn from_common_name(text: &str) -> Result<Self, NameError> {
        match text.chars().count() {
            0 => Err(NameError::Empty),
            1..=COMMON_NAME_MAX => Ok(Self(
                sequence(|name| {
                    name.nested(tag::SET, |set| {
                        set.sequence(|attribute| {
                            attribute.oid(&oid::COMMON_NAME);
                            attribute.element(tag::UTF8_STRING, text.as_bytes());
                        });
                    });
                })
                .into(),
            )),
            _ => Err(NameError::TooLong),
        }
    }

    /// The name without attributes.
    #[must_use]
    pub fn empty() -> Self {
        Self(sequence(|_| {}).into())
    }

    /// Takes the DER of a name.
    ///
    /// # Errors
    /// When it is not a sequence of non-empty sets of pairs of an object identifier and a value; values
    /// may be anything.
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        let mut relative_names = Reader::whole(der, tag::SEQUENCE, "name")?;
        while !relative_names.is_empty() {
            let mut set = relative_names.inside(tag::SET)?;
            loop {
                attribute(&mut set)?;
                if set.is_empty() {
                    break;
                }
            }
        }
        Ok(Self(der.into()))
    }

    /// Whether it has no attributes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 2
    }

    /// The last common name in it, the most specific one, if it is text.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        let attributes = self.attributes().into_iter().flatten();
        let mut values = attributes.filter(|(kind, _)| *kind == oid::COMMON_NAME).map(|(_, value)| value);
        values.next_back().and_then(|value| text(&value))
    }

    /// Its DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Self::from_der(reader.expect(tag::SEQUENCE)?.der)
    }

    /// The relative names, each a set of attributes.
    fn attributes(&self) -> Vec<Vec<(ObjectIdentifier, Element<'_>)>> {
        let read = || {
            let mut relative_names = Reader::whole(&self.0, tag::SEQUENCE, "name")?;
            let mut all = Vec::new();
            while !relative_names.is_empty() {
                let mut set = relative_names.inside(tag::SET)?;
                let mut attributes = Vec::new();
                while !set.is_empty() {
                    attributes.push(attribute(&mut set)?);
                }
                all.push(attributes);
            }
            Ok::<_, ParseError>(all)
        };
        read().expect("a name is checked when it is made")
    }
}

fn attribute<'a>(set: &mut Reader<'a>) -> Result<(ObjectIdentifier, Element<'a>), ParseError> {
    let mut attribute = set.inside(tag::SEQUENCE)?;
    let pair = (attribute.oid()?, attribute.any()?);
    attribute.finish()?;
    Ok(pair)
}

/// The text of a value; `None` when it is no string, or not a valid one.
fn text(value: &Element<'_>) -> Option<String> {
    match value.tag {
        // NumericString, PrintableString, IA5String and VisibleString are parts of ASCII.
        tag::UTF8_STRING | 0x12 | 0x13 | 0x16 | 0x1a => String::from_utf8(value.content.to_vec()).ok(),
        // T61String is read as Latin-1, which is what is written into it.
        0x14 => Some(value.content.iter().map(|byte| char::from(*byte)).collect()),
        // BMPString: two bytes a character.
        0x1e => {
            let (units, rest) = value.content.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            rest.is_empty().then(|| char::decode_utf16(units).collect::<Result<_, _>>().ok())?
        }
        // UniversalString: four.
        0x1c => {
            let (units, rest) = value.content.as_chunks::<4>();
            let units = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit)));
            rest.is_empty().then(|| units.collect())?
        }
        _ => None,
    }
}

/// The names of RFC 4514 §3.
fn short_name(kind: &ObjectIdentifier) -> Option<&'static str> {
    Some(match kind.as_bytes() {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "STREET",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        // 0.9.2342.19200300.100.1.1 and .25.
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        _ => return None,
    })
}

/// Escapes what RFC 4514 §2.4 says, and control characters, so that a name stays on its line.
fn escape(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let last = text.chars().count().saturating_sub(1);
    for (at, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{character}")?,
            '#' if at == 0 => f.write_str("\\#")?,
            ' ' if at == 0 || at == last => f.write_str("\\ ")?,
            _ if character.is_control() => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    write!(f, "\\{byte:02x}")?;
                }
            }
            _ => f.write_char(character)?,
        }
    }
    Ok(())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, relative_name) in self.attributes().iter().rev().enumerate() {
            for (within, (kind, value)) in relative_name.iter().enumerate() {
                f.write_str(match (at, within) {
                    (0, 0) => "",
                    (_, 0) => ",",
                    _ => "+",
                })?;
                match short_name(kind) {
                    Some(name) => write!(f, "{name}=")?,
                    None => write!(f, "{kind}=")?,
                }
                match text(value) {
                    Some(text) => escape(&text, f)?,
                    None => write!(f, "#{}", base::hex::encode(value.der))?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind, the tag of the value and its content.
    type Attribute<'a> = (&'a str, u8, &'a [u8]);

    /// A name of `attributes`, each in a set of its own.
    fn name(attributes: &[Attribute<'_>]) -> Name {
        let der = sequence(|name| {
            for (kind, tag, value) in attributes {
                name.nested(tag::SET, |set| {
                    set.sequence(|attribute| {
                        attribute.oid(&ObjectIdentifier::new(kind).unwrap());
                        attribute.element(*tag, value);
                    });
                });
            }
        });
        Name::from_der(&der).unwrap()
    }

    #[test]
    fn is_written_as_rfc_4514_says() {
        const CN: &str = "2.5.4.3";
        let table: &[(&[Attribute<'_>], &str)] = &[
            (&[], ""),
            (&[("2.5.4.10", 0x13, b"Company"), (CN, 0x0c, b"host")], "CN=host,O=Company"),
            (&[(CN, 0x0c, b" #a,b+\"c\"\\<d>;e ")], r##"CN=\ #a\,b\+\"c\"\\\<d\>\;e\ "##),
            (&[(CN, 0x0c, b"#x")], r"CN=\#x"),
            (&[(CN, 0x0c, b"a\nb\0")], r"CN=a\0ab\00"),
            (&[(CN, 0x1e, &[0x20, 0xac, 0, b'x'])], "CN=€x"),
            (&[(CN, 0x1c, &[0, 0, 0x20, 0xac])], "CN=€"),
            (&[(CN, 0x14, &[0xe9])], "CN=é"),
            (&[(CN, 0x0c, &[0xff])], "CN=#0c01ff"),
            (&[(CN, 0x1e, &[0])], "CN=#1e0100"),
            (&[(CN, 0x30, &[])], "CN=#3000"),
            (&[("1.2.840.113549.1.9.1", 0x16, b"a@b.c")], "1.2.840.113549.1.9.1=a@b.c"),
            (
                &[("0.9.2342.19200300.100.1.25", 0x16, b"c"), ("0.9.2342.19200300.100.1.1", 0x0c, b"u")],
                "UID=u,DC=c",
            ),
        ];
        for (attributes, text) in table {
            assert_eq!(name(attributes).to_string(), *text);
        }
    }

    #[test]
    fn several_attributes_of_one_relative_name_are_joined() {
        let der = sequence(|name| {
            name.nested(tag::SET, |set| {
                for (kind, value) in
                    [(oid::COMMON_NAME, b"a"), (ObjectIdentifier::new("2.5.4.11").unwrap(), b"b")]
                {
                    set.sequence(|attribute| {
                        attribute.oid(&kind);
                        attribute.element(tag::UTF8_STRING, value);
                    });
                }
            });
        });
        assert_eq!(Name::from_der(&der).unwrap().to_string(), "CN=a+OU=b");
    }

    #[test]
    fn common_names() {
        assert_eq!(Name::from_common_name("Ünï").unwrap().common_name().as_deref(), Some("Ünï"));
        assert_eq!(
            Name::from_common_name("host").unwrap().der(),
            b"\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04host"
        );
        assert!(Name::from_common_name(&"é".repeat(64)).is_ok());
        assert_eq!(Name::from_common_name(&"x".repeat(65)), Err(NameError::TooLong));
        assert_eq!(Name::from_common_name(""), Err(NameError::Empty));
        assert_eq!(Name::empty().common_name(), None);
        assert!(Name::empty().is_empty());
        assert!(!Name::from_common_name("host").unwrap().is_empty());
        let two = name(&[("2.5.4.3", 0x0c, b"first"), ("2.5.4.3", 0x0c, b"last")]);
        assert_eq!(two.common_name().as_deref(), Some("last"));
    }

    #[test]
    fn refuses_other_shapes() {
        for der in [&[][..], &[0x31, 0], &[0x30, 0, 0], &[0x30, 2, 0x31, 0], &[0x30, 4, 0x31, 2, 0x30, 0]] {
            assert!(Name::from_der(der).is_err(), "{der:02x?}");
        }
    }
}
