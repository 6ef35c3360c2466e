//! What is said over HTTP under `/v1`: the shapes of requests and answers, for the server and for its clients.
//!
//! ```text
//! path, behind /v1                        GET, HEAD               others
//! /hosts                                  Page<Host>              POST NewHost → Host (1)
//! /hosts/{address}                        Host                    PUT NewHost → Host, PATCH HostPatch → Host, DELETE
//! /hosts/{address}/status                 HostReport
//! /hosts/{address}/credentials            Credentials
//! /hosts/{address}/host-key               HostKeys                PUT AcceptedKey → HostKeys
//! /clusters                               Page<Cluster>
//! /clusters/{name}                        Cluster                 PUT ClusterSettings → Cluster, DELETE
//! /clusters/{name}/hosts                  Page<String>            PUT Members → Cluster
//! /clusters/{name}/hosts/{address}        Host                    PUT nothing → Host, DELETE
//! /clusters/{name}/operations             Page<Operation>         POST NewOperation → Operation, OperationPlan (2)
//! /clusters/{name}/operations/{id}        Operation
//! …/operations/{id}/events                Operations, as they come to be (3)
//! …/operations/{id}/hosts                 Page<OperationHost>
//! …/operations/{id}/{verb}                                        POST Steering → Operation (4)
//! …/operations/{id}/hosts/{address}/skip                          POST Steering → Operation
//! /networks                               Page<Network>
//! /networks/{name}                        Network                 PUT NewNetwork → Network, DELETE
//! /networks/{name}/secrets                Secrets
//! /container-managers                     Page<ContainerManager>
//! /container-managers/{name}              ContainerManager        PUT NewContainerManager → ContainerManager, DELETE
//! /container-managers/{name}/secrets      Secrets
//! /cache/artifacts                        Page<Artifact>
//! /cache/artifacts/{sha512}               ArtifactReport
//! /cache/missing                                                  POST ArtifactNames → ArtifactNames
//! /cache/keys                             Page<EntryKey> (5)
//! /cache/entries                          Page<CacheEntry> (5)
//! /cache/pins                             Page<Pin>
//! /cache/pins/keys/{key}                                          PUT NewPin, DELETE
//! /cache/pins/artifacts/{sha512}                                  PUT NewPin, DELETE
//! /cache/collections                                              POST NewCollection → Collection
//! /cache/scrub                            Scrub                       POST → Scrub
//! /trust/providers                        Page<TrustProvider>
//! /trust/providers/{provider}                 TrustProvider           PUT NewTrustProvider → TrustProvider, DELETE (6)
//! /trust/providers/{provider}/certificates    TrustCertificates
//! /trust/providers/{provider}/offers                                  POST NewTrustOffer → TrustOffer
//! /trust/requirers                        Page<TrustRequirer>
//! /trust/requirers/{requirer}                 TrustRequirer           PUT NewTrustRequirer → TrustRequirer, DELETE (6)
//! /trust/requirers/{requirer}/bundle          TrustBundle (7)
//! /trust/requirers/{requirer}/bundle.pem      the same as PEM (7)
//! /trust/requirers/{requirer}/places          Page<TrustPlaceState>
//! /trust/requirers/{requirer}/history         Page<TrustPlaceEvent>                               (8)
//! /trust/requirers/{requirer}/applied                                 POST TrustApplied
//! /trust/relations                        Page<TrustRelation>     POST NewTrustRelation → TrustRelation
//! /trust/relations/{number}               TrustRelation           DELETE (6)
//! /trust/relations/{number}/certificates  TrustCertificates
//! /trust/certificates/{fingerprint}       TrustExplanation
//! /audit                                  Page<AuditEvent> (9)
//! /audit/head                             AuditHead
//! /audit/links                            Page<AuditLink> (10)
//! /ca/{authority}/rotations                                       POST NewRotation → Rotation (2)
//! /openapi.json                           the description of all this, for everybody
//! ```
//! (1) Registers whoever asks, under the address that they come from. (2) The plan with `dry_run`, which starts nothing.
//! (3) See below. (4) `pause`, `resume`, `abort` and `retry`. (5) Those that `key` fits, where `*` stands for any characters
//! and `?` for one; of the entries those about which every `where` is true, as in `os=="debian"`. (6) `why` says why, for the history;
//! `confirm=true` that requirers may be left with less than half of what they have, and `leave_behind=true` that what was put in
//! a requirer's places stays there. (7) With `If-None-Match` and `wait`, 1 to 60 seconds, it is answered as soon as there is another
//! one, and with 304 when there was none for so long. (8) The oldest first; in the same second, in either order. (9) The oldest first, from `since` on and before
//! `until`; those that have `what`, `about` and `by` in them, and are of `trade`. (10) The oldest first, 20 at most.
//!
//! **Lists** take `limit` (1 to 1,000; 100 when it is not said) and `after`, which is the `next` of the page before;
//! a page without `next` is the last one. A page may be short, or empty, though it has a `next`. Hosts are found by
//! `status`, `cluster`, `os` and any number of `label=KEY=VALUE`: those of which all of it is true. Items are in
//! bytewise order of their addresses or names; operations begin with the latest, and their hosts come in the order in
//! which they are begun with, all or those in one `state`. What is there from the first page to the last is in exactly one.
//!
//! **Statuses.** 200 with what is there, 201 with what is new (`Location` says where), 204 after `DELETE`. Whatever
//! goes wrong is a [`Problem`], `application/problem+json`. 400: the request is not as it is described. 401: nobody
//! knows who asks. 403: they may not. 404, 405, 406, 408, 413, 415: as in RFC 9110. 409: what is there is in the way.
//! 412: it is not as was expected. 422: the request is as described, and cannot be meant (a key that is no key). 429:
//! too many wrong passwords. 500: our fault. 503, 507: not now.
//!
//! **Versions.** Answers to `GET` have an `ETag`, and so have those that show what was changed. `If-None-Match`
//! with it gives 304 and nothing else as long as all is the same. `If-Match` with it, on `PUT`, `PATCH` and `DELETE`
//! of a single thing, changes nothing (412) unless it is still so, and `If-None-Match: *` nothing unless it is not
//! there. Neither has to be said.
//!
//! **Events** are an event stream (`text/event-stream`, HTML §9.2): events named `operation`, whose data is an
//! [`Operation`] in one line of JSON. The first comes at once and says how it is; then one whenever something has
//! changed, at most a few in a second; the last says how it ended, and so does the stream. Nothing is lost by whoever
//! connects again: what it is now is the first event. Their ids are there so that 204 can be answered to whoever has
//! seen the end (`Last-Event-ID`) and need not come again. A comment comes every 15 seconds when nothing else does. The
//! stream also ends when the server stops, or whoever reads may not any more. 503 where too many listen.
//!
//! **Secrets** are in [`Credentials`] and [`Secrets`], and in no other answer. Times are RFC 3339, in UTC.
//!
//! Who reads answers ignores members that they do not know. The server refuses those.
//!
//! **Invariant:** shapes and nothing else: nothing here decides, waits or talks.

