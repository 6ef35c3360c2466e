//! slapcache's three commands.

use testkit::{House, NetworkCache, Ran};

use super::{Ours, is_tidy};
use crate::cache::service;
use crate::houses::{ended_without_a_fault, up};

/// The house, somebody who publishes there, and our programs.
fn upgrader() -> (House, NetworkCache, Ours) {
    let house = up();
    let client = NetworkCache::of(&house, &service(&house, "upgrader"));
    (house, client, Ours::new())
}

/// One of the commands, ours or theirs.
fn run(ours: Option<&Ours>, client: &NetworkCache, command: &str, arguments: &[&str]) -> Ran {
    let name = format!("slapcache-{command}");
    let arguments = [&["--slapos-configuration=cache.cfg"], arguments].concat();
    match ours {
        Some(ours) => ours.run(client, &name, &arguments),
        None => client.program(&name, &arguments),
    }
}

#[test]
fn upgrades_come_from_either_and_go_to_either() {
    let (house, client, ours) = upgrader();
    for (n, publisher) in [None, Some(&ours), None, Some(&ours)].into_iter().enumerate() {
        let text = format!("[debian]\nupgrade = {n}\n");
        client.write("upgrade", text.as_bytes());
        let upload = run(publisher, &client, "upload", &["--file", "upgrade", "-n"]);
        let companion = std::fs::read(client.path("upgrade.sha256")).unwrap();
        let expected = [("upgrade", text.as_bytes()), ("upgrade.sha256", &companion)].map(|(name, bytes)| {
            let digest = base::Sha512::of(bytes);
            format!("Uploaded {name} to cache (using slapos-test-key key) with SHA512 {digest}.\n")
        });
        assert_eq!(upload.ok(), expected.concat(), "{upload:?}");
        for reader in [None, Some(&ours)] {
            let _ = std::fs::remove_file(client.path("got"));
            let download = run(reader, &client, "download", &["--destination", "got"]);
            assert_eq!(std::fs::read(client.path("got")).unwrap(), text.as_bytes(), "{download:?}");
            // But for where the files were in between.
            let words =
                download.ok().lines().map(|line| line.split(" in ").next().unwrap()).collect::<Vec<_>>();
            let expected = [
                "Downloading slapos-test-key...",
                "File downloaded",
                "Downloading slapos-test-key-sha256-content...",
                "sha 256 downloaded",
            ];
            assert_eq!(words, expected);
        }
    }
    assert!(is_tidy(client.directory()));
    ended_without_a_fault(house);
}

#[test]
fn what_cannot_be_had_is_said_and_nothing_is_touched() {
    let (house, client, ours) = upgrader();
    client.write("got", b"before");
    let download = |arguments: &[&str]| run(Some(&ours), &client, "download", arguments);
    let none = download(&["--destination", "got"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), "Downloading slapos-test-key...\n"));
    assert!(none.stderr.contains("No result from shacache"), "{}", none.stderr);
    // There is no companion.
    client.write("upgrade", b"text");
    ours.upload(&client, &["-f", "upgrade", "-k", "slapos-test-key", "token=a", "timestamp=x"]).ok();
    client.write("time.json", b"{\"timestamp\": 5.5}");
    ours.upload(&client, &["-f", "upgrade", "-k", "slapos-test-key", "-m", "time.json"]).ok();
    let none = download(&["--destination", "got"]);
    assert!(none.code == Some(1) && none.stderr.contains("No result from shacache"), "{none:?}");
    // One that is another's.
    client.write("other", b"bm90IGl0");
    let companion = "slapos-test-key-sha256-content";
    ours.upload(&client, &["-f", "other", "-k", companion, "-m", "time.json"]).ok();
    let wrong = download(&["--destination", "got"]);
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.stderr.contains("is not the one that `slapos-test-key-sha256-content` tells of"),
        "{wrong:?}"
    );
    assert_eq!(std::fs::read(client.path("got")).unwrap(), b"before");

    run(Some(&ours), &client, "upload", &["--file", "upgrade"]).ok();
    assert_eq!(download(&["--destination", "absent/got"]).code, Some(1));
    std::fs::create_dir(client.path("folder")).unwrap();
    assert_eq!(download(&["--destination", "folder"]).code, Some(1));
    assert_eq!(download(&["--dest=got", "more"]).code, Some(0));
    assert_eq!(std::fs::read(client.path("got")).unwrap(), b"text");
    for (command, arguments) in [("upload", &["--file", "absent"][..]), ("upload", &["--slapos-conf=absent"])]
    {
        assert_eq!(run(Some(&ours), &client, command, arguments).code, Some(1), "{arguments:?}");
    }
    assert_eq!(download(&["--bogus"]).code, Some(2));
    assert!(is_tidy(client.directory()));

    // Nobody takes it: the original says so too, and ends with 0.
    let text = std::fs::read_to_string(client.path("cache.cfg")).unwrap();
    client.write("cache.cfg", text.replace("/shacache\nupload-dir", "/nowhere\nupload-dir").as_bytes());
    client.write("upgrade", b"newer");
    let [theirs, ours] = [None, Some(&ours)].map(|who| run(who, &client, "upload", &["--file", "upgrade"]));
    assert!(ours.stdout.starts_with("Unable to upload to cache:\n"), "{ours:?}");
    assert!(theirs.stdout.starts_with("Unable to upload to cache:\n"), "{theirs:?}");
    assert_eq!((theirs.code, ours.code), (Some(0), Some(1)));
    ended_without_a_fault(house);
}

