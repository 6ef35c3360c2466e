//! What a certificate would say.
//!
//! A request asks; the authority decides. Kept of a request are its subject, its key, and four kinds of
//! extension: key usage, extended key usage, alternative names, policies; everything else is dropped
//! (caucase contract, section 6.3). Where the original encodes what RFC 5280 forbids, this refuses or
//! leaves out.

use base::Timestamp;
use x509::{
    Certificate, CertificateTemplate, Extension, KeyKind, KeyUsage, Name, ObjectIdentifier, Policy,
    PublicKey, Serial, extension, oid,
};

use crate::authority::Profile;
use crate::error::{DraftError, IssueError};
use crate::issuer::Issuer;
use crate::names::{self, Names};
use crate::rollover::BACK_DATED;

/// Where the original's own policies stand.
const OWN_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.37476.9000.70.0");
/// The policy that says: approved without anybody looking.
pub(crate) const AUTOMATIC_POLICY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.37476.9000.70.0.0");
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
    /// Signs. Takes the draft: it cannot be signed twice.
    pub(crate) async fn sign(self) -> Result<Certificate, IssueError> {
        self.issuer.key().sign_certificate(self.template).await
    }
}

/// What the certificate would say. Pure: `serial` and `now` come from the shell.
///
/// It never outlives its issuer: the end is cut to the issuer's, which happens only after the leaf
/// lifetime was made longer than the rollover of the CA certificates held was planned for.
pub(crate) fn draft(
    profile: &Profile,
    issuer: &Issuer,
    wish: &Wish<'_>,
    serial: Serial,
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
    extensions.extend(names::alternative_names(wish.subject, asked(wish, oid::SUBJECT_ALT_NAME))?);
    extensions.extend(policies(wish)?);
    // Who holds a certificate keeps its names, whatever is certified anew.
    if profile.names == Names::Strict && wish.mark != Mark::Carried {
        names::are_strict(wish.subject, &extensions)?;
    }
    Ok(Draft {
        template: CertificateTemplate {
            serial,
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

/// Looks at the form of everything that is kept of a request, and at its names. What cannot be certified as it was
/// asked for, but is said properly and of a good name, may still be signed with a template.
///
/// # Errors
/// The first thing that is malformed, or else the first that `allowed` does not allow.
pub(crate) fn check(allowed: Names, wish: &Wish<'_>) -> Result<(), DraftError> {
    let names = || names::alternative_names(wish.subject, asked(wish, oid::SUBJECT_ALT_NAME));
    let usages = || key_usage(wish);
    let purposes = || extended_key_usage(wish);
    let policies = || policies(wish);
    let mut kept = Vec::new();
    for extension in [&names as &dyn Fn() -> _, &usages, &purposes, &policies] {
        match extension() {
            Ok(extension) => kept.extend(extension),
            Err(error) if error.is_of_form() => return Err(error),
            Err(_) => {}
        }
    }
    if allowed == Names::Strict { names::are_strict(wish.subject, &kept) } else { Ok(()) }
}

fn asked<'a>(wish: &Wish<'a>, oid: ObjectIdentifier) -> Option<&'a Extension> {
    wish.extensions.iter().find(|extension| extension.oid == oid)
}

/// The usages asked for, without those of a CA; refused when the key cannot do one of them. Critical, as RFC
/// 5280 §4.2.1.3 wants.
///
/// A holder cannot change what a renewal asks for: there, what the key cannot do is left out as long as
/// something remains.
fn key_usage(wish: &Wish<'_>) -> Result<Option<Extension>, DraftError> {
    let Some(asked) = asked(wish, oid::KEY_USAGE) else { return Ok(None) };
    let mut usage = KeyUsage::from_der(&asked.value).map_err(DraftError::extension("keyUsage"))?;
    usage.remove(KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN);
    let one_way = KeyUsage::ENCIPHER_ONLY | KeyUsage::DECIPHER_ONLY;
    if !usage.contains(KeyUsage::KEY_AGREEMENT) {
        usage.remove(one_way);
    }
    if usage.is_empty() {
        return Ok(None);
    }
    let (of_kind, rule) = possible_usages(wish.public_key.kind());
    let possible = usage & of_kind;
    if wish.mark != Mark::Carried && possible != usage || possible.is_empty() {
        return Err(DraftError::KeyUsage { kind: wish.public_key.kind().to_string(), rule });
    }
    if possible.contains(one_way) {
        return Err(DraftError::Contradiction);
    }
    Ok(Some(extension::key_usage(possible, true)))
}

/// What keys of this kind can do, and what says so.
fn possible_usages(kind: &KeyKind) -> (KeyUsage, &'static str) {
    let signing = KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION;
    match kind {
        KeyKind::Rsa { .. } => {
            (signing | KeyUsage::KEY_ENCIPHERMENT | KeyUsage::DATA_ENCIPHERMENT, "RFC 3279 §2.3.1")
        }
        KeyKind::EcP256 | KeyKind::EcP384 | KeyKind::EcP521 => (
            signing | KeyUsage::KEY_AGREEMENT | KeyUsage::ENCIPHER_ONLY | KeyUsage::DECIPHER_ONLY,
            "RFC 8813 §3",
        ),
        KeyKind::Ed25519 => (signing, "RFC 9295 §3"),
        KeyKind::UnfitRsa { .. } | KeyKind::Other(_) => (KeyUsage::empty(), "nothing is known of them"),
    }
}

/// The purposes asked for, without the signing of OCSP answers. Critical where time stamps are one of them
/// (RFC 3161 §2.3); else not where any purpose is allowed (RFC 5280 §4.2.1.12).
fn extended_key_usage(wish: &Wish<'_>) -> Result<Option<Extension>, DraftError> {
    let Some(asked) = asked(wish, oid::EXTENDED_KEY_USAGE) else { return Ok(None) };
    let mut purposes = extension::parse_extended_key_usage(&asked.value)
        .map_err(DraftError::extension("extendedKeyUsage"))?;
    purposes.retain(|purpose| *purpose != oid::OCSP_SIGNING);
    let critical = purposes.contains(&oid::TIME_STAMPING)
        || asked.critical && !purposes.contains(&oid::ANY_EXTENDED_KEY_USAGE);
    Ok((!purposes.is_empty()).then(|| extension::extended_key_usage(&purposes, critical)))
}

/// The policies asked for, without the original's own, which only an authority gives, and without
/// qualifiers that certificates cannot have; and the mark of automatic approval.
fn policies(wish: &Wish<'_>) -> Result<Option<Extension>, DraftError> {
    let (mut policies, critical) = match asked(wish, oid::CERTIFICATE_POLICIES) {
        Some(asked) => (
            extension::parse_certificate_policies(&asked.value)
                .map_err(DraftError::extension("certificatePolicies"))?,
            asked.critical,
        ),
        None => (Vec::new(), false),
    };
    for policy in &mut policies {
        policy.oid = policy.oid.rebase(&LEGACY_POLICIES, &OWN_POLICIES).unwrap_or(policy.oid);
    }
    // After the renaming: under their old names they are no more for requesters to claim.
    if wish.mark != Mark::Carried {
        policies.retain(|policy| !policy.oid.starts_with(&OWN_POLICIES));
    }
    if wish.mark == Mark::Automatic {
        policies.push(Policy::with_notice(AUTOMATIC_POLICY, AUTOMATIC_NOTICE));
    }
    // Each policy at most once (RFC 5280 §4.2.1.4).
    let mut seen = std::collections::HashSet::new();
    policies.retain(|policy| seen.insert(policy.oid));
    let policies: Vec<Policy> = policies.into_iter().map(Policy::tidied).collect();
    Ok((!policies.is_empty()).then(|| extension::certificate_policies(&policies, critical)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509::{KeySpec, PrivateKey};

    const RSA: KeySpec = KeySpec::Rsa { bits: 2048 };

    /// Who asks for one extension with this value, with a key of this kind.
    struct Asker {
        key: PrivateKey,
        subject: Name,
        extensions: Vec<Extension>,
    }

    impl Asker {
        fn new(spec: KeySpec) -> Self {
            let subject = Name::from_common_name("host").unwrap();
            Self { key: PrivateKey::generate(spec).unwrap(), subject, extensions: Vec::new() }
        }

        fn asking(&mut self, extension: Extension, mark: Mark) -> Wish<'_> {
            self.extensions = vec![extension];
            Wish { subject: &self.subject, public_key: self.key.public(), extensions: &self.extensions, mark }
        }
    }

    #[test]
    fn key_usages_are_those_the_key_has() {
        const SIGN: KeyUsage = KeyUsage::DIGITAL_SIGNATURE;
        const AGREE: KeyUsage = KeyUsage::KEY_AGREEMENT;
        const ENCIPHER: KeyUsage = KeyUsage::KEY_ENCIPHERMENT;
        let [mut rsa, mut p256, mut ed25519] = [RSA, KeySpec::P256, KeySpec::Ed25519].map(Asker::new);
        let mut check = |asker: &str, usage: KeyUsage, mark, expected: Result<KeyUsage, &str>| {
            let asker = match asker {
                "rsa" => &mut rsa,
                "p256" => &mut p256,
                _ => &mut ed25519,
            };
            let made = key_usage(&asker.asking(extension::key_usage(usage, false), mark));
            match (made, expected) {
                (Ok(made), Ok(expected)) => {
                    let expected = (!expected.is_empty()).then(|| extension::key_usage(expected, true));
                    assert_eq!(made, expected, "{usage:?}");
                }
                (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected, "{usage:?}"),
                (made, _) => panic!("{usage:?}: {made:?}"),
            }
        };
        let (approved, carried) = (Mark::Approved, Mark::Carried);
        let none = KeyUsage::empty();
        check("rsa", SIGN | ENCIPHER, approved, Ok(SIGN | ENCIPHER));
        check("rsa", SIGN | KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN, approved, Ok(SIGN));
        check("rsa", KeyUsage::KEY_CERT_SIGN, approved, Ok(none));
        check("rsa", KeyUsage::ENCIPHER_ONLY, approved, Ok(none));
        check("rsa", none, approved, Ok(none));
        check(
            "p256",
            SIGN | AGREE | KeyUsage::ENCIPHER_ONLY,
            approved,
            Ok(SIGN | AGREE | KeyUsage::ENCIPHER_ONLY),
        );
        check("ed25519", SIGN | KeyUsage::NON_REPUDIATION, approved, Ok(SIGN | KeyUsage::NON_REPUDIATION));

        let cannot = |kind, rule| format!("a key usage was requested that {kind} keys cannot have ({rule})");
        check("rsa", SIGN | AGREE, approved, Err(&cannot("RSA-2048", "RFC 3279 §2.3.1")));
        check("p256", SIGN | ENCIPHER, Mark::Automatic, Err(&cannot("P-256", "RFC 8813 §3")));
        check("ed25519", AGREE, approved, Err(&cannot("Ed25519", "RFC 9295 §3")));
        let both = AGREE | KeyUsage::ENCIPHER_ONLY | KeyUsage::DECIPHER_ONLY;
        let contradiction =
            "the requested keyUsage has both encipherOnly and decipherOnly (RFC 5280 §4.2.1.3)";
        check("p256", both, approved, Err(contradiction));

        // The holder of a certificate may renew it with a key of another kind.
        check("p256", SIGN | ENCIPHER, carried, Ok(SIGN));
        check("rsa", SIGN | AGREE, carried, Ok(SIGN));
        check("p256", ENCIPHER, carried, Err(&cannot("P-256", "RFC 8813 §3")));
    }

    #[test]
    fn purposes_are_critical_when_they_must_be_and_not_when_they_must_not() {
        let mut asker = Asker::new(KeySpec::P256);
        let (server, any, stamp, ocsp) =
            (oid::SERVER_AUTH, oid::ANY_EXTENDED_KEY_USAGE, oid::TIME_STAMPING, oid::OCSP_SIGNING);
        let table: &[(&[ObjectIdentifier], bool, &[ObjectIdentifier], bool)] = &[
            (&[server], false, &[server], false),
            (&[server], true, &[server], true),
            (&[server, any], true, &[server, any], false),
            (&[stamp], false, &[stamp], true),
            (&[ocsp, server], true, &[server], true),
            (&[ocsp], true, &[], false),
            (&[], false, &[], false),
        ];
        for (asked, critical, expected, is_critical) in table {
            let asked = extension::extended_key_usage(asked, *critical);
            let made = extended_key_usage(&asker.asking(asked, Mark::Approved)).unwrap();
            let expected =
                (!expected.is_empty()).then(|| extension::extended_key_usage(expected, *is_critical));
            assert_eq!(made, expected);
        }
    }

    #[test]
    fn policies_are_filtered_marked_and_said_once() {
        let mut asker = Asker::new(KeySpec::P256);
        let plain = |text: &str| Policy { oid: ObjectIdentifier::new(text).unwrap(), qualifiers: None };
        let (other, own) = (plain("1.2.3.4"), plain("1.3.6.1.4.1.37476.9000.70.0.5"));
        let legacy = plain("2.25.285541874270823339875695650038637483517.0");
        let automatic = Policy::with_notice(AUTOMATIC_POLICY, AUTOMATIC_NOTICE);
        let unmarked = Policy { oid: AUTOMATIC_POLICY, qualifiers: None };
        let table = [
            (vec![], Mark::Approved, vec![]),
            (vec![], Mark::Automatic, vec![automatic.clone()]),
            (vec![own.clone(), automatic.clone()], Mark::Approved, vec![]),
            (vec![other.clone(), other.clone()], Mark::Approved, vec![other.clone()]),
            (vec![other.clone()], Mark::Automatic, vec![other.clone(), automatic.clone()]),
            (vec![legacy.clone()], Mark::Approved, vec![]),
            (vec![legacy.clone()], Mark::Automatic, vec![automatic.clone()]),
            (vec![own.clone(), automatic.clone()], Mark::Carried, vec![own.clone(), automatic.clone()]),
            (vec![legacy, automatic.clone()], Mark::Carried, vec![unmarked]),
        ];
        for (asked, mark, expected) in table {
            let extension = extension::certificate_policies(&asked, true);
            let made = super::policies(&asker.asking(extension, mark)).unwrap();
            let expected = (!expected.is_empty()).then(|| extension::certificate_policies(&expected, true));
            assert_eq!(made, expected, "{asked:?} {mark:?}");
        }
    }
}
