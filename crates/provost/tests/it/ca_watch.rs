//! `provost ca watch`: certificates that stay valid, whatever happens to whom.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{
    Cable, Face, House, Pass, Process, Ran, Recorder, Reply, free_pair, http, openssl, openssl_ok, wait_for,
    wait_until,
};

use crate::ca_commands::{Holder, Original};
use crate::houses::{certificates_in, ended_without_a_fault, plan, up};
use crate::program::PROVOST;

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
    hangup();
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

/// Whoever kills it, whenever: what is there can be used, or is put in order by the next one.
#[test]
fn whoever_is_killed_leaves_a_usable_pair() {
    let house = house();
    let holder = holder(&house, ALWAYS_DUE);
    once(&holder).ok();
    let begun = Instant::now();
    once(&holder).ok();
    let takes = begun.elapsed();
    let mut serials = vec![serial(&holder)];
    let (mut ended, rounds) = (0, 40);
    for round in 0..rounds {
        let watching = Process::spawn(&mut holder.command("watch --config watch.toml --once"));
        // All over the time that it takes, and a little more.
        std::thread::park_timeout(takes * round * 5 / 4 / rounds);
        watching.kill();
        let ran = watching.wait();
        ended += usize::from(ran.code == Some(0));
        let ran = once(&holder);
        ran.ok();
        holder.has_a_pair("web.crt", "web.key", "ca.pem");
        serials.push(serial(&holder));
    }
    println!("{ended} of {rounds} came to their end before");
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 1 + usize::try_from(rounds).unwrap(), "each round renews");
    let left: Vec<_> =
        std::fs::read_dir(holder.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let mut hidden: Vec<_> =
        left.iter().filter_map(|name| name.to_str()).filter(|name| name.starts_with('.')).collect();
    hidden.sort_unstable();
    assert_eq!(hidden, [".web.crt.provost"], "nothing is left of any of them");
    ended_without_a_fault(house);
}

/// Killed while it asks for the first one: it is asked for once, with one key.
#[test]
fn whoever_is_killed_at_first_asks_once() {
    let house = up();
    let holder = holder(&house, "");
    let begun = Instant::now();
    let ran = once(&holder);
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.stderr.contains("waits for somebody's approval"), "{ran:?}");
    let takes = begun.elapsed();
    let key = holder.read("web.key");
    for name in [".web.key.provost-request", "ca.pem"] {
        std::fs::remove_file(holder.path(name)).unwrap();
    }
    for round in 0..12 {
        let watching = Process::spawn(&mut holder.command("watch --config watch.toml --once"));
        std::thread::park_timeout(takes * round / 12);
        watching.kill();
        drop(watching.wait());
    }
    assert_eq!(once(&holder).code, Some(75));
    assert_eq!(holder.read("web.key"), key);
    let admin = house.administrator();
    let listed = holder.shown(&format!("list --user-key {}", admin.display()));
    // ECDSA signs in another way each time: one of before that was forgotten, and one for all of these.
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    let remembered: serde_json::Value =
        serde_json::from_str(&holder.read(".web.key.provost-request")).unwrap();
    holder
        .run(&format!("approve {} --user-key {}", remembered["id"].as_str().unwrap(), admin.display()))
        .ok();
    once(&holder).ok();
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    assert!(!holder.path(".web.key.provost-request").exists());
}

/// A server that is away, hangs, says nonsense or is another one: what there is stays, the exit code tells, and all is well
/// when it is back.
#[test]
fn a_server_that_is_out_of_order_is_waited_for() {
    let mut house = house();
    let holder = holder(&house, ALWAYS_DUE);
    once(&holder).ok();
    let files = || ["ca.pem", "web.crt", "web.key"].map(|name| holder.read(name));
    let before = files();
    let other = up();
    let garbage = Recorder::start(|_| Reply::Answer(200, "text/html", "<html>".into()));
    for (server, code) in [(other.http_url(""), 65), (garbage.url(), 65), ("http://127.0.0.1:1".into(), 69)] {
        configure(&holder, &server, ALWAYS_DUE);
        let ran = once(&holder);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.starts_with("web: ") && ran.stderr.ends_with("error: 1 of 1 failed\n"), "{ran:?}");
        assert_eq!(files(), before);
    }

    let cable = Cable::to(house.port());
    configure(&holder, &format!("http://127.0.0.1:{}", cable.port()), ALWAYS_DUE);
    let text = format!("timeout = \"1s\"\n{}", holder.read("watch.toml"));
    std::fs::write(holder.path("watch.toml"), text).unwrap();
    for (pass, code) in [(Pass::Later, 75), (Pass::Nothing, 69), (Pass::Questions, 69)] {
        cable.set(pass);
        let ran = once(&holder);
        assert_eq!(ran.code, Some(code), "{pass:?} {ran:?}");
        assert!(ran.stderr.contains("web: no answer to GET http://127.0.0.1:"), "{ran:?}");
        assert_eq!(files(), before);
    }

    // For as long as it runs, it says so once, and comes back by itself.
    house.stop();
    cable.set(Pass::All);
    let watching = watch(&holder);
    watching.wait_for_stderr(|said| said.contains("web: no answer to ")).unwrap();
    house.start();
    watching.wait_for_stderr(|said| said.contains("web: all is well\n")).unwrap();
    assert_ne!(files()[1], before[1]);
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    watching.terminate();
    let ran = watching.wait();
    assert_eq!((ran.code, ran.stderr.matches("no answer").count()), (Some(0), 1), "{ran:?}");
}

