//! How a process begins on an etcd that others use, or that is not there.

use std::process::Command;

use testkit::{Cable, Etcd, EtcdPlan, Face, Pass, Process, exchange, run};

use super::{Key, two};
use crate::houses::{certificate, csr, get, issued, key, plan, submit, up};
use crate::program::PROVOST;

/// `provost` and these arguments, on `data` and with nothing in the environment.
fn provost(data: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROVOST);
    command.env_clear().args(&arguments[..1]);
    if arguments[0] == "store" {
        command.arg(arguments[1]);
    }
    let rest = if arguments[0] == "store" { 2 } else { 1 };
    command.arg("--data").arg(data).args(&arguments[rest..]);
    command
}

fn on(endpoint: &str) -> [String; 4] {
    ["--store-engine", "etcd", "--store-etcd-endpoints", endpoint].map(str::to_owned)
}

fn with<'a>(first: &[&'a str], flags: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    first.iter().copied().chain(flags.iter().map(String::as_str)).chain(more.iter().copied()).collect()
}

/// Who has no key, or another one, is told what to do, and changes nothing.
#[test]
fn who_has_not_the_same_key_is_refused() {
    let etcd = Etcd::start(1);
    let house = plan(Face::Up).etcd(&etcd).start();
    let flags = on(&etcd.endpoint(0));
    let directory = tempfile::tempdir().unwrap();
    let arguments = with(&["up"], &flags, &["--netloc", "127.0.0.1:1", "--base-port", "0"]);
    let port = testkit::free_pair().to_string();
    let arguments: Vec<&str> =
        arguments.into_iter().map(|word| if word == "0" { port.as_str() } else { word }).collect();

    let ran = run(&mut provost(&directory.path().join("new"), &arguments));
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.stderr.contains("store.key, which their secrets are sealed with, is not here"), "{ran:?}");
    assert!(ran.stderr.contains("hint: copy store.key"), "{ran:?}");
    assert!(!directory.path().join("new/store.key").exists(), "none is made that would be of no use");

    let other = Key::new();
    let data = directory.path().join("other");
    std::fs::create_dir(&data).unwrap();
    std::fs::copy(&other.file, data.join("store.key")).unwrap();
    // But for what the house that runs does by itself meanwhile: it claims its work, and links its history.
    let keys = || -> Vec<String> {
        let all = etcd.etcdctl(&["get", "--prefix", "", "--keys-only"]).ok().to_owned();
        let is_its_own = |key: &&str| ["/claim/", "/fence/", "/audit/"].iter().any(|own| key.contains(own));
        all.lines().filter(|key| !key.is_empty() && !is_its_own(key)).map(str::to_owned).collect()
    };
    let before = keys();
    let ran = run(&mut provost(&data, &arguments));
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.stderr.contains("made with another sealing key"), "{ran:?}");
    assert_eq!(keys(), before);

    std::fs::copy(house.data().join("store.key"), data.join("store.key")).unwrap();
    let joined = plan(Face::Up).etcd(&etcd).store_key(&house.data().join("store.key")).start();
    assert!(!joined.data().join("admin.pem").exists(), "there is an administrator already");
    assert_eq!(
        std::fs::read(joined.data().join("server-ca.pem")).unwrap(),
        std::fs::read(house.data().join("server-ca.pem")).unwrap()
    );
}

/// An etcd that comes later is waited for; one that does not come is an error.
#[test]
fn an_etcd_that_is_not_there_is_waited_for() {
    let etcd = Etcd::start(1);
    let cable = Cable::to(etcd.port(0));
    cable.set(Pass::Nothing);
    let flags = on(&format!("http://127.0.0.1:{}", cable.port()));
    let directory = tempfile::tempdir().unwrap();
    let netloc = format!("127.0.0.1:{}", testkit::free_pair());
    let arguments = with(&["up"], &flags, &["--netloc", &netloc, "--store-etcd-deadline-seconds", "0.5"]);

    let short = [&arguments[..], &["--store-etcd-wait-seconds", "1"]].concat();
    let ran = run(&mut provost(&directory.path().join("short"), &short));
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.stderr.contains("error: could not connect to etcd"), "{ran:?}");
    assert!(ran.stderr.contains("hint: "), "{ran:?}");

    let process = Process::spawn(&mut provost(&directory.path().join("long"), &arguments));
    process.wait_for_stderr(|said| said.contains("etcd does not answer yet, trying again")).unwrap();
    cable.set(Pass::All);
    process.wait_for_stderr(|said| said.contains("\nnext: ")).unwrap();
    process.terminate();
    assert_eq!(process.wait().code, Some(0));

    // Whoever waits is not held up by it.
    cable.set(Pass::Nothing);
    let process = Process::spawn(&mut provost(&directory.path().join("stopped"), &arguments));
    process.wait_for_stderr(|said| said.contains("etcd does not answer yet, trying again")).unwrap();
    process.terminate();
    let ran = process.wait();
    assert!(ran.code == Some(0) && ran.stderr.contains("stopped before the start"), "{ran:?}");
}

