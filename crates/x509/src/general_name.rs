//! The names in a subjectAltName extension (RFC 5280 §4.2.1.6).
//!
//! They are held to what RFC 5280 says of their form (most of it in `internet_name`). What it leaves open is
//! taken: wildcards as the first label of a host name, URIs of any scheme, other names of any kind. `strict` is
//! for those who want less.

use std::net::IpAddr;

use crate::attribute;
use crate::der_reader::{Element, Reader, tag};
use crate::der_writer;
use crate::error::{BadName, ParseError};
use crate::internet_name;
use crate::name::Name;
use crate::oid::{self, ObjectIdentifier};

/// One name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GeneralName {
    /// rfc822Name: a mailbox.
    Email(String),
    /// dNSName: a host name, perhaps with `*` as its first label.
    Host(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// iPAddress.
    Address(IpAddr),
    /// directoryName.
    Directory(Name),
    /// registeredID.
    RegisteredId(ObjectIdentifier),
    /// ediPartyName, which nobody looks into.
    EdiParty,
    /// otherName with a mailbox that no rfc822Name can hold: SmtpUTF8Mailbox (RFC 9598).
    InternationalEmail(String),
    /// otherName of another kind.
    Other(ObjectIdentifier),
}

/// Reads the value of a subjectAltName extension; no names when it is empty, which RFC 5280 forbids.
///
/// # Errors
/// The first name that breaks a rule. x400Address is not taken at all.
pub fn parse_all(value: &[u8]) -> Result<Vec<GeneralName>, BadName> {
    let malformed = |_: ParseError| BadName::new("subjectAltName", "is malformed");
    let mut reader = Reader::whole(value, tag::SEQUENCE, "subjectAltName extension").map_err(malformed)?;
    let mut names = Vec::new();
    while !reader.is_empty() {
        names.push(parse(&reader.any().map_err(malformed)?)?);
    }
    Ok(names)
}

/// The value of a subjectAltName extension with the names of `value`, as they are, and an rfc822Name for each of
/// `emails` behind them. That these are mailboxes is for the caller to know.
///
/// # Errors
/// When `value` is no list.
pub fn with_emails(value: Option<&[u8]>, emails: &[String]) -> Result<Vec<u8>, BadName> {
    let malformed = |_: ParseError| BadName::new("subjectAltName", "is malformed");
    let mut names = Vec::new();
    if let Some(value) = value {
        let mut reader =
            Reader::whole(value, tag::SEQUENCE, "subjectAltName extension").map_err(malformed)?;
        while !reader.is_empty() {
            names.push(reader.any().map_err(malformed)?.der);
        }
    }
    Ok(der_writer::sequence(|list| {
        names.into_iter().for_each(|name| list.raw(name));
        emails.iter().for_each(|email| list.element(RFC822_NAME, email.as_bytes()));
    }))
}

/// The value of a subjectAltName extension with `names` in this order: mailboxes, host names, URIs and addresses.
///
/// # Errors
/// When there is none, one breaks a rule, or one is of another kind, which comes as DER or not at all.
pub fn write_all(names: &[GeneralName]) -> Result<Vec<u8>, BadName> {
    if names.is_empty() {
        return Err(BadName::new("subjectAltName", "is empty (RFC 5280 §4.2.1.6)"));
    }
    let mut elements = Vec::new();
    for name in names {
        elements.push(match name {
            GeneralName::Email(text) => (RFC822_NAME, text.as_bytes().to_vec()),
            GeneralName::Host(text) => (DNS_NAME, text.as_bytes().to_vec()),
            GeneralName::Uri(text) => (URI, text.as_bytes().to_vec()),
            GeneralName::Address(IpAddr::V4(address)) => (IP_ADDRESS, address.octets().to_vec()),
            GeneralName::Address(IpAddr::V6(address)) => (IP_ADDRESS, address.octets().to_vec()),
            _ => return Err(BadName::new("subjectAltName", "is of a kind that is not written")),
        });
    }
    let value = der_writer::sequence(|list| {
        elements.iter().for_each(|(tag, content)| list.element(*tag, content));
    });
    // What is written is held to the rules of what is read.
    parse_all(&value).map(|_| value)
}

