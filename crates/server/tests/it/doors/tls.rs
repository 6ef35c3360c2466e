//! TLS: versions, client certificates, and what changes while connections are open.

use std::process::Stdio;

use rustls::version::{TLS12, TLS13};
use tokio::process::Command;
use x509::KeySpec;

use super::client::{Knock, Line};
use super::house::{House, Identity, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_optional_and_must_be_trusted() {
    let house = House::open();
    for (serial, spec) in
        [(11, KeySpec::P256), (12, KeySpec::P384), (13, KeySpec::Ed25519), (14, KeySpec::Rsa { bits: 2048 })]
    {
        let known = Identity::new(spec, serial);
        house.trust.accept(&known.certificate);
        for version in [&TLS12, &TLS13] {
            let knock = Knock { version, identity: Some(&known), ..Knock::default() };
            assert_eq!(knock.who(house.https).await.unwrap(), format!("127.0.0.1 https {serial}"));
        }
    }
    let stranger = Identity::new(KeySpec::P256, 15);
    for version in [&TLS12, &TLS13] {
        let knock = Knock { version, ..Knock::default() };
        assert_eq!(knock.who(house.https_v6).await.unwrap(), "::1 https nobody");
        let knock = Knock { version, identity: Some(&stranger), ..Knock::default() };
        let error = knock.who(house.https).await.unwrap_err();
        assert!(error.to_string().contains("UnknownCA"), "{version:?}: {error}");
    }
    house.until_meter("provost_tls_handshakes_failed_total", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_changes_at_once_and_open_connections_stay() {
    let house = House::open();
    let user = Identity::new(KeySpec::P256, 21);
    let knock = Knock { identity: Some(&user), ..Knock::default() };
    assert!(knock.who(house.https).await.is_err());
    house.trust.accept(&user.certificate);
    let mut open = knock.at(house.https).await.unwrap();
    assert_eq!(open.get("/who").await.text(), "127.0.0.1 https 21");
    house.trust.refuse(&user.certificate);
    assert!(knock.who(house.https).await.is_err());
    assert_eq!(open.get("/who").await.text(), "127.0.0.1 https 21");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_changes_at_once_and_open_connections_stay() {
    let house = House::open();
    let mut before = Knock::default().at(house.https).await.unwrap();
    let new = Identity::new(KeySpec::Rsa { bits: 2048 }, 2);
    house.tls.set(std::slice::from_ref(&new.certificate), &new.key).unwrap();
    let after = Knock::default().at(house.https).await.unwrap();
    let shown = after.session().peer_certificates().unwrap();
    assert_eq!(shown.iter().map(AsRef::as_ref).collect::<Vec<_>>(), [new.certificate.der()]);
    assert_eq!(before.get("/hello").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_fit_changes_nothing() {
    let house = House::open();
    let (one, two) = (Identity::new(KeySpec::P256, 2), Identity::new(KeySpec::P256, 3));
    assert!(house.tls.set(std::slice::from_ref(&one.certificate), &two.key).is_err());
    assert!(house.tls.set(&[], &two.key).is_err());
    assert_eq!(Knock::default().who(house.https).await.unwrap(), "127.0.0.1 https nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_http_versions_are_offered() {
    let house = House::open();
    let check = async |alpn: &'static [&'static [u8]], expected: Option<&[u8]>| {
        let line = Knock { alpn, ..Knock::default() }.at(house.https).await.unwrap();
        assert_eq!(line.session().alpn_protocol(), expected);
    };
    check(&[b"http/1.1", b"h2"], Some(b"h2")).await;
    check(&[b"http/1.1"], Some(b"http/1.1")).await;
    check(&[], None).await;
}

/// A resumed session would not ask the verifier again.
#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_resumed_and_no_authority_named() {
    let house = House::open();
    for version in ["-tls1_2", "-tls1_3"] {
        // `-reconnect` resumes five times if it may.
        let mut client = Command::new("openssl");
        client.args(["s_client", "-reconnect", version, "-connect", &house.https.to_string()]);
        client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let output = tokio::time::timeout(PATIENCE, client.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("New, TLSv1") && !said.contains("Reused, TLSv1"), "{said}");
        assert!(said.contains("No client certificate CA names sent"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_are_refused() {
    let house = House::open();
    let mut client = Command::new("openssl");
    client.args(["s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect", &house.https.to_string()]);
    client.stdin(Stdio::null());
    let output = tokio::time::timeout(PATIENCE, client.output()).await.unwrap().unwrap();
    assert!(!output.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_at_the_https_door_is_shown_out() {
    let house = House::open();
    let mut line = Line::to(house.https).await;
    line.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    drop(line.rest().await);
    house.until_meter("provost_tls_handshakes_failed_total", 1).await;
}
