//! The HTTPS port: who is let in, by which certificate it is known, and how that is renewed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use testkit::{
    Caucase, Face, House, Line, Process, Ran, exchange, http, openssl, openssl_ok, openssl_with_input, run,
    wait_for,
};

use crate::houses::{certificates_in, ended_without_a_fault, get, plan, up};

const ASK: &str = "GET /cas/csr HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// Asks for what only users may see, through `openssl s_client` with `options`.
fn ask(house: &House, options: &[&str]) -> Ran {
    let connect = ["s_client", "-quiet", "-connect", &house.https()];
    openssl_with_input(house.directory(), &[&connect, options].concat(), ASK.as_bytes())
}

#[track_caller]
fn answered(ran: &Ran, status: &str) {
    assert!(ran.stdout.starts_with(&format!("HTTP/1.1 {status}")), "{ran:#?}");
}

/// Certificates are asked for and not required, with TLS 1.2 and with 1.3, and with nothing older.
#[test]
fn a_client_certificate_is_optional_with_every_version() {
    let house = up();
    let admin = house.administrator();
    let admin = admin.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        answered(&ask(&house, &[version]), "401 ");
        answered(&ask(&house, &[version, "-cert", admin, "-key", admin]), "200 ");
    }
    for version in ["-tls1", "-tls1_1"] {
        let ran = ask(&house, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        assert_ne!(ran.code, Some(0), "{version}");
        assert_eq!(ran.stdout, "");
    }
    // Nobody is told which authorities count; of the chain only the leaf is sent.
    let shown = openssl(house.directory(), &["s_client", "-connect", &house.https(), "-showcerts"]);
    assert!(shown.stdout.contains("No client certificate CA names sent"), "{}", shown.stdout);
    assert_eq!(shown.stdout.matches("BEGIN CERTIFICATE").count(), 1);
    ended_without_a_fault(house);
}

/// A certificate that is no user's ends the handshake; that of a revoked user is refused by each answer.
#[test]
fn a_client_certificate_may_have_to_be_shown() {
    let house = plan(Face::Up).option("server-client-certificates", "required").start();
    let admin = house.administrator();
    let admin = admin.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        answered(&ask(&house, &[version, "-cert", admin, "-key", admin]), "200 ");
        let ran = ask(&house, &[version]);
        assert!(!ran.stdout.contains("HTTP/1.1"), "{version}: {ran:?}");
    }
    // Over HTTP there is none to show.
    let url = house.http_url("/cas/crt/ca.crt.pem");
    assert_eq!(http::anybody().get(url).send().unwrap().status(), 200);
    ended_without_a_fault(house);
}

#[test]
fn strangers_are_not_let_in_and_the_revoked_are_refused() {
    // Where there is a cache, services get through the handshake, too.
    let house = plan(Face::Up).option("cache-api", "false").start();
    let client = Caucase::of(&house);
    let admin = house.administrator();
    let directory = client.directory();
    client.obtain("service", &admin);
    // Somebody else's authority, with the very name of ours.
    let name = format!("/CN=Caucase CAU at {}", house.http());
    openssl(
        directory,
        &[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj",
            &name,
        ],
    )
    .ok();
    client.make_request("foreign");
    let sign = [
        "x509",
        "-req",
        "-in",
        "foreign.csr.pem",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-out",
        "foreign.pem",
    ];
    openssl(directory, &sign).ok();
    let itself = [
        "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "self.key", "-out", "self.pem", "-subj",
        "/CN=me",
    ];
    openssl(directory, &[&["req"][..], &itself].concat()).ok();
    let path = |name: &str| client.path(name).to_str().unwrap().to_owned();
    for (what, certificate, its_key) in [
        ("of the services authority", "service.key.pem", "service.key.pem"),
        ("of a foreign authority", "foreign.pem", "foreign.key.pem"),
        ("signed by itself", "self.pem", "self.key"),
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let ran = ask(&house, &[version, "-cert", &path(certificate), "-key", &path(its_key)]);
            assert_eq!(ran.stdout, "", "{what} {version}");
            assert_ne!(ran.code, Some(0), "{what} {version}");
            assert!(ran.stderr.contains("alert"), "{what} {version}: {}", ran.stderr);
        }
    }

    client.make_request("user");
    let id = client.submit("user", "user.csr.pem");
    client.run_as(&admin, &["--mode", "user", "--sign-csr", &id]).ok();
    client.run(&["--mode", "user", "--get-crt", &id, "user.key.pem"]).ok();
    let user = path("user.key.pem");
    let as_user = ["-cert", user.as_str(), "-key", &user];
    answered(&ask(&house, &as_user), "200 ");
    // An open connection does not outlive the revocation either.
    let open = http::holder_of(Path::new(&user));
    assert_eq!(open.get(house.https_url("/cas/csr")).send().unwrap().status(), 200);
    client.run_as(&admin, &["--mode", "user", "--revoke-other-crt", &user]).ok();
    let refused = ask(&house, &as_user);
    answered(&refused, "401 ");
    assert!(refused.stdout.contains("www-authenticate: transport\r\n"), "{}", refused.stdout);
    assert_eq!(open.get(house.https_url("/cas/csr")).send().unwrap().status(), 401);
    // What everybody may see, they may see as well.
    assert_eq!(open.get(house.https_url("/cas")).send().unwrap().status(), 200);
    ended_without_a_fault(house);
}

