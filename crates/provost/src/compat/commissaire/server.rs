//! `commissaire-server`, by its own name: the options, defaults, files and precedence of the original. What it has no
//! word for, such as where data is kept, Provost's own environment variables say.
//!
//! ```text
//! command line ─► etcd's /commissaire/config/commissaire, else the file ─► PROVOST_… ─► storage.conf, ETCD_… ─► defaults
//! ```
//! Everything that the original's services did is done in this process.
//!
//! Source: the contract of `/api/v0`, section 7.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::conf::{self, Conf, DIRECTORY, Place};
use super::sign_in::{self, SignIn};
use super::storage::{COMMON, is_of_custodia};
use super::translate;
use super::variables::EtcdVariables;
use crate::face::Face;
use crate::output;
use crate::settings::{
    Config, Origin, Password, Problem, Said, Settings, SignInFile, StoreEngine, Surroundings, Value,
    WhichDoors,
};
use crate::up;

/// Exit code for wrong usage.
const WRONG_USAGE: u8 = 2;

/// Options that are a setting each: the name, its short form, and the setting.
const OPTIONS: [(&str, Option<char>, &str, &str, &str); 4] = [
    ("listen-interface", Some('i'), "ADDRESS", "bind", "Address to listen on [default: 0.0.0.0]"),
    ("listen-port", Some('p'), "PORT", "base_port", "Port to listen on [default: 8000]"),
    ("tls-pemfile", None, "FILE", "server.tls_file", "Certificate and key as PEM; TLS is on with it"),
    (
        "tls-clientverifyfile",
        None,
        "FILE",
        "server.client_ca_file",
        "Authorities that clients must have a certificate of",
    ),
];

/// Runs `commissaire-server` with `arguments`, the first of which is its name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(if usage.exit_code() == 0 { 0 } else { WRONG_USAGE });
        }
    };
    let mut notes = Vec::new();
    let settings = settings(&matches, Surroundings::of_process(), &mut notes);
    for note in notes {
        output::note(note);
    }
    match settings {
        Ok(settings) => up::run(settings, Face::Commissaire),
        Err(problems) => {
            for problem in problems.iter().map(|problem| Face::Commissaire.problem(problem)) {
                output::error(&problem, problem.hint.as_ref());
            }
            ExitCode::from(WRONG_USAGE)
        }
    }
}

/// The option for a setting, if there is one.
pub fn option(setting: &str) -> Option<String> {
    let found = OPTIONS.iter().find(|(_, _, _, known, _)| *known == setting);
    found.map(|(long, ..)| format!("--{long}"))
}

