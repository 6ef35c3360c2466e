//! Our charms, each with itself and with the reference library on the other side, in a model of Juju.

mod faults;
mod scenario;
mod server;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{CharmBy, Juju, charm_sources, charms_python};

const PROVOST: &str = env!("CARGO_BIN_EXE_provost");
const PROVIDER: (&str, &str) = ("provider", "send-ca-cert");
const REQUIRER: (&str, &str) = ("requirer", "receive-ca-cert");

/// Who made a charm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Us,
    Library,
}

/// A charm, unpacked.
fn charm(side: &str, by: By) -> TempDir {
    testkit::charm(
        side,
        match by {
            By::Us => CharmBy::Us(Path::new(PROVOST)),
            By::Library => CharmBy::Library,
        },
    )
}

/// Two applications, and what they are made of.
struct Pair {
    juju: Juju,
    _charms: [TempDir; 2],
    folder: TempDir,
}

fn pair(provider: By, requirer: By, units: usize) -> Pair {
    let (provider, requirer) = (charm("provider", provider), charm("requirer", requirer));
    let folder = tempfile::tempdir().unwrap();
    let mut juju = Juju::new(&charms_python());
    juju.deploy(PROVIDER.0, provider.path(), units, json!({}));
    let bundle = folder.path().join("bundle.pem").display().to_string();
    juju.deploy(REQUIRER.0, requirer.path(), units, json!({"bundle-path": bundle}));
    Pair { juju, _charms: [provider, requirer], folder }
}

impl Pair {
    fn provide(&mut self, action: &str, parameters: Value) {
        let acted = self.juju.act("provider/0", action, parameters);
        assert_eq!(acted.failed, None);
    }

    /// What a unit of the requirer has, asked by its action.
    fn has(&mut self, unit: &str) -> Vec<String> {
        let acted = self.juju.act(unit, "get-all-certificates", json!({}));
        serde_json::from_str(acted.results["certificates"].as_str().unwrap()).unwrap()
    }

    /// The events that a unit of the requirer told of, with how many certificates.
    fn events(&self, unit: &str) -> Vec<Value> {
        let event = |line: String| {
            let event: Value = serde_json::from_str(line.strip_prefix("CT-EVENT ")?).unwrap();
            Some(match event["fingerprints"].as_array() {
                Some(fingerprints) => json!(fingerprints.len()),
                None => event["event"].clone(),
            })
        };
        self.juju.logged(unit, "INFO").into_iter().filter_map(event).collect()
    }
}

