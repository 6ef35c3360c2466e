//! The artifact cache from outside: what its stock clients say and hear, who is let in, and what a crash leaves.

mod bounds;
mod bucket;
mod buildout;
mod builds;
mod clients;
mod commands;
mod contract;
mod crash;
mod hidden;
mod hostile;
mod mirror;
mod old_clients;
mod resume;
mod sending;
mod uploads;
mod upstream;
mod writers;

use std::path::PathBuf;

use base::Sha512;
use testkit::{Face, House, Plan, http};

use crate::houses::{key, plan};

/// One that everybody may write to, so that a test can say it byte by byte.
fn open() -> House {
    plan(Face::Up).option("cache-writers", "everyone").start()
}

/// The plan of a house with these users of the cache, whose passwords are their names.
fn with_users(names: &[&str]) -> (tempfile::TempDir, Plan) {
    let directory = tempfile::tempdir().unwrap();
    let users: serde_json::Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), serde_json::json!({ "hash": bcrypt::hash(name, 4).unwrap() })))
        .collect();
    let file = directory.path().join("users.json");
    std::fs::write(&file, serde_json::to_vec(&users).unwrap()).unwrap();
    let plan = plan(Face::Up).option("cache-users-file", file.to_str().unwrap());
    (directory, plan)
}

/// The certificate of a service and its key, in a file of their own.
fn service(house: &House, name: &str) -> PathBuf {
    let key = key(crate::houses::RSA);
    let certificate = crate::houses::issued(house, &key, name);
    let path = house.directory().join(format!("{name}.pem"));
    std::fs::write(&path, [key.to_pem().expose().as_str(), &certificate.to_pem()].concat()).unwrap();
    path
}

/// Keeps `bytes` in an [`open`] house.
#[track_caller]
fn keep(house: &House, bytes: &[u8]) -> Sha512 {
    let answer = http::anybody().post(house.http_url("/shacache")).body(bytes.to_vec()).send().unwrap();
    assert_eq!(answer.status(), 201);
    let digest = Sha512::of(bytes);
    assert_eq!(answer.text().unwrap(), digest.to_string());
    digest
}

/// An unsigned entry about `artifact`, as clients put it.
fn entry(artifact: Sha512, n: usize) -> String {
    let text = format!("{{\"sha512\": \"{artifact}\", \"n\": {n}}}");
    serde_json::json!([text, ""]).to_string()
}
