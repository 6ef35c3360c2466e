//! A client that costs next to nothing: one connection, requests that were written beforehand, and no
//! more of HTTP/1.1 (RFC 9112) than the contenders speak.
//!
//! The connection is kept as long as the server keeps it; where it closes, each request opens a new one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Failure;

/// The longest head that is read.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How much of a body that is thrown away is read at once.
const DRAINED_AT_ONCE: usize = 256 * 1024;

/// What it speaks through: TCP, or TLS over it.
trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// One client of one server.
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    stream: Option<Pin<Box<dyn Stream>>>,
    buffer: Vec<u8>,
    /// How many connections it has opened.
    connections: u64,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) location: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// What a head says about the answer, and where in the buffer its parts are.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    bytes: usize,
    status: u16,
    body_bytes: Option<usize>,
    keeps_open: bool,
    location: Option<std::ops::Range<usize>>,
}

/// A request, ready to be sent: `GET /path` or, with a body, `PUT /path`.
pub(crate) fn request(method: &str, path: &str, body: Option<(&str, &[u8])>) -> Vec<u8> {
    request_with(method, path, "", body)
}

/// As [`request`], with more header lines, each with its end.
pub(crate) fn request_with(method: &str, path: &str, headers: &str, body: Option<(&str, &[u8])>) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}").into_bytes();
    if let Some((kind, body)) = body {
        let head = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body);
    } else {
        request.extend_from_slice(b"\r\n");
    }
    request
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, tls: None, stream: None, buffer: Vec::with_capacity(16 * 1024), connections: 0 }
    }

    /// The same, that speaks TLS.
    pub(crate) fn over_tls(address: SocketAddr, tls: Arc<ClientConfig>) -> Self {
        Self { tls: Some(tls), ..Self::new(address) }
    }

    /// The server it asks.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has opened so far.
    pub(crate) fn connections(&self) -> u64 {
        self.connections
    }

    /// Sends `request` and reads the answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        let address = self.address;
        let asked = self.exchange(request).await;
        let (head, body_end) = asked.map_err(|source| Failure::Ask { address, source })?;
        let location = head.location.and_then(|range| std::str::from_utf8(&self.buffer[range]).ok());
        Ok(Answer { status: head.status, location, body: &self.buffer[head.bytes..body_end] })
    }

    /// As [`Self::ask`]; an answer other than `expected` is a failure.
    pub(crate) async fn expect(&mut self, expected: u16, request: &[u8]) -> Result<Answer<'_>, Failure> {
        let address = self.address;
        let answer = self.ask(request).await?;
        if answer.status != expected {
            let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
            let path = String::from_utf8_lossy(line).into_owned();
            return Err(Failure::Answer { address, path, status: answer.status, expected });
        }
        Ok(answer)
    }

    /// As [`Self::expect`], with a body of any length, which is thrown away.
    pub(crate) async fn drained(&mut self, expected: u16, request: &[u8]) -> Result<(), Failure> {
        let address = self.address;
        let status = self.drain(request).await.map_err(|source| Failure::Ask { address, source })?;
        if status != expected {
            let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
            let path = String::from_utf8_lossy(line).into_owned();
            return Err(Failure::Answer { address, path, status, expected });
        }
        Ok(())
    }

    /// Posts `piece`, `count` times in a row, as one body; an answer other than 201 is a failure.
    pub(crate) async fn post_repeated(
        &mut self,
        path: &str,
        piece: &[u8],
        count: u64,
    ) -> Result<(), Failure> {
        let address = self.address;
        let status =
            self.post(path, piece, count).await.map_err(|source| Failure::Ask { address, source })?;
        match status {
            201 => Ok(()),
            status => Err(Failure::Answer { address, path: path.to_owned(), status, expected: 201 }),
        }
    }

    async fn post(&mut self, path: &str, piece: &[u8], count: u64) -> io::Result<u16> {
        let mut stream = self.connected().await?;
        let length = piece.len() as u64 * count;
        let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        for _ in 0..count {
            stream.write_all(piece).await?;
        }
        Ok(self.head(&mut stream).await?.status)
    }

    async fn drain(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut stream = self.connected().await?;
        stream.write_all(request).await?;
        let head = self.head(&mut stream).await?;
        let bytes = head.body_bytes.ok_or_else(|| io::Error::other("the answer has no length"))?;
        let mut left = bytes - (self.buffer.len() - head.bytes);
        self.buffer.resize(DRAINED_AT_ONCE, 0);
        while left > 0 {
            let at_once = left.min(DRAINED_AT_ONCE);
            let read = stream.read(&mut self.buffer[..at_once]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read;
        }
        if head.keeps_open {
            self.stream = Some(stream);
        }
        Ok(head.status)
    }

    async fn connected(&mut self) -> io::Result<Pin<Box<dyn Stream>>> {
        if let Some(stream) = self.stream.take() {
            return Ok(stream);
        }
        self.connections += 1;
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::pin(stream)) };
        let name = ServerName::from(self.address.ip());
        Ok(Box::pin(TlsConnector::from(tls.clone()).connect(name, stream).await?))
    }

    /// The head of the answer, and in the buffer whatever came with it.
    async fn head(&mut self, stream: &mut Pin<Box<dyn Stream>>) -> io::Result<Head> {
        self.buffer.clear();
        loop {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match parse(&self.buffer)? {
                Some(head) => return Ok(head),
                None if self.buffer.len() < HEAD_BYTES_MAX => {}
                None => return Err(io::Error::other("the head of the answer does not end")),
            }
        }
    }

    /// Gives the head, and where in the buffer the body ends.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<(Head, usize)> {
        let mut stream = self.connected().await?;
        stream.write_all(request).await?;
        let head = self.head(&mut stream).await?;
        let Some(body_bytes) = head.body_bytes else {
            stream.read_to_end(&mut self.buffer).await?;
            let end = self.buffer.len();
            return Ok((head, end));
        };
        let end = head.bytes + body_bytes;
        while self.buffer.len() < end {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if head.keeps_open {
            self.stream = Some(stream);
        }
        Ok((head, end))
    }
}

