//! What is answered when something goes wrong: problems (RFC 9457).

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base::Explain;
use engine::{DeletionError, JoinError, NotNow};
use fleet::{
    AddHostError, BadAddress, BadCredentials, ClusterError, DefinitionError, HostError, HostKeyError,
    MembersError,
};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use identity::sign_in::SignInDenied;
use wire::Problem;

use crate::fault;
use crate::signing_in::{self, NotSignedIn};

const UPLOAD_OFFSET: &str = "upload-offset";
/// The problem's type (draft-ietf-httpbis-resumable-upload, section 7.1).
const MISMATCHING_OFFSET: &str = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset";

/// A problem, and what has to be said in the header. Boxed, because it is the error of almost every function here and
/// rarely happens.
#[derive(Debug)]
pub(super) struct Refusal(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    problem: Problem,
    allow: Option<String>,
    /// Not before that is it worth asking again.
    retry_after: Option<Duration>,
    /// How much of an upload has come, where more or less was expected.
    upload_offset: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let problem = Problem {
            r#type: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            running: None,
        };
        Self(Box::new(Parts { status, problem, allow: None, retry_after: None, upload_offset: None }))
    }

    /// 400: the request is not as it is described.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// No address: 400 when it is not as described, else 422.
    pub(super) fn address(error: BadAddress) -> Self {
        match error {
            BadAddress::Empty | BadAddress::TooLong | BadAddress::Character | BadAddress::Option => {
                Self::malformed(error.to_string())
            }
            BadAddress::Form | BadAddress::NoHost => Self::unfit(error.to_string()),
        }
    }

    /// 422: the request is as described, and cannot be meant.
    pub(super) fn unfit(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 412: the request was made to depend on something else.
    pub(super) fn not_as_expected() -> Self {
        let detail = "what is there is not what the request was made to depend on";
        Self::new(StatusCode::PRECONDITION_FAILED, detail)
    }

    /// The refusal that an error stands for, with another status. What went wrong on our side is not shown.
    pub(super) fn with(status: StatusCode, error: &dyn Explain) -> Self {
        Self::new(status, fault::told(error)).hint(error.help())
    }

    pub(super) fn hint(mut self, hint: Option<String>) -> Self {
        self.0.problem.hint = hint;
        self
    }

    /// 503: as much is being done as can be at once.
    pub(super) fn later(detail: impl Into<String>, wait: Duration) -> Self {
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .hint(Some(format!("try again in {} s", wait.as_secs())));
        refusal.0.retry_after = Some(wait);
        refusal
    }

    /// A page of somebody else's wants to write, by the hands of whoever looks at it.
    pub(super) fn foreign_page() -> Self {
        Self::new(StatusCode::FORBIDDEN, "pages of other sites do not write here")
    }

    /// Says how much of an upload has come, which is not what was expected.
    pub(super) fn at_offset(mut self, offset: u64) -> Self {
        self.0.problem.r#type = MISMATCHING_OFFSET.into();
        self.0.upload_offset = Some(offset);
        self
    }

    /// Nobody is signed in.
    pub(super) fn not_signed_in(why: NotSignedIn) -> Self {
        match why {
            NotSignedIn::Unprotected => Self::new(StatusCode::FORBIDDEN, signing_in::UNPROTECTED),
            NotSignedIn::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, signing_in::UNAVAILABLE)
            }
            NotSignedIn::Busy(wait) => Self::busy(wait),
            NotSignedIn::Denied(denied) => Self::denied(denied),
            NotSignedIn::NoConnection => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "no connection"),
        }
    }

    /// Who asks could not be looked at, because too many others do.
    fn busy(wait: Duration) -> Self {
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, signing_in::BUSY)
            .hint(Some(format!("try again in {} s", wait.as_secs())));
        refusal.0.retry_after = Some(wait);
        refusal
    }

    /// Nobody vouches for whoever asks.
    fn denied(denied: SignInDenied) -> Self {
        match denied.retry_after {
            None => {
                Self::new(StatusCode::UNAUTHORIZED, "no way of signing in that is set up here knows who asks")
            }
            Some(wait) => {
                let mut refusal =
                    Self::new(StatusCode::TOO_MANY_REQUESTS, "there were too many wrong passwords or tokens")
                        .hint(Some(format!("the next one is looked at in {} s", wait.as_secs())));
                refusal.0.retry_after = Some(wait);
                refusal
            }
        }
    }

    /// The path is there, but not for this method.
    pub(super) fn method(methods: String) -> Self {
        let mut refusal = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "there is something of this path, but not for this method",
        );
        refusal.0.allow = Some(methods);
        refusal
    }

    pub(super) fn into_response(self, method: &Method) -> Response {
        let parts = *self.0;
        let document =
            serde_json::to_vec(&parts.problem).expect("a problem has text for keys, and nothing in it fails");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = parts.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire::PROBLEM_JSON));
        headers.insert(CONTENT_LENGTH, document.len().into());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if parts.status == StatusCode::UNAUTHORIZED {
            for challenge in ["Basic realm=\"Provost\", charset=\"UTF-8\"", "Bearer realm=\"Provost\""] {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
        }
        if let Some(allow) = parts.allow.and_then(|allow| HeaderValue::try_from(allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        if let Some(wait) = parts.retry_after {
            headers.insert(RETRY_AFTER, wait.as_secs().into());
        }
        if let Some(offset) = parts.upload_offset {
            headers.insert(UPLOAD_OFFSET, offset.into());
        }
        if *method != Method::HEAD {
            *response.body_mut() = document.into();
        }
        response
    }

    /// Of what a cluster's hosts are to be: those that are not there are named in the body, so the path leads
    /// somewhere.
    pub(super) fn of_members(error: MembersError) -> Self {
        match error {
            MembersError::NoSuchHost { .. } => Self::with(StatusCode::CONFLICT, &error),
            error => error.into(),
        }
    }
}

/// Most errors stand for the status of their kind.
impl<E: Explain> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::with(fault::status_of(&error), &error)
    }
}

