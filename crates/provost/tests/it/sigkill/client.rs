//! What clients say to the server, and hear from it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::blocking::Client as Http;
use reqwest::{Certificate, Identity, Method};
use serde_json::json;
use x509::{Digest, PrivateKey, Serial};

use super::server::Place;

const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// An authority, as its paths begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Authority {
    Services,
    Users,
}

impl Authority {
    pub const BOTH: [Self; 2] = [Self::Services, Self::Users];

    fn path(self) -> &'static str {
        match self {
            Self::Services => "cas",
            Self::Users => "cau",
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    location: Option<String>,
}

impl Answer {
    /// The number that a submission was given.
    pub fn id(&self) -> u64 {
        self.location.as_ref().unwrap().parse().unwrap()
    }
}

/// Somebody without a certificate on the HTTP port, and the first administrator on the HTTPS port. Every
/// call gives the answer, or nothing when the connection broke before it was there.
pub struct Client {
    anybody: Http,
    admin: Http,
    http: String,
    https: String,
}

impl Client {
    pub fn new(place: &Place) -> Self {
        let file = |name: &str| std::fs::read(place.data.join(name)).unwrap();
        Self::with(place, &file("server-ca.pem"), &file("admin.pem"))
    }

    /// With the contents of the two files in the data directory, where that cannot be looked into.
    pub fn with(place: &Place, server_ca: &[u8], admin: &[u8]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Where an answer sends a browser is not ours to ask.
        let nowhere_else = reqwest::redirect::Policy::none;
        let builder =
            || Http::builder().no_proxy().http1_only().redirect(nowhere_else()).timeout(ANSWER_LIMIT);
        let anchors = [Certificate::from_pem(server_ca).unwrap()];
        let admin = Identity::from_pem(admin).unwrap();
        Self {
            anybody: builder().build().unwrap(),
            admin: builder().tls_certs_only(anchors).identity(admin).build().unwrap(),
            http: format!("http://127.0.0.1:{}", place.port),
            https: format!("https://127.0.0.1:{}", place.port + 1),
        }
    }

    /// A request by nobody in particular.
    pub fn ask(&self, method: Method, path: &str, body: Option<(&str, String)>) -> Option<Answer> {
        send(self.anybody.request(method, format!("{}{path}", self.http)), body)
    }

    /// A request by the first administrator.
    pub fn ask_as_admin(&self, method: Method, path: &str, body: Option<(&str, String)>) -> Option<Answer> {
        send(self.admin.request(method, format!("{}{path}", self.https)), body)
    }

    pub fn submit(&self, at: Authority, csr: &str) -> Option<Answer> {
        let body = ("application/pkcs10", csr.to_owned());
        self.ask(Method::PUT, &format!("/{}/csr", at.path()), Some(body))
    }

    pub fn request(&self, at: Authority, id: u64) -> Option<Answer> {
        self.ask(Method::GET, &format!("/{}/csr/{id}", at.path()), None)
    }

    pub fn certificate(&self, at: Authority, id: u64) -> Option<Answer> {
        self.ask(Method::GET, &format!("/{}/crt/{id}", at.path()), None)
    }

    pub fn anchor(&self, at: Authority) -> Option<Answer> {
        self.ask(Method::GET, &format!("/{}/crt/ca.crt.pem", at.path()), None)
    }

    pub fn revocation_list(&self, at: Authority) -> Option<Answer> {
        self.ask(Method::GET, &format!("/{}/crl", at.path()), None)
    }

    pub fn pending(&self, at: Authority) -> Option<Answer> {
        self.ask_as_admin(Method::GET, &format!("/{}/csr", at.path()), None)
    }

    pub fn approve(&self, at: Authority, id: u64) -> Option<Answer> {
        self.ask_as_admin(Method::PUT, &format!("/{}/crt/{id}", at.path()), None)
    }

    pub fn reject(&self, at: Authority, id: u64) -> Option<Answer> {
        self.ask_as_admin(Method::DELETE, &format!("/{}/csr/{id}", at.path()), None)
    }

    /// The holder of `certificate` and `key` asks for another one.
    pub fn renew(&self, at: Authority, certificate: &str, key: &PrivateKey, csr: &str) -> Option<Answer> {
        let envelope = signed(key, &json!({ "crt_pem": certificate, "renew_csr_pem": csr }).to_string());
        self.ask(Method::PUT, &format!("/{}/crt/renew", at.path()), Some(("application/json", envelope)))
    }

    /// The holder of `certificate` and `key` revokes it.
    pub fn revoke_own(&self, at: Authority, certificate: &str, key: &PrivateKey) -> Option<Answer> {
        let envelope = signed(key, &json!({ "revoke_crt_pem": certificate }).to_string());
        self.ask(Method::PUT, &format!("/{}/crt/revoke", at.path()), Some(("application/json", envelope)))
    }

    /// The administrator revokes a certificate.
    pub fn revoke(&self, at: Authority, certificate: &str) -> Option<Answer> {
        self.revoke_unsigned(at, &json!({ "revoke_crt_pem": certificate }).to_string())
    }

    /// The administrator revokes whatever has this serial.
    pub fn revoke_serial(&self, at: Authority, serial: &Serial) -> Option<Answer> {
        self.revoke_unsigned(at, &format!("{{\"revoke_serial\": {serial}}}"))
    }

    fn revoke_unsigned(&self, at: Authority, payload: &str) -> Option<Answer> {
        let body = ("application/json", json!({ "payload": payload, "digest": null }).to_string());
        self.ask_as_admin(Method::PUT, &format!("/{}/crt/revoke", at.path()), Some(body))
    }
}

fn signed(key: &PrivateKey, payload: &str) -> String {
    let digest = Digest::Sha256;
    let signature = key.sign_statement(digest, &ca::signed_text(payload, digest)).unwrap();
    json!({ "payload": payload, "digest": digest.name(), "signature": STANDARD.encode(signature) })
        .to_string()
}

fn send(builder: reqwest::blocking::RequestBuilder, body: Option<(&str, String)>) -> Option<Answer> {
    let builder = match body {
        Some((kind, body)) => builder.header("Content-Type", kind).body(body),
        None => builder,
    };
    let response = builder.send().ok()?;
    let location = response.headers().get("Location").map(|value| value.to_str().unwrap().to_owned());
    Some(Answer { status: response.status().as_u16(), location, body: response.text().ok()? })
}
