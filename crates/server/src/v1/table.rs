//! Every route of `/v1`, once: requests find their way by this table, and the description is made from it.

mod artifacts;
mod audit;
mod clusters;
mod definitions;
mod hosts;
mod operations;
mod trust;
mod uploads;

use std::sync::LazyLock;

use http::Method;
use identity::{Action, Role};
use schemars::{JsonSchema, Schema, SchemaGenerator};

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
    AskForScrub,
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
    Audit,
    AuditHead,
    AuditLinks,
    RotateAuthority,
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
    Force,
    Why,
    Wait,
    Since,
    Until,
    What,
    About,
    By,
    Trade,
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
            Self::Force => "force",
            Self::Why => "why",
            Self::Wait => "wait",
            Self::Since => "since",
            Self::Until => "until",
            Self::What => "what",
            Self::About => "about",
            Self::By => "by",
            Self::Trade => "trade",
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

/// All of them.
pub(super) static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = vec![
        Row::get("/openapi.json", Call::OpenApi, "describe", "This description").answers::<Described>(200),
    ];
    rows.extend(hosts::rows());
    rows.extend(clusters::rows());
    rows.extend(operations::rows());
    rows.extend(definitions::rows());
    rows.extend(artifacts::rows());
    rows.extend(uploads::rows());
    rows.extend(trust::rows());
    rows.extend(audit::rows());
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
