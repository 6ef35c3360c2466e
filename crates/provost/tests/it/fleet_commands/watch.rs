//! `--watch`: what changes is shown, nothing else is, and it ends when it is to end.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::{Asked, Process, StandIn, StandInReply, wait_until};

use super::{Operator, host};
use crate::program::PROVOST;

/// A server with one host, whose status the test says; it knows entity tags, and may be away.
struct Fleet {
    server: StandIn,
    status: Arc<Mutex<Option<&'static str>>>,
    unchanged: Arc<AtomicU32>,
}

impl Fleet {
    fn new() -> Self {
        let status = Arc::new(Mutex::new(Some("new")));
        let unchanged = Arc::new(AtomicU32::new(0));
        let (says, counts) = (Arc::clone(&status), Arc::clone(&unchanged));
        let server = StandIn::http(move |asked: &Asked| {
            let Some(status) = *says.lock().unwrap() else {
                return Some(StandInReply::json(503, &json!({})));
            };
            let tag = format!("\"{status}\"");
            if asked.headers.get("if-none-match") == Some(&tag) {
                counts.fetch_add(1, Ordering::SeqCst);
                return Some(StandInReply { status: 304, headers: vec![("ETag", tag)], body: String::new() });
            }
            let host = host("10.0.0.1", status);
            let is_list = asked.path.starts_with("/v1/hosts?");
            let document = if is_list { json!({"items": [host]}) } else { host };
            Some(StandInReply::json(200, &document).with("ETag", tag))
        });
        Self { server, status, unchanged }
    }

    fn says(&self, status: Option<&'static str>) {
        *self.status.lock().unwrap() = status;
    }

    /// Waits until somebody was told twice more that nothing has changed.
    fn rests(&self) {
        let before = self.unchanged.load(Ordering::SeqCst);
        wait_until("two looks at what is the same", || self.unchanged.load(Ordering::SeqCst) >= before + 2);
    }
}

/// Of two pages only the second changes, and the server has no entity tags.
#[test]
fn every_page_of_a_list_is_watched() {
    let status = Arc::new(Mutex::new("new"));
    let says = Arc::clone(&status);
    let server = StandIn::http(move |asked: &Asked| {
        let document = match asked.path.ends_with("&after=a") {
            true => json!({"items": [host("b", &says.lock().unwrap())]}),
            false => json!({"items": [host("a", "new")], "next": "a"}),
        };
        Some(StandInReply::json(200, &document))
    });
    let operator = Operator::of(&server.url(""));
    let watching = Process::spawn(&mut operator.command("host list --json --watch --interval 0.1"));
    watching.wait_for_stdout(|said| lines(said) == 1).unwrap();
    // Twice over both pages, and nothing to tell.
    let asked = server.asked().len();
    wait_until("two looks at both pages", || server.asked().len() >= asked + 4);
    *status.lock().unwrap() = "active";
    let said = watching.wait_for_stdout(|said| lines(said) == 2).unwrap();
    let statuses: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap().pointer("/1/status").unwrap().clone())
        .collect();
    assert_eq!(statuses, ["new", "active"]);
}

fn signal(process: &Process, signal: Signal) {
    kill_process(Pid::from_raw(process.id().try_into().unwrap()).unwrap(), signal).unwrap();
}

fn lines(text: &str) -> usize {
    text.matches('\n').count()
}

#[test]
fn json_is_a_document_for_each_change() {
    for (command, status) in [("host list", "/0/status"), ("host show 10.0.0.1", "/status")] {
        let fleet = Fleet::new();
        let operator = Operator::of(&fleet.server.url(""));
        let watching =
            Process::spawn(&mut operator.command(&format!("{command} --json --watch --interval 0.1")));
        watching.wait_for_stdout(|said| lines(said) == 1).unwrap();
        fleet.rests();
        fleet.says(Some("active"));
        watching.wait_for_stdout(|said| lines(said) == 2).unwrap();
        fleet.rests();
        // The server starts again; the watch goes on, and says why nothing came.
        fleet.says(None);
        watching.wait_for_stderr(|said| said.contains("trying again")).unwrap();
        fleet.says(Some("failed"));
        let said = watching.wait_for_stdout(|said| lines(said) == 3).unwrap();
        let statuses: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap().pointer(status).unwrap().clone())
            .collect();
        assert_eq!(statuses, ["new", "active", "failed"]);
        signal(&watching, Signal::INT);
        let ran = watching.wait();
        assert_eq!(ran.code, Some(130));
        let notes: Vec<_> = ran.stderr.lines().collect();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].starts_with("note: the server answered 503 to GET /v1/hosts"), "{notes:?}");
        assert_eq!(notes[1], "note: the server answers again");
    }
}

#[test]
fn tables_follow_each_other_where_there_is_no_terminal() {
    let fleet = Fleet::new();
    let operator = Operator::of(&fleet.server.url(""));
    let watching = Process::spawn(&mut operator.command("host list --watch --interval 0.1"));
    watching.wait_for_stdout(|said| lines(said) == 2).unwrap();
    fleet.says(Some("active"));
    let said = watching.wait_for_stdout(|said| lines(said) == 5).unwrap();
    assert!(!said.contains('\u{1b}') && said.contains("\n\nADDRESS"), "{said}");
    watching.terminate();
    assert_eq!(watching.wait().code, Some(143));
}

