//! Certificate revocation lists, version 2 (RFC 5280 §5).

use std::fmt;
use std::sync::Arc;

use base::Timestamp;

use crate::der_reader::{Reader, tag};
use crate::der_writer::Writer;
use crate::error::{KeyError, ParseError, SignatureError};
use crate::extension::{self, Extension};
use crate::key::PrivateKey;
use crate::name::Name;
use crate::number::{KeyId, Serial};
use crate::oid;
use crate::pem;
use crate::public_key::PublicKey;
use crate::signed::Signed;
use crate::time;
use crate::unsigned::Unsigned;

const WHAT: &str = "revocation list";
const LABEL: &str = "X509 CRL";
/// What version 2 is written as.
const V2: u64 = 1;

/// A certificate that is no longer good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedEntry {
    /// Its serial number.
    pub serial: Serial,
    /// Since when.
    pub at: Timestamp,
}

/// What a revocation list shall say.
#[derive(Debug)]
pub struct CrlTemplate<'a> {
    /// Who signs it: the subject of the issuer's certificate.
    pub issuer: &'a Name,
    /// The identifier of the issuer's key, which its certificate has as subjectKeyIdentifier.
    pub authority_key_id: KeyId,
    /// Which list it is; a later one has a higher number.
    pub number: u64,
    /// When it was made, in the years 1 to 9999.
    pub this_update: Timestamp,
    /// When the next one will be there at the latest.
    pub next_update: Timestamp,
    /// The certificates, in this order.
    pub revoked: &'a [RevokedEntry],
}

impl<'a> CrlTemplate<'a> {
    /// The list, version 2, signed by `key`. The extensions are cRLNumber and authorityKeyIdentifier,
    /// neither critical.
    #[must_use]
    pub fn sign(&self, key: &PrivateKey) -> Crl {
        self.signed(Signed::sign(&self.to_be_signed(key.signature_algorithm()), key))
    }

    /// The same for whoever cannot hand in the key: what it has to sign, so that the signature is handed in after.
    ///
    /// # Errors
    /// When keys of this kind sign no lists here.
    pub fn for_signature_by(self, key: &PublicKey) -> Result<Unsigned<'a, Crl>, KeyError> {
        let scheme = key.signing_scheme()?;
        let to_be_signed = self.to_be_signed(scheme.algorithm()?);
        Ok(Unsigned::new((key, scheme), to_be_signed, move |signed| self.signed(signed)))
    }

    fn to_be_signed(&self, algorithm: &[u8]) -> Vec<u8> {
        let extensions =
            [extension::crl_number(self.number), extension::authority_key_id(self.authority_key_id)];
        // An entry has 41 bytes at most (two more for a time after 2049), the rest a few hundred.
        let mut writer = Writer::with_capacity(self.revoked.len() * 44 + self.issuer.der().len() + 512);
        writer.sequence(|list| {
            list.unsigned(&V2.to_be_bytes());
            list.raw(algorithm);
            list.raw(self.issuer.der());
            time::write(list, self.this_update);
            time::write(list, self.next_update);
            // Absent when there are none (RFC 5280 §5.1.2.6).
            if !self.revoked.is_empty() {
                list.sequence(|entries| {
                    for entry in self.revoked {
                        entries.sequence(|writer| {
                            entry.serial.write(writer);
                            time::write(writer, entry.at);
                        });
                    }
                });
            }
            list.nested(tag::constructed(0), |explicit| extension::write_all(explicit, &extensions));
        });
        writer.into_bytes()
    }

    fn signed(&self, signed: Signed) -> Crl {
        Crl(Arc::new(Inner {
            signed,
            number: self.number,
            this_update: self.this_update,
            next_update: self.next_update,
            issuer: self.issuer.clone(),
            authority_key_id: Some(self.authority_key_id.as_bytes().to_vec()),
            entries: self.revoked.to_vec(),
        }))
    }
}

/// A revocation list. Two are equal when their bytes are. Cloning shares them.
///
/// Reading one says nothing about who signed it: see [`Crl::verify_signature`].
#[derive(Clone)]
pub struct Crl(Arc<Inner>);

struct Inner {
    signed: Signed,
    number: u64,
    this_update: Timestamp,
    next_update: Timestamp,
    issuer: Name,
    authority_key_id: Option<Vec<u8>>,
    entries: Vec<RevokedEntry>,
}

impl Crl {
    /// Reads PEM text with one block, `X509 CRL`, of at most [`pem::LIST_BYTES_MAX`] bytes. Text around
    /// the block is passed over.
    ///
    /// # Errors
    /// As [`Crl::from_der`], and when there is no block, more than one, or one of another kind.
    pub fn from_pem(text: &[u8]) -> Result<Self, ParseError> {
        Self::from_der(&pem::read_one(text, &[LABEL], pem::LIST_BYTES_MAX)?)
    }

