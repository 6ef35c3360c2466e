//! What is left to do when somebody went: a provider's relations end, a requirer is forgotten, sets that nobody names go.

use std::collections::BTreeSet;

use identity::Permit;
use store::{Batch, CommitError};

use crate::event::Happened;
use crate::name::{ProviderName, RequirerName};
use crate::relation::{id, parse_id};
use crate::service::{ManageTrust, Trust, Why};

/// How many relations are removed in one commit.
const AT_ONCE: usize = 40;

impl Trust {
    /// Ends the relations of providers whose grace is over, and forgets them; removes sets that nobody names.
    ///
    /// # Errors
    /// The store's. What was done by then is done.
    pub async fn tidy(&self, permit: Permit<ManageTrust>) -> Result<(), CommitError> {
        let now = self.now();
        let providers = self.providers.all().await?;
        for (name, found) in &providers {
            if found.record.until.is_some_and(|until| now.as_unix() >= until) {
                let name = ProviderName::from_record(name.clone());
                self.end_relations(&name).await?;
                let mut batch = Batch::new();
                self.providers.remove(&mut batch, name.as_str(), found.version)?;
                let happened = Happened::ProviderGone { name: &name };
                match self.commit(batch, &happened, permit.by(), &Why::default()).await {
                    // Somebody made it anew; or the next time shows.
                    Ok(()) | Err(CommitError::Conflict { .. } | CommitError::Unknown { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let everything = self.everything().await?;
        let common = everything.providers.values().map(|record| record.set.hash.clone());
        let own = everything.relations.values().flatten().map(|(_, record)| record.set.hash.clone());
        let named: BTreeSet<String> = common.chain(own).collect();
        self.sets.forget_all_but(&named, now).await
    }

    /// Forgets a requirer that is leaving, in whose places nothing of it is left.
    ///
    /// # Errors
    /// The store's.
    pub async fn requirer_left(
        &self,
        permit: Permit<ManageTrust>,
        name: &RequirerName,
    ) -> Result<(), CommitError> {
        self.forget_requirer(permit.by(), name, false).await
    }

    async fn end_relations(&self, provider: &ProviderName) -> Result<(), CommitError> {
        let mut ended = Vec::new();
        for (id, found) in self.relations.all().await? {
            if found.record.provider == provider.as_str() {
                ended.push((id, found.version));
            }
        }
        for some in ended.chunks(AT_ONCE) {
            let mut batch = Batch::new();
            for (key, version) in some {
                let Some((requirer, number)) = parse_id(key) else { continue };
                self.relations.remove(&mut batch, &id(requirer, number), *version)?;
                self.numbers.delete(&mut batch, &format!("{number:020}"))?;
            }
            self.changes(&mut batch)?;
            self.ground.engine.commit(batch).await?;
        }
        Ok(())
    }
}
