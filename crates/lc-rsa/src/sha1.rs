//! RSASSA-PKCS1-v1_5 with SHA-1 (RFC 8017 §8.2), with keys of any size that aws-lc takes (up to 16,384 bits).
//!
//! Keys are read once and used often, on any thread: verifying with a key of 1024 bits takes some
//! microseconds, signing some tens of them.

use std::fmt;
use std::ptr::{self, NonNull};

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_sys::{
    BIGNUM, BN_free, BN_new, BN_set_word, NID_sha1, NID_sha256, OPENSSL_free, RSA_generate_key_ex, RSA_new,
    RSA_private_key_to_bytes, RSA_public_key_to_bytes, RSA_sign, RSA_size, RSA_verify,
};

use crate::key::{Key, forget_errors};

/// The usual public exponent.
const EXPONENT: u64 = 65_537;

/// A public key. `Debug` shows its size.
pub struct VerifyingKey(Key);

impl VerifyingKey {
    /// Reads the DER of an RSAPublicKey (RFC 8017 §A.1.1), as inside a SubjectPublicKeyInfo's BIT STRING; `None`
    /// when it is malformed or of a size that aws-lc does not take.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        Key::public(der).map(Self)
    }

    /// The length of the modulus.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.0.bits()
    }

    /// Whether `signature` is this key's, with SHA-1, over `message`.
    #[must_use]
    pub fn verifies_sha1(&self, message: &[u8], signature: &[u8]) -> bool {
        let digest = sha1(message);
        // SAFETY: the key is alive and is not changed; the two pointers with their lengths describe `digest` and
        // `signature`, which are only read, and only during the call.
        let verified = unsafe {
            RSA_verify(
                NID_sha1,
                digest.as_ref().as_ptr(),
                digest.as_ref().len(),
                signature.as_ptr(),
                signature.len(),
                self.0.as_ptr(),
            )
        };
        if verified != 1 {
            forget_errors();
        }
        verified == 1
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey(RSA-{})", self.bits())
    }
}

/// A private key. aws-lc overwrites it when it is dropped; `Debug` shows its size.
pub struct SigningKey(Key);

impl SigningKey {
    /// Reads the DER of an RSAPrivateKey (RFC 8017 §A.1.2); `None` when it is malformed, its numbers do not fit
    /// together, or it is of a size that aws-lc does not take.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        Key::private(der).map(Self)
    }

    /// Makes a new key of this many bits, with numbers that aws-lc draws from the operating system; `None` when it
    /// does not make keys of this size.
    #[must_use]
    pub fn generate(bits: u32) -> Option<Self> {
        let bits = i32::try_from(bits).ok()?;
        let exponent = Number::new(EXPONENT)?;
        // SAFETY: takes nothing; the result is null or a new object that is ours to free.
        let key = Key::taken(unsafe { RSA_new() })?;
        // SAFETY: both objects are alive and nobody else has them; there is no callback.
        let made = unsafe { RSA_generate_key_ex(key.as_ptr(), bits, exponent.0.as_ptr(), ptr::null_mut()) };
        if made != 1 {
            forget_errors();
            return None;
        }
        Some(Self(key))
    }

    /// The length of the modulus.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.0.bits()
    }

    /// The public half, as the DER of an RSAPublicKey. Two keys are the same when these bytes are.
    ///
    /// # Panics
    /// When memory runs out.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        // SAFETY: the key is alive and only read; see `written`.
        written(|bytes, length| unsafe { RSA_public_key_to_bytes(bytes, length, self.0.as_ptr()) })
    }

    /// The key as the DER of an RSAPrivateKey, for the caller to wipe.
    ///
    /// # Panics
    /// When memory runs out.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        // SAFETY: the key is alive and only read; see `written`.
        written(|bytes, length| unsafe { RSA_private_key_to_bytes(bytes, length, self.0.as_ptr()) })
    }

    /// The signature, with SHA-1, over `message`: as long as the modulus. `None` only when the key is too short for
    /// it (fewer than 368 bits) or the signature, which aws-lc checks, came out wrong.
    #[must_use]
    pub fn sign_sha1(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.sign(NID_sha1, &sha1(message))
    }

    /// The same with SHA-256, for keys that aws-lc-rs finds too short (`None` below 496 bits): a certificate of such a
    /// key is signed with it.
    #[must_use]
    pub fn sign_sha256(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.sign(NID_sha256, &digest::digest(&SHA256, message))
    }

    /// The signature over `digest`, which was made with the algorithm that aws-lc has this number for.
    fn sign(&self, algorithm: i32, digest: &digest::Digest) -> Option<Vec<u8>> {
        // SAFETY: the key is alive, and only read.
        let size = unsafe { RSA_size(self.0.as_ptr()) };
        let mut signature = vec![0; usize::try_from(size).ok()?];
        let mut length = 0;
        // SAFETY: the key is alive and is not changed (blinding inside it is under aws-lc's own lock); `digest` is
        // only read; `signature` has the `RSA_size` bytes that are written at most, and `length` is ours.
        let signed = unsafe {
            RSA_sign(
                algorithm,
                digest.as_ref().as_ptr(),
                digest.as_ref().len(),
                signature.as_mut_ptr(),
                &raw mut length,
                self.0.as_ptr(),
            )
        };
        if signed != 1 {
            forget_errors();
            return None;
        }
        signature.truncate(usize::try_from(length).ok()?);
        Some(signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(.., RSA-{})", self.bits())
    }
}

