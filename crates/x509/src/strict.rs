//! Names and numbers that everybody who reads certificates takes, linters for those of the web included.
//!
//! `general_name` and `name` take whatever the syntax of its kind allows. What is looked at here was taken by
//! them, and is held to more:
//!
//! ```text
//! host names          two labels or more, no wildcard; the last one has two characters or more, and a letter
//!                     at its end
//! mailboxes           at such a host
//! URIs                of a scheme that is in wide use, at such a host or at an address
//! domain components   such a host
//! object identifiers  3 to 39 octets, no arc above 28 bits (RFC 5280 appendix B), the second one below 40
//! ```

use std::net::Ipv4Addr;

use crate::attribute;
use crate::error::BadName;
use crate::general_name::GeneralName;
use crate::name::Name;
use crate::oid::{self, ObjectIdentifier};
use crate::policy::Policy;

/// The schemes whose URIs everybody can read.
const SCHEMES: [&str; 10] = ["ftp", "ftps", "git", "http", "https", "ldap", "rtsp", "sftp", "ssh", "telnet"];

/// Looks at a subject, or at another distinguished name, that [`Name::check`] takes.
///
/// # Errors
/// The first attribute that is not as is said above.
pub fn name(name: &Name) -> Result<(), BadName> {
    for kind in name.kinds() {
        number("attribute", &kind)?;
    }
    for mailbox in name.texts(&oid::EMAIL_ADDRESS) {
        good("emailAddress", &mailbox, mailbox_fault(&mailbox))?;
    }
    let components = name.texts(&oid::DOMAIN_COMPONENT);
    let domain = attribute::domain_of(&components);
    good("domainComponent", &domain, host_fault(&domain).filter(|_| !components.is_empty()))
}

/// Looks at an alternative name.
///
/// # Errors
/// When it is not as is said above.
pub fn general_name(asked: &GeneralName) -> Result<(), BadName> {
    match asked {
        GeneralName::Email(text) => good("rfc822Name", text, mailbox_fault(text)),
        GeneralName::InternationalEmail(text) => good("SmtpUTF8Mailbox", text, mailbox_fault(text)),
        GeneralName::Host(text) => good("dNSName", text, host_fault(text)),
        GeneralName::Uri(text) => uri("uniformResourceIdentifier", text),
        GeneralName::Directory(directory) => {
            name(directory).map_err(|bad| BadName::new("directoryName:", &bad.to_string()))
        }
        GeneralName::RegisteredId(kind) => number("registeredID", kind),
        GeneralName::Other(kind) => number("otherName", kind),
        GeneralName::Address(_) | GeneralName::EdiParty => Ok(()),
    }
}

/// Looks at a policy, what is said about it included.
///
/// # Errors
/// When it is not as is said above.
pub fn policy(policy: &Policy) -> Result<(), BadName> {
    number("policy", &policy.oid)?;
    policy.qualifier_kinds().iter().try_for_each(|kind| number("policy qualifier", kind))?;
    policy.statements().iter().try_for_each(|address| uri("cPSuri", address))
}

/// Looks at an object identifier; `kind` is what it stands for.
///
/// # Errors
/// When it is not as is said above.
pub fn number(kind: &str, number: &ObjectIdentifier) -> Result<(), BadName> {
    let rule = "is an object identifier that not everybody can read (RFC 5280 appendix B)";
    good(kind, &number.to_string(), (!number.is_readable_by_all()).then_some(rule))
}

/// Looks at a URI; `kind` is what it stands for.
///
/// # Errors
/// When it is not as is said above.
pub fn uri(kind: &str, text: &str) -> Result<(), BadName> {
    good(kind, text, uri_fault(text))
}

fn good(kind: &str, value: &str, fault: Option<&'static str>) -> Result<(), BadName> {
    fault.map_or(Ok(()), |fault| Err(BadName::with_value(kind, value, fault)))
}

fn host_fault(host: &str) -> Option<&'static str> {
    let last = host.rsplit('.').next().unwrap_or_default();
    if host.starts_with("*.") {
        Some("has a wildcard")
    } else if last.len() == host.len() {
        Some("has a host name of one label")
    } else if last.len() < 2 {
        Some("has a host name whose last label has one character")
    } else if !last.ends_with(|end: char| end.is_ascii_alphabetic()) {
        Some("has a host name that does not end with a letter")
    } else {
        None
    }
}

fn mailbox_fault(mailbox: &str) -> Option<&'static str> {
    host_fault(mailbox.rsplit_once('@').map_or("", |(_, domain)| domain))
}

fn uri_fault(uri: &str) -> Option<&'static str> {
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    if !SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Some("has a scheme other than ftp, ftps, git, http, https, ldap, rtsp, sftp, ssh or telnet");
    }
    let Some(rest) = rest.strip_prefix("//") else { return Some("has no host") };
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if scheme.eq_ignore_ascii_case("ldap") {
        return location_fault(host).filter(|_| !host.is_empty());
    }
    let query_begins = query.strip_prefix('&').unwrap_or(query).bytes().next();
    if user.matches(':').count() > 1 && user.contains('%') {
        Some("has a user with two colons and a percent sign")
    } else if !query.is_empty()
        && !query_begins.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        Some("has a query that does not begin with a word")
    } else if fragment.trim_start_matches('/').contains(['/', '?']) {
        Some("has a `/` or a `?` within its fragment")
    } else {
        location_fault(host)
    }
}