fn parse(name: &Element<'_>) -> Result<GeneralName, BadName> {
    match name.tag {
        OTHER_NAME => other_name(name),
        RFC822_NAME => {
            let form = "is not a mailbox (RFC 5280 §4.2.1.6, RFC 5321 §4.1.2)";
            ascii("rfc822Name", name, internet_name::is_mailbox, form).map(GeneralName::Email)
        }
        DNS_NAME => {
            let is_host = |text: &str| internet_name::is_host(text.strip_prefix("*.").unwrap_or(text));
            let form = "is not a host name (RFC 5280 §4.2.1.6, RFC 1034 §3.5)";
            ascii("dNSName", name, is_host, form).map(GeneralName::Host)
        }
        X400_ADDRESS => Err(BadName::new("x400Address", "is a kind of name that is not certified")),
        DIRECTORY_NAME => directory_name(name).map(GeneralName::Directory),
        EDI_PARTY_NAME => match edi_party_name(name) {
            Ok(true) => Ok(GeneralName::EdiParty),
            _ => Err(BadName::new("ediPartyName", "is malformed (RFC 5280 §4.2.1.6)")),
        },
        URI => {
            let form = "is not an absolute URI whose host is a host name or an address (RFC 5280 §4.2.1.6, RFC 3986)";
            ascii("uniformResourceIdentifier", name, internet_name::is_uri, form).map(GeneralName::Uri)
        }
        IP_ADDRESS => address(name.content).map(GeneralName::Address),
        REGISTERED_ID => ObjectIdentifier::from_bytes(name.content)
            .map(GeneralName::RegisteredId)
            .ok_or_else(|| BadName::new("registeredID", "is malformed (RFC 5280 §4.2.1.6)")),
        _ => Err(BadName::new("subjectAltName", "is malformed")),
    }
}

const OTHER_NAME: u8 = tag::constructed(0);
const RFC822_NAME: u8 = tag::context(1);
const DNS_NAME: u8 = tag::context(2);
const X400_ADDRESS: u8 = tag::constructed(3);
const DIRECTORY_NAME: u8 = tag::constructed(4);
const EDI_PARTY_NAME: u8 = tag::constructed(5);
const URI: u8 = tag::context(6);
const IP_ADDRESS: u8 = tag::context(7);
const REGISTERED_ID: u8 = tag::context(8);

/// An IA5String for which `is_formed` holds.
fn ascii(
    kind: &str,
    name: &Element<'_>,
    is_formed: impl Fn(&str) -> bool,
    form: &str,
) -> Result<String, BadName> {
    let text = String::from_utf8_lossy(name.content);
    match text.as_ref() {
        "" => Err(BadName::new(kind, "is empty (RFC 5280 §4.2.1.6)")),
        text if !text.is_ascii() => {
            Err(BadName::with_value(kind, text, "is not an IA5String (RFC 5280 §4.2.1.6)"))
        }
        text if !is_formed(text) => Err(BadName::with_value(kind, text, form)),
        text => Ok(text.to_owned()),
    }
}

fn address(octets: &[u8]) -> Result<IpAddr, BadName> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| v6()).map_err(|_| {
        let rule = format!("has {} octets, neither 4 nor 16 (RFC 5280 §4.2.1.6)", octets.len());
        BadName::new("iPAddress", &rule)
    })
}

fn directory_name(name: &Element<'_>) -> Result<Name, BadName> {
    let inner = Name::from_der(name.content)
        .map_err(|_| BadName::new("directoryName", "is malformed (RFC 5280 §4.2.1.6)"))?;
    if inner.is_empty() {
        return Err(BadName::new("directoryName", "is empty (RFC 5280 §4.2.1.6)"));
    }
    inner.check().map_err(|bad| BadName::new("directoryName:", &bad.to_string()))?;
    Ok(inner)
}

/// Whether it is `SEQUENCE { nameAssigner [0] DirectoryString OPTIONAL, partyName [1] DirectoryString }`.
fn edi_party_name(name: &Element<'_>) -> Result<bool, ParseError> {
    let mut party = Reader::new(name.content, "ediPartyName");
    let is_text = |party: &mut Reader<'_>, number| {
        let mut explicit = party.inside(tag::constructed(number))?;
        let text = explicit.any()?;
        explicit.finish()?;
        Ok::<_, ParseError>(attribute::is_directory_string(&text))
    };
    let mut is_good = true;
    if party.clone().optional(tag::constructed(0))?.is_some() {
        is_good &= is_text(&mut party, 0)?;
    }
    is_good &= is_text(&mut party, 1)?;
    party.finish()?;
    Ok(is_good)
}

/// `SEQUENCE { type-id OBJECT IDENTIFIER, value [0] ANY }`.
fn other_name(name: &Element<'_>) -> Result<GeneralName, BadName> {
    let read = || {
        let mut other = Reader::new(name.content, "otherName");
        let kind = other.oid()?;
        let mut explicit = other.inside(tag::constructed(0))?;
        let value = explicit.any()?;
        explicit.finish()?;
        other.finish()?;
        Ok::<_, ParseError>((kind, value))
    };
    let (kind, value) = read().map_err(|_| BadName::new("otherName", "is malformed (RFC 5280 §4.2.1.6)"))?;
    match kind {
        oid::SMTP_UTF8_MAILBOX => smtp_utf8_mailbox(&value).map(GeneralName::InternationalEmail),
        kind => Ok(GeneralName::Other(kind)),
    }
}

