//! Distinguished names (RFC 5280 §4.1.2.4), kept as they came.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::attribute;
use crate::der_reader::{Element, Reader, tag};
use crate::der_writer::sequence;
use crate::error::{BadName, NameError, ParseError};
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
                read_attribute(&mut set)?;
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
        let mut names = attributes.filter(|attribute| attribute.kind == oid::COMMON_NAME);
        names.next_back().and_then(|attribute| attribute::text(&attribute.value))
    }

    /// The texts of all its attributes of this kind, in order; those that are no text are left out.
    #[must_use]
    pub fn texts(&self, kind: &ObjectIdentifier) -> Vec<String> {
        let attributes = self.attributes().into_iter().flatten();
        let of_kind = attributes.filter(|attribute| attribute.kind == *kind);
        of_kind.filter_map(|attribute| attribute::text(&attribute.value)).collect()
    }

    /// The kinds of its attributes, in order.
    pub(crate) fn kinds(&self) -> Vec<ObjectIdentifier> {
        self.attributes().into_iter().flatten().map(|attribute| attribute.kind).collect()
    }

    /// Whether it follows the rules for names in certificates: every value has the syntax of its attribute,
    /// no relative name has an attribute twice, and the domain components are a domain name.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), BadName> {
        for relative_name in self.attributes() {
            // The order of X.690 §11.6; no element is the beginning of another.
            if !relative_name.is_sorted_by_key(|attribute| attribute.der) {
                let rule = "is not in the order of DER (X.690 §11.6)";
                return Err(BadName::new("relative distinguished name", rule));
            }
            let mut seen = HashSet::new();
            for Attribute { kind, value, .. } in &relative_name {
                attribute::check(kind, value)?;
                if !seen.insert(*kind) {
                    let rule = "appears twice in one relative distinguished name (X.501 §9.3)";
                    return Err(BadName::new(&attribute::name_of(kind), rule));
                }
            }
        }
        attribute::check_domain(&self.texts(&oid::DOMAIN_COMPONENT))
    }

    /// Its DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Self::from_der(reader.expect(tag::SEQUENCE)?.der)
    }

    /// As `Display`, but control characters are in it as they are, other than NUL: what RFC 4514 asks for and no more. Whoever
    /// shows it has to look after the others.
    #[must_use]
    pub fn to_bare_text(&self) -> String {
        let mut text = String::new();
        let _ = self.write(|character| character == '\0', &mut text); // to a String: cannot fail
        text
    }

    fn write(&self, is_escaped: fn(char) -> bool, f: &mut impl fmt::Write) -> fmt::Result {
        for (at, relative_name) in self.attributes().iter().rev().enumerate() {
            for (within, Attribute { kind, value, .. }) in relative_name.iter().enumerate() {
                f.write_str(match (at, within) {
                    (0, 0) => "",
                    (_, 0) => ",",
                    _ => "+",
                })?;
                match short_name(kind) {
                    Some(name) => write!(f, "{name}=")?,
                    None => write!(f, "{kind}=")?,
                }
                match attribute::text(value) {
                    Some(text) => escape(&text, is_escaped, f)?,
                    None => write!(f, "#{}", base::hex::encode(value.der))?,
                }
            }
        }
        Ok(())
    }

    /// The relative names, each a set of attributes.
    fn attributes(&self) -> Vec<Vec<Attribute<'_>>> {
        let read = || {
            let mut relative_names = Reader::whole(&self.0, tag::SEQUENCE, "name")?;
            let mut all = Vec::new();
            while !relative_names.is_empty() {
                let mut set = relative_names.inside(tag::SET)?;
                let mut attributes = Vec::new();
                while !set.is_empty() {
                    attributes.push(read_attribute(&mut set)?);
                }
                all.push(attributes);
            }
            Ok::<_, ParseError>(all)
        };
        read().expect("a name is checked when it is made")
    }
}

/// One attribute of a name.
struct Attribute<'a> {
    kind: ObjectIdentifier,
    value: Element<'a>,
    /// All of its bytes.
    der: &'a [u8],
}

fn read_attribute<'a>(set: &mut Reader<'a>) -> Result<Attribute<'a>, ParseError> {
    let whole = set.expect(tag::SEQUENCE)?;
    let mut inside = Reader::new(whole.content, "name");
    let attribute = Attribute { kind: inside.oid()?, value: inside.any()?, der: whole.der };
    inside.finish()?;
    Ok(attribute)
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

/// Escapes what RFC 4514 §2.4 says, and of control characters those that `is_escaped` says.
fn escape(text: &str, is_escaped: fn(char) -> bool, f: &mut impl fmt::Write) -> fmt::Result {
    let last = text.chars().count().saturating_sub(1);
    for (at, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{character}")?,
            '#' if at == 0 => f.write_str("\\#")?,
            ' ' if at == 0 || at == last => f.write_str("\\ ")?,
            _ if is_escaped(character) => {
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

/// So that a name stays on its line.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(char::is_control, f)
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
        let bare = name(&[(CN, 0x0c, "a\nb\0\u{9f},é".as_bytes())]).to_bare_text();
        assert_eq!(bare, "CN=a\nb\\00\u{9f}\\,é");
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
    fn the_rules_for_names() {
        let why = |name: &Name| name.check().err().map(|bad| bad.to_string());
        let set = |attributes: &[(&str, &[u8])]| {
            let der = sequence(|name| {
                name.nested(tag::SET, |set| {
                    for (kind, value) in attributes {
                        set.sequence(|attribute| {
                            attribute.oid(&ObjectIdentifier::new(kind).unwrap());
                            attribute.element(tag::UTF8_STRING, value);
                        });
                    }
                });
            });
            Name::from_der(&der).unwrap()
        };
        assert_eq!(why(&Name::empty()), None);
        assert_eq!(why(&set(&[("2.5.4.3", b"a"), ("2.5.4.10", b"a"), ("2.5.4.11", b"aa")])), None);
        assert_eq!(
            why(&set(&[("2.5.4.11", b"a"), ("2.5.4.3", b"a")])).as_deref(),
            Some("relative distinguished name is not in the order of DER (X.690 §11.6)")
        );
        assert_eq!(
            why(&set(&[("2.5.4.3", b"a"), ("2.5.4.3", b"b")])).as_deref(),
            Some("commonName appears twice in one relative distinguished name (X.501 §9.3)")
        );
        let dc = "0.9.2342.19200300.100.1.25";
        assert_eq!(why(&name(&[(dc, 0x16, b"com"), (dc, 0x16, b"example")])), None);
        assert_eq!(
            why(&name(&[(dc, 0x16, b"com"), (dc, 0x16, b"a b")])).as_deref(),
            Some("domainComponent \"a b.com\" is not a host name (RFC 4519 §2.4)")
        );
        assert_eq!(why(&name(&[("2.5.4.6", 0x13, b"FR"), ("2.5.4.3", 0x0c, b"a")])), None);
        assert!(why(&name(&[("2.5.4.3", 0x0c, b"a"), ("2.5.4.6", 0x13, b"F")])).is_some());
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
