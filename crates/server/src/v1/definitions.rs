//! Networks and container managers: made once and never changed.

use std::sync::Arc;

use fleet::{
    ContainerManager, ContainerManagerKind, ContainerManagerName, DefinitionError, Fleet, HIDDEN, Network,
    NetworkKind, NetworkName, Options, ReadContainerManagers, ReadNetworks, Seen,
};
use identity::Permit;
use serde_json::{Map, Value};
use wire::Page;

use super::V1;
use super::answer::Answer;
use super::asked::{Asked, cursor};
use super::condition::{Condition, Current};
use super::refusal::Refusal;
use super::shown;

/// What the cursors of lists of networks begin with.
const NETWORKS: char = 'n';
/// What the cursors of lists of container managers begin with.
const CONTAINER_MANAGERS: char = 'm';

impl V1 {
    pub(super) async fn networks(&self, asked: Asked) -> Result<Answer, Refusal> {
        let all = self.fleet().networks(asked.permit()?).await?;
        paged(&asked, NETWORKS, all, |network| network.name.to_string(), shown::network)
    }

    pub(super) async fn network(&self, asked: Asked) -> Result<Answer, Refusal> {
        let seen = self.fleet().network(asked.permit()?, &asked.part(0)?).await?;
        Ok(Answer::ok(&shown::network(seen.is)).of(shown::current(seen.version)))
    }

    pub(super) async fn network_secrets(&self, asked: Asked) -> Result<Answer, Refusal> {
        let seen = self.fleet().network_in_clear(asked.permit()?, &asked.part(0)?).await?;
        Ok(Answer::ok(&wire::Secrets { options: seen.is.options.into_map() }).secret())
    }

    pub(super) async fn put_network(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let name: NetworkName = asked.part(0)?;
        let said: wire::NewNetwork = asked.json().await?;
        let kind = match said.kind {
            wire::NetworkKind::FlannelEtcd => NetworkKind::FlannelEtcd,
            wire::NetworkKind::FlannelServer => NetworkKind::FlannelServer,
        };
        let network = Network { name: name.clone(), kind, options: options(said.options)? };
        network.check().map_err(|error| Refusal::unfit(error.to_string()))?;
        let expected = asked
            .condition
            .expected(self.current_network(asked.permit()?, &asked.condition, &name).await?.as_ref())?;
        let put = |fleet: Arc<Fleet>| async move { fleet.put_network(permit, network, expected).await };
        let put = self.change(put).await.map_err(Refusal::of_definition)?;
        let answer = Answer::ok(&shown::network(put.is.shown())).of(shown::current(put.version));
        Ok(answer.created_if(put.is_new, &["networks", name.as_str()]))
    }

    pub(super) async fn delete_network(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let name: NetworkName = asked.part(0)?;
        let expected = asked
            .condition
            .expected_there(self.current_network(asked.permit()?, &asked.condition, &name).await?.as_ref())?;
        self.change(|fleet| async move { fleet.delete_network(permit, &name, expected).await })
            .await
            .map_err(Refusal::of_definition)?;
        Ok(Answer::gone())
    }

    pub(super) async fn container_managers(&self, asked: Asked) -> Result<Answer, Refusal> {
        let all = self.fleet().container_managers(asked.permit()?).await?;
        paged(&asked, CONTAINER_MANAGERS, all, |manager| manager.name.to_string(), shown::container_manager)
    }

    pub(super) async fn container_manager(&self, asked: Asked) -> Result<Answer, Refusal> {
        let seen = self.fleet().container_manager(asked.permit()?, &asked.part(0)?).await?;
        Ok(Answer::ok(&shown::container_manager(seen.is)).of(shown::current(seen.version)))
    }

    pub(super) async fn container_manager_secrets(&self, asked: Asked) -> Result<Answer, Refusal> {
        let seen = self.fleet().container_manager_in_clear(asked.permit()?, &asked.part(0)?).await?;
        Ok(Answer::ok(&wire::Secrets { options: seen.is.options.into_map() }).secret())
    }

