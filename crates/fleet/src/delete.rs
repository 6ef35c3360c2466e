//! Deleting hosts, with everything that is theirs.

use identity::{Permit, Principal};
use store::Loaded;

use crate::address::HostAddress;
use crate::draft::{Draft, Line};
use crate::event::Happened;
use crate::hosts::HostError;
use crate::record::HostRecord;
use crate::service::{DeleteHost, Expected, Fleet};

impl Fleet {
    /// Deletes a host, its credentials and its place in a cluster; also one whose record cannot be read.
    ///
    /// # Errors
    /// [`HostError::NoSuchHost`], also when only credentials were left of it, which are deleted then;
    /// [`HostError::Changed`] when it is not as `expected`.
    pub async fn delete_host(
        &self,
        permit: Permit<DeleteHost>,
        address: &HostAddress,
        expected: Expected,
    ) -> Result<(), HostError> {
        let address = &self.known(address).await?;
        let mut line = Line::default();
        loop {
            let mut draft = Draft::default();
            let found = self.host_or_traces(address).await?;
            match &found {
                Some(found) if !expected.holds(Some(found.version)) => {
                    return Err(HostError::Changed { address: address.clone() });
                }
                Some(found) => self.stage_deletion(&mut draft, address, found, permit.by()).await?,
                None => self.stage_leftovers_deletion(&mut draft, address, permit.by()).await?,
            }
            if self.commit(draft, &mut line).await?.is_some() {
                return found.map(drop).ok_or_else(|| HostError::NoSuchHost { address: address.clone() });
            }
        }
    }

    async fn stage_deletion(
        &self,
        draft: &mut Draft,
        address: &HostAddress,
        found: &Loaded<HostRecord>,
        by: &Principal,
    ) -> Result<(), store::Error> {
        let cluster = found.record.cluster.as_deref();
        self.stage_host(draft, Some(found), None)?;
        if let Some(name) = cluster
            && let Some(cluster) = self.tables.cluster.get(name).await?
        {
            let left = std::slice::from_ref(&found.record.address);
            self.stage_roster(draft, &cluster, &[], left)?;
            self.stage_leaving(draft, &cluster.record, left).await?;
        }
        self.record_event(draft, &Happened::HostDeleted { address, cluster }, by)?;
        self.tables.credentials.delete(&mut draft.batch, address.as_str())?;
        self.tables.care.delete(&mut draft.batch, address.as_str())?;
        self.tables.host_key.delete(&mut draft.batch, address.as_str())?;
        self.tables.bootstrap.delete(&mut draft.batch, address.as_str())
    }

    /// The credentials of a host that does not exist, if they are there.
    async fn stage_leftovers_deletion(
        &self,
        draft: &mut Draft,
        address: &HostAddress,
        by: &Principal,
    ) -> Result<(), HostError> {
        let leftovers = self.tables.credentials.get(address.as_str()).await?;
        let leftovers = leftovers.ok_or_else(|| HostError::NoSuchHost { address: address.clone() })?;
        self.tables.credentials.remove(&mut draft.batch, address.as_str(), leftovers.version)?;
        self.tables.host.expect_absent(&mut draft.batch, address.as_str())?;
        Ok(self.record_event(draft, &Happened::LeftoversDeleted { address }, by)?)
    }
}
