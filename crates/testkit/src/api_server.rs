//! Stands in for the API server of a Kubernetes, as far as it has nodes, and pods that are evicted from them; and
//! namespaces, with ConfigMaps and Secrets in them.
//!
//! ```text
//! POST                 /api/v1/nodes                                 201, 400, 409, 415, 422
//! GET, PATCH, DELETE   /api/v1/nodes/NODE                            200, 400, 404, 409, 415
//! GET                  /api/v1/pods?fieldSelector=&limit=&continue=  200, 400, 410
//! POST                 /api/v1/namespaces/NS/pods/POD/eviction       201, 400, 404, 409, 415, 429
//! GET                  /api/v1/namespaces?labelSelector=&limit=&continue=, /NS          200, 400, 404, 410
//! POST                 /api/v1/namespaces/NS/configmaps?fieldManager=                   201, 400, 403, 404, 409, 422
//! GET, PUT, DELETE     /api/v1/namespaces/NS/configmaps/NAME?fieldManager=, or secrets  200, 400, 404, 409, 422
//! ```
//! and everywhere 401, 403, 404, 405, 406, 413. Refusals are `Status` objects with the words of Kubernetes 1.33. It is
//! stricter than a real one where that finds faults: a body must say what it is, unknown fields and parameters are
//! refused (as with `fieldValidation=Strict`), an eviction must say which pod it means by its uid, whoever writes what
//! holds data has to say who they are and what they have read, and whoever deletes it, which one and which version.
//!
//! A pod that was evicted ends after it has been listed so many more times; then, if a budget covers it, another one
//! has started elsewhere and is healthy. So nothing here depends on how fast anybody is.
//!
//! What it says and is told can be held against the published schema: [`ApiServer::exchanged`]. What that does not
//! prove: that a real one does as this one does. There are no admission plugins or webhooks, no kubelets, no watch, no
//! priority and fairness, no roles beyond what is forbidden; what a namespace
//! that is ending has in it does not go by itself; nothing is applied by the server (SSA); budgets are counted, not computed by a controller; only strategic merge patches of a node's
//! `unschedulable` are understood.
//! Source: Kubernetes API reference v1.33, "Node v1 core", "Pod v1 core", "Eviction v1 policy", "Status v1 meta";
//! "Kubernetes API Concepts"; "API-initiated Eviction".

mod answer;
mod eviction;
mod held;
mod namespace;
mod node;
mod pod;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::stand_in::{Asked, StandIn, StandInReply};

/// An API server with nodes and pods.
pub struct ApiServer {
    stand_in: StandIn,
    state: Arc<Mutex<State>>,
}

/// What a body is, in the published schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// `io.k8s.api.core.v1.Node`.
    Node,
    /// A patch of one.
    NodePatch,
    /// `io.k8s.api.core.v1.PodList`.
    PodList,
    /// `io.k8s.api.policy.v1.Eviction`.
    Eviction,
    /// `io.k8s.apimachinery.pkg.apis.meta.v1.Status`.
    Status,
    /// `io.k8s.api.core.v1.Namespace`.
    Namespace,
    /// `io.k8s.api.core.v1.NamespaceList`.
    NamespaceList,
    /// `io.k8s.api.core.v1.ConfigMap`.
    ConfigMap,
    /// `io.k8s.api.core.v1.Secret`.
    Secret,
    /// `io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions`.
    DeleteOptions,
}

/// A pod to be put on a node.
#[derive(Debug, Clone)]
pub struct PodPlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// The kind of its controller: `ReplicaSet`, `DaemonSet`. None without one.
    pub controller: Option<&'static str>,
    /// `Running`, `Succeeded`, ...
    pub phase: &'static str,
    /// Its volumes.
    pub volumes: Value,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// How often it is still listed once it is ending. None if it never ends.
    pub listed_ending: Option<u32>,
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The names of the pods that it covers begin so.
    pub covers: String,
    /// How many of them are healthy.
    pub healthy: u32,
    /// How many have to be.
    pub needed: u32,
}

