//! What a certificate would say.
//!
//! A request asks; the authority decides. Kept of a request are its subject, its key, and four kinds of
//! extension: key usage, extended key usage, alternative names, policies; everything else is dropped
//! (caucase contract, section 6.3). Where the original encodes what RFC 5280 forbids, this refuses or
//! leaves out.

use base::{Entropy, Timestamp};
use x509::{
    Certificate, CertificateTemplate, Extension, KeyKind, KeyUsage, Name, ObjectIdentifier, Policy,
    PublicKey, Serial, extension, oid,
};

use crate::authority::Profile;
use crate::error::DraftError;
use crate::issuer::Issuer;
use crate::rollover::BACK_DATED;

/// Where the original's own policies stand.
const OWN_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.37476.9000.70.0");
/// The policy that says: approved without anybody looking.
const AUTOMATIC_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.37476.9000.70.0.0");
/// What that policy tells people.
const AUTOMATIC_NOTICE: &str = "Auto-signed caucase certificate";
/// Where the original's policies stood before it had an arc of its own.
const LEGACY_POLICIES: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.25.285541874270823339875695650038637483517");

/// How the decision was made, as far as it shows in the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nobody looked: a policy says so.
    Automatic,
    /// Somebody approved it.
    Approved,
    /// It follows a certificate of the same holder: the mark is as it was there.
    Carried,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wish<'a> {
    pub(crate) subject: &'a Name,
    pub(crate) public_key: &'a PublicKey,
    pub(crate) extensions: &'a [Extension],
    pub(crate) mark: Mark,
}

/// A certificate that lacks only its signature, and who will sign it.
#[derive(Debug)]
pub(crate) struct Draft {
    template: CertificateTemplate,
    issuer: Issuer,
}

impl Draft {
    pub(crate) fn serial(&self) -> Serial {
        self.template.serial
    }

    /// Signs. Takes the draft: it cannot be signed twice.
    pub(crate) fn sign(self) -> Certificate {
        self.template.sign(self.issuer.key())
    }
}

/// What the certificate would say. Pure but for the serial, which is drawn from `entropy`.
///
/// It never outlives its issuer: the end is cut to the issuer's, which happens only after the leaf
/// lifetime was made longer than the rollover of the CA certificates held was planned for.
pub(crate) fn draft(
    profile: &Profile,
    issuer: &Issuer,
    wish: &Wish<'_>,
    entropy: &Entropy,
    now: Timestamp,
) -> Result<Draft, DraftError> {
    let not_before = now - BACK_DATED;
    let mut extensions = vec![
        extension::basic_constraints(false, None),
        extension::subject_key_id(wish.public_key.key_id()),
        extension::authority_key_id(issuer.key_id()),
    ];
    if !profile.crl_addresses.is_empty() {
        let number = issuer.key_id().decimal();
        let addresses: Vec<String> =
            profile.crl_addresses.iter().map(|(before, after)| format!("{before}{number}{after}")).collect();
        extensions.push(extension::crl_distribution_point(&addresses).map_err(DraftError::Address)?);
    }
    extensions.extend(key_usage(wish)?);
    extensions.extend(extended_key_usage(wish)?);
    extensions.extend(alternative_names(wish)?);
    extensions.extend(policies(wish)?);
    Ok(Draft {
        template: CertificateTemplate {
            serial: Serial::random(entropy),
            issuer: issuer.certificate().subject().clone(),
            subject: wish.subject.clone(),
            not_before,
            not_after: (not_before + profile.leaf_life).min(issuer.certificate().not_after()),
            public_key: wish.public_key.clone(),
            extensions,
        },
        issuer: issuer.clone(),
    })
}

fn asked<'a>(wish: &Wish<'a>, oid: ObjectIdentifier) -> Option<&'a Extension> {
    wish.extensions.iter().find(|extension| extension.oid == oid)
}

