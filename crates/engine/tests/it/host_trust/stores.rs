//! The trust stores of operating systems.

use std::path::Path;

use testkit::HostPlan;
use trust::Anchor;
use trust::on_host::{Amiss, FilePlace, OnHost};
use x509::{KeySpec, PrivateKey, extension};

use engine::handing_on::{DeliveryError, withdraw};

use super::keystores::install_java;
use super::{Authority, BUNDLE, FOLDER, World, bundle_of, file_of, in_store, signed};

#[tokio::test]
async fn a_host_trusts_what_is_handed_on_and_then_no_longer() {
    let world = World::debian();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (_old_server, of_old) = old.serve(world.folder.path(), &world.hosts.gateway());
    let (_new_server, of_new) = new.serve(world.folder.path(), &world.hosts.gateway());
    let trusts = || [world.trusts(&of_old), world.trusts(&of_new)];
    let before = world.say(&format!("ls {FOLDER} /etc/ssl/certs; cat {BUNDLE}"));
    world.say(&format!("echo theirs >{FOLDER}/provost-theirs.txt"));
    assert_eq!(trusts(), [false, false]);

    let places = in_store();
    // Who has nothing is not touched.
    assert_eq!(world.delivered(&places, &[]).await, (false, false));
    let delivered = world.deliver(&places, &bundle_of(&[&old])).await.unwrap();
    assert_eq!((delivered.changed, delivered.drift.is_any()), (true, false));
    assert_eq!(delivered.store.unwrap().name, "debian");
    assert_eq!(trusts(), [true, false]);
    assert_eq!(world.delivered(&places, &bundle_of(&[&old, &new])).await, (true, false));
    assert_eq!(trusts(), [true, true]);
    assert_eq!(world.delivered(&places, &bundle_of(&[&old, &new])).await, (false, false));
    let text =
        std::fs::read_to_string(world.host().folder().join(file_of(&old.anchor()).replace("/usr/", "")))
            .unwrap();
    assert_eq!(text, old.anchor().pem());
    assert_eq!(world.delivered(&places, &bundle_of(&[&new])).await, (true, false));
    assert_eq!(trusts(), [false, true]);
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(trusts(), [false, false]);
    assert_eq!(world.withdrawn(&places).await, (false, false));

    world.say(&format!("rm {FOLDER}/provost-theirs.txt"));
    assert_eq!(world.say(&format!("ls {FOLDER} /etc/ssl/certs; cat {BUNDLE}")), before);
    assert_eq!(world.host().sh("ls -A /var/lib/provost-trust").code, Some(2), "nothing of ours is left");
}

#[tokio::test]
async fn what_somebody_changed_in_a_store_is_mended() {
    let world = World::debian();
    let (a, b, stranger) = (Authority::new("a"), Authority::new("b"), Authority::new("stranger"));
    let (places, bundle) = (in_store(), bundle_of(&[&a, &b]));
    let all = bundle_of(&[&a, &b, &stranger]);
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    let own = world.own();
    let (of_a, of_b, of_stranger) = (file_of(&a.anchor()), file_of(&b.anchor()), file_of(&stranger.anchor()));
    let of_nobody = of_a.replace(&a.anchor().fingerprint().to_string(), &"0".repeat(64));
    std::fs::write(world.host().path("/tmp/stranger.pem"), stranger.certificate.to_pem()).unwrap();
    for edit in [
        format!("rm {of_a}"),
        format!("echo more >>{of_a}"),
        format!("cp /tmp/stranger.pem {of_a}; update-ca-certificates"),
        format!("ln -sf /tmp/stranger.pem {of_a}; update-ca-certificates"),
        format!("rm {of_a}; mkdir {of_a}"),
        format!("cp /tmp/stranger.pem {of_stranger}; update-ca-certificates"),
        // Copies of what is wanted still, under names of ours.
        format!("cp {of_a} {of_nobody}"),
        format!("cp {of_a} {of_nobody}; update-ca-certificates"),
        format!("cp {of_a} {of_stranger}; cp {of_b} {of_nobody}; update-ca-certificates"),
        format!("cp {of_a} {of_b}; update-ca-certificates"),
        format!("head -n 30 {BUNDLE} >/tmp/short; cp /tmp/short {BUNDLE}"),
        format!("rm {FOLDER}/*; update-ca-certificates --fresh"),
    ] {
        world.say(&edit);
        assert_eq!(world.delivered(&places, &bundle).await, (true, true), "{edit}");
        assert_eq!((world.trusted(&all), world.own()), (bundle.clone(), own.clone()), "{edit}");
        assert_eq!(world.delivered(&places, &bundle).await, (false, false), "{edit}");
    }
    // A file of somebody else's with the same certificate stays, and is trusted for their sake.
    world.say(&format!("cp {of_a} {FOLDER}/theirs.crt; update-ca-certificates"));
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!((world.own(), world.trusted(&all)), ("theirs.crt".to_owned(), vec![a.anchor()]));
}