#[derive(Default)]
struct State {
    /// User names by bearer token, and by client certificate.
    tokens: BTreeMap<String, String>,
    certificates: BTreeMap<Vec<u8>, String>,
    /// What is refused, as (verb, resource).
    forbidden: BTreeSet<(String, String)>,
    nodes: BTreeMap<String, Value>,
    pods: BTreeMap<(String, String), pod::Running>,
    budgets: Vec<Budget>,
    namespaces: BTreeMap<String, Value>,
    /// What holds data, by (resource, namespace, name).
    held: BTreeMap<(&'static str, String, String), Value>,
    /// In these nothing can be written, since somebody who is asked about it fails.
    failing_namespaces: BTreeSet<String>,
    /// How often clients changed one of those.
    written: u64,
    /// What happens as soon as one of those has been read: somebody else is faster.
    meanwhile: Vec<Meanwhile>,
    /// How long a page is at most, whoever asks for more.
    page_max: Option<usize>,
    /// Whatever would be made in these is refused with 403: they are going.
    ending_namespaces: BTreeSet<String>,
    /// What is answered instead, first to last.
    instead: Vec<StandInReply>,
    /// Lists whose next page is refused as expired.
    expiring: u32,
    version: u64,
    exchanged: Vec<(Schema, Value)>,
    /// Evictions that were accepted, in order.
    evicted: Vec<String>,
}

impl ApiServer {
    /// Without nodes and users.
    #[must_use]
    pub fn http() -> Self {
        let (state, answer) = Self::answer();
        Self { stand_in: StandIn::http(answer), state }
    }

    /// The same over TLS, with the certificate and the key in `pem`. It asks for client certificates, as they do.
    #[must_use]
    pub fn https(pem: &str) -> Self {
        let (state, answer) = Self::answer();
        Self { stand_in: StandIn::https_asking(pem, answer), state }
    }

    fn answer() -> (Arc<Mutex<State>>, impl Fn(&Asked) -> Option<StandInReply> + Send + Sync + 'static) {
        let state = Arc::<Mutex<State>>::default();
        let answering = state.clone();
        (state, move |asked: &Asked| Some(answer::answer(&mut answering.lock().unwrap(), asked)))
    }

    /// Where it is: scheme, host and port.
    #[must_use]
    pub fn url(&self) -> String {
        self.stand_in.url("")
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.stand_in.asked()
    }

    /// Every JSON object that it was told or said so far, and what it is in the published schema.
    #[must_use]
    pub fn exchanged(&self) -> Vec<(Schema, Value)> {
        self.state.lock().unwrap().exchanged.clone()
    }

    /// From now on `token` is that of the user `name`, who may do everything that is not forbidden.
    pub fn set_token(&self, token: &str, name: &str) {
        self.state.lock().unwrap().tokens.insert(token.to_owned(), name.to_owned());
    }

    /// From now on whoever shows the certificate in `pem` is the user `name`.
    pub fn set_certificate(&self, pem: &str, name: &str) {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        self.state.lock().unwrap().certificates.insert(certificate.to_vec(), name.to_owned());
    }

    /// From now on nobody may do this: `patch` on `nodes`, `create` on `pods/eviction`.
    pub fn forbid(&self, verb: &str, resource: &str) {
        self.state.lock().unwrap().forbidden.insert((verb.to_owned(), resource.to_owned()));
    }

    /// The next request is answered so, whatever it is; the next one of several of these after that.
    pub fn answer_instead(&self, reply: StandInReply) {
        self.state.lock().unwrap().instead.push(reply);
    }

    /// The next so many requests for the rest of a list come too late (410).
    pub fn expire_lists(&self, times: u32) {
        self.state.lock().unwrap().expiring = times;
    }

    /// A node that has a kubelet, which says that it is well.
    pub fn add_node(&self, name: &str, boot_id: &str) {
        let mut state = self.state.lock().unwrap();
        let version = state.next_version();
        state.nodes.insert(name.to_owned(), node::registered(name, &version));
        drop(state);
        self.report(name, "True", boot_id);
    }

    /// A kubelet's report: whether its node is ready (`True`, `False`, `Unknown`), and in which boot.
    pub fn report(&self, name: &str, ready: &str, boot_id: &str) {
        let mut state = self.state.lock().unwrap();
        let version = state.next_version();
        node::report(state.nodes.get_mut(name).unwrap(), ready, boot_id, &version);
    }

    /// Somebody else keeps new pods from the node.
    pub fn cordon_by_hand(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        let version = state.next_version();
        let node = state.nodes.get_mut(name).unwrap();
        node["spec"]["unschedulable"] = true.into();
        node["metadata"]["resourceVersion"] = version.into();
    }

    /// The node's object, if there is one.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Value> {
        self.state.lock().unwrap().nodes.get(name).cloned()
    }

    /// Starts a pod.
    pub fn add_pod(&self, plan: PodPlan) {
        let mut state = self.state.lock().unwrap();
        let version = state.next_version();
        let key = (plan.namespace.clone(), plan.name.clone());
        state.pods.insert(key, pod::Running::new(plan, &version));
    }

    /// The names of the pods that there are, as `namespace/name`.
    #[must_use]
    pub fn pods(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.pods.keys().map(|(namespace, name)| format!("{namespace}/{name}")).collect()
    }

    /// The pods whose eviction was accepted, in order, as `namespace/name`.
    #[must_use]
    pub fn evicted(&self) -> Vec<String> {
        self.state.lock().unwrap().evicted.clone()
    }

