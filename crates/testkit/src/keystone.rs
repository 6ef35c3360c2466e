//! Stands in for an OpenStack Keystone: `POST /v3/auth/tokens` of the Identity API v3, by password and by token.
//!
//! Source: "Identity API v3 (CURRENT)", Authentication and token management: "Password authentication with unscoped
//! authorization", "Token authentication with unscoped authorization", and their examples of answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::stand_in::{Asked, StandIn, StandInReply};

/// A Keystone with one domain, `Default`.
pub struct Keystone {
    stand_in: StandIn,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    passwords: BTreeMap<String, String>,
    /// Who has which token.
    tokens: BTreeMap<String, String>,
    expires_at: String,
    roles: Vec<String>,
}

impl Keystone {
    /// Where tokens are asked for.
    const PATH: &str = "/v3/auth/tokens";

    /// Without users. Its tokens end at `expires_at`, as in `2015-11-07T01:58:43.578929Z`.
    #[must_use]
    pub fn http(expires_at: &str) -> Self {
        let (state, answer) = Self::with(expires_at);
        Self { stand_in: StandIn::http(answer), state }
    }

    /// The same over TLS, with the certificate and the key in `pem`.
    #[must_use]
    pub fn https(pem: &str, expires_at: &str) -> Self {
        let (state, answer) = Self::with(expires_at);
        Self { stand_in: StandIn::https(pem, answer), state }
    }

    fn with(
        expires_at: &str,
    ) -> (Arc<Mutex<State>>, impl Fn(&Asked) -> Option<StandInReply> + Send + Sync + 'static) {
        let state = Arc::new(Mutex::new(State { expires_at: expires_at.to_owned(), ..State::default() }));
        let answering = state.clone();
        (state, move |asked: &Asked| Some(answer(&mut answering.lock().unwrap(), asked)))
    }

    /// The URL of its token endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        self.stand_in.url(Self::PATH)
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.stand_in.asked()
    }

    /// A user of the domain gets a password, or another one.
    pub fn set_password(&self, user: &str, password: &str) {
        self.state.lock().unwrap().passwords.insert(user.to_owned(), password.to_owned());
    }

    /// A token that `user` has.
    pub fn set_token(&self, token: &str, user: &str) {
        self.state.lock().unwrap().tokens.insert(token.to_owned(), user.to_owned());
    }

    /// The roles that everybody has in the project that tokens are for. None at the beginning: unscoped tokens.
    pub fn set_roles(&self, roles: &[&str]) {
        self.state.lock().unwrap().roles = roles.iter().map(|&role| role.to_owned()).collect();
    }
}

fn answer(state: &mut State, asked: &Asked) -> StandInReply {
    if asked.path != Keystone::PATH {
        return error(404, "Not Found", "Could not find the resource.");
    }
    if asked.method != "POST" {
        return error(405, "Method Not Allowed", "The method is not allowed.");
    }
    if asked.headers.get("content-type").map(String::as_str) != Some("application/json") {
        return error(400, "Bad Request", "Expecting to find application/json in Content-Type header.");
    }
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or(Value::Null);
    let identity = &body["auth"]["identity"];
    let user = match identity["methods"].as_array().map(Vec::as_slice) {
        Some([method]) if method == "password" => by_password(state, &identity["password"]["user"]),
        Some([method]) if method == "token" => by_token(state, &identity["token"]["id"]),
        _ => return error(400, "Bad Request", "Expecting to find valid JSON with an authentication method."),
    };
    match user {
        Some(user) => issue(state, &user),
        None => error(401, "Unauthorized", "The request you have made requires authentication."),
    }
}

fn by_password(state: &State, user: &Value) -> Option<String> {
    let name = user["name"].as_str()?;
    let is_here = user["domain"]["name"] == "Default" || user["domain"]["id"] == "default";
    let is_right = state.passwords.get(name).is_some_and(|password| user["password"] == *password);
    (is_here && is_right).then(|| name.to_owned())
}

fn by_token(state: &State, token: &Value) -> Option<String> {
    state.tokens.get(token.as_str()?).cloned()
}

fn issue(state: &mut State, user: &str) -> StandInReply {
    let token = format!("gAAAAA-{}-{user}", state.tokens.len());
    state.tokens.insert(token.clone(), user.to_owned());
    let mut body = json!({"token": {
        "methods": ["password"],
        "user": {
            "domain": {"id": "default", "name": "Default"},
            "id": "423f19a4ac1e4f48bbb4180756e6eb6c",
            "name": user,
            "password_expires_at": null,
        },
        "audit_ids": ["ZzZwkUflQfygX7pdYDBCQQ"],
        "expires_at": state.expires_at,
        "issued_at": "2015-11-06T14:32:17.893797Z",
    }});
    if !state.roles.is_empty() {
        let roles =
            state.roles.iter().map(|role| json!({"id": "51cc68287d524c759f47c811e6463340", "name": role}));
        body["token"]["roles"] = roles.collect();
    }
    StandInReply::json(201, &body).with("X-Subject-Token", token).with("Vary", "X-Auth-Token")
}

fn error(code: u16, title: &str, message: &str) -> StandInReply {
    StandInReply::json(code, &json!({"error": {"code": code, "message": message, "title": title}}))
}
