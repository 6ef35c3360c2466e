//! `provost config import`: Commissaire's configuration files, as ours (commissaire contract, sections 7 and 9).

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Face, Process, openssl_ok};

use crate::houses::{ended_without_a_fault, plan};
use crate::program::{PROVOST, Ran, provost_in};

const SECRET: &str = "$2b$04$XefwdWd2iOAQz0h4H8wNaenxzfdyMoZjlvOxSexEPLLyCudnLi5DK";

/// A directory with the original's files in `old`.
fn files(files: &[(&str, Value)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("old")).unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join("old").join(name), text.to_string()).unwrap();
    }
    directory
}

fn import(directory: &Path, variables: &[(&str, &str)], options: &[&str]) -> Ran {
    provost_in(directory, variables, &[&["config", "import", "--from", "old"], options].concat())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The files of an installation as the manual has it.
fn everything() -> Vec<(&'static str, Value)> {
    let bus = json!({"bus-uri": "redis://u:hunter2@127.0.0.1:6379/", "debug": true});
    vec![
        (
            "commissaire.conf",
            json!({
                "listen-interface": "127.0.0.1", "listen-port": 8080, "tls-pemfile": "/etc/tls.pem",
                "tls-clientverifyfile": "ca.pem", "bus-uri": "redis://u:hunter2@127.0.0.1:6379/",
                "self_auths": ["/api/v0/secrets"], "nonsense": 1,
                "logging": {"version": 1, "root": {"level": "WARNING"}, "handlers": {}},
                "authentication-plugins": [
                    {"name": "httpbasicauth", "users": {"alice": {"hash": SECRET}}, "filepath": "users.json"},
                    {"name": "commissaire_http.authentication.httpauthclientcert", "cn": "bob"},
                ],
            }),
        ),
        ("users.json", json!({"carol": {"hash": SECRET}})),
        (
            "storage.conf",
            json!({
                "bus_uri": "redis://127.0.0.1", "custodia_socket_path": "/run/custodia.sock",
                "storage_handlers": {"type": "etcd", "server_url": "http://127.0.0.1:2379/"},
            }),
        ),
        ("investigator.conf", bus.clone()),
        ("watcher.conf", bus.clone()),
        ("clusterexec.conf", bus.clone()),
        ("containermgr.conf", bus),
    ]
}

#[test]
fn what_is_written_passes_the_check_and_is_not_written_twice() {
    let directory = files(&everything());
    let path = |name: &str| directory.path().join(name);
    let (old, here) = (path("old").display().to_string(), directory.path().display());

    // Without a name nothing is written, and the settings are printed.
    let ran = import(directory.path(), &[], &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stdout.contains("$2b$") && !ran.stderr.contains("$2b$"), "{ran:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    let refused = import(directory.path(), &[], &["--out", "missing/provost.toml"]);
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("\nhint: make its directory: mkdir -p -m 0700 missing\n"),
        "{}",
        refused.stderr
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    let written = import(directory.path(), &[], &["--out", "provost.toml"]);
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""), "{}", written.stderr);
    let text = std::fs::read_to_string(path("provost.toml")).unwrap();
    assert_eq!(text, ran.stdout);
    assert!(!text.contains("hunter2") && !written.stderr.contains("hunter2"), "{}", written.stderr);
    assert_eq!(mode(&path("sign-in.json")), 0o600);
    for line in [
        &format!("taken: {old}/commissaire.conf: listen-port: base_port = 8080"),
        &format!("taken: {old}/commissaire.conf: logging: log.level = \"warn\""),
        &format!("taken: {old}/commissaire.conf: listen-interface: netloc = \"127.0.0.1:8080\""),
        "taken: the original's default: ca.api = false",
        &format!("taken: {old}/storage.conf: storage-handlers: store.engine = \"etcd\""),
        &format!("no counterpart: {old}/commissaire.conf: bus-uri: no bus is served yet"),
        &format!("no counterpart: {old}/commissaire.conf: nonsense: nothing known has this name"),
        &format!("no counterpart: {old}/commissaire.conf: logging: handlers: the log goes to standard error"),
        &format!("no counterpart: {old}/storage.conf: custodia_socket_path: has no counterpart"),
        &format!("no counterpart: {old}/watcher.conf: debug: there is one process and one log"),
        &format!("no counterpart: {old}/containermgr.conf: bus-uri: no bus is served yet"),
        "note: what Commissaire has under /commissaire in etcd is not moved by this",
        &format!("note: relative paths start from the working directory, {here}, as they did"),
        "was started: ca.pem, users.json\n",
        &format!("{here}/users.json cannot be read, so it lets nobody in: No such file"),
        &format!("{here}/ca.pem cannot be read, so it lets nobody in: No such file"),
        "written: provost.toml",
    ] {
        assert!(written.stderr.contains(line), "{line}:\n{}", written.stderr);
    }

    let check = provost_in(directory.path(), &[], &["config", "check", "--json", "--config", "provost.toml"]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    let held: Value = serde_json::from_str(&check.stdout).unwrap();
    for (name, expected) in [
        ("netloc", json!("127.0.0.1:8080")),
        ("base_port", json!(8080)),
        ("bind", json!(["127.0.0.1"])),
        ("server.doors", json!("https")),
        ("server.tls_file", json!("/etc/tls.pem")),
        ("server.client_ca_file", json!(format!("{here}/ca.pem"))),
        ("server.client_certificates", json!("required")),
        ("store.engine", json!("etcd")),
        ("store.etcd.endpoints", json!(["http://127.0.0.1:2379"])),
        ("store.etcd.namespace", json!("/provost")),
        ("fleet.plain_http", json!("everyone")),
        ("fleet.sign_in", json!("sign-in.json")),
        ("ca.api", json!(false)),
        ("log.level", json!("warn")),
    ] {
        assert_eq!(held["settings"][name]["value"], expected, "{name}");
    }
    let sign_in: Value = serde_json::from_slice(&std::fs::read(path("sign-in.json")).unwrap()).unwrap();
    assert_eq!(sign_in["authentication-plugins"][0]["filepath"], format!("{here}/users.json"));
    assert_eq!(sign_in["authentication-plugins"][0]["users"]["alice"]["hash"], SECRET);
    assert_eq!(sign_in["self-auths"], json!(["/api/v0/secrets"]));
    assert_eq!(sign_in["tls-clientverifyfile"], format!("{here}/ca.pem"));

    // Again: nothing changes. What somebody else wrote stays, unless it may go.
    let again = import(directory.path(), &[], &["--out", "provost.toml"]);
    assert!(again.code == Some(0) && again.stderr.contains("unchanged: provost.toml"), "{}", again.stderr);
    std::fs::write(path("provost.toml"), "netloc = \"a\"\n").unwrap();
    let refused = import(directory.path(), &[], &["--out", "provost.toml"]);
    assert_ne!(refused.code, Some(0));
    assert!(
        refused
            .stderr
            .contains("error: there are other files already: provost.toml\nhint: `--force` replaces"),
        "{}",
        refused.stderr
    );
    assert_eq!(std::fs::read_to_string(path("provost.toml")).unwrap(), "netloc = \"a\"\n");
    let forced = import(directory.path(), &[], &["--out", "provost.toml", "--force"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    assert!(forced.stderr.contains("written: provost.toml\n"), "{}", forced.stderr);
    assert!(forced.stderr.contains("unchanged: sign-in.json\n"), "{}", forced.stderr);
    assert_eq!(std::fs::read_to_string(path("provost.toml")).unwrap(), text);
}

#[test]
fn the_environments_password_goes_into_a_file_of_its_own() {
    let directory = files(&[("commissaire.conf", json!({}))]);
    let nobody = format!("127.0.0.1:{}", testkit::free_pair());
    let variables =
        [("ETCD_MACHINES", nobody.as_str()), ("ETCD_USERNAME", "root"), ("ETCD_PASSWORD", "hunter2")];
    let ran = import(directory.path(), &variables, &["--json", "--out", "provost.toml", "--without-etcd"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&told["ok"], &told["file"]), (&json!(true), &json!("provost.toml")));
    let paths: Vec<_> =
        told["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["etcd-password", "provost.toml"]);
    assert!(told["notes"].to_string().contains("etcd was not asked"), "{}", told["notes"]);
    let password = directory.path().join("etcd-password");
    assert_eq!((std::fs::read_to_string(&password).unwrap().as_str(), mode(&password)), ("hunter2", 0o600));
    let check = provost_in(directory.path(), &[], &["config", "check", "--json", "--config", "provost.toml"]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    assert!(check.stderr.contains("fleet.plain_http: passwords and the keys of hosts"), "{}", check.stderr);
    let held: Value = serde_json::from_str(&check.stdout).unwrap();
    assert_eq!(held["settings"]["store.etcd.user"]["value"], "root");
    assert_eq!(held["settings"]["store.etcd.password_file"]["value"], "etcd-password");
    assert_eq!(held["settings"]["store.etcd.endpoints"]["value"], json!([format!("http://{nobody}")]));
}

/// No file is lost, whatever the new one is called, and nobody's file through a link.
#[test]
fn secrets_are_not_written_over() {
    let directory = files(&everything());
    for (out, variables) in [
        ("sign-in.json", &[][..]),
        ("./etcd-password", &[("ETCD_MACHINES", "a:1"), ("ETCD_USERNAME", "root"), ("ETCD_PASSWORD", "p")]),
    ] {
        if !variables.is_empty() {
            // Otherwise that says which etcd.
            std::fs::remove_file(directory.path().join("old/storage.conf")).unwrap();
        }
        let nobody = format!("127.0.0.1:{}", testkit::free_pair());
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, if *name == "ETCD_MACHINES" { nobody.as_str() } else { value }))
            .collect();
        let ran = import(directory.path(), &variables, &["--without-etcd", "--out", out]);
        assert_ne!(ran.code, Some(0), "{out}");
        let said = format!(
            "error: {out} would hold the settings and a secret file of theirs at once\n\
             hint: name another file with `--out`\n"
        );
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        assert!(!directory.path().join(out).exists());
    }
    let (elsewhere, out) = (directory.path().join("elsewhere"), directory.path().join("provost.toml"));
    std::fs::write(&elsewhere, "mine").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &out).unwrap();
    let ran = import(directory.path(), &[], &["--out", "provost.toml", "--force"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(elsewhere).unwrap(), "mine");
    assert!(out.symlink_metadata().unwrap().is_file() && mode(&out) == 0o644);
}

/// Those in it are good wherever it is read, and mean what they meant to the original.
#[test]
fn relative_paths_are_made_absolute() {
    let handler = json!({
        "type": "etcd", "server_url": "https://127.0.0.1:1", "certificate_path": "c.pem",
        "certificate_key_path": "keys/k.pem", "certificate_ca_path": "/etc/ca.pem",
    });
    let directory = files(&[("storage.conf", json!({"storage_handlers": handler}))]);
    let here = directory.path().canonicalize().unwrap();
    std::fs::create_dir(here.join("keys")).unwrap();
    std::fs::write(here.join("keys/k.pem"), "").unwrap();
    std::fs::set_permissions(here.join("keys/k.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let ran = import(directory.path(), &[], &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let at = |name: &str| format!("\"{}\"\n", here.join(name).display());
    for line in [
        format!("certificate_file = {}", at("c.pem")),
        format!("key_file = {}", at("keys/k.pem")),
        "ca_file = \"/etc/ca.pem\"\n".to_owned(),
    ] {
        assert!(ran.stdout.contains(&line), "{line}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("was started: c.pem, keys/k.pem\n"), "{}", ran.stderr);
    let missing = format!("there is no file {}\n", here.join("c.pem").display());
    assert!(ran.stderr.contains(&missing), "{}", ran.stderr);

    let directory = files(&[("commissaire.conf", json!({}))]);
    let nobody = format!("https://127.0.0.1:{}", testkit::free_pair());
    let variables = [("ETCD_MACHINES", nobody.as_str()), ("ETCD_CACERT", "ca.pem")];
    let ran = import(directory.path(), &variables, &["--without-etcd"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let here = directory.path().canonicalize().unwrap().join("ca.pem");
    assert!(ran.stdout.contains(&format!("ca_file = \"{}\"\n", here.display())), "{}", ran.stdout);
}

/// Where `ETCD_MACHINES` is set, each of the original's programs has its configuration from there.
#[test]
fn what_is_in_etcd_comes_before_the_files() {
    let etcd = testkit::Etcd::start(1);
    let put = |name: &str, object: Value| {
        etcd.etcdctl(&["put", &format!("/commissaire/config/{name}"), &object.to_string()]).ok();
    };
    put("commissaire", json!({"listen-port": 9000}));
    put("watcher", json!({"bus-uri": "redis://u:hunter2@r"}));
    let directory = files(&[
        ("commissaire.conf", json!({"listen-port": 9001, "listen-interface": "127.0.0.1"})),
        ("investigator.conf", json!({"debug": true})),
    ]);
    let machines = etcd.endpoint(0);
    let ran = import(directory.path(), &[("ETCD_MACHINES", &machines)], &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for line in ["base_port = 9000\n", "bind = [\"0.0.0.0\"]\n", &format!("endpoints = [\"{machines}\"]\n")] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    for line in [
        "taken: etcd: /commissaire/config/commissaire: listen-port: base_port = 9000\n",
        "no counterpart: etcd: /commissaire/config/watcher: bus-uri: no bus is served yet",
        "/old/investigator.conf: debug: there is one process",
        "note: there is no /commissaire/config/storage in etcd\n",
        "note: `netloc` becomes part of certificates",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

/// What etcd has would count, so nothing is made of the files without it; unless somebody says so.
#[test]
fn an_etcd_that_cannot_be_asked_ends_the_import() {
    let etcd = testkit::Etcd::start(1);
    etcd.etcdctl(&["put", "/commissaire/config/watcher", "[]"]).ok();
    let nobody = format!("127.0.0.1:{}", testkit::free_pair());
    let directory = files(&[("commissaire.conf", json!({"listen-port": 9000}))]);
    for (machines, what) in [
        (&nobody, "/commissaire/config/commissaire in etcd cannot be used: could not connect to etcd"),
        (&etcd.endpoint(0), "/commissaire/config/watcher in etcd cannot be used: is no JSON object"),
    ] {
        let variables = [("ETCD_MACHINES", machines.as_str())];
        let ran = import(directory.path(), &variables, &["--out", "provost.toml"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(78), ""), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("error: ETCD_MACHINES: {what}")), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: what is there comes before the files; "), "{}", ran.stderr);
        let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "it is asked until it fails: {}", ran.stderr);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is written");

        let ran = import(directory.path(), &variables, &["--without-etcd"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stdout.contains("base_port = 9000\n"), "{}", ran.stdout);
        assert!(ran.stdout.contains("engine = \"etcd\"\n"), "it is where things are kept: {}", ran.stdout);
        assert!(ran.stderr.contains("note: etcd was not asked"), "{}", ran.stderr);
    }
}

#[test]
fn everything_wrong_is_told_and_nothing_is_written() {
    let directory = files(&[
        (
            "commissaire.conf",
            json!({"listen-port": 70000, "authentication-plugins": [{"name": "httpbasicauht"}]}),
        ),
        ("storage.conf", json!({"storage_handlers": [{}]})),
        ("watcher.conf", json!([])),
    ]);
    let old = directory.path().join("old").display().to_string();
    let ran =
        import(directory.path(), &[("ETCD_TLSPEM", "/a"), ("ETCD_MACHINES", "")], &["--out", "provost.toml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(78), ""));
    for line in [
        format!(
            "error: {old}/commissaire.conf: authentication-plugins: there is no authentication plugin `httpbasicauht`"
        ),
        format!("error: {old}/commissaire.conf: listen-port: must be between 1 and 65535, not 70000"),
        format!("error: {old}/storage.conf: storage-handlers: a handler in it has no `type`"),
        format!("error: {old}/watcher.conf: is no JSON object"),
    ] {
        assert!(ran.stderr.contains(&line), "{line}:\n{}", ran.stderr);
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let empty = files(&[]);
    let ran = import(empty.path(), &[], &[]);
    assert_eq!(ran.code, Some(78));
    assert!(ran.stderr.contains("there is no configuration of Commissaire's in it"), "{}", ran.stderr);
    // A file where the directory is to be named is one mistake, not one for each name that is looked for in it.
    std::fs::write(empty.path().join("commissaire.conf"), "{}").unwrap();
    let ran = provost_in(empty.path(), &[], &["config", "import", "--from", "commissaire.conf"]);
    assert_eq!(ran.code, Some(78));
    let here = empty.path().canonicalize().unwrap();
    let expected = format!(
        "error: {0}/commissaire.conf: is no directory\n\
         hint: the files are found by their names, in the directory that is named: --from {0}\n",
        here.display()
    );
    assert_eq!(ran.stderr, expected);
}

/// As an operator goes over: the old program's name on its own files, its etcd and its certificate, then the import, then
/// `provost up` in the same data directory.
#[test]
fn both_names_answer_the_same() {
    let etcd = testkit::Etcd::start(1);
    let mut port = testkit::free_pair().to_string();
    let directory = files(&[]);
    let here = directory.path();
    openssl_ok(
        here,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "k.pem",
            "-out",
            "c.pem",
            "-days",
            "9",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
    let pem = ["k.pem", "c.pem"].map(|name| std::fs::read_to_string(here.join(name)).unwrap()).concat();
    store::private_file::replace(&here.join("old/server.pem"), pem.as_bytes()).unwrap();
    std::fs::write(here.join("old/users.json"), json!({"alice": {"hash": SECRET}}).to_string()).unwrap();
    let handler =
        json!({"type": "commissaire.storage.etcd", "server_url": etcd.endpoint(0), "models": ["*"]});
    std::fs::write(here.join("old/storage.conf"), json!({"storage_handlers": [handler]}).to_string())
        .unwrap();

    let links = tempfile::tempdir().unwrap();
    let old_name = links.path().join("commissaire-server");
    std::os::unix::fs::symlink(PROVOST, &old_name).unwrap();
    let client = testkit::http::trusting(&here.join("c.pem"));
    let answers = |program: &Path, options: &[&str], port: &str| {
        let mut command = Command::new(program);
        command.args(options).current_dir(here).env_clear().env("PROVOST_DATA", here.join("data"));
        let process = Process::spawn(&mut command);
        process.wait_for_stderr(|said| said.contains("is kept in") || said.contains("next:"))?;
        let url = format!("https://127.0.0.1:{port}/api/v0");
        let made = client.put(format!("{url}/cluster/web")).basic_auth("alice", Some("secret")).body("{}");
        let made = made.send().unwrap().status().as_u16();
        let mut all = vec![format!("{made}")];
        for path in
            ["hosts", "clusters", "cluster/web", "networks", "network/default", "containermanagers", "host/a"]
        {
            for password in ["secret", "wrong"] {
                let asked =
                    client.get(format!("{url}/{path}")).basic_auth("alice", Some(password)).send().unwrap();
                all.push(format!("{path} {} {}", asked.status(), asked.text().unwrap()));
            }
        }
        process.terminate();
        let ran = process.wait();
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        Ok::<_, String>(all)
    };
    let before = loop {
        let conf = json!({
            "listen-interface": "127.0.0.1", "listen-port": port.parse::<u16>().unwrap(),
            "tls-pemfile": "old/server.pem", "bus-uri": "redis://127.0.0.1:6379/",
            "authentication-plugins": [
                {"name": "commissaire_http.authentication.httpbasicauth", "filepath": "old/users.json"}],
        });
        std::fs::write(here.join("old/commissaire.conf"), conf.to_string()).unwrap();
        match answers(&old_name, &["-c", "old/commissaire.conf"], &port) {
            Ok(answers) => break answers,
            Err(said) if said.contains("in use already") => port = testkit::free_pair().to_string(),
            Err(said) => panic!("{said}"),
        }
    };
    assert!(before.iter().any(|answer| answer.starts_with("cluster/web 200")), "{before:?}");
    let ran = import(here, &[], &["--out", "data/provost.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let after = answers(Path::new(PROVOST), &["up"], &port).unwrap();
    assert_eq!(after, before);
}

/// What was imported is what `provost up` then serves.
#[test]
fn what_was_imported_is_served() {
    let users = json!({"alice": {"hash": SECRET}});
    let conf = json!({
        "listen-interface": "127.0.0.1",
        "authentication-plugins": [{"name": "httpbasicauth", "users": users}],
    });
    let directory = files(&[("commissaire.conf", conf)]);
    assert_eq!(import(directory.path(), &[], &["--out", "provost.toml"]).code, Some(0));
    let config = directory.path().join("provost.toml").display().to_string();
    let house = plan(Face::Up).option("config", &config).start();
    let url = house.http_url("/api/v0/hosts");
    let asked = |password: &str| {
        let asked = testkit::http::anybody().get(&url).basic_auth("alice", Some(password));
        asked.send().unwrap().status().as_u16()
    };
    assert_eq!((asked("secret"), asked("wrong")), (200, 403));
    assert!(std::net::TcpStream::connect(("127.0.0.1", house.port() + 1)).is_err(), "there is one door");
    ended_without_a_fault(house);
}
