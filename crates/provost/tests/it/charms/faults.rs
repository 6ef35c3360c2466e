//! Hooks that fail, are killed, or lose the lead: Juju sends them again, and by then nothing may be half done.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use testkit::{Fault, Juju, charms_python, openssl_ok, wait_until};
use x509::Certificate;

use super::{By, PROVIDER, PROVOST, REQUIRER, charm, pair};

/// A relation that ends is no relation any more, also where it is still listed.
#[test]
fn a_relation_that_breaks_is_over_though_it_is_listed() {
    let mut pair = pair(By::Us, By::Us, 1);
    pair.juju.list_broken();
    let (one, other) = (pair.juju.relate(PROVIDER, REQUIRER), pair.juju.relate(PROVIDER, REQUIRER));
    pair.provide("add-certificates", json!({"certificates": "[\"a\"]", "relation-id": one}));
    pair.provide("add-certificates", json!({"certificates": "[\"b\"]", "relation-id": other}));
    let bundle = pair.folder.path().join("bundle.pem");
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "a\nb\n");
    // What cannot be read there is nobody's trouble any more, either.
    pair.juju.write(one, "provider", "certificates", "nonsense");
    pair.juju.unrelate(one);
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "b\n");
    assert_eq!(pair.has("requirer/0"), ["b"]);
    assert_eq!(pair.events("requirer/0"), [json!(1), json!(1), json!("certificates_removed")]);
    assert_eq!(
        (&*pair.juju.status("requirer/0")[0], &*pair.juju.status("provider/0")[0]),
        ("active", "active")
    );
    pair.juju.unrelate(other);
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "");
}

/// Whichever command fails, nothing of the hook counts, and the next one makes it good.
#[test]
fn a_hook_that_fails_is_made_good_by_the_next() {
    each_command(Fault::Fails);
}

/// The same where the charm is killed.
#[test]
fn a_charm_that_is_killed_is_made_good_by_the_next_hook() {
    each_command(Fault::Killed);
}

fn each_command(fault: impl Fn(usize) -> Fault) {
    let mut pair = pair(By::Us, By::Us, 1);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    let bundle = pair.folder.path().join("bundle.pem");
    let old = |bundle: &Path| std::fs::read_to_string(bundle).unwrap();
    pair.juju.configure("provider", json!({"publish": "[\"first\"]"}));
    for which in 1.. {
        let wanted = format!("number {which}");
        // The provider, which is told to publish something else.
        pair.juju.set_options("provider", json!({"publish": json!([wanted]).to_string()}));
        let (before, bundle_before) = (pair.juju.committed(), old(&bundle));
        pair.juju.interrupt(fault(which));
        let ended = pair.juju.try_hook("provider/0", "config-changed", &[]);
        let is_over = !pair.juju.was_interrupted();
        if ended.is_err() {
            assert_eq!(pair.juju.committed(), before, "{which}");
            pair.juju.hook("provider/0", "config-changed", &[]);
        }
        assert_eq!(pair.juju.bag(relation, "provider")["certificates"], json!([wanted]).to_string());

        // The requirer, which is told of it.
        let before = pair.juju.committed();
        let variables = [
            ("JUJU_RELATION", REQUIRER.1),
            ("JUJU_RELATION_ID", &*format!("{}:{relation}", REQUIRER.1)),
            ("JUJU_REMOTE_APP", PROVIDER.0),
        ];
        pair.juju.interrupt(fault(which));
        let hook = "receive-ca-cert-relation-changed";
        let ended = pair.juju.try_hook(REQUIRER_UNIT, hook, &variables);
        let is_over = is_over & !pair.juju.was_interrupted();
        if ended.is_err() {
            assert_eq!(pair.juju.committed(), before, "{which}");
            let now = old(&bundle);
            assert!(now == bundle_before || now == format!("{wanted}\n"), "{which}: {now:?}");
            pair.juju.hook(REQUIRER_UNIT, hook, &variables);
        }
        assert_eq!(old(&bundle), format!("{wanted}\n"), "{which}");
        // Told of once at least, and of nothing else.
        let told = trust::fingerprint(&wanted);
        let lines = pair.juju.logged(REQUIRER_UNIT, "INFO");
        assert!(lines.last().unwrap().contains(&told), "{which}: {lines:#?}");
        assert_eq!(pair.juju.status(REQUIRER_UNIT)[0], "active");
        // Nothing is left to be told.
        pair.juju.settle();
        assert_eq!(pair.juju.logged(REQUIRER_UNIT, "INFO").len(), lines.len(), "{which}");
        if is_over {
            assert!(which > 5, "every hook calls more than {which} commands");
            return;
        }
    }
}

const REQUIRER_UNIT: &str = "requirer/0";

