//! `host ssh`: what ssh is given, how it ends, and that no key is left.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::{Process, Recorder, Reply, wait_until};

use super::{Operator, answering, lines};

/// An operator with an ssh of our own on the `PATH`, and a folder for temporary files.
struct Ssh {
    operator: Operator,
    server: Recorder,
}

impl Ssh {
    /// `script` is the body of a shell script. It finds the key's path in `$2`.
    fn new(script: &str) -> Self {
        let credentials = json!({"address": "10.0.0.1", "ssh_priv_key": "S0VZCg==", "remote_user": "fedora"});
        let server = answering(200, &credentials.to_string());
        let operator = Operator::of(&server);
        std::fs::create_dir(operator.home().join("tmp")).unwrap();
        let ssh = operator.write("bin/ssh", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(ssh, PermissionsExt::from_mode(0o700)).unwrap();
        Self { operator, server }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.operator.command(&[&["host", "ssh"], arguments].concat());
        let path = format!("{}:/usr/bin:/bin", self.operator.home().join("bin").display());
        command.env("PATH", path).env("TMPDIR", self.temporary());
        command
    }

    fn temporary(&self) -> PathBuf {
        self.operator.home().join("tmp")
    }

    #[track_caller]
    fn assert_no_key_is_left(&self) {
        assert_eq!(std::fs::read_dir(self.temporary()).unwrap().count(), 0);
    }
}

#[test]
fn ssh_gets_the_key_and_the_user() {
    let ssh = Ssh::new(
        "cat \"$2\"; stat -c %a \"$2\" \"${2%/key}\"; shift 2; for word; do echo \"<$word>\"; done; cat; exit 7",
    );
    let mut process =
        Process::spawn(&mut ssh.command(&["node1", "-p", "2222", "-h", "--config", "uptime; id", "-v"]));
    process.say(b"input\n");
    let ran = process.wait();
    let expected =
        "KEY\n600\n700\n<-l>\n<fedora>\n<node1>\n<-p>\n<2222>\n<-h>\n<--config>\n<uptime; id>\n<-v>\ninput\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), expected), "{}", ran.stderr);
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert!(
        said[0].starts_with(&format!("Calling ssh command: ssh -i {}/provost-", ssh.temporary().display()))
    );
    assert!(said[0].ends_with("/key -l fedora node1 -p 2222 -h --config uptime; id -v"), "{said:?}");
    assert_eq!(said[1..], ["Removed temporary ssh key"]);
    assert_eq!(lines(&ssh.server), ["GET /api/v0/host/node1/creds"]);
    ssh.assert_no_key_is_left();
}

/// The real one takes our words as we mean them: it gets as far as the connection, which nobody accepts.
#[test]
fn the_real_ssh_understands() {
    let ssh = Ssh::new("exec /usr/bin/ssh -F none \"$@\"");
    let ran = testkit::run(&mut ssh.command(&["127.0.0.1", "-p", "1", "-o", "BatchMode=yes", "true"]));
    assert_eq!(ran.code, Some(255));
    let expected = "ssh: connect to host 127.0.0.1 port 1: Connection refused";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    ssh.assert_no_key_is_left();
}

/// Nobody can catch SIGKILL: somebody else sees to it.
#[test]
fn a_key_does_not_outlive_whoever_is_killed() {
    let ssh = Ssh::new("cat \"$2\"; echo \"path $2 .\"; read -r line");
    let process = Process::spawn(&mut ssh.command(&["node1"]));
    let said = process.wait_for_stdout(|said| said.contains(" .\n")).unwrap();
    let path = said.split(' ').nth(1).unwrap();
    assert!(said.starts_with("KEY\n") && std::path::Path::new(path).exists(), "{said}");
    end(&process, Signal::KILL);
    wait_until("the end of the key", || std::fs::read_dir(ssh.temporary()).unwrap().count() == 0);
    assert!(!std::path::Path::new(path).exists());
}

#[test]
fn signals_reach_ssh_and_leave_no_key() {
    for (signal, code) in [
        (Signal::INT, 130),
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::QUIT, 131),
        (Signal::USR1, 138),
        (Signal::ALARM, 142),
        (Signal::XFSZ, 153),
    ] {
        // It says how it was ended, and the key must be there as long as it runs.
        let ssh = Ssh::new(
            "for s in INT TERM HUP QUIT; do trap \"test -f \\\"$2\\\" && echo got $s; exit 1\" $s; done\n\
             echo ready; while :; do read -r line || :; done",
        );
        let process = Process::spawn(&mut ssh.command(&["node1"]));
        process.wait_for_stdout(|said| said.contains("ready")).unwrap();
        end(&process, signal);
        let said = process.wait_for_stdout(|said| said.contains("got ")).unwrap();
        let ran = process.wait();
        assert_eq!(ran.code, Some(code), "{said}{}", ran.stderr);
        assert!(ran.stderr.ends_with("Removed temporary ssh key\n"), "{}", ran.stderr);
        ssh.assert_no_key_is_left();
    }
}

