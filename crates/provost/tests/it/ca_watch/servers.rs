//! Servers that are away, hang, say nonsense, ask for time, or are others than they were.

use testkit::{Cable, House, Pass, Recorder, Reply, http};
use x509::{Certificate, KeySpec};

use super::ends::past;
use super::{ALWAYS_DUE, configure, holder, house, metric, once, watch};
use crate::ca_commands::Holder;
use crate::houses::{ended_without_a_fault, key, up};

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

/// Another authority at the same place is told from the one that is trusted, also where nothing is due: as one that has not
/// the pinned CA certificate where one is pinned. And one that is pinned follows those that are over.
#[test]
fn another_authority_is_told_of() {
    let (house, other) = (up(), up());
    let fingerprint = |house: &House| {
        let pem = http::anybody().get(house.http_url("/cas/crt/ca.crt.pem")).send().unwrap().text().unwrap();
        let one = Certificate::from_pem(pem.as_bytes()).unwrap();
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
    for (pin, code, is_trusted_named) in
        [(String::new(), 65, true), (format!("fingerprint = \"{ours}\"\n"), 77, false)]
    {
        said(&other, &pin);
        let ran = once(&holder);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(&theirs) && (!is_trusted_named || ran.stderr.contains(&ours)), "{ran:?}");
        assert_eq!(metric(&holder.read("m.prom"), "provost_ca_failing"), Some(1));
    }
    let (code, told) = holder.refused(&format!("trust --ca ca.pem --server {}", other.http_url("")));
    assert!(code == 65 && told.contains(&ours) && told.contains(&theirs), "{told}");
    assert_eq!(holder.read("ca.pem"), before);

    // Those that are trusted are over: whoever is pinned since is trusted, and nobody else.
    let past = past(&key(KeySpec::P256));
    let pinned = Certificate::from_pem(past.as_bytes()).unwrap();
    for pin in [None, Some(base::hex::encode(&pinned.fingerprint())), Some(ours), Some(theirs)] {
        std::fs::write(holder.path("ca.pem"), &past).unwrap();
        let more = pin.as_ref().map(|pin| format!("fingerprint = \"{pin}\"\n"));
        said(&other, &more.unwrap_or_default());
        let ran = once(&holder);
        let is_right = pin == Some(fingerprint(&other));
        assert_eq!(ran.code, Some(if is_right { 0 } else { 77 }), "{pin:?} {ran:?}");
        assert_eq!(holder.read("ca.pem") == past, !is_right, "{pin:?}");
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
