//! The HTTP dialect, status by status and header by header (caucase contract, sections 2.2 to 4).

use std::path::Path;

use serde_json::{Value, json};
use testkit::{Answer, Face, House, Line, exchange, http};
use x509::{KeySpec, SigningRequest};

use crate::houses::{
    RSA, approve, certificate, csr, ended_without_a_fault, get, issued, key, plan, request, submit, up,
};

#[track_caller]
fn says(house: &House, bytes: impl AsRef<[u8]>, status: u16) -> Answer {
    let answer = exchange(house.http(), bytes.as_ref());
    let asked = String::from_utf8_lossy(&bytes.as_ref()[..bytes.as_ref().len().min(80)]).into_owned();
    assert_eq!(answer.status, status, "{asked}: {answer:?}");
    assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")), "{asked}: {answer:?}");
    answer
}

/// The number under which the revocation list of the services authority's first CA certificate is found.
fn crl_number(house: &House) -> String {
    let anchor = says(house, get("/cas/crt/ca.crt.pem"), 200);
    x509::Certificate::from_pem(&anchor.body).unwrap().subject_key_id().unwrap().decimal()
}

/// What everybody may read: type, length, and nothing that belongs to users' answers.
#[test]
fn everybody_may_read_these() {
    let house = up();
    let waiting = submit(&house, "cas", &csr(&key(KeySpec::P256), "waiting"));
    let signed = submit(&house, "cas", &csr(&key(KeySpec::P256), "signed"));
    approve(&house, "cas", &signed);
    let number = crl_number(&house);
    for (path, content_type) in [
        ("/", "application/hal+json"),
        ("/cas", "application/hal+json"),
        ("/cau", "application/hal+json"),
        ("/cas/crl", "application/pkix-crl"),
        ("/cau/crl", "application/pkix-crl"),
        (&format!("/cas/crl/{number}"), "application/pkix-crl"),
        (&format!("/cas/crl/{number}.der"), "application/pkix-crl"),
        (&format!("/cas/csr/{waiting}"), "application/pkcs10"),
        (&format!("/cas/csr/{signed}"), "application/pkcs10"),
        (&format!("/cas/crt/{signed}"), "application/pkix-cert"),
        ("/cas/crt/ca.crt.pem", "application/x-x509-ca-cert"),
        ("/cau/crt/ca.crt.pem", "application/x-x509-ca-cert"),
        ("/cas/crt/ca.crt.json", "application/json"),
        ("/cau/crt/ca.crt.json", "application/json"),
    ] {
        let answer = says(&house, get(path), 200);
        assert_eq!(answer.header("content-type"), Some(content_type), "{path}");
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{path}");
        assert_eq!(answer.header("cache-control"), None, "{path}");
        // Both ports serve the same.
        let secure = http::anybody().get(house.https_url(path)).send().unwrap();
        assert_eq!(
            (secure.status().as_u16(), http::header(&secure, "content-type").as_deref()),
            (200, Some(content_type))
        );
    }
    assert_eq!(says(&house, get("/cas/crt/ca.crt.json"), 200).text(), "[]");
    let whole = says(&house, get("/cas/crl"), 200);
    assert_eq!(says(&house, get(&format!("/cas/crl/{number}")), 200).body, whole.body);
    let der = says(&house, get(&format!("/cas/crl/{number}.der")), 200).body;
    assert_eq!(x509::Crl::from_der(&der).unwrap().to_pem().as_bytes(), whole.body);
    ended_without_a_fault(house);
}

