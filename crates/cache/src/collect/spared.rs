//! Entries that stay though no rule keeps them, since others would not count as they did: readers remember the highest
//! sequence of each signer under a key, and believe nothing of a signer when they are shown less; and what was withdrawn
//! counts again when the withdrawal goes (`entry::verdict`).

use std::collections::{HashMap, HashSet};

use base::Sha512;
use entry::attestation::{Attestation, SignerId};
use entry::{Entry, Statement, Trust};

use crate::key::EntryKey;

/// What an entry says about others of its key. Where nobody knows whose keys are whose, no signature was looked at: who says
/// so falsely keeps their own there for as long as what they name, and takes nothing away from what others put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// The SHA-512 of its text, by which it is withdrawn.
    pub(super) text: Sha512,
    /// Who signed it, and the how manieth of theirs it is.
    pub(super) sequence: Option<(SignerId, u64)>,
    /// What it withdraws.
    pub(super) revokes: Vec<Sha512>,
    /// Who put it there: the principal. Unlike the signer, that is known.
    pub(super) by: String,
}

impl Standing {
    /// What `entry` says; nothing where it says so in the name of one of the `signers` and that is false.
    pub(super) fn of(entry: &Entry, key: &EntryKey, by: String, signers: Option<&Trust>) -> Self {
        let signers =
            || signers.into_iter().flat_map(|trust| &trust.policies).flat_map(|policy| &policy.signers);
        let is_false = |found: &Attestation| {
            let known = signers().find_map(|signer| signer.key(found.signer));
            known.is_some_and(|known| found.verify(entry.statement(), known).is_err())
        };
        let attestation = attestation(entry.statement())
            .filter(|found| found.claims.key == key.as_str() && !is_false(found));
        let sequence = attestation.as_ref().map(|found| (found.signer, found.claims.sequence));
        let revokes = attestation.map(|found| found.claims.revokes).unwrap_or_default();
        Self { text: entry.text_digest(), sequence, revokes, by }
    }
}

/// One that is malformed is none to readers either.
fn attestation(statement: &Statement) -> Option<Attestation> {
    Attestation::read(statement).ok().flatten()
}

/// What becomes of the entries of a key: `stays` says what the rules keep. Which go, those first that have to go before
/// others.
pub(super) fn going(standings: &[&Standing], mut stays: Vec<bool>) -> Vec<usize> {
    let texts: HashSet<Sha512> = standings.iter().map(|standing| standing.text).collect();
    // Of each signer and each who put theirs there: who lies about the signer displaces only what they put there themselves.
    let mut highest: HashMap<(SignerId, &str), (u64, usize)> = HashMap::new();
    let mut kept: HashSet<SignerId> = HashSet::new();
    for (at, standing) in standings.iter().enumerate() {
        // As long as what it takes back is there, be it for this round only.
        stays[at] |= standing.revokes.iter().any(|revoked| texts.contains(revoked));
        let Some((signer, sequence)) = standing.sequence else { continue };
        let held = highest.entry((signer, &standing.by)).or_insert((sequence, at));
        if held.0 < sequence {
            *held = (sequence, at);
        }
        if stays[at] {
            kept.insert(signer);
        }
    }
    let mut is_highest = vec![false; standings.len()];
    for ((signer, _), (_, at)) in highest {
        is_highest[at] = true;
        stays[at] |= kept.contains(&signer);
    }
    let mut going: Vec<usize> = (0..standings.len()).filter(|at| !stays[*at]).collect();
    going.sort_by_key(|at| is_highest[*at]);
    going
}

#[cfg(test)]
mod tests {
    use entry::{Claims, New, Object, Policy, Signer, TrustList, Value};
    use x509::{KeySpec, PrivateKey};

    use super::*;

    fn standing(text: &str, signer: u8, sequence: u64, revokes: &[&str]) -> Standing {
        let signer = SignerId::parse(&format!("{signer:064x}")).unwrap();
        let digest = |text: &str| Sha512::of(text.as_bytes());
        Standing {
            text: digest(text),
            sequence: (sequence > 0).then_some((signer, sequence)),
            revokes: revokes.iter().map(|text| digest(text)).collect(),
            by: "anna".into(),
        }
    }

