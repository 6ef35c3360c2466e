//! What strangers try: names, keys and bodies that are none, and pages that want to write.

use base::Sha512;
use testkit::{Answer, House, Line, exchange};

use super::{entry, keep, open};
use crate::houses::{ended_without_a_fault, request};

fn ask(house: &House, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    exchange(house.http(), request(method, path, headers, body))
}

/// Keys are as clients write them, and whoever writes carefully finds the same: each is its own, or none.
#[test]
fn keys_are_told_apart() {
    let house = open();
    let hello = Sha512::of(b"hello");
    let keys = [
        "a",
        "a/",
        "a//",
        "/a",
        "a/b",
        "A",
        "...",
        ".a/b..",
        "'a'",
        "\"a\"",
        "a=b:c@d!e~f+g",
        "%25",
        "%2525",
        "a%20b",
        "%C3%A9",
        "e%CC%81",
        "%EF%BF%BD",
        "a%2Fb%2Fc",
        "C:%5Cx",
        "%F0%9F%93%A6",
    ];
    for (n, key) in keys.iter().enumerate() {
        let put = ask(&house, "PUT", &format!("/shadir/{key}"), &[], entry(hello, n).as_bytes());
        assert_eq!(put.status, 201, "{key}: {put:?}");
    }
    for (n, key) in keys.iter().enumerate() {
        let list = ask(&house, "GET", &format!("/shadir/{key}"), &[], b"");
        let list: Vec<(String, String)> = serde_json::from_str(list.text()).unwrap();
        assert_eq!(list.len(), 1, "{key}: {list:?}");
        assert!(list[0].0.contains(&format!("\"n\": {n}}}")), "{key}: {list:?}");
    }
    // Escaped or not, it is the same key; what cannot be one is not there, and is not taken.
    assert_eq!(ask(&house, "GET", "/shadir/a/b/c", &[], b"").status, 200);
    let (long, longest) = ("k".repeat(801), "k".repeat(800));
    for (key, get, put) in [
        ("%fe", 400, 400),
        ("%ff", 400, 400),
        ("a%c3", 400, 400),
        ("%ed%a0%80", 400, 400),
        ("%00", 404, 400),
        ("a%0ab", 404, 400),
        ("%7f", 404, 400),
        ("%c2%85", 404, 400),
        ("", 404, 400),
        (".", 404, 400),
        ("..", 404, 400),
        ("%2e%2E", 404, 400),
        ("../a", 404, 400),
        ("a/./b", 404, 400),
        ("a%2f..", 404, 400),
        ("%2e%2e/%2e%2e/etc/passwd", 404, 400),
        (&long, 404, 400),
        (&longest, 404, 201),
    ] {
        let path = format!("/shadir/{key}");
        assert_eq!(ask(&house, "GET", &path, &[], b"").status, get, "{key}");
        let answer = ask(&house, "PUT", &path, &[], entry(hello, 1).as_bytes());
        assert_eq!(answer.status, put, "{key}: {answer:?}");
    }
    assert_eq!(ask(&house, "GET", "/shacache/%ff", &[], b"").status, 400);
    ended_without_a_fault(house);
}

