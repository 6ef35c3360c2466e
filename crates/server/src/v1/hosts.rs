//! Hosts, and how to get into them.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet::{
    AddHost, Credentials, Expected, Fleet, Host, HostAddress, HostError, HostFilter, HostPage, HostStatus,
    LabelChange, Labels, NewHost, ReadHosts, RegisterHost, Seen, TEXT_BYTES_MAX,
};
use identity::Permit;
use wire::Page;

use super::V1;
use super::answer::Answer;
use super::asked::{Asked, cursor};
use super::condition::{Condition, Current};
use super::refusal::Refusal;
use super::shown;
use super::table::Parameter;
use crate::signing_in;

/// What the cursors of lists of hosts begin with.
pub(super) const LIST: char = 'h';

/// A host, and what it is called.
pub(super) fn shown_host(host: &Seen<Host>) -> Answer {
    Answer::ok(&shown::host(&host.is)).of(shown::current(host.version))
}

/// Where the page behind this one begins.
pub(super) fn next(page: &HostPage) -> Option<String> {
    page.next.as_ref().map(|address| cursor(LIST, address.as_str()))
}

impl V1 {
    pub(super) async fn hosts(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (limit, after) = (asked.limit()?, asked.after::<HostAddress>(LIST)?);
        let Some(filter) = filter(&asked)? else {
            return Ok(Answer::ok(&Page::<wire::Host> { items: Vec::new(), next: None }));
        };
        let page = self.fleet().hosts(permit, &filter, after.as_ref(), limit).await?;
        let items: Vec<_> = page.hosts.iter().map(|host| shown::host(&host.is)).collect();
        Ok(Answer::ok(&Page { items, next: next(&page) }))
    }

    pub(super) async fn host(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        Ok(shown_host(&self.fleet().host(permit, &asked.address(0)?).await?))
    }

    pub(super) async fn register_host(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit::<RegisterHost>()?;
        if asked.is_anonymous {
            return Err(Refusal::malformed(signing_in::SILENT_PROXY));
        }
        let new = new_host(asked.json().await?)?;
        let put = self.change(|fleet| async move { fleet.register_host(permit, new).await }).await?;
        let answer = Answer::ok(&shown::host(&put.is)).of(shown::current(put.version));
        Ok(answer.created_if(put.is_new, &["hosts", put.is.address.as_str()]))
    }

    pub(super) async fn put_host(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit::<AddHost>()?;
        let address = asked.address(0)?;
        let new = new_host(asked.json().await?)?;
        let address = address.reachable().map_err(Refusal::of_new_host)?;
        let expected = asked
            .condition
            .expected(self.current_host(asked.permit()?, &asked.condition, &address).await?.as_ref())?;
        let put = |fleet: Arc<Fleet>| async move { fleet.add_host_if(permit, address, new, expected).await };
        let put = self.change(put).await.map_err(Refusal::of_new_host)?;
        let answer = Answer::ok(&shown::host(&put.is)).of(shown::current(put.version));
        Ok(answer.created_if(put.is_new, &["hosts", put.is.address.as_str()]))
    }

    pub(super) async fn patch_host(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let address = asked.address(0)?;
        let patch: wire::HostPatch = asked.json().await?;
        let change = LabelChange::new(patch.labels)?;
        let expected = if asked.condition.is_there() {
            let host = self.fleet().host(asked.permit()?, &address).await?;
            asked.condition.expected(Some(&shown::current(host.version)))?
        } else {
            Expected::Anything
        };
        let label =
            |fleet: Arc<Fleet>| async move { fleet.label_host(permit, &address, &change, expected).await };
        Ok(shown_host(&self.change(label).await.map_err(Refusal::of_host)?))
    }

    pub(super) async fn delete_host(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let address = asked.address(0)?;
        let current = self.current_host(asked.permit()?, &asked.condition, &address).await?;
        let expected = asked.condition.expected_there(current.as_ref())?;
        self.change(|fleet| async move { fleet.delete_host(permit, &address, expected).await })
            .await
            .map_err(Refusal::of_host)?;
        Ok(Answer::gone())
    }

