//! Every route of `/v1`, once: requests find their way by this table, and the description is made from it.

mod artifacts;
mod operations;
mod trust;
mod uploads;

use std::sync::LazyLock;

use fleet::{
    AcceptHostKey, AddHost, DeleteCluster, DeleteContainerManager, DeleteHost, DeleteNetwork, JoinCluster,
    LabelHost, LeaveCluster, PutContainerManager, PutNetwork, ReadClusters, ReadContainerManagers,
    ReadCredentials, ReadHosts, ReadNetworks, ReadSecretOptions, RegisterHost, ReplaceMembers, WriteCluster,
};
use http::Method;
use identity::{Action, Role};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use wire::Page;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Call {
    OpenApi,
    Hosts,
    RegisterHost,
    Host,
    PutHost,
    PatchHost,
    DeleteHost,
    HostReport,
    Credentials,
    HostKey,
    AcceptHostKey,
    Clusters,
    Cluster,
    PutCluster,
    DeleteCluster,
    Members,
    ReplaceMembers,
    Member,
    Join,
    Leave,
    Operations,
    StartOperation,
    Operation,
    OperationEvents,
    OperationHosts,
    PauseOperation,
    ResumeOperation,
    AbortOperation,
    RetryOperation,
    SkipHost,
    Networks,
    Network,
    PutNetwork,
    DeleteNetwork,
    NetworkSecrets,
    ContainerManagers,
    ContainerManager,
    PutContainerManager,
    DeleteContainerManager,
    ContainerManagerSecrets,
    Artifacts,
    Artifact,
    MissingArtifacts,
    EntryKeys,
    CacheEntries,
    Pins,
    PinKey,
    UnpinKey,
    PinArtifact,
    UnpinArtifact,
    OpenUpload,
    Upload,
    AppendToUpload,
    CancelUpload,
    Collect,
    Scrub,
    TrustProviders,
    TrustProvider,
    PutTrustProvider,
    DeleteTrustProvider,
    ProviderCertificates,
    OfferTrust,
    ExplainTrust,
    TrustRequirers,
    TrustRequirer,
    PutTrustRequirer,
    DeleteTrustRequirer,
    TrustBundle,
    TrustBundlePem,
    TrustPlaces,
    TrustHistory,
    TrustApplied,
    TrustRelations,
    RelateTrust,
    TrustRelation,
    UnrelateTrust,
    RelationCertificates,
}

/// What a query may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    Limit,
    After,
    Label,
    Status,
    Cluster,
    Os,
    State,
    Key,
    Where,
    Provider,
    Requirer,
    Confirm,
    LeaveBehind,
    Why,
    Wait,
}

impl Parameter {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::After => "after",
            Self::Label => "label",
            Self::Status => "status",
            Self::Cluster => "cluster",
            Self::Os => "os",
            Self::State => "state",
            Self::Key => "key",
            Self::Where => "where",
            Self::Provider => "provider",
            Self::Requirer => "requirer",
            Self::Confirm => "confirm",
            Self::LeaveBehind => "leave_behind",
            Self::Why => "why",
            Self::Wait => "wait",
        }
    }
}

/// What a header may say, besides those that are the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// An expression that its value fits.
    pub(super) pattern: &'static str,
    pub(super) is_required: bool,
}

/// Describes a shape.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What the headers of a request may make it depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conditions {
    /// Nothing.
    None,
    /// `If-None-Match`: answered only when it is another.
    Read,
    /// `If-Match` and `If-None-Match`: changed only when it is still the same, or not there.
    Write,
}