/// What cannot be had at the beginning is not waited for.
#[test]
fn a_watch_that_cannot_begin_ends() {
    let fleet = Fleet::new();
    fleet.says(None);
    let operator = Operator::of(&fleet.server.url(""));
    assert_eq!(operator.run("host list --watch").code, Some(69));
}

/// The server has moved, and the client file says so.
#[test]
fn a_watch_follows_the_client_file() {
    let (before, after) = (Fleet::new(), Fleet::new());
    after.says(Some("active"));
    let operator = Operator::of(&before.server.url(""));
    let watching = Process::spawn(&mut operator.command("host list --json --watch --interval 0.1"));
    watching.wait_for_stdout(|said| lines(said) == 1).unwrap();
    before.rests();
    for halfway in ["", "server = \n"] {
        operator.configure(halfway); // somebody is writing it
        before.rests();
    }
    operator.configure(&format!("server = \"{}\"\n", after.server.url("")));
    let said = watching.wait_for_stdout(|said| lines(said) == 2).unwrap();
    assert!(said.lines().nth(1).unwrap().contains("\"active\""), "{said}");
    after.rests();
    signal(&watching, Signal::INT);
    let ran = watching.wait();
    assert_eq!(ran.stderr, "note: the client file says something else now, and is followed\n");

    // What is said at the command counts as before.
    let line = format!("host list --json --watch --interval 0.1 --server {}", before.server.url(""));
    let watching = Process::spawn(&mut operator.command(&line));
    watching.wait_for_stdout(|said| lines(said) == 1).unwrap();
    operator.configure("server = \"http://127.0.0.1:1\"\n");
    before.rests();
    before.says(Some("failed"));
    watching.wait_for_stdout(|said| lines(said) == 2).unwrap();
    watching.terminate();
    watching.wait();
}

/// A host that is forgotten is no longer watched.
#[test]
fn what_is_gone_ends_the_watch() {
    let is_gone = Arc::new(Mutex::new(false));
    let gone = Arc::clone(&is_gone);
    let server = StandIn::http(move |_| {
        let is_gone = *gone.lock().unwrap();
        Some(StandInReply::json(if is_gone { 404 } else { 200 }, &host("a", "new")))
    });
    let operator = Operator::of(&server.url(""));
    let watching = Process::spawn(&mut operator.command("host show a --watch --interval 0.1"));
    watching.wait_for_stdout(|said| said.contains("address")).unwrap();
    *is_gone.lock().unwrap() = true;
    assert_eq!(watching.wait().code, Some(66));
}

/// Though nothing changes, so that nothing is written that could fail.
#[test]
fn a_reader_that_left_ends_the_watch() {
    let fleet = Fleet::new();
    let operator = Operator::of(&fleet.server.url(""));
    let line = format!("{PROVOST} host list --watch --interval 0.1 | head -n 1; echo \"${{PIPESTATUS[0]}}\"");
    let mut bash = Command::new("bash");
    bash.args(["-c", &line]).env_clear().env("HOME", operator.home()).env("PATH", "/usr/bin:/bin");
    let ran = testkit::run(&mut bash);
    assert_eq!((ran.ok().lines().last(), ran.stderr.as_str()), (Some("0"), ""));
}

/// What a terminal of this size shows of `line`: script(1) is the terminal.
fn terminal(operator: &Operator, columns: u16, rows: u16, line: &str) -> Command {
    let wanted = format!("stty cols {columns} rows {rows}; exec {line}");
    let mut script = Command::new("script");
    script.args(["-qec", &wanted, "/dev/null"]).env_clear().env("HOME", operator.home());
    script.env("SHELL", "/bin/sh").env("TERM", "xterm").env("PATH", "/usr/bin:/bin");
    script
}

#[test]
fn a_narrow_terminal_shows_the_beginning_of_each_line() {
    let fleet = Fleet::new();
    let operator = Operator::of(&fleet.server.url(""));
    let line = format!("{PROVOST} host list");
    let ran = testkit::run(&mut terminal(&operator, 20, 24, &line));
    assert_eq!(ran.ok(), "\u{1b}[1mADDRESS   STATUS  C…\u{1b}[0m\r\n10.0.0.1  new     -…\r\n");
    let ran = testkit::run(terminal(&operator, 200, 24, &line).env("NO_COLOR", "1"));
    assert!(ran.ok().starts_with("ADDRESS   STATUS  CLUSTER"), "{}", ran.stdout);
}

#[test]
fn a_terminal_is_painted_anew_and_left_with_ctrl_c() {
    let fleet = Fleet::new();
    let operator = Operator::of(&fleet.server.url(""));
    let line = format!("{PROVOST} host list --watch --interval 0.1");
    let mut watching = Process::spawn(&mut terminal(&operator, 40, 2, &line));
    watching.wait_for_stdout(|screen| screen.contains("ADDRESS")).unwrap();
    fleet.rests();
    fleet.says(Some("active"));
    let screen = watching.wait_for_stdout(|screen| screen.matches("\u{1b}[2J\u{1b}[H").count() == 2).unwrap();
    // Two rows: one for the head, one for the cursor.
    assert!(!screen.contains("10.0.0.1"), "{screen}");
    watching.say(b"\x03");
    assert_eq!(watching.wait().code, Some(130));
}
