//! HTTP/1 where bytes matter: what is sent is what the test wrote, and what comes back is shown whole.

use std::fmt::Debug;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};

use crate::wait::LIMIT;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// Names, in lower case, and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header that comes at most once; `name` in lower case.
    #[must_use]
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} comes more than once: {self:?}");
        value
    }

    /// The body, which must be text.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A connection to an HTTP port.
#[derive(Debug)]
pub struct Line {
    stream: BufReader<TcpStream>,
}

impl Line {
    /// Connects.
    #[must_use]
    #[track_caller]
    pub fn to(address: impl ToSocketAddrs + Debug) -> Self {
        let stream =
            TcpStream::connect(&address).unwrap_or_else(|error| panic!("connecting to {address:?}: {error}"));
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the other side hung up; it may have answered before.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        // The other side may have hung up already.
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Reads one answer.
    #[must_use]
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.read(false)
    }

    /// Reads one answer; that to a `HEAD` request has no body, whatever its head says.
    #[track_caller]
    fn read(&mut self, to_head: bool) -> Answer {
        let first = self.line().expect("an answer");
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status: u16 = words.next().and_then(|word| word.parse().ok()).expect("a status");
        let mut headers = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line}"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { version, status, headers, body: Vec::new() };
        if !to_head && status >= 200 && status != 204 && status != 304 {
            match answer.header("content-length").map(|length| length.parse().expect("a length")) {
                Some(length) => {
                    answer.body = vec![0; length];
                    self.stream.read_exact(&mut answer.body).unwrap();
                }
                None => {
                    self.stream.read_to_end(&mut answer.body).unwrap();
                }
            }
        }
        answer
    }

    /// The next line without its end; `None` when there are no more.
    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line).unwrap();
        let text = String::from_utf8_lossy(&line);
        (read > 0).then(|| text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Whether the other side hangs up, and says nothing more before.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

/// Sends `request` on a connection of its own, says that this is all, and reads the answer.
#[track_caller]
pub fn exchange(address: impl ToSocketAddrs + Debug, request: impl AsRef<[u8]>) -> Answer {
    let mut line = Line::to(address);
    // A server that has heard enough may hang up before it has heard all; its answer says so.
    let _ = line.send(request.as_ref());
    line.finish();
    line.read(request.as_ref().starts_with(b"HEAD "))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that says `answer` to whoever comes.
    fn serve(answer: &'static str) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            stream.read_to_end(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn answers_are_read_to_their_end() {
        for (answer, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", 200, "abc"),
            ("HTTP/1.0 404 No\r\n\r\nabcd", 404, "abcd"),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ] {
            let read = exchange(serve(answer), "GET / HTTP/1.1\r\n\r\n");
            assert_eq!((read.status, read.text()), (status, body));
        }
        let read = exchange(serve("HTTP/1.1 405 No\r\nContent-Length: 3\r\n\r\n"), "HEAD / HTTP/1.1\r\n\r\n");
        assert_eq!((read.header("content-length"), read.text()), (Some("3"), ""));
    }
}