/// A hook that fails is run until it succeeds, one that hangs is ended, and one that was cut short is owed.
#[test]
fn a_hook_is_owed_until_it_succeeds() {
    let house = house();
    let holder = holder(&house, "");
    let hooked = |hook: &str| {
        configure(
            &holder,
            &house.http_url(""),
            &format!("hook_timeout = \"1s\"\non_renew = \"\"\"{hook}\"\"\"\n"),
        )
    };
    hooked("echo sorry >&2; exit 3");
    let ran = once(&holder);
    assert_eq!(ran.code, Some(69));
    assert!(
        ran.stderr.contains(
            "web: hook: sorry\nweb: its hook failed with exit code 3 (it is run again, until it succeeds)\n"
        ),
        "{ran:?}"
    );
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    hooked("sleep 60 & sleep 60");
    let ran = once(&holder);
    assert_eq!(ran.code, Some(69));
    assert!(ran.stderr.contains("web: its hook took longer than 1 s, and was ended"), "{ran:?}");
    hooked("echo >> times");
    once(&holder).ok();
    once(&holder).ok();
    assert_eq!(times(&holder), 1, "it succeeded");

    // Killed in the middle of one; asked to end in the middle of one.
    let renewing = |hook: &str, due: &str| {
        configure(
            &holder,
            &house.http_url(""),
            &format!("{due}hook_timeout = \"10m\"\non_renew = \"\"\"{hook}\"\"\"\n"),
        )
    };
    renewing("echo > begun; while test ! -e go; do sleep 0.02; done; echo > over", ALWAYS_DUE);
    let watching = Process::spawn(&mut holder.command("watch --config watch.toml --once"));
    wait_until("the hook", || holder.path("begun").exists());
    // Another one does not come in between.
    let other = once(&holder);
    assert_eq!(other.code, Some(75), "{other:?}");
    assert!(other.stderr.contains("web.crt is being kept by another `provost ca watch`"), "{other:?}");
    watching.kill();
    drop(watching);
    std::fs::write(holder.path("go"), "").unwrap();
    wait_until("the end of the hook", || holder.path("over").exists());
    renewing("echo >> times", "");
    once(&holder).ok();
    assert_eq!(times(&holder), 2, "the certificate is the same, and the hook was owed");
    renewing("trap 'echo > ended; exit 1' TERM; echo > new; while :; do sleep 0.02; done", ALWAYS_DUE);
    let watching = watch(&holder);
    wait_until("the hook", || holder.path("new").exists());
    watching.terminate();
    assert_eq!(watching.wait().code, Some(0));
    wait_until("the end of the hook", || holder.path("ended").exists());
    renewing("echo >> times", "");
    once(&holder).ok();
    assert_eq!(times(&holder), 3);
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

/// What is over is asked for anew, with another key: a server has what it made of the old one still.
#[test]
fn what_is_over_is_asked_for_anew() {
    // 14 s long, dated back by 10 s.
    let house = plan(Face::Up)
        .option("service-auto-approve-count", "99")
        .option("service-crt-validity", "0.00016204")
        .start();
    let holder = Holder::of(&house.http_url(""));
    let request = |name: &str| format!("request --ca ca.pem --key {name}.key --name {name} --out {name}.crt");
    let new = [
        "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "d.key", "-out", "d.csr", "-subj", "/CN=d",
    ];
    openssl_ok(holder.folder(), &new);
    let by_csr = format!(
        "[[certificate]]\nname = \"d\"\nserver = \"{}\"\nca = \"ca.pem\"\ncertificate = \"d.crt\"\nkey = \"d.key\"\ncsr = \"d.csr\"\n",
        house.http_url("")
    );
    std::fs::write(holder.path("d.toml"), by_csr).unwrap();
    configure(&holder, &house.http_url(""), "key_type = \"rsa-2048\"\n");
    for name in ["b", "c"] {
        holder.run(&request(name)).ok();
    }
    once(&holder).ok();
    holder.run("watch --config d.toml --once").ok();
    let names = ["b", "c", "d", "web"];
    let before = names.map(|name| (holder.read(&format!("{name}.crt")), holder.read(&format!("{name}.key"))));
    let not_after = |name: &str| certificates_in(&holder.path(&format!("{name}.crt")))[0].not_after();
    wait_until("their end", || names.iter().all(|name| not_after(name) < base::Clock::system().now()));
    // However long that takes: what is new lives for seconds as well.
    let has_a_pair = |name: &str| {
        let [certificate, key] = ["crt", "key"].map(|kind| format!("{name}.{kind}"));
        openssl_ok(holder.folder(), &["verify", "-no_check_time", "-CAfile", "ca.pem", &certificate]);
        let of_certificate = openssl_ok(holder.folder(), &["x509", "-in", &certificate, "-noout", "-pubkey"]);
        assert_eq!(of_certificate, openssl_ok(holder.folder(), &["pkey", "-in", &key, "-pubout"]), "{name}");
    };
    let (code, said) = holder.refused("renew b.crt b.key --ca ca.pem");
    assert_eq!(code, 65, "{said}");
    assert!(
        said.contains("is over since ")
            && said.contains("`provost ca request --key b.key --out b.crt --name"),
        "{said}"
    );
    // Where it is, and where it was moved away.
    std::fs::remove_file(holder.path("c.crt")).unwrap();
    for name in ["b", "c"] {
        let ran = holder.run(&request(name));
        ran.ok();
        has_a_pair(name);
        assert!(ran.stderr.contains("another one is asked for, with a new key"), "{ran:?}");
        assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
    }
    let ran = once(&holder);
    ran.ok();
    has_a_pair("web");
    assert!(ran.stderr.contains("web: its certificate is over since "), "{ran:?}");
    // What only the holder can do is said.
    let ran = holder.run("watch --config d.toml --once --json");
    assert_eq!(ran.code, Some(65), "{ran:?}");
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(told["certificates"][0]["what"].as_str().unwrap().contains("d.crt is over since "), "{told}");
    assert!(ran.stderr.contains("move d.crt and d.key away, then `openssl req -new"), "{ran:?}");
    std::fs::remove_file(holder.path("d.crt")).unwrap();
    let ran = holder.run("watch --config d.toml --once");
    assert!(ran.code == Some(65) && ran.stderr.contains("move d.crt and d.key away"), "{ran:?}");
    for (name, (certificate, key)) in names.iter().zip(&before) {
        let is_asked = *name != "d";
        assert_eq!(holder.read(&format!("{name}.key")) != *key, is_asked, "{name}");
        assert!(!is_asked || holder.read(&format!("{name}.crt")) != *certificate, "{name}");
        for left in ["key", "request"] {
            assert!(
                !is_asked || !holder.path(&format!(".{name}.key.provost-{left}")).exists(),
                "{name} {left}"
            );
        }
    }
    ended_without_a_fault(house);
}

/// A certificate that was revoked is in trouble, and nobody takes that back but those who decide.
#[test]
fn a_revoked_certificate_is_told_of() {
    let house = house();
    let holder = holder(&house, "crl = \"crl.pem\"\n");
    once(&holder).ok();
    let (before, key) = (serial(&holder), holder.read("web.key"));
    holder.run("revoke web.crt web.key --ca ca.pem --yes").ok();
    let text = format!("metrics_file = \"m.prom\"\n{}", holder.read("watch.toml"));
    std::fs::write(holder.path("watch.toml"), text).unwrap();
    for _ in 0..2 {
        let ran = once(&holder);
        assert_eq!(ran.code, Some(65), "{ran:?}");
        let said = format!("web: the certificate in web.crt, serial {before}, was revoked (");
        assert!(
            ran.stderr.starts_with(&said) && ran.stderr.contains("move web.crt and web.key away"),
            "{ran:?}"
        );
        assert_eq!(metric(&holder.read("m.prom"), "provost_ca_failing"), Some(1));
        assert_eq!((serial(&holder), holder.read("web.key")), (before.clone(), key.clone()));
    }
    for name in ["web.crt", "web.key"] {
        std::fs::remove_file(holder.path(name)).unwrap();
    }
    once(&holder).ok();
    assert!(serial(&holder) != before && holder.read("web.key") != key);
    assert_eq!(metric(&holder.read("m.prom"), "provost_ca_failing"), Some(0));
    ended_without_a_fault(house);
}

/// Another authority at the same place is told from the one that is trusted, also where nothing is due; and one that is pinned
/// follows those that are over.
#[test]
fn another_authority_is_told_of() {
    let (house, other) = (up(), up());
    let fingerprint = |house: &House| {
        let pem = http::anybody().get(house.http_url("/cas/crt/ca.crt.pem")).send().unwrap().text().unwrap();
        let one = x509::Certificate::from_pem(pem.as_bytes()).unwrap();
        base::hex::encode(&one.fingerprint())
    };
    let (ours, theirs) = (fingerprint(&house), fingerprint(&other));
    let holder = Holder::of(&house.http_url(""));
    let said = |house: &House, more: &str| {
        let text = format!(
            "metrics_file = \"m.prom\"\n[[certificate]]\nname = \"web\"\nserver = \"{}\"\nca = \"ca.pem\"\n{more}",
            house.http_url("")
        );
        std::fs::write(holder.path("watch.toml"), text).unwrap();
    };
    said(&house, "");
    once(&holder).ok();
    once(&holder).ok();
    let before = holder.read("ca.pem");
    for pin in [String::new(), format!("fingerprint = \"{ours}\"\n")] {
        said(&other, &pin);
        let ran = once(&holder);
        assert_eq!(ran.code, Some(65), "{ran:?}");
        assert!(ran.stderr.contains(&ours) && ran.stderr.contains(&theirs), "{ran:?}");
        assert_eq!(metric(&holder.read("m.prom"), "provost_ca_failing"), Some(1));
    }
    let (code, told) = holder.refused(&format!("trust --ca ca.pem --server {}", other.http_url("")));
    assert!(code == 65 && told.contains(&ours) && told.contains(&theirs), "{told}");
    assert_eq!(holder.read("ca.pem"), before);

    // Those that are trusted are over: whoever is pinned since is trusted, and nobody else.
    let key = crate::houses::key(x509::KeySpec::P256);
    let name = x509::Name::from_common_name("past").unwrap();
    let past = x509::CertificateTemplate {
        serial: x509::Serial::from_decimal("1").unwrap(),
        issuer: name.clone(),
        subject: name,
        not_before: base::Timestamp::from_unix(1_600_000_000),
        not_after: base::Timestamp::from_unix(1_600_000_001),
        public_key: key.public().clone(),
        extensions: vec![x509::extension::basic_constraints(true, None)],
    };
    let past = past.sign(&key);
    for pin in [None, Some(base::hex::encode(&past.fingerprint())), Some(ours), Some(theirs)] {
        std::fs::write(holder.path("ca.pem"), past.to_pem()).unwrap();
        let more = pin.as_ref().map(|pin| format!("fingerprint = \"{pin}\"\n"));
        said(&other, &more.unwrap_or_default());
        let ran = once(&holder);
        let is_right = pin == Some(fingerprint(&other));
        assert_eq!(ran.code, Some(if is_right { 0 } else { 77 }), "{pin:?} {ran:?}");
        assert_eq!(holder.read("ca.pem") == past.to_pem(), !is_right, "{pin:?}");
        assert!(is_right || ran.stderr.contains("fingerprint"), "{ran:?}");
    }
    ended_without_a_fault(house);
    ended_without_a_fault(other);
}

/// A server that says for how long it is to be left alone is, within reason.
#[test]
fn a_server_that_asks_for_time_is_given_it() {
    let holder = Holder::of("");
    let next = |media_type: &'static str| {
        let busy = Recorder::start(move |_| Reply::Answer(503, media_type, "later".into()));
        let text = format!("[[certificate]]\nname = \"web\"\nserver = \"{}\"\nca = \"ca.pem\"\n", busy.url());
        std::fs::write(holder.path("watch.toml"), text).unwrap();
        let ran = holder.run("watch --config watch.toml --once --json");
        assert_eq!(ran.code, Some(69), "{ran:?}");
        let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        base::Timestamp::from_rfc3339(told["certificates"][0]["next"].as_str().unwrap()).unwrap()
    };
    let soon = next("text/plain");
    // Where the media type ends, another header begins.
    let later = next("text/plain\r\nRetry-After: 1800");
    assert!((1_700..3_600).contains(&(later - soon).as_seconds()), "{soon} {later}");
}

