//! Trust that is handed on by a house, from the first provider to the last requirer, at the command line.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{House, Ran, http, openssl_ok};

use crate::houses::{ended_without_a_fault, up};
use crate::program::PROVOST;

/// `provost trust` for whoever started the server, in a directory of theirs.
pub fn trust(house: &House, line: &str) -> Command {
    let mut command = Command::new(PROVOST);
    command.arg("trust").args(line.split_whitespace()).current_dir(house.directory()).env_clear();
    // Hooks are run by a shell that has to find what they name.
    command.env("HOME", "/nonexistent").env("PROVOST_DATA", house.data()).env("PATH", "/usr/bin:/bin");
    command
}

#[track_caller]
pub fn run(house: &House, line: &str) -> Ran {
    testkit::run(&mut trust(house, line))
}

#[track_caller]
pub fn shown(house: &House, line: &str) -> Value {
    let ran = run(house, &format!("{line} --json"));
    serde_json::from_str(ran.ok()).unwrap_or_else(|error| panic!("{line}: {error}: {}", ran.stdout))
}

/// Makes the certificate of an authority in the files `NAME.pem` and `NAME.key`; it is over in `days`.
pub fn authority(at: &Path, name: &str, days: u32) -> String {
    let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
    let (subject, days) = (format!("/CN={name}"), days.to_string());
    let new =
        ["req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", &key, "-out", &pem, "-subj", &subject];
    openssl_ok(at, &[&new[..], &["-days", &days]].concat());
    std::fs::read_to_string(at.join(pem)).unwrap()
}

/// As `openssl` prints it: `sha256 Fingerprint=AB:…`.
fn fingerprint(at: &Path, name: &str) -> String {
    let file = format!("{name}.pem");
    let line = openssl_ok(at, &["x509", "-in", &file, "-noout", "-fingerprint", "-sha256"]);
    line.trim_end().split_once('=').unwrap().1.to_owned()
}

