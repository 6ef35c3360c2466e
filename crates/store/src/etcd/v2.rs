//! One value out of etcd's older keyspace, which the API of version 2 reaches.
//!
//! ```text
//! GET /v2/keys/KEY      200 {"node": {"key": …, "value": …}}     there it is
//!                       404                                      there is none, or no such API (etcd 3.6; unless
//!                                                                --enable-v2 is given, 3.4 and 3.5)
//! ```
//! Who signs in does so with HTTP's Basic authentication. Nothing is written here: what Provost keeps is in the
//! keyspace of version 3.

use base::{Clock, report};
use reqwest::{Client, StatusCode, redirect};
use serde::Deserialize;

use super::calls::{from_json, read};
use super::failure::Failure;
use super::settings::{self, ConnectError, EtcdSettings};
use crate::Error;

/// What is being done, for errors.
const DOING: &str = "reading";

#[derive(Deserialize)]
struct Answer {
    node: Node,
}

#[derive(Deserialize)]
struct Node {
    /// A directory has none.
    value: Option<String>,
}

/// The value of `key`, such as `/commissaire/config/commissaire`, in the keyspace of etcd's version 2; `None` when
/// it has none there, or etcd does not have that API. One endpoint is asked after the other. The key is put into a
/// URL as it is.
///
/// # Errors
/// See [`ConnectError`]: when no endpoint answers within the deadline, or the answer is a refusal.
pub async fn read_v2(
    settings: &EtcdSettings,
    key: &str,
    clock: Clock,
) -> Result<Option<String>, ConnectError> {
    let endpoints = settings::endpoints(settings)?;
    let client = Client::builder()
        .tls_backend_preconfigured(settings::tls(settings, clock)?)
        .http1_only()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .timeout(settings.deadline)
        .build()
        .map_err(|error| ConnectError::Tls { what: "the HTTP client", reason: report(&error) })?;
    let mut reason = String::new();
    for endpoint in &endpoints {
        let mut request = client.get(format!("{endpoint}/v2/keys{key}"));
        if let Some(user) = &settings.user {
            let password = user
                .password
                .now()
                .map_err(|reason| ConnectError::Store(Error::Unavailable { doing: DOING, reason }))?;
            request = request.basic_auth(&user.name, Some(password.expose()));
        }
        match request.send().await {
            Ok(response) => return value(response).await.map_err(ConnectError::Store),
            Err(error) => reason = report(&error),
        }
    }
    Err(ConnectError::Store(Error::Unavailable { doing: DOING, reason }))
}

async fn value(response: reqwest::Response) -> Result<Option<String>, Error> {
    let status = response.status();
    let answer = read(response).await.map_err(|failure| {
        let reason = match failure {
            Failure::NotSent(reason) | Failure::Lost(reason) => reason,
            Failure::TooLong | Failure::Refused(_) => "etcd's answer is too long".to_owned(),
        };
        Error::Unavailable { doing: DOING, reason }
    })?;
    match status {
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::OK => {
            let answer: Answer =
                from_json(&answer).map_err(|reason| Error::Engine { doing: DOING, reason })?;
            Ok(answer.node.value)
        }
        status => Err(Error::Engine { doing: DOING, reason: format!("etcd answered {status}") }),
    }
}
