//! `caucase-updater`, by itself and beside the stock one.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use testkit::{Caucase, Face, Process, StandIn, StandInReply};

use super::{By, Ours, Server, become_user, is_good};
use crate::houses::certificates_in;

/// Where it keeps what.
pub(super) const FILES: &[&str] = &[
    "--cas-ca",
    "cas.pem",
    "--ca",
    "ca.pem",
    "--crl",
    "crl.pem",
    "--crt",
    "crt.pem",
    "--key",
    "one.key.pem",
    "--csr",
    "one.csr.pem",
];

/// Waits until an updater sleeps for the second time: it has done all there is to do.
#[track_caller]
pub(super) fn until_done(updater: &Process) -> String {
    let is_done = |said: &str| said.matches("Next wake-up at ").count() == 2 && said.ends_with("+0000\n");
    updater.wait_for_stdout(is_done).unwrap_or_else(|said| panic!("{said}\n{}", updater.stderr()))
}

/// Its lines without times and numbers.
fn lines(said: &str) -> Vec<String> {
    let begins = ["Next wake-up at ", "Waiting for signature of ", "Got a network error, retrying at "];
    let begin = |line| begins.into_iter().find(|begin| str::starts_with(line, begin));
    said.lines().map(|line| begin(line).unwrap_or(line).to_owned()).collect()
}

/// A client with the request `one`.
fn client(ours: Option<&Ours>, server: &Server) -> Caucase {
    let mut client = Caucase::at(&server.url());
    client.switch_to(ours.map(Ours::folder));
    client.make_request("one");
    client
}

/// What came of a run: its lines, what it said on standard error, its exit code if it ended, and what it left.
type Came = (Vec<String>, String, Option<i32>, Vec<String>);

/// What one updater says and leaves: bootstrap, nothing to do, a renewal, a hook that fails, another authority.
fn life(client: &Caucase) -> Vec<Came> {
    let mut came = Vec::new();
    let hook = ["--on-renew", "echo hook; echo hooked >> hook"];
    for more in [&[][..], &[], &["--threshold", "100"]] {
        let updater = client.updater(&[FILES, &hook, more].concat());
        let said = lines(&until_done(&updater));
        let left = super::snapshot(client.directory());
        let left = left.into_iter().map(|(name, what)| format!("{name} {what}")).collect();
        came.push((said, updater.stderr(), None, left));
        is_good(client, "crt.pem", "one.key.pem", "ca.pem", "crl.pem");
    }
    // It ends by itself, and not as a failure; and whoever starts it again, however often, has what is due renewed.
    let failing = ["--threshold", "100", "--on-renew", "echo hook; exit 3"];
    for _ in 0..2 {
        let before = client.read("crt.pem");
        let ran = client.updater(&[FILES, &failing].concat()).wait();
        assert_ne!(client.read("crt.pem"), before, "{ran:?}");
        came.push((lines(&ran.stdout), ran.stderr, ran.code, Vec::new()));
    }
    // Another authority's certificate is none that it could keep.
    let users = ["--mode", "user", "--ca", "cau.pem", "--crl", "cau.crl.pem"];
    let ran = client.updater(&[FILES, &users].concat()).wait();
    assert!(ran.stderr.contains("unable to get local issuer certificate"), "{ran:?}");
    came.push((lines(&ran.stdout), String::new(), ran.code, Vec::new()));
    came
}

fn alike(server: By) {
    let ours = Ours::new();
    let (one, other) = (server.start("1", &[]), server.start("1", &[]));
    let came = life(&client(Some(&ours), &one));
    let expected = life(&client(None, &other));
    assert_eq!(came, expected);
    assert_eq!(
        came[0].0,
        [
            "Bootstraping...",
            "Waiting for signature of ",
            "Bootstrap done",
            "Next wake-up at ",
            "Got new CA",
            "Got new CRL",
            "hook",
            "Next wake-up at "
        ]
    );
    let codes: Vec<_> = came.iter().map(|came| came.2).collect();
    assert_eq!(codes, [None, None, None, Some(0), Some(0), Some(1)]);
    for failed in &came[3..5] {
        assert_eq!(failed.1, "Renewal hook exited with status: 768\n");
    }
}

#[test]
fn the_updater_is_like_the_stock_one_at_provost_up() {
    alike(By::Us(Face::Up));
}

#[test]
fn the_updater_is_like_the_stock_one_at_the_stock_server() {
    alike(By::Them);
}

/// With the same files both sleep until the same second, whatever it is that is due first.
#[test]
fn both_wake_up_at_the_same_time() {
    let server = By::Us(Face::Up).start("9", &[]);
    let ours = Ours::new();
    let mut client = client(None, &server);
    until_done(&client.updater(FILES));
    let wake_up = |client: &Caucase, more: &[&str]| {
        let said = until_done(&client.updater(&[FILES, more].concat()));
        said.lines().last().unwrap().to_owned()
    };
    // The list is due first; then the certificate.
    for more in [
        &[][..],
        &["--crl-threshold", "-40", "--max-sleep", "100"],
        &["--crl-threshold", "30", "--threshold", "5"],
    ] {
        client.switch_to(None);
        let theirs = wake_up(&client, more);
        client.switch_to(Some(ours.folder()));
        assert_eq!(wake_up(&client, more), theirs, "{more:?}");
    }
}

