//! The format of the program `age` (<https://age-encryption.org/v1>): what is encrypted here is opened by
//! `age --decrypt`, and the other way round.
//!
//! ```text
//! age-encryption.org/v1
//! -> scrypt SALT 18            or: -> X25519 SHARE, for each recipient
//! the file's key, wrapped
//! --- MAC
//! nonce, chunks of 64 KiB, each sealed and numbered, the last one marked
//! ```
//! The crate `age` would bring 180 packages, most of them for translated messages, and cryptography beside aws-lc; the
//! format is a page. ChaCha20-Poly1305, X25519, HMAC and the comparison are aws-lc's, scrypt is the crate of that name
//! that SSH keys have brought already.

mod bech32;
mod header;
mod keys;
mod stream;

pub use header::{Header, HeaderError, Wants};
pub use keys::{Identity, Key, KeyError, Recipient};
pub use stream::{Opened, Sealed};

/// How an encrypted file begins.
pub const MAGIC: &[u8] = b"age-encryption.org/v1\n";

/// HKDF-SHA-256 (RFC 5869) with 32 bytes of output.
fn hkdf(secret: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let extracted = base::hmac_sha256(salt, secret);
    base::hmac_sha256(&extracted, &[info, &[1]].concat())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use base::{Entropy, Secret};

    use super::*;

    fn sealed(bytes: &[u8], key: &Key) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sealed = Sealed::new(&mut out, key, &Entropy::seeded(3)).unwrap();
        // In pieces that are no chunks.
        for piece in bytes.chunks(10_007) {
            sealed.write_all(piece).unwrap();
        }
        sealed.finish().unwrap();
        out
    }

    fn opened(bytes: &[u8], key: &Key) -> Result<Vec<u8>, String> {
        let mut from = bytes;
        let header = Header::read(&mut from).map_err(|error| error.to_string())?;
        let mut opened = header.open(key, from).map_err(|error| error.to_string())?;
        let mut clear = Vec::new();
        opened.read_to_end(&mut clear).map_err(|error| error.to_string())?;
        Ok(clear)
    }

    fn passphrase(text: &str) -> Key {
        Key::Passphrase { passphrase: Secret::new(text.to_owned()), log_n: 4 }
    }

    #[test]
    fn what_is_sealed_is_opened() {
        let identity = Identity::parse(
            "AGE-SECRET-KEY-1QQPQQSQPQPQGQYPSQQGPQPQGPSQQGPQPQGPSQQGPQPQGPSQQGPQPQGPSQQGPQPQGPS",
        );
        assert!(identity.is_err(), "its sum is wrong");
        let identity = Identity::generate(&Entropy::seeded(7));
        for size in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
            let clear: Vec<u8> = (0..size).map(|number| (number % 251) as u8).collect();
            assert!(opened(&sealed(&clear, &passphrase("x")), &passphrase("x")).unwrap() == clear);
            let recipients = Key::Recipients(vec![identity.recipient()]);
            let opener = Key::Identities(vec![Identity::generate(&Entropy::seeded(8)), identity.clone()]);
            assert!(opened(&sealed(&clear, &recipients), &opener).unwrap() == clear, "{size}");
        }
    }

    #[test]
    fn another_key_does_not_open_it() {
        let file = sealed(b"clear", &passphrase("right"));
        assert_eq!(opened(&file, &passphrase("wrong")).unwrap_err(), "the passphrase does not open it");
        let own = Identity::generate(&Entropy::seeded(7));
        let others = Key::Identities(vec![Identity::generate(&Entropy::seeded(8))]);
        assert_eq!(opened(&file, &others).unwrap_err(), "it was encrypted with a passphrase");
        let file = sealed(b"clear", &Key::Recipients(vec![own.recipient()]));
        assert_eq!(opened(&file, &others).unwrap_err(), "none of the identities opens it");
        assert_eq!(
            opened(&file, &passphrase("x")).unwrap_err(),
            "it was encrypted for recipients, and is opened with an identity"
        );
    }

    #[test]
    fn every_byte_counts() {
        let file = sealed(&[5; 70_000], &passphrase("x"));
        let header = file.windows(4).position(|window| window == b"--- ").unwrap() + 200;
        let ends = file.len() - 300..file.len();
        for at in (0..header).chain((header..file.len()).step_by(997)).chain(ends) {
            let mut other = file.clone();
            other[at] ^= 1 << (at % 7);
            assert!(opened(&other, &passphrase("x")).is_err(), "a bit of byte {at}");
            assert!(opened(&file[..at], &passphrase("x")).is_err(), "cut at {at}");
        }
        assert!(opened(&[&file[..], b"x"].concat(), &passphrase("x")).is_err());
    }

    /// Chunks that are left out, doubled or in another order.
    #[test]
    fn chunks_have_their_places() {
        let file = sealed(&[5; 4 * 65_536 - 10], &passphrase("x"));
        let start = file.len() - 3 * 65_552 - (65_552 - 10);
        let chunk = |number: usize| {
            &file[start + number * 65_552..][..65_552.min(file.len() - start - number * 65_552)]
        };
        for order in [&[0, 1, 2][..], &[0, 2, 1, 3], &[1, 2, 3], &[0, 0, 1, 2, 3], &[0, 1, 3], &[]] {
            let mut other = file[..start].to_vec();
            order.iter().for_each(|number| other.extend_from_slice(chunk(*number)));
            assert!(opened(&other, &passphrase("x")).is_err(), "{order:?}");
        }
    }
}
