//! Heads that are refused: each with its status, a reason in words, a line in the access log, and the end of
//! the connection. What comes behind a head is never taken for one.

use base::Entropy;
use tokio::io::{AsyncRead, AsyncWrite};

use super::client::{Answer, Knock, Line};
use super::house::House;

/// Bad heads, the status of the answer, a part of the reason, and REQUEST LINE in the access log.
const BAD: &[(&[u8], u16, &str, &str)] = &[
    (b"\x16\x03\x01\x02", 400, "does not begin with a method", r"\x16\x03\x01\x02"),
    (b"GET /\r\n\r\n", 400, "a target and a version", "GET /"),
    (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400, "does not end with HTTP/1", "GET / HTTP/9.9"),
    (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target", r"GET /\xc3\xa9 HTTP/1.1"),
    (b"GET /\" HTTP/1.1\r\n\r\n", 400, "no Host", r#"GET /\" HTTP/1.1"#),
    (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "header's name", "GET / HTTP/1.1"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "no Host header", "GET / HTTP/1.1"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "more than one Host", "GET / HTTP/1.1"),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host header is malformed", "GET / HTTP/1.1"),
    (b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "not a number", "PUT / HTTP/1.1"),
    (b"PUT / HTTP/1.0\r\nContent-Length: one\r\n\r\n", 400, "not a number", "PUT / HTTP/1.0"),
    (b"PUT / HTTP/1.0\r\nContent-Length:\r\n\r\n", 400, "not a number", "PUT / HTTP/1.0"),
    (
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        400,
        "differ",
        "PUT / HTTP/1.1",
    ),
    (b"PUT / HTTP/1.0\r\nContent-Length: 18446744073709551615\r\n\r\n", 413, "longer", "PUT / HTTP/1.0"),
    (b"PUT / HTTP/1.0\r\nContent-Length: 18446744073709551616\r\n\r\n", 413, "longer", "PUT / HTTP/1.0"),
    (
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "both",
        "PUT / HTTP/1.1",
    ),
    (
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
        "`chunked`",
        "PUT / HTTP/1.1",
    ),
    (b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0", "PUT / HTTP/1.0"),
];

/// Sends `head` and reads the refusal, which must be the last that comes.
async fn refusal<S: AsyncRead + AsyncWrite + Unpin>(line: &mut Line<S>, head: &[u8]) -> Answer {
    line.send(head).await.unwrap();
    let answer = line.answer().await;
    assert_eq!(answer.headers["connection"], "close", "{}", head.escape_ascii());
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8", "{}", head.escape_ascii());
    assert!(answer.headers.contains_key("date"));
    assert!(line.is_closed().await, "{}", head.escape_ascii());
    answer
}

#[track_caller]
fn check(answer: &Answer, head: &[u8], status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{}: {answer:?}", head.escape_ascii());
    let said = answer.text();
    assert!(said.contains(reason) && !said.contains('\n'), "{}: {said}", head.escape_ascii());
}

/// The line of the access log for a refusal of `bytes`.
fn logged(request_line: &str, status: u16, bytes: usize) -> String {
    format!(r#"127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "{request_line}" {status} {bytes} "-" "-""#)
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_heads_are_answered_with_a_reason_and_logged() {
    let house = House::open();
    let mut expected = Vec::new();
    for &(head, status, reason, request_line) in BAD {
        let answers = [
            refusal(&mut Line::to(house.http).await, head).await,
            refusal(&mut Knock::default().at(house.https).await.unwrap(), head).await,
        ];
        for answer in &answers {
            check(answer, head, status, reason);
            expected.push(logged(request_line, status, answer.body.len()));
        }
    }
    let count = BAD.iter().filter(|(_, status, ..)| *status < 500).count() as u64;
    house
        .until_meter(r#"provost_http_requests_total{door="https",method="other",status="4xx"}"#, count)
        .await;
    let mut lines = house.log_lines().await;
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_looked_at_on_a_connection_that_is_kept_open() {
    let house = House::open();
    let requests = [
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nPUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\nGET / HTTP/9.9\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         12;a=b\r\nGET / HTTP/9.9\r\n\r\n\r\n4\r\n\r\n\r\n\r\n0\r\nTrailer: GET /\r\n\r\n",
        "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    let answers = ["hello\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/9.9\r\n\r\n\r\n\r\n", ""];
    for &(head, status, reason, _) in BAD {
        // One after the other, and all in one go.
        for at_once in [false, true] {
            let mut line = Line::to(house.http).await;
            if at_once {
                line.send([requests.concat().as_bytes(), head].concat()).await.unwrap();
            }
            for (request, expected) in requests.iter().zip(answers) {
                if !at_once {
                    line.send(request).await.unwrap();
                }
                let answer = line.answer().await;
                assert_eq!((answer.status, answer.text()), (200, expected), "{request}");
            }
            check(&refusal(&mut line, if at_once { b"" } else { head }).await, head, status, reason);
        }
    }
}

/// Good requests in pieces of every size, so that every border of a message falls on every border of a piece.
#[tokio::test(flavor = "multi_thread")]
async fn messages_are_told_apart_however_they_come() {
    let house = House::open();
    let requests = "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\na\r\n\r\nb\
                    PUT /echo HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n\
                    5\r\n\r\n\r\nc\r\n0\r\nT: a\r\n\r\n\
                    GET /hello HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n";
    for piece_bytes in 1..requests.len() {
        let mut line = Line::to(house.http).await;
        for piece in requests.as_bytes().chunks(piece_bytes) {
            line.send(piece).await.unwrap();
        }
        let mut answers = Vec::new();
        for _ in 0..4 {
            let answer = line.answer().await;
            answers.push((answer.status, answer.text().to_owned()));
        }
        let expected = [
            (200, "a\r\n\r\nb".to_owned()),
            (200, "\r\n\r\nc".to_owned()),
            (200, "hello\n".to_owned()),
            (400, "the request target is malformed".to_owned()),
        ];
        assert_eq!(answers, expected, "pieces of {piece_bytes} bytes");
        assert!(line.is_closed().await);
    }
}

/// Trailers in which lines end in every way that somebody might take for an end, and a bad head behind them,
/// all in one go: it is seen wherever hyper finds the end.
#[tokio::test(flavor = "multi_thread")]
async fn no_head_hides_behind_trailers() {
    let house = House::open();
    for trailers in [
        "0\r\n\r\n",
        "0\r\nA: b\n\r\n\r\n",
        "0\r\nA: b\n\n\n\r\n\r\n",
        "0\r\nA: b\r\n\r\n",
        "0\r\nA: b\n\r\nC: d\r\n\r\n",
    ] {
        for hidden in ["GET /hello HTTP/1.1\r\n\r\n", "PUT /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"] {
            let begun = "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            let mut line = Line::to(house.http).await;
            line.send([begun, trailers, hidden].concat()).await.unwrap();
            // hyper refuses some of these trailers, and then nothing behind them is a request.
            let mut statuses = vec![line.answer().await.status];
            if statuses == [200] {
                statuses.push(line.answer().await.status);
            }
            assert_eq!(statuses.pop(), Some(400), "{trailers:?} {hidden:?}");
            assert!(line.is_closed().await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_ends_too_early_is_refused_and_head_has_no_body() {
    let house = House::open();
    for begun in ["G", "GET / HTTP/1.1\r\nHost: a\r\n", "PRI * HTTP/2.0\r\n\r\nS"] {
        let mut stream = tokio::net::TcpStream::connect(house.http).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, begun.as_bytes()).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        let answer = Line::over(stream).answer().await;
        check(&answer, begun.as_bytes(), 400, "in the middle of its head");
    }
    let mut line = Line::to(house.http).await;
    line.send("HEAD / HTTP/1.1\r\n\r\n").await.unwrap();
    let whole = String::from_utf8(line.rest().await.unwrap()).unwrap();
    assert!(whole.starts_with("HTTP/1.1 400 Bad Request\r\n") && whole.ends_with("\r\n\r\n"), "{whole}");
    // Nothing at all is no request, and neither are empty lines.
    let before = house.meter(r#"provost_http_requests_total{door="http",method="other",status="4xx"}"#);
    for nothing in ["", "\r\n\r\n"] {
        let mut stream = tokio::net::TcpStream::connect(house.http).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, nothing.as_bytes()).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        assert_eq!(Line::over(stream).rest().await.unwrap(), b"");
    }
    let after = house.meter(r#"provost_http_requests_total{door="http",method="other",status="4xx"}"#);
    assert_eq!(before, after);
}

/// Changed examples: whatever is refused is refused in words, so hyper had nothing to refuse by itself.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_without_a_reason() {
    let house = House::open();
    let examples: [&[u8]; 3] = [
        b"PUT /echo?a=b HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
        b"PUT /echo HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        b"GET http://a.b/hello HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    ];
    let strange = b"\0\t\n\r \"%,-/09:;@[\\]_az{|}\x7f\x80\xc3\xff";
    let entropy = Entropy::seeded(7);
    for _ in 0..3_000 {
        let mut dice = [0; 12];
        entropy.fill(&mut dice);
        let mut request = examples[usize::from(dice[0]) % examples.len()].to_vec();
        for change in dice[1..].chunks_exact(3).take(1 + usize::from(dice[1]) % 3) {
            let at = (usize::from(change[0]) << 8 | usize::from(change[1])) % request.len();
            let byte = strange[usize::from(change[2] >> 2) % strange.len()];
            match change[2] % 3 {
                0 => request[at] = byte,
                1 => request.insert(at, byte),
                _ => drop(request.remove(at)),
            }
        }
        let mut stream = tokio::net::TcpStream::connect(house.http).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &request).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        let mut line = Line::over(stream);
        loop {
            let answer = line.answer().await;
            // The routes' own 404 and 405 have no words here.
            let is_silent = answer.body.is_empty() && ![100, 200, 404, 405].contains(&answer.status);
            assert!(!is_silent, "{}: {answer:?}", request.escape_ascii());
            if answer.status != 100 {
                break;
            }
        }
    }
}
