//! Verifies RSASSA-PSS signatures (RFC 8017 §8.1.2) whose salt may have any length.
//!
//! aws-lc-rs verifies a salt of one length, fixed when the program is compiled. Signers differ: the
//! largest salt that fits, one as long as the hash, none. The salt's length authenticates nothing, and
//! aws-lc itself can recover it from the signature, so this crate calls aws-lc for that one thing.

use aws_lc_rs::digest;
use aws_lc_sys::{EVP_MD, EVP_sha256, EVP_sha384, EVP_sha512, RSA_PSS_SALTLEN_AUTO, RSA_verify_pss_mgf1};

use crate::key::{Key, forget_errors};

/// The hash of the message, which is also the hash inside MGF1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    fn of(self, message: &[u8]) -> digest::Digest {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, message)
    }

    fn method(self) -> *const EVP_MD {
        // SAFETY: these take nothing and return the address of a static that lives as long as the program.
        unsafe {
            match self {
                Self::Sha256 => EVP_sha256(),
                Self::Sha384 => EVP_sha384(),
                Self::Sha512 => EVP_sha512(),
            }
        }
    }
}

/// Whether `signature` is the RSASSA-PSS signature of `message` by the owner of `public_key`, with
/// `hash` both for the message and in MGF1, and a salt of any length (also none).
///
/// `public_key` is the DER of an `RSAPublicKey` (RFC 8017 §A.1.1), as inside a SubjectPublicKeyInfo's
/// BIT STRING. False too when it is malformed, or of a size that aws-lc does not take (over 16,384
/// bits). Setting a lower bound is the caller's affair.
#[must_use]
pub fn verify_any_salt(public_key: &[u8], hash: Hash, message: &[u8], signature: &[u8]) -> bool {
    let digest = hash.of(message);
    let method = hash.method();
    let Some(key) = Key::public(public_key) else { return false };
    // SAFETY: `key` is a live RSA object that nobody else uses; the two pointers with their lengths
    // describe `digest` and `signature`, which are only read, and only during the call; `method` is a
    // static, and `digest` is as long as it says, because both come from `hash`.
    let verified = unsafe {
        RSA_verify_pss_mgf1(
            key.as_ptr(),
            digest.as_ref().as_ptr(),
            digest.as_ref().len(),
            method,
            method,
            RSA_PSS_SALTLEN_AUTO,
            signature.as_ptr(),
            signature.len(),
        )
    };
    if verified != 1 {
        forget_errors();
    }
    verified == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
        RsaPssSaltLength,
    };

    fn sign(key: &RsaKeyPair, encoding: &'static dyn RsaEncoding) -> Vec<u8> {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), b"message", &mut signature).unwrap();
        signature
    }

    #[test]
    fn takes_every_salt_length() {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = key.public_key().as_ref();
        let table: [(Hash, &'static dyn RsaEncoding); 6] = [
            (Hash::Sha256, &RSA_PSS_SHA256),
            (Hash::Sha384, &RSA_PSS_SHA384),
            (Hash::Sha512, &RSA_PSS_SHA512),
            (Hash::Sha256, &const { RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max) }),
            (Hash::Sha256, &const { RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(0)) }),
            (Hash::Sha256, &const { RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(7)) }),
        ];
        for (hash, encoding) in table {
            let signature = sign(&key, encoding);
            assert!(verify_any_salt(public, hash, b"message", &signature), "{encoding:?}");
            assert!(!verify_any_salt(public, hash, b"massage", &signature), "{encoding:?}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let other = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = key.public_key().as_ref();
        let signature = sign(&key, &RSA_PSS_SHA256);
        let table: [(&str, &[u8], Hash, &[u8]); 8] = [
            ("another key", other.public_key().as_ref(), Hash::Sha256, &signature),
            ("another hash", public, Hash::Sha512, &signature),
            ("another padding", public, Hash::Sha256, &sign(&key, &RSA_PKCS1_SHA256)),
            ("a short signature", public, Hash::Sha256, &signature[1..]),
            ("no signature", public, Hash::Sha256, &[]),
            ("zeros", public, Hash::Sha256, &[0; 256]),
            ("a cut key", &public[..100], Hash::Sha256, &signature),
            ("no key", &[], Hash::Sha256, &signature),
        ];
        for (case, public, hash, signature) in table {
            assert!(!verify_any_salt(public, hash, b"message", signature), "{case}");
        }
    }
}
