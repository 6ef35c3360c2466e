//! Clusters, and the hosts in them.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::House;
use fleet::{
    ClusterError, ClusterName, ClusterView, ContainerManagerName, ExpectedSettings, Fleet, HostAddress,
    HostFilter, HostPage, MembersError, NetworkName, NewCluster, Put, ReadClusters, ReadHosts, Seen,
};
use identity::Permit;
use wire::Page;

use super::V1;
use super::answer::Answer;
use super::asked::{Asked, cursor};
use super::condition::Condition;
use super::hosts::{LIST as HOSTS, next, shown_host};
use super::refusal::Refusal;
use super::shown;
use super::table::Parameter;
use crate::fault;

/// What the cursors of lists of clusters begin with.
const LIST: char = 'c';

fn shown_cluster(view: &ClusterView) -> Answer {
    Answer::ok(&shown::cluster(view)).of(shown::current_cluster(view))
}

/// Hosts of a cluster by their addresses.
fn shown_members(page: &HostPage) -> Page<String> {
    Page { items: page.hosts.iter().map(|host| host.is.address.to_string()).collect(), next: next(page) }
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
        let new = new_cluster(said)?;
        // Counts are not what is replaced: that they are others by now is no reason to refuse.
        let condition = asked.condition.without_counts();
        let seen = self.seen_cluster(asked.permit()?, &condition, &name).await?;
        if !condition.is_met_by(seen.as_ref().map(shown::settings_tag).as_deref()) {
            return Err(Refusal::not_as_expected());
        }
        let expected = match seen {
            _ if !condition.is_there() => ExpectedSettings::Anything,
            Some(view) => ExpectedSettings::Are(view.settings()),
            None => ExpectedSettings::Absent,
        };
        let put_name = name.clone();
        let put = |fleet: Arc<Fleet>| async move {
            fleet.put_cluster_of_what_is_there(permit, &put_name, &new, &expected).await
        };
        let put = self.change(put).await.map_err(Refusal::of_cluster)?;
        Ok(shown_cluster(&put.is).created_if(put.is_new, &["clusters", name.as_str()]))
    }

    pub(super) async fn delete_cluster(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (name, is_forced): (ClusterName, bool) = (asked.part(0)?, asked.flag(Parameter::Force)?);
        let seen = self.seen_cluster(asked.permit()?, &asked.condition, &name).await?;
        let current = seen.as_ref().map(shown::current_cluster);
        let expected = asked.condition.expected_there(current.as_ref())?;
        let deleted =
            |house: Arc<House>| async move { house.delete_cluster(permit, &name, expected, is_forced).await };
        let deleted = self.have(deleted).await.map_err(Refusal::of_deletion)?;
        Ok(Answer::gone().warning(deleted.are_nodes_still_there.then_some(fault::NODES_STILL_THERE)))
    }

    pub(super) async fn members(&self, asked: Asked) -> Result<Answer, Refusal> {
        let name: ClusterName = asked.part(0)?;
        self.fleet().cluster(asked.permit()?, &name).await?;
        let permit = asked.permit::<ReadHosts>()?;
        let (limit, after) = (asked.limit()?, asked.after::<HostAddress>(HOSTS)?);
        let filter = HostFilter { cluster: Some(name), ..HostFilter::default() };
        let page = self.fleet().hosts(permit, &filter, after.as_ref(), limit).await?;
        Ok(Answer::ok(&shown_members(&page)))
    }

    pub(super) async fn replace_members(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let name: ClusterName = asked.part(0)?;
        let said: wire::Members = asked.json().await?;
        let new = addresses(said.hosts)?;
        let expected = said.expected.map(addresses).transpose()?;
        let may_look = (asked.permit()?, asked.permit()?);
        let seen = self.members_depended_on(may_look, &asked.condition, &name).await?;
        let depends = seen.is_some();
        let expected = expected.or(seen);
        let replaced = |fleet: Arc<Fleet>| async move {
            fleet.replace_members(permit, &name, expected.as_ref(), &new).await
        };
        let roster = self.change(replaced).await.map_err(|error| match error {
            MembersError::NotAsExpected { .. } if depends => Refusal::not_as_expected(),
            error => Refusal::of_members(error),
        })?;
        // Without the cluster's tag: here it would be taken for that of the list.
        Ok(Answer::ok(&shown::cluster(&roster.view)))
    }

    /// The hosts that a cluster has, where the request depends on which they are.
    async fn members_depended_on(
        &self,
        (clusters, hosts): (Permit<ReadClusters>, Permit<ReadHosts>),
        condition: &Condition,
        name: &ClusterName,
    ) -> Result<Option<BTreeSet<String>>, Refusal> {
        if !condition.is_there() {
            return Ok(None);
        }
        match self.fleet().cluster(clusters, name).await {
            Ok(_) => {}
            Err(ClusterError::NoSuchCluster { .. }) if !condition.is_met_by(None) => {
                return Err(Refusal::not_as_expected());
            }
            Err(error) => return Err(error.into()),
        }
        let filter = HostFilter { cluster: Some(name.clone()), ..HostFilter::default() };
        let page = self.fleet().hosts(hosts, &filter, None, wire::LIMIT_MAX).await?;
        let shown = shown_members(&page);
        let is_met = Answer::ok(&shown).called().is_some_and(|tag| condition.is_met_by(Some(&tag)));
        // The tag of one page of several says nothing of the hosts on the others.
        if !is_met || (condition.names_tags() && shown.next.is_some()) {
            let hint = (shown.items.len() > wire::LIMIT_DEFAULT || shown.next.is_some())
                .then(|| "only a page with all of the hosts has their tag; or say `expected` instead".into());
            return Err(Refusal::not_as_expected().hint(hint));
        }
        Ok(condition.names_tags().then(|| shown.items.into_iter().collect()))
    }

    pub(super) async fn member(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (name, address): (ClusterName, _) = (asked.part(0)?, asked.address(1)?);
        self.fleet().check_membership(asked.permit()?, &name, &address).await?;
        Ok(shown_host(&self.fleet().host(asked.permit()?, &address).await?))
    }

    pub(super) async fn join(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (name, address): (ClusterName, _) = (asked.part(0)?, asked.address(1)?);
        asked.nothing().await?;
        let (joining, host) = (name.clone(), address.clone());
        let joined = |house: Arc<House>| async move { house.join(permit, &joining, &host).await };
        let Put { is, version, is_new } = self.have(joined).await.map_err(Refusal::of_joining)?;
        let place = ["clusters", name.as_str(), "hosts", address.as_str()];
        Ok(shown_host(&Seen { is, version }).created_if(is_new, &place))
    }

    pub(super) async fn leave(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (name, address): (ClusterName, _) = (asked.part(0)?, asked.address(1)?);
        let (leaving, host) = (name.clone(), address.clone());
        let left = self.have(|house| async move { house.leave(permit, &leaving, &host).await }).await?;
        if !left.was_member {
            return Err(MembersError::NotAMember { cluster: name, address }.into());
        }
        Ok(Answer::gone().warning(left.still_there.is_some().then_some(fault::NODE_STILL_THERE)))
    }

    /// A cluster as it is, where the request depends on that.
    async fn seen_cluster(
        &self,
        permit: Permit<ReadClusters>,
        condition: &Condition,
        name: &ClusterName,
    ) -> Result<Option<ClusterView>, Refusal> {
        if !condition.is_there() {
            return Ok(None);
        }
        match self.fleet().cluster(permit, name).await {
            Ok(view) => Ok(Some(view)),
            Err(ClusterError::NoSuchCluster { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a cluster is to be.
fn new_cluster(said: wire::ClusterSettings) -> Result<NewCluster, Refusal> {
    let mut new = NewCluster::default();
    if let Some(network) = said.network {
        let name = network.parse::<NetworkName>();
        name.map_err(|error| Refusal::malformed(format!("`network`: {error}")))?;
        new.network = network;
    }
    if let Some(manager) = said.container_manager {
        let name = manager.parse::<ContainerManagerName>();
        name.map_err(|error| Refusal::malformed(format!("`container_manager`: {error}")))?;
        new.container_manager = manager;
    }
    Ok(new)
}

/// Addresses, each of which can be one.
fn addresses(texts: Vec<String>) -> Result<BTreeSet<String>, Refusal> {
    for text in &texts {
        text.parse::<HostAddress>().map_err(Refusal::address)?;
    }
    Ok(texts.into_iter().collect())
}
