//! Lets container managers take the hosts that joined their clusters, and forget those that went.
//!
//! A container manager that cannot be asked is asked again later, and later each time; what it is about is said of each
//! host that waits for it, which stays `disassociated` until then (commissaire contract, section 9.3). How often that
//! was is not stored: whoever takes over asks at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{Clock, Entropy, Span, Timestamp};
use fleet::{
    ClusterName, ContainerManagerName, Fleet, Host, HostAddress, HostFilter, HostStatus, ManagerChange,
    NodeLeaving, claim_on, claim_on_deletion, is_of_nodes, retry_at,
};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use identity::Permit;
use store::{Claim, Claims, Version};

use crate::hands::{Nodes, NodesError, told};
use crate::reconciler::{self, LEASE, Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often it is looked at who waits, where there is a container manager that has to be asked.
const OFTEN: Span = Span::seconds(15);
/// The same where there is none.
const SELDOM: Span = Span::seconds(300);
/// How many hosts are asked about at once.
const AT_ONCE: usize = 16;
/// How many hosts are read at once.
const PAGE: usize = 200;

pub(crate) struct RegisterNodes {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) claims: Claims,
    pub(crate) holder: String,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    /// The definitions of container managers, as they were found.
    pub(crate) defined: HashMap<ContainerManagerName, Version>,
    /// Who is left alone for a while, after so many failures in a row.
    pub(crate) waiting: HashMap<About, Waiting>,
}

/// What did not work: a container manager as a whole, or one host there.
type About = (ContainerManagerName, Option<HostAddress>);

/// What went wrong, how often in a row, and until when nobody is asked again.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    failures: u32,
    until: Timestamp,
    /// Of the definition that it went wrong with: with another one it is tried at once.
    with: Option<Version>,
    /// Whether it is on record of all hosts that wait for it: until it is asked again they need not be read.
    is_told: bool,
    reason: String,
}

/// What is to be asked about a host.
#[derive(Debug, Clone)]
enum Task {
    /// Take it; why it was not taken yet, as is on record.
    Take {
        cluster: ClusterName,
        host: HostAddress,
        reason: Option<String>,
    },
    Forget(NodeLeaving),
}

/// What came of it.
enum Done {
    Yes,
    /// Somebody else is at work on the host, or we wait: there is nothing to learn.
    NotNow,
    Failed(NodesError),
}

impl Task {
    fn host(&self) -> &HostAddress {
        match self {
            Self::Take { host, .. } => host,
            Self::Forget(node) => &node.address,
        }
    }
}

