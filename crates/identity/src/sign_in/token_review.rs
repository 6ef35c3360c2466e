//! Sign-in by a bearer token that a Kubernetes judges: TokenReview (`authentication.k8s.io/v1`).

use base::{Clock, Secret};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::bearer::Owner;
use super::config::TokenReviewConfig;
use super::error::ServiceError;
use super::guard::{Found, Guard};
use super::method::{Method, Verdict};
use super::offer::Offer;
use super::openshift::bearer;
use super::service::{Asker, Silence};
use super::turns::Turn;
use super::watched_file::WatchedFile;

/// A Kubernetes.
pub(crate) struct TokenReview {
    asker: Asker,
    /// The token that we ask with; empty when there is none.
    ours: WatchedFile<String>,
    config: TokenReviewConfig,
    guard: Guard,
}

/// What Kubernetes answers.
enum Review {
    /// The review's `status`.
    Done(Value),
    /// That it reviews none for us.
    Refused(StatusCode),
}

impl TokenReview {
    pub(crate) fn new(config: TokenReviewConfig, guard: Guard, clock: &Clock) -> Result<Self, ServiceError> {
        let parse = |bytes: &[u8]| {
            let token = std::str::from_utf8(bytes).unwrap_or_default().trim();
            let is_one = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            if is_one { Ok(token.to_owned()) } else { Err("there is no token in it".to_owned()) }
        };
        let ours = WatchedFile::new(config.token_file.clone(), clock.clone(), Box::new(parse));
        Ok(Self { asker: Asker::new(&config.service, clock)?, ours, config, guard })
    }

    async fn look(&self, attempt: &Attempt<'_>, offer: &Offer, token: &Secret<String>) -> Verdict {
        let token = token.expose().as_str();
        let look = async |turn: Turn| {
            let review = self.review(token).await;
            drop(turn);
            match review {
                Ok(Review::Done(status)) => {
                    self.asker.judged();
                    self.found(&status, token)
                }
                Ok(Review::Refused(status)) => {
                    self.refused(status);
                    Found::Unavailable
                }
                Err(silence) => {
                    self.asker.tell("Kubernetes could not be asked for a token review", &silence);
                    Found::Unavailable
                }
            }
        };
        self.guard.judge(attempt, offer, self.guard.key(&[token.as_bytes()]), look).await
    }

    async fn review(&self, token: &str) -> Result<Review, Silence> {
        let mut spec = json!({"token": token});
        if !self.config.audiences.is_empty() {
            spec["audiences"] = json!(self.config.audiences);
        }
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
        let request = self.asker.post(&review).header(ACCEPT, "application/json");
        let answer = self.asker.ask(request.header(AUTHORIZATION, bearer(&self.ours.now()))).await?;
        match answer.status {
            StatusCode::OK | StatusCode::CREATED => Ok(Review::Done(answer.json()["status"].take())),
            status => Ok(Review::Refused(status)),
        }
    }

    /// Logs that it is we who may not ask, which does not heal by itself. About the token it says nothing, so whoever
    /// shows it is not told that they are nobody.
    fn refused(&self, status: StatusCode) {
        let what = match status.as_u16() {
            401 | 403 => {
                "Kubernetes does not let us review tokens: the token in `token_file` must be good, and its account have \
                 the cluster role `system:auth-delegator`"
            }
            _ => "what is at this URL reviews no tokens",
        };
        self.asker.tell_refusal(what, status, true);
    }

    fn found(&self, status: &Value, token: &str) -> Found {
        if status["authenticated"] != true || !is_for(&status["audiences"], &self.config.audiences) {
            return Found::Nobody;
        }
        let user = &status["user"];
        Owner::read(&user["username"], &user["groups"]).found("Kubernetes", token, &self.config.roles)
    }
}

impl Method for TokenReview {
    fn name(&self) -> &'static str {
        "token-review"
    }

    fn judge<'a>(&'a self, attempt: &'a Attempt<'a>, offer: &'a Offer) -> BoxFuture<'a, Verdict> {
        match offer.bearer() {
            Some(token) => self.look(attempt, offer, token).boxed(),
            None => std::future::ready(Verdict::Failure).boxed(),
        }
    }
}

/// Whether a token that is good for `audiences` is good for one of those we `asked` for. An API server that knows
/// nothing of audiences names none; then it must not be believed when some were asked for.
fn is_for(audiences: &Value, asked: &[String]) -> bool {
    let mut audiences = audiences.as_array().into_iter().flatten().filter_map(Value::as_str);
    asked.is_empty() || audiences.any(|audience| asked.iter().any(|asked| asked == audience))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audiences_must_be_those_asked_for() {
        let check = |audiences: Value, asked: &[&str], expected: bool| {
            let asked: Vec<String> = asked.iter().map(|&audience| audience.to_owned()).collect();
            assert_eq!(is_for(&audiences, &asked), expected, "{audiences} {asked:?}");
        };
        check(Value::Null, &[], true);
        check(json!(["api"]), &[], true);
        check(json!(["api", "provost"]), &["provost"], true);
        check(json!(["api"]), &["provost"], false);
        check(Value::Null, &["provost"], false);
    }
}