/// Certificates of a few minutes: each start finds what is due, and nothing else.
#[test]
fn short_lives_are_kept_up() {
    // 0.01 days are 864 seconds.
    let server = By::Us(Face::Caucased).start("1", &[("service-crt-validity", "0.01")]);
    let ours = Ours::new();
    let client = client(Some(&ours), &server);
    let soon = |threshold| [FILES, &["--threshold", threshold, "--crl-threshold", "0.001"]].concat();
    let said = until_done(&client.updater(&soon("0.001")));
    assert!(said.contains("Bootstrap done\n") && !said.contains("Renewing"), "{said}");
    let first = client.read("crt.pem");
    let sleeping = client.updater(&soon("0.001"));
    let said = until_done(&sleeping);
    assert!(!said.contains("Renewing"), "{said}");
    assert_eq!(client.read("crt.pem"), first);
    sleeping.interrupt();
    let ran = sleeping.wait();
    assert_eq!((ran.code, ran.stdout, ran.stderr), (Some(0), said, String::new()), "Ctrl-C is how it ends");
    let said = until_done(&client.updater(&soon("0.0099999")));
    assert!(said.contains("Renewing crt.pem\n"), "{said}");
    is_good(&client, "crt.pem", "one.key.pem", "ca.pem", "crl.pem");
    assert_ne!(client.read("crt.pem"), first);
}

/// A hook that was cut short with its program is run by whoever comes next, who needs no server for it; once.
#[test]
fn a_hook_that_was_cut_short_is_run_again() {
    let Server::Ours(mut house) = By::Us(Face::Up).start("9", &[]) else { unreachable!() };
    let ours = Ours::new();
    let client = ours.client(&house.http_url(""));
    client.make_request("one");
    let hook = ["--on-renew", "echo hooked >> hook; test -e again || { touch again; kill -9 $PPID; }"];
    let line = [FILES, &hook].concat();
    let killed = client.updater(&line).wait();
    assert_eq!(killed.code, None, "{killed:?}");
    is_good(&client, "crt.pem", "one.key.pem", "ca.pem", "crl.pem");
    house.stop();
    let waiting = client.updater(&line);
    waiting.wait_for_stdout(|said| said.contains("Got a network error")).unwrap();
    assert_eq!(client.read("hook"), "hooked\nhooked\n");
    house.start();
    until_done(&waiting);
    waiting.terminate();
    assert_eq!(waiting.wait().code, Some(0));
    until_done(&client.updater(&line));
    assert_eq!(client.read("hook"), "hooked\nhooked\n");
    let owed = ".crt.pem.provost-hook";
    assert!(!client.path(owed).exists());
    // One that is owed and fails keeps nothing from being renewed; one that a signal ended is owed.
    std::fs::write(client.path(owed), "what the files were\n").unwrap();
    let before = client.read("crt.pem");
    let failing = |hook| [FILES, &["--threshold", "100", "--on-renew", hook]].concat();
    let ran = client.updater(&failing("exit 3")).wait();
    assert_eq!(ran.stderr, "Renewal hook exited with status: 768\n".repeat(2));
    assert!(ran.code == Some(0) && client.read("crt.pem") != before, "{ran:?}");
    assert!(!client.path(owed).exists());
    let ran = client.updater(&failing("kill -9 $$")).wait();
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "Renewal hook exited with status: 9\n"));
    assert!(client.path(owed).exists());
}

/// While nobody decides it waits, and ends when it is told to; whoever starts it again goes on waiting for the same request.
#[test]
fn a_request_that_is_pending_is_waited_for() {
    let server = By::Us(Face::Caucased).start("0", &[]);
    let ours = Ours::new();
    let client = client(Some(&ours), &server);
    let waiting = client.updater(FILES);
    let is_waiting = |said: &str| said.contains("Waiting for signature of ") && said.ends_with('\n');
    let said = waiting.wait_for_stdout(is_waiting).unwrap();
    let id = said.trim_end().rsplit_once(' ').unwrap().1.to_owned();
    waiting.terminate();
    let ran = waiting.wait();
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(!client.path("crt.pem").exists());

    let user = become_user(&client, "user");
    client.run_as(&user, &["--sign-csr", &id]).ok();
    let said = until_done(&client.updater(FILES));
    assert!(said.contains(&format!("Waiting for signature of {id}\nBootstrap done\n")), "{said}");
    is_good(&client, "crt.pem", "one.key.pem", "ca.pem", "crl.pem");
}