#[tokio::test]
async fn a_store_that_did_not_take_them_up_is_told_again() {
    let world = World::debian();
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let (places, bundle) = (in_store(), bundle_of(&[&a]));
    world.replace("update-ca-certificates", "echo 'there is no room' >&2; exit 4");
    for _ in 0..2 {
        let failed = world.deliver(&places, &bundle).await.unwrap_err();
        let DeliveryError::Amiss(Amiss::Program { status: 4, words, .. }) = &failed else {
            panic!("{failed}")
        };
        assert_eq!(words, "there is no room");
    }
    world.replace("update-ca-certificates", "");
    let failed = world.deliver(&places, &bundle).await.unwrap_err();
    assert!(matches!(failed, DeliveryError::Amiss(Amiss::NotTaken { count: 1, .. })), "{failed}");
    world.restore("update-ca-certificates");
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    assert_eq!(world.trusted(&bundle), bundle);

    world.replace("update-ca-certificates", "");
    for _ in 0..2 {
        let failed = world.deliver(&places, &bundle_of(&[&b])).await.unwrap_err();
        assert!(matches!(failed, DeliveryError::Amiss(Amiss::NotTaken { .. })), "{failed}");
        let failed = withdraw(&*world.remote, &world.target("admin"), &places).await.unwrap_err();
        assert!(matches!(failed, DeliveryError::Amiss(Amiss::StillTrusted { count: 1, .. })), "{failed}");
    }
    world.restore("update-ca-certificates");
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!((world.trusted(&bundle), world.own()), (vec![], String::new()));
    // One that was killed in the middle left what the next would append to.
    world.say(&format!("cat >{BUNDLE}.new <<'end'\n{}end\n", a.anchor().pem()));
    assert_eq!(world.delivered(&places, &bundle_of(&[&b])).await, (true, false));
    assert_eq!(world.trusted(&bundle_of(&[&a, &b])), bundle_of(&[&b]));
}

/// What was withdrawn is looked for until it is gone, also where something else was put under its name meanwhile.
#[tokio::test]
async fn what_was_withdrawn_is_not_forgotten_for_a_copy_under_its_name() {
    let world = World::debian();
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let (places, both, one) = (in_store(), bundle_of(&[&a, &b]), bundle_of(&[&a]));
    assert_eq!(world.delivered(&places, &both).await, (true, false));
    world.replace("update-ca-certificates", "");
    for _ in 0..2 {
        let failed = world.deliver(&places, &one).await.unwrap_err();
        assert!(matches!(failed, DeliveryError::Amiss(Amiss::StillTrusted { count: 1, .. })), "{failed}");
        world.say(&format!("cp {} {}", file_of(&a.anchor()), file_of(&b.anchor())));
    }
    assert_eq!(world.trusted(&both), both);
    world.restore("update-ca-certificates");
    assert!(world.delivered(&places, &one).await.0);
    assert_eq!((world.trusted(&both), world.delivered(&places, &one).await), (one, (false, false)));
}

/// What Fedora's and RHEL's `update-ca-trust` is: calls of p11-kit's `trust`, of which Debian has the same one.
const UPDATE_CA_TRUST: &str = r#"[ "$*" = extract ] || exit 2
cd /etc/pki/ca-trust/extracted || exit
export P11_KIT_NO_USER_CONFIG=1
trust extract --format=pem-bundle --filter=ca-anchors --overwrite --comment --purpose server-auth pem/tls-ca-bundle.pem
trust extract --format=java-cacerts --filter=ca-anchors --overwrite --purpose server-auth java/cacerts"#;

