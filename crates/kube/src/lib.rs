//! Speaks with the API server of a Kubernetes, or of an OpenShift, which is one: about its nodes, about pods as far as
//! they keep a node from being restarted, and about the objects in which pods find CA certificates.
//!
//! ```text
//! register       POST   /api/v1/nodes                                 exists already: as good
//! node           GET    /api/v1/nodes/NODE                            Ready, unschedulable, boot id
//! cordon         PATCH  /api/v1/nodes/NODE                            and uncordon; again: as good
//! remove         DELETE /api/v1/nodes/NODE                            is gone already: as good
//! drain          GET    /api/v1/pods?fieldSelector=spec.nodeName=NODE
//!                POST   /api/v1/namespaces/NS/pods/POD/eviction       policy/v1, PodDisruptionBudgets hold
//! wait_ready     GET    /api/v1/nodes/NODE                            until it is, within a limit
//!
//! namespaces     GET    /api/v1/namespaces?labelSelector=, /NS        those that are to have a bundle
//! put_bundle     GET, POST, PUT, GET  /api/v1/namespaces/NS/configmaps, or secrets; in step already: GET alone
//! remove_bundle  GET, DELETE, GET     the same
//! ```
//! Every one can be asked for again without harm, so a caller that does not know what became of one does that. Each
//! request has a deadline and each answer a bound; no redirection is followed and no proxy asked, since a token goes
//! along. TLS has the clock that everybody has.
//!
//! Source: Kubernetes API reference, "Node v1 core", "Pod v1 core", "Eviction v1 policy", "Status v1 meta"; "Safely
//! Drain a Node"; "API-initiated Eviction"; "ConfigMap v1 core", "Secret v1 core", "Namespace v1 core". Commissaire contract, section 9.6, of which this is more.
//!
//! **Invariant:** nobody's pod is deleted but by an eviction, no ConfigMap or Secret is written or deleted that is not
//! marked as ours, and no secret is in an error.

mod ask;
mod bundle;
mod bundle_error;
mod client;
mod drain;
mod error;
mod evict;
mod kubeconfig;
mod list;
mod namespace;
mod node;
mod node_name;
mod pod;
mod settings;
mod status;
mod tls;

pub use bundle::{BadBundleObject, BundleObject, BundlePlace, ObjectKind};
pub use bundle_error::BundleError;
pub use client::{Change, Client};
pub use drain::{Drain, DrainPolicy, Drained, Evicted, Stayed, Step, Why};
pub use error::{Action, Error};
pub use evict::Round;
pub use kubeconfig::{KubeconfigError, kubeconfig};
pub use namespace::{BadNamespaceName, NamespaceName, NamespaceSelector, Namespaces};
pub use node::{Node, Readiness};
pub use node_name::{BadNodeName, NodeName};
pub use pod::{Pod, PodName};
pub use settings::{BadServer, ClientCertificate, Credentials, Server, Settings, SettingsError, Trust};
