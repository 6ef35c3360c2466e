//! Refusals: `Status` objects, in the words of Kubernetes.

use serde_json::{Value, json};

use crate::stand_in::StandInReply;

pub(super) fn refusal(code: u16, reason: &str, message: &str, details: Value) -> StandInReply {
    let mut body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if !details.is_null() {
        body["details"] = details;
    }
    StandInReply::json(code, &body)
}

/// The status is 201 all the same, as when one pod has two budgets.
pub(super) fn failure_as_created(message: &str) -> StandInReply {
    let reply = refusal(500, "InternalError", message, Value::Null);
    StandInReply { status: 201, ..reply }
}

pub(super) fn bad_request(message: &str) -> StandInReply {
    refusal(400, "BadRequest", message, Value::Null)
}

pub(super) fn not_found(resource: &str, name: &str) -> StandInReply {
    let message = format!("{resource} \"{name}\" not found");
    refusal(404, "NotFound", &message, json!({"name": name, "kind": resource}))
}

pub(super) fn conflict(resource: &str, name: &str, why: &str) -> StandInReply {
    let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
    refusal(409, "Conflict", &message, json!({"name": name, "kind": resource}))
}

pub(super) fn unsupported(accepted: &str) -> StandInReply {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    refusal(415, "UnsupportedMediaType", &message, json!({}))
}

pub(super) fn success(details: Value) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
