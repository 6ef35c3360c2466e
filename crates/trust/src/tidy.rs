//! What is left to do when somebody went: a provider's relations end, a requirer is forgotten, sets that nobody names go.

use std::collections::BTreeSet;

use identity::{Permit, Principal};
use store::{Batch, CommitError, Loaded, Page};

use crate::event::Happened;
use crate::name::{ProviderName, RequirerName};
use crate::record::ProviderRecord;
use crate::relation::{id, parse_id};
use crate::service::{ManageTrust, Trust, Why};

/// How many relations are removed in one commit: two records, an event and a requirer each.
const AT_ONCE: usize = 20;

impl Trust {
    /// Ends the relations of providers whose grace is over, and forgets them; removes what is left of requirers that are
    /// gone, and sets that nobody names, and no place has.
    ///
    /// # Errors
    /// The store's. What was done by then is done.
    pub async fn tidy(&self, permit: Permit<ManageTrust>) -> Result<(), CommitError> {
        let now = self.now();
        let providers = self.providers.all().await?;
        for (name, found) in &providers {
            if found.record.until.is_some_and(|until| now.as_unix() >= until) {
                let name = ProviderName::from_record(name.clone());
                match self.forget_provider(permit.by(), &name, found).await {
                    // Somebody made it anew; or the next time shows.
                    Ok(()) | Err(CommitError::Conflict { .. } | CommitError::Unknown { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for (name, _) in self.requirers.all().await?.into_iter().filter(|(_, found)| found.record.gone) {
            self.forget_requirer(permit.by(), &RequirerName::from_record(name)).await?;
        }
        let everything = self.everything().await?;
        let common = everything.providers.values().map(|record| record.set.hash.clone());
        let own = everything.relations.values().flatten().map(|(_, record)| record.set.hash.clone());
        let mut named: BTreeSet<String> = common.chain(own).collect();
        // What places have still is remembered, so that it can be told.
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.units.list(page).await?;
            for (_, loaded) in found.entries {
                named.extend(loaded.record.applied);
                named.extend(loaded.record.failing.into_iter().flat_map(|failing| failing.tried));
            }
            next = found.next;
        }
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
        self.forget_requirer(permit.by(), name).await
    }

    /// Ends the relations of a provider, and forgets it, for as long as it is as it was `seen`. Its requirers are to have less
    /// since its grace was over.
    async fn forget_provider(
        &self,
        by: &Principal,
        name: &ProviderName,
        seen: &Loaded<ProviderRecord>,
    ) -> Result<(), CommitError> {
        let mut relations = self.relations.all().await?;
        relations.retain(|(_, found)| found.record.provider == name.as_str());
        let gone = Why::of("its provider is gone");
        for some in relations.chunks(AT_ONCE) {
            let mut batch = Batch::new();
            self.providers.expect_at(&mut batch, name.as_str(), seen.version)?;
            for (key, found) in some {
                let Some((requirer, number)) = parse_id(key) else { continue };
                self.relations.remove(&mut batch, &id(requirer, number), found.version)?;
                self.numbers.delete(&mut batch, &format!("{number:020}"))?;
                let ended = Happened::Unrelated { provider: name.as_str(), requirer, number };
                self.tell(&mut batch, &ended, by, &gone)?;
                if let Some(Loaded { mut record, version }) = self.requirers.get(requirer).await? {
                    record.changed = record.changed.max(seen.record.until.unwrap_or_default());
                    self.requirers.update(&mut batch, requirer, &record, version)?;
                }
            }
            self.changes(&mut batch)?;
            // Others have their turn in between.
            let _turn = self.turn.lock().await;
            self.ground.engine.commit(batch).await?;
        }
        let mut batch = Batch::new();
        self.providers.remove(&mut batch, name.as_str(), seen.version)?;
        let _turn = self.turn.lock().await;
        self.commit(batch, &Happened::ProviderGone { name }, by, &Why::default()).await
    }

    /// Removes what is written about `requirer`, and itself, if it is leaving, so that nothing of it is left anywhere, or is
    /// gone already.
    pub(crate) async fn forget_requirer(
        &self,
        by: &Principal,
        name: &RequirerName,
    ) -> Result<(), CommitError> {
        let mut attempts = 0;
        loop {
            let Some(found) = self.requirers.get(name.as_str()).await? else { return Ok(()) };
            if found.record.leaving.is_none() && !found.record.gone {
                return Ok(());
            }
            let relations = self.relations_of(name).await?;
            let units = self.units_of(name, None, 50).await?;
            let mut batch = Batch::new();
            // One that was made to stay meanwhile keeps all of it.
            self.requirers.expect_at(&mut batch, name.as_str(), found.version)?;
            for (number, found) in relations.iter().take(20) {
                self.relations.remove(&mut batch, &id(name.as_str(), *number), found.version)?;
                self.numbers.delete(&mut batch, &format!("{number:020}"))?;
            }
            for (unit, _) in &units {
                self.units.delete(&mut batch, &format!("{name}/{unit}"))?;
            }
            let is_last = relations.len() <= 20 && units.len() < 50;
            let done = if is_last && found.record.gone {
                // Of which it was told when it went.
                self.requirers.delete(&mut batch, name.as_str())?;
                self.count_requirer(&mut batch, false).await?;
                self.changes(&mut batch)?;
                self.ground.engine.commit(batch).await.map(drop)
            } else if is_last {
                self.requirers.delete(&mut batch, name.as_str())?;
                self.count_requirer(&mut batch, false).await?;
                let happened = Happened::RequirerGone { name, left_behind: false };
                self.commit(batch, &happened, by, &Why::default()).await
            } else {
                self.changes(&mut batch)?;
                self.ground.engine.commit(batch).await.map(drop)
            };
            match done {
                Ok(()) if is_last => return Ok(()),
                Ok(()) => {}
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }
}
