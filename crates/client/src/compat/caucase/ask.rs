//! Asks a server of caucase's dialect.

use std::time::Duration;

use base::Secret;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Identity, Method, Response};
use serde::Deserialize;
use serde_json::json;
use x509::{Certificate, PrivateKey, Serial, SigningRequest, pem};

use super::ask_error::AskError;
use super::statement::{Statement, unsigned};
use super::{Authority, ServerUrl};
use crate::answer::one_line;
use crate::client::BuildError;
use crate::nearby::Nearby;

/// How long a connection may take to come about, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a server may be silent.
const SILENT_AT_MOST: Duration = Duration::from_secs(60);
/// How long an answer may take as a whole: what is short, and revocation lists, which may be long.
const WITHIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));
/// The longest text of a refusal that is shown, in characters.
const DETAIL_MAX: usize = 300;

const JSON: &str = "application/json";
const REQUEST: &str = "application/pkcs10";

/// A request that waits for somebody's decision.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pending {
    /// Its number, decimal.
    pub id: String,
    /// The request, PEM, as it was submitted.
    pub csr: String,
}

/// A server, and who asks it. Cloning shares the connections.
#[derive(Debug, Clone)]
pub struct Server {
    url: ServerUrl,
    nearby: Option<Nearby>,
    plain: reqwest::Client,
    /// For what only users may do.
    tls: Option<reqwest::Client>,
}

/// The door that is asked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Plain,
    Tls,
}

impl Server {
    /// The server at `url`, asked by nobody in particular.
    ///
    /// # Errors
    /// When connections cannot be prepared.
    pub fn new(url: ServerUrl) -> Result<Self, BuildError> {
        Self::near(url, None)
    }

    /// The same for whoever may be on its machine.
    ///
    /// # Errors
    /// When connections cannot be prepared.
    pub fn near(url: ServerUrl, nearby: Option<Nearby>) -> Result<Self, BuildError> {
        Self::patient(url, nearby, SILENT_AT_MOST)
    }

    /// The same for whoever waits no longer than so long for the next word of an answer.
    ///
    /// # Errors
    /// When connections cannot be prepared.
    pub fn patient(
        url: ServerUrl,
        nearby: Option<Nearby>,
        silent_at_most: Duration,
    ) -> Result<Self, BuildError> {
        // Somebody else in this process may have chosen the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = connections(nearby.as_ref()).read_timeout(silent_at_most).tls_certs_only([]);
        let plain = builder.build().map_err(BuildError::Tls)?;
        Ok(Self { url, nearby, plain, tls: None })
    }

    /// Another server, asked through the same connections, by nobody in particular.
    #[must_use]
    pub fn elsewhere(&self, url: ServerUrl) -> Self {
        Self { url, nearby: self.nearby.clone(), plain: self.plain.clone(), tls: None }
    }

    /// The same, asked by the user whose certificate and key, PEM, these are.
    ///
    /// The server's own certificate says nothing here, as with the original's clients: it comes from an authority that nobody
    /// can ask for. What a server in between could do with it: see what is asked, and refuse it; what it signs is not
    /// believed, and the user's key does not leave this machine. Where a server nearby is said to be, nobody goes who does not look
    /// at its certificate.
    ///
    /// # Errors
    /// When the certificate and its key are of no use for TLS.
    pub fn asked_by(self, user: &Secret<Vec<u8>>) -> Result<Self, BuildError> {
        let identity = Identity::from_pem(user.expose()).map_err(BuildError::Certificate)?;
        let builder = connections(None).tls_danger_accept_invalid_certs(true).tls_certs_only([]);
        let tls = builder.identity(identity).build().map_err(BuildError::Tls)?;
        Ok(Self { tls: Some(tls), ..self })
    }

