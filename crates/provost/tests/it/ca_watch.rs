//! `provost ca watch`: certificates that stay valid, whatever happens to whom.

mod ends;
mod killed;
mod nginx;
mod servers;

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use testkit::{Face, House, Process, Ran, free_pair, http, openssl_ok, wait_for, wait_until};

use crate::ca_commands::{Holder, Original};
use crate::houses::{certificates_in, ended_without_a_fault, plan};

/// Whatever is asked for at this house is issued, for 93 days.
fn house() -> House {
    plan(Face::Up).option("service-auto-approve-count", "9999").start()
}

/// As a certificate of 93 days, which is dated 10 s back, is due as soon as there is one.
const ALWAYS_DUE: &str = "threshold = \"8035195s\"\njitter = \"0\"\n";

/// A holder at `house` whose configuration has one certificate in two files, and `more` said of it.
fn holder(house: &House, more: &str) -> Holder {
    let holder = Holder::of(&house.http_url(""));
    configure(&holder, &house.http_url(""), more);
    holder
}

fn configure(holder: &Holder, server: &str, more: &str) {
    let text = format!(
        "[defaults]\nserver = \"{server}\"\nca = \"ca.pem\"\nkey_type = \"p256\"\n\
         [[certificate]]\nname = \"web\"\ncertificate = \"web.crt\"\nkey = \"web.key\"\nrequest = {{ name = \"web\" }}\n{more}"
    );
    std::fs::write(holder.path("watch.toml"), text).unwrap();
}

#[track_caller]
fn once(holder: &Holder) -> Ran {
    holder.run("watch --config watch.toml --once")
}

fn watch(holder: &Holder) -> Process {
    Process::spawn(&mut holder.command("watch --config watch.toml"))
}

fn serial(holder: &Holder) -> String {
    certificates_in(&holder.path("web.crt"))[0].serial().to_string()
}

fn times(holder: &Holder) -> usize {
    std::fs::read_to_string(holder.path("times")).unwrap_or_default().lines().count()
}

