//! `provost trust watch`: a file that is what a requirer is to have, whatever happens to whom.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base::{Span, Timestamp};
use serde_json::{Value, json};
use testkit::{House, LIMIT, Process, Ran, wait_for, wait_until};
use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

use crate::houses::up;
use crate::trust_life::{authority, run, shown, trust};

/// A house whose requirer `web` has what `corp` offers.
fn house() -> House {
    let house = up();
    run(&house, "provider set corp --refuse-nothing").ok();
    run(&house, "requirer set web poll").ok();
    run(&house, "relate corp web").ok();
    house
}

/// `provost trust watch web` into `file`, with a hook.
fn watch(house: &House, options: &str, hook: &str) -> Command {
    let mut command = trust(house, &format!("watch web --out file --place here {options}"));
    command.args(["--hook", hook]);
    command
}

#[track_caller]
fn once(house: &House, hook: &str) -> Ran {
    testkit::run(&mut watch(house, "--once", hook))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// How it is with the place, as the server has it: its state, and whether it has what the requirer is to have.
fn place(house: &House) -> Option<String> {
    let places = shown(house, "requirer places web");
    places.as_array().unwrap().iter().find(|place| place["name"] == "here")?["state"]
        .as_str()
        .map(str::to_owned)
}

/// What is beside the file, hidden.
fn left(at: &Path) -> Vec<String> {
    let names = std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".file")).collect()
}

#[test]
fn a_change_comes_into_the_file_and_to_the_hook() {
    let house = house();
    let (file, seen) = (house.directory().join("file"), house.directory().join("seen"));
    let one = authority(house.directory(), "one", 400);
    let two = authority(house.directory(), "two", 400);
    let watching =
        Process::spawn(&mut watch(&house, "--interval 1", "cp file seen; echo >> times; echo told"));
    let has = |what: &str| wait_until("the hook", || read(&seen) == what && read(&file) == what);
    // The empty set is a set.
    watching
        .wait_for_stderr(|said| said.contains("file is empty, as nothing is to be trusted now\ntold\n"))
        .unwrap();
    assert_eq!(read(&file), "");
    wait_until("what the server has", || place(&house).as_deref() == Some("in-step"));

    run(&house, "offer corp one.pem").ok();
    has(&one);
    wait_until("what the server has", || place(&house).as_deref() == Some("in-step"));
    run(&house, "offer corp two.pem").ok();
    let mut both = [one.as_str(), &two];
    both.sort_unstable();
    has(&both.concat());
    run(&house, "withdraw corp --file one.pem").ok();
    has(&two);

    // Somebody else takes it for theirs.
    std::fs::write(&file, "mine").unwrap();
    has(&two);
    std::fs::remove_file(&file).unwrap();
    has(&two);

    // Whoever is to know, was told of that, and that is on the disk.
    let owed = house.directory().join(".file.provost");
    wait_until("the hook to be paid", || read(&owed).is_empty());

    // One keeps it.
    let other = once(&house, "true");
    let expected = "error: file is being kept by another `provost trust watch`\n";
    assert_eq!((other.code, other.stderr.as_str()), (Some(75), expected));
    watching.terminate();
    let ran = watching.wait();
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(143), ""),
        "what a hook says is narration: {}",
        ran.stderr
    );

    // As JSON, and nothing where nothing is new.
    let times = read(&house.directory().join("times"));
    assert_eq!(testkit::run(&mut watch(&house, "--once --json", "echo >> times")).ok(), "");
    assert_eq!(read(&house.directory().join("times")), times);
    run(&house, "withdraw corp --all --confirm").ok();
    let ran = testkit::run(&mut watch(&house, "--once --json", "echo >> times"));
    let said: Value = serde_json::from_str(ran.ok()).unwrap();
    assert_eq!((&said["file"], &said["count"]), (&json!("file"), &json!(0)), "{said}");
    assert_eq!((read(&file).len(), read(&house.directory().join("times")).len()), (0, times.len() + 1));
    assert_eq!(left(house.directory()), [".file.provost"]);
}

