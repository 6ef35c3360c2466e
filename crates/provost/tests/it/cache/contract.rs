//! The rows of the contract, byte by byte.

use std::os::unix::fs::PermissionsExt as _;

use base::Sha512;
use testkit::{Answer, House, Line, exchange};

use super::{entry, keep, open};
use crate::houses::{ended_without_a_fault, get, request};

fn ask(house: &House, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    exchange(house.http(), request(method, path, headers, body))
}

/// Sections 2.1, 2.2 and 2.4, and the same where the proxy of slapos.core has it (section 13).
#[test]
fn artifacts_are_kept_and_given_back() {
    let house = open();
    let hello = Sha512::of(b"hello").to_string();
    for base in ["/shacache", "/shacache/", "/shacache/cache", "/shacache/cache/"] {
        // A client closes its connection before it reads the body, and only keeps the body if we close as well.
        let answer = ask(&house, "POST", base, &[("Connection", "close")], b"hello");
        assert_eq!((answer.status, answer.text()), (201, hello.as_str()), "{base}");
        assert_eq!(answer.header("connection"), Some("close"), "{base}");
    }
    for base in ["/shacache", "/shacache/cache"] {
        let path = format!("{base}/{hello}");
        let whole =
            ask(&house, "GET", &path, &[("Connection", "close"), ("Accept-Encoding", "identity")], b"");
        assert_eq!((whole.status, whole.text()), (200, "hello"));
        for (name, value) in [
            ("connection", "close"),
            ("accept-ranges", "bytes"),
            ("content-length", "5"),
            ("content-type", "application/octet-stream"),
            ("etag", &format!("\"{hello}\"")),
        ] {
            assert_eq!(whole.header(name), Some(value), "{name}");
        }
        assert!(whole.header("cache-control").unwrap().starts_with("public, max-age=31556926"));
        assert_eq!(whole.header("content-encoding"), None);

        let rest = ask(&house, "GET", &path, &[("Range", "bytes=2-")], b"");
        assert_eq!((rest.status, rest.text()), (206, "llo"));
        assert_eq!(rest.header("content-range"), Some("bytes 2-4/5"));
        let none = ask(&house, "GET", &path, &[("Range", "bytes=5-")], b"");
        assert_eq!((none.status, none.header("content-range")), (416, Some("bytes */5")));
        let head = ask(&house, "HEAD", &path, &[], b"");
        assert_eq!((head.status, head.header("content-length"), head.text()), (200, Some("5"), ""));
        let known = ask(&house, "GET", &path, &[("If-None-Match", &format!("\"{hello}\""))], b"");
        assert_eq!((known.status, known.text()), (304, ""));
        assert_eq!(ask(&house, "PUT", &path, &[], b"hello").status, 201);
        let other = ask(&house, "PUT", &path, &[], b"hallo");
        assert_eq!(other.status, 400, "{other:?}");
    }
    let empty = ask(&house, "POST", "/shacache", &[("Content-Length", "0")], b"");
    assert_eq!(empty.text(), Sha512::of(b"").to_string());
    let empty = ask(&house, "GET", &format!("/shacache/{}", empty.text()), &[], b"");
    assert_eq!((empty.status, empty.header("content-length")), (200, Some("0")));
    ended_without_a_fault(house);
}

