//! The head of an HTTP/1 request, looked at before hyper sees it.
//!
//! hyper refuses what it cannot read with a bare status, and takes some things that it had better not. Here a
//! head is either in order, and then hyper takes it, or it is refused with a status and a reason in words:
//!
//! ```text
//! 400  malformed line, header, Host or length; a length beside chunks; no Host (RFC 9112 §3.2, §6.3);
//!      a transfer coding other than chunked (RFC 9112 §6.1)
//! 413  a length that nobody could count
//! 414  a line that is too long
//! 431  headers that are too long or too many
//! ```
//! Pure: [`HeadReader`] is shown what has come so far, and reads no sockets.

use std::mem::MaybeUninit;

use http::uri::{Authority, Uri};
use http::{Method, StatusCode};
use httparse::{Error, Request, Status};
use memchr::memchr;

use super::limits::Limits;

/// The longest target that [`Uri`] can hold.
const TARGET_BYTES_MAX: usize = 65_534;

/// The longest body that hyper can count.
const BODY_BYTES_MAX: u64 = u64::MAX - 2;

/// For so many headers there is room on the stack.
const HEADERS_FEW: usize = 100;

/// How much of a refused request's line is kept, for the access log.
const KEPT_LINE_BYTES: usize = 1_024;

/// How long the body is that follows a head (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// As its chunks say.
    Chunked,
}

/// A head that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// How long it is, its empty line included.
    pub(super) bytes: usize,
    /// What follows it.
    pub(super) framing: Framing,
}

/// Why a head is refused. Whatever follows it cannot be told from a body, so the connection closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadHead {
    pub(super) status: StatusCode,
    /// One line for whoever reads the answer.
    pub(super) reason: &'static str,
    /// The request's line as it came, or the beginning of a long one.
    pub(super) line: Vec<u8>,
}

impl BadHead {
    /// The peer will not send the rest of this head.
    pub(super) fn incomplete(came: &[u8]) -> Self {
        Self::new(bad("the request ends in the middle of its head"), came)
    }

    fn new((status, reason): Refusal, head: &[u8]) -> Self {
        let line = first_line(head, head.iter().position(|&byte| byte == b'\n'));
        Self { status, reason, line: line[..line.len().min(KEPT_LINE_BYTES)].to_vec() }
    }

    /// Whether the answer is to have no body (RFC 9110 §9.3.2).
    pub(super) fn is_of_head_method(&self) -> bool {
        self.line.starts_with(b"HEAD ")
    }
}

/// A status and a reason.
type Refusal = (StatusCode, &'static str);

fn bad(reason: &'static str) -> Refusal {
    (StatusCode::BAD_REQUEST, reason)
}

/// Reads one head that may come in pieces, and looks at no byte more often than it must.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    seen_bytes: usize,
    /// Where the line feed is that ends the request's line.
    line_end: Option<usize>,
    empty_line: EmptyLine,
}

impl HeadReader {
    /// How many of the bytes that came have been looked at.
    pub(super) fn seen_bytes(&self) -> usize {
        self.seen_bytes
    }

    /// The head, when all of it came; `None` when there is more to come. `came` is everything since the
    /// head began, and may have more behind it.
    ///
    /// # Errors
    /// When no head that begins like this is taken.
    pub(super) fn read(&mut self, came: &[u8], limits: &Limits) -> Result<Option<Head>, BadHead> {
        let is_first_piece = self.seen_bytes == 0;
        let news = came.get(self.seen_bytes..).unwrap_or_default();
        if self.line_end.is_none() {
            let at = memchr(b'\n', news);
            self.line_end = at.map(|at| self.seen_bytes + at);
        }
        let end = self.empty_line.end_in(news).map(|bytes| self.seen_bytes + bytes);
        self.seen_bytes = came.len();

        let head = &came[..end.unwrap_or(came.len())];
        self.measure(head, limits).map_err(|refusal| BadHead::new(refusal, head))?;
        // The first piece shows what is no HTTP at all, such as TLS; then it is worth waiting for the end.
        if end.is_none() && !is_first_piece {
            return Ok(None);
        }
        let framing = parse(head, end.is_some(), limits).map_err(|refusal| BadHead::new(refusal, head))?;
        Ok(framing.map(|framing| Head { bytes: head.len(), framing }))
    }

    fn measure(&self, head: &[u8], limits: &Limits) -> Result<(), Refusal> {
        if first_line(head, self.line_end).len() > limits.request_line_bytes_max {
            return Err((StatusCode::URI_TOO_LONG, "the request line is too long"));
        }
        let header_bytes = self.line_end.map_or(0, |at| head.len() - at - "\n".len());
        if header_bytes > limits.header_bytes_max + "\r\n".len() {
            return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's headers are too long"));
        }
        Ok(())
    }
}

