//! A house with two port pairs, a few routes, and everything within reach of the test.

use std::collections::HashSet;
use std::future::{Future as _, poll_fn};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Extension, Router};
use base::{Clock, Explain as _, Timestamp};
use bytes::Bytes;
use engine::{Stop, Tasks};
use futures_util::stream;
use http::StatusCode;
use server::doors::{
    AccessLog, Bindings, ClientCertificates, ClientTrust, Doors, Flowing, Limits, Meters, Opening, Peer,
    Routes, TlsIdentity, read_body,
};
use tokio::sync::Semaphore;
use tower::Service as _;
use x509::{Certificate, CertificateTemplate, KeySpec, Name, PrivateKey, Serial, VerifyError};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What `PUT /echo` takes at most.
pub(crate) const ECHO_BYTES_MAX: usize = 1_000_000;

/// What `GET /large` answers with: more than socket buffers hold.
pub(crate) const LARGE_BYTES: usize = 32 * 1024 * 1024;

/// The time, which stands still.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(784_111_777);

pub(crate) struct House {
    pub(crate) stop: Stop,
    pub(crate) tasks: Tasks,
    pub(crate) tls: Arc<TlsIdentity>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) log: Paper,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) http_v6: SocketAddr,
    pub(crate) https_v6: SocketAddr,
    /// One permit lets one `GET /held` go on.
    pub(crate) release: Arc<Semaphore>,
    /// One permit for every `GET /held` that has begun.
    pub(crate) began: Arc<Semaphore>,
}

impl House {
    pub(crate) fn open() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let any =
            |ip: &str| (SocketAddr::new(ip.parse().unwrap(), 0), SocketAddr::new(ip.parse().unwrap(), 0));
        let doors =
            Doors::bind(&Bindings { pairs: vec![any("127.0.0.1"), any("::1")], ..Bindings::default() })
                .unwrap();
        let &[(http, https), (http_v6, https_v6)] = doors.addresses() else {
            panic!("two pairs were asked for")
        };
        let house = Self {
            stop: Stop::new(),
            tasks: Tasks::new(),
            tls: Arc::default(),
            trust: Arc::default(),
            meters: Arc::default(),
            log: Paper::default(),
            http,
            https,
            http_v6,
            https_v6,
            release: Arc::new(Semaphore::new(0)),
            began: Arc::new(Semaphore::new(0)),
        };
        let own = Identity::new(KeySpec::P256, 1);
        house.tls.set(std::slice::from_ref(&own.certificate), &own.key).unwrap();
        let opening = Opening {
            client_certificates: ClientCertificates::default(),
            tasks: house.tasks.clone(),
            stop: house.stop.clone(),
            tls: Arc::clone(&house.tls),
            trust: Arc::clone(&house.trust) as Arc<dyn ClientTrust>,
            routes: house.routes(),
            access: AccessLog::to(Box::new(house.log.clone())),
            clock: Clock::manual(NOW),
            limits,
            meters: Arc::clone(&house.meters),
        };
        doors.open(opening).unwrap();
        house
    }

    fn routes(&self) -> Routes {
        let (began, release) = (Arc::clone(&self.began), Arc::clone(&self.release));
        let held = async move || {
            // It waits before it says so: what is ordered from then on is seen before it is looked at again.
            let (mut released, mut has_begun) = (pin!(release.acquire()), false);
            let permit = poll_fn(|context| {
                let polled = released.as_mut().poll(context);
                if !std::mem::replace(&mut has_begun, true) {
                    began.add_permits(1);
                }
                polled
            });
            permit.await.unwrap().forget();
            "released"
        };
        let large = async || {
            let piece = Bytes::from(vec![b'x'; 1 << 20]);
            let pieces = std::iter::repeat_n(piece, LARGE_BYTES >> 20).map(Ok::<_, io::Error>);
            Body::from_stream(stream::iter(pieces))
        };
        let routes = Router::new()
            .route("/hello", get(async || "hello\n"))
            .route("/who", get(async |Extension(peer): Extension<Peer>| who(&peer)))
            .route("/held", get(held))
            .route("/large", get(large))
            .route("/echo", put(echo))
            .route("/flow", put(flow))
            .route("/deaf", put(async || StatusCode::FORBIDDEN))
            .route("/panic", get(async || -> &str { panic!("as the test wants") }));
        Routes::new(move |request| {
            let mut routes = routes.clone();
            async move { routes.call(request).await.unwrap() }
        })
    }

    /// Asks everyone to stop; whether all did within the patience of tests.
    pub(crate) async fn close(&self) -> bool {
        self.stop.ask();
        self.tasks.drain(PATIENCE).await
    }

    /// All lines of the access log. Closes the house first, so that none is missing.
    pub(crate) async fn log_lines(&self) -> Vec<String> {
        assert!(self.close().await, "{} tasks are left", self.tasks.running());
        let text = String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(str::to_owned).collect()
    }

    /// The value of a metric, as its line in the page begins.
    pub(crate) fn meter(&self, line: &str) -> u64 {
        let page = self.meters.render();
        let found = page.lines().find_map(|have| have.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0, |value| value.parse().unwrap())
    }

    /// Waits until a metric has this value.
    pub(crate) async fn until_meter(&self, line: &str, value: u64) {
        let reached = async {
            while self.meter(line) != value {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reached).await;
        in_time.unwrap_or_else(|_| panic!("{line} is {}, not {value}", self.meter(line)));
    }
}