/// The head at the front of `bytes`, once all of it is there.
fn parse(bytes: &[u8]) -> io::Result<Option<Head>> {
    let malformed = || io::Error::other("the answer is not HTTP/1");
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| malformed())?;
    let (first, rest) = text.split_once("\r\n").unwrap_or((text, ""));
    let (version, status) = first.split_once(' ').ok_or_else(malformed)?;
    let status = status.get(..3).and_then(|digits| digits.parse::<u16>().ok()).ok_or_else(malformed)?;
    let mut head =
        Head { bytes: end + 4, status, body_bytes: None, keeps_open: version == "HTTP/1.1", location: None };
    if status == 204 || status == 304 {
        head.body_bytes = Some(0);
    }
    let mut at = first.len() + 2;
    for line in rest.split("\r\n") {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("content-length") {
            head.body_bytes = Some(value.trim().parse().map_err(|_| malformed())?);
        } else if name.eq_ignore_ascii_case("connection") {
            head.keeps_open = value.trim().eq_ignore_ascii_case("keep-alive")
                || (head.keeps_open && !value.trim().eq_ignore_ascii_case("close"));
        } else if name.eq_ignore_ascii_case("location") {
            let start = at + line.len() - value.trim_start().len();
            head.location = Some(start..start + value.trim().len());
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(io::Error::other("the answer is chunked, which no contender does"));
        }
        at += line.len() + 2;
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_understood() {
        let check = |text: &str, expected: Option<(u16, Option<usize>, bool, Option<&str>)>| {
            let head = parse(text.as_bytes()).unwrap();
            let seen = head.as_ref().map(|head| {
                let location = head.location.clone().map(|range| &text[range]);
                (head.status, head.body_bytes, head.keeps_open, location)
            });
            assert_eq!(seen, expected, "{text:?}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Some((200, Some(2), true, None)));
        check("HTTP/1.0 200 OK\r\ncontent-length:2\r\n\r\n", Some((200, Some(2), false, None)));
        check("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", Some((200, None, true, None)));
        check("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", Some((200, None, false, None)));
        check(
            "HTTP/1.1 201 Created\r\nA: b\r\nLocation:  17 \r\nContent-Length: 0\r\n\r\n",
            Some((201, Some(0), true, Some("17"))),
        );
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, Some(0), true, None)));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for text in [
            "\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
