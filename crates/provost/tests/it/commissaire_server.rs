//! `commissaire-server` by its own name (commissaire contract, sections 7 and 9.1), against its own clients' needs:
//! the port, the files, the options; with etcd in `etcd.rs`.

mod etcd;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::blocking::Client;
use serde_json::{Value, json};
use testkit::{Process, Ran, free_pair, http, openssl_ok, run, witness};

use crate::commctl::Operator;
use crate::program::{PROVOST, called};

/// Of the password `secret`; cost 4.
const SECRET: &str = "$2b$04$XefwdWd2iOAQz0h4H8wNaenxzfdyMoZjlvOxSexEPLLyCudnLi5DK";

/// A directory with the program under its old name, and files.
struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[(&str, Value)]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(PROVOST, place.path("commissaire-server")).unwrap();
        for (name, text) in files {
            std::fs::write(place.path(name), text.to_string()).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, variables: &[(&str, &str)], options: &[&str]) -> Command {
        let mut command = Command::new(self.path("commissaire-server"));
        command.args(options).current_dir(self.0.path()).env_clear();
        command
            .env("PROVOST_DATA", self.path("data"))
            .env("PROVOST_FLEET_INVESTIGATE", "false")
            .envs(variables.iter().copied());
        command
    }

    /// Serves, on a port that was free a moment ago, with standard input closed after `input`.
    #[track_caller]
    fn serve(&self, input: &str, variables: &[(&str, &str)], options: &[&str]) -> Served {
        loop {
            let port = free_pair();
            let text = port.to_string();
            let options: Vec<_> = options.iter().map(|option| option.replace("PORT", &text)).collect();
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let mut process = Process::spawn(&mut self.command(variables, &options));
            process.say(input.replace("PORT", &text).as_bytes());
            process.close_input();
            match process.wait_for_stderr(|said| said.contains(" is kept in ")) {
                Ok(_) => return Served { process, port },
                Err(said) if said.contains("in use already") => {}
                Err(said) => panic!("it did not open its door:\n{said}"),
            }
        }
    }
}

struct Served {
    process: Process,
    port: u16,
}

impl Served {
    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// The status for somebody who shows nothing, or the name `alice` and a password.
    #[track_caller]
    fn status(&self, client: &Client, scheme: &str, path: &str, password: Option<&str>) -> u16 {
        let asked = client.get(self.url(scheme, path));
        let asked = match password {
            Some(password) => asked.basic_auth("alice", Some(password)),
            None => asked,
        };
        asked.send().unwrap().status().as_u16()
    }

    fn put_cluster(&self, name: &str) -> u16 {
        let url = self.url("http", &format!("/api/v0/cluster/{name}"));
        let asked = http::anybody().put(url).basic_auth("alice", Some("secret")).body("{}");
        asked.send().unwrap().status().as_u16()
    }

    #[track_caller]
    fn stop(self) -> Ran {
        self.process.terminate();
        let ran = self.process.wait();
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran
    }
}

/// One user, `alice`, whose password is `secret`.
fn with_alice(mut conf: Value) -> Value {
    let plugin = json!({"name": "commissaire_http.authentication.httpbasicauth",
                        "users": {"alice": {"hash": SECRET}}});
    conf["authentication-plugins"] = json!([plugin]);
    conf
}

