//! The key that a host proves: pinned when it is met for the first time, and refused when it is another later, until
//! an operator accepts that one (commissaire contract, sections 11.1 and 14, S22).
//!
//! ```text
//! nothing known ──► pinned ──► pinned, and another was offered ──► pinned
//!            first look    refused                       accept_key
//! ```
//! A host that has been deleted and added again is met for the first time.

use std::fmt;
use std::str::FromStr;

use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD};
use identity::Permit;
use store::{Claim, Loaded};

use crate::address::HostAddress;
use crate::care::Beside;
use crate::draft::{Draft, Line};
use crate::error::{HostKeyError, RolloutError};
use crate::event::Happened;
use crate::host::HostStatus;
use crate::record::{HostKeyRecord, HostRecord};
use crate::service::{AcceptHostKey, Expected, Fleet, ReadHosts, Seen, unreadable};

/// The longest line that is taken for a key, in bytes: beyond RSA keys of 16,384 bits.
const BYTES_MAX: usize = 4_096;

/// The public half of a host's key, as OpenSSH writes it: `ssh-ed25519 AAAA…`, without comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    line: String,
    fingerprint: String,
}

/// A text is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no public SSH key (`ssh-ed25519 AAAA…`)")]
pub struct BadHostKey;

impl HostKey {
    /// Its type: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, ….
    #[must_use]
    pub fn key_type(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// As `ssh-keygen -l` prints it: `SHA256:` and base64 without padding.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl FromStr for HostKey {
    type Err = BadHostKey;

    /// Reads a line as in a `.pub` file; a comment is dropped.
    fn from_str(text: &str) -> Result<Self, BadHostKey> {
        let mut words = text.split_ascii_whitespace();
        let (Some(key_type), Some(base64)) = (words.next(), words.next()) else { return Err(BadHostKey) };
        let blob = BASE64.decode(base64).map_err(|_| BadHostKey)?;
        // RFC 4253 §6.6: the type once more, behind its length in four bytes.
        let named = blob
            .split_first_chunk::<4>()
            .and_then(|(length, rest)| rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?));
        if text.len() > BYTES_MAX || named != Some(key_type.as_bytes()) {
            return Err(BadHostKey);
        }
        let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(base::sha256(&blob)));
        Ok(Self { line: format!("{key_type} {base64}"), fingerprint })
    }
}

impl fmt::Display for HostKey {
    /// `ssh-ed25519 AAAA…`; reads back with `parse`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// What is known of the key that a host proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedKey {
    /// The one that is expected of it.
    pub key: HostKey,
    /// Since when.
    pub since: Timestamp,
    /// The one that it proved instead when it was last asked, and when that was first.
    pub offered: Option<(HostKey, Timestamp)>,
}

impl PinnedKey {
    fn record(&self) -> HostKeyRecord {
        let (offered, offered_at) = match &self.offered {
            Some((key, at)) => (Some(key.to_string()), Some(at.as_unix())),
            None => (None, None),
        };
        HostKeyRecord { key: self.key.to_string(), since: self.since.as_unix(), offered, offered_at }
    }

    fn from_record(record: &HostKeyRecord) -> Result<Self, BadHostKey> {
        let offered = record.offered.as_deref().map(str::parse::<HostKey>).transpose()?;
        let at = Timestamp::from_unix(record.offered_at.unwrap_or_default());
        Ok(Self {
            key: record.key.parse()?,
            since: Timestamp::from_unix(record.since),
            offered: offered.map(|key| (key, at)),
        })
    }
}

impl Fleet {
    /// What is known of the key that a host proves.
    ///
    /// # Errors
    /// [`HostKeyError::NotMet`] when it was never met.
    pub async fn host_key(
        &self,
        _permit: Permit<ReadHosts>,
        address: &HostAddress,
    ) -> Result<Seen<PinnedKey>, HostKeyError> {
        let address = &self.known(address).await?;
        if self.tables.host.get(address.as_str()).await?.is_none() {
            return Err(HostKeyError::NoSuchHost { address: address.clone() });
        }
        let found = self.pinned_key(address).await?;
        found.ok_or_else(|| HostKeyError::NotMet { address: address.clone() })
    }

    /// From now on a host is expected to prove the key that it offered last. Whoever accepts it says which they mean
    /// by its fingerprint. The host is looked at again at once. Accepting what is pinned already changes nothing.
    ///
    /// # Errors
    /// See [`HostKeyError`].
    pub async fn accept_key(
        &self,
        permit: Permit<AcceptHostKey>,
        address: &HostAddress,
        fingerprint: &str,
        expected: Expected,
    ) -> Result<Seen<PinnedKey>, HostKeyError> {
        let address = &self.known(address).await?;
        let mut line = Line::default();
        loop {
            let host = self.tables.host.get(address.as_str()).await?;
            let host = host.ok_or_else(|| HostKeyError::NoSuchHost { address: address.clone() })?;
            let found = self.pinned_key(address).await?;
            let found = found.ok_or_else(|| HostKeyError::NotMet { address: address.clone() })?;
            if !expected.holds(Some(found.version)) {
                return Err(HostKeyError::Changed { address: address.clone() });
            }
            let Seen { is: pinned, version } = found;
            let Some((offered, _)) = &pinned.offered else {
                if pinned.key.fingerprint() == fingerprint {
                    return Ok(Seen { is: pinned, version });
                }
                return Err(HostKeyError::NothingOffered { address: address.clone() });
            };
            if offered.fingerprint() != fingerprint {
                let offered = offered.fingerprint().to_owned();
                return Err(HostKeyError::Another { address: address.clone(), offered });
            }
            let after = PinnedKey { key: offered.clone(), since: self.ground.clock.now(), offered: None };
            let mut draft = Draft::default();
            self.tables.host_key.update(&mut draft.batch, address.as_str(), &after.record(), version)?;
            self.stage_fresh_look(&mut draft, &host)?;
            let happened = Happened::HostKeyAccepted { address, before: &pinned.key, after: &after.key };
            self.record_event(&mut draft, &happened, permit.by())?;
            if let Some(version) = self.commit(draft, &mut line).await? {
                return Ok(Seen { is: after, version });
            }
        }
    }

