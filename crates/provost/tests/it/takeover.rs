//! Taking over from caucase and leaving for it: the stock server first, then ours on what it kept, then the stock one
//! again; and its clients, who notice nothing.

use std::path::{Path, PathBuf};

use base::Explain as _;
use caucase_files::{Database, Prefix, Row};
use tempfile::TempDir;
use testkit::{Caucase, Caucased, Etcd, Face, House, exchange, openssl, openssl_ok};

use crate::houses::{get, plan};
use crate::program::{called, provost_in};

/// What caucase keeps beside each other.
const FILES: [&str; 2] = ["caucase.sqlite", "server.key.pem"];
/// What an updater keeps.
const KEPT: &[&str] = &[
    "--cas-ca",
    "cas.crt.pem",
    "--ca",
    "cas.crt.pem",
    "--crl",
    "cas.crl.pem",
    "--crt",
    "one.key.pem",
    "--threshold",
    "100",
];

/// What a stock server left, and its clients.
struct Left {
    directory: TempDir,
    client: Caucase,
    /// A user, who may approve.
    user: PathBuf,
    /// The numbers of two requests that wait.
    waiting: [String; 2],
}

impl Left {
    /// A stock server lives a little, and is stopped.
    fn make() -> Self {
        let mut server = Caucased::start(&["--service-auto-approve-count", "2", "--lock-auto-approve-count"]);
        let client = Caucase::at(&server.url());
        client.make_request("user");
        let id = client.submit("user", "user.csr.pem");
        client.run(&["--mode", "user", "--get-crt", &id, "user.key.pem", "--update-user"]).ok();
        let user = client.path("user.key.pem");
        for name in ["one", "gone"] {
            client.make_request(name);
            let id = client.submit("service", &format!("{name}.csr.pem"));
            client.run(&["--get-crt", &id, &format!("{name}.key.pem")]).ok();
        }
        client.run(&["--revoke-crt", "gone.key.pem", ""]).ok();
        client.run_as(&user, &["--revoke-serial", "12345"]).ok();
        let waiting = ["early", "late"].map(|name| {
            client.make_request(name);
            client.submit("service", &format!("{name}.csr.pem"))
        });
        client.run(&[]).ok();
        server.stop();
        let directory = tempfile::tempdir().unwrap();
        for file in FILES {
            std::fs::copy(server.directory().join(file), directory.path().join(file)).unwrap();
        }
        Self { directory, client, user, waiting }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path(FILES[0])
    }
}

/// Everything in a database, in an order of its own.
fn rows(path: &Path) -> Vec<String> {
    let mut database = Database::open(path).unwrap_or_else(|error| panic!("{error} {:?}", error.help()));
    let mut told = Vec::new();
    loop {
        let rows = database.next_rows().unwrap();
        if rows.is_empty() {
            told.sort();
            return told;
        }
        for (prefix, row) in rows {
            let key = match &row {
                Row::Issuer(row) => String::from_utf8(row.key.expose().clone()).unwrap(),
                _ => String::new(),
            };
            told.push(format!("{prefix:?} {row:?} {key}"));
        }
    }
}

/// The number of the list that the client has.
fn number(client: &Caucase) -> u64 {
    x509::Crl::from_pem(client.read("cas.crl.pem").as_bytes()).unwrap().number()
}

/// What the stock programs expect of the server that `client` asks now.
fn goes_on(left: &Left, client: &Caucase, waiting: &str, name: &str) {
    // The updater, in the middle of its life.
    let before = client.read("one.key.pem");
    let updater = client.updater(KEPT);
    let is_done = |said: &str| said.matches("Next wake-up at ").count() == 2 && said.ends_with("+0000\n");
    let said = updater.wait_for_stdout(is_done).unwrap_or_else(|said| panic!("{said}\n{}", updater.stderr()));
    assert!(said.contains("Renewing one.key.pem\n"), "{said}");
    drop(updater);
    assert_ne!(client.read("one.key.pem"), before);
    // What waits keeps its number, and the user of before approves it.
    assert_eq!(client.submit("service", &format!("{name}.csr.pem")), waiting);
    let listed = client.run_as(&left.user, &["--list-csr"]);
    assert!(listed.ok().contains(&format!("{waiting} | ")), "{listed:?}");
    client.run_as(&left.user, &["--sign-csr", waiting]).ok();
    let file = format!("{name}.key.pem");
    client.run(&["--get-crt", waiting, &file, "--update-user"]).ok();
    for good in ["one.key.pem", &file] {
        let verify = ["verify", "-crl_check", "-CAfile", "cas.crt.pem", "-CRLfile", "cas.crl.pem", good];
        openssl(client.directory(), &verify).ok();
    }
    // What was revoked stays so, also that of which nobody has the certificate.
    let verify =
        ["verify", "-crl_check", "-CAfile", "cas.crt.pem", "-CRLfile", "cas.crl.pem", "gone.key.pem"];
    let refused = openssl(client.directory(), &verify);
    assert!(refused.stderr.contains("certificate revoked"), "{refused:?}");
    let text = openssl_ok(client.directory(), &["crl", "-in", "cas.crl.pem", "-noout", "-text"]);
    assert!(text.contains("Serial Number: 3039\n"), "12345: {text}");
}

