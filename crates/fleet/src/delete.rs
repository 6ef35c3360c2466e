//! Deleting hosts, with everything that is theirs.

use identity::Permit;

use crate::address::HostAddress;
use crate::draft::{Draft, Line};
use crate::error::HostError;
use crate::event::Happened;
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
            if let Some(found) = &found {
                if !expected.holds(Some(found.version)) {
                    return Err(HostError::Changed { address: address.clone() });
                }
                let cluster = found.record.cluster.as_deref();
                self.stage_host(&mut draft, Some(found), None)?;
                if let Some(name) = cluster
                    && let Some(cluster) = self.tables.cluster.get(name).await?
                {
                    self.stage_roster(
                        &mut draft,
                        &cluster,
                        &[],
                        std::slice::from_ref(&found.record.address),
                    )?;
                }
                self.record_event(&mut draft, &Happened::HostDeleted { address, cluster }, permit.by())?;
                self.tables.credentials.delete(&mut draft.batch, address.as_str())?;
                self.tables.care.delete(&mut draft.batch, address.as_str())?;
                self.tables.host_key.delete(&mut draft.batch, address.as_str())?;
                self.tables.bootstrap.delete(&mut draft.batch, address.as_str())?;
            } else {
                let leftovers = self.tables.credentials.get(address.as_str()).await?;
                let leftovers =
                    leftovers.ok_or_else(|| HostError::NoSuchHost { address: address.clone() })?;
                self.tables.credentials.remove(&mut draft.batch, address.as_str(), leftovers.version)?;
                self.tables.host.expect_absent(&mut draft.batch, address.as_str())?;
                self.record_event(&mut draft, &Happened::LeftoversDeleted { address }, permit.by())?;
            }
            if self.commit(draft, &mut line).await?.is_some() {
                return found.map(drop).ok_or_else(|| HostError::NoSuchHost { address: address.clone() });
            }
        }
    }
}
