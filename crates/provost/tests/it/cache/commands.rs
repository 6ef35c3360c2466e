//! `provost cache`, with a house, with the stock clients beside it, and with servers that cheat.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base::{Sha512, Timestamp};
use entry::{Claims, Entry, New, Object, SigningKey, Value as Said, keys};
use serde_json::{Value, json};
use testkit::{House, NetworkCache, Process, Ran, StandIn, StandInReply, http};
use x509::PrivateKey;

use super::service;
use crate::fleet_commands::Operator;
use crate::houses::{ended_without_a_fault, up};

/// Somebody who writes to `house`, signs, and believes themselves.
pub fn operator(house: &House) -> Operator {
    let operator = Operator::new();
    connect(&operator, house);
    let root = operator.run("cache sign-key anna");
    operator.write(".config/provost/cache-trust.toml", root.ok());
    operator
}

fn connect(operator: &Operator, house: &House) {
    let (ca, certificate) = (house.data().join("server-ca.pem"), house.administrator());
    operator.configure(&format!(
        "server = \"{}\"\nca = \"{}\"\ncertificate = \"{}\"\n",
        house.https_url("").trim_end_matches('/'),
        ca.display(),
        certificate.display()
    ));
}

/// The documents that a command printed with `--json`.
fn documents(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `explain` says of each entry: `counts`, or the code of the reason.
fn codes(operator: &Operator, line: &str) -> Vec<String> {
    let ran = operator.run(&format!("cache explain --json {line}"));
    let code = |document: &Value| document["code"].as_str().unwrap_or("counts").to_owned();
    documents(&ran).iter().map(code).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[track_caller]
pub fn failed(ran: &Ran, code: i32, said: &str) {
    assert_eq!(ran.code, Some(code), "{ran:#?}");
    assert!(ran.stderr.contains(said), "{said}\n{ran:#?}");
}

#[test]
fn what_is_put_is_found_fetched_and_withdrawn() {
    let house = up();
    let operator = operator(&house);
    let key_file = operator.home().join(".config/provost/cache-sign-key.pem");
    assert_eq!(std::fs::metadata(&key_file).unwrap().permissions().mode() & 0o7777, 0o600);
    failed(&operator.run("cache sign-key anna"), 75, "hint: name another one with --out FILE");

    operator.write("one", "first");
    let second = "second".repeat(500_000);
    operator.write("two", &second);
    let (one, two) = (Sha512::of(b"first"), Sha512::of(second.as_bytes()));
    let put = operator.run("cache put one two --url http://example.invalid/d/ --set by=hand -j 2");
    let mut lines: Vec<&str> = put.ok().lines().collect();
    lines.sort_by_key(|line| line.split(' ').next_back());
    assert_eq!(lines, [format!("{one}  one"), format!("{two}  two")]);
    assert!(put.stderr.contains("one was sent, 5 B, and is signed under file-urlmd5:"), "{put:?}");
    assert!(!put.stderr.contains('\u{1b}'), "nothing is painted where there is no terminal: {put:?}");
    // What is known is not said again.
    let again =
        documents(&operator.run("cache put one --url http://example.invalid/d/one --set by=hand --json"));
    assert_eq!((&again[0]["is_new"], &again[0]["said"]["is_new"]), (&json!(false), &json!(false)));
    assert_eq!(codes(&operator, "--url http://example.invalid/d/one"), ["counts"]);

    let found = operator.run("cache find --json --url http://example.invalid/d/two");
    let found = &documents(&found)[0];
    assert_eq!(found["sha512"], two.to_string());
    assert_eq!((&found["signer"], &found["bytes"]), (&json!("anna"), &json!(3_000_000)));
    assert_eq!(found["statement"]["url"], "http://example.invalid/d/two");
    let nothing = operator.run("cache find --url http://example.invalid/d/two --where by==\"machine\"");
    failed(&nothing, 66, "nothing that was asked for is under");

    let urls = "--url http://example.invalid/d/one --url http://example.invalid/d/two";
    std::fs::create_dir(operator.home().join("into")).unwrap();
    operator.run(&format!("cache get {urls} --into into")).ok();
    assert_eq!(names(&operator.home().join("into")), ["one", "two"]);
    assert!(std::fs::read(operator.home().join("into/two")).unwrap() == second.as_bytes());
    operator.run(&format!("cache verify {urls}")).ok();
    operator.run("cache verify --url http://example.invalid/d/one --file one").ok();
    failed(
        &operator.run("cache verify --url http://example.invalid/d/one --file two"),
        75,
        "two is not what",
    );
    // Who does not say who they are does not write.
    operator.write("nobody.toml", &format!("server = \"{}\"\n", house.http_url("").trim_end_matches('/')));
    let put = operator.run("cache put other-file --client-config nobody.toml");
    failed(&put, 66, "could not read other-file");
    operator.write("other-file", "other");
    let put = operator.run("cache put other-file --client-config nobody.toml");
    failed(&put, 77, "the server answered 401 to POST");
    assert!(
        put.stderr.ends_with("hint: say who you are, with --certificate FILE or --user NAME\n"),
        "{put:?}"
    );
    // The bytes alone need nobody to be believed.
    operator.run(&format!("cache get {one} --out bytes")).ok();

    // What is there is left alone, unless it is the same or to be replaced.
    operator.write("other", "other");
    let get = "cache get --url http://example.invalid/d/one";
    failed(&operator.run(&format!("{get} --out other")), 75, "other is there already, and is something else");
    operator.run(&format!("{get} --out one")).ok();
    operator.run(&format!("{get} --out other --force")).ok();
    assert_eq!(std::fs::read(operator.home().join("other")).unwrap(), b"first");

    // What is not there does not keep the others away.
    let both = operator.run(&format!("{get} missing"));
    failed(&both, 66, "error: missing: there is nothing under `missing`");
    assert!(both.stdout.ends_with("  one\n") && both.stderr.ends_with("error: 1 of 2 failed\n"), "{both:?}");
    let withdrawn = operator.run("cache withdraw --url http://example.invalid/d/one");
    assert!(withdrawn.stderr.contains("withdrew 1 entry under file-urlmd5:"), "{withdrawn:?}");
    failed(&operator.run(&format!("{get} --out again")), 77, "its signer withdrew it");
    assert_eq!(codes(&operator, "--url http://example.invalid/d/one"), ["withdrawn", "withdrawal"]);
    failed(
        &operator.run("cache withdraw --url http://example.invalid/d/one"),
        66,
        "nothing that could be withdrawn",
    );
    // Said once more, it counts once more.
    operator.run("cache put one --url http://example.invalid/d/one").ok();
    operator.run(&format!("{get} --out again")).ok();
    ended_without_a_fault(house);
}

/// What the stock client uploaded we read, and the other way round.
#[test]
fn the_stock_clients_and_ours_meet() {
    let house = up();
    let operator = operator(&house);
    let stock = NetworkCache::of(&house, &service(&house, "build-1"));
    stock.write("file", b"theirs");
    stock.upload(&["-f", "file", "-u", "http://example.invalid/theirs", "n=1"]).ok();
    let get = "cache get --url http://example.invalid/theirs --out theirs";
    failed(&operator.run(get), 77, "whoever signed it is not among those who are believed");
    assert_eq!(codes(&operator, "--url http://example.invalid/theirs"), ["unknown-signer"]);
    let root = |weak: bool| {
        let certificate = stock.certificate();
        format!(
            "[[root]]\nname = \"old\"\nweak = {weak}\n[[root.signer]]\nname = \"build\"\ncertificates = '''\n{certificate}'''\n"
        )
    };
    operator.write("weak.toml", &root(true));
    operator.write("strong.toml", &root(false));
    failed(
        &operator.run(&format!("{get} --trust strong.toml")),
        77,
        "RSA and SHA-1 alone, which is too weak",
    );
    let got = operator.run(&format!("{get} --trust weak.toml"));
    assert_eq!(got.ok(), format!("{}  theirs\n", Sha512::of(b"theirs")));
    assert!(got.stderr.contains("signed by build"), "{got:?}");

    // Old readers see the outer signature, and one more member.
    operator.write("ours", "ours");
    operator.run("cache put ours --key a/b --set version=7").ok();
    let keys = std::fs::read_to_string(operator.home().join(".config/provost/cache-sign-key.pem")).unwrap();
    let begin = keys.find("-----BEGIN CERTIFICATE").unwrap();
    let certificate = &keys[begin..keys.rfind("-----BEGIN PRIVATE").unwrap()];
    stock.write_configuration(&house, &service(&house, "reader"), &[certificate, &stock.certificate()]);
    assert_eq!(stock.download(&["-k", "a/b", "version==\"7\""]).ok(), "ours");
    let listed = stock.download(&["-k", "a/b", "-l"]);
    assert!(
        listed.ok().contains("\"provost\": {") && listed.ok().contains("\"version\": \"7\""),
        "{listed:?}"
    );
    ended_without_a_fault(house);
}

/// Somebody's keys, as `sign-key` wrote them.
struct Keys {
    outer: SigningKey,
    attester: PrivateKey,
}

fn keys_of(file: &Path) -> Keys {
    let text = std::fs::read_to_string(file).unwrap();
    let (attester, outer) = (text.rfind("-----BEGIN").unwrap(), text.find("-----BEGIN CERTIFICATE").unwrap());
    Keys {
        outer: SigningKey::from_pem(&text[..outer]).unwrap(),
        attester: PrivateKey::from_pem(&text[attester..]).unwrap(),
    }
}

fn claims(key: &str, sequence: u64) -> Claims {
    let created = Timestamp::from_unix(1_700_000_000);
    Claims { key: key.into(), size: 5, created, expires: None, sequence, revokes: Vec::new() }
}

fn members(text: &str) -> Object {
    entry::json::read(text).unwrap().as_object().unwrap().clone()
}

fn put(house: &House, key: &str, entry: &Entry) {
    let client = http::holder_of(&house.administrator());
    let answer = client.put(house.https_url(&format!("/shadir/{key}"))).body(entry.to_json()).send().unwrap();
    assert_eq!(answer.status(), 201);
}

#[test]
fn explain_tells_why_each_entry_counts_or_not() {
    let house = up();
    let operator = operator(&house);
    operator.write("file", "hello");
    operator.run("cache put file").ok();
    let anna = keys_of(&operator.home().join(".config/provost/cache-sign-key.pem"));
    operator.run("cache sign-key mallory --out mallory.pem").ok();
    let mallory = keys_of(&operator.home().join("mallory.pem"));

    let key = keys::release("http://example.invalid/software.cfg");
    let platform = r#"{"multiarch": "pdp11-unix", "os": ["unix", "7", ""]}"#;
    let url = r#"{"url": "x"}"#;
    let sign = |keys: &Keys, claims: &Claims, text: &str, bytes: &[u8]| {
        let attestation = Some((claims, &keys.attester));
        New { sha512: Sha512::of(bytes), metadata: members(text), attestation }
            .sign(Some(&keys.outer))
            .unwrap()
    };
    let old = New { sha512: Sha512::of(b"hello"), metadata: members(url), attestation: None };
    let expired = Claims { expires: Some(Timestamp::from_unix(1_700_000_001)), ..claims("k", 2) };
    let good = sign(&anna, &claims("k", 1), url, b"hello");
    let forged = Entry::new(good.text().replace("\"x\"", "\"y\""), good.signature().to_owned()).unwrap();
    let entries = [
        good,
        old.clone().sign(None).unwrap(),
        old.sign(Some(&anna.outer)).unwrap(),
        sign(&mallory, &claims("k", 1), url, b"hello"),
        forged,
        sign(&anna, &expired, url, b"hello"),
        sign(&anna, &claims("elsewhere", 3), url, b"hello"),
        sign(&anna, &claims("k", 4), url, b"not there"),
    ];
    for entry in &entries {
        put(&house, "k", entry);
    }
    let expected = [
        "counts",
        "unsigned",
        "weak",
        "unknown-signer",
        "bad-attestation",
        "expired",
        "wrong-key",
        "not-there",
    ];
    assert_eq!(codes(&operator, "k"), expected);
    let told = operator.run("cache explain k");
    assert_eq!(told.code, Some(0), "{told:?}");
    for said in [
        "ENTRY",
        "counts",
        "nobody signed it",
        "too weak",
        "its attestation is not in order",
        "it expired 2023-11-14",
        "it was signed for the key `elsewhere`",
        "the object is not there",
    ] {
        assert!(told.stdout.contains(said), "{said}: {told:#?}");
    }
    assert!(told.stderr.contains("hint: its signer calls itself "), "{told:#?}");
    // What cannot be fetched is passed over.
    let got = operator.run("cache get k --out got");
    assert_eq!(got.ok(), format!("{}  got\n", Sha512::of(b"hello")));

    put(&house, &key, &sign(&anna, &claims(&key, 5), platform, b"hello"));
    assert_eq!(codes(&operator, &key), ["other-platform"]);
    assert_eq!(codes(&operator, &format!("{key} --any-platform")), ["counts"]);
    failed(&operator.run(&format!("cache explain {key}")), 66, "nothing under");
    failed(&operator.run("cache explain none"), 66, "there is nothing under `none`");
    std::fs::remove_file(operator.home().join(".config/provost/cache-trust.toml")).unwrap();
    assert_eq!(codes(&operator, "k")[0], "no-root");
    failed(&operator.run("cache get k --out got2"), 65, "nothing says whom to believe");
    ended_without_a_fault(house);
}

/// So many signers must agree.
#[test]
fn as_many_signers_as_a_root_asks_for_must_agree() {
    let house = up();
    let anna = operator(&house);
    let bert = operator(&house);
    let root = |operator: &Operator| {
        std::fs::read_to_string(operator.home().join(".config/provost/cache-trust.toml")).unwrap()
    };
    let signer = |operator: &Operator, name: &str| {
        root(operator).split_once("[[root.signer]]").unwrap().1.replace("anna", name)
    };
    let both = format!(
        "[[root]]\nname = \"both\"\nsigners_min = 2\n[[root.signer]]{}[[root.signer]]{}",
        signer(&anna, "anna"),
        signer(&bert, "bert")
    );
    anna.write("both.toml", &both);
    for who in [&anna, &bert] {
        who.write("file", "same");
    }
    anna.run("cache put file --key k").ok();
    let get = "cache get k --trust both.toml --out got";
    failed(&anna.run(get), 77, "1 of 2 signers have signed these bytes");
    assert_eq!(codes(&anna, "k --trust both.toml"), ["too-few-signers"]);
    bert.run("cache put file --key k").ok();
    anna.run(get).ok();
    bert.run("cache withdraw k").ok();
    assert_eq!(codes(&anna, "k --trust both.toml"), ["too-few-signers", "withdrawn", "withdrawal"]);
    ended_without_a_fault(house);
}

/// A server that answers with this list, and with these bytes for whatever is asked for.
fn cheat(list: String, bytes: &'static str) -> StandIn {
    StandIn::http(move |asked| {
        let body = if asked.path.starts_with("/shadir/") { list.clone() } else { bytes.to_owned() };
        Some(StandInReply { status: 200, headers: Vec::new(), body })
    })
}

#[test]
fn a_server_that_cheats_is_noticed() {
    let operator = Operator::new();
    let root = operator.run("cache sign-key anna");
    operator.write(".config/provost/cache-trust.toml", root.ok());
    let keys = keys_of(&operator.home().join(".config/provost/cache-sign-key.pem"));
    let entry = |sequence| {
        let claims = claims("k", sequence);
        let mut metadata = Object::new();
        metadata.insert("basename", Said::text("../../named"));
        New { sha512: Sha512::of(b"hello"), metadata, attestation: Some((&claims, &keys.attester)) }
            .sign(None)
            .unwrap()
    };
    let (first, second) = (entry(1), entry(2));
    let honest = cheat(entry::render([&first, &second]), "hello");
    let server = |server: &StandIn| format!("--server {}", server.url("").trim_end_matches('/'));
    operator.run(&format!("cache get k {}", server(&honest))).ok();
    assert_eq!(std::fs::read(operator.home().join("named")).unwrap(), b"hello");
    let before = names(operator.home());

    // Other bytes, fewer, more: nothing is left of them.
    for (bytes, code) in [("hellO", 70), ("hell", 69), ("hello world", 65)] {
        let cheat = cheat(entry::render([&second]), bytes);
        let ran = operator.run(&format!("cache get k --out got {}", server(&cheat)));
        assert!(ran.code == Some(code) || ran.code == Some(70), "{bytes}: {ran:?}");
        assert_eq!(names(operator.home()), before, "{ran:?}");
    }
    // One that keeps the latest back was seen to have it.
    let behind = cheat(entry::render([&first]), "hello");
    let ran = operator.run(&format!("cache get k --out got {}", server(&behind)));
    failed(&ran, 77, "sequence 2 was seen, and 1 is the highest that is shown");
    assert_eq!(codes(&operator, &format!("k {}", server(&behind))), ["rolled-back"]);
    // The digest is right, and there is less than was signed.
    let more = Claims { size: 6, ..claims("long", 1) };
    let mut metadata = Object::new();
    metadata.insert("basename", Said::text("named"));
    let signed = New { sha512: Sha512::of(b"hello"), metadata, attestation: Some((&more, &keys.attester)) };
    let short = cheat(entry::render([&signed.sign(None).unwrap()]), "hello");
    for line in ["get long --out got", "verify long"] {
        let ran = operator.run(&format!("cache {line} {}", server(&short)));
        failed(&ran, 70, "has 5 bytes, and 6 were signed");
        assert_eq!(names(operator.home()), before, "{ran:?}");
    }
    // What was seen is not passed over where somebody spoilt it.
    let memory = operator.home().join(".local/state/provost/cache-seen");
    let file = memory.join(base::hex::encode(&base::sha256(b"k")));
    let seen = std::fs::read(&file).unwrap();
    std::fs::write(&file, "").unwrap();
    let ran = operator.run(&format!("cache get k --out got {}", server(&behind)));
    failed(&ran, 65, "what was seen of signers before cannot be read");
    assert!(ran.stderr.contains(&format!("hint: `rm {}` forgets it", file.display())), "{ran:?}");
    std::fs::write(&file, seen).unwrap();
    // Malformed entries are passed over.
    let list = entry::render([&second]).replacen('[', "[1, [\"x\", \"y\"], ", 1);
    let odd = cheat(list, "hello");
    let told = operator.run(&format!("cache explain k {}", server(&odd)));
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stderr.contains("note: 2 entries under k passed over as malformed"), "{told:?}");
    // Of several servers the first that answers is asked.
    let ran = operator.run(&format!("cache get k --out got --server http://127.0.0.1:1 {}", server(&honest)));
    assert!(ran.ok().ends_with("  got\n") && ran.stderr.contains("; asking http://127.0.0.1:"), "{ran:?}");
}

#[test]
fn a_download_that_is_cut_goes_on() {
    let operator = Operator::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let serves = std::thread::spawn(move || {
        for (asked, answer) in [
            ("", "200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: 10\r\n\r\nhello"),
            (
                "bytes=5-",
                "206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nhello",
            ),
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
            assert_eq!(head.contains("range: "), !asked.is_empty(), "{head}");
            assert!(head.contains(asked), "{head}");
            stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).unwrap();
        }
    });
    let digest = Sha512::of(b"hellohello");
    operator.run(&format!("cache get {digest} --out got --server {server}")).ok();
    assert_eq!(std::fs::read(operator.home().join("got")).unwrap(), b"hellohello");
    serves.join().unwrap();
}

