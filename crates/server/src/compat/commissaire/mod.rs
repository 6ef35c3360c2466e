//! Commissaire's dialect, `/api/v0`: what its stock clients say and hear over HTTP (commissaire contract, sections
//! 2 to 5).
//!
//! Who asks is looked at before where they want to go, so that a stranger does not learn which paths there are.

mod answer;
mod bodies;
mod documents;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod numbers;
mod route;

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use engine::House;
use fleet::{
    ClusterName, ContainerManagerName, Expected, Fleet, HostAddress, NetworkName, NewHost, OperationKind,
    ReadSecretOptions, RegisterHost,
};
use futures_util::FutureExt as _;
use http::StatusCode;
use http::request::Parts;
use identity::sign_in::SignedIn;
use identity::{Action, Denied, Permit, Principal};

use self::answer::{Answer, Reader, Refusal};
use self::bodies::{Members, Replacement};
use self::route::Call;
use super::percent;
use crate::answers::Answers;
use crate::app::Entrance;
use crate::doors::read_body;
use crate::fault;
use crate::sharing::Shared;
use crate::signing_in::{self, sign_in};

/// The longest body: more than can be stored of any one thing.
const BODY_BYTES_MAX: usize = 512 * 1024;

/// The longest body that says which hosts a cluster has: room for a hundred thousand before and after.
const MEMBERS_BYTES_MAX: usize = 10 * 1024 * 1024;

/// What is said when a cluster is put into a network that is not there (RFC 7234 §5.5).
const UNKNOWN_NETWORK: &str = "199 provost \"there is no such network; `default` was taken instead\"";

/// How much of what was answered is kept, in bytes: room for the list of a hundred thousand hosts.
const ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The dialect's server side.
pub(crate) struct Commissaire {
    house: Arc<House>,
    api: Arc<Entrance>,
    answers: Answers<Document>,
    /// The lists of all hosts, each of which takes the memory of all hosts while it is made.
    lists: Shared<Bytes>,
}

/// What is read most. There are no secrets in it, so that all who may read it are answered the same.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Document {
    Hosts,
    Host(HostAddress),
    Cluster(ClusterName),
}

/// What is inside the dialect's tree for a path that is not: nothing.
pub(crate) const OUTSIDE: &str = "//";

/// What follows the dialect's root in a path, decoded; `None` when the path is somebody else's.
pub(crate) fn inside(path: &str) -> Option<Cow<'_, str>> {
    match percent::decode(path) {
        Cow::Borrowed(path) => route::inside(path).map(Cow::Borrowed),
        Cow::Owned(path) => route::inside(&path).map(|inside| Cow::Owned(inside.to_owned())),
    }
}

/// A request by somebody who signed in.
struct Asked {
    by: Principal,
    /// Nobody knows from where it came.
    is_anonymous: bool,
    body: Body,
    house: Arc<House>,
}

impl Asked {
    /// Leave for whoever asks; that it is refused is noted for the history.
    fn permit<A: Action>(&self) -> Result<Permit<A>, Refusal> {
        Ok(self.may().inspect_err(|denied| {
            self.house.refusals().request(denied, self.by.from(), self.house.clock());
        })?)
    }

    /// The same for what they did not ask for by itself.
    fn may<A: Action>(&self) -> Result<Permit<A>, Denied> {
        Permit::grant(self.by.clone())
    }

    /// What is in the body.
    async fn members(self) -> Result<Members, Refusal> {
        Ok(Members::read(&read_body(self.body, BODY_BYTES_MAX).await?)?)
    }

    /// Reads a body that means nothing.
    async fn ignore_body(self) -> Result<(), Refusal> {
        read_body(self.body, BODY_BYTES_MAX).await?;
        Ok(())
    }
}

impl Commissaire {
    pub(crate) fn new(house: Arc<House>, api: Arc<Entrance>) -> Self {
        Self { house, api, answers: Answers::new(ANSWERS_BYTES_MAX), lists: Shared::new() }
    }

    /// Answers one request for what is `inside` the dialect's tree. Never fails: a refusal is an answer.
    pub(crate) async fn answer(&self, inside: &str, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let reader = Reader::of(&parts.method, &parts.headers);
        let path = percent::decode(parts.uri.path());
        let refused = |why| Refusal::not_signed_in(why).into_response(reader);
        let SignedIn { principal, headers } =
            match sign_in(&self.house, &self.api, &path, &parts, refused).await {
                Ok(signed_in) => signed_in,
                Err(response) => return response,
            };
        let is_anonymous = signing_in::is_anonymous(&self.api, &parts);
        let asked = Asked { by: principal, is_anonymous, body, house: self.house.clone() };
        let mut response = match self.respond(inside, &parts, asked).await {
            Ok(answer) => answer.into_response(),
            Err(refusal) => refusal.into_response(reader),
        };
        response.headers_mut().extend(headers);
        response
    }