/// Whoever loses the lead in the middle has written nothing; the hook is sent again, and who leads then carries on.
#[test]
fn the_lead_that_is_lost_in_a_hook_is_taken_over() {
    let mut pair = pair(By::Us, By::Us, 2);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    pair.juju.configure("provider", json!({"publish": "[\"a\"]"}));
    let before = pair.juju.committed();
    pair.juju.set_options("provider", json!({"publish": "[\"b\"]"}));
    pair.juju.usurp("provider/1");
    let refused = pair.juju.try_hook("provider/0", "config-changed", &[]);
    assert!(refused.unwrap_err().starts_with("it does not lead any more"));
    assert_eq!(pair.juju.committed(), before);
    pair.juju.hook("provider/0", "config-changed", &[]);
    assert_eq!(pair.juju.committed(), before);
    pair.juju.elect("provider/1");
    assert_eq!(pair.juju.bag(relation, "provider")["certificates"], "[\"b\"]");
    assert_eq!(pair.has("requirer/1"), ["b"]);

    // A requirer that had no time to announce its version.
    pair.juju.write(relation, "requirer", "version", "");
    pair.juju.usurp("requirer/1");
    assert!(pair.juju.try_hook("requirer/0", "config-changed", &[]).is_err());
    pair.juju.hook("requirer/0", "config-changed", &[]);
    assert!(!pair.juju.bag(relation, "requirer").contains_key("version"));
    pair.juju.elect("requirer/1");
    assert_eq!(pair.juju.bag(relation, "requirer")["version"], "1");
}

/// A machine's own trust store, in namespaces: Debian's, with nothing of Debian's in it, and with one certificate that an
/// operator put there.
struct Machine {
    folder: TempDir,
    juju: Juju,
    _charm: TempDir,
    relation: u64,
}