/// Nothing is left of a file that somebody does not wait for.
#[test]
fn who_is_stopped_leaves_nothing() {
    let operator = Operator::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let serves = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").unwrap();
        // Until the other side goes.
        let _ = stream.read(&mut head);
    });
    let digest = Sha512::of(b"hellohello");
    let got =
        Process::spawn(&mut operator.command(&format!("cache get {digest} --out got --server {server}")));
    let parts = || names(operator.home()).iter().filter(|name| name.ends_with(".part")).count();
    testkit::wait_until("a part is there", || parts() == 1);
    got.terminate();
    assert_eq!(got.wait().code, Some(143));
    assert_eq!(names(operator.home()), [""; 0]);
    serves.join().unwrap();
}

#[test]
fn how_far_it_is_is_painted_on_a_terminal() {
    let operator = Operator::new();
    let cheat = cheat(String::new(), "hello");
    let mut script = std::process::Command::new("script");
    let wanted = format!(
        "{} cache get {} --out got --server {}",
        crate::program::PROVOST,
        Sha512::of(b"hello"),
        cheat.url("").trim_end_matches('/')
    );
    script.args(["-qec", &wanted, "/dev/null"]).env("HOME", operator.home()).env("SHELL", "/bin/sh");
    let ran = Process::spawn(script.current_dir(operator.home())).wait();
    let painted = "\r\u{1b}[K[....................] 0 of 1 files, 0 B of 0 B";
    assert!(ran.ok().contains(painted) && ran.stdout.contains("  got\r\n"), "{ran:#?}");
}

