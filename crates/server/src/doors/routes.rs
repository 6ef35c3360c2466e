//! What stands behind the doors: whatever answers requests.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::future::{BoxFuture, FutureExt as _};
use http::header::CONTENT_LENGTH;
use http::{Method, Request, StatusCode};
use http_body::Body as _;

/// Answers requests, whose extensions have a [`super::Peer`]. Cloning shares it.
///
/// A router would look up each path in a tree, and put what it does into a box or two on the way: half as much work
/// as all of an answer that is there already.
#[derive(Clone)]
pub struct Routes(Arc<Answer>);

type Answer = dyn Fn(Request<Body>) -> BoxFuture<'static, Response> + Send + Sync;

impl Routes {
    /// What `answer` gives. To HEAD it may answer as it would to GET: the body is not sent.
    pub fn new<F>(answer: impl Fn(Request<Body>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self(Arc::new(move |request| {
            if request.method() == Method::HEAD {
                answer(request).map(without_body).boxed()
            } else {
                answer(request).boxed()
            }
        }))
    }

    pub(super) fn answer(&self, request: Request<Body>) -> BoxFuture<'static, Response> {
        (self.0)(request)
    }
}

/// The answer to HEAD: how long the body would be, and none of it (RFC 9110 §9.3.2). Where the route gave none, that
/// need not be how it answers GET: then nothing is said (§8.6).
fn without_body(mut response: Response) -> Response {
    let bytes = response.body().size_hint().exact().filter(|bytes| *bytes > 0);
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(CONTENT_LENGTH);
    } else if let (Some(bytes), false) = (bytes, response.headers().contains_key(CONTENT_LENGTH)) {
        response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    }
    response.map(|_| Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_told_a_length_that_is_known() {
        let check = |status: u16, length: Option<u64>, body: &'static str, expected: Option<&str>| {
            let mut response = Response::builder().status(status);
            if let Some(length) = length {
                response = response.header(CONTENT_LENGTH, length);
            }
            let head = without_body(response.body(Body::from(body)).unwrap());
            let told = head.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap());
            assert_eq!(told, expected, "{status} {length:?} {body:?}");
            assert_eq!(head.body().size_hint().exact(), Some(0));
        };
        check(200, None, "hello", Some("5"));
        check(200, Some(7), "", Some("7"));
        check(200, Some(0), "", Some("0"));
        check(404, None, "", None);
        check(304, None, "", None);
        check(304, Some(7), "", None);
    }
}
