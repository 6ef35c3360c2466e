//! Requests that are wrong in every way that the contract names: each is refused with its status, nothing
//! is stored, nothing breaks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::{Answer, Face, House, Line, exchange, http, openssl};
use x509::{Certificate, Digest, KeySpec, Name, PrivateKey, SigningRequest};

use crate::houses::{
    RSA, csr, ended_without_a_fault, envelope, get, issued, key, plan, put_json, request, revocation_lists,
    submit, unsigned, up,
};

const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

#[track_caller]
fn refused(house: &House, bytes: &[u8], status: u16) -> Answer {
    let answer = exchange(house.http(), bytes);
    let asked = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
    assert_eq!(answer.status, status, "{asked}: {answer:?}");
    let reason = answer.text();
    assert!(!reason.is_empty() && reason.len() < 300 && !reason.contains('\n'), "a short reason: {reason}");
    answer
}

/// Nothing of all this left a trace, and the house is well.
#[track_caller]
fn unharmed(house: House) {
    let admin = http::holder_of(&house.administrator());
    for authority in ["cas", "cau"] {
        let pending = admin.get(house.https_url(&format!("/{authority}/csr"))).send().unwrap();
        assert_eq!(pending.text().unwrap(), "[]", "{authority}");
    }
    assert_eq!(exchange(house.http(), get("/readyz")).status, 200);
    let id = submit(&house, "cas", &csr(&key(KeySpec::P256), "healthy"));
    crate::houses::approve(&house, "cas", &id);
    ended_without_a_fault(house);
}

/// Lengths that are none, chunks that are none, and heads that end too early.
#[test]
fn malformed_framing_is_refused() {
    let house = up();
    let put =
        |head: &str, body: &str| format!("PUT /cas/csr HTTP/1.1\r\nHost: a\r\n{head}\r\n{body}").into_bytes();
    for (head, body, status) in [
        ("Content-Length: -1\r\n", "", 400),
        ("Content-Length: -5\r\n", "hello", 400),
        ("Content-Length: one\r\n", "", 400),
        ("Content-Length: \r\n", "", 400),
        ("Content-Length: 1_0\r\n", "0123456789", 400),
        ("Content-Length: 0x5\r\n", "hello", 400),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", "ab", 400),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", 400),
        ("Transfer-Encoding: gzip\r\n", "", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", 400),
        ("Host: b\r\n", "", 400),
        ("Content-Length: 18446744073709551615\r\n", "", 413),
        ("Content-Length: 99999999999999999999999999\r\n", "", 413),
        ("Content-Length: 10485761\r\n", "", 413),
        ("Content-Length: 9223372036854775807\r\n", "", 413),
        // Without a length there is no body; the original waited for the end.
        ("", "", 400),
        // A body that ends before it should.
        ("Content-Length: 100\r\n", "-----BEGIN", 400),
        ("Transfer-Encoding: chunked\r\n", "nonsense\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", "-5\r\nhello\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhelloX\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhel", 400),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", "\r\n", 400),
    ] {
        refused(&house, &put(head, body), status);
    }
    // Wherever it is for, before anything else about it; and nothing that follows is taken for another request.
    for (method, path) in [("PUT", "/api/v0/host/a"), ("GET", "/api/v0/hosts"), ("PUT", "/v1/hosts/a")] {
        for length in ["abc", "-1", "1\r\nContent-Length: 2"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            let mut line = Line::to(house.http());
            line.send([request.as_bytes(), &get("/readyz")].concat()).unwrap();
            let answer = line.answer();
            assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{request}");
            assert!(line.is_closed(), "{request}");
        }
    }
    for head in [
        "GET /\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        refused(&house, head.as_bytes(), 400);
    }
    let long = |bytes: usize| "a".repeat(bytes);
    refused(&house, format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(70_000)).as_bytes(), 414);
    refused(&house, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(70_000)).as_bytes(), 431);
    unharmed(house);
}

