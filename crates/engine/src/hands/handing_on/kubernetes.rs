//! Bundles in the namespaces of a Kubernetes or an OpenShift, which is asked as it is about its nodes (`nodes`).
//!
//! ```text
//! select     the namespaces that are to have the bundle, by labels and names; those that are ending are left out
//! deliver    to each of these: put, if it is not in step; out of each that is not one of them any more: taken away
//! ```
//! Whoever calls writes down where the bundle will be between the two. So nothing is forgotten where it was put by somebody
//! who then died; and what is called for again does no harm. In each namespace it comes to pass by itself: what one
//! refuses, the next one takes. Only what is to be expected of all, that nobody is there for one, is not tried with each.
//!
//! What is asked is `kube`'s (`bundle.rs`). Our user there needs these verbs: `get`, `create`, `update`, `delete` on
//! `configmaps` or `secrets`, whichever it is; `get` on `namespaces` that are named, and `list` where labels select. In all
//! namespaces that may ever be meant (ClusterRole, ClusterRoleBinding), or in each (RoleBinding).
//!
//! It has been seen with a stand-in for an API server (`testkit::ApiServer`), whose words are held against the published
//! schema; with no real one.
//!
//! Source: certificate_transfer contract, section 9.4.

use std::collections::{BTreeMap, BTreeSet};

use base::{Explain, Kind};
use fleet::ContainerManagerName;
use futures_util::future::join_all;
use kube::{BundleError, BundleObject, Change, NamespaceName, NamespaceSelector};

use crate::hands::nodes::{Manager, Nodes, NodesError};
use crate::hands::told;
use crate::tasks::Stop;

/// How many namespaces of one container manager are worked on at once.
const AT_ONCE: usize = 8;

/// Why nothing can be delivered to a container manager at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagerError {
    /// It cannot be asked, or did not answer.
    #[error(transparent)]
    Nodes(#[from] NodesError),
    /// It is one that does nothing.
    #[error("the container manager `{manager}` is of the kind `trivial`, which has no namespaces")]
    Trivial {
        /// Which.
        manager: ContainerManagerName,
    },
}

impl ManagerError {
    /// Whether there is no such container manager any more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Nodes(NodesError::NoSuchManager { .. }))
    }

    /// Whether the same is to be expected of whatever else it is asked now.
    pub(crate) fn is_of_all(&self) -> bool {
        match self {
            Self::Nodes(NodesError::Asked { source, .. }) => may_be_of_all(source),
            Self::Nodes(_) | Self::Trivial { .. } => false,
        }
    }
}

impl Explain for ManagerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Nodes(source) => source.kind(),
            Self::Trivial { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Nodes(source) => source.help(),
            Self::Trivial { .. } => {
                Some("give the requirer one of the kind `kubernetes` or `openshift`".to_owned())
            }
        }
    }
}

/// What is to be where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery<'a> {
    /// What holds it.
    pub(crate) object: &'a BundleObject,
    /// All certificates, as PEM; none is a bundle too.
    pub(crate) bundle: &'a str,
    /// The namespaces that are to have it.
    pub(crate) to: &'a BTreeSet<NamespaceName>,
    /// The namespaces that may have had it. Those that are not to any more lose it.
    pub(crate) before: &'a BTreeSet<NamespaceName>,
}

/// What came of it in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was so already.
    InStep,
    /// It was written, and read back.
    Written,
    /// It is not there, or not any more: the namespace may be forgotten.
    Withdrawn,
    /// It is not known to be as it should.
    Failing {
        /// Why, for a person.
        because: String,
        /// Whether it may pass although nobody does anything about it.
        may_pass: bool,
    },
}

