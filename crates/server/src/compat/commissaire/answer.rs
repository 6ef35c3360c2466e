//! Answers and refusals (commissaire contract, sections 2.1 and 2.5).

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base::Explain;
use bytes::Bytes;
use engine::{DeletionError, JoinError, NotNow};
use fleet::{MembersError, OperationError};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WARNING};
use http::{HeaderMap, HeaderValue, StatusCode};
use identity::sign_in::{Away, SignInDenied};
use serde::Serialize;
use serde_json::Value;

use super::bodies::BadBody;
use super::documents;
use super::route::Missed;
use crate::accept;
use crate::fault;
use crate::signing_in::{self, NotSignedIn};

/// What is answered when all is well: a JSON document.
pub(super) struct Answer {
    status: StatusCode,
    document: Bytes,
    warning: Option<&'static str>,
}

/// What is answered when it is not: the reason phrase, or a problem document for those who ask for one.
///
/// Boxed, because it is the error of almost every function here and rarely happens.
#[derive(Debug)]
pub(super) struct Refusal(Box<Problem>);

/// A problem, as RFC 9457 has it.
#[derive(Debug, Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The operation that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<Value>,
    /// Not before that is it worth asking again.
    #[serde(skip)]
    retry_after: Option<Duration>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("documents have text for keys, and nothing in them fails")
}

/// The many items of a list, as they will stand there. One text, since a hundred thousand small ones, or what they are
/// made of, leave holes in memory that stay.
#[derive(Default)]
pub(super) struct Items(Vec<u8>);

impl Items {
    /// Adds an item. Where it is.
    pub(super) fn add(&mut self, item: &impl Serialize) -> Range<usize> {
        let start = self.0.len();
        serde_json::to_writer(&mut self.0, item).expect("as for `json`, and memory takes everything");
        start..self.0.len()
    }

    /// 200 with the list of those that are there.
    pub(super) fn in_order(&self, order: &[Range<usize>]) -> Answer {
        // It is kept, so it takes no more than it needs: the brackets, and a comma before all but the first.
        let mut list = Vec::with_capacity(self.0.len() + order.len() + 2);
        list.push(b'[');
        for (n, item) in order.iter().enumerate() {
            if n > 0 {
                list.push(b',');
            }
            list.extend_from_slice(&self.0[item.clone()]);
        }
        list.push(b']');
        Answer::ready(list.into())
    }
}

impl Answer {
    fn new(status: StatusCode, document: &impl Serialize) -> Self {
        Self { status, document: json(document).into(), warning: None }
    }

    /// 200 with a document that was made before.
    pub(super) fn ready(document: Bytes) -> Self {
        Self { status: StatusCode::OK, document, warning: None }
    }

    /// What is in it.
    pub(super) fn document(&self) -> &Bytes {
        &self.document
    }

    /// 200 with a document.
    pub(super) fn ok(document: &impl Serialize) -> Self {
        Self::new(StatusCode::OK, document)
    }

    /// 201 with a document: every PUT that makes something is answered so, whether it was new or not.
    pub(super) fn created(document: &impl Serialize) -> Self {
        Self::new(StatusCode::CREATED, document)
    }

    /// 200 after something went: an empty list.
    pub(super) fn gone() -> Self {
        Self::ok(&[(); 0])
    }