/// The first certificate is asked for, and what follows it kept: by our server and by the original one.
fn kept(url: &str) {
    let holder = Holder::of(url);
    configure(
        &holder,
        url,
        "crl = \"crl.pem\"\non_renew = \"echo told $PROVOST_NAME $PROVOST_KEY; echo >> times\"\nkey_type = \"rsa-2048\"\n",
    );
    let ran = once(&holder);
    ran.ok();
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    assert!(ran.stderr.contains("web: hook: told web web.key\n"), "{ran:?}");
    assert!(ran.stderr.contains(" is trusted from now on, for being the first to answer"), "{ran:?}");
    assert_eq!(times(&holder), 1, "once for all that is new");
    openssl_ok(holder.folder(), &["crl", "-in", "crl.pem", "-noout", "-CAfile", "ca.pem"]);
    // Nothing is due, and nobody has to hear of it.
    let first = serial(&holder);
    assert_eq!(once(&holder).ok(), "");
    assert_eq!((serial(&holder), times(&holder)), (first.clone(), 1));
    // Renewed, as its rules say now.
    configure(&holder, url, &format!("{ALWAYS_DUE}on_renew = \"echo >> times\"\n"));
    let ran = once(&holder);
    ran.ok();
    assert!(serial(&holder) != first && ran.stderr.contains("web: renewed, serial "), "{ran:?}");
    assert_eq!(times(&holder), 2);
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    assert!(holder.read("web.key").starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
}

#[test]
fn certificates_of_our_server_are_kept() {
    let house = house();
    kept(&house.http_url(""));
    ended_without_a_fault(house);
}

#[test]
fn certificates_of_the_originals_server_are_kept() {
    kept(&Original::start(&["--service-auto-approve-count", "9"]).url);
}

/// A line of Prometheus' text.
fn metric(text: &str, name: &str) -> Option<i64> {
    text.lines().find_map(|line| line.strip_prefix(&format!("{name}{{name=\"web\"}} "))?.parse().ok())
}

/// Renewed again and again, seen in metrics and by the service manager; another configuration is taken when it is right.
#[test]
fn what_is_kept_is_seen_and_may_change() {
    // 40 s long, dated back by 10 s, and due 2 s after it was issued.
    let house = plan(Face::Up)
        .option("service-auto-approve-count", "99")
        .option("service-crt-validity", "0.000463")
        .start();
    let port = free_pair();
    let address = format!("127.0.0.1:{port}");
    let holder = Holder::of(&house.http_url(""));
    let top = format!("metrics = \"{address}\"\nmetrics_file = \"m.prom\"\n");
    let renewing = "threshold = \"28s\"\njitter = \"0\"\non_renew = \"echo >> times\"\n";
    let write = |top: &str, more: &str| {
        configure(&holder, &house.http_url(""), more);
        let text = format!("{top}{}", holder.read("watch.toml"));
        std::fs::write(holder.path("watch.toml"), text).unwrap();
    };
    write(&top, renewing);
    let notified = UnixDatagram::bind(holder.path("notify")).unwrap();
    notified.set_read_timeout(Some(testkit::LIMIT)).unwrap();
    let mut heard = Vec::new();
    let mut hear = |what: &str| {
        wait_for(what, || {
            let mut datagram = [0; 4096];
            let length = notified.recv(&mut datagram).unwrap();
            heard.extend_from_slice(&datagram[..length]);
            String::from_utf8_lossy(&datagram[..length]).contains(what).then_some(())
        });
    };
    let mut command = holder.command("watch --config watch.toml");
    command.env("NOTIFY_SOCKET", holder.path("notify")).env("WATCHDOG_USEC", "1000000");
    std::fs::write(holder.path("client.toml"), "").unwrap();
    command.env("PROVOST_CLIENT_CONFIG", "client.toml");
    let watching = Process::spawn(&mut command);
    hear("READY=1");
    hear("STATUS=keeps 1 certificate");
    hear("WATCHDOG=1");
    wait_until("two renewals", || times(&holder) > 2);
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    let text = http::anybody().get(format!("http://{address}/metrics")).send().unwrap().text().unwrap();
    let left = metric(&text, "provost_ca_certificate_expires_seconds").unwrap();
    assert!((20..=30).contains(&left), "{text}");
    assert!(metric(&text, "provost_ca_renewals_total").unwrap() >= 2, "{text}");
    assert_eq!(
        (metric(&text, "provost_ca_failures_total"), metric(&text, "provost_ca_failing")),
        (Some(0), Some(0))
    );
    assert!(
        metric(&text, "provost_ca_next_look_timestamp_seconds").unwrap()
            >= metric(&text, "provost_ca_last_success_timestamp_seconds").unwrap()
    );
    assert!(metric(&holder.read("m.prom"), "provost_ca_renewals_total").is_some());
    assert_eq!(http::anybody().get(format!("http://{address}/")).send().unwrap().status(), 404);
    assert_eq!(http::anybody().put(format!("http://{address}/metrics")).send().unwrap().status(), 405);

    // What is wrong changes nothing; what is right does.
    let hangup = || {
        assert!(Command::new("kill").args(["-HUP", &watching.id().to_string()]).status().unwrap().success())
    };
    assert!(!watching.stderr().contains("client.toml"), "{}", watching.stderr());
    std::fs::write(holder.path("watch.toml"), "nonsense = 1\n").unwrap();
    hangup();
    hear("RELOADING=1");
    watching
        .wait_for_stderr(|said| {
            said.contains("watch.toml, line 1: nothing is called `nonsense` at the top\n")
        })
        .unwrap();
    watching.wait_for_stderr(|said| said.contains("the configuration is as it was before\n")).unwrap();
    let before = times(&holder);
    wait_until("another renewal", || times(&holder) > before);
    let second = "[[certificate]]\nname = \"second\"\ncertificate = \"second.pem\"\nrequest = { dns = \"second.example\" }\n";
    write(&top, &format!("{renewing}{second}"));
    // A client file that is broken keeps nothing from being kept, and is told of.
    std::fs::write(holder.path("client.toml"), "servre = 1\n").unwrap();
    hangup();
    let warned = "warning: client.toml, line 1: nothing is called `servre` here";
    watching.wait_for_stderr(|said| said.contains(warned)).unwrap();
    watching.wait_for_stderr(|said| said.contains("second: obtained, serial ")).unwrap();
    holder.has_a_pair("second.pem", "second.pem", "ca.pem");
    hear("STATUS=keeps 2 certificates");
    let before = times(&holder);
    wait_until("another renewal", || times(&holder) > before);
    watching.terminate();
    hear("STOPPING=1");
    let ran = watching.wait();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    ended_without_a_fault(house);
}

/// Whatever is wrong with a configuration is said at once, and nothing is done.
#[test]
fn a_configuration_is_checked() {
    let holder = Holder::of("http://127.0.0.1:1");
    configure(&holder, "http://127.0.0.1:1", "");
    let ran = holder.run("watch --config watch.toml --check");
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("", "watch.toml is right: 1 certificate\n"));
    assert_eq!(holder.shown("watch --config watch.toml --check")["certificates"][0], "web");
    std::fs::write(holder.path("watch.toml"), "at_once = \"two\"\n[[certificate]]\nserver = 1\n").unwrap();
    for option in ["--check", "--once", ""] {
        let ran = holder.run(&format!("watch --config watch.toml {option}"));
        let expected = "error: watch.toml, line 1: `at_once` is a number from 1 to 256\n\
                        error: watch.toml, line 2: this certificate has no `name`\n\
                        error: watch.toml, line 2: nothing says where the CA certificates go: `ca` is missing\n\
                        error: watch.toml, line 3: `server` is a text that is not empty\n";
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(78), expected));
    }
    let ran = holder.run("watch --config absent.toml --once");
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert_eq!(std::fs::read_dir(holder.folder()).unwrap().count(), 1);
}

