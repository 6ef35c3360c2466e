//! Pods: started, listed, ending.

use serde_json::{Value, json};

use super::answer::{Parameters, page};
use super::node::THEN;
use super::status::bad_request;
use super::{PodPlan, State};
use crate::stand_in::StandInReply;

/// A pod that there is.
pub(super) struct Running {
    pub(super) object: Value,
    pub(super) node: String,
    /// How often it is still listed, once it is ending.
    pub(super) listed_ending: Option<u32>,
    pub(super) budget: Option<String>,
}

impl Running {
    pub(super) fn new(plan: PodPlan, version: &str) -> Self {
        let PodPlan { namespace, name, node, controller, phase, volumes, annotations, listed_ending } = plan;
        let uid = format!("9c1a5a3b-0000-4000-8000-00000000{version}");
        let mut object = json!({
            "metadata": {
                "name": name, "namespace": namespace, "uid": uid, "resourceVersion": version,
                "creationTimestamp": THEN,
            },
            "spec": {
                "nodeName": node, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
                "containers": [{"name": "main", "image": "registry.example/app:1"}],
            },
            "status": {"phase": phase, "qosClass": "BestEffort", "startTime": THEN},
        });
        if volumes.as_array().is_some_and(|volumes| !volumes.is_empty()) {
            object["spec"]["volumes"] = volumes;
        }
        if !annotations.is_empty() {
            object["metadata"]["annotations"] = json!(annotations);
        }
        if let Some(kind) = controller {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": kind, "name": "owner",
                "uid": "1b2c3d4e-0000-4000-8000-000000000001", "controller": true, "blockOwnerDeletion": true,
            }]);
        }
        Self { object, node, listed_ending, budget: None }
    }

    pub(super) fn is_ending(&self) -> bool {
        !self.object["metadata"]["deletionTimestamp"].is_null()
    }

    /// Whether a budget is none of its business any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_ending() || matches!(self.object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    }

    pub(super) fn end(&mut self, grace_period_seconds: &Value, version: &str) {
        let seconds = grace_period_seconds.as_i64().unwrap_or(30);
        let metadata = &mut self.object["metadata"];
        metadata["deletionTimestamp"] = THEN.into();
        metadata["deletionGracePeriodSeconds"] = seconds.into();
        metadata["resourceVersion"] = version.into();
    }
}

/// The pods of one node, a page of them.
pub(super) fn list(state: &mut State, query: &str) -> Result<StandInReply, StandInReply> {
    let asked = Parameters::read(query, &["fieldSelector", "limit", "continue"])?;
    let selector = asked.text("fieldSelector");
    let Some(node) = selector.strip_prefix("spec.nodeName=") else {
        let message = format!(
            "Unable to find \"/v1, Resource=pods\" that match label selector \"\", \
            field selector \"{selector}\": field label not supported"
        );
        return Err(bad_request(&message));
    };
    if asked.text("continue").is_empty() {
        pass(state, node);
    }
    let on_node = state.pods.iter().filter(|(_, pod)| pod.node == node);
    let listed = on_node.map(|((namespace, name), pod)| (format!("{namespace}/{name}"), pod.object.clone()));
    let listed = listed.collect();
    page(state, &asked, "PodList", listed)
}

/// Some time passes, between one list and the next: pods that are ending come to their end.
fn pass(state: &mut State, node: &str) {
    let ending = state.pods.iter_mut().filter(|(_, pod)| pod.node == node && pod.is_ending());
    let mut gone = Vec::new();
    for (key, pod) in ending {
        match &mut pod.listed_ending {
            None => {}
            Some(0) => gone.push(key.clone()),
            Some(left) => *left -= 1,
        }
    }
    for key in gone {
        let budget = state.pods.remove(&key).and_then(|pod| pod.budget);
        let healed = state.budgets.iter_mut().find(|known| Some(&known.name) == budget.as_ref());
        if let Some(budget) = healed {
            budget.healthy += 1;
        }
    }
}
