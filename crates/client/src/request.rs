//! What is asked.

use std::fmt;
use std::str::FromStr;

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
        Self { method, path, subject, body }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, escaped.
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
    fn what_would_lead_elsewhere_is_no_name() {
        for text in ["", ".", ".."] {
            assert_eq!(text.parse::<Segment>(), Err(BadSegment(text.to_owned())));
        }
    }
}