/// The whole command line.
pub fn command() -> Command {
    let text = |long: &'static str, value: &'static str, help: &'static str| {
        Arg::new(long).long(long).value_name(value).value_parser(value_parser!(OsString)).help(help)
    };
    let switch = |long: &'static str, help| Arg::new(long).long(long).action(ArgAction::SetTrue).help(help);
    let options = OPTIONS.iter().map(|(long, short, value, _, help)| match short {
        Some(short) => text(long, value, help).short(*short),
        None => text(long, value, help),
    });
    Command::new("commissaire-server")
        .about("Server for hosts and clusters")
        .infer_long_args(true)
        .args_override_self(true)
        .arg(switch("debug", "Log more"))
        .arg(
            text("config-file", "FILE", "Configuration, or - for standard input [default: /etc/commissaire/commissaire.conf, if there]")
                .short('c'),
        )
        .arg(switch("no-config-file", "Ignore any configuration, in files and in etcd"))
        .args(options)
        .arg(
            text("authentication-plugin", "MODULE:key=value,…", "How people sign in; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(text("self-auth", "PATH", "Path that authenticates by itself; may be repeated").action(ArgAction::Append))
        .arg(text("bus-exchange", "NAME", "Not used: no bus is served [default: commissaire]"))
        .arg(text("bus-uri", "URL", "Not used: no bus is served"))
}

/// What all of it means, or everything that is wrong with it; `notes` is what to say either way.
fn settings(
    matches: &ArgMatches,
    surroundings: Surroundings,
    notes: &mut Vec<String>,
) -> Result<Settings, Vec<Problem>> {
    let mut problems = Vec::new();
    let variables = EtcdVariables::read(&surroundings).unwrap_or_else(|wrong| {
        problems.extend(wrong);
        None
    });
    notes.extend(variables.iter().flat_map(EtcdVariables::shown));
    let mut config = Config::empty(surroundings);
    options(matches, &mut config, &mut problems);
    let [server, storage] = places(matches).map(|(name, place)| {
        let found = conf::find(name, &place?, variables.as_ref(), notes);
        found.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        })
    });
    if let Some(conf) = &server {
        problems.extend(translate::server(conf, &mut config, None));
        notes.extend(conf.passed_over(&translate::MEMBERS).iter().map(worded));
    }
    config.read_variables();
    let kept = translate::store(storage.as_ref(), variables.as_ref(), &mut config, None);
    if let Some(conf) = &storage {
        let known = [&COMMON[..], &["storage-handlers"]].concat();
        let unknown = conf.passed_over(&known).into_iter().filter(|problem| !is_of_custodia(problem));
        notes.extend(unknown.map(|problem| worded(&problem)));
    }
    notes.extend(kept.lost.iter().map(worded));
    problems.extend(kept.problems);
    translate::defaults(&mut config);
    let sign_in = sign_in(matches, server.as_ref(), &config, &mut problems);
    let on_the_bus = |conf: &Conf| conf.member("bus-uri").is_some();
    if matches.contains_id("bus-uri") || server.as_ref().is_some_and(on_the_bus) {
        notes.push(
            "bus-uri is not used: no bus is served yet, and this process does what the services did".into(),
        );
    }
    let mut settings = match (Settings::from(&config), problems.is_empty()) {
        (Ok(settings), true) => settings,
        (Ok(_), false) => return Err(problems),
        (Err(more), _) => {
            let hinted = more.into_iter().map(|problem| match problem.key.as_deref() {
                Some("data") => problem.hint("say where with PROVOST_DATA"),
                _ => problem,
            });
            problems.extend(hinted);
            return Err(problems);
        }
    };
    if settings.store.engine == StoreEngine::Etcd
        && config.origin("store.etcd.endpoints") == Origin::Variable("ETCD_MACHINES".to_owned())
        && config.said("store.etcd.user").is_none()
    {
        let user = variables.and_then(|variables| variables.user);
        settings.store.etcd.user = user.map(|(name, password)| (name, Password::Said(password)));
    }
    match sign_in {
        Some(file) => {
            settings.notes.extend(file.notes.clone());
            settings.fleet.sign_in = Some(file);
        }
        None if settings.fleet.sign_in.is_some() || settings.fleet.token_review.is_some() => {}
        None => {
            let who = match settings.doors.which {
                WhichDoors::Http => "everybody is refused",
                WhichDoors::Both | WhichDoors::Https => "only administrators' certificates let anybody in",
            };
            notes.push(format!("no authentication plugin is configured: {who}"));
        }
    }
    Ok(settings)
}

fn worded(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{problem} ({hint})"),
        None => problem.to_string(),
    }
}

