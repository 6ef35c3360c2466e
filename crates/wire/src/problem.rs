//! What is said when something goes wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::Operation;

/// What went wrong (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind of problem it is.
    #[serde(default = "blank")]
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// What happened, to what: one sentence, without its full stop.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The operation that is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Box<Operation>>,
}

fn blank() -> String {
    "about:blank".to_owned()
}
