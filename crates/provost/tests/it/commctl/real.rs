//! Every command with every option against a real server (commissaire, section 12): what is printed and how it ends,
//! whichever way the operator signs in.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use testkit::{House, http};

use super::{Operator, nobody};
use crate::houses::ended_without_a_fault;
use crate::sign_in::{everybody, files, house};

/// What is typed, one line each. `KEY` is the name of a file with a key.
const TYPED: &str = include_str!("real.typed.txt");
/// What comes of it: the line, its standard output, what it says beside that, and the exit code unless it is 0.
const EXPECTED: &str = include_str!("real.expected.txt");

/// Types everything in, and writes down what comes of it. `noise` is what may be said before each answer.
fn transcript(operator: &Operator, noise: &str) -> String {
    let key = operator.write("key", "-----KEY-----\n");
    let mut transcript = String::new();
    for line in TYPED.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').map(|word| if word == "KEY" { &key } else { word }).collect();
        let ran = operator.run_with("KEY\n", &words);
        writeln!(transcript, "$ commctl {line}").unwrap();
        transcript += &timeless(&ran.stdout.replace(noise, ""));
        for said in timeless(&ran.stderr).lines().filter(|said| !noise.contains(said)) {
            writeln!(transcript, "! {said}").unwrap();
        }
        if ran.code != Some(0) {
            writeln!(transcript, "! exit code {:?}", ran.code.unwrap()).unwrap();
        }
    }
    transcript
}

/// The same at any time.
fn timeless(text: &str) -> String {
    let of = |line: &str| match line.split_once(": ") {
        Some((name, value)) if name.ends_with("_at") && value.len() > 2 => format!("{name}: THEN\n"),
        _ => match line.split_once(" that began at ") {
            Some((before, _)) => format!("{before} that began THEN\n"),
            None => format!("{line}\n"),
        },
    };
    text.lines().map(of).collect()
}

#[track_caller]
fn check(operator: &Operator, noise: &str) {
    let found = transcript(operator, noise);
    let differing = found.lines().zip(EXPECTED.lines()).find(|(found, expected)| found != expected);
    assert!(found == EXPECTED, "{differing:?} in:\n{found}");
}

fn a_house() -> (tempfile::TempDir, House) {
    let directory = files(&everybody(), &[]);
    let house = house(directory.path(), &[]);
    // One that can join: the tool itself adds only such as nobody has looked at.
    let url = house.https_url("/api/v0/host/10.0.0.4");
    let ready = http::anybody().put(url).basic_auth("operator", Some("secret"));
    let ready = ready.body(r#"{"status": "active", "ssh_priv_key": "S0VZCg==", "remote_user": "core"}"#);
    assert_eq!(ready.send().unwrap().status(), 201);
    (directory, house)
}

/// On the server's own machine, without TLS.
#[test]
fn by_password() {
    let (_directory, house) = a_house();
    let operator = Operator::new();
    operator
        .configure(&json!({"endpoint": house.http_url(""), "username": "operator", "password": "secret"}));
    check(&operator, "\0");
    ended_without_a_fault(house);
}

#[test]
fn by_the_client_certificate_of_a_kubeconfig() {
    let (_directory, house) = a_house();
    let operator = Operator::new();
    let admin = house.administrator();
    let admin = admin.to_str().unwrap();
    let kubeconfig = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"user": "u"}}],
        "users": [{"name": "u", "user": {"client-certificate": admin, "client-key": admin}}],
    });
    let kubeconfig = operator.write("kubeconfig", &kubeconfig.to_string());
    let ca = house.data().join("server-ca.pem");
    operator.configure(&json!({"endpoint": house.https_url(""), "kubeconfig": kubeconfig, "ca_file": ca}));
    check(&operator, "\0");
    ended_without_a_fault(house);
}

/// The first of the servers is away.
#[test]
fn by_the_next_endpoint() {
    let (_directory, house) = a_house();
    let operator = Operator::new();
    let (_held, away) = nobody();
    let ca = house.data().join("server-ca.pem");
    operator.configure(&json!({
        "endpoint": [away, house.https_url("")], "username": "operator", "password": "secret", "ca_file": ca,
    }));
    check(&operator, &format!("Could not connect to {away}. Retrying with {}.\n", house.https_url("")));
    ended_without_a_fault(house);
}

/// The key of a host on a real server, for the ssh that is on the `PATH`.
#[test]
fn into_a_host() {
    let (_directory, house) = a_house();
    let operator = Operator::new();
    operator
        .configure(&json!({"endpoint": house.http_url(""), "username": "operator", "password": "secret"}));
    let ssh = operator.write("bin/ssh", "#!/bin/sh\ncat \"$2\"; shift 2; echo \"$@\"; exit 7\n");
    std::fs::set_permissions(ssh, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = operator.command(&["host", "ssh", "10.0.0.4", "-p", "2222", "uptime"]);
    let path = format!("{}:/usr/bin:/bin", operator.home().join("bin").display());
    let ran = testkit::run(command.env("PATH", path));
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(7), "KEY\n-l core 10.0.0.4 -p 2222 uptime\n"),
        "{ran:#?}"
    );
    // A reader does not get in.
    operator.configure(&json!({"endpoint": house.http_url(""), "username": "reader", "password": "secret"}));
    let ran = operator.type_in("host ssh 10.0.0.4");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("The provided credentials were incorrect."), "{ran:#?}");
    ended_without_a_fault(house);
}