/// The namespaces that `selector` means. One that was named and does not exist is among them, so that its delivery says
/// so; those that are being deleted are not: all that is in them goes along.
///
/// # Errors
/// See [`ManagerError`].
pub(crate) async fn select(
    nodes: &Nodes,
    manager: &ContainerManagerName,
    selector: &NamespaceSelector,
) -> Result<BTreeSet<NamespaceName>, ManagerError> {
    let manager = find(nodes, manager).await?;
    let found = manager.told(manager.client().namespaces(selector).await)?;
    let mut selected = found.there;
    selected.extend(found.absent);
    Ok(selected)
}

/// Has the bundle be where it is to be, and nowhere else of where it was; what came of it in each namespace. When a stop
/// is asked for, those that had not been begun with are missing.
///
/// # Errors
/// See [`ManagerError`].
pub(crate) async fn deliver(
    nodes: &Nodes,
    manager: &ContainerManagerName,
    delivery: Delivery<'_>,
    stop: &Stop,
) -> Result<BTreeMap<NamespaceName, Outcome>, ManagerError> {
    let manager = find(nodes, manager).await?;
    let all: Vec<&NamespaceName> = delivery.to.union(delivery.before).collect();
    let mut outcomes = BTreeMap::new();
    // Once the same is to be expected of all others.
    let mut trouble: Option<Outcome> = None;
    for some in all.chunks(AT_ONCE) {
        if stop.is_asked() {
            break;
        }
        if let Some(trouble) = &trouble {
            outcomes.extend(some.iter().map(|namespace| ((*namespace).clone(), trouble.clone())));
            continue;
        }
        let done = join_all(some.iter().map(|namespace| one(&manager, delivery, namespace))).await;
        let mut of_all = 0;
        for (namespace, done) in some.iter().zip(done) {
            let outcome = done.unwrap_or_else(|error| {
                let outcome = Outcome::Failing { because: told(&error), may_pass: error.may_pass() };
                if let BundleError::Asked(error) = &error {
                    manager.heard(error);
                    of_all += usize::from(may_be_of_all(error));
                }
                outcome
            });
            outcomes.insert((*namespace).clone(), outcome);
        }
        // One of them may have a trouble of its own, such as a webhook that hangs; not as many as were asked about.
        if of_all == some.len() {
            trouble = some.last().and_then(|namespace| outcomes.get(*namespace)).cloned();
        }
    }
    Ok(outcomes)
}

async fn find(nodes: &Nodes, manager: &ContainerManagerName) -> Result<Manager, ManagerError> {
    let found = nodes.manager(manager).await?;
    found.ok_or_else(|| ManagerError::Trivial { manager: manager.clone() })
}

async fn one(
    manager: &Manager,
    delivery: Delivery<'_>,
    namespace: &NamespaceName,
) -> Result<Outcome, BundleError> {
    let Delivery { object, bundle, to, .. } = delivery;
    let place = object.in_namespace(namespace.clone());
    if to.contains(namespace) {
        return Ok(match manager.client().put_bundle(&place, bundle).await? {
            Change::Unneeded => Outcome::InStep,
            Change::Made => {
                tracing::info!(manager = %manager.name(), %place, "bundle of certificates written");
                Outcome::Written
            }
        });
    }
    if manager.client().remove_bundle(&place).await? == Change::Made {
        tracing::info!(manager = %manager.name(), %place, "bundle of certificates withdrawn");
    }
    Ok(Outcome::Withdrawn)
}

/// Whether the same may be to be expected in every other namespace now. What we may do there is each one's own.
fn may_be_of_all(error: &kube::Error) -> bool {
    match error {
        kube::Error::Unauthenticated { .. }
        | kube::Error::Failing { .. }
        | kube::Error::Unreachable { .. }
        | kube::Error::Tls { .. }
        | kube::Error::TimedOut { .. }
        | kube::Error::Interrupted { .. }
        | kube::Error::Malformed { .. } => true,
        kube::Error::Forbidden { .. }
        | kube::Error::NotFound { .. }
        | kube::Error::Refused { .. }
        | kube::Error::NotReady { .. } => false,
    }
}

#[cfg(test)]
mod tests;
