//! Which entries of a key count, and why the others do not.
//!
//! ```text
//! the entries of a key, in the server's order ─┐
//! whom to believe, and how much is asked      ├─► a verdict for each, those to take, the best first, and what to remember
//! now, and the highest sequences seen before ─┘
//! ```
//! An entry can be believed for two reasons. **Attested:** a signer made the Ed25519 signature inside the text, which binds
//! key, size and time ([`crate::attestation`]). **Weak:** a certificate of a signer verifies the outer signature, RSA with
//! SHA-1, and the root takes such ones. What such an entry says about its key and its expiry was signed with it and is held
//! against it all the same.
//!
//! - **k of n signers:** so many different signers must have said the same bytes under this key. Who says it in several
//!   entries, or with several keys, counts once.
//! - **Rollback:** a signer's sequence grows. If the highest that a server shows of a signer under this key is lower than one
//!   that was seen before, the server keeps something back, perhaps a withdrawal: nothing of that signer counts.
//! - **Withdrawal:** a signer withdraws what it said itself. Attested withdrawals withdraw everything, weak ones what is weak.
//!   They do not expire.
//!
//! Each root that speaks for the key judges alone; what one of them believes counts.

use std::collections::{BTreeMap, BTreeSet};

use base::{Sha512, Timestamp};

use crate::attestation::{Attestation, SignerId};
use crate::entry::Entry;
use crate::examine::{Finding, Read, examine};
use crate::platform::Platform;
use crate::policy::{Policy, Trust};
use crate::reason::Reason;

/// What a verdict depends on besides the entries and whom to believe.
pub struct Circumstances<'a> {
    /// What the entries are filed under.
    pub key: &'a str,
    /// Where the file that is wanted is from, if somebody knows. An entry that names another URL was moved here.
    pub url: Option<&'a str>,
    /// What time it is.
    pub now: Timestamp,
    /// The highest sequence of each signer that was seen under this key.
    pub seen: &'a BTreeMap<SignerId, u64>,
    /// Which machine, and which root of software, a release must fit; `None` when the entries are not about releases.
    pub platform: Option<(&'a Platform, Option<&'a str>)>,
    /// Whether there is an object of this name, as far as is known.
    pub is_there: &'a dyn Fn(&Sha512) -> bool,
}

/// How an entry was signed by somebody who is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// By the outer signature alone, RSA with SHA-1.
    Weak,
    /// With Ed25519, inside the text.
    Attested,
}

/// Whose word an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Believed {
    /// The name of the root of trust.
    pub root: String,
    /// The name of its signer.
    pub signer: String,
    /// How it was signed.
    pub strength: Strength,
}

/// What came of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whose word it is, if it is somebody's who is known, whether it counts or not.
    pub believed: Option<Believed>,
    /// How many bytes the object must have, if somebody who is known signed that.
    pub size: Option<u64>,
    /// Why it does not count; `None` when it does.
    pub refused: Option<Reason>,
}

/// What came of all entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// One for each entry, in their order.
    pub verdicts: Vec<Verdict>,
    /// Those that count, the best first: attested ones before weak ones, of those the one that was signed last; else in the
    /// server's order. Indices into `verdicts`.
    pub chosen: Vec<usize>,
    /// The sequences of signers that are higher than what was seen before: what the caller writes down, so that a later
    /// rollback is noticed.
    pub seen: BTreeMap<SignerId, u64>,
}

