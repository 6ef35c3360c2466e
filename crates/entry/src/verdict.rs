//! Which entries of a key count, and why the others do not.
//!
//! ```text
//! the entries of a key, in the server's order ─┐
//! whom to believe, and how much is asked      ├─► a verdict for each
//! now, and the highest sequences seen before ─┘
//! ```
//! An entry can be believed for two reasons. **Attested:** a signer that is listed made the Ed25519 signature inside the
//! text, which binds key, size and time ([`crate::attestation`]). **By its outer signature:** a certificate that is listed
//! verifies RSA with SHA-1, which is weak, and counts where the policy says so. What such an entry says about its key and
//! its expiry was signed with it and is held against it all the same.
//!
//! - **k of n signers:** so many different signers must have attested the same bytes under this key. Outer signatures
//!   count for one signer together, as it is not known which of them belong to whom.
//! - **Rollback:** a signer's sequence grows. If the highest that a server shows of a signer under this key is lower than one
//!   that was seen before, the server keeps something back, perhaps a withdrawal: nothing of that signer counts.
//! - **Withdrawal:** a signer withdraws what it attested itself; with its outer signature also what that certificate signed.
//!   Withdrawals do not expire.

use std::collections::{BTreeMap, BTreeSet};

use base::{Sha512, Timestamp};

use crate::attestation::{Attestation, SignerId};
use crate::entry::Entry;
use crate::platform::Platform;
use crate::policy::Policy;
use crate::reason::Reason;

/// What a verdict depends on besides the entries and the policy.
pub struct Circumstances<'a> {
    /// What the entries are filed under.
    pub key: &'a str,
    /// What time it is.
    pub now: Timestamp,
    /// The highest sequence of each signer that was seen under this key.
    pub seen: &'a BTreeMap<SignerId, u64>,
    /// Which machine, and which root of software, a release must fit; `None` when the entries are not about releases.
    pub platform: Option<(&'a Platform, Option<&'a str>)>,
    /// Whether there is an object of this name, as far as is known.
    pub is_there: &'a dyn Fn(&Sha512) -> bool,
}

/// Who is believed for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believed {
    /// The signer with this index in [`Policy::signers`], who attested it.
    Attested(usize),
    /// The certificate with this index in [`Policy::certificates`].
    Weak(usize),
}

/// What came of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whose word it is, as far as somebody who is listed signed it, whether it counts or not.
    pub believed: Option<Believed>,
    /// How many bytes the object must have, if somebody who is believed attested it.
    pub size: Option<u64>,
    /// Why it does not count; `None` when it does.
    pub refused: Option<Reason>,
}

/// What is known of an entry by itself.
struct Finding {
    attestation: Option<Attestation>,
    /// The signer whose attestation verified.
    attester: Option<usize>,
    /// The certificate whose outer signature verified.
    certificate: Option<usize>,
    refused: Option<Reason>,
}

/// What came of all entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// One for each entry, in their order.
    pub verdicts: Vec<Verdict>,
    /// The sequences of signers that are higher than what was seen before: what the caller writes down, so that a later
    /// rollback is noticed.
    pub seen: BTreeMap<SignerId, u64>,
}

/// Says of each entry whether it counts.
#[must_use]
pub fn judge(entries: &[Entry], policy: &Policy, circumstances: &Circumstances<'_>) -> Judgement {
    let mut findings: Vec<Finding> =
        entries.iter().map(|entry| examine(entry, policy, circumstances)).collect();
    let mut seen = shown(&findings, policy, circumstances);
    refuse_rolled_back(&mut findings, &seen, policy, circumstances);
    refuse_withdrawn(entries, &mut findings, circumstances);
    refuse_too_few(entries, &mut findings, policy);
    for (entry, finding) in entries.iter().zip(&mut findings) {
        if finding.refused.is_none() && !(circumstances.is_there)(&entry.statement().sha512()) {
            finding.refused = Some(Reason::NotThere);
        }
    }
    seen.retain(|signer, sequence| circumstances.seen.get(signer).is_none_or(|before| before < sequence));
    Judgement { verdicts: findings.into_iter().map(verdict).collect(), seen }
}

fn verdict(finding: Finding) -> Verdict {
    let believed = match (finding.attester, finding.certificate) {
        (Some(signer), _) => Some(Believed::Attested(signer)),
        (None, Some(certificate)) => Some(Believed::Weak(certificate)),
        (None, None) => None,
    };
    let attested = finding.attestation.filter(|_| believed.is_some());
    Verdict { believed, size: attested.map(|held| held.claims.size), refused: finding.refused }
}