/// What tells Debian's p11-kit where Fedora's looks (pkcs11.conf(5)).
const P11_KIT: &str =
    "module: p11-kit-trust.so\ntrust-policy: yes\nx-init-reserved: paths='/etc/pki/ca-trust/source'\n";

/// With the real p11-kit, which makes the file of all that is trusted and the keystore of Java, and the real `keytool`.
#[tokio::test]
async fn a_store_as_fedora_has_it() {
    let is_there = Path::new("/usr/bin/trust").exists();
    assert!(is_there, "this test needs `trust` of p11-kit; install it with: cargo xtask witnesses");
    let world = World::new(vec![HostPlan::new().os("fedora", "40").own_trust()]);
    let (a, b, leaf) = (Authority::new("a"), Authority::new("b"), {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        signed("leaf", "leaf", &key, &key, vec![extension::basic_constraints(false, None)])
    });
    install_java(&world);
    world.say(
        "mkdir -p /etc/pkcs11/modules /etc/pki/ca-trust/source/anchors /etc/pki/ca-trust/source/blocklist",
    );
    world.say("mkdir -p /etc/pki/ca-trust/extracted/pem /etc/pki/ca-trust/extracted/java");
    std::fs::write(world.host().path("/etc/pkcs11/modules/p11-kit-trust.module"), P11_KIT).unwrap();
    world.replace("update-ca-trust", UPDATE_CA_TRUST);
    let (_server, url) = a.serve(world.folder.path(), &world.hosts.gateway());
    let bundle = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";
    let trusts =
        || world.host().sh(&format!("curl -sS -o /dev/null --cacert {bundle} {url}")).code == Some(0);
    let keeps = || world.java_trusts("/etc/pki/ca-trust/extracted/java/cacerts", &[&a, &b]);
    let (places, both) = (OnHost { java: true, ..in_store() }, bundle_of(&[&a, &b]));
    world.say("update-ca-trust extract");
    assert!(!trusts());
    let delivered = world.deliver(&places, &both).await.unwrap();
    assert_eq!((delivered.changed, delivered.store.unwrap().name), (true, "fedora"));
    assert!(trusts());
    assert_eq!(keeps(), [true, true]);
    assert_eq!(world.own(), "", "nothing is put where Debian would have it");
    assert_eq!(world.delivered(&places, &both).await, (false, false));
    assert_eq!(world.delivered(&places, &bundle_of(&[&b])).await, (true, false));
    assert!(!trusts());
    assert_eq!(keeps(), [false, true]);
    // The block list wins over anchors, and leaves are left out: neither is claimed to be trusted.
    let path = format!("/etc/pki/ca-trust/source/anchors/provost-{}.pem", b.anchor().fingerprint());
    world.say(&format!("cp {path} /etc/pki/ca-trust/source/blocklist/; update-ca-trust extract"));
    for bundle in [bundle_of(&[&b]), vec![Anchor::from(&leaf)]] {
        let failed = world.deliver(&in_store(), &bundle).await.unwrap_err();
        assert!(matches!(failed, DeliveryError::Amiss(Amiss::NotTaken { count: 1, .. })), "{failed}");
    }
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(world.say("ls -A /etc/pki/ca-trust/source/anchors"), "");
    assert_eq!(keeps(), [false, false]);
}

#[tokio::test]
async fn two_thousand_certificates_are_trusted() {
    let world = World::debian();
    let bundle: std::collections::BTreeSet<Anchor> = (0..2000)
        .map(|number| {
            let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
            let name = format!("authority {number}");
            Anchor::from(&signed(&name, &name, &key, &key, vec![extension::basic_constraints(true, None)]))
        })
        .collect();
    let bundle: Vec<Anchor> = bundle.into_iter().collect();
    let places = OnHost { files: vec![FilePlace::new("/etc/cas.pem").unwrap()], ..in_store() };
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    assert_eq!(world.trusted(&bundle).len(), 2000);
    assert_eq!(world.delivered(&places, &bundle).await, (false, false));
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!((world.trusted(&bundle), world.own()), (vec![], String::new()));
}