/// Our server takes over, and the stock one takes over again.
fn there_and_back(left: &mut Left) {
    let original = std::fs::read(left.database()).unwrap();
    let mut house = plan(Face::Caucased)
        .file(&left.database(), FILES[0])
        .file(&left.path(FILES[1]), FILES[1])
        // The locked count of before goes on, whatever is said now.
        .option("service-auto-approve-count", "100")
        .start();
    let kept = house.directory().join("caucase.sqlite.caucase-0.9.17");
    assert_eq!(std::fs::read(&kept).unwrap(), original, "the original is what it was");
    let said = house.process().stderr();
    assert!(
        said.contains("services: 1 CA certificate(s), 2 issued, 2 pending, 2 revoked, CRL number 3;"),
        "{said}"
    );
    assert_eq!(said.lines().filter(|line| line.starts_with("took over caucase.sqlite")).count(), 1, "{said}");
    assert_eq!(
        std::fs::read(house.directory().join(FILES[1])).unwrap(),
        std::fs::read(left.path(FILES[1])).unwrap(),
        "the server's own certificate goes on"
    );
    left.client.turn_to(&house);
    let first = number(&left.client);
    goes_on(left, &left.client, &left.waiting[0], "early");
    assert!(number(&left.client) >= first);
    let served = called_export(&house);
    assert_eq!(rows(&served).iter().filter(|row| row.contains("Revoked(")).count(), 2);
    house.stop();
    // Once is enough; and under another name it gets a certificate that says so, which the old CA may not give.
    house.rename("localhost");
    house.start();
    assert!(!house.process().stderr().contains("took over"));
    house.stop();
    let shown = openssl_ok(house.directory(), &["x509", "-in", FILES[1], "-noout", "-ext", "subjectAltName"]);
    assert!(shown.contains("DNS:localhost"), "{shown}");
    let mut server = Caucased::start_on(&[], &[(&served, FILES[0]), (&left.path(FILES[1]), FILES[1])]);
    left.client.turn_to_url(&server.url());
    let first = number(&left.client);
    goes_on(left, &left.client, &left.waiting[1], "late");
    assert!(number(&left.client) >= first);
    left.client.make_request("new");
    let id = left.client.submit("service", "new.csr.pem");
    let held = left.client.run(&["--get-crt", &id, "new.key.pem"]);
    assert!(held.stdout.contains("CSR still pending"), "the locked count is still 2: {held:?}");
    server.stop();
}

