//! What was read from the store and is good until somebody changes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// The unexpired CA certificates, the one that expires first in front.
    issuers: Option<Arc<Vec<Issuer>>>,
    published: Option<Arc<Published>>,
    /// The certificates of the issuers that were read last: for those who cannot wait.
    trusted: Arc<Vec<Certificate>>,
}

/// When reading began. What was read is kept only if nothing was forgotten since.
pub(crate) struct Since(u64);

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn issuers(&self) -> Option<Arc<Vec<Issuer>>> {
        self.state().issuers.clone()
    }

    pub(crate) fn published(&self) -> Option<Arc<Published>> {
        self.state().published.clone()
    }

    pub(crate) fn trusted(&self) -> Arc<Vec<Certificate>> {
        self.state().trusted.clone()
    }

    /// Said before reading, handed in with what was read.
    pub(crate) fn begin(&self) -> Since {
        Since(self.state().generation)
    }

    /// Keeps issuers. Other CA certificates mean other revocation lists, so those go.
    pub(crate) fn keep_issuers(&self, since: &Since, issuers: Arc<Vec<Issuer>>) {
        let mut state = self.state();
        if state.generation == since.0 {
            state.published = None;
            state.trusted = Arc::new(issuers.iter().map(|issuer| issuer.certificate().clone()).collect());
            state.issuers = Some(issuers);
        }
    }

    /// Keeps revocation lists.
    pub(crate) fn keep_published(&self, since: &Since, published: Arc<Published>) {
        let mut state = self.state();
        if state.generation == since.0 {
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

    /// Forgets the revocation lists: something was revoked.
    pub(crate) fn forget_published(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.published = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was read before a change is not kept after it.
    #[test]
    fn what_changed_meanwhile_is_not_kept() {
        let held = Held::default();
        let since = held.begin();
        held.forget_published();
        held.keep_issuers(&since, Arc::default());
        assert!(held.issuers().is_none());
        let since = held.begin();
        held.keep_issuers(&since, Arc::default());
        assert!(held.issuers().is_some());
    }
}