#[test]
fn what_is_offered_is_had_and_what_is_withdrawn_is_not() {
    let house = up();
    let at = house.directory();
    // Our own authorities are there from the start, and hand on what they sign with.
    let own = shown(&house, "provider list");
    let names: Vec<_> = own.as_array().unwrap().iter().map(|provider| &provider["name"]).collect();
    assert_eq!(names, ["server", "services", "users"]);
    let fetched = |path: &str| http::anybody().get(house.http_url(path)).send().unwrap().text().unwrap();
    for (name, pem) in [
        ("server", std::fs::read_to_string(house.data().join("server-ca.pem")).unwrap()),
        ("services", fetched("/cas/crt/ca.crt.pem")),
        ("users", fetched("/cau/crt/ca.crt.pem")),
    ] {
        assert_eq!(shown(&house, &format!("provider show {name}"))["certificates"][0]["pem"], pem, "{name}");
    }

    assert!(run(&house, "provider set corp --grace 7d").ok().is_empty());
    run(&house, "provider set corp --refuse expired --refuse not-an-authority").ok();
    let corp = shown(&house, "provider show corp");
    assert_eq!((&corp["grace_seconds"], &corp["set"]["count"]), (&json!(604_800), &json!(0)), "{corp}");
    assert_eq!(corp["refuse"], json!(["not-an-authority", "expired"]));
    run(&house, "requirer set web poll").ok();
    let number = shown(&house, "relate corp web")["number"].as_u64().unwrap();
    assert_eq!(shown(&house, "relations --requirer web")[0]["number"], number);
    assert_eq!(shown(&house, "relations --provider users"), json!([]));

    let mut pems: Vec<_> = ["one", "two"].map(|name| authority(at, name, 400)).into();
    pems.push(authority(at, "three", 10));
    let ran = run(&house, "offer corp one.pem two.pem three.pem --why new-site");
    assert!(ran.stderr.contains(" (three) is expiring\n"), "{}", ran.stderr);
    assert!(
        ran.stderr.ends_with("corp hands on 3 certificates now (revision 1): 3 came, 0 went\n"),
        "{}",
        ran.stderr
    );
    let again = run(&house, "offer corp two.pem");
    assert_eq!(again.stderr, "corp hands on 3 certificates, as before (revision 1)\n");
    let late = run(&house, "offer corp two.pem --replace --revision 0");
    assert_eq!(late.code, Some(75), "{}", late.stderr);

    // The bundle is all of it, in order, for openssl to read, and a file is written when it is another one.
    pems.sort();
    assert_eq!(run(&house, "bundle web").ok(), pems.concat());
    assert_eq!(run(&house, "bundle web --out all.pem").stderr, "all.pem has 3 certificates, now\n");
    assert_eq!(std::fs::read_to_string(at.join("all.pem")).unwrap(), pems.concat());
    assert_eq!(run(&house, "bundle web --out all.pem").stderr, "all.pem has 3 certificates, as before\n");
    assert_eq!(openssl_ok(at, &["verify", "-CAfile", "all.pem", "one.pem"]), "one.pem: OK\n");

    // What is only for one.
    authority(at, "mine", 400);
    run(&house, &format!("offer corp mine.pem --relation {number}")).ok();
    assert_eq!(shown(&house, &format!("relation {number}"))["certificates"][0]["subject"], "mine");
    assert_eq!(shown(&house, "bundle web")["certificates"].as_array().unwrap().len(), 4);
    assert_eq!(shown(&house, "provider show corp")["set"]["count"], 3);

    let one = fingerprint(at, "one");
    let told = run(&house, &format!("explain {one}"));
    for words in [
        "subject      one\n",
        " for corp because new-site\n",
        "  corp to all its requirers\n",
        "to be had by:\n  web\n",
    ] {
        assert!(told.ok().contains(words), "{words}: {}", told.stdout);
    }
    let mine = shown(&house, "explain --file mine.pem");
    assert_eq!(mine["offered"], json!([{"provider": "corp", "relation": number}]), "{mine}");
    authority(at, "stranger", 400);
    let unknown = run(&house, "explain --file stranger.pem");
    assert_eq!(unknown.code, Some(66), "{}", unknown.stderr);
    let several = run(&house, "explain --file all.pem");
    assert_eq!((several.code, several.stderr.contains("there are 3 certificates")), (Some(65), true));

    // A requirer that would lose most of what it has is asked for.
    let refused = run(&house, "withdraw corp --all");
    assert_eq!(refused.code, Some(75), "{}", refused.stderr);
    assert!(
        refused.stderr.ends_with("hint: if that is meant, say so with `--confirm`\n"),
        "{}",
        refused.stderr
    );
    assert_eq!(shown(&house, "bundle web")["certificates"].as_array().unwrap().len(), 4);
    run(&house, &format!("withdraw corp {one}")).ok();
    assert!(!run(&house, "bundle web").ok().contains(&std::fs::read_to_string(at.join("one.pem")).unwrap()));
    assert_eq!(shown(&house, &format!("explain {one}"))["offered"], json!([]));
    run(&house, "withdraw corp --file two.pem").ok();
    run(&house, "withdraw corp --all --confirm").ok();
    let refused = run(&house, &format!("unrelate {number}"));
    assert_eq!(refused.code, Some(75), "{}", refused.stderr);
    run(&house, &format!("unrelate {number} --confirm")).ok();
    let ran = run(&house, "bundle web --out all.pem");
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("", "all.pem is empty, as nothing is to be trusted, now\n"));
    assert_eq!(std::fs::read(at.join("all.pem")).unwrap(), b"");

    // What the policy refuses is not handed on; leaves are, where nothing is refused.
    std::fs::copy(house.administrator(), at.join("admin.pem")).unwrap();
    let leaf = openssl_ok(at, &["x509", "-in", "admin.pem"]);
    std::fs::write(at.join("leaf.pem"), leaf).unwrap();
    let refused = run(&house, "offer corp leaf.pem");
    assert_eq!((refused.code, refused.stderr.contains("not-an-authority")), (Some(65), true), "{refused:?}");
    run(&house, "provider set corp --refuse-nothing").ok();
    run(&house, "offer corp leaf.pem").ok();

    run(&house, "provider remove corp").ok();
    assert!(shown(&house, "provider show corp")["until"].is_string(), "it has a grace");
    run(&house, "requirer remove web --leave-behind").ok();
    assert_eq!(shown(&house, "requirer list"), json!([]));
    let own = run(&house, "withdraw users --all --confirm");
    assert_eq!(own.code, Some(75), "{}", own.stderr);
    ended_without_a_fault(house);
}