/// Each side with each: what is added is there, what is removed is gone, and nobody is told twice.
#[test]
fn either_side_works_with_the_library_on_the_other() {
    for (provider, requirer) in [(By::Us, By::Us), (By::Us, By::Library), (By::Library, By::Us)] {
        let mut pair = pair(provider, requirer, 2);
        let relation = pair.juju.relate(PROVIDER, REQUIRER);
        assert_eq!(pair.juju.bag(relation, "requirer")["version"], "1", "{provider:?} {requirer:?}");
        pair.provide("add-certificates", json!({"certificates": "[\"b\\n\", \"a é\"]"}));
        pair.provide("add-certificates", json!({"certificates": "[\"b\\n\"]", "relation-id": relation}));
        pair.provide("add-certificates", json!({"certificates": "[\"c\"]", "relation-id": 77}));
        let bag = pair.juju.bag(relation, "provider");
        assert_eq!(bag["certificates"], r#"["a \u00e9", "b\n"]"#, "to the byte, by {provider:?}");
        assert_eq!(bag["version"], "1");
        for unit in ["requirer/0", "requirer/1"] {
            assert_eq!(pair.has(unit), ["a é", "b\n"], "{provider:?} {requirer:?}");
        }
        pair.provide("remove-certificate", json!({"certificate": "b"}));
        pair.provide("remove-certificate", json!({"certificate": "b\n"}));
        assert_eq!(pair.has("requirer/1"), ["a é"]);
        pair.provide("remove-all-certificates", json!({}));
        assert_eq!(pair.juju.bag(relation, "provider")["certificates"], "[]");
        assert!(pair.has("requirer/0").is_empty());
        pair.provide("add-certificates", json!({"certificates": "[\"d\"]"}));
        pair.juju.unrelate(relation);
        assert!(pair.has("requirer/0").is_empty());
        let mut expected = vec![json!(2), json!(1), json!(0), json!(1), json!("certificates_removed")];
        if requirer == By::Library {
            // It tells of nothing at first contact.
            expected.insert(0, json!(0));
        }
        assert_eq!(pair.events("requirer/0"), expected, "{provider:?} {requirer:?}");
        if requirer == By::Us {
            assert_eq!(std::fs::read(pair.folder.path().join("bundle.pem")).unwrap(), b"");
        }
    }
}

/// An option `pem` without any certificate in it is a mistake, and ends nobody's trust; an empty one says that there are none.
#[test]
fn an_option_without_certificates_in_it_empties_nothing() {
    let mut pair = pair(By::Us, By::Us, 1);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    let arguments = ["req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "key", "-subj", "/CN=ca"];
    let pem = testkit::openssl_ok(pair.folder.path(), &arguments);
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let set = json!([pem.trim_end()]).to_string();
    let given = |pem: &str| json!({"pem": pem, "publish": "[]"});
    pair.juju.configure("provider", given(&pem));
    assert_eq!(pair.juju.status("provider/0"), ["active", ""]);
    let before: Value = serde_json::from_str(&set).unwrap();
    let has = |pair: &Pair| -> Value {
        serde_json::from_str(&pair.juju.bag(relation, "provider")["certificates"]).unwrap()
    };
    assert_eq!(has(&pair), before);
    let one_line = pem.replace('\n', " ");
    for (spoilt, expected) in [
        ("/etc/ssl/ca.pem", "there is no certificate in `pem`"),
        ("hello", "there is no certificate in `pem`"),
        (&base64, "there is no certificate in `pem`"),
        (&one_line, "`pem` is not PEM"),
        (&pem[..pem.len() - 30], "`pem` is not PEM"),
    ] {
        pair.juju.configure("provider", given(spoilt));
        let status = pair.juju.status("provider/0");
        assert!(status[0] == "blocked" && status[1].contains(expected), "{spoilt}: {status:?}");
        pair.juju.hook("provider/0", "update-status", &[]);
        assert_eq!((has(&pair), pair.events("requirer/0")), (before.clone(), vec![json!(1)]), "{spoilt}");
    }
    pair.juju.configure("provider", given(" \n"));
    assert_eq!(pair.juju.status("provider/0"), ["active", ""]);
    assert_eq!(has(&pair), json!([]));
}

/// The bundle follows, and options say exactly what is handed on.
#[test]
fn options_are_handed_on_and_installed() {
    let mut pair = pair(By::Us, By::Us, 1);
    let (one, other) = (pair.juju.relate(PROVIDER, REQUIRER), pair.juju.relate(PROVIDER, REQUIRER));
    pair.provide("add-certificates", json!({"certificates": "[\"z\"]"}));
    pair.juju.configure("provider", json!({"publish": "[\"b\", \"a\"]"}));
    let bundle = pair.folder.path().join("bundle.pem");
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "a\nb\n");
    assert_eq!(pair.juju.bag(other, "provider"), pair.juju.bag(one, "provider"));
    let refused = pair.juju.act("provider/0", "add-certificates", json!({"certificates": "[\"c\"]"}));
    assert!(refused.failed.unwrap().contains("`publish`"));
    // A private key is refused, loudly, and what there was stays.
    let key = testkit::openssl_ok(pair.folder.path(), &["genpkey", "-algorithm", "ed25519"]);
    pair.juju.configure("provider", json!({"pem": key}));
    assert_eq!(pair.juju.status("provider/0")[0], "blocked");
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "a\nb\n");
    pair.juju.configure("provider", json!({"publish": r#"["-----BEGIN PRIVATE\u0020KEY-----"]"#}));
    assert_eq!(pair.juju.status("provider/0")[0], "blocked", "however it is written");
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "a\nb\n");
    pair.juju.configure("provider", json!({}));
    assert_eq!(pair.juju.status("provider/0")[0], "active");
    let refused =
        pair.juju.act("provider/0", "add-certificates", json!({"certificates": json!([key]).to_string()}));
    assert!(refused.failed.unwrap().contains("private key"));
    assert!(!pair.juju.log().contains("PRIVATE"), "no line has it");
    // One of two relations ends: what the other one has stays.
    pair.provide("add-certificates", json!({"certificates": "[\"c\"]", "relation-id": one}));
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "a\nb\nc\n");
    let by_relation = pair.juju.act("requirer/0", "get-all-certificates-by-relation", json!({}));
    let by_relation: Value = serde_json::from_str(by_relation.results["result"].as_str().unwrap()).unwrap();
    assert_eq!(by_relation, json!({one.to_string(): ["a", "b", "c"], other.to_string(): ["a", "b"]}));
    pair.juju.unrelate(one);
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "a\nb\n");
    // Somebody edits it: it is put right.
    std::fs::write(&bundle, "mine").unwrap();
    pair.juju.hook("requirer/0", "update-status", &[]);
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "a\nb\n");
    // The unit goes, and the file with it.
    pair.juju.hook("requirer/0", "remove", &[]);
    assert!(!bundle.exists());
}