mod artifact;
mod audit;
mod ca;
mod cluster;
mod definition;
mod host;
mod operation;
mod policy;
mod problem;
pub mod rules;
mod trust;
mod whole;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use artifact::{
    Artifact, ArtifactNames, ArtifactReport, CacheEntry, Collection, EntryKey, NewCollection, NewPin, Pin,
    Removed, Scrub, Upload,
};
pub use audit::{AuditAnchor, AuditEvent, AuditHead, AuditLink, AuditLinkEvent, TRADES};
pub use ca::{AUTHORITIES, CaCertificate, NewRotation, Rotation};
pub use cluster::{Cluster, ClusterSettings, Health, HostCounts, Members};
pub use definition::{
    ContainerManager, ContainerManagerKind, Network, NetworkKind, NewContainerManager, NewNetwork, Secrets,
};
pub use host::{
    AcceptedKey, Credentials, Facts, Host, HostKey, HostKeys, HostPatch, HostReport, Labels, NewHost,
    NodeReport, NodeState,
};
pub use operation::{
    NewOperation, Operation, OperationCounts, OperationHost, OperationHostState, OperationKind,
    OperationPhase, OperationPlan, RefusedHost, Steering, WaitsFor,
};
pub use policy::{OperationGates, OperationPolicy};
pub use problem::Problem;
pub use trust::{
    GRACE_SECONDS_MAX, NewTrustOffer, NewTrustProvider, NewTrustRelation, NewTrustRequirer, TrustApplied,
    TrustBrought, TrustBundle, TrustCertificate, TrustCertificates, TrustChange, TrustCounts,
    TrustExplanation, TrustFile, TrustFinding, TrustHas, TrustInPlace, TrustOffer, TrustOffered, TrustPlace,
    TrustPlaceEvent, TrustPlaceState, TrustProvider, TrustRelation, TrustRequirer, TrustSet, TrustState,
};

/// The media type of everything but problems.
pub const JSON: &str = "application/json";
/// The media type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// The media type of a `PATCH` (RFC 7396); [`JSON`] does as well.
pub const MERGE_PATCH_JSON: &str = "application/merge-patch+json";

/// The media type of some of an upload (draft-ietf-httpbis-resumable-upload, section 6).
pub const PARTIAL_UPLOAD: &str = "application/partial-upload";

/// The media type of certificates as text (RFC 8555 §9.1).
pub const PEM: &str = "application/pem-certificate-chain";

/// The media type of events.
pub const EVENT_STREAM: &str = "text/event-stream";

/// How many items a page has when nobody says.
pub const LIMIT_DEFAULT: usize = 100;
/// How many items a page may have.
pub const LIMIT_MAX: usize = 1_000;
/// The most seconds for which a bundle of certificates is waited for.
pub const WAIT_SECONDS_MAX: u64 = 60;
/// The longest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Some of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The items, in order. Perhaps fewer than were asked for, also when there are more.
    pub items: Vec<T>,
    /// What to ask for as `after`, to get the items behind these; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