    /// Says that all is well but for this; ASCII.
    pub(super) fn warning(mut self, warning: Option<&'static str>) -> Self {
        self.warning = warning;
        self
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = response(self.status, "application/json", self.document);
        if let Some(warning) = self.warning {
            response.headers_mut().insert(WARNING, HeaderValue::from_static(warning));
        }
        response
    }
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Nobody else is to have it, and there are keys among the answers.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            r#type: "about:blank",
            title: reason(status),
            status,
            detail: detail.into(),
            hint: None,
            running: None,
            retry_after: None,
        }))
    }

    /// Nobody is signed in.
    pub(super) fn not_signed_in(why: NotSignedIn) -> Self {
        match why {
            NotSignedIn::Unprotected => Self::new(StatusCode::FORBIDDEN, signing_in::UNPROTECTED),
            NotSignedIn::Unavailable(Away::Store) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, signing_in::UNAVAILABLE)
            }
            // To the original's clients that is like any other failure (contract, section 7.5).
            NotSignedIn::Unavailable(Away::Service) => {
                Self::new(StatusCode::FORBIDDEN, signing_in::UNAVAILABLE)
            }
            NotSignedIn::Busy(wait) => Self::busy(wait),
            NotSignedIn::Denied(denied) => Self::denied(denied),
            NotSignedIn::NoConnection => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "no connection"),
        }
    }

    /// Nobody vouches for whoever asks. Never 401: the original's clients do not know it.
    fn denied(denied: SignInDenied) -> Self {
        let detail = match denied.retry_after {
            None => "no way of signing in that is set up here knows who asks",
            Some(_) => "too many wrong passwords came from there; what is offered is not looked at for now",
        };
        let mut refusal = Self::new(StatusCode::FORBIDDEN, detail);
        if let Some(wait) = denied.retry_after {
            refusal.0.hint = Some(format!("the next attempt is looked at in {} s", wait.as_secs()));
        }
        refusal.0.retry_after = denied.retry_after;
        refusal
    }

    /// Who asks could not be looked at, because too many others do.
    fn busy(wait: Duration) -> Self {
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, signing_in::BUSY);
        refusal.0.hint = Some(format!("try again in {} s", wait.as_secs()));
        refusal.0.retry_after = Some(wait);
        refusal
    }

    /// Somebody else is at it.
    fn not_now(error: &NotNow) -> Self {
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        refusal.0.hint = error.help();
        refusal.0.retry_after = Some(NotNow::AGAIN_IN);
        refusal
    }

    /// The refusal that an error stands for. What went wrong on our side is logged, and not shown.
    pub(super) fn of(error: impl Explain) -> Self {
        Self::with(fault::status_of(&error), &error)
    }

    fn with(status: StatusCode, error: &dyn Explain) -> Self {
        let mut refusal = Self::new(status, fault::told(error));
        refusal.0.hint = error.help();
        refusal
    }

    pub(super) fn into_response(self, to: Reader) -> Response {
        let problem = *self.0;
        let mut response = match to {
            Reader::Original => response(problem.status, "text/html", problem.title),
            Reader::Problems => response(problem.status, "application/problem+json", json(&problem)),
            Reader::Nobody => response(problem.status, "text/html", Body::empty()),
        };
        if let Some(wait) = problem.retry_after {
            response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
        }
        response
    }
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Internal Server Error")
}

/// Who reads a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Somebody who knows the original's: the reason phrase and nothing else.
    Original,
    /// Somebody who asked for JSON by name.
    Problems,
    /// Nobody: the answer has no body.
    Nobody,
}

impl Reader {
    /// Who reads the answer to a request with these headers.
    pub(super) fn of(method: &http::Method, headers: &HeaderMap) -> Self {
        let wants = accept::ranges(headers).iter().any(|range| {
            range.is_wanted && ["application/json", "application/problem+json"].contains(&range.kind.as_str())
        });
        match wants {
            _ if method == http::Method::HEAD => Self::Nobody,
            true => Self::Problems,
            false => Self::Original,
        }
    }
}

impl From<BadBody> for Refusal {
    fn from(error: BadBody) -> Self {
        Self::of(error)
    }
}

impl From<Missed> for Refusal {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Route => Self::new(StatusCode::NOT_FOUND, "there is nothing of this path and method"),
            Missed::Name(reason) => Self::new(StatusCode::BAD_REQUEST, reason),
        }
    }
}

impl From<MembersError> for Refusal {
    fn from(error: MembersError) -> Self {
        match error {
            MembersError::Unsuitable { .. } => Self::with(StatusCode::METHOD_NOT_ALLOWED, &error),
            MembersError::NoSuchContainerManager { .. } => Self::with(StatusCode::BAD_GATEWAY, &error),
            error => Self::of(error),
        }
    }
}

impl From<JoinError> for Refusal {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Members(error) => error.into(),
            JoinError::Ours(error) => Self::of(error),
            JoinError::NotNow(error) => Self::not_now(&error),
            JoinError::Manager(error) => Self::new(StatusCode::BAD_GATEWAY, error.to_string()),
        }
    }
}

impl From<DeletionError> for Refusal {
    fn from(error: DeletionError) -> Self {
        match error {
            DeletionError::Cluster(error) => error.into(),
            DeletionError::Ours(error) => Self::of(error),
            DeletionError::NotNow(error) => Self::not_now(&error),
            DeletionError::Manager(ref manager) => {
                let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, manager.to_string());
                refusal.0.hint = error.help();
                refusal
            }
        }
    }
}

impl From<OperationError> for Refusal {
    fn from(error: OperationError) -> Self {
        let running = match &error {
            OperationError::Running { running } => serde_json::to_value(documents::operation(running)).ok(),
            _ => None,
        };
        let mut refusal = Self::of(error);
        refusal.0.running = running;
        refusal
    }
}

