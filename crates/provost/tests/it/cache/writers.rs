//! Who may write, and who may read.

use base::Sha512;
use testkit::http::{Method, anybody, holder_of};
use testkit::{Face, House};

use super::{entry, open, service, with_users};
use crate::houses::{csr, ended_without_a_fault, key, plan, submit, up};

/// POST of an artifact and PUT of an entry by `client`, as `user` where one is said.
fn write(
    house: &House,
    client: &reqwest::blocking::Client,
    user: Option<(&str, &str)>,
    secure: bool,
) -> Vec<u16> {
    let url = |path: &str| if secure { house.https_url(path) } else { house.http_url(path) };
    let body = entry(Sha512::of(b"hello"), 1);
    [(Method::POST, "/shacache", "hello".to_owned()), (Method::PUT, "/shadir/a", body)]
        .into_iter()
        .map(|(method, path, body)| {
            let mut request = client.request(method, url(path)).body(body);
            if let Some((name, password)) = user {
                request = request.basic_auth(name, Some(password));
            }
            request.send().unwrap().status().as_u16()
        })
        .collect()
}

#[test]
fn nobody_writes_who_does_not_sign_in() {
    let (_directory, plan) = with_users(&["bob"]);
    let house = plan.start();
    assert_eq!(write(&house, &anybody(), None, false), [401, 401]);
    assert_eq!(write(&house, &anybody(), None, true), [401, 401]);
    let answer = anybody().post(house.http_url("/shacache")).body("hello").send().unwrap();
    let challenge = testkit::http::header(&answer, "www-authenticate").unwrap();
    assert!(challenge.starts_with("Basic realm="), "{challenge}");
    // Users, services, and whom the file knows by their passwords.
    assert_eq!(write(&house, &holder_of(&house.administrator()), None, true), [201, 201]);
    assert_eq!(write(&house, &holder_of(&service(&house, "build")), None, true), [201, 201]);
    assert_eq!(write(&house, &anybody(), Some(("bob", "bob")), true), [201, 201]);
    assert_eq!(write(&house, &anybody(), Some(("bob", "wrong")), true), [401, 401]);
    assert_eq!(write(&house, &anybody(), Some(("eve", "bob")), true), [401, 401]);
    // Everybody reads.
    let digest = Sha512::of(b"hello");
    for path in [format!("/shacache/{digest}"), "/shadir/a".to_owned()] {
        assert_eq!(anybody().get(house.http_url(&path)).send().unwrap().status(), 200, "{path}");
    }
    ended_without_a_fault(house);
}

/// A service's certificate lets it put artifacts into the cache, and nothing else.
#[test]
fn a_service_does_nothing_else() {
    let house = up();
    let service = holder_of(&service(&house, "build"));
    let id = submit(&house, "cas", &csr(&key(crate::houses::RSA), "other"));
    for (method, path) in [
        (Method::GET, "/v1/hosts".to_owned()),
        (Method::GET, "/api/v0/hosts".to_owned()),
        (Method::GET, "/cas/csr".to_owned()),
        (Method::PUT, format!("/cas/crt/{id}")),
    ] {
        let status = service.request(method.clone(), house.https_url(&path)).send().unwrap().status();
        assert!(status == 401 || status == 403, "{method} {path}: {status}");
    }
    ended_without_a_fault(house);
}

#[test]
fn whose_certificate_was_revoked_writes_no_more() {
    let house = up();
    let file = service(&house, "build");
    assert_eq!(write(&house, &holder_of(&file), None, true), [201, 201]);
    let client = testkit::Caucase::of(&house);
    client.run(&["--revoke-crt", file.to_str().unwrap(), file.to_str().unwrap()]).ok();
    assert_eq!(write(&house, &holder_of(&file), None, true), [401, 401]);
    ended_without_a_fault(house);
}

/// One explicit setting opens writing to everyone.
#[test]
fn writing_can_be_open() {
    let house = open();
    assert_eq!(write(&house, &anybody(), None, false), [201, 201]);
    ended_without_a_fault(house);
}

