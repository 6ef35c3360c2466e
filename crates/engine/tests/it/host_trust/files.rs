//! Plain files, with owner, mode and a hook.

use engine::handing_on::{Delivered, DeliveryError, deliver_each, make_so};
use trust::Anchor;
use trust::on_host::{Aim, Amiss, Drift, FilePlace, OnHost};

use super::{Authority, World, bundle_of, file_of, in_store, path_of};

#[tokio::test]
async fn each_file_has_what_is_said_for_it() {
    let world = World::debian();
    let (a, b, c) = (Authority::new("a"), Authority::new("b"), Authority::new("c"));
    let (store, one, other) = (bundle_of(&[&a]), bundle_of(&[&b, &a]), bundle_of(&[&c]));
    let files = ["/etc/one.pem", "/etc/other.pem", "/etc/none.pem"].map(|path| FilePlace::new(path).unwrap());
    let places = OnHost { system_store: true, java: false, files: files.to_vec() };
    let deliver = async |contents: &[&[Anchor]]| {
        let target = world.target("admin");
        let done = deliver_each(&*world.remote, &target, &places, &store, contents, &[]).await.unwrap();
        (done.changed, done.drift.is_any())
    };
    let text = |bundle: &[Anchor]| bundle.iter().map(Anchor::pem).collect::<String>();
    let read = |path: &str| std::fs::read_to_string(world.host().path(path)).unwrap();
    assert_eq!(deliver(&[&one, &other, &[]]).await, (true, false));
    assert_eq!(read("/etc/one.pem"), text(&one));
    assert_eq!((read("/etc/other.pem"), read("/etc/none.pem")), (text(&other), String::new()));
    assert_eq!(
        world.trusted(&bundle_of(&[&a, &b, &c])),
        store,
        "what is in a file only is not trusted by all"
    );
    assert_eq!(deliver(&[&one, &other, &[]]).await, (false, false));
    assert_eq!(deliver(&[&one, &one, &[]]).await, (true, false));
    assert_eq!((read("/etc/one.pem"), read("/etc/other.pem")), (text(&one), text(&one)));
    world.say("echo more >>/etc/other.pem");
    assert_eq!(deliver(&[&one, &one, &[]]).await, (true, true));
    assert_eq!(read("/etc/other.pem"), text(&one));
}

/// Whoever read a file knows that it went; and one that cannot be removed is not forgotten.
#[tokio::test]
async fn files_that_go_are_gone_and_their_hooks_are_run() {
    let world = World::debian();
    let a = Authority::new("a");
    let bundle = bundle_of(&[&a]);
    let file = |path: &str| FilePlace::new(path).unwrap();
    let hooked = file("/etc/hooked.pem").with_hook("ls /etc/hooked.pem >>/var/log/hook 2>&1 || :").unwrap();
    let both = OnHost { files: vec![file("/etc/stays.pem"), hooked.clone()], ..OnHost::default() };
    let one = OnHost { files: vec![file("/etc/stays.pem")], ..OnHost::default() };
    let deliver = async |places: &OnHost, drops: &[FilePlace]| {
        let (target, contents) = (world.target("admin"), vec![&bundle[..]; places.files.len()]);
        deliver_each(&*world.remote, &target, places, &bundle, &contents, drops).await
    };
    let done = |changed| Delivered { changed, drift: Drift::default(), store: None, refused: vec![] };
    assert_eq!(deliver(&both, &[]).await.unwrap(), done(true));
    let ran = || world.say("cat /var/log/hook");
    assert_eq!(ran(), "/etc/hooked.pem");
    assert_eq!(deliver(&one, std::slice::from_ref(&hooked)).await.unwrap(), done(true));
    assert!(ran().contains("cannot access '/etc/hooked.pem'"), "{}", ran());
    assert!(world.host().path("/etc/stays.pem").exists());
    // What was never there, or has gone, is no reason to do anything.
    assert_eq!(deliver(&one, std::slice::from_ref(&hooked)).await.unwrap(), done(false));

    // Listed or not, what cannot be removed is tried again, and told of.
    deliver(&both, &[]).await.unwrap();
    world.replace(
        "rm",
        "case \"$*\" in */etc/hooked.pem*) echo 'rm: not permitted' >&2; exit 1;; esac; exec /bin/rm \"$@\"",
    );
    for drops in [&[][..], std::slice::from_ref(&hooked), &[]] {
        // Of one that is listed it is said alone.
        let why = match deliver(&one, drops).await {
            Err(DeliveryError::Amiss(why)) if drops.is_empty() => why,
            Ok(Delivered { refused, .. }) => {
                assert_eq!(refused.iter().map(path_of).collect::<Vec<_>>(), ["/etc/hooked.pem"]);
                refused[0].why.clone()
            }
            Err(error) => panic!("{error}"),
        };
        assert!(matches!(&why, Amiss::NotRemoved { words } if words == "rm: not permitted"), "{why}");
        assert!(world.host().path("/etc/hooked.pem").exists());
    }
    world.restore("rm");
    assert_eq!(deliver(&one, &[]).await.unwrap(), done(true));
    assert!(!world.host().path("/etc/hooked.pem").exists());
}

