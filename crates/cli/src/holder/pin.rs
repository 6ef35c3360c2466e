//! To whom trust has gone from the CA certificate that is pinned, remembered beside those that are trusted: a pin holds for
//! longer than the certificate it names, which is dropped when it ends, and of which the server says nothing any more then.
//!
//! ```text
//! .NAME.provost-pin, or DIR/.provost-pin        PINNED SUCCESSOR SUCCESSOR …    a line for each that is pinned, hex
//! ```

use std::ffi::OsString;
use std::path::PathBuf;

use base::hex;
use x509::Certificate;

use super::collection::Collection;
use crate::kept_file::{KeptFile, NewFile};

/// The SHA-256 of a certificate's DER.
type Fingerprint = [u8; 32];

/// Where it is remembered.
pub(super) struct Successors(PathBuf);

impl Successors {
    /// Beside, or in the folder of, those that are `held`.
    pub(super) fn beside(held: &Collection<Certificate>) -> Self {
        let path = held.path();
        if held.is_folder() {
            return Self(path.join(".provost-pin"));
        }
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".provost-pin");
        Self(path.with_file_name(name))
    }

    /// Those to whom trust has gone from `pin`. What cannot be read is not known.
    pub(super) fn of(&self, pin: &Fingerprint) -> Vec<Fingerprint> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let own = text.lines().filter_map(|line| line.strip_prefix(&hex::encode(pin)));
        own.flat_map(str::split_whitespace).filter_map(|text| hex::decode(text)?.try_into().ok()).collect()
    }

    /// Trust has gone from `pin` to `trusted`. Only those who keep CA certificates say so, and some may not write here; whoever never
    /// does, as one who only looks or decides, is refused once the pinned one has ended, and told how to keep up.
    pub(super) fn remember(&self, pin: &Fingerprint, trusted: &[Certificate]) {
        let pinned = hex::encode(pin);
        let now: Vec<String> = trusted
            .iter()
            .map(Certificate::fingerprint)
            .filter(|one| one != pin)
            .map(|one| hex::encode(&one))
            .collect();
        let before = std::fs::read_to_string(&self.0).unwrap_or_default();
        if now.is_empty() {
            return;
        }
        let others = before.lines().filter(|line| !line.starts_with(&pinned)).map(|line| format!("{line}\n"));
        let text = others.collect::<String>() + &format!("{pinned} {}\n", now.join(" "));
        let _ = KeptFile::at(&self.0, NewFile::Umask).and_then(|file| file.make(text.as_bytes()));
    }
}

/// Whether a CA certificate with one of the fingerprints `from` is among `held`.
pub(super) fn is_among(from: &[Fingerprint], held: &[Certificate]) -> bool {
    held.iter().any(|one| from.contains(&one.fingerprint()))
}

#[cfg(test)]
mod tests {
    use base::Entropy;
    use x509::{KeySpec, Name, PrivateKey};

    use super::super::witness::certificate;
    use super::*;

    #[test]
    fn successors_are_found_when_the_pinned_one_is_long_gone() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second, other] = [1, 2, 3].map(|seed| {
            let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
            certificate(&key, &Name::from_common_name("ca").unwrap(), 0, &Entropy::seeded(seed))
        });
        let (pin, else_pin) = (first.fingerprint(), other.fingerprint());
        for (path, memory) in [("cas.crt.pem", ".cas.crt.pem.provost-pin"), ("", ".provost-pin")] {
            let successors = Successors::beside(&Collection::at(&folder.path().join(path)));
            successors.remember(&pin, std::slice::from_ref(&first));
            assert!(!folder.path().join(memory).exists(), "nobody followed");
            successors.remember(&pin, &[first.clone(), second.clone()]);
            assert!(folder.path().join(memory).exists());
            successors.remember(&else_pin, &[other.clone(), first.clone()]);
            assert!(is_among(&successors.of(&pin), std::slice::from_ref(&second)));
            assert!(!is_among(&successors.of(&pin), std::slice::from_ref(&other)));
            assert!(is_among(&successors.of(&else_pin), std::slice::from_ref(&first)));
        }
    }
}
