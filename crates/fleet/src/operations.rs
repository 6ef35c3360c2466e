//! Starting operations, and showing how far they are. They are carried out by somebody else.

use futures_util::future::join_all;
use identity::Permit;
use store::{Loaded, Page};

use crate::draft::{Draft, Line};
use crate::error::OperationError;
use crate::event::Happened;
use crate::moment;
use crate::name::ClusterName;
use crate::operation::{Operation, OperationKind, OperationState, Plan};
use crate::record::OperationRecord;
use crate::service::{Fleet, ReadClusters, Seen, StartOperation, unreadable};
use crate::tally::Tally;

impl Fleet {
    /// Starts an operation, and forgets the one of its kind before. Gives it as it begins, also when it is finished
    /// at once, because the cluster has no hosts.
    ///
    /// # Errors
    /// [`OperationError::Running`] while any operation on the cluster runs.
    pub async fn start(
        &self,
        permit: Permit<StartOperation>,
        cluster: &ClusterName,
        plan: Plan,
    ) -> Result<Operation, OperationError> {
        let mut line = Line::default();
        loop {
            let found = self.tables.cluster.get(cluster.as_str()).await?;
            let found = found.ok_or_else(|| OperationError::NoSuchCluster { cluster: cluster.clone() })?;
            let latest = self.latest(cluster).await?;
            self.check_idle(&latest)?;
            let begun = Operation::begun(cluster.clone(), plan.clone(), moment::now(&self.ground.clock));
            let counts = self.tally_parts(cluster.as_str())?.list(Page::full()).await?.entries;
            let tally = Tally::of(counts.iter().map(|(_, part)| (&part.record, part.version)));
            let is_empty = tally.total() == 0;
            let stored = if is_empty { begun.finished_at_once() } else { begun.clone() };

            let mut draft = Draft::default();
            self.tables.cluster.expect_at(&mut draft.batch, cluster.as_str(), found.version)?;
            for (kind, latest) in &latest {
                // All three as they were seen: so no other begins at the same time.
                let (id, version) = (kind.id(cluster), latest.as_ref().map(|latest| latest.version));
                let table = &self.tables.operation;
                match version {
                    _ if *kind == plan.kind() => {
                        table.put_over(&mut draft.batch, &id, &stored.record(), version)?;
                    }
                    Some(version) => table.expect_at(&mut draft.batch, &id, version)?,
                    None => table.expect_absent(&mut draft.batch, &id)?,
                }
            }
            if is_empty {
                // A host that joins in this very moment is not to be left out.
                self.expect_parts(&mut draft, cluster.as_str(), &counts)?;
            }
            self.record_event(&mut draft, &Happened::OperationStarted { operation: &stored }, permit.by())?;
            if self.commit(draft, &mut line).await?.is_some() {
                return Ok(begun);
            }
        }
    }

    /// The latest operation of a kind on a cluster.
    ///
    /// # Errors
    /// [`OperationError::NeverStarted`], also when there is no such cluster.
    pub async fn operation(
        &self,
        _permit: Permit<ReadClusters>,
        cluster: &ClusterName,
        kind: OperationKind,
    ) -> Result<Seen<Operation>, OperationError> {
        let never = || OperationError::NeverStarted { cluster: cluster.clone(), kind: kind.as_str() };
        let found = self.tables.operation.get(&kind.id(cluster)).await?.ok_or_else(never)?;
        Ok(Seen { is: self.operation_from(kind, &found.record)?, version: found.version })
    }

    /// The latest operation of each kind on a cluster.
    ///
    /// # Errors
    /// [`OperationError::NoSuchCluster`] only when there is none.
    pub async fn operations(
        &self,
        _permit: Permit<ReadClusters>,
        cluster: &ClusterName,
    ) -> Result<Vec<Operation>, OperationError> {
        if self.tables.cluster.get(cluster.as_str()).await?.is_none() {
            return Err(OperationError::NoSuchCluster { cluster: cluster.clone() });
        }
        let mut operations = Vec::new();
        for (kind, latest) in self.latest(cluster).await? {
            if let Some(latest) = latest {
                operations.push(self.operation_from(kind, &latest.record)?);
            }
        }
        Ok(operations)
    }

    /// The records of all kinds.
    async fn latest(
        &self,
        cluster: &ClusterName,
    ) -> Result<Vec<(OperationKind, Option<Loaded<OperationRecord>>)>, store::Error> {
        let get = async |kind: OperationKind| {
            let found = self.tables.operation.get(&kind.id(cluster)).await?;
            Ok((kind, found))
        };
        join_all(OperationKind::ALL.map(get)).await.into_iter().collect()
    }

    fn check_idle(
        &self,
        latest: &[(OperationKind, Option<Loaded<OperationRecord>>)],
    ) -> Result<(), OperationError> {
        for (kind, latest) in latest {
            let Some(latest) = latest else { continue };
            let operation = self.operation_from(*kind, &latest.record)?;
            if operation.state == OperationState::InProcess {
                return Err(OperationError::Running { running: Box::new(operation) });
            }
        }
        Ok(())
    }

    fn operation_from(
        &self,
        kind: OperationKind,
        record: &OperationRecord,
    ) -> Result<Operation, store::Error> {
        Operation::from_record(kind, record.clone()).map_err(|reason| {
            let id = format!("{}/{}", record.name, kind.as_str());
            unreadable(&self.tables.operation, &id, reason)
        })
    }
}
