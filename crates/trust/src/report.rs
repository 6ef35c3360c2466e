//! When a set is news (contract, sections 4.4 and 4.5).

use base::{hex, sha256};

use crate::{Certificates, json};

/// What a requirer is told of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The set is another one than was told of last.
    Updated {
        /// All of it, which may be nothing.
        certificates: Certificates,
        /// What to remember: [`hash`] of it.
        hash: String,
    },
    /// There was nothing before and there is nothing now: to be remembered, and not told.
    Silent {
        /// What to remember.
        hash: String,
    },
}

/// What is to be done about `certificates`, when `before` is the hash that was remembered; nothing when it is the same.
#[must_use]
pub fn report(before: Option<&str>, certificates: Certificates) -> Option<Event> {
    let hash = hash(&certificates);
    match before {
        Some(before) if before == hash => None,
        None if certificates.is_empty() => Some(Event::Silent { hash }),
        Some(_) | None => Some(Event::Updated { certificates, hash }),
    }
}

/// SHA-256 of the set, in hexadecimal, as the reference library has it.
#[must_use]
pub fn hash(certificates: &Certificates) -> String {
    hex::encode(&sha256(json::list(certificates).as_bytes()))
}

/// SHA-256 of a certificate's text as it came, in hexadecimal (section 7).
#[must_use]
pub fn fingerprint(certificate: &str) -> String {
    hex::encode(&sha256(certificate.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";

    #[test]
    fn only_another_set_is_news() {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Certificates>();
        assert_eq!(hash(&set(&[])), EMPTY);
        let (one, both) = (set(&["a"]), set(&["a", "b"]));
        let updated =
            |set: &Certificates| Some(Event::Updated { certificates: set.clone(), hash: hash(set) });
        let (hash_one, hash_both) = (hash(&one), hash(&both));
        for (before, now, expected) in [
            (None, set(&[]), Some(Event::Silent { hash: EMPTY.into() })),
            (None, one.clone(), updated(&one)),
            (Some(EMPTY), set(&[]), None),
            (Some(EMPTY), one.clone(), updated(&one)),
            (Some(&hash_one), one.clone(), None),
            (Some(&hash_one), both.clone(), updated(&both)),
            (Some(&hash_both), set(&[]), updated(&set(&[]))),
        ] {
            assert_eq!(report(before, now.clone()), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn fingerprints_are_of_the_text() {
        assert_ne!(fingerprint("a"), fingerprint("a\n"));
        assert_eq!(fingerprint(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