/// Where the cache takes what our own services publish, their certificates pass the handshake. They let nobody do what
/// is for users, and are told so by each answer.
#[test]
fn services_pass_the_handshake_where_there_is_a_cache_and_are_no_users() {
    let house = up();
    let client = Caucase::of(&house);
    client.obtain("service", &house.administrator());
    client.make_request("waiting");
    let id = client.submit("service", "waiting.csr.pem");
    let holder = client.path("service.key.pem");
    let service = holder.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        answered(&ask(&house, &[version, "-cert", service, "-key", service]), "401 ");
    }

    let open = http::holder_of(&holder);
    let say = |method: http::Method, path: &str, body: &str| {
        let asked = open.request(method, house.https_url(path)).header("Content-Type", "application/json");
        asked.body(body.to_owned()).send().unwrap().status().as_u16()
    };
    let revoke = r#"{"payload": "{\"revoke_serial\": 1}", "digest": null}"#;
    for authority in ["cas", "cau"] {
        assert_eq!(say(http::Method::GET, &format!("/{authority}/csr"), ""), 401);
        assert_eq!(say(http::Method::PUT, &format!("/{authority}/crt/{id}"), ""), 401);
        assert_eq!(say(http::Method::DELETE, &format!("/{authority}/csr/{id}"), ""), 401);
        assert_eq!(say(http::Method::PUT, &format!("/{authority}/crt/revoke"), revoke), 401);
    }
    for path in ["/v1/hosts", "/v1/audit", "/v1/cache/artifacts"] {
        assert_eq!(say(http::Method::GET, path, ""), 401, "{path}");
    }
    // There the original says so to everybody whom it does not know.
    assert_eq!(say(http::Method::GET, "/api/v0/hosts", ""), 403);
    // What everybody may see, they may see as well; and the request waits as it did.
    assert_eq!(say(http::Method::GET, "/cas/crt/ca.crt.pem", ""), 200);
    assert_eq!(say(http::Method::GET, &format!("/cas/csr/{id}"), ""), 200);
    ended_without_a_fault(house);
}

/// The certificate is good for the name in `--netloc`, under a CA that may certify no other name.
#[test]
fn the_server_is_known_by_its_netloc() {
    for (host, check, constraint) in [
        (
            "127.0.0.1",
            ["-verify_ip", "127.0.0.1"],
            "Permitted:\n      IP:127.0.0.1/255.255.255.255\n    Excluded:\n      DNS:\n",
        ),
        (
            "[::1]",
            ["-verify_ip", "::1"],
            "Permitted:\n      IP:0:0:0:0:0:0:0:1/FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF\n    Excluded:\n      DNS:\n",
        ),
        ("localhost", ["-verify_hostname", "localhost"], "Permitted:\n      DNS:localhost\n"),
    ] {
        let house = plan(Face::Up).host(host).start();
        let connect = ["-CAfile", "data/server-ca.pem", "-verify_return_error", "-purpose", "sslserver"];
        answered(&ask(&house, &[&connect[..], &check].concat()), "401 ");
        let other = ask(&house, &[&connect[..], &["-verify_hostname", "elsewhere.example"]].concat());
        assert_ne!(other.code, Some(0), "{host}");
        let shown = ["x509", "-in", "data/server-ca.pem", "-noout", "-subject", "-ext", "nameConstraints"];
        let shown = openssl_ok(house.directory(), &shown);
        let subject = format!("subject=CN = Caucased CA at {}\n", house.http());
        assert_eq!(shown, format!("{subject}X509v3 Name Constraints: critical\n    {constraint}"));
        // Clients with another TLS library agree.
        let verifying = http::trusting(&house.data().join("server-ca.pem"));
        assert_eq!(verifying.get(house.https_url("/")).send().unwrap().status(), 200);
    }
}

/// The greeting ends with the one command to run next, and that command works.
#[test]
fn the_next_command_works() {
    let house = up();
    let said = house.process().stderr();
    let next = said.lines().find_map(|line| line.strip_prefix("next: ")).unwrap();
    let ran = run(Command::new("sh").args(["-c", next]));
    assert_eq!(ran.ok(), "[]", "{next}");
}