/// A leader that was elected carries on; nobody else writes.
#[test]
fn leaders_come_and_go() {
    let mut pair = pair(By::Us, By::Us, 2);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    pair.provide("add-certificates", json!({"certificates": "[\"a\"]"}));
    let before = pair.juju.bag(relation, "provider");
    let acted = pair.juju.act("provider/1", "add-certificates", json!({"certificates": "[\"b\"]"}));
    assert_eq!((acted.failed, pair.juju.bag(relation, "provider")), (None, before.clone()));
    assert_eq!(pair.juju.logged("provider/1", "WARNING").len(), 1);
    pair.juju.elect("provider/1");
    assert_eq!(pair.juju.bag(relation, "provider"), before);
    pair.juju.act("provider/1", "add-certificates", json!({"certificates": "[\"b\"]"}));
    assert_eq!(pair.has("requirer/1"), ["a", "b"]);
    // One without a leader when it was created is told of the version later.
    pair.juju.write(relation, "requirer", "version", "");
    pair.juju.elect("requirer/1");
    assert_eq!(pair.juju.bag(relation, "requirer")["version"], "1");
}

/// Who reads version 0 has the set, none of it when it is gone, and none of it twice when another unit leads.
#[test]
fn old_requirers_are_served_and_not_misled() {
    let mut pair = pair(By::Us, By::Us, 2);
    let relation = pair.juju.announce(PROVIDER, REQUIRER);
    pair.juju.write(relation, "requirer", "version", "0");
    pair.provide("add-certificates", json!({"certificates": "[\"b\", \"a\"]"}));
    // The announcement came again meanwhile: it is an old requirer still.
    pair.juju.write(relation, "requirer", "version", "0");
    pair.juju.hook("provider/0", "update-status", &[]);
    let bag = pair.juju.bag(relation, "provider/0");
    assert_eq!((bag["ca"].as_str(), bag["chain"].as_str()), ("\"a\"", r#"["a", "b"]"#));
    assert!(bag.contains_key("private-address"), "{bag:?}");
    pair.juju.elect("provider/1");
    pair.juju.write(relation, "requirer", "version", "0");
    pair.juju.hook("provider/1", "update-status", &[]);
    pair.juju.hook("provider/0", "update-status", &[]);
    assert!(!pair.juju.bag(relation, "provider/0").contains_key("chain"));
    assert_eq!(pair.juju.bag(relation, "provider/1")["chain"], r#"["a", "b"]"#);
    pair.juju.act("provider/1", "remove-all-certificates", json!({}));
    let bag = pair.juju.bag(relation, "provider/1");
    assert!(!bag.contains_key("chain") && !bag.contains_key("ca"), "{bag:?}");
}

/// A private key from somebody else's provider is written nowhere and said aloud; the rest is taken, and withdrawn.
#[test]
fn a_key_that_is_handed_on_is_left_out() {
    let mut pair = pair(By::Library, By::Us, 1);
    pair.juju.relate(PROVIDER, REQUIRER);
    let key = testkit::openssl_ok(pair.folder.path(), &["genpkey", "-algorithm", "ed25519"]);
    let both = format!("b\n{key}");
    pair.provide("add-certificates", json!({"certificates": json!(["a", key, both]).to_string()}));
    let bundle = pair.folder.path().join("bundle.pem");
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "a\n");
    assert_eq!(pair.has("requirer/0"), ["a"]);
    let status = pair.juju.status("requirer/0");
    assert!(status[0] == "blocked" && status[1].contains("private key"), "{status:?}");
    let told = pair.juju.logged("requirer/0", "ERROR");
    assert!(told.iter().any(|line| line.contains("2 text(s) with a private key")), "{told:?}");
    let secret = key.lines().nth(1).unwrap();
    assert!(!pair.juju.log().contains(secret));
    let home = pair.juju.home("requirer/0");
    for file in walk(&home).into_iter().chain([bundle.clone()]) {
        assert!(
            !String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains(secret),
            "{}",
            file.display()
        );
    }
    // What is withdrawn beside it goes, but nobody loses all because of a key.
    pair.provide("add-certificates", json!({"certificates": "[\"d\"]"}));
    pair.provide("remove-certificate", json!({"certificate": "a"}));
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "d\n");
    pair.provide("remove-certificate", json!({"certificate": "d"}));
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "d\n");
    // Both are gone: all is well.
    pair.provide("remove-all-certificates", json!({}));
    pair.provide("add-certificates", json!({"certificates": "[\"c\"]"}));
    assert_eq!(pair.has("requirer/0"), ["c"]);
    assert_eq!(pair.juju.status("requirer/0")[0], "active");
    assert_eq!(pair.events("requirer/0"), [json!(1), json!(2), json!(1), json!(0), json!(1)]);
}