/// Chunks may have extensions and trailers; who asks before sending is told to go on, if it is wanted.
#[test]
fn chunks_and_expectations_are_understood() {
    let house = up();
    let text = csr(&key(RSA), "in chunks");
    let (one, two) = text.split_at(300);
    let chunked = format!(
        "PUT /cas/csr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x};name=\"value\"\r\n{one}\r\n{:X}\r\n{two}\r\n0;last\r\nTrailer: ignored\r\n\r\n",
        one.len(),
        two.len()
    );
    let answer = exchange(house.http(), chunked);
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.header("location").unwrap();
    assert_eq!(exchange(house.http(), get(&format!("/cas/csr/{id}"))).text(), text);

    let expects = |line: &mut Line, length: usize| {
        let head = format!(
            "PUT /cas/csr HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        line.send(head).unwrap();
        line.answer()
    };
    let mut line = Line::to(house.http());
    assert_eq!(expects(&mut line, text.len()).status, 100);
    line.send(&text).unwrap();
    assert_eq!(line.answer().header("location"), Some(id));
    // Too much is refused before it is sent.
    assert_eq!(expects(&mut Line::to(house.http()), BODY_BYTES_MAX + 1).status, 413);
    ended_without_a_fault(house);
}

/// Ten mebibytes are read, and not a byte more, whether it is said before or turns out.
#[test]
fn bodies_are_read_up_to_the_limit() {
    let house = up();
    let put = |body: &[u8]| request("PUT", "/cas/csr", &[], body);
    refused(&house, &put(&vec![b'a'; BODY_BYTES_MAX]), 400);
    refused(&house, &put(&vec![b'a'; BODY_BYTES_MAX + 1]), 413);
    let chunked = |length: usize| {
        let head = b"PUT /cas/csr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
        [head, format!("{length:x}\r\n").as_bytes(), &vec![b'a'; length], b"\r\n0\r\n\r\n"].concat()
    };
    refused(&house, &chunked(BODY_BYTES_MAX), 400);
    refused(&house, &chunked(BODY_BYTES_MAX + 1), 413);
    // Good requests are taken up to a length of our own.
    let of_many_hosts = |hosts: usize| {
        let names: Vec<u8> = (0..hosts)
            .flat_map(|n| [b"\x82\x0f".as_slice(), format!("h{n:06}.example").as_bytes()].concat())
            .collect();
        let length = u32::try_from(names.len()).unwrap().to_be_bytes();
        let value = [b"\x30\x84".as_slice(), &length, &names].concat();
        let names = x509::Extension { oid: x509::oid::SUBJECT_ALT_NAME, critical: false, value };
        SigningRequest::build(&key(KeySpec::P256), &Name::from_common_name("many").unwrap(), &[names])
            .to_pem()
    };
    for hosts in [8_000, 100_000, 400_000] {
        let text = of_many_hosts(hosts);
        let answer = refused(&house, &put(text.as_bytes()), 413);
        assert!(answer.text().contains("longer than") || answer.text().contains("too long"), "{answer:?}");
    }
    unharmed(house);
}

/// Whoever comes when all bodies together take too much is told so, and somebody is warned.
#[test]
fn bodies_are_bounded_together() {
    let house = plan(Face::Up).option("limits-bodies-bytes-max", &BODY_BYTES_MAX.to_string()).start();
    let half = vec![b'a'; BODY_BYTES_MAX / 2 + 1];
    let head = format!("PUT /cas/csr HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES_MAX}\r\n\r\n");
    let mut rest = half.clone();
    rest.truncate(BODY_BYTES_MAX - half.len());
    let busy = testkit::wait_for("a body that there is no room for", || {
        let mut first = Line::to(house.http());
        first.send(&head).and_then(|()| first.send(&half)).unwrap();
        let mut second = Line::to(house.http());
        // It may be answered before all of it is sent.
        let _ = second.send(&head).and_then(|()| second.send(&half)).and_then(|()| second.send(&rest));
        let answer = second.answer();
        let _ = first.send(&rest);
        // Whichever of them was read first has the room.
        (first.answer().status == 400 && answer.status == 503).then_some(answer)
    });
    assert_eq!(busy.text(), "the server could not do this for now; its log says why");
    let said = house.process().wait_for_stderr(|said| said.contains("too many request bodies")).unwrap();
    let line = said.lines().find(|line| line.contains("too many request bodies")).unwrap();
    assert!(line.contains(" WARN "), "{line}");
}

/// What is no signing request is none, in however small a way.
#[test]
fn what_is_no_signing_request_is_refused() {
    let house = up();
    let good = csr(&key(RSA), "good");
    let der = x509::SigningRequest::from_pem(good.as_bytes()).unwrap().der().to_vec();
    let pem = |label: &str, der: &[u8]| {
        let base64 = STANDARD.encode(der);
        let lines: Vec<_> =
            base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let with = |at: usize, byte: u8| {
        let mut der = der.clone();
        der[at] ^= byte;
        pem("CERTIFICATE REQUEST", &der)
    };
    let anchor = exchange(house.http(), get("/cas/crt/ca.crt.pem")).body;
    let mut bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"hello".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        der.clone(),
        anchor,
        good.replace("CERTIFICATE REQUEST", "CERTIFICATE").into_bytes(),
        good.replace("-----END", "").into_bytes(),
        good.replace('M', "*").into_bytes(),
        [good.as_str(), &good].concat().into_bytes(),
        pem("CERTIFICATE REQUEST", b"").into_bytes(),
        pem("CERTIFICATE REQUEST", b"\x30\x80").into_bytes(),
        pem("CERTIFICATE REQUEST", &der[..der.len() - 1]).into_bytes(),
        pem("CERTIFICATE REQUEST", &[&der[..], b"x"].concat()).into_bytes(),
        pem("CERTIFICATE REQUEST", &[0x30; 5_000]).into_bytes(),
        // The signature's last byte, and the first of what is signed.
        with(der.len() - 1, 1).into_bytes(),
        with(8, 1).into_bytes(),
    ];
    // Small keys, and algorithms that nobody should use any more.
    let weak = [["-newkey", "rsa:512"], ["-newkey", "rsa:1024"]];
    for options in weak {
        let made =
            openssl(
                house.directory(),
                &[
                    &[
                        "req", "-new", "-nodes", "-keyout", "weak.key", "-out", "weak.csr", "-subj",
                        "/CN=weak",
                    ][..],
                    &options,
                ]
                .concat(),
            );
        // Some installations do not even make them.
        if made.code == Some(0) {
            bodies.push(std::fs::read(house.directory().join("weak.csr")).unwrap());
        }
    }
    for authority in ["cas", "cau"] {
        for body in &bodies {
            refused(&house, &request("PUT", &format!("/{authority}/csr"), &[], body), 400);
        }
    }
    unharmed(house);
}

/// A template that cannot be read is refused, and so are bodies that are none; the request still waits.
#[test]
fn bad_templates_are_refused() {
    let house = up();
    let admin = http::holder_of(&house.administrator());
    let id = submit(&house, "cas", &csr(&key(KeySpec::P256), "waiting"));
    let put = |kind: Option<&str>, body: &str| {
        let mut asked = admin.put(house.https_url(&format!("/cas/crt/{id}"))).body(body.to_owned());
        if let Some(kind) = kind {
            asked = asked.header("Content-Type", kind);
        }
        asked.send().unwrap().status().as_u16()
    };
    let template = csr(&key(KeySpec::P256), "template");
    assert_eq!(put(Some("application/pkcs10"), "nonsense"), 400);
    assert_eq!(put(Some("application/pkcs10"), &template.replace('A', "B")), 400);
    assert_eq!(put(Some("text/plain"), &template), 400);
    assert_eq!(put(None, &template), 400);
    assert_eq!(exchange(house.http(), get(&format!("/cas/crt/{id}"))).status, 404, "it still waits");
    assert_eq!(put(Some("application/pkcs10"), &template), 204);
    assert_eq!(put(Some("application/pkcs10"), &template), 404);
    unharmed(house);
}

/// A service's key and certificate, and everything that may be wrong with what its holder says.
struct Holder {
    key: PrivateKey,
    certificate: Certificate,
}

impl Holder {
    fn of(house: &House) -> Self {
        let key = key(RSA);
        Self { certificate: issued(house, &key, "holder"), key }
    }

    fn renewal(&self) -> Value {
        json!({"crt_pem": self.certificate.to_pem(), "renew_csr_pem": csr(&key(KeySpec::P256), "new")})
    }
}

/// Envelopes that are malformed, not signed, signed by somebody else or for something else.
#[test]
fn bad_envelopes_are_refused() {
    let house = up();
    let holder = Holder::of(&house);
    let admin = http::holder_of(&house.administrator());
    let renewal = holder.renewal();
    let good: Value = serde_json::from_str(&envelope(&renewal, Digest::Sha256, &holder.key)).unwrap();
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed.to_string()
    };
    let without = |name: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove(name);
        changed.to_string()
    };
    let signed = |payload: Value| envelope(&payload, Digest::Sha256, &holder.key);
    let (crt, csr_pem) = (&renewal["crt_pem"], &renewal["renew_csr_pem"]);
    let bodies = [
        String::new(),
        "hello".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "\u{feff}{}".to_owned(),
        format!("{}1", "[".repeat(100_000)),
        without("payload"),
        without("digest"),
        without("signature"),
        with("digest", json!("md5")),
        with("digest", json!("SHA256")),
        with("digest", json!(256)),
        // The right signature for another digest.
        with("digest", json!("sha384")),
        with("digest", json!(null)),
        with("payload", json!({"a": 1})),
        with("payload", json!("not json")),
        // One space more: the very text is signed, not its meaning.
        with("payload", json!(format!("{} ", good["payload"].as_str().unwrap()))),
        with("signature", json!("")),
        with("signature", json!("not base64!")),
        with("signature", json!(STANDARD.encode([0; 256]))),
        with("signature", json!(null)),
        envelope(&renewal, Digest::Sha256, &key(RSA)),
        signed(json!([])),
        signed(json!({})),
        signed(json!({"crt_pem": crt})),
        signed(json!({"renew_csr_pem": csr_pem})),
        signed(json!({"crt_pem": 1, "renew_csr_pem": csr_pem})),
        signed(json!({"crt_pem": "no pem", "renew_csr_pem": csr_pem})),
        signed(json!({"crt_pem": crt, "renew_csr_pem": "no pem"})),
        signed(json!({"crt_pem": csr_pem, "renew_csr_pem": crt})),
        unsigned(&renewal),
    ];
    for body in &bodies {
        refused(&house, &put_json("/cas/crt/renew", body), 400);
    }
    // As revocations they say nothing either; unsigned ones ask for a user first.
    let revocation = json!({"revoke_crt_pem": crt});
    let mut revocations = bodies[..17].to_vec();
    revocations.extend([
        signed(json!({})),
        signed(json!({"revoke_crt_pem": "no pem"})),
        signed(json!({"revoke_serial": 1})),
    ]);
    revocations.push(envelope(&revocation, Digest::Sha256, &key(RSA)));
    for body in &revocations {
        let is_unsigned = serde_json::from_str::<Value>(body)
            .is_ok_and(|body| body.get("digest") == Some(&Value::Null) && body.get("payload").is_some());
        refused(&house, &put_json("/cas/crt/revoke", body), if is_unsigned { 401 } else { 400 });
    }
    // What a user says without a signature is looked at all the same.
    for payload in [
        json!({}),
        json!([]),
        json!({"revoke_crt_pem": "no pem"}),
        json!({"revoke_crt_pem": null, "revoke_serial": 9}),
        json!({"revoke_serial": "1"}),
        json!({"revoke_serial": 1.5}),
        json!({"revoke_serial": -1}),
        json!({"revoke_serial": 0}),
        json!({"revoke_serial": null}),
        json!({"revoke_serial": [1]}),
        json!({"revoke_serial": "1 OR 1=1"}),
    ] {
        let revoke = admin.put(house.https_url("/cas/crt/revoke")).header("Content-Type", "application/json");
        assert_eq!(revoke.body(unsigned(&payload)).send().unwrap().status(), 400, "{payload}");
    }
    for path in ["/cas/crt/renew", "/cas/crt/revoke", "/cau/crt/renew", "/cau/crt/revoke"] {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            refused(
                &house,
                &request("PUT", path, &[("Content-Type", kind)], good.to_string().as_bytes()),
                400,
            );
        }
        refused(&house, &request("PUT", path, &[], good.to_string().as_bytes()), 400);
    }
    // After all that, lists can be made, users can log in, and the good one is still good.
    assert_eq!(revocation_lists(&house, "cas")[0].entries(), []);
    assert_eq!(exchange(house.http(), put_json("/cas/crt/renew", &good.to_string())).status, 200);
    unharmed(house);
}

