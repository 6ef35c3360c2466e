//! The counts of requests, as whoever has the desk's turn left them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use store::{Batch, Loaded, Version};

use crate::record::LedgerRecord;
use crate::request::{self, Admitted};
use crate::service::Authority;

/// The name of the record.
pub(crate) const LEDGER: &str = "ledger";

/// What this process knows of the ledger.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<State>);

#[derive(Default)]
struct State {
    /// As this process left it, if nobody had the desk's turn since.
    kept: Option<Loaded<LedgerRecord>>,
    /// As it was last seen; perhaps it went on since.
    seen: LedgerRecord,
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authority {
    /// The ledger, for whoever has the turn at the desk: as this process left it, or else as it is stored.
    /// It is read again next time unless it is kept again.
    pub(crate) async fn ledger(&self) -> Result<(LedgerRecord, Option<Version>), store::Error> {
        let kept = self.ledger.state().kept.take();
        let loaded = match kept {
            Some(kept) => Some(kept),
            None => self.tables.ledger.get(LEDGER).await?,
        };
        let record = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
        self.ledger.state().seen = record;
        Ok((record, loaded.map(|loaded| loaded.version)))
    }

    pub(crate) fn stage_ledger(
        &self,
        batch: &mut Batch,
        record: &LedgerRecord,
        seen: Option<Version>,
    ) -> Result<(), store::Error> {
        self.tables.ledger.put_over(batch, LEDGER, record, seen)
    }

    /// Keeps what was just committed.
    pub(crate) fn keep_ledger(&self, record: LedgerRecord, version: Version) {
        let mut state = self.ledger.state();
        state.seen = record;
        state.kept = Some(Loaded { record, version });
    }

    /// Whether the next request is likely to be approved at once. Whoever has the turn decides.
    pub(crate) fn is_likely_automatic(&self) -> bool {
        let mut seen = self.ledger.state().seen;
        let admitted = request::admit(&mut seen, &self.profile.admission, self.automatic_max());
        matches!(admitted, Ok(Admitted::Approved))
    }
}
