//! Whom this machine trusts, and whose keys it takes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use testkit::{Face, http, openssl_ok};

use super::Holder;
use crate::houses::{ended_without_a_fault, plan, up};

/// Whoever is pinned is trusted, and nobody else; whoever is trusted already stays.
#[test]
fn the_pinned_one_alone_is_trusted() {
    let (house, other) = (plan(Face::Up).option("service-auto-approve-count", "9").start(), up());
    let holder = Holder::of(&house.http_url(""));
    let wrong = "ab".repeat(32);
    for command in ["trust", "crl", "request --key web.key --name web --out web.crt"] {
        let (code, said) = holder.refused(&format!("{command} --fingerprint {wrong}"));
        assert_eq!(code, 77, "{said}");
        assert!(
            said.contains("error: the server has no CA certificate with the fingerprint that is pinned\n"),
            "{said}"
        );
        assert!(!holder.path("cas.crt.pem").exists() && !holder.path("web.crt").exists());
    }
    // A key was made; of a request, which would be remembered beside it, nothing is there.
    let names: Vec<_> =
        std::fs::read_dir(holder.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["web.key"], "no request was submitted");
    assert_eq!(holder.refused("trust --fingerprint abc").0, 2);
    let pem = http::anybody().get(house.http_url("/cas/crt/ca.crt.pem")).send().unwrap().text().unwrap();
    std::fs::write(holder.path("theirs.pem"), pem).unwrap();
    let said =
        openssl_ok(holder.folder(), &["x509", "-in", "theirs.pem", "-noout", "-fingerprint", "-sha256"]);
    let fingerprint = said.trim_end().split_once('=').unwrap().1;
    let trusted = holder.run(&format!("trust --fingerprint {fingerprint}"));
    assert!(
        trusted.ok().contains("Caucase CAS") && !trusted.stderr.contains("first to answer"),
        "{trusted:?}"
    );
    assert_eq!(holder.read("cas.crt.pem"), holder.read("theirs.pem"));
    assert_eq!(holder.shown("trust")["is_first"], false);
    holder.run("request --key web.key --name web --out web.crt").ok();
    let (code, said) = holder.refused(&format!("trust --fingerprint {wrong}"));
    assert_eq!(code, 77);
    assert!(
        said.contains("error: cas.crt.pem trusts another authority than the one with this fingerprint\n"),
        "{said}"
    );

    // No command that takes a pin does anything where it contradicts whom this machine trusts, or the server is another one.
    std::fs::copy(house.administrator(), holder.path("admin.pem")).unwrap();
    std::fs::set_permissions(holder.path("admin.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    let watched = format!(
        "[[certificate]]\nname = \"web\"\nca = \"cas.crt.pem\"\nfingerprint = \"{wrong}\"\ncertificate = \"web.crt\"\nkey = \
         \"web.key\"\n"
    );
    std::fs::write(holder.path("watch.toml"), watched).unwrap();
    let before = ["web.crt", "web.key"].map(|name| holder.read(name));
    let trusts = holder.read("cas.crt.pem");
    for is_empty in [false, true] {
        if is_empty {
            std::fs::remove_file(holder.path("cas.crt.pem")).unwrap();
        }
        for command in [
            "trust",
            "crl",
            "request --key new.key --name new",
            "request --key new.key --name new --out new.crt",
            "fetch 1 fetched.crt",
            "renew web.crt web.key --force",
            "list --user-key admin.pem",
            "show 1",
            "approve 1 --user-key admin.pem",
            "reject 1 --user-key admin.pem",
            "revoke --yes web.crt web.key",
            "revoke --yes --of web.crt --user-key admin.pem",
            "revoke --yes --serial 1 --user-key admin.pem",
            "rotate --yes --user-key admin.pem",
            "watch --once --config watch.toml",
        ] {
            let (code, said) = holder.refused(&format!("{command} --fingerprint {wrong}"));
            assert!(code == 77, "{command}: {code} {said}");
            let expected =
                if is_empty { "fingerprint that is pinned" } else { "trusts another authority than" };
            assert!(said.contains(expected), "{command}: {said}");
            assert_eq!(["web.crt", "web.key"].map(|name| holder.read(name)), before, "{command}");
            for name in [".new.key.provost-request", "new.crt", "fetched.crt", "cas.crl.pem"] {
                assert!(!holder.path(name).exists(), "{command}: {name}");
            }
            assert_eq!(holder.path("cas.crt.pem").exists(), !is_empty, "{command}");
        }
    }
    std::fs::write(holder.path("cas.crt.pem"), trusts).unwrap();
    holder.run(&format!("crl --fingerprint {fingerprint} --crl lists.pem")).ok();
    assert!(!holder.read("lists.pem").is_empty());
    let crl = openssl_ok(holder.folder(), &["crl", "-in", "lists.pem", "-noout", "-text"]);
    assert!(crl.contains("No Revoked Certificates"), "{crl}");
    // It is not submitted either where nobody pins, and whoever is trusted is somebody else.
    let elsewhere = format!("request --key new.key --name new --server {}", other.http_url(""));
    let (code, said) = holder.refused(&elsewhere);
    assert_eq!(code, 65, "{said}");
    assert!(said.contains(&format!("ca trust --server {} --ca cas.crt.pem", other.http_url(""))), "{said}");
    assert!(!holder.path(".new.key.provost-request").exists());

    // Nor is another server let in by the pinned one, which is trusted beside its own.
    let theirs = http::anybody().get(other.http_url("/cas/crt/ca.crt.pem")).send().unwrap().text().unwrap();
    let trusts = holder.read("cas.crt.pem");
    std::fs::write(holder.path("cas.crt.pem"), format!("{trusts}{theirs}")).unwrap();
    let (code, said) =
        holder.refused(&format!("crl --fingerprint {fingerprint} --server {}", other.http_url("")));
    assert!(code == 77 && said.contains("fingerprint that is pinned"), "{code} {said}");
    holder.run(&format!("crl --fingerprint {fingerprint} --crl lists.pem")).ok();
    std::fs::write(holder.path("cas.crt.pem"), trusts).unwrap();

    // Another authority at the same place is not believed, and takes nothing away.
    let files = ["cas.crt.pem", "web.crt", "web.key"].map(|name| holder.read(name));
    let turned = format!("--server {}", other.http_url(""));
    assert_eq!(holder.refused(&format!("crl {turned}")).0, 65);
    assert_eq!(holder.refused(&format!("renew web.crt web.key --force {turned}")).0, 65);
    assert_eq!(["cas.crt.pem", "web.crt", "web.key"].map(|name| holder.read(name)), files);
    assert!(!holder.path("cas.crl.pem").exists());

    // One file is not for both.
    std::os::unix::fs::symlink("cas.crt.pem", holder.path("link.pem")).unwrap();
    for path in ["./cas.crt.pem", "link.pem"] {
        let (code, said) = holder.refused(&format!("crl --crl {path}"));
        assert!(code == 2 && said.contains("--crl and --ca are the same file"), "{said}");
    }
    assert_eq!(holder.read("cas.crt.pem"), files[0]);

    // Away: it is known whom this machine trusts.
    let away = holder.run("trust --server http://127.0.0.1:1");
    assert_eq!(away.code, Some(69));
    assert!(away.stdout.contains("Caucase CAS"), "{away:?}");
}

/// Whoever only looks, or decides about what others ask for, is told when it is another server, and keeps nothing of it.
#[test]
fn whoever_looks_keeps_no_certificates() {
    let house = plan(Face::Up).option("service-auto-approve-count", "1").start();
    let holder = Holder::of(&house.http_url(""));
    std::fs::copy(house.administrator(), holder.path("admin.pem")).unwrap();
    std::fs::set_permissions(holder.path("admin.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    let fingerprint = |path: &str| {
        let pem = http::anybody().get(house.http_url(path)).send().unwrap().bytes().unwrap();
        base::hex::encode(&x509::Certificate::from_pem(&pem).unwrap().fingerprint())
    };
    let (services, users) = (fingerprint("/cas/crt/ca.crt.pem"), fingerprint("/cau/crt/ca.crt.pem"));
    let files = || {
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name(), std::fs::read(entry.path()).unwrap())
        };
        std::fs::read_dir(holder.folder()).unwrap().map(read).collect::<BTreeMap<_, _>>()
    };
    holder.run("request --key one.key --key-type p256 --name one --out one.crt").ok();
    let trusted = holder.read("cas.crt.pem");
    std::fs::remove_file(holder.path("cas.crt.pem")).unwrap();
    let pinned = format!("--fingerprint {services}");
    let id = holder.run(&format!("request --key two.key --key-type p256 --name two {pinned}"));
    let id = id.ok().trim_end().to_owned();
    let before = files();
    assert!(!holder.path("cas.crt.pem").exists());
    for command in [
        "list".to_owned(),
        format!("show {id}"),
        format!("approve {id}"),
        format!("show {id}"),
        "revoke --yes one.crt one.key".to_owned(),
        "rotate --dry-run".to_owned(),
    ] {
        let as_whom = if command.starts_with("revoke") { "" } else { "--user-key admin.pem" };
        let server_ca = house.data().join("server-ca.pem");
        let verified = if command.starts_with("rotate") {
            format!("--server-ca {}", server_ca.display())
        } else {
            String::new()
        };
        holder.run(&format!("{command} {as_whom} {verified} {pinned}")).ok();
        assert!(files() == before, "{command}");
    }

    // Of the users' authority, the users' one is pinned.
    let rotate = format!(
        "rotate --dry-run --user-key admin.pem --server-ca {}",
        house.data().join("server-ca.pem").display()
    );
    for (which, pin, code) in [
        ("users", &users, 0),
        ("users", &services, 77),
        ("services", &services, 0),
        ("services", &users, 77),
        ("--users", &users, 0),
        ("services --users", &services, 2),
    ] {
        let ran = holder.run(&format!("{rotate} {which} --fingerprint {pin}"));
        assert_eq!(ran.code, Some(code), "{which}: {ran:?}");
    }
    assert!(files() == before);

    // Whoever cannot tell who is trusted submits nothing, be the certificate to be kept or not.
    for broken in [&trusted[..200], "nothing"] {
        std::fs::write(holder.path("cas.crt.pem"), broken).unwrap();
        let (code, said) = holder.refused("request --key new.key --key-type p256 --name new");
        assert!(code == 65 && said.contains("error: cas.crt.pem is no "), "{code} {said}");
        assert!(!holder.path(".new.key.provost-request").exists());
        std::fs::remove_file(holder.path("new.key")).unwrap();
    }

    // Nor is a CA certificate kept that follows the one which is.
    std::fs::write(holder.path("cas.crt.pem"), &trusted).unwrap();
    holder.run(&rotate.replace("--dry-run", "--yes")).ok();
    let before = files();
    for command in ["list --user-key admin.pem", &format!("show {id}")] {
        for pinned in ["", &pinned] {
            holder.run(&format!("{command} {pinned}")).ok();
            assert!(files() == before, "{command} {pinned}");
        }
    }
    holder.run(&format!("trust {pinned}")).ok();
    assert!(holder.read("cas.crt.pem").starts_with(&trusted) && holder.read("cas.crt.pem") != trusted);
    assert!(holder.path(".cas.crt.pem.provost-pin").exists());
    ended_without_a_fault(house);
}