    async fn respond(&self, inside: &str, parts: &Parts, asked: Asked) -> Result<Answer, Refusal> {
        self.call(route::find(&parts.method, inside)?, asked).await
    }

    /// What is asked for most has room in the future that every request takes; the others have theirs when they come.
    async fn call(&self, call: Call, asked: Asked) -> Result<Answer, Refusal> {
        let Call::Host(address) = call else { return self.any_call(call, asked).boxed().await };
        self.host(address, asked).await
    }

    async fn any_call(&self, call: Call, asked: Asked) -> Result<Answer, Refusal> {
        match call {
            Call::Hosts => self.hosts(asked).await,
            Call::Host(address) => self.host(address, asked).await,
            Call::PutHost(address) => self.put_host(address, asked).await,
            Call::PutSomeHost => self.put_some_host(asked).await,
            Call::Credentials(address) => self.credentials(address, asked).await,
            Call::DeleteHost(address) => self.delete_host(address, asked).await,
            Call::HostStatus(address) => self.host_status(address, asked).await,
            Call::Clusters => self.clusters(asked).await,
            Call::Cluster(name) => self.cluster(name, asked).await,
            Call::PutCluster(name) => self.put_cluster(name, asked).await,
            Call::DeleteCluster(name) => self.delete_cluster(name, asked).await,
            Call::Members(name) => self.members(name, asked).await,
            Call::ReplaceMembers(name) => self.replace_members(name, asked).await,
            Call::Member(name, address) => self.member(name, address, asked).await,
            Call::Join(name, address) => self.join(name, address, asked).await,
            Call::Leave(name, address) => self.leave(name, address, asked).await,
            Call::Operation(name, kind) => self.operation(name, kind, asked).await,
            Call::Start(name, kind) => self.start(name, kind, asked).await,
            Call::Networks => self.networks(asked).await,
            Call::Network(name) => self.network(name, asked).await,
            Call::PutNetwork(name) => self.put_network(name, asked).await,
            Call::DeleteNetwork(name) => self.delete_network(name, asked).await,
            Call::ContainerManagers => self.container_managers(asked).await,
            Call::ContainerManager(name) => self.container_manager(name, asked).await,
            Call::PutContainerManager(name) => self.put_container_manager(name, asked).await,
            Call::DeleteContainerManager(name) => self.delete_container_manager(name, asked).await,
        }
    }

    fn fleet(&self) -> &Fleet {
        self.house.fleet()
    }

    /// What was answered before, if it still holds, or else what `make` gives, which is kept.
    async fn kept_or(
        &self,
        document: Document,
        make: impl AsyncFnOnce() -> Result<Answer, Refusal>,
    ) -> Result<Answer, Refusal> {
        let at = self.fleet().revision().await?;
        if let Some(kept) = self.answers.at(at, &document) {
            return Ok(Answer::ready(kept));
        }
        // It takes much more room than what is kept, which most are answered with.
        let answer = Box::pin(make()).await?;
        self.answers.keep(at, document, answer.document());
        Ok(answer)
    }

    /// Changes something; to its end, also when the client hangs up.
    async fn change<T, E, F>(&self, change: impl FnOnce(Arc<Fleet>) -> F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        E: Into<Refusal> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.house.tasks().complete(change(self.house.fleet().clone())).await.map_err(Into::into)
    }

    /// As [`Self::change`], of what somebody else has to be asked for.
    async fn have<T, E, F>(&self, change: impl FnOnce(Arc<House>) -> F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        E: Into<Refusal> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.house.tasks().complete(change(self.house.clone())).await.map_err(Into::into)
    }

    async fn hosts(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let at = self.fleet().revision().await?;
        if let Some(kept) = self.answers.at(at, &Document::Hosts) {
            return Ok(Answer::ready(kept));
        }
        let list = self.lists.share(async || {
            // While we waited, somebody else may have made one that still holds.
            let list = self.kept_or(Document::Hosts, async || {
                let mut items = answer::Items::default();
                let order = self.fleet().all_hosts(permit, |host| items.add(&documents::host(&host))).await?;
                Ok(items.in_order(&order))
            });
            list.await.map(|list| list.document().clone())
        });
        list.await.map(Answer::ready)
    }