/// TLS with client certificates, a user and a password, a namespace: as the settings say.
#[test]
fn an_etcd_that_lets_nobody_in_lets_us_in() {
    let etcd = EtcdPlan::new(1).tls().start();
    etcd.enable_auth("hunter2");
    let path = |name: &str| etcd.path(name).to_str().unwrap().to_owned();
    std::fs::write(etcd.path("password"), "hunter2\n").unwrap();
    for name in ["password", "client.key.pem"] {
        run(Command::new("chmod").arg("600").arg(etcd.path(name))).ok();
    }
    let options = [
        ("store-etcd-ca-file", path("ca.pem")),
        ("store-etcd-certificate-file", path("client.pem")),
        ("store-etcd-key-file", path("client.key.pem")),
        ("store-etcd-user", "root".to_owned()),
        ("store-etcd-password-file", path("password")),
        ("store-etcd-namespace", "/provost".to_owned()),
    ];
    let start = || {
        options
            .iter()
            .fold(plan(Face::Up).etcd(&etcd), |plan, (name, value)| plan.option(name, value))
            .start()
    };
    let mut house = start();
    issued(&house, &key(x509::KeySpec::P256), "service");
    let ran = house.stop();
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    let keys =
        etcd.etcdctl(&["get", "--prefix", "", "--keys-only", "--user", "root:hunter2"]).ok().to_owned();
    assert!(keys.lines().filter(|key| !key.is_empty()).all(|key| key.starts_with("/provost/")), "{keys}");

    let flags: Vec<String> = on(&etcd.endpoint(0))
        .into_iter()
        .chain(options.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]))
        .collect();
    let shown = run(Command::new(PROVOST).env_clear().args(["config", "check", "--data", "d"]).args(&flags));
    assert!(shown.ok().contains(&path("password")) && !shown.ok().contains("hunter2"), "{shown:?}");
}

/// What was embedded goes on in etcd: the same authorities, certificates and administrator.
#[test]
fn a_house_moves_to_etcd() {
    let mut house = up();
    let service = key(x509::KeySpec::P256);
    let id = submit(&house, "cas", &csr(&service, "service"));
    crate::houses::approve(&house, "cas", &id);
    let before = certificate(&house, "cas", &id);
    let anchor = exchange(house.http(), get("/cas/crt/ca.crt.pem")).body;

    let etcd = Etcd::start(1);
    let flags = on(&etcd.endpoint(0));
    let moving = with(&["store", "move"], &flags, &[]);
    let running = run(&mut provost(&house.data(), &moving));
    assert_eq!(running.code, Some(75), "the house is at work: {running:?}");
    house.stop();
    // Nobody begins anew beside what is there.
    for (name, value) in [("store-engine", "etcd"), ("store-etcd-endpoints", &etcd.endpoint(0))] {
        house.set(name, value);
    }
    let netloc = house.http();
    let early = run(&mut provost(&house.data(), &with(&["up"], &flags, &["--netloc", &netloc])));
    assert_eq!(early.code, Some(75), "{early:?}");
    assert!(early.stderr.contains("provost store move"), "{early:?}");

    let moved = run(&mut provost(&house.data(), &moving));
    assert_eq!(moved.code, Some(0), "{moved:?}");
    house.start();
    assert_eq!(certificate(&house, "cas", &id), before);
    assert_eq!(exchange(house.http(), get("/cas/crt/ca.crt.pem")).body, anchor);
    let joined = plan(Face::Up).etcd(&etcd).store_key(&house.data().join("store.key")).start();
    assert_eq!(certificate(&joined, "cas", &id), before);
    let next = submit(&joined, "cas", &csr(&service, "next"));
    crate::houses::approve(&house, "cas", &next);
    assert!(certificate(&joined, "cas", &next).serial() != before.serial());
    // The old database is out of the way.
    house.stop();
    let back = run(&mut provost(&house.data(), &["up", "--netloc", &netloc]));
    assert_eq!(back.code, Some(75), "{back:?}");
    let again = run(&mut provost(&house.data(), &moving));
    assert_eq!(again.code, Some(66), "{again:?}");
}

/// Two first starts in one moment on an empty etcd: one administrator, one set of authorities.
#[test]
fn two_first_starts_make_one_house() {
    let etcd = Etcd::start(1);
    let houses = two(&etcd, |plan| plan);
    super::administrator(&houses);
    let anchors = |authority: &str| {
        [0, 1].map(|house| exchange(houses[house].http(), get(&format!("/{authority}/crt/ca.crt.pem"))).body)
    };
    for authority in ["cas", "cau"] {
        let [one, other] = anchors(authority);
        assert_eq!(one, other);
    }
}
