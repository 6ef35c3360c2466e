//! Where a house listens, and that there is one of it.

use std::path::Path;
use std::process::Command;

use testkit::{Caucase, Face, House, Line, Process, http, openssl, run};

use crate::houses::{
    RSA, certificate, certificates_in, csr, ended_without_a_fault, get, key, plan, submit, unsigned, up,
};
use crate::program::PROVOST;

/// The stock client goes from the HTTP port to the HTTPS port by itself, at every kind of address.
#[test]
fn ipv6_and_names_are_served_like_ipv4() {
    for host in ["[::1]", "localhost"] {
        for face in [Face::Up, Face::Caucased] {
            let house = plan(face).host(host).start();
            let client = Caucase::of(&house);
            client.obtain("one", &house.administrator());
            let verify = ["verify", "-crl_check", "-crl_download", "-CAfile", "cas.crt.pem", "one.key.pem"];
            openssl(client.directory(), &verify).ok();
            let probe = client.program("caucase-probe", &[&house.http_url("")]);
            assert_eq!(probe.code, Some(0), "{probe:?}");
            ended_without_a_fault(house);
        }
    }
}

/// Every address gets both ports, and is said to.
#[test]
fn several_addresses_are_bound() {
    for face in [Face::Up, Face::Caucased] {
        let house =
            plan(face).option("bind", "127.0.0.1").option("bind", "::1").option("bind", "127.9.8.7").start();
        let port = house.port();
        let is_last = |line: &str| line.starts_with("next: ") || line.starts_with("Listening on [127.9.8.7]");
        let is_all = |said: &str| said.ends_with('\n') && said.lines().any(is_last);
        let said = house.process().wait_for_stderr(is_all).unwrap();
        for (address, shown) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("127.9.8.7", "127.9.8.7")] {
            let line = match face {
                Face::Up => format!("  listening http://{address}:{port}  https://{address}:{}\n", port + 1),
                Face::Caucased => format!("Listening on [{shown}]:{port}-{}\n", port + 1),
            };
            assert!(said.contains(&line), "{line}: {said}");
            let plain = testkit::exchange(format!("{address}:{port}"), get("/readyz"));
            assert_eq!(plain.status, 200, "{address}");
            let secure =
                http::anybody().get(format!("https://{address}:{}/readyz", port + 1)).send().unwrap();
            assert_eq!(secure.status(), 200, "{address}");
        }
        ended_without_a_fault(house);
    }
}

/// HTTPS is at 443 beside 80; where those may not be bound, the refusal names them.
#[test]
fn https_is_at_443_beside_80() {
    let directory = tempfile::tempdir().unwrap();
    run(Command::new(PROVOST).arg("links").arg(directory.path())).ok();
    // An address of this machine that nobody else uses.
    let mut command = Command::new(directory.path().join("caucased"));
    command.current_dir(directory.path()).env_clear().args(["--netloc", "127.80.44.3"]);
    let process = Process::spawn(&mut command);
    match process.wait_for_stderr(|said| said.contains("Listening") && said.ends_with('\n')) {
        Ok(said) => {
            assert_eq!(said, "Listening on [127.80.44.3]:80-443\n");
            let answer =
                testkit::exchange("127.80.44.3:80", "GET /cas HTTP/1.1\r\nHost: 127.80.44.3\r\n\r\n");
            assert!(answer.text().contains("\"https://127.80.44.3/cas/csr\""), "{}", answer.text());
            process.terminate();
            assert_eq!(process.wait().code, Some(0));
        }
        Err(said) => assert!(said.contains("127.80.44.3:80") || said.contains("127.80.44.3:443"), "{said}"),
    }
}

