//! Provost's own interface, `/v1`: hosts, clusters, networks, container managers, the operations on clusters, and what is
//! in the artifact cache.
//!
//! [`wire`] says what is said; `table` which routes there are, from which the description is made (`openapi`), so that
//! they cannot come apart. Everything that goes wrong is a problem (`refusal`).
//!
//! Who asks is looked at before where they want to go, so that a stranger does not learn which paths there are. The
//! description alone is for everybody.

mod answer;
mod artifacts;
mod asked;
mod audit;
mod authorities;
mod clusters;
mod condition;
mod definitions;
mod events;
mod host_keys;
mod hosts;
mod listeners;
mod looks;
pub(crate) mod openapi;
mod operations;
mod policy;
mod refusal;
mod route;
mod shown;
mod shown_operation;
mod table;
mod trust;
mod uploads;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use engine::House;
use fleet::Fleet;
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use identity::Principal;
use identity::sign_in::SignedIn;
use percent_encoding::percent_decode_str;

use self::answer::Answer;
use self::asked::Asked;
use self::condition::Condition;
use self::listeners::Listeners;
use self::looks::Looks;
use self::refusal::Refusal;
use self::route::Found;
use self::table::{Call, Conditions, Row};
use crate::app::Entrance;
use crate::signing_in::{self, sign_in};

pub(crate) use self::route::is_inside;
pub(crate) use self::uploads::Uploads;

/// The interface's server side.
pub(crate) struct V1 {
    house: Arc<House>,
    api: Arc<Entrance>,
    /// Who reads along with operations.
    listeners: Listeners,
    /// What they read along with.
    looks: Looks,
}

impl V1 {
    pub(crate) fn new(house: Arc<House>, api: Arc<Entrance>) -> Self {
        Self { house, api, listeners: Listeners::default(), looks: Looks::default() }
    }