/// What an entry is worth by itself.
fn examine(entry: &Entry, policy: &Policy, circumstances: &Circumstances<'_>) -> Finding {
    let certificate = policy.certificates.verified_by(entry);
    let mut finding = Finding { attestation: None, attester: None, certificate, refused: None };
    match Attestation::read(entry.statement()) {
        Ok(attestation) => finding.attestation = attestation,
        Err(error) => {
            finding.refused = Some(Reason::Attestation(error));
            return finding;
        }
    }
    if let Some(attestation) = &finding.attestation {
        let signer = policy.signers.iter().position(|signer| signer.id == attestation.signer);
        if let Some(signer) = signer {
            match attestation.verify(entry.statement(), &policy.signers[signer].key) {
                Ok(()) => finding.attester = Some(signer),
                Err(error) => {
                    finding.refused = Some(Reason::Attestation(error));
                    return finding;
                }
            }
        }
    }
    finding.refused = refusal(entry, &finding, policy, circumstances);
    finding
}

/// Why an entry whose signatures were looked at does not count.
fn refusal(
    entry: &Entry,
    finding: &Finding,
    policy: &Policy,
    circumstances: &Circumstances<'_>,
) -> Option<Reason> {
    if finding.attester.is_none() && finding.certificate.is_none() {
        let is_unsigned = entry.signature().is_empty() && finding.attestation.is_none();
        return Some(if is_unsigned { Reason::Unsigned } else { Reason::UnknownSigner });
    }
    if finding.attester.is_none() && !policy.takes_weak {
        return Some(Reason::Weak);
    }
    if let Some(Attestation { claims, .. }) = &finding.attestation {
        if claims.key != circumstances.key {
            return Some(Reason::WrongKey { key: claims.key.clone() });
        }
        if !claims.revokes.is_empty() {
            return Some(Reason::IsWithdrawal);
        }
        match claims.expires {
            Some(at) if at < circumstances.now => return Some(Reason::Expired { at }),
            None if policy.needs_expiry => return Some(Reason::NoExpiry),
            _ => {}
        }
    } else if policy.needs_expiry {
        return Some(Reason::NoExpiry);
    }
    let (platform, software_root) = circumstances.platform?;
    platform.fits(entry.statement(), software_root).err().map(Reason::OtherPlatform)
}

/// The highest sequence that is shown of each signer under this key.
fn shown(
    findings: &[Finding],
    policy: &Policy,
    circumstances: &Circumstances<'_>,
) -> BTreeMap<SignerId, u64> {
    let mut shown = BTreeMap::new();
    for finding in findings {
        let (Some(signer), Some(attestation)) = (finding.attester, &finding.attestation) else { continue };
        if attestation.claims.key == circumstances.key {
            let highest = shown.entry(policy.signers[signer].id).or_insert(0);
            *highest = attestation.claims.sequence.max(*highest);
        }
    }
    shown
}

fn refuse_rolled_back(
    findings: &mut [Finding],
    shown: &BTreeMap<SignerId, u64>,
    policy: &Policy,
    circumstances: &Circumstances<'_>,
) {
    for finding in findings.iter_mut().filter(|finding| finding.refused.is_none()) {
        let Some(signer) = finding.attester.map(|signer| policy.signers[signer].id) else { continue };
        let (shown, seen) = (shown.get(&signer).copied().unwrap_or(0), circumstances.seen.get(&signer));
        if let Some(seen) = seen.copied().filter(|seen| *seen > shown) {
            finding.refused = Some(Reason::RolledBack { seen, shown });
        }
    }
}

fn refuse_withdrawn(entries: &[Entry], findings: &mut [Finding], circumstances: &Circumstances<'_>) {
    let (mut by_attester, mut by_certificate) = (BTreeSet::new(), BTreeSet::new());
    for finding in findings.iter() {
        let Some(Attestation { claims, .. }) = &finding.attestation else { continue };
        if claims.key != circumstances.key {
            continue;
        }
        for revoked in &claims.revokes {
            by_attester.extend(finding.attester.map(|signer| (signer, *revoked)));
            by_certificate.extend(finding.certificate.map(|certificate| (certificate, *revoked)));
        }
    }
    if by_attester.is_empty() && by_certificate.is_empty() {
        return;
    }
    for (entry, finding) in entries.iter().zip(findings) {
        let digest = entry.text_digest();
        let is_withdrawn = finding.attester.is_some_and(|signer| by_attester.contains(&(signer, digest)))
            || finding.certificate.is_some_and(|certificate| by_certificate.contains(&(certificate, digest)));
        // One that counted; or one that is over anyway, of which the withdrawal says more.
        if is_withdrawn && !matches!(finding.refused, Some(Reason::WrongKey { .. } | Reason::IsWithdrawal)) {
            finding.refused = Some(Reason::Withdrawn);
        }
    }
}

