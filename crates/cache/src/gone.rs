//! Entries of the cache behind this one that the rules removed here: they do not come back from there as if they were new.

use std::collections::HashSet;

use entry::Entry;
use identity::Permit;
use store::{Batch, CommitError, Page, Table};

use crate::append;
use crate::error::MaintainError;
use crate::key::EntryKey;
use crate::record::SameRecord;
use crate::service::{Cache, Maintain, SAME};

/// How many marks are read at once.
const PAGE: usize = 500;
/// How many go in one commit.
const AT_ONCE: usize = 50;

impl Cache {
    /// Forgets which entries of `key` were removed, but for those that are `shown` by the cache behind this one: the others
    /// can come back from nowhere.
    ///
    /// # Errors
    /// [`MaintainError`].
    pub async fn forget_gone(
        &self,
        _permit: &Permit<Maintain>,
        key: &EntryKey,
        shown: &[Entry],
    ) -> Result<(), MaintainError> {
        let prefix = format!("{SAME}{}/", key.id());
        let marks = Table::<SameRecord>::new(self.ground.engine.clone(), &prefix)?;
        let mut forgotten = Vec::new();
        let mut shown_ids = None;
        let mut next = Some(Page::first(PAGE));
        while let Some(page) = next {
            let found = marks.list(page).await?;
            for (id, loaded) in found.entries.into_iter().filter(|(_, loaded)| loaded.record.gone) {
                let shown: &HashSet<String> =
                    shown_ids.get_or_insert_with(|| shown.iter().map(append::id).collect());
                if !shown.contains(&id) {
                    forgotten.push((id, loaded.version));
                }
            }
            next = found.next;
        }
        for some in forgotten.chunks(AT_ONCE) {
            let mut batch = Batch::new();
            for (id, version) in some {
                marks.remove(&mut batch, id, *version)?;
            }
            match self.ground.engine.commit(batch).await {
                // The next time.
                Ok(_) | Err(CommitError::Conflict { .. } | CommitError::Unknown { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