/// A method of a path.
pub(super) struct Row {
    pub(super) method: Method,
    /// Behind `/v1`; `{…}` stands for one segment.
    pub(super) path: &'static str,
    pub(super) call: Call,
    /// For programs that are generated from the description.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// The least role that may do it; none when everybody may.
    pub(super) role: Option<Role>,
    pub(super) query: &'static [Parameter],
    pub(super) headers: &'static [Header],
    pub(super) body: Option<Shape>,
    /// The media type of a body that is any bytes.
    pub(super) bytes: Option<&'static str>,
    /// What else the header of an answer says.
    pub(super) says: &'static [Header],
    /// What is answered when all is well: documents, most of the time.
    pub(super) media_type: &'static str,
    /// What is answered when all is well.
    pub(super) answers: Vec<(u16, Option<Shape>)>,
    /// With what it is refused, besides what every request may be refused with.
    pub(super) refusals: &'static [u16],
    pub(super) conditions: Conditions,
    /// Whether what is answered is called by an entity tag.
    pub(super) is_tagged: bool,
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Row {
    fn new(
        method: Method,
        path: &'static str,
        call: Call,
        id: &'static str,
        summary: &'static str,
        conditions: Conditions,
    ) -> Self {
        let (role, query, body, answers, refusals) = (None, &[][..], None, Vec::new(), &[][..]);
        let (media_type, is_tagged) = (wire::JSON, conditions != Conditions::None);
        Self {
            method,
            path,
            call,
            id,
            summary,
            role,
            query,
            headers: &[],
            body,
            bytes: None,
            says: &[],
            media_type,
            answers,
            refusals,
            conditions,
            is_tagged,
        }
    }

    fn get(path: &'static str, call: Call, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, call, id, summary, Conditions::Read)
    }

    fn put(path: &'static str, call: Call, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PUT, path, call, id, summary, Conditions::Write)
    }

    fn post(path: &'static str, call: Call, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::POST, path, call, id, summary, Conditions::None)
    }

    fn delete(path: &'static str, call: Call, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, call, id, summary, Conditions::Write).answers_nothing()
    }

    fn may<A: Action>(mut self) -> Self {
        self.role = Some(A::ROLE);
        self
    }

    fn query(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }

    fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some(shape::<T>);
        self
    }

    fn answers<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answers.push((status, Some(shape::<T>)));
        self
    }

    /// Says these in the header, and takes any bytes of this media type, where there is one.
    fn uploads(mut self, headers: &'static [Header], bytes: Option<&'static str>) -> Self {
        (self.headers, self.bytes) = (headers, bytes);
        self
    }

    fn says(mut self, says: &'static [Header]) -> Self {
        self.says = says;
        self
    }

    fn answers_events(self) -> Self {
        self.answers_text(wire::EVENT_STREAM)
    }

    fn answers_text(mut self, media_type: &'static str) -> Self {
        self.media_type = media_type;
        self.answers::<String>(200)
    }

    fn answers_nothing(mut self) -> Self {
        self.answers.push((204, None));
        self
    }

    fn or(mut self, refusals: &'static [u16]) -> Self {
        self.refusals = refusals;
        self
    }

    fn unconditional(mut self) -> Self {
        self.conditions = Conditions::None;
        self.untagged()
    }

    /// What is answered is not what the path is about, and its tag would be taken for that of it.
    fn untagged(mut self) -> Self {
        self.is_tagged = false;
        self
    }

    /// Whether what is answered is an event stream.
    pub(super) fn is_events(&self) -> bool {
        self.media_type == wire::EVENT_STREAM
    }

    /// The segments of the path.
    pub(super) fn segments(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.path.split('/').skip(1)
    }
}

const PAGED: &[Parameter] = &[Parameter::Limit, Parameter::After];
const HOST_QUERY: &[Parameter] = &[
    Parameter::Limit,
    Parameter::After,
    Parameter::Label,
    Parameter::Status,
    Parameter::Cluster,
    Parameter::Os,
];

/// All of them.
pub(super) static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = vec![
        Row::get("/openapi.json", Call::OpenApi, "describe", "This description").answers::<Described>(200),
    ];
    rows.extend(hosts());
    rows.extend(clusters());
    rows.extend(operations::rows());
    rows.extend(definitions());
    rows.extend(artifacts::rows());
    rows.extend(uploads::rows());
    rows.extend(trust::rows());
    rows
});

/// The description itself, which is any object to itself.
struct Described;

impl JsonSchema for Described {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OpenApi".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object" })
    }
}

