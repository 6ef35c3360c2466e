//! Private keys under a passphrase.
//!
//! ```text
//! ENCRYPTED PRIVATE KEY           PKCS#8 (RFC 5958 §3), PBES2 with PBKDF2 (RFC 8018): read, and written
//! RSA or EC PRIVATE KEY, with     RFC 1421's headers, the key made of the passphrase with MD5 once: what OpenSSL
//! Proc-Type and DEK-Info          wrote before 1.0; read only
//! ```
//! Ciphers: AES of all three lengths, and triple DES, in CBC. A passphrase that is not the one cannot be told from a block
//! that was damaged: neither is a code in these formats.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use base::{Entropy, Secret, hex};
use des::TdesEde3;
use des::cipher::{BlockCipherDecrypt as _, KeyInit as _};
use md5::{Digest as _, Md5};

use crate::der_reader::{Reader, tag};
use crate::der_writer::sequence;
use crate::error::{KeyError, ParseError};
use crate::key::PrivateKey;
use crate::oid::{self, ObjectIdentifier};
use crate::pem;

/// Above it nobody would wait for a key.
const ROUNDS_MAX: u64 = 10_000_000;
/// What new keys are written with: some tenths of a second, for us and for whoever guesses.
const ROUNDS: u32 = 600_000;
const SALT_BYTES: usize = 16;
const AES_BLOCK_BYTES: usize = 16;
const DES_BLOCK_BYTES: usize = 8;

const LABEL: &str = "ENCRYPTED PRIVATE KEY";

#[derive(Clone, Copy)]
enum Cipher {
    Aes(&'static Algorithm, usize),
    TripleDes,
}

impl Cipher {
    fn named(name: &str) -> Option<Self> {
        match name {
            "AES-128-CBC" => Some(Self::Aes(&AES_128, 16)),
            "AES-192-CBC" => Some(Self::Aes(&AES_192, 24)),
            "AES-256-CBC" => Some(Self::Aes(&AES_256, 32)),
            "DES-EDE3-CBC" => Some(Self::TripleDes),
            _ => None,
        }
    }

    fn of(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            oid::AES128_CBC => Some(Self::Aes(&AES_128, 16)),
            oid::AES192_CBC => Some(Self::Aes(&AES_192, 24)),
            oid::AES256_CBC => Some(Self::Aes(&AES_256, 32)),
            oid::DES_EDE3_CBC => Some(Self::TripleDes),
            _ => None,
        }
    }

    fn key_bytes(self) -> usize {
        match self {
            Self::Aes(_, bytes) => bytes,
            Self::TripleDes => 24,
        }
    }

    fn block_bytes(self) -> usize {
        match self {
            Self::Aes(..) => AES_BLOCK_BYTES,
            Self::TripleDes => DES_BLOCK_BYTES,
        }
    }

    /// `None` when what comes out does not end as it should.
    fn decipher(self, key: &[u8], vector: &[u8], enciphered: &[u8]) -> Option<Secret<Vec<u8>>> {
        let mut bytes = Secret::new(enciphered.to_vec());
        let length = match self {
            Self::Aes(algorithm, _) => {
                let key = UnboundCipherKey::new(algorithm, key).ok()?;
                let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
                let vector = FixedLength::try_from(vector).ok()?;
                key.decrypt(bytes.expose_mut(), DecryptionContext::Iv128(vector)).ok()?.len()
            }
            Self::TripleDes => {
                let cipher = TdesEde3::new_from_slice(key).ok()?;
                let mut before: [u8; DES_BLOCK_BYTES] = vector.try_into().ok()?;
                for block in bytes.expose_mut().chunks_mut(DES_BLOCK_BYTES) {
                    let block: &mut [u8; DES_BLOCK_BYTES] = block.try_into().ok()?;
                    let enciphered = *block;
                    cipher.decrypt_block(block.into());
                    block.iter_mut().zip(before).for_each(|(byte, before)| *byte ^= before);
                    before = enciphered;
                }
                unpadded(bytes.expose())?
            }
        };
        bytes.expose_mut().truncate(length);
        Some(bytes)
    }
}

