//! Servers that are no API servers, or not well.

use std::time::Duration;

use base::{Explain as _, Kind};
use kube::{Change, Error};
use serde_json::json;
use testkit::{StandIn, StandInReply};

use crate::world::{client, impatient, node, says};

fn page(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// What each call makes of a server that says `bytes`: the last words of its error, or `ok`.
async fn calls(bytes: &[u8], hangs_up: bool) -> Vec<String> {
    let url = says(bytes.to_vec(), hangs_up);
    let client = if hangs_up { client(&url) } else { impatient(&url) };
    let web = node("web");
    let results = [
        client.register(&web).await.map(drop),
        client.node(&web).await.map(drop),
        client.cordon(&web).await.map(drop),
        client.remove(&web).await.map(drop),
        client.pods(&web).await.map(drop),
    ];
    let name = |result: Result<(), Error>| match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{error:?}").split([' ', '{', '(']).next().unwrap().to_owned(),
    };
    results.map(name).to_vec()
}

#[tokio::test]
async fn whatever_a_server_says_ends_in_an_error_that_fits() {
    let all = |name: &str| vec![name.to_owned(); 5];
    for (bytes, expected) in [
        (b"".to_vec(), all("Interrupted")),
        (b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), all("Interrupted")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\"".to_vec(), all("Interrupted")),
        (page("200 OK", "<html>Please sign in"), all("Malformed")),
        (page("404 Not Found", "<html>nginx"), all("Malformed")),
        (page("409 Conflict", "<html>"), all("Malformed")),
        (page("302 Found\r\nLocation: http://127.0.0.1:9/", ""), all("Malformed")),
        (page("304 Not Modified", ""), all("Malformed")),
        (page("401 Unauthorized", "<html>"), all("Unauthenticated")),
        (page("403 Forbidden", "<html>"), all("Forbidden")),
        (page("418 I'm a teapot", "short and stout"), all("Refused")),
        (page("500 Oh", "<html>"), all("Failing")),
        (page("502 Bad Gateway", "<html>"), all("Failing")),
        (page("201 Created", r#"{"kind":"Status","status":"Failure","code":403}"#), all("Forbidden")),
        (page("200 OK", r#"{"kind":"Status","status":"Failure","code":200}"#), all("Failing")),
    ] {
        assert_eq!(calls(&bytes, true).await, expected, "{}", String::from_utf8_lossy(&bytes));
    }
    // An answer may be good for who only wants to know that it was done.
    for (body, expected) in [
        (r#"{"metadata":"#, ["ok", "Malformed", "Malformed", "ok", "Malformed"]),
        (r#"{"metadata":{"name":"other"},"items":7}"#, ["ok", "Malformed", "Malformed", "ok", "Malformed"]),
        ("", ["ok", "Malformed", "Malformed", "ok", "Malformed"]),
        (r#"{"metadata":{"name":"web"}}"#, ["ok", "ok", "ok", "ok", "ok"]),
    ] {
        assert_eq!(calls(&page("200 OK", body), true).await, expected, "{body}");
    }
    let deep = "[".repeat(100_000);
    let body = format!("{{\"metadata\":{{\"name\":\"web\",\"x\":{deep}");
    assert_eq!(calls(&page("200 OK", &body), true).await[1], "Malformed");
}

#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"] {
        assert_eq!(calls(bytes, false).await, vec!["TimedOut"; 5]);
    }
    let error = impatient(&says(Vec::new(), false)).register(&node("web")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut);
    assert!(
        error.to_string().ends_with("did not answer within 0.2 s when asked to create nodes `web`"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_has_a_bound() {
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{".to_vec();
    bytes.resize(17 << 20, b' ');
    let error = client(&says(bytes, false)).node(&node("web")).await.unwrap_err();
    assert!(error.to_string().ends_with("its answer is longer than 16 MiB"), "{error}");
}

#[tokio::test]
async fn nobody_else_gets_to_see_the_token() {
    let elsewhere = StandIn::http(|_| Some(StandInReply::json(200, &json!({}))));
    let url = elsewhere.url("/api/v1/nodes");
    for status in [301, 302, 307, 308] {
        let url = url.clone();
        let server = StandIn::http(move |_| {
            Some(StandInReply::json(status, &json!({})).with("Location", url.clone()))
        });
        let error = client(&server.url("")).register(&node("web")).await.unwrap_err();
        assert!(error.to_string().contains("it sends us elsewhere"), "{error}");
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn who_is_not_there_cannot_be_reached() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client(&format!("http://{free}"));
    let error = client.register(&node("web")).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.may_pass(), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
    let limit = Duration::from_millis(50);
    let error = client.wait_ready(&node("web"), None, limit, Duration::from_millis(5)).await.unwrap_err();
    assert!(matches!(error, Error::NotReady { .. }), "{error}");
}

#[tokio::test]
async fn a_bare_answer_counts_as_what_its_status_says() {
    for (status, register, remove) in
        [("200 OK", Change::Made, Change::Made), ("201 Created", Change::Made, Change::Made)]
    {
        let client = client(&says(page(status, "{}"), true));
        assert_eq!(client.register(&node("web")).await, Ok(register), "{status}");
        assert_eq!(client.remove(&node("web")).await, Ok(remove), "{status}");
    }
    let gone = client(&says(page("404 Not Found", ""), true));
    assert_eq!(gone.remove(&node("web")).await, Ok(Change::Unneeded));
    let there = client(&says(page("409 Conflict", ""), true));
    assert_eq!(there.register(&node("web")).await, Ok(Change::Unneeded));
}