    /// Guards pods.
    pub fn add_budget(&self, budget: Budget) {
        self.state.lock().unwrap().budgets.push(budget);
    }

    /// So many more of the pods that the budget of that name covers are healthy.
    pub fn heal(&self, name: &str, more: u32) {
        let mut state = self.state.lock().unwrap();
        let budget = state.budgets.iter_mut().find(|budget| budget.name == name).unwrap();
        budget.healthy += more;
    }

    /// A namespace with these labels.
    pub fn add_namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let mut state = self.state.lock().unwrap();
        let version = state.next_version();
        state.namespaces.insert(name.to_owned(), namespace::made(name, labels, &version));
    }

    /// The namespace is being deleted.
    pub fn end_namespace(&self, namespace: &str) {
        let mut state = self.state.lock().unwrap();
        let version = state.next_version();
        state.ending_namespaces.insert(namespace.to_owned());
        if let Some(known) = state.namespaces.get_mut(namespace) {
            namespace::end(known, &version);
        }
    }

    /// From now on, or no longer, a webhook that is asked about whatever is written in the namespace fails.
    pub fn fail_writes_in(&self, namespace: &str, is_failing: bool) {
        let mut state = self.state.lock().unwrap();
        if is_failing {
            state.failing_namespaces.insert(namespace.to_owned());
        } else {
            state.failing_namespaces.remove(namespace);
        }
    }

    /// The namespace is gone, and what was in it.
    pub fn remove_namespace(&self, namespace: &str) {
        let mut state = self.state.lock().unwrap();
        state.namespaces.remove(namespace);
        state.held.retain(|(_, inside, _), _| inside != namespace);
    }

    /// What holds data, if it is there; `resource` is `configmaps` or `secrets`.
    #[must_use]
    pub fn held(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        let kind = held::Kind::of(resource).unwrap().resource;
        state.held.get(&(kind, namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Somebody else makes one that holds data, or changes it: `more` is what it has then, whatever it had.
    pub fn hold(&self, resource: &str, namespace: &str, name: &str, more: &Value) {
        self.state.lock().unwrap().hold(resource, namespace, name, Some(more));
    }

    /// Somebody else deletes one.
    pub fn unhold(&self, resource: &str, namespace: &str, name: &str) {
        self.state.lock().unwrap().hold(resource, namespace, name, None);
    }

    /// The same as [`Self::hold`], or [`Self::unhold`] without `more`, right after one has been read the next time:
    /// before whoever read it can do anything.
    pub fn hold_meanwhile(&self, resource: &str, namespace: &str, name: &str, more: Option<&Value>) {
        let [resource, namespace, name] = [resource, namespace, name].map(str::to_owned);
        let meanwhile = Meanwhile { resource, namespace, name, more: more.cloned() };
        self.state.lock().unwrap().meanwhile.push(meanwhile);
    }

    /// How often clients changed what holds data.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.state.lock().unwrap().written
    }

    /// From now on a page of a list has at most so many, whoever asks for more.
    pub fn page_at_most(&self, items: usize) {
        self.state.lock().unwrap().page_max = Some(items);
    }
}

impl PodPlan {
    /// One of a ReplicaSet in the namespace `default`; ending, it is listed once more.
    #[must_use]
    pub fn new(name: &str, node: &str) -> Self {
        Self {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            node: node.to_owned(),
            controller: Some("ReplicaSet"),
            phase: "Running",
            volumes: serde_json::json!([]),
            annotations: BTreeMap::new(),
            listed_ending: Some(1),
        }
    }
}

/// What somebody else does in the middle of it.
struct Meanwhile {
    resource: String,
    namespace: String,
    name: String,
    more: Option<Value>,
}

impl State {
    /// Somebody other than the clients under test has what holds data be so, or not be.
    fn hold(&mut self, resource: &str, namespace: &str, name: &str, more: Option<&Value>) {
        let kind = held::Kind::of(resource).unwrap();
        let key = (kind.resource, namespace.to_owned(), name.to_owned());
        let version = self.next_version();
        let Some(more) = more else {
            self.held.remove(&key);
            return;
        };
        let mut made = kind.made(namespace, name, more, &version);
        // Changed, it is still the same one.
        if let Some(before) = self.held.get(&key) {
            made["metadata"]["uid"] = before["metadata"]["uid"].clone();
        }
        self.held.insert(key, made);
    }

    /// One of what was to be done in the middle of it is.
    fn pass_meanwhile(&mut self) {
        if !self.meanwhile.is_empty() {
            let Meanwhile { resource, namespace, name, more } = self.meanwhile.remove(0);
            self.hold(&resource, &namespace, &name, more.as_ref());
        }
    }

    /// Whatever changes has another of these afterwards.
    fn next_version(&mut self) -> String {
        self.version += 1;
        (1000 + self.version).to_string()
    }
}
