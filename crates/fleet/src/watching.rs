//! Who is to be watched, and how far that is: what those who look at hosts read and write besides the hosts themselves.

use std::collections::BTreeMap;

use base::Timestamp;
use store::{Claim, Page, Table};

use crate::address::HostAddress;
use crate::draft::{Draft, Line};
use crate::error::RolloutError;
use crate::host::HostStatus;
use crate::index::{self, FoundBy};
use crate::record::{LookedRecord, MarkRecord};
use crate::service::{Fleet, ids};

/// With which status a host is watched: it is ready, or was.
const WATCHED: [HostStatus; 3] = [HostStatus::Active, HostStatus::Disassociated, HostStatus::Failed];

impl Fleet {
    /// The hosts that are ready, or have failed. Only keys are read, and no host.
    ///
    /// # Errors
    /// The store's.
    pub async fn hosts_to_watch(&self) -> Result<Vec<HostAddress>, RolloutError> {
        let mut hosts = Vec::new();
        for status in WATCHED {
            let prefix = format!("{}{}", index::PREFIX, FoundBy::Status(status.as_str()).prefix());
            let table = Table::<MarkRecord>::new(self.ground.engine.clone(), &prefix)?;
            for id in ids(&table).await? {
                hosts.extend(self.readable(self.address(&id))?);
            }
        }
        Ok(hosts)
    }

    /// Whether a host is to be looked at now: it is ready, or it was and has not answered since. One that could not be
    /// made ready is for those who try that again, and one that an operation is at is meant to be away.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_to_be_looked_at(&self, address: &HostAddress) -> Result<bool, RolloutError> {
        let found = self.readable(self.tables.host.get(address.as_str()).await)?.flatten();
        let Some(host) = found else { return Ok(false) };
        let status = HostStatus::from(host.record.status.as_str());
        if !WATCHED.contains(&status) || self.tables.under_way.get(address.as_str()).await?.is_some() {
            return Ok(false);
        }
        if status != HostStatus::Failed {
            return Ok(true);
        }
        let care = self.readable(self.tables.care.get(address.as_str()).await)?.flatten();
        Ok(care.is_some_and(|care| care.record.status_before.is_some()))
    }

    /// Whether an operation is at a host.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_under_way(&self, address: &HostAddress) -> Result<bool, RolloutError> {
        Ok(self.tables.under_way.get(address.as_str()).await?.is_some())
    }

    /// Until which of its moments each slice of the hosts was looked at; see [`Rota`](crate::Rota).
    ///
    /// # Errors
    /// The store's.
    pub async fn looked_at(&self) -> Result<BTreeMap<u32, Timestamp>, RolloutError> {
        let found = self.list(&self.tables.looked, Page::full()).await?;
        let slice = |(slice, looked): (String, store::Loaded<LookedRecord>)| {
            Some((slice.parse().ok()?, Timestamp::from_unix(looked.record.due)))
        };
        Ok(found.entries.into_iter().filter_map(slice).collect())
    }

    /// A slice of the hosts was looked at, which was due then.
    ///
    /// # Errors
    /// [`RolloutError::ClaimLost`], or the store's.
    pub async fn record_looked_at(
        &self,
        claim: &Claim,
        slice: u32,
        due: Timestamp,
    ) -> Result<(), RolloutError> {
        let mut draft = Draft::default();
        claim.expect(&mut draft.batch);
        let looked = LookedRecord { due: due.as_unix() };
        self.tables.looked.put(&mut draft.batch, &slice.to_string(), &looked)?;
        match self.commit(draft, &mut Line::default()).await? {
            Some(_) => Ok(()),
            None => Err(RolloutError::ClaimLost { claim: claim.name.clone() }),
        }
    }
}