fn hosts() -> Vec<Row> {
    vec![
        Row::get("/hosts", Call::Hosts, "listHosts", "Hosts, a page at a time")
            .may::<ReadHosts>()
            .query(HOST_QUERY)
            .answers::<Page<wire::Host>>(200)
            .or(&[422]),
        Row::post(
            "/hosts",
            Call::RegisterHost,
            "registerHost",
            "Add whoever asks as a host, under the address that they come from",
        )
        .may::<RegisterHost>()
        .takes::<wire::NewHost>()
        .answers::<wire::Host>(200)
        .answers::<wire::Host>(201)
        .or(&[409, 422]),
        Row::get("/hosts/{address}", Call::Host, "getHost", "A host")
            .may::<ReadHosts>()
            .answers::<wire::Host>(200)
            .or(&[404]),
        Row::put("/hosts/{address}", Call::PutHost, "putHost", "Add a host")
            .may::<AddHost>()
            .takes::<wire::NewHost>()
            .answers::<wire::Host>(200)
            .answers::<wire::Host>(201)
            .or(&[409, 422]),
        Row::new(
            Method::PATCH,
            "/hosts/{address}",
            Call::PatchHost,
            "patchHost",
            "Change a host's labels",
            Conditions::Write,
        )
        .may::<LabelHost>()
        .takes::<wire::HostPatch>()
        .answers::<wire::Host>(200)
        .or(&[404, 422]),
        Row::delete(
            "/hosts/{address}",
            Call::DeleteHost,
            "deleteHost",
            "Forget a host, its credentials and its place in a cluster",
        )
        .may::<DeleteHost>()
        .or(&[404]),
        Row::get("/hosts/{address}/status", Call::HostReport, "getHostStatus", "How a host is doing")
            .may::<ReadHosts>()
            .answers::<wire::HostReport>(200)
            .or(&[404]),
        Row::get(
            "/hosts/{address}/credentials",
            Call::Credentials,
            "getHostCredentials",
            "How to get into a host",
        )
        .may::<ReadCredentials>()
        .answers::<wire::Credentials>(200)
        .or(&[404])
        .unconditional(),
        Row::get(
            "/hosts/{address}/host-key",
            Call::HostKey,
            "getHostKey",
            "The key that a host has to prove",
        )
        .may::<ReadHosts>()
        .answers::<wire::HostKeys>(200)
        .or(&[404]),
        Row::put(
            "/hosts/{address}/host-key",
            Call::AcceptHostKey,
            "acceptHostKey",
            "Accept the key that a host offered instead of the known one",
        )
        .may::<AcceptHostKey>()
        .takes::<wire::AcceptedKey>()
        .answers::<wire::HostKeys>(200)
        .or(&[404, 409]),
    ]
}

fn clusters() -> Vec<Row> {
    vec![
        Row::get("/clusters", Call::Clusters, "listClusters", "Clusters, a page at a time")
            .may::<ReadClusters>()
            .query(PAGED)
            .answers::<Page<wire::Cluster>>(200)
            .or(&[422]),
        Row::get("/clusters/{name}", Call::Cluster, "getCluster", "A cluster, and how it is doing")
            .may::<ReadClusters>()
            .answers::<wire::Cluster>(200)
            .or(&[404]),
        Row::put("/clusters/{name}", Call::PutCluster, "putCluster", "Make a cluster, or change one")
            .may::<WriteCluster>()
            .takes::<wire::ClusterSettings>()
            .answers::<wire::Cluster>(200)
            .answers::<wire::Cluster>(201)
            .or(&[409]),
        Row::delete(
            "/clusters/{name}",
            Call::DeleteCluster,
            "deleteCluster",
            "Delete a cluster; its hosts belong to none then",
        )
        .may::<DeleteCluster>()
        .or(&[404]),
        Row::get(
            "/clusters/{name}/hosts",
            Call::Members,
            "listClusterHosts",
            "The addresses of a cluster's hosts, a page at a time",
        )
        .may::<ReadClusters>()
        .query(PAGED)
        .answers::<Page<String>>(200)
        .or(&[404, 422]),
        Row::put(
            "/clusters/{name}/hosts",
            Call::ReplaceMembers,
            "putClusterHosts",
            "Say which hosts a cluster has",
        )
        .may::<ReplaceMembers>()
        .takes::<wire::Members>()
        .answers::<wire::Cluster>(200)
        .or(&[404, 409, 422])
        .untagged(),
        Row::get(
            "/clusters/{name}/hosts/{address}",
            Call::Member,
            "getClusterHost",
            "A host, if it belongs to the cluster",
        )
        .may::<ReadClusters>()
        .answers::<wire::Host>(200)
        .or(&[404]),
        Row::put(
            "/clusters/{name}/hosts/{address}",
            Call::Join,
            "joinCluster",
            "Let a host join the cluster",
        )
        .may::<JoinCluster>()
        .answers::<wire::Host>(200)
        .answers::<wire::Host>(201)
        // The last ones, because it has to be read whether there is a body.
        .or(&[404, 409, 408, 413, 507])
        .unconditional(),
        Row::delete(
            "/clusters/{name}/hosts/{address}",
            Call::Leave,
            "leaveCluster",
            "Let a host leave the cluster",
        )
        .may::<LeaveCluster>()
        .or(&[404])
        .unconditional(),
    ]
}