/// A requirer that goes takes its certificates along.
#[test]
fn what_a_requirer_had_goes_with_it() {
    let house = house();
    authority(house.directory(), "one", 400);
    run(&house, "offer corp one.pem").ok();
    let watching = Process::spawn(&mut watch(&house, "", "true"));
    let file = house.directory().join("file");
    wait_until("the file", || !read(&file).is_empty());
    wait_until("what the server has", || place(&house).as_deref() == Some("in-step"));
    run(&house, "requirer remove web").ok();
    watching
        .wait_for_stderr(|said| said.contains("file is empty, as nothing is to be trusted now\n"))
        .unwrap();
    assert_eq!(read(&file), "");
}

/// Also those of one that was not there when it was removed, and of one that has yet to say that it has them.
#[test]
fn what_is_removed_is_removed_wherever_it_may_be() {
    let house = house();
    let at = house.directory();
    authority(at, "one", 400);
    run(&house, "offer corp one.pem").ok();
    let file = at.join("file");
    let waits = "echo > begun; while test ! -e go; do sleep 0.02; done";
    let watching = Process::spawn(&mut watch(&house, "", waits));
    wait_until("the hook", || at.join("begun").exists());
    assert!(!read(&file).is_empty());
    assert_eq!(told(&house)["state"], "behind");
    let elsewhere = |command: &mut Command| {
        command.args(["--out", "other", "--place", "elsewhere", "--once"]);
        testkit::run(command)
    };
    elsewhere(&mut trust(&house, "watch web")).ok();
    run(&house, "requirer remove web").ok();
    std::fs::write(at.join("go"), "").unwrap();
    wait_until("the file", || read(&file).is_empty());
    wait_until("what the server has", || place_is(&house, "in-step"));
    assert_eq!(shown(&house, "requirer list")[0]["leaving"], true, "elsewhere there is something left");
    assert!(!read(&at.join("other")).is_empty());
    elsewhere(&mut trust(&house, "watch web")).ok();
    assert!(read(&at.join("other")).is_empty());
    assert_eq!(shown(&house, "requirer list"), json!([]));
    let ran = watching.wait();
    assert_eq!(ran.code, Some(66), "{}", ran.stderr);
    // Unless all is to be left behind.
    run(&house, "requirer set web poll").ok();
    run(&house, "relate corp web").ok();
    once(&house, "true").ok();
    run(&house, "requirer remove web --leave-behind").ok();
    assert_eq!(once(&house, "true").code, Some(66));
    assert!(!read(&file).is_empty());
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    let mut house = house();
    let file = house.directory().join("file");
    let one = authority(house.directory(), "one", 400);
    let two = authority(house.directory(), "two", 400);
    run(&house, "offer corp one.pem").ok();
    let watching = Process::spawn(&mut watch(&house, "--interval 1", "true"));
    wait_until("the file", || read(&file) == one);
    house.stop();
    watching.wait_for_stderr(|said| said.contains("trying again")).unwrap();
    // It is known what the file is to be.
    std::fs::write(&file, "mine").unwrap();
    wait_until("the file to be mended", || read(&file) == one);
    house.start();
    watching.wait_for_stderr(|said| said.contains("note: all is well again\n")).unwrap();
    run(&house, "offer corp two.pem --replace --confirm").ok();
    wait_until("the file", || read(&file) == two);
    watching.terminate();
    let ran = watching.wait();
    assert_eq!(ran.code, Some(143));
    assert_eq!(ran.stderr.matches("trying again").count(), 1, "{}", ran.stderr);

    house.stop();
    let ran = once(&house, "true");
    assert_eq!((ran.code, read(&file)), (Some(69), two), "{}", ran.stderr);
}

