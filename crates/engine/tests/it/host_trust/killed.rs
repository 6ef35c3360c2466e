//! Whoever delivers is killed in the middle of it.

use testkit::wait_until;
use trust::Anchor;
use trust::on_host::{FilePlace, OnHost};

use super::{Authority, World, bundle_of};

/// Each program that a delivery runs is once the one at which the host, or all that is at work on it, is killed.
#[tokio::test]
async fn a_delivery_that_kill_9_ends_anywhere_leaves_the_old_or_the_new_and_the_next_mends_it() {
    let world = World::debian();
    let [a, b, c, common] = ["a", "b", "c", "common"].map(Authority::new);
    let sets = [&a, &b, &c].map(|one| bundle_of(&[one, &common]));
    let all = bundle_of(&[&a, &b, &c, &common]);
    let file = FilePlace::new("/etc/cas.pem").unwrap().with_hook("cp /etc/cas.pem /tmp/hooked").unwrap();
    let places = OnHost { system_store: true, files: vec![file], ..OnHost::default() };
    let text = |bundle: &[Anchor]| bundle.iter().map(Anchor::pem).collect::<String>();
    let read = |path: &str| std::fs::read_to_string(world.host().path(path)).unwrap_or_default();
    assert_eq!(world.delivered(&places, &sets[0]).await, (true, false));

    let programs =
        ["cp", "mv", "rm", "mkdir", "chmod", "sync", "sed", "ln", "find", "openssl", "cmp", "sha256sum"];
    let arm = |at: usize| std::fs::write(world.host().path("/etc/kill-at"), at.to_string()).unwrap();
    let calls = || read("/etc/killed").lines().count();
    for program in programs {
        world.replace(
            program,
            &format!(
                "exec 8>/etc/kill-lock; /usr/bin/flock 8; echo {program} >>/etc/killed\n\
                 number=$(/usr/bin/wc -l </etc/killed); exec 8>&-\n\
                 if [ \"$number\" -eq \"$(cat /etc/kill-at)\" ]; then\n\
                 # All that is at work; or the whole host, which boots again.\n\
                 if [ -e /etc/kill-host ]; then kill -TERM 1; sleep 100; fi\n\
                 kill -9 $(pidof -o $$ sh) 2>/dev/null; exit 1\n\
                 fi\n\
                 PATH=/usr/sbin:/usr/bin:/sbin:/bin exec {program} \"$@\""
            ),
        );
    }
    let (mut at, mut mended) = (0, [0, 0]);
    for round in 0.. {
        let [old, new, next] = [0, 1, 2].map(|more| &sets[(2 * round + more) % 3]);
        // All of them take minutes; these are of either kind, and at all stages.
        at += 3;
        let kills_host = at % 2 == 0;
        let mark = world.host().path("/etc/kill-host");
        if kills_host {
            std::fs::write(mark, "").unwrap()
        } else {
            drop(std::fs::remove_file(mark))
        }
        std::fs::write(world.host().path("/etc/killed"), "").unwrap();
        arm(at);
        let boots = world.host().boots();
        let ended = world.deliver(&places, new).await;
        if calls() < at {
            assert!(ended.map(|done| done.changed).unwrap(), "it was not interrupted");
            break;
        }
        assert!(ended.is_err(), "{at}");
        if kills_host {
            wait_until("the host to boot", || world.host().boots() > boots);
            world.host().wait_until_up();
        }
        arm(0);
        let last = read("/etc/killed").lines().nth(at - 1).unwrap_or_default().to_owned();
        let trusted = world.trusted(&all);
        assert!([old, new].contains(&&trusted), "{at}, {last}: {trusted:?}");
        assert!([text(old), text(new)].contains(&read("/etc/cas.pem")), "{at}, {last}");
        mended[usize::from(trusted == *new)] += 1;
        // Not the one that was interrupted: that one has come and gone in the meantime.
        let delivered = world.deliver(&places, next).await;
        assert!(
            delivered.is_ok_and(|delivered| !delivered.drift.is_any()),
            "{at}, {last}: nobody else was at it"
        );
        assert_eq!(world.trusted(&all), *next, "{at}, {last}");
        let names: Vec<String> =
            next.iter().map(|anchor| format!("provost-{}.crt", anchor.fingerprint())).collect();
        let mut own: Vec<String> = world.own().lines().map(str::to_owned).collect();
        own.sort_by_key(|name| names.iter().position(|known| known == name));
        assert_eq!(own, names, "{at}, {last}");
        assert_eq!((read("/etc/cas.pem"), read("/tmp/hooked")), (text(next), text(next)), "{at}, {last}");
        assert_eq!(
            world.say("ls -A /etc/ /var/lib/provost-trust | grep -e provost-new -e begun -e owed; true"),
            ""
        );
    }
    assert!(at > 30 && mended.iter().all(|times| *times > 0), "{at}, {mended:?}");
}

