//! Clusters, the hosts in them, and the operations on them.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleet::{
    ClusterError, ClusterName, ClusterView, ContainerManagerName, DefinitionError, DeployVersion, Expected,
    Fleet, HostAddress, HostFilter, MembersError, NetworkName, NewCluster, OperationError, OperationKind,
    Plan, ReadClusters, ReadContainerManagers, ReadHosts, ReadNetworks, StartOperation,
};
use http::StatusCode;
use identity::Permit;
use wire::Page;

use super::V1;
use super::answer::Answer;
use super::asked::{Asked, cursor};
use super::condition::Condition;
use super::hosts::{LIST as HOSTS, next, shown_host};
use super::refusal::Refusal;
use super::shown;

/// What the cursors of lists of clusters begin with.
const LIST: char = 'c';
/// How often the hosts of a cluster are replaced again when others come and go, and nobody said which are expected.
const ATTEMPTS_MAX: usize = 64;

fn shown_cluster(view: &ClusterView) -> Answer {
    Answer::ok(&shown::cluster(view)).of(shown::current_cluster(view))
}

impl V1 {
    pub(super) async fn clusters(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (limit, after) = (asked.limit()?, asked.after::<ClusterName>(LIST)?);
        let page = self.fleet().clusters(permit, after.as_ref(), limit).await?;
        let items: Vec<_> = page.clusters.iter().map(shown::cluster).collect();
        let next = page.next.map(|name| cursor(LIST, name.as_str()));
        Ok(Answer::ok(&Page { items, next }))
    }

    pub(super) async fn cluster(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        Ok(shown_cluster(&self.fleet().cluster(permit, &asked.part(0)?).await?))
    }

    pub(super) async fn put_cluster(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let name: ClusterName = asked.part(0)?;
        let said: wire::ClusterSettings = asked.json().await?;
        let new = self.new_cluster(asked.permit()?, asked.permit()?, said).await?;
        let expected = self.expected_cluster(asked.permit()?, &asked.condition, &name).await?;
        let put_name = name.clone();
        let put =
            |fleet: Arc<Fleet>| async move { fleet.put_cluster(permit, &put_name, &new, expected).await };
        let put = self.change(put).await.map_err(Refusal::of_cluster)?;
        let view = self.fleet().cluster(asked.permit()?, &name).await?;
        Ok(shown_cluster(&view).created_if(put.put.is_new, &["clusters", name.as_str()]))
    }

    pub(super) async fn delete_cluster(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let name: ClusterName = asked.part(0)?;
        let expected = match self.expected_cluster(asked.permit()?, &asked.condition, &name).await? {
            // Then there is nothing to delete, and the room says so.
            Expected::Absent => Expected::Anything,
            expected => expected,
        };
        self.change(|fleet| async move { fleet.delete_cluster(permit, &name, expected).await })
            .await
            .map_err(Refusal::of_cluster)?;
        Ok(Answer::gone())
    }

    pub(super) async fn members(&self, asked: Asked) -> Result<Answer, Refusal> {
        let name: ClusterName = asked.part(0)?;
        self.fleet().cluster(asked.permit()?, &name).await?;
        let permit = asked.permit::<ReadHosts>()?;
        let (limit, after) = (asked.limit()?, asked.after::<HostAddress>(HOSTS)?);
        let filter = HostFilter { cluster: Some(name), ..HostFilter::default() };
        let page = self.fleet().hosts(permit, &filter, after.as_ref(), limit).await?;
        let items: Vec<_> = page.hosts.iter().map(|host| host.is.address.to_string()).collect();
        Ok(Answer::ok(&Page { items, next: next(&page) }))
    }

    pub(super) async fn replace_members(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        asked.permit::<fleet::ReplaceMembers>()?;
        let name: ClusterName = asked.part(0)?;
        let said: wire::Members = asked.json().await?;
        let new = addresses(said.hosts)?;
        let expected = said.expected.map(addresses).transpose()?;
        let mut attempts = 0;
        let replaced = loop {
            let old = match &expected {
                Some(expected) => expected.clone(),
                None => {
                    let now = self.fleet().members(asked.permit()?, &name).await?;
                    now.iter().map(ToString::to_string).collect()
                }
            };
            let (permit, name, new) = (asked.permit()?, name.clone(), new.clone());
            let replaced = self
                .change(|fleet| async move { fleet.replace_members(permit, &name, &old, &new).await })
                .await;
            attempts += 1;
            match replaced {
                Err(MembersError::NotAsExpected { .. }) if expected.is_none() && attempts < ATTEMPTS_MAX => {}
                replaced => break replaced,
            }
        };
        let roster = replaced.map_err(Refusal::of_members)?;
        Ok(shown_cluster(&roster.view))
    }

    pub(super) async fn member(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (name, address): (ClusterName, _) = (asked.part(0)?, asked.address(1)?);
        if !self.fleet().is_member(asked.permit()?, &name, &address).await? {
            return Err(no_member(&name, &address));
        }
        Ok(shown_host(&self.fleet().host(asked.permit()?, &address).await?))
    }