/// The line that ends at `line_end`, or has not ended yet, without its end.
fn first_line(head: &[u8], line_end: Option<usize>) -> &[u8] {
    let line = &head[..line_end.unwrap_or(head.len())];
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What follows a head, if it is complete.
fn parse(head: &[u8], is_complete: bool, limits: &Limits) -> Result<Option<Framing>, Refusal> {
    let (mut few, mut many);
    let headers = if limits.headers_max <= HEADERS_FEW {
        few = [MaybeUninit::uninit(); HEADERS_FEW];
        &mut few[..limits.headers_max]
    } else {
        many = vec![MaybeUninit::uninit(); limits.headers_max];
        &mut many[..]
    };
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(head, headers) {
        Ok(Status::Complete(bytes)) if is_complete && bytes == head.len() => check(&request).map(Some),
        Ok(Status::Partial) if !is_complete => Ok(None),
        Ok(_) => Err(bad("the request's head is malformed")),
        Err(error) => Err(match error {
            Error::TooManyHeaders => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has too many headers")
            }
            Error::Version => bad("the request line does not end with HTTP/1.0 or HTTP/1.1"),
            Error::Token if request.method.is_none() => bad("the request does not begin with a method"),
            Error::Token => bad("the request line is not a method, a target and a version"),
            Error::HeaderName => bad("a header's name is malformed"),
            Error::HeaderValue => bad("a header's value is malformed"),
            Error::NewLine | Error::Status => bad("a line of the request's head is malformed"),
        }),
    }
}

fn check(request: &Request<'_, '_>) -> Result<Framing, Refusal> {
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    if Method::from_bytes(method.as_bytes()).is_err() {
        return Err(bad("the request does not begin with a method"));
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err((StatusCode::URI_TOO_LONG, "the request target is too long"));
    }
    if !is_plain(target)
        && (!target.bytes().all(|byte| byte.is_ascii_graphic()) || Uri::try_from(target).is_err())
    {
        return Err(bad("the request target is malformed"));
    }
    let is_http_11 = request.version == Some(1);
    check_host(&values(request, "host"), is_http_11)?;
    framing(&values(request, "content-length"), &values(request, "transfer-encoding"), is_http_11)
}

/// Whether it is a path of what is in order in any URI (RFC 3986 §2.3), as most are: these need not be read to be
/// judged.
fn is_plain(target: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    target.starts_with('/') && target.bytes().all(|byte| byte == b'/' || is_unreserved(byte))
}

/// What the headers of this name say.
fn values<'h>(request: &Request<'_, 'h>, name: &str) -> Vec<&'h [u8]> {
    let named = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value).collect()
}

/// RFC 9112 §3.2: one Host in HTTP/1.1, which may be empty; HTTP/1.0 may do without.
fn check_host(hosts: &[&[u8]], is_http_11: bool) -> Result<(), Refusal> {
    match hosts {
        [] if is_http_11 => Err(bad("the request has no Host header (RFC 9112 §3.2)")),
        [] | [b""] => Ok(()),
        [host] => match Authority::try_from(*host) {
            Ok(host) if !host.as_str().contains('@') => Ok(()),
            _ => Err(bad("the request's Host header is malformed")),
        },
        _ => Err(bad("the request has more than one Host header (RFC 9112 §3.2)")),
    }
}

/// RFC 9112 §6.3, and no leniency: where a message ends must not be a matter of opinion.
fn framing(lengths: &[&[u8]], codings: &[&[u8]], is_http_11: bool) -> Result<Framing, Refusal> {
    match (lengths, codings) {
        ([], []) => Ok(Framing::Length(0)),
        ([first, others @ ..], []) => {
            let length = content_length(first)?;
            for other in others {
                if content_length(other)? != length {
                    return Err(bad("the request has Content-Length headers that differ"));
                }
            }
            Ok(Framing::Length(length))
        }
        ([], _) if !is_http_11 => Err(bad("HTTP/1.0 has no Transfer-Encoding")),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        ([], _) => {
            let last = codings.last().and_then(|coding| coding.rsplit(|&byte| byte == b',').next());
            if last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked")) {
                Err(bad("no transfer coding but `chunked` is understood, and that once (RFC 9112 §6.1)"))
            } else {
                Err(bad("the request's last transfer coding is not `chunked` (RFC 9112 §6.3)"))
            }
        }
        _ => Err(bad("the request has both Content-Length and Transfer-Encoding (RFC 9112 §6.3)")),
    }
}

fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad("the request's Content-Length is not a number of bytes"));
    }
    let digits = std::str::from_utf8(value).ok();
    digits
        .and_then(|digits| digits.parse().ok())
        .filter(|&length| length <= BODY_BYTES_MAX)
        .ok_or((StatusCode::PAYLOAD_TOO_LARGE, "the request body is longer than anything that is taken"))
}