/// A file is put on record before it is put there, so that whose it is can be told whenever that ends.
#[tokio::test]
async fn whose_a_file_is_is_known_whoever_is_killed() {
    let world = World::debian();
    let [a, b, c] = ["a", "b", "c"].map(Authority::new);
    let sets = [&a, &b, &c].map(|one| bundle_of(&[one]));
    let places = OnHost { files: vec![FilePlace::new("/etc/cas.pem").unwrap()], ..OnHost::default() };
    let text = |bundle: &[Anchor]| bundle.iter().map(Anchor::pem).collect::<String>();
    let read = || std::fs::read_to_string(world.host().path("/etc/cas.pem")).unwrap_or_default();
    let kill = "kill -9 $(pidof -o $$ sh)";
    // Before it is there, and after.
    let [before, after] = [("", kill), (kill, "")].map(|(later, sooner)| {
        format!("case \"$*\" in *' /etc/cas.pem') {sooner};; esac; /bin/mv \"$@\"; case \"$*\" in *' /etc/cas.pem') {later};; esac")
    });
    world.replace("mv", &after);
    assert!(world.deliver(&places, &sets[0]).await.is_err());
    assert_eq!(read(), text(&sets[0]), "it was put there, and that was not said");
    world.restore("mv");
    // Another set by now: what is there is ours all the same.
    let delivered = world.deliver(&places, &sets[1]).await.unwrap();
    assert_eq!((delivered.drift.is_any(), delivered.refused), (false, vec![]));
    assert_eq!(read(), text(&sets[1]));
    for script in [&before, &after] {
        world.replace("mv", script);
        assert!(world.deliver(&places, &sets[2]).await.is_err());
        world.restore("mv");
        let delivered = world.deliver(&places, &sets[0]).await.unwrap();
        assert_eq!((delivered.drift.is_any(), delivered.refused), (false, vec![]));
        assert_eq!(read(), text(&sets[0]));
    }
    assert_eq!(world.withdrawn(&places).await, (true, false));

    // It is to go when it got there, without anybody having said so.
    world.replace("mv", &after);
    assert!(world.deliver(&places, &sets[0]).await.is_err());
    world.restore("mv");
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(read(), "");
    // Nor is anything of it left where it did not get there at all.
    let never = format!("case \"$*\" in *' /etc/cas.pem') {kill}; exit 1;; esac; exec /bin/mv \"$@\"");
    world.replace("mv", &never);
    assert!(world.deliver(&places, &sets[0]).await.is_err());
    world.restore("mv");
    let left = || world.say("ls -A /etc | grep provost-new; true");
    assert_eq!(left(), ".cas.pem.provost-new");
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(left(), "");
    // Somebody else's that came where ours did not get is theirs.
    world.replace("mv", &before);
    assert!(world.deliver(&places, &sets[0]).await.is_err());
    world.restore("mv");
    world.say("echo theirs >/etc/cas.pem");
    let delivered = world.deliver(&places, &sets[0]).await.unwrap();
    assert_eq!((delivered.refused.len(), read().as_str()), (1, "theirs\n"));
    assert_eq!(world.withdrawn(&places).await, (false, false));
    assert_eq!(read(), "theirs\n");
}
