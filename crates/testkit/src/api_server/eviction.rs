//! Evictions, and the budgets that forbid them.

use serde_json::{Value, json};

use super::State;
use super::answer::{Body, unknown_field};
use super::namespace::terminating;
use super::status::{bad_request, conflict, failure_as_created, not_found, refusal, success};
use crate::stand_in::StandInReply;

pub(super) fn create(
    state: &mut State,
    (namespace, name): (&str, &str),
    body: &Body,
) -> Result<StandInReply, StandInReply> {
    let eviction = body.object("policy/v1", "Eviction")?;
    unknown_field(eviction, &["kind", "apiVersion", "metadata", "deleteOptions"], "")?;
    unknown_field(&eviction["metadata"], &["name", "namespace"], "metadata.")?;
    let options = &eviction["deleteOptions"];
    unknown_field(options, &["preconditions", "gracePeriodSeconds"], "deleteOptions.")?;
    unknown_field(&options["preconditions"], &["uid"], "deleteOptions.preconditions.")?;
    if eviction["metadata"]["name"] != name {
        return Err(bad_request("name in URL does not match name in Eviction object"));
    }
    if eviction["metadata"]["namespace"] != namespace {
        return Err(bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if state.ending_namespaces.contains(namespace) {
        return Err(terminating(namespace, "pods", name));
    }
    let version = state.next_version();
    let key = (namespace.to_owned(), name.to_owned());
    let pod = state.pods.get_mut(&key).ok_or_else(|| not_found("pods", name))?;
    let Some(uid) = options["preconditions"]["uid"].as_str() else {
        return Err(bad_request("say which pod of that name by its uid"));
    };
    let is = pod.object["metadata"]["uid"].as_str().unwrap();
    if uid != is {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {is}");
        return Err(conflict("pods", name, &why));
    }
    if !pod.is_over() {
        let covering =
            |budget: &&mut super::Budget| budget.namespace == namespace && name.starts_with(&budget.covers);
        let mut budgets: Vec<_> = state.budgets.iter_mut().filter(covering).collect();
        if budgets.len() > 1 {
            return Err(failure_as_created(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
        if let Some(budget) = budgets.first_mut() {
            if budget.healthy <= budget.needed {
                return Err(forbidden_by(budget));
            }
            budget.healthy -= 1;
            pod.budget = Some(budget.name.clone());
        }
    }
    pod.end(&options["gracePeriodSeconds"], &version);
    state.evicted.push(format!("{namespace}/{name}"));
    let mut answer = success(Value::Null);
    answer.as_object_mut().unwrap().remove("details");
    answer["code"] = 201.into();
    Ok(StandInReply::json(201, &answer))
}

fn forbidden_by(budget: &super::Budget) -> StandInReply {
    let message = format!(
        "The disruption budget {} needs {} healthy pods and has {} currently",
        budget.name, budget.needed, budget.healthy
    );
    let causes = json!([{"reason": "DisruptionBudget", "message": message}]);
    let what = "Cannot evict pod as it would violate the pod's disruption budget.";
    refusal(429, "TooManyRequests", what, json!({"causes": causes}))
}