/// A hook that failed, or was cut short, is run at the next start, although the file is the same.
#[test]
fn a_hook_is_owed_until_it_succeeds() {
    let house = house();
    let at = house.directory();
    authority(at, "one", 400);
    run(&house, "offer corp one.pem").ok();
    let failed = once(&house, "exit 3");
    assert_eq!(failed.code, Some(69));
    let said = "error: the file is as it is to be, but its hook failed with exit code 3\n\
                hint: it is run again at the next start, until it succeeds\n";
    assert!(failed.stderr.ends_with(said), "{}", failed.stderr);
    assert_eq!(place(&house).as_deref(), Some("failing"), "it is told that it is not done");
    once(&house, "echo >> times").ok();
    assert_eq!((read(&at.join("times")).len(), place(&house).as_deref()), (1, Some("in-step")));
    once(&house, "echo >> times").ok();
    assert_eq!(read(&at.join("times")).len(), 1, "once is enough");

    // Killed in the middle of one, which goes on by itself until it is let go.
    std::fs::write(at.join("file"), "mine").unwrap();
    let waits = "echo > begun; while test ! -e go; do sleep 0.02; done; echo > over";
    let watching = Process::spawn(&mut watch(&house, "", waits));
    wait_until("the hook", || at.join("begun").exists());
    watching.kill();
    drop(watching);
    std::fs::write(at.join("go"), "").unwrap();
    once(&house, "echo >> times").ok();
    assert_eq!(read(&at.join("times")).len(), 2);
    wait_until("the end of the hook", || at.join("over").exists());

    // Asked to end in the middle of one: so is the hook.
    std::fs::write(at.join("file"), "mine").unwrap();
    let traps = "trap 'echo > ended; exit 1' TERM; echo > new; while :; do sleep 0.02; done";
    let watching = Process::spawn(&mut watch(&house, "", traps));
    wait_until("the hook", || at.join("new").exists());
    watching.terminate();
    assert_eq!(watching.wait().code, Some(143));
    wait_until("the end of the hook", || at.join("ended").exists());
    once(&house, "echo >> times").ok();
    assert_eq!(read(&at.join("times")).len(), 3);

    // Whoever goes on watching tries it again, and says so once.
    std::fs::write(at.join("file"), "mine").unwrap();
    let fails = "echo >> tries; test -e mended";
    let watching = Process::spawn(&mut watch(&house, "", fails));
    wait_until("more tries", || read(&at.join("tries")).len() > 1);
    std::fs::write(at.join("mended"), "").unwrap();
    watching.wait_for_stderr(|said| said.contains("all is well again")).unwrap();
    assert_eq!(watching.stderr().matches("trying again").count(), 1, "{}", watching.stderr());
}

/// The place of the only requirer, as the server has it.
fn told(house: &House) -> Value {
    shown(house, "requirer places web")[0].clone()
}

/// From its first word on, and until all is well: also one that cannot write its file, and one that looks once.
#[test]
fn a_place_that_fails_is_shown() {
    let house = house();
    let at = house.directory();
    authority(at, "one", 400);
    let two = authority(at, "two", 400);
    run(&house, "offer corp one.pem").ok();
    assert_eq!(once(&house, "exit 3").code, Some(69));
    let place = told(&house);
    let reason = "the file is as it is to be, but its hook failed with exit code 3";
    assert_eq!((&place["state"], &place["reason"]), (&json!("failing"), &json!(reason)), "{place}");
    assert_eq!((place.get("next"), place.get("applied")), (None, None), "nobody knows when it comes again");
    assert_eq!(shown(&house, "requirer list")[0]["places"]["failing"], 1);
    // What it has in its file it may have still, although it never said that it has it.
    run(&house, "offer corp two.pem --replace --confirm").ok();
    let explained = run(&house, "explain --file one.pem").ok().to_owned();
    let still = "to be had no more, and perhaps still there with:\n  web\n    here: failing since ";
    assert!(explained.contains(still), "{explained}");
    once(&house, "true").ok();
    assert_eq!(told(&house)["state"], "in-step");
    assert!(!run(&house, "explain --file one.pem").ok().contains("perhaps still there"));

    // A file that cannot be.
    let ran = testkit::run(&mut trust(&house, "watch web --out absent/file --place here --once"));
    assert_eq!(ran.code, Some(69), "{}", ran.stderr);
    let place = told(&house);
    let reason = "could not keep absent/file: No such file or directory (os error 2)";
    assert_eq!((&place["state"], &place["reason"]), (&json!("failing"), &json!(reason)), "{place}");
    assert!(place["applied"].is_string(), "what it had is remembered");

    // The server is told of the end of it, although the set is the same as before.
    once(&house, "true").ok();
    assert_eq!(told(&house)["state"], "in-step");
    std::fs::write(at.join("file"), "mine").unwrap();
    let watching = Process::spawn(&mut watch(&house, "--interval 1", "test -e mended"));
    wait_until("the server to hear of it", || place_is(&house, "failing"));
    assert_eq!(read(&at.join("file")), two);
    std::fs::write(at.join("mended"), "").unwrap();
    wait_until("the server to hear of it", || place_is(&house, "in-step"));
    drop(watching);
}