/// Names that are none, and ways out of the folder (section 2.4).
#[test]
fn nothing_else_is_there() {
    let house = open();
    let digest = keep(&house, b"hello").to_string();
    for (method, path, expected) in [
        ("GET", format!("/shacache/{}", Sha512::of(b"absent")), 404),
        ("GET", format!("/shacache/{}", digest.to_uppercase()), 404),
        ("GET", format!("/shacache/{}", &digest[1..]), 404),
        ("GET", format!("/shacache/{digest}/"), 404),
        ("GET", format!("/shacache/x/../{digest}"), 404),
        ("GET", "/shacache/../provost.db".to_owned(), 404),
        ("GET", "/shacache/%2e%2e/provost.db".to_owned(), 404),
        ("GET", "/shacache/..%2fprovost.db".to_owned(), 404),
        ("GET", "/shacache".to_owned(), 405),
        ("DELETE", format!("/shacache/{digest}"), 405),
        ("POST", format!("/shacache/{digest}"), 405),
        ("GET", "/shadir/none".to_owned(), 404),
        ("GET", "/shadir/".to_owned(), 404),
        ("GET", "/shadir/a%00b".to_owned(), 404),
        ("DELETE", "/shadir/a".to_owned(), 405),
        ("GET", "/shacachex".to_owned(), 404),
    ] {
        assert_eq!(ask(&house, method, &path, &[], b"").status, expected, "{method} {path}");
    }
    let folder = house.data().join("artifacts");
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    ended_without_a_fault(house);
}

/// Section 3.
#[test]
fn entries_are_added_and_given_back_as_they_were() {
    let house = open();
    let hello = Sha512::of(b"hello");
    let raw = format!(
        r#"["{{\"sha512\": \"{hello}\", \"url\": \"http://é.invalid/\\u00e9\", \"n\": 1e3}}", "YQ=="]"#
    );
    let given = format!(
        r#"["{{\"sha512\": \"{hello}\", \"url\": \"http://\u00e9.invalid/\\u00e9\", \"n\": 1e3}}", "YQ=="]"#
    );
    for base in ["/shadir", "/shacache/dir"] {
        let key = format!("{base}/a'b=c:d");
        let json = [("Content-Type", "application/json"), ("Connection", "close")];
        let put = ask(&house, "PUT", &key, &json, raw.as_bytes());
        assert_eq!((put.status, put.text(), put.header("connection")), (201, "", Some("close")), "{put:?}");
        let list = ask(&house, "GET", "/shadir/a%27b%3Dc:d", &[("Connection", "close")], b"");
        assert_eq!((list.status, list.text()), (200, format!("[{given}]").as_str()));
        assert_eq!(list.header("content-type"), Some("application/json"));
        assert_eq!(list.header("connection"), Some("close"));
    }
    // Behind those that are there, in the order in which they come; the same again stays where it is.
    for n in [2, 1, 2] {
        assert_eq!(ask(&house, "PUT", "/shadir/a", &[], entry(hello, n).as_bytes()).status, 201);
    }
    assert_eq!(ask(&house, "PUT", "/shadir/a/b", &[], entry(hello, 3).as_bytes()).status, 201);
    let texts = |path: &str| -> Vec<String> {
        let list: Vec<(String, String)> =
            serde_json::from_str(ask(&house, "GET", path, &[], b"").text()).unwrap();
        list.into_iter().map(|(text, _)| text).collect()
    };
    let expected = |n: usize| format!("{{\"sha512\": \"{hello}\", \"n\": {n}}}");
    assert_eq!(texts("/shadir/a"), [expected(2), expected(1)]);
    assert_eq!(texts("/shadir/a/b"), [expected(3)]);
    ended_without_a_fault(house);
}

/// One malformed entry would break its key for every old client (section 18.5): nothing of the kind gets in.
#[test]
fn malformed_entries_are_refused_at_the_door() {
    let house = open();
    let hello = Sha512::of(b"hello");
    let text = format!("{{\\\"sha512\\\": \\\"{hello}\\\"}}");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "",
        "[]",
        "{}",
        "[1, 2]",
        &format!("[\"{text}\"]"),
        &format!("[\"{text}\", \"\", \"\"]"),
        &format!("[\"{text}\", null]"),
        &format!("[\"{text}\", \"YQ\"]"),
        &format!("[\"{text}\", \"Y!Q=\"]"),
        "[\"x\", \"\"]",
        "[\"[]\", \"\"]",
        "[\"{}\", \"\"]",
        "[\"{\\\"sha512\\\": \\\"12\\\"}\", \"\"]",
        "[\"{\\\"sha512\\\": 5}\", \"\"]",
        &format!("[\"{text}\", \"\"] x"),
        &deep,
        "[\"\\ud800\", \"\"]",
    ] {
        let mut line = Line::to(house.http());
        let head = format!("PUT /shadir/a HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len());
        line.send([head.as_bytes(), body.as_bytes()].concat()).unwrap();
        let answer = line.answer();
        assert_eq!(answer.status, 400, "{answer:?} for {:.80}", body);
        assert!(answer.text().ends_with('\n') && answer.text().lines().count() == 1, "{answer:?}");
    }
    assert_eq!(ask(&house, "GET", "/shadir/a", &[], b"").status, 404, "nothing was kept");
    ended_without_a_fault(house);
}