/// A request's whole way, with the headers that clients look at.
#[test]
fn a_request_goes_its_way() {
    let house = up();
    let admin = http::holder_of(&house.administrator());
    let text = csr(&key(RSA), "service");
    // Whatever it is said to be; and found again by its bytes.
    let sent =
        |kind| says(&house, request("PUT", "/cas/csr", &[("Content-Type", kind)], text.as_bytes()), 201);
    let answer = sent("application/pkcs10");
    let id = answer.header("location").unwrap();
    assert!(id.bytes().all(|byte| byte.is_ascii_digit()), "a bare number: {id}");
    assert_eq!((answer.text(), answer.header("content-length")), ("", Some("0")));
    assert_eq!(sent("text/nonsense").header("location"), Some(id));
    let other = submit(&house, "cas", &csr(&key(RSA), "other"));
    assert_eq!(says(&house, get(&format!("/cas/csr/{id}")), 200).text(), text);
    says(&house, get(&format!("/cas/crt/{id}")), 404);

    let listed = admin.get(house.https_url("/cas/csr")).send().unwrap();
    assert_eq!(http::header(&listed, "content-type").as_deref(), Some("application/json"));
    assert_eq!(http::header(&listed, "cache-control").as_deref(), Some("private"));
    let listed: Vec<Value> = serde_json::from_str(&listed.text().unwrap()).unwrap();
    let mut ids = [id, other.as_str()];
    ids.sort_by_key(|id| id.parse::<u64>().unwrap());
    assert_eq!(listed.iter().map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    assert!(listed.contains(&json!({"id": id, "csr": text})));
    assert_eq!(admin.get(house.https_url("/cau/csr")).send().unwrap().text().unwrap(), "[]");

    let done = |method, path: &str| {
        let answer = admin.request(method, house.https_url(path)).send().unwrap();
        let private = http::header(&answer, "cache-control").as_deref() == Some("private");
        assert_eq!(private, answer.status().is_success());
        answer.status().as_u16()
    };
    assert_eq!(done(http::Method::PUT, &format!("/cas/crt/{id}")), 204);
    assert_eq!(done(http::Method::PUT, &format!("/cas/crt/{id}")), 404, "signed already");
    assert_eq!(done(http::Method::DELETE, &format!("/cas/csr/{id}")), 404, "signed already");
    assert_eq!(done(http::Method::DELETE, &format!("/cas/csr/{other}")), 204);
    assert_eq!(done(http::Method::DELETE, &format!("/cas/csr/{other}")), 404);
    says(&house, get(&format!("/cas/csr/{other}")), 404);
    says(&house, get(&format!("/cau/crt/{id}")), 404);
    assert_eq!(says(&house, get(&format!("/cas/csr/{id}")), 200).text(), text, "kept for a while");
    assert_eq!(
        certificate(&house, "cas", id).public_key(),
        SigningRequest::from_pem(text.as_bytes()).unwrap().public_key()
    );
    ended_without_a_fault(house);
}

/// Users' business without a user: 401 and how to become one, through either port; wrong numbers come first.
#[test]
fn users_only() {
    let house = up();
    let id = submit(&house, "cas", &csr(&key(KeySpec::P256), "waiting"));
    let revoke = json!({"payload": json!({"revoke_serial": 1}).to_string(), "digest": null}).to_string();
    let json = [("Content-Type", "application/json")];
    let pkcs10 = [("Content-Type", "application/pkcs10")];
    let template = csr(&key(KeySpec::P256), "template");
    for (method, path, headers, body, status) in [
        ("GET", "/cas/csr".to_owned(), &[][..], "", 401),
        ("GET", "/cau/csr".to_owned(), &[], "", 401),
        ("DELETE", format!("/cas/csr/{id}"), &[], "", 401),
        ("DELETE", "/cas/csr/7".to_owned(), &[], "", 401),
        ("DELETE", "/cas/csr/seven".to_owned(), &[], "", 400),
        ("PUT", format!("/cas/crt/{id}"), &[], "", 401),
        ("PUT", "/cas/crt/seven".to_owned(), &[], "", 400),
        ("PUT", format!("/cas/crt/{id}"), &pkcs10, &template, 401),
        ("PUT", format!("/cas/crt/{id}"), &pkcs10, "no template", 400),
        ("PUT", format!("/cas/crt/{id}"), &json, &template, 400),
        ("PUT", "/cas/crt/revoke".to_owned(), &json, &revoke, 401),
        ("PUT", "/cau/crt/revoke".to_owned(), &json, &revoke, 401),
    ] {
        let answer = says(&house, request(method, &path, headers, body.as_bytes()), status);
        let challenge = (status == 401).then_some("transport");
        assert_eq!(answer.header("www-authenticate"), challenge, "{method} {path}");
        let method: http::Method = method.parse().unwrap();
        let mut secure = http::anybody().request(method, house.https_url(&path)).body(body.to_owned());
        for (name, value) in headers {
            secure = secure.header(*name, *value);
        }
        let secure = secure.send().unwrap();
        assert_eq!(secure.status().as_u16(), status, "{path}");
        assert_eq!(http::header(&secure, "www-authenticate").as_deref(), challenge, "{path}");
    }
    // Nothing of it was done.
    says(&house, get(&format!("/cas/csr/{id}")), 200);
    says(&house, get(&format!("/cas/crt/{id}")), 404);
    assert_eq!(crate::houses::revocation_lists(&house, "cas")[0].entries(), []);
    ended_without_a_fault(house);
}

/// The method is looked at before the rest of the path: 405 says which there are, OPTIONS is always there.
#[test]
fn methods_come_before_paths() {
    let house = up();
    for (method, path, allow) in [
        ("POST", "/nowhere", "GET, OPTIONS"),
        ("POST", "/", "GET, OPTIONS"),
        ("HEAD", "/", "GET, OPTIONS"),
        ("HEAD", "/cas/crl", "GET, OPTIONS"),
        ("BREW", "/cas", "GET, OPTIONS"),
        ("PUT", "/cors", "GET, POST, OPTIONS"),
        ("DELETE", "/cas/crl", "GET, OPTIONS"),
        ("POST", "/cau/csr/1/2", "GET, PUT, DELETE, OPTIONS"),
        ("DELETE", "/cas/crt/1", "GET, PUT, OPTIONS"),
        ("PUT", "/cas/crt/ca.crt.pem", "GET, OPTIONS"),
        ("PUT", "/cas/crt/ca.crt.json", "GET, OPTIONS"),
        ("GET", "/cas/crt/renew", "PUT, OPTIONS"),
        ("POST", "/cau/crt/revoke", "PUT, OPTIONS"),
    ] {
        let answer = says(&house, request(method, path, &[], b""), 405);
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    for path in ["/", "/nowhere", "/cas", "/cas/csr/1", "/cas/crt/1/2/3", "/cors", "/cas/crt/renew"] {
        let answer = says(&house, request("OPTIONS", path, &[], b""), 204);
        assert_eq!((answer.text(), answer.header("access-control-allow-origin")), ("", None), "{path}");
    }
    for (method, path) in [
        ("GET", "/nowhere"),
        ("GET", "/cas/nowhere"),
        ("GET", "/cas/crt"),
        ("GET", "/cas/crl/1"),
        ("GET", "/cas/crl/one"),
        ("GET", "/cas/crl/1/2"),
        ("GET", "/cas/crl/99999999999999999999999999999999999999999999999999999999999999"),
        ("GET", "/cas/crl/1.der"),
        ("GET", "/cas/csr/1"),
        ("GET", "/cas/csr/1/2"),
        ("GET", "/cas/crt/1"),
        ("GET", "/cas/crt/1/2"),
        ("GET", "/cas/crt/ca.crt.pem/more"),
        ("GET", "/http_cas"),
        ("GET", "/http_cas/crt/ca.crt.pem"),
        ("PUT", "/cas/csr/1"),
        ("DELETE", "/cas/csr"),
        ("PUT", "/cas/crt"),
        ("PUT", "/cas/crt/renew/1"),
        // Beyond 64 bits; the original said 500.
        ("GET", "/cas/csr/9223372036854775808"),
        ("GET", "/cas/csr/18446744073709551616"),
        ("GET", "/cas/crt/99999999999999999999999999999999"),
        ("GET", "/cas/csr/-1"),
    ] {
        says(&house, request(method, path, &[], b""), 404);
    }
    for path in ["/cas/csr/one", "/cas/crt/one", "/cas/csr/1.0", "/cas/csr/0x1", "/cas/crt/ca.crt.der"] {
        says(&house, get(path), 400);
    }
    ended_without_a_fault(house);
}

/// Paths are decoded before they are cut; queries and absolute forms lead to the same place.
#[test]
fn paths_are_read_generously() {
    let house = up();
    let list = says(&house, get("/cas/crl"), 200).body;
    for path in [
        "//cas//crl/",
        "/cas%2Fcrl",
        "/%63as/crl",
        "/cas/crl?query=1",
        "http://test/cas/crl",
        "http://elsewhere/cas/crl?x",
    ] {
        assert_eq!(says(&house, get(path), 200).body, list, "{path}");
    }
    for path in ["/CAS/crl", "/cas/crl/.", "/cas/../cas/crl", "/cas/%zz", "/cas/cr%ff"] {
        says(&house, get(path), 404);
    }
    ended_without_a_fault(house);
}

/// HTTP/1.0 and 1.1, one request after the other or many on one connection.
#[test]
fn old_and_new_clients_are_answered() {
    let house = up();
    let mut old = Line::to(house.http());
    old.send("GET / HTTP/1.0\r\n\r\n").unwrap();
    let answer = old.answer();
    assert_eq!((answer.status, answer.version.as_str()), (200, "HTTP/1.0"));
    assert!(old.is_closed());
    let mut new = Line::to(house.http());
    for path in ["/", "/cas", "/nowhere", "/cas/csr"] {
        new.send(get(path)).unwrap();
        assert_eq!(new.answer().version, "HTTP/1.1", "{path}");
    }
    new.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(new.answer().status, 200);
    assert!(new.is_closed());
    // Stock clients keep what they are left, and ask again when it is long gone.
    let mut stock = Line::to(house.http());
    stock.send("GET /cas HTTP/1.1\r\nHost: a\r\nUser-Agent: caucase 0.9.17\r\n\r\n").unwrap();
    let answer = stock.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(stock.is_closed());
    // A line of 65536 bytes is the longest.
    let long = |bytes: usize| format!("/{}", "a".repeat(bytes - "GET / HTTP/1.1".len()));
    says(&house, get(&long(65_536)), 404);
    says(&house, get(&long(65_537)), 414);
    ended_without_a_fault(house);
}

fn hal(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// What can be done here: a monitoring test compares these documents with equality.
#[test]
fn the_hal_documents_are_exactly_these() {
    let house = up();
    let root = json!({"_links": {
        "self": {"href": "/"},
        "getCASHAL": {"title": "cas", "href": "/cas"},
        "getCAUHAL": {"title": "cau", "href": "/cau"},
    }});
    assert_eq!(hal(&says(&house, get("/"), 200)), root);
    let of = |name: &str, base: &str| {
        let at = |path: &str| format!("/{name}{path}");
        let secure = |path: &str| format!("{base}/{name}{path}");
        json!({
            "_links": {
                "self": {"href": at("")},
                "home": {"href": "/"},
                "getCertificateRevocationListList": {"href": at("/crl"), "title": "Retrieve latest certificate revocation list for all valid authorities."},
                "getCertificateRevocationList": {"href": at("/crl/{+authority_key_id}"), "templated": true, "title": "Retrieve latest certificate revocation list for given decimal representation of the authority identifier."},
                "getPendingCertificateRequestList": {"href": secure("/csr"), "title": "List pending certificate signing requests."},
                "getCertificateSigningRequest": {"href": at("/csr/{+csr_id}"), "templated": true, "title": "Retrieve a pending certificate signing request."},
                "getCertificate": {"href": at("/crt/{+csr_id}"), "templated": true, "title": "Retrieve a signed certificate."},
                "getCACertificate": {"href": at("/crt/ca.crt.pem"), "title": "Retrieve current CA certificate."},
                "getCACertificateChain": {"href": at("/crt/ca.crt.json"), "title": "Retrieve current CA certificate trust chain."},
            },
            "_actions": {
                "createCertificateSigningRequest": {"method": "PUT", "href": at("/csr"), "title": "Request a new certificate signature."},
                "deletePendingCertificateRequest": {"method": "DELETE", "href": secure("/csr/{+csr_id}"), "templated": true, "title": "Reject a pending certificate signing request."},
                "createCertificate": {"method": "PUT", "href": secure("/crt/{+crt_id}"), "templated": true, "title": "Accept pending certificate signing request"},
                "revokeCertificate": {"method": "PUT", "href": at("/crt/revoke"), "title": "Revoke a certificate"},
                "renewCertificate": {"method": "PUT", "href": at("/crt/renew"), "title": "Renew a certificate"},
            },
        })
    };
    let (port, netloc) = (house.port(), house.http());
    for (host, base) in [
        (netloc.as_str(), format!("https://127.0.0.1:{}", port + 1)),
        ("ca.example:8009", "https://ca.example:8010".to_owned()),
        ("ca.example", "https://ca.example".to_owned()),
        ("[2001:db8::1]:8009", "https://[2001:db8::1]:8010".to_owned()),
        ("[2001:db8::1]", "https://[2001:db8::1]".to_owned()),
    ] {
        let asked = format!("GET /cas HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(hal(&says(&house, asked, 200)), of("cas", &base), "{host}");
    }
    // Without a Host: where the client came to. Slashes at the end are not part of the name.
    let own = format!("https://127.0.0.1:{}", port + 1);
    assert_eq!(hal(&says(&house, "GET //cau// HTTP/1.0\r\n\r\n", 200)), of("cau", &own));
    // Over HTTPS one is there already.
    let secure = http::anybody().get(house.https_url("/cau/")).send().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&secure.text().unwrap()).unwrap(), of("cau", ""));
    ended_without_a_fault(house);
}

/// A user's key may be certified once, and a service's as often as wanted.
#[test]
fn a_users_key_is_one_of_a_kind() {
    let house = up();
    let ours = key(RSA);
    let id = submit(&house, "cau", &csr(&ours, "first"));
    assert_eq!(submit(&house, "cau", &csr(&ours, "first")), id, "the same bytes");
    let put = |authority: &str, name: &str| {
        request("PUT", &format!("/{authority}/csr"), &[], csr(&ours, name).as_bytes())
    };
    assert_eq!(says(&house, put("cau", "second"), 409).text(), "this key was used in another request");
    says(&house, put("cas", "first"), 201);
    says(&house, put("cas", "second"), 201);
    // Nor may a user renew without a new key; a service may.
    approve(&house, "cau", &id);
    let user = certificate(&house, "cau", &id);
    let service = issued(&house, &ours, "third");
    for (authority, held, status) in [("cau", user, 409), ("cas", service, 200)] {
        let payload = json!({"crt_pem": held.to_pem(), "renew_csr_pem": csr(&ours, "renewed")});
        let body = crate::houses::envelope(&payload, x509::Digest::Sha256, &ours);
        says(&house, crate::houses::put_json(&format!("/{authority}/crt/renew"), &body), status);
    }
    ended_without_a_fault(house);
}

/// However many do the same thing in the same moment, it is done once.
#[test]
fn what_many_do_at_once_is_done_once() {
    let house = up();
    let text = csr(&key(RSA), "wanted");
    let at_once = |act: &(dyn Fn() -> String + Sync)| -> Vec<String> {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(act)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        })
    };
    let ids = at_once(&|| submit(&house, "cas", &text));
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let admin = http::holder_of(&house.administrator());
    let url = house.https_url(&format!("/cas/crt/{}", ids[0]));
    let mut statuses = at_once(&|| admin.put(&url).send().unwrap().status().as_u16().to_string());
    statuses.sort();
    assert_eq!(statuses, ["204", "404", "404", "404", "404", "404", "404", "404"]);
    ended_without_a_fault(house);
}

