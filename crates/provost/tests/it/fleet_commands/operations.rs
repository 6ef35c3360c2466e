//! Commands about operations: what is asked for, how it is read along with, and how it ends.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use testkit::{Heard, Recorder, Reply};

use super::{Operator, operation};

/// Events that tell of these, one after the other; whoever connects again need not wait.
fn events(operations: &[Value]) -> Reply {
    let told = operations.iter().map(|operation| format!("event: operation\ndata: {operation}\n\n"));
    let text = format!(": hello\nretry: 20\n\n{}", told.collect::<String>());
    Reply::Answer(200, "text/event-stream", text)
}

/// With hosts of each sort.
fn with(phase: &str, hosts: [u64; 3], at: &[&str]) -> Value {
    let [done, failed, waiting] = hosts;
    let mut operation = operation(phase, 0);
    let total = done + failed + waiting + at.len() as u64;
    operation["hosts"] = json!({"total": total, "waiting": waiting, "under_way": at.len(), "done": done,
        "failed": failed, "skipped": 0});
    operation["under_way"] = json!(at);
    operation
}

#[test]
fn every_option_is_part_of_the_policy() {
    let server = Recorder::start(|_| Reply::json(201, &operation("running", 0).to_string()));
    let operator = Operator::of(&server.url());
    let policy = r#"{"batch":"25%","canary":"1","drain":true,"failures_max":2,"gates":{"command":"true","node_ready":false,"soak_seconds":90},"host_limit_seconds":1800,"max_unavailable":"3","start_at":"2026-11-22T01:00:00Z","windows":["daily","01:00-02:00"]}"#;
    for (line, body) in [
        ("cluster restart web", r#"{"kind":"restart"}"#.to_owned()),
        ("cluster deploy web 7.2", r#"{"kind":"deploy","version":"7.2"}"#.to_owned()),
        (
            "cluster upgrade web --batch 25% --max-unavailable 3 --canary 1 --failures 2 --drain \
             --no-wait-node-ready --gate-command true --soak 90 --host-limit 1800 \
             --start-at 2026-11-22T01:00:00Z --window daily --window 01:00-02:00",
            format!(r#"{{"kind":"upgrade","policy":{policy}}}"#),
        ),
    ] {
        let ran = operator.run(&line.split_whitespace().collect::<Vec<_>>().join(" "));
        let said =
            "the restart of cluster web began, as operation 7; `provost operation watch web` reads along\n";
        assert_eq!((ran.ok(), ran.stderr.as_str()), ("", said), "{line}");
        assert_eq!(server.heard()[0].line(), format!("POST /v1/clusters/web/operations {body}"), "{line}");
    }
    let ran = operator.run("cluster restart web --json");
    assert_eq!(serde_json::from_str::<Value>(ran.ok()).unwrap(), operation("running", 0));
}

#[test]
fn a_plan_is_a_table() {
    let plan = json!({"groups": [["a"], ["b", "c"]], "has_canaries": true,
        "refused": [{"address": "c", "reason": "it is no atomic host"}], "begins_at": "2026-11-22T01:00:00Z"});
    let answer = plan.to_string();
    let server = Recorder::start(move |_| Reply::json(200, &answer));
    let operator = Operator::of(&server.url());
    let ran = operator.run("cluster deploy web 7.2 --canary 1 --batch 2 --dry-run");
    let table = "GROUP  ADDRESS  NOTE\n1      a        canary\n2      b\n2      c        would fail: it is no atomic host\n";
    let said = "3 hosts in 2 groups, from 2026-11-22T01:00:00Z on; nothing was started\n";
    assert_eq!((ran.ok(), ran.stderr.as_str()), (table, said));
    let body = r#"{"dry_run":true,"kind":"deploy","policy":{"batch":"2","canary":"1"},"version":"7.2"}"#;
    assert_eq!(server.heard()[0].line(), format!("POST /v1/clusters/web/operations {body}"));
    let one = json!({"groups": [["a"]], "has_canaries": false, "refused": [], "begins_at": "t"}).to_string();
    let alone = Recorder::start(move |_| Reply::json(200, &one));
    let ran = Operator::of(&alone.url()).run("cluster restart web --dry-run");
    assert_eq!(ran.stderr, "1 host in 1 group, from t on; nothing was started\n");
    let ran = operator.run("cluster restart web --dry-run --json");
    assert_eq!((serde_json::from_str::<Value>(ran.ok()).unwrap(), ran.stderr.as_str()), (plan, ""));
}

#[test]
fn an_operation_can_be_waited_for() {
    for (ends, code, said) in [
        (with("finished", [2, 0, 0], &[]), 0, &["the restart of cluster web is done, at 2 of 2 hosts"][..]),
        (
            with("finished", [0, 1, 0], &[]),
            69,
            &[
                "host b failed: it hangs",
                "error: the restart of cluster web came to its end, at 0 of 1 host; 1 failed",
                "hint: `provost operation retry web 7` tries those that failed again, and goes on",
            ],
        ),
        (
            with("failed", [1, 1, 1], &[]),
            69,
            &[
                "host b failed: it hangs",
                "error: the restart of cluster web failed, at 1 of 3 hosts; 1 failed, 1 not begun with",
                "hint: `provost operation retry web 7` tries those that failed again, and goes on",
            ],
        ),
        (with("aborted", [1, 0, 1], &[]), 75, &["error: the restart of cluster web was aborted"]),
    ] {
        let looks = AtomicU32::new(0);
        let end = ends.clone();
        let server = Recorder::start(move |asked: &Heard| {
            if asked.method == "POST" {
                return Reply::json(201, &with("running", [0, 0, 2], &[]).to_string());
            }
            if asked.path.contains("/hosts?") {
                let host =
                    json!({"address": "b", "state": "failed", "reason": "it hangs", "left_cordoned": false});
                return Reply::json(200, &json!({"items": [host]}).to_string());
            }
            match looks.fetch_add(1, Ordering::SeqCst) {
                0 => events(&[with("running", [0, 0, 1], &["a"]), with("running", [1, 0, 1], &[])]),
                // Away for a moment.
                1 => Reply::HangUp,
                // It is what it was, and then it ends.
                _ => events(&[with("running", [1, 0, 1], &[]), end.clone()]),
            }
        });
        let operator = Operator::of(&server.url());
        let ran = operator.run("cluster restart web --wait --json");
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        let lines: Vec<_> = ran.stderr.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "the restart of cluster web began, as operation 7",
                "running: 0 of 2 done, at a",
                "running: 1 of 2 done"
            ]
        );
        assert!(lines[3].starts_with("note: no server could be reached"), "{lines:?}");
        assert_eq!(lines[4], "note: the server answers again");
        assert_eq!(&lines[lines.len() - said.len()..], said, "{lines:?}");
        assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap(), ends);
        let heard = server.heard();
        assert_eq!(heard[1].line(), "GET /v1/clusters/web/operations/7/events");
        assert!(heard[1].header("accept").unwrap().starts_with("text/event-stream"));
    }
}