/// Looks for the end of an empty line, where a head ends, and the trailers of a chunked body as well.
#[derive(Debug, Default)]
pub(super) struct EmptyLine {
    so_far: SoFar,
}

#[derive(Debug, Default, Clone, Copy)]
enum SoFar {
    /// This line has something in it.
    #[default]
    Something,
    Nothing,
    CarriageReturn,
}

impl EmptyLine {
    /// How many of these further bytes there are until an empty line ends, if one ends within them.
    pub(super) fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            self.so_far = match (byte, self.so_far) {
                (b'\n', SoFar::Nothing | SoFar::CarriageReturn) => {
                    // The next line begins here, and may be empty as well.
                    self.so_far = SoFar::Nothing;
                    return Some(at);
                }
                (b'\n', SoFar::Something) => SoFar::Nothing,
                (b'\r', SoFar::Nothing) => SoFar::CarriageReturn,
                _ => {
                    // Nothing matters any more up to the end of this line.
                    at += memchr(b'\n', &bytes[at..]).unwrap_or(bytes.len() - at);
                    SoFar::Something
                }
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { request_line_bytes_max: 40, header_bytes_max: 80, headers_max: 4, ..Limits::default() }
    }

    /// What a head in these pieces is read as.
    fn read(pieces: &[&[u8]]) -> Result<Option<Head>, BadHead> {
        let (mut reader, mut came) = (HeadReader::default(), Vec::new());
        for (at, piece) in pieces.iter().enumerate() {
            came.extend_from_slice(piece);
            let read = reader.read(&came, &limits());
            if at + 1 == pieces.len() || !matches!(read, Ok(None)) {
                return read;
            }
        }
        Ok(None)
    }