/// The files under `folder`, at any depth.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false if entry.file_type().unwrap().is_file() => files.push(entry.path()),
                false => {}
            }
        }
    }
    files
}

/// What cannot be read is told of, and empties nothing, also where what was read before is lost; providers of the first
/// generation are read.
#[test]
fn data_that_cannot_be_read_takes_no_trust_away() {
    let mut pair = pair(By::Us, By::Us, 1);
    let relation = pair.juju.relate(PROVIDER, REQUIRER);
    pair.provide("add-certificates", json!({"certificates": "[\"a\"]"}));
    for nonsense in ["nonsense", "{}", "[1]", "null"] {
        pair.juju.write(relation, "provider", "certificates", nonsense);
        pair.juju.settle();
        assert_eq!(pair.has("requirer/0"), ["a"], "{nonsense}");
        let ready = pair.juju.act("requirer/0", "is-ready", json!({"relation-id": relation}));
        assert_eq!(ready.results["is-ready"], "false", "{nonsense}");
    }
    assert_eq!(pair.events("requirer/0"), [json!(1)]);
    assert!(!pair.juju.logged("requirer/0", "ERROR").is_empty());
    assert_eq!(pair.juju.status("requirer/0")[0], "blocked");
    let bundle = pair.folder.path().join("bundle.pem");
    std::fs::remove_dir_all(pair.juju.home("requirer/0").join("certificates")).unwrap();
    pair.juju.hook("requirer/0", "update-status", &[]);
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "a\n");
    assert_eq!(pair.events("requirer/0"), [json!(1)]);
    // Written again, it is mended; what was there cannot be known by then.
    pair.provide("add-certificates", json!({"certificates": "[\"b\"]"}));
    assert_eq!(pair.has("requirer/0"), ["b"]);
    assert_eq!(pair.juju.status("requirer/0")[0], "active");
    // Nothing is there any more but what a first provider wrote, as it is.
    for key in ["certificates", "version"] {
        pair.juju.write(relation, "provider", key, "");
    }
    pair.juju.write(relation, "provider/0", "ca", "plain");
    pair.juju.write(relation, "provider/0", "certificate", "a leaf");
    pair.juju.write(relation, "provider/0", "chain", "[\"chain\"]");
    pair.juju.settle();
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "chain\nplain\n");
    assert_eq!(pair.events("requirer/0").last(), Some(&json!(2)));
    // What cannot be read of that is an operator's business as well.
    pair.juju.write(relation, "provider/0", "chain", "{}");
    pair.juju.settle();
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "chain\nplain\n");
    assert_eq!(pair.juju.status("requirer/0")[0], "blocked");
    pair.juju.write(relation, "provider/0", "chain", "[\"chain\"]");
    pair.juju.settle();
    assert_eq!(pair.juju.status("requirer/0")[0], "active");
    let unknown = pair.juju.act("requirer/0", "get-all-certificates", json!({"relation-id": 99}));
    assert_eq!(unknown.results["certificates"], "[]");
}