    /// Reads all `X509 CRL` blocks of PEM text of at most [`pem::LIST_BYTES_MAX`] bytes, in order; blocks
    /// of other kinds are passed over.
    ///
    /// # Errors
    /// As [`Crl::from_der`], and when any block is broken.
    pub fn all_from_pem(text: &[u8]) -> Result<Vec<Self>, ParseError> {
        let blocks = pem::read(text, pem::LIST_BYTES_MAX)?;
        blocks
            .into_iter()
            .filter(|block| block.label == LABEL)
            .map(|block| Self::from_der(&block.der))
            .collect()
    }

    /// Reads DER.
    ///
    /// # Errors
    /// When it is malformed, not version 2, or has no nextUpdate or no number, which RFC 5280 asks for; a
    /// serial number is not a positive one of at most 20 octets; or an extension of the list or of an
    /// entry is critical (such a list is not a plain, complete one).
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        let signed = Signed::parse(der.to_vec(), WHAT)?;
        let mut list = Reader::whole(signed.to_be_signed(), tag::SEQUENCE, WHAT)?;
        // Without a number it would be version 1.
        let has_version = list.clone().expect(tag::INTEGER).is_ok();
        if !has_version || list.number()? != V2 {
            return Err(ParseError::Version { what: WHAT });
        }
        if list.expect(tag::SEQUENCE)?.der != signed.algorithm() {
            return Err(ParseError::Algorithms { what: WHAT });
        }
        let issuer = Name::read(&mut list)?;
        let (this_update, next_update) = (time::read(&mut list)?, time::read(&mut list)?);
        let entries = match list.optional(tag::SEQUENCE)? {
            Some(entries) => read_entries(Reader::new(entries.content, WHAT))?,
            None => Vec::new(),
        };
        let missing = ParseError::MissingExtension { what: WHAT, extension: "cRLNumber" };
        let mut explicit = list.inside(tag::constructed(0)).map_err(|_| missing.clone())?;
        let extensions = extension::read_all(&mut explicit)?;
        explicit.finish()?;
        list.finish()?;
        refuse_critical(&extensions)?;
        let value =
            |oid| extensions.iter().find(|extension| extension.oid == oid).map(|found| &found.value[..]);
        let number = {
            let mut reader = Reader::new(value(oid::CRL_NUMBER).ok_or(missing)?, "cRLNumber extension");
            let number = reader.number()?;
            reader.finish()?;
            number
        };
        let authority_key_id = match value(oid::AUTHORITY_KEY_ID) {
            Some(value) => extension::parse_authority_key_id(value)?.map(<[u8]>::to_vec),
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            signed,
            number,
            this_update,
            next_update,
            issuer,
            authority_key_id,
            entries,
        })))
    }

    /// As PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::write(LABEL, self.der())
    }

    /// Its DER, as it was read or made.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.0.signed.der()
    }

    /// Which list it is.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// When it was made.
    #[must_use]
    pub fn this_update(&self) -> Timestamp {
        self.0.this_update
    }

    /// When the next one will be there at the latest.
    #[must_use]
    pub fn next_update(&self) -> Timestamp {
        self.0.next_update
    }

    /// Who signed it.
    #[must_use]
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// The identifier of the key that signed it: the bytes of the keyIdentifier.
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.authority_key_id.as_deref()
    }

    /// The certificates on it, in order.
    #[must_use]
    pub fn entries(&self) -> &[RevokedEntry] {
        &self.0.entries
    }

    /// Whether the certificate with this number is on it. Looks at one entry after the other.
    #[must_use]
    pub fn contains(&self, serial: &Serial) -> bool {
        self.entries().iter().any(|entry| entry.serial == *serial)
    }

    /// Whether `issuer_key` signed it.
    ///
    /// # Errors
    /// As [`PublicKey::verify`].
    pub fn verify_signature(&self, issuer_key: &PublicKey) -> Result<(), SignatureError> {
        self.0.signed.verify(issuer_key)
    }
}

fn read_entries(mut reader: Reader<'_>) -> Result<Vec<RevokedEntry>, ParseError> {
    let mut entries = Vec::new();
    while !reader.is_empty() {
        let mut entry = reader.inside(tag::SEQUENCE)?;
        entries.push(RevokedEntry { serial: Serial::read(&mut entry)?, at: time::read(&mut entry)? });
        if !entry.is_empty() {
            // Why, and since when in truth: neither makes the certificate good again.
            refuse_critical(&extension::read_all(&mut entry)?)?;
        }
        entry.finish()?;
    }
    Ok(entries)
}

/// Critical extensions of a list say that it is not what it seems (a difference to another list, or about
/// certificates of other issuers).
fn refuse_critical(extensions: &[Extension]) -> Result<(), ParseError> {
    match extensions.iter().find(|extension| extension.critical) {
        Some(extension) => Err(ParseError::CriticalExtension { oid: extension.oid }),
        None => Ok(()),
    }
}