    #[test]
    fn good_heads_are_read_up_to_their_end() {
        let check = |head: &str, framing: Framing| {
            let expected = Ok(Some(Head { bytes: head.len(), framing }));
            assert_eq!(read(&[head.as_bytes()]), expected, "{head}");
            assert_eq!(read(&[head.as_bytes(), b"GET "]), expected, "{head}");
            assert_eq!(read(&[[head.as_bytes(), b"\r\n\r\nmore"].concat().as_slice()]), expected, "{head}");
            let bytes: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes), expected, "{head} in pieces");
        };
        check("GET / HTTP/1.0\r\n\r\n", Framing::Length(0));
        check("GET / HTTP/1.0\n\n", Framing::Length(0));
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0));
        check("GET //a/-._~ HTTP/1.0\r\n\r\n", Framing::Length(0));
        check("GET /a%20b?c=d HTTP/1.0\r\n\r\n", Framing::Length(0));
        check("GET / HTTP/1.1\nHOST:\n\r\n", Framing::Length(0));
        check("GET http://a/ HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Framing::Length(0));
        check("OPTIONS * HTTP/1.1\r\nHost: a.b:8000\r\n\r\n", Framing::Length(0));
        check("PUT /a HTTP/1.0\r\ncontent-length:  012 \r\n\r\n", Framing::Length(12));
        check("PUT /a HTTP/1.0\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Framing::Length(5));
        check(
            "PUT / HTTP/1.0\r\nContent-Length: 18446744073709551613\r\n\r\n",
            Framing::Length(u64::MAX - 2),
        );
        check("PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Framing::Chunked);
    }

    #[test]
    fn bad_heads_are_refused_with_a_status_and_a_reason() {
        let check = |head: &[u8], status: u16, reason: &str| {
            let refused = read(&[head]).unwrap_err();
            assert_eq!(
                (refused.status.as_u16(), refused.reason),
                (status, reason),
                "{}",
                head.escape_ascii()
            );
        };
        check(b"\x16\x03\x01\x02", 400, "the request does not begin with a method");
        check(b"GET /\r\n", 400, "the request line is not a method, a target and a version");
        check(b"GET / HTTP/2.0\r\n\r\n", 400, "the request line does not end with HTTP/1.0 or HTTP/1.1");
        check("GET /é HTTP/1.0\r\n\r\n".as_bytes(), 400, "the request target is malformed");
        check(b"GET a/b HTTP/1.0\r\n\r\n", 400, "the request target is malformed");
        check(b"GET / HTTP/1.0\r\nno colon\r\n\r\n", 400, "a header's name is malformed");
        check(b"GET / HTTP/1.0\r\na : b\r\n\r\n", 400, "a header's name is malformed");
        check(b"GET / HTTP/1.0\r\na: b\0\r\n\r\n", 400, "a header's value is malformed");
        check(b"GET / HTTP/1.0\r\na: b\r\n c\r\n\r\n", 400, "a header's name is malformed");
        check(b"GET / HTTP/1.1\r\n\r\n", 400, "the request has no Host header (RFC 9112 §3.2)");
        let twice = "the request has more than one Host header (RFC 9112 §3.2)";
        check(b"GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", 400, twice);
        for host in ["a b", "a/b", "u@a", "a,b/", "\u{e9}"] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            check(head.as_bytes(), 400, "the request's Host header is malformed");
        }
        for length in ["", "-1", "+1", "one", "1_0", "0x5", "1, 1", "1 1", "\u{661}"] {
            let head = format!("PUT / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
            check(head.as_bytes(), 400, "the request's Content-Length is not a number of bytes");
        }
        let differ = "the request has Content-Length headers that differ";
        check(b"PUT / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, differ);
        for length in ["18446744073709551614", "18446744073709551616", "99999999999999999999999999"] {
            let head = format!("PUT / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
            check(head.as_bytes(), 413, "the request body is longer than anything that is taken");
        }
        let both = "the request has both Content-Length and Transfer-Encoding (RFC 9112 §6.3)";
        let head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(head, 400, both);
        let old = b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(old, 400, "HTTP/1.0 has no Transfer-Encoding");
        for (coding, status) in [
            ("gzip", 400),
            ("chunked, gzip", 400),
            ("", 400),
            ("gzip, chunked", 400),
            ("chunked, chunked", 400),
        ] {
            let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n");
            assert_eq!(read(&[head.as_bytes()]).unwrap_err().status.as_u16(), status, "{coding}");
        }
        let many = b"GET / HTTP/1.0\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\n\r\n";
        check(many, 431, "the request has too many headers");
    }

    #[test]
    fn headers_are_counted() {
        for headers_max in [0, 1, HEADERS_FEW, HEADERS_FEW + 1] {
            let limits = Limits { headers_max, ..Limits::default() };
            for (count, is_taken) in [(headers_max, true), (headers_max + 1, false)] {
                let head = format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(count));
                let read = HeadReader::default().read(head.as_bytes(), &limits);
                assert_eq!(read.is_ok(), is_taken, "{count} of {headers_max}");
            }
        }
    }

    #[test]
    fn sizes_are_held_to_the_byte_and_before_the_end_has_come() {
        let line = |bytes: usize| format!("GET /{} HTTP/1.0", "a".repeat(bytes - 14));
        let check = |head: String, expected: Option<u16>| {
            let status = |read: Result<Option<Head>, BadHead>| read.err().map(|bad| bad.status.as_u16());
            assert_eq!(status(read(&[head.as_bytes()])), expected, "{head}");
            let bytes: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
            assert_eq!(status(read(&bytes)), expected, "{head} in pieces");
        };
        check(line(40) + "\r\n\r\n", None);
        check(line(40) + "\r", None);
        check(line(41), Some(414));
        check(line(41) + "\r\n\r\n", Some(414));
        let headers = |bytes: usize| format!("{}\r\na: {}\r\n", line(20), "b".repeat(bytes - 5));
        check(headers(80) + "\r\n", None);
        check(headers(81) + "\r\n", Some(431));
        check(headers(200), Some(431));
    }

    #[test]
    fn the_line_of_a_refused_request_is_kept_up_to_a_length() {
        let check = |head: &[u8], line: &[u8], is_of_head_method: bool| {
            let refused = BadHead::incomplete(head);
            assert_eq!((refused.line.as_slice(), refused.is_of_head_method()), (line, is_of_head_method));
        };
        check(b"", b"", false);
        check(b"GET / HTTP/1.1\r\nHost", b"GET / HTTP/1.1", false);
        check(b"HEAD /\xff\n\r\n", b"HEAD /\xff", true);
        check(&[b'a'; 3_000], &[b'a'; KEPT_LINE_BYTES], false);
    }

    #[test]
    fn empty_lines_are_found_across_pieces() {
        let check = |pieces: &[&str], expected: &[Option<usize>]| {
            let mut line = EmptyLine::default();
            let found: Vec<_> = pieces.iter().map(|piece| line.end_in(piece.as_bytes())).collect();
            assert_eq!(found, expected, "{pieces:?}");
        };
        check(&["a\r\n\r\nb"], &[Some(5)]);
        check(&["a\n\nb"], &[Some(3)]);
        check(&["a\r", "\n", "\r", "\nb"], &[None, None, None, Some(1)]);
        check(&["a\r\n\r\r\n", "\r\n"], &[None, Some(2)]);
        check(&["\r\n", "\r\n"], &[None, Some(2)]);
        check(&["a\n\n", "\n"], &[Some(3), Some(1)]);
        check(&["A: b\n\r\n", "\r\nGET"], &[Some(7), Some(2)]);
    }
}