/// Exports what `house` has, while it runs.
fn called_export(house: &House) -> PathBuf {
    let ran = provost_in(house.directory(), &[], &["ca", "export", "back.sqlite", "--db", "caucase.sqlite"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let path = house.directory().join("back.sqlite");
    let again =
        provost_in(house.directory(), &[], &["ca", "export", "back.sqlite", "--db", "caucase.sqlite"]);
    assert!(again.stderr.starts_with("error: back.sqlite is there already\n"), "{again:?}");
    path
}

/// `provost ca import` and `provost ca export` are each other's opposite, whatever flavour the database has.
fn import_and_export(left: &Left) {
    let expected = rows(&left.database());
    let lists = left.client.read("cas.crl.pem");
    for flavour in ["python3", "python2", "older"] {
        let directory = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| provost_in(directory.path(), &[], arguments);
        let file = directory.path().join("from.sqlite");
        std::fs::copy(left.database(), &file).unwrap();
        let database = rusqlite::Connection::open(&file).unwrap();
        for prefix in Prefix::ALL.map(Prefix::as_str) {
            if flavour == "python2" {
                let columns = format!(
                    "UPDATE {prefix}ca SET key = CAST(key AS TEXT), crt = CAST(crt AS TEXT);
                     UPDATE {prefix}crt SET key_id = CAST(key_id AS TEXT), csr = CAST(csr AS TEXT), crt = CAST(crt AS TEXT);"
                );
                database.execute_batch(&columns).unwrap();
            }
        }
        if flavour == "older" {
            database
                .execute_batch(
                    "CREATE TABLE cascrl (expiration_date INTEGER, crl TEXT); DROP TABLE casconfig; CREATE TABLE mine (a)",
                )
                .unwrap();
            database.execute("INSERT INTO cascrl VALUES (5, ?)", [&lists]).unwrap();
        }
        drop(database);
        let before = std::fs::read(&file).unwrap();
        let dry_run = ["ca", "import", "from.sqlite", "--dry-run", "--json", "--data", "data"];
        let dry = run(&dry_run);
        assert_eq!(dry.code, Some(0), "{dry:?}");
        let told: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
        assert_eq!(told["imported"], false);
        let services = &told["authorities"]["services"];
        assert_eq!((&services["pending"], &services["revoked"]), (&2.into(), &2.into()), "{told}");
        assert_eq!(services["locked_automatic"], 2);
        assert!(!directory.path().join("data").exists());

        let imported = run(&["ca", "import", "from.sqlite", "--data", "data"]);
        assert_eq!(imported.code, Some(0), "{imported:?}");
        let is_named = imported.stderr.contains("; not taken: the table(s) mine\n");
        assert_eq!(is_named, flavour == "older", "{imported:?}");
        assert_eq!(std::fs::read(&file).unwrap(), before, "it is unchanged");
        let again = run(&["ca", "import", "from.sqlite", "--data", "data"]);
        assert!(again.stderr.starts_with("error: there are authorities already"), "{again:?}");
        let dry = run(&dry_run);
        assert_eq!((dry.code, &dry.stderr), (again.code, &again.stderr), "and that is what a dry run says");
        let exported = run(&["ca", "export", "to.sqlite", "--data", "data"]);
        assert_eq!(exported.code, Some(0), "{exported:?}");
        assert_eq!(rows(&directory.path().join("to.sqlite")), expected, "{flavour}");
    }
}

/// The same by way of an etcd, where other processes could be.
fn through_etcd(left: &Left) {
    let etcd = Etcd::start(1);
    let endpoint = format!("--store-etcd-endpoints={}", etcd.endpoint(0));
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(left.database(), directory.path().join("from.sqlite")).unwrap();
    let run = |arguments: &[&str]| {
        let there = ["--data", "data", "--store-engine=etcd", &endpoint];
        provost_in(directory.path(), &[], &[&["ca"], arguments, &there[..]].concat())
    };
    let imported = run(&["import", "from.sqlite"]);
    assert!(imported.code == Some(0) && imported.stderr.contains("2 pending, 2 revoked"), "{imported:?}");
    let again = run(&["import", "from.sqlite"]);
    assert!(again.stderr.starts_with("error: there are authorities already"), "{again:?}");
    let exported = run(&["export", "to.sqlite"]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    assert_eq!(rows(&directory.path().join("to.sqlite")), rows(&left.database()));
    let house = plan(Face::Up).etcd(&etcd).store_key(&directory.path().join("data/store.key")).start();
    let shown = exchange(house.http(), get("/cas/crt/ca.crt.pem"));
    assert_eq!(String::from_utf8(shown.body).unwrap().trim(), left.client.read("cas.crt.pem").trim());
}

/// What cannot be taken leaves everything as it was.
fn refusals(left: &Left) {
    let ours = |change: &dyn Fn(&Path), options: &[&str], expected: &str| {
        let directory = tempfile::tempdir().unwrap();
        for file in FILES {
            std::fs::copy(left.path(file), directory.path().join(file)).unwrap();
        }
        change(&directory.path().join(FILES[0]));
        let before = snapshot(directory.path());
        let netloc = format!("127.0.0.1:{}", testkit::free_pair());
        let ran = called("caucased", directory.path(), &[], &[&["--netloc", &netloc], options].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.contains(expected),
            "{expected}: {}",
            ran.stderr
        );
        assert_eq!(snapshot(directory.path()), before, "{expected}");
    };
    let sql = |sql: &'static str| {
        move |path: &Path| rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap()
    };
    ours(&sql("UPDATE casca SET key = (SELECT key FROM cauca)"), &[], "its key is not the certificate's");
    ours(&sql("UPDATE cascrt SET csr = 'x'"), &[], "cascrt, request ");
    ours(&sql("ALTER TABLE cauca ADD COLUMN more"), &[], "the table `cauca` is not as caucase makes it");
    ours(&sql("DROP TABLE caurevoked"), &[], "the table `caurevoked` is missing, which has the revocations");
    ours(
        &sql("DELETE FROM casca"),
        &[],
        "casca, its rows: there is no CA certificate, although `cascrt` has 2",
    );
    ours(
        &sql("DELETE FROM cascounter WHERE name = 'crl_number'"),
        &[],
        "the number of the last revocation list is missing, although `casrevoked` has 2",
    );
    ours(
        &sql("DELETE FROM caucounter WHERE name = 'received_csr'"),
        &[],
        "how many requests there were is missing",
    );
    let later = "UPDATE casrevoked SET revocation_date = 4000000000 WHERE serial = '12345'";
    ours(&sql(later), &[], "was used at 2096-10-02T07:06:40Z already");
    ours(&sql("INSERT INTO casrevoked VALUES ('soon', 1, 2)"), &[], "casrevoked, serial \"soon\"");
    let truncate = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    ours(&truncate, &[], "is damaged");
    let link = |path: &Path| std::os::unix::fs::symlink(path, path.with_file_name("link")).unwrap();
    ours(&link, &["--db", "link"], "link is a link");
    // Nobody is to get new authorities without a word in the place of what was lost.
    ours(
        &|path| std::fs::write(path, "").unwrap(),
        &[],
        "caucase.sqlite is empty, and no start of this program",
    );
    let directory = tempfile::tempdir().unwrap();
    let refused = |database: &str, expected: &str| {
        let netloc = format!("127.0.0.1:{}", testkit::free_pair());
        let before: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        // A pipe would be waited for, whatever signal comes.
        let arguments = ["--netloc", &netloc, "--db", database];
        let ran = called("caucased", directory.path(), &[], &arguments);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(expected) && ran.stderr.contains("hint: name another file"), "{ran:?}");
        let after: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(after, before);
    };
    testkit::run(std::process::Command::new("mkfifo").arg(directory.path().join("pipe"))).ok();
    refused("pipe", "error: pipe cannot be a database: it is a named pipe");
    std::os::unix::fs::symlink("missing", directory.path().join("nowhere")).unwrap();
    refused("nowhere", "error: nowhere cannot be a database: it is a link that leads nowhere");
}

/// `provost up` on what was taken over: who knew caucase is known, and nobody else.
fn goes_up(left: &Left) {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("store.key");
    store::SealingKey::load_or_create(&key, &base::Entropy::system()).unwrap();
    let start = |database: &Path| {
        let house = plan(Face::Up).file(database, "data/provost.db").store_key(&key).start();
        let said = house.process().stderr() + &house.process().stdout();
        assert!(said.contains(" has the authorities of caucase and is ready\n"), "{said}");
        assert!(!said.contains("made its authorities"), "{said}");
        (house, said)
    };
    let (house, said) = start(&left.database());
    assert!(said.contains("admin     none was made: the users whom caucase knew sign in"), "{said}");
    assert!(!house.administrator().exists());
    drop(house);
    // Nobody could sign in: that is said, and somebody is let in.
    let database = directory.path().join("db");
    std::fs::copy(left.database(), &database).unwrap();
    rusqlite::Connection::open(&database).unwrap().execute_batch("DELETE FROM caucrt").unwrap();
    let (house, said) = start(&database);
    assert!(said.contains("admin     one was made: no user whom caucase knew"), "{said}");
    assert!(house.administrator().exists());
}

fn snapshot(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

/// A disk that is full: longer files than this are not to be had.
fn full_disk(left: &Left) {
    // The second is for the index of the log.
    for kibibytes in [8, 16, 36] {
        let directory = tempfile::tempdir().unwrap();
        for file in FILES {
            std::fs::copy(left.path(file), directory.path().join(file)).unwrap();
        }
        std::os::unix::fs::symlink(crate::program::PROVOST, directory.path().join("caucased")).unwrap();
        let before = snapshot(directory.path());
        let netloc = format!("127.0.0.1:{}", testkit::free_pair());
        let script = format!("ulimit -f {kibibytes}; exec timeout -s KILL 60 ./caucased --netloc {netloc}");
        let ran =
            std::process::Command::new("bash").args(["-c", &script]).current_dir(directory.path()).output();
        let ran = ran.unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(1), "{kibibytes}: {said}");
        assert!(said.contains("disk is full"), "{kibibytes}: {said}");
        assert_eq!(snapshot(directory.path()), before, "{kibibytes}: {said}");
    }
}

/// One stock server, whose making takes longest, is enough for all of it.
#[test]
fn caucase_is_taken_over_and_left_for() {
    let mut left = Left::make();
    import_and_export(&left);
    through_etcd(&left);
    refusals(&left);
    full_disk(&left);
    goes_up(&left);
    there_and_back(&mut left);
}
