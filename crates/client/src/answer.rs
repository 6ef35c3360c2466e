//! What a server answers.

use serde_json::Value;

/// An answer, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body, without parameters, in lower case; empty when it was not said.
    pub media_type: String,
    /// The version of what is shown (`ETag`), where the server tells it.
    pub etag: Option<String>,
    /// That all is well but for this (`Warning`, RFC 7234 §5.5): one line.
    pub warning: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// What a server of ours says about a refusal (RFC 9457); nothing when it said nothing of the sort.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if self.media_type != wire::PROBLEM_JSON {
            return None;
        }
        let document: Value = serde_json::from_slice(&self.body).ok()?;
        let text = document.get("detail").or_else(|| document.get("title"))?.as_str()?;
        Some(one_line(text))
    }

    /// What a server of ours says is to be done about a refusal, if it says so.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let problem: wire::Problem = (self.media_type == wire::PROBLEM_JSON)
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()?;
        problem.hint.as_deref().map(one_line)
    }
}

/// What the value of a `Warning` says: its quoted text.
pub(crate) fn warned(value: &str) -> Option<String> {
    let (_, text) = value.split_once('"')?;
    let text = text.split('"').next().unwrap_or_default();
    (!text.is_empty()).then(|| one_line(text))
}

/// One line, whoever wrote it: what a terminal would act upon stays out.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_its_text() {
        for (value, expected) in [
            (r#"199 provost "not yet""#, Some("not yet")),
            (r#"199 provost "not yet" "Mon, 01 Jan 2024 00:00:00 GMT""#, Some("not yet")),
            ("199 provost \"not\tyet\"", Some("not yet")),
            (r#"199 provost """#, None),
            ("199 provost", None),
            ("", None),
        ] {
            assert_eq!(warned(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_problem_is_read_only_where_one_is_said() {
        let problem = |media_type: &str, body: &str| {
            Answer {
                status: 409,
                media_type: media_type.to_owned(),
                etag: None,
                warning: None,
                body: body.into(),
            }
            .problem()
        };
        let json = "application/problem+json";
        assert_eq!(problem(json, r#"{"title":"t","detail":"it runs\n"}"#).as_deref(), Some("it runs "));
        assert_eq!(problem(json, r#"{"title":"t"}"#).as_deref(), Some("t"));
        for (media_type, body) in [(json, "Conflict"), (json, "[]"), ("text/html", r#"{"title":"t"}"#)] {
            assert_eq!(problem(media_type, body), None);
        }
    }
}
