//! `provost trust`, against a server that remembers what it was asked.

use serde_json::{Value, json};
use testkit::{Heard, Recorder, Reply, openssl_ok};

use crate::fleet_commands::Operator;

fn set() -> Value {
    json!({"hash": "00ff", "count": 2, "revision": 3, "since": "2026-11-21T06:00:00Z"})
}

fn provider(name: &str) -> Value {
    json!({"name": name, "refuse": ["expired"], "grace_seconds": 86_400, "set": set(),
        "since": "2026-11-20T06:00:00Z", "by": "ada"})
}

fn requirer() -> Value {
    json!({"name": "web", "place": {"kind": "poll"}, "hash": "00ff", "count": 2, "changed": "2026-11-21T06:00:00Z",
        "places": {"in_step": 1, "behind": 2, "failing": 3}, "since": "2026-11-20T06:00:00Z", "by": "ada",
        "leaving": false})
}

fn relation() -> Value {
    json!({"number": 7, "provider": "corp", "requirer": "web", "set": set(), "since": "2026-11-20T06:00:00Z",
        "by": "ada"})
}

fn certificate() -> Value {
    json!({"fingerprint": "ab".repeat(32), "subject": "Root", "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2036-01-01T00:00:00Z", "findings": ["expiring"], "pem": "PEM\n"})
}

fn place(name: &str, state: &str) -> Value {
    let mut place = json!({"name": name, "state": state, "since": "2026-11-21T06:00:00Z",
        "looked": "2026-11-21T06:30:00Z", "drifted": "2026-11-21T06:20:00Z"});
    if state == "failing" {
        place["reason"] = json!("it is away");
        place["next"] = json!("2026-11-21T07:00:00Z");
    }
    place
}

/// A server that has something of everything, and to which every change is fine.
fn server() -> Recorder {
    Recorder::start(|asked: &Heard| {
        let page = |items: Value| Reply::json(200, &json!({"items": items}).to_string());
        let one = |item: Value| Reply::json(200, &item.to_string());
        let path = asked.path.split('?').next().unwrap_or_default();
        match (asked.method.as_str(), path.trim_start_matches("/v1/trust/")) {
            ("DELETE", _) => Reply::json(204, ""),
            (_, "providers") if asked.path.contains("after=") => page(json!([provider("second")])),
            (_, "providers") => {
                Reply::json(200, &json!({"items": [provider("first")], "next": "p1"}).to_string())
            }
            (_, "providers/new") if asked.method == "GET" => Reply::json(404, ""),
            (_, "providers/corp/certificates" | "relations/7/certificates") => {
                one(json!({"set": set(), "certificates": [certificate()]}))
            }
            (_, "providers/corp/offers") => one(json!({"set": set(), "came": ["cd"], "went": ["ef"],
                "findings": [{"fingerprint": "cd", "findings": ["expiring", "weak-signature"]}]})),
            (_, path) if path.starts_with("providers/") => one(provider("corp")),
            (_, "requirers") => page(json!([requirer()])),
            (_, "requirers/web/places") => {
                page(json!([place("a", "in-step"), place("b", "behind"), place("c", "failing")]))
            }
            (_, "requirers/web/history") => page(json!([
                {"place": "a", "at": "2026-11-21T06:00:00Z", "what": "failing", "reason": "it is away", "by": "house"},
                {"place": "a", "at": "2026-11-21T07:00:00Z", "what": "applied", "hash": "00ff", "by": "house"},
            ])),
            (_, "requirers/web/bundle") => one(json!({"hash": "00ff", "certificates": ["A\n", "B\n"]})),
            ("POST", "requirers/web/applied") => Reply::json(204, ""),
            (_, "requirers/web") => one(requirer()),
            ("GET", "relations") => page(json!([relation()])),
            (_, "relations" | "relations/7") => one(relation()),
            (_, path) if path.starts_with("certificates/") => one(json!({"fingerprint": "ab".repeat(32),
                "certificate": certificate(), "brought": [], "offered": [{"provider": "corp"}], "requirers": []})),
            _ => Reply::json(404, ""),
        }
    })
}