#[test]
fn charms_are_packed() {
    let out = tempfile::tempdir().unwrap();
    let pack = || {
        let mut pack = Command::new(charm_sources().join("pack"));
        // Any program; ours with all that helps to debug it takes long to compress.
        pack.arg(out.path()).env("BIN", "/bin/sh");
        let output = pack.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    pack();
    let path = out.path().join("provost-trust-provider.charm");
    let first = std::fs::read(&path).unwrap();
    pack();
    assert!(std::fs::read(&path).unwrap() == first, "the same files give the same bytes");
    for side in ["provider", "requirer"] {
        let folder = tempfile::tempdir().unwrap();
        let archive = out.path().join(format!("provost-trust-{side}.charm"));
        let script = "import os, sys, yaml, zipfile\n\
                      with zipfile.ZipFile(sys.argv[1]) as archive:\n    for one in archive.infolist():\n        \
                      archive.extract(one)\n        os.chmod(one.filename, one.external_attr >> 16 & 0o777)\n\
                      for name in ('metadata', 'manifest', 'config', 'actions'):\n    \
                      assert isinstance(yaml.safe_load(open(name + '.yaml')), dict), name\n\
                      assert yaml.safe_load(open('manifest.yaml'))['bases'][0]['architectures']";
        let mut unpack = Command::new(charms_python());
        let unpacked = unpack.args(["-c", script]).arg(&archive).current_dir(folder.path()).output().unwrap();
        assert!(unpacked.status.success(), "{unpacked:?}");
        let dispatch = folder.path().join("dispatch");
        assert_eq!(std::fs::read(&dispatch).unwrap(), std::fs::read("/bin/sh").unwrap());
        assert_eq!(dispatch.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        std::fs::remove_file(&dispatch).unwrap();
        symlink(PROVOST, &dispatch).unwrap();
        let mut juju = Juju::new(&charms_python());
        juju.deploy("app", folder.path(), 1, json!({}));
        assert_eq!(juju.status("app/0")[0], "active");
    }
    let failed =
        Command::new(charm_sources().join("pack")).arg(out.path()).env_remove("BIN").output().unwrap();
    assert!(
        !failed.status.success() && String::from_utf8_lossy(&failed.stderr).contains("BIN"),
        "{failed:?}"
    );
}
