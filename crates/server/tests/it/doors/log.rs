//! The access log.

use x509::KeySpec;

use super::client::{Knock, Line};
use super::house::{House, Identity, LARGE_BYTES};

#[tokio::test(flavor = "multi_thread")]
async fn every_answered_request_has_its_line() {
    let house = House::open();
    let user = Identity::new(KeySpec::P256, u64::MAX);
    house.trust.accept(&user.certificate);
    let knock = Knock { identity: Some(&user), ..Knock::default() };

    let mut line = Line::to(house.http).await;
    assert_eq!(line.get("/hello?a=%22b%22").await.status, 200);
    line.send(
        "PUT /nowhere HTTP/1.1\r\nHost: a\r\nReferer: http://x/\r\nUser-Agent: a \"quoted\" \\ one\t\r\n\r\n",
    )
    .await
    .unwrap();
    assert_eq!(line.answer().await.status, 404);
    line.send("HEAD /hello HTTP/1.1\r\nHost: a\r\nReferrer: r\r\nUser-Agent: \u{e9}\r\n\r\n").await.unwrap();
    let head = line.rest_of_head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    drop(line);
    assert_eq!(knock.who(house.https_v6).await.unwrap(), format!("::1 https {}", u64::MAX));
    let mut large = Line::to(house.http).await;
    large.send("GET /large HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(large.rest().await.unwrap().len() > LARGE_BYTES);

    assert_eq!(
        house.log_lines().await,
        [
            r#"127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /hello?a=%22b%22 HTTP/1.1" 200 6 "-" "-""#,
            r#"127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "PUT /nowhere HTTP/1.1" 404 0 "http://x/" "a \"quoted\" \\ one""#,
            r#"127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "HEAD /hello HTTP/1.1" 200 0 "r" "\xc3\xa9""#,
            r#"::1 - 18446744073709551615 [06/Nov/1994:08:49:37 +0000] "GET /who HTTP/1.0" 200 30 "-" "-""#,
            r#"127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /large HTTP/1.0" 200 33554432 "-" "-""#,
        ]
    );
}
