//! The header: who may open the file, and with what.

use std::io::{BufRead, Read};

use aws_lc_rs::constant_time;
use base::{Entropy, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use super::keys::{Key, unwrap, wrap};
use super::stream::Opened;
use super::{MAGIC, hkdf};

/// How long a header may be.
const HEADER_BYTES_MAX: u64 = 64 * 1024;
/// How long a line with a wrapped key is; a shorter one is the last.
const BODY_LINE_BYTES: usize = 64;
/// The most that a passphrase is worked over to open a file: 2 to the power of this, with a gigabyte.
const LOG_N_MAX: u8 = 20;
const SCRYPT_SALT: &[u8] = b"age-encryption.org/v1/scrypt";

/// Why a file is not opened.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// It does not begin as such a file does.
    #[error("the header of the encrypted file is damaged")]
    Damaged,
    /// Its header was changed.
    #[error("the header of the encrypted file was changed")]
    Changed,
    /// The passphrase is not the right one.
    #[error("the passphrase does not open it")]
    Passphrase,
    /// It wants a passphrase.
    #[error("it was encrypted with a passphrase")]
    WantsPassphrase,
    /// It wants an identity.
    #[error("it was encrypted for recipients, and is opened with an identity")]
    WantsIdentity,
    /// No identity is the right one.
    #[error("none of the identities opens it")]
    Identity,
    /// It asks for more work than is done for anybody.
    #[error("it asks for 2^{log_n} rounds over the passphrase, more than 2^{LOG_N_MAX}")]
    TooMuchWork {
        /// What it asks for.
        log_n: u8,
    },
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[source] std::io::Error),
}

/// What opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// The passphrase.
    Passphrase,
    /// An identity.
    Identity,
}

/// One way to the file's key.
enum Stanza {
    Scrypt {
        salt: [u8; 16],
        log_n: u8,
        wrapped: Vec<u8>,
    },
    X25519 {
        share: [u8; 32],
        wrapped: Vec<u8>,
    },
    /// Somebody else's.
    Other,
}

/// A header that was read.
pub struct Header {
    stanzas: Vec<Stanza>,
    mac: [u8; 32],
    /// What the MAC is of.
    text: Vec<u8>,
}

impl Header {
    /// Reads a header, and nothing behind it.
    ///
    /// # Errors
    /// [`HeaderError::Damaged`] for whatever is none; [`HeaderError::Io`].
    pub fn read(from: &mut impl BufRead) -> Result<Self, HeaderError> {
        let mut from = from.take(HEADER_BYTES_MAX);
        let (mut text, mut stanzas) = (Vec::new(), Vec::new());
        if line(&mut from, &mut text)? != MAGIC[..MAGIC.len() - 1] {
            return Err(HeaderError::Damaged);
        }
        loop {
            let begin = line(&mut from, &mut text)?;
            if let Some(mac) = begin.strip_prefix(b"--- ") {
                // It is of all up to itself, but for the space.
                text.truncate(text.len() - mac.len() - 2);
                let mac = decode(mac).and_then(|mac| mac.try_into().ok()).ok_or(HeaderError::Damaged)?;
                let header = Self { stanzas, mac, text };
                return if header.is_fair() { Ok(header) } else { Err(HeaderError::Damaged) };
            }
            let arguments = begin.strip_prefix(b"-> ").ok_or(HeaderError::Damaged)?;
            let mut body = Vec::new();
            loop {
                let part = line(&mut from, &mut text)?;
                if part.len() > BODY_LINE_BYTES {
                    return Err(HeaderError::Damaged);
                }
                body.extend_from_slice(&part);
                if part.len() < BODY_LINE_BYTES {
                    break;
                }
            }
            let body = decode(&body).ok_or(HeaderError::Damaged)?;
            stanzas.push(stanza(&arguments.to_vec(), body).ok_or(HeaderError::Damaged)?);
        }
    }

