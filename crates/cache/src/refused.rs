//! Bytes that were kept for what was refused then: over a quota, or as the store failed. Nobody names them, and they go
//! after the time of grace, unless somebody does by then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base::{Sha512, Timestamp};

use crate::service::Cache;

/// How many are remembered. What is beyond that goes with what a crash leaves.
const REFUSED_MAX: usize = 10_000;

/// Blobs whose upload was refused, and when.
#[derive(Default)]
pub(crate) struct Refused(Mutex<HashMap<Sha512, Timestamp>>);

impl Refused {
    fn note(&self, digest: Sha512, at: Timestamp) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < REFUSED_MAX {
            refused.insert(digest, at);
        }
    }

    /// Those that were refused by then; they are not remembered any more.
    pub(crate) fn take(&self, by: Timestamp) -> Vec<(Sha512, Timestamp)> {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.extract_if(|_, at| *at <= by).collect()
    }
}

impl Cache {
    /// The blob was kept, and what was to name it was refused.
    pub(crate) fn refuse(&self, digest: Sha512) {
        self.refused.note(digest, self.ground.clock.now());
    }
}