fn sha1(message: &[u8]) -> digest::Digest {
    digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, message)
}

/// What one of aws-lc's functions writes into memory of its own. It gives 1 when it did, and then the pointer and the
/// length describe a new allocation, which is overwritten when freed.
fn written(write: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> Vec<u8> {
    let (mut bytes, mut length) = (ptr::null_mut(), 0);
    let done = write(&raw mut bytes, &raw mut length);
    assert!(done == 1 && !bytes.is_null(), "a key that was checked can be written, unless memory runs out");
    // SAFETY: the function said that it made `length` bytes at `bytes`; nobody else has the pointer.
    let copy = unsafe { std::slice::from_raw_parts(bytes, length) }.to_vec();
    // SAFETY: the allocation is aws-lc's and ours to free, and the slice above is gone.
    unsafe { OPENSSL_free(bytes.cast()) };
    copy
}

/// A number of aws-lc, freed when dropped.
struct Number(NonNull<BIGNUM>);

impl Number {
    fn new(value: u64) -> Option<Self> {
        // SAFETY: takes nothing; the result is null or a new object that is ours to free.
        let number = Self(NonNull::new(unsafe { BN_new() })?);
        // SAFETY: the object is alive and ours alone.
        let set = unsafe { BN_set_word(number.0.as_ptr(), value) };
        (set == 1).then_some(number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: the object came from `BN_new`, and nobody else has the pointer.
        unsafe { BN_free(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};

    #[test]
    fn signs_what_aws_lc_rs_verifies() {
        for bits in [1024, 2048, 3072] {
            let key = SigningKey::generate(bits).unwrap();
            assert_eq!((key.bits(), format!("{key:?}")), (bits, format!("SigningKey(.., RSA-{bits})")));
            let signature = key.sign_sha1(b"message").unwrap();
            assert_eq!(signature.len(), bits as usize / 8);
            let ours = VerifyingKey::from_der(&key.public_der()).unwrap();
            let theirs =
                UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, key.public_der());
            for (message, is_right) in [(&b"message"[..], true), (b"massage", false), (b"", false)] {
                assert_eq!(ours.verifies_sha1(message, &signature), is_right);
                assert_eq!(theirs.verify(message, &signature).is_ok(), is_right);
            }
            let again = SigningKey::from_der(&key.to_der()).unwrap();
            assert_eq!(again.sign_sha1(b"message").unwrap(), signature, "there is no chance in it");
        }
    }

    #[test]
    fn refuses_the_rest() {
        let key = SigningKey::generate(1024).unwrap();
        let other = SigningKey::generate(1024).unwrap();
        let ours = VerifyingKey::from_der(&key.public_der()).unwrap();
        let signature = key.sign_sha1(b"message").unwrap();
        let longer = [&[0], &signature[..]].concat();
        for (case, signature) in [
            ("another key's", other.sign_sha1(b"message").unwrap()),
            ("a short one", signature[1..].to_vec()),
            ("a long one", longer),
            ("none", vec![]),
            ("zeros", vec![0; 128]),
            ("ones", vec![0xff; 128]),
        ] {
            assert!(!ours.verifies_sha1(b"message", &signature), "{case}");
        }
        let (public, private) = (key.public_der(), key.to_der());
        for length in (0..private.len()).step_by(7) {
            assert!(SigningKey::from_der(&private[..length]).is_none(), "{length}");
        }
        for length in 0..public.len() {
            assert!(VerifyingKey::from_der(&public[..length]).is_none(), "{length}");
        }
        assert!(SigningKey::from_der(&public).is_none() && VerifyingKey::from_der(&private).is_none());
        for bits in [0, 1, 8, u32::MAX] {
            assert!(SigningKey::generate(bits).is_none(), "{bits}");
        }
    }

    #[test]
    fn a_key_is_used_on_several_threads() {
        let key = SigningKey::generate(1024).unwrap();
        let public = VerifyingKey::from_der(&key.public_der()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let (key, public) = (&key, &public);
                scope.spawn(move || {
                    for n in 0..200 {
                        let message = [thread, n];
                        let signature = key.sign_sha1(&message).unwrap();
                        assert!(public.verifies_sha1(&message, &signature));
                    }
                });
            }
        });
    }
}