    /// Answers one request. Never fails: a refusal is an answer.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let found = route::find(&parts.method, parts.uri.path());
        if let Found::Row(Row { call: Call::OpenApi, .. }, _) = found {
            let answered = described(&parts);
            return answered.unwrap_or_else(|refusal| refusal.into_response(&parts.method));
        }
        let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
        let refused = |why| Refusal::not_signed_in(why).into_response(&parts.method);
        let SignedIn { principal, headers } =
            match sign_in(&self.house, &self.api, &path, &parts, refused).await {
                Ok(signed_in) => signed_in,
                Err(response) => return response,
            };
        let responded = self.respond(found, &parts, principal, body).await;
        let mut response = responded.unwrap_or_else(|refusal| refusal.into_response(&parts.method));
        response.headers_mut().extend(headers);
        response
    }

    async fn respond(
        &self,
        found: Found,
        parts: &Parts,
        by: Principal,
        body: Body,
    ) -> Result<Response, Refusal> {
        let (row, path) = match found {
            Found::Row(row, path) => (row, path),
            Found::NoPath => {
                return Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing of this path"));
            }
            Found::NoMethod(methods) => return no_method(&parts.method, methods),
        };
        if !asked::takes(&parts.headers, row.media_type) {
            let detail = format!("what is here is `{}`, which `Accept` does not take", row.media_type);
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, detail));
        }
        let mut asked = Asked::read(row, path, (by, &self.house), parts, body)?;
        asked.is_anonymous = signing_in::is_anonymous(&self.api, parts);
        let condition = asked.condition.clone();
        let reads = [Method::GET, Method::HEAD].contains(&parts.method);
        if row.conditions != Conditions::Write && !reads && condition.is_there() {
            if matches!(row.call, Call::Join | Call::Leave) {
                return Err(Refusal::malformed(
                    "that one host joins or leaves cannot be made to depend on `If-Match` or `If-None-Match`: \
                     replace the list of the cluster's hosts instead",
                ));
            }
            let detail = "this cannot be made to depend on `If-Match` or `If-None-Match`";
            return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, detail));
        }
        if row.is_events() {
            return self.operation_events(asked, parts).await;
        }
        Ok(self.call(row.call, asked).await?.into_response(&parts.method, &condition))
    }

    async fn call(&self, call: Call, asked: Asked) -> Result<Answer, Refusal> {
        match call {
            // Those that give events are answered before this.
            Call::OpenApi | Call::OperationEvents => Ok(Answer::text(openapi::text())),
            Call::Hosts => self.hosts(asked).await,
            Call::RegisterHost => self.register_host(asked).await,
            Call::Host => self.host(asked).await,
            Call::PutHost => self.put_host(asked).await,
            Call::PatchHost => self.patch_host(asked).await,
            Call::DeleteHost => self.delete_host(asked).await,
            Call::HostReport => self.host_report(asked).await,
            Call::Credentials => self.credentials(asked).await,
            Call::HostKey => self.host_key(asked).await,
            Call::AcceptHostKey => self.accept_host_key(asked).await,
            Call::Clusters => self.clusters(asked).await,
            Call::Cluster => self.cluster(asked).await,
            Call::PutCluster => self.put_cluster(asked).await,
            Call::DeleteCluster => self.delete_cluster(asked).await,
            Call::Members => self.members(asked).await,
            Call::ReplaceMembers => self.replace_members(asked).await,
            Call::Member => self.member(asked).await,
            Call::Join => self.join(asked).await,
            Call::Leave => self.leave(asked).await,
            Call::Operations => self.operations(asked).await,
            Call::StartOperation => self.start_operation(asked).await,
            Call::Operation => self.operation(asked).await,
            Call::OperationHosts => self.operation_hosts(asked).await,
            Call::PauseOperation => self.pause_operation(asked).await,
            Call::ResumeOperation => self.resume_operation(asked).await,
            Call::AbortOperation => self.abort_operation(asked).await,
            Call::RetryOperation => self.retry_operation(asked).await,
            Call::SkipHost => self.skip_host(asked).await,
            Call::Networks => self.networks(asked).await,
            Call::Network => self.network(asked).await,
            Call::PutNetwork => self.put_network(asked).await,
            Call::DeleteNetwork => self.delete_network(asked).await,
            Call::NetworkSecrets => self.network_secrets(asked).await,
            Call::ContainerManagers => self.container_managers(asked).await,
            Call::ContainerManager => self.container_manager(asked).await,
            Call::PutContainerManager => self.put_container_manager(asked).await,
            Call::DeleteContainerManager => self.delete_container_manager(asked).await,
            Call::ContainerManagerSecrets => self.container_manager_secrets(asked).await,
            Call::Artifacts => self.artifacts(asked).await,
            Call::Artifact => self.artifact(asked).await,
            Call::MissingArtifacts => self.missing_artifacts(asked).await,
            Call::EntryKeys => self.entry_keys(asked).await,
            Call::CacheEntries => self.cache_entries(asked).await,
            Call::Pins => self.pins(asked).await,
            Call::PinKey => self.pin_key(asked).await,
            Call::UnpinKey => self.unpin_key(asked).await,
            Call::PinArtifact => self.pin_artifact(asked).await,
            Call::UnpinArtifact => self.unpin_artifact(asked).await,
            // Where there is a cache, these are answered before this, to whoever may write there.
            Call::OpenUpload | Call::Upload | Call::AppendToUpload | Call::CancelUpload => {
                self.cache().and(Err(Refusal::new(StatusCode::NOT_FOUND, "there is no artifact cache here")))
            }
            Call::Collect => self.collect(asked).await,
            Call::Scrub => self.scrub(asked).await,
            Call::AskForScrub => self.ask_for_scrub(asked).await,
            Call::TrustProviders => self.trust_providers(asked).await,
            Call::TrustProvider => self.trust_provider(asked).await,
            Call::PutTrustProvider => self.put_trust_provider(asked).await,
            Call::DeleteTrustProvider => self.delete_trust_provider(asked).await,
            Call::ProviderCertificates => self.provider_certificates(asked).await,
            Call::OfferTrust => self.offer_trust(asked).await,
            Call::ExplainTrust => self.explain_trust(asked).await,
            Call::TrustRequirers => self.trust_requirers(asked).await,
            Call::TrustRequirer => self.trust_requirer(asked).await,
            Call::PutTrustRequirer => self.put_trust_requirer(asked).await,
            Call::DeleteTrustRequirer => self.delete_trust_requirer(asked).await,
            Call::TrustBundle => self.trust_bundle(asked).await,
            Call::TrustBundlePem => self.trust_bundle_pem(asked).await,
            Call::TrustPlaces => self.trust_places(asked).await,
            Call::TrustHistory => self.trust_history(asked).await,
            Call::TrustApplied => self.trust_applied(asked).await,
            Call::TrustRelations => self.trust_relations(asked).await,
            Call::RelateTrust => self.relate_trust(asked).await,
            Call::TrustRelation => self.trust_relation(asked).await,
            Call::UnrelateTrust => self.unrelate_trust(asked).await,
            Call::RelationCertificates => self.relation_certificates(asked).await,
            Call::Audit => self.audit_events(asked).await,
            Call::AuditHead => self.audit_head(asked).await,
            Call::AuditLinks => self.audit_links(asked).await,
            Call::RotateAuthority => self.rotate_authority(asked).await,
        }
    }

    fn fleet(&self) -> &Fleet {
        self.house.fleet()
    }

    /// Changes something; to its end, also when the client hangs up.
    async fn change<T, E, F>(&self, change: impl FnOnce(Arc<Fleet>) -> F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.house.tasks().complete(change(self.house.fleet().clone())).await
    }

    /// As [`Self::change`], of what somebody else has to be asked for.
    async fn have<T, E, F>(&self, change: impl FnOnce(Arc<House>) -> F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.house.tasks().complete(change(self.house.clone())).await
    }
}

/// The description, which is the same for everybody.
fn described(parts: &Parts) -> Result<Response, Refusal> {
    let condition = Condition::of(&parts.headers)?;
    Ok(Answer::text(openapi::text()).into_response(&parts.method, &condition))
}

/// `OPTIONS` is told the methods; any other is refused with them.
fn no_method(method: &Method, methods: String) -> Result<Response, Refusal> {
    if *method != Method::OPTIONS {
        return Err(Refusal::method(methods));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(methods) = HeaderValue::try_from(methods) {
        response.headers_mut().insert(ALLOW, methods);
    }
    Ok(response)
}
