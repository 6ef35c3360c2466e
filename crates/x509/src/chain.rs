//! Whether a certificate was issued by one of the authorities that are trusted (RFC 5280 §6, for chains
//! of one step).
//!
//! The anchors are CA certificates that the caller trusts as they are; their own signatures are not
//! looked at. Name constraints are not evaluated: whoever signs under a constrained anchor here wrote the
//! constraint.

use base::{Explain, Kind, Timestamp};

use crate::certificate::Certificate;
use crate::key_usage::KeyUsage;
use crate::oid::{self, ObjectIdentifier};

/// Why a certificate is not trusted, in OpenSSL's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No anchor has the name and the key that it says it was signed by.
    #[error("unable to get local issuer certificate")]
    UnknownIssuer,
    /// Its last second, or that of its issuer's certificate, is past.
    #[error("certificate has expired")]
    Expired,
    /// Its first second, or that of its issuer's certificate, is not there yet.
    #[error("certificate is not yet valid")]
    NotYetValid,
    /// The issuer did not sign it.
    #[error("certificate signature failure")]
    Signature,
    /// It was revoked. Never said here; for callers who keep a list.
    #[error("certificate revoked")]
    Revoked,
    /// It has a critical extension that is not known here.
    #[error("unhandled critical extension")]
    CriticalExtension,
}

impl Explain for VerifyError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownIssuer
            | Self::Expired
            | Self::NotYetValid
            | Self::Signature
            | Self::Revoked
            | Self::CriticalExtension => Kind::Invalid,
        }
    }
}

/// The extensions that may be critical: those that are looked at, here or by whoever the certificate is
/// shown to, or that say nothing which could make it less good.
const KNOWN: [ObjectIdentifier; 9] = [
    oid::SUBJECT_KEY_ID,
    oid::AUTHORITY_KEY_ID,
    oid::BASIC_CONSTRAINTS,
    oid::KEY_USAGE,
    oid::EXTENDED_KEY_USAGE,
    oid::SUBJECT_ALT_NAME,
    oid::CERTIFICATE_POLICIES,
    oid::CRL_DISTRIBUTION_POINTS,
    oid::NAME_CONSTRAINTS,
];

/// The anchor that issued `certificate`, if both are valid at `now`, first and last second included.
///
/// An anchor issued it when its subject is the certificate's issuer, its key identifier is the one the
/// certificate names (as far as both say one), it is a CA that may sign certificates, and its key
/// verifies the signature.
///
/// # Errors
/// The first thing that is wrong: no such anchor, an unknown critical extension, the signature, the
/// anchor's dates, the certificate's dates.
pub fn verify<'a>(
    certificate: &Certificate,
    anchors: &'a [Certificate],
    now: Timestamp,
) -> Result<&'a Certificate, VerifyError> {
    let key_id = certificate.authority_key_id();
    let mut candidates =
        anchors.iter().filter(|anchor| may_have_issued(anchor, certificate, key_id.as_deref())).peekable();
    if candidates.peek().is_none() {
        return Err(VerifyError::UnknownIssuer);
    }
    if certificate.extensions().iter().any(|extension| extension.critical && !KNOWN.contains(&extension.oid))
    {
        return Err(VerifyError::CriticalExtension);
    }
    let anchor = candidates
        .find(|anchor| certificate.verify_signature(anchor.public_key()).is_ok())
        .ok_or(VerifyError::Signature)?;
    check_dates(anchor, now)?;
    check_dates(certificate, now)?;
    Ok(anchor)
}

fn may_have_issued(anchor: &Certificate, certificate: &Certificate, key_id: Option<&[u8]>) -> bool {
    let is_named = match (key_id, anchor.subject_key_id_bytes()) {
        (Some(wanted), Some(held)) => wanted == held,
        _ => true,
    };
    is_named && anchor.subject() == certificate.issuer() && may_sign_certificates(anchor)
}

/// A CA whose key usage, if it has one, includes signing certificates.
fn may_sign_certificates(anchor: &Certificate) -> bool {
    let usage_allows = match anchor.extension(&oid::KEY_USAGE) {
        Some(extension) => {
            KeyUsage::from_der(&extension.value).is_ok_and(|uses| uses.contains(KeyUsage::KEY_CERT_SIGN))
        }
        None => true,
    };
    anchor.is_ca() && usage_allows
}

