//! The attributes that names are made of: what they are called, and what their values may be (RFC 5280
//! §4.1.2.4 and appendix A.1; RFC 2985 for those of PKCS #9, X.520 for the rest).

use crate::der_reader::{Element, tag};
use crate::error::BadName;
use crate::internet_name;
use crate::oid::{self, ObjectIdentifier};

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

/// Attributes with a value of their own; all others have a DirectoryString of any length, as RFC 5280
/// §4.1.2.4 says of attributes in general.
const KINDS: &[(&str, &str, Syntax)] = &[
    ("2.5.4.3", "commonName", Syntax::Text(64)),
    ("2.5.4.4", "surname", Syntax::Text(NAME_MAX)),
    ("2.5.4.5", "serialNumber", Syntax::Printable(1, 64)),
    ("2.5.4.6", "countryName", Syntax::Country),
    ("2.5.4.7", "localityName", Syntax::Text(128)),
    ("2.5.4.8", "stateOrProvinceName", Syntax::Text(128)),
    ("2.5.4.9", "streetAddress", Syntax::Text(128)),
    ("2.5.4.10", "organizationName", Syntax::Text(64)),
    ("2.5.4.11", "organizationalUnitName", Syntax::Text(64)),
    ("2.5.4.12", "title", Syntax::Text(64)),
    ("2.5.4.15", "businessCategory", Syntax::Text(128)),
    ("2.5.4.17", "postalCode", Syntax::Text(40)),
    ("2.5.4.41", "name", Syntax::Text(NAME_MAX)),
    ("2.5.4.42", "givenName", Syntax::Text(NAME_MAX)),
    ("2.5.4.43", "initials", Syntax::Text(NAME_MAX)),
    ("2.5.4.44", "generationQualifier", Syntax::Text(NAME_MAX)),
    ("2.5.4.46", "dnQualifier", Syntax::Printable(0, UNBOUNDED)),
    ("2.5.4.65", "pseudonym", Syntax::Text(PKCS9_MAX)),
    ("2.5.4.97", "organizationIdentifier", Syntax::Text(UNBOUNDED)),
    ("0.9.2342.19200300.100.1.1", "userId", Syntax::Text(UNBOUNDED)),
    ("0.9.2342.19200300.100.1.25", "domainComponent", Syntax::DomainComponent),
    ("1.2.840.113549.1.9.1", "emailAddress", Syntax::Mailbox),
    ("1.2.840.113549.1.9.2", "unstructuredName", Syntax::AsciiOrText(PKCS9_MAX)),
    ("1.2.840.113549.1.9.7", "challengePassword", Syntax::Text(PKCS9_MAX)),
    ("1.2.840.113549.1.9.8", "unstructuredAddress", Syntax::Text(PKCS9_MAX)),
    ("1.2.840.113549.1.9.9", "extendedCertificateAttributes", Syntax::None),
    ("1.2.840.113549.1.9.14", "extensionRequest", Syntax::None),
    ("1.2.840.113549.1.9.25.2", "encryptedPrivateKeyInfo", Syntax::None),
    ("1.2.840.113549.1.9.25.5", "pkcs7PDU", Syntax::None),
    ("2.16.840.1.113730.3.1.216", "userPKCS12", Syntax::None),
    ("1.3.6.1.5.5.7.9.1", "dateOfBirth", Syntax::Time),
    ("1.3.6.1.5.5.7.9.2", "placeOfBirth", Syntax::Text(PKCS9_MAX)),
    ("1.3.6.1.5.5.7.9.3", "gender", Syntax::Gender),
    ("1.3.6.1.5.5.7.9.4", "countryOfCitizenship", Syntax::Country),
    ("1.3.6.1.5.5.7.9.5", "countryOfResidence", Syntax::Country),
];

/// What an attribute is called; its number when it is not known here.
pub(crate) fn name_of(kind: &ObjectIdentifier) -> String {
    known(kind).map_or_else(|| kind.to_string(), |(name, _)| name.to_owned())
}

fn known(kind: &ObjectIdentifier) -> Option<(&'static str, Syntax)> {
    KINDS
        .iter()
        .find(|(number, ..)| ObjectIdentifier::new(number).as_ref() == Some(kind))
        .map(|(_, name, syntax)| (*name, *syntax))
}

/// Whether `value` may be the value of an attribute of this kind.
pub(crate) fn check(kind: &ObjectIdentifier, value: &Element<'_>) -> Result<(), BadName> {
    let (_, syntax) = known(kind).unwrap_or(("", Syntax::Text(UNBOUNDED)));
    let Some(text) = text(value) else {
        let shown = BadName::unquoted(name_of(kind), "is not text (RFC 5280 §4.1.2.4)");
        return Err(shown);
    };
    let length = text.chars().count();
    let is_directory_string =
        matches!(value.tag, tag::UTF8_STRING | PRINTABLE_STRING | T61_STRING | UNIVERSAL_STRING | BMP_STRING);
    let is_printable_string = value.tag == PRINTABLE_STRING;
    let rule = match syntax {
        Syntax::Text(_) if !is_directory_string => "is not a DirectoryString (RFC 5280 §4.1.2.4)",
        Syntax::AsciiOrText(_) if !is_directory_string && value.tag != IA5_STRING => {
            "is neither an IA5String nor a DirectoryString (RFC 2985 §5.4.1)"
        }
        Syntax::Text(max) | Syntax::AsciiOrText(max) if !(1..=max).contains(&length) => {
            return Err(BadName::long(name_of(kind), &text, length, 1, max));
        }
        Syntax::Printable(..) | Syntax::Gender if !is_printable_string => {
            "is not a PrintableString (RFC 5280 appendix A.1)"
        }
        Syntax::Printable(min, max) if !(min..=max).contains(&length) => {
            return Err(BadName::long(name_of(kind), &text, length, min, max));
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
        Syntax::Time if value.tag != tag::GENERALIZED_TIME => "is not a GeneralizedTime (RFC 3739 §3.3.1)",
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
    Err(BadName::new(&name_of(kind), &text, rule))
}

/// Whether the domain components of a name, the last one first, are a domain name together.
pub(crate) fn check_domain(components: &[String]) -> Result<(), BadName> {
    let domain = components.iter().rev().map(String::as_str).collect::<Vec<_>>().join(".");
    if components.is_empty() || internet_name::is_host(&domain) {
        return Ok(());
    }
    let kind = name_of(&oid::DOMAIN_COMPONENT);
    Err(BadName::new(&kind, &domain, "is not a host name (RFC 4519 §2.4)"))
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
