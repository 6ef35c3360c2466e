//! Entries: those of upstream are added to ours, never put in their place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Timestamp;
use cache::EntryKey;
use identity::Permit;

use super::{Asker, Name, Relay, RelayError};

/// How many keys are remembered to be fresh.
const FRESH_MAX: usize = 50_000;
/// How long upstream may take to tell the entries of a key: somebody waits.
const DEADLINE: Duration = Duration::from_secs(10);

/// What upstream was asked for lately.
#[derive(Default)]
pub(super) struct Lists {
    fresh: Mutex<HashMap<EntryKey, Timestamp>>,
    /// Who asks for the entries of the same key waits for the one who does already.
    asking: Mutex<HashMap<EntryKey, Arc<tokio::sync::Mutex<()>>>>,
}

impl Lists {
    pub(super) fn is_fresh(&self, key: &EntryKey, now: Timestamp) -> bool {
        let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.get(key).is_some_and(|until| *until > now)
    }

    fn set_fresh(&self, key: &EntryKey, until: Timestamp, now: Timestamp) {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh.len() >= FRESH_MAX {
            fresh.retain(|_, until| *until > now);
        }
        if fresh.len() < FRESH_MAX {
            fresh.insert(key.clone(), until);
        }
    }

    fn asking(&self, key: &EntryKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits for any more.
        asking.retain(|_, turn| Arc::strong_count(turn) > 1);
        asking.entry(key.clone()).or_default().clone()
    }
}

impl Relay {
    /// Adds what upstream says under `key` to what is said here, unless that was done lately.
    ///
    /// # Errors
    /// [`RelayError`]; what is here can be given all the same.
    pub async fn refresh(&self, key: &EntryKey, asker: &Asker) -> Result<(), RelayError> {
        let turn = self.lists.asking(key);
        // Who asks upstream may be waiting for the very cache that asks here.
        let _turn = match asker.via.is_a_cache() {
            true => match turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(()),
            },
            false => turn.lock().await,
        };
        if self.lists.is_fresh(key, self.clock.now()) {
            return Ok(());
        }
        self.ask(key, asker).await.map(drop)
    }

    /// The same, whenever that was last done; whether upstream says anything under this key. What was asked through this
    /// house is left as it is, and something is said under it for all anybody knows.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn ask(&self, key: &EntryKey, asker: &Asker) -> Result<bool, RelayError> {
        let Some(via) = asker.via.through(&self.name) else { return Ok(true) };
        let asked = self.upstream.entries(key.as_str(), via);
        let found = self.questioned(Name::Entries(key.clone()), DEADLINE, asked).await?;
        let now = self.clock.now();
        let fresh = if found.is_some() { self.fresh.entries } else { self.fresh.absent };
        let says = found.is_some();
        let found = found.unwrap_or_default();
        let mut failed = None;
        for entry in &found {
            // One that cannot be kept does not keep the others away.
            if let Err(error) = self.cache.put_entry(Permit::house(), key, entry).await {
                failed.get_or_insert(error);
            }
        }
        if let Some(error) = failed {
            tracing::warn!(%key, error = %base::report(&error), "not all entries of upstream could be kept");
        }
        // What it has no more can come back as something new.
        if let Err(error) = self.cache.forget_gone(&Permit::house(), key, &found).await {
            tracing::warn!(%key, error = %base::report(&error), "what was removed could not be forgotten");
        }
        self.lists.set_fresh(key, now + fresh, now);
        Ok(says)
    }
}