/// Key first, certificate after it, for the owner alone; the same after a restart.
#[test]
fn the_servers_key_file_is_kept() {
    for face in [Face::Up, Face::Caucased] {
        // Shorter than the default threshold, which must not make it renew for ever.
        let mut house = plan(face).option("service-crt-validity", "20").start();
        let path = house.data().join("server.key.pem");
        let text = std::fs::read_to_string(&path).unwrap();
        let labels: Vec<_> = text.lines().filter(|line| line.starts_with("-----")).collect();
        assert_eq!(
            labels,
            [
                "-----BEGIN RSA PRIVATE KEY-----",
                "-----END RSA PRIVATE KEY-----",
                "-----BEGIN CERTIFICATE-----",
                "-----END CERTIFICATE-----"
            ]
        );
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let shown =
            ["x509", "-in", path.to_str().unwrap(), "-noout", "-subject", "-ext", "keyUsage,subjectAltName"];
        assert_eq!(
            openssl_ok(house.directory(), &shown),
            "subject=\n\
             X509v3 Key Usage: critical\n    Digital Signature\n\
             X509v3 Subject Alternative Name: critical\n    IP Address:127.0.0.1\n"
        );
        assert_eq!(
            certificates_in(&path)[0].extensions().len(),
            5,
            "no distribution point, no extended usage"
        );

        house.kill();
        house.start();
        let ran = house.stop();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert!(!ran.stderr.contains("server certificate issued"), "{}", ran.stderr);

        // Older files hold a CA certificate as well, and a broken one is as none.
        let with_ca = match face {
            Face::Up => text.clone() + &std::fs::read_to_string(house.data().join("server-ca.pem")).unwrap(),
            Face::Caucased => text.clone(),
        };
        std::fs::write(&path, &with_ca).unwrap();
        house.start();
        house.stop();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), with_ca);
        std::fs::write(&path, "").unwrap();
        house.start();
        house.stop();
        assert_eq!(certificates_in(&path).len(), 1);
        assert_ne!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

/// A certificate that ends soon is renewed while a connection is open, which goes on; new ones get the new.
#[test]
fn the_servers_certificate_is_renewed_without_dropping_a_connection() {
    // 22 s of life, 10 of them past: renewed some 4 s after it was made.
    let house = plan(Face::Up).option("service-crt-validity", "0.00025463").start();
    let path = house.data().join("server.key.pem");
    let presented = || {
        let shown = openssl(house.directory(), &["s_client", "-connect", &house.https()]);
        x509::Certificate::from_pem(shown.stdout.as_bytes()).unwrap()
    };
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &house.https()]);
    let mut open = Process::spawn(&mut command);
    let mut answers = |count: usize| {
        open.say(b"GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n");
        open.wait_for_stdout(|said| said.matches("ready\n").count() == count).unwrap();
    };
    answers(1);
    let first = presented();
    // It is shown before it is kept, so that a full disk never leaves the door with one that has ended.
    let second = wait_for("a new certificate, shown and kept", || {
        Some(presented()).filter(|now| *now != first && certificates_in(&path) == [now.clone()])
    });
    assert_ne!(second.public_key(), first.public_key());
    answers(2);
    ended_without_a_fault(house);
}

/// However short the life, and however long the threshold, there is no end to one before the next is made.
#[test]
fn a_life_shorter_than_the_back_dating_allows_for_does_not_keep_the_server_busy() {
    // 12 s of life, 10 of them past.
    let mut house = plan(Face::Up).option("service-crt-validity", "0.00013889").start();
    let made = |said: &str| said.matches("server certificate issued").count();
    house.process().wait_for_stderr(|said| made(said) >= 4).unwrap();
    let ran = house.stop();
    let times: Vec<_> = ran
        .stderr
        .lines()
        .filter(|line| line.contains("server certificate issued"))
        .map(|line| &line[..19])
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] != pair[1]), "two in one second: {times:?}");
}

/// A server that goes by another name gets a CA certificate that may certify it; the authorities that
/// others trust stay what they were. The original kept a certificate that nobody could accept.
#[test]
fn a_server_may_be_renamed() {
    let mut house = up();
    let directory = house.directory().to_owned();
    let anchor = |house: &House| exchange(house.http(), get("/cas/crt/ca.crt.pem")).body;
    let (services, old) = (anchor(&house), certificates_in(&house.data().join("server-ca.pem")));
    house.stop();
    house.rename("localhost");
    house.start();
    assert_eq!(anchor(&house), services);
    let verifying = http::trusting(&house.data().join("server-ca.pem"));
    assert_eq!(verifying.get(house.https_url("/")).send().unwrap().status(), 200);
    let connect = ["-CAfile", "data/server-ca.pem", "-verify_return_error", "-verify_hostname", "localhost"];
    answered(&ask(&house, &connect), "401 ");
    assert_ne!(certificates_in(&directory.join("data/server-ca.pem")), old);
    // And it keeps that name.
    let renamed = std::fs::read(house.data().join("server.key.pem")).unwrap();
    house.stop();
    house.start();
    assert_eq!(std::fs::read(house.data().join("server.key.pem")).unwrap(), renamed);
    // Users are users still.
    let admin = http::holder_of(&house.administrator());
    assert_eq!(admin.get(house.https_url("/cas/csr")).send().unwrap().status(), 200);
    ended_without_a_fault(house);
}

/// Whoever connects and says nothing keeps nobody waiting; one such connection blocked the original.
#[test]
fn silent_connections_keep_nobody_waiting() {
    let house = up();
    let silent: Vec<_> = (0..50).map(|_| Line::to(house.https())).collect();
    answered(&ask(&house, &[]), "401 ");
    drop(silent);
    ended_without_a_fault(house);
}