    pub(super) async fn join(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (name, address): (ClusterName, _) = (asked.part(0)?, asked.address(1)?);
        asked.nothing().await?;
        let (joining, host) = (name.clone(), address.clone());
        let is_new = self.change(|fleet| async move { fleet.join(permit, &joining, &host).await }).await?;
        let host = self.fleet().host(asked.permit()?, &address).await?;
        let place = ["clusters", name.as_str(), "hosts", address.as_str()];
        Ok(shown_host(&host).created_if(is_new, &place))
    }

    pub(super) async fn leave(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (name, address): (ClusterName, _) = (asked.part(0)?, asked.address(1)?);
        let (leaving, host) = (name.clone(), address.clone());
        if !self.change(|fleet| async move { fleet.leave(permit, &leaving, &host).await }).await? {
            return Err(no_member(&name, &address));
        }
        Ok(Answer::gone())
    }

    pub(super) async fn operations(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let operations = self.fleet().operations(permit, &asked.part(0)?).await?;
        let items: Vec<_> = operations.iter().map(shown::operation).collect();
        Ok(Answer::ok(&Page { items, next: None }))
    }

    pub(super) async fn operation(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let name: ClusterName = asked.part(0)?;
        let kind = OperationKind::ALL.into_iter().find(|kind| kind.as_str() == asked.text(1));
        let kind = kind
            .ok_or_else(|| Refusal::malformed("an operation's kind is `deploy`, `upgrade` or `restart`"))?;
        let operation = self.fleet().operation(permit, &name, kind).await?;
        Ok(Answer::ok(&shown::operation(&operation.is)).of(shown::current(operation.version)))
    }

    pub(super) async fn start_operation(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit::<StartOperation>()?;
        let name: ClusterName = asked.part(0)?;
        let plan = plan(asked.json().await?)?;
        let (on, kind) = (name.clone(), plan.kind());
        let started: Result<_, OperationError> =
            self.change(|fleet| async move { fleet.start(permit, &on, plan).await }).await;
        let started = started.map_err(Refusal::of_operation)?;
        let place = ["clusters", name.as_str(), "operations", kind.as_str()];
        Ok(Answer::ok(&shown::operation(&started)).created(&place))
    }

    /// What a cluster is to be. What it names has to be there: later nobody would think of this request.
    async fn new_cluster(
        &self,
        networks: Permit<ReadNetworks>,
        managers: Permit<ReadContainerManagers>,
        said: wire::ClusterSettings,
    ) -> Result<NewCluster, Refusal> {
        let mut new = NewCluster::default();
        if let Some(network) = said.network {
            let name: NetworkName =
                network.parse().map_err(|error| Refusal::malformed(format!("`network`: {error}")))?;
            // The one that clusters are in which name none is fine also when it was deleted.
            if network != new.network {
                self.fleet().network(networks, &name).await.map_err(missing)?;
            }
            new.network = network;
        }
        if let Some(manager) = said.container_manager {
            let name: ContainerManagerName = manager
                .parse()
                .map_err(|error| Refusal::malformed(format!("`container_manager`: {error}")))?;
            self.fleet().container_manager(managers, &name).await.map_err(missing)?;
            new.container_manager = manager;
        }
        Ok(new)
    }

    /// What whoever writes expects of a cluster, after a look at it where they name a condition.
    async fn expected_cluster(
        &self,
        permit: Permit<ReadClusters>,
        condition: &Condition,
        name: &ClusterName,
    ) -> Result<Expected, Refusal> {
        if !condition.is_there() {
            return Ok(Expected::Anything);
        }
        let current = match self.fleet().cluster(permit, name).await {
            Ok(view) => Some(shown::current_cluster(&view)),
            Err(ClusterError::NoSuchCluster { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        condition.expected(current.as_ref())
    }
}

fn no_member(name: &ClusterName, address: &HostAddress) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("the host {address} does not belong to the cluster `{name}`"))
}

/// What is named in a body and not there is in the way: the path itself leads somewhere.
fn missing(error: DefinitionError) -> Refusal {
    match error {
        DefinitionError::NotFound { noun, .. } => {
            Refusal::with(StatusCode::CONFLICT, &error).hint(Some(format!("make the {noun} first")))
        }
        error => error.into(),
    }
}

/// Addresses, each of which can be one.
fn addresses(texts: Vec<String>) -> Result<BTreeSet<String>, Refusal> {
    for text in &texts {
        text.parse::<HostAddress>().map_err(Refusal::address)?;
    }
    Ok(texts.into_iter().collect())
}

fn plan(said: wire::NewOperation) -> Result<Plan, Refusal> {
    Ok(match said {
        wire::NewOperation::Deploy { version } => {
            let is_visible = version.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_visible || version.starts_with('-') {
                return Err(Refusal::malformed(
                    "a version has visible ASCII characters and does not begin with `-`",
                ));
            }
            Plan::Deploy { version: version.parse::<DeployVersion>()? }
        }
        wire::NewOperation::Upgrade {} => Plan::Upgrade,
        wire::NewOperation::Restart {} => Plan::Restart,
    })
}
