//! Commands that only look: what is asked, and how the answers are printed.

use serde_json::{Value, json};
use testkit::{Heard, Recorder, Reply};

use super::{Operator, cluster, host, operation};

/// A server that has something of everything.
fn server() -> Recorder {
    Recorder::start(|asked: &Heard| reply(&asked.path))
}

fn reply(path: &str) -> Reply {
    let path = path.split('?').next().unwrap_or_default();
    let page = |items: Value| Reply::json(200, &json!({"items": items}).to_string());
    let one = |item: Value| Reply::json(200, &item.to_string());
    let network = json!({"name": "flat", "kind": "flannel_server", "options": {"address": "a:1"}});
    let manager = json!({"name": "kube", "kind": "kubernetes", "options": {}});
    match path {
        "/v1/hosts" => page(json!([host("10.0.0.1", "active"), host("10.0.0.22", "new")])),
        "/v1/hosts/10.0.0.1" => one(host("10.0.0.1", "active")),
        "/v1/hosts/10.0.0.1/status" => {
            one(json!({"status": "active", "container_manager": {"state": "registered"}}))
        }
        "/v1/clusters" => page(json!([cluster("web")])),
        "/v1/clusters/web" => one(cluster("web")),
        "/v1/clusters/web/hosts" => page(json!(["10.0.0.1"])),
        "/v1/clusters/web/operations" => page(json!([operation("finished", 2)])),
        "/v1/clusters/web/operations/7" => one(operation("finished", 2)),
        "/v1/clusters/web/operations/7/hosts" => page(json!([
            {"address": "10.0.0.1", "state": "failed", "reason": "it hangs", "since": "2026-11-21T06:09:00Z",
                "left_cordoned": true},
        ])),
        "/v1/networks" => page(json!([network])),
        "/v1/networks/flat" => one(network),
        "/v1/container-managers" => page(json!([manager])),
        "/v1/container-managers/kube" => one(manager),
        "/v1/clusters/empty/hosts" | "/v1/clusters/empty/operations" => page(json!([])),
        _ => Reply::Answer(
            404,
            "application/problem+json",
            json!({"title": "Not Found", "status": 404, "detail": "it is not there", "hint": "look"})
                .to_string(),
        ),
    }
}

#[test]
fn every_thing_has_a_table_and_its_json() {
    let server = server();
    let operator = Operator::of(&server.url());
    for (line, path, first_lines) in [
        (
            "host list",
            "/v1/hosts?limit=1000",
            &[
                "ADDRESS    STATUS  CLUSTER  OS  CPUS  MEMORY  DISK  CHECKED  LABELS",
                "10.0.0.1   active  -        -   -     -       -     -        -",
            ][..],
        ),
        ("host show 10.0.0.1", "/v1/hosts/10.0.0.1", &["address  10.0.0.1", "status   active"]),
        (
            "host status 10.0.0.1",
            "/v1/hosts/10.0.0.1/status",
            &["status             active", "checked            -", "container manager  has it"],
        ),
        (
            "cluster list",
            "/v1/clusters?limit=1000",
            &["NAME  HEALTH  AVAILABLE  NETWORK  CONTAINER MANAGER", "web   ok      0 of 0     default  -"],
        ),
        ("cluster show web", "/v1/clusters/web", &["name               web"]),
        ("cluster hosts web", "/v1/clusters/web/hosts?limit=1000", &["ADDRESS", "10.0.0.1"]),
        (
            "operation list web",
            "/v1/clusters/web/operations?limit=1000",
            &[
                "ID  KIND     VERSION  PHASE     DONE    FAILED  AT  STARTED               FINISHED              BY",
                "7   restart  -        finished  2 of 2  0       -   2026-11-21T06:00:00Z  2026-11-21T06:10:00Z  ada",
            ],
        ),
        (
            "operation show web 7",
            "/v1/clusters/web/operations/7",
            &["cluster    web", "id         7", "kind       restart", "version    -", "phase      finished"],
        ),
        (
            "operation hosts web 7 --state failed",
            "/v1/clusters/web/operations/7/hosts?limit=1000&state=failed",
            &[
                "ADDRESS   STATE   SINCE                 CORDON  REASON",
                "10.0.0.1  failed  2026-11-21T06:09:00Z  left    it hangs",
            ],
        ),
        (
            "network list",
            "/v1/networks?limit=1000",
            &["NAME  KIND            OPTIONS", "flat  flannel_server  address=a:1"],
        ),
        ("network show flat", "/v1/networks/flat", &["name     flat", "kind     flannel_server"]),
        (
            "container-manager list",
            "/v1/container-managers?limit=1000",
            &["NAME  KIND        OPTIONS", "kube  kubernetes  -"],
        ),
        ("container-manager show kube", "/v1/container-managers/kube", &["name     kube"]),
    ] {
        // The same under `provost fleet`.
        for line in [line.to_owned(), format!("fleet {line}")] {
            let ran = operator.run(&line);
            let lines: Vec<_> = ran.ok().lines().take(first_lines.len()).collect();
            assert_eq!((lines, ran.stderr.as_str()), (first_lines.to_vec(), ""), "{line}");
            let heard = server.heard();
            assert_eq!((heard.len(), heard[0].line()), (1, format!("GET {path}")), "{line}");
        }
        let ran = operator.run(&format!("{line} --json"));
        let document: Value = serde_json::from_str(ran.ok()).unwrap();
        let Reply::Answer(_, _, body) = reply(&server.heard()[0].path) else { panic!("it has it all") };
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document, body.get("items").cloned().unwrap_or(body), "{line}");
        assert_eq!(ran.stderr, "");
    }
}

