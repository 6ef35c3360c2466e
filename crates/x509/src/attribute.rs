//! The attributes that names are made of: what they are called, and what their values may be (RFC 5280
//! §4.1.2.4 and appendix A.1; RFC 2985 for those of PKCS #9, X.520 for the rest).

use crate::der_reader::{Element, Reader, tag};
use crate::der_writer::element;
use crate::error::BadName;
use crate::internet_name;
use crate::oid::{self, ObjectIdentifier};
use crate::time;

const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const T61_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const VISIBLE_STRING: u8 = 0x1a;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// What the value of an attribute may be.
#[derive(Debug, Clone, Copy)]
enum Syntax {
    /// DirectoryString of 1 to so many characters.
    Text(usize),
    /// The same, or IA5String.
    AsciiOrText(usize),
    /// PrintableString of so many characters.
    Printable(usize, usize),
    /// A country (ISO 3166), two letters as PrintableString.
    Country,
    /// One of these four letters as PrintableString (RFC 3739 §3.3.3).
    Gender,
    /// IA5String with a mailbox.
    Mailbox,
    /// One label of a domain name as IA5String (RFC 4519 §2.4).
    DomainComponent,
    /// GeneralizedTime (RFC 3739 §3.3.1).
    Time,
    /// An attribute of other things than names.
    None,
}

/// ub-name (RFC 5280 §A.1).
const NAME_MAX: usize = 32_768;
/// pkcs-9-ub-pkcs9String and its like (RFC 2985 §A).
const PKCS9_MAX: usize = 255;
const UNBOUNDED: usize = usize::MAX;

