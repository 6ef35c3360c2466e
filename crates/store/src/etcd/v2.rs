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
use futures_util::FutureExt as _;
use futures_util::future::select_ok;
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
/// it has none there, or etcd does not have that API. All endpoints are asked at once, and the first answer counts, so that
/// nobody waits for a member that is away. The key is put into a URL as it is.
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
    let away = |reason| ConnectError::Store(Error::Unavailable { doing: DOING, reason });
    let user = match &settings.user {
        Some(user) => Some((&user.name, user.password.now().map_err(away)?)),
        None => None,
    };
    let asked = endpoints.iter().map(|endpoint| {
        let request = client.get(format!("{endpoint}/v2/keys{key}"));
        let request = match &user {
            Some((name, password)) => request.basic_auth(name, Some(password.expose())),
            None => request,
        };
        request.send().boxed()
    });
    match select_ok(asked).await {
        Ok((response, _)) => value(response).await.map_err(ConnectError::Store),
        Err(error) => Err(away(report(&error))),
    }
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
