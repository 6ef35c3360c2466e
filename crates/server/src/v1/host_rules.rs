//! What is expected of a host that is to be reached: an address that can be one, a key that is one, a user.
//!
//! The room takes more, because `/api/v0` always did.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use x509::PrivateKey;

/// The longest text of a key file, in bytes: in base64 it is what the room takes.
pub(super) const KEY_TEXT_BYTES_MAX: usize = 48 * 1024;

/// Whether a host can be reached there: at an IP address, or under a DNS name (RFC 1123 §2.1; `_` is taken as well,
/// as it is in use). Names that end in a number are addresses with a slip of the pen.
pub(super) fn is_reachable(address: &str) -> bool {
    if let Some((ip, zone)) = address.split_once('%') {
        return !zone.is_empty() && !zone.contains([':', '%']) && ip.parse::<Ipv6Addr>().is_ok();
    }
    if address.contains(':') {
        return address.parse::<Ipv6Addr>().is_ok_and(|ip| is_one_host(ip.into()));
    }
    let labels: Vec<&str> = address.split('.').collect();
    if labels.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return address.parse::<Ipv4Addr>().is_ok_and(|ip| is_one_host(ip.into()));
    }
    labels.iter().all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

fn is_one_host(ip: IpAddr) -> bool {
    let is_broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}

/// Whether it can be somebody's name on a host: 1 to 200 letters, digits, `_`, `.`, `@` and `-`, beginning with none of
/// the last three.
pub(super) fn is_user(name: &str) -> bool {
    let bytes = name.as_bytes();
    let first = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    (1..=200).contains(&bytes.len())
        && bytes.first().is_some_and(first)
        && bytes.iter().all(|byte| first(byte) || b".@-".contains(byte))
}

/// What is wrong with the text of a private key file, if anything; nothing of the text is repeated.
pub(super) fn key_fault(text: &str) -> Option<String> {
    const OPENSSH: &str = "OPENSSH PRIVATE KEY";
    let fault = |what: &str| Some(format!("`ssh_private_key` is no private key that can be used: {what}"));
    let blocks = match x509::pem::read(text.as_bytes(), KEY_TEXT_BYTES_MAX) {
        Ok(blocks) => blocks,
        Err(error) => return fault(&error.to_string()),
    };
    match blocks.as_slice() {
        [block] if block.label == OPENSSH => openssh_fault(&block.der).and_then(fault),
        _ => PrivateKey::from_pem(text).err().and_then(|error| fault(&error.to_string())),
    }
}

/// What is wrong with OpenSSH's own form (PROTOCOL.key), without a passphrase.
fn openssh_fault(bytes: &[u8]) -> Option<&'static str> {
    const MALFORMED: &str = "it is malformed";
    let read = || {
        let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
        let cipher = field(&mut rest)?;
        let (_kdf, _options) = (field(&mut rest)?, field(&mut rest)?);
        let count = number(&mut rest)?;
        let (public, private) = (field(&mut rest)?, field(&mut rest)?);
        Some((cipher, count, public, private))
    };
    let Some((cipher, 1, mut public, mut private)) = read() else { return Some(MALFORMED) };
    if cipher != b"none" {
        return Some("it has a passphrase");
    }
    let mut is_whole = || {
        let same = number(&mut private)? == number(&mut private)?;
        let kind = field(&mut public)?;
        Some(same && !kind.is_empty() && field(&mut private)? == kind && field(&mut private).is_some())
    };
    if is_whole() == Some(true) { None } else { Some(MALFORMED) }
}

/// A number of four bytes in front of `rest`.
fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    Some(u32::from_be_bytes(*number))
}

/// A field with its length in front of it.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (field, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(field)
}

/// The text of a key file in base64, as the room keeps it; ssh wants its last line to have an end.
pub(super) fn kept_key(text: &str) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    BASE64.encode(format!("{text}{end}"))
}

#[cfg(test)]
mod tests {
    use x509::KeySpec;

    use super::*;

