//! Keystores of an application's own, which the real `keytool` makes on the host.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use base::Secret;
use trust::Anchor;
use trust::on_host::{Amiss, FilePlace, Keystore, OnHost};
use x509::{KeySpec, PrivateKey, extension, pem};

use super::{Authority, World, bundle_of, path_of, signed};

const PATH: &str = "/srv/app/trust.p12";

/// Has the machine's Java on the host as well: of its programs all but the settings is there already.
pub(super) fn install_java(world: &World) {
    let is_there = Path::new("/usr/bin/keytool").exists();
    assert!(is_there, "this test needs `keytool`; install it with: cargo xtask witnesses");
    let settings = std::fs::read_dir("/etc").unwrap().map(|entry| entry.unwrap().path());
    let settings = settings.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("java-"));
    let copied = Command::new("cp").arg("-a").args(settings).arg(world.host().path("/etc")).status().unwrap();
    assert!(copied.success());
}

fn keystore(password_file: Option<&str>) -> FilePlace {
    FilePlace::new(PATH).unwrap().with_keystore(Keystore::new(password_file).unwrap())
}

fn only(file: FilePlace) -> OnHost {
    OnHost { files: vec![file], ..OnHost::default() }
}

impl World {
    /// The certificates that Java finds in the keystore, in the order of bundles.
    fn in_keystore(&self, password: &str) -> Vec<String> {
        let listed =
            self.say(&format!("keytool -list -rfc -keystore {PATH} -storepass '{password}' 2>/dev/null"));
        let blocks = pem::read(listed.as_bytes(), 64 << 20).unwrap();
        let pems: BTreeSet<String> =
            blocks.iter().map(|block| pem::write("CERTIFICATE", &block.der)).collect();
        assert_eq!(pems.len(), blocks.len(), "none twice");
        pems.into_iter().collect()
    }
}

fn pems(bundle: &[Anchor]) -> Vec<String> {
    bundle.iter().map(|anchor| anchor.pem().to_owned()).collect()
}

#[tokio::test]
async fn a_keystore_has_what_is_handed_on() {
    let world = World::debian();
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let (both, one) = (bundle_of(&[&a, &b]), bundle_of(&[&b]));
    let file = keystore(None).with_owner("guest").unwrap().with_group("adm").unwrap();
    let file = file.with_mode("0640").unwrap().with_hook("echo >>/var/log/hook").unwrap();
    // All else is done on a host that has no Java.
    world.say("mount --bind /dev/null /usr/bin/keytool");
    let plain = FilePlace::new("/etc/cas.pem").unwrap();
    let places = OnHost { files: vec![file.clone(), plain], ..OnHost::default() };
    for _ in 0..2 {
        let delivered = world.deliver(&places, &both).await.unwrap();
        let [refused] = &delivered.refused[..] else { panic!("{delivered:?}") };
        let said = format!("no keystore could be made for {PATH}: there is no keytool: it comes with Java");
        assert_eq!((path_of(refused), refused.why.to_string()), (PATH, said));
        assert!(world.host().path("/etc/cas.pem").exists() && !world.host().path(PATH).exists());
    }
    world.say("umount /usr/bin/keytool");
    // It is there, and does not run.
    let delivered = world.deliver(&places, &both).await.unwrap();
    let said = delivered.refused[0].why.to_string();
    assert!(said.contains("rror") && !said.contains("at java"), "{said}");
    install_java(&world);
    let places = only(file);
    let delivered = world.deliver(&places, &both).await.unwrap();
    assert_eq!((delivered.changed, delivered.drift.is_any(), delivered.refused), (true, false, vec![]));
    assert_eq!(world.in_keystore("changeit"), pems(&both));
    let seen = || world.say(&format!("stat -c '%a %U:%G' {PATH}; wc -l </var/log/hook; ls -A /srv/app"));
    assert_eq!(seen(), "640 guest:adm\n1\ntrust.p12");
    assert_eq!(
        world.say(&format!("keytool -list -keystore {PATH} -storepass changeit | head -n 1")),
        "Keystore type: PKCS12"
    );
    assert_eq!(world.delivered(&places, &both).await, (false, false));
    // Whose it is is mended without another keystore.
    let bytes = || std::fs::read(world.host().path(PATH)).unwrap();
    let before = bytes();
    world.say(&format!("chmod 666 {PATH}; chown root {PATH}"));
    assert_eq!(world.delivered(&places, &both).await, (true, false));
    assert!(bytes() == before && seen() == "640 guest:adm\n1\ntrust.p12");

    for (times, edit) in [
        (
            2,
            format!(
                "keytool -delete -keystore {PATH} -storepass changeit -alias provost-{}",
                a.anchor().fingerprint()
            ),
        ),
        (3, format!("echo more >>{PATH}")),
        (4, format!("rm {PATH}")),
        (5, format!("ln -sf /etc/passwd {PATH}")),
    ] {
        world.say(&edit);
        assert_eq!(world.delivered(&places, &both).await, (true, true), "{edit}");
        assert_eq!(
            (world.in_keystore("changeit"), seen()),
            (pems(&both), format!("640 guest:adm\n{times}\ntrust.p12")),
            "{edit}"
        );
    }
    for bundle in [&one, &Vec::new(), &both] {
        assert_eq!(world.delivered(&places, bundle).await, (true, false));
        assert_eq!(world.in_keystore("changeit"), pems(bundle));
        assert_eq!(world.delivered(&places, bundle).await, (false, false));
    }
    // What was PEM becomes a keystore, and the other way round.
    assert_eq!(world.delivered(&only(FilePlace::new(PATH).unwrap()), &both).await, (true, false));
    assert_eq!(std::fs::read_to_string(world.host().path(PATH)).unwrap(), pems(&both).concat());
    assert_eq!(world.delivered(&places, &both).await, (true, false));
    assert_eq!(world.in_keystore("changeit"), pems(&both));
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert!(!world.host().path(PATH).exists() && !world.host().path("/var/lib/provost-trust").exists());
}