/// What is wrong with `host[:port]`.
fn location_fault(location: &str) -> Option<&'static str> {
    let bracket_at = location.find(']').unwrap_or(0);
    let (host, port) = match location[bracket_at..].find(':') {
        Some(colon_at) => location.split_at(bracket_at + colon_at),
        None => (location, ""),
    };
    if port.starts_with(":0") {
        Some("has a port that begins with a zero")
    } else if host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() {
        None
    } else {
        host_fault(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_mailboxes() {
        let table = [
            ("example.com", None),
            ("a.b.xn--p1ai", None),
            ("my_db.example", None),
            ("1.a2b", None),
            ("localhost", Some("has a host name of one label")),
            ("*.example.com", Some("has a wildcard")),
            ("*.local", Some("has a wildcard")),
            ("a.b", Some("has a host name whose last label has one character")),
            ("backend.zone1", Some("has a host name that does not end with a letter")),
        ];
        for (host, fault) in table {
            assert_eq!(host_fault(host), fault, "{host}");
            assert_eq!(mailbox_fault(&format!("a@{host}")), fault, "{host}");
            assert_eq!(uri_fault(&format!("https://a@{host}:80/b")), fault, "{host}");
        }
    }

    #[test]
    fn uris() {
        const SCHEME: &str =
            "has a scheme other than ftp, ftps, git, http, https, ldap, rtsp, sftp, ssh or telnet";
        let table = [
            ("HTTP://example.com", None),
            ("http://192.0.2.1:80/", None),
            ("http://[2001:db8::1]", None),
            ("http://[2001:db8::1]:8080/a?b=c#d", None),
            ("http://u:p@example.com/", None),
            ("http://example.com/?&a", None),
            ("http://example.com/#/a", None),
            ("ldap:///dc=example?cn?sub?(a=b)", None),
            ("ldap://example.com/", None),
            ("ldap://localhost/", Some("has a host name of one label")),
            ("spiffe://example.com/a", Some(SCHEME)),
            ("urn:uuid:0", Some(SCHEME)),
            ("ftp:/a", Some("has no host")),
            ("http://u:p:q@example.com/", None),
            ("http://u:p:%20@example.com/", Some("has a user with two colons and a percent sign")),
            ("http://example.com:080/", Some("has a port that begins with a zero")),
            ("http://[::1]:080/", Some("has a port that begins with a zero")),
            ("http://example.com/?=a", Some("has a query that does not begin with a word")),
            ("http://example.com/?%20", Some("has a query that does not begin with a word")),
            ("http://example.com/?&&a", Some("has a query that does not begin with a word")),
            ("http://example.com/?&", Some("has a query that does not begin with a word")),
            ("http://example.com/#a/b", Some("has a `/` or a `?` within its fragment")),
            ("http://example.com/#a?b", Some("has a `/` or a `?` within its fragment")),
        ];
        for (uri, fault) in table {
            assert_eq!(uri_fault(uri), fault, "{uri}");
        }
    }

    #[test]
    fn every_kind_of_name() {
        let kind = |text| ObjectIdentifier::new(text).unwrap();
        let (short, uuid) = (kind("1.2.3.4"), kind("2.25.285541874270823339875695650038637483517"));
        let text = |text: &str| text.to_owned();
        let unread = |what: &str| {
            format!(
                "{what} \"2.25.285541874270823339875695650038637483517\" is an object identifier that not \
                 everybody can read (RFC 5280 appendix B)"
            )
        };
        let table = [
            (GeneralName::Host(text("a.example")), None),
            (GeneralName::Host(text("a")), Some(text("dNSName \"a\" has a host name of one label"))),
            (GeneralName::Email(text("a@b")), Some(text("rfc822Name \"a@b\" has a host name of one label"))),
            (
                GeneralName::InternationalEmail(text("é@b")),
                Some(text("SmtpUTF8Mailbox \"é@b\" has a host name of one label")),
            ),
            (
                GeneralName::Uri(text("http://a/")),
                Some(text("uniformResourceIdentifier \"http://a/\" has a host name of one label")),
            ),
            (GeneralName::Directory(Name::from_common_name("a").unwrap()), None),
            (GeneralName::Address("192.0.2.1".parse().unwrap()), None),
            (GeneralName::EdiParty, None),
            (GeneralName::RegisteredId(short), None),
            (GeneralName::Other(short), None),
            (GeneralName::RegisteredId(uuid), Some(unread("registeredID"))),
            (GeneralName::Other(uuid), Some(unread("otherName"))),
        ];
        for (asked, expected) in table {
            assert_eq!(general_name(&asked).err().map(|bad| bad.to_string()), expected);
        }
        let bare = |oid| Policy { oid, qualifiers: None };
        assert_eq!(policy(&bare(short)), Ok(()));
        assert_eq!(policy(&bare(uuid)).unwrap_err().to_string(), unread("policy"));
        assert_eq!(policy(&Policy::with_notice(short, "text")), Ok(()));
    }

    #[test]
    fn the_attributes_of_a_name() {
        let one = |kind: &str, tag: u8, text: &str| {
            crate::der_writer::sequence(|name| {
                name.nested(0x31, |set| {
                    set.sequence(|attribute| {
                        attribute.oid(&ObjectIdentifier::new(kind).unwrap());
                        attribute.element(tag, text.as_bytes());
                    });
                });
            })
        };
        let why = |kind, tag, text| {
            let read = Name::from_der(&one(kind, tag, text)).unwrap();
            name(&read).err().map(|bad| bad.to_string())
        };
        assert_eq!(why("2.5.4.3", 0x0c, "localhost"), None);
        let email = why("1.2.840.113549.1.9.1", 0x16, "root@localhost");
        assert_eq!(email.unwrap(), "emailAddress \"root@localhost\" has a host name of one label");
        let component = why("0.9.2342.19200300.100.1.25", 0x16, "local");
        assert_eq!(component.unwrap(), "domainComponent \"local\" has a host name of one label");
        assert!(why("2.999.1", 0x0c, "a").unwrap().starts_with("attribute \"2.999.1\" is an object"));
    }
}
