//! A small HTTP server that stands in for a service which cannot be run here.
//!
//! HTTP/1.1, with or without TLS, one request a connection, a thread for each; it remembers what it was asked. It
//! stops when it is dropped.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{WantsServerCert, WebPkiClientVerifier};
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, ServerConnection, StreamOwned, WantsVerifier};

use crate::any_client::AnyClient;
use crate::wait::LIMIT;

/// A request that it was sent.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `POST`.
    pub method: String,
    /// The path with the query.
    pub path: String,
    /// The header, its names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// The client's certificate, as DER, if it showed one.
    pub certificate: Option<Vec<u8>>,
}

/// What it answers.
#[derive(Debug, Clone)]
pub struct StandInReply {
    /// The status.
    pub status: u16,
    /// More of the header than the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl StandInReply {
    /// `body`, as JSON.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, headers: vec![("Content-Type", "application/json".into())], body: body.to_string() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// The server.
pub struct StandIn {
    house: Arc<House>,
    address: SocketAddr,
    accepts: Option<JoinHandle<()>>,
}

type Answer = Box<dyn Fn(&Asked) -> Option<StandInReply> + Send + Sync>;

struct House {
    answer: Answer,
    tls: Option<Arc<ServerConfig>>,
    asked: Mutex<Vec<Asked>>,
    is_over: AtomicBool,
    /// Tells those that stay silent when it is over.
    over: (Mutex<()>, Condvar),
}

impl StandIn {
    /// Answers what `answer` says, on a port of 127.0.0.1; nothing at all, and without hanging up, when it says
    /// nothing.
    #[must_use]
    pub fn http(answer: impl Fn(&Asked) -> Option<StandInReply> + Send + Sync + 'static) -> Self {
        Self::start(None, Box::new(answer))
    }

    /// The same over TLS, with the certificate and the key in `pem`.
    #[must_use]
    pub fn https(pem: &str, answer: impl Fn(&Asked) -> Option<StandInReply> + Send + Sync + 'static) -> Self {
        let config = tls().with_no_client_auth();
        Self::start(Some(with_certificate(config, pem)), Box::new(answer))
    }

    /// The same, asking clients for a certificate and taking whichever they show: what it is worth is up to `answer`.
    /// As Kubernetes does.
    #[must_use]
    pub fn https_asking(
        pem: &str,
        answer: impl Fn(&Asked) -> Option<StandInReply> + Send + Sync + 'static,
    ) -> Self {
        let config = tls().with_client_cert_verifier(AnyClient::new());
        Self::start(Some(with_certificate(config, pem)), Box::new(answer))
    }

    /// The same, for clients only whose certificate comes from the authority in `authority`.
    #[must_use]
    pub fn https_demanding(
        pem: &str,
        authority: &str,
        answer: impl Fn(&Asked) -> Option<StandInReply> + Send + Sync + 'static,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let config = tls().with_client_cert_verifier(verifier);
        Self::start(Some(with_certificate(config, pem)), Box::new(answer))
    }

    fn start(tls: Option<Arc<ServerConfig>>, answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let house = Arc::new(House {
            answer,
            tls,
            asked: Mutex::default(),
            is_over: AtomicBool::new(false),
            over: Default::default(),
        });
        let accepting = house.clone();
        let accepts = std::thread::spawn(move || accept(&listener, &accepting));
        Self { house, address, accepts: Some(accepts) }
    }

    /// The URL of `path`, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.house.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// All that it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.house.asked.lock().unwrap().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let (lock, told) = &self.house.over;
        {
            let _guard = lock.lock().unwrap();
            self.house.is_over.store(true, Ordering::SeqCst);
        }
        told.notify_all();
        // Wakes the one that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepts) = self.accepts.take() {
            let _ = accepts.join();
        }
    }
}

fn tls() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap()
}

/// With the certificate and the key in `pem`.
fn with_certificate(config: ConfigBuilder<ServerConfig, WantsServerCert>, pem: &str) -> Arc<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    Arc::new(config.with_single_cert(chain, key).unwrap())
}

fn accept(listener: &TcpListener, house: &Arc<House>) {
    let mut serving = Vec::new();
    for stream in listener.incoming() {
        if house.is_over.load(Ordering::SeqCst) {
            break;
        }
        let (house, stream) = (house.clone(), stream.unwrap());
        serving.push(std::thread::spawn(move || {
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            match house.tls.clone() {
                Some(tls) => {
                    let stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
                    serve(stream, |stream| Some(stream.conn.peer_certificates()?.first()?.to_vec()), &house);
                }
                None => serve(stream, |_| None, &house),
            }
        }));
    }
    for thread in serving {
        // Somebody who hung up is nobody's failure.
        let _ = thread.join();
    }
}

/// One request and its answer. A client that does not finish asking, or does not trust us, is left alone.
fn serve<S: Read + Write>(mut stream: S, certificate: impl Fn(&S) -> Option<Vec<u8>>, house: &House) {
    let Some(mut asked) = read(&mut stream) else { return };
    asked.certificate = certificate(&stream);
    house.asked.lock().unwrap().push(asked.clone());
    let Some(reply) = (house.answer)(&asked) else {
        let (lock, told) = &house.over;
        let guard = lock.lock().unwrap();
        drop(told.wait_while(guard, |()| !house.is_over.load(Ordering::SeqCst)).unwrap());
        return;
    };
    let mut text = format!("HTTP/1.1 {} Stand-in\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n{}", reply.body.len(), reply.body);
    // Somebody who hung up does not hear it.
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
}

fn read(stream: impl Read) -> Option<Asked> {
    let mut stream = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body, certificate: None })
}