/// `scrub` reads all of it now, where nothing does that by itself, and ends with 70 when something has rotted.
#[test]
fn what_has_rotted_is_found_when_somebody_asks() {
    let house = crate::houses::plan(testkit::Face::Up)
        .option("cache-scrub-bytes-per-second", "0")
        .option("cache-writers", "everyone")
        .start();
    let operator = Operator::new();
    connect(&operator, &house);
    let status = operator.run("cache scrub --status");
    assert_eq!((status.code, status.stdout.as_str()), (Some(0), ""), "{status:#?}");
    assert!(status.stderr.contains("nothing was read again yet"), "{status:#?}");
    let well = super::keep(&house, b"well");
    let rotten = super::keep(&house, b"fine");
    let scrub = operator.run("cache scrub");
    assert_eq!((scrub.code, scrub.stdout.as_str()), (Some(0), ""), "{scrub:#?}");
    assert!(scrub.stderr.contains("read again until 2") && scrub.stderr.contains(": 8 B"), "{scrub:#?}");
    let name = rotten.to_string();
    let file = house.data().join("artifacts").join(&name[..2]).join(&name);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, "rust").unwrap();
    let scrub = operator.run("cache scrub");
    failed(&scrub, 70, "one artifact is damaged");
    assert!(
        scrub.stdout.lines().any(|line| line.starts_with(&name) && line.ends_with("put aside")),
        "{scrub:#?}"
    );
    let status = operator.run("cache scrub --status --json");
    assert_eq!(status.code, Some(70), "{status:#?}");
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!((&status["put_aside"], &status["is_whole"]), (&json!([name]), &json!(true)), "{status}");
    let artifact =
        |digest: Sha512| http::anybody().get(house.http_url(&format!("/shacache/{digest}"))).send().unwrap();
    assert_eq!(
        (artifact(well).status(), artifact(rotten).status()),
        (200.try_into().unwrap(), 404.try_into().unwrap())
    );
    // It is sent again, and all is well.
    assert_eq!(super::keep(&house, b"fine"), rotten);
    operator.run("cache scrub --no-wait").ok();
    let scrub = operator.run("cache scrub --json");
    let scrub: Value = serde_json::from_str(scrub.ok()).unwrap();
    assert_eq!((&scrub["damaged"], &scrub["bytes"]), (&json!(0), &json!(8)), "{scrub}");
    drop(house);
}