/// A second start on one data directory, or on taken ports, is refused and harms nobody.
#[test]
fn one_house_to_a_directory_and_to_a_port() {
    for face in [Face::Up, Face::Caucased] {
        let house = plan(face).start();
        let (program, options): (_, &[&str]) = match face {
            Face::Up => (PROVOST.into(), &["up", "--data", "data"]),
            Face::Caucased => (house.directory().join("bin/caucased"), &[]),
        };
        let start = |directory: &std::path::Path, netloc: &str| {
            let mut command = Command::new(&program);
            command.current_dir(directory).env_clear().args(options).args(["--netloc", netloc]);
            run(&mut command)
        };
        let elsewhere = format!("127.0.0.1:{}", testkit::free_pair());
        let ran = start(house.directory(), &elsewhere);
        let (code, what) = match face {
            Face::Up => (75, "data is in use by another process"),
            Face::Caucased => (1, "caucase.sqlite is in use by another process"),
        };
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(what), "{}", ran.stderr);

        let other = tempfile::tempdir().unwrap();
        let ran = start(other.path(), &house.http());
        assert_ne!(ran.code, Some(0));
        assert!(ran.stderr.contains(&format!("{} is in use already", house.http())), "{}", ran.stderr);
        assert_eq!(testkit::exchange(house.http(), get("/readyz")).status, 200);
        ended_without_a_fault(house);
    }
}

/// Connections that are open and idle do not keep a house from ending.
#[test]
fn a_house_ends_though_somebody_holds_the_line() {
    let mut house: House = up();
    let mut line = Line::to(house.http());
    line.send(get("/readyz")).unwrap();
    assert_eq!(line.answer().status, 200);
    let secure = http::anybody();
    assert_eq!(secure.get(house.https_url("/readyz")).send().unwrap().status(), 200);
    let silent = Line::to(house.https());
    let ran = house.stop();
    assert!(ran.stderr.contains("stopping: "), "{}", ran.stderr);
    assert!(line.is_closed());
    drop(silent);
}

/// Whatever a first start makes is for its owner alone.
#[test]
fn everything_is_for_the_owner_alone() {
    for face in [Face::Up, Face::Caucased] {
        let house = plan(face).start();
        let files: &[&str] = match face {
            Face::Up => {
                &["admin.pem", "client.toml", "provost.db", "server-ca.pem", "server.key.pem", "store.key"]
            }
            Face::Caucased => &["caucase.sqlite", "caucase.sqlite.key", "server.key.pem"],
        };
        for file in files {
            let found =
                std::fs::metadata(house.data().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions());
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        // CA keys are not in the database as they are.
        let names = ["provost.db", "provost.db-wal", "caucase.sqlite", "caucase.sqlite-wal"];
        for name in names {
            if let Ok(bytes) = std::fs::read(house.data().join(name)) {
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains("PRIVATE KEY"), "{name}");
            }
        }
    }
}

/// Whoever revokes the last user's certificate is told what it means, and how somebody gets in again.
#[test]
fn there_is_a_way_in_when_no_user_is_left() {
    let mut house = up();
    let administrator = house.administrator();
    let list = |house: &House, file: &Path| {
        http::holder_of(file).get(house.https_url("/cas/csr")).send().unwrap().status().as_u16()
    };
    assert_eq!(list(&house, &administrator), 200);
    let [own] = certificates_in(&administrator).try_into().unwrap();
    let revocation = unsigned(&serde_json::json!({"revoke_crt_pem": own.to_pem()}));
    let client = http::holder_of(&administrator);
    let revoke = client.put(house.https_url("/cau/crt/revoke")).header("Content-Type", "application/json");
    assert_eq!(revoke.body(revocation).send().unwrap().status(), 204);
    assert_eq!(list(&house, &administrator), 401);
    let said = house.stop().stderr;
    assert!(said.contains("no user has a good certificate any more"), "{said}");
    assert!(
        said.contains("start with an auto-approve count of users above the number of requests"),
        "{said}"
    );

    // As the hint has it. A start alone lets nobody in.
    house.start();
    let text = csr(&key(RSA), "nobody looked");
    let held = submit(&house, "cau", &text);
    assert_eq!(testkit::exchange(house.http(), get(&format!("/cau/crt/{held}"))).status, 404);
    house.stop();
    house.set("user-auto-approve-count", "2");
    house.start();
    let key = key(RSA);
    let issued = certificate(&house, "cau", &submit(&house, "cau", &csr(&key, "the next")));
    let file = house.directory().join("next.pem");
    std::fs::write(&file, [key.to_pem().expose().as_str(), &issued.to_pem()].concat()).unwrap();
    assert_eq!(list(&house, &file), 200);
    ended_without_a_fault(house);
}