    /// A host that has failed is as if nobody had looked at it, and will be looked at next.
    fn stage_fresh_look(&self, draft: &mut Draft, host: &Loaded<HostRecord>) -> Result<(), store::Error> {
        let address = &host.record.address;
        if host.record.status != HostStatus::Failed.as_str() {
            return self.tables.host.expect_at(&mut draft.batch, address, host.version);
        }
        let status = HostStatus::New.as_str().to_owned();
        let after = HostRecord { status, reason: None, ..host.record.clone() };
        self.stage_host(draft, Some(host), Some(&after))?;
        self.tables.care.delete(&mut draft.batch, address)
    }

    /// A host could not be looked at because it proved `offered`, and not the key that is pinned. Otherwise as
    /// [`Fleet::record_failure`].
    ///
    /// # Errors
    /// As for [`Fleet::record_investigating`].
    pub async fn record_other_key(
        &self,
        claim: &Claim,
        address: &HostAddress,
        offered: &HostKey,
        reason: &str,
    ) -> Result<bool, RolloutError> {
        self.fail_host(claim, address, reason, Beside::Offered(offered)).await
    }

    pub(crate) async fn pinned_key(
        &self,
        address: &HostAddress,
    ) -> Result<Option<Seen<PinnedKey>>, store::Error> {
        let table = &self.tables.host_key;
        let Some(found) = table.get(address.as_str()).await? else { return Ok(None) };
        let is = PinnedKey::from_record(&found.record)
            .map_err(|error| unreadable(table, address.as_str(), error))?;
        Ok(Some(Seen { is, version: found.version }))
    }

    /// Writes that a host proved `key`: pins it if none is, and forgets whatever else it offered.
    pub(crate) async fn stage_proved(
        &self,
        draft: &mut Draft,
        address: &HostAddress,
        key: &HostKey,
    ) -> Result<(), store::Error> {
        let (table, batch) = (&self.tables.host_key, &mut draft.batch);
        match self.pinned_key(address).await? {
            None => {
                let pinned = PinnedKey { key: key.clone(), since: self.ground.clock.now(), offered: None };
                table.create(batch, address.as_str(), &pinned.record())?;
                let happened = Happened::HostKeyPinned { address, key };
                self.record_event(draft, &happened, &identity::Principal::house())
            }
            Some(Seen { is, version }) if is.key == *key && is.offered.is_some() => {
                let pinned = PinnedKey { offered: None, ..is };
                table.update(batch, address.as_str(), &pinned.record(), version)
            }
            // Whoever accepted another meanwhile is right.
            Some(_) => Ok(()),
        }
    }

    /// Writes that a host offered `key`.
    pub(crate) async fn stage_offered(
        &self,
        draft: &mut Draft,
        address: &HostAddress,
        key: &HostKey,
    ) -> Result<(), store::Error> {
        match self.pinned_key(address).await? {
            Some(Seen { is, version })
                if is.key != *key && is.offered.as_ref().is_none_or(|(offered, _)| offered != key) =>
            {
                let offered = Some((key.clone(), self.ground.clock.now()));
                let after = PinnedKey { offered, ..is };
                self.tables.host_key.update(&mut draft.batch, address.as_str(), &after.record(), version)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO";

    #[test]
    fn keys_are_read_as_openssh_writes_them() {
        let key: HostKey = format!("{ED25519} root@host\n").parse().unwrap();
        assert_eq!((key.to_string().as_str(), key.key_type()), (ED25519, "ssh-ed25519"));
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 ????",
            "ssh-ed25519 AAAA",
            &ED25519.replace("ssh-ed25519 ", "ssh-rsa "),
            &format!("{ED25519} {}", "x".repeat(BYTES_MAX)),
        ] {
            assert_eq!(bad.parse::<HostKey>(), Err(BadHostKey), "{bad}");
        }
    }

    /// What `ssh-keygen -l` says of the same key.
    #[test]
    fn fingerprints_are_those_of_openssh() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pub");
        std::fs::write(&path, ED25519).unwrap();
        let ran = std::process::Command::new("ssh-keygen").arg("-lf").arg(&path).output().unwrap();
        let said = String::from_utf8(ran.stdout).unwrap();
        let key: HostKey = ED25519.parse().unwrap();
        assert_eq!(said.split(' ').nth(1), Some(key.fingerprint()), "{said}");
    }
}
