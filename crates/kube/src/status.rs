//! What an API server says when it refuses: a `Status` (meta/v1).

use serde::Deserialize;

/// The longest text of a server's that goes into an error, in characters.
const SAID_MAX: usize = 400;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Status {
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) code: u16,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    causes: Option<Vec<Cause>>,
    #[serde(rename = "retryAfterSeconds", default)]
    retry_after_seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl Status {
    /// The status in `body`; an empty one when there is none.
    pub(crate) fn read(body: &[u8]) -> Self {
        let found: Option<Self> = serde_json::from_slice(body).ok();
        found.filter(|status| status.kind == "Status").unwrap_or_default()
    }

    /// Whether `reason` is among the causes.
    pub(crate) fn is_because(&self, reason: &str) -> bool {
        self.causes().any(|cause| cause.reason == reason)
    }

    /// The message, and those of the causes behind it, which say more.
    pub(crate) fn says(&self) -> String {
        let more = self.causes().map(|cause| cause.message.as_str()).filter(|message| !message.is_empty());
        let all: Vec<&str> = [self.message.as_str()].into_iter().chain(more).collect();
        all.join(" ").trim().to_owned()
    }

    /// How long to wait before asking again, in seconds; 0 when it does not say.
    pub(crate) fn retry_after_seconds(&self) -> u64 {
        self.details.as_ref().map_or(0, |details| details.retry_after_seconds)
    }

    fn causes(&self) -> impl Iterator<Item = &Cause> {
        self.details.iter().flat_map(|details| details.causes.iter().flatten())
    }
}

/// A server's text, fit for an error: on one line, not without end, and without our token, should it repeat that.
pub(crate) fn clean(text: &str, token: Option<&str>) -> String {
    let text = base::hide(text, token.unwrap_or_default(), "(our token)");
    let one_line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut cut: String = one_line.take(SAID_MAX + 1).collect();
    if cut.chars().count() > SAID_MAX {
        cut.pop();
        cut.push('…');
    }
    cut.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_part_of_what_is_said() {
        let body = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"No.",
            "reason":"TooManyRequests","code":429,"details":{"retryAfterSeconds":10,
            "causes":[{"reason":"DisruptionBudget","message":"It needs 2."}]}}"#;
        let status = Status::read(body);
        assert_eq!(status.says(), "No. It needs 2.");
        assert_eq!((status.code, status.retry_after_seconds()), (429, 10));
        assert!(status.is_because("DisruptionBudget") && !status.is_because("NamespaceTerminating"));
        for other in [&b""[..], b"<html>", b"[]", b"{\"kind\":\"Node\",\"message\":\"x\"}", b"{\"code\":-1}"]
        {
            assert_eq!(Status::read(other).says(), "");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_has_no_secret() {
        let long = "é".repeat(1000);
        for (text, token, expected) in [
            ("a\r\nb\u{1b}[1m", None, "a  b [1m".to_owned()),
            ("bearer s3cret: no", Some("s3cret"), "bearer (our token): no".to_owned()),
            ("abc", Some(""), "abc".to_owned()),
            ("a bad token", Some("a"), "(our token) bad token".to_owned()),
            ("not czNjcmV0LXRva2Vu", Some("s3cret-token"), "not (our token)".to_owned()),
            (&long, None, format!("{}…", "é".repeat(SAID_MAX))),
        ] {
            assert_eq!(clean(text, token), expected);
        }
    }
}