/// A watch that is refused before it could put anything anywhere is shown, and nobody waits for its place when the requirer
/// goes.
#[test]
fn who_never_had_anything_is_not_waited_for() {
    let house = house();
    let at = house.directory();
    authority(at, "one", 400);
    run(&house, "offer corp one.pem").ok();
    std::fs::write(at.join("k1.key"), "mine").unwrap();
    std::fs::write(at.join("k2.key"), "mine").unwrap();
    for (out, code) in [("k1.key", 75), ("k2.key", 75), ("absent/file", 69)] {
        let ran = testkit::run(&mut trust(&house, &format!("watch web --once --out {out}")));
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    }
    let places = shown(&house, "requirer places web");
    let states: Vec<_> = places.as_array().unwrap().iter().map(|place| &place["state"]).collect();
    assert_eq!(states, ["failing"; 3], "{places}");
    // One of them comes to it after all, and is emptied before the requirer goes.
    testkit::run(&mut trust(&house, "watch web --once --out k1.key --adopt")).ok();
    run(&house, "requirer remove web").ok();
    assert_eq!(shown(&house, "requirer list")[0]["leaving"], true);
    testkit::run(&mut trust(&house, "watch web --once --out k1.key")).ok();
    assert_eq!(read(&at.join("k1.key")), "");
    assert_eq!(shown(&house, "requirer list"), json!([]));
    // Where nobody ever comes to it, it goes by itself.
    run(&house, "requirer set web poll").ok();
    run(&house, "relate corp web").ok();
    let ran = testkit::run(&mut trust(&house, "watch web --once --out absent/file"));
    assert_eq!(ran.code, Some(69), "{}", ran.stderr);
    run(&house, "requirer remove web").ok();
    wait_until("the requirer's end", || shown(&house, "requirer list") == json!([]));
}

/// A key, or whatever nobody put there who watches, stays; certificates are replaced, and what was kept before is mended.
#[test]
fn what_is_somebody_elses_stays() {
    let house = house();
    let at = house.directory();
    let one = authority(at, "one", 400);
    run(&house, "offer corp one.pem").ok();
    let (file, key) = (at.join("file"), "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n");
    std::fs::write(&file, key).unwrap();
    for _ in 0..2 {
        let ran = once(&house, "echo >> times");
        let said = "error: file is there already, and there is something else in it than certificates\n\
                    hint: with --adopt it is replaced, and what is in it now is lost\n";
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(75), said));
        assert_eq!((read(&file).as_str(), left(at).len(), at.join("times").exists()), (key, 0, false));
    }
    assert_eq!(told(&house)["state"], "failing");
    testkit::run(&mut watch(&house, "--once --adopt", "true")).ok();
    assert_eq!((read(&file), place(&house).as_deref()), (one.clone(), Some("in-step")));
    std::fs::write(&file, key).unwrap();
    once(&house, "true").ok();
    assert_eq!(read(&file), one, "it is kept, and mended");
    std::fs::remove_file(at.join(".file.provost")).unwrap();
    std::fs::write(&file, format!("# trusted\n{}", authority(at, "two", 400))).unwrap();
    once(&house, "true").ok();
    assert_eq!(read(&file), one);
}