#[test]
fn the_fleet_is_on_the_port_itself_and_nothing_else_is() {
    let conf = with_alice(json!({"listen_interface": "127.0.0.1", "bus-uri": "redis://u:hunter2@r/"}));
    let place = Place::new(&[("commissaire.conf", conf)]);
    let options = ["-c", "commissaire.conf", "-p", "PORT"];
    let served = place.serve("", &[], &options);
    let client = http::anybody();
    for (path, password, expected) in [
        ("/api/v0/clusters", None, 403),
        ("/api/v0/clusters", Some("wrong"), 403),
        ("/api/v0/clusters", Some("secret"), 200),
        ("/api/v0/cluster/web", Some("secret"), 404),
        // No certificate authority: what is not there is not told to strangers.
        ("/cas/crt/ca.crt.pem", None, 403),
        ("/cas/crt/ca.crt.pem", Some("secret"), 404),
        ("/", None, 403),
        ("/clusters", Some("secret"), 404),
        ("/healthz", None, 200),
    ] {
        assert_eq!(served.status(&client, "http", path, password), expected, "{path} {password:?}");
    }
    let refused = client.get(served.url("http", "/api/v0/hosts")).send().unwrap();
    assert_eq!(http::header(&refused, "content-type").as_deref(), Some("text/html"));
    assert_eq!(refused.text().unwrap(), "Forbidden");
    assert_eq!(served.put_cluster("web"), 201);
    assert!(TcpStream::connect(("127.0.0.1", served.port + 1)).is_err(), "there is one door");
    let ran = served.stop();
    assert!(ran.stderr.contains("bus-uri is not used: "), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    assert!(ran.stderr.contains("listening on http://127.0.0.1:"), "{}", ran.stderr);
    // It is still there at the next start.
    let served = place.serve("", &[], &options);
    assert_eq!(served.status(&client, "http", "/api/v0/cluster/web", Some("secret")), 200);
    served.stop();
}

/// An authority of clients, `clients.pem`, with `alice.pem` and `bob.pem`; and `tls.pem`, which another issued.
fn certificates(place: &Place) {
    let directory = place.0.path();
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let issue = |name: &str, ca: &str, extra: &[&str]| {
        let (key, csr, pem) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
        let subject = format!("/CN={name}");
        let request = ["req", "-new", "-keyout", &key, "-out", &csr, "-subj", &subject];
        openssl_ok(directory, &[&request[..], &ec, extra].concat());
        let (ca_pem, ca_key) = (format!("{ca}.pem"), format!("{ca}.key"));
        let sign = ["x509", "-req", "-in", &csr, "-out", &pem, "-copy_extensions", "copy"];
        openssl_ok(directory, &[&sign[..], &["-CA", &ca_pem, "-CAkey", &ca_key]].concat());
        let read = |file: &str| std::fs::read_to_string(directory.join(file)).unwrap();
        std::fs::write(directory.join(format!("{name}.pem")), read(&key) + &read(&pem)).unwrap();
    };
    for ca in ["clients", "web"] {
        let (key, pem, subject) = (format!("{ca}.key"), format!("{ca}.pem"), format!("/CN={ca}"));
        let make = ["req", "-x509", "-keyout", &key, "-out", &pem, "-subj", &subject];
        openssl_ok(directory, &[&make[..], &ec].concat());
    }
    issue("alice", "clients", &["-addext", "basicConstraints=CA:FALSE"]);
    issue("bob", "clients", &["-addext", "basicConstraints=CA:FALSE"]);
    issue("tls", "web", &["-addext", "subjectAltName=IP:127.0.0.1"]);
}

#[test]
fn with_a_certificate_the_port_speaks_tls_and_clients_may_have_to_show_theirs() {
    let place = Place::new(&[("commissaire.conf", with_alice(json!({})))]);
    certificates(&place);
    let options = ["-c", "commissaire.conf", "-i", "127.0.0.1", "-p", "PORT", "--tls-pemfile", "tls.pem"];
    let served = place.serve("", &[], &options);
    // The certificate is theirs, and clients can verify it.
    let trusting = http::trusting(&place.path("web.pem"));
    assert_eq!(served.status(&trusting, "https", "/api/v0/hosts", Some("secret")), 200);
    assert_eq!(served.status(&trusting, "https", "/api/v0/hosts", None), 403);
    assert!(http::anybody().get(served.url("http", "/api/v0/hosts")).send().is_err(), "no plain HTTP");
    let administrator = http::holder_of(&place.path("data/admin.pem"));
    assert_eq!(served.status(&administrator, "https", "/api/v0/hosts", None), 200);
    let ran = served.stop();
    assert!(ran.stderr.contains("listening on https://127.0.0.1:"), "{}", ran.stderr);

    let verify =
        ["--tls-clientverifyfile", "clients.pem", "--authentication-plugin", "httpauthclientcert:cn=alice"];
    let served = place.serve("", &[], &[&options[..], &verify].concat());
    let [alice, bob] = ["alice.pem", "bob.pem"].map(|file| http::holder_of(&place.path(file)));
    assert_eq!(served.status(&alice, "https", "/api/v0/hosts", None), 200);
    assert_eq!(served.status(&bob, "https", "/api/v0/hosts", None), 403);
    assert_eq!(served.status(&bob, "https", "/api/v0/hosts", Some("secret")), 200, "the file's plugin");
    let without =
        http::anybody().get(served.url("https", "/api/v0/hosts")).basic_auth("alice", Some("secret"));
    assert!(without.send().is_err(), "the handshake fails");
    served.stop();
}

#[test]
fn a_certificate_that_cannot_be_shown_is_told() {
    let place = Place::new(&[]);
    std::fs::write(place.path("empty.pem"), "").unwrap();
    for (file, why) in [
        ("missing.pem", "No such file or directory (os error 2)"),
        ("empty.pem", "there is no PEM block `PRIVATE KEY`"),
    ] {
        let port = free_pair().to_string();
        let options = ["--no-config-file", "-i", "127.0.0.1", "-p", &port, "--tls-pemfile", file];
        let ran = called("commissaire-server", place.0.path(), &[("PROVOST_DATA", "data")], &options);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let told = format!("error: {file} cannot be shown to the clients of the HTTPS port: ");
        assert!(ran.stderr.contains(&told) && ran.stderr.contains(why), "{file}: {}", ran.stderr);
    }
}

/// As `provost up` serves it (`fleet::every_row_of_the_contract_holds`).
#[test]
fn every_row_of_the_contract_holds_on_the_one_port() {
    let place = Place::new(&[]);
    certificates(&place);
    let options = ["--no-config-file", "-i", "127.0.0.1", "-p", "PORT", "--tls-pemfile", "tls.pem"];
    let served = place.serve("", &[], &options);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/witness/fleet");
    let mut python = Command::new(witness("python"));
    let url = served.url("https", "/api/v0");
    python.args(["-B", script, &url]).arg(place.path("data/admin.pem")).arg(place.path("web.pem")).arg(&url);
    let ran = run(&mut python);
    let last = ran.ok().lines().last().unwrap_or_default();
    let (held, all) = last.trim_end_matches(" held").split_once(" of ").unwrap();
    assert!(held == all && all.parse::<u32>().unwrap() > 2_000, "{ran:#?}");
    served.stop();
}

/// The operators' tool knows one port and a password.
#[test]
fn commctl_works_with_it() {
    let conf = with_alice(json!({"listen-interface": "127.0.0.1"}));
    let place = Place::new(&[("commissaire.conf", conf)]);
    let served = place.serve("", &[], &["-c", "commissaire.conf", "-p", "PORT"]);
    let operator = Operator::new();
    operator
        .configure(&json!({"endpoint": served.url("http", ""), "username": "alice", "password": "secret"}));
    for (typed, shown) in [
        ("cluster create web", "name: web"),
        ("cluster list", "- web"),
        ("network list", "- default"),
        ("cluster delete web", ""),
    ] {
        let ran = operator.type_in(typed);
        assert!(ran.code == Some(0) && ran.stdout.contains(shown), "{typed}: {ran:#?}");
    }
    served.stop();
}

/// Each option by itself, and what the command line says comes before what the file says.
#[test]
fn the_command_line_comes_before_the_file() {
    let conf = with_alice(json!({
        "listen-interface": "192.0.2.1", "listen-port": 1, "tls-pemfile": "missing.pem", "debug": true,
        "self-auths": ["/api/v0/networks"], "storage-handlers": [{"name": "x"}],
    }));
    let place = Place::new(&[("other.conf", conf)]);
    certificates(&place);
    let options = [
        "--config-file",
        "other.conf",
        "--listen-interface=127.0.0.1",
        "--listen-port=PORT",
        "--tls-pem",
        "tls.pem",
        "--self-auth",
        "/api/v0/containermanagers",
        "--authentication-plugin",
        "httpauthclientcert",
    ];
    let served = place.serve("", &[], &options);
    let client = http::anybody();
    for (path, password, expected) in [
        ("/api/v0/networks", None, 200),
        ("/api/v0/containermanagers", None, 200),
        ("/api/v0/containermanagers/", None, 403),
        ("/api/v0/hosts", None, 403),
        ("/api/v0/hosts", Some("secret"), 200),
    ] {
        assert_eq!(served.status(&client, "https", path, password), expected, "{path}");
    }
    let ran = served.stop();
    assert!(ran.stderr.contains("storage-handlers: nothing known has this name"), "{}", ran.stderr);
    assert!(ran.stderr.contains("and so is `tls-clientverifyfile`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("DEBUG"), "{}", ran.stderr);
}

#[test]
fn the_file_may_come_on_standard_input_or_not_at_all() {
    let place = Place::new(&[]);
    let conf = with_alice(json!({"listen-port": "PORT", "listen-interface": "127.0.0.1"})).to_string();
    let served = place.serve(&conf, &[], &["-c", "-"]);
    let client = http::anybody();
    assert_eq!(served.status(&client, "http", "/api/v0/hosts", Some("secret")), 200);
    served.stop();
    // Nobody gets in without a plugin, and URLs may stand in one that is said.
    let options = ["--no-config", "-i", "127.0.0.1", "-p", "PORT"];
    let served = place.serve("", &[], &options);
    assert_eq!(served.status(&client, "http", "/api/v0/hosts", Some("secret")), 403);
    let ran = served.stop();
    assert!(
        ran.stderr.contains("no authentication plugin is configured: everybody is refused"),
        "{}",
        ran.stderr
    );
    let keystone = testkit::Keystone::http("2099-11-07T01:58:43.578929Z");
    keystone.set_password("alice", "secret");
    let plugin = format!("keystonepasswordauth:url={},domain=Default", keystone.url());
    let served = place.serve("", &[], &[&options[..], &["--auth", &plugin]].concat());
    assert_eq!(served.status(&client, "http", "/api/v0/hosts", Some("secret")), 200);
    served.stop();
}

#[test]
fn what_is_wrong_is_told_at_once_and_nothing_is_made() {
    let files = [
        ("list.conf", json!([])),
        ("plugins.conf", json!({"listen-port": "many", "authentication-plugins": {"name": "httpbasicauth"}})),
        ("storage.conf", json!({"storage_handlers": [{"server_url": "http://e:1"}]})),
    ];
    let place = Place::new(&files);
    for (options, expected) in [
        (&["-c", "missing.conf"][..], &["error: missing.conf: could not be read: No such file"][..]),
        (&["-c", "list.conf"], &["error: list.conf: is no JSON object"]),
        (&["-c", "list.conf"], &["error: storage.conf: storage-handlers: a handler in it has no `type`"]),
        (
            &["-c", "plugins.conf", "-i", "a b"],
            &[
                "error: plugins.conf: authentication-plugins: is a list of objects",
                "error: plugins.conf: listen-port: `many` is not a whole number",
                "error: --listen-interface: `a b` is not a host name",
            ],
        ),
        (&["--no-config-file", "-i", "999.1.1.1"], &["error: --listen-interface: `999.1.1.1` is not"]),
        (&["--no-config-file", "--nonsense"], &["--nonsense"]),
        (
            &["--no-config-file", "--authentication-plugin", "os.path"],
            &["there is no authentication plugin `os.path`"],
        ),
    ] {
        let ran = called("commissaire-server", place.0.path(), &[("PROVOST_DATA", "data")], options);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{options:?}: {}", ran.stderr);
        for expected in expected {
            assert!(ran.stderr.contains(expected), "{options:?}: {}", ran.stderr);
        }
        // The name in certificates is made of it.
        assert!(ran.stderr.matches("--listen-interface").count() <= 1, "{options:?}: {}", ran.stderr);
    }
    assert!(!Path::new(&place.path("data")).exists());
    let ran = called("commissaire-server", place.0.path(), &[], &["--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.contains("--tls-clientverifyfile <FILE>"), "{}", ran.stdout);
}

/// Whoever waits for one to be written waits for ever.
#[test]
fn only_files_are_configuration() {
    let place = Place::new(&[("commissaire.conf", json!({"tls-pemfile": "pipe"}))]);
    assert!(Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", place.path("link")).unwrap();
    for (options, code, expected) in [
        (&["-c", "pipe"][..], 2, "error: pipe: could not be read: it is no regular file\n"),
        (&["-c", "link"], 2, "error: link: could not be read: it is no regular file\n"),
        (&["-c", "/dev/null"], 2, "error: /dev/null: could not be read: it is no regular file\n"),
        (
            &["-c", "commissaire.conf", "-i", "127.0.0.1", "-p", "0"],
            2,
            "error: --listen-port: must be between 1 and 65535, not 0\n",
        ),
        (
            &["-c", "commissaire.conf", "-i", "127.0.0.1"],
            1,
            "error: pipe cannot be shown to the clients of the HTTPS port: it is no regular file\n",
        ),
        (
            &["--no-config", "--auth", "httpbasicauth:filepath=pipe", "-i", "nobody.invalid"],
            1,
            "pipe cannot be read, so it lets nobody in: it is no regular file\n",
        ),
    ] {
        let ran = called("commissaire-server", place.0.path(), &[("PROVOST_DATA", "data")], options);
        assert_eq!(ran.code, Some(code), "{options:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{options:?}: {}", ran.stderr);
    }
}

/// It has no `--bind`, and no file of settings.
#[test]
fn hints_are_in_its_own_words() {
    let place = Place::new(&[]);
    std::fs::write(place.path("file"), "").unwrap();
    for (data, options, expected) in [
        (
            "data",
            &["-i", "nobody.invalid"][..],
            "hint: name an address with `--listen-interface`, for example --listen-interface 0.0.0.0\n",
        ),
        ("data", &["-i", "127.0.0.1:80"], "has a port, which is said with `--listen-port`\n"),
        ("file", &["-i", "127.0.0.1"], "hint: name another one with PROVOST_DATA=DIR\n"),
    ] {
        let options = [&["--no-config-file"], options].concat();
        let ran = called("commissaire-server", place.0.path(), &[("PROVOST_DATA", data)], &options);
        assert!(ran.code != Some(0) && ran.stderr.contains(expected), "{options:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("fleet.plain_http"), "{}", ran.stderr);
    }
}