/// A server that went away is waited for, and a file that others may read is warned about, once.
#[test]
fn a_server_that_is_away_is_waited_for() {
    let Server::Ours(mut house) = By::Us(Face::Up).start("9", &[]) else { unreachable!() };
    let url = house.http_url("");
    house.stop();
    let ours = Ours::new();
    let client = ours.client(&url);
    client.make_request("one");
    std::fs::set_permissions(client.path("one.key.pem"), Permissions::from_mode(0o644)).unwrap();
    let updater = client.updater(FILES);
    let refused = ", ConnectionRefusedError: '[Errno 111] Connection refused'\n";
    let said = updater.wait_for_stdout(|said| said.ends_with(refused)).unwrap();
    assert!(said.starts_with("Got a network error, retrying at 2"), "{said}");
    house.start();
    let said = until_done(&updater);
    assert!(said.contains("Bootstrap done\n"), "{said}");
    updater.terminate();
    let ran = updater.wait();
    assert_eq!(ran.code, Some(0));
    assert_eq!(
        ran.stderr,
        "caucase-updater: warning: others may read the private key in one.key.pem (mode 0644); `chmod 600 one.key.pem` keeps \
         it to its owner\n"
    );
}

/// What cannot come to a good end is said before anything is asked for.
#[test]
fn what_cannot_be_begun_is_said() {
    let server = By::Us(Face::Up).start("9", &[]);
    let ours = Ours::new();
    let client = client(Some(&ours), &server);
    client.make_request("two");
    let files = |crt: &'static str, key: &'static str, csr: &'static [&'static str]| {
        [&["--cas-ca", "ca.pem", "--ca", "ca.pem", "--crl", "crl.pem", "--crt", crt, "--key", key], csr]
            .concat()
    };
    std::fs::write(client.path("cut.pem"), &client.read("two.csr.pem")[..100]).unwrap();
    for (arguments, expected) in [
        (
            files("crt.pem", "one.key.pem", &[]),
            "there is no certificate in crt.pem, and no --csr to ask for one with",
        ),
        (files("crt.pem", "absent.pem", &["--csr", "one.csr.pem"]), "there is no file absent.pem"),
        (
            files("crt.pem", "two.key.pem", &["--csr", "one.csr.pem"]),
            "the signing request in one.csr.pem is not for the private key in two.key.pem",
        ),
        (files("crt.pem", "one.key.pem", &["--csr", "absent.pem"]), "there is no file absent.pem"),
        (
            files("crt.pem", "one.key.pem", &["--csr", "one.key.pem"]),
            "one.key.pem has no signing request in it, and one is to be there",
        ),
        (files("cut.pem", "one.key.pem", &["--csr", "one.csr.pem"]), "cut.pem is no whole PEM"),
    ] {
        let ran = client.updater(&arguments).wait();
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("caucase-updater: error: {expected}")), "{}", ran.stderr);
        assert!(!ran.stdout.contains("Waiting for"), "{}", ran.stdout);
        assert!(!client.path("crt.pem").exists());
    }
}

/// A request that somebody rejected is not waited for, and another key's certificate is not kept.
#[test]
fn what_is_not_the_requests_ends_it() {
    let server = By::Us(Face::Up).start("9", &[]);
    let ours = Ours::new();
    let made = client(Some(&ours), &server);
    until_done(&made.updater(FILES));
    let (authority, foreign) = (made.read("cas.pem"), made.read("crt.pem"));
    for (certificate, expected) in [
        (None, "request 7 is gone, and there is no certificate: it was rejected"),
        (Some(foreign), "the certificate of request 7 is not for the request's key, and was not kept"),
    ] {
        let authority = authority.clone();
        let server = StandIn::http(move |asked| {
            let reply =
                |status, body: &str| StandInReply { status, headers: Vec::new(), body: body.to_owned() };
            Some(match (asked.method.as_str(), asked.path.as_str(), &certificate) {
                ("GET", "/cas/crt/ca.crt.pem", _) => reply(200, &authority),
                ("GET", "/cas/crt/ca.crt.json", _) => reply(200, "[]"),
                ("PUT", "/cas/csr", _) => reply(201, "").with("Location", "7"),
                ("GET", "/cas/crt/7", Some(certificate)) => reply(200, certificate),
                _ => reply(404, ""),
            })
        });
        let client = ours.client(&server.url(""));
        client.make_request("one");
        let key = client.read("one.key.pem");
        let ran = client.updater(FILES).wait();
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(ran.stderr, format!("caucase-updater: error: {expected}\n"));
        assert!(!client.path("crt.pem").exists() && client.read("one.key.pem") == key);
    }
}

/// In one file, which has the key at first.
#[test]
fn key_and_certificate_may_share_a_file() {
    let server = By::Us(Face::Up).start("9", &[]);
    let ours = Ours::new();
    let client = client(Some(&ours), &server);
    let files =
        ["--cas-ca", "ca", "--ca", "ca", "--crl", "ca", "--crt", "one.key.pem", "--csr", "one.csr.pem"];
    until_done(&client.updater(&files));
    until_done(&client.updater(&[&files[..], &["--threshold", "100"]].concat()));
    let mode = client.path("one.key.pem").metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    let names = super::snapshot(client.directory());
    assert_eq!(names["one.key.pem"], "0600 RSA PRIVATE KEY, CERTIFICATE");
    let [certificate] = certificates_in(&client.path("one.key.pem")).try_into().unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=one");
}
