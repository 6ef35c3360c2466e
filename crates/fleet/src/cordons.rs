//! The cordons that operations could not lift: a container manager was away, or did not let them. They are on record
//! until somebody has lifted them, however long ago the operation ended.
//!
//! ```text
//! could not be lifted    /fleet/cordon-left/CLUSTER/ADDRESS, in the same commit   ──► tried again, under the claim on
//!                                                                                    the host
//! the next operation     takes the cordon for ours and this away, in the commit
//! that drains the host   that begins with it: from then on lifting it is its own
//! ```

use identity::Principal;
use store::{Claim, Page};

use crate::address::HostAddress;
use crate::change::{Change, Known};
use crate::draft::{Draft, Line};
use crate::error::RolloutError;
use crate::name::ClusterName;
use crate::rollout::RolloutId;
use crate::run::Cordon;
use crate::service::Fleet;

/// A node of which an operation could not lift the cordon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CordonLeft {
    /// The cluster that the operation was on.
    pub cluster: ClusterName,
    /// The host.
    pub address: HostAddress,
    operation: RolloutId,
    place: u64,
}

/// Where that is on record.
pub(crate) fn id(cluster: &str, address: &HostAddress) -> String {
    format!("{cluster}/{address}")
}

impl Fleet {
    /// The nodes that are still cordoned.
    ///
    /// # Errors
    /// The store's.
    pub async fn cordons_left(&self) -> Result<Vec<CordonLeft>, RolloutError> {
        let mut left = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.list(&self.tables.cordon_left, page).await?;
            left.extend(found.entries.iter().filter_map(|(id, loaded)| {
                let (cluster, address) = id.split_once('/')?;
                Some(CordonLeft {
                    cluster: cluster.parse().ok()?,
                    address: HostAddress::stored(address).ok()?,
                    operation: RolloutId(loaded.record.operation),
                    place: loaded.record.place,
                })
            }));
            next = found.next;
        }
        Ok(left)
    }

    /// Whether that cordon is still to be lifted. With the claim on the host it stays so: no operation begins with it.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_still_left(&self, left: &CordonLeft) -> Result<bool, RolloutError> {
        let found = self.tables.cordon_left.get(&id(left.cluster.as_str(), &left.address)).await?;
        Ok(found.is_some_and(|found| {
            found.record.operation == left.operation.as_number() && found.record.place == left.place
        }))
    }

    /// The cordon was lifted, under the claim on the host; the operation says so as well, if it is remembered.
    ///
    /// # Errors
    /// [`RolloutError::ClaimLost`], or the store's.
    pub async fn record_cordon_lifted(&self, claim: &Claim, left: &CordonLeft) -> Result<(), RolloutError> {
        let decide = |known: &Known| {
            let run = known.asked.iter().find(|run| run.place == left.place);
            let run = run.filter(|run| run.address == left.address && run.cordon == Cordon::Left);
            let mut change = Change::of(&known.rollout);
            Ok::<_, RolloutError>(run.map(|run| {
                change.released(run, Cordon::None, None);
                change
            }))
        };
        let of = (&left.cluster, left.operation);
        match self.change_rollout(Some(claim), &Principal::house(), of, &[left.place], decide).await {
            // It was forgotten meanwhile.
            Ok(_) | Err(RolloutError::NoSuchOperation { .. }) => {}
            Err(error) => return Err(error),
        }
        if !self.is_still_left(left).await? {
            return Ok(());
        }
        let mut draft = Draft::default();
        claim.expect(&mut draft.batch);
        self.tables.cordon_left.delete(&mut draft.batch, &id(left.cluster.as_str(), &left.address))?;
        match self.commit(draft, &mut Line::default()).await? {
            Some(_) => Ok(()),
            None => Err(RolloutError::ClaimLost { claim: claim.name.clone() }),
        }
    }
}
