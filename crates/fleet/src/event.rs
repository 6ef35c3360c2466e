//! What happened, in the words of the history.

use std::collections::BTreeMap;

use base::Clock;
use identity::Principal;
use store::Event;

use crate::address::HostAddress;
use crate::host_key::HostKey;
use crate::label::Labels;
use crate::name::ClusterName;
use crate::operation::{Operation, OperationKind};
use crate::rollout::{Outcome, Rollout};
use crate::run::{HostRun, RunState};

const HOST_ADDED: &str = "host added";
const HOST_REGISTERED: &str = "host registered itself";
const HOST_KEY_ACCEPTED: &str = "host key accepted";
const HOST_DELETED: &str = "host deleted";
const CLUSTER_CHANGED: &str = "cluster changed";
const CLUSTER_DELETED: &str = "cluster deleted";
const MEMBERS_CHANGED: &str = "cluster's hosts changed";
const CONTAINER_MANAGER_CREATED: &str = "container manager created";
const CORDON_LEFT: &str = "node left cordoned";
/// Of operations and of their hosts: a word for the kind of operation stands before.
const STARTED: &str = "started";
const OF_HOST_SKIPPED: &str = "of host skipped";

/// What an operator does with an operation that has been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steering {
    Pause,
    Resume,
    Abort,
    Retry,
}

impl Steering {
    const ALL: [Self; 4] = [Self::Pause, Self::Resume, Self::Abort, Self::Retry];

    fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Abort => "told to abort",
            Self::Retry => "retried",
        }
    }
}

/// Whether `what`, which the history or a hint says, is something that an operator wants of an operation.
#[must_use]
pub fn is_steering(what: &str) -> bool {
    let how = OperationKind::ALL.into_iter().find_map(|kind| what.strip_prefix(kind.as_str()));
    let how = how.and_then(|how| how.strip_prefix(' '));
    how.is_some_and(|how| {
        how == STARTED
            || how == OF_HOST_SKIPPED
            || Steering::ALL.into_iter().any(|steering| steering.as_str() == how)
    })
}

/// Whether `what` says that an operation goes on without a host: it is about the host then, and names no cluster.
#[must_use]
pub fn is_skipping(what: &str) -> bool {
    is_steering(what) && what.ends_with(OF_HOST_SKIPPED)
}

/// Whether `what` says that there may be a host to look at and to make ready.
#[must_use]
pub fn is_of_newcomer(what: &str) -> bool {
    [HOST_ADDED, HOST_REGISTERED, HOST_KEY_ACCEPTED].contains(&what)
}

/// Whether `what` says that a container manager may have to know of hosts, or to forget some.
#[must_use]
pub fn is_of_nodes(what: &str) -> bool {
    [MEMBERS_CHANGED, CLUSTER_CHANGED, CLUSTER_DELETED, HOST_DELETED, CONTAINER_MANAGER_CREATED]
        .contains(&what)
}

/// Whether `what` says that a node has a cordon which is still to be lifted.
#[must_use]
pub fn is_of_cordon_left(what: &str) -> bool {
    what == CORDON_LEFT
}

