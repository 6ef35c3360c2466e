//! What somebody else wrote into the store, and nobody can read.
//!
//! Lists do without it, and a warning names its key, at most once a minute (commissaire contract, section 9.2). A host
//! whose record is like that can leave its cluster, be deleted, and be added again in its place: what the index says of
//! it goes with it.

use base::Timestamp;
use store::{Key, Loaded, Page, Prefix, Stored, Table, TablePage};

use crate::address::HostAddress;
use crate::draft::Draft;
use crate::index::{self, FoundBy};
use crate::name::ClusterName;
use crate::record::HostRecord;
use crate::service::Fleet;
use crate::tally::Shift;

/// How long nothing more is said after a warning, in seconds.
const SILENCE_SECONDS: i64 = 60;

impl Fleet {
    /// A page of a table, without the records that cannot be read.
    pub(crate) async fn list<S: Stored>(
        &self,
        table: &Table<S>,
        page: Page,
    ) -> Result<TablePage<S>, store::Error> {
        let found = table.engine().list(table.prefix(), page).await?;
        let mut entries = Vec::with_capacity(found.entries.len());
        for (key, versioned) in found.entries {
            match S::from_bytes(&versioned.value) {
                Ok(record) => {
                    let id = table.prefix().rest(&key).unwrap_or_default().to_owned();
                    entries.push((id, Loaded { record, version: versioned.version }));
                }
                Err(reason) => self.warn_unreadable(&key, &reason),
            }
        }
        Ok(TablePage { entries, next: found.next, revision: found.revision })
    }

    /// What was read; nothing of what cannot be read.
    pub(crate) fn readable<T>(&self, read: Result<T, store::Error>) -> Result<Option<T>, store::Error> {
        match read {
            Ok(is) => Ok(Some(is)),
            Err(store::Error::Record { key, reason }) => {
                self.warn_unreadable(&key, &reason);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn warn_unreadable(&self, key: &Key, reason: &str) {
        if self.may_warn(self.ground.clock.now()) {
            tracing::warn!(%key, reason, "a record cannot be read and was left out; perhaps there are others");
        }
    }

    fn may_warn(&self, now: Timestamp) -> bool {
        let mut last = self.warned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let may = last.is_none_or(|last| {
            now.as_unix() < last.as_unix() || now.as_unix() - last.as_unix() >= SILENCE_SECONDS
        });
        if may {
            *last = Some(now);
        }
        may
    }

    /// A host's record; of one that cannot be read, what the index says of it.
    pub(crate) async fn host_or_traces(
        &self,
        address: &HostAddress,
    ) -> Result<Option<Loaded<HostRecord>>, store::Error> {
        match self.tables.host.get(address.as_str()).await {
            Err(store::Error::Record { key, .. }) => {
                let found = self.ground.engine.get(&key).await?;
                let Some(found) = found else { return Ok(None) };
                let record = self.traces(address).await?;
                Ok(Some(Loaded { record, version: found.version }))
            }
            read => read,
        }
    }

    /// Has a host whose record cannot be read leave a cluster; whether it belonged to it. The record stays what it is.
    pub(crate) async fn stage_unreadable_leave(
        &self,
        draft: &mut Draft,
        name: &ClusterName,
        address: &str,
    ) -> Result<bool, store::Error> {
        let Some(found) = self.host_or_traces(&self.address(address)?).await? else { return Ok(false) };
        if found.record.cluster.as_deref() != Some(name.as_str()) {
            return Ok(false);
        }
        draft.comes_after_regrouping(name.as_str());
        self.tables.host.expect_at(&mut draft.batch, address, found.version)?;
        let key = format!("{}{address}", FoundBy::Cluster(name.as_str()).prefix());
        self.tables.index.delete(&mut draft.batch, &key)?;
        draft.count(&found.record, Shift::take);
        Ok(true)
    }

    /// What the index says of a host. Goes through all of it, which only this rare case is worth.
    async fn traces(&self, address: &HostAddress) -> Result<HostRecord, store::Error> {
        let mut record = index::nothing_of(address.as_str());
        let prefix = Prefix::new(index::PREFIX)?;
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.ground.engine.list(&prefix, page).await?;
            for (key, _) in &found.entries {
                index::learn(&mut record, prefix.rest(key).unwrap_or_default());
            }
            next = found.next;
        }
        Ok(record)
    }

    /// The address under which the store has a host: the original kept addresses as they were written.
    pub(crate) async fn known(&self, address: &HostAddress) -> Result<HostAddress, store::Error> {
        let Some(written) = address.written() else { return Ok(address.clone()) };
        let is_there = async |text: &str| {
            let key = self.tables.host.key(text)?;
            Ok::<_, store::Error>(self.ground.engine.get(&key).await?.is_some())
        };
        if !is_there(address.as_str()).await? && is_there(written).await? {
            return self.address(written);
        }
        Ok(address.clone())
    }
}