/// A disk that is full, in a mount namespace of its own (unshare(1)): the pair stays, and is renewed when there is room.
#[test]
fn a_full_disk_leaves_the_old_pair() {
    let house = house();
    let holder = holder(&house, ALWAYS_DUE);
    once(&holder).ok();
    let before = serial(&holder);
    std::fs::create_dir(holder.path("disk")).unwrap();
    let script = "mount -t tmpfs -o size=128k,mode=0700 tmpfs disk && echo mounted || exit
        cp -p ca.pem web.crt web.key watch.toml disk; cd disk
        head -c 256k /dev/zero > ballast 2>/dev/null
        \"$@\"; echo full $?
        cmp web.crt ../web.crt && cmp web.key ../web.key && echo same
        rm ballast; \"$@\"; echo room $?
        cp web.crt web.key ..";
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    inside.args([PROVOST, "ca", "watch", "--config", "watch.toml", "--once"]).current_dir(holder.folder());
    let ran = testkit::run(inside.env("HOME", "/nonexistent"));
    let needed = "unshare(1) has to be allowed to mount a file system in memory: `sysctl -w kernel.unprivileged_userns_clone=1`";
    let said = ran.stdout.strip_prefix("mounted\n").unwrap_or_else(|| panic!("{needed}: {ran:?}"));
    assert_eq!(said, "full 73\nsame\nroom 0\n", "{ran:?}");
    assert!(ran.stderr.contains("could not write "), "{ran:?}");
    assert_ne!(serial(&holder), before);
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
}

