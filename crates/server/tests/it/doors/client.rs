//! Clients that do exactly what the test says, and no more.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::house::{Identity, PATIENCE};

/// An HTTP/1 connection, byte by byte.
pub(crate) struct Line<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

/// An answer, as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Line {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self::over(timeout(PATIENCE, TcpStream::connect(address)).await.unwrap().unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.expect("nobody reads what we send")
    }

    /// Sends the head of a request without a body, and waits for the answer.
    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")).await.unwrap();
        self.answer().await
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more().await.unwrap() > 0, "closed instead of answering: {:?}", self.read);
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let (status, headers) = parse(&String::from_utf8(head).unwrap());
        let mut body = Vec::new();
        if let Some(length) = headers.get("content-length") {
            let length: usize = length.to_str().unwrap().parse().unwrap();
            while self.read.len() < length {
                assert!(self.more().await.unwrap() > 0, "closed in the middle of the answer");
            }
            body = self.read.drain(..length).collect();
        }
        Answer { status, headers, body }
    }

    /// The head of an answer that has no body, though it says how long that would be.
    pub(crate) async fn rest_of_head(&mut self) -> String {
        while !self.read.ends_with(b"\r\n\r\n") {
            assert!(self.more().await.unwrap() > 0, "closed instead of answering");
        }
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Everything until the other side closes; an error when it resets instead.
    pub(crate) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more().await? > 0 {}
        Ok(std::mem::take(&mut self.read))
    }

    /// Whether the other side has closed, rather than that it has something to say.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !matches!(self.more().await, Ok(1..))
    }

    async fn more(&mut self) -> io::Result<usize> {
        timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await.expect("no answer and no end")
    }
}

fn parse(head: &str) -> (u16, HeaderMap) {
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    });
    (status, headers.collect())
}

/// How to knock at the HTTPS door.
pub(crate) struct Knock<'a> {
    pub(crate) version: &'static SupportedProtocolVersion,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) alpn: &'static [&'static [u8]],
}

impl Default for Knock<'_> {
    fn default() -> Self {
        Self { version: &rustls::version::TLS13, identity: None, alpn: &[] }
    }
}

impl Knock<'_> {
    /// Shakes hands. In TLS 1.3 a refusal may show only when something is read.
    pub(crate) async fn at(&self, address: SocketAddr) -> io::Result<Line<TlsStream<TcpStream>>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(AnyServer(Arc::clone(&provider)));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[self.version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let key = PrivatePkcs8KeyDer::from(key.to_pkcs8_der().expose().clone());
                let chain = vec![CertificateDer::from(certificate.der().to_vec())];
                builder.with_client_auth_cert(chain, key.into()).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("test").unwrap();
        let session = TlsConnector::from(Arc::new(config)).connect(name, stream);
        Ok(Line::over(timeout(PATIENCE, session).await.expect("no handshake")?))
    }

    /// What `GET /who` answers to whom knocks so.
    pub(crate) async fn who(&self, address: SocketAddr) -> io::Result<String> {
        let mut line = self.at(address).await?;
        line.send("GET /who HTTP/1.0\r\n\r\n").await?;
        let answer = String::from_utf8(line.rest().await?).unwrap();
        Ok(answer.rsplit_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

impl Line<TlsStream<TcpStream>> {
    pub(crate) fn session(&self) -> &rustls::ClientConnection {
        self.stream.get_ref().1
    }
}

/// Takes every server for the right one, as caucase's clients do.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