#[test]
fn reading_can_be_closed() {
    let (_directory, plan) = with_users(&["bob"]);
    let house = plan.option("cache-readers", "signed-in").start();
    assert_eq!(write(&house, &anybody(), Some(("bob", "bob")), true), [201, 201]);
    for path in [format!("/shacache/{}", Sha512::of(b"hello")), "/shadir/a".to_owned()] {
        let get = |user: Option<&str>| {
            let request = anybody().get(house.https_url(&path));
            let request = match user {
                Some(name) => request.basic_auth(name, Some(name)),
                None => request,
            };
            request.send().unwrap().status().as_u16()
        };
        assert_eq!((get(None), get(Some("bob")), get(Some("eve"))), (401, 200, 401), "{path}");
    }
    // Nor does anybody on the way hand it on.
    let url = house.https_url(&format!("/shacache/{}", Sha512::of(b"hello")));
    let answer = anybody().get(url).basic_auth("bob", Some("bob")).send().unwrap();
    let kept = testkit::http::header(&answer, "cache-control").unwrap();
    assert!(kept.starts_with("private, "), "{kept}");
    let answer = anybody().get(house.https_url("/shadir/a")).basic_auth("bob", Some("bob")).send().unwrap();
    assert_eq!(testkit::http::header(&answer, "cache-control").unwrap(), "private, no-store");
    ended_without_a_fault(house);
}

/// Services can be left out.
#[test]
fn services_need_not_be_publishers() {
    let house = plan(Face::Up).option("cache-services", "none").start();
    let administrator = holder_of(&house.administrator());
    assert_eq!(write(&house, &administrator, None, true), [201, 201]);
    let service = holder_of(&service(&house, "build"));
    let answer = service.post(house.https_url("/shacache")).body("hello").send();
    assert!(answer.is_err(), "its certificate is none that is accepted in the handshake");
    ended_without_a_fault(house);
}

/// 413 for what is too large, before anything of it is read; 507 for who has put enough there.
#[test]
fn limits_have_their_status_and_reason() {
    let (_directory, plan) = with_users(&["alice", "bob"]);
    let house =
        plan.option("cache-artifact-bytes-max", "2000").option("cache-writer-bytes-max", "3000").start();
    let post = |user: &str, bytes: usize, fill: u8| {
        let request = anybody().post(house.https_url("/shacache")).basic_auth(user, Some(user));
        let answer = request.body(vec![fill; bytes]).send().unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    };
    assert_eq!(post("alice", 2000, 1).0, 201);
    assert_eq!(post("alice", 2001, 1), (413, "an artifact may have 2000 bytes at most\n".to_owned()));
    assert_eq!(
        post("alice", 1001, 2),
        (507, "user alice may keep 3000 bytes here, and has 2000\n".to_owned())
    );
    assert_eq!(post("bob", 1001, 2).0, 201);
    assert_eq!(post("alice", 1000, 3).0, 201);
    // What is there already takes nothing of what anybody may keep, and is no second copy.
    for (bytes, fill) in [(2000, 1), (1001, 2), (1000, 3)] {
        assert_eq!(post("alice", bytes, fill).0, 201, "{bytes} of {fill}");
    }
    assert_eq!(post("alice", 1, 9).0, 507);
    let missing = format!("/shacache/{}", Sha512::of(&[9]));
    assert_eq!(anybody().get(house.http_url(&missing)).send().unwrap().status(), 404);
    // Nobody who asks first is told to go on, nor is a body waited for.
    let authorization = "Authorization: Basic Ym9iOmJvYg=="; // bob:bob
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut line = testkit::Line::to(house.http());
        let head = "POST /shacache HTTP/1.1\r\nHost: test\r\nContent-Length: 2001\r\n";
        line.send(format!("{head}{authorization}\r\n{expect}\r\n")).unwrap();
        assert_eq!(line.answer().status, 413);
    }
    // One whose length is not said is stopped when it is too much.
    let mut line = testkit::Line::to(house.http());
    let head = "POST /shacache HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n";
    line.send(format!("{head}{authorization}\r\n\r\n7cf\r\n{}\r\n", "b".repeat(1999))).unwrap();
    line.send("1\r\nb\r\n").unwrap();
    assert_eq!(line.answer().text(), "user bob may keep 3000 bytes here, and has 1001\n");
    ended_without_a_fault(house);
}

#[test]
fn the_cache_can_be_left_out() {
    let house = plan(Face::Up).option("cache-api", "false").start();
    for path in ["/shacache", "/shadir/a"] {
        assert_eq!(anybody().get(house.http_url(path)).send().unwrap().status(), 404, "{path}");
    }
    assert!(!house.data().join("artifacts").exists());
    ended_without_a_fault(house);
}