const fn number(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// Attributes with a value of their own; all others have a DirectoryString of any length, as RFC 5280
/// §4.1.2.4 says of attributes in general.
static KINDS: &[(ObjectIdentifier, &str, Syntax)] = &[
    (number("2.5.4.3"), "commonName", Syntax::Text(64)),
    (number("2.5.4.4"), "surname", Syntax::Text(NAME_MAX)),
    (number("2.5.4.5"), "serialNumber", Syntax::Printable(1, 64)),
    (number("2.5.4.6"), "countryName", Syntax::Country),
    (number("2.5.4.7"), "localityName", Syntax::Text(128)),
    (number("2.5.4.8"), "stateOrProvinceName", Syntax::Text(128)),
    (number("2.5.4.9"), "streetAddress", Syntax::Text(128)),
    (number("2.5.4.10"), "organizationName", Syntax::Text(64)),
    (number("2.5.4.11"), "organizationalUnitName", Syntax::Text(64)),
    (number("2.5.4.12"), "title", Syntax::Text(64)),
    (number("2.5.4.15"), "businessCategory", Syntax::Text(128)),
    (number("2.5.4.17"), "postalCode", Syntax::Text(40)),
    (number("2.5.4.41"), "name", Syntax::Text(NAME_MAX)),
    (number("2.5.4.42"), "givenName", Syntax::Text(NAME_MAX)),
    (number("2.5.4.43"), "initials", Syntax::Text(NAME_MAX)),
    (number("2.5.4.44"), "generationQualifier", Syntax::Text(NAME_MAX)),
    (number("2.5.4.46"), "dnQualifier", Syntax::Printable(0, UNBOUNDED)),
    (number("2.5.4.65"), "pseudonym", Syntax::Text(PKCS9_MAX)),
    (number("2.5.4.97"), "organizationIdentifier", Syntax::Text(UNBOUNDED)),
    (number("0.9.2342.19200300.100.1.1"), "userId", Syntax::Text(UNBOUNDED)),
    (number("0.9.2342.19200300.100.1.25"), "domainComponent", Syntax::DomainComponent),
    (number("1.2.840.113549.1.9.1"), "emailAddress", Syntax::Mailbox),
    (number("1.2.840.113549.1.9.2"), "unstructuredName", Syntax::AsciiOrText(PKCS9_MAX)),
    (number("1.2.840.113549.1.9.7"), "challengePassword", Syntax::Text(PKCS9_MAX)),
    (number("1.2.840.113549.1.9.8"), "unstructuredAddress", Syntax::Text(PKCS9_MAX)),
    (number("1.2.840.113549.1.9.9"), "extendedCertificateAttributes", Syntax::None),
    (number("1.2.840.113549.1.9.14"), "extensionRequest", Syntax::None),
    (number("1.2.840.113549.1.9.25.2"), "encryptedPrivateKeyInfo", Syntax::None),
    (number("1.2.840.113549.1.9.25.5"), "pkcs7PDU", Syntax::None),
    (number("2.16.840.1.113730.3.1.216"), "userPKCS12", Syntax::None),
    (number("1.3.6.1.5.5.7.9.1"), "dateOfBirth", Syntax::Time),
    (number("1.3.6.1.5.5.7.9.2"), "placeOfBirth", Syntax::Text(PKCS9_MAX)),
    (number("1.3.6.1.5.5.7.9.3"), "gender", Syntax::Gender),
    (number("1.3.6.1.5.5.7.9.4"), "countryOfCitizenship", Syntax::Country),
    (number("1.3.6.1.5.5.7.9.5"), "countryOfResidence", Syntax::Country),
];

/// What an attribute is called; its number when it is not known here.
pub(crate) fn name_of(kind: &ObjectIdentifier) -> String {
    known(kind).map_or_else(|| kind.to_string(), |(name, _)| name.to_owned())
}

fn known(kind: &ObjectIdentifier) -> Option<(&'static str, Syntax)> {
    KINDS.iter().find(|(number, ..)| number == kind).map(|(_, name, syntax)| (*name, *syntax))
}

/// Whether `value` may be the value of an attribute of this kind.
pub(crate) fn check(kind: &ObjectIdentifier, value: &Element<'_>) -> Result<(), BadName> {
    let (_, syntax) = known(kind).unwrap_or(("", Syntax::Text(UNBOUNDED)));
    let name = name_of(kind);
    let Some(text) = text(value) else {
        return Err(BadName::new(&name, "is not text (RFC 5280 §4.1.2.4)"));
    };
    let length = text.chars().count();
    let is_directory_string = is_directory_string_tag(value.tag);
    let wrong_length = |max: usize| {
        let rule = match length {
            0 => "is empty (RFC 5280 appendix A.1)".to_owned(),
            _ => format!("has {length} characters, more than {max} (RFC 5280 appendix A.1)"),
        };
        Err(BadName::new(&name, &rule))
    };
    let is_printable_string = value.tag == PRINTABLE_STRING;
    let rule = match syntax {
        _ if value.tag == PRINTABLE_STRING && !text.bytes().all(is_printable) => {
            "has characters that no PrintableString has (X.680 §41.4)"
        }
        _ if value.tag == UNIVERSAL_STRING => "is a UniversalString, which is out of use (RFC 5280 §4.1.2.4)",
        Syntax::Text(_) if !is_directory_string => "is not a DirectoryString (RFC 5280 §4.1.2.4)",
        Syntax::AsciiOrText(_) if !is_directory_string && value.tag != IA5_STRING => {
            "is neither an IA5String nor a DirectoryString (RFC 2985 §5.4.1)"
        }
        Syntax::Text(max) | Syntax::AsciiOrText(max) if !(1..=max).contains(&length) => {
            return wrong_length(max);
        }
        Syntax::Printable(..) | Syntax::Gender if !is_printable_string => {
            "is not a PrintableString (RFC 5280 appendix A.1)"
        }
        Syntax::Printable(min, max) if !(min..=max).contains(&length) => {
            return wrong_length(max);
        }
        Syntax::Country if !is_printable_string || length != 2 => {
            "is not a country of two letters as PrintableString (RFC 5280 appendix A.1)"
        }
        Syntax::Gender if !matches!(text.as_str(), "M" | "F" | "m" | "f") => {
            "is neither M nor F (RFC 3739 §3.3.3)"
        }
        Syntax::Mailbox if value.tag != IA5_STRING || length > 255 || !internet_name::is_mailbox(&text) => {
            "is not a mailbox (RFC 5280 §4.1.2.6, RFC 5321 §4.1.2)"
        }
        Syntax::DomainComponent if value.tag != IA5_STRING => "is not an IA5String (RFC 5280 §4.1.2.4)",
        Syntax::Time if value.tag != tag::GENERALIZED_TIME || !is_time(&text) => {
            "is not a GeneralizedTime YYYYMMDDHHMMSSZ (RFC 3739 §3.3.1)"
        }
        Syntax::None => "is not an attribute of names",
        Syntax::Text(_)
        | Syntax::AsciiOrText(_)
        | Syntax::Printable(..)
        | Syntax::Country
        | Syntax::Gender
        | Syntax::Mailbox
        | Syntax::DomainComponent
        | Syntax::Time => return Ok(()),
    };
    Err(BadName::with_value(&name, &text, rule))
}

/// Whether `value` is a DirectoryString that is not empty (RFC 5280 §4.1.2.4), in a form that is in use.
pub(crate) fn is_directory_string(value: &Element<'_>) -> bool {
    let is_good =
        |text: String| !text.is_empty() && (value.tag != PRINTABLE_STRING || text.bytes().all(is_printable));
    is_directory_string_tag(value.tag) && text(value).is_some_and(is_good)
}

fn is_time(text: &str) -> bool {
    let element = element(tag::GENERALIZED_TIME, text.as_bytes());
    time::read(&mut Reader::new(&element, "time")).is_ok()
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

fn is_directory_string_tag(tag: u8) -> bool {
    matches!(tag, tag::UTF8_STRING | PRINTABLE_STRING | T61_STRING | BMP_STRING)
}

/// The domain name that these components are, which come with the last one first.
pub(crate) fn domain_of(components: &[String]) -> String {
    components.iter().rev().map(String::as_str).collect::<Vec<_>>().join(".")
}

/// Whether the domain components of a name, the last one first, are a domain name together.
pub(crate) fn check_domain(components: &[String]) -> Result<(), BadName> {
    let domain = domain_of(components);
    if components.is_empty() || internet_name::is_host(&domain) {
        return Ok(());
    }
    let kind = name_of(&oid::DOMAIN_COMPONENT);
    Err(BadName::with_value(&kind, &domain, "is not a host name (RFC 4519 §2.4)"))
}

/// The text of a value; `None` when it is no string, or not a valid one.
pub(crate) fn text(value: &Element<'_>) -> Option<String> {
    match value.tag {
        tag::UTF8_STRING => String::from_utf8(value.content.to_vec()).ok(),
        NUMERIC_STRING | PRINTABLE_STRING | IA5_STRING | VISIBLE_STRING | tag::GENERALIZED_TIME => {
            value.content.is_ascii().then(|| String::from_utf8(value.content.to_vec()).ok())?
        }
        // Read as Latin-1, which is what is written into it.
        T61_STRING => Some(value.content.iter().map(|byte| char::from(*byte)).collect()),
        // Two bytes a character.
        BMP_STRING => {
            let (units, rest) = value.content.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            rest.is_empty().then(|| char::decode_utf16(units).collect::<Result<_, _>>().ok())?
        }
        // Four.
        UNIVERSAL_STRING => {
            let (units, rest) = value.content.as_chunks::<4>();
            let units = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit)));
            rest.is_empty().then(|| units.collect())?
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why `content` under `tag` cannot be the value of an attribute of this kind.
    fn why(kind: &str, tag: u8, content: &[u8]) -> Option<String> {
        let kind = ObjectIdentifier::new(kind).unwrap();
        check(&kind, &Element { tag, content, der: content }).err().map(|bad| bad.to_string())
    }

    #[test]
    fn values_have_their_syntax() {
        const CN: &str = "2.5.4.3";
        const COUNTRY: &str = "2.5.4.6";
        const EMAIL: &str = "1.2.840.113549.1.9.1";
        const UNKNOWN: &str = "1.2.3.4";
        let (full, over) = ("é".repeat(64), "é".repeat(65));
        let table: &[(&str, u8, &[u8], Option<&str>)] = &[
            (CN, 0x0c, b"host", None),
            (CN, 0x0c, full.as_bytes(), None),
            (CN, 0x14, &[0xe9; 64], None),
            (CN, 0x1e, &[0x20, 0xac], None),
            (
                CN,
                0x1c,
                &[0, 0, 0, 0x61],
                Some("commonName \"a\" is a UniversalString, which is out of use (RFC 5280 §4.1.2.4)"),
            ),
            (CN, 0x13, b"a (b) 'c', +d=e?", None),
            (
                CN,
                0x13,
                b"a@b",
                Some("commonName \"a@b\" has characters that no PrintableString has (X.680 §41.4)"),
            ),
            (
                CN,
                0x0c,
                over.as_bytes(),
                Some("commonName has 65 characters, more than 64 (RFC 5280 appendix A.1)"),
            ),
            (CN, 0x0c, b"", Some("commonName is empty (RFC 5280 appendix A.1)")),
            (CN, 0x0c, &[0xff], Some("commonName is not text (RFC 5280 §4.1.2.4)")),
            (CN, 0x13, &[0xe9], Some("commonName is not text (RFC 5280 §4.1.2.4)")),
            (CN, 0x1e, &[0xd8, 0], Some("commonName is not text (RFC 5280 §4.1.2.4)")),
            (CN, 0x1e, &[0], Some("commonName is not text (RFC 5280 §4.1.2.4)")),
            (CN, 0x30, &[], Some("commonName is not text (RFC 5280 §4.1.2.4)")),
            (CN, 0x16, b"a", Some("commonName \"a\" is not a DirectoryString (RFC 5280 §4.1.2.4)")),
            (COUNTRY, 0x13, b"FR", None),
            (
                COUNTRY,
                0x13,
                b"FRA",
                Some(
                    "countryName \"FRA\" is not a country of two letters as PrintableString (RFC 5280 appendix A.1)",
                ),
            ),
            (
                COUNTRY,
                0x0c,
                b"FR",
                Some(
                    "countryName \"FR\" is not a country of two letters as PrintableString (RFC 5280 appendix A.1)",
                ),
            ),
            ("2.5.4.5", 0x13, b"1", None),
            (
                "2.5.4.5",
                0x0c,
                b"1",
                Some("serialNumber \"1\" is not a PrintableString (RFC 5280 appendix A.1)"),
            ),
            (
                "2.5.4.5",
                0x13,
                &[b'1'; 65],
                Some("serialNumber has 65 characters, more than 64 (RFC 5280 appendix A.1)"),
            ),
            ("2.5.4.46", 0x13, b"", None),
            (EMAIL, 0x16, b"a@b.c", None),
            (
                EMAIL,
                0x0c,
                b"a@b.c",
                Some("emailAddress \"a@b.c\" is not a mailbox (RFC 5280 §4.1.2.6, RFC 5321 §4.1.2)"),
            ),
            (
                EMAIL,
                0x16,
                b"a",
                Some("emailAddress \"a\" is not a mailbox (RFC 5280 §4.1.2.6, RFC 5321 §4.1.2)"),
            ),
            ("1.2.840.113549.1.9.2", 0x16, b"a", None),
            ("1.2.840.113549.1.9.2", 0x0c, b"a", None),
            ("1.3.6.1.5.5.7.9.3", 0x13, b"F", None),
            ("1.3.6.1.5.5.7.9.3", 0x13, b"X", Some("gender \"X\" is neither M nor F (RFC 3739 §3.3.3)")),
            ("1.3.6.1.5.5.7.9.1", 0x18, b"19700101000000Z", None),
            (
                "1.3.6.1.5.5.7.9.1",
                0x18,
                b"1970",
                Some("dateOfBirth \"1970\" is not a GeneralizedTime YYYYMMDDHHMMSSZ (RFC 3739 §3.3.1)"),
            ),
            (
                "1.3.6.1.5.5.7.9.1",
                0x18,
                b"19701301000000Z",
                Some(
                    "dateOfBirth \"19701301000000Z\" is not a GeneralizedTime YYYYMMDDHHMMSSZ (RFC 3739 §3.3.1)",
                ),
            ),
            (
                "1.2.840.113549.1.9.14",
                0x0c,
                b"a",
                Some("extensionRequest \"a\" is not an attribute of names"),
            ),
            (UNKNOWN, 0x0c, b"a", None),
            (UNKNOWN, 0x16, b"a\n", Some(r#"1.2.3.4 "a\n" is not a DirectoryString (RFC 5280 §4.1.2.4)"#)),
        ];
        for (kind, tag, content, expected) in table {
            assert_eq!(why(kind, *tag, content).as_deref(), *expected, "{kind} {content:02x?}");
        }
    }

    #[test]
    fn domain_components_are_a_domain_together() {
        let why = |components: &[&str]| {
            let components: Vec<String> = components.iter().map(|label| (*label).to_owned()).collect();
            check_domain(&components).err().map(|bad| bad.to_string())
        };
        assert_eq!(why(&[]), None);
        assert_eq!(why(&["com", "example"]), None);
        assert_eq!(why(&["local"]), None);
        let expected = "domainComponent \"a b.com\" is not a host name (RFC 4519 §2.4)";
        assert_eq!(why(&["com", "a b"]).as_deref(), Some(expected));
        assert!(why(&[""]).is_some());
    }
}
