use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use base::Span;
use client::compat::caucase::Authority;
use x509::{CertificateTemplate, KeySpec, Name, Serial, extension};

use super::super::super::session::Defaults;
use super::super::config;
use super::*;
use crate::holder::renewal::make_in_place;

const START: Timestamp = Timestamp::from_unix(1_700_000_000);

/// Where a server is whose requests all wait, and whose revocation lists are out of order.
fn server() -> String {
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let name = Name::from_common_name("ca").unwrap();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("1").unwrap(),
        issuer: name.clone(),
        subject: name,
        not_before: START,
        not_after: START + Span::days(99),
        public_key: key.public().clone(),
        extensions: vec![extension::basic_constraints(true, None)],
    };
    let authority = template.sign(&key).to_pem();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
            lines.read_line(&mut first).unwrap();
            while line != "\r\n" {
                line.clear();
                assert!(lines.read_line(&mut line).unwrap() > 0);
                if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = said.trim().parse().unwrap();
                }
            }
            std::io::Read::read_exact(&mut lines, &mut vec![0; length]).unwrap();
            let mut words = first.split(' ');
            let (status, body) = match (words.next().unwrap(), words.next().unwrap()) {
                ("GET", "/cas/crt/ca.crt.pem") => ("200 OK", authority.as_str()),
                ("GET", "/cas/crt/ca.crt.json") => ("200 OK", "[]"),
                ("PUT", "/cas/csr") => ("201 Created\r\nLocation: 7", ""),
                ("GET", "/cas/csr/7") => ("200 OK", "waits"),
                ("GET", "/cas/crl") => ("500 Broken", ""),
                _ => ("404 Not Found", ""),
            };
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    url
}

/// Whatever else goes wrong, it is said that a request waits, and nobody comes back every two seconds for ever.
#[tokio::test]
async fn a_request_that_waits_is_told_of_whatever_else_goes_wrong() {
    let url: client::compat::caucase::ServerUrl = server().parse().unwrap();
    let server = Server::new(url.clone()).unwrap();
    let defaults =
        Defaults { server: Some(url), authority: Authority::Services, ca: None, fingerprint: None };
    for (more, expected) in [
        (
            "on_renew = \"exit 3\"",
            "request 7 waits for somebody's approval; besides, its hook failed with exit code 3",
        ),
        (
            "crl = \"crl.pem\"",
            "request 7 waits for somebody's approval; besides, the server answered 500 to GET ",
        ),
        ("", "request 7 waits for somebody's approval"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        let text = format!(
            "[[certificate]]\nname = \"web\"\nca = \"ca.pem\"\ncertificate = \"web.pem\"\nkey_type = \"p256\"\n\
             request = {{ name = \"web\" }}\n{more}\n"
        );
        std::fs::write(&path, text).unwrap();
        let config = config::read(&path, &defaults).unwrap();
        let clock = Clock::manual(START);
        let mut keeper = Keeper::new(Arc::clone(&config.certificates[0]), make_in_place);
        for least in [2, 4, 8, 16, 32, 60, 60] {
            let error = keeper.look(&server, &clock).await.unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert_eq!(error.exit_code(), 75, "{error}");
            assert!(base::Explain::help(&error).unwrap().contains("`provost ca approve 7`"));
            assert_eq!(keeper.board.is_failing, !more.is_empty());
            let pause = keeper.board.next.unwrap() - clock.now();
            assert!((least..=least * 5 / 4).contains(&pause.as_seconds()), "{more}: {least} {pause:?}");
            clock.advance(pause);
        }
        assert_eq!(keeper.board.failures, if more.is_empty() { 0 } else { 7 });
    }
}
