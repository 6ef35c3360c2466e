//! Backups in caucase's format: the original restores ours and serves them, and ours the original's (caucase contract,
//! section 9).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use testkit::{
    Caucase, Caucased, Face, House, Process, Ran, exchange, openssl, run, wait_for, wait_until, witness,
};

use crate::houses::{get, plan};
use crate::program::provost;

/// Our programs, in a folder of their own.
fn ours() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(provost(&["links", folder.path().to_str().unwrap()]).code, Some(0));
    folder
}

/// What Prometheus is told.
fn metrics(house: &House) -> String {
    String::from_utf8(exchange(house.http(), get("/metrics")).body).unwrap()
}

/// The only backup in a folder, once it is there.
fn backup_in(folder: &Path) -> PathBuf {
    let found = wait_for("a backup", || {
        let mut names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        names.find(|path| path.extension().is_some_and(|ending| ending == "caucased"))
    });
    let name = found.file_name().unwrap().to_str().unwrap();
    let (date, rest) = name.split_at(14);
    assert!(date.bytes().all(|byte| byte.is_ascii_digit()) && rest == ".sql.caucased", "{name}");
    assert_eq!(std::fs::metadata(&found).unwrap().permissions().mode() & 0o777, 0o600);
    found
}

/// A `caucased` on a database.
struct Serving(#[expect(dead_code, reason = "it ends with this")] Process);

impl Serving {
    #[track_caller]
    fn start(program: &Path, folder: &Path, database: &str, netloc: &str) -> Self {
        let mut command = Command::new(program);
        command.current_dir(folder).env("PYTHONUNBUFFERED", "1").args(["--netloc", netloc, "--db", database]);
        let process = Process::spawn(&mut command);
        process.wait_for_stderr(|said| said.contains("Listening on [") && said.ends_with('\n')).unwrap();
        let port: u16 = netloc.rsplit(':').next().unwrap().parse().unwrap();
        for port in [port, port + 1] {
            wait_until("the server", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        Self(process)
    }
}

/// What is there when a backup is made: a user in `admin.key.pem`, `one` and `gone` with certificates, the latter revoked,
/// and `waits` whose number is given back.
fn make_history(client: &Caucase) -> String {
    client.make_request("admin");
    let id = client.submit("user", "admin.csr.pem");
    client.run(&["--mode", "user", "--get-crt", &id, "admin.key.pem"]).ok();
    let admin = client.path("admin.key.pem");
    client.obtain("one", &admin);
    client.obtain("gone", &admin);
    client.run_as(&admin, &["--revoke-other-crt", "gone.key.pem"]).ok();
    client.make_request("waits");
    client.submit("service", "waits.csr.pem")
}

/// `caucased-manage --restore-backup` in the client's folder.
fn restore(client: &Caucase, program: &Path, database: &str, [backup, key, csr, crt]: [&str; 4]) -> Ran {
    let mut command = Command::new(program);
    command.current_dir(client.directory());
    run(command.args(["--db", database, "--restore-backup", backup, key, csr, crt]))
}

/// That a restored authority goes on where the backup was made: for the user who restored it, and for its holders.
fn goes_on(client: &Caucase, user: &str, waits: &str) {
    let user = client.path(user);
    let pending = client.run_as(&user, &["--list-csr"]);
    assert!(pending.ok().contains(waits), "{pending:?}");
    client.run_as(&user, &["--sign-csr", waits]).ok();
    std::fs::copy(client.path("waits.key.pem"), client.path("waits.pem")).unwrap();
    client.run(&["--get-crt", waits, "waits.pem", "--ca-crt", "ca.pem", "--crl", "crl.pem"]).ok();
    let before = client.read("one.key.pem");
    client.run(&["--renew-crt", "one.key.pem", "", "--threshold", "100", "--crl", "crl.pem"]).ok();
    assert_ne!(client.read("one.key.pem"), before);
    let verify = |file: &str| {
        let arguments = ["verify", "-crl_check", "-CAfile", "ca.pem", "-CRLfile", "crl.pem", file];
        openssl(client.directory(), &arguments)
    };
    verify("one.key.pem").ok();
    verify("waits.pem").ok();
    assert!(verify("gone.key.pem").stderr.contains("certificate revoked"));
    // Who restored it lets nobody in any more by the certificate that they had before.
    let old = client.run_as(&client.path("admin.key.pem"), &["--list-csr"]);
    assert_ne!(old.code, Some(0), "{old:?}");
}

#[test]
fn theirs_restores_what_ours_made_and_so_does_ours() {
    let (ours, backups) = (ours(), tempfile::tempdir().unwrap());
    let mut house = plan(Face::Caucased).start();
    let client = Caucase::of(&house);
    let waits = make_history(&client);
    house.stop();
    house.set("backup-directory", backups.path().to_str().unwrap());
    house.start();
    let backup = backup_in(backups.path());
    let length = std::fs::metadata(&backup).unwrap().len();
    wait_until("the metrics", || metrics(&house).contains(&format!("provost_backup_last_bytes {length}\n")));
    assert!(metrics(&house).contains("provost_backup_failures_total 0\n"));
    let netloc = house.http();
    house.stop();
    let backup = backup.to_str().unwrap();

    // Who can read it is written in it.
    let by_theirs = client.program("caucase-key-id", &["--backup", backup, "--private-key", "admin.key.pem"]);
    let line = by_theirs.ok().lines().find(|line| line.starts_with("admin.key.pem ")).unwrap();
    let id = line.rsplit(' ').next().unwrap();
    assert!(by_theirs.ok().contains(&format!("  {id}\n")), "{by_theirs:?}");

    for (program, name) in
        [(witness("caucased-manage"), "theirs"), (ours.path().join("caucased-manage"), "ours")]
    {
        client.make_request(name);
        let (key, csr) = (format!("{name}.key.pem"), format!("{name}.csr.pem"));
        let database = format!("{name}.sqlite");
        let ran = restore(&client, &program, &database, [backup, "admin.key.pem", &csr, &key]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""), "{name}");
        let server = match name {
            "theirs" => witness("caucased"),
            _ => ours.path().join("caucased"),
        };
        let before = client.read("one.key.pem");
        let serving = Serving::start(&server, client.directory(), &database, &netloc);
        goes_on(&client, &key, &waits);
        drop(serving);
        // The next one begins where this one did.
        std::fs::write(client.path("one.key.pem"), before).unwrap();
        for file in ["ca.pem", "crl.pem"] {
            std::fs::remove_file(client.path(file)).unwrap();
        }
    }
}

#[test]
fn ours_restores_what_theirs_made_or_nothing() {
    let (ours, backups) = (ours(), tempfile::tempdir().unwrap());
    let mut server = Caucased::start(&["--backup-directory", backups.path().to_str().unwrap()]);
    let client = Caucase::at(&server.url());
    let waits = make_history(&client);
    // Theirs looks whether a user is there an hour after the start, or at the next one.
    server.restart();
    let backup = backup_in(backups.path());
    let netloc = server.url().replace("http://", "");
    drop(server);
    let manage = ours.path().join("caucased-manage");
    client.make_request("next");

    let listed = |folder: &Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let whole = std::fs::read(&backup).unwrap();
    let header = u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize;
    std::fs::copy(&backup, client.path("whole")).unwrap();
    std::fs::write(client.path("bad"), "").unwrap();
    let before = listed(client.directory());
    let refused = |bytes: &[u8], key: &str, csr: &str, expected: &str| {
        std::fs::write(client.path("bad"), bytes).unwrap();
        let ran = restore(&client, &manage, "bad.sqlite", ["bad", key, csr, "bad.crt"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{expected}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
        assert_eq!(listed(client.directory()), before, "{expected}");
    };
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 2;
        bytes
    };
    let (key, csr) = ("admin.key.pem", "next.csr.pem");
    let damaged = "damaged";
    for (bytes, expected) in [
        (flipped(0), "it does not begin like one"),
        (flipped(11), "more than any has"),
        (flipped(20), damaged),
        (flipped(12 + header - 40), damaged),
        (flipped(12 + header), damaged),
        (flipped(whole.len() / 2), damaged),
        (flipped(whole.len() - 1), damaged),
        (whole[..5].to_vec(), "cut off"),
        (whole[..12 + header / 2].to_vec(), "cut off"),
        (whole[..whole.len() / 2].to_vec(), "cut off"),
        (whole[..whole.len() - 16].to_vec(), "cut off"),
        (whole[..whole.len() - 1].to_vec(), "cut off"),
    ] {
        refused(&bytes, key, csr, expected);
    }
    refused(
        &whole,
        "one.key.pem",
        csr,
        "Given private key is not a good candidate for restoring this backup",
    );
    refused(&whole, key, "one.key.pem", "has to hold one signing request and nothing else");
    refused(&whole, key, "admin.csr.pem", "this request was used before");

    let arguments = ["whole", key, csr, "next.key.pem"];
    restore(&client, &manage, "restored.sqlite", arguments).ok();
    let again = restore(&client, &manage, "restored.sqlite", arguments);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.starts_with("error: 'restored.sqlite' exists, not restoring.\n"), "{again:?}");
    let mode = std::fs::metadata(client.path("restored.sqlite")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let _serving =
        Serving::start(&ours.path().join("caucased"), client.directory(), "restored.sqlite", &netloc);
    goes_on(&client, "next.key.pem", &waits);
    // The numbers of revocation lists grow beyond whatever was published since.
    let shown = openssl(client.directory(), &["crl", "-noout", "-crlnumber", "-in", "crl.pem"]);
    let number = shown.ok().trim().trim_start_matches("crlNumber=").trim_start_matches("0x").to_owned();
    assert!(u64::from_str_radix(&number, 16).unwrap() > ca::CRL_NUMBERS_A_SECOND, "{number}");
}

/// A folder that cannot be written is told, and the service goes on; the first user who can read a backup gets one.
#[test]
fn a_backup_that_fails_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let mut house = plan(Face::Up).option("ca-backup-directory", missing.to_str().unwrap()).start();
    wait_until("the failure", || metrics(&house).contains("provost_backup_failures_total 1\n"));
    let said = house.stop();
    assert!(said.stderr.contains("backup failed") && said.stderr.contains("missing"), "{}", said.stderr);
    std::fs::create_dir(&missing).unwrap();
    house.start();
    // The first administrator is there since the first start.
    backup_in(&missing);
}