    /// The same, asked over HTTPS only if its certificate comes from one of `authorities`, PEM; by the `user` whose certificate
    /// and key these are, or by nobody in particular.
    ///
    /// # Errors
    /// When the authorities are no certificates, or the user's certificate and its key are of no use for TLS.
    pub fn verified_by(self, authorities: &[u8], user: Option<&Secret<Vec<u8>>>) -> Result<Self, BuildError> {
        let mut builder =
            connections(self.nearby.as_ref()).tls_certs_only(crate::client::authorities(authorities)?);
        if let Some(user) = user {
            builder = builder.identity(Identity::from_pem(user.expose()).map_err(BuildError::Certificate)?);
        }
        Ok(Self { tls: Some(builder.build().map_err(BuildError::Tls)?), ..self })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// The oldest CA certificate that is valid, PEM, over plain HTTP.
    ///
    /// # Errors
    /// When there is no answer, or another one.
    pub async fn oldest(&self, authority: Authority) -> Result<Vec<u8>, AskError> {
        self.get(Door::Plain, &format!("/{authority}/crt/ca.crt.pem"), pem::ONE_BYTES_MAX).await
    }

    /// The same over HTTPS, from whoever answers there.
    ///
    /// # Errors
    /// When there is no answer, or another one.
    pub async fn oldest_over_tls(&self, authority: Authority) -> Result<Vec<u8>, AskError> {
        self.get(Door::Tls, &format!("/{authority}/crt/ca.crt.pem"), pem::ONE_BYTES_MAX).await
    }

    /// The chain of CA certificates that followed others: for [`super::follow`].
    ///
    /// # Errors
    /// When there is no answer, or another one.
    pub async fn chain(&self, authority: Authority) -> Result<Vec<u8>, AskError> {
        self.get(Door::Plain, &format!("/{authority}/crt/ca.crt.json"), pem::SEVERAL_BYTES_MAX).await
    }

    /// The revocation lists, PEM: for [`super::Lists::chosen`].
    ///
    /// # Errors
    /// When there is no answer, or another one.
    pub async fn lists(&self, authority: Authority) -> Result<Vec<u8>, AskError> {
        self.get(Door::Plain, &format!("/{authority}/crl"), pem::LIST_BYTES_MAX).await
    }

    /// Submits a request, PEM, and gives its number.
    ///
    /// # Errors
    /// When it is refused, or there is no answer: then it may have been taken.
    pub async fn submit(&self, authority: Authority, request: &str) -> Result<String, AskError> {
        let asked = Asked {
            method: Method::PUT,
            path: format!("/{authority}/csr"),
            body: Some((REQUEST, request.to_owned())),
        };
        let (_, location) = self.ask(Door::Plain, &asked, pem::ONE_BYTES_MAX).await?;
        let id = location.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
        id.ok_or_else(|| self.garbled(Door::Plain, &asked, "number of a request"))
    }

    /// A request as it was submitted, PEM.
    ///
    /// # Errors
    /// When there is none of this number (404), or no answer.
    pub async fn request(&self, authority: Authority, id: &str) -> Result<Vec<u8>, AskError> {
        self.get(Door::Plain, &format!("/{authority}/csr/{}", part(id)), pem::ONE_BYTES_MAX).await
    }

    /// The certificate that was made of a request, PEM.
    ///
    /// # Errors
    /// When there is none (yet: 404), or no answer.
    pub async fn certificate(&self, authority: Authority, id: &str) -> Result<Vec<u8>, AskError> {
        self.get(Door::Plain, &format!("/{authority}/crt/{}", part(id)), pem::ONE_BYTES_MAX).await
    }

    /// The requests that wait, for a user.
    ///
    /// # Errors
    /// When whoever asks is no user, or there is no answer.
    pub async fn pending(&self, authority: Authority) -> Result<Vec<Pending>, AskError> {
        let asked = Asked::get(&format!("/{authority}/csr"));
        let (body, _) = self.ask(Door::Tls, &asked, pem::LIST_BYTES_MAX).await?;
        serde_json::from_slice(&body).map_err(|_| self.garbled(Door::Tls, &asked, "list of requests"))
    }

    /// Approves a request as a user: as it was submitted, or with what `template` (PEM) says in its place.
    ///
    /// # Errors
    /// When it is refused, or there is no answer: then it may have been approved.
    pub async fn approve(
        &self,
        authority: Authority,
        id: &str,
        template: Option<&str>,
    ) -> Result<(), AskError> {
        let body = template.map(|template| (REQUEST, template.to_owned()));
        let path = format!("/{authority}/crt/{}", part(id));
        self.ask(Door::Tls, &Asked { method: Method::PUT, path, body }, pem::ONE_BYTES_MAX).await.map(drop)
    }

    /// Rejects a request as a user.
    ///
    /// # Errors
    /// When it is refused, or there is no answer: then it may have been rejected.
    pub async fn reject(&self, authority: Authority, id: &str) -> Result<(), AskError> {
        let path = format!("/{authority}/csr/{}", part(id));
        let asked = Asked { method: Method::DELETE, path, body: None };
        self.ask(Door::Tls, &asked, pem::ONE_BYTES_MAX).await.map(drop)
    }

    /// The certificate, PEM, that follows `old`, whose key is `key`, with the key of `request`.
    ///
    /// # Errors
    /// When it is refused, or there is no answer: then there may be a certificate that nobody has, and another one can
    /// be asked for with another key.
    pub async fn renew(
        &self,
        authority: Authority,
        old: &Certificate,
        key: &PrivateKey,
        request: &SigningRequest,
    ) -> Result<Vec<u8>, AskError> {
        let payload = json!({"crt_pem": old.to_pem(), "renew_csr_pem": request.to_pem()});
        let body = json!(Statement::sign(&payload, key)).to_string();
        let path = format!("/{authority}/crt/renew");
        let asked = Asked { method: Method::PUT, path, body: Some((JSON, body)) };
        let asking = self.ask(Door::Plain, &asked, pem::ONE_BYTES_MAX).await;
        Ok(asking.map_err(|error| error.about_keys(&[key.public(), request.public_key()]))?.0)
    }

    /// Revokes a certificate as its holder, whose key is `key`.
    ///
    /// # Errors
    /// When it is refused, or there is no answer: then it may have been revoked.
    pub async fn revoke_own(
        &self,
        authority: Authority,
        certificate: &Certificate,
        key: &PrivateKey,
    ) -> Result<(), AskError> {
        let statement = Statement::sign(&json!({"revoke_crt_pem": certificate.to_pem()}), key);
        let revoking = self.revoke_by(Door::Plain, authority, json!(statement).to_string()).await;
        revoking.map_err(|error| error.about_keys(&[key.public()]))
    }

    /// Revokes somebody's certificate as a user.
    ///
    /// # Errors
    /// When it is refused, or there is no answer: then it may have been revoked.
    pub async fn revoke(&self, authority: Authority, certificate: &Certificate) -> Result<(), AskError> {
        let payload = json!({"revoke_crt_pem": certificate.to_pem()}).to_string();
        self.revoke_by(Door::Tls, authority, unsigned(&payload).to_string()).await
    }

    /// Revokes the certificate of this serial number as a user.
    ///
    /// # Errors
    /// When it is refused (409: it is revoked already), or there is no answer: then it may have been revoked.
    pub async fn revoke_serial(&self, authority: Authority, serial: &Serial) -> Result<(), AskError> {
        // A JSON number, of more digits than most programs take for one.
        let payload = format!("{{\"revoke_serial\": {serial}}}");
        self.revoke_by(Door::Tls, authority, unsigned(&payload).to_string()).await
    }

    async fn revoke_by(&self, door: Door, authority: Authority, body: String) -> Result<(), AskError> {
        let path = format!("/{authority}/crt/revoke");
        let asked = Asked { method: Method::PUT, path, body: Some((JSON, body)) };
        self.ask(door, &asked, pem::ONE_BYTES_MAX).await.map(drop)
    }

    async fn get(&self, door: Door, path: &str, bytes_max: usize) -> Result<Vec<u8>, AskError> {
        Ok(self.ask(door, &Asked::get(path), bytes_max).await?.0)
    }

    /// The body of an answer that says yes, and its `Location`.
    async fn ask(
        &self,
        door: Door,
        asked: &Asked,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, Option<String>), AskError> {
        let url = self.url_of(door, asked);
        let network = |error| AskError::network(&asked.method, &url, error);
        let http = match door {
            Door::Plain => &self.plain,
            // Whoever has no certificate is told so by the server; the door is open to them as well.
            Door::Tls => match &self.tls {
                Some(tls) => tls,
                None => &connections(None)
                    .tls_danger_accept_invalid_certs(true)
                    .tls_certs_only([])
                    .build()
                    .map_err(|error| AskError::Identity(BuildError::Tls(error)))?,
            },
        };
        let mut sending = http.request(asked.method.clone(), &url);
        if let Some((media_type, body)) = &asked.body {
            sending = sending.header(CONTENT_TYPE, HeaderValue::from_static(media_type)).body(body.clone());
        } else if asked.method == Method::PUT {
            // The original waits for the end of the stream where no length is said, and of nothing none is said by itself.
            sending = sending.header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if bytes_max <= pem::SEVERAL_BYTES_MAX {
            sending = sending.timeout(WITHIN.0);
        }
        let mut response = sending.send().await.map_err(network)?;
        let body = read(&mut response, bytes_max).await.map_err(network)?;
        let status = response.status();
        if !status.is_success() {
            let detail = body.as_deref().map(String::from_utf8_lossy).map(|text| one_line(text.trim()));
            let detail = detail.map(|text| text.chars().take(DETAIL_MAX).collect::<String>());
            let method = asked.method.clone();
            let detail = detail.filter(|text| !text.is_empty());
            // A date, which it may be as well, would be compared with a clock of our own that may be another one.
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = retry_after.and_then(|text| text.trim().parse().ok());
            return Err(AskError::Refused {
                method,
                url,
                status: status.as_u16(),
                detail,
                retry_after,
                is_of_other_key: false,
            });
        }
        let location =
            response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        match body {
            Some(body) => Ok((body, location)),
            None => Err(AskError::TooLarge { method: asked.method.clone(), url, bytes_max }),
        }
    }

    fn url_of(&self, door: Door, asked: &Asked) -> String {
        match door {
            Door::Plain => self.url.plain(&asked.path),
            Door::Tls => self.url.tls(&asked.path),
        }
    }

    fn garbled(&self, door: Door, asked: &Asked, wanted: &'static str) -> AskError {
        AskError::Garbled { method: asked.method.clone(), url: self.url_of(door, asked), wanted }
    }
}

/// What is asked.
struct Asked {
    method: Method,
    path: String,
    /// The media type and the body.
    body: Option<(&'static str, String)>,
}

impl Asked {
    fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), body: None }
    }
}