/// One line for each request, after the answer, as the tools that read it expect.
#[test]
fn the_access_log_names_who_asked_for_what() {
    let mut house = plan(Face::Caucased).start();
    let file = house.administrator();
    let serial = x509::Certificate::from_pem(&only_certificate(&file)).unwrap().serial();
    let quoted = [("User-Agent", "a \"b\" \\c"), ("Referrer", "there")];
    says(&house, request("GET", "/cas?x=1", &quoted, b""), 200);
    http::holder_of(&file).get(house.https_url("/cas/csr")).send().unwrap();
    let said = house.stop().stdout;
    let lines: Vec<_> = said.lines().rev().take(2).collect();
    let without_date = |line: &str| {
        let (before, rest) = line.split_once('[').unwrap();
        let (date, after) = rest.split_once(']').unwrap();
        assert!(date.ends_with(" +0000") && date.len() == 26, "{date}");
        format!("{before}[]{after}")
    };
    assert_eq!(
        without_date(lines[0]),
        format!("127.0.0.1 - {serial} [] \"GET /cas/csr HTTP/2.0\" 200 2 \"-\" \"testkit\"")
    );
    let expected = r#"127.0.0.1 - - [] "GET /cas?x=1 HTTP/1.1" 200 SIZE "there" "a \"b\" \\c""#;
    let size = lines[1].split_whitespace().nth(9).unwrap();
    assert_eq!(without_date(lines[1]), expected.replace("SIZE", size));
}

fn only_certificate(file: &Path) -> Vec<u8> {
    crate::houses::certificates_in(file)[0].to_pem().into_bytes()
}

/// For those who look after it.
#[test]
fn health_readiness_and_meters_are_shown() {
    let house = up();
    assert_eq!(says(&house, get("/healthz"), 200).text(), "ok\n");
    assert_eq!(says(&house, get("/readyz"), 200).text(), "ready\n");
    let meters = says(&house, get("/metrics"), 200);
    assert!(meters.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(
        meters.text().contains("provost_http_requests_total{door=\"http\",method=\"GET\",status=\"2xx\"} 2"),
        "{}",
        meters.text()
    );
    ended_without_a_fault(house);
}