    pub(super) async fn host_report(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (host, node) = self.house.host_status(permit, &asked.address(0)?).await?;
        Ok(Answer::ok(&shown::report(&host.is, &node)))
    }

    pub(super) async fn credentials(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let address = asked.address(0)?;
        let credentials = self.fleet().credentials(permit, &address).await?;
        Ok(Answer::ok(&shown::credentials(&address, &credentials)).secret())
    }

    /// What a host is called by whoever writes, where the request depends on that.
    async fn current_host(
        &self,
        permit: Permit<ReadHosts>,
        condition: &Condition,
        address: &HostAddress,
    ) -> Result<Option<Current>, Refusal> {
        if !condition.is_there() {
            return Ok(None);
        }
        match self.fleet().host(permit, address).await {
            Ok(host) => Ok(Some(shown::current(host.version))),
            Err(HostError::NoSuchHost { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Which hosts are wanted; `None` when no host can have two values of one label.
fn filter(asked: &Asked) -> Result<Option<HostFilter>, Refusal> {
    let text = |parameter: Parameter| {
        let text = asked.one(parameter)?;
        let is_fine = text.is_none_or(|text| (1..=TEXT_BYTES_MAX).contains(&text.chars().count()));
        let bad =
            || Refusal::malformed(format!("`{}` has 1 to {TEXT_BYTES_MAX} characters", parameter.name()));
        if is_fine { Ok(text) } else { Err(bad()) }
    };
    let (status, os) = (asked.one(Parameter::Status)?.map(status).transpose()?, text(Parameter::Os)?);
    let cluster = asked.one(Parameter::Cluster)?.map(str::parse).transpose();
    let cluster =
        cluster.map_err(|error: fleet::BadName| Refusal::malformed(format!("`cluster`: {error}")))?;
    let mut wanted = BTreeMap::new();
    let mut is_possible = true;
    for label in asked.all(Parameter::Label) {
        let (key, value) =
            label.split_once('=').ok_or_else(|| Refusal::malformed("`label` is not `KEY=VALUE`"))?;
        let other = wanted.insert(key.to_owned(), value.to_owned());
        is_possible &= other.is_none_or(|other| other == value);
    }
    let labels = Labels::new(wanted)?;
    let os = os.map(str::to_owned);
    Ok(is_possible.then_some(HostFilter { cluster, status, os, labels }))
}

/// The status that hosts are looked for by: one that they are counted as, so that nobody takes a slip of the pen for a
/// fleet without such hosts.
fn status(text: &str) -> Result<HostStatus, Refusal> {
    match text {
        shown::NEW => Ok(HostStatus::New),
        text if wire::rules::STATUSES.contains(&text) => Ok(HostStatus::from(text)),
        _ => Err(Refusal::malformed(format!("`status` is one of {}", wire::rules::STATUSES.join(", ")))),
    }
}

/// A host that is to be added.
fn new_host(said: wire::NewHost) -> Result<NewHost, Refusal> {
    let mut new = NewHost { labels: Labels::new(said.labels)?, ..NewHost::default() };
    if let Some(cluster) = said.cluster {
        let cluster = cluster.parse();
        new.cluster = Some(cluster.map_err(|error| Refusal::malformed(format!("`cluster`: {error}")))?);
    }
    let credentials = Credentials::usable(said.remote_user, said.ssh_private_key.as_ref());
    new.credentials = credentials.map_err(Refusal::of_credentials)?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_hosts_are_counted_as_can_be_looked_for() {
        use HostStatus::{Active, Bootstrapping, Disassociated, Failed, Investigating, New, Other};
        let counted =
            [New, Investigating, Bootstrapping, Disassociated, Active, Failed, Other("other".into())];
        for (text, expected) in wire::rules::STATUSES.into_iter().zip(counted) {
            assert_eq!(status(text).unwrap(), expected, "{text}");
        }
        for text in ["", "actve", "Active", "on fire"] {
            assert!(status(text).is_err(), "{text}");
        }
    }
}