/// Revocation by serial and by certificate, each once; expired, foreign and revoked ones are refused.
#[test]
fn certificates_that_are_no_good_are_refused() {
    // 12 s of life, 10 of them past.
    let house = plan(Face::Up).option("service-crt-validity", "0.00013889").start();
    let holder = Holder::of(&house);
    let admin = http::holder_of(&house.administrator());
    let user = |authority: &str, payload: &Value| {
        let revoke = admin
            .put(house.https_url(&format!("/{authority}/crt/revoke")))
            .header("Content-Type", "application/json");
        let answer = revoke.body(unsigned(payload)).send().unwrap();
        let private = http::header(&answer, "cache-control").as_deref() == Some("private");
        assert_eq!(private, answer.status().is_success());
        (answer.status().as_u16(), answer.text().unwrap())
    };
    assert_eq!(user("cas", &json!({"revoke_serial": 4660})).0, 204);
    assert_eq!(user("cas", &json!({"revoke_serial": 4660})).0, 409);
    assert_eq!(user("cau", &json!({"revoke_serial": 4660})).0, 204, "each authority has its own");
    // A certificate has priority over a serial.
    let own = json!({"revoke_crt_pem": "no pem", "revoke_serial": 5});
    assert_eq!(user("cas", &own).0, 400);

    let by_other = json!({"revoke_crt_pem": holder.certificate.to_pem()});
    let (status, reason) = user("cau", &by_other);
    let foreign = "Certificate verification error: unable to get local issuer certificate";
    assert_eq!((status, reason.as_str()), (400, foreign));
    let renew = |authority: &str| {
        let body = envelope(&holder.renewal(), Digest::Sha256, &holder.key);
        exchange(house.http(), put_json(&format!("/{authority}/crt/renew"), &body))
    };
    let answer = renew("cau");
    assert_eq!((answer.status, answer.text()), (400, foreign));
    let expired = testkit::wait_for("the end of the certificate", || {
        let answer = renew("cas");
        (answer.status != 200).then_some(answer)
    });
    let ended = "Certificate verification error: certificate has expired";
    assert_eq!((expired.status, expired.text()), (400, ended));
    let (status, reason) = user("cas", &by_other);
    assert_eq!((status, reason.as_str()), (400, ended));
    // By its serial even then; no check at all.
    // (A number of 160 bits, which a `Value` cannot hold.)
    let payload = format!("{{\"revoke_serial\": {}}}", holder.certificate.serial());
    let body = json!({"payload": payload, "digest": null}).to_string();
    let revoke = admin.put(house.https_url("/cas/crt/revoke")).header("Content-Type", "application/json");
    assert_eq!(revoke.body(body).send().unwrap().status(), 204);
    unharmed(house);
}