/// A key that others may read is refused wherever one is used, with the command that mends it.
#[test]
fn a_key_that_others_may_read_is_refused() {
    let house = plan(Face::Up).option("service-auto-approve-count", "9").start();
    let holder = Holder::of(&house.http_url(""));
    holder.run("request --key web.key --name web --out web.crt").ok();
    holder.run("request --key one.pem --name one --out one.pem").ok();
    std::fs::copy(house.administrator(), holder.path("admin.pem")).unwrap();
    for (file, lines) in [
        (
            "web.key",
            &[
                "renew web.crt web.key --force",
                "revoke web.crt web.key --yes",
                "request --key web.key --name again",
            ][..],
        ),
        ("one.pem", &["renew one.pem --force", "revoke one.pem --yes"]),
        (
            "admin.pem",
            &[
                "list --user-key admin.pem",
                "approve 1 --user-key admin.pem",
                "revoke --serial 1 --yes --user-key admin.pem",
            ],
        ),
    ] {
        std::fs::set_permissions(holder.path(file), PermissionsExt::from_mode(0o640)).unwrap();
        let before = holder.read(file);
        for line in lines {
            let (code, said) = holder.refused(line);
            let expected = format!(
                "error: the private key in {file} may be read or changed by others (mode 0640)\nhint: chmod 600 {file}\n"
            );
            assert_eq!((code, said), (77, expected), "{line}");
        }
        assert_eq!(holder.read(file), before);
        assert!(
            std::process::Command::new("chmod")
                .args(["600", file])
                .current_dir(holder.folder())
                .status()
                .unwrap()
                .success()
        );
    }
    holder.run("renew web.crt web.key --force").ok();
    holder.run("list --user-key admin.pem").ok();
}