    #[test]
    fn hosts_are_somewhere() {
        let long = "a".repeat(63);
        for (address, is_fine) in [
            ("10.0.0.1", true),
            ("node-1.example_2.org", true),
            ("1-2-3-4", true),
            ("3com", true),
            (&long, true),
            ("::1", true),
            ("fe80::1%eth0", true),
            ("10.0.0", false),
            ("10.0.0.256", false),
            ("010.0.0.1", false),
            ("7", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("ff02::1", false),
            ("fe80::1%", false),
            ("fe80::1%a%b", false),
            ("10.0.0.1%eth0", false),
            ("1:2", false),
            (":::", false),
            (".", false),
            ("..", false),
            ("a.", false),
            ("a..b", false),
            ("-a", false),
            ("a-.b", false),
            (&format!("{long}a"), false),
        ] {
            assert_eq!(is_reachable(address), is_fine, "{address}");
        }
    }

    #[test]
    fn users_have_names() {
        for (name, is_fine) in [
            ("root", true),
            ("ec2-user", true),
            ("_a.b@c", true),
            ("", false),
            ("-oProxyCommand", false),
            ("a b", false),
            ("é", false),
            ("a\n", false),
        ] {
            assert_eq!(is_user(name), is_fine, "{name}");
        }
        assert!(!is_user(&"a".repeat(201)));
    }

    /// What `ssh-keygen -t ed25519` writes, with every field in its place.
    fn openssh(cipher: &str, checks: [u32; 2], kinds: [&str; 2]) -> String {
        let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
        let public = [field(kinds[0].as_bytes()), field(&[7; 32])].concat();
        let checks = checks.map(u32::to_be_bytes).concat();
        let private =
            [checks, field(kinds[1].as_bytes()), field(&[7; 32]), field(&[8; 64]), field(b"")].concat();
        let parts = [field(cipher.as_bytes()), field(b"none"), field(b""), 1_u32.to_be_bytes().to_vec()];
        let whole = [&b"openssh-key-v1\0"[..], &parts.concat(), &field(&public), &field(&private)].concat();
        x509::pem::write("OPENSSH PRIVATE KEY", &whole)
    }

    #[test]
    fn keys_are_keys() {
        let kind = "ssh-ed25519";
        let pem = PrivateKey::generate(KeySpec::Ed25519).unwrap().to_pem();
        let cut =
            |text: &str| text.lines().filter(|line| !line.contains("AAAA")).collect::<Vec<_>>().join("\n");
        for (text, part) in [
            (openssh("none", [1, 1], [kind; 2]), ""),
            (pem.expose().clone(), ""),
            (openssh("aes256-ctr", [1, 1], [kind; 2]), "passphrase"),
            (openssh("none", [1, 2], [kind; 2]), "malformed"),
            (openssh("none", [1, 1], [kind, "ssh-rsa"]), "malformed"),
            (cut(&openssh("none", [1, 1], [kind; 2])), "malformed"),
            (x509::pem::write("OPENSSH PRIVATE KEY", b"openssh-key-v1\0"), "malformed"),
            (x509::pem::write("OPENSSH PRIVATE KEY", &[0xff; 64]), "malformed"),
            (x509::pem::write("PRIVATE KEY", b"hunter2"), "malformed"),
            (x509::pem::write("ENCRYPTED PRIVATE KEY", b"hunter2"), "encrypted"),
            (x509::pem::write("CERTIFICATE", b"hunter2"), "no PEM block"),
            (format!("{}{}", pem.expose(), pem.expose()), "more than one"),
            (String::new(), "no PEM block"),
            ("hunter2".into(), "no PEM block"),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI hunter2".into(), "no PEM block"),
            ("x".repeat(KEY_TEXT_BYTES_MAX + 1), "longer than"),
        ] {
            let found = key_fault(&text).unwrap_or_default();
            assert!(found.contains(part) && found.is_empty() == part.is_empty(), "{text}: {found}");
            assert!(!found.contains("hunter2"), "{found}");
        }
    }

    #[test]
    fn keys_end_with_a_line() {
        assert_eq!(kept_key("a\n"), kept_key("a"));
        assert_eq!(BASE64.decode(kept_key("a")).unwrap(), b"a\n");
    }
}
