//! Provost's own interface, `/v1`, from outside.

mod artifacts;
mod conditions;
mod events;
mod openapi;
mod operations;
mod pages;
mod problems;
mod roles;
mod secrets;

use std::collections::HashMap;

use reqwest::blocking::Client;
use serde_json::Value;
use testkit::{House, http};

/// What was answered.
#[derive(Debug)]
pub struct Answered {
    status: u16,
    headers: HashMap<String, String>,
    document: Value,
    text: String,
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The entity tag.
    #[track_caller]
    fn tag(&self) -> &str {
        self.header("etag").unwrap_or_else(|| panic!("no tag: {self:?}"))
    }

    /// A problem with this status, in the form that all problems have.
    #[track_caller]
    fn is_problem(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let problem: wire::Problem = serde_json::from_value(self.document.clone()).unwrap();
        assert_eq!((problem.r#type.as_str(), problem.status), ("about:blank", status), "{self:?}");
        assert!(!problem.title.is_empty() && !problem.detail.ends_with('.'), "{self:?}");
        assert!(!problem.detail.contains('\n') && problem.detail.len() > 10, "{self:?}");
        self.document["detail"].as_str().unwrap()
    }
}

/// Somebody who asks.
pub struct Asker {
    client: Client,
    root: String,
    login: Option<&'static str>,
}

impl Asker {
    /// The first administrator of a house.
    pub fn admin(house: &House) -> Self {
        Self { client: http::holder_of(&house.administrator()), root: house.https_url("/v1"), login: None }
    }

    /// Somebody without a certificate, who signs in with the password `secret`, or not at all.
    pub fn user(house: &House, login: Option<&'static str>) -> Self {
        Self { client: http::anybody(), root: house.https_url("/v1"), login }
    }

    /// Asks; a `body` that is text is sent as it is.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answered {
        let mut asked = self.client.request(method.parse().unwrap(), format!("{}{path}", self.root));
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        if let Some(login) = self.login {
            asked = asked.basic_auth(login, Some("secret"));
        }
        if !body.is_null() {
            if !headers.iter().any(|(name, _)| *name == "Content-Type") {
                asked = asked.header("Content-Type", "application/json");
            }
            asked = asked.body(body.as_str().map_or_else(|| body.to_string(), str::to_owned));
        }
        let answer = asked.send().unwrap();
        let status = answer.status().as_u16();
        let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let text = answer.text().unwrap();
        Answered { status, headers, document: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Value, status: u16) -> Answered {
        self.says("PUT", path, &[], body, status)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answered {
        self.says("GET", path, &[], &Value::Null, 200)
    }

    #[track_caller]
    pub fn says(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
        status: u16,
    ) -> Answered {
        let answered = self.ask(method, path, headers, body);
        assert_eq!(answered.status, status, "{method} {path} {headers:?} {body}: {answered:?}");
        answered
    }

    /// A host with a status, which only the old dialect lets one say.
    #[track_caller]
    pub fn put_as(&self, address: &str, body: &Value) {
        self.says("PUT", &format!("/../api/v0/host/{address}"), &[], body, 201);
    }
}

/// The addresses or names on a page.
fn names(page: &Value) -> Vec<String> {
    let name = |item: &Value| {
        item["address"].as_str().or(item["name"].as_str()).or(item.as_str()).unwrap().to_owned()
    };
    page["items"].as_array().unwrap().iter().map(name).collect()
}
