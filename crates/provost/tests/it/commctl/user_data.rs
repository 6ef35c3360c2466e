//! `user-data`: Debian's real cloud-init reads it, and runs the part that registers the machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::{Heard, Ran, Recorder, Reply, cloud_init};

use super::endpoints::tls;
use super::{Operator, answering, lines};

/// What cloud-init says last, whatever came of it.
const GOODBYE: &str = "cloud-init is done. Whether this machine has registered \
                       itself as a host is in /var/log/cloud-init.log.\n";

/// A new machine: where its keys are, and what it is given.
struct Machine {
    operator: Operator,
}

impl Machine {
    fn new() -> Self {
        Self { operator: Operator::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.operator.home().join(name)
    }

    /// The options of `user-data` that keep it from touching this machine.
    fn options(&self, server: &Recorder) -> Vec<String> {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let (key, authorized) = (path("ssh/key"), path("ssh/authorized"));
        ["user-data", "-e", &format!("{}/", server.url()), "-s", &key, "-a", &authorized]
            .map(str::to_owned)
            .to_vec()
    }

    /// Makes user-data with `more` options, and boots with it.
    #[track_caller]
    fn boot(&self, server: &Recorder, more: &[&str]) -> Ran {
        let options = self.options(server);
        let options: Vec<&str> = options.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let ran = self.operator.run_with("secret:1\n", &options);
        self.operator.write("user-data", ran.ok());
        cloud_init(&self.path("user-data"), &self.path("cloud"))
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn public_half(key: &Path) -> String {
    testkit::run(Command::new("ssh-keygen").args(["-y", "-f"]).arg(key)).ok().trim().to_owned()
}

fn registration(heard: &Heard) -> Value {
    assert_eq!((heard.method.as_str(), heard.path.as_str()), ("PUT", "/api/v0/host"));
    assert_eq!(heard.header("content-type"), Some("application/json"));
    assert_eq!(heard.header("accept"), Some("application/json"));
    serde_json::from_str(&heard.body).unwrap()
}

fn no_complaints(ran: &Ran) {
    let complaints: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| ["WARNING", "ERROR", "CRITICAL"].iter().any(|word| line.starts_with(word)))
        .collect();
    assert_eq!(complaints, [""; 0], "{}", ran.stderr);
}

#[test]
fn a_new_machine_registers_itself() {
    let server = answering(201, "{}");
    let machine = Machine::new();
    let ran = machine.boot(&server, &["-c", "web", "-u", "machines", "-p"]);
    assert_eq!(ran.ok(), GOODBYE);
    no_complaints(&ran);

    let heard = server.heard();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].header("authorization"), Some("Basic bWFjaGluZXM6c2VjcmV0OjE="));
    let (key, authorized) = (machine.path("ssh/key"), machine.path("ssh/authorized"));
    let key_sent = STANDARD.encode(fs::read(&key).unwrap());
    assert_eq!(
        registration(&heard[0]),
        json!({"remote_user": "root", "ssh_priv_key": key_sent, "cluster": "web"})
    );
    assert!(public_half(&key).starts_with("ssh-rsa "));
    assert_eq!(fs::read_to_string(&authorized).unwrap(), format!("{}\n", public_half(&key)));
    assert_eq!((mode(&key), mode(&authorized), mode(&machine.path("ssh"))), (0o600, 0o600, 0o700));
    assert!(!ran.stderr.contains("secret:1") && !ran.stderr.contains("PRIVATE KEY"), "{}", ran.stderr);

    // Once more, on a machine that is the same as before: the same key, and no second line for it.
    fs::remove_dir_all(machine.path("cloud")).unwrap();
    machine.boot(&server, &[]).ok();
    let heard = server.heard();
    assert_eq!(heard[0].header("authorization"), None);
    assert_eq!(registration(&heard[0]), json!({"remote_user": "root", "ssh_priv_key": key_sent}));
    assert_eq!(fs::read_to_string(&authorized).unwrap().lines().count(), 1);
}

