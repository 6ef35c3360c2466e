//! One line for every answered request, in the form that caucased's users feed to their log readers:
//!
//! ```text
//! ADDR - USER [dd/Mon/yyyy:HH:MM:SS +0000] "REQUEST LINE" STATUS SIZE "REFERRER" "USER-AGENT"
//! ```
//! USER is `-`, or the decimal serial number of the client certificate that was presented. SIZE counts
//! the bytes of the answer's body. What clients wrote is escaped: `\` and `"` with a backslash, and bytes
//! outside 0x20 to 0x7e as `\b \n \r \t \v` or `\xNN`, so that nobody can forge a line.
//!
//! Lines wait in a bounded queue for one writer. Where that queue is full, or the line cannot be written, it
//! is lost, and counted: a log reader that stands still must not make the doors stand still.

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use engine::Tasks;
use http::header::{REFERER, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::oneshot;

use super::line_queue::{Full, Sender, Taker, line_queue};

/// How many lines may wait.
const QUEUE_LINES: u64 = 8_192;
/// How many bytes they may have: a line has what clients say about themselves, tens of kilobytes of it if they like.
const QUEUE_BYTES: usize = 8 << 20;

/// How long a stop waits for a reader of the log that stands still.
const LAST_LINES_MAX: Duration = Duration::from_secs(2);

/// Where the access log goes.
pub struct AccessLog(Option<Box<dyn Write + Send>>);

impl AccessLog {
    /// Lines go to `writer`, always whole ones, and are flushed before it waits for more. When it says
    /// that its reader is gone (EPIPE), the log ends quietly.
    #[must_use]
    pub fn to(writer: Box<dyn Write + Send>) -> Self {
        Self(Some(writer))
    }

    /// No log.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// The two ends of the log. The writer is done when the last clone of `Lines` is gone and everything
    /// is written.
    pub(super) fn open(self, lost: Counter) -> (Lines, Option<Writer>) {
        let Some(out) = self.0 else { return (Lines { queue: None, lost }, None) };
        let (queue, lines) = line_queue(QUEUE_LINES, QUEUE_BYTES);
        let (open, all_said) = oneshot::channel();
        let writer = Writer { lines, out, lost: lost.clone(), all_said };
        (Lines { queue: Some(Queue { lines: queue, _open: Arc::new(open) }), lost }, Some(writer))
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "AccessLog(to ..)" } else { "AccessLog(off)" })
    }
}

/// The end that lines are put in at.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    queue: Option<Queue>,
    lost: Counter,
}

#[derive(Debug, Clone)]
struct Queue {
    lines: Sender,
    /// With the last of these it is known that no more lines come.
    _open: Arc<oneshot::Sender<Infallible>>,
}

impl Lines {
    /// Whether anyone wants lines.
    pub(super) fn wanted(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands over a line without its end. Never waits.
    pub(super) fn put(&self, line: &str) {
        if let Some(queue) = &self.queue
            && queue.lines.put(line) == Err(Full)
        {
            self.lost.inc();
        }
    }
}

/// The end that lines come out at.
pub(super) struct Writer {
    lines: Taker,
    out: Box<dyn Write + Send>,
    lost: Counter,
    all_said: oneshot::Receiver<Infallible>,
}

impl Writer {
    /// Writes until nobody can put in lines any more; what is left then has [`LAST_LINES_MAX`].
    pub(super) async fn write(mut self, tasks: &Tasks) {
        let (_, nobody) = oneshot::channel();
        let all_said = std::mem::replace(&mut self.all_said, nobody);
        let given_up = async {
            // An end is all that is told.
            let _ = all_said.await;
            tokio::time::sleep(LAST_LINES_MAX).await;
        };
        tokio::select! {
            () = tasks.compute_aside(|| self.run()) => {}
            () = given_up => tracing::warn!("the last lines of the access log were not written: its reader stands still"),
        }
    }

    /// The same, however long it takes. Blocks.
    fn run(mut self) {
        let mut batch = String::new();
        let mut failing = false;
        loop {
            let count = self.lines.take(&mut batch);
            if count == 0 {
                return;
            }
            match self.out.write_all(batch.as_bytes()).and_then(|()| self.out.flush()) {
                Ok(()) => failing = false,
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
                Err(error) => {
                    // Some of them may have been written.
                    self.lost.inc_by(count);
                    if failing {
                        tracing::debug!(%error, "access log still not written");
                    } else {
                        failing = true;
                        tracing::warn!(%error, "access log not written");
                    }
                }
            }
        }
    }
}

/// Who asked for what: the part of a line that is known when the request comes.
#[derive(Debug)]
pub(super) struct Asked {
    /// The request's line, and then what stands between the last two pairs of quotes, those between them included.
    text: String,
    line_bytes: usize,
}

/// What stands for what is not there.
const NOTHING: &[u8] = b"-";

impl Asked {
    /// Somebody whose request was none, but for its first line.
    pub(super) fn unread(line: &[u8]) -> Self {
        let line = if line.is_empty() { NOTHING } else { line };
        Self::new(|text| escape(text, line), None, None)
    }

