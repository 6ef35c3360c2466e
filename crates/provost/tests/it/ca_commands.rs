//! `provost ca`, the commands of those who hold certificates and of those who hand them out: against our server and against the
//! original one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use testkit::{
    Cable, Face, House, Pass, Process, Ran, Recorder, Reply, free_pair, http, openssl, openssl_ok,
    wait_until, witness,
};

use crate::houses::{certificates_in, ended_without_a_fault, plan, up};
use crate::program::PROVOST;

/// Somebody with a folder of their own, who knows of a server.
pub struct Holder {
    folder: TempDir,
    server: String,
}

impl Holder {
    pub fn of(server: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: server.to_owned() }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `provost ca` with the words of `line`.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(PROVOST);
        command.arg("ca").args(line.split_whitespace()).current_dir(self.folder()).env_clear();
        command
            .env("HOME", "/nonexistent")
            .env("PATH", "/usr/sbin:/usr/bin:/bin")
            .env("PROVOST_SERVER", &self.server);
        command
    }

    #[track_caller]
    pub fn run(&self, line: &str) -> Ran {
        testkit::run(&mut self.command(line))
    }

    /// What it prints with `--json`.
    #[track_caller]
    pub fn shown(&self, line: &str) -> Value {
        let ran = self.run(&format!("{line} --json"));
        serde_json::from_str(ran.ok()).unwrap_or_else(|error| panic!("{line}: {error}: {ran:?}"))
    }

    /// The exit code of what fails, and what it says.
    #[track_caller]
    pub fn refused(&self, line: &str) -> (i32, String) {
        let ran = self.run(line);
        assert_ne!(ran.code, Some(0), "{line}: {ran:?}");
        (ran.code.unwrap(), ran.stderr)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Whether `openssl` finds the certificate in `certificate` good by whom this one trusts, and the key in `key` its own.
    #[track_caller]
    pub fn has_a_pair(&self, certificate: &str, key: &str, ca: &str) {
        openssl_ok(self.folder(), &["verify", "-CAfile", ca, certificate]);
        let of_certificate = openssl_ok(self.folder(), &["x509", "-in", certificate, "-noout", "-pubkey"]);
        let of_key = openssl_ok(self.folder(), &["pkey", "-in", key, "-pubout"]);
        assert_eq!(of_certificate, of_key, "{certificate} {key}");
    }

    fn serial(&self, name: &str) -> String {
        certificates_in(&self.path(name))[0].serial().to_string()
    }

    /// The only user of a server that approves the first one by itself.
    #[track_caller]
    fn become_administrator(&self) {
        self.run("request --users --key admin.pem --name admin --out admin.pem").ok();
        self.has_a_pair("admin.pem", "admin.pem", "cau.crt.pem");
    }
}

/// The original's server.
pub struct Original {
    _process: Process,
    _folder: TempDir,
    pub url: String,
}

impl Original {
    #[track_caller]
    pub fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_pair();
        let netloc = format!("127.0.0.1:{port}");
        let mut command = Command::new(witness("caucased"));
        command
            .args(["--netloc", &netloc])
            .args(options)
            .current_dir(folder.path())
            .env("PYTHONUNBUFFERED", "1");
        let process = Process::spawn(&mut command);
        let url = format!("http://{netloc}");
        wait_until("the original's server", || {
            http::anybody().get(&url).send().is_ok_and(|answer| answer.status().is_success())
        });
        Self { _process: process, _folder: folder, url }
    }
}

