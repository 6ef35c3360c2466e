//! Stands in for the API server of a Kubernetes or an OpenShift, as far as it says whose a token is.
//!
//! ```text
//! POST /apis/authentication.k8s.io/v1/tokenreviews   TokenReview v1, for whoever may create one
//! GET  /apis/user.openshift.io/v1/users/~            the User whose bearer token it is
//! ```
//! Source: Kubernetes API reference, "TokenReview v1 authentication.k8s.io"; OpenShift REST API reference, "User
//! [user.openshift.io/v1]". Refusals are `Status` objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::stand_in::{Asked, StandIn, StandInReply};

/// An API server.
pub struct Kubernetes {
    stand_in: StandIn,
    tokens: Arc<Mutex<BTreeMap<String, Owner>>>,
}

#[derive(Clone)]
struct Owner {
    name: String,
    groups: Vec<String>,
    audiences: Vec<String>,
}

impl Kubernetes {
    /// The token that may ask for reviews.
    pub const REVIEWER: &str = "reviewer-token";
    /// Whom tokens are for that say nothing else.
    pub const AUDIENCE: &str = "https://kubernetes.default.svc";

    /// Without anybody's token.
    #[must_use]
    pub fn http() -> Self {
        let tokens = Arc::<Mutex<BTreeMap<String, Owner>>>::default();
        let known = tokens.clone();
        let stand_in = StandIn::http(move |asked| Some(answer(&known.lock().unwrap(), asked)));
        Self { stand_in, tokens }
    }

    /// Where reviews are asked for.
    #[must_use]
    pub fn reviews(&self) -> String {
        self.stand_in.url(REVIEWS)
    }

    /// Where one asks who one is.
    #[must_use]
    pub fn user(&self) -> String {
        self.stand_in.url(USER)
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.stand_in.asked()
    }

    /// From now on `token` is that of the user `name`, who is in `groups`, and meant for `audiences`.
    pub fn set_token(&self, token: &str, name: &str, groups: &[&str], audiences: &[&str]) {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let owner = Owner { name: name.to_owned(), groups: owned(groups), audiences: owned(audiences) };
        self.tokens.lock().unwrap().insert(token.to_owned(), owner);
    }

    /// From now on `token` is nobody's.
    pub fn revoke(&self, token: &str) {
        self.tokens.lock().unwrap().remove(token);
    }
}

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const USER: &str = "/apis/user.openshift.io/v1/users/~";

fn answer(tokens: &BTreeMap<String, Owner>, asked: &Asked) -> StandInReply {
    let bearer = asked.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", REVIEWS) if bearer == Some(Kubernetes::REVIEWER) => review(tokens, &asked.body),
        ("GET", USER) => match bearer.and_then(|token| tokens.get(token)) {
            Some(owner) => StandInReply::json(200, &user(owner)),
            None => status(401, "Unauthorized"),
        },
        ("POST", REVIEWS) if bearer.is_some_and(|token| tokens.contains_key(token)) => {
            status(403, "Forbidden")
        }
        ("POST", REVIEWS) => status(401, "Unauthorized"),
        _ => status(404, "NotFound"),
    }
}

fn review(tokens: &BTreeMap<String, Owner>, body: &[u8]) -> StandInReply {
    let mut review: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if review["kind"] != "TokenReview" || review["apiVersion"] != "authentication.k8s.io/v1" {
        return status(400, "BadRequest");
    }
    let asked = match review["spec"]["audiences"].as_array() {
        Some(asked) => asked.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => vec![Kubernetes::AUDIENCE.to_owned()],
    };
    let owner = review["spec"]["token"].as_str().and_then(|token| tokens.get(token));
    let good_for = |owner: &Owner| -> Vec<String> {
        asked.iter().filter(|audience| owner.audiences.contains(audience)).cloned().collect()
    };
    review["status"] = match owner.map(|owner| (owner, good_for(owner))) {
        Some((owner, audiences)) if !audiences.is_empty() => json!({
            "authenticated": true,
            "user": {"username": owner.name, "uid": "1d9c6bb6", "groups": owner.groups},
            "audiences": audiences,
        }),
        _ => json!({"user": {}, "error": "[invalid bearer token, token lookup failed]"}),
    };
    StandInReply::json(201, &review)
}

fn user(owner: &Owner) -> Value {
    json!({
        "kind": "User",
        "apiVersion": "user.openshift.io/v1",
        "metadata": {"name": owner.name, "uid": "1d9c6bb6"},
        "identities": null,
        "groups": owner.groups,
    })
}

fn status(code: u16, reason: &str) -> StandInReply {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    });
    StandInReply::json(code, &body)
}