/// What is cut off in the middle is not there, and leaves nothing.
#[test]
fn an_upload_that_is_cut_off_leaves_nothing() {
    let house = open();
    let body = vec![b'x'; 1_000_000];
    for announced in [2_000_000, 1_000_001] {
        let mut line = Line::to(house.http());
        let head = format!("POST /shacache HTTP/1.1\r\nHost: test\r\nContent-Length: {announced}\r\n\r\n");
        line.send([head.as_bytes(), &body].concat()).unwrap();
        line.finish();
        let answer = line.answer();
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let mut chunked = Line::to(house.http());
    chunked
        .send(
            "POST /shacache HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        )
        .unwrap();
    assert_eq!(chunked.answer().status, 400);
    assert_eq!(ask(&house, "GET", &format!("/shacache/{}", Sha512::of(&body)), &[], b"").status, 404);
    let staged = house.data().join("artifacts/staged");
    testkit::wait_until("what was staged to go", || std::fs::read_dir(&staged).unwrap().count() == 0);
    let mut chunked = Line::to(house.http());
    chunked.send("POST /shacache HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").unwrap();
    assert_eq!(chunked.answer().text(), Sha512::of(b"hello").to_string());
    ended_without_a_fault(house);
}

/// Uploaders probe with GET and hang up at once (section 18.15).
#[test]
fn whoever_only_wants_to_know_may_hang_up() {
    let house = open();
    let digest = keep(&house, &vec![7; 20_000_000]);
    for _ in 0..20 {
        let mut line = Line::to(house.http());
        line.send(get(&format!("/shacache/{digest}"))).unwrap();
        drop(line);
    }
    assert_eq!(ask(&house, "GET", "/readyz", &[], b"").status, 200);
    ended_without_a_fault(house);
}

/// However large a body is, little of it is in memory: bodies may be larger than all that requests may have in memory.
#[test]
fn memory_does_not_grow_with_artifacts() {
    let house = crate::houses::plan(testkit::Face::Up)
        .option("cache-writers", "everyone")
        .option("limits-bodies-bytes-max", "10485760")
        .start();
    let digest = keep(&house, &vec![7; 100_000_000]);
    let got = testkit::http::anybody().get(house.http_url(&format!("/shacache/{digest}"))).send().unwrap();
    assert_eq!(Sha512::of(&got.bytes().unwrap()), digest);
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.process().id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 90_000, "{peak} kB");
    ended_without_a_fault(house);
}

/// A list of any length comes as one array.
#[test]
fn long_lists_come_whole() {
    let house = open();
    let hello = Sha512::of(b"hello");
    let padding = "p".repeat(100_000);
    for n in 0..12 {
        let text = format!("{{\"sha512\": \"{hello}\", \"n\": {n}, \"p\": \"{padding}\"}}");
        let body = serde_json::json!([text, "YQ=="]).to_string();
        let answer = ask(&house, "PUT", "/shadir/long", &[], body.as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let answer = testkit::http::anybody().get(house.http_url("/shadir/long")).send().unwrap();
    let list: Vec<(String, String)> = serde_json::from_slice(&answer.bytes().unwrap()).unwrap();
    assert_eq!(list.len(), 12);
    for (n, (text, signature)) in list.iter().enumerate() {
        assert!(text.contains(&format!("\"n\": {n}, ")) && signature == "YQ==");
    }
    ended_without_a_fault(house);
}
