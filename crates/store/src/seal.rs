//! Secrets at rest: sealed under one key, which lies in a file beside the store.
//!
//! The sealed form is a JWE in compact serialisation (RFC 7516 §3.1) with `"alg":"dir"` and
//! `"enc":"A256CBC-HS512"` (RFC 7518 §4.5, §5.2.5). Its protected header also says what it is about, which is
//! the key of the record that it is kept in: moved to another record it does not open.
//! ```text
//! base64url({"alg":"dir","enc":"A256CBC-HS512","about":"/ca/…"}) . . base64url(iv) . base64url(sealed) . base64url(tag)
//! ```

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::{constant_time, hmac};
use base::{Entropy, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

pub use self::key_file::SealError;

mod key_file;

/// Half of it authenticates (the first), half of it encrypts.
const KEY_BYTES: usize = 64;
/// AES's block; also what padding adds at most.
const BLOCK_BYTES: usize = 16;
/// Half of a SHA-512 digest.
const TAG_BYTES: usize = 32;

/// The key under which secrets are sealed. Losing it is losing them.
#[derive(Clone, Debug)]
pub struct SealingKey(Secret<[u8; KEY_BYTES]>);

impl SealingKey {
    /// A new key.
    #[must_use]
    pub fn generate(entropy: &Entropy) -> Self {
        Self(Secret::new(entropy.bytes()))
    }

    /// Seals `clear`, to be opened only as being about the same.
    #[must_use]
    pub fn seal(&self, about: &str, clear: &[u8], entropy: &Entropy) -> String {
        let header = header(about);
        let iv = entropy.bytes();
        let (sealed, tag) = self.encrypt(iv, header.as_bytes(), clear);
        let text = |bytes: &[u8]| BASE64URL.encode(bytes);
        format!("{header}..{}.{}.{}", text(&iv), text(&sealed), text(&tag))
    }

    /// What [`Self::seal`] sealed about the same.
    ///
    /// # Errors
    /// [`SealError::Foreign`] when it is about something else or no such thing at all,
    /// [`SealError::Broken`] when it was changed or sealed under another key.
    pub fn open(&self, about: &str, sealed: &str) -> Result<Secret<Vec<u8>>, SealError> {
        let foreign = || SealError::Foreign { about: about.into() };
        let header = header(about);
        let mut parts = sealed.split('.');
        let mut part = || parts.next().ok_or_else(foreign);
        // With `dir` there is no encrypted key (RFC 7516 §5.1, step 5).
        if part()? != header || !part()?.is_empty() {
            return Err(foreign());
        }
        let mut bytes = || BASE64URL.decode(part()?).map_err(|_| foreign());
        let (iv, sealed, tag) = (bytes()?, bytes()?, bytes()?);
        let iv = <[u8; BLOCK_BYTES]>::try_from(iv).map_err(|_| foreign())?;
        if parts.next().is_some() {
            return Err(foreign());
        }
        self.decrypt(iv, header.as_bytes(), sealed, &tag)
            .ok_or_else(|| SealError::Broken { about: about.into() })
    }

    /// The ciphertext and its tag (RFC 7518 §5.2.2.1).
    fn encrypt(&self, iv: [u8; BLOCK_BYTES], about: &[u8], clear: &[u8]) -> (Vec<u8>, [u8; TAG_BYTES]) {
        // With room for the padding from the start, so that no copy of the clear text stays behind.
        let mut bytes = Vec::with_capacity(clear.len() + BLOCK_BYTES);
        bytes.extend_from_slice(clear);
        PaddedBlockEncryptingKey::cbc_pkcs7(self.cipher_key())
            .and_then(|key| key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(iv.into())))
            .expect("AES-256 takes every key of 32 bytes, and CBC every vector of 16");
        let tag = self.tag(&iv, about, &bytes);
        (bytes, tag)
    }

    /// The clear text, if the tag is right (RFC 7518 §5.2.2.2). Nothing is decrypted before that is known.
    fn decrypt(
        &self,
        iv: [u8; BLOCK_BYTES],
        about: &[u8],
        sealed: Vec<u8>,
        tag: &[u8],
    ) -> Option<Secret<Vec<u8>>> {
        constant_time::verify_slices_are_equal(&self.tag(&iv, about, &sealed), tag).ok()?;
        let mut bytes = sealed;
        let length = PaddedBlockDecryptingKey::cbc_pkcs7(self.cipher_key())
            .and_then(|key| Ok(key.decrypt(&mut bytes, DecryptionContext::Iv128(iv.into()))?.len()))
            .ok()?;
        bytes.truncate(length);
        Some(Secret::new(bytes))
    }

    fn cipher_key(&self) -> UnboundCipherKey {
        UnboundCipherKey::new(&AES_256, &self.0.expose()[KEY_BYTES / 2..])
            .expect("half of the key is 32 bytes")
    }

    /// HMAC-SHA-512 over what it is about, the vector, the ciphertext and the length of the first in bits,
    /// cut to its first half.
    fn tag(&self, iv: &[u8; BLOCK_BYTES], about: &[u8], sealed: &[u8]) -> [u8; TAG_BYTES] {
        let key = hmac::Key::new(hmac::HMAC_SHA512, &self.0.expose()[..KEY_BYTES / 2]);
        let mut context = hmac::Context::with_key(&key);
        for part in [about, iv, sealed, &(about.len() as u64 * 8).to_be_bytes()] {
            context.update(part);
        }
        *context.sign().as_ref().first_chunk().expect("SHA-512 gives 64 bytes")
    }
}