    /// What opens the file.
    #[must_use]
    pub fn wants(&self) -> Wants {
        match self.stanzas.first() {
            Some(Stanza::Scrypt { .. }) => Wants::Passphrase,
            _ => Wants::Identity,
        }
    }

    /// A passphrase opens alone: otherwise somebody else could have sealed it.
    fn is_fair(&self) -> bool {
        let of_passphrases =
            self.stanzas.iter().filter(|stanza| matches!(stanza, Stanza::Scrypt { .. })).count();
        !self.stanzas.is_empty() && (of_passphrases == 0 || self.stanzas.len() == 1)
    }

    /// Opens what is behind the header in `from`.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn open<R: Read>(&self, key: &Key, from: R) -> Result<Opened<R>, HeaderError> {
        let file_key = self.file_key(key)?;
        let mac = mac(&file_key, &self.text);
        constant_time::verify_slices_are_equal(&mac, &self.mac).map_err(|_| HeaderError::Changed)?;
        Opened::new(from, file_key.expose()).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => HeaderError::Damaged,
            _ => HeaderError::Io(error),
        })
    }

    fn file_key(&self, key: &Key) -> Result<Secret<[u8; 16]>, HeaderError> {
        match (self.stanzas.first(), key) {
            (Some(Stanza::Scrypt { salt, log_n, wrapped }), Key::Passphrase { passphrase, .. }) => {
                if *log_n > LOG_N_MAX {
                    return Err(HeaderError::TooMuchWork { log_n: *log_n });
                }
                let key = stretched(passphrase, salt, *log_n).ok_or(HeaderError::Damaged)?;
                unwrap(key.expose(), wrapped).ok_or(HeaderError::Passphrase)
            }
            (Some(Stanza::Scrypt { .. }), _) => Err(HeaderError::WantsPassphrase),
            (_, Key::Identities(identities)) => {
                let of_x25519 = self.stanzas.iter().filter_map(|stanza| match stanza {
                    Stanza::X25519 { share, wrapped } => Some((share, wrapped)),
                    Stanza::Scrypt { .. } | Stanza::Other => None,
                });
                let mut tried = of_x25519.flat_map(|(share, wrapped)| {
                    identities.iter().filter_map(move |identity| identity.unwrap(share, wrapped))
                });
                tried.next().ok_or(HeaderError::Identity)
            }
            _ => Err(HeaderError::WantsIdentity),
        }
    }
}

/// The header of a file whose key is `file_key`; none for identities, which open and do not seal, and for no recipient.
pub(super) fn written(key: &Key, file_key: &Secret<[u8; 16]>, entropy: &Entropy) -> Option<Vec<u8>> {
    let mut text = MAGIC.to_vec();
    let mut stanza = |arguments: String, wrapped: &[u8]| {
        text.extend_from_slice(format!("-> {arguments}\n{}\n", BASE64.encode(wrapped)).as_bytes());
    };
    match key {
        Key::Passphrase { passphrase, log_n } => {
            let salt: [u8; 16] = entropy.bytes();
            let key = stretched(passphrase, &salt, *log_n)?;
            stanza(format!("scrypt {} {log_n}", BASE64.encode(salt)), &wrap(key.expose(), file_key.expose()));
        }
        Key::Recipients(recipients) if !recipients.is_empty() => {
            for recipient in recipients {
                let (share, wrapped) = recipient.wrap(file_key.expose(), entropy)?;
                stanza(format!("X25519 {}", BASE64.encode(share)), &wrapped);
            }
        }
        Key::Recipients(_) | Key::Identities(_) => return None,
    }
    text.extend_from_slice(b"---");
    let mac = mac(file_key, &text);
    text.extend_from_slice(format!(" {}\n", BASE64.encode(mac)).as_bytes());
    Some(text)
}

fn mac(file_key: &Secret<[u8; 16]>, text: &[u8]) -> [u8; 32] {
    base::hmac_sha256(&hkdf(file_key.expose(), b"", b"header"), text)
}