/// What the command says holds where the file says nothing; what would say nothing is refused; scripts are told in JSON.
#[test]
fn watch_is_told_and_tells() {
    let house = house();
    let holder = Holder::of("");
    std::fs::write(holder.path("c.toml"), "[[certificate]]\nname = \"web\"\n").unwrap();
    let line = format!("watch --config c.toml --server {} --ca x.pem", house.http_url(""));
    assert_eq!(holder.shown(&format!("{line} --check"))["ok"], true);
    let once = holder.shown(&format!("{line} --once"));
    assert_eq!((&once["ok"], &once["certificates"][0]["name"]), (&true.into(), &"web".into()), "{once}");
    assert!(holder.path("x.pem").exists());
    let (code, said) = holder.refused(&format!("{line} --check --fingerprint abc"));
    assert_eq!(code, 2, "{said}");
    for option in ["--json", "--once --user-key x.pem", "--once --server-ca x.pem"] {
        let (code, said) = holder.refused(&format!("{line} {option}"));
        assert_eq!(code, 2, "{option}: {said}");
    }
    let wrong = holder.run("watch --config c.toml --check --json --server ca");
    assert_eq!(wrong.code, Some(65), "{wrong:?}");
    let text = format!(
        "metrics_file = \"web.key\"\n[[certificate]]\nname = \"web\"\nserver = \"{}\"\nca = \"ca.pem\"\n\
         certificate = \"web.crt\"\nkey = \"./web.key\"\nrequest = {{ name = \"web\" }}\n",
        house.http_url("")
    );
    std::fs::write(holder.path("c.toml"), &text).unwrap();
    let wrong = holder.run("watch --config c.toml --check --json");
    assert_eq!(wrong.code, Some(78), "{wrong:?}");
    let told: serde_json::Value = serde_json::from_str(&wrong.stdout).unwrap();
    assert_eq!((&told["ok"], &told["problems"][0]["line"]), (&false.into(), &7.into()), "{told}");
    assert!(
        wrong.stderr.contains("the `key` of `web` and the `metrics_file` are the same file, ./web.key"),
        "{wrong:?}"
    );
    // Whoever may write it may run commands.
    std::fs::write(holder.path("c.toml"), text.replace("metrics_file = \"web.key\"\n", "")).unwrap();
    holder.run("watch --config c.toml --check").ok();
    let chmod = |mode: u32| {
        std::fs::set_permissions(holder.path("c.toml"), std::os::unix::fs::PermissionsExt::from_mode(mode))
    };
    chmod(0o666).unwrap();
    for option in ["--check", "--once", ""] {
        let (code, said) = holder.refused(&format!("watch --config c.toml {option}"));
        assert_eq!(code, 78, "{said}");
        assert!(said.contains("others may write it") && said.contains(" && chmod go-w c.toml\n"), "{said}");
    }
    chmod(0o600).unwrap();
    holder.run("watch --config c.toml --once").ok();
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    ended_without_a_fault(house);
}
