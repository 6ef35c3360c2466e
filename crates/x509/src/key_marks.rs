//! The marks by which files with private keys say what they are, whoever wrote them.
//!
//! For whoever takes certificates and is sent a key along with them: it is found before anything is taken apart, so that half
//! of one is found as well, and so is one of a format that is not read here.

/// What a line of such a file has in it, all of one row, in capitals. None of them can be in base64.
const MARKS: &[&[&str]] = &[
    // PEM of every kind (RFC 7468 §10 and 11, RFC 1421, RFC 5915), OpenSSH's, and OpenPGP's.
    &["-BEGIN", "PRIVATE KEY"],
    &["-END", "PRIVATE KEY"],
    // Of ssh.com, whose lines have a blank there.
    &["- BEGIN", "PRIVATE KEY"],
    &["- END", "PRIVATE KEY"],
    // SSH's first format.
    &["SSH PRIVATE KEY FILE FORMAT"],
    // PuTTY's `.ppk`: its head, and what stands before and behind the key.
    &["PUTTY-USER-KEY-FILE-"],
    &["PRIVATE-LINES:"],
    &["PRIVATE-MAC:"],
    &["PRIVATE-HASH:"],
    // What `openssl pkey -text` prints.
    &["PRIVATE-KEY:"],
    // BIND's, for signing zones.
    &["PRIVATE-KEY-FORMAT:"],
    // age's.
    &["AGE-SECRET-KEY-"],
    // signify's and minisign's.
    &["UNTRUSTED COMMENT:", "SECRET KEY"],
];

/// Whether there is a line in `text` that only files with private keys have, in whichever case: of PEM, OpenSSH, OpenPGP,
/// ssh.com, PuTTY, BIND, age, signify and minisign, and as OpenSSL prints keys. A key that nothing says of what it is, as DER
/// or a number, is not found.
#[must_use]
pub fn has_private_key(text: &[u8]) -> bool {
    text.split(|byte| matches!(byte, b'\n' | b'\r')).any(has_mark)
}

fn has_mark(line: &[u8]) -> bool {
    // Most of what is read is base64, which takes no longer than it has to.
    if !line.iter().any(|byte| matches!(byte, b' ' | b'-')) {
        return false;
    }
    let line = line.to_ascii_uppercase();
    let has = |wanted: &&str| line.windows(wanted.len()).any(|part| part == wanted.as_bytes());
    MARKS.iter().any(|all| all.iter().all(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_that_they_are() {
        for line in [
            "-----BEGIN PRIVATE KEY-----",
            "-----begin rsa private key-----",
            "x -----END OPENSSH PRIVATE KEY",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----",
            "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
            "SSH PRIVATE KEY FILE FORMAT 1.1",
            "PuTTY-User-Key-File-2: ssh-rsa",
            "PuTTY-User-Key-File-3: ssh-ed25519",
            "Private-Lines: 14",
            "Private-MAC: 00ff",
            "Private-Hash: 00ff",
            "Private-Key: (2048 bit, 2 primes)",
            "ED25519 Private-Key:",
            "Private-key-format: v1.3",
            "AGE-SECRET-KEY-1QQPZ",
            "untrusted comment: minisign encrypted secret key",
            "untrusted comment: signify secret key",
        ] {
            for text in [line.to_owned(), format!("a\r{line}"), format!("a\n  {line}\r\nb")] {
                assert!(has_private_key(text.as_bytes()), "{text:?}");
            }
        }
    }

    #[test]
    fn others_do_not() {
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "-----BEGIN PUBLIC KEY-----",
            "# this has no private key in it",
            "Public Key Algorithm: id-ecPublicKey\n    RSA Public-Key: (2048 bit)",
            "Public-Lines: 4",
            "X509v3 Private Key Usage Period:",
            "untrusted comment: minisign public key 00FF",
            "-----BEGIN CERTIFICATE-----\nPRIVATE KEY",
        ] {
            assert!(!has_private_key(text.as_bytes()), "{text:?}");
        }
    }
}