/// nginx, which goes on answering while its certificate is another one twenty times, and its hook makes it read that.
#[test]
fn nginx_answers_through_twenty_renewals() {
    let nginx =
        ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| std::path::Path::new(path).exists());
    let nginx = nginx.unwrap_or_else(|| panic!("nginx is not installed: run `cargo xtask witnesses`"));
    // 40 s long, dated back by 10 s, and due 2 s after it was issued.
    let house = plan(Face::Up)
        .option("service-auto-approve-count", "999")
        .option("service-crt-validity", "0.000463")
        .start();
    let holder = Holder::of(&house.http_url(""));
    let port = free_pair();
    let conf = format!(
        "daemon off; master_process on; worker_processes 2; pid nginx.pid; error_log nginx.err;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate web.crt; ssl_certificate_key web.key; return 200 \"hello\"; }} }}\n"
    );
    std::fs::write(holder.path("nginx.conf"), conf).unwrap();
    let prefix = holder.folder().display().to_string();
    let arguments = ["-p", &prefix, "-c", "nginx.conf", "-e", "nginx.err"];
    configure(&holder, &house.http_url(""), "threshold = \"28s\"\njitter = \"0\"\n");
    once(&holder).ok();
    let serving = Process::spawn(Command::new(nginx).args(arguments));
    // The features of this build leave the choice to whoever comes first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let get = || {
        let client =
            reqwest::blocking::Client::builder().tls_danger_accept_invalid_certs(true).tls_certs_only([]);
        let client = client.tls_info(true).pool_max_idle_per_host(0).no_proxy().build().unwrap();
        let answer = client.get(format!("https://127.0.0.1:{port}/")).send()?;
        let der = answer
            .extensions()
            .get::<reqwest::tls::TlsInfo>()
            .and_then(|info| info.peer_certificate().map(<[u8]>::to_vec));
        let served = x509::Certificate::from_der(&der.unwrap()).unwrap();
        assert_eq!((answer.status().as_u16(), answer.text()?.as_str()), (200, "hello"));
        Ok::<_, reqwest::Error>(served)
    };
    wait_until("nginx", || get().is_ok());
    let hook = format!(
        "on_renew = \"{nginx} {} -s reload\"\nthreshold = \"28s\"\njitter = \"0\"\n",
        arguments.join(" ")
    );
    configure(&holder, &house.http_url(""), &hook);
    let watching = watch(&holder);
    let (mut serials, mut asked) = (std::collections::BTreeSet::new(), 0);
    let begun = Instant::now();
    while serials.len() <= 20 {
        let served =
            get().unwrap_or_else(|error| panic!("request {asked} failed: {error:?}\n{}", watching.stderr()));
        serials.insert(served.serial().to_string());
        asked += 1;
        assert!(
            begun.elapsed() < Duration::from_secs(240),
            "{} renewals, {}",
            serials.len(),
            watching.stderr()
        );
    }
    println!("{asked} requests, {} certificates", serials.len());
    watching.terminate();
    let ran = watching.wait();
    assert!(ran.code == Some(0) && !ran.stderr.contains("hook failed"), "{ran:?}");
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    serving.terminate();
    drop(serving.wait());
    let _ = openssl(holder.folder(), &["version"]);
}
