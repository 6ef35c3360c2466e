//! Whom to believe, and how much is asked of what they say. How this is written down is in [`crate::policy_file`].
//!
//! ```text
//! Trust ──► Policy: one root of trust, for some keys ──► Signer: a person or a machine, with all keys it has
//! ```

use std::collections::BTreeSet;

use x509::{KeyKind, PublicKey};

use crate::attestation::SignerId;
use crate::trust::TrustList;

/// Somebody whose word is believed. Whatever several of its keys say, one signer says it.
#[derive(Debug, Default)]
pub struct Signer {
    /// What people call it.
    pub name: String,
    keys: Vec<(SignerId, PublicKey)>,
    certificates: TrustList,
}

impl Signer {
    /// Whoever has one of these Ed25519 keys, and whoever makes outer signatures that one of these certificates verifies;
    /// the latter are believed where the policy takes weak ones. `None` when a key is not Ed25519.
    #[must_use]
    pub fn new(name: &str, keys: Vec<PublicKey>, certificates: TrustList) -> Option<Self> {
        let is_fitting = keys.iter().all(|key| *key.kind() == KeyKind::Ed25519);
        let keys = keys.into_iter().map(|key| (SignerId::of(&key), key)).collect();
        is_fitting.then(|| Self { name: name.to_owned(), keys, certificates })
    }

    /// The key of this name, if the signer has it.
    #[must_use]
    pub fn key(&self, id: SignerId) -> Option<&PublicKey> {
        self.keys.iter().find(|(own, _)| *own == id).map(|(_, key)| key)
    }

    /// What its attesting keys are called.
    pub fn ids(&self) -> impl Iterator<Item = SignerId> {
        self.keys.iter().map(|(id, _)| *id)
    }

    /// Whose outer signatures are its own.
    #[must_use]
    pub fn certificates(&self) -> &TrustList {
        &self.certificates
    }
}

/// Which keys are meant: a text in which `*` stands for any characters, none included. Everything else stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern(String);

impl KeyPattern {
    /// The pattern that `text` spells.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether `key` is one of those.
    #[must_use]
    pub fn fits(&self, key: &str) -> bool {
        let Some((first, others)) = self.0.split_once('*') else { return self.0 == key };
        let Some(mut rest) = key.strip_prefix(first) else { return false };
        let (between, last) = others.rsplit_once('*').unwrap_or(("", others));
        for part in between.split('*') {
            // The earliest place leaves most to those that follow.
            match rest.split_once(part) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// A root of trust: some signers, and what is asked of what they say.
#[derive(Debug, Default)]
pub struct Policy {
    /// What people call it.
    pub name: String,
    /// For which keys it speaks; for all when there is none.
    pub keys: Vec<KeyPattern>,
    /// Who is believed.
    pub signers: Vec<Signer>,
    /// How many different ones of them must have said the same bytes; 0 is 1.
    pub signers_min: usize,
    /// Whether an outer signature, RSA with SHA-1, is enough.
    pub takes_weak: bool,
    /// Whether an attestation must say when it expires.
    pub needs_expiry: bool,
}

impl Policy {
    /// Whether it speaks for `key`.
    #[must_use]
    pub fn speaks_for(&self, key: &str) -> bool {
        self.keys.is_empty() || self.keys.iter().any(|pattern| pattern.fits(key))
    }
}

/// All roots of trust. What one of them believes is believed.
#[derive(Debug, Default)]
pub struct Trust {
    /// In the order in which they are asked.
    pub policies: Vec<Policy>,
}

impl Trust {
    /// Believes whatever these certificates verify, as old readers do.
    #[must_use]
    pub fn in_certificates(certificates: TrustList) -> Self {
        let signer = Signer { name: "the trust list".into(), keys: Vec::new(), certificates };
        let policy =
            Policy { name: "old".into(), signers: vec![signer], takes_weak: true, ..Policy::default() };
        Self { policies: vec![policy] }
    }

    /// What all attesting keys are called.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<SignerId> {
        self.policies.iter().flat_map(|policy| &policy.signers).flat_map(Signer::ids).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, key, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("**", "a", true),
            ("pypi:*", "pypi:pytz=1", true),
            ("pypi:*", "xpypi:", false),
            ("*=1", "pypi:pytz=1", true),
            ("*=1", "pypi:pytz=12", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("*é*", "xéy", true),
            ("[a]?", "[a]?", true),
            ("[a]?", "a1", false),
        ] {
            assert_eq!(KeyPattern::new(pattern).fits(key), expected, "{pattern} {key}");
        }
    }
}
