//! Keys of which only the key counts, whatever its size and whatever is said around it, for formats whose
//! signers were chosen long ago.
//!
//! [`crate::Certificate`] and [`crate::PrivateKey`] refuse RSA keys under 2048 bits, serial numbers that are zero
//! and more, which is right for certificates. In the artifact cache a certificate is merely the form that a public key
//! comes in: its dates, names and own signature mean nothing there (networkcache contract, 4.3).

use base::{Secret, Timestamp};

use crate::algorithm::{RSA_SHA256, sha1};
use crate::der_reader::{Reader, tag};
use crate::der_writer::{Writer, sequence};
use crate::error::{KeyError, ParseError};
use crate::extension;
use crate::name::Name;
use crate::number::{KeyId, Serial};
use crate::oid::{self, ObjectIdentifier};
use crate::pem::{self, PemError};
use crate::time;

/// A public key, as found in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BareKey {
    /// RSA, of any size.
    Rsa {
        /// The DER of its RSAPublicKey (RFC 8017 §A.1.1), which was not looked into.
        public_key: Vec<u8>,
    },
    /// An elliptic curve key on a named curve.
    Ec {
        /// The curve (RFC 5480 §2.1.1).
        curve: ObjectIdentifier,
        /// The point, which was not looked into.
        point: Vec<u8>,
    },
    /// A key of another kind.
    Other {
        /// Its algorithm.
        algorithm: ObjectIdentifier,
    },
}

impl BareKey {
    /// The key in the DER of an X.509 certificate of any version. Of the rest only the shape is looked at.
    ///
    /// # Errors
    /// When it is not DER of the shape of a certificate.
    pub fn in_certificate(der: &[u8]) -> Result<Self, ParseError> {
        let mut signed = Reader::whole(der, tag::SEQUENCE, "certificate")?;
        let mut certificate = signed.inside(tag::SEQUENCE)?;
        signed.expect(tag::SEQUENCE)?;
        signed.bit_string()?;
        signed.finish()?;
        certificate.optional(tag::constructed(0))?; // version
        certificate.expect(tag::INTEGER)?; // serialNumber
        for _signature_issuer_validity_subject in 0..4 {
            certificate.expect(tag::SEQUENCE)?;
        }
        let mut spki = certificate.inside(tag::SEQUENCE)?;
        let mut identifier = spki.inside(tag::SEQUENCE)?;
        let algorithm = identifier.oid()?;
        let bits = spki.bit_string()?;
        spki.finish()?;
        Ok(match algorithm {
            oid::RSA_ENCRYPTION => Self::Rsa { public_key: bits.to_vec() },
            oid::EC_PUBLIC_KEY => Self::Ec { curve: identifier.oid()?, point: bits.to_vec() },
            algorithm => Self::Other { algorithm },
        })
    }
}

/// The DER of the RSAPrivateKey (RFC 8017 §A.1.2) in the only private key in `text`, PKCS#1 (`RSA PRIVATE KEY`) or
/// PKCS#8 (`PRIVATE KEY`) without a passphrase. Its numbers were not looked into. Blocks that are no private keys are
/// passed over: a certificate often stands beside its key.
///
/// # Errors
/// When there is no private key or more than one, or it is encrypted, malformed or not RSA.
pub fn rsa_private_key(text: &str) -> Result<Secret<Vec<u8>>, KeyError> {
    const WANTED: &str = "PRIVATE KEY";
    let blocks = pem::read(text.as_bytes(), pem::ONE_BYTES_MAX)?;
    let mut keys = blocks
        .into_iter()
        .filter(|block| block.label.ends_with(WANTED))
        .map(|block| (block.label, block.has_headers, Secret::new(block.der)));
    let (label, has_headers, der) = keys.next().ok_or(PemError::Missing { wanted: WANTED })?;
    if keys.next().is_some() {
        return Err(PemError::Several { wanted: WANTED }.into());
    }
    match label.as_str() {
        "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
        // What RFC 1421 headers say of a key is that it is encrypted.
        _ if has_headers => Err(KeyError::Encrypted),
        "RSA PRIVATE KEY" => Ok(der),
        "PRIVATE KEY" => rsa_in_pkcs8(der.expose()),
        "EC PRIVATE KEY" => Err(KeyError::Unsupported { algorithm: oid::EC_PUBLIC_KEY.to_string() }),
        _ => Err(PemError::Unexpected { wanted: WANTED, found: label }.into()),
    }
}

/// PrivateKeyInfo (RFC 5208 §5); attributes behind the key are passed over.
fn rsa_in_pkcs8(der: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
    let malformed = |_: ParseError| KeyError::Malformed;
    let mut key = Reader::whole(der, tag::SEQUENCE, "private key").map_err(malformed)?;
    key.number().map_err(malformed)?;
    let algorithm = key.inside(tag::SEQUENCE).and_then(|mut named| named.oid()).map_err(malformed)?;
    if algorithm != oid::RSA_ENCRYPTION {
        return Err(KeyError::Unsupported { algorithm: algorithm.to_string() });
    }
    let content = key.expect(tag::OCTET_STRING).map_err(malformed)?.content;
    Ok(Secret::new(content.to_vec()))
}

