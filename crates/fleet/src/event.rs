//! What happened, in the words of the history.

use std::collections::BTreeMap;

use base::Clock;
use identity::Principal;
use store::Event;

use crate::address::HostAddress;
use crate::host_key::HostKey;
use crate::label::Labels;
use crate::name::ClusterName;
use crate::operation::Operation;
use crate::rollout::{Outcome, Rollout};
use crate::run::{HostRun, RunState};

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
    OperationSteered { rollout: &'a Rollout, how: &'static str },
    OperationEnded { rollout: &'a Rollout, outcome: Outcome },
    HostCarried { rollout: &'a Rollout, run: &'a HostRun },
    CordonLeft { rollout: &'a Rollout, run: &'a HostRun },
    HostChanged { address: &'a HostAddress, status: &'a str, reason: Option<&'a str> },
}

impl Happened<'_> {
    /// As the history keeps it; `by` is who asked.
    pub(crate) fn event(&self, by: &Principal, clock: &Clock) -> Event {
        let mut facts = BTreeMap::new();
        let (what, about) = match self {
            Self::HostAdded { address, cluster } => {
                facts.extend(cluster.map(|cluster| ("cluster", cluster.to_string())));
                ("host added".to_owned(), format!("host {address}"))
            }
            Self::HostRegistered { address, cluster } => {
                facts.extend(cluster.map(|cluster| ("cluster", cluster.to_string())));
                ("host registered itself".to_owned(), format!("host {address}"))
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
                ("host key accepted".to_owned(), format!("host {address}"))
            }
            Self::HostDeleted { address, cluster } => {
                facts.extend(cluster.map(|cluster| ("cluster", cluster.to_owned())));
                ("host deleted".to_owned(), format!("host {address}"))
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
                ("cluster changed".to_owned(), format!("cluster {cluster}"))
            }
            Self::ClusterDeleted { cluster } => ("cluster deleted".to_owned(), format!("cluster {cluster}")),
            Self::MembersChanged { cluster, joined, left } => {
                for (name, hosts) in [("joined", joined), ("left", left)] {
                    if !hosts.is_empty() {
                        facts.insert(name, hosts.join(" "));
                    }
                }
                ("cluster's hosts changed".to_owned(), format!("cluster {cluster}"))
            }
            Self::DefinitionCreated { noun, name } => (format!("{noun} created"), format!("{noun} {name}")),
            Self::DefinitionDeleted { noun, name } => (format!("{noun} deleted"), format!("{noun} {name}")),
            Self::OperationStarted { operation } => {
                facts.extend(operation.plan.version().map(|version| ("version", version.to_string())));
                facts.insert("state", operation.state.as_str().to_owned());
                let kind = operation.plan.kind().as_str();
                (format!("{kind} started"), format!("cluster {}", operation.cluster))
            }
            Self::OperationSteered { rollout, how } => {
                facts.insert("operation", rollout.id.to_string());
                let kind = rollout.plan.kind().as_str();
                (format!("{kind} {how}"), format!("cluster {}", rollout.cluster))
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
                    RunState::Waiting => "to be tried again",
                    RunState::Begun { .. } => "begun",
                    RunState::Awaiting { .. } => "under way",
                    RunState::Soaking { .. } => "well, waiting",
                    RunState::Done { .. } => "done",
                    RunState::Failed { .. } => "failed",
                    RunState::Skipped { .. } => "skipped",
                };
                let kind = rollout.plan.kind().as_str();
                (format!("{kind} of host {what}"), format!("host {}", run.address))
            }
            Self::CordonLeft { rollout, run } => {
                facts.extend(carried_facts(rollout));
                ("node left cordoned".to_owned(), format!("host {}", run.address))
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