#[tokio::test]
async fn files_are_as_they_are_to_be_and_hooks_run_when_bytes_change() {
    let world = World::debian();
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let (bundle, other) = (bundle_of(&[&a, &b]), bundle_of(&[&b]));
    let text = |bundle: &[Anchor]| bundle.iter().map(Anchor::pem).collect::<String>();
    let path = "/srv/it's an app/cas.pem";
    let hook = r#"echo "$(wc -c <"/srv/it's an app/cas.pem")" >>/var/log/hook; ! cat /tmp/fail >&2"#;
    let hooked = FilePlace::new(path).unwrap().with_owner("guest").unwrap().with_group("adm").unwrap();
    let hooked = hooked.with_mode("0640").unwrap().with_hook(hook).unwrap();
    let plain = FilePlace::new("/etc/cas.pem").unwrap();
    let places = OnHost { files: vec![hooked.clone(), plain.clone()], ..OnHost::default() };
    let read = |path: &str| std::fs::read_to_string(world.host().path(path)).unwrap();
    let ran = || world.say("touch /var/log/hook; wc -l </var/log/hook").parse::<u32>().unwrap();
    let stat = || world.say("stat -c '%a %U:%G' \"/srv/it's an app/cas.pem\" /etc/cas.pem");

    let delivered = world.deliver(&places, &bundle).await.unwrap();
    assert_eq!((delivered.changed, delivered.drift.is_any(), delivered.store), (true, false, None));
    assert_eq!((read(path), read("/etc/cas.pem"), ran()), (text(&bundle), text(&bundle), 1));
    assert_eq!(stat(), "640 guest:adm\n644 root:root");
    assert_eq!(world.delivered(&places, &bundle).await, (false, false));
    world.say("chmod 666 /srv/*/cas.pem; chown root /srv/*/cas.pem");
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    assert_eq!((stat().as_str(), ran()), ("640 guest:adm\n644 root:root", 1));
    for (times, edit) in [
        (2, "cd /srv/*/ && echo more >>cas.pem"),
        (3, "rm /srv/*/cas.pem"),
        (4, "cd /srv/*/ && ln -sf /etc/passwd cas.pem"),
    ] {
        world.say(edit);
        assert_eq!(world.delivered(&places, &bundle).await, (true, true), "{edit}");
        assert_eq!((read(path), ran()), (text(&bundle), times), "{edit}");
    }
    assert!(!read("/etc/passwd").contains("CERTIFICATE"), "what a link points to is not written to");

    // A hook that failed is owed, whatever becomes of the bytes.
    world.say("echo 'no such service' >/tmp/fail");
    for times in [5, 6] {
        let failed = world.deliver(&places, &other).await.unwrap_err();
        let DeliveryError::Amiss(Amiss::Hook { path: of, status: 1, words }) = &failed else {
            panic!("{failed}")
        };
        assert_eq!((of.as_str(), words.as_str(), ran()), (path, "no such service", times));
        assert_eq!((read(path), read("/etc/cas.pem")), (text(&other), text(&other)));
    }
    world.say("rm /tmp/fail");
    assert_eq!(world.delivered(&places, &other).await, (true, false));
    assert_eq!(ran(), 7);
    assert_eq!(world.delivered(&places, &other).await, (false, false));

    // A folder is in the way of a file, and what is right is done all the same.
    world.say("rm /etc/cas.pem; mkdir /etc/cas.pem");
    let failed = world.deliver(&places, &bundle).await.unwrap_err();
    assert!(
        matches!(&failed, DeliveryError::Amiss(Amiss::NotWritten { what, .. }) if what == "/etc/cas.pem"),
        "{failed}"
    );
    assert_eq!((read(path), ran()), (text(&bundle), 8));
    world.say("rmdir /etc/cas.pem");
    // The empty set is a set: the file stays. Ours was taken away there.
    assert_eq!(world.delivered(&places, &[]).await, (true, true));
    assert_eq!((read(path), ran()), (String::new(), 9));
    // What is not asked for any more goes.
    let fewer = OnHost { files: vec![hooked], ..OnHost::default() };
    assert_eq!(world.delivered(&fewer, &bundle).await, (true, false));
    assert!(!world.host().path("/etc/cas.pem").exists());
    world.say("echo theirs >/etc/cas.pem");
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!((read("/etc/cas.pem").as_str(), ran()), ("theirs\n", 11));
    assert!(!world.host().path(path).exists() && !world.host().path("/var/lib/provost-trust").exists());
    assert_eq!(world.withdrawn(&places).await, (false, false));
}

