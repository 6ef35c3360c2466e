//! Request bodies: lengths, chunks, clients that write before they read, and clients that stop.

use std::time::Duration;

use server::doors::Limits;
use tokio::process::Command;

use super::client::Line;
use super::house::{ECHO_BYTES_MAX, House, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_taken_up_to_the_limit() {
    let house = House::open();
    let check = async |bytes: usize, chunked: bool, expected: u16| {
        let body = "b".repeat(bytes);
        let request = if chunked {
            format!(
                "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n{body}\r\n0\r\n\r\n"
            )
        } else {
            format!("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n{body}")
        };
        let mut line = Line::to(house.http).await;
        // All is sent before anything is read; the answer must not be lost in a reset.
        line.send(request).await.unwrap();
        let answer = line.answer().await;
        assert_eq!(answer.status, expected, "{bytes}");
        if expected == 200 {
            assert_eq!(answer.body.len(), bytes);
            assert_eq!(line.get("/hello").await.status, 200);
        } else {
            assert_eq!(answer.headers["connection"], "close");
            assert!(line.is_closed().await);
        }
    };
    check(1, false, 200).await;
    check(ECHO_BYTES_MAX, false, 200).await;
    check(ECHO_BYTES_MAX, true, 200).await;
    check(ECHO_BYTES_MAX + 1, false, 413).await;
    check(ECHO_BYTES_MAX + 1, true, 413).await;
    check(12_000_000, false, 413).await;
    check(12_000_000, true, 413).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_body_is_read_arrives() {
    let house = House::open();
    let mut line = Line::to(house.http).await;
    line.send(format!(
        "PUT /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 12000000\r\n\r\n{}",
        "b".repeat(12_000_000)
    ))
    .await
    .unwrap();
    assert_eq!(line.answer().await.status, 403);
    assert!(line.is_closed().await);
}

/// Stock curl takes a stream that is reset for one that failed, whatever was answered before.
#[tokio::test(flavor = "multi_thread")]
async fn over_http_2_it_arrives_as_well() {
    let house = House::open();
    let large = tempfile::NamedTempFile::new().unwrap();
    large.as_file().set_len(11_000_000).unwrap();
    let large = format!("@{}", large.path().display());
    let check = async |path: &str, body: &str, more: &[&str], expected: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--http2-prior-knowledge", "--request", "PUT"]);
        curl.args(["--output", "/dev/null", "--write-out", "%{http_code}"]);
        if !body.is_empty() {
            curl.args(["--data-binary", body]);
        }
        curl.args(more).arg(format!("http://{}{path}", house.http));
        let output = tokio::time::timeout(PATIENCE, curl.output()).await.unwrap().unwrap();
        let (said, complaint) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(said), expected, "{path} {body}: {complaint}");
        assert!(output.status.success(), "{path} {body}: {complaint}");
    };
    for _ in 0..20 {
        check("/nowhere", "{}", &[], "404").await;
    }
    for _ in 0..3 {
        check("/deaf", &large, &[], "403").await;
        check("/echo", &large, &[], "413").await;
        check("/echo", &large, &["--header", "Expect:"], "413").await;
        check("/echo", &large, &["--header", "Transfer-Encoding: chunked"], "413").await;
    }
    // Of what is longer than anybody waits for, some comes behind the answer, and no reset before curl has read that.
    let huge = tempfile::NamedTempFile::new().unwrap();
    huge.as_file().set_len(300_000_000).unwrap();
    for _ in 0..3 {
        check("/deaf", "", &["--upload-file", huge.path().to_str().unwrap()], "403").await;
        check("/echo", "", &["--upload-file", huge.path().to_str().unwrap()], "413").await;
    }
    let lines = house.log_lines().await;
    assert_eq!(lines.len(), 38);
    assert!(lines.iter().all(|line| line.contains(" HTTP/2.0\" 4")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_without_length_has_no_body() {
    let house = House::open();
    let mut line = Line::to(house.http).await;
    line.send("PUT /echo HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = line.answer().await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(line.get("/hello").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_may_have_extensions_and_trailers_and_nothing_else() {
    let house = House::open();
    let check = async |chunks: &str, expected: u16, body: &str| {
        let mut line = Line::to(house.http).await;
        line.send(format!("PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))
            .await
            .unwrap();
        let answer = line.answer().await;
        assert_eq!((answer.status, answer.text()), (expected, body), "{chunks:?}");
    };
    const MALFORMED: &str = "the request body is malformed or incomplete";
    check("3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n", 200, "abcde").await;
    check("0\r\n\r\n", 200, "").await;
    check("zz\r\nabc\r\n0\r\n\r\n", 400, MALFORMED).await;
    check("-3\r\nabc\r\n0\r\n\r\n", 400, MALFORMED).await;
    check("3\r\nabcd\r\n0\r\n\r\n", 400, MALFORMED).await;
    check("ffffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400, MALFORMED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_is_told_to_go_on_only_when_the_body_is_wanted() {
    let house = House::open();
    let ask = async |target: &str, bytes: usize| {
        let mut line = Line::to(house.http).await;
        let head = format!(
            "PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\nExpect: 100-continue\r\n\r\n"
        );
        line.send(head).await.unwrap();
        (line.answer().await, line)
    };
    let (go_on, mut line) = ask("/echo", 3).await;
    assert_eq!(go_on.status, 100);
    line.send("abc").await.unwrap();
    assert_eq!(line.answer().await.text(), "abc");
    assert_eq!(ask("/echo", ECHO_BYTES_MAX + 1).await.0.status, 413);
    assert_eq!(ask("/deaf", 3).await.0.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stands_still_is_given_up() {
    let house = House::with(Limits { body_stall: Duration::from_millis(100), ..Limits::default() });
    let mut line = Line::to(house.http).await;
    line.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
    let answer = line.answer().await;
    assert_eq!((answer.status, answer.text()), (408, "the request body did not arrive in time"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_given_up() {
    let house = House::with(Limits { body_stall: Duration::from_millis(300), ..Limits::default() });
    let mut line = Line::to(house.http).await;
    line.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
    let dripping = async {
        // A drop every 5 ms, until there is an answer.
        while tokio::time::timeout(Duration::from_millis(5), line.is_closed()).await.is_err() {
            line.send("b").await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.unwrap();
    let answer = line.answer().await;
    assert_eq!((answer.status, answer.text()), (408, "the request body did not arrive in time"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bodies_together_have_a_limit() {
    let house = House::with(Limits { bodies_bytes_max: 1000, ..Limits::default() });
    let put = async |bytes: usize| {
        let mut line = Line::to(house.http).await;
        let body = "b".repeat(bytes);
        line.send(format!("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n{body}"))
            .await
            .unwrap();
        line.answer().await
    };
    assert_eq!(put(1000).await.status, 200);
    let answer = put(1001).await;
    assert_eq!((answer.status, answer.text()), (503, "too many request bodies are being read at the moment"));

    let mut slow = Line::to(house.http).await;
    slow.send(format!("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n{}", "b".repeat(800)))
        .await
        .unwrap();
    // Until what was sent is being read, there is still room.
    let spent = async { while put(300).await.status != 503 {} };
    tokio::time::timeout(PATIENCE, spent).await.unwrap();
    assert_eq!(put(100).await.status, 200);
    slow.send("b".repeat(100)).await.unwrap();
    assert_eq!(slow.answer().await.status, 200);
    assert_eq!(put(1000).await.status, 200);
}

/// A body that flows has its share of the room for all bodies, however long it is, and nobody takes it away.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_flows_has_its_share() {
    let house = House::with(Limits { bodies_bytes_max: 1_000_000, ..Limits::default() });
    let put = async |path: &str, bytes: usize| {
        let mut line = Line::to(house.http).await;
        let body = "b".repeat(bytes);
        line.send(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n{body}"))
            .await
            .unwrap();
        line.answer().await
    };
    assert_eq!(put("/flow", 5_000_000).await.text(), "5000000", "more than there is room for");
    let mut slow = Line::to(house.http).await;
    slow.send("PUT /flow HTTP/1.1\r\nHost: a\r\nContent-Length: 900001\r\n\r\nb").await.unwrap();
    // Until it has begun, there is still room.
    let begun = async { while put("/echo", 600_000).await.status != 503 {} };
    tokio::time::timeout(PATIENCE, begun).await.unwrap();
    // What others do neither ends it nor is kept from them as long as there is room besides.
    assert_eq!(put("/echo", 400_000).await.status, 200);
    // The next one waits for its turn.
    let mut next = Line::to(house.http).await;
    next.send("PUT /flow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
    slow.send("b".repeat(900_000)).await.unwrap();
    assert_eq!(slow.answer().await.text(), "900001");
    assert_eq!(next.answer().await.text(), "3");
    assert_eq!(put("/echo", 600_000).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_finds_no_share_is_told_so() {
    let limits =
        Limits { bodies_bytes_max: 1_000_000, body_stall: Duration::from_millis(300), ..Limits::default() };
    let house = House::with(limits);
    let dripping = async {
        // Drops that are worth the time: it is never given up, and keeps its share.
        let mut line = Line::to(house.http).await;
        line.send("PUT /flow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n").await.unwrap();
        while tokio::time::timeout(Duration::from_millis(20), line.is_closed()).await.is_err() {
            line.send("b".repeat(10_000)).await.unwrap();
        }
    };
    let told = async {
        loop {
            let mut line = Line::to(house.http).await;
            line.send("PUT /flow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
            let answer = line.answer().await;
            if answer.status != 200 {
                return (answer.status, answer.text().to_owned());
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, async {
        tokio::select! { told = told => told, () = dripping => panic!("it was given up") }
    });
    assert_eq!(told.await.unwrap(), (503, "too many request bodies are being read at the moment".to_owned()));
}
