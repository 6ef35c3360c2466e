//! What an entry is worth by itself, to one root of trust: before it is looked at what else stands under its key.

use base::Sha512;

use crate::attestation::Attestation;
use crate::entry::Entry;
use crate::keys;
use crate::policy::{Policy, Signer};
use crate::python;
use crate::reason::Reason;
use crate::value::Value;
use crate::verdict::{Circumstances, Strength};

/// What is known of an entry, to one root of trust.
pub(crate) struct Finding {
    /// Who said it: an index into the root's signers.
    pub(crate) signer: Option<(usize, Strength)>,
    pub(crate) refused: Option<Reason>,
}

/// An entry with what its attestation says, which is read once for all roots.
pub(crate) struct Read<'a> {
    pub(crate) entry: &'a Entry,
    attestation: Result<Option<Attestation>, Reason>,
}

impl<'a> Read<'a> {
    pub(crate) fn of(entry: &'a Entry) -> Self {
        let attestation = Attestation::read(entry.statement()).map_err(Reason::Attestation);
        Self { entry, attestation }
    }

    pub(crate) fn attestation(&self) -> Option<&Attestation> {
        self.attestation.as_ref().ok()?.as_ref()
    }

    pub(crate) fn sha512(&self) -> Sha512 {
        self.entry.statement().sha512()
    }
}

/// What an entry is worth by itself.
pub(crate) fn examine(entry: &Read<'_>, policy: &Policy, circumstances: &Circumstances<'_>) -> Finding {
    let mut finding = Finding { signer: None, refused: None };
    let attester = entry.attestation().and_then(|attestation| {
        let by_name = |signer: &Signer| signer.key(attestation.signer).cloned();
        policy.signers.iter().enumerate().find_map(|(at, signer)| Some((at, by_name(signer)?, attestation)))
    });
    if let Some((signer, key, attestation)) = attester {
        match attestation.verify(entry.entry.statement(), &key) {
            Ok(()) => finding.signer = Some((signer, Strength::Attested)),
            Err(error) => finding.refused = Some(Reason::Attestation(error)),
        }
    } else {
        let is_by = |signer: &Signer| signer.certificates().verified_by(entry.entry).is_some();
        finding.signer = policy.signers.iter().position(is_by).map(|signer| (signer, Strength::Weak));
    }
    if finding.refused.is_none() {
        finding.refused = refusal(entry, &finding, policy, circumstances);
    }
    finding
}

/// Why an entry whose signatures were looked at does not count.
fn refusal(
    entry: &Read<'_>,
    finding: &Finding,
    policy: &Policy,
    circumstances: &Circumstances<'_>,
) -> Option<Reason> {
    let attestation = match &entry.attestation {
        Ok(attestation) => attestation.as_ref(),
        Err(reason) => return Some(reason.clone()),
    };
    let Some((_, strength)) = finding.signer else {
        let is_unsigned = entry.entry.signature().is_empty() && attestation.is_none();
        let signer = attestation.map(|attestation| attestation.signer);
        return Some(if is_unsigned { Reason::Unsigned } else { Reason::UnknownSigner { signer } });
    };
    if strength == Strength::Weak && !policy.takes_weak {
        return Some(Reason::Weak);
    }
    if let Some(Attestation { claims, .. }) = attestation {
        if claims.key != circumstances.key {
            return Some(Reason::WrongKey { key: claims.key.clone() });
        }
        if !claims.revokes.is_empty() {
            return Some(Reason::IsWithdrawal);
        }
        if let Some(at) = claims.expires.filter(|at| *at < circumstances.now) {
            return Some(Reason::Expired { at });
        }
    }
    if let Some(url) = other_url(entry.entry, circumstances) {
        return Some(Reason::OtherUrl { url });
    }
    let expires = attestation.and_then(|attestation| attestation.claims.expires);
    if policy.needs_expiry && expires.is_none() {
        return Some(Reason::NoExpiry);
    }
    let (platform, software_root) = circumstances.platform?;
    platform.fits(entry.entry.statement(), software_root).err().map(Reason::OtherPlatform)
}

/// Where the file is from that an entry tells of, if the entry is not under the key of that: somebody moved it. Outer
/// signatures do not bind the key, and this is all that can be told of them.
fn other_url(entry: &Entry, circumstances: &Circumstances<'_>) -> Option<String> {
    let key = circumstances.key;
    let said = |name: &str| entry.statement().get(name);
    let is_elsewhere =
        |url: &Value, key_of: fn(&str) -> String| url.as_str().is_none_or(|url| key_of(url) != key);
    let url = said("url").filter(|url| {
        circumstances.url.is_some_and(|wanted| url.as_str() != Some(wanted))
            || (keys::is_file(key) && is_elsewhere(url, keys::file))
    });
    let release =
        said("software_url").filter(|url| keys::is_release(key) && is_elsewhere(url, keys::release));
    url.or(release).map(|url| url.as_str().map_or_else(|| python::dumps(url), str::to_owned))
}
