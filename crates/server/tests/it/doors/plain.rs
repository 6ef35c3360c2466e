//! HTTP as such: versions, keep-alive, heads that are too large.

use tokio::process::Command;

use super::client::Line;
use super::house::{House, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn both_address_families_are_served() {
    let house = House::open();
    assert_eq!(Line::to(house.http).await.get("/who").await.text(), "127.0.0.1 http nobody");
    assert_eq!(Line::to(house.http_v6).await.get("/who").await.text(), "::1 http nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_is_as_the_version_says() {
    let house = House::open();
    let mut line = Line::to(house.http).await;
    for _ in 0..3 {
        assert_eq!(line.get("/hello").await.text(), "hello\n");
    }
    assert_eq!(house.meter(r#"provost_http_requests_total{door="http",method="GET",status="2xx"}"#), 3);
    line.send("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(line.answer().await.status, 200);
    assert!(line.is_closed().await);

    let mut old = Line::to(house.http).await;
    old.send("GET /hello HTTP/1.0\r\n\r\n").await.unwrap();
    let whole = String::from_utf8(old.rest().await.unwrap()).unwrap();
    assert!(whole.starts_with("HTTP/1.0 200 OK\r\n") && whole.ends_with("\r\n\r\nhello\n"), "{whole}");
    assert!(whole.contains("\r\ndate: "), "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_may_come_in_one_piece_or_many() {
    let house = House::open();
    let mut line = Line::to(house.http).await;
    line.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /who HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(line.answer().await.text().to_owned());
    }
    assert_eq!(answers, ["hello\n", "127.0.0.1 http nobody", "hello\n"]);
    for byte in b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" {
        line.send([*byte]).await.unwrap();
    }
    assert_eq!(line.answer().await.text(), "hello\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_said_all_may_stop_sending() {
    let house = House::open();
    house.release.add_permits(1);
    let stream = std::net::TcpStream::connect(house.http).unwrap();
    std::io::Write::write_all(&mut &stream, b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut line = Line::over(tokio::net::TcpStream::from_std(stream).unwrap());
    assert_eq!(line.answer().await.text(), "released");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_large_are_refused_with_the_right_status() {
    let house = House::open();
    let long = |bytes: usize| "a".repeat(bytes);
    // `GET ` and ` HTTP/1.1` are 13 bytes.
    let target = |line_bytes: usize| format!("/{}", long(line_bytes - 14));
    let check = async |request: String, expected: u16| {
        let mut line = Line::to(house.http).await;
        let sent = line.send(&request).await;
        let answer = line.answer().await;
        assert_eq!(answer.status, expected, "{}… of {} bytes, {sent:?}", &request[..20], request.len());
    };
    check(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(65_000)), 404).await;
    check(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(65_537)), 414).await;
    check(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(70_000)), 414).await;
    check(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(1_000_000)), 414).await;
    check(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target(12_000_000)), 414).await;
    check(format!("GET /hello HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(60_000)), 200).await;
    check(format!("GET /hello HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(70_000)), 431).await;
    check(format!("GET /hello HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(1_000_000)), 431).await;
    check(format!("GET /hello HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101)), 431).await;
    check(format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(60_000), long(60_000)), 404).await;
    // A line is written when its answer is, which may be after the next one has been asked.
    let mut logged: Vec<_> = house.log_lines().await.iter().map(|line| status(line)).collect();
    logged.sort_unstable();
    assert_eq!(logged, [200, 404, 404, 414, 414, 414, 414, 431, 431, 431]);
}

/// STATUS of a line of the access log.
fn status(line: &str) -> u16 {
    let (_, rest) = line.split_once("\" ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_is_a_500_and_nothing_else() {
    let house = House::open();
    let mut line = Line::to(house.http).await;
    assert_eq!(line.get("/panic").await.status, 500);
    assert_eq!(line.get("/hello").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_every_version() {
    let house = House::open();
    let check = async |door: &str, version: &str, url: String, expected: &str| {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--insecure",
            version,
            "--write-out",
            " %{http_version}",
            &url,
        ]);
        let output = tokio::time::timeout(PATIENCE, curl.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, format!("{door} nobody {expected}"), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let (http, https) = (house.http, house.https);
    check("127.0.0.1 http", "--http1.0", format!("http://{http}/who"), "1").await;
    check("127.0.0.1 http", "--http1.1", format!("http://{http}/who"), "1.1").await;
    check("127.0.0.1 http", "--http2-prior-knowledge", format!("http://{http}/who"), "2").await;
    check("127.0.0.1 https", "--http1.1", format!("https://{https}/who"), "1.1").await;
    check("127.0.0.1 https", "--http2", format!("https://{https}/who"), "2").await;
    check("::1 https", "--http2", format!("https://{}/who", house.https_v6), "2").await;
    // An answer before the body has come: HTTP/2 stops the one stream and not the connection.
    let url = format!("https://{https}/deaf");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--insecure", "--http2", "--upload-file", "Cargo.toml", &url, "--next"]);
    curl.args(["--silent", "--insecure", "--http2", &format!("https://{https}/who")]);
    curl.args(["--write-out", " %{num_connects}"]);
    let output = tokio::time::timeout(PATIENCE, curl.output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "127.0.0.1 https nobody 0");
    let lines = house.log_lines().await;
    assert!(lines[2].contains(r#""GET /who HTTP/2.0" 200 21 "-" "curl/"#), "{}", lines[2]);
}