#[test]
fn every_change_is_sent_as_it_was_meant_and_said() {
    let server = server();
    let operator = Operator::of(&server.url());
    operator.write("secret", "hunter2\n");
    let fingerprint = "ab".repeat(32);
    let openssls = ["AB"; 32].join(":");
    let poll = r#"{"place":{"kind":"poll"}}"#;
    let is_set = "requirer web is set; `provost trust relate PROVIDER web` gives it certificates";
    let offered = "warning: cd is expiring, weak-signature\ncame  cd\nwent  ef\n\
                   corp hands on 2 certificates now (revision 3): 1 came, 1 went";
    for (line, sent, said) in [
        (
            "provider set corp --grace 7d",
            r#"PUT /v1/trust/providers/corp {"grace_seconds":604800,"refuse":["expired"]}"#,
            "provider corp refuses expired; `provost trust offer corp FILE` hands on certificates",
        ),
        (
            "provider set corp --refuse expiring --refuse weak-signature --why because",
            r#"PUT /v1/trust/providers/corp {"grace_seconds":86400,"refuse":["expiring","weak-signature"],"why":"because"}"#,
            "provider corp refuses expired; `provost trust offer corp FILE` hands on certificates",
        ),
        (
            "provider set corp --refuse-nothing",
            r#"PUT /v1/trust/providers/corp {"grace_seconds":86400,"refuse":[]}"#,
            "provider corp refuses expired; `provost trust offer corp FILE` hands on certificates",
        ),
        (
            "provider set corp --only bo --only ada",
            r#"PUT /v1/trust/providers/corp {"grace_seconds":86400,"only":["bo","ada"],"refuse":["expired"]}"#,
            "provider corp refuses expired; `provost trust offer corp FILE` hands on certificates",
        ),
        (
            "provider set new",
            "PUT /v1/trust/providers/new {}",
            "provider corp refuses expired; `provost trust offer corp FILE` hands on certificates",
        ),
        (
            "provider remove corp --confirm --why it&that",
            "DELETE /v1/trust/providers/corp?confirm=true&why=it%26that",
            "provider corp goes, and after its grace, if it has one, its certificates",
        ),
        ("requirer set web poll", &format!("PUT /v1/trust/requirers/web {poll}"), is_set),
        (
            "requirer set web poll --only ada",
            r#"PUT /v1/trust/requirers/web {"place":{"kind":"poll","only":["ada"]}}"#,
            is_set,
        ),
        (
            "requirer set web hosts --host 10.0.0.1 --host fe80::1 --system-store --java \
             --file /a,owner=x,mode=0600,hook=a,b --file /b,keystore,password-file=/p,adopt",
            "PUT /v1/trust/requirers/web {\"place\":{\"all\":false,\"files\":[{\"hook\":\"a,b\",\"mode\":\"0600\",\
             \"owner\":\"x\",\"path\":\"/a\"},{\"adopt\":true,\"keystore\":true,\"password_file\":\"/p\",\"path\":\"/b\"}],\"hosts\":[\"10.0.0.1\",\"fe80::1\"],\"java\":true,\
             \"kind\":\"hosts\",\"system_store\":true}}",
            is_set,
        ),
        (
            "requirer set web hosts --all --java",
            r#"PUT /v1/trust/requirers/web {"place":{"all":true,"java":true,"kind":"hosts","system_store":false}}"#,
            is_set,
        ),
        (
            "requirer set web kubernetes --container-manager kube --selector a=b --name ca --key k --secret",
            "PUT /v1/trust/requirers/web {\"place\":{\"container_manager\":\"kube\",\"key\":\"k\",\"kind\":\"kubernetes\",\
             \"name\":\"ca\",\"secret\":true,\"selector\":\"a=b\"}}",
            is_set,
        ),
        (
            "requirer set web webhook --url https://a/b --secret-file secret --why new",
            r#"PUT /v1/trust/requirers/web {"place":{"kind":"webhook","secret":"hunter2","url":"https://a/b"},"why":"new"}"#,
            is_set,
        ),
        (
            "requirer remove web",
            "DELETE /v1/trust/requirers/web",
            "requirer web goes, once nothing is left in its places",
        ),
        (
            "requirer remove web --leave-behind --why x",
            "DELETE /v1/trust/requirers/web?leave_behind=true&why=x",
            "requirer web is gone; what was put in its places is there still",
        ),
        (
            "relate corp web",
            r#"POST /v1/trust/relations {"provider":"corp","requirer":"web"}"#,
            "requirer web has what provider corp says: relation 7",
        ),
        ("unrelate 7 --confirm", "DELETE /v1/trust/relations/7?confirm=true", "relation 7 is over"),
        (
            &format!("withdraw corp {openssls} --relation 7 --why over"),
            &format!(
                "POST /v1/trust/providers/corp/offers {{\"change\":\"remove\",\"confirm\":false,\
                 \"fingerprint\":\"{fingerprint}\",\"relation\":7,\"why\":\"over\"}}"
            ),
            &offered.replace("certificates now", "certificates in relation 7 now"),
        ),
        (
            "withdraw corp --all --confirm",
            r#"POST /v1/trust/providers/corp/offers {"change":"empty","confirm":true}"#,
            offered,
        ),
    ] {
        let line = format!("trust {line}");
        let ran = operator.run(&line);
        assert_eq!((ran.ok(), ran.stderr.trim_end()), ("", said), "{line}");
        // What is said of a provider is looked at first, so that what is not named stays.
        let is_change = |heard: &Heard| heard.method != "GET";
        let heard: Vec<_> = server.heard().into_iter().filter(is_change).collect();
        assert_eq!((heard.len(), heard[0].line().as_str()), (1, sent), "{line}");

        // The same, only looked at: without a change, and without what nobody may see.
        let ran = operator.run(&format!("{line} --dry-run"));
        let request = sent.split(" {").next().unwrap();
        assert_eq!((ran.ok().lines().next(), ran.stderr.as_str()), (Some(request), ""), "{line}");
        assert!(!ran.stdout.contains("hunter2"), "{line}: {}", ran.stdout);
        assert_eq!(server.heard().iter().filter(|heard| is_change(heard)).count(), 0, "{line}");

        let ran = operator.run(&format!("{line} --json"));
        assert_eq!(ran.ok().is_empty(), sent.starts_with("DELETE"), "{line}");
        if !ran.stdout.is_empty() {
            let document: Value = serde_json::from_str(&ran.stdout).unwrap();
            assert!(document.is_object(), "{line}: {document}");
        }
        let _ = server.heard();
    }
}

