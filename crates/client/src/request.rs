//! What is asked.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;

/// What is not escaped in a path: RFC 3986's unreserved characters, and the colon of an IPv6 address.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// One part of a path: the name of a thing. Never empty, and neither `.` nor `..`, which would make the path
/// that of something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment(String);

/// A text that cannot be part of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name")]
pub struct BadSegment(String);

impl Segment {
    /// The text, not escaped.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Segment {
    type Err = BadSegment;

    fn from_str(text: &str) -> Result<Self, BadSegment> {
        if matches!(text, "" | "." | "..") {
            Err(BadSegment(text.to_owned()))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request: method, path, and what is sent along. It may hold secrets, so it has no `Debug`.
#[derive(Clone)]
pub struct Request {
    method: Method,
    path: String,
    subject: String,
    body: Option<Value>,
    condition: Option<Condition>,
    once: bool,
    wait: Duration,
}

/// What has to be so for a request to have an effect (RFC 9110, section 13.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// What is there is this version: `If-Match`, an entity tag as the server wrote it.
    Is(String),
    /// It is another version, or there is nothing: `If-None-Match`.
    IsNot(String),
    /// There is nothing: `If-None-Match: *`.
    Absent,
}

impl Request {
    /// `method` at `prefix` and the `parts` under it.
    ///
    /// # Panics
    /// Without any part; what is asked for is then not said.
    pub(crate) fn new(method: Method, prefix: &str, parts: &[&str], body: Option<Value>) -> Self {
        let mut path = prefix.to_owned();
        for part in parts {
            path.push('/');
            path.extend(utf8_percent_encode(part, ESCAPED));
        }
        let subject = parts.last().copied().expect("every route has a part").to_owned();
        Self { method, path, subject, body, condition: None, once: false, wait: Duration::ZERO }
    }

    /// The same, which is not sent a second time once a server may have it.
    #[must_use]
    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Whether it is never sent again once a server may have it.
    pub(crate) fn is_once(&self) -> bool {
        self.once
    }

    /// The same, which asks the server not to answer before something is so, or `wait` is over.
    #[must_use]
    pub(crate) fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// For how long the server was asked to wait before it answers.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// The same with `name=value` in its query, behind those that are there.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.extend(utf8_percent_encode(name, ESCAPED));
        self.path.push('=');
        self.path.extend(utf8_percent_encode(value, ESCAPED));
        self
    }

    /// The same under `condition`.
    #[must_use]
    pub fn if_so(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// Under which condition.
    #[must_use]
    pub fn condition(&self) -> Option<&Condition> {
        self.condition.as_ref()
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path and the query, escaped.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last part of the path, not escaped.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What is sent along.
    #[must_use]
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_part_of_the_path() {
        for (name, path) in [
            ("a-b_c.d", "/v/thing/a-b_c.d"),
            ("fe80::1%eth0", "/v/thing/fe80::1%25eth0"),
            ("../../x?y#z", "/v/thing/..%2F..%2Fx%3Fy%23z"),
            ("é ", "/v/thing/%C3%A9%20"),
        ] {
            let name: Segment = name.parse().unwrap();
            let request = Request::new(Method::GET, "/v", &["thing", name.as_str()], None);
            assert_eq!((request.path(), request.subject()), (path, name.as_str()));
        }
    }

    #[test]
    fn a_query_says_what_was_meant() {
        let request = Request::new(Method::GET, "/v", &["things"], None);
        let request = request.with("label", "a/b=c&d").with("limit", "3");
        assert_eq!(request.path(), "/v/things?label=a%2Fb%3Dc%26d&limit=3");
    }

    #[test]
    fn what_would_lead_elsewhere_is_no_name() {
        for text in ["", ".", ".."] {
            assert_eq!(text.parse::<Segment>(), Err(BadSegment(text.to_owned())));
        }
    }
}