#[test]
fn what_is_wrong_is_said() {
    let operator = Operator::new();
    operator.write("file", "x");
    operator.write("broken.toml", "[[root]]\nname = 1\n");
    operator.write("list.json", "[1]");
    let server = "--server http://127.0.0.1:1";
    for (line, code, said) in [
        ("cache put file --key k".to_owned(), 66, "hint: `provost cache sign-key NAME` makes one"),
        ("cache put file --set a=1".to_owned(), 65, "without --key or --url nothing is said of the bytes"),
        ("cache put file file --key k".to_owned(), 65, "for several files, --key or --url ends in a slash"),
        ("cache put file --key k --metadata list.json".to_owned(), 65, "it is not a JSON object"),
        ("cache put file --key k --set sha512=1".to_owned(), 65, "`sha512` is no name for metadata"),
        ("cache put file --key k --url u".to_owned(), 2, "cannot be used with"),
        ("cache put".to_owned(), 2, "Usage"),
        ("cache get".to_owned(), 2, "Usage"),
        ("cache get a b --out c".to_owned(), 65, "--out is for one file"),
        ("cache get a -j 0".to_owned(), 2, "invalid value"),
        ("cache get a".to_owned(), 65, "nothing says whom to believe"),
        ("cache find a --where a".to_owned(), 65, "Could not parse criterion"),
        (
            "cache find a --trust broken.toml".to_owned(),
            65,
            "broken.toml does not say whom to believe: line 2",
        ),
        ("cache find a --trust nowhere.toml".to_owned(), 66, "could not read nowhere.toml"),
        (format!("cache put nowhere {server}"), 66, "could not read nowhere"),
        (format!("cache put file {server}"), 69, "could not reach http://127.0.0.1:1/shacache/"),
        ("cache put file".to_owned(), 65, "nothing says which server to ask"),
        ("cache sign-key anna --rsa-bits 1024".to_owned(), 2, "it is 2048, 3072 or 4096"),
        ("cache put file --key k --sign-key file".to_owned(), 65, "file may be read by others (mode 0644)"),
        ("cache sign-key  --out key".to_owned(), 65, "a signer has a name"),
    ] {
        let ran = operator.run(&line);
        failed(&ran, code, said);
        assert_eq!(ran.stdout, "", "{line}");
    }
}