/// The usages asked for, without those of a CA; refused when the key cannot do one of them
/// (RFC 3279 §2.3.1 for RSA, RFC 5480 §3 for ECDSA, RFC 8410 §5 for Ed25519).
fn key_usage(wish: &Wish<'_>) -> Result<Option<Extension>, DraftError> {
    let Some(asked) = asked(wish, oid::KEY_USAGE) else { return Ok(None) };
    let mut usage = KeyUsage::from_der(&asked.value).map_err(DraftError::extension("keyUsage"))?;
    usage.remove(KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN);
    if !usage.contains(KeyUsage::KEY_AGREEMENT) {
        usage.remove(KeyUsage::ENCIPHER_ONLY | KeyUsage::DECIPHER_ONLY);
    }
    let signing = KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION;
    let possible = match wish.public_key.kind() {
        KeyKind::Rsa { .. } => signing | KeyUsage::KEY_ENCIPHERMENT | KeyUsage::DATA_ENCIPHERMENT,
        KeyKind::EcP256 | KeyKind::EcP384 | KeyKind::EcP521 => {
            signing | KeyUsage::KEY_AGREEMENT | KeyUsage::ENCIPHER_ONLY | KeyUsage::DECIPHER_ONLY
        }
        KeyKind::Ed25519 => signing,
        KeyKind::Other(_) => KeyUsage::empty(),
    };
    if !possible.contains(usage) {
        return Err(DraftError::KeyUsage { kind: wish.public_key.kind().to_string() });
    }
    Ok((!usage.is_empty()).then(|| extension::key_usage(usage, asked.critical)))
}

/// The purposes asked for, without the signing of OCSP answers. One that allows any purpose is not
/// critical (RFC 5280 §4.2.1.12).
fn extended_key_usage(wish: &Wish<'_>) -> Result<Option<Extension>, DraftError> {
    let Some(asked) = asked(wish, oid::EXTENDED_KEY_USAGE) else { return Ok(None) };
    let mut purposes = extension::parse_extended_key_usage(&asked.value)
        .map_err(DraftError::extension("extendedKeyUsage"))?;
    purposes.retain(|purpose| *purpose != oid::OCSP_SIGNING);
    let critical = asked.critical && !purposes.contains(&oid::ANY_EXTENDED_KEY_USAGE);
    Ok((!purposes.is_empty()).then(|| extension::extended_key_usage(&purposes, critical)))
}

/// The names asked for, verbatim. Without a subject they are the only name the certificate has, and so
/// critical (RFC 5280 §4.2.1.6).
fn alternative_names(wish: &Wish<'_>) -> Result<Option<Extension>, DraftError> {
    let asked = match asked(wish, oid::SUBJECT_ALT_NAME) {
        Some(asked) => {
            let is_empty = extension::subject_alt_name_is_empty(&asked.value)
                .map_err(DraftError::extension("subjectAltName"))?;
            (!is_empty).then_some(asked)
        }
        None => None,
    };
    let Some(asked) = asked else {
        return if wish.subject.is_empty() { Err(DraftError::Nameless) } else { Ok(None) };
    };
    let mut names = asked.clone();
    names.critical |= wish.subject.is_empty();
    Ok(Some(names))
}

/// The policies asked for, without the original's own, which only an authority gives; and the mark of
/// automatic approval.
fn policies(wish: &Wish<'_>) -> Result<Option<Extension>, DraftError> {
    let (mut policies, critical) = match asked(wish, oid::CERTIFICATE_POLICIES) {
        Some(asked) => (
            extension::parse_certificate_policies(&asked.value)
                .map_err(DraftError::extension("certificatePolicies"))?,
            asked.critical,
        ),
        None => (Vec::new(), false),
    };
    if wish.mark != Mark::Carried {
        policies.retain(|policy| !policy.oid.starts_with(&OWN_POLICIES));
    }
    for policy in &mut policies {
        policy.oid = policy.oid.rebase(&LEGACY_POLICIES, &OWN_POLICIES).unwrap_or(policy.oid);
    }
    if wish.mark == Mark::Automatic {
        policies.push(Policy::with_notice(AUTOMATIC_POLICY, AUTOMATIC_NOTICE));
    }
    // Each policy at most once (RFC 5280 §4.2.1.4).
    let mut seen = std::collections::HashSet::new();
    policies.retain(|policy| seen.insert(policy.oid));
    Ok((!policies.is_empty()).then(|| extension::certificate_policies(&policies, critical)))
}
