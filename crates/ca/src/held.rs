//! What was read from the store and is good until somebody changes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::Timestamp;
use store::Version;
use x509::Certificate;

use crate::crl::Published;
use crate::issuer::Issuer;

/// What an authority has read and need not read again.
#[derive(Default)]
pub(crate) struct Held(Mutex<State>);

#[derive(Default)]
struct State {
    /// Counts the times that what is held was thrown away: what was read before is not kept after.
    generation: u64,
    /// The same of the issuers alone.
    issuers_generation: u64,
    /// The CA certificates that count, the one that expires first in front.
    issuers: Option<Arc<Vec<Issuer>>>,
    /// The retirement that was on record when those were to be read.
    retirement: Option<Version>,
    /// When those were read: set back before that, the clock may bring back what had expired.
    read_at: Option<Timestamp>,
    /// When the next one counts of those that were left out.
    next_at: Option<Timestamp>,
    /// Until when no other is made: it could not be.
    wait_until: Option<(Timestamp, Timestamp)>,
    published: Option<Arc<Published>>,
    /// The lists that were signed last, whatever was revoked since.
    signed: Option<Arc<Published>>,
    /// The certificates of the issuers that were read last: for those who cannot wait.
    trusted: Arc<Vec<Certificate>>,
}

/// When reading began. What was read is kept only if nothing was forgotten since.
pub(crate) struct Since {
    generation: u64,
    issuers_generation: u64,
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The CA certificates, if there are no others at `now`.
    pub(crate) fn issuers(&self, now: Timestamp) -> Option<Arc<Vec<Issuer>>> {
        let state = self.state();
        let is_later = state.read_at.is_some_and(|read_at| read_at <= now);
        let none_came = state.next_at.is_none_or(|next_at| now < next_at);
        state.issuers.clone().filter(|_| is_later && none_came)
    }

    /// Lets nobody make another CA certificate from `now` on, for a while.
    pub(crate) fn make_no_other(&self, now: Timestamp, until: Timestamp) {
        self.state().wait_until = Some((now, until));
    }

    /// Whether it is to be waited with making another one.
    pub(crate) fn must_wait(&self, now: Timestamp) -> bool {
        self.state().wait_until.is_some_and(|(from, until)| (from..until).contains(&now))
    }

    /// The lists that were signed last, which may lack what was revoked since.
    pub(crate) fn last_signed(&self) -> Option<Arc<Published>> {
        self.state().signed.clone()
    }

    pub(crate) fn published(&self) -> Option<Arc<Published>> {
        self.state().published.clone()
    }

    pub(crate) fn trusted(&self) -> Arc<Vec<Certificate>> {
        self.state().trusted.clone()
    }

    /// Said before reading, handed in with what was read.
    pub(crate) fn begin(&self) -> Since {
        let state = self.state();
        Since { generation: state.generation, issuers_generation: state.issuers_generation }
    }

    /// Keeps issuers as they are from `read_at` on and until `next_at`. Other CA certificates mean other revocation
    /// lists, so those go.
    pub(crate) fn keep_issuers(
        &self,
        since: &Since,
        issuers: Arc<Vec<Issuer>>,
        read_at: Timestamp,
        next_at: Option<Timestamp>,
    ) {
        let mut state = self.state();
        if (state.generation, state.issuers_generation) == (since.generation, since.issuers_generation) {
            (state.read_at, state.next_at) = (Some(read_at), next_at);
            state.published = None;
            state.trusted = Arc::new(issuers.iter().map(|issuer| issuer.certificate().clone()).collect());
            state.issuers = Some(issuers);
        }
    }

    /// Keeps revocation lists.
    pub(crate) fn keep_published(&self, since: &Since, published: Arc<Published>) {
        let mut state = self.state();
        if !published.lists.is_empty() {
            state.signed = Some(published.clone());
        }
        if state.generation == since.generation {
            state.published = Some(published);
        }
    }

    /// Forgets everything: the issuers changed. Who cannot wait goes on with those read last.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.issuers = None;
        state.published = None;
    }

    /// Forgets the issuers if they are not of after `retirement`, the latest one on record.
    pub(crate) fn note_retirement(&self, retirement: Option<Version>) {
        let mut state = self.state();
        if state.retirement != retirement {
            state.retirement = retirement;
            state.generation += 1;
            (state.issuers, state.published) = (None, None);
        }
    }

    /// Keeps no issuers that are being read. The lists of those that are held are as good as before: whoever issues much
    /// says this often.
    pub(crate) fn outdate_issuers(&self) {
        self.state().issuers_generation += 1;
    }

    /// Forgets the revocation lists: something was revoked.
    pub(crate) fn forget_published(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.published = None;
    }
}

#[cfg(test)]
mod tests {
    use base::Span;
    use futures_executor::block_on;

    use super::*;
    use crate::crl;
    use crate::record::CrlRecord;

    /// What was read before a change is not kept after it.
    #[test]
    fn what_changed_meanwhile_is_not_kept() {
        let held = Held::default();
        let at = Timestamp::from_unix;
        let since = held.begin();
        held.forget_published();
        held.keep_issuers(&since, Arc::default(), at(10), None);
        assert!(held.issuers(at(10)).is_none());
        let since = held.begin();
        held.keep_issuers(&since, Arc::default(), at(10), Some(at(20)));
        assert!(held.issuers(at(10)).is_some() && held.issuers(at(19)).is_some());
        assert!(held.issuers(at(9)).is_none(), "the clock was set back");
        assert!(held.issuers(at(20)).is_none(), "the day of another one has come");

        let since = held.begin();
        held.outdate_issuers();
        held.keep_issuers(&since, Arc::new(Vec::new()), at(12), None);
        assert!(held.issuers(at(11)).is_some(), "those of before");
        let published = crl::publish(&[], &[], CrlRecord::default(), Span::days(30), None, at(12));
        held.keep_published(&since, Arc::new(block_on(published).unwrap()));
        assert!(held.published().is_some(), "the lists of those stand");
    }
}