/// It stays on the host: nobody who lists processes there reads it, and the house does not know it.
#[tokio::test]
async fn a_keystore_has_the_password_of_a_file_on_the_host() {
    let world = World::debian();
    install_java(&world);
    let bundle = bundle_of(&[&Authority::new("a")]);
    let places = only(keystore(Some("/etc/pass word")));
    let refused = async || {
        let delivered = world.deliver(&places, &bundle).await.unwrap();
        let [refused] = &delivered.refused[..] else { panic!("{delivered:?}") };
        let Amiss::NotMade { words, .. } = &refused.why else { panic!("{refused:?}") };
        words.clone()
    };
    assert_eq!(refused().await, "there is no password in /etc/pass word");
    world.say("echo short >'/etc/pass word'");
    assert!(refused().await.contains("at least 6 characters"));
    assert!(!world.host().path(PATH).exists());
    world.say("echo >/var/log/arguments");
    world.replace("keytool", "echo \"$@\" >>/var/log/arguments; exec /usr/bin/keytool \"$@\"");
    for password in ["it's long enough", "and \"another\" one"] {
        let password = Secret::new(password.to_owned());
        std::fs::write(world.host().path("/etc/pass word"), format!("{}\nmore", password.expose())).unwrap();
        assert_eq!(world.delivered(&places, &bundle).await, (true, false));
        let quoted = password.expose().replace('\'', "'\\''");
        assert_eq!(
            world.say(&format!(
                "/usr/bin/keytool -list -keystore {PATH} -storepass '{quoted}' | grep -c trustedCertEntry"
            )),
            "1"
        );
        assert_eq!(world.delivered(&places, &bundle).await, (false, false));
        let arguments = world.say("cat /var/log/arguments");
        assert!(
            arguments.contains("-importkeystore") && !arguments.contains(password.expose().as_str()),
            "{arguments}"
        );
    }
    // The one that is there stays until there is another.
    world.say("rm '/etc/pass word'");
    assert_eq!(refused().await, "there is no password in /etc/pass word");
    assert!(world.host().path(PATH).exists());
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert!(!world.host().path(PATH).exists());
}

#[tokio::test]
async fn a_thousand_certificates_are_one_keystore() {
    let world = World::debian();
    install_java(&world);
    let mut bundle: Vec<Anchor> = (0..1000)
        .map(|number| {
            let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
            let name = "authority ".to_owned() + &number.to_string().repeat(1 + number % 7);
            Anchor::from(&signed(&name, &name, &key, &key, vec![extension::basic_constraints(true, None)]))
        })
        .collect();
    bundle.sort();
    let places = only(keystore(None));
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    assert_eq!(world.in_keystore("changeit"), pems(&bundle));
    assert_eq!(world.delivered(&places, &bundle).await, (false, false));
}

/// A keystore that `keytool` did not make as it was told is put nowhere.
#[tokio::test]
async fn what_keytool_made_is_read_back() {
    let world = World::debian();
    install_java(&world);
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let places = only(keystore(None));
    assert_eq!(world.delivered(&places, &bundle_of(&[&a])).await, (true, false));
    let before = std::fs::read(world.host().path(PATH)).unwrap();
    // It leaves one out.
    let forget = format!("-delete -alias provost-{} -storepass changeit -keystore", a.anchor().fingerprint());
    world.replace(
        "keytool",
        &format!("/usr/bin/keytool \"$@\" || exit 1; [ \"$1\" != -importkeystore ] || /usr/bin/keytool {forget} /run/provost-trust/work/keystore"),
    );
    for _ in 0..2 {
        let delivered = world.deliver(&places, &bundle_of(&[&a, &b])).await.unwrap();
        assert!(
            delivered.refused[0]
                .why
                .to_string()
                .ends_with("keytool made a keystore that has other certificates"),
            "{delivered:?}"
        );
        assert_eq!(std::fs::read(world.host().path(PATH)).unwrap(), before);
    }
    world.restore("keytool");
    assert_eq!(world.delivered(&places, &bundle_of(&[&a, &b])).await, (true, false));
    assert_eq!(world.in_keystore("changeit"), pems(&bundle_of(&[&a, &b])));
}