/// A hundred megabytes of entry are refused long before their end, whether or not it is said how many they are.
#[test]
fn entries_of_any_length_are_refused_in_time() {
    let house = open();
    let mut line = Line::to(house.http());
    line.send("PUT /shadir/a HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n").unwrap();
    assert_eq!(line.answer().status, 413);
    let mut line = Line::to(house.http());
    line.send("PUT /shadir/a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let piece = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    // It may be answered, and closed, at any time.
    for _ in 0..100 {
        if line.send(&piece).is_err() {
            break;
        }
    }
    assert_eq!(line.answer().status, 413);
    // As long as is taken, it is given back as it was.
    let text =
        format!("{{\"sha512\": \"{}\", \"p\": \"{}\"}}", Sha512::of(b"hello"), "\u{e9}".repeat(500_000));
    let body = serde_json::json!([text, "YQ=="]).to_string();
    assert_eq!(ask(&house, "PUT", "/shadir/a", &[], body.as_bytes()).status, 201);
    let answer = testkit::http::anybody().get(house.http_url("/shadir/a")).send().unwrap();
    let list: Vec<(String, String)> = serde_json::from_slice(&answer.bytes().unwrap()).unwrap();
    assert!(list == [(text, "YQ==".to_owned())]);
    // It stands in a file of its own, which is nobody's artifact.
    let blob = Sha512::of(&[list[0].0.as_bytes(), b"\0YQ=="].concat());
    let name = blob.to_string();
    assert!(house.data().join("artifacts").join(&name[..2]).join(&name).exists());
    assert_eq!(ask(&house, "GET", &format!("/shacache/{name}"), &[], b"").status, 404);
    ended_without_a_fault(house);
}

/// A browser lends its user's certificate to whatever page asks: other sites' pages do not write, and no artifact is
/// shown as one of ours.
#[test]
fn pages_of_other_sites_do_not_write() {
    let house = open();
    let digest = Sha512::of(b"hello");
    for (headers, expected) in [
        (&[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://elsewhere.example")][..], 403),
        (&[("Origin", "null")], 403),
        (&[("Origin", "https://elsewhere.example"), ("Content-Type", "text/plain")], 403),
        (&[("Sec-Fetch-Site", "none")], 201),
    ] {
        assert_eq!(ask(&house, "POST", "/shacache", headers, b"hello").status, expected, "{headers:?}");
        let put = ask(&house, "PUT", "/shadir/a", headers, entry(digest, 1).as_bytes());
        assert_eq!(put.status, expected, "{headers:?}");
    }
    let page = [("Sec-Fetch-Site", "cross-site")];
    let read = ask(&house, "GET", &format!("/shacache/{digest}"), &page, b"");
    assert_eq!((read.status, read.header("x-content-type-options")), (200, Some("nosniff")));
    ended_without_a_fault(house);
}

/// RFC 9110: ranges are for GET, and a tag may stand in any of several lines.
#[test]
fn conditions_and_ranges_are_read_as_written() {
    let house = open();
    let digest = keep(&house, b"hello");
    let path = format!("/shacache/{digest}");
    for range in ["bytes=2-", "bytes=9-"] {
        let head = ask(&house, "HEAD", &path, &[("Range", range)], b"");
        assert_eq!(
            (head.status, head.header("content-length"), head.header("content-range")),
            (200, Some("5"), None)
        );
    }
    let tag = format!("\"{digest}\"");
    let known = ask(&house, "GET", &path, &[("If-None-Match", "\"other\""), ("If-None-Match", &tag)], b"");
    assert_eq!(known.status, 304);
    let whole = ask(&house, "GET", &path, &[("Range", "bytes=2-"), ("If-Range", "\"other\"")], b"");
    assert_eq!((whole.status, whole.text()), (200, "hello"));
    let rest = ask(&house, "GET", &path, &[("Range", "bytes=2-"), ("If-Range", &tag)], b"");
    assert_eq!((rest.status, rest.text()), (206, "llo"));
    // Lists change: whoever keeps one asks before showing it.
    ask(&house, "PUT", "/shadir/a", &[], entry(digest, 1).as_bytes());
    let list = ask(&house, "GET", "/shadir/a", &[], b"");
    assert_eq!(list.header("cache-control"), Some("no-cache"));
    ended_without_a_fault(house);
}

/// Section 18.1: a client that closes its end before it reads the body keeps the body only if the answer said that the
/// connection closes. So every answer does, refusals included.
#[test]
fn every_answer_closes_when_asked() {
    let house = open();
    let digest = keep(&house, b"hello");
    let artifact = format!("/shacache/{digest}");
    let entry = entry(digest, 1);
    for (method, path, headers, body, expected) in [
        ("POST", "/shacache", &[][..], &b"hello"[..], 201),
        ("PUT", &artifact, &[], b"hello", 201),
        ("PUT", &artifact, &[], b"hallo", 400),
        ("GET", &artifact, &[], b"", 200),
        ("HEAD", &artifact, &[], b"", 200),
        ("GET", &artifact, &[("Range", "bytes=1-")], b"", 206),
        ("GET", &artifact, &[("Range", "bytes=9-")], b"", 416),
        ("GET", &artifact, &[("If-None-Match", "*")], b"", 304),
        ("GET", "/shacache/none", &[], b"", 404),
        ("DELETE", &artifact, &[], b"", 405),
        ("PUT", "/shadir/a", &[], entry.as_bytes(), 201),
        ("PUT", "/shadir/a", &[], b"[]", 400),
        ("PUT", "/shadir/a", &[("Origin", "null")], entry.as_bytes(), 403),
        ("GET", "/shadir/a", &[], b"", 200),
        ("GET", "/shadir/none", &[], b"", 404),
        ("GET", "/shadir/%ff", &[], b"", 400),
    ] {
        let mut line = Line::to(house.http());
        line.send(request(method, path, &[headers, &[("Connection", "close")]].concat(), body)).unwrap();
        let answer = if method == "HEAD" {
            ask(&house, method, path, &[("Connection", "close")], b"")
        } else {
            line.answer()
        };
        assert_eq!(answer.status, expected, "{method} {path}");
        assert_eq!(answer.header("connection"), Some("close"), "{method} {path}: {answer:?}");
        assert!(answer.header("location").is_none(), "nobody is sent elsewhere");
        assert!(method == "HEAD" || line.is_closed(), "{method} {path}");
    }
    ended_without_a_fault(house);
}