/// How long it is without PKCS#7's padding.
fn unpadded(bytes: &[u8]) -> Option<usize> {
    let last = usize::from(*bytes.last()?);
    let length = bytes.len().checked_sub(last)?;
    let is_padding = (1..=DES_BLOCK_BYTES).contains(&last)
        && bytes[length..].iter().all(|byte| usize::from(*byte) == last);
    is_padding.then_some(length)
}

impl PrivateKey {
    /// Reads a block that is a private key, under `passphrase` if it is under one.
    ///
    /// # Errors
    /// [`KeyError::Encrypted`] when it is under one and none is given, [`KeyError::Passphrase`] when it is another one; or
    /// as [`PrivateKey::from_pem`].
    pub fn from_block(block: &pem::Block, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        if block.label != LABEL && !block.has_headers {
            return Self::from_clear_block(&block.label, &block.der);
        }
        let passphrase = passphrase.ok_or(KeyError::Encrypted)?;
        if block.label == LABEL {
            let clear = decipher_pkcs8(&block.der, passphrase)?;
            return not_the_passphrase(Self::from_pkcs8_der(clear.expose()));
        }
        let clear = decipher_headed(block, passphrase)?;
        not_the_passphrase(Self::from_clear_block(&block.label, clear.expose()))
    }

    /// The key as PEM, PKCS#8 under `passphrase`: PBES2 with PBKDF2, HMAC-SHA-256 and AES-256-CBC.
    ///
    /// # Errors
    /// When the cryptography library fails.
    pub fn to_encrypted_pem(&self, passphrase: &[u8], entropy: &Entropy) -> Result<String, KeyError> {
        let (salt, vector) = (entropy.bytes::<SALT_BYTES>(), entropy.bytes::<AES_BLOCK_BYTES>());
        let mut key = Secret::new([0; 32]);
        let rounds = std::num::NonZeroU32::new(ROUNDS).expect("it is not zero");
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, passphrase, key.expose_mut());
        let mut bytes = self.to_pkcs8_der();
        let enciphering = UnboundCipherKey::new(&AES_256, key.expose())
            .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
            .map_err(|_| KeyError::Generate)?;
        let context = EncryptionContext::Iv128(FixedLength::from(&vector));
        enciphering.less_safe_encrypt(bytes.expose_mut(), context).map_err(|_| KeyError::Generate)?;
        let der = sequence(|whole| {
            whole.sequence(|algorithm| {
                algorithm.oid(&oid::PBES2);
                algorithm.sequence(|parameters| {
                    parameters.sequence(|derivation| {
                        derivation.oid(&oid::PBKDF2);
                        derivation.sequence(|parameters| {
                            parameters.element(tag::OCTET_STRING, &salt);
                            parameters.unsigned(&ROUNDS.to_be_bytes());
                            parameters.sequence(|code| {
                                code.oid(&oid::HMAC_SHA256);
                                code.element(tag::NULL, &[]);
                            });
                        });
                    });
                    parameters.sequence(|cipher| {
                        cipher.oid(&oid::AES256_CBC);
                        cipher.element(tag::OCTET_STRING, &vector);
                    });
                });
            });
            whole.element(tag::OCTET_STRING, bytes.expose());
        });
        Ok(pem::write(LABEL, &der))
    }
}

/// What another passphrase makes of a key is noise that happens to end well: one in 256.
fn not_the_passphrase(read: Result<PrivateKey, KeyError>) -> Result<PrivateKey, KeyError> {
    read.map_err(|error| match error {
        KeyError::Malformed => KeyError::Passphrase,
        other => other,
    })
}