/// Something that happened to the fleet.
#[derive(Debug)]
pub(crate) enum Happened<'a> {
    HostAdded { address: &'a HostAddress, cluster: Option<&'a ClusterName> },
    HostRegistered { address: &'a HostAddress, cluster: Option<&'a ClusterName> },
    HostLabelled { address: &'a HostAddress, labels: &'a Labels },
    HostKeyPinned { address: &'a HostAddress, key: &'a HostKey },
    HostKeyAccepted { address: &'a HostAddress, before: &'a HostKey, after: &'a HostKey },
    HostDeleted { address: &'a HostAddress, cluster: Option<&'a str> },
    LeftoversDeleted { address: &'a HostAddress },
    ClusterCreated { cluster: &'a ClusterName, network: &'a str, manager: &'a str },
    ClusterChanged { cluster: &'a ClusterName, network: &'a str, manager: &'a str },
    ClusterDeleted { cluster: &'a ClusterName },
    MembersChanged { cluster: &'a ClusterName, joined: &'a [String], left: &'a [String] },
    DefinitionCreated { noun: &'static str, name: &'a str },
    DefinitionDeleted { noun: &'static str, name: &'a str },
    OperationStarted { operation: &'a Operation },
    OperationSteered { rollout: &'a Rollout, how: Steering },
    OperationEnded { rollout: &'a Rollout, outcome: Outcome },
    HostCarried { rollout: &'a Rollout, run: &'a HostRun },
    CordonLeft { rollout: &'a Rollout, run: &'a HostRun },
    CordonLifted { rollout: &'a Rollout, run: &'a HostRun },
    HostChanged { address: &'a HostAddress, status: &'a str, reason: Option<&'a str> },
}

impl Happened<'_> {
    /// As the history keeps it; `by` is who asked.
    pub(crate) fn event(&self, by: &Principal, clock: &Clock) -> Event {
        let mut facts = BTreeMap::new();
        let (what, about) = match self {
            Self::HostAdded { address, cluster } => {
                facts.extend(cluster.map(|cluster| ("cluster", cluster.to_string())));
                (HOST_ADDED.to_owned(), format!("host {address}"))
            }
            Self::HostRegistered { address, cluster } => {
                facts.extend(cluster.map(|cluster| ("cluster", cluster.to_string())));
                (HOST_REGISTERED.to_owned(), format!("host {address}"))
            }
            Self::HostLabelled { address, labels } => {
                let labels: Vec<String> =
                    labels.as_map().iter().map(|(key, value)| format!("{key}={value}")).collect();
                facts.insert("labels", labels.join(" "));
                ("host labelled".to_owned(), format!("host {address}"))
            }
            Self::HostKeyPinned { address, key } => {
                facts.insert("host_key", key.fingerprint().to_owned());
                ("host key pinned".to_owned(), format!("host {address}"))
            }
            Self::HostKeyAccepted { address, before, after } => {
                facts.insert("host_key", after.fingerprint().to_owned());
                facts.insert("host_key_before", before.fingerprint().to_owned());
                (HOST_KEY_ACCEPTED.to_owned(), format!("host {address}"))
            }
            Self::HostDeleted { address, cluster } => {
                facts.extend(cluster.map(|cluster| ("cluster", cluster.to_owned())));
                (HOST_DELETED.to_owned(), format!("host {address}"))
            }
            Self::LeftoversDeleted { address } => {
                ("leftover credentials deleted".to_owned(), format!("host {address}"))
            }
            Self::ClusterCreated { cluster, network, manager } => {
                facts.extend(cluster_facts(network, manager));
                ("cluster created".to_owned(), format!("cluster {cluster}"))
            }
            Self::ClusterChanged { cluster, network, manager } => {
                facts.extend(cluster_facts(network, manager));
                (CLUSTER_CHANGED.to_owned(), format!("cluster {cluster}"))
            }
            Self::ClusterDeleted { cluster } => (CLUSTER_DELETED.to_owned(), format!("cluster {cluster}")),
            Self::MembersChanged { cluster, joined, left } => {
                for (name, hosts) in [("joined", joined), ("left", left)] {
                    if !hosts.is_empty() {
                        facts.insert(name, hosts.join(" "));
                    }
                }
                (MEMBERS_CHANGED.to_owned(), format!("cluster {cluster}"))
            }
            Self::DefinitionCreated { noun, name } => (format!("{noun} created"), format!("{noun} {name}")),
            Self::DefinitionDeleted { noun, name } => (format!("{noun} deleted"), format!("{noun} {name}")),
            Self::OperationStarted { operation } => {
                facts.extend(operation.plan.version().map(|version| ("version", version.to_string())));
                facts.insert("state", operation.state.as_str().to_owned());
                let kind = operation.plan.kind().as_str();
                (format!("{kind} {STARTED}"), format!("cluster {}", operation.cluster))
            }
            Self::OperationSteered { rollout, how } => {
                facts.insert("operation", rollout.id.to_string());
                let kind = rollout.plan.kind().as_str();
                (format!("{kind} {}", how.as_str()), format!("cluster {}", rollout.cluster))
            }
            Self::OperationEnded { rollout, outcome } => {
                facts.insert("operation", rollout.id.to_string());
                facts.insert("done", rollout.done.to_string());
                facts.insert("failed", rollout.failed().to_string());
                facts.insert("skipped", rollout.skipped.to_string());
                let kind = rollout.plan.kind().as_str();
                (format!("{kind} {}", outcome.as_str()), format!("cluster {}", rollout.cluster))
            }
            Self::HostCarried { rollout, run } => {
                facts.extend(carried_facts(rollout));
                facts.extend(run.state.boot_id().map(|boot_id| ("boot_id", boot_id.to_owned())));
                if let RunState::Failed { reason, .. } | RunState::Skipped { reason, .. } = &run.state {
                    facts.insert("reason", reason.clone());
                }
                let what = match &run.state {
                    RunState::Waiting => "of host to be tried again",
                    RunState::Begun { .. } => "of host begun",
                    RunState::Awaiting { .. } => "of host under way",
                    RunState::Soaking { .. } => "of host well, waiting",
                    RunState::Done { .. } => "of host done",
                    RunState::Failed { .. } => "of host failed",
                    RunState::Skipped { .. } => OF_HOST_SKIPPED,
                };
                let kind = rollout.plan.kind().as_str();
                (format!("{kind} {what}"), format!("host {}", run.address))
            }
            Self::CordonLeft { rollout, run } => {
                facts.extend(carried_facts(rollout));
                (CORDON_LEFT.to_owned(), format!("host {}", run.address))
            }
            Self::CordonLifted { rollout, run } => {
                facts.extend(carried_facts(rollout));
                ("cordon of node lifted".to_owned(), format!("host {}", run.address))
            }
            Self::HostChanged { address, status, reason } => {
                facts.insert("status", (*status).to_owned());
                facts.extend(reason.map(|reason| ("reason", reason.to_owned())));
                ("host's status changed".to_owned(), format!("host {address}"))
            }
        };
        Event {
            at_milliseconds: clock.now_milliseconds(),
            what,
            about,
            by: by.name().to_owned(),
            from: by.from().map(|address| address.to_string()),
            facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }
}

fn carried_facts(rollout: &Rollout) -> [(&'static str, String); 2] {
    [("cluster", rollout.cluster.to_string()), ("operation", rollout.id.to_string())]
}

fn cluster_facts(network: &str, manager: &str) -> [(&'static str, String); 2] {
    [("network", network.to_owned()), ("container_manager", manager.to_owned())]
}

#[cfg(test)]
mod tests {
    use base::Timestamp;

    use super::*;
    use crate::container_manager;
    use crate::operation::Plan;
    use crate::policy::Policy;
    use crate::rollout::RolloutId;
    use crate::run::{Cordon, Past};

    /// Hints are heard by their words: these are the ones that are said.
    #[test]
    fn what_is_heard_is_what_is_said() {
        let (host, web) = ("a".parse().unwrap(), "web".parse().unwrap());
        let at = Timestamp::from_unix(7);
        let key: &HostKey =
            &"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO"
                .parse()
                .unwrap();
        let said = |happened: &Happened<'_>| happened.event(&Principal::house(), &Clock::manual(at)).what;
        for happened in [
            Happened::HostAdded { address: &host, cluster: None },
            Happened::HostRegistered { address: &host, cluster: None },
            Happened::HostKeyAccepted { address: &host, before: key, after: key },
        ] {
            assert!(is_of_newcomer(&said(&happened)), "{happened:?}");
        }
        for happened in [
            Happened::MembersChanged { cluster: &web, joined: &[], left: &[] },
            Happened::ClusterChanged { cluster: &web, network: "", manager: "" },
            Happened::ClusterDeleted { cluster: &web },
            Happened::HostDeleted { address: &host, cluster: None },
            Happened::DefinitionCreated { noun: container_manager::NOUN, name: "k" },
        ] {
            assert!(is_of_nodes(&said(&happened)), "{happened:?}");
        }
        for plan in [Plan::Restart, Plan::Upgrade, Plan::Deploy { version: "1".parse().unwrap() }] {
            let operation = Operation::begun(web.clone(), plan.clone(), String::new());
            let what = said(&Happened::OperationStarted { operation: &operation });
            assert!(is_steering(&what) && !is_skipping(&what), "{what}");
            let whose = (web.clone(), RolloutId(1));
            let rollout = Rollout::asked_for(whose, (plan, Policy::default()), "ada".into(), 1, at);
            for how in Steering::ALL {
                let what = said(&Happened::OperationSteered { rollout: &rollout, how });
                assert!(is_steering(&what) && !is_skipping(&what), "{what}");
            }
            for (state, is_wanted) in [
                (RunState::Skipped { reason: String::new(), at }, true),
                (RunState::Waiting, false),
                (RunState::Begun { boot_id: None, at }, false),
                (RunState::Done { at }, false),
            ] {
                let run = HostRun {
                    place: 0,
                    address: host.clone(),
                    state,
                    cordon: Cordon::None,
                    past: Past::default(),
                };
                let what = said(&Happened::HostCarried { rollout: &rollout, run: &run });
                assert_eq!((is_steering(&what), is_skipping(&what)), (is_wanted, is_wanted), "{what}");
            }
            let what = said(&Happened::OperationEnded { rollout: &rollout, outcome: Outcome::Finished });
            assert!(!is_steering(&what), "{what}");
        }
    }
}
