//! From an answer to what is printed (commissaire, section 12.3).

use client::{Answer, Request};
use serde_json::{Value, json};

use super::error::CommandError;

/// The result of `request`: the document of the answer, or else words for what happened.
pub(super) fn result(request: &Request, answer: &Answer) -> Result<Value, CommandError> {
    match answer.status {
        204 => Ok(json!("No instance")),
        200..=299 => {
            let document = match answer.body.as_slice() {
                [] => Value::Null,
                body => serde_json::from_slice(body).map_err(|_| CommandError::NotJson {
                    method: request.method().clone(),
                    path: request.path().to_owned(),
                })?,
            };
            Ok(match answer.status {
                _ if says_something(&document) => document,
                201 => json!([format!("Created {}", request.subject())]),
                _ => json!("Success"),
            })
        }
        404 => Ok(json!("No object found.")),
        _ => Err(refusal(request, answer)),
    }
}

/// What an answer that is no success means.
pub(super) fn refusal(request: &Request, answer: &Answer) -> CommandError {
    let problem = answer.problem();
    match answer.status {
        403 => CommandError::Forbidden { problem },
        status => CommandError::Refused {
            method: request.method().clone(),
            path: request.path().to_owned(),
            status,
            problem,
        },
    }
}

/// Python's idea of truth, which decides whether the original shows a document or words.
fn says_something(document: &Value) -> bool {
    match document {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use client::compat::commissaire::{Resource, create};

    use super::*;

    fn of(status: u16, body: &str) -> Result<Value, String> {
        let request = create(Resource::Cluster, &"web".parse().unwrap(), json!({}));
        let media_type = if body.starts_with("{\"detail") { "application/problem+json" } else { "" };
        let (media_type, body) = (media_type.to_owned(), body.into());
        let answer = Answer { status, media_type, etag: None, warning: None, body };
        result(&request, &answer).map_err(|error| {
            let help = base::Explain::help(&error).map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{error}{help}")
        })
    }

    #[test]
    fn documents_are_shown_and_nothing_gets_words() {
        for (status, body, expected) in [
            (200, r#"{"name":"web"}"#, json!({"name": "web"})),
            (200, r#"["a"]"#, json!(["a"])),
            (200, "3", json!(3)),
            (200, "", json!("Success")),
            (200, "[]", json!("Success")),
            (200, "{}", json!("Success")),
            (200, "null", json!("Success")),
            (200, "0", json!("Success")),
            (200, "0.0", json!("Success")),
            (200, "false", json!("Success")),
            (200, "\"\"", json!("Success")),
            (201, r#"{"name":"web"}"#, json!({"name": "web"})),
            (201, "[]", json!(["Created web"])),
            (201, "", json!(["Created web"])),
            (202, "", json!("Success")),
            (204, "", json!("No instance")),
            (404, "Not Found", json!("No object found.")),
        ] {
            assert_eq!(of(status, body), Ok(expected), "{status} {body}");
        }
    }

    #[test]
    fn refusals_are_errors() {
        for (status, body, expected) in [
            (403, "Forbidden", "The provided credentials were incorrect."),
            (409, "Conflict", "Unable to PUT the object at /api/v0/cluster/web: 409"),
            (
                409,
                r#"{"detail":"it runs"}"#,
                "Unable to PUT the object at /api/v0/cluster/web: 409 (it runs)",
            ),
            (500, "", "Unable to PUT the object at /api/v0/cluster/web: 500"),
            (302, "", "Unable to PUT the object at /api/v0/cluster/web: 302"),
            (200, "<html>", "the answer to the PUT of /api/v0/cluster/web is not JSON"),
        ] {
            assert_eq!(of(status, body), Err(expected.to_owned()), "{status} {body}");
        }
    }
}