/// What is inside PBES2.
fn decipher_pkcs8(der: &[u8], passphrase: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
    let malformed = |_: ParseError| KeyError::Malformed;
    let unsupported = |oid: ObjectIdentifier| KeyError::Unsupported { algorithm: oid.to_string() };
    let mut whole = Reader::whole(der, tag::SEQUENCE, "private key").map_err(malformed)?;
    let mut algorithm = whole.inside(tag::SEQUENCE).map_err(malformed)?;
    let scheme = algorithm.oid().map_err(malformed)?;
    if scheme != oid::PBES2 {
        return Err(unsupported(scheme));
    }
    let mut scheme = algorithm.inside(tag::SEQUENCE).map_err(malformed)?;
    let mut derivation = scheme.inside(tag::SEQUENCE).map_err(malformed)?;
    let function = derivation.oid().map_err(malformed)?;
    if function != oid::PBKDF2 {
        return Err(unsupported(function));
    }
    let mut parameters = derivation.inside(tag::SEQUENCE).map_err(malformed)?;
    let salt = parameters.expect(tag::OCTET_STRING).map_err(malformed)?.content;
    let rounds = parameters.number().map_err(malformed)?;
    if parameters.optional(tag::INTEGER).is_err() {
        return Err(KeyError::Malformed);
    }
    let code = match parameters.is_empty() {
        true => oid::HMAC_SHA1,
        false => {
            let mut code = parameters.inside(tag::SEQUENCE).map_err(malformed)?;
            code.oid().map_err(malformed)?
        }
    };
    let code = match code {
        oid::HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
        oid::HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
        oid::HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
        oid::HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
        other => return Err(unsupported(other)),
    };
    let mut cipher = scheme.inside(tag::SEQUENCE).map_err(malformed)?;
    let oid = cipher.oid().map_err(malformed)?;
    let vector = cipher.expect(tag::OCTET_STRING).map_err(malformed)?.content;
    let cipher = Cipher::of(oid).ok_or_else(|| unsupported(oid))?;
    let enciphered = whole.expect(tag::OCTET_STRING).map_err(malformed)?.content;
    whole.finish().map_err(malformed)?;

    let rounds = u32::try_from(rounds).ok().filter(|rounds| u64::from(*rounds) <= ROUNDS_MAX);
    let rounds = rounds.and_then(std::num::NonZeroU32::new).ok_or(KeyError::Malformed)?;
    let mut key = Secret::new(vec![0; cipher.key_bytes()]);
    pbkdf2::derive(code, rounds, salt, passphrase, key.expose_mut());
    cipher.decipher(key.expose(), vector, enciphered).ok_or(KeyError::Passphrase)
}