#[test]
fn hosts_are_found_by_what_is_said_of_them() {
    let server = server();
    let operator = Operator::of(&server.url());
    operator.run("host list --label rack=a1 --label dc/row= --status new --cluster web --os fedora").ok();
    let path = "/v1/hosts?limit=1000&status=new&cluster=web&os=fedora&label=rack%3Da1&label=dc%2Frow%3D";
    assert_eq!(server.heard()[0].path, path);
    assert_eq!(operator.run("host list --label rack").code, Some(2));
}

#[test]
fn an_empty_list_says_so() {
    let server = server();
    let operator = Operator::of(&server.url());
    let ran = operator.run("cluster hosts empty");
    let said = "it has no hosts; `provost cluster add-host NAME ADDRESS` adds one\n";
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("", said));
    let ran = operator.run("operation list empty --json");
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("[]\n", ""));
}

/// Two thousand and one hosts, on three pages.
fn paged() -> Recorder {
    Recorder::start(|asked: &Heard| {
        let after = asked.path.split_once("after=").map_or(0, |(_, after)| after.parse().unwrap());
        let items: Vec<_> =
            (after..2_001.min(after + 1_000)).map(|n| host(&format!("h{n:04}"), "new")).collect();
        let next = if after < 2_000 { json!((after + 1_000).to_string()) } else { Value::Null };
        Reply::json(200, &json!({"items": items, "next": next}).to_string())
    })
}

#[test]
fn a_list_is_one_over_all_its_pages() {
    let server = paged();
    let operator = Operator::of(&server.url());
    let ran = operator.run("host list --json");
    let hosts: Vec<Value> = serde_json::from_str(ran.ok()).unwrap();
    assert_eq!((hosts.len(), &hosts[2_000]["address"]), (2_001, &json!("h2000")));
    assert_eq!(ran.stdout.lines().count(), 2_001 + 2, "a line for each");
    assert_eq!(server.heard().len(), 3);
    let ran = operator.run("host list");
    assert_eq!(ran.ok().lines().filter(|line| line.starts_with("ADDRESS")).count(), 1);
    assert_eq!(ran.stdout.lines().count(), 2_001 + 1);
}

/// Whoever has read enough hangs up, and that is no failure.
#[test]
fn a_reader_may_leave_early() {
    let server = paged();
    let operator = Operator::of(&server.url());
    for format in ["", " --json"] {
        let line =
            format!("{} host list{format} | head -n 2; echo \"${{PIPESTATUS[*]}}\"", crate::program::PROVOST);
        let mut bash = std::process::Command::new("bash");
        bash.args(["-c", &line]).env_clear().env("HOME", operator.home()).env("PATH", "/usr/bin:/bin");
        let ran = testkit::run(&mut bash);
        assert_eq!((ran.ok().lines().last(), ran.stderr.as_str()), (Some("0 0"), ""));
    }
}

#[test]
fn a_list_that_goes_round_ends() {
    let server =
        Recorder::start(|_| Reply::json(200, &json!({"items": [host("a", "new")], "next": "a"}).to_string()));
    let ran = Operator::of(&server.url()).run("host list");
    assert_eq!(ran.code, Some(70));
    assert_eq!(ran.stderr, "error: the server began the list anew in the middle of it\n");
}

#[test]
fn refusals_have_the_servers_words_and_an_exit_code() {
    for (status, code) in [
        (400, 65),
        (401, 77),
        (403, 77),
        (404, 66),
        (409, 75),
        (412, 75),
        (413, 65),
        (422, 65),
        (429, 69),
        (500, 70),
        (503, 69),
        (507, 73),
    ] {
        let problem = json!({"title": "No", "status": status, "detail": "this is why", "hint": "do that"});
        let server =
            Recorder::start(move |_| Reply::Answer(status, "application/problem+json", problem.to_string()));
        let ran = Operator::of(&server.url()).run("host show a");
        let said = "error: this is why\nhint: do that\n";
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(code), "", said), "{status}");
    }
}

#[test]
fn somebody_elses_server_is_no_riddle() {
    for (reply, code, said) in [
        (
            Reply::Answer(404, "text/html", "<h1>".into()),
            66,
            "error: the server answered 404 to GET /v1/hosts/a\nhint: is it a Provost server, and not too old a one?\n",
        ),
        (Reply::json(200, "[1]"), 70, "error: the answer of the server is not understood"),
        (Reply::json(302, ""), 65, "error: the server answered 302 to GET /v1/hosts/a\n"),
    ] {
        let server = Recorder::start(move |_| reply.clone());
        let ran = Operator::of(&server.url()).run("host show a");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""));
        assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
    }
}

/// What a server sends cannot steer a terminal.
#[test]
fn control_characters_are_shown_and_not_obeyed() {
    let server = Recorder::start(|_| Reply::json(200, &host("a", "x\u{1b}[2J\u{9b}").to_string()));
    let ran = Operator::of(&server.url()).run("host show a");
    assert!(
        !ran.ok().contains(['\u{1b}', '\u{9b}']) && ran.stdout.contains("x\u{fffd}[2J"),
        "{}",
        ran.stdout
    );
}

/// What was not written was not done.
#[test]
fn a_full_disk_is_no_success() {
    let server = server();
    let operator = Operator::of(&server.url());
    for format in ["", " --json"] {
        let line = format!("{} host list{format} > /dev/full", crate::program::PROVOST);
        let mut shell = std::process::Command::new("/bin/sh");
        let ran = testkit::run(shell.args(["-c", &line]).env_clear().env("HOME", operator.home()));
        assert_eq!(ran.code, Some(69));
        assert!(ran.stderr.starts_with("error: could not write the result: No space"), "{}", ran.stderr);
    }
}