    pub(super) async fn put_container_manager(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let name: ContainerManagerName = asked.part(0)?;
        let said: wire::NewContainerManager = asked.json().await?;
        let kind = match said.kind {
            wire::ContainerManagerKind::OpenShift => ContainerManagerKind::OpenShift,
            wire::ContainerManagerKind::Kubernetes => ContainerManagerKind::Kubernetes,
            wire::ContainerManagerKind::Trivial => ContainerManagerKind::Trivial,
        };
        let manager = ContainerManager { name: name.clone(), kind, options: options(said.options)? };
        manager.check().map_err(|error| Refusal::unfit(error.to_string()))?;
        let current = self.current_container_manager(asked.permit()?, &asked.condition, &name).await?;
        let expected = asked.condition.expected(current.as_ref())?;
        let put =
            |fleet: Arc<Fleet>| async move { fleet.put_container_manager(permit, manager, expected).await };
        let put = self.change(put).await.map_err(Refusal::of_definition)?;
        let answer = Answer::ok(&shown::container_manager(put.is.shown())).of(shown::current(put.version));
        Ok(answer.created_if(put.is_new, &["container-managers", name.as_str()]))
    }

    pub(super) async fn delete_container_manager(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let name: ContainerManagerName = asked.part(0)?;
        let current = self.current_container_manager(asked.permit()?, &asked.condition, &name).await?;
        let expected = asked.condition.expected_there(current.as_ref())?;
        self.change(|fleet| async move { fleet.delete_container_manager(permit, &name, expected).await })
            .await
            .map_err(Refusal::of_definition)?;
        Ok(Answer::gone())
    }

    /// What a network is called by whoever writes, where the request depends on that.
    async fn current_network(
        &self,
        permit: Permit<ReadNetworks>,
        condition: &Condition,
        name: &NetworkName,
    ) -> Result<Option<Current>, Refusal> {
        if !condition.is_there() {
            return Ok(None);
        }
        current(self.fleet().network(permit, name).await)
    }

    async fn current_container_manager(
        &self,
        permit: Permit<ReadContainerManagers>,
        condition: &Condition,
        name: &ContainerManagerName,
    ) -> Result<Option<Current>, Refusal> {
        if !condition.is_there() {
            return Ok(None);
        }
        current(self.fleet().container_manager(permit, name).await)
    }
}

/// What is there, if anything.
fn current<T>(seen: Result<Seen<T>, DefinitionError>) -> Result<Option<Current>, Refusal> {
    match seen {
        Ok(seen) => Ok(Some(shown::current(seen.version))),
        Err(DefinitionError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A page of what was read as a whole, in bytewise order.
fn paged<T, W: serde::Serialize>(
    asked: &Asked,
    list: char,
    all: Vec<Seen<T>>,
    name: impl Fn(&T) -> String,
    shown: impl Fn(T) -> W,
) -> Result<Answer, Refusal> {
    let (limit, after) = (asked.limit()?, asked.after::<String>(list)?);
    let mut all: Vec<(String, T)> = all.into_iter().map(|seen| (name(&seen.is), seen.is)).collect();
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    if let Some(after) = after {
        all.retain(|(name, _)| *name > after);
    }
    let next = (all.len() > limit).then(|| cursor(list, &all[limit - 1].0));
    all.truncate(limit);
    Ok(Answer::ok(&Page { items: all.into_iter().map(|(_, item)| shown(item)).collect::<Vec<_>>(), next }))
}

/// Options, none of which is what is shown instead of a secret: who sends that has copied an answer.
fn options(said: Map<String, Value>) -> Result<Options, Refusal> {
    if let Some((name, _)) = said.iter().find(|(_, value)| has_hidden(value)) {
        let name: String = name.chars().take(100).collect();
        return Err(Refusal::unfit(format!("the option `{name}` is what is shown instead of a secret")));
    }
    Ok(Options::new(said))
}

/// Whether what is shown instead of a secret stands anywhere in `value`.
fn has_hidden(value: &Value) -> bool {
    match value {
        Value::String(text) => text == HIDDEN,
        Value::Array(items) => items.iter().any(has_hidden),
        Value::Object(members) => members.values().any(has_hidden),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What clients take care of as a secret, the fleet keeps as one.
    #[test]
    fn clients_and_the_fleet_know_the_same_secrets() {
        assert_eq!(wire::rules::HIDDEN, HIDDEN);
        for (name, is_secret) in [
            ("token", true),
            ("password", true),
            ("certificate_key_path", true),
            ("api_key", true),
            ("server_url", false),
            ("mtu", false),
        ] {
            let options = [(name.to_owned(), Value::from("x"))].into_iter().collect();
            let (name_of_it, kind) = ("a".parse().unwrap(), NetworkKind::default());
            let network = Network { name: name_of_it, kind, options: Options::new(options) };
            let is_hidden = network.shown().options.text(name) == Some(HIDDEN);
            assert_eq!((is_hidden, base::is_secret_name(name)), (is_secret, is_secret), "{name}");
        }
    }
}