/// The key that a passphrase gives.
fn stretched(passphrase: &Secret<String>, salt: &[u8; 16], log_n: u8) -> Option<Secret<[u8; 32]>> {
    let parameters = scrypt::Params::new(log_n, 8, 1).ok()?;
    let mut key = Secret::new([0; 32]);
    let salt = [SCRYPT_SALT, salt].concat();
    scrypt::scrypt(passphrase.expose().as_bytes(), &salt, &parameters, key.expose_mut()).ok()?;
    Some(key)
}

/// The next line without its end, which is added to `text` with it.
fn line(from: &mut impl BufRead, text: &mut Vec<u8>) -> Result<Vec<u8>, HeaderError> {
    let begins_at = text.len();
    from.read_until(b'\n', text).map_err(HeaderError::Io)?;
    let line = text[begins_at..].strip_suffix(b"\n").ok_or(HeaderError::Damaged)?;
    Ok(line.to_vec())
}

/// Strictly: one text for the same bytes.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

fn stanza(arguments: &[u8], wrapped: Vec<u8>) -> Option<Stanza> {
    let arguments = std::str::from_utf8(arguments).ok()?;
    let words: Vec<&str> = arguments.split(' ').collect();
    if words.iter().any(|word| word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_graphic())) {
        return None;
    }
    match words[..] {
        ["scrypt", salt, log_n] => {
            let salt = decode(salt.as_bytes())?.try_into().ok()?;
            let is_number = !log_n.starts_with('0') && log_n.bytes().all(|byte| byte.is_ascii_digit());
            let log_n = is_number.then(|| log_n.parse().ok()).flatten()?;
            (wrapped.len() == 32).then_some(Stanza::Scrypt { salt, log_n, wrapped })
        }
        ["X25519", share] => {
            let share = decode(share.as_bytes())?.try_into().ok()?;
            (wrapped.len() == 32).then_some(Stanza::X25519 { share, wrapped })
        }
        ["scrypt" | "X25519", ..] => None,
        _ => Some(Stanza::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Wants, String> {
        Header::read(&mut text.as_bytes()).map(|header| header.wants()).map_err(|error| error.to_string())
    }

    #[test]
    fn headers_are_read_strictly() {
        const MAC: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let key = MAC;
        let check = |stanzas: &str, expected: Option<Wants>| {
            let text = format!("age-encryption.org/v1\n{stanzas}--- {MAC}\n");
            assert_eq!(read(&text).ok(), expected, "{text}");
        };
        let salt = "AAAAAAAAAAAAAAAAAAAAAA";
        check(&format!("-> scrypt {salt} 18\n{key}\n"), Some(Wants::Passphrase));
        check(&format!("-> X25519 {key}\n{key}\n"), Some(Wants::Identity));
        check(&format!("-> grease x\n\n-> X25519 {key}\n{key}\n"), Some(Wants::Identity));
        check(&format!("-> scrypt {salt} 18\n{key}\n-> X25519 {key}\n{key}\n"), None);
        check(&format!("-> scrypt {salt} 018\n{key}\n"), None);
        check(&format!("-> scrypt {salt} +18\n{key}\n"), None);
        check(&format!("-> scrypt {salt} 999\n{key}\n"), None);
        check(&format!("-> scrypt {salt}\n{key}\n"), None);
        check(&format!("-> X25519  {key}\n{key}\n"), None);
        check(&format!("-> X25519 {key}\n{key}=\n"), None);
        check(&format!("-> X25519 {key}\n\n"), None);
        check("", None);
        check("x\n", None);
        assert!(read(&format!("age-encryption.org/v1\n-> x\n{}", "A".repeat(100_000))).is_err());
        assert!(read("age-encryption.org/v2\n").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn nobody_is_made_to_work_for_ever() {
        let text = "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 40\n\
                    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
        let header = Header::read(&mut text.as_bytes()).unwrap();
        let key = Key::Passphrase { passphrase: Secret::new(String::new()), log_n: 1 };
        assert!(matches!(header.open(&key, &b""[..]), Err(HeaderError::TooMuchWork { log_n: 40 })));
    }
}