fn check_dates(certificate: &Certificate, now: Timestamp) -> Result<(), VerifyError> {
    if now < certificate.not_before() {
        Err(VerifyError::NotYetValid)
    } else if now > certificate.not_after() {
        Err(VerifyError::Expired)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::CertificateTemplate;
    use crate::extension::{self, Extension};
    use crate::key::{KeySpec, PrivateKey};
    use crate::name::Name;
    use crate::number::{KeyId, Serial};
    use base::Span;

    const START: Timestamp = Timestamp::from_unix(1_700_000_000);

    fn key() -> PrivateKey {
        PrivateKey::generate(KeySpec::Ed25519).unwrap()
    }

    fn issue(
        issuer: &str,
        days: i64,
        extensions: Vec<Extension>,
        public: &PrivateKey,
        signer: &PrivateKey,
    ) -> Certificate {
        let template = CertificateTemplate {
            serial: Serial::from_decimal("1").unwrap(),
            issuer: Name::from_common_name(issuer).unwrap(),
            subject: Name::from_common_name(if public.public() == signer.public() { issuer } else { "leaf" })
                .unwrap(),
            not_before: START,
            not_after: START + Span::days(days),
            public_key: public.public().clone(),
            extensions,
        };
        template.sign(signer)
    }

    fn anchor(name: &str, key: &PrivateKey) -> Certificate {
        let extensions = vec![
            extension::subject_key_id(key.public().key_id()),
            extension::basic_constraints(true, Some(0)),
            extension::key_usage(KeyUsage::KEY_CERT_SIGN, true),
        ];
        issue(name, 10, extensions, key, key)
    }

    fn leaf(days: i64, extensions: Vec<Extension>, signer: &PrivateKey) -> Certificate {
        issue("ca", days, extensions, &key(), signer)
    }

    fn named(key: &PrivateKey) -> Vec<Extension> {
        vec![extension::authority_key_id(key.public().key_id())]
    }

    #[test]
    fn the_right_anchor_is_found() {
        let (old, new) = (key(), key());
        let anchors = [anchor("ca", &old), anchor("ca", &new), anchor("other", &new)];
        for (extensions, signer, expected) in [
            (named(&old), &old, Ok(&anchors[0])),
            (named(&new), &new, Ok(&anchors[1])),
            (vec![], &new, Ok(&anchors[1])),
            (vec![], &key(), Err(VerifyError::Signature)),
            (named(&old), &new, Err(VerifyError::Signature)),
            (vec![extension::authority_key_id(KeyId::new([0; 20]))], &new, Err(VerifyError::UnknownIssuer)),
        ] {
            assert_eq!(verify(&leaf(5, extensions, signer), &anchors, START), expected);
        }
        assert_eq!(verify(&leaf(5, vec![], &old), &[], START), Err(VerifyError::UnknownIssuer));
        assert_eq!(verify(&leaf(5, vec![], &new), &anchors[2..], START), Err(VerifyError::UnknownIssuer));
    }

    #[test]
    fn both_ends_of_both_certificates_count() {
        let key = key();
        let anchors = [anchor("ca", &key)];
        let (first, second) = (leaf(5, named(&key), &key), leaf(20, named(&key), &key));
        let at = |leaf: &Certificate, days, seconds| {
            verify(leaf, &anchors, START + Span::days(days) + Span::seconds(seconds)).map(|_| ())
        };
        assert_eq!(at(&first, 0, -1), Err(VerifyError::NotYetValid));
        assert_eq!(at(&first, 0, 0), Ok(()));
        assert_eq!(at(&first, 5, 0), Ok(()));
        assert_eq!(at(&first, 5, 1), Err(VerifyError::Expired));
        assert_eq!(at(&second, 10, 0), Ok(()));
        assert_eq!(at(&second, 10, 1), Err(VerifyError::Expired));
    }

    #[test]
    fn only_authorities_issue() {
        let key = key();
        let plain = |extensions| [issue("ca", 10, extensions, &key, &key)];
        let usage = |uses| extension::key_usage(uses, true);
        let is_ca = extension::basic_constraints(true, None);
        let leaf = leaf(5, vec![], &key);
        assert!(verify(&leaf, &plain(vec![is_ca.clone()]), START).is_ok());
        for extensions in [
            vec![],
            vec![extension::basic_constraints(false, None)],
            vec![is_ca.clone(), usage(KeyUsage::CRL_SIGN)],
            vec![Extension { value: vec![0x30], ..is_ca.clone() }],
        ] {
            assert_eq!(verify(&leaf, &plain(extensions), START), Err(VerifyError::UnknownIssuer));
        }
    }

    #[test]
    fn unknown_critical_extensions_are_refused() {
        let key = key();
        let anchors = [anchor("ca", &key)];
        let with = |critical| {
            let oid = ObjectIdentifier::new("1.2.3.4").unwrap();
            let leaf = leaf(5, vec![Extension { oid, critical, value: vec![5, 0] }], &key);
            verify(&leaf, &anchors, START).map(|_| ())
        };
        assert_eq!((with(false), with(true)), (Ok(()), Err(VerifyError::CriticalExtension)));
    }

    #[test]
    fn speaks_openssl() {
        let table = [
            (VerifyError::UnknownIssuer, "unable to get local issuer certificate"),
            (VerifyError::Expired, "certificate has expired"),
            (VerifyError::NotYetValid, "certificate is not yet valid"),
            (VerifyError::Signature, "certificate signature failure"),
            (VerifyError::Revoked, "certificate revoked"),
            (VerifyError::CriticalExtension, "unhandled critical extension"),
        ];
        for (error, words) in table {
            assert_eq!((error.to_string().as_str(), error.kind()), (words, Kind::Invalid));
        }
    }
}