/// The whole body, or `None` when it is longer than `bytes_max`.
async fn read(response: &mut Response, bytes_max: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// How connections are made: no proxy reads along, and nobody is sent elsewhere.
fn connections(nearby: Option<&Nearby>) -> reqwest::ClientBuilder {
    Nearby::lead(nearby, reqwest::Client::builder())
        .user_agent(concat!("caucase 0.9.17 provost/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(SILENT_AT_MOST)
        .timeout(WITHIN.1)
        // One renewal at a time needs no more, and a server of old closes them anyway.
        .pool_max_idle_per_host(4)
        .pool_idle_timeout(Duration::from_secs(5))
}

/// One part of a path.
fn part(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use base::{Explain as _, Kind};

    use super::super::Fault;
    use super::*;

    /// What comes of asking somebody who takes one connection and says `answer`.
    fn asked(answer: &'static [u8]) -> Result<Vec<u8>, AskError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let other = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.push(byte[0]);
            }
            stream.write_all(answer).unwrap();
            String::from_utf8(asked).unwrap()
        });
        let got = ask(&url);
        assert!(other.join().unwrap().starts_with("GET /cas/crt/ca.crt.pem HTTP/1.1\r\n"));
        got
    }

    fn ask(url: &str) -> Result<Vec<u8>, AskError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Server::new(url.parse().unwrap()).unwrap().oldest(Authority::Services))
    }

    #[test]
    fn what_the_network_does_is_told_apart() {
        let fault = |asked: Result<Vec<u8>, AskError>| match asked.unwrap_err() {
            AskError::Network { fault, .. } => fault,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(asked(b"")), Fault::Closed);
        assert_eq!(fault(asked(b"SSH-2.0-OpenSSH_9.2\r\n")), Fault::Garbled);
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(fault(ask(&format!("http://{free}"))), Fault::Refused);
        assert_eq!(fault(ask("http://name.invalid:8000")), Fault::Unresolved);
        let cut = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        assert!(cut.as_ref().unwrap_err().is_network(), "{cut:?}");
    }

    #[test]
    fn answers_are_told_from_refusals() {
        assert_eq!(asked(b"HTTP/1.0 200 OK\r\n\r\nPEM").unwrap(), b"PEM");
        let refused = asked(b"HTTP/1.0 507 Full\r\nContent-Length: 9\r\n\r\nb'no\x1b[1m'").unwrap_err();
        assert_eq!((refused.status(), refused.kind()), (Some(507), Kind::Full));
        assert!(refused.to_string().ends_with("/cas/crt/ca.crt.pem: b'no [1m'"), "{refused}");
        assert_eq!(refused.retry_after(), None);
        for (said, expected) in [("30", Some(30)), (" 7 ", Some(7)), ("soon", None), ("-1", None)] {
            let answer = format!("HTTP/1.1 503 Later\r\nRetry-After:{said}\r\nContent-Length: 0\r\n\r\n");
            let refused = asked(answer.leak().as_bytes()).unwrap_err();
            assert_eq!((refused.retry_after(), refused.kind()), (expected, Kind::Unavailable), "{said}");
        }
        // Nobody is sent elsewhere.
        let moved =
            asked(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(moved.unwrap_err().status(), Some(302));
    }
}