/// Says of each entry whether it counts.
#[must_use]
pub fn judge(entries: &[Entry], trust: &Trust, circumstances: &Circumstances<'_>) -> Judgement {
    let entries: Vec<Read<'_>> = entries.iter().map(Read::of).collect();
    let nobody = || Verdict { believed: None, size: None, refused: Some(Reason::NoRoot) };
    let mut verdicts: Vec<Verdict> = entries.iter().map(|_| nobody()).collect();
    let mut seen = BTreeMap::new();
    for policy in trust.policies.iter().filter(|policy| policy.speaks_for(circumstances.key)) {
        let findings = judge_by(&entries, policy, circumstances, &mut seen);
        for ((entry, finding), verdict) in entries.iter().zip(findings).zip(&mut verdicts) {
            let now = to_verdict(entry, finding, policy);
            // What a root says who knows the signer is worth more than what another says.
            if verdict.refused.is_some() && (now.refused.is_none() || verdict.believed.is_none()) {
                *verdict = now;
            }
        }
    }
    for (entry, verdict) in entries.iter().zip(&mut verdicts) {
        if verdict.refused.is_none() && !(circumstances.is_there)(&entry.sha512()) {
            verdict.refused = Some(Reason::NotThere);
        }
    }
    seen.retain(|signer, sequence| circumstances.seen.get(signer).is_none_or(|before| before < sequence));
    let chosen: Vec<usize> = (0..verdicts.len()).filter(|at| verdicts[*at].refused.is_none()).collect();
    let signed: Vec<_> = signed_at(&entries, &chosen);
    let mut order: Vec<_> = chosen.iter().zip(signed).collect();
    // Stable: those that are alike stay in the server's order.
    order.sort_by_key(|(at, signed)| {
        let strength = verdicts[**at].believed.as_ref().map(|believed| believed.strength);
        std::cmp::Reverse((strength, *signed))
    });
    let chosen = order.into_iter().map(|(at, _)| *at).collect();
    Judgement { verdicts, chosen, seen }
}

