//! Uploads that come in several pieces: what has come stays when a connection is cut, and is its writer's alone.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

use base::Sha512;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::blocking::{Client, Response};
use serde_json::Value;
use testkit::http::{anybody, header};
use testkit::{Face, House, NetworkCache, Process, wait_for, wait_until, witness};

use super::commands::{failed, operator};
use super::old_clients::TEST_SERVER;
use super::{bucket, keep, open, with_users};
use crate::fleet_commands::Operator;
use crate::houses::{ended_without_a_fault, plan, request, up};

/// Passes everything on to the server at `port`, and resets each connection after so many bytes of what is asked there.
/// Where it listens, on 127.0.0.1.
fn shears(port: u16, bytes: u64) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let here = listener.local_addr().unwrap().port();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            // A client whose server is not there is told by the end of its connection.
            let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
            let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut (&mut asks).take(bytes), &mut asked);
                let _ = asked.shutdown(Shutdown::Both);
                let _ = asks.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut server, &mut client);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    here
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32 / 4).flat_map(u32::to_le_bytes).collect()
}

/// What a writer says of an upload.
struct Writer<'a> {
    house: &'a House,
    http: Client,
    password: Option<&'static str>,
}

impl Writer<'_> {
    fn say(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let url = self.house.http_url(path);
        let mut request = self.http.request(method.parse().unwrap(), url).body(body.to_vec());
        if let Some(name) = self.password {
            request = request.basic_auth(name, Some(name));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().unwrap()
    }

    /// Begins one; its path.
    #[track_caller]
    fn open(&self, headers: &[(&str, &str)]) -> String {
        let answer = self.say("POST", "/v1/cache/uploads", headers, b"");
        assert_eq!(answer.status(), 201);
        assert_eq!(header(&answer, "upload-offset").as_deref(), Some("0"));
        assert_eq!(header(&answer, "upload-complete").as_deref(), Some("?0"));
        assert_eq!(header(&answer, "upload-limit").as_deref(), Some("max-age=1800"));
        header(&answer, "location").unwrap()
    }

    fn append(&self, upload: &str, at: u64, is_last: bool, body: &[u8]) -> Response {
        let complete = if is_last { "?1" } else { "?0" };
        let headers = [
            ("content-type", "application/partial-upload"),
            ("upload-offset", &at.to_string()),
            ("upload-complete", complete),
        ];
        self.say("PATCH", upload, &headers, body)
    }

    #[track_caller]
    fn offset(&self, upload: &str) -> u64 {
        let answer = self.say("HEAD", upload, &[], b"");
        assert_eq!(answer.status(), 200);
        header(&answer, "upload-offset").unwrap().parse().unwrap()
    }
}

fn anybody_at(house: &House) -> Writer<'_> {
    Writer { house, http: anybody(), password: None }
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha-512=:{}:", STANDARD.encode(Sha512::of(bytes).as_bytes()))
}

