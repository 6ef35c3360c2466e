//! Somebody who signs in to a Provost with a password, or in process.

use std::path::{Path, PathBuf};

use ::http::HeaderMap;
use base::Clock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use identity::sign_in::{Attempt, OpenPath, Outcome, Stack};
use identity::{Principal, Role};
use serde_json::json;

use crate::{Failure, http};

/// Who asks.
const USER: &str = "operator";
const PASSWORD: &str = "a password that nobody guesses";
/// What a hash of it costs to compare (2^COST rounds): what is common, so that doing it for each request would show.
const COST: u32 = 10;

/// Writes a file for `fleet.sign_in` into `folder`.
pub(crate) fn file(folder: &Path) -> Result<PathBuf, Failure> {
    let hash = bcrypt::hash(PASSWORD, COST).map_err(Failure::fleet)?;
    let users = json!({USER: {"hash": hash}});
    let sign_in = json!({"authentication_plugins": [{"name": "httpbasicauth", "users": users}]});
    let path = folder.join("sign-in.json");
    std::fs::write(&path, sign_in.to_string()).map_err(Failure::file(&path))?;
    Ok(path)
}

/// A request of whom that file lets in.
pub(crate) fn request(method: &str, path: &str, body: Option<&[u8]>) -> Vec<u8> {
    let login = BASE64.encode(format!("{USER}:{PASSWORD}"));
    let body = body.map(|body| ("application/json", body));
    http::request_with(method, path, &format!("Authorization: Basic {login}\r\n"), body)
}

/// Somebody who may do everything, signed in as `/api/v0` does it on a path that is open to anybody.
pub(crate) async fn anybody(clock: &Clock) -> Result<Principal, Failure> {
    let path = "/api/v0/hosts";
    let open = vec![OpenPath { path: path.into(), role: Role::Administrator }];
    let headers = HeaderMap::new();
    let attempt =
        Attempt { path, headers: &headers, certificate: None, source: None, peer: None, recent: None };
    match Stack::of(Vec::new(), open, clock).sign_in(&attempt).await {
        Outcome::SignedIn(signed_in) => Ok(signed_in.principal),
        _ => Err(Failure::Fleet("an open path is not open".into())),
    }
}