fn who(peer: &Peer) -> String {
    let serial = peer.certificate.as_ref().map_or("nobody".to_owned(), |known| known.serial().to_string());
    format!("{} {} {serial}", peer.address.ip(), if peer.secure { "https" } else { "http" })
}

async fn echo(body: Body) -> Response {
    match read_body(body, ECHO_BYTES_MAX).await {
        Ok(bytes) => bytes.into_response(),
        Err(error) => {
            let status = StatusCode::from_u16(error.kind().http_status()).unwrap();
            (status, error.to_string()).into_response()
        }
    }
}

/// How many bytes came, however many they are.
async fn flow(request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = Flowing::new(body, &parts.extensions);
    let mut count = 0;
    loop {
        match body.next().await {
            Ok(Some(bytes)) => count += bytes.len(),
            Ok(None) => return count.to_string().into_response(),
            Err(error) => {
                let status = StatusCode::from_u16(error.kind().http_status()).unwrap();
                return (status, error.to_string()).into_response();
            }
        }
    }
}

/// Trusts whom it was told to.
#[derive(Default)]
pub(crate) struct Trust(Mutex<HashSet<Vec<u8>>>);

impl Trust {
    pub(crate) fn accept(&self, certificate: &Certificate) {
        self.0.lock().unwrap().insert(certificate.der().to_vec());
    }

    pub(crate) fn refuse(&self, certificate: &Certificate) {
        self.0.lock().unwrap().remove(certificate.der());
    }
}

impl ClientTrust for Trust {
    fn verify(&self, certificate: &Certificate) -> Result<(), VerifyError> {
        let known = self.0.lock().unwrap().contains(certificate.der());
        if known { Ok(()) } else { Err(VerifyError::UnknownIssuer) }
    }
}

/// A self-signed certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: Certificate,
    pub(crate) key: PrivateKey,
}

impl Identity {
    pub(crate) fn new(spec: KeySpec, serial: u64) -> Self {
        let key = PrivateKey::generate(spec).unwrap();
        let name = Name::from_common_name("test").unwrap();
        let certificate = CertificateTemplate {
            serial: Serial::from_decimal(&serial.to_string()).unwrap(),
            issuer: name.clone(),
            subject: name,
            not_before: NOW,
            not_after: Timestamp::MAX,
            public_key: key.public().clone(),
            extensions: Vec::new(),
        };
        Self { certificate: certificate.sign(&key), key }
    }
}

/// What the access log is written on.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