    #[test]
    fn what_others_stand_on_stays() {
        let (a1, a2, a3) = (standing("a1", 1, 1, &[]), standing("a2", 1, 2, &[]), standing("a3", 1, 3, &[]));
        let (old, b1) = (standing("old", 0, 0, &[]), standing("b1", 2, 1, &[]));
        let withdraws = standing("w", 1, 4, &["a1"]);
        for (standings, stays, expected) in [
            (vec![&a1, &a2, &a3], [true, true, false].to_vec(), [].to_vec()),
            (vec![&a3, &a1, &a2], [false, false, true].to_vec(), [1].to_vec()),
            (vec![&a3, &a1, &a2], [false, false, false].to_vec(), [1, 2, 0].to_vec()),
            (vec![&a1, &b1, &old], [true, false, false].to_vec(), [2, 1].to_vec()),
            (vec![&a1, &withdraws], [true, false].to_vec(), [].to_vec()),
            (vec![&a1, &withdraws], [false, false].to_vec(), [0].to_vec()),
            (vec![&b1, &withdraws], [true, false].to_vec(), [1].to_vec()),
        ] {
            let texts: Vec<Sha512> = standings.iter().map(|standing| standing.text).collect();
            assert_eq!(going(&standings, stays.clone()), expected, "{texts:?} {stays:?}");
        }
    }
    #[test]
    fn who_lies_about_the_signer_displaces_nobody_elses() {
        let (a1, a2) = (standing("a1", 1, 1, &[]), standing("a2", 1, 2, &[]));
        let forged = Standing { by: "mallory".into(), ..standing("forged", 1, u64::MAX, &[]) };
        for (stays, expected) in [
            ([true, false, false], [].to_vec()),
            ([true, false, true], [].to_vec()),
            ([false, false, false], [0, 1, 2].to_vec()),
        ] {
            assert_eq!(going(&[&a1, &a2, &forged], stays.to_vec()), expected, "{stays:?}");
        }
    }

    #[test]
    fn who_lies_in_the_name_of_somebody_known_says_nothing() {
        let [anna, bert] = [(); 2].map(|()| PrivateKey::generate(KeySpec::Ed25519).unwrap());
        let claims = Claims {
            key: "a".into(),
            size: 5,
            created: base::Timestamp::from_unix(1000),
            expires: None,
            sequence: 7,
            revokes: vec![Sha512::of(b"")],
        };
        let said = |key: &PrivateKey| {
            let mut metadata = Object::new();
            metadata.insert("url", Value::text("http://example.invalid/"));
            New { sha512: Sha512::of(b"hello"), metadata, attestation: Some((&claims, key)) }
                .sign(None)
                .unwrap()
        };
        let id = |key: &PrivateKey| SignerId::of(key.public());
        let forged = said(&bert).text().replace(&id(&bert).to_string(), &id(&anna).to_string());
        let forged = Entry::new(forged, String::new()).unwrap();
        let signer = Signer::new("anna", vec![anna.public().clone()], TrustList::default()).unwrap();
        let policy = Policy { name: "root".into(), signers: vec![signer], ..Policy::default() };
        let trust = Trust { policies: vec![policy] };
        for (entry, signers, expected) in [
            (said(&anna), Some(&trust), Some(id(&anna))),
            (said(&bert), Some(&trust), Some(id(&bert))),
            (forged.clone(), Some(&trust), None),
            (forged, None, Some(id(&anna))),
        ] {
            let standing = Standing::of(&entry, &"a".parse().unwrap(), "anybody".into(), signers);
            assert_eq!(standing.sequence, expected.map(|signer| (signer, 7)));
            assert_eq!(standing.revokes.is_empty(), expected.is_none());
        }
    }

    /// As many as a key may have, each of another signer: with the square of that, this would take minutes.
    #[test]
    fn as_many_signers_as_entries_take_no_longer() {
        let entries: Vec<Standing> = (0..65_536_u32)
            .map(|n| Standing {
                text: Sha512::of(&n.to_be_bytes()),
                sequence: Some((SignerId::parse(&format!("{n:064x}")).unwrap(), 1)),
                revokes: Vec::new(),
                by: "mallory".into(),
            })
            .collect();
        let entries: Vec<&Standing> = entries.iter().collect();
        let began = std::time::Instant::now();
        assert_eq!(going(&entries, vec![false; entries.len()]).len(), entries.len());
        assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    }
}