macro_rules! changed_is_412 {
    ($($name:ident($error:ident);)*) => {
        impl Refusal {
            $(
                /// 412 when it is not as was expected: whoever asked said so.
                pub(super) fn $name(error: $error) -> Self {
                    match error {
                        $error::Changed { .. } => Self::with(StatusCode::PRECONDITION_FAILED, &error),
                        error => error.into(),
                    }
                }
            )*
        }
    };
}
changed_is_412! {
    of_host_key(HostKeyError);
    of_cluster(ClusterError);
    of_definition(DefinitionError);
}

impl Refusal {
    /// 502 when the container manager did not take the host; 503 while somebody else is at work on it.
    pub(super) fn of_joining(error: JoinError) -> Self {
        match error {
            JoinError::Members(error) => error.into(),
            JoinError::Ours(error) => error.into(),
            JoinError::NotNow(error) => Self::later(error.to_string(), NotNow::AGAIN_IN),
            JoinError::Manager(error) => Self::new(StatusCode::BAD_GATEWAY, error.to_string()),
        }
    }

    /// 503 when the container manager did not remove the nodes, and otherwise as for [`Self::of_cluster`].
    pub(super) fn of_deletion(error: DeletionError) -> Self {
        match error {
            DeletionError::Cluster(error) => Self::of_cluster(error),
            DeletionError::Ours(error) => error.into(),
            DeletionError::NotNow(error) => Self::later(error.to_string(), NotNow::AGAIN_IN),
            DeletionError::Manager(ref manager) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, manager.to_string()).hint(error.help())
            }
        }
    }

    /// 412 when it is not as was expected; 422 when no host is where it is said to be.
    pub(super) fn of_new_host(error: AddHostError) -> Self {
        match error {
            AddHostError::Changed { .. } => Self::with(StatusCode::PRECONDITION_FAILED, &error),
            AddHostError::Unreachable { .. } => Self::with(StatusCode::UNPROCESSABLE_ENTITY, &error),
            error => error.into(),
        }
    }

    /// 422 for a key file that is none: that cannot be told from its description.
    pub(super) fn of_credentials(error: BadCredentials) -> Self {
        match error {
            BadCredentials::Key { .. } => Self::with(StatusCode::UNPROCESSABLE_ENTITY, &error),
            BadCredentials::User | BadCredentials::KeyTooLong => error.into(),
        }
    }

    /// 412 when it is not as was expected; 422 when each label is one, but not all of them together.
    pub(super) fn of_host(error: HostError) -> Self {
        match error {
            HostError::Changed { .. } => Self::with(StatusCode::PRECONDITION_FAILED, &error),
            HostError::Labels(_) => Self::with(StatusCode::UNPROCESSABLE_ENTITY, &error),
            error => error.into(),
        }
    }

    /// Says which operation is in the way.
    pub(super) fn running(mut self, running: Option<wire::Operation>) -> Self {
        self.0.problem.running = running.map(Box::new);
        self
    }

    /// 503: no more can read along at once.
    pub(super) fn too_many_listeners(detail: impl Into<String>, wait: Duration) -> Self {
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .hint(Some(format!("try again in {} s, or look from time to time", wait.as_secs())));
        refusal.0.retry_after = Some(wait);
        refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has begun comes about later: whoever asked has to know. Why it was not seen to its end is for our log.
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
        let going = ClusterError::Going { cluster: web.clone(), source: lost() };
        let perhaps_going = ClusterError::PerhapsGoing { cluster: web, source: lost() };
        for (refusal, words) in [
            (
                Refusal::of_members(begun),
                "within half a minute once the store answers, until it is done or undone as a whole",
            ),
            (Refusal::of_members(perhaps_begun), "until it is done or undone as a whole; if not, nothing"),
            (
                Refusal::of_deletion(DeletionError::Cluster(going)),
                "within half a minute once the store answers, until the cluster has gone as a whole",
            ),
            (
                Refusal::of_deletion(DeletionError::Cluster(perhaps_going)),
                "until the cluster has gone as a whole; if not, nothing was changed",
            ),
            (Refusal::from(MembersError::Store(lost())), "its log says why"),
        ] {
            let Parts { status, problem, .. } = *refusal.0;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(problem.detail.contains(words) && !problem.detail.contains("10.0.0.9"), "{problem:?}");
        }
    }

    #[test]
    fn problems_say_what_they_are() {
        let denied = |seconds: Option<u64>| SignInDenied {
            retry_after: seconds.map(Duration::from_secs),
            offered: true,
        };
        let busy = NotNow { what: "it did not join".into(), reason: "somebody is at work on it".into() };
        for (refusal, status, header) in [
            (
                Refusal::denied(denied(None)),
                401,
                Some(("www-authenticate", "Basic realm=\"Provost\", charset=\"UTF-8\"")),
            ),
            (Refusal::of_joining(JoinError::NotNow(busy)), 503, Some(("retry-after", "5"))),
            (Refusal::denied(denied(Some(7))), 429, Some(("retry-after", "7"))),
            (Refusal::method("GET".into()), 405, Some(("allow", "GET"))),
            (Refusal::unfit("no"), 422, None),
        ] {
            let response = refusal.into_response(&Method::GET);
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            if let Some((name, value)) = header {
                assert_eq!(response.headers()[name], value);
            }
        }
    }
}