/// What is missing is named.
#[test]
fn what_is_missing_is_said() {
    let house = house();
    let at = house.directory();
    std::fs::write(at.join("empty"), "").unwrap();
    std::fs::write(at.join("a.p12"), b"0\x82\x03\xe8\x02\x01\x03\n").unwrap();
    for name in ["empty", "a.p12"] {
        let ran = run(&house, &format!("offer corp {name}"));
        let said = format!("error: there is no certificate in {name}\nhint: PEM is read, and nothing else: ");
        assert!(ran.stderr.starts_with(&said) && ran.stderr.contains("openssl pkcs12 "), "{}", ran.stderr);
    }
    let ran = run(&house, "withdraw corp");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("or --all"), "{}", ran.stderr);
    run(&house, "requirer set fleet hosts --all --system-store").ok();
    let said = run(&house, "requirer places fleet");
    assert!(format!("{}{}", said.stdout, said.stderr).contains("none of its hosts is there"), "{said:?}");
}

fn place_is(house: &House, state: &str) -> bool {
    place(house).as_deref() == Some(state)
}

/// What hangs is ended and has failed, and what was withdrawn meanwhile leaves the file.
#[test]
fn a_hook_that_hangs_is_a_hook_that_failed() {
    let house = house();
    let at = house.directory();
    let one = authority(at, "one", 400);
    run(&house, "offer corp one.pem").ok();
    let hangs = "echo >> begun; test -e mended || sleep 600";
    let watching = Process::spawn(&mut watch(&house, "--hook-timeout 1", hangs));
    wait_until("the hook", || at.join("begun").exists());
    assert_eq!(read(&at.join("file")), one);
    run(&house, "withdraw corp --all --confirm").ok();
    wait_until("the file", || read(&at.join("file")).is_empty());
    wait_until("the server to hear of it", || place_is(&house, "failing"));
    let reason = "the file is as it is to be, but its hook took longer than 1 s, and was ended";
    assert_eq!(told(&house)["reason"], reason);
    assert!(
        run(&house, "explain --file one.pem").ok().contains("perhaps still there with:\n  web\n    here: ")
    );
    std::fs::write(at.join("mended"), "").unwrap();
    wait_until("the server to hear of it", || place_is(&house, "in-step"));
    drop(watching);
}

/// So many certificates that writing them takes a while.
fn many(count: u32) -> String {
    let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    let name = Name::from_common_name("one of many").unwrap();
    let now = Timestamp::from_unix(1_767_225_600);
    let one = |number: u32| CertificateTemplate {
        serial: Serial::from_decimal(&(number + 1).to_string()).unwrap(),
        issuer: name.clone(),
        subject: name.clone(),
        not_before: now,
        not_after: now + Span::days(20_000),
        public_key: key.public().clone(),
        extensions: vec![extension::basic_constraints(true, None)],
    };
    (0..count).map(|number| one(number).sign(&key).to_pem()).collect()
}