/// When each of these was signed: dates are whole seconds, and of clocks that may have been set back. Of one signer, what
/// has the higher sequence was signed later, whatever its date says.
/// Between signers it decides within one second: sequences are milliseconds where nothing keeps them from it.
fn signed_at(entries: &[Read<'_>], chosen: &[usize]) -> Vec<Option<(Timestamp, u64)>> {
    let claims = |at: &usize| {
        entries[*at].attestation().map(|held| (held.signer, held.claims.sequence, held.claims.created))
    };
    // What each signer signed, the first one first, with the latest date up to there.
    let mut latest: BTreeMap<SignerId, BTreeMap<u64, Timestamp>> = BTreeMap::new();
    for (signer, sequence, created) in chosen.iter().filter_map(claims) {
        let held = latest.entry(signer).or_default().entry(sequence).or_insert(created);
        *held = created.max(*held);
    }
    for dates in latest.values_mut() {
        let mut before = None;
        for date in dates.values_mut() {
            *date = before.map_or(*date, |before| (*date).max(before));
            before = Some(*date);
        }
    }
    let signed = |at: &usize| {
        let (signer, sequence, created) = claims(at)?;
        let date = latest.get(&signer).and_then(|dates| dates.get(&sequence)).copied();
        Some((date.unwrap_or(created), sequence))
    };
    chosen.iter().map(signed).collect()
}

fn to_verdict(entry: &Read<'_>, finding: Finding, policy: &Policy) -> Verdict {
    let believed = finding.signer.map(|(signer, strength)| Believed {
        root: policy.name.clone(),
        signer: policy.signers[signer].name.clone(),
        strength,
    });
    let size = entry.attestation().filter(|_| believed.is_some()).map(|attestation| attestation.claims.size);
    Verdict { believed, size, refused: finding.refused }
}

/// What one root makes of the entries; adds to `shown` the highest sequence that is shown of each of its signers.
fn judge_by(
    entries: &[Read<'_>],
    policy: &Policy,
    circumstances: &Circumstances<'_>,
    shown: &mut BTreeMap<SignerId, u64>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        entries.iter().map(|entry| examine(entry, policy, circumstances)).collect();
    for (entry, finding) in entries.iter().zip(&findings) {
        if let (Some((_, Strength::Attested)), Some(attestation)) = (finding.signer, entry.attestation())
            && attestation.claims.key == circumstances.key
        {
            let highest = shown.entry(attestation.signer).or_insert(0);
            *highest = attestation.claims.sequence.max(*highest);
        }
    }
    refuse_rolled_back(entries, &mut findings, shown, circumstances);
    refuse_withdrawn(entries, &mut findings, circumstances);
    refuse_too_few(entries, &mut findings, policy);
    findings
}

fn refuse_rolled_back(
    entries: &[Read<'_>],
    findings: &mut [Finding],
    shown: &BTreeMap<SignerId, u64>,
    circumstances: &Circumstances<'_>,
) {
    for (entry, finding) in entries.iter().zip(findings).filter(|(_, finding)| finding.refused.is_none()) {
        let Some((_, Strength::Attested)) = finding.signer else { continue };
        let Some(signer) = entry.attestation().map(|attestation| attestation.signer) else { continue };
        let (shown, seen) = (shown.get(&signer).copied().unwrap_or(0), circumstances.seen.get(&signer));
        if let Some(seen) = seen.copied().filter(|seen| *seen > shown) {
            finding.refused = Some(Reason::RolledBack { seen, shown });
        }
    }
}

fn refuse_withdrawn(entries: &[Read<'_>], findings: &mut [Finding], circumstances: &Circumstances<'_>) {
    // How strongly each signer withdrew each text.
    let mut withdrawn: BTreeMap<(usize, Sha512), Strength> = BTreeMap::new();
    for (entry, finding) in entries.iter().zip(&*findings) {
        let (Some(Attestation { claims, .. }), Some((signer, strength))) =
            (entry.attestation(), finding.signer)
        else {
            continue;
        };
        if claims.key == circumstances.key {
            for revoked in &claims.revokes {
                let held = withdrawn.entry((signer, *revoked)).or_insert(strength);
                *held = strength.max(*held);
            }
        }
    }
    if withdrawn.is_empty() {
        return;
    }
    for (entry, finding) in entries.iter().zip(findings) {
        let Some((signer, strength)) = finding.signer else { continue };
        let by = withdrawn.get(&(signer, entry.entry.text_digest()));
        // One that counted; or one that is over anyway, of which the withdrawal says more.
        if by.is_some_and(|by| *by >= strength)
            && !matches!(finding.refused, Some(Reason::WrongKey { .. } | Reason::IsWithdrawal))
        {
            finding.refused = Some(Reason::Withdrawn);
        }
    }
}

fn refuse_too_few(entries: &[Read<'_>], findings: &mut [Finding], policy: &Policy) {
    let needed = policy.signers_min.max(1);
    let mut signers: BTreeMap<Sha512, BTreeSet<usize>> = BTreeMap::new();
    for (entry, finding) in entries.iter().zip(&*findings).filter(|(_, finding)| finding.refused.is_none()) {
        signers.entry(entry.sha512()).or_default().extend(finding.signer.map(|(signer, _)| signer));
    }
    for (entry, finding) in entries.iter().zip(findings).filter(|(_, finding)| finding.refused.is_none()) {
        let signers = signers.get(&entry.sha512()).map_or(0, BTreeSet::len);
        if signers < needed {
            finding.refused = Some(Reason::TooFew { signers, needed });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::Claims;
    use crate::keys;
    use crate::new::{New, withdrawal};
    use crate::policy::{KeyPattern, Signer};
    use crate::signature::SigningKey;
    use crate::trust::TrustList;
    use crate::value::{Object, Value};
    use crate::vector;
    use x509::{KeySpec, PrivateKey};

    const KEY: &str = "k:x";

    /// Anna and Bert, who are believed, Bert with an old key too, and one who is not.
    struct World {
        keys: [PrivateKey; 3],
        rsa: SigningKey,
        trust: Trust,
        now: i64,
        key: String,
        url: Option<&'static str>,
        seen: BTreeMap<SignerId, u64>,
        absent: Option<Sha512>,
    }

    impl World {
        fn new() -> Self {
            let keys = [(); 3].map(|()| PrivateKey::generate(KeySpec::Ed25519).unwrap());
            let signer = |name: &str, key: &PrivateKey, certificates: &str| {
                let certificates = TrustList::parse(certificates).unwrap();
                Signer::new(name, vec![key.public().clone()], certificates).unwrap()
            };
            let policy = Policy {
                name: "root".into(),
                signers: vec![
                    signer("anna", &keys[0], ""),
                    signer("bert", &keys[1], vector::KEY_CERTIFICATE),
                ],
                takes_weak: true,
                ..Policy::default()
            };
            let trust = Trust { policies: vec![policy] };
            let rsa = SigningKey::from_pem(vector::KEY_PKCS8).unwrap();
            Self {
                keys,
                rsa,
                trust,
                now: 1000,
                key: KEY.into(),
                url: None,
                seen: BTreeMap::new(),
                absent: None,
            }
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
                key: &self.key,
                url: self.url,
                now: Timestamp::from_unix(self.now),
                seen: &self.seen,
                platform: None,
                is_there: &|digest| Some(*digest) != self.absent,
            };
            judge(entries, &self.trust, &circumstances)
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

    /// Dates are whole seconds, and clocks are set back.
    #[test]
    fn of_two_of_one_signer_the_one_signed_last_comes_first() {
        let world = World::new();
        let at = |second| move |claims: &mut Claims| claims.created = Timestamp::from_unix(second);
        let entries = [
            world.attested(0, 1, b"a", at(500)),
            world.attested(0, 2, b"b", at(500)),
            world.attested(0, 3, b"c", at(400)),
            world.attested(1, 1, b"d", at(499)),
            world.attested(1, 2, b"e", at(501)),
        ];
        assert_eq!(world.judge(&entries).chosen, [4, 2, 1, 0, 3]);
        let backwards: Vec<Entry> = entries.iter().rev().cloned().collect();
        assert_eq!(world.judge(&backwards).chosen, [0, 2, 3, 4, 1]);
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
        let judgement = world.judge(&entries);
        assert_eq!(judgement.chosen, [9, 0, 1]);
        let said = |n: usize| {
            let verdict: &Verdict = &judgement.verdicts[n];
            (verdict.believed.as_ref().map(|held| (held.signer.as_str(), held.strength)), verdict.size)
        };
        assert_eq!(said(0), (Some(("anna", Strength::Attested)), Some(1)));
        assert_eq!(said(1), (Some(("bert", Strength::Weak)), None));
        assert_eq!(said(4), (None, None));
        assert_eq!(said(8), (Some(("bert", Strength::Attested)), Some(1)));
        world.trust.policies[0].takes_weak = false;
        assert_eq!(world.reasons(&entries)[1], "it is signed with RSA and SHA-1 alone, which is too weak");
        world.trust.policies[0].needs_expiry = true;
        assert_eq!(world.reasons(&entries)[0], "it does not say when it expires");
        assert_eq!(world.reasons(&entries)[9], "");
    }

    #[test]
    fn so_many_signers_must_have_signed_the_same_bytes() {
        let mut world = World::new();
        let [a, b, again] = [(0, 1), (1, 1), (0, 2)].map(|(by, n)| world.attested(by, n, b"same", |_| {}));
        let other = world.attested(1, 2, b"other", |_| {});
        let old = world.old(b"same");
        world.trust.policies[0].signers_min = 2;
        let too_few = "1 of 2 signers have signed these bytes";
        for (entries, expected) in [
            (vec![a.clone()], vec![too_few]),
            (vec![a.clone(), again.clone()], vec![too_few, too_few]),
            (vec![a.clone(), other.clone()], vec![too_few, too_few]),
            (vec![a.clone(), b.clone(), other], vec!["", "", too_few]),
            (vec![a.clone(), old.clone()], vec!["", ""]),
            (vec![b, old.clone()], vec![too_few, too_few]),
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
        let stranger = "whoever signed it is not among those who are believed";
        for (case, withdrawal, expected) in [
            ("its signer", withdraw(0, None), [gone, "", "", itself]),
            ("with somebody else's old key", withdraw(0, Some(&world.rsa)), [gone, "", "", itself]),
            ("who has an old key", withdraw(1, None), ["", gone, gone, itself]),
            ("a stranger", withdraw(2, None), ["", "", "", stranger]),
            ("a stranger with an old key", withdraw(2, Some(&world.rsa)), ["", "", gone, itself]),
        ] {
            let entries = [a.clone(), b.clone(), old.clone(), withdrawal];
            assert_eq!(world.reasons(&entries), expected, "{case}");
        }
        let elsewhere = Claims { key: "other".into(), ..claims(2) };
        let elsewhere = withdrawal(&elsewhere, all, &world.keys[0], None).unwrap();
        assert_eq!(world.reasons(&[a, elsewhere])[0], "");
    }

    #[test]
    fn the_best_comes_first() {
        let world = World::new();
        let at = |by, n, seconds| {
            world.attested(by, n, b"a", |claims: &mut Claims| claims.created = Timestamp::from_unix(seconds))
        };
        let entries = [world.old(b"a"), at(0, 1, 100), at(1, 1, 300), at(0, 2, 200), world.old(b"b")];
        assert_eq!(world.judge(&entries).chosen, [2, 3, 1, 0, 4]);
    }

    #[test]
    fn an_entry_that_names_a_url_is_about_that_file() {
        let mut world = World::new();
        let entries = [world.old(b"a"), world.attested(0, 1, b"a", |_| {})];
        let moved = "it is about the file from http://example.invalid/";
        for (url, expected) in [
            (None, ["", ""]),
            (Some("http://example.invalid/"), ["", ""]),
            (Some("http://example.invalid"), [moved, moved]),
        ] {
            world.url = url;
            assert_eq!(world.reasons(&entries), expected, "{url:?}");
        }
        // What the key is of is known, whoever asks.
        world.url = None;
        for (key, expected) in [
            (keys::file("http://example.invalid/"), ""),
            (keys::file("http://example.invalid"), moved),
            (keys::release("http://example.invalid"), ""),
        ] {
            world.key = key;
            assert_eq!(world.reasons(&entries[..1]), [expected], "{}", world.key);
        }
    }

    #[test]
    fn each_root_judges_alone() {
        let mut world = World::new();
        let entries =
            [world.old(b"a"), world.attested(2, 1, b"a", |_| {}), world.attested(0, 1, b"b", |_| {})];
        let key = world.keys[2].public().clone();
        let carl = Signer::new("carl", vec![key], TrustList::default()).unwrap();
        let second = Policy {
            name: "second".into(),
            keys: vec![KeyPattern::new("k:*")],
            signers: vec![carl],
            ..Policy::default()
        };
        world.trust.policies[0].takes_weak = false;
        world.trust.policies.push(second);
        let weak = "it is signed with RSA and SHA-1 alone, which is too weak";
        assert_eq!(world.reasons(&entries), [weak, "", ""]);
        let root =
            |n: usize| world.judge(&entries).verdicts[n].believed.as_ref().map(|held| held.root.clone());
        assert_eq!((root(1).as_deref(), root(2).as_deref()), (Some("second"), Some("root")));
        assert_eq!(world.judge(&entries).seen.len(), 2);
        world.trust.policies[1].keys = vec![KeyPattern::new("pypi:*")];
        assert_eq!(world.reasons(&entries)[1], "whoever signed it is not among those who are believed");
        world.trust.policies.remove(0);
        assert_eq!(world.reasons(&entries)[1], "no root of trust speaks for this key");
    }
}