#[test]
fn an_upload_goes_on_where_it_was() {
    let house = open();
    let writer = anybody_at(&house);
    let all = bytes(3_000_000);
    let upload = writer.open(&[("upload-length", "3000000"), ("repr-digest", &digest_of(&all))]);
    let some = writer.append(&upload, 0, false, &all[..1_000_000]);
    assert_eq!((some.status().as_u16(), header(&some, "upload-offset").unwrap().as_str()), (204, "1000000"));
    // Nobody sees any of it.
    let digest = Sha512::of(&all);
    let artifact = format!("/shacache/{digest}");
    assert_eq!(writer.say("GET", &artifact, &[], b"").status(), 404);

    // Not where it is.
    for at in [0, 999_999, 1_000_001] {
        let refused = writer.append(&upload, at, false, b"x");
        assert_eq!(refused.status(), 409, "{at}");
        assert_eq!(header(&refused, "upload-offset").unwrap(), "1000000");
        let problem: Value = serde_json::from_slice(&refused.bytes().unwrap()).unwrap();
        assert_eq!(
            problem["type"],
            "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
        );
    }
    // Too much, too little, and not said to be what it is.
    assert_eq!(writer.append(&upload, 1_000_000, true, &bytes(2_000_004)).status(), 422);
    assert_eq!(writer.append(&upload, 1_000_000, true, b"").status(), 422);
    let bare = [("upload-offset", "1000000"), ("upload-complete", "?1")];
    assert_eq!(writer.say("PATCH", &upload, &bare, b"x").status(), 415);
    for missing in ["upload-offset", "upload-complete"] {
        let headers: Vec<_> = [&bare[..], &[("content-type", "application/partial-upload")]].concat();
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| *name != missing).collect();
        assert_eq!(writer.say("PATCH", &upload, &headers, b"x").status(), 400, "{missing}");
    }
    let page = [("origin", "https://elsewhere.example"), ("upload-length", "1")];
    assert_eq!(writer.say("POST", "/v1/cache/uploads", &page, b"").status(), 403);
    assert_eq!(writer.say("DELETE", &upload, &[("if-match", "*")], b"").status(), 412);
    let methods = writer.say("PUT", &upload, &[], b"");
    assert_eq!(
        (methods.status().as_u16(), header(&methods, "allow").unwrap().as_str()),
        (405, "GET, HEAD, PATCH, DELETE, OPTIONS")
    );

    let asked = writer.say("OPTIONS", "/v1/cache/uploads", &[], b"");
    assert_eq!(header(&asked, "upload-limit").as_deref(), Some("max-age=1800"));

    // A connection that is cut in the middle.
    let at = writer.offset(&upload);
    let rest = &all[at as usize..];
    let headers = [
        ("Content-Type", "application/partial-upload"),
        ("Upload-Offset", &at.to_string()),
        ("Upload-Complete", "?1"),
    ];
    let whole = request("PATCH", &upload, &headers, rest);
    let mut stream = TcpStream::connect(house.http()).unwrap();
    stream.write_all(&whole[..whole.len() - 500_000]).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    let come = wait_for("what came to count", || Some(writer.offset(&upload)).filter(|come| *come > at));
    assert!(come <= 2_500_000, "{come}");

    // One that hangs is cut off by whoever comes after it.
    let headers = [("Content-Type", "application/partial-upload"), ("Upload-Complete", "?1")];
    let offset = [("Upload-Offset", come.to_string())];
    let offset: Vec<_> = offset.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let whole = request("PATCH", &upload, &[&headers[..], &offset].concat(), &all[come as usize..]);
    let mut hanging = TcpStream::connect(house.http()).unwrap();
    hanging.write_all(&whole[..whole.len() - 400_000]).unwrap();
    let come = wait_for("more to come", || Some(writer.offset(&upload)).filter(|more| *more > come));
    let kept = writer.append(&upload, come, true, &all[come as usize..]);
    assert_eq!(kept.status(), 201);
    assert_eq!(header(&kept, "upload-complete").as_deref(), Some("?1"));
    assert_eq!(header(&kept, "location").unwrap(), format!("/v1/cache/artifacts/{digest}"));
    let document: Value = serde_json::from_slice(&kept.bytes().unwrap()).unwrap();
    assert_eq!(document["sha512"], digest.to_string());
    let mut said = Vec::new();
    hanging.set_read_timeout(Some(testkit::LIMIT)).unwrap();
    hanging.read_to_end(&mut said).unwrap();
    assert!(said.starts_with(b"HTTP/1.1 409 "), "{}", String::from_utf8_lossy(&said));
    assert!(writer.say("GET", &artifact, &[], b"").bytes().unwrap() == all);
    // It is over.
    assert_eq!(writer.say("HEAD", &upload, &[], b"").status(), 404);
    ended_without_a_fault(house);
}

#[test]
fn an_upload_may_come_at_once_be_given_up_or_be_something_else() {
    let house = open();
    let writer = anybody_at(&house);
    let staged = || std::fs::read_dir(house.data().join("artifacts/staged")).unwrap().count();
    let at_once = writer.say(
        "POST",
        "/v1/cache/uploads",
        &[("upload-complete", "?1"), ("upload-length", "5")],
        b"hello",
    );
    assert_eq!(at_once.status(), 201);
    let document: Value = serde_json::from_slice(&at_once.bytes().unwrap()).unwrap();
    assert_eq!(document["sha512"], Sha512::of(b"hello").to_string());
    // What is there is there.
    keep(&house, b"hello");
    let longer = [("upload-complete", "?1"), ("upload-length", "6")];
    assert_eq!(writer.say("POST", "/v1/cache/uploads", &longer, b"hello").status(), 422);

    let upload = writer.open(&[("repr-digest", &digest_of(b"hello"))]);
    let other = writer.append(&upload, 0, true, b"other");
    assert_eq!(other.status(), 422);
    assert!(
        String::from_utf8(other.bytes().unwrap().to_vec()).unwrap().contains("not those that were announced")
    );
    assert_eq!(writer.say("HEAD", &upload, &[], b"").status(), 404);
    wait_until("nothing to be left", || staged() == 0);

    let upload = writer.open(&[]);
    assert_eq!(writer.append(&upload, 0, false, b"some").status(), 204);
    assert_eq!(writer.say("DELETE", &upload, &[], b"").status(), 204);
    wait_until("nothing to be left", || staged() == 0);
    assert_eq!(writer.say("DELETE", &upload, &[], b"").status(), 404);
    // As many as may be open.
    let uploads: Vec<_> = (0..16).map(|_| writer.open(&[])).collect();
    assert_eq!(writer.say("POST", "/v1/cache/uploads", &[], b"").status(), 409);
    assert_eq!(writer.say("DELETE", &uploads[3], &[], b"").status(), 204);
    writer.open(&[]);
    ended_without_a_fault(house);
}

