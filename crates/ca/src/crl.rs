//! Revocation lists: their number, their dates, and what is published.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use base::{Span, Timestamp};
use futures_util::future::join_all;
use x509::{CrlTemplate, KeyId, RevokedEntry, Serial};

use crate::error::IssueError;
use crate::issuer::Issuer;
use crate::record::CrlRecord;
use crate::rollover::BACK_DATED;
use crate::token::TokenError;

/// All that an authority publishes at one moment: its valid CA certificates and their revocation lists.
///
/// One list for each CA certificate; all carry all revocations of the authority, the same number and the
/// same dates (caucase contract, section 6.5).
#[derive(Debug)]
pub struct Published {
    /// The lists, that of the oldest CA certificate first.
    pub lists: Vec<PublishedCrl>,
    /// The date of the lists.
    this_update: Timestamp,
    /// When the dates are due to be refreshed.
    pub refresh_at: Timestamp,
    /// Until when they are valid.
    pub(crate) next_update: Timestamp,
    /// Counts dates and revocations: what is on record has the same number as long as nothing changed.
    pub(crate) number: u64,
    revoked: HashSet<Serial>,
    /// Why some lists are those that were signed last: what was revoked since is not in them.
    pub(crate) fault: Option<TokenError>,
    /// Whether there is one for each CA certificate.
    pub(crate) is_whole: bool,
}

/// One revocation list.
#[derive(Debug, Clone)]
pub struct PublishedCrl {
    /// The key identifier of the CA certificate it belongs to.
    pub key_id: KeyId,
    /// As PEM.
    pub pem: String,
    /// As DER.
    pub der: Vec<u8>,
    /// From when until when it is valid.
    valid: RangeInclusive<Timestamp>,
}

impl Published {
    /// Whether the authority has revoked this serial.
    #[must_use]
    pub fn is_revoked(&self, serial: &Serial) -> bool {
        self.revoked.contains(serial)
    }

    /// Whether the lists need no other date yet.
    pub(crate) fn is_dated_well(&self, now: Timestamp) -> bool {
        (self.this_update..=self.refresh_at).contains(&now)
    }

    /// The list of one CA certificate.
    #[must_use]
    pub fn of(&self, key_id: &KeyId) -> Option<&PublishedCrl> {
        self.lists.iter().find(|list| list.key_id == *key_id)
    }
}

/// How long it is waited after a token did not sign, before it is asked again.
const SIGN_AGAIN_AFTER: Span = Span::seconds(5);

/// When lists of `life` dated `this_update` are made again: after half of it.
pub(crate) fn refresh_at(this_update: Timestamp, life: Span) -> Timestamp {
    this_update + life.fraction(1, 2)
}

/// The number and date for lists made now: as they were, or the next ones when it is time.
///
/// A revocation counts the number up elsewhere and leaves the date alone: a restart reproduces the same
/// bytes, and clients of the original depend on it. A date that is still to come was given by a clock that ran
/// ahead: the lists would not be valid before then, so it is not kept.
pub(crate) fn dated(held: CrlRecord, life: Span, now: Timestamp) -> CrlRecord {
    let this_update = Timestamp::from_unix(held.this_update);
    if held.this_update != 0 && (this_update..=refresh_at(this_update, life)).contains(&now) {
        return held;
    }
    CrlRecord { number: held.number + 1, this_update: (now - BACK_DATED).as_unix() }
}

/// Signs the lists. `revoked` is ordered by serial. For a CA certificate whose key is in a token that does not sign there
/// is the list of `last`, as long as that is valid.
pub(crate) async fn publish(
    issuers: &[Issuer],
    revoked: &[RevokedEntry],
    dated: CrlRecord,
    life: Span,
    last: Option<&Published>,
    now: Timestamp,
) -> Result<Published, IssueError> {
    let this_update = Timestamp::from_unix(dated.this_update);
    let next_update = (this_update + life).min(Timestamp::MAX);
    // At once: a token that hangs is waited for once, and not for each of its keys.
    let signed = join_all(issuers.iter().map(async |issuer| {
        let template = CrlTemplate {
            issuer: issuer.certificate().subject(),
            authority_key_id: issuer.key_id(),
            number: dated.number,
            this_update,
            next_update,
            revoked,
        };
        let list = issuer.key().sign_list(template).await?;
        let (pem, der) = (list.to_pem(), list.der().to_vec());
        Ok(PublishedCrl { key_id: issuer.key_id(), pem, der, valid: this_update..=next_update })
    }))
    .await;
    let (mut lists, mut fault) = (Vec::with_capacity(issuers.len()), None);
    for (issuer, signed) in issuers.iter().zip(signed) {
        match signed {
            Ok(list) => lists.push(list),
            Err(IssueError::Token(error)) => {
                let before = last.and_then(|last| last.of(&issuer.key_id()));
                lists.extend(before.filter(|list| list.valid.contains(&now)).cloned());
                fault = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Published {
        is_whole: lists.len() == issuers.len(),
        this_update,
        refresh_at: if fault.is_none() { refresh_at(this_update, life) } else { now + SIGN_AGAIN_AFTER },
        next_update: lists.iter().map(|list| *list.valid.end()).min().unwrap_or(next_update),
        lists,
        number: dated.number,
        revoked: revoked.iter().map(|entry| entry.serial).collect(),
        fault,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_dated_anew_after_half_their_life() {
        let life = Span::seconds(1_000);
        let at = Timestamp::from_unix;
        let first = dated(CrlRecord::default(), life, at(10_010));
        assert_eq!(first, CrlRecord { number: 1, this_update: 10_000 });
        assert_eq!(dated(first, life, at(10_500)), first, "half is not over");
        assert_eq!(dated(first, life, at(10_501)), CrlRecord { number: 2, this_update: 10_491 });
        // The clock was ahead: nobody would take the lists before it comes there again.
        assert_eq!(dated(first, life, at(10_000)), first);
        assert_eq!(dated(first, life, at(9_999)), CrlRecord { number: 2, this_update: 9_989 });
        // A revocation before the first list was made counts as well.
        let revoked = CrlRecord { number: 1, this_update: 0 };
        assert_eq!(dated(revoked, life, at(10_010)), CrlRecord { number: 2, this_update: 10_000 });
    }
}