    /// What is worth noting of `request`.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        // The word that the original looks up; browsers send the misspelt one.
        const REFERRER: HeaderName = HeaderName::from_static("referrer");
        let value = |name| request.headers().get(name);
        let (method, uri, version) = (request.method(), request.uri(), request.version());
        Self::new(
            |text| write_request_line(text, method, uri, version),
            value(REFERRER).or_else(|| value(REFERER)),
            value(USER_AGENT),
        )
    }

    fn new(
        write_line: impl FnOnce(&mut String),
        referrer: Option<&HeaderValue>,
        user_agent: Option<&HeaderValue>,
    ) -> Self {
        let mut text = String::with_capacity(128);
        write_line(&mut text);
        let line_bytes = text.len();
        escape(&mut text, referrer.map_or(NOTHING, HeaderValue::as_bytes));
        text.push_str("\" \"");
        escape(&mut text, user_agent.map_or(NOTHING, HeaderValue::as_bytes));
        Self { text, line_bytes }
    }
}

/// How it was answered, and whom.
#[derive(Debug)]
pub(super) struct Answered<'a> {
    /// What [`who`] gives.
    pub(super) who: &'a str,
    pub(super) at: Timestamp,
    pub(super) status: StatusCode,
    pub(super) body_bytes: u64,
}

/// How lines about whoever is at `address` begin; `user` is the serial number of what they presented.
pub(super) fn who(address: IpAddr, user: Option<&str>) -> String {
    format!("{address} - {}", user.unwrap_or("-"))
}

/// The line, without its end. One is made for each request, so that it is put together from what is text already.
pub(super) fn line(asked: &Asked, answered: &Answered<'_>) -> String {
    let Answered { who, at, status, body_bytes } = answered;
    let (request, rest) = asked.text.split_at(asked.line_bytes);
    let mut line = String::with_capacity(who.len() + asked.text.len() + 64);
    for part in [who, " [", &at.log_date(), "] \"", request, "\" ", status.as_str(), " "] {
        line.push_str(part);
    }
    // Writing to a String cannot fail.
    let _ = write!(line, "{body_bytes}");
    for part in [" \"", rest, "\""] {
        line.push_str(part);
    }
    line
}

/// `METHOD TARGET HTTP/x.y`, escaped, as an HTTP/1 client would have written it.
fn write_request_line(out: &mut String, method: &Method, uri: &Uri, version: Version) {
    let target = uri.path_and_query().map_or("*", |target| target.as_str());
    escape(out, method.as_str().as_bytes());
    out.push(' ');
    // HTTP/2 carries scheme and authority apart from the path.
    if version == Version::HTTP_2 || (uri.authority().is_none() && uri.scheme().is_none()) {
        escape(out, target.as_bytes());
    } else {
        escape(out, uri.to_string().as_bytes());
    }
    // Writing to a String cannot fail.
    let _ = match version {
        Version::HTTP_11 => out.write_str(" HTTP/1.1"),
        version => write!(out, " {version:?}"),
    };
}