/// Whatever was there before us is somebody's, and not ours to lose; all else is done.
#[tokio::test]
async fn what_is_not_ours_is_in_the_way_until_it_is_adopted() {
    let world = World::debian();
    let a = Authority::new("a");
    let bundle = bundle_of(&[&a]);
    let text = |bundle: &[Anchor]| bundle.iter().map(Anchor::pem).collect::<String>();
    let file = |path: &str| FilePlace::new(path).unwrap().with_hook("echo >>/var/log/hook").unwrap();
    let read = |path: &str| std::fs::read_to_string(world.host().path(path)).unwrap();
    let places = OnHost {
        files: ["/etc/theirs.pem", "/etc/link.pem", "/etc/ours.pem"].map(file).into(),
        ..OnHost::default()
    };
    world.say("echo theirs >/etc/theirs.pem; ln -s /etc/passwd /etc/link.pem");
    for changed in [true, true] {
        let delivered = world.deliver(&places, &bundle).await.unwrap();
        assert_eq!((delivered.changed, delivered.drift.is_any()), (changed, false));
        let refused: Vec<&str> = delivered.refused.iter().map(path_of).collect();
        assert_eq!(refused, ["/etc/theirs.pem", "/etc/link.pem"]);
        let said = "there is a file at /etc/theirs.pem already that was not put there by this house";
        assert_eq!(delivered.refused[0].why.to_string(), said);
    }
    assert_eq!((read("/etc/theirs.pem").as_str(), read("/etc/ours.pem")), ("theirs\n", text(&bundle)));
    assert_eq!(world.say("readlink /etc/link.pem; wc -l </var/log/hook"), "/etc/passwd\n1");
    // Nothing of it is ours to take away.
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(read("/etc/theirs.pem"), "theirs\n");
    assert_eq!(
        world.say("readlink /etc/link.pem; ls -A /var/lib/provost-trust /etc/ours.pem 2>/dev/null; :"),
        "/etc/passwd"
    );

    // Whoever says so loses it; what we wrote is ours then, and mended.
    let adopted = OnHost {
        files: places.files.iter().cloned().map(FilePlace::adopting).collect(),
        ..OnHost::default()
    };
    let delivered = world.deliver(&adopted, &bundle).await.unwrap();
    assert_eq!((delivered.drift.is_any(), delivered.refused), (false, vec![]));
    assert_eq!((read("/etc/theirs.pem"), read("/etc/link.pem")), (text(&bundle), text(&bundle)));
    assert!(!read("/etc/passwd").contains("CERTIFICATE"));
    world.say("echo more >>/etc/theirs.pem");
    assert_eq!(
        world.delivered(&places, &bundle).await,
        (true, true),
        "it is ours, whether adoption is said still or not"
    );
    assert_eq!(read("/etc/theirs.pem"), text(&bundle));
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(world.say("ls /etc/theirs.pem /etc/link.pem 2>/dev/null; :"), "");
    // Who has the very same there has it from us.
    std::fs::write(world.host().path("/etc/theirs.pem"), text(&bundle)).unwrap();
    assert_eq!(world.deliver(&places, &bundle).await.unwrap().refused, vec![]);
}