fn whole_life(url: &str) {
    let holder = Holder::of(url);
    holder.become_administrator();
    let admin = "--user-key admin.pem";
    let listed = holder.run(&format!("list {admin}"));
    assert_eq!((listed.ok(), listed.stderr.as_str()), ("", "no request waits\n"));

    // Asked for once, however often.
    let request = "request --key web.key --name web --dns web.example --ip 192.0.2.1 --email a@web.example";
    let first = holder.run(request);
    let id = first.ok().trim_end().to_owned();
    assert!(
        id.parse::<u64>().is_ok() && first.stderr.starts_with("made the private key web.key\n"),
        "{first:?}"
    );
    let key = holder.read("web.key");
    assert!(key.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"), "PKCS#1 unless it is said");
    assert_eq!(holder.path("web.key").metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(holder.shown(request)["id"], *id);
    assert_eq!(holder.read("web.key"), key);
    let (code, said) = holder.refused("request --key web.key --name other");
    assert_eq!(code, 75);
    assert!(
        said.contains("another request for this key waits already: .web.key.provost-request has it"),
        "{said}"
    );
    let (code, said) = holder.refused(&format!("fetch {id} web.key"));
    assert_eq!(
        (code, said.lines().next().unwrap()),
        (75, &*format!("error: request {id} waits for somebody's approval"))
    );
    let waiting = holder.shown(&format!("{request} --out web.crt"));
    assert_eq!((&waiting["state"], waiting["id"].as_str().unwrap()), (&"pending".into(), &*id));

    // Looked at, and approved.
    let listed = holder.shown(&format!("list {admin}"));
    assert_eq!(
        (&listed[0]["id"], &listed[0]["subject"], &listed[0]["key"]),
        (&(*id).into(), &"CN=web".into(), &"rsa-2048".into())
    );
    let table = holder.run(&format!("list {admin}"));
    assert!(table.ok().starts_with("ID ") && table.stdout.contains(" CN=web "), "{table:?}");
    let shown = holder.shown(&format!("show {id}"));
    let names = serde_json::json!(["DNS:web.example", "IP:192.0.2.1", "email:a@web.example"]);
    assert_eq!((&shown["names"], &shown["state"]), (&names, &"pending".into()), "{shown}");
    std::fs::write(holder.path("shown.csr"), holder.run(&format!("show {id} --pem")).ok()).unwrap();
    openssl_ok(holder.folder(), &["req", "-in", "shown.csr", "-noout", "-verify"]);
    let (code, said) = holder.refused(&format!("approve {id}"));
    assert_eq!(code, 77);
    assert!(
        said.ends_with(
            "hint: name a user's key and certificate with --user-key FILE, or in the client file\n"
        ),
        "{said}"
    );
    assert_eq!(holder.run(&format!("approve {id} {admin}")).stderr, format!("approved {id}\n"));
    assert_eq!(holder.refused(&format!("approve {id} {admin}")).0, 66);

    // Fetched: who is trusted for being the first is said, once.
    let fetched = holder.run(&format!("{request} --out web.crt"));
    assert_eq!(fetched.ok(), format!("{id}\n"));
    assert!(
        fetched
            .stderr
            .contains(" is trusted from now on, for being the first to answer; its SHA-256 fingerprint is "),
        "{fetched:?}"
    );
    assert!(fetched.stderr.contains("--ca cas.crt.pem --fingerprint "), "{fetched:?}");
    holder.has_a_pair("web.crt", "web.key", "cas.crt.pem");
    assert!(!holder.path(".web.key.provost-request").exists());
    let again = holder.run(&format!("{request} --out web.crt"));
    assert_eq!((again.ok(), again.stderr.as_str()), ("", "web.crt has the certificate already\n"));
    let text = openssl_ok(holder.folder(), &["x509", "-in", "web.crt", "-noout", "-ext", "subjectAltName"]);
    assert!(text.contains("DNS:web.example, IP Address:192.0.2.1, email:a@web.example"), "{text}");

    // Renewed when it is due, or else when it has to be.
    let early = holder.shown("renew web.crt web.key");
    assert_eq!(early["renewed"], false);
    let before = (holder.serial("web.crt"), holder.read("web.crt"), holder.read("web.key"));
    std::fs::write(holder.path("old.pem"), format!("{}{}", before.1, before.2)).unwrap();
    std::fs::set_permissions(holder.path("old.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(holder.shown("renew web.crt web.key --threshold 94")["renewed"], true);
    assert!(holder.serial("web.crt") != before.0 && holder.read("web.key") != before.2);
    holder.has_a_pair("web.crt", "web.key", "cas.crt.pem");
    assert_eq!(holder.shown("renew web.crt web.key --force")["renewed"], true);

    // Revoked, by whoever has the key, or by a user; nobody else, and not without being asked.
    let (code, said) = holder.refused("revoke old.pem");
    assert_eq!(code, 75);
    assert!(
        said.ends_with("it cannot be undone, and was not confirmed\nhint: --yes confirms it\n"),
        "{said}"
    );
    assert_eq!(holder.run("revoke old.pem --yes").stderr, format!("revoked serial {}\n", before.0));
    assert_eq!(holder.refused("revoke old.pem --yes").0, 65);
    assert_eq!(holder.refused("revoke --of web.crt --yes").0, 77);
    holder.run(&format!("revoke --of web.crt --yes {admin}")).ok();
    holder.run(&format!("revoke --serial 0x1234 --yes {admin}")).ok();
    assert_eq!(holder.refused(&format!("revoke --serial 4660 --yes {admin}")).0, 75);
    let lists = holder.shown("crl");
    let revoked = lists["lists"][0]["revoked"].as_array().unwrap();
    assert_eq!((revoked.len(), &lists["is_new"]), (3, &true.into()), "{lists}");
    assert!(revoked.contains(&"4660".into()) && revoked.contains(&before.0.clone().into()));
    assert_eq!(holder.shown("crl")["is_new"], false);
    let checked = openssl(
        holder.folder(),
        &["verify", "-crl_check", "-CAfile", "cas.crt.pem", "-CRLfile", "cas.crl.pem", "web.crt"],
    );
    assert!(checked.stderr.contains("certificate revoked"), "{checked:?}");
    assert_eq!(holder.refused("renew web.crt web.key --force").0, 65);

    // What is approved may be something else than what was asked for; what is rejected is forgotten.
    let id = holder.run("request --key other.key --key-format pkcs8 --name other").ok().trim_end().to_owned();
    assert!(holder.read("other.key").starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let new = [
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
    openssl_ok(holder.folder(), &new);
    holder.run(&format!("approve {id} --with given.csr {admin}")).ok();
    holder.run(&format!("fetch {id} other.key")).ok();
    holder.has_a_pair("other.key", "other.key", "cas.crt.pem");
    assert_eq!(certificates_in(&holder.path("other.key"))[0].subject().to_string(), "CN=given");
    assert!(!holder.path(".other.key.provost-request").exists());
    assert_eq!(holder.shown("renew other.key --force")["renewed"], true);
    assert!(holder.read("other.key").starts_with("-----BEGIN PRIVATE KEY-----\n"), "in the form that it had");
    holder.has_a_pair("other.key", "other.key", "cas.crt.pem");
    let unwanted = "request --key unwanted.key --name unwanted";
    let id = holder.run(unwanted).ok().trim_end().to_owned();
    assert_eq!(holder.shown(&format!("reject {id} {admin}"))["rejected"][0], *id);
    let (code, said) = holder.refused(&format!("{unwanted} --out unwanted.crt"));
    assert_eq!(code, 66);
    assert!(said.ends_with("hint: remove .unwanted.key.provost-request to ask for it again\n"), "{said}");

    // Users' certificates are renewed as well.
    assert_eq!(holder.shown("renew --users admin.pem --force")["renewed"], true);
    holder.run(&format!("list {admin}")).ok();
}

#[test]
fn a_certificate_lives_its_whole_life_at_our_server() {
    let house = plan(Face::Up).option("user-auto-approve-count", "9").start();
    whole_life(&house.http_url(""));
    ended_without_a_fault(house);
}

#[test]
fn a_certificate_lives_its_whole_life_at_the_originals_server() {
    let original = Original::start(&[]);
    whole_life(&original.url);
}

/// Every kind of key is made, certified and renewed, and written as it was said.
#[test]
fn keys_are_of_any_kind() {
    let house = plan(Face::Up).option("service-auto-approve-count", "99").start();
    let holder = Holder::of(&house.http_url(""));
    for (kind, format, begins) in [
        ("rsa-2048", "pkcs1", "-----BEGIN RSA PRIVATE KEY-----\n"),
        ("rsa-3072", "pkcs8", "-----BEGIN PRIVATE KEY-----\n"),
        ("p256", "pkcs1", "-----BEGIN PRIVATE KEY-----\n"),
        ("p384", "pkcs8", "-----BEGIN PRIVATE KEY-----\n"),
        ("ed25519", "pkcs8", "-----BEGIN PRIVATE KEY-----\n"),
    ] {
        let request = format!(
            "request --key {kind}.key --key-type {kind} --key-format {format} --name {kind} --out {kind}.crt"
        );
        holder.run(&request).ok();
        let key = |name: &str| holder.read(name);
        assert!(key(&format!("{kind}.key")).starts_with(begins), "{kind}");
        holder.has_a_pair(&format!("{kind}.crt"), &format!("{kind}.key"), "cas.crt.pem");
        let renewed = holder.shown(&format!("renew {kind}.crt {kind}.key --force"));
        assert_eq!(renewed["certificate"]["key"], kind);
        assert!(key(&format!("{kind}.key")).starts_with(begins), "{kind}");
        holder.has_a_pair(&format!("{kind}.crt"), &format!("{kind}.key"), "cas.crt.pem");
        holder.run(&format!("revoke {kind}.crt {kind}.key --yes")).ok();
    }
    ended_without_a_fault(house);
}

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
        ("key.pem", 65, "there is no certificate in key.pem"),
        ("certificate.pem", 65, "there is no private key in certificate.pem"),
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

/// What is said is of use to whoever goes on with it.
#[test]
fn what_is_said_helps() {
    let house = plan(Face::Up).option("service-auto-approve-count", "1").start();
    let holder = Holder::of(&house.http_url(""));
    std::fs::copy(house.administrator(), holder.path("admin.pem")).unwrap();
    // Issued at once, fetched by hand: the key is free for another request.
    let asked = holder.shown("request --key one.key --key-type p256 --dns one.example");
    assert_eq!(asked["state"], "issued");
    let id = asked["id"].as_str().unwrap();
    holder.run(&format!("fetch {id} one.crt")).ok();
    let again = holder.run("request --key one.key --key-type p256 --dns two.example");
    assert!(again.stderr.starts_with("submitted; a user approves it with `provost ca approve "), "{again:?}");
    // A certificate without a common name is called by its names.
    let (_, said) = holder.refused("revoke one.crt one.key");
    assert!(said.contains("was not confirmed"), "{said}");
    let line = holder.run("renew one.crt one.key --force").stderr;
    assert!(line.starts_with("one.crt has DNS:one.example, serial "), "{line}");
    // A key that is there is what it is.
    let (code, said) = holder.refused("request --key one.key --key-type rsa-2048 --name one");
    assert_eq!(code, 65);
    assert!(
        said.starts_with("error: the private key in one.key is p256, and --key-type says rsa-2048\n"),
        "{said}"
    );
    // What is no number names nothing.
    for line in ["fetch ca.crt.pem zz.pem", "show ca.crt.json", "approve ../1 --user-key admin.pem"] {
        let (code, said) = holder.refused(line);
        assert!(code == 2 && said.contains("decimal number"), "{line}: {code} {said}");
    }
    assert!(!holder.path("zz.pem").exists());
    let users = holder.run("request --users --key two.key --key-type rsa-2048 --name ada");
    assert!(users.stderr.contains(" --users`, then `provost ca fetch "), "{users:?}");
    // Names that turn around what stands beside them are seen to.
    holder.run("request --key three.key --key-type ed25519 --name ev\u{202e}gnp").ok();
    let listed = holder.run("list --user-key admin.pem");
    assert!(listed.ok().contains("CN=ev\u{fffd}gnp"), "{listed:?}");
}

/// The client file says which server is asked, who asks, and whose certificate it is to have.
#[test]
fn the_client_file_says_who_asks_whom() {
    let (house, other) = (up(), up());
    let holder = Holder::of("");
    let run = |line: &str, data: &Path| {
        testkit::run(holder.command(line).env_remove("PROVOST_SERVER").env("PROVOST_DATA", data))
    };
    run("list", &house.data()).ok();
    run(&format!("list --server {}", house.https_url("")), &house.data()).ok();
    let id = run("request --key web.key --name web", &house.data()).ok().trim_end().to_owned();
    run(&format!("approve {id}"), &house.data()).ok();
    // Another server's certificate is not from those that the client file names.
    let certificate = other.data().join("server-ca.pem");
    let ran = run(&format!("list --server-ca {}", certificate.display()), &house.data());
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.stderr.contains("certificate"), "{ran:?}");
    let nobody = holder.run("list --server nonsense");
    assert_eq!(nobody.code, Some(65), "{nobody:?}");
    let nothing = testkit::run(holder.command("trust").env_remove("PROVOST_SERVER"));
    assert_eq!(nothing.code, Some(65));
    assert!(
        nothing
            .stderr
            .starts_with("error: nothing says which server to ask\nhint: name one with --server URL"),
        "{nothing:?}"
    );
}

/// A server that says what nobody understands, or nothing, or is not there: the cause is named, and no file is touched.
#[test]
fn a_server_that_is_out_of_order_changes_nothing() {
    let house = plan(Face::Up).option("service-auto-approve-count", "9").start();
    let holder = Holder::of(&house.http_url(""));
    holder.run("request --key web.key --name web --out web.crt").ok();
    holder.run("crl").ok();
    let names = ["cas.crt.pem", "cas.crl.pem", "web.crt", "web.key"];
    let files = names.map(|name| holder.read(name));
    let garbage = Recorder::start(|_| Reply::Answer(200, "text/html", "<html>moved</html>".into()));
    let hangs_up = Recorder::start(|_| Reply::HangUp);
    let broken = Recorder::start(|_| Reply::Answer(503, "text/plain", "later".into()));
    let cable = Cable::to(house.port());
    cable.set(Pass::Questions);
    let cut = format!("http://127.0.0.1:{}", cable.port());
    for (server, code) in [
        (garbage.url(), 65),
        (hangs_up.url(), 69),
        (broken.url(), 69),
        (cut, 69),
        ("http://127.0.0.1:1".to_owned(), 69),
    ] {
        for line in ["renew web.crt web.key --force", "crl", "trust"] {
            let ran = holder.run(&format!("{line} --server {server}"));
            assert_eq!(ran.code, Some(code), "{line} {server}: {ran:?}");
            assert!(ran.stderr.contains("error: "), "{ran:?}");
        }
    }
    assert_eq!(names.map(|name| holder.read(name)), files);
    let left = std::fs::read_dir(holder.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with('.')));

    // Files that are not what they are to be.
    for (name, text, code) in [
        ("cut.crt", &files[2][..400], 65),
        ("empty.crt", "", 65),
        ("wrong.crt", &files[0], 65),
        ("absent.crt", "", 66),
    ] {
        if code == 65 {
            std::fs::write(holder.path(name), text).unwrap();
        }
        let (found, said) = holder.refused(&format!("renew {name} web.key --force"));
        assert_eq!(found, code, "{said}");
        assert!(said.contains(name), "{said}");
    }
    assert_eq!(holder.read("web.key"), files[3]);
    ended_without_a_fault(house);
}

/// On a terminal it is asked before anything is revoked.
#[test]
fn a_terminal_is_asked_before_revoking() {
    let house = plan(Face::Up).option("service-auto-approve-count", "9").start();
    let holder = Holder::of(&house.http_url(""));
    holder.run("request --key web.pem --name web --out web.pem").ok();
    for (answer, code) in [("n\n", 75), ("\n", 75), ("y\n", 0)] {
        let mut command = Command::new("script");
        let line = format!("{PROVOST} ca revoke web.pem");
        command.args(["-qec", &line, "/dev/null"]).current_dir(holder.folder());
        command.env("PROVOST_SERVER", house.http_url("")).env("HOME", "/nonexistent");
        let mut process = Process::spawn(&mut command);
        process.wait_for_stdout(|said| said.contains("Revoke it? [y/N] ")).unwrap();
        process.say(answer.as_bytes());
        let ran = process.wait();
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(
            ran.stdout.contains("about to revoke the certificate in web.pem: CN=web, serial "),
            "{ran:?}"
        );
    }
    assert_eq!(holder.refused("revoke web.pem --yes").0, 65, "it is revoked");
}

/// Whoever waits gets it when it is approved, and is let go when it is not.
#[test]
fn approval_is_waited_for() {
    let house: House = up();
    let holder = Holder::of(&house.http_url(""));
    let line = "request --key web.key --name web --out web.crt --wait";
    let (code, said) = holder.refused(&format!("{line} --timeout 1s"));
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("was not approved within 1s\nhint: run the same again"), "{said}");
    let waiting = Process::spawn(&mut holder.command(line));
    waiting.wait_for_stderr(|said| said.contains("waiting for approval")).unwrap();
    let id = waiting.stdout().trim_end().to_owned();
    crate::houses::approve(&house, "cas", &id);
    let ran = waiting.wait();
    assert_eq!(ran.ok(), format!("{id}\n"));
    holder.has_a_pair("web.crt", "web.key", "cas.crt.pem");
}
