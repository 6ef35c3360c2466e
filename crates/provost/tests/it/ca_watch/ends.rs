//! Certificates that are over, or were revoked.

use std::os::unix::fs::PermissionsExt;

use base::Timestamp;
use testkit::{Face, openssl_ok, wait_until};
use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

use super::{configure, holder, house, metric, once, serial, watch};
use crate::ca_commands::Holder;
use crate::houses::{approve, certificates_in, ended_without_a_fault, key, plan, up};

/// What is over is asked for anew, with another key: a server has what it made of the old one still.
#[test]
fn what_is_over_is_asked_for_anew() {
    // 14 s long, dated back by 10 s.
    let house = plan(Face::Up)
        .option("service-auto-approve-count", "99")
        .option("service-crt-validity", "0.00016204")
        .start();
    let holder = Holder::of(&house.http_url(""));
    let request = |name: &str| format!("request --ca ca.pem --key {name}.key --name {name} --out {name}.crt");
    let new = [
        "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "d.key", "-out", "d.csr", "-subj", "/CN=d",
    ];
    openssl_ok(holder.folder(), &new);
    let by_csr = format!(
        "[[certificate]]\nname = \"d\"\nserver = \"{}\"\nca = \"ca.pem\"\ncertificate = \"d.crt\"\nkey = \"d.key\"\ncsr = \"d.csr\"\n",
        house.http_url("")
    );
    std::fs::write(holder.path("d.toml"), by_csr).unwrap();
    configure(&holder, &house.http_url(""), "key_type = \"rsa-2048\"\n");
    for name in ["b", "c"] {
        holder.run(&request(name)).ok();
    }
    let asked = holder.shown("request --key e.key --key-type p256 --name e");
    let never_fetched = asked["id"].as_str().unwrap();
    once(&holder).ok();
    holder.run("watch --config d.toml --once").ok();
    let names = ["b", "c", "d", "web"];
    let before = names.map(|name| (holder.read(&format!("{name}.crt")), holder.read(&format!("{name}.key"))));
    let not_after = |name: &str| certificates_in(&holder.path(&format!("{name}.crt")))[0].not_after();
    wait_until("their end", || names.iter().all(|name| not_after(name) < base::Clock::system().now()));
    // However long that takes: what is new lives for seconds as well.
    let has_a_pair = |name: &str| {
        let [certificate, key] = ["crt", "key"].map(|kind| format!("{name}.{kind}"));
        openssl_ok(holder.folder(), &["verify", "-no_check_time", "-CAfile", "ca.pem", &certificate]);
        let of_certificate = openssl_ok(holder.folder(), &["x509", "-in", &certificate, "-noout", "-pubkey"]);
        assert_eq!(of_certificate, openssl_ok(holder.folder(), &["pkey", "-in", &key, "-pubout"]), "{name}");
    };
    let (code, said) = holder.refused(&format!("fetch {never_fetched} e.crt --ca ca.pem"));
    assert!(
        code == 65 && said.contains("error: the server's answer is a certificate that is over since "),
        "{said}"
    );
    assert!(said.contains(" and was not kept\nhint: ask for another one, with a new key\n"), "{said}");
    assert!(!holder.path("e.crt").exists());
    let (code, said) = holder.refused("renew b.crt b.key --ca ca.pem");
    assert_eq!(code, 65, "{said}");
    assert!(
        said.contains("is over since ")
            && said.contains("`provost ca request --key b.key --out b.crt --name"),
        "{said}"
    );
    // Where it is, and where it was moved away.
    std::fs::remove_file(holder.path("c.crt")).unwrap();
    for name in ["b", "c"] {
        let ran = holder.run(&request(name));
        ran.ok();
        has_a_pair(name);
        assert!(ran.stderr.contains("another one is asked for, with a new key"), "{ran:?}");
        assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
    }
    let ran = once(&holder);
    ran.ok();
    has_a_pair("web");
    assert!(ran.stderr.contains("web: its certificate is over since "), "{ran:?}");
    // What only the holder can do is said.
    let ran = holder.run("watch --config d.toml --once --json");
    assert_eq!(ran.code, Some(65), "{ran:?}");
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(told["certificates"][0]["what"].as_str().unwrap().contains("d.crt is over since "), "{told}");
    assert!(ran.stderr.contains("move d.crt and d.key away, then `openssl req -new"), "{ran:?}");
    std::fs::remove_file(holder.path("d.crt")).unwrap();
    let ran = holder.run("watch --config d.toml --once");
    assert!(ran.code == Some(65) && ran.stderr.contains("move d.crt and d.key away"), "{ran:?}");
    for (name, (certificate, key)) in names.iter().zip(&before) {
        let is_asked = *name != "d";
        assert_eq!(holder.read(&format!("{name}.key")) != *key, is_asked, "{name}");
        assert!(!is_asked || holder.read(&format!("{name}.crt")) != *certificate, "{name}");
        for left in ["key", "request"] {
            assert!(
                !is_asked || !holder.path(&format!(".{name}.key.provost-{left}")).exists(),
                "{name} {left}"
            );
        }
    }
    ended_without_a_fault(house);
}