#[test]
fn an_upload_is_its_writers_and_within_bounds() {
    let (_directory, plan) = with_users(&["anna", "berta"]);
    let house =
        plan.option("cache-writer-bytes-max", "10000").option("cache-artifact-bytes-max", "50000").start();
    let writer = |name| Writer { house: &house, http: anybody(), password: name };
    let (anna, berta) = (writer(Some("anna")), writer(Some("berta")));
    assert_eq!(writer(None).say("POST", "/v1/cache/uploads", &[], b"").status(), 401);
    let upload = anna.open(&[("upload-length", "6000")]);
    for (method, headers) in [
        ("HEAD", &[][..]),
        ("DELETE", &[]),
        (
            "PATCH",
            &[
                ("content-type", "application/partial-upload"),
                ("upload-offset", "0"),
                ("upload-complete", "?1"),
            ],
        ),
    ] {
        assert_eq!(berta.say(method, &upload, headers, b"").status(), 404, "{method}");
        assert_eq!(writer(None).say(method, &upload, headers, b"").status(), 401, "{method}");
    }
    // What is announced counts, as does what has come unannounced.
    assert_eq!(anna.say("POST", "/v1/cache/uploads", &[("upload-length", "4001")], b"").status(), 507);
    let other = anna.open(&[]);
    assert_eq!(anna.append(&other, 0, false, &[0; 4000]).status(), 204);
    assert_eq!(anna.append(&other, 4000, false, &[0; 1]).status(), 507);
    assert_eq!(anna.say("HEAD", &other, &[], b"").status(), 404, "it is over");
    assert_eq!(berta.say("POST", "/v1/cache/uploads", &[("upload-length", "50001")], b"").status(), 413);
    assert_eq!(anna.append(&upload, 0, true, &[1; 6000]).status(), 201);
    assert_eq!(anna.say("POST", "/v1/cache/uploads", &[("upload-length", "4001")], b"").status(), 507);
    anna.open(&[("upload-length", "4000")]);
    ended_without_a_fault(house);
}

/// Whoever was interrupted and comes again does not send everything again.
#[test]
fn an_upload_is_found_again_by_its_writer() {
    let (_directory, plan) = with_users(&["anna", "berta"]);
    let house = plan.start();
    let writer = |name| Writer { house: &house, http: anybody(), password: Some(name) };
    let (anna, digest) = (writer("anna"), digest_of(b"hello"));
    let said = [("upload-length", "5"), ("repr-digest", digest.as_str())];
    let upload = anna.open(&said);
    assert_eq!(anna.append(&upload, 0, false, b"he").status(), 204);
    let again = anna.say("POST", "/v1/cache/uploads", &said, b"");
    assert_eq!((again.status().as_u16(), header(&again, "location").unwrap()), (201, upload.clone()));
    assert_eq!(header(&again, "upload-offset").as_deref(), Some("2"));
    // What comes with it is the beginning of another one.
    let another = anna.say("POST", "/v1/cache/uploads", &said, b"he");
    assert_ne!(header(&another, "location").unwrap(), upload);
    assert_ne!(writer("berta").open(&said), upload);
    assert_eq!(anna.append(&upload, 2, true, b"llo").status(), 201);
    ended_without_a_fault(house);
}