fn refuse_too_few(entries: &[Entry], findings: &mut [Finding], policy: &Policy) {
    let needed = policy.signers_min.max(1);
    let mut signers: BTreeMap<Sha512, BTreeSet<Option<usize>>> = BTreeMap::new();
    for (entry, finding) in entries.iter().zip(&*findings).filter(|(_, finding)| finding.refused.is_none()) {
        // All outer signatures together are one signer, `None`.
        signers.entry(entry.statement().sha512()).or_default().insert(finding.attester);
    }
    for (entry, finding) in entries.iter().zip(findings).filter(|(_, finding)| finding.refused.is_none()) {
        let signers = signers.get(&entry.statement().sha512()).map_or(0, BTreeSet::len);
        if signers < needed {
            finding.refused = Some(Reason::TooFew { signers, needed });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::Claims;
    use crate::new::{New, withdrawal};
    use crate::policy::Signer;
    use crate::signature::SigningKey;
    use crate::trust::TrustList;
    use crate::value::{Object, Value};
    use crate::vector;
    use x509::{KeySpec, PrivateKey};

    const KEY: &str = "file-urlmd5:x";

    /// Two signers who are believed, one who is not, and somebody with an old key.
    struct World {
        keys: [PrivateKey; 3],
        rsa: SigningKey,
        policy: Policy,
        now: i64,
        seen: BTreeMap<SignerId, u64>,
        absent: Option<Sha512>,
    }

    impl World {
        fn new() -> Self {
            let keys = [(); 3].map(|()| PrivateKey::generate(KeySpec::Ed25519).unwrap());
            let signer = |name: &str, key: &PrivateKey| Signer::new(name, key.public().clone()).unwrap();
            let policy = Policy {
                signers: vec![
                    signer("anna", &keys[0]),
                    signer("bert", &keys[1]),
                    signer("anna again", &keys[0]),
                ],
                certificates: TrustList::parse(vector::KEY_CERTIFICATE).unwrap(),
                takes_weak: true,
                signers_min: 0,
                needs_expiry: false,
            };
            let rsa = SigningKey::from_pem(vector::KEY_PKCS8).unwrap();
            Self { keys, rsa, policy, now: 1000, seen: BTreeMap::new(), absent: None }
        }

        fn attested(
            &self,
            by: usize,
            sequence: u64,
            bytes: &[u8],
            change: impl FnOnce(&mut Claims),
        ) -> Entry {
            let mut claims = claims(sequence);
            change(&mut claims);
            let attestation = Some((&claims, &self.keys[by]));
            New { sha512: Sha512::of(bytes), metadata: metadata(), attestation }.sign(None).unwrap()
        }

        fn old(&self, bytes: &[u8]) -> Entry {
            let new = New { sha512: Sha512::of(bytes), metadata: metadata(), attestation: None };
            new.sign(Some(&self.rsa)).unwrap()
        }

        fn judge(&self, entries: &[Entry]) -> Judgement {
            let circumstances = Circumstances {
                key: KEY,
                now: Timestamp::from_unix(self.now),
                seen: &self.seen,
                platform: None,
                is_there: &|digest| Some(*digest) != self.absent,
            };
            judge(entries, &self.policy, &circumstances)
        }

        /// Why each does not count; empty if it does.
        fn reasons(&self, entries: &[Entry]) -> Vec<String> {
            let verdicts = self.judge(entries).verdicts;
            verdicts
                .iter()
                .map(|held| held.refused.as_ref().map_or(String::new(), Reason::to_string))
                .collect()
        }
    }

    fn metadata() -> Object {
        let mut metadata = Object::new();
        metadata.insert("url", Value::text("http://example.invalid/"));
        metadata
    }

    fn claims(sequence: u64) -> Claims {
        Claims {
            key: KEY.into(),
            size: 1,
            created: Timestamp::from_unix(500),
            expires: None,
            sequence,
            revokes: Vec::new(),
        }
    }

    #[test]
    fn each_entry_is_told_what_is_wrong_with_it() {
        let mut world = World::new();
        let unsigned = Entry::new(world.old(b"a").text().to_owned(), String::new()).unwrap();
        let stranger = Entry::parse(vector::ENTRY.as_bytes()).unwrap();
        let good = world.attested(0, 1, b"a", |_| {});
        let forged = Entry::new(good.text().replace("invalid", "evil"), String::new()).unwrap();
        let malformed = Entry::new(good.text().replace("\"v\": 1", "\"v\": true"), String::new()).unwrap();
        let entries = [
            good,
            world.old(b"a"),
            unsigned,
            stranger,
            world.attested(2, 1, b"a", |_| {}),
            forged,
            malformed,
            world.attested(1, 1, b"a", |claims| claims.key = "other".into()),
            world.attested(1, 2, b"a", |claims| claims.expires = Some(Timestamp::from_unix(999))),
            world.attested(1, 3, b"a", |claims| claims.expires = Some(Timestamp::from_unix(1000))),
            world.attested(1, 4, b"gone", |_| {}),
        ];
        world.absent = Some(Sha512::of(b"gone"));
        let expected = [
            "",
            "",
            "nobody signed it",
            "whoever signed it is not among those who are believed",
            "whoever signed it is not among those who are believed",
            "its attestation is not in order",
            "its attestation is not in order",
            "it was signed for the key `other`",
            "it expired 1970-01-01T00:16:39Z",
            "",
            "the object is not there",
        ];
        assert_eq!(world.reasons(&entries), expected);
        let verdicts = world.judge(&entries).verdicts;
        let believed = |n: usize| (verdicts[n].believed, verdicts[n].size);
        assert_eq!(believed(0), (Some(Believed::Attested(0)), Some(1)));
        assert_eq!(believed(1), (Some(Believed::Weak(0)), None));
        assert_eq!(believed(4), (None, None));
        world.policy.takes_weak = false;
        assert_eq!(world.reasons(&entries)[1], "it is signed with RSA and SHA-1 alone, which is too weak");
        world.policy.needs_expiry = true;
        assert_eq!(world.reasons(&entries)[0], "it does not say when it expires");
        assert_eq!(world.reasons(&entries)[9], "");
    }

    #[test]
    fn so_many_signers_must_have_signed_the_same_bytes() {
        let mut world = World::new();
        let [a, b, again] = [(0, 1), (1, 1), (0, 2)].map(|(by, n)| world.attested(by, n, b"same", |_| {}));
        let other = world.attested(1, 2, b"other", |_| {});
        let old = world.old(b"same");
        world.policy.signers_min = 2;
        let too_few = "1 of 2 signers have signed these bytes";
        for (entries, expected) in [
            (vec![a.clone()], vec![too_few]),
            (vec![a.clone(), again.clone()], vec![too_few, too_few]),
            (vec![a.clone(), other.clone()], vec![too_few, too_few]),
            (vec![a.clone(), b.clone(), other], vec!["", "", too_few]),
            (vec![a.clone(), old.clone()], vec!["", ""]),
            (vec![old.clone(), old], vec![too_few, too_few]),
        ] {
            assert_eq!(world.reasons(&entries), expected);
        }
    }

    #[test]
    fn a_server_that_keeps_something_back_is_noticed() {
        let mut world = World::new();
        let entries: Vec<Entry> = (1..4).map(|n| world.attested(0, n, b"a", |_| {})).collect();
        let others = world.attested(1, 1, b"a", |_| {});
        let anna = SignerId::of(world.keys[0].public());
        assert_eq!(world.judge(&entries).seen, BTreeMap::from([(anna, 3)]));
        world.seen.insert(anna, 3);
        assert_eq!(world.judge(&entries).seen, BTreeMap::new());
        assert_eq!(world.reasons(&entries), ["", "", ""]);
        let shown = [entries[0].clone(), entries[1].clone(), others];
        let reason =
            "its signer has said more since: sequence 3 was seen, and 2 is the highest that is shown";
        assert_eq!(world.reasons(&shown), [reason, reason, ""]);
    }

    #[test]
    fn who_signed_withdraws() {
        let world = World::new();
        let (a, b, old) =
            (world.attested(0, 1, b"a", |_| {}), world.attested(1, 1, b"a", |_| {}), world.old(b"a"));
        let all = [&a, &b, &old];
        let withdraw = |by: usize, signer| withdrawal(&claims(2), all, &world.keys[by], signer).unwrap();
        let (gone, itself) = ("its signer withdrew it", "it withdraws other entries");
        for (case, withdrawal, expected) in [
            ("its signer", withdraw(0, None), [gone, "", "", itself]),
            ("with the old key too", withdraw(0, Some(&world.rsa)), [gone, "", gone, itself]),
            (
                "a stranger",
                withdraw(2, None),
                ["", "", "", "whoever signed it is not among those who are believed"],
            ),
            ("a stranger with the old key", withdraw(2, Some(&world.rsa)), ["", "", gone, itself]),
        ] {
            let entries = [a.clone(), b.clone(), old.clone(), withdrawal];
            assert_eq!(world.reasons(&entries), expected, "{case}");
        }
        let elsewhere = Claims { key: "other".into(), ..claims(2) };
        let elsewhere = withdrawal(&elsewhere, all, &world.keys[0], None).unwrap();
        assert_eq!(world.reasons(&[a, elsewhere])[0], "");
    }
}