/// A second signal ends an ssh that does not care about the first.
#[test]
fn whoever_insists_is_obeyed() {
    let ssh = Ssh::new("trap 'echo ignored' TERM; echo ready; while :; do read -r line || :; done");
    let process = Process::spawn(&mut ssh.command(&["node1"]));
    process.wait_for_stdout(|said| said.contains("ready")).unwrap();
    process.terminate();
    process.wait_for_stdout(|said| said.contains("ignored")).unwrap();
    process.terminate();
    assert_eq!(process.wait().code, Some(143));
    ssh.assert_no_key_is_left();
}

#[test]
fn an_ssh_that_dies_is_no_success() {
    let ssh = Ssh::new("kill -9 $$");
    assert_eq!(testkit::run(&mut ssh.command(&["node1"])).code, Some(137));
    ssh.assert_no_key_is_left();
}

#[test]
fn without_ssh_there_is_no_key_either() {
    let ssh = Ssh::new("");
    let ran = testkit::run(ssh.command(&["node1"]).env("PATH", "/nonexistent"));
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("commctl host: error: could not run ssh: No such file or directory"),
        "{}",
        ran.stderr
    );
    ssh.assert_no_key_is_left();
}

#[test]
fn answers_without_credentials_start_nothing() {
    for (status, body, expected) in [
        (404, "Not Found", "No object found. The server knows no host `node1`"),
        (403, "Forbidden", "The provided credentials were incorrect."),
        (500, "", "Unable to GET the object at /api/v0/host/node1/creds: 500"),
        (200, r#"{"ssh_priv_key": "", "remote_user": "root"}"#, "the server has no ssh key for node1"),
        (
            200,
            r#"{"ssh_priv_key": "!", "remote_user": "root"}"#,
            "the key that the server has for node1 is not base64",
        ),
    ] {
        let mut ssh = Ssh::new("echo started");
        let body = body.to_owned();
        ssh.server = Recorder::start(move |_| Reply::json(status, &body));
        ssh.operator.configure(&json!({"endpoint": ssh.server.url(), "username": "u", "password": "p"}));
        let ran = testkit::run(&mut ssh.command(&["node1"]));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{status} {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("commctl host: error: {expected}\n")), "{}", ran.stderr);
        ssh.assert_no_key_is_left();
    }
}

/// While the server is still thinking, there is nothing to clean up, and no reason to wait.
#[test]
fn a_signal_before_the_answer_ends_it() {
    let (said, heard) = std::sync::mpsc::channel::<()>();
    let heard = std::sync::Mutex::new(heard);
    let server = Recorder::start(move |_| {
        // Until the test is over.
        let _ = heard.lock().unwrap().recv();
        Reply::HangUp
    });
    let mut ssh = Ssh::new("");
    ssh.operator.configure(&json!({"endpoint": server.url(), "username": "u", "password": "p"}));
    ssh.server = server;
    let process = Process::spawn(&mut ssh.command(&["node1"]));
    wait_until("the request", || !ssh.server.heard().is_empty());
    end(&process, Signal::INT);
    assert_eq!(process.wait().code, Some(130));
    drop(said);
}

fn end(process: &Process, signal: Signal) {
    kill_process(Pid::from_raw(process.id().try_into().unwrap()).unwrap(), signal).unwrap();
}