/// Without a number, the latest is meant.
#[test]
fn the_latest_operation_is_the_usual_one() {
    let server = Recorder::start(|asked: &Heard| match asked.path.as_str() {
        path if path.starts_with("/v1/clusters/empty") => Reply::json(200, r#"{"items":[]}"#),
        path if path.ends_with("/events") => {
            events(&[with("running", [1, 0, 1], &[]), with("finished", [2, 0, 0], &[])])
        }
        path if path.contains("?limit=1") => {
            Reply::json(200, &json!({"items": [operation("running", 1)]}).to_string())
        }
        _ => Reply::json(200, &operation("aborting", 1).to_string()),
    });
    let operator = Operator::of(&server.url());
    let ran = operator.run("operation abort web");
    let said = "the restart of cluster web (operation 7) is now aborting: 1 of 2 done\n";
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("", said));
    let heard: Vec<String> = server.heard().iter().map(Heard::line).collect();
    let expected = ["GET /v1/clusters/web/operations?limit=1", "POST /v1/clusters/web/operations/7/abort {}"];
    assert_eq!(heard, expected);

    let aborting = with("aborting", [1, 0, 0], &["10.0.0.4"]).to_string();
    let server_at_it = Recorder::start(move |_| Reply::json(200, &aborting));
    let ran = Operator::of(&server_at_it.url()).run("operation abort web 7");
    let said = "the restart of cluster web (operation 7) is now aborting: 1 of 2 done, at 10.0.0.4; a restart that was \
                sent to 10.0.0.4 already is not recalled\n";
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("", said));

    let ran = operator.run("operation watch web --json");
    let phases: Vec<Value> =
        ran.ok().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["phase"].clone()).collect();
    assert_eq!(phases, ["running", "finished"]);

    let ran = operator.run("operation show empty");
    assert_eq!(ran.code, Some(66));
    assert_eq!(ran.stderr, "error: nothing was ever done with cluster empty\n");
}

/// On a terminal there is one line, painted anew, and what comes behind it stands in lines of its own.
#[test]
fn a_terminal_has_one_line_of_progress() {
    let server = Recorder::start(|asked: &Heard| match asked.path.as_str() {
        path if path.ends_with("/events") => events(&[
            with("running", [0, 0, 3], &["a"]),
            with("running", [2, 0, 1], &["a"]),
            with("finished", [4, 0, 0], &[]),
        ]),
        _ => Reply::json(200, "{}"),
    });
    let operator = Operator::of(&server.url());
    let typed = operator.command("operation watch web 7");
    let line = format!("{} operation watch web 7", typed.get_program().to_str().unwrap());
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
    script.env("HOME", operator.home()).env("PATH", "/usr/bin:/bin").env("SHELL", "/bin/sh");
    let ran = testkit::run(&mut script);
    let expected = "\r\u{1b}[K[....................] running: 0 of 4 done, at a\
                    \r\u{1b}[K[##########..........] running: 2 of 4 done, at a\
                    \r\u{1b}[K[####################] finished: 4 of 4 done\r\n\
                    the restart of cluster web is done, at 4 of 4 hosts\r\n";
    assert_eq!(ran.ok(), expected);
}

#[test]
fn what_is_in_the_way_can_be_looked_at() {
    let problem = json!({"title": "Conflict", "status": 409, "detail": "it runs"}).to_string();
    let server = Recorder::start(move |_| Reply::Answer(409, "application/problem+json", problem.clone()));
    let ran = Operator::of(&server.url()).run("cluster restart web --wait");
    let said = "error: it runs\nhint: `provost operation show web` shows what runs\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(75), said));
}

/// A server that is older, or something in between that knows nothing of events.
#[test]
fn what_is_no_event_stream_is_not_read_as_one() {
    let server = Recorder::start(|asked: &Heard| match asked.path.as_str() {
        path if path.ends_with("/events") => Reply::json(200, "{}"),
        _ => Reply::json(201, &operation("running", 1).to_string()),
    });
    let ran = Operator::of(&server.url()).run("operation watch web 7");
    assert_eq!(ran.code, Some(65), "{}", ran.stderr);
}