/// Waits without a pause: what is waited for is over in a moment.
fn wait_until_now(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Killed again and again while it writes: the file is one set or the other, whenever anybody looks, and at the next start
/// it is what it is to be.
#[test]
fn kill_9_leaves_a_whole_file() {
    let house = house();
    let at = house.directory();
    let file = at.join("file");
    let sets = [many(1_000), many(500)];
    for (name, set) in ["big.pem", "small.pem"].iter().zip(&sets) {
        std::fs::write(at.join(name), set).unwrap();
    }
    // Both as the server has them: in its order.
    let bundles = ["big.pem", "small.pem"].map(|name| {
        run(&house, &format!("offer corp {name} --replace --confirm")).ok();
        run(&house, "bundle web").ok().to_owned()
    });
    assert_eq!(bundles.each_ref().map(String::len), sets.each_ref().map(String::len));
    once(&house, "true").ok();

    // Somebody reads it all the time.
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = {
        let (file, bundles, is_over) = (file.clone(), bundles.clone(), is_over.clone());
        std::thread::spawn(move || {
            let mut looks = 0_u32;
            while !is_over.load(Ordering::SeqCst) {
                let found = read(&file);
                assert!(bundles.contains(&found), "{} bytes at look {looks}", found.len());
                looks += 1;
                // Those who write need the processor as well.
                std::thread::park_timeout(Duration::from_millis(1));
            }
            looks
        })
    };
    let part: PathBuf = at.join(".file.provost-part");
    let mut cut = 0;
    for round in 0..24_usize {
        let name = ["big.pem", "small.pem"][round % 2];
        run(&house, &format!("offer corp {name} --replace --confirm")).ok();
        let watching = Process::spawn(&mut watch(&house, "", "true"));
        // At a moment of its writing that is another one in each round: it begins, it has some, it is nearly done; or it is over.
        let wanted = &bundles[round % 2];
        let enough = (wanted.len() as u64 / 8) * (round as u64 % 9);
        wait_until_now("anything to be written", || match round % 4 {
            0 | 1 => part.metadata().is_ok_and(|part| part.len() >= enough) || read(&file) == *wanted,
            _ => read(&file) == *wanted,
        });
        watching.kill();
        watching.wait();
        cut += usize::from(part.exists());
        assert!(bundles.contains(&read(&file)), "round {round}");
    }
    is_over.store(true, Ordering::SeqCst);
    let looks = reader.join().unwrap();
    println!("killed 24 times, {cut} times in the middle of a file; {looks} looks");
    once(&house, "echo > told").ok();
    assert_eq!(read(&file), bundles[1]);
    assert_eq!(left(at), [".file.provost"], "what was left by those who were killed is gone");
    assert_eq!(wait_for("the server", || place(&house)), "in-step");
}

/// A disk that is full in the middle of a file, in a mount namespace of its own (unshare(1)): the file stays what it was
/// until there is room.
#[test]
fn a_full_disk_changes_nothing() {
    let house = house();
    let at = house.directory();
    std::fs::write(at.join("many.pem"), many(400)).unwrap();
    run(&house, "offer corp many.pem").ok();
    let script = "mkdir disk && mount -t tmpfs -o size=512k,mode=0700 tmpfs disk && echo mounted || exit
        echo before > disk/file; chmod 0640 disk/file
        head -c 400000 /dev/zero > disk/ballast
        \"$@\"; echo \"code $?\"; ls -A disk; cat disk/file
        rm disk/ballast
        \"$@\"; echo \"code $?\"; stat -c %a disk/file; ls -A disk; cat disk/file told";
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    let watch = trust(&house, "watch web --out disk/file --once --adopt --hook");
    inside
        .arg(watch.get_program())
        .args(watch.get_args())
        .arg("echo told > told")
        .current_dir(at)
        .env_clear();
    inside.envs(watch.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = testkit::run(&mut inside);
    let needed = "unshare(1) has to be allowed to mount a file system in memory: `sysctl -w kernel.unprivileged_userns_clone=1`";
    assert!(ran.stdout.starts_with("mounted\n"), "{needed}: {}", ran.stderr);
    let bundle = run(&house, "bundle web").ok().to_owned();
    assert!(bundle.len() > 120_000, "there was room for it");
    let expected = format!(
        "mounted\ncode 73\n.file.provost\nballast\nfile\nbefore\ncode 0\n640\n.file.provost\nfile\n{bundle}told\n"
    );
    assert_eq!(ran.stdout, expected, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error: could not keep disk/file: "), "{}", ran.stderr);
}