macro_rules! refusals {
    ($($error:ty),*) => {
        $(impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                Self::of(error)
            }
        })*
    };
}
refusals!(
    identity::Denied,
    crate::doors::BodyError,
    fleet::AddHostError,
    fleet::HostError,
    fleet::CredentialsError,
    fleet::ListError,
    fleet::ClusterError,
    fleet::DefinitionError
);

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;

    use super::*;

    #[test]
    fn problems_are_for_those_who_name_json() {
        for (method, accept, reader) in [
            ("GET", &[][..], Reader::Original),
            ("GET", &["*/*"], Reader::Original),
            ("GET", &["application/*"], Reader::Original),
            ("GET", &["text/html, */*;q=0.8"], Reader::Original),
            ("GET", &["application/json"], Reader::Problems),
            ("GET", &["text/html, Application/Problem+JSON;q=0.5"], Reader::Problems),
            ("GET", &["text/html", "application/json"], Reader::Problems),
            ("GET", &["application/json;q=0"], Reader::Original),
            ("GET", &["application/json; q=0.0, */*"], Reader::Original),
            ("GET", &["application/jsonp"], Reader::Original),
            ("HEAD", &["application/json"], Reader::Nobody),
        ] {
            let mut headers = HeaderMap::new();
            for field in accept {
                headers.append(ACCEPT, HeaderValue::from_static(field));
            }
            let method = http::Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Reader::of(&method, &headers), reader, "{method} {accept:?}");
        }
    }

    #[test]
    fn items_stand_in_their_order() {
        let mut items = Items::default();
        let [b, a, c] = ["b", "a", "c"].map(|item| items.add(&item));
        let all = [a, b, c];
        for (order, expected) in [(&all[..0], "[]"), (&all[..1], r#"["a"]"#), (&all[..], r#"["a","b","c"]"#)]
        {
            assert_eq!(items.in_order(order).document(), expected);
        }
    }

    /// Clients that start by the hundred give up on 403, and try again after 503.
    #[test]
    fn who_has_to_come_back_is_told_when() {
        let denied = |retry_after| Refusal::denied(SignInDenied { retry_after, offered: true });
        let wait = Duration::from_secs(2);
        for (refusal, status, retry_after) in [
            (denied(None), 403, None),
            (denied(Some(wait)), 403, Some("2")),
            (Refusal::busy(wait), 503, Some("2")),
        ] {
            let response = refusal.into_response(Reader::Original);
            let found = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!((response.status().as_u16(), found), (status, retry_after));
        }
    }

    #[test]
    fn what_has_begun_is_told() {
        let lost = || {
            store::CommitError::Store(store::Error::Unavailable {
                doing: "writing",
                reason: "10.0.0.9 refuses".into(),
            })
        };
        let web: fleet::ClusterName = "web".parse().unwrap();
        let begun = MembersError::Begun { cluster: web.clone(), source: lost() };
        let perhaps_begun = MembersError::PerhapsBegun { cluster: web.clone(), source: lost() };
        let going = fleet::ClusterError::Going { cluster: web.clone(), source: lost() };
        let perhaps_going = fleet::ClusterError::PerhapsGoing { cluster: web, source: lost() };
        for refusal in [
            Refusal::from(begun),
            perhaps_begun.into(),
            DeletionError::Cluster(going).into(),
            DeletionError::Cluster(perhaps_going).into(),
        ] {
            let problem = *refusal.0;
            assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
            let told = format!("{:?} {:?}", problem.detail, problem.hint);
            assert!(
                told.contains("within half a minute once the store answers")
                    && told.contains("before you ask again"),
                "{told}"
            );
            assert!(!told.contains("10.0.0.9"), "{told}");
        }
    }

    #[test]
    fn some_errors_have_codes_of_their_own() {
        let cluster: fleet::ClusterName = "web".parse().unwrap();
        let address: fleet::HostAddress = "10.0.0.1".parse().unwrap();
        for (error, status) in [
            (MembersError::NoSuchCluster { cluster: cluster.clone() }, 404),
            (MembersError::NoSuchHost { address: "a b".into() }, 404),
            (MembersError::Unsuitable { address: address.clone(), status: String::new() }, 405),
            (MembersError::InAnotherCluster { address, other: cluster.clone() }, 409),
            (MembersError::NotAsExpected { cluster: cluster.clone() }, 409),
            (MembersError::NoSuchContainerManager { cluster, manager: "k8s".into() }, 502),
        ] {
            let text = error.to_string();
            assert_eq!(Refusal::from(error).0.status.as_u16(), status, "{text}");
        }
    }
}