/// A certificate that was revoked is in trouble, and nobody takes that back but those who decide.
#[test]
fn a_revoked_certificate_is_told_of() {
    let house = house();
    let holder = holder(&house, "crl = \"crl.pem\"\n");
    once(&holder).ok();
    let (before, key) = (serial(&holder), holder.read("web.key"));
    holder.run("revoke web.crt web.key --ca ca.pem --yes").ok();
    let text = format!("metrics_file = \"m.prom\"\n{}", holder.read("watch.toml"));
    std::fs::write(holder.path("watch.toml"), text).unwrap();
    for _ in 0..2 {
        let ran = once(&holder);
        assert_eq!(ran.code, Some(65), "{ran:?}");
        let said = format!("web: the certificate in web.crt, serial {before}, was revoked (");
        assert!(
            ran.stderr.starts_with(&said) && ran.stderr.contains("move web.crt and web.key away"),
            "{ran:?}"
        );
        assert_eq!(metric(&holder.read("m.prom"), "provost_ca_failing"), Some(1));
        assert_eq!((serial(&holder), holder.read("web.key")), (before.clone(), key.clone()));
    }
    for name in ["web.crt", "web.key"] {
        std::fs::remove_file(holder.path(name)).unwrap();
    }
    once(&holder).ok();
    assert!(serial(&holder) != before && holder.read("web.key") != key);
    assert_eq!(metric(&holder.read("m.prom"), "provost_ca_failing"), Some(0));
    ended_without_a_fault(house);
}

/// A certificate of long ago, signed by itself.
pub(super) fn past(key: &PrivateKey) -> String {
    let name = Name::from_common_name("past").unwrap();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("1").unwrap(),
        issuer: name.clone(),
        subject: name,
        not_before: Timestamp::from_unix(1_600_000_000),
        not_after: Timestamp::from_unix(1_600_000_001),
        public_key: key.public().clone(),
        extensions: vec![extension::basic_constraints(true, None)],
    };
    template.sign(key).to_pem()
}

/// What is over stays what it is while its successor waits for approval, with one key for as long as that takes, whoever is
/// killed and whoever asks; then both are replaced.
#[test]
fn what_is_over_waits_for_approval() {
    let house = up();
    let one = "[[certificate]]\nname = \"one\"\ncertificate = \"one.pem\"\nrequest = { name = \"one\" }\n";
    let holder = holder(&house, one);
    let key = key(KeySpec::P256);
    let write = |name: &str, text: String| {
        std::fs::write(holder.path(name), text).unwrap();
        std::fs::set_permissions(holder.path(name), PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("web.key", key.to_pem().expose().clone());
    write("web.crt", past(&key));
    write("one.pem", key.to_pem().expose().clone() + &past(&key));
    let read = |names: &[&str]| -> Vec<String> { names.iter().map(|name| holder.read(name)).collect() };
    let (all, waiting) =
        (["web.key", "web.crt", "one.pem"], [".web.key.provost-key", ".one.pem.provost-key"]);
    let before = read(&all);
    let ran = once(&holder);
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(
        ran.stderr.contains("web: request ") && ran.stderr.contains(" waits for somebody's approval"),
        "{ran:?}"
    );
    let keys = read(&waiting);
    let watching = watch(&holder);
    watching.wait_for_stderr(|said| said.matches(" waits for somebody's approval").count() == 2).unwrap();
    watching.kill();
    drop(watching.wait());
    let ran = holder.run("request --ca ca.pem --key web.key --name web --out web.crt");
    assert!(
        ran.ok().len() > 1 && ran.stderr.starts_with("it waits for approval; run the same again"),
        "{ran:?}"
    );
    assert_eq!((read(&all), read(&waiting)), (before, keys.clone()));
    let admin = house.administrator();
    let listed = holder.shown(&format!("list --user-key {}", admin.display()));
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    for asked in listed {
        approve(&house, "cas", asked["id"].as_str().unwrap());
    }
    once(&holder).ok();
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    holder.has_a_pair("one.pem", "one.pem", "ca.pem");
    assert_eq!(holder.read("web.key"), keys[0]);
    assert!(holder.read("one.pem").starts_with(&keys[1]));
    for name in ["web.key", "one.pem"] {
        for left in ["key", "request"] {
            assert!(!holder.path(&format!(".{name}.provost-{left}")).exists(), "{name} {left}");
        }
    }

    // Where it is approved as something else, that is known of it, also if whoever kept it was killed right behind that.
    write("given.key", key.to_pem().expose().clone());
    write("given.crt", past(&key));
    let given = [
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "x",
        "-out",
        "given.csr",
        "-subj",
        "/CN=given",
    ];
    openssl_ok(holder.folder(), &given);
    let line = "request --ca ca.pem --key given.key --name asked --out given.crt";
    let id = holder.run(line).ok().trim_end().to_owned();
    holder.run(&format!("approve {id} --with given.csr --ca ca.pem --user-key {}", admin.display())).ok();
    holder.run(line).ok();
    holder.has_a_pair("given.crt", "given.key", "ca.pem");
    for was_killed in [false, true, false] {
        if was_killed {
            write(".given.key.provost-key", holder.read("given.key"));
        }
        let ran = holder.run(line);
        ran.ok();
        assert_eq!(ran.stderr, "given.crt has the certificate already, for CN=given, as it was approved\n");
        assert!(!holder.path(".given.key.provost-key").exists());
    }
    ended_without_a_fault(house);
}
