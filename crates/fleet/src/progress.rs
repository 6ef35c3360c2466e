//! How far the steps are that make a host ready, so that whoever takes over goes on where another was interrupted.
//!
//! It is kept while they go on: once the host is ready or has failed it is forgotten, and the next attempt looks at
//! everything again.

use std::collections::BTreeSet;

use store::Claim;

use crate::address::HostAddress;
use crate::draft::{Draft, Line};
use crate::error::RolloutError;
use crate::record::BootstrapRecord;
use crate::service::Fleet;

impl Fleet {
    /// The names of the steps of `plan` ([`crate::bootstrap::digest`]) that are done on a host.
    ///
    /// # Errors
    /// The store's.
    pub async fn steps_done(
        &self,
        address: &HostAddress,
        plan: &str,
    ) -> Result<BTreeSet<String>, RolloutError> {
        let found = self.tables.bootstrap.get(address.as_str()).await?;
        let found = found.filter(|found| found.record.plan == plan);
        Ok(found.map(|found| found.record.done.into_iter().collect()).unwrap_or_default())
    }

    /// A step of `plan` is done on a host. `false` when there is no such host any more.
    ///
    /// # Errors
    /// As for [`Fleet::record_investigating`].
    pub async fn record_step(
        &self,
        claim: &Claim,
        address: &HostAddress,
        plan: &str,
        step: &str,
    ) -> Result<bool, RolloutError> {
        let table = &self.tables.bootstrap;
        let mut line = Line::default();
        loop {
            let Some(host) = self.tables.host.get(address.as_str()).await? else { return Ok(false) };
            let found = table.get(address.as_str()).await?;
            let version = found.as_ref().map(|found| found.version);
            let done = found.map(|found| found.record).filter(|record| record.plan == plan);
            let mut record = done.unwrap_or(BootstrapRecord { plan: plan.to_owned(), done: Vec::new() });
            record.done.push(step.to_owned());
            let mut draft = Draft::default();
            claim.expect(&mut draft.batch);
            self.tables.host.expect_at(&mut draft.batch, address.as_str(), host.version)?;
            table.put_over(&mut draft.batch, address.as_str(), &record, version)?;
            if self.commit(draft, &mut line).await?.is_some() {
                return Ok(true);
            }
            if !claim.is_held(self.ground.engine.as_ref()).await? {
                return Err(RolloutError::ClaimLost { claim: claim.name.clone() });
            }
        }
    }
}