    async fn host(&self, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        self.kept_or(Document::Host(address.clone()), async || {
            let host = self.fleet().host(permit, &address).await?;
            Ok(Answer::ok(&documents::host(&host.is)))
        })
        .await
    }

    async fn put_host(&self, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let members = asked.members().await?;
        members.same_address("address", &address)?;
        self.add_host(permit, address, members.host()?).await
    }

    /// Under the address in the body, or under the one that whoever asks comes from.
    async fn put_some_host(&self, asked: Asked) -> Result<Answer, Refusal> {
        let registers = asked.permit::<RegisterHost>()?;
        let is_anonymous = asked.is_anonymous;
        let by =
            Asked { is_anonymous, body: Body::empty(), by: asked.by.clone(), house: asked.house.clone() };
        let members = asked.members().await?;
        if let Some(address) = members.address()? {
            return self.add_host(by.permit()?, address, members.host()?).await;
        }
        if is_anonymous {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, signing_in::SILENT_PROXY));
        }
        let new = members.host()?;
        let put = self.change(|fleet| async move { fleet.register_host(registers, new).await }).await?;
        Ok(Answer::created(&documents::host(&put.is)))
    }

    async fn add_host(
        &self,
        permit: Permit<fleet::AddHost>,
        address: HostAddress,
        new: NewHost,
    ) -> Result<Answer, Refusal> {
        let put = self.change(|fleet| async move { fleet.add_host(permit, address, new).await }).await?;
        Ok(Answer::created(&documents::host(&put.is)))
    }

    async fn credentials(&self, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let credentials = self.fleet().credentials(permit, &address).await?;
        Ok(Answer::ok(&documents::credentials(&address, &credentials)))
    }

    async fn delete_host(&self, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let deleted =
            |fleet: Arc<Fleet>| async move { fleet.delete_host(permit, &address, Expected::Anything).await };
        self.change(deleted).await?;
        Ok(Answer::gone())
    }

    async fn host_status(&self, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let (host, node) = self.house.host_status(permit, &address).await?;
        Ok(Answer::ok(&documents::host_status(&host.is, &node, self.house.entropy())))
    }

    async fn clusters(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let names = self.fleet().cluster_names(permit).await?;
        Ok(Answer::ok(&names.iter().map(ClusterName::as_str).collect::<Vec<_>>()))
    }

    async fn cluster(&self, name: ClusterName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        self.kept_or(Document::Cluster(name.clone()), async || {
            let roster = self.fleet().roster(permit, &name).await?;
            Ok(Answer::ok(&documents::cluster_as_it_does(&roster)))
        })
        .await
    }

    async fn put_cluster(&self, name: ClusterName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let members = asked.members().await?;
        members.same("name", name.as_str())?;
        let new = members.cluster()?;
        let put = |fleet: Arc<Fleet>| async move {
            fleet.put_cluster(permit, &name, &new, Expected::Anything).await
        };
        let put = self.change(put).await?;
        let warning = put.unknown_network.is_some().then_some(UNKNOWN_NETWORK);
        Ok(Answer::created(&documents::cluster(&put.put.is)).warning(warning))
    }

    /// A body that says so has it deleted whatever its container manager says.
    async fn delete_cluster(&self, name: ClusterName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let is_forced = bodies::is_forced(&read_body(asked.body, BODY_BYTES_MAX).await?);
        let deleted = |house: Arc<House>| async move {
            house.delete_cluster(permit, &name, Expected::Anything, is_forced).await
        };
        let deleted = self.have(deleted).await?;
        Ok(Answer::gone().warning(deleted.are_nodes_still_there.then_some(fault::NODES_STILL_THERE)))
    }

    async fn members(&self, name: ClusterName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let hosts = self.fleet().members(permit, &name).await?;
        Ok(Answer::ok(&documents::addresses(&hosts)))
    }

    async fn replace_members(&self, name: ClusterName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let body = read_body(asked.body, MEMBERS_BYTES_MAX).await?;
        let lists = Replacement::read(&body)?;
        lists.same_name(name.as_str())?;
        let (old, new) = (lists.hosts_before()?, lists.hosts_after()?);
        drop(body);
        let replaced =
            |fleet: Arc<Fleet>| async move { fleet.replace_members(permit, &name, Some(&old), &new).await };
        let roster = self.change(replaced).await?;
        Ok(Answer::ok(&documents::cluster_with_hosts(&roster)))
    }

    async fn member(&self, name: ClusterName, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        self.fleet().check_membership(permit, &name, &address).await?;
        Ok(Answer::ok(&[address.as_str()]))
    }

    async fn join(&self, name: ClusterName, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let members = asked.members().await?;
        members.same("name", name.as_str())?;
        members.same_address("host", &address)?;
        let host = address.clone();
        self.have(|house| async move { house.join(permit, &name, &host).await }).await?;
        Ok(Answer::ok(&[address.as_str()]))
    }

    async fn leave(&self, name: ClusterName, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let left = self.have(|house| async move { house.leave(permit, &name, &address).await }).await?;
        Ok(Answer::gone().warning(left.still_there.is_some().then_some(fault::NODE_STILL_THERE)))
    }

    async fn operation(
        &self,
        name: ClusterName,
        kind: OperationKind,
        asked: Asked,
    ) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let operation = self.fleet().operation(permit, &name, kind).await?;
        Ok(Answer::ok(&documents::operation(&operation.is)))
    }

    async fn start(&self, name: ClusterName, kind: OperationKind, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let members = asked.members().await?;
        members.same("name", name.as_str())?;
        let plan = members.plan(kind)?;
        let operation = self.change(|fleet| async move { fleet.start(permit, &name, plan).await }).await?;
        Ok(Answer::created(&documents::operation(&operation)))
    }

    async fn networks(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let networks = self.fleet().networks(permit).await?;
        let names: Vec<_> = networks.iter().map(|network| network.is.name.as_str()).collect();
        Ok(Answer::ok(&names))
    }

    /// With its secret options for those who may see them.
    async fn network(&self, name: NetworkName, asked: Asked) -> Result<Answer, Refusal> {
        let (permit, in_clear) = (asked.permit()?, asked.may::<ReadSecretOptions>());
        asked.ignore_body().await?;
        let network = match in_clear {
            Ok(in_clear) => self.fleet().network_in_clear(in_clear, &name).await?,
            Err(_) => self.fleet().network(permit, &name).await?,
        };
        Ok(Answer::ok(&documents::network(&network.is)))
    }

    async fn put_network(&self, name: NetworkName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let members = asked.members().await?;
        members.same("name", name.as_str())?;
        let network = members.network(name)?;
        let put =
            |fleet: Arc<Fleet>| async move { fleet.put_network(permit, network, Expected::Anything).await };
        let put = self.change(put).await?;
        Ok(Answer::created(&documents::network(&put.is)))
    }

    async fn delete_network(&self, name: NetworkName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let deleted = |fleet: Arc<Fleet>| async move { fleet.delete_network_in_use(permit, &name).await };
        self.change(deleted).await?;
        Ok(Answer::gone())
    }

    async fn container_managers(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let managers = self.fleet().container_managers(permit).await?;
        let names: Vec<_> = managers.iter().map(|manager| manager.is.name.as_str()).collect();
        Ok(Answer::ok(&names))
    }

    /// With its secret options for those who may see them.
    async fn container_manager(&self, name: ContainerManagerName, asked: Asked) -> Result<Answer, Refusal> {
        let (permit, in_clear) = (asked.permit()?, asked.may::<ReadSecretOptions>());
        asked.ignore_body().await?;
        let manager = match in_clear {
            Ok(in_clear) => self.fleet().container_manager_in_clear(in_clear, &name).await?,
            Err(_) => self.fleet().container_manager(permit, &name).await?,
        };
        Ok(Answer::ok(&documents::container_manager(&manager.is)))
    }

    async fn put_container_manager(
        &self,
        name: ContainerManagerName,
        asked: Asked,
    ) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let members = asked.members().await?;
        members.same("name", name.as_str())?;
        let manager = members.container_manager(name)?;
        let put = |fleet: Arc<Fleet>| async move {
            fleet.put_container_manager(permit, manager, Expected::Anything).await
        };
        let put = self.change(put).await?;
        Ok(Answer::created(&documents::container_manager(&put.is)))
    }

    async fn delete_container_manager(
        &self,
        name: ContainerManagerName,
        asked: Asked,
    ) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let deleted =
            |fleet: Arc<Fleet>| async move { fleet.delete_container_manager_in_use(permit, &name).await };
        self.change(deleted).await?;
        Ok(Answer::gone())
    }
}
