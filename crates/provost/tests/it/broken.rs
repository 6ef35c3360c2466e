//! A data directory in which something is wrong: a start is refused with what to do about it, or goes on with a
//! warning where nothing is lost by that.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use testkit::{Face, House, Process, exchange, wait_for};

use crate::houses::{RSA, csr, get, key, plan, request, up};
use crate::program::{PROVOST, called, nowhere, provost_in};

/// A house that has served and stands still.
fn stopped() -> House {
    let mut house = up();
    house.stop();
    house
}

/// Starts it on what it kept, which must fail with this exit code; what it says, without its log.
#[track_caller]
fn refused(house: &House, code: i32) -> String {
    let (data, netloc) = (house.data(), house.http());
    let ran = provost_in(&nowhere(), &[], &["up", "--data", data.to_str().unwrap(), "--netloc", &netloc]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{}", ran.stderr);
    ran.stderr.split_at(ran.stderr.find("error: ").unwrap()).1.to_owned()
}

fn open_to_others(path: &Path) {
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn keys_that_others_may_read_are_not_used() {
    for (file, what) in [
        ("store.key", "could not use the sealing key: "),
        ("server.key.pem", "the server has no certificate: "),
    ] {
        let mut house = stopped();
        let path = house.data().join(file);
        open_to_others(&path);
        let path = path.display();
        assert_eq!(
            refused(&house, 65),
            format!("error: {what}{path} may be read by others (mode 0644)\nhint: chmod 600 {path}\n")
        );
        std::fs::set_permissions(house.data().join(file), Permissions::from_mode(0o600)).unwrap();
        house.start();
    }
}

/// A clock that is long behind, or so far ahead that everything would have ended. It cannot be set here: what the house
/// remembers of it is changed instead.
#[test]
fn a_clock_that_cannot_be_right_is_refused_unless_somebody_says_so() {
    let mut house = stopped();
    let database = house.data().join("provost.db");
    let changed = |sql: &str| {
        let ran = testkit::run(Command::new("sqlite3").arg(&database).arg(sql));
        ran.ok().trim().to_owned()
    };
    let noted = changed("SELECT CAST(value AS TEXT) FROM records WHERE key = '/house/clock'");
    assert!(noted.starts_with(r#"{"v":1,"is":{"at":"#), "{noted}");
    changed(
        r#"UPDATE records SET value = CAST('{"v":1,"is":{"at":4000000000}}' AS BLOB), sum = NULL
           WHERE key = '/house/clock'"#,
    );
    let said = refused(&house, 75);
    assert!(said.contains("but this house was running at 2096-10-02T07:06:40Z already"), "{said}");
    assert!(said.contains("hint: nothing was changed: set the clock right, or"), "{said}");
    assert!(said.contains("--clock-is-right"), "{said}");
    let (data, netloc) = (house.data(), house.http());
    let retire = ["ca", "retire", "services", "--yes", "--data", data.to_str().unwrap(), "--netloc", &netloc];
    let retired = provost_in(&nowhere(), &[], &retire);
    assert_eq!(retired.code, Some(75), "{retired:?}");
    assert!(retired.stderr.contains("this house was running at 2096-10-02T07:06:40Z already"), "{retired:?}");
    house.set("clock-is-right", "true");
    house.start();
    house.stop();
    house.set("clock-is-right", "false");
    house.start();
}

/// The server does not use the administrator's key, so it serves; whoever should know is told.
#[test]
fn an_administrators_key_that_others_may_read_is_a_warning() {
    let mut house = stopped();
    open_to_others(&house.administrator());
    house.start();
    let said = house.stop().stderr;
    let warning = said.lines().find(|line| line.contains(" WARN ")).unwrap();
    for part in ["may be read by others (mode 0644)", "chmod 600", "admin.pem"] {
        assert!(warning.contains(part), "{warning}");
    }
}

#[test]
fn the_key_of_another_database_is_told_from_the_right_one() {
    let (house, other) = (stopped(), stopped());
    std::fs::copy(other.data().join("store.key"), house.data().join("store.key")).unwrap();
    let said = refused(&house, 75);
    assert!(said.starts_with("error: the store was made with another sealing key"), "{said}");
    assert!(said.contains("was changed, or sealed under another key\n"), "{said}");
    assert!(said.contains("hint: put the key file of the process that made the store"), "{said}");
}

#[test]
fn a_damaged_database_is_refused_with_a_hint() {
    let house = stopped();
    let database = house.data().join("provost.db");
    let whole = std::fs::read(&database).unwrap();
    let hint = "hint: put it and the key that seals it back from one backup, and look at the disk\n";
    let cut = whole[..9_000].to_vec();
    let overwritten = [&whole[..8_192], &vec![7; whole.len() - 8_192]].concat();
    for damaged in [cut, overwritten] {
        std::fs::write(&database, damaged).unwrap();
        let said = refused(&house, 70);
        assert!(said.contains("provost.db is damaged: ") && said.ends_with(hint), "{said}");
    }
}

/// It went on saying that all was well, and lost what it had answered when it ended.
#[test]
fn a_database_that_is_moved_away_while_it_runs_is_noticed() {
    let mut house = up();
    let (database, elsewhere) = (house.data().join("provost.db"), house.data().join("elsewhere"));
    let ready = |house: &House| exchange(house.http(), get("/readyz")).status;
    let text = csr(&key(RSA), "one");
    let put = |house: &House| exchange(house.http(), request("PUT", "/cas/csr", &[], text.as_bytes())).status;
    assert_eq!(ready(&house), 200);
    std::fs::rename(&database, &elsewhere).unwrap();
    assert_eq!((ready(&house), put(&house)), (503, 503));
    std::fs::rename(&elsewhere, &database).unwrap();
    assert_eq!((put(&house), ready(&house)), (201, 200));
    assert_eq!(exchange(house.http(), get("/healthz")).status, 200);
    house.stop();
}

/// The newest of what is stored is in the log until it is copied: what was answered meanwhile would be lost.
#[test]
fn a_log_that_is_deleted_while_it_runs_is_noticed_and_nothing_is_lost() {
    let mut house = up();
    let put = |house: &House, name: &str| {
        let text = csr(&key(RSA), name);
        exchange(house.http(), request("PUT", "/cas/csr", &[], text.as_bytes()))
    };
    let answer = put(&house, "one");
    assert_eq!(answer.status, 201);
    let id = answer.header("location").unwrap().to_owned();
    std::fs::remove_file(house.data().join("provost.db-wal")).unwrap();
    assert_eq!(put(&house, "two").status, 503);
    assert_eq!(exchange(house.http(), get("/readyz")).status, 503);
    house.kill();
    house.start();
    assert_eq!(exchange(house.http(), get(&format!("/cas/csr/{id}"))).status, 200);
    assert_eq!(put(&house, "three").status, 201);
    house.stop();
}

#[test]
fn a_database_that_is_emptied_while_it_runs_is_noticed() {
    let mut house = up();
    let database = house.data().join("provost.db");
    let text = csr(&key(RSA), "one");
    std::fs::File::create(&database).unwrap();
    let put = exchange(house.http(), request("PUT", "/cas/csr", &[], text.as_bytes()));
    assert_eq!((put.status, exchange(house.http(), get("/readyz")).status), (503, 503));
    house.stop();
    let said = refused(&house, 75);
    assert!(said.contains("provost.db, the database, is empty: it has 0 bytes\n"), "{said}");
}

fn copied(from: &Path, to: &Path, names: &[&str]) {
    std::fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
    for name in names {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// It made other authorities without a word, and wrote over the files of the first ones.
#[test]
fn the_database_of_a_killed_house_is_a_house_without_its_log() {
    let mut house = up();
    house.kill();
    let kept = std::fs::read(house.data().join("server-ca.pem")).unwrap();
    let names = ["provost.db", "store.key", "admin.pem", "server-ca.pem", "server.key.pem"];
    let mut other = stopped();
    copied(&house.data(), &other.data(), &names);
    other.start();
    assert_eq!(std::fs::read(other.data().join("server-ca.pem")).unwrap(), kept);
    let said = other.stop().stderr;
    assert!(!said.contains("made its authorities"), "{said}");
}

#[test]
fn the_database_of_a_killed_caucased_is_a_house_without_its_log() {
    let mut house = plan(Face::Caucased).start();
    let authority = |house: &House| exchange(house.http(), get("/cas/crt/ca.crt.pem")).body;
    let before = authority(&house);
    house.kill();
    for name in ["caucase.sqlite-wal", "caucase.sqlite-shm"] {
        std::fs::remove_file(house.data().join(name)).unwrap();
    }
    house.start();
    assert_eq!(authority(&house), before);
    house.stop();
}

/// A database that was never more than laid out: everything was in the log that is not here.
#[test]
fn a_database_without_records_is_refused_where_there_was_a_house() {
    let house = stopped();
    let read = |name: &str| std::fs::read(house.data().join(name)).unwrap();
    let before = ["admin.pem", "server-ca.pem", "store.key"].map(read);
    let database = house.data().join("provost.db");
    std::fs::remove_file(&database).unwrap();
    drop(store::Sqlite::open(&database).unwrap());
    let said = refused(&house, 75);
    for part in ["admin.pem is there from an earlier start", "has no records", "provost.db-wal beside it"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(["admin.pem", "server-ca.pem", "store.key"].map(read), before);

    let mut caucased = plan(Face::Caucased).start();
    caucased.stop();
    let database = caucased.data().join("caucase.sqlite");
    std::fs::remove_file(&database).unwrap();
    drop(store::Sqlite::open(&database).unwrap());
    let netloc = caucased.http();
    let ran = called("caucased", &caucased.data(), &[], &["--netloc", &netloc]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("server.key.pem is there from an earlier start"), "{}", ran.stderr);
}

/// A log without its database is what is left of it.
#[test]
fn a_log_without_its_database_is_refused() {
    let mut house = plan(Face::Caucased).start();
    house.kill();
    std::fs::remove_file(house.data().join("caucase.sqlite")).unwrap();
    let log = std::fs::read(house.data().join("caucase.sqlite-wal")).unwrap();
    let ran = called("caucased", &house.data(), &[], &["--netloc", &house.http()]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("caucase.sqlite-wal is there from an earlier start"), "{}", ran.stderr);
    assert_eq!(std::fs::read(house.data().join("caucase.sqlite-wal")).unwrap(), log);
}

/// The lock was a file, and whoever deleted it let a second process in.
#[test]
fn deleting_files_lets_no_second_process_in() {
    let house = up();
    for entry in std::fs::read_dir(house.data()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.contains("lock") || name.ends_with("-wal") || name.ends_with("-shm") {
            std::fs::remove_file(&path).unwrap();
        }
    }
    let (data, netloc) = (house.data(), format!("127.0.0.1:{}", testkit::free_pair()));
    let ran = provost_in(&nowhere(), &[], &["up", "--data", data.to_str().unwrap(), "--netloc", &netloc]);
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.stderr.contains("data is in use by another process"), "{}", ran.stderr);
    drop(house);

    let house = plan(Face::Caucased).start();
    let netloc = format!("127.0.0.1:{}", testkit::free_pair());
    let ran = called("caucased", &house.data(), &[], &["--netloc", &netloc]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("caucase.sqlite is in use by another process"), "{}", ran.stderr);
}

/// The file is for people; an older one is better than no service.
#[test]
fn a_start_goes_on_when_the_file_of_the_servers_authority_cannot_be_written() {
    let mut house = stopped();
    let path = house.data().join("server-ca.pem");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "older").unwrap();
    // As when the disk is full: the new file cannot be made.
    let in_the_way = house.data().join(".server-ca.pem.new");
    std::fs::create_dir(&in_the_way).unwrap();
    house.start();
    let said = house.stop().stderr;
    assert!(said.lines().any(|line| line.contains(" WARN ") && line.contains("server-ca.pem")), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), b"older");

    std::fs::remove_file(&path).unwrap();
    let said = refused(&house, 70);
    assert!(said.starts_with("error: could not write ") && said.contains("\nhint: "), "{said}");

    std::fs::remove_dir(&in_the_way).unwrap();
    house.start();
    assert_eq!(std::fs::read(&path).unwrap(), good);
}

/// Its lines are lost; what it does is not.
#[test]
fn a_full_disk_under_the_log_stops_nothing() {
    let house = stopped();
    let (data, netloc) = (house.data(), house.http());
    let mut command = Command::new("sh");
    let line = "exec \"$0\" up --fleet-investigate=false --data \"$1\" --netloc \"$2\" 2>/dev/full";
    // What the test itself was told by the environment would be taken for settings.
    command.args(["-c", line, PROVOST, data.to_str().unwrap(), &netloc]).env_clear();
    let process = Process::spawn(&mut command);
    wait_for("the house to be ready", || {
        std::net::TcpStream::connect(&netloc).ok()?;
        (exchange(&netloc, get("/readyz")).status == 200).then_some(())
    });
    for name in ["one", "two", "three"] {
        let csr = csr(&key(RSA), name);
        let answer = exchange(&netloc, request("PUT", "/cas/csr", &[], csr.as_bytes()));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    drop(process);
}