/// The protected header, as it is authenticated: the same for the same `about`, always.
fn header(about: &str) -> String {
    let about = serde_json::Value::from(about);
    BASE64URL.encode(format!(r#"{{"alg":"dir","enc":"A256CBC-HS512","about":{about}}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        base::hex::decode(&text.replace(char::is_whitespace, "")).unwrap()
    }

    #[test]
    fn as_in_rfc_7518_appendix_b_3() {
        let key = SealingKey(Secret::new(std::array::from_fn(|i| u8::try_from(i).unwrap())));
        let clear =
            b"A cipher system must not be required to be secret, and it must be able to fall into the \
                      hands of the enemy without inconvenience";
        let about = b"The second principle of Auguste Kerckhoffs";
        let iv = <[u8; 16]>::try_from(hex("1af38c2dc2b96ffdd86694092341bc04")).unwrap();
        let sealed = hex("4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd
                          822c301dd67c373bccb584ad3e9279c2e6d12a1374b77f077553df829410446b
                          36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3
                          a3b75e662a2594410ae496b2e2e6609e31e6e02cc837f053d21f37ff4f51950b
                          be2638d09dd7a4930930806d0703b1f6");
        let tag = hex("4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5");

        assert_eq!(key.encrypt(iv, about, clear), (sealed.clone(), tag.clone().try_into().unwrap()));
        assert_eq!(key.decrypt(iv, about, sealed, &tag).unwrap().expose(), clear);
    }

    #[test]
    fn what_is_sealed_opens_again() {
        let entropy = Entropy::seeded(1);
        let key = SealingKey::generate(&entropy);
        for length in [0, 1, 15, 16, 17, 4096] {
            let clear = vec![0xa5; length];
            let sealed = key.seal("/k/\"é\"", &clear, &entropy);
            assert_ne!(sealed, key.seal("/k/\"é\"", &clear, &entropy), "the vector is used once");
            assert_eq!(key.open("/k/\"é\"", &sealed).unwrap().expose(), &clear, "{length} bytes");
        }
    }

    #[test]
    fn golden_bytes() {
        let entropy = Entropy::seeded(7);
        let key = SealingKey::generate(&entropy);
        let sealed = key.seal("/k", b"hunter2", &entropy);
        let (header, rest) = sealed.split_once('.').unwrap();
        assert_eq!(BASE64URL.decode(header).unwrap(), br#"{"alg":"dir","enc":"A256CBC-HS512","about":"/k"}"#);
        assert_eq!(
            rest,
            ".YWdQmXrAXiJpU3mIdqLDaQ.PVRaFGuqCMvqVthoolLTDg.mSW_kDkLm81ExRJDPni51crPEn0zppam0rfXgKEKGts"
        );
    }

    #[test]
    fn nothing_else_opens() {
        let entropy = Entropy::seeded(2);
        let key = SealingKey::generate(&entropy);
        let sealed = key.seal("/host/a", b"secret", &entropy);

        assert!(matches!(key.open("/host/b", &sealed), Err(SealError::Foreign { .. })));
        let other = SealingKey::generate(&entropy);
        assert!(matches!(other.open("/host/a", &sealed), Err(SealError::Broken { .. })));
        for foreign in ["", ".", "....", &sealed[1..], &format!("{sealed}."), &format!("{sealed}=")] {
            assert!(matches!(key.open("/host/a", foreign), Err(SealError::Foreign { .. })), "{foreign}");
        }
        // Every character matters.
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(key.open("/host/a", std::str::from_utf8(&changed).unwrap()).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn shows_nothing() {
        assert_eq!(format!("{:?}", SealingKey::generate(&Entropy::seeded(3))), "SealingKey(Secret(..))");
    }
}
