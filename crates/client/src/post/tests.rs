use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use testkit::{StandIn, StandInReply, openssl_ok};

use super::*;

/// Patient for as long as a test wants to wait for nothing.
const IMPATIENT: PostLimits =
    PostLimits { connect: Duration::from_millis(200), whole: Duration::from_millis(200), answer_bytes: 1000 };
/// As patient as a test is.
const PATIENT: PostLimits = PostLimits { connect: testkit::LIMIT, whole: testkit::LIMIT, answer_bytes: 1000 };

/// What comes of posting `body`.
async fn post(limits: PostLimits, url: &str, trust: &Trust, body: &str) -> Result<Posted, PostError> {
    Poster::new(limits).post(url, trust, &[("X-Sign", "s1gn".to_owned())], body.to_owned()).await
}

/// An authority's certificate; and one from it for 127.0.0.1, with its key.
fn certificates() -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let run = |text: &str| openssl_ok(folder.path(), &text.split(' ').collect::<Vec<_>>());
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    // Each has a name of its own, or one would be looked for in the other's place.
    let name = folder.path().file_name().unwrap().display();
    run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN={name} -days 20"));
    run(&format!("req {key} -keyout hook.key -out hook.csr -subj /CN=hook"));
    std::fs::write(folder.path().join("ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    run("x509 -req -in hook.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 10 -extfile ext -out hook.pem");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    (read("ca.pem"), read("hook.pem") + &read("hook.key"))
}

fn yes() -> StandInReply {
    StandInReply { status: 200, headers: Vec::new(), body: "yes".into() }
}

#[tokio::test]
async fn what_is_posted_arrives_over_tls() {
    let (authority, pem) = certificates();
    let hook = StandIn::https(&pem, |_| Some(yes()));
    let only = Trust::Only(authority.into_bytes());
    let url = hook.url("/hooks/S3CRET?a=b");
    let posted = post(PATIENT, &url, &only, "{\"é\":1}").await.unwrap();
    assert_eq!(posted, Posted { status: 200, body: b"yes".to_vec() });
    let asked = hook.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/hooks/S3CRET?a=b"));
    assert_eq!((asked.headers["x-sign"].as_str(), &asked.body[..]), ("s1gn", "{\"é\":1}".as_bytes()));
    // Somebody whom nobody vouches for does not get to see it.
    let (other, _) = certificates();
    for trust in [Trust::System, Trust::Only(other.into_bytes())] {
        let error = post(PATIENT, &url, &trust, "x").await.unwrap_err();
        assert!(matches!(error, PostError::Tls(_)) && !error.may_pass(), "{error}");
        assert!(!error.to_string().contains("S3CRET"), "{error}");
    }
    // Nor under another name.
    let error = post(PATIENT, &url.replace("127.0.0.1", "localhost"), &only, "x").await.unwrap_err();
    assert!(matches!(error, PostError::Tls(_)), "{error}");
    assert_eq!(hook.asked().len(), 1);
    for nonsense in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = post(PATIENT, &url, &Trust::Only(nonsense.into()), "x").await.unwrap_err();
        assert!(matches!(error, PostError::Trust(_)), "{error}");
    }
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    let elsewhere = StandIn::http(|_| Some(yes()));
    let there = elsewhere.url("/");
    for status in [301, 302, 303, 307, 308] {
        let there = there.clone();
        let hook =
            StandIn::http(move |_| Some(StandInReply { status, ..yes() }.with("Location", there.clone())));
        let posted = post(PATIENT, &hook.url("/"), &Trust::System, "x").await.unwrap();
        assert_eq!((posted.status, hook.asked().len()), (status, 1));
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    for status in [400, 401, 404, 429, 500, 503] {
        let hook = StandIn::http(move |_| Some(StandInReply { status, ..yes() }));
        let posted = post(PATIENT, &hook.url("/"), &Trust::System, "x").await.unwrap();
        assert_eq!((posted.status, &posted.body[..], hook.asked().len()), (status, &b"yes"[..], 1));
    }
}

/// A server that reads a request, and then does this with whoever asked. Its URL; it ends with the test's process.
fn does(then: impl Fn(&mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/S3CRET", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let _ = stream.read_exact(&mut vec![0; length]);
            then(stream.get_mut());
        }
    });
    url
}

/// Says this again and again, until nobody listens.
fn without_end(stream: &mut TcpStream, piece: &[u8]) {
    while stream.write_all(piece).is_ok() {}
}

#[tokio::test]
async fn of_an_answer_the_beginning_is_read() {
    let endless = does(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        without_end(stream, &[b'a'; 4096]);
    });
    let posted = post(PATIENT, &endless, &Trust::System, "x").await.unwrap();
    assert_eq!(posted, Posted { status: 200, body: vec![b'a'; 1000] });
    // A header without end is none.
    let endless = does(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        without_end(stream, &[b'a'; 4096]);
    });
    let error = post(PATIENT, &endless, &Trust::System, "x").await.unwrap_err();
    assert!(matches!(error, PostError::Broken(_)), "{error}");
}

#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    let silent = StandIn::http(|_| None);
    let half = |bytes: &'static [u8]| {
        does(move |stream| {
            let _ = stream.write_all(bytes);
            // Until the other side has had enough.
            let _ = stream.read(&mut [0]);
        })
    };
    let dripping = does(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        // It goes on for longer than is waited for all of it, and is never silent for so long.
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        while stream.write_all(b"a").is_ok() && !matches!(stream.read(&mut [0]), Ok(0)) {}
    });
    for url in [
        silent.url("/"),
        half(b""),
        half(b"HTTP/1.1 200 OK\r\n"),
        half(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        dripping,
    ] {
        let error = post(IMPATIENT, &url, &Trust::System, "x").await.unwrap_err();
        assert_eq!(error.to_string(), "it did not answer within 0.2 s");
        assert!(matches!(error, PostError::Silent(_)) && error.may_pass());
    }
}

#[tokio::test]
async fn who_is_not_there_cannot_be_reached() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/hooks/S3CRET");
    let error = post(PATIENT, &url, &Trust::System, "x").await.unwrap_err();
    assert!(matches!(error, PostError::Unreachable(_)) && error.may_pass(), "{error}");
    assert!(!error.to_string().contains("S3CRET"), "{error}");
    for bytes in [&b""[..], b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"] {
        let url = does(move |stream| {
            drop(stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Both)))
        });
        let error = post(PATIENT, &url, &Trust::System, "x").await.unwrap_err();
        assert!(matches!(error, PostError::Broken(_)) && error.may_pass(), "{error}");
    }
    let error = post(PATIENT, "https://a b/", &Trust::System, "x").await.unwrap_err();
    assert!(matches!(error, PostError::Unsendable(_)) && !error.may_pass(), "{error}");
}
