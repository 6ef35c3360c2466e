//! Pods: started, listed, ending.

use std::collections::BTreeMap;

use continuation::{from_token, to_token};
use serde_json::{Value, json};

use super::node::THEN;
use super::status::{bad_request, refusal};
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
    let mut asked = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !["fieldSelector", "limit", "continue"].contains(&name) {
            return Err(bad_request(&format!("unknown parameter \"{name}\"")));
        }
        asked.insert(name, unescape(value));
    }
    let selector = asked.get("fieldSelector").map_or("", String::as_str);
    let Some(node) = selector.strip_prefix("spec.nodeName=") else {
        let message = format!(
            "Unable to find \"/v1, Resource=pods\" that match label selector \"\", \
            field selector \"{selector}\": field label not supported"
        );
        return Err(bad_request(&message));
    };
    let limit: usize = match asked.get("limit").map(|limit| limit.parse()) {
        None => usize::MAX,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return Err(bad_request("limit: strconv.ParseInt: invalid syntax")),
    };
    let from = match asked.get("continue").filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => Some(from_token(token).ok_or_else(|| bad_request("continue key is not valid"))?),
    };
    if from.is_some() && state.expiring > 0 {
        state.expiring -= 1;
        let message = "The provided continue parameter is too old to display a consistent list result. You can \
            start a new list without the continue parameter.";
        return Err(refusal(410, "Expired", message, Value::Null));
    }
    if from.is_none() {
        pass(state, node);
    }
    let on_node = state.pods.iter().filter(|(_, pod)| pod.node == node);
    let rest = on_node.filter(|(key, _)| from.as_ref().is_none_or(|from| *key > from));
    let mut rest = rest.peekable();
    let (mut items, mut last) = (Vec::new(), None);
    while items.len() < limit
        && let Some((key, pod)) = rest.next()
    {
        items.push(pod.object.clone());
        last = Some(key);
    }
    let mut metadata = json!({"resourceVersion": (1000 + state.version).to_string()});
    // How many remain is not said where there is a selector.
    if rest.peek().is_some()
        && let Some(last) = last
    {
        metadata["continue"] = to_token(last).into();
    }
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items});
    Ok(StandInReply::json(200, &list))
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

/// Percent escapes (RFC 3986 §2.1).
fn unescape(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Tokens that go on with a list: opaque, and with signs that must be escaped.
mod continuation {
    pub(super) fn to_token((namespace, name): &(String, String)) -> String {
        format!("v1+{namespace}/{name}==&")
    }

    pub(super) fn from_token(token: &str) -> Option<(String, String)> {
        let (namespace, name) = token.strip_prefix("v1+")?.strip_suffix("==&")?.split_once('/')?;
        Some((namespace.to_owned(), name.to_owned()))
    }
}