#[test]
fn every_thing_has_a_table_and_its_json() {
    let server = server();
    let operator = Operator::of(&server.url());
    let colons = ["AB"; 32].join(":");
    let certificate = format!("{}  Root     2036-01-01T00:00:00Z  expiring", "ab".repeat(32));
    let head = format!("{:64}  SUBJECT  NOT AFTER             FINDINGS", "FINGERPRINT");
    for (line, asked, lines) in [
        (
            "provider list",
            &["providers?limit=1000", "providers?limit=1000&after=p1"][..],
            &[
                "NAME   CERTIFICATES  CHANGED               GRACE  UNTIL  BY",
                "first  2             2026-11-21T06:00:00Z  1d     -      ada",
                "second  2             2026-11-21T06:00:00Z  1d     -      ada",
            ][..],
        ),
        (
            "provider show corp",
            &["providers/corp", "providers/corp/certificates"],
            &[
                "name          corp",
                "authority     -",
                "refuses       expired",
                "offered by    operators",
                "grace         1d",
                "going until   -",
                "certificates  2",
                "revision      3",
                "changed       2026-11-21T06:00:00Z",
                "made          2026-11-20T06:00:00Z by ada",
                "",
                &head,
                &certificate,
            ],
        ),
        (
            "requirer list",
            &["requirers?limit=1000"],
            &[
                "NAME  KIND  CERTIFICATES  CHANGED               IN STEP  BEHIND  FAILING  LEAVING",
                "web   poll  2             2026-11-21T06:00:00Z  1        2       3        -",
            ],
        ),
        ("requirer show web", &["requirers/web"], &["name          web", "kind          poll"]),
        (
            "requirer places web",
            &["requirers/web", "requirers/web/places?limit=1000"],
            &[
                "PLACE  STATE                                                LOOKED                DRIFTED               AGAIN",
                "a      in step                                              2026-11-21T06:30:00Z  2026-11-21T06:20:00Z  -",
                "b      behind since 2026-11-21T06:00:00Z                    2026-11-21T06:30:00Z  2026-11-21T06:20:00Z  -",
                "c      failing since 2026-11-21T06:00:00Z because it is away  2026-11-21T06:30:00Z  2026-11-21T06:20:00Z  2026-11-21T07:00:00Z",
            ],
        ),
        (
            "requirer history web",
            &["requirers/web/history?limit=1000"],
            &[
                "WHEN                  PLACE  WHAT                       BY",
                "2026-11-21T06:00:00Z  a      failing because it is away  house",
                "2026-11-21T07:00:00Z  a      given 00ff                 house",
            ],
        ),
        (
            "relations --provider corp --requirer web",
            &["relations?limit=1000&provider=corp&requirer=web"],
            &[
                "NUMBER  PROVIDER  REQUIRER  OWN CERTIFICATES  SINCE                 BY",
                "7       corp      web       2                 2026-11-20T06:00:00Z  ada",
            ],
        ),
        (
            "relation 7",
            &["relations/7", "relations/7/certificates"],
            &["number            7", "provider          corp", "requirer          web"],
        ),
        (
            &format!("explain {colons}"),
            &[&format!("certificates/{}", "ab".repeat(32))],
            &[&format!("fingerprint  {}", "ab".repeat(32)), "subject      Root"],
        ),
        ("bundle web", &["requirers/web/bundle"], &["A", "B"]),
    ] {
        let line = format!("trust {line}");
        let ran = operator.run(&line);
        let found: Vec<_> = ran.ok().lines().take(lines.len()).map(squeezed).collect();
        let lines: Vec<_> = lines.iter().map(|line| squeezed(line)).collect();
        assert_eq!((found, ran.stderr.as_str()), (lines, ""), "{line}");
        let heard: Vec<_> = server.heard().iter().map(Heard::line).collect();
        let expected: Vec<_> = asked.iter().map(|path| format!("GET /v1/trust/{path}")).collect();
        assert_eq!(heard, expected, "{line}");
        let ran = operator.run(&format!("{line} --json"));
        serde_json::from_str::<Value>(ran.ok()).unwrap();
        let _ = server.heard();
    }
    let failing: Value =
        serde_json::from_str(operator.run("trust requirer places web --failing --json").ok()).unwrap();
    assert_eq!(failing, json!([place("c", "failing")]));
    let shown: Value = serde_json::from_str(operator.run("trust provider show corp --json").ok()).unwrap();
    let mut expected = provider("corp");
    expected["certificates"] = json!([self::certificate()]);
    assert_eq!(shown, expected);
    let all: Value = serde_json::from_str(operator.run("trust provider list --json").ok()).unwrap();
    assert_eq!(all, json!([provider("first"), provider("second")]), "both pages");
}

