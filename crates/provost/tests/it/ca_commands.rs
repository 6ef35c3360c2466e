//! `provost ca`, the commands of those who hold certificates and of those who hand them out: against our server and against the
//! original one.

mod power;
mod told;
mod trusting;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use testkit::{Face, House, Process, Ran, free_pair, http, openssl, openssl_ok, wait_until, witness};

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
    // Who is trusted for being the first is said, once: before anything is asked for that it would have to be trusted with.
    let waiting = holder.run(&format!("{request} --out web.crt"));
    assert!(
        waiting
            .stderr
            .contains(" is trusted from now on, for being the first to answer; its SHA-256 fingerprint is "),
        "{waiting:?}"
    );
    assert!(waiting.stderr.contains("--ca cas.crt.pem --fingerprint "), "{waiting:?}");
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

    let fetched = holder.run(&format!("{request} --out web.crt"));
    assert_eq!((fetched.ok(), &*fetched.stderr), (&*format!("{id}\n"), "the certificate is in web.crt\n"));
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
    // Asked for again, it is known that this came of it; by somebody who asks for something else, it is not.
    let again = holder.run("request --key other.key --name other --out other.key");
    again.ok();
    assert_eq!(again.stderr, "other.key has the certificate already, for CN=given, as it was approved\n");
    assert_eq!(holder.refused("request --key other.key --name another --out other.key").0, 65);
    assert_eq!(holder.shown("renew other.key --force")["renewed"], true);
    assert!(holder.read("other.key").starts_with("-----BEGIN PRIVATE KEY-----\n"), "in the form that it had");
    holder.has_a_pair("other.key", "other.key", "cas.crt.pem");
    holder.run("request --key other.key --name other --out other.key").ok();
    for (key, fetched_by_hand) in [("a.key", true), ("b.key", false)] {
        let request = format!("request --key {key} --key-type p256 --name asked --out {key}.crt");
        let id = holder.run(&request).ok().trim_end().to_owned();
        holder.run(&format!("approve {id} --with given.csr {admin}")).ok();
        if fetched_by_hand {
            holder.run(&format!("fetch {id} {key}.crt")).ok();
            // What came of it is asked of nobody who is not the one that is pinned.
            let (code, said) = holder.refused(&format!("{request} --fingerprint {}", "ab".repeat(32)));
            assert!(code == 77 && said.contains("trusts another authority than"), "{code} {said}");
        } else {
            holder.run(&request).ok();
        }
        for _ in 0..2 {
            assert_eq!(holder.shown(&request)["certificate"]["subject"], "CN=given");
        }
        let (code, said) = holder.refused(&request.replace("asked", "another"));
        assert!(code == 65 && said.contains("is for CN=given, and CN=another was asked for"), "{said}");
    }
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