impl Machine {
    fn new(theirs: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["anchors", "certs", "hooks"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        std::fs::write(at("conf"), "").unwrap();
        std::fs::write(at("anchors/theirs.crt"), theirs).unwrap();
        let mounts = [
            ("anchors", "/usr/local/share/ca-certificates"),
            ("certs", "/etc/ssl/certs"),
            ("hooks", "/etc/ca-certificates/update.d"),
            ("conf", "/etc/ca-certificates.conf"),
        ];
        let mounts = mounts.map(|(from, to)| format!("mount --bind {} {to}", at(from))).join(" && ");
        let charm = charm("requirer", By::Us);
        let dispatch = charm.path().join("dispatch");
        std::fs::remove_file(&dispatch).unwrap();
        // By the name that the program has to have, so that it takes itself for a charm.
        std::os::unix::fs::symlink(PROVOST, charm.path().join("program")).unwrap();
        let text =
            format!("#!/bin/bash\nexec unshare --mount bash -c '{mounts} && exec -a dispatch ./program' \n");
        std::fs::write(&dispatch, text).unwrap();
        std::fs::set_permissions(&dispatch, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut juju = Juju::new(&charms_python());
        let provider = super::charm("provider", By::Us);
        juju.deploy(PROVIDER.0, provider.path(), 1, json!({}));
        juju.deploy(
            REQUIRER.0,
            charm.path(),
            1,
            json!({"trust-store": true, "bundle-path": at("bundle.pem")}),
        );
        let relation = juju.relate(PROVIDER, REQUIRER);
        Self { folder, juju, _charm: charm, relation }
    }

    /// Whoever the machine trusts.
    fn trusts(&self) -> BTreeSet<[u8; 32]> {
        let all = std::fs::read(self.folder.path().join("certs/ca-certificates.crt")).unwrap_or_default();
        Certificate::all_from_pem(&all).unwrap().iter().map(Certificate::fingerprint).collect()
    }

    /// Whoever is in the bundle, which is whole.
    fn bundle(&self) -> BTreeSet<[u8; 32]> {
        let all = std::fs::read(self.folder.path().join("bundle.pem")).unwrap();
        assert!(all.is_empty() || all.ends_with(b"-----END CERTIFICATE-----\n"), "cut off");
        Certificate::all_from_pem(&all).unwrap().iter().map(Certificate::fingerprint).collect()
    }

    fn hands_on(&mut self, set: &[&str]) {
        self.juju.write(self.relation, PROVIDER.0, "certificates", &json!(set).to_string());
    }
}

/// A CA certificate.
fn authority(name: &str) -> String {
    let subject = format!("/CN={name}");
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "req",
        "-x509",
        "-newkey",
        "ed25519",
        "-nodes",
        "-keyout",
        "key",
        "-subj",
        &subject,
        "-days",
        "30",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
    ];
    openssl_ok(folder.path(), &arguments)
}

/// An option that names no file can be put right again, and holds nothing back meanwhile.
#[test]
fn a_bundle_that_cannot_be_written_keeps_no_trust() {
    let [a, b, theirs] = ["a", "b", "theirs"].map(authority);
    let mut machine = Machine::new(&theirs);
    let prints = |set: &[&str]| -> BTreeSet<[u8; 32]> {
        set.iter().map(|pem| Certificate::from_pem(pem.as_bytes()).unwrap().fingerprint()).collect()
    };
    let good = machine.folder.path().join("bundle.pem");
    machine.hands_on(&[&a, &b]);
    machine.juju.settle();
    assert_eq!(machine.trusts(), prints(&[&a, &b, &theirs]));
    let folder = machine.folder.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let wrong = [folder, good.join("below"), "/proc/nothing/x.pem".into()];
    for wrong in &wrong {
        machine.juju.configure(REQUIRER.0, json!({"trust-store": true, "bundle-path": wrong}));
        let status = machine.juju.status(REQUIRER_UNIT);
        assert!(status[0] == "blocked" && status[1].contains(&wrong.display().to_string()), "{status:?}");
        machine.hands_on(&[&b]);
        machine.juju.settle();
        assert_eq!((machine.bundle(), machine.trusts()), (prints(&[&b]), prints(&[&b, &theirs])));
        machine.juju.configure(REQUIRER.0, json!({"trust-store": true, "bundle-path": good}));
        assert_eq!(machine.juju.status(REQUIRER_UNIT)[0], "active");
        machine.hands_on(&[&a, &b]);
        machine.juju.settle();
        assert_eq!((machine.bundle(), machine.trusts()), (prints(&[&a, &b]), prints(&[&a, &b, &theirs])));
    }
    // It goes while the option is wrong, and nothing of it stays.
    machine.juju.configure(REQUIRER.0, json!({"trust-store": true, "bundle-path": wrong[0]}));
    machine.juju.hook(REQUIRER_UNIT, "remove", &[]);
    assert_eq!(machine.trusts(), prints(&[&theirs]));
    assert!(!good.exists());
}

/// Killed at any of its commands, or when the trust store is to take up what is new: the machine trusts what it is to trust
/// after the next hook, and at no time has anybody half a file.
#[test]
fn a_charm_killed_while_it_installs_leaves_nothing_half_done() {
    let [a, b, c, theirs] = ["a", "b", "c", "theirs"].map(authority);
    let mut machine = Machine::new(&theirs);
    let prints = |set: &[&str]| -> BTreeSet<[u8; 32]> {
        set.iter().map(|pem| Certificate::from_pem(pem.as_bytes()).unwrap().fingerprint()).collect()
    };
    let sets: [&[&str]; 2] = [&[&a, &b], &[&b, &c]];
    machine.hands_on(sets[0]);
    machine.juju.settle();
    let with_theirs = |set: &[&str]| prints(&[set, &[&*theirs]].concat());
    assert_eq!(machine.trusts(), with_theirs(sets[0]));
    for which in 1.. {
        let (before, now) = (prints(sets[(which + 1) % 2]), prints(sets[which % 2]));
        machine.hands_on(sets[which % 2]);
        machine.juju.interrupt(Fault::Killed(which));
        let ended = machine.juju.try_hook(REQUIRER_UNIT, "update-status", &[]);
        assert_eq!(ended.is_err(), machine.juju.was_interrupted(), "{which}");
        let bundle = machine.bundle();
        assert!(bundle == before || bundle == now, "{which}: {bundle:?}");
        if ended.is_ok() {
            assert!(which > 5, "a hook calls more than {which} commands");
            break;
        }
        machine.juju.hook(REQUIRER_UNIT, "update-status", &[]);
        assert_eq!((machine.bundle(), machine.trusts()), (now, with_theirs(sets[which % 2])), "{which}");
    }
    // It goes, and nothing of it stays.
    machine.juju.hook(REQUIRER_UNIT, "remove", &[]);
    assert_eq!(machine.trusts(), with_theirs(&[]));
    assert_eq!(std::fs::read_dir(machine.folder.path().join("anchors")).unwrap().count(), 1);
}

/// Killed while a large bundle is written, as soon as a part of it is there: nobody ever has that part.
#[test]
fn a_bundle_is_whole_whenever_the_charm_is_killed() {
    let mut pair = pair(By::Us, By::Us, 1);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    let bundle = pair.folder.path().join("bundle.pem");
    let unfinished = pair.folder.path().join(".bundle.pem.new");
    let set = |round: usize| -> Vec<String> {
        (0..500).map(|at| format!("{round:05} {at:05} {}", "x".repeat(1_200))).collect()
    };
    let text = |round: usize| set(round).iter().map(|text| format!("{text}\n")).collect::<String>();
    let is = |round: usize| std::fs::read_to_string(&bundle).unwrap() == text(round);
    pair.juju.write(relation, PROVIDER.0, "certificates", &json!(set(0)).to_string());
    pair.juju.settle();
    assert!(is(0));
    for round in 1..=8 {
        pair.juju.write(relation, PROVIDER.0, "certificates", &json!(set(round)).to_string());
        let mut hook = pair.juju.prepare(REQUIRER_UNIT, "update-status", &[]);
        let mut child = hook.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("a bundle that is being written", || {
            unfinished.exists() || child.try_wait().unwrap().is_some()
        });
        // One that was quicker has ended well.
        let _ = child.kill();
        child.wait().unwrap();
        assert!(is(round - 1) || is(round), "{round}: it is neither what it was nor what it is to be");
        pair.juju.hook(REQUIRER_UNIT, "update-status", &[]);
        assert!(is(round) && !unfinished.exists(), "{round}");
    }
}