/// PrivateKeyInfo (RFC 5208 §5) of an RSA key, from the DER of its RSAPrivateKey.
#[must_use]
pub fn pkcs8_of_rsa(der: &[u8]) -> Secret<Vec<u8>> {
    // Room for all of it at once: growing would leave copies of the key behind.
    let mut info = Writer::with_capacity(der.len() + 64);
    info.sequence(|info| {
        info.unsigned(&[0]);
        rsa_encryption(info);
        info.element(tag::OCTET_STRING, der);
    });
    Secret::new(info.into_bytes())
}

/// The DER of a certificate that the owner of `key` made for themselves, as `openssl req -x509` makes it: version 3, of a
/// certificate authority, signed with SHA-256. `None` only when the key is too short for that.
#[must_use]
pub fn self_signed(
    key: &lc_rsa::SigningKey,
    name: &Name,
    serial: Serial,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Option<Vec<u8>> {
    let public_key = key.public_der();
    let key_id = KeyId::new(sha1(&public_key));
    let extensions = [
        extension::subject_key_id(key_id),
        extension::authority_key_id(key_id),
        extension::basic_constraints(true, None),
    ];
    let to_be_signed = sequence(|certificate| {
        certificate.nested(tag::constructed(0), |version| version.unsigned(&[2]));
        serial.write(certificate);
        certificate.raw(RSA_SHA256);
        certificate.raw(name.der());
        certificate.sequence(|validity| {
            time::write(validity, not_before);
            time::write(validity, not_after);
        });
        certificate.raw(name.der());
        certificate.sequence(|spki| {
            rsa_encryption(spki);
            spki.bit_string(&public_key);
        });
        certificate.nested(tag::constructed(3), |explicit| extension::write_all(explicit, &extensions));
    });
    let signature = key.sign_sha256(&to_be_signed)?;
    Some(sequence(|signed| {
        signed.raw(&to_be_signed);
        signed.raw(RSA_SHA256);
        signed.bit_string(&signature);
    }))
}

fn rsa_encryption(writer: &mut Writer) {
    writer.sequence(|algorithm| {
        algorithm.oid(&oid::RSA_ENCRYPTION);
        algorithm.element(tag::NULL, &[]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::Certificate;
    use crate::key::{KeySpec, PrivateKey};

    #[test]
    fn private_keys_of_both_forms_are_the_same_key() {
        let key = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap();
        let pkcs8 = pem::write("PRIVATE KEY", key.to_pkcs8_der().expose());
        let pkcs1 = key.to_pem();
        let read = rsa_private_key(&pkcs8).unwrap();
        assert_eq!(read, rsa_private_key(pkcs1.expose()).unwrap());
        let beside = format!("text\n{}{}", pem::write("CERTIFICATE", b"x"), pkcs1.expose());
        assert_eq!(read, rsa_private_key(&beside).unwrap());
    }

    #[test]
    fn refuses_what_is_no_rsa_key() {
        let error = |text: &str| rsa_private_key(text).unwrap_err();
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let ed25519 = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let unsupported = |oid: ObjectIdentifier| KeyError::Unsupported { algorithm: oid.to_string() };
        let text = key.to_pem();
        for (text, expected) in [
            (String::new(), PemError::Missing { wanted: "PRIVATE KEY" }.into()),
            (text.expose().repeat(2), PemError::Several { wanted: "PRIVATE KEY" }.into()),
            (text.expose().clone(), unsupported(oid::EC_PUBLIC_KEY)),
            (ed25519.to_pem().expose().clone(), unsupported(oid::ED25519)),
            (pem::write("EC PRIVATE KEY", b"x"), unsupported(oid::EC_PUBLIC_KEY)),
            (pem::write("ENCRYPTED PRIVATE KEY", b"x"), KeyError::Encrypted),
            (pem::write("PRIVATE KEY", b"x"), KeyError::Malformed),
        ] {
            assert_eq!(error(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_certificate_is_a_shape_around_a_key() {
        for der in [&[][..], &[0x30], &[0x30, 0], &[0x30, 3, 0x30, 1, 0]] {
            assert!(BareKey::in_certificate(der).is_err(), "{der:?}");
        }
    }
    #[test]
    fn a_new_key_has_a_certificate_of_its_own() {
        let entropy = base::Entropy::seeded(1);
        let (begin, end) = (Timestamp::from_unix(1_800_000_000), Timestamp::from_unix(4_900_000_000));
        let name = Name::from_common_name("COMP-1/é").unwrap();
        for bits in [1024, 2048] {
            let key = lc_rsa::SigningKey::generate(bits).unwrap();
            let der = self_signed(&key, &name, Serial::random(&entropy), begin, end).unwrap();
            assert_eq!(BareKey::in_certificate(&der), Ok(BareKey::Rsa { public_key: key.public_der() }));
            let pkcs8 = pkcs8_of_rsa(&key.to_der());
            let text = pem::write("PRIVATE KEY", pkcs8.expose());
            assert_eq!(rsa_private_key(&text).unwrap().expose(), &key.to_der());
            if bits < 2048 {
                continue;
            }
            let certificate = Certificate::from_der(&der).unwrap();
            assert!(certificate.is_ca() && certificate.subject() == &name && certificate.issuer() == &name);
            assert_eq!((certificate.not_before(), certificate.not_after()), (begin, end));
            assert_eq!(certificate.verify_signature(certificate.public_key()), Ok(()));
            assert_eq!(certificate.subject_key_id(), Some(certificate.public_key().key_id()));
            assert!(PrivateKey::from_pem(&text).unwrap().public() == certificate.public_key());
        }
    }
}
