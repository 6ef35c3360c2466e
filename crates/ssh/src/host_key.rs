//! The key that a machine proves.

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind};
use russh::keys::{Algorithm, HashAlg, PublicKey};

/// A machine's public key, as in `/etc/ssh/ssh_host_*_key.pub`: type and base64, without the comment.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey(PublicKey);

/// The text is no public key.
#[derive(Debug, thiserror::Error)]
#[error("this is not an SSH public key (`ssh-ed25519 AAAA…`)")]
pub struct HostKeyError(#[source] russh::keys::ssh_key::Error);

impl Explain for HostKeyError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl HostKey {
    pub(crate) fn new(mut key: PublicKey) -> Self {
        key.set_comment("");
        Self(key)
    }

    /// As OpenSSH prints it: `SHA256:` and base64 without padding.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The key's type: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, ….
    #[must_use]
    pub fn key_type(&self) -> String {
        self.0.algorithm().as_str().to_owned()
    }

    /// All host key algorithms that we take, this key's own first: a machine with keys of several types proves
    /// the one that the client prefers, and must not look changed for that.
    pub(crate) fn algorithms_preferring(key: Option<&Self>) -> Vec<Algorithm> {
        let mut algorithms = russh::Preferred::DEFAULT.key.to_vec();
        // SHA-1 signatures are not taken.
        algorithms.retain(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None }));
        if let Some(Self(key)) = key {
            let is_own = |algorithm: &Algorithm| match (algorithm, key.algorithm()) {
                (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
                (one, other) => *one == other,
            };
            // Stable: the order stays within both parts.
            algorithms.sort_by_key(|algorithm| !is_own(algorithm));
        }
        algorithms
    }
}

impl FromStr for HostKey {
    type Err = HostKeyError;

    /// Reads a line as in `known_hosts` after the names, or a `.pub` file; a comment is dropped.
    fn from_str(text: &str) -> Result<Self, HostKeyError> {
        PublicKey::from_openssh(text.trim()).map(Self::new).map_err(HostKeyError)
    }
}

impl fmt::Display for HostKey {
    /// `ssh-ed25519 AAAA…`; reads back with `parse`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_openssh().map_err(|_| fmt::Error)?;
        f.write_str(text.trim())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({} {})", self.key_type(), self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO root@host";
    const RSA: Algorithm = Algorithm::Rsa { hash: Some(HashAlg::Sha512) };

    #[test]
    fn reads_and_writes_itself_without_the_comment() {
        let key: HostKey = ED25519.parse().unwrap();
        assert_eq!(key.to_string(), ED25519.trim_end_matches(" root@host"));
        assert_eq!(key.to_string().parse::<HostKey>().unwrap(), key);
        assert_eq!(key.key_type(), "ssh-ed25519");
        assert!("ssh-ed25519 nonsense".parse::<HostKey>().is_err());
        assert!("".parse::<HostKey>().is_err());
    }

    #[test]
    fn the_pinned_keys_algorithm_comes_first_and_all_others_stay() {
        let unknown = HostKey::algorithms_preferring(None);
        let key: HostKey = ED25519.parse().unwrap();
        assert_eq!(HostKey::algorithms_preferring(Some(&key))[0], Algorithm::Ed25519);
        assert!(unknown.contains(&RSA) && !unknown.contains(&Algorithm::Rsa { hash: None }));
        assert_eq!(HostKey::algorithms_preferring(Some(&key)).len(), unknown.len());
    }
}