/// As `openssl` makes them: told and shown where nothing is refused, and refused where that is the policy.
#[test]
fn what_is_odd_is_told_and_refused_where_the_policy_says_so() {
    let house = up();
    let at = house.directory();
    authority(at, "root", 400);
    std::fs::write(at.join("ca.cnf"), "basicConstraints=critical,CA:TRUE\n").unwrap();
    let new = "req -x509 -nodes -keyout key -out";
    for line in [
        &*format!("{new} weak-signature.pem -subj /CN=a -newkey rsa:2048 -sha1 -days 400"),
        &format!("{new} short-key.pem -subj /CN=b -newkey rsa:1024 -sha256 -days 400"),
        &format!("{new} expiring.pem -subj /CN=c -newkey ed25519 -days 5"),
        &format!("{new} not-an-authority.pem -subj /CN=d -newkey ed25519 -addext basicConstraints=CA:FALSE"),
        "req -new -nodes -newkey ed25519 -keyout sub.key -out sub.csr -subj /CN=e",
        "x509 -req -in sub.csr -CA root.pem -CAkey root.key -set_serial 7 -extfile ca.cnf -days 400 -out not-self-signed.pem",
        "x509 -req -in sub.csr -signkey sub.key -extfile ca.cnf -days -1 -out expired.pem",
    ] {
        openssl_ok(at, &line.split(' ').collect::<Vec<_>>());
    }
    run(&house, "provider set lax --refuse-nothing").ok();
    let odd = ["weak-signature", "short-key", "expiring", "not-an-authority", "not-self-signed", "expired"];
    for finding in odd {
        run(&house, &format!("provider set strict --refuse {finding}")).ok();
        let refused = run(&house, &format!("offer strict {finding}.pem"));
        assert_eq!(refused.code, Some(65), "{finding}: {}", refused.stderr);
        assert!(
            refused.stderr.contains(&format!(" is {finding}\nhint: the provider's policy ")),
            "{finding}: {}",
            refused.stderr
        );
        let told = run(&house, &format!("offer lax {finding}.pem"));
        let line = told.stderr.lines().find(|line| line.starts_with("warning: "));
        assert!(line.is_some_and(|line| line.contains(finding)), "{finding}: {}", told.stderr);
        let all = shown(&house, "provider show lax");
        let is_shown = |one: &Value| one["findings"].as_array().unwrap().contains(&json!(finding));
        assert!(all["certificates"].as_array().unwrap().iter().any(is_shown), "{finding}: {all}");
    }
    assert_eq!(shown(&house, "provider show strict")["set"]["count"], 0);
    run(&house, "offer strict root.pem").ok();
    ended_without_a_fault(house);
}

/// Whoever asks the server past our own command.
#[test]
fn a_private_key_is_refused_by_the_server_and_nowhere_on_its_disk() {
    let mut house = up();
    let at = house.directory().to_owned();
    run(&house, "provider set corp").ok();
    let pem = authority(&at, "one", 400);
    let key = std::fs::read_to_string(at.join("one.key")).unwrap();
    let body = json!({"change": "add", "pem": format!("{pem}{key}")});
    std::fs::write(at.join("body.json"), body.to_string()).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--json", "@body.json", "--cacert"])
        .arg(house.data().join("server-ca.pem"))
        .arg("--cert")
        .arg(house.administrator())
        .arg(house.https_url("/v1/trust/providers/corp/offers"))
        .current_dir(&at);
    let answer: Value = serde_json::from_str(testkit::run(&mut curl).ok()).unwrap();
    assert_eq!(answer["status"], 422, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("private key"), "{answer}");
    assert_eq!(shown(&house, "provider show corp")["set"]["count"], 0);
    house.stop();
    let secret = key.lines().nth(1).unwrap().as_bytes();
    let kept = std::fs::read_dir(house.data()).unwrap().map(|entry| entry.unwrap().path());
    for path in kept.filter(|path| path.is_file()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{}", path.display());
    }
}