fn definitions() -> Vec<Row> {
    vec![
        Row::get("/networks", Call::Networks, "listNetworks", "Networks, a page at a time")
            .may::<ReadNetworks>()
            .query(PAGED)
            .answers::<Page<wire::Network>>(200)
            .or(&[422]),
        Row::get("/networks/{name}", Call::Network, "getNetwork", "A network")
            .may::<ReadNetworks>()
            .answers::<wire::Network>(200)
            .or(&[404]),
        Row::put("/networks/{name}", Call::PutNetwork, "putNetwork", "Make a network")
            .may::<PutNetwork>()
            .takes::<wire::NewNetwork>()
            .answers::<wire::Network>(200)
            .answers::<wire::Network>(201)
            .or(&[409, 422]),
        Row::delete(
            "/networks/{name}",
            Call::DeleteNetwork,
            "deleteNetwork",
            "Delete a network that no cluster uses",
        )
        .may::<DeleteNetwork>()
        .or(&[404, 409]),
        Row::get(
            "/networks/{name}/secrets",
            Call::NetworkSecrets,
            "getNetworkSecrets",
            "The options of a network, with those that are secret",
        )
        .may::<ReadSecretOptions>()
        .answers::<wire::Secrets>(200)
        .or(&[404])
        .unconditional(),
        Row::get(
            "/container-managers",
            Call::ContainerManagers,
            "listContainerManagers",
            "Container managers, a page at a time",
        )
        .may::<ReadContainerManagers>()
        .query(PAGED)
        .answers::<Page<wire::ContainerManager>>(200)
        .or(&[422]),
        Row::get(
            "/container-managers/{name}",
            Call::ContainerManager,
            "getContainerManager",
            "A container manager",
        )
        .may::<ReadContainerManagers>()
        .answers::<wire::ContainerManager>(200)
        .or(&[404]),
        Row::put(
            "/container-managers/{name}",
            Call::PutContainerManager,
            "putContainerManager",
            "Make a container manager",
        )
        .may::<PutContainerManager>()
        .takes::<wire::NewContainerManager>()
        .answers::<wire::ContainerManager>(200)
        .answers::<wire::ContainerManager>(201)
        .or(&[409, 422]),
        Row::delete(
            "/container-managers/{name}",
            Call::DeleteContainerManager,
            "deleteContainerManager",
            "Delete a container manager that no cluster uses",
        )
        .may::<DeleteContainerManager>()
        .or(&[404, 409]),
        Row::get(
            "/container-managers/{name}/secrets",
            Call::ContainerManagerSecrets,
            "getContainerManagerSecrets",
            "The options of a container manager, with those that are secret",
        )
        .may::<ReadSecretOptions>()
        .answers::<wire::Secrets>(200)
        .or(&[404])
        .unconditional(),
    ]
}