#[test]
fn keys_that_may_sign_in_already_still_may() {
    let server = answering(201, "{}");
    let machine = Machine::new();
    fs::create_dir(machine.path("ssh")).unwrap();
    let authorized = machine.path("ssh/authorized");
    fs::write(&authorized, "ssh-ed25519 AAAA theirs").unwrap();
    machine.boot(&server, &[]).ok();
    let expected = format!("ssh-ed25519 AAAA theirs\n{}\n", public_half(&machine.path("ssh/key")));
    assert_eq!(fs::read_to_string(&authorized).unwrap(), expected);
}

#[test]
fn a_server_that_is_not_ready_is_asked_again() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = Recorder::start(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::HangUp,
        1 => Reply::Answer(503, "text/html", "Service Unavailable".to_owned()),
        _ => Reply::json(201, "{}"),
    });
    let ran = Machine::new().boot(&server, &[]);
    assert_eq!(lines(&server).len(), 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("did not register this machine: it answered 503"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("INFO cloudinit.commissaire: registered with http://127.0.0.1:"),
        "{}",
        ran.stderr
    );
}

/// The server is not there yet when the machine starts, then it is not ready, then too many start at once; it says when
/// to come back, and is believed up to a limit. Time is the test's.
#[test]
fn the_machine_comes_back_when_the_server_is_there() {
    let machine = Machine::new();
    let handler = part(machine.operator.run(&["user-data", "-e", "http://a"]).ok(), "text/part-handler");
    machine.operator.write("handler.py", &handler);
    let script = r#"
import http.server, json, socket, threading
import handler

door = socket.socket()
door.bind(("127.0.0.1", 0))  # and nobody listens
slept, heard = [], []
answers = [(503, None), (403, "9"), (429, "1000000"), (503, "Wed, 21 Oct 2015 07:28:00 GMT"), (201, None)]

class Server(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, retry_after = answers[len(heard) - 1]
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

def sleep(seconds):
    slept.append(seconds)
    if len(slept) == 3:  # now it starts
        server = http.server.HTTPServer(door.getsockname(), Server, bind_and_activate=False)
        server.socket.close()
        server.socket = door
        server.server_activate()
        threading.Thread(target=server.serve_forever, daemon=True).start()

handler.time.sleep = sleep
handler.put({"endpoint": "http://127.0.0.1:%d/" % door.getsockname()[1]}, {"remote_user": "root"})
pauses = list(handler.PAUSES)
wanted = pauses[:4] + [max(9, pauses[4]), handler.LONGEST_WAIT, pauses[6]]
print(json.dumps([slept, wanted, heard]))
"#;
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", script]).current_dir(machine.operator.home());
    let ran = testkit::run(&mut python);
    let told: Value = serde_json::from_str(ran.ok()).unwrap();
    assert_eq!(told[0], told[1], "how long it waited before each attempt");
    assert_eq!(told[2], json!(vec![json!({"remote_user": "root"}); 5]));
    assert!(ran.stderr.contains("did not register this machine: "), "{}", ran.stderr);
}

/// A refusal is final, is in the log in one sentence, and does not keep the machine from booting.
#[test]
fn a_refusal_is_told_in_the_log() {
    for (status, body, reason) in [
        (302, "", ""),
        (403, "<p>no</p>", ""),
        (403, "[1]", ""),
        (409, r#"{"detail": ["no", "text"]}"#, ""),
        (
            409,
            r#"{"title": "Conflict", "detail": "there is a\nhost with another key"}"#,
            ": there is a host with another key",
        ),
    ] {
        let server = Recorder::start(move |_| Reply::Answer(status, "text/html", body.to_owned()));
        let ran = Machine::new().boot(&server, &["-u", "u", "-p"]);
        assert_eq!(lines(&server).len(), 1);
        let expected = format!(
            "RuntimeError: {}/api/v0/host did not register this machine: it answered {status}{reason}\n",
            server.url()
        );
        assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
        assert_eq!(ran.ok(), GOODBYE, "it claims nothing");
    }
}

#[test]
fn the_server_is_verified() {
    let machine = Machine::new();
    let server = Recorder::start_tls(tls(machine.operator.home(), false), |_| Reply::json(201, "{}"));
    let ca = machine.path("ca.crt.pem");
    machine.boot(&server, &["--ca-file", ca.to_str().unwrap()]).ok();
    assert_eq!(lines(&server).len(), 1);

    let handler = part(machine.operator.run(&["user-data", "-e", "http://a"]).ok(), "text/part-handler");
    machine.operator.write("handler.py", &handler);
    let script = "import handler, sys; handler.PAUSES = (0,); handler.put({'endpoint': sys.argv[1]}, {})";
    let mut python = Command::new("/usr/bin/python3");
    let ran = testkit::run(python.args(["-c", script, &server.url()]).current_dir(machine.operator.home()));
    assert!(ran.stderr.contains("CERTIFICATE_VERIFY_FAILED"), "{}", ran.stderr);
    assert_eq!(lines(&server), [""; 0]);
}

/// Who configured commctl for a server has said how it is verified.
#[test]
fn the_configured_authority_is_the_machines_too() {
    let operator = Operator::new();
    let (one, other) = (operator.write("one.pem", "the one"), operator.write("other.pem", "the other"));
    operator.configure(&json!({"endpoint": "https://a", "username": "u", "password": "p", "ca_file": one}));
    for (options, expected) in [(&[][..], "the one"), (&["--ca-file", &other], "the other")] {
        let ran = operator.run(&[&["user-data", "-e", "https://a"], options].concat());
        let registration: Value = serde_json::from_str(&part(ran.ok(), "text/x-commissaire-host")).unwrap();
        assert_eq!(registration["ca_certificates"], expected);
    }
}

#[test]
fn what_must_not_go_into_user_data_does_not() {
    let operator = Operator::new();
    let key = operator.write("key", "-----BEGIN PRIVATE KEY-----\nTUlH\n");
    for (options, words) in [
        (&["-r", "root;id"][..], "`root;id` is not the name of a user"),
        (&["-r", ""], "`` is not the name of a user"),
        (&["-c", "../etc"], "`../etc` is not the name of a cluster"),
        (&["-C", &key], "there is a private key in "),
        (&["--ca-file", &key], "there is a private key in "),
    ] {
        let ran = operator.run(&[&["user-data", "-e", "http://a"], options].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{options:?}");
        assert!(ran.stderr.contains(words), "{options:?}: {}", ran.stderr);
    }
}

#[test]
fn the_operators_own_cloud_config_goes_along() {
    let server = answering(201, "{}");
    let machine = Machine::new();
    let config =
        machine.operator.write("config", "#cloud-config\nfinal_message: é, ours\nruncmd:\n- [ls, -l]\n");
    let ran = machine.boot(&server, &["-C", &config]);
    assert_eq!(ran.ok(), "é, ours\n");
    no_complaints(&ran);
}

/// Users other than root are made, and may use sudo. What would change this machine is recorded instead.
#[test]
fn a_user_is_made_where_it_is_missing() {
    let machine = Machine::new();
    let handler = part(machine.operator.run(&["user-data", "-e", "http://a"]).ok(), "text/part-handler");
    machine.operator.write("handler.py", &handler);
    let script = r#"
import json, os, sys
import handler

home, done, known = sys.argv[1], [], []

class User:
    pw_name, pw_uid, pw_gid, pw_dir = "fleet.admin", 4321, 4321, home + "/fleet.admin"

def getpwnam(name):
    if not known:
        raise KeyError(name)
    return User

def run(*words):
    if words[0] == "useradd":
        known.append(words[-1])
        done.append(list(words))
        return b""
    return real_run(*words)

real_run, handler.run = handler.run, run
handler.pwd.getpwnam = getpwnam
handler.SUDOERS_FOLDER = home + "/sudoers.d"
handler.os.path.expanduser = lambda path: path.replace("~fleet.admin", User.pw_dir)
handler.os.chown = lambda path, uid, gid: done.append(["chown", path, uid, gid])
handler.put = lambda wanted, body: done.append(["put", body["remote_user"]])
os.umask(0o077)
handler.handle_part(None, "__begin__", None, None, None)
for _ in range(2):
    handler.handle_part(None, handler.list_types()[0], "", json.dumps({
        "endpoint": "http://a", "remote_user": "fleet.admin", "ssh_key_path": home + "/root/id_rsa",
        "authorized_keys_path": "~fleet.admin/.ssh/authorized_keys"}), None)
for bad in ["", "a b", "a\n", "-a", "../a", "ALL ALL"]:
    try:
        handler.ensure_user(bad)
        done.append(bad)
    except ValueError:
        pass
print(json.dumps(done))
"#;
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", script]).arg(machine.operator.home()).current_dir(machine.operator.home());
    let done: Value = serde_json::from_str(testkit::run(&mut python).ok()).unwrap();
    let home = machine.path("fleet.admin").display().to_string();
    let given = |path: &str| json!(["chown", format!("{home}/{path}"), 4321, 4321]);
    let expected = json!([
        ["useradd", "--create-home", "--password", "*", "fleet.admin"],
        given(".ssh"),
        given(".ssh/authorized_keys"),
        ["put", "fleet.admin"],
        given(".ssh/authorized_keys"),
        ["put", "fleet.admin"],
    ]);
    assert_eq!(done, expected);
    let rule = machine.path("sudoers.d/commissaire-fleet_admin");
    assert_eq!(fs::read_to_string(&rule).unwrap(), "fleet.admin ALL=(ALL) NOPASSWD:ALL\n");
    assert_eq!(mode(&rule), 0o400, "0440 under this test's umask");
    assert!(machine.path("root/id_rsa").exists());
}

/// The text of a part, as any MIME reader sees it.
fn part(user_data: &str, media_type: &str) -> String {
    let script = "import email, sys\n\
                  for part in email.message_from_file(sys.stdin).walk():\n    \
                  if part.get_content_type() == sys.argv[1]:\n        \
                  sys.stdout.write(part.get_payload(decode=True).decode(part.get_content_charset()))";
    let mut python =
        testkit::Process::spawn(Command::new("/usr/bin/python3").args(["-c", script, media_type]));
    python.say(user_data.as_bytes());
    python.wait().ok().to_owned()
}

/// The cloud-init of older distributions brings an older Python.
#[test]
fn the_handler_is_for_old_pythons_too() {
    let ran = Operator::new().run(&["user-data", "-e", "http://a"]);
    let script = "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 6))";
    let mut python = testkit::Process::spawn(Command::new("/usr/bin/python3").args(["-c", script]));
    python.say(part(ran.ok(), "text/part-handler").as_bytes());
    python.wait().ok();
}

#[test]
fn the_file_is_for_its_owner() {
    let operator = Operator::new();
    for options in [&["-o", "made"][..], &["--outfile=made"], &["made"]] {
        let ran = operator.run(&[&["user-data", "-e", "http://a", "-r", "fedora"], options].concat());
        assert_eq!(ran.ok(), "");
        let made = operator.home().join("made");
        assert_eq!(mode(&made), 0o600);
        let registration: Value =
            serde_json::from_str(&part(&fs::read_to_string(&made).unwrap(), "text/x-commissaire-host"))
                .unwrap();
        assert_eq!(registration["authorized_keys_path"], "~fedora/.ssh/authorized_keys");
        fs::remove_file(made).unwrap();
    }
    let open = operator.write("open", "for everybody");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    operator.run(&["user-data", "-e", "http://a", "-o", &open]).ok();
    assert_eq!(mode(Path::new(&open)), 0o600);
    let ran = operator.run(&["user-data", "-e", "http://a", "-o", "/nonexistent/made"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("commctl user-data: error: could not write /nonexistent/made: "),
        "{}",
        ran.stderr
    );
}