/// Where the server's configuration is, and that of the storage service, by their names; nowhere, where none is to
/// be read.
fn places(matches: &ArgMatches) -> [(&'static str, Option<Place>); 2] {
    let named = matches.get_one::<OsString>("config-file").map(Path::new);
    let server =
        named.map_or_else(|| Place::Perhaps(Path::new(DIRECTORY).join("commissaire.conf")), Place::named);
    // What belongs together lies together.
    let beside = match &server {
        Place::File(path) => path.parent().unwrap_or(Path::new("")).to_owned(),
        Place::Perhaps(_) | Place::Input => PathBuf::from(DIRECTORY),
    };
    let storage = Place::Perhaps(beside.join("storage.conf"));
    let is_read = !matches.get_flag("no-config-file");
    [("commissaire", server), ("storage", storage)].map(|(name, place)| (name, is_read.then_some(place)))
}

/// Says what the command line says.
fn options(matches: &ArgMatches, config: &mut Config, problems: &mut Vec<Problem>) {
    for (long, _, _, key, _) in OPTIONS {
        let origin = Origin::Flag(format!("--{long}"));
        match matches.get_one::<OsString>(long).map(|value| value.to_str()) {
            None => {}
            Some(Some(text)) => {
                let value = Value::Text(text.to_owned());
                config.say(key, Said { value, origin, from: None });
            }
            Some(None) => {
                problems.push(Problem { origin, key: None, what: "is not valid UTF-8".into(), hint: None });
            }
        }
    }
    if matches.get_flag("debug") {
        let (value, origin) = (Value::Text("debug".to_owned()), Origin::Flag("--debug".to_owned()));
        config.say("log.level", Said { value, origin, from: None });
    }
}

/// How people sign in, where anybody does.
fn sign_in(
    matches: &ArgMatches,
    server: Option<&Conf>,
    config: &Config,
    problems: &mut Vec<Problem>,
) -> Option<SignInFile> {
    let texts = |name: &str| -> Vec<String> {
        let values = matches.get_many::<OsString>(name).into_iter().flatten();
        values.map(|value| value.to_string_lossy().into_owned()).collect()
    };
    let (plugins, self_auths) = (texts("authentication-plugin"), texts("self-auth"));
    let client_verify_file = config.said("server.client_ca_file").and_then(|said| match &said.value {
        Value::Text(path) => Some(PathBuf::from(path)),
        _ => None,
    });
    let said = sign_in::Said {
        file: server.map(|conf| (conf.path.as_path(), &conf.object)),
        plugins: &plugins,
        self_auths: &self_auths,
        client_verify_file: client_verify_file.as_deref(),
        server_wide: "`tls-clientverifyfile`",
    };
    let path = server.map_or_else(|| PathBuf::from("--authentication-plugin"), |conf| conf.path.clone());
    let found = sign_in::sign_in(&said).and_then(|SignIn { config, notes }| {
        if config.methods.is_empty() && config.open_paths.is_empty() && notes.is_empty() {
            return Ok(None);
        }
        SignInFile::tried_out(path, config, notes).map(Some)
    });
    found.unwrap_or_else(|wrong| {
        problems.extend(wrong);
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Audience, Ports};
    use server::doors::ClientCertificates;

    /// In a place without any file; what it says besides.
    fn of(options: &[&str], variables: &[(&str, &str)]) -> Result<(Settings, Vec<String>), String> {
        let arguments = ["commissaire-server", "--no-config-file"].into_iter().chain(options.iter().copied());
        let matches = command().try_get_matches_from(arguments).map_err(|usage| usage.to_string())?;
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut notes = Vec::new();
        let settings = settings(&matches, Surroundings { variables, root: true }, &mut notes);
        let told = |problems: Vec<Problem>| problems.iter().map(|problem| format!("{problem}\n")).collect();
        settings.map(|settings| (settings, notes)).map_err(told)
    }

    #[test]
    fn clap_finds_no_fault() {
        command().debug_assert();
    }

    /// The contract of `/api/v0`, section 7.1.
    #[test]
    fn the_defaults_are_those_of_the_original() {
        let (settings, notes) = of(&[], &[]).unwrap();
        assert_eq!(settings.bind, ["0.0.0.0".parse().unwrap()]);
        assert_eq!(settings.ports, Ports { http: 8000, https: 8000 });
        assert_eq!(settings.doors.which, WhichDoors::Http);
        assert_eq!(settings.doors.client_certificates, ClientCertificates::Asked);
        assert_eq!(settings.data.as_deref(), Some(Path::new("/var/lib/provost")));
        assert_eq!(settings.store.engine, StoreEngine::Embedded);
        assert_eq!(settings.fleet.plain_http, Audience::Everyone);
        assert!(settings.fleet.api && !settings.ca.api && settings.fleet.sign_in.is_none());
        assert_eq!(settings.log.level, "info");
        assert!(notes.len() == 1 && notes[0].starts_with("no authentication plugin"), "{notes:?}");
    }

    #[test]
    fn every_option_counts() {
        let (settings, notes) = of(
            &[
                "--debug",
                "-i",
                "::1",
                "-p65535",
                "--tls-pem",
                "tls.pem",
                "--tls-client=ca.pem",
                "--authentication-plugin",
                "httpbasicauth",
                "--auth",
                "commissaire.authentication.httpauthclientcert:cn=a",
                "--self",
                "/api/v0/hosts",
                "--bus-exchange",
                "other",
                "--bus-uri",
                "redis://u:hunter2@r/",
            ],
            &[("PROVOST_DATA", "/srv/fleet")],
        )
        .unwrap();
        assert_eq!(settings.bind, ["::1".parse().unwrap()]);
        assert_eq!(settings.ports, Ports { http: 65535, https: 65535 });
        assert_eq!(settings.netloc.to_string(), "[::1]");
        assert_eq!(settings.doors.which, WhichDoors::Https);
        assert_eq!(settings.doors.tls_file.as_deref(), Some(Path::new("tls.pem")));
        assert_eq!(settings.doors.client_certificates, ClientCertificates::Required);
        assert_eq!(settings.doors.client_ca_file.as_deref(), Some(Path::new("ca.pem")));
        assert_eq!(settings.log.level, "debug");
        assert_eq!(settings.data.as_deref(), Some(Path::new("/srv/fleet")));
        let sign_in = settings.fleet.sign_in.as_ref().unwrap();
        let names: Vec<_> =
            sign_in.config.methods.iter().map(identity::sign_in::MethodConfig::name).collect();
        assert_eq!(names, ["basic", "client-certificate"]);
        assert_eq!(sign_in.config.open_paths[0].path, "/api/v0/hosts");
        assert!(notes.len() == 1 && notes[0].starts_with("bus-uri is not used"), "{notes:?}");
    }

    #[test]
    fn without_a_certificate_of_its_own_it_asks_for_none() {
        let (settings, _) = of(&["--tls-clientverifyfile", "ca.pem"], &[]).unwrap();
        assert_eq!(settings.doors.client_certificates, ClientCertificates::Asked);
        let told: Vec<_> = settings.notes.iter().map(ToString::to_string).collect();
        let expected = "--tls-clientverifyfile: counts for nothing: there is no HTTPS port";
        assert_eq!(told.iter().filter(|told| *told == expected).count(), 1, "{told:?}");
    }

    #[test]
    fn the_files_are_where_the_original_has_them() {
        let check = |options: &[&str], expected: [Option<Place>; 2]| {
            let arguments = std::iter::once("commissaire-server").chain(options.iter().copied());
            let matches = command().try_get_matches_from(arguments).unwrap();
            assert_eq!(places(&matches).map(|(_, place)| place), expected, "{options:?}");
        };
        let perhaps = |path: &str| Some(Place::Perhaps(path.into()));
        let storage = "/etc/commissaire/storage.conf";
        check(&[], [perhaps("/etc/commissaire/commissaire.conf"), perhaps(storage)]);
        check(&["-c", "/a/b.conf"], [Some(Place::File("/a/b.conf".into())), perhaps("/a/storage.conf")]);
        check(&["--config", "-"], [Some(Place::Input), perhaps(storage)]);
        check(&["--no-config", "-c", "/a/b.conf"], [None, None]);
    }

    #[test]
    fn the_environment_says_where_etcd_is() {
        let variables = [
            ("ETCD_MACHINES", "https://e:1,f:2"),
            ("ETCD_CACERT", "/ca.pem"),
            ("ETCD_USERNAME", "root"),
            ("ETCD_PASSWORD", "hunter2"),
        ];
        let (settings, notes) = of(&[], &variables).unwrap();
        assert_eq!(settings.store.engine, StoreEngine::Etcd);
        assert_eq!(settings.store.etcd.endpoints, ["https://e:1", "https://f:2"]);
        assert_eq!(settings.store.etcd.namespace.as_str(), "/provost");
        let (name, password) = settings.store.etcd.user.unwrap();
        assert_eq!(name, "root");
        assert!(matches!(password, Password::Said(said) if said.expose() == "hunter2"));
        assert!(
            notes.contains(&"ETCD_PASSWORD=(redacted)".to_owned()) && !notes.concat().contains("hunter2")
        );
        // For its configuration only.
        let ours = [("ETCD_MACHINES", "http://e:1"), ("PROVOST_STORE_ENGINE", "embedded")];
        assert_eq!(of(&[], &ours).unwrap().0.store.engine, StoreEngine::Embedded);
    }

    #[test]
    fn our_own_variables_say_who_signs_in_at_etcd() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        store::private_file::replace(&file, b"correct horse\n").unwrap();
        let theirs =
            [("ETCD_MACHINES", "http://e:1"), ("ETCD_USERNAME", "root"), ("ETCD_PASSWORD", "hunter2")];
        let ours = [
            ("PROVOST_STORE_ETCD_USER", "provost"),
            ("PROVOST_STORE_ETCD_PASSWORD_FILE", file.to_str().unwrap()),
        ];
        for (variables, expected) in [(theirs.to_vec(), "root"), ([&theirs[..], &ours].concat(), "provost")] {
            let (settings, _) = of(&[], &variables).unwrap();
            let (name, password) = settings.store.etcd.user.unwrap();
            let is_said = matches!(password, Password::Said(_));
            assert_eq!((name.as_str(), is_said), (expected, expected == "root"));
        }
    }

    #[test]
    fn everything_wrong_is_told() {
        let check = |options: &[&str], expected: &str| {
            let told = of(options, &[]).unwrap_err();
            assert!(told.contains(expected), "{options:?}: {told}");
        };
        check(&["--nonsense"], "--nonsense");
        check(&["stray"], "stray");
        check(&["--listen-port"], "--listen-port");
        check(&["--listen", "a"], "--listen");
        check(&["-p", "many", "-i", "a b"], "--listen-port: `many` is not a whole number\n");
        check(&["-p", "many", "-i", "a b"], "--listen-interface: `a b` is not a host name");
        check(&["-p", "0"], "--listen-port: must be between 1 and 65535, not 0\n");
        check(&["--auth", "nothing", "-p", "0"], "there is no authentication plugin `nothing`\n");
        let told =
            of(&[], &[("PROVOST_DATE", "/a"), ("ETCD_MACHINES", "a"), ("ETCD_TLSKEY", "/k")]).unwrap_err();
        assert!(
            told.contains("PROVOST_DATE: no setting") && told.contains("ETCD_TLSPEM: is needed"),
            "{told}"
        );
    }
}
