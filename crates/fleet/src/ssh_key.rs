//! Private keys for SSH: whether the text of a file is one, and how it is kept.
//!
//! `/api/v0` has always taken any text for a key, so this is only asked of what comes another way.

use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use x509::PrivateKey;

/// The longest text of a key file, in bytes: in base64 as much as is kept.
pub(crate) const TEXT_BYTES_MAX: usize = crate::host::KEY_BYTES_MAX / 4 * 3;

/// What is wrong with the text of a private key file, if anything; nothing of the text is repeated.
pub(crate) fn fault(text: &str) -> Option<String> {
    const OPENSSH: &str = "OPENSSH PRIVATE KEY";
    let blocks = match x509::pem::read(text.as_bytes(), TEXT_BYTES_MAX) {
        Ok(blocks) => blocks,
        Err(error) => return Some(error.to_string()),
    };
    let is_openssh = matches!(blocks.as_slice(), [block] if block.label == OPENSSH);
    // Nothing of a key stays behind in memory.
    let ders: Vec<Secret<Vec<u8>>> = blocks.into_iter().map(|block| Secret::new(block.der)).collect();
    match ders.as_slice() {
        [der] if is_openssh => openssh_fault(der.expose()).map(str::to_owned),
        _ => PrivateKey::check_pem(text).err().map(|error| error.to_string()),
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

/// The text of a key file in base64, as it is kept; ssh wants its last line to have an end.
pub(crate) fn kept(text: &str) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    BASE64.encode(Secret::new(format!("{text}{end}")).expose())
}

/// The text of a key file that is [`kept`]; `None` for what is no text in base64, because others put it there.
pub(crate) fn text(kept: &str) -> Option<String> {
    String::from_utf8(BASE64.decode(kept).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use x509::KeySpec;

    use super::*;

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
            ("x".repeat(TEXT_BYTES_MAX + 1), "longer than"),
        ] {
            let found = fault(&text).unwrap_or_default();
            assert!(found.contains(part) && found.is_empty() == part.is_empty(), "{text}: {found}");
            assert!(!found.contains("hunter2"), "{found}");
        }
    }

    #[test]
    fn keys_end_with_a_line() {
        for (given, kept_as) in [("a", "a\n"), ("a\n", "a\n"), ("", "\n")] {
            assert_eq!(text(&kept(given)).as_deref(), Some(kept_as), "{given:?}");
        }
        assert!(kept(&"x".repeat(TEXT_BYTES_MAX - 1)).len() <= crate::host::KEY_BYTES_MAX);
        assert_eq!((text("hunter2!"), text("/w==")), (None, None));
    }
}