/// How wide columns are is another test's.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_cannot_be_meant_is_not_sent() {
    let server = server();
    let operator = Operator::of(&server.url());
    operator.write("secret", "hunter2");
    for (line, code) in [
        ("requirer set web", 2),
        ("requirer set web somewhere", 2),
        ("requirer set web poll --all", 2),
        ("requirer set web hosts --all --system-store --only ada", 2),
        ("provider set corp --only ada --any-operator", 2),
        ("requirer set web hosts --system-store", 2),
        ("requirer set web hosts --all", 2),
        ("requirer set web hosts --all --cluster c --java", 2),
        ("requirer set web hosts --all --file /a,b", 2),
        ("requirer set web kubernetes --container-manager k --namespace n", 2),
        ("requirer set web kubernetes --container-manager k --name n", 2),
        ("requirer set web webhook --url https://a", 2),
        ("requirer set web webhook --url https://u:hunter2@a --secret-file secret", 2),
        ("requirer set web webhook --url https://a --secret-file secret --java", 2),
        ("requirer set web webhook --url https://a --secret-file nowhere", 66),
        ("provider set corp --refuse expired --refuse-nothing", 2),
        ("provider set corp --grace 7", 2),
        ("withdraw corp", 2),
        ("withdraw corp ab", 2),
        ("withdraw corp --all --file secret", 2),
        ("unrelate corp", 2),
        ("offer corp", 2),
        ("offer corp - -", 2),
        ("offer corp secret", 65),
        ("offer corp nowhere", 66),
        ("explain", 2),
        ("explain ab", 2),
        ("watch web", 2),
        ("watch web --out f --interval 61", 2),
    ] {
        let ran = operator.run(&format!("trust {line}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{line}: {}", ran.stderr);
        assert_eq!(server.heard().iter().map(Heard::line).collect::<Vec<_>>(), [""; 0], "{line}");
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    // A file that cannot be is told, so that the place is shown.
    for out in ["absent/f", "."] {
        let ran = operator.run(&format!("trust watch web --place here --out {out}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(69), ""), "{out}: {}", ran.stderr);
        let heard: Vec<_> = server.heard().iter().map(Heard::line).collect();
        let [asked, told] = heard.as_slice() else { panic!("{out}: {heard:?}") };
        assert_eq!(asked, "GET /v1/trust/requirers/web/bundle");
        let expected = format!(r#"POST /v1/trust/requirers/web/applied {{"failing":"could not keep {out}: "#);
        assert!(told.starts_with(&expected), "{told}");
        assert!(told.ends_with(r#"","hash":"00ff","place":"here","untouched":true}"#), "{told}");
    }
}

/// Whichever way it comes: nothing of it goes to the server, nor of what stands around certificates.
#[test]
fn a_private_key_stays_where_it_is() {
    let server = server();
    let operator = Operator::of(&server.url());
    let at = operator.home();
    openssl_ok(at, &["genpkey", "-algorithm", "ed25519", "-out", "key.pem"]);
    let new = ["req", "-x509", "-key", "key.pem", "-subj", "/CN=Root", "-days", "90", "-out", "a.pem"];
    openssl_ok(at, &new);
    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    let (key, pem) = (read("key.pem"), read("a.pem"));
    operator.write("both.pem", &format!("{pem}{key}"));
    operator.write("half.pem", &format!("{pem}{}", &key[..40]));
    openssl_ok(at, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "old.pem"]);
    for file in ["key.pem", "both.pem", "half.pem", "old.pem"] {
        for line in [
            format!("offer corp a.pem {file}"),
            format!("withdraw corp --file {file}"),
            format!("explain --file {file}"),
            format!("requirer set web webhook --url https://a --secret-file a.pem --ca-file {file}"),
        ] {
            let ran = operator.run(&format!("trust {line}"));
            let said = format!("error: there is a private key in {file}; nothing of it was sent\n");
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(65), ""), "{line}: {}", ran.stderr);
            assert!(ran.stderr.starts_with(&said), "{line}: {}", ran.stderr);
            assert_eq!(server.heard(), [], "{line}");
        }
    }
    let ran = operator.run_with(&format!("{pem}{key}"), "trust offer corp -");
    assert_eq!((ran.code, server.heard().len()), (Some(65), 0), "{}", ran.stderr);

    // What stands beside a certificate may be anything.
    operator
        .run_with(&format!("password: hunter2\n{pem}hunter2\n"), "trust offer corp - --replace --revision 3")
        .ok();
    let expected = json!({"change": "replace", "pem": pem, "revision": 3, "confirm": false});
    assert_eq!(serde_json::from_str::<Value>(&server.heard()[0].body).unwrap(), expected);
}

/// Whoever watches for a requirer that is gone ends, and leaves the file as it is: nobody said that it is to be empty.
#[test]
fn a_requirer_that_is_gone_is_not_watched_for() {
    let server =
        Recorder::start(|asked: &Heard| match (asked.method.as_str(), asked.path.contains("wait=")) {
            ("POST", _) => Reply::json(204, ""),
            (_, false) => {
                Reply::json(200, &json!({"hash": "00ff", "certificates": ["A\n", "B\n"]}).to_string())
            }
            (_, true) => Reply::json(404, ""),
        });
    let operator = Operator::of(&server.url());
    let ran = operator.run("trust watch web --out file --place here --interval 7");
    assert_eq!(ran.code, Some(66), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("file has 2 certificates now\nerror: "), "{}", ran.stderr);
    assert_eq!(std::fs::read(operator.home().join("file")).unwrap(), b"A\nB\n");
    let heard = server.heard();
    let lines: Vec<_> = heard.iter().map(Heard::line).collect();
    let expected = [
        "GET /v1/trust/requirers/web/bundle",
        r#"POST /v1/trust/requirers/web/applied {"begun":true,"hash":"00ff","place":"here"}"#,
        r#"POST /v1/trust/requirers/web/applied {"hash":"00ff","place":"here"}"#,
        "GET /v1/trust/requirers/web/bundle?wait=7",
    ];
    assert_eq!(lines, expected);
    assert_eq!(heard[3].header("if-none-match"), Some("\"00ff\""));
}
