//! Whoever is killed, or has no room left, leaves what can be used, and nothing that is owed is forgotten.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Instant;

use testkit::{Process, wait_for, wait_until};

use super::{ALWAYS_DUE, configure, holder, house, once, serial, times, watch};
use crate::ca_commands::Holder;
use crate::houses::{ended_without_a_fault, up};
use crate::program::PROVOST;

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

/// Has the certificate and the key be what they are when somebody is killed between their names: the key is the next one.
fn tear(holder: &Holder) {
    let old = holder.read("web.crt");
    holder.run("renew web.crt web.key --force --ca ca.pem").ok();
    std::fs::rename(holder.path("web.crt"), holder.path(".web.crt.provost-next")).unwrap();
    std::fs::write(holder.path("web.crt"), old).unwrap();
}

/// What a kill left is in order before whoever is started behind `watch` reads it, and before any server is asked; the hook
/// is told of it.
#[test]
fn what_a_kill_left_is_finished_first() {
    let house = house();
    let holder = holder(&house, "");
    once(&holder).ok();
    tear(&holder);
    let hook = "on_renew = \"echo >> times\"\n";
    configure(&holder, &house.http_url(""), hook);
    let web = holder.read("watch.toml");
    // Nobody is looked after beside the first one, whose server says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!(
        "[[certificate]]\nname = \"away\"\nserver = \"http://{}\"\nca = \"away.pem\"\n",
        silent.local_addr().unwrap()
    );
    let (defaults, certificate) = web.split_at(web.find("[[certificate]]").unwrap());
    std::fs::write(holder.path("watch.toml"), format!("at_once = 1\n{defaults}{away}{certificate}")).unwrap();
    let notified = UnixDatagram::bind(holder.path("notify")).unwrap();
    notified.set_read_timeout(Some(testkit::LIMIT)).unwrap();
    let mut command = holder.command("watch --config watch.toml");
    let watching = Process::spawn(command.env("NOTIFY_SOCKET", holder.path("notify")));
    wait_for("its being ready", || {
        let mut datagram = [0; 4096];
        let length = notified.recv(&mut datagram).unwrap();
        datagram[..length].starts_with(b"READY=1").then_some(())
    });
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    assert!(!holder.path(".web.crt.provost-next").exists());
    watching.kill();
    let ran = watching.wait();
    assert_eq!(ran.stderr, "web: a renewal that was cut short is finished\n");
    assert_eq!(times(&holder), 0);
    std::fs::write(holder.path("watch.toml"), web).unwrap();
    once(&holder).ok();
    assert_eq!(times(&holder), 1, "nobody was told of it before");

    // Whoever asks for one finds that it is there already.
    tear(&holder);
    let ran =
        holder.run("request --ca ca.pem --key web.key --name web --out web.crt --server http://127.0.0.1:1");
    ran.ok();
    assert_eq!(ran.stderr, "web.crt has the certificate already\n");
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    ended_without_a_fault(house);
}
