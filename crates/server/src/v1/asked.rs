//! A request by somebody who signed in: what its path, its query and its body say.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use base::Explain;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use engine::House;
use fleet::HostAddress;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use identity::{Action, Permit, Principal};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::condition::Condition;
use super::refusal::Refusal;
use super::table::{Parameter, Row};
use crate::accept;
use crate::doors::read_body;

/// A request that has found its row.
pub(super) struct Asked {
    by: Principal,
    /// Nobody knows from where it came.
    pub(super) is_anonymous: bool,
    house: Arc<House>,
    /// What stands in the path where the row has `{…}`.
    path: Vec<String>,
    query: Vec<(Parameter, String)>,
    content_type: Option<String>,
    body: Body,
    /// What it is made to depend on.
    pub(super) condition: Condition,
}

impl Asked {
    /// What `by` asks `row` for.
    pub(super) fn read(
        row: &Row,
        path: Vec<String>,
        (by, house): (Principal, &Arc<House>),
        parts: &Parts,
        body: Body,
    ) -> Result<Self, Refusal> {
        let content_type = parts.headers.get(CONTENT_TYPE).map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        });
        Ok(Self {
            by,
            is_anonymous: false,
            house: house.clone(),
            path,
            query: query(row, parts.uri.query().unwrap_or_default())?,
            content_type,
            body,
            condition: Condition::of(&parts.headers)?,
        })
    }

    /// Leave for whoever asks; that it is refused is noted for the history.
    pub(super) fn permit<A: Action>(&self) -> Result<Permit<A>, Refusal> {
        Ok(Permit::grant(self.by.clone()).inspect_err(|denied| {
            self.house.refusals().request(denied, self.by.from(), self.house.clock());
        })?)
    }

    /// What stands at a place in the path.
    pub(super) fn part<T>(&self, place: usize) -> Result<T, Refusal>
    where
        T: FromStr,
        T::Err: Explain,
    {
        let text = self.path.get(place).map(String::as_str).unwrap_or_default();
        text.parse().map_err(|error: T::Err| Refusal::malformed(error.to_string()))
    }

    /// The address that stands at a place in the path.
    pub(super) fn address(&self, place: usize) -> Result<HostAddress, Refusal> {
        self.text(place).parse().map_err(Refusal::address)
    }

    /// What the path says at a place, as it is.
    pub(super) fn text(&self, place: usize) -> &str {
        self.path.get(place).map(String::as_str).unwrap_or_default()
    }

    /// What the query says once.
    pub(super) fn one(&self, parameter: Parameter) -> Result<Option<&str>, Refusal> {
        let mut all = self.all(parameter);
        let first = all.next();
        if all.next().is_some() {
            return Err(Refusal::malformed(format!("`{}` is said more than once", parameter.name())));
        }
        Ok(first)
    }

    /// Whether a parameter is said to be so.
    pub(super) fn flag(&self, parameter: Parameter) -> Result<bool, Refusal> {
        match self.one(parameter)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::malformed(format!("`{}` is `true` or `false`", parameter.name()))),
        }
    }

    /// Everything that the query says.
    pub(super) fn all(&self, parameter: Parameter) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(said, _)| *said == parameter).map(|(_, value)| value.as_str())
    }

    /// How many items a page is to have.
    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = self.one(Parameter::Limit)? else { return Ok(wire::LIMIT_DEFAULT) };
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| is_number && (1..=wire::LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| {
            Refusal::malformed(format!("`limit` is not a number from 1 to {}", wire::LIMIT_MAX))
        })
    }

    /// Behind what the page begins, in the list called `list`.
    pub(super) fn after<T: FromStr>(&self, list: char) -> Result<Option<T>, Refusal> {
        let Some(text) = self.one(Parameter::After)? else { return Ok(None) };
        let read = || {
            let text = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
            text.strip_prefix(list)?.parse().ok()
        };
        read().map(Some).ok_or_else(|| {
            Refusal::unfit("`after` is not from this list")
                .hint(Some("take `next` from the page before, as it is".into()))
        })
    }

    /// Who asks.
    pub(super) fn by(&self) -> &Principal {
        &self.by
    }

    /// The body, for whoever reads it a piece at a time, and what it is said to be.
    pub(super) fn body(&mut self) -> (Body, Option<&str>) {
        (std::mem::take(&mut self.body), self.content_type.as_deref())
    }

    /// What is in the body: a JSON object of this shape.
    pub(super) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        let body = read_body(std::mem::take(&mut self.body), wire::BODY_BYTES_MAX).await?;
        // Also when nothing is said: a page of another origin can have a browser send a body that is said to be nothing,
        // with the browser's certificate, and without asking.
        let kind = self.content_type.as_deref().unwrap_or_default();
        if ![wire::JSON, wire::MERGE_PATCH_JSON].contains(&kind) {
            let detail = "the body is not said to be `application/json`";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        parsed(&body)
    }

    /// Reads a body in which there is nothing to say.
    pub(super) async fn nothing(&mut self) -> Result<(), Refusal> {
        let body = read_body(std::mem::take(&mut self.body), wire::BODY_BYTES_MAX).await?;
        match body.trim_ascii() {
            b"" | b"{}" => Ok(()),
            _ => Err(Refusal::malformed("this takes no body")),
        }
    }
}

/// Where the page behind `last` begins, in the list called `list`.
pub(super) fn cursor(list: char, last: &str) -> String {
    BASE64.encode(format!("{list}{last}"))
}