fn escape(line: &mut String, text: &[u8]) {
    let is_plain = |byte: u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'\\' | b'"');
    let plain = text.iter().position(|&byte| !is_plain(byte)).unwrap_or(text.len());
    let (plain, rest) = text.split_at(plain);
    // All of most texts.
    line.push_str(std::str::from_utf8(plain).unwrap_or_default());
    for &byte in rest {
        match byte {
            byte if is_plain(byte) => line.push(char::from(byte)),
            b'\\' | b'"' => line.extend(['\\', char::from(byte)]),
            0x08 => line.push_str("\\b"),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x0b => line.push_str("\\v"),
            // Writing to a String cannot fail.
            _ => drop(write!(line, "\\x{byte:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn says_who_what_when_and_how() {
        let check = |request: Request<()>, user: Option<&str>, expected: &str| {
            let answered = Answered {
                who: &who("192.0.2.7".parse().unwrap(), user),
                at: Timestamp::from_unix(784_111_777),
                status: StatusCode::CREATED,
                body_bytes: 12,
            };
            assert_eq!(line(&Asked::of(&request), &answered), expected);
        };
        let plain = Request::put("/cas/csr?a=%20b").version(Version::HTTP_10).body(()).unwrap();
        check(
            plain,
            None,
            r#"192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] "PUT /cas/csr?a=%20b HTTP/1.0" 201 12 "-" "-""#,
        );
        let full = Request::get("/")
            .header("Referer", "http://misspelt/")
            .header("Referrer", "http://spelt/")
            .header("User-Agent", b"say \"hi\" \\o/ \xe9\t".as_slice())
            .body(())
            .unwrap();
        check(
            full,
            Some("1234567890123456789012345"),
            r#"192.0.2.7 - 1234567890123456789012345 [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 201 12 "http://spelt/" "say \"hi\" \\o/ \xe9\t""#,
        );
        let browser = Request::get("/").header("Referer", "http://misspelt/").body(()).unwrap();
        check(
            browser,
            None,
            r#"192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 201 12 "http://misspelt/" "-""#,
        );
    }

    fn request_line(request: &Request<()>) -> String {
        let mut line = String::new();
        write_request_line(&mut line, request.method(), request.uri(), request.version());
        line
    }

    #[test]
    fn the_target_is_as_it_was_sent() {
        let check = |uri: &str, version: Version, expected: &str| {
            let request = Request::options(uri).version(version).body(()).unwrap();
            assert_eq!(request_line(&request), expected);
        };
        check("/a%2Fb//c?d=e&f", Version::HTTP_11, "OPTIONS /a%2Fb//c?d=e&f HTTP/1.1");
        check("http://host:1/a", Version::HTTP_11, "OPTIONS http://host:1/a HTTP/1.1");
        check("*", Version::HTTP_10, "OPTIONS * HTTP/1.0");
        let request = Request::get("https://host:1/a?b").version(Version::HTTP_2).body(()).unwrap();
        assert_eq!(request_line(&request), "GET /a?b HTTP/2.0");
    }

    #[test]
    fn nothing_that_is_not_plain_gets_through() {
        let check = |text: &[u8], expected: &str| {
            let mut escaped = String::new();
            escape(&mut escaped, text);
            assert_eq!(escaped, expected);
        };
        check(b" ~", " ~");
        check(b"\x00\x1f\x7f\xff", r"\x00\x1f\x7f\xff");
        check(b"\x08\n\r\t\x0b\x0c", r"\b\n\r\t\v\x0c");
        check(br#""\"#, r#"\"\\"#);
    }

    /// Fails as told, and otherwise keeps what is written.
    #[derive(Clone, Default)]
    struct Paper {
        written: Arc<Mutex<Vec<u8>>>,
        fails: Option<ErrorKind>,
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            match self.fails {
                Some(kind) => Err(kind.into()),
                None => self.written.lock().unwrap().write(bytes),
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_put_in_is_written_before_the_end() {
        let paper = Paper::default();
        let (lines, writer) = AccessLog::to(Box::new(paper.clone())).open(Counter::default());
        assert!(lines.wanted());
        lines.put("one");
        lines.clone().put("two");
        drop(lines);
        writer.unwrap().run();
        assert_eq!(paper.written.lock().unwrap().as_slice(), b"one\ntwo\n");
    }

    #[test]
    fn nobody_waits_for_a_slow_reader_or_a_gone_one() {
        let lost = Counter::default();
        let paper = Paper { fails: Some(ErrorKind::BrokenPipe), ..Paper::default() };
        let (lines, writer) = AccessLog::to(Box::new(paper)).open(lost.clone());
        for _ in 0..QUEUE_LINES + 3 {
            lines.put("line");
        }
        assert_eq!(lost.get(), 3);
        writer.unwrap().run(); // ends, though `lines` is still there
        lines.put("line");
        assert_eq!(lost.get(), 3, "a log without a reader loses nothing");
        assert!(!AccessLog::off().open(lost).0.wanted());
    }

    /// Paper that nobody takes away: the first line never ends.
    struct Full(std::sync::mpsc::Receiver<()>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // Until the test ends.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_reader_that_stands_still_keeps_nobody_from_stopping() {
        let (release, held) = std::sync::mpsc::channel();
        let (lines, writer) = AccessLog::to(Box::new(Full(held))).open(Counter::default());
        lines.put("line");
        drop(lines);
        let tasks = Tasks::new();
        writer.unwrap().write(&tasks).await;
        assert!(tasks.drain(Duration::from_secs(20)).await);
        drop(release);
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_counted() {
        let lost = Counter::default();
        let paper = Paper { fails: Some(ErrorKind::StorageFull), ..Paper::default() };
        let (lines, writer) = AccessLog::to(Box::new(paper)).open(lost.clone());
        (0..5).for_each(|_| lines.put("line"));
        drop(lines);
        writer.unwrap().run();
        assert_eq!(lost.get(), 5);
    }
}
