//! Commissaire's dialect, `/api/v0`: what its stock clients say and hear over HTTP (commissaire contract, sections
//! 2 to 5).
//!
//! Who asks is looked at before where they want to go, so that a stranger does not learn which paths there are.

mod answer;
mod bodies;
mod documents;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod route;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use engine::House;
use fleet::{
    ClusterName, ContainerManagerName, Expected, Fleet, HostAddress, NetworkName, NewHost, OperationKind,
    ReadSecretOptions, RegisterHost,
};
use http::StatusCode;
use http::request::Parts;
use identity::sign_in::{Attempt, Outcome, SignedIn};
use identity::{Action, Denied, Permit, Principal};

use self::answer::{Answer, Reader, Refusal};
use self::bodies::Members;
use self::route::Call;
use super::percent;
use crate::app::FleetApi;
use crate::doors::{Peer, read_body};

/// The longest body: room for the lists of a cluster with a hundred thousand hosts.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// What is said when a cluster is put into a network that is not there (RFC 7234 §5.5).
const UNKNOWN_NETWORK: &str = "199 provost \"there is no such network; `default` was taken instead\"";

/// The dialect's server side.
pub(crate) struct Commissaire {
    house: Arc<House>,
    api: FleetApi,
}

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
    pub(crate) fn new(house: Arc<House>, api: FleetApi) -> Self {
        Self { house, api }
    }

    /// Answers one request for what is `inside` the dialect's tree. Never fails: a refusal is an answer.
    pub(crate) async fn answer(&self, inside: &str, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let reader = Reader::of(&parts.method, &parts.headers);
        let SignedIn { principal, headers } = match self.sign_in(&parts).await {
            Ok(Outcome::SignedIn(signed_in)) => signed_in,
            Ok(Outcome::Respond(response)) => return response.map(Body::from),
            Ok(Outcome::Unavailable) => {
                let detail = "who asks could not be looked up for now";
                return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response(reader);
            }
            Ok(Outcome::Busy(wait)) => return Refusal::busy(wait).into_response(reader),
            Ok(Outcome::Denied(denied)) => {
                if denied.offered {
                    self.house.refusals().sign_in(self.source(&parts), self.house.clock());
                }
                return Refusal::denied(denied).into_response(reader);
            }
            Err(refusal) => return refusal.into_response(reader),
        };
        let mut response = match self
            .respond(inside, &parts, Asked { by: principal, body, house: self.house.clone() })
            .await
        {
            Ok(answer) => answer.into_response(),
            Err(refusal) => refusal.into_response(reader),
        };
        response.headers_mut().extend(headers);
        response
    }

    /// Finds out who asks, unless they must not be asked for what proves it.
    async fn sign_in(&self, parts: &Parts) -> Result<Outcome, Refusal> {
        let peer = parts
            .extensions
            .get::<Peer>()
            .ok_or_else(|| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "no connection"))?;
        if !self.api.plain_http.serves(peer) {
            let detail = "without TLS, only programs on the server's machine are answered";
            return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
        }
        let attempt = Attempt {
            path: &percent::decode(parts.uri.path()),
            headers: &parts.headers,
            certificate: peer.certificate.as_deref(),
            source: self.source(parts),
            peer: Some(peer.address.ip()),
        };
        Ok(self.api.sign_in.sign_in(&attempt).await)
    }

    /// Where a request comes from.
    fn source(&self, parts: &Parts) -> Option<IpAddr> {
        let peer = parts.extensions.get::<Peer>()?;
        self.api.trusted_proxies.client(peer.address.ip(), &parts.headers)
    }

    async fn respond(&self, inside: &str, parts: &Parts, asked: Asked) -> Result<Answer, Refusal> {
        self.call(route::find(&parts.method, inside)?, asked).await
    }

    async fn call(&self, call: Call, asked: Asked) -> Result<Answer, Refusal> {
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

    /// Changes something; to its end, also when the client hangs up.
    async fn change<T, E, F>(&self, change: impl FnOnce(Arc<Fleet>) -> F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        E: Into<Refusal> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.house.tasks().complete(change(self.house.fleet().clone())).await.map_err(Into::into)
    }

    async fn hosts(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let hosts = self.fleet().all_hosts(permit).await?;
        Ok(Answer::ok(&hosts.iter().map(documents::host).collect::<Vec<_>>()))
    }

    async fn host(&self, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let host = self.fleet().host(permit, &address).await?;
        Ok(Answer::ok(&documents::host(&host.is)))
    }

    async fn put_host(&self, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let members = asked.members().await?;
        members.same("address", address.as_str())?;
        self.add_host(permit, address, members.host()?).await
    }

    /// Under the address in the body, or under the one that whoever asks comes from.
    async fn put_some_host(&self, asked: Asked) -> Result<Answer, Refusal> {
        let registers = asked.permit::<RegisterHost>()?;
        let by = Asked { body: Body::empty(), by: asked.by.clone(), house: asked.house.clone() };
        let members = asked.members().await?;
        if let Some(address) = members.address()? {
            return self.add_host(by.permit()?, address, members.host()?).await;
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
        let (host, node) = self.fleet().host_status(permit, &address).await?;
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
        let roster = self.fleet().roster(permit, &name).await?;
        Ok(Answer::ok(&documents::cluster_as_it_does(&roster)))
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

    async fn delete_cluster(&self, name: ClusterName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let deleted =
            |fleet: Arc<Fleet>| async move { fleet.delete_cluster(permit, &name, Expected::Anything).await };
        self.change(deleted).await?;
        Ok(Answer::gone())
    }

    async fn members(&self, name: ClusterName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        let hosts = self.fleet().members(permit, &name).await?;
        Ok(Answer::ok(&documents::addresses(&hosts)))
    }

    async fn replace_members(&self, name: ClusterName, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let members = asked.members().await?;
        members.same("name", name.as_str())?;
        let (old, new) = members.replacement()?;
        let replaced =
            |fleet: Arc<Fleet>| async move { fleet.replace_members(permit, &name, &old, &new).await };
        let roster = self.change(replaced).await?;
        Ok(Answer::ok(&documents::cluster_with_hosts(&roster)))
    }

    async fn member(&self, name: ClusterName, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        if !self.fleet().is_member(permit, &name, &address).await? {
            let detail = format!("the host {address} does not belong to the cluster `{name}`");
            return Err(Refusal::new(StatusCode::NOT_FOUND, detail));
        }
        Ok(Answer::ok(&[address.as_str()]))
    }

    async fn join(&self, name: ClusterName, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let members = asked.members().await?;
        members.same("name", name.as_str())?;
        members.same("host", address.as_str())?;
        let host = address.clone();
        self.change(|fleet| async move { fleet.join(permit, &name, &host).await }).await?;
        Ok(Answer::ok(&[address.as_str()]))
    }

    async fn leave(&self, name: ClusterName, address: HostAddress, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        asked.ignore_body().await?;
        self.change(|fleet| async move { fleet.leave(permit, &name, &address).await }).await?;
        Ok(Answer::gone())
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
        let deleted =
            |fleet: Arc<Fleet>| async move { fleet.delete_network(permit, &name, Expected::Anything).await };
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
        let deleted = |fleet: Arc<Fleet>| async move {
            fleet.delete_container_manager(permit, &name, Expected::Anything).await
        };
        self.change(deleted).await?;
        Ok(Answer::gone())
    }
}