#[test]
fn a_command_that_is_begun_again_goes_on() {
    let house = up();
    let operator = through(&house, shears(https(&house), 4_000_000));
    let all = bytes(40_000_000);
    std::fs::write(operator.home().join("large"), &all).unwrap();
    let staged = house.data().join("artifacts/staged");
    let come = || {
        let files = std::fs::read_dir(&staged).unwrap();
        files.map(|file| file.unwrap().metadata().map_or(0, |found| found.len())).max().unwrap_or(0)
    };
    let putting = Process::spawn(&mut operator.command("cache put large --json"));
    wait_until("some of it", || come() > 15_000_000);
    putting.kill();
    assert_ne!(putting.wait().code, Some(0));
    let put = operator.run("cache put large --json");
    let document: Value = serde_json::from_str(put.ok()).unwrap();
    assert!(
        document["cuts"].as_u64().unwrap() <= 8,
        "from the beginning on it would be cut more often: {put:?}"
    );
    is_there(&house, &all);
    ended_without_a_fault(house);
}

/// An operator who writes to `house` through `port`.
fn through(house: &House, port: u16) -> Operator {
    let operator = operator(house);
    operator.configure(&format!(
        "server = \"https://127.0.0.1:{port}\"\nca = \"{}\"\ncertificate = \"{}\"\n",
        house.data().join("server-ca.pem").display(),
        house.administrator().display()
    ));
    operator
}

/// The port of the house's HTTPS.
fn https(house: &House) -> u16 {
    house.https().rsplit(':').next().unwrap().parse().unwrap()
}

#[track_caller]
fn is_there(house: &House, all: &[u8]) {
    let url = house.http_url(&format!("/shacache/{}", Sha512::of(all)));
    assert!(anybody().get(url).send().unwrap().bytes().unwrap() == all);
}

#[test]
fn the_command_goes_on_after_cuts() {
    let moto = bucket::moto();
    for house in [up(), bucket::at(moto.port(), plan(Face::Up)).start()] {
        let operator = through(&house, shears(https(&house), 4_000_000));
        let all = bytes(22_000_000);
        std::fs::write(operator.home().join("large"), &all).unwrap();
        let put = operator.run("cache put large --json");
        let document: Value = serde_json::from_str(put.ok()).unwrap();
        assert_eq!(document["sha512"], Sha512::of(&all).to_string());
        let cuts = document["cuts"].as_u64().unwrap();
        assert!((5..12).contains(&cuts), "{put:?}");
        assert!(put.stderr.contains(&format!("large was sent, 21.0 MiB (cut off {cuts} times)")), "{put:?}");
        is_there(&house, &all);
        ended_without_a_fault(house);
    }
}

#[test]
fn the_command_begins_anew_when_the_server_does() {
    let mut house = up();
    let operator = through(&house, shears(https(&house), 4_000_000));
    let all = bytes(22_000_000);
    std::fs::write(operator.home().join("large"), &all).unwrap();
    let putting = Process::spawn(&mut operator.command("cache put large --json"));
    let staged = house.data().join("artifacts/staged");
    wait_until("some of it", || {
        let files = std::fs::read_dir(&staged).unwrap();
        files
            .map(|file| file.unwrap().metadata().map_or(0, |found| found.len()))
            .any(|bytes| bytes > 3_000_000)
    });
    house.kill();
    house.start();
    let put = putting.wait();
    let document: Value = serde_json::from_str(put.ok()).unwrap();
    assert!(document["cuts"].as_u64().unwrap() >= 6, "{put:?}");
    is_there(&house, &all);
    assert_eq!(std::fs::read_dir(&staged).unwrap().count(), 0);
    ended_without_a_fault(house);
}

#[test]
fn other_servers_are_posted_to() {
    let house = open();
    let client = NetworkCache::of(&house, &house.administrator());
    let (_server, url) = super::old_clients::serve(&witness("python"), &client, TEST_SERVER, &[]);
    let operator = Operator::of(&url);
    let all = bytes(22_000_000);
    std::fs::write(operator.home().join("large"), &all).unwrap();
    let put = operator.run("cache put large");
    assert!(put.ok().starts_with(&Sha512::of(&all).to_string()), "{put:?}");
    operator.run(&format!("cache get {} --out got", Sha512::of(&all))).ok();
    assert!(std::fs::read(operator.home().join("got")).unwrap() == all);
    // One that nobody lets in says so when it is posted to.
    let refusing = up();
    let operator = Operator::of(refusing.http_url("").trim_end_matches('/'));
    std::fs::write(operator.home().join("large"), &all).unwrap();
    failed(&operator.run("cache put large"), 77, "the server answered 401 to POST");
    for house in [house, refusing] {
        ended_without_a_fault(house);
    }
}
