//! Host names, mailboxes and URIs, in the forms that certificates may carry (RFC 5280 §4.2.1.6).
//!
//! One rule for all of them: a name is good when the syntax of its kind allows it. Wherever a host stands, it
//! is a host name of any number of labels; whether anybody could look it up is not asked. So `localhost`,
//! `root@localhost`, `http://localhost/` and `spiffe://td/x` are as good as their longer relatives.

use std::net::{Ipv4Addr, Ipv6Addr};

/// How many characters a host name has at most: 255 octets on the wire (RFC 1035 §3.1).
const HOST_LENGTH_MAX: usize = 253;
/// How many characters may stand before the `@` of a mailbox (RFC 5321 §4.5.3.1.1).
const LOCAL_PART_MAX: usize = 64;

/// Whether `text` is a host name (RFC 1034 §3.5, RFC 1123 §2.1) and no address: labels of letters, digits
/// and hyphens, no dot at the end, not only digits in the last label. Underscores within a label, which
/// the standard forbids, are in use.
pub(crate) fn is_host(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= HOST_LENGTH_MAX
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(label: &str) -> bool {
    let ends_well = |end: Option<&u8>| end.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = label.as_bytes();
    bytes.len() <= 63
        && ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether `text` is a mailbox of the form `Local-part@Domain` (RFC 5280 §4.2.1.6, RFC 5321 §4.1.2); so the
/// domain is not an address.
pub(crate) fn is_mailbox(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let quoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let is_local = match quoted {
        Some(text) => is_quoted_text(text),
        None => local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_text)),
    };
    is_local && local.len() <= LOCAL_PART_MAX && is_host(domain)
}

/// `*qcontent` of RFC 2821 §4.1.2, to which RFC 5280 refers: spaces only behind a backslash.
fn is_quoted_text(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_good = match byte {
            b'\\' => bytes.next().is_some_and(|byte| byte.is_ascii_graphic() || byte == b' '),
            b'"' => false,
            byte => byte.is_ascii_graphic(),
        };
        if !is_good {
            return false;
        }
    }
    true
}

/// `atext` of RFC 5322 §3.2.3.
fn is_atom_text(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// Whether `text` is a URI (RFC 3986) as RFC 5280 §4.2.1.6 wants it: not relative, and with a host name or
/// an address as its host, if it has an authority. LDAP URIs may leave the host out (RFC 4516 §2), those of
/// the web may not leave out the authority (RFC 9110 §4.2). A port, if there is one, is one that there is.
pub(crate) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (hierarchy, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_rest = |text: &str| is_path(&text.replace('?', "/")); // which both may have as well
    if !is_scheme || rest.is_empty() || !is_rest(query) || !is_rest(fragment) {
        return false;
    }
    let is_scheme = |name: &str| scheme.eq_ignore_ascii_case(name);
    match hierarchy.strip_prefix("//") {
        Some(hierarchy) => {
            let (authority, path) = hierarchy.split_at(hierarchy.find('/').unwrap_or(hierarchy.len()));
            let is_left_out = authority.is_empty() && is_scheme("ldap");
            (is_left_out || is_authority(authority)) && is_path(path)
        }
        None => !is_scheme("http") && !is_scheme("https") && is_path(hierarchy),
    }
}

/// `[userinfo@]host[:port]` (RFC 3986 §3.2).
fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    let is_user = is_path(user) && !user.contains(['/', '@']);
    let bracket_at = host.find(']').unwrap_or(0);
    let (host, port) = match host[bracket_at..].find(':') {
        Some(colon_at) => (&host[..bracket_at + colon_at], Some(&host[bracket_at + colon_at + 1..])),
        None => (host, None),
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok() || is_host(host),
    };
    is_user && is_host && port.is_none_or(is_port)
}

/// Whether all of it is unreserved, sub-delims, `:`, `@`, `/`, or two hexadecimal digits behind a percent sign
/// (RFC 3986 §3.3).
fn is_path(text: &str) -> bool {
    let mut pieces = text.split('%');
    let is_plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte))
    };
    let is_escape = |text: &str| {
        let (digits, rest) = text.split_at_checked(2).unwrap_or_default();
        digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && is_plain(rest)
    };
    pieces.next().is_none_or(is_plain) && pieces.all(is_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is: impl Fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(is(text), "{text} is one");
        }
        for text in bad {
            assert!(!is(text), "{text} is none");
        }
    }

    #[test]
    fn hosts() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", &label[..61]);
        check(
            is_host,
            &["localhost", "a.b", "A-1.example.com", "my_db", "1.xn--p1ai", "3com.com", "host1", &longest],
            &[
                "",
                ".",
                "a.",
                ".a",
                "a..b",
                "_a.b",
                "a_.b",
                "-a.b",
                "a-.b",
                "a b",
                "é.fr",
                "*.a.b",
                "127.0.0.1",
                "1",
                "::1",
                &format!("{label}a.b"),
                &format!("{longest}a"),
            ],
        );
    }

    #[test]
    fn mailboxes() {
        let long = "a".repeat(64);
        check(
            is_mailbox,
            &[
                "a@b.c",
                "root@localhost",
                "a.b+c@example.com",
                "\"a,b\"@example.com",
                r#""a\"\ b"@b.c"#,
                &format!("{long}@example.com"),
            ],
            &[
                "",
                "a",
                "@b.c",
                "a@",
                "a@1",
                "a@b@c.d",
                "a..b@c.d",
                ".a@c.d",
                "a b@c.d",
                "\"a\"b\"@c.d",
                "\"a b\"@c.d",
                r#""a\"@c.d"#,
                "a@[192.0.2.1]",
                "<a@b.c>",
                "é@b.c",
                &format!("{long}a@example.com"),
            ],
        );
    }

    #[test]
    fn uris() {
        check(
            is_uri,
            &[
                "http://example.com",
                "https://user:p%C3%A9@example.com:8443/a%20b/b;c=d?x=/y?%7b#z?/",
                "http://localhost",
                "http://localhost:8000/",
                "http://db.zone1/",
                "spiffe://td/x",
                "tag:a.example,2026:b",
                "http://192.0.2.1:80/",
                "HTTP://[2001:db8::1]/",
                "http://[2001:db8::1]:8000/",
                "spiffe://example.org/service",
                "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                "ldap:///cn=x",
                "ldap://example.com/cn=x",
            ],
            &[
                "",
                "a",
                "/a",
                "//example.com/",
                ":a",
                "1a:b",
                "http:",
                "http:///a",
                "ldap://[::",
                "http:/a",
                "http://1/",
                "spiffe://-/b",
                "http://a/%",
                "http://a/%f",
                "http://a/%fg",
                "http://a/%é",
                "http://a/?{}",
                "http://a/#a#b",
                "http://example.com:0/",
                "http://example.com:/",
                "http://example.com:+80/",
                "http://example.com:65536/",
                "http://[::1/",
                "http://[::1]x/",
                "http://::1/",
                "http://a..b/",
                "http://example.com/a b",
                "http://example.com/é",
                "http://example.com/[a]",
                "http://u@v@[x/",
                "urn:a\"b",
            ],
        );
    }
}
