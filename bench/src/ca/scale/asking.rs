//! What clients of an old authority ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509::{Certificate, Crl, Digest, Name, PrivateKey, SigningRequest};

use super::filled::{self, Filled, PENDING};
use crate::Failure;
use crate::ca::issuing::Holder;
use crate::http::{self, Client};
use crate::load::Worker;
use crate::process::Served;

/// Coprime to any number of certificates that is tried: they are fetched in no order.
const STRIDE: u64 = 7_368_787;

/// Fetches one certificate after the other.
pub(super) struct Fetcher {
    client: Client,
    at: u64,
    certificates: u64,
}

impl Fetcher {
    pub(super) fn new(served: &Served, filled: &Filled, first: u64) -> Self {
        Self { client: Client::new(served.address), at: first, certificates: filled.certificates }
    }
}

impl Worker for Fetcher {
    async fn turn(&mut self) -> Result<bool, Failure> {
        self.at = (self.at + STRIDE) % self.certificates;
        self.client.expect(200, &fetch(self.at)).await?;
        Ok(true)
    }
}

fn fetch(number: u64) -> Vec<u8> {
    http::request("GET", &format!("/cas/crt/{}", filled::id(number)), None)
}

/// Holders that have asked for nothing yet: each does so once.
pub(super) struct Holders<'h> {
    filled: &'h Filled,
    next: u64,
}

impl<'h> Holders<'h> {
    pub(super) fn new(filled: &'h Filled) -> Self {
        Self { filled, next: filled.revoked }
    }

    async fn take(&mut self, client: &mut Client) -> Result<(Certificate, &'h PrivateKey), Failure> {
        let answer = client.expect(200, &fetch(self.next)).await?;
        let certificate = Certificate::from_pem(answer.body).map_err(Failure::authority)?;
        let key = self.filled.key(self.next);
        self.next += 1;
        Ok((certificate, key))
    }

    /// Requests of `count` holders who renew.
    pub(super) async fn renewals(&mut self, served: &Served, count: usize) -> Result<Renewals, Failure> {
        let mut client = Client::new(served.address);
        let mut requests = Vec::with_capacity(count);
        for _ in 0..count {
            let (certificate, key) = self.take(&mut client).await?;
            // What it asks for does not count; a number makes no two of one key alike.
            let subject = Name::from_common_name(&format!("renewal-{}", self.next));
            let request = SigningRequest::build(key, &subject.map_err(Failure::authority)?, &[]).to_pem();
            let payload =
                serde_json::json!({"crt_pem": certificate.to_pem(), "renew_csr_pem": request}).to_string();
            let body = signed(key, &payload)?;
            requests.push(http::request(
                "PUT",
                "/cas/crt/renew",
                Some(("application/json", body.as_bytes())),
            ));
        }
        Ok(Renewals { requests: Arc::new(requests), next: Arc::default() })
    }

    /// Revokes one more certificate, and fetches the list that says so. How long that took.
    pub(super) async fn revoke(&mut self, served: &Served) -> Result<Duration, Failure> {
        let mut client = Client::new(served.address);
        let (certificate, key) = self.take(&mut client).await?;
        let payload = serde_json::json!({"revoke_crt_pem": certificate.to_pem()}).to_string();
        let body = signed(key, &payload)?;
        let revoke = http::request("PUT", "/cas/crt/revoke", Some(("application/json", body.as_bytes())));
        let list = http::request("GET", &format!("/cas/crl/{}", self.filled.list.decimal()), None);
        let began = Instant::now();
        client.expect(204, &revoke).await?;
        let list = client.expect(200, &list).await?;
        let took = began.elapsed();
        let list = Crl::from_pem(list.body).map_err(Failure::authority)?;
        if list.contains(&certificate.serial()) {
            Ok(took)
        } else {
            let what = "a revoked certificate is not in its list".into();
            Err(Failure::Program { program: served.address.to_string(), what })
        }
    }
}

/// A payload with its holder's signature (caucase contract, section 3.1).
fn signed(key: &PrivateKey, payload: &str) -> Result<String, Failure> {
    let text = ca::signed_text(payload, Digest::Sha256);
    let signature = key.sign_statement(Digest::Sha256, &text).map_err(Failure::authority)?;
    let signature = BASE64.encode(signature);
    Ok(serde_json::json!({"payload": payload, "digest": "sha256", "signature": signature}).to_string())
}

/// Renewals that nobody has sent yet. Cloning shares them.
#[derive(Clone)]
pub(super) struct Renewals {
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
}

/// Renews one certificate after the other.
pub(super) struct Renewer {
    client: Client,
    renewals: Renewals,
}

impl Renewer {
    pub(super) fn new(served: &Served, renewals: &Renewals) -> Self {
        Self { client: Client::new(served.address), renewals: renewals.clone() }
    }
}

impl Worker for Renewer {
    async fn turn(&mut self) -> Result<bool, Failure> {
        let number = self.renewals.next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = self.renewals.requests.get(number) else { return Ok(false) };
        self.client.expect(200, request).await?;
        Ok(true)
    }
}

/// A user who lists the requests that wait, over and over.
pub(super) struct Lister {
    client: Client,
}

impl Lister {
    pub(super) fn new(served: &Served, tls: &Arc<ClientConfig>) -> Self {
        let mut address = served.address;
        address.set_port(address.port() + 1);
        Self { client: Client::over_tls(address, tls.clone()) }
    }
}

impl Worker for Lister {
    async fn turn(&mut self) -> Result<bool, Failure> {
        let address = self.client.address();
        let answer = self.client.expect(200, &http::request("GET", "/cas/csr", None)).await?;
        let seen = answer.body.windows(5).filter(|five| five == b"\"id\":").count() as u64;
        if seen == PENDING {
            return Ok(true);
        }
        let what = format!("listed {seen} requests that wait instead of {PENDING}");
        Err(Failure::Program { program: address.to_string(), what })
    }
}

/// Shows the user's certificate, and takes whatever the servers answer with `roots`.
pub(super) fn as_user(
    user: &(Certificate, PrivateKey),
    roots: &[Certificate],
) -> Result<Arc<ClientConfig>, Failure> {
    let failed =
        |error: rustls::Error| Failure::Program { program: "rustls".into(), what: error.to_string() };
    let mut store = rustls::RootCertStore::empty();
    for root in roots {
        store.add(CertificateDer::from(root.der().to_vec())).map_err(failed)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let key = PrivateKeyDer::Pkcs8(user.1.to_pkcs8_der().expose().clone().into());
    let chain = vec![CertificateDer::from(user.0.der().to_vec())];
    let config = config.map_err(failed)?.with_root_certificates(store);
    Ok(Arc::new(config.with_client_auth_cert(chain, key).map_err(failed)?))
}

/// A holder whose every turn is timed, until it is told to stop.
pub(super) struct Timed {
    holder: Holder,
    stop: Arc<AtomicBool>,
    pub(super) took: Vec<Duration>,
}

impl Timed {
    pub(super) fn new(holder: Holder, stop: &Arc<AtomicBool>) -> Self {
        Self { holder, stop: Arc::clone(stop), took: Vec::new() }
    }
}

impl Worker for Timed {
    async fn turn(&mut self) -> Result<bool, Failure> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let began = Instant::now();
        let goes_on = self.holder.turn().await?;
        self.took.push(began.elapsed());
        Ok(goes_on)
    }
}