/// What is behind RFC 1421's headers, as OpenSSL has them.
fn decipher_headed(block: &pem::Block, passphrase: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
    let info = block.dek_info.as_deref().ok_or(KeyError::Malformed)?;
    let (name, vector) = info.split_once(',').ok_or(KeyError::Malformed)?;
    let cipher = Cipher::named(name.trim())
        .ok_or_else(|| KeyError::Unsupported { algorithm: name.trim().to_owned() })?;
    let vector = hex::decode(vector.trim()).filter(|vector| vector.len() == cipher.block_bytes());
    let vector = vector.ok_or(KeyError::Malformed)?;
    // OpenSSL's EVP_BytesToKey: MD5 of what came before, the passphrase, and eight bytes of the vector.
    let mut key = Secret::new(Vec::with_capacity(48));
    let mut last = Secret::new(Vec::new());
    while key.expose().len() < cipher.key_bytes() {
        let digest =
            Md5::new().chain_update(last.expose()).chain_update(passphrase).chain_update(&vector[..8]);
        last = Secret::new(digest.finalize().to_vec());
        key.expose_mut().extend_from_slice(last.expose());
    }
    key.expose_mut().truncate(cipher.key_bytes());
    cipher.decipher(key.expose(), &vector, &block.der).ok_or(KeyError::Passphrase)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::key::KeySpec;

    fn block(text: &str) -> pem::Block {
        pem::read(text.as_bytes(), pem::ONE_BYTES_MAX).unwrap().remove(0)
    }

    #[test]
    fn what_is_written_under_a_passphrase_is_read_under_it_only() {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let text = key.to_encrypted_pem(b"hunter2", &Entropy::seeded(1)).unwrap();
        let read = |passphrase| PrivateKey::from_block(&block(&text), passphrase);
        assert_eq!(read(Some(&b"hunter2"[..])).unwrap().public(), key.public());
        assert_eq!(read(None).unwrap_err(), KeyError::Encrypted);
        assert_eq!(read(Some(&b"hunter3"[..])).unwrap_err(), KeyError::Passphrase);
        assert_eq!(PrivateKey::from_pem(&text).unwrap_err(), KeyError::Encrypted);
        let clear = PrivateKey::from_block(&block(key.to_pem().expose()), None).unwrap();
        assert_eq!(clear.public(), key.public());
    }

    /// Whatever OpenSSL writes by its options of today and of old, and OpenSSL what we write.
    #[test]
    fn openssl_and_we_read_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: &[&str]| {
            let ran = Command::new("openssl").args(arguments).current_dir(folder.path()).output().unwrap();
            assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
            String::from_utf8(ran.stdout).unwrap()
        };
        let (rsa, curve) = (KeySpec::Rsa { bits: 2048 }, KeySpec::P384);
        for (spec, name) in [(rsa, "rsa"), (curve, "ec")] {
            let key = PrivateKey::generate(spec).unwrap();
            std::fs::write(folder.path().join("key"), key.to_pem().expose()).unwrap();
            let pass = ["-passout", "pass:a b"];
            let pkcs8 = ["pkcs8", "-topk8", "-in", "key"];
            let traditional = [name, "-in", "key"];
            for arguments in [
                [&pkcs8[..], &pass, &["-v2", "aes128"]].concat(),
                [&pkcs8[..], &pass, &["-v2", "aes192", "-v2prf", "hmacWithSHA1"]].concat(),
                [&pkcs8[..], &pass, &["-v2", "aes256", "-v2prf", "hmacWithSHA512"]].concat(),
                [&pkcs8[..], &pass, &["-v2", "des3", "-v2prf", "hmacWithSHA384", "-iter", "1"]].concat(),
                [&traditional[..], &pass, &["-aes128"]].concat(),
                [&traditional[..], &pass, &["-aes192"]].concat(),
                [&traditional[..], &pass, &["-aes256"]].concat(),
                [&traditional[..], &pass, &["-des3"]].concat(),
                [&["pkey", "-in", "key", "-traditional"], &pass[..], &["-aes256"]].concat(),
            ] {
                let text = openssl(&arguments);
                let read = |passphrase| PrivateKey::from_block(&block(&text), passphrase);
                assert_eq!(read(Some(&b"a b"[..])).unwrap().public(), key.public(), "{arguments:?}");
                assert_eq!(read(None).unwrap_err(), KeyError::Encrypted, "{arguments:?}");
                assert_eq!(read(Some(&b"a"[..])).unwrap_err(), KeyError::Passphrase, "{arguments:?}");
            }
            let text = key.to_encrypted_pem(b"a b", &Entropy::seeded(1)).unwrap();
            std::fs::write(folder.path().join("encrypted"), text).unwrap();
            let clear = openssl(&["pkey", "-in", "encrypted", "-passin", "pass:a b"]);
            assert_eq!(PrivateKey::from_pem(&clear).unwrap().public(), key.public());
        }
        let unknown = block(
            "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: RC2-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        );
        let refused = PrivateKey::from_block(&unknown, Some(b"")).unwrap_err();
        assert_eq!(refused, KeyError::Unsupported { algorithm: "RC2-CBC".to_owned() });
    }
}
