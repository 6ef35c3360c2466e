//! What the tests with houses share.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::{Face, House, Plan};
use x509::{Certificate, Crl, Digest, KeySpec, Name, PrivateKey, SigningRequest};

use crate::program::PROVOST;

/// RSA as the stock clients make it.
pub const RSA: KeySpec = KeySpec::Rsa { bits: 2048 };

/// A house with every setting at its default.
pub fn plan(face: Face) -> Plan {
    Plan::new(PROVOST, face)
}

/// `provost up`, with every setting at its default.
pub fn up() -> House {
    plan(Face::Up).start()
}

/// A new key.
pub fn key(spec: KeySpec) -> PrivateKey {
    PrivateKey::generate(spec).unwrap()
}

/// A request for `name`, as PEM.
pub fn csr(key: &PrivateKey, name: &str) -> String {
    SigningRequest::build(key, &Name::from_common_name(name).unwrap(), &[]).to_pem()
}

/// A signed envelope (caucase contract, section 3.1), made without any of the server's code: the signature
/// is over the payload's text, the digest's name and a space.
pub fn envelope(payload: &Value, digest: Digest, key: &PrivateKey) -> String {
    let payload = payload.to_string();
    let signed = format!("{payload}{} ", digest.name());
    let signature = key.sign_statement(digest, signed.as_bytes()).unwrap();
    let signature = format!("{}\n", STANDARD.encode(signature));
    json!({"payload": payload, "digest": digest.name(), "signature": signature}).to_string()
}

/// An envelope that nobody signed.
pub fn unsigned(payload: &Value) -> String {
    json!({"payload": payload.to_string(), "digest": null}).to_string()
}

/// A request as HTTP/1.1 has it; the length of `body` is said where there is one.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// `GET path`.
pub fn get(path: &str) -> Vec<u8> {
    request("GET", path, &[], b"")
}

/// `PUT path` with a body of JSON.
pub fn put_json(path: &str, body: &str) -> Vec<u8> {
    request("PUT", path, &[("Content-Type", "application/json")], body.as_bytes())
}

/// Submits a request; its number.
#[track_caller]
pub fn submit(house: &House, authority: &str, csr: &str) -> String {
    let answer =
        testkit::exchange(house.http(), request("PUT", &format!("/{authority}/csr"), &[], csr.as_bytes()));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.header("location").unwrap().to_owned()
}

/// Approves a request as the first administrator.
#[track_caller]
pub fn approve(house: &House, authority: &str, id: &str) {
    let client = testkit::http::holder_of(&house.administrator());
    let answer = client.put(house.https_url(&format!("/{authority}/crt/{id}"))).send().unwrap();
    assert_eq!(answer.status(), 204, "{}", answer.text().unwrap());
}

/// The certificate issued for a request.
#[track_caller]
pub fn certificate(house: &House, authority: &str, id: &str) -> Certificate {
    let answer = testkit::exchange(house.http(), get(&format!("/{authority}/crt/{id}")));
    assert_eq!(answer.status, 200, "{answer:?}");
    Certificate::from_pem(&answer.body).unwrap()
}

/// Submits and approves a request for a service with this key.
#[track_caller]
pub fn issued(house: &House, key: &PrivateKey, name: &str) -> Certificate {
    let id = submit(house, "cas", &csr(key, name));
    approve(house, "cas", &id);
    certificate(house, "cas", &id)
}

/// The revocation lists of an authority, as it serves them.
#[track_caller]
pub fn revocation_lists(house: &House, authority: &str) -> Vec<Crl> {
    let answer = testkit::exchange(house.http(), get(&format!("/{authority}/crl")));
    assert_eq!(answer.status, 200, "{answer:?}");
    Crl::all_from_pem(&answer.body).unwrap()
}

/// The certificates in a file.
#[track_caller]
pub fn certificates_in(path: &Path) -> Vec<Certificate> {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Certificate::all_from_pem(&text).unwrap()
}

/// Stops the house and looks back: nothing went wrong inside it, whatever was asked of it.
#[track_caller]
pub fn ended_without_a_fault(mut house: House) {
    let ran = house.stop();
    let failed: Vec<_> = ran.stdout.lines().filter(|line| line.contains("\" 50")).collect();
    assert!(failed.iter().all(|line| line.contains("\" 507 ")), "{failed:#?}");
    for word in ["panicked", "ERROR"] {
        assert!(!ran.stderr.contains(word), "{}", ran.stderr);
    }
}