impl PartialEq for Crl {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Crl {}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({}, {:?}, {} entries)", self.number(), self.issuer(), self.entries().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der_writer::sequence;
    use crate::key::KeySpec;
    use base::{Entropy, Span};

    const NOW: Timestamp = Timestamp::from_unix(1_700_000_000);

    fn key() -> PrivateKey {
        PrivateKey::generate(KeySpec::Ed25519).unwrap()
    }

    fn sign(key: &PrivateKey, revoked: &[RevokedEntry]) -> Crl {
        let template = CrlTemplate {
            issuer: &Name::from_common_name("issuer").unwrap(),
            authority_key_id: KeyId::new([9; 20]),
            number: 300,
            this_update: NOW,
            next_update: NOW + Span::days(30),
            revoked,
        };
        template.sign(key)
    }

    #[test]
    fn is_read_as_it_was_made() {
        let (key, entropy) = (key(), Entropy::seeded(1));
        let entry = |days| RevokedEntry { serial: Serial::random(&entropy), at: NOW + Span::days(days) };
        let [revoked, other] = [[entry(-1), entry(20_000)], [entry(0), entry(0)]];
        for entries in [&[][..], &revoked] {
            let made = sign(&key, entries);
            let read = Crl::from_pem(made.to_pem().as_bytes()).unwrap();
            assert_eq!(read, made);
            assert_eq!((read.number(), read.entries()), (300, entries));
            assert_eq!((read.this_update(), read.next_update()), (NOW, NOW + Span::days(30)));
            assert_eq!((read.issuer(), read.authority_key_id()), (made.issuer(), Some(&[9; 20][..])));
            assert_eq!(made.authority_key_id(), read.authority_key_id());
            assert_eq!(read.verify_signature(key.public()), Ok(()));
            assert!(read.verify_signature(super::tests::key().public()).is_err());
            assert!(entries.iter().all(|entry| read.contains(&entry.serial)));
            assert!(!read.contains(&other[0].serial));
        }
    }

    #[test]
    fn an_empty_list_has_no_entries_element() {
        let der = sign(&key(), &[]).der().to_vec();
        // nextUpdate is followed by the extensions at once.
        let next_update = b"231214221320Z";
        let at = der.windows(next_update.len()).position(|window| window == next_update).unwrap();
        assert_eq!(der[at + next_update.len()], 0xa0);
    }

    #[test]
    fn is_read_strictly() {
        let key = key();
        let made = sign(&key, &[]);
        let read = |version: &[u8], entries: &[u8], extensions: &[Extension]| {
            let to_be_signed = sequence(|list| {
                list.raw(version);
                list.raw(key.signature_algorithm());
                list.raw(made.issuer().der());
                time::write(list, NOW);
                time::write(list, NOW);
                list.raw(entries);
                if !extensions.is_empty() {
                    list.nested(tag::constructed(0), |explicit| extension::write_all(explicit, extensions));
                }
            });
            Crl::from_der(Signed::sign(&to_be_signed, &key).der()).err()
        };
        let (v2, number) = ([2, 1, 1], extension::crl_number(1));
        let critical = Extension { critical: true, ..number.clone() };
        let entry = |serial: &[u8], extensions: &[Extension]| {
            sequence(|entries| {
                entries.sequence(|entry| {
                    entry.raw(serial);
                    time::write(entry, NOW);
                    if !extensions.is_empty() {
                        extension::write_all(entry, extensions);
                    }
                });
            })
        };
        assert_eq!(read(&v2, &[], std::slice::from_ref(&number)), None);
        let reason = Extension {
            critical: false,
            oid: oid::ObjectIdentifier::new("2.5.29.21").unwrap(),
            value: vec![10, 1, 1],
        };
        assert_eq!(
            read(&v2, &entry(&[2, 1, 5], std::slice::from_ref(&reason)), std::slice::from_ref(&number)),
            None
        );
        let refused = Some(ParseError::CriticalExtension { oid: oid::CRL_NUMBER });
        assert_eq!(
            read(&v2, &entry(&[2, 1, 5], std::slice::from_ref(&critical)), std::slice::from_ref(&number)),
            refused
        );
        assert_eq!(read(&v2, &[], &[critical]), refused);
        assert_eq!(
            read(&v2, &entry(&[2, 1, 0], &[]), std::slice::from_ref(&number)),
            Some(ParseError::Serial)
        );
        let missing = ParseError::MissingExtension { what: WHAT, extension: "cRLNumber" };
        assert_eq!(read(&v2, &[], &[]), Some(missing.clone()));
        assert_eq!(read(&v2, &[], &[reason]), Some(missing));
        let version = Some(ParseError::Version { what: WHAT });
        assert_eq!(read(&[2, 1, 0], &[], std::slice::from_ref(&number)), version);
        assert_eq!(read(&[], &[], &[number]), version);
    }
}