/// What a JSON text says. It is repeated in no error, because there may be a key in it.
fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // Without this, what is an array would be taken for the members in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        let read: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(body);
        return Err(match read {
            Ok(_) => Refusal::malformed("the body is not a JSON object"),
            Err(error) => not_json(&error),
        });
    }
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() { Refusal::malformed(plain(&error.to_string())) } else { not_json(&error) }
    })
}

fn not_json(error: &serde_json::Error) -> Refusal {
    Refusal::malformed(format!("the body is not JSON: {error}"))
}

/// What is wrong with a value, without the value.
fn plain(error: &str) -> String {
    const WORDS_BYTES_MAX: usize = 300;
    let said = match error.split_once(", expected ") {
        Some((said, expected)) if said.starts_with("invalid ") || said.starts_with("unknown variant") => {
            // The value itself may have such words in it; what is expected comes last.
            let expected = expected.rsplit(", expected ").next().unwrap_or(expected);
            let what = said.split_whitespace().take_while(|word| !word.starts_with(['`', '"']));
            let what: Vec<&str> = what.take(4).collect();
            format!("{}, expected {expected}", what.join(" "))
        }
        _ => error.to_owned(),
    };
    if said.len() > WORDS_BYTES_MAX {
        return "the body has members that are not known, or of another type".to_owned();
    }
    format!("the body is not as described: {said}")
}

/// What a query says; only what the row knows.
fn query(row: &Row, text: &str) -> Result<Vec<(Parameter, String)>, Refusal> {
    let mut said = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        let parameter = row.query.iter().find(|parameter| parameter.name() == name);
        let parameter =
            parameter.ok_or_else(|| Refusal::malformed("the query has a parameter that is not known"))?;
        said.push((*parameter, value));
    }
    Ok(said)
}

/// A blank is written as `+`, too.
fn decoded(text: &str) -> Result<String, Refusal> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(Into::into).map_err(|_| Refusal::malformed("the query is not UTF-8"))
}

/// Whether somebody who sends these headers takes this media type (RFC 9110 §12.5.1): what is most precise about it
/// counts.
pub(super) fn takes(headers: &HeaderMap, media_type: &str) -> bool {
    let mut best: Option<(usize, bool)> = None;
    for range in accept::ranges(headers) {
        let is_family = || {
            let family = range.kind.strip_suffix('*').filter(|family| family.ends_with('/'));
            family.is_some_and(|family| media_type.starts_with(family))
        };
        let precision = match range.kind.as_str() {
            kind if kind == media_type => 3,
            "*/*" => 1,
            _ if is_family() => 2,
            _ => 0,
        };
        if best.is_none_or(|(best, _)| precision > best) {
            best = Some((precision, precision > 0 && range.is_wanted));
        }
    }
    best.is_none_or(|(_, is_wanted)| is_wanted)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::ACCEPT;

    use super::*;

    #[test]
    fn bodies_are_objects_of_their_shape() {
        let read = |body: &str| match parsed::<wire::NewHost>(body.as_bytes()) {
            Ok(_) => String::new(),
            Err(refusal) => format!("{refusal:?}"),
        };
        for (body, part) in [
            ("{}", ""),
            (" {\"labels\": {}}\n", ""),
            ("", "not JSON"),
            ("{", "not JSON"),
            ("{}{}", "not JSON"),
            ("hosts=1", "not JSON"),
            ("[]", "not a JSON object"),
            ("null", "not a JSON object"),
            ("\"{}\"", "not a JSON object"),
            (r#"{"cluster": 7}"#, "invalid type: integer, expected a string"),
            (r#"{"labels": "hunter2"}"#, "invalid type: string, expected a map"),
            (r#"{"labels": {"a": null}}"#, "invalid type: null, expected a string"),
            (r#"{"colour": "red"}"#, "unknown field `colour`, expected one of `ssh_private_key`"),
            (r#"{"cluster": "a", "cluster": "b"}"#, "duplicate field `cluster`"),
        ] {
            assert!(
                read(body).contains(part) && read(body).is_empty() == part.is_empty(),
                "{body}: {}",
                read(body)
            );
        }
        // Nothing of a key that was put into the wrong place.
        for body in [
            r#"{"labels": "hunter2, expected hunter2"}"#,
            r#"{"labels": {"a": ["hunter2"]}, "labels": "\"hunter2\" x"}"#,
            r#""hunter2""#,
        ] {
            assert!(!read(body).is_empty() && !read(body).contains("hunter2"), "{}", read(body));
        }
        let kind = parsed::<wire::NewNetwork>(br#"{"kind": "hunter2"}"#).unwrap_err();
        assert!(format!("{kind:?}").contains("unknown variant, expected `flannel_etcd` or"), "{kind:?}");
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(parsed::<wire::NewHost>(deep.as_bytes()).is_err());
    }

    #[test]
    fn json_is_sent_to_those_who_take_it() {
        for (accept, takes) in [
            (&[][..], true),
            (&["*/*"], true),
            (&["application/json"], true),
            (&["text/html, application/json;q=0.1"], true),
            (&["text/html", "application/*"], true),
            (&["text/html"], false),
            (&["*/*, application/json;q=0"], false),
            (&["application/json;q=0.0"], false),
            (&["application/*;q=0, application/json"], true),
            (&["application/hal+json"], false),
            (&[""], true),
        ] {
            let mut headers = HeaderMap::new();
            for field in accept {
                headers.append(ACCEPT, HeaderValue::from_static(field));
            }
            assert_eq!(super::takes(&headers, wire::JSON), takes, "{accept:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("text/*"));
        assert!(super::takes(&headers, wire::EVENT_STREAM) && !super::takes(&headers, wire::JSON));
    }
}