/// What is wrong with the file of a user is told before anybody is asked, and nobody's is the fault of whoever answers.
#[test]
fn what_is_wrong_with_a_users_file_is_told() {
    let (house, other) = (up(), up());
    let holder = Holder::of(&house.http_url(""));
    let admin = std::fs::read_to_string(house.administrator()).unwrap();
    let (key, certificate) = admin.split_at(admin.find("-----BEGIN CERTIFICATE").unwrap());
    std::fs::write(holder.path("admin.pem"), &admin).unwrap();
    openssl_ok(holder.folder(), &["genpkey", "-algorithm", "ed25519", "-out", "other.key"]);
    let clear = ["pkey", "-in", "admin.pem", "-aes256", "-passout", "pass:x", "-out", "locked.pem"];
    openssl_ok(holder.folder(), &clear);
    let write = |name: &str, text: &str| {
        std::fs::write(holder.path(name), text).unwrap();
        std::fs::set_permissions(holder.path(name), PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("locked.pem", &(holder.read("locked.pem") + certificate));
    write("empty.pem", "");
    write("cut.pem", &admin[..admin.len() - 100]);
    write("keys.pem", &(key.to_owned() + &admin));
    write("key.pem", key);
    write("certificate.pem", certificate);
    write("mismatch.pem", &(holder.read("other.key") + certificate));
    for (file, code, expected) in [
        ("locked.pem", 65, "the private key in locked.pem is encrypted"),
        ("empty.pem", 65, "there is no certificate in empty.pem"),
        ("cut.pem", 65, "cut.pem is no whole PEM"),
        ("keys.pem", 65, "there are 2 private keys in keys.pem, and one is to be there"),
        (
            "key.pem",
            65,
            "there is no certificate in key.pem\nhint: the certificate and its private key go into one file\n",
        ),
        (
            "certificate.pem",
            65,
            "there is no private key in certificate.pem\nhint: the certificate and its private key go into one file\n",
        ),
        ("mismatch.pem", 65, "the certificate and the private key in mismatch.pem do not belong together"),
        ("absent.pem", 66, "absent.pem"),
    ] {
        let (found, said) = holder.refused(&format!("list --user-key {file}"));
        assert!(found == code && said.contains(expected), "{file}: {found} {said}");
    }
    // The certificate may come first.
    write("turned.pem", &(certificate.to_owned() + key));
    holder.run("list --user-key turned.pem").ok();
    // A passphrase goes as the hint says, and the key stays.
    let hint = "openssl pkey -in locked.pem -out locked.pem.clear && mv locked.pem.clear locked.pem";
    assert!(holder.refused("list --user-key locked.pem").1.contains(&format!("hint: `{hint}` removes")));
    // Another server's user.
    std::fs::copy(other.administrator(), holder.path("foreign.pem")).unwrap();
    let (code, said) = holder.refused("list --user-key foreign.pem");
    assert!([69, 77].contains(&code) && said.contains("is it of this server's users"), "{code} {said}");
}