/// What cannot be written keeps nobody from seeing who changed the rest, and what is right is not made anew.
#[tokio::test]
async fn a_file_that_cannot_be_written_is_its_own_trouble() {
    let world = World::debian();
    let bundle = bundle_of(&[&Authority::new("a"), &Authority::new("b")]);
    let files = ["/etc/cas.pem", "/srv/app/cas.pem"].map(|path| FilePlace::new(path).unwrap());
    let places = OnHost { files: files.to_vec(), ..in_store() };
    world.say("echo >/srv/app");
    world.replace(
        "update-ca-certificates",
        "echo >>/var/log/updates; exec /usr/sbin/update-ca-certificates \"$@\"",
    );
    let updates = || world.say("wc -l </var/log/updates");
    let deliver = async || {
        let (target, contents) = (world.target("admin"), [&bundle[..], &bundle]);
        let delivered =
            deliver_each(&*world.remote, &target, &places, &bundle, &contents, &[]).await.unwrap();
        assert_eq!(delivered.refused.iter().map(path_of).collect::<Vec<_>>(), ["/srv/app/cas.pem"]);
        delivered.drift
    };
    for _ in 0..3 {
        assert_eq!(deliver().await, Drift::default());
        assert_eq!(updates(), "1");
    }
    world.say(&format!("rm {}; echo more >>/etc/cas.pem", file_of(&bundle[0])));
    assert_eq!(deliver().await, Drift { store: true, files: ["/etc/cas.pem".to_owned()].into() });
    assert_eq!((world.trusted(&bundle), updates().as_str()), (bundle.clone(), "2"));
    assert_eq!(deliver().await, Drift::default());
    world.say("rm /srv/app");
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    assert_eq!((world.delivered(&places, &bundle).await, updates().as_str()), ((false, false), "2"));
}

/// It is ended with all that it started, and owed still; the file is as it is to be.
#[tokio::test]
async fn a_hook_has_so_long_and_no_longer() {
    let world = World::debian();
    let bundle = bundle_of(&[&Authority::new("a")]);
    let hook = "echo begun >>/var/log/hook; [ -e /tmp/quick ] || sleep 7654 | cat";
    let file = FilePlace::new("/etc/cas.pem").unwrap().with_hook(hook).unwrap();
    let places = OnHost { files: vec![file], ..OnHost::default() };
    let aim = Aim::deliver(&places, &bundle).with_hook_seconds(1);
    let target = world.target("admin");
    for times in ["1", "2"] {
        let failed = make_so(&*world.remote, &target, &aim).await.unwrap_err();
        let DeliveryError::Amiss(Amiss::Hook { path, status: 137, .. }) = &failed else { panic!("{failed}") };
        assert_eq!(path, "/etc/cas.pem");
        let text: String = bundle.iter().map(Anchor::pem).collect();
        assert_eq!(std::fs::read_to_string(world.host().path("/etc/cas.pem")).unwrap(), text);
        assert_eq!(world.say("wc -l </var/log/hook; pgrep -fx 'sleep 7654'; :"), times);
    }
    assert_eq!(
        base::Explain::help(&Amiss::Hook { path: String::new(), status: 137, words: String::new() }).unwrap(),
        "it may take 60 s"
    );
    world.say("touch /tmp/quick");
    assert!(make_so(&*world.remote, &target, &aim).await.unwrap().changed);
    assert!(!make_so(&*world.remote, &target, &aim).await.unwrap().changed);
}