/// Of several companions, the one that was made with the file counts, even if another is newer.
#[test]
fn a_file_is_held_against_its_own_companion() {
    let (house, client, ours) = upgrader();
    client.write("upgrade", b"text");
    run(Some(&ours), &client, "upload", &["--file", "upgrade"]).ok();
    client.write("other", b"bm90IGl0");
    client.write("time.json", b"{\"timestamp\": 99999999999.0, \"token\": \"x\"}");
    ours.upload(&client, &["-f", "other", "-k", "slapos-test-key-sha256-content", "-m", "time.json"]).ok();
    assert_eq!(run(Some(&ours), &client, "download", &["--destination", "got"]).code, Some(0));
    assert_eq!(run(None, &client, "download", &["--destination", "got"]).code, Some(1));
    ended_without_a_fault(house);
}

#[test]
fn the_configuration_is_theirs_byte_for_byte() {
    let (house, client, ours) = upgrader();
    for key in [None, Some("'my key'"), Some("50%")] {
        let mut written = Vec::new();
        for (who, file) in [(None, "theirs/etc/slapcache.cfg"), (Some(&ours), "ours/etc/slapcache.cfg")] {
            let _ = std::fs::remove_file(client.path(file));
            let option = format!("--slapos-configuration={file}");
            let key = key.map(|key| format!("--key={key}"));
            let arguments: Vec<&str> =
                [Some(option.as_str()), key.as_deref()].into_iter().flatten().collect();
            let ran = match who {
                Some(ours) => ours.run(&client, "slapcache-conf", &arguments),
                None => client.program("slapcache-conf", &arguments),
            };
            assert_eq!((ran.ok(), ran.stderr.as_str()), ("", ""), "{arguments:?}");
            written.push(std::fs::read_to_string(client.path(file)).unwrap());
        }
        assert_eq!(written[0], written[1]);
    }
    let option = "--slapos-configuration=ours/etc/slapcache.cfg";
    let again = ours.run(&client, "slapcache-conf", &[option]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.starts_with("ours/etc/slapcache.cfg already exists!\n"), "{}", again.stderr);
    assert_eq!(ours.run(&client, "slapcache-conf", &[option, "--force", "--key", "new"]).ok(), "");
    let names = std::fs::read_dir(client.path("ours/etc")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!((names.len(), names[0].as_str()), (2, "slapcache.cfg"));
    let time: f64 = names[1].strip_prefix("slapcache.cfg.old.").unwrap().parse().unwrap();
    assert!(time > 1.7e9, "{time}");
    assert!(
        std::fs::read_to_string(client.path("ours/etc/slapcache.cfg"))
            .unwrap()
            .starts_with("[shacache]\nkey = new\n")
    );
    ended_without_a_fault(house);
}