impl RegisterNodes {
    async fn go_round(&mut self, stop: &Stop) -> Result<Next, StepError> {
        let mut is_all_followed = true;
        for change in self.fleet.manager_changes().await? {
            is_all_followed &= self.follow(&change, stop).await?;
        }
        let clusters = self.fleet.clusters_with_nodes().await?;
        let leaving = self.fleet.nodes_leaving().await?;
        let is_idle = clusters.is_empty() && leaving.is_empty() && is_all_followed;
        let pause = if is_idle { SELDOM } else { OFTEN };
        let mut forget: BTreeMap<ContainerManagerName, Vec<Task>> = BTreeMap::new();
        for node in leaving {
            forget.entry(node.manager.clone()).or_default().push(Task::Forget(node));
        }
        let managers = self.fleet.container_managers(Permit::house()).await?;
        self.defined = managers.into_iter().map(|manager| (manager.is.name, manager.version)).collect();
        self.waiting.retain(|(manager, _), waiting| {
            let is_named = forget.contains_key(manager) || clusters.iter().any(|(_, one)| one == manager);
            is_named && waiting.with == self.defined.get(manager).copied()
        });
        for (manager, tasks) in forget {
            self.work(&manager, &tasks, stop).await?;
        }
        for (cluster, manager) in clusters {
            // Whoever deletes it removes their nodes, and gives them back if it stays.
            if self.claims.vacancy(&claim_on_deletion(&cluster), self.clock.now()).await?.is_none() {
                continue;
            }
            let waiting = self.waiting.get(&(manager.clone(), None));
            if waiting.is_some_and(|waiting| waiting.is_told && waiting.until > self.clock.now()) {
                continue;
            }
            let (status, cluster) = (Some(HostStatus::Disassociated), Some(cluster));
            let filter = HostFilter { cluster: cluster.clone(), status, ..HostFilter::default() };
            let mut after: Option<HostAddress> = None;
            while let Some(cluster) = cluster.as_ref().filter(|_| !stop.is_asked()) {
                // The nodes of one that goes were removed, though whoever deleted it may have died since.
                if self.fleet.is_going(cluster).await? {
                    break;
                }
                let page = self.fleet.hosts(Permit::house(), &filter, after.as_ref(), PAGE).await?;
                let take = |host: Host| Task::Take {
                    cluster: cluster.clone(),
                    host: host.address,
                    reason: host.reason,
                };
                let tasks: Vec<Task> = page.hosts.into_iter().map(|host| take(host.is)).collect();
                self.work(&manager, &tasks, stop).await?;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        for waiting in self.waiting.values_mut() {
            waiting.is_told |= !stop.is_asked();
        }
        Ok(Next::At(self.clock.now() + pause))
    }

    /// Has the hosts of a cluster follow to another container manager; whether all have.
    async fn follow(&self, change: &ManagerChange, stop: &Stop) -> Result<bool, StepError> {
        let filter = HostFilter { cluster: Some(change.cluster.clone()), ..HostFilter::default() };
        let mut is_all = true;
        let mut after: Option<HostAddress> = None;
        loop {
            let page = self.fleet.hosts(Permit::house(), &filter, after.as_ref(), PAGE).await?;
            for some in page.hosts.chunks(AT_ONCE) {
                if stop.is_asked() {
                    return Ok(false);
                }
                let followed = some.iter().map(|host| self.follow_one(&host.is.address, change, stop));
                for followed in join_all(followed).await {
                    is_all &= followed?;
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if is_all {
            self.fleet.record_followed(change).await?;
            tracing::info!(cluster = %change.cluster, "hosts followed to another container manager");
        }
        Ok(is_all)
    }

    /// Nobody else is at work on the host meanwhile, who would register it where it was before.
    async fn follow_one(
        &self,
        host: &HostAddress,
        change: &ManagerChange,
        stop: &Stop,
    ) -> Result<bool, StepError> {
        let name = claim_on(host);
        let Some(claim) = self.claims.take(&name, &self.holder, self.clock.now(), LEASE).await? else {
            return Ok(false);
        };
        let while_held = stop.part();
        let done = async { self.fleet.follow_manager(&claim, host, change).await };
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, done).await?;
        Ok(true)
    }

    /// Does these, some at a time. What goes wrong with one is left for later; what our store does not take is an error.
    async fn work(
        &mut self,
        manager: &ContainerManagerName,
        tasks: &[Task],
        stop: &Stop,
    ) -> Result<(), StepError> {
        for some in tasks.chunks(AT_ONCE) {
            if stop.is_asked() {
                return Ok(());
            }
            let asked = join_all(some.iter().map(|task| self.claimed(manager, task, stop))).await;
            for (task, done) in some.iter().zip(asked) {
                let whole = (manager.clone(), None);
                let one = (manager.clone(), Some(task.host().clone()));
                match done? {
                    Done::NotNow => {}
                    Done::Yes => {
                        self.waiting.remove(&whole);
                        self.waiting.remove(&one);
                    }
                    Done::Failed(error) if error.is_of_all() => self.failed(whole, &error),
                    Done::Failed(error) => self.failed(one, &error),
                }
            }
        }
        Ok(())
    }

    fn failed(&mut self, about: About, error: &NodesError) {
        let now = self.clock.now();
        let failures = match self.waiting.get(&about) {
            // Several were asked at once: that is one failure.
            Some(waiting) if waiting.until > now => return,
            Some(waiting) => waiting.failures.saturating_add(1),
            None => 1,
        };
        let reason = told(error);
        let (manager, host) = &about;
        tracing::warn!(%manager, ?host, reason, "a container manager could not be asked, trying again later");
        let until = retry_at(failures, now, self.entropy.number());
        let with = self.defined.get(&about.0).copied();
        self.waiting.insert(about, Waiting { failures, until, with, is_told: false, reason });
    }

    /// Who is to be left alone now, and why.
    fn waiting(&self, manager: &ContainerManagerName, host: &HostAddress) -> Option<&Waiting> {
        let now = self.clock.now();
        let about = |host: Option<&HostAddress>| {
            self.waiting.get(&(manager.clone(), host.cloned())).filter(|waiting| waiting.until > now)
        };
        about(None).or_else(|| about(Some(host)))
    }

    async fn claimed(
        &self,
        manager: &ContainerManagerName,
        task: &Task,
        stop: &Stop,
    ) -> Result<Done, StepError> {
        let waiting = self.waiting(manager, task.host());
        match (waiting, task) {
            (Some(_), Task::Forget(_)) => return Ok(Done::NotNow),
            (Some(waiting), Task::Take { reason, .. }) if reason.as_ref() == Some(&waiting.reason) => {
                return Ok(Done::NotNow);
            }
            _ => {}
        }
        let name = claim_on(task.host());
        let Some(claim) = self.claims.take(&name, &self.holder, self.clock.now(), LEASE).await? else {
            return Ok(Done::NotNow);
        };
        let while_held = stop.part();
        let done = async {
            match task {
                Task::Take { cluster, host, .. } => self.take(&claim, cluster, host, waiting).await,
                Task::Forget(node) => self.forget(&claim, node).await,
            }
        };
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, done).await
    }

    async fn take(
        &self,
        claim: &Claim,
        cluster: &ClusterName,
        host: &HostAddress,
        waiting: Option<&Waiting>,
    ) -> Result<Done, StepError> {
        if let Some(waiting) = waiting {
            self.fleet.record_unregistered(claim, host, &waiting.reason).await?;
            return Ok(Done::NotNow);
        }
        let registered = async {
            match self.nodes.node(cluster, host).await? {
                Some(node) => node.register().await.map(drop),
                // It takes every host.
                None => Ok(()),
            }
        };
        match registered.await {
            Ok(()) => {
                self.fleet.record_registered(claim, host, cluster).await?;
                tracing::info!(%host, %cluster, "container manager has the host");
                Ok(Done::Yes)
            }
            Err(error) if error.is_ours() => Err(error.into()),
            Err(error) => {
                self.fleet.record_unregistered(claim, host, &told(&error)).await?;
                Ok(Done::Failed(error))
            }
        }
    }

    async fn forget(&self, claim: &Claim, node: &NodeLeaving) -> Result<Done, StepError> {
        match self.nodes.forget(node).await {
            Ok(()) => {}
            Err(error) if error.is_ours() => return Err(error.into()),
            Err(error) => return Ok(Done::Failed(error)),
        }
        self.fleet.record_node_left(claim, node).await?;
        Ok(Done::Yes)
    }
}

impl Reconciler for RegisterNodes {
    fn name(&self) -> &'static str {
        "nodes"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        self.go_round(stop).boxed()
    }

    fn cares(&self, what: &str) -> bool {
        is_of_nodes(what)
    }
}

#[cfg(test)]
mod tests;