/// A mailbox that no rfc822Name can hold (RFC 9598 §3).
fn smtp_utf8_mailbox(value: &Element<'_>) -> Result<String, BadName> {
    const KIND: &str = "SmtpUTF8Mailbox";
    let text = match value.tag {
        tag::UTF8_STRING => std::str::from_utf8(value.content).ok(),
        _ => None,
    };
    let Some(text) = text else { return Err(BadName::new(KIND, "is not a UTF8String (RFC 9598 §3)")) };
    let (local, domain) = text.split_once('@').unwrap_or((text, ""));
    let rule = if !internet_name::is_host(domain) || domain.contains(|c: char| c.is_ascii_uppercase()) {
        "has no host name in lower-case ASCII behind its @ (RFC 9598 §3)"
    } else if local.is_ascii() {
        "belongs in an rfc822Name: all of it is ASCII (RFC 9598 §3)"
    } else if local.starts_with('\u{feff}') {
        "begins with a byte order mark (RFC 9598 §3)"
    } else {
        return Ok(text.to_owned());
    };
    Err(BadName::with_value(KIND, text, rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der_writer::{element, sequence};

    /// What one name with this tag and content is read as.
    fn read(tag: u8, content: &[u8]) -> Result<GeneralName, String> {
        let value = sequence(|names| names.element(tag, content));
        let names = parse_all(&value).map_err(|bad| bad.to_string())?;
        assert_eq!(names.len(), 1);
        Ok(names.into_iter().next().unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        let names = [
            GeneralName::Email("ada@example.org".into()),
            GeneralName::Host("*.example.org".into()),
            GeneralName::Uri("https://example.org/x".into()),
            GeneralName::Address("192.0.2.1".parse().unwrap()),
            GeneralName::Address("2001:db8::1".parse().unwrap()),
        ];
        assert_eq!(parse_all(&write_all(&names).unwrap()).unwrap(), names);
        for bad in [
            vec![],
            vec![GeneralName::Host("two words".into())],
            vec![GeneralName::Host("é".into())],
            vec![GeneralName::Email("nobody".into())],
            vec![GeneralName::EdiParty],
        ] {
            assert!(write_all(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn good_names_are_read() {
        let text = |text: &str| text.to_owned();
        let directory = Name::from_common_name("host").unwrap();
        let other = [&element(6, &[0x2a, 3])[..], &element(0xa0, &[5, 0])].concat();
        let party = element(0xa1, &element(0x0c, b"party"));
        let assigned = [element(0xa0, &element(0x13, b"assigner")), party.clone()].concat();
        let table = [
            (RFC822_NAME, &b"a@b.c"[..], GeneralName::Email(text("a@b.c"))),
            (DNS_NAME, b"localhost", GeneralName::Host(text("localhost"))),
            (DNS_NAME, b"*.example.com", GeneralName::Host(text("*.example.com"))),
            (URI, b"spiffe://example.org/a", GeneralName::Uri(text("spiffe://example.org/a"))),
            (IP_ADDRESS, &[192, 0, 2, 1], GeneralName::Address("192.0.2.1".parse().unwrap())),
            (IP_ADDRESS, &[0; 16], GeneralName::Address("::".parse().unwrap())),
            (DIRECTORY_NAME, directory.der(), GeneralName::Directory(directory.clone())),
            (REGISTERED_ID, &[0x2a, 3], GeneralName::RegisteredId(ObjectIdentifier::new("1.2.3").unwrap())),
            (EDI_PARTY_NAME, &party, GeneralName::EdiParty),
            (EDI_PARTY_NAME, &assigned, GeneralName::EdiParty),
            (OTHER_NAME, &other, GeneralName::Other(ObjectIdentifier::new("1.2.3").unwrap())),
        ];
        for (tag, content, expected) in table {
            assert_eq!(read(tag, content), Ok(expected));
        }
        assert_eq!(parse_all(&[0x30, 0]), Ok(vec![]));
    }

    #[test]
    fn bad_names_are_refused_with_the_rule_they_break() {
        let long = "a".repeat(300);
        let shown =
            format!("dNSName \"{}…\" is not a host name (RFC 5280 §4.2.1.6, RFC 1034 §3.5)", "a".repeat(80));
        let two_commons = sequence(|name| {
            name.nested(tag::SET, |set| {
                for _ in 0..2 {
                    set.sequence(|attribute| {
                        attribute.oid(&oid::COMMON_NAME);
                        attribute.element(tag::UTF8_STRING, b"a");
                    });
                }
            });
        });
        let table: &[(u8, &[u8], &str)] = &[
            (DNS_NAME, b"", "dNSName is empty (RFC 5280 §4.2.1.6)"),
            (DNS_NAME, "é.fr".as_bytes(), "dNSName \"é.fr\" is not an IA5String (RFC 5280 §4.2.1.6)"),
            (DNS_NAME, b"a\0.b", r#"dNSName "a\0.b" is not a host name (RFC 5280 §4.2.1.6, RFC 1034 §3.5)"#),
            (DNS_NAME, b"*", r#"dNSName "*" is not a host name (RFC 5280 §4.2.1.6, RFC 1034 §3.5)"#),
            (DNS_NAME, b"a.*.b", r#"dNSName "a.*.b" is not a host name (RFC 5280 §4.2.1.6, RFC 1034 §3.5)"#),
            (DNS_NAME, long.as_bytes(), &shown),
            (
                RFC822_NAME,
                b"a@1",
                r#"rfc822Name "a@1" is not a mailbox (RFC 5280 §4.2.1.6, RFC 5321 §4.1.2)"#,
            ),
            (
                URI,
                b"/a",
                r#"uniformResourceIdentifier "/a" is not an absolute URI whose host is a host name or an address (RFC 5280 §4.2.1.6, RFC 3986)"#,
            ),
            (IP_ADDRESS, &[0; 8], "iPAddress has 8 octets, neither 4 nor 16 (RFC 5280 §4.2.1.6)"),
            (DIRECTORY_NAME, &[0x30, 0], "directoryName is empty (RFC 5280 §4.2.1.6)"),
            (DIRECTORY_NAME, &[5, 0], "directoryName is malformed (RFC 5280 §4.2.1.6)"),
            (
                DIRECTORY_NAME,
                &two_commons,
                "directoryName: commonName appears twice in one relative distinguished name (X.501 §9.3)",
            ),
            (
                EDI_PARTY_NAME,
                &element(0xa0, &element(0x0c, b"a")),
                "ediPartyName is malformed (RFC 5280 §4.2.1.6)",
            ),
            (
                EDI_PARTY_NAME,
                &element(0xa1, &element(0x0c, b"")),
                "ediPartyName is malformed (RFC 5280 §4.2.1.6)",
            ),
            (OTHER_NAME, &element(6, &[0x2a, 3]), "otherName is malformed (RFC 5280 §4.2.1.6)"),
            (REGISTERED_ID, &[], "registeredID is malformed (RFC 5280 §4.2.1.6)"),
            (X400_ADDRESS, &[0x30, 0], "x400Address is a kind of name that is not certified"),
            (0x89, &[], "subjectAltName is malformed"),
            (0x05, &[], "subjectAltName is malformed"),
        ];
        for (tag, content, expected) in table {
            assert_eq!(read(*tag, content), Err((*expected).to_owned()));
        }
        for value in [&[][..], &[0x30, 1], &[0x82, 1, 0x61]] {
            assert!(parse_all(value).is_err(), "{value:02x?}");
        }
    }

    #[test]
    fn international_mailboxes() {
        let why = |tag, text: &str| {
            let kind = sequence(|kind| kind.oid(&oid::SMTP_UTF8_MAILBOX));
            let content = [&kind[2..], &element(0xa0, &element(tag, text.as_bytes()))].concat();
            read(OTHER_NAME, &content).err()
        };
        assert_eq!(why(0x0c, "é@xn--caf-dma.example"), None);
        for (tag, text, expected) in [
            (0x16, "é@a.example", "SmtpUTF8Mailbox is not a UTF8String (RFC 9598 §3)"),
            (
                0x0c,
                "a@a.example",
                "SmtpUTF8Mailbox \"a@a.example\" belongs in an rfc822Name: all of it is ASCII (RFC 9598 §3)",
            ),
            (
                0x0c,
                "é",
                "SmtpUTF8Mailbox \"é\" has no host name in lower-case ASCII behind its @ (RFC 9598 §3)",
            ),
            (
                0x0c,
                "é@A.example",
                "SmtpUTF8Mailbox \"é@A.example\" has no host name in lower-case ASCII behind its @ (RFC 9598 §3)",
            ),
            (
                0x0c,
                "é@café.example",
                "SmtpUTF8Mailbox \"é@café.example\" has no host name in lower-case ASCII behind its @ (RFC 9598 §3)",
            ),
            (
                0x0c,
                "\u{feff}é@a.example",
                "SmtpUTF8Mailbox \"\\u{feff}é@a.example\" begins with a byte order mark (RFC 9598 §3)",
            ),
        ] {
            assert_eq!(why(tag, text).as_deref(), Some(expected));
        }
    }
}
