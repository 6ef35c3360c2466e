//! From what was said to what the program needs: the rules about settings. Those about files are in `files`,
//! those about the store in `store_settings`; `notes` has what breaks no rule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Span;
use ca::Names;
use tracing_subscriber::EnvFilter;

use super::cache_settings::cache;
use super::config::{Config, Said, Surroundings};
use super::files::{self, Layout};
use super::fleet_settings::{audience, fleet};
use super::key::{self, KEYS};
use super::netloc::{Host, Netloc, Ports};
use super::problem::{Origin, Problem};
use super::reader::Reader;
use super::{
    AccessLog, Authorities, Authority, CaToken, History, Limits, Log, LogFormat, Settings, WhichDoors,
    door_settings, notes, store_settings,
};

/// The longest validity in days: a CA certificate of the server lives forty times as long, and certificates
/// cannot name a year after 9999 (RFC 5280 §4.1.2.5).
const VALIDITY_DAYS_MAX: f64 = 36_500.0;

/// The longest anything else may take, in days and in seconds.
const DAYS_MAX: f64 = 365_000.0;
const SECONDS_MAX: f64 = 86_400.0;

/// More of anything cannot be counted in a file: TOML's integers end here.
const COUNT_MAX: u64 = i64::MAX.unsigned_abs();

/// What the body of one request may have (caucase contract, section 2.2).
const BODY_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Sizes of RSA keys that can be made.
const KEY_BITS: [u64; 4] = [2048, 3072, 4096, 8192];

/// See [`Settings::from`].
pub fn settings(config: &Config, layout: Layout) -> Result<Settings, Vec<Problem>> {
    let mut reader = Reader::new(config);
    let checked = read(config, &mut reader, layout, &BTreeSet::new());
    let mut problems = reader.problems();
    problems.extend(config.overridden().iter().flat_map(|(name, said)| wrong_by_itself(name, said)));
    problems.sort_by_key(|problem| problem.origin.place());
    match checked {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(problems),
    }
}

/// What is wrong with something that counts for nothing because a flag or a variable says otherwise. It will
/// count on the day when nobody does.
fn wrong_by_itself(name: &'static str, said: &Said) -> Vec<Problem> {
    // Of a machine where everything else is at its default.
    let mut config = Config::empty(Surroundings { variables: Vec::new(), root: true });
    config.say(name, said.clone());
    let mut reader = Reader::new(&config);
    read(&config, &mut reader, Layout::DataDirectory, &BTreeSet::new());
    reader.problems().into_iter().filter(|problem| problem.origin == said.origin).collect()
}

/// See [`Settings::notes_beside`].
pub fn notes_beside(config: &Config, problems: &[Problem]) -> Vec<Problem> {
    let is_of_all = |problem: &Problem| {
        problem.key.is_none() && matches!(problem.origin, Origin::Line(..) | Origin::File(_))
    };
    if config.problems().iter().any(is_of_all) {
        // A file that could not be read may have said anything.
        return Vec::new();
    }
    let mut unknown = BTreeSet::new();
    let mut problems = problems.to_vec();
    // What is wrong is left out, then what stands in one table with what is still wrong, then in the table around that.
    // Names have no more parts than this.
    for tables in 0..4 {
        for problem in &problems {
            unknown.extend(named(config, problem, tables));
        }
        let rest = config.without(&unknown);
        let mut reader = Reader::new(&rest);
        let found = read(&rest, &mut reader, Layout::DataDirectory, &unknown);
        problems = reader.problems();
        if let Some(settings) = found.filter(|_| problems.is_empty()) {
            return settings.notes;
        }
    }
    Vec::new()
}

/// The settings that `problem` is about: one of them, and so many `tables` around it. What is wrong with a file that
/// a setting names is wrong with that setting.
fn named(config: &Config, problem: &Problem, tables: usize) -> Vec<&'static str> {
    let known = problem.key.as_deref().and_then(key::find).map(|key| key.name);
    let is_of_a_file = matches!(problem.origin, Origin::Member(..) | Origin::File(_));
    // What does not count, because somebody with precedence spoke before, leaves open nothing.
    let counts = |name: &&str| {
        problem.origin == Origin::Default
            || config.said(name).is_none_or(|said| said.origin == problem.origin)
    };
    let name = match known.filter(counts) {
        Some(name) => name,
        None if is_of_a_file => "fleet.sign_in",
        None => return Vec::new(),
    };
    let mut place = Some(name);
    for _ in 0..tables {
        place = place.and_then(|place| place.rsplit_once('.')).map(|(table, _)| table);
    }
    let is_within = |name: &str| match place {
        Some(place) => name.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        None => true,
    };
    KEYS.iter().map(|key| key.name).filter(|known| *known == name || is_within(known)).collect()
}

/// `None` only when the reader has noted a problem. Everything is read before anything is given up.
/// What follows from settings that are `unknown` is not noted.
fn read(
    config: &Config,
    reader: &mut Reader<'_>,
    layout: Layout,
    unknown: &BTreeSet<&'static str>,
) -> Option<Settings> {
    let data = match &layout {
        Layout::DataDirectory => data_directory(config, reader).map(Some),
        Layout::Beside(_) => Some(None),
    };
    let doors = door_settings::doors(reader);
    let which = doors.as_ref().map_or(WhichDoors::Both, |doors| doors.which);
    let base_port = reader.is_said("base_port").then(|| base_port(reader, which));
    let netloc = netloc(reader, base_port.flatten());
    let ports = base_port.unwrap_or_else(|| which.ports(netloc.as_ref()?.ports().http).ok());
    let bind = bind(reader, netloc.as_ref());
    let clock_is_right = reader.switch("clock_is_right");
    let store = store_settings::store(reader);
    let ca = authorities(reader);
    let cors_whitelist = reader.parsed_list::<String>("cors.whitelist");
    let cors_keys = reader.path("cors.key_store");
    let server_key = reader.path("server.key_file");
    let fleet = fleet(reader, doors.as_ref().and_then(|doors| doors.client_ca_file.as_deref()));
    let cache = cache(reader);
    let limits = limits(reader);
    let log = log(reader);
    let access_log = access_log(reader);
    let metrics = audience(reader, "metrics.access");
    let history = history(reader);
    let files = data.as_ref().map(|data| match (layout, data) {
        (Layout::Beside(database), _) => files::beside(database, cors_keys, server_key),
        (Layout::DataDirectory, data) => {
            let artifacts = cache.as_ref().and_then(|cache| cache.folder.clone());
            files::within(data.as_deref().unwrap_or(Path::new("")), cors_keys, server_key, artifacts)
        }
    });
    if let Some(files) = &files {
        files::one_each(reader, files, access_log.as_ref());
    }
    let mut settings = Settings {
        data: data?,
        files: files?,
        netloc: netloc?,
        ports: ports?,
        bind: bind?,
        clock_is_right: clock_is_right?,
        doors: doors?,
        store: store?,
        ca: ca?,
        cors_whitelist: cors_whitelist?,
        fleet: fleet?,
        cache: cache?,
        log: log?,
        access_log: access_log?,
        limits: limits?,
        metrics: metrics?,
        history: history?,
        notes: Vec::new(),
    };
    settings.notes = notes::notes(config, reader, &settings, unknown);
    Some(settings)
}

fn data_directory(config: &Config, reader: &mut Reader<'_>) -> Option<PathBuf> {
    if !reader.is_said("data") {
        let found = config.surroundings().data_directory();
        if found.is_none() {
            reader.wrong("data", "nobody says where, and HOME is not set");
        }
        return found;
    }
    let path = reader.path("data")?;
    // The greeting prints commands with it, which may be run from anywhere.
    let absolute = std::path::absolute(&path).map_err(|error| error.to_string());
    reader.or_wrong("data", absolute)
}

fn base_port(reader: &mut Reader<'_>, which: WhichDoors) -> Option<Ports> {
    let port = reader.whole("base_port", 1..=u16::MAX.into())?;
    let ports = which.ports(u16::try_from(port).expect("`whole` keeps to its bound"));
    reader.or_wrong("base_port", ports)
}

/// The name, which nobody has to give for a try on one's own machine.
fn netloc(reader: &mut Reader<'_>, base_port: Option<Ports>) -> Option<Netloc> {
    if reader.is_said("netloc") {
        return reader.parsed("netloc");
    }
    match base_port.map_or(8000, |ports| ports.http) {
        // A name with this port would leave none for HTTPS, which a door alone does not need.
        u16::MAX => reader.or_wrong("netloc", "127.0.0.1".parse()),
        port => reader.or_wrong("netloc", format!("127.0.0.1:{port}").parse()),
    }
}

fn bind(reader: &mut Reader<'_>, netloc: Option<&Netloc>) -> Option<Vec<Host>> {
    if !reader.is_said("bind") {
        return netloc.map(|netloc| vec![netloc.host().clone()]);
    }
    let hosts = reader.parsed_list("bind")?;
    if hosts.is_empty() {
        reader.wrong("bind", "names no address to listen on");
    }
    Some(hosts)
}

fn authorities(reader: &mut Reader<'_>) -> Option<Authorities> {
    let api = reader.switch("ca.api");
    let threshold = reader.fraction("ca.threshold_days", DAYS_MAX).and_then(Span::days_f64);
    let key_bits = key_bits(reader);
    let names = reader.choice("ca.names");
    let names = names.map(|word| if word == "any" { Names::Any } else { Names::Strict });
    let lock_auto_approve_count = reader.switch("ca.lock_auto_approve_count");
    let directory = if reader.is_said("ca.backup_directory") {
        reader.path("ca.backup_directory").map(Some)
    } else {
        Some(None)
    };
    let period = reader.positive("ca.backup_period_days", DAYS_MAX).and_then(Span::days_f64);
    let token = ca_token(reader);
    let services = authority(reader, "services");
    let users = authority(reader, "users");
    Some(Authorities {
        api: api?,
        threshold: threshold?,
        key_bits: key_bits?,
        names: names?,
        lock_auto_approve_count: lock_auto_approve_count?,
        backup_directory: directory?,
        // Backups are told apart by the second in which they were made.
        backup_period: period?.max(Span::seconds(1)),
        token: token?,
        services: services?,
        users: users?,
    })
}

/// The token that CA keys are in. `None` when what is said of it is wrong.
fn ca_token(reader: &mut Reader<'_>) -> Option<Option<CaToken>> {
    const MODULE: &str = "ca.token.module";
    const OTHERS: [&str; 2] = ["ca.token.label", "ca.token.pin_file"];
    let new_keys = reader.switch("ca.token.new_keys");
    if !reader.is_said(MODULE) {
        let alone = OTHERS.into_iter().find(|name| reader.is_said(name));
        return match alone {
            Some(name) => {
                reader.wrong(name, format!("needs `{MODULE}` as well"));
                None
            }
            None => Some(None),
        };
    }
    for name in OTHERS {
        if !reader.is_said(name) {
            reader.wrong(name, format!("is needed where `{MODULE}` is given"));
        }
    }
    let module = reader.path(MODULE);
    if let Some(module) = module.as_ref().filter(|module| !module.is_absolute()) {
        reader.wrong(MODULE, format!("must be a whole path, not {}", module.display()));
    }
    let label = reader.text("ca.token.label");
    // CK_TOKEN_INFO has room for so many.
    if let Some(label) = label.as_ref().filter(|label| label.is_empty() || label.len() > 32) {
        reader.wrong("ca.token.label", format!("must have 1 to 32 bytes, not {}", label.len()));
    }
    let pin_file = reader.path("ca.token.pin_file");
    Some(Some(CaToken { module: module?, label: label?, pin_file: pin_file?, new_keys: new_keys? }))
}

fn key_bits(reader: &mut Reader<'_>) -> Option<u32> {
    let bits = reader.whole("ca.key_bits", 0..=u32::MAX.into())?;
    if !KEY_BITS.contains(&bits) {
        reader.wrong("ca.key_bits", format!("must be 2048, 3072, 4096 or 8192, not {bits}"));
        return None;
    }
    u32::try_from(bits).ok()
}

fn authority(reader: &mut Reader<'_>, name: &str) -> Option<Authority> {
    let key = |last: &str| format!("ca.{name}.{last}");
    let validity = crt_validity(reader, &key("crt_validity_days"));
    let max_csr = reader.whole(&key("max_csr"), 0..=COUNT_MAX);
    let auto_approve_count = reader.whole(&key("auto_approve_count"), 0..=COUNT_MAX);
    Some(Authority { crt_validity: validity?, max_csr: max_csr?, auto_approve_count: auto_approve_count? })
}

fn crt_validity(reader: &mut Reader<'_>, name: &str) -> Option<Span> {
    let validity = reader.positive(name, VALIDITY_DAYS_MAX).and_then(Span::days_f64)?;
    // A CA certificate lives four times as long, less ten seconds, and has a successor when two are left.
    if validity < Span::seconds(6) {
        reader.wrong(name, "must be at least six seconds, which is 0.00007 days");
        return None;
    }
    Some(validity)
}

fn limits(reader: &mut Reader<'_>) -> Option<Limits> {
    let connections_max = reader.whole("limits.connections_max", 1..=1_000_000);
    let header = reader.positive("limits.header_seconds", SECONDS_MAX);
    let body = reader.positive("limits.body_seconds", SECONDS_MAX);
    let idle = reader.positive("limits.idle_seconds", SECONDS_MAX);
    let bytes_per_second_min = reader.whole("limits.bytes_per_second_min", 1..=u32::MAX.into());
    let bodies_bytes_max = reader.whole("limits.bodies_bytes_max", BODY_BYTES_MAX..=COUNT_MAX);
    let drain = reader.fraction("limits.drain_seconds", SECONDS_MAX);
    Some(Limits {
        connections_max: usize::try_from(connections_max?).unwrap_or(usize::MAX),
        header: Duration::from_secs_f64(header?),
        body: Duration::from_secs_f64(body?),
        idle: Duration::from_secs_f64(idle?),
        bytes_per_second_min: u32::try_from(bytes_per_second_min?).unwrap_or(u32::MAX),
        bodies_bytes_max: usize::try_from(bodies_bytes_max?).unwrap_or(usize::MAX),
        drain: Duration::from_secs_f64(drain?),
    })
}

fn log(reader: &mut Reader<'_>) -> Option<Log> {
    let level = reader.text("log.level").and_then(|level| {
        // A single word that is no level would be taken for the name of a part of the program.
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let is_filter = level.contains('=') || level.split(',').any(|word| levels.contains(&word.trim()));
        let parsed = EnvFilter::builder().parse(&level).ok().filter(|_| is_filter);
        let parsed = parsed.ok_or_else(|| format!("`{level}` is no filter"));
        reader.or_wrong("log.level", parsed).map(|_| level)
    });
    let format = reader.choice("log.format");
    let format = if format? == "json" { LogFormat::Json } else { LogFormat::Text };
    Some(Log { level: level?, format })
}

fn access_log(reader: &mut Reader<'_>) -> Option<AccessLog> {
    match reader.text("log.access")?.as_str() {
        "stdout" => Some(AccessLog::Stdout),
        "off" => Some(AccessLog::Off),
        _ => reader.path("log.access").map(AccessLog::File),
    }
}

fn history(reader: &mut Reader<'_>) -> Option<History> {
    let keep = reader.positive("history.keep_days", DAYS_MAX).and_then(Span::days_f64);
    let keep_count = reader.whole("history.keep_count", 1..=COUNT_MAX);
    Some(History { keep: keep?, keep_count: keep_count? })
}

/// What comes of a file with this `text`, for the tests.
#[cfg(test)]
pub fn of_text(text: &str) -> Result<Settings, Vec<Problem>> {
    Settings::from(&config_of_text(text))
}

/// What is noted beside what is wrong with this `text`, for the tests.
#[cfg(test)]
pub fn notes_beside_problems(text: &str) -> Vec<Problem> {
    let config = config_of_text(text);
    Settings::notes_beside(&config, &Settings::from(&config).unwrap_err())
}

#[cfg(test)]
fn config_of_text(text: &str) -> Config {
    let mut config = Config::empty(Surroundings { variables: Vec::new(), root: true });
    config.read_text(Path::new("/etc/provost.toml"), text);
    config
}

#[cfg(test)]
mod tests {
    use super::super::config::Value;
    use super::super::problem::Origin;
    use super::*;

    #[test]
    fn nothing_said_is_enough() {
        let settings = of_text("").unwrap();
        assert_eq!(settings.data.as_deref(), Some(Path::new("/var/lib/provost")));
        assert_eq!(settings.files.database, Path::new("/var/lib/provost/provost.db"));
        assert_eq!(settings.ports, Ports { http: 8000, https: 8001 });
        assert_eq!(settings.bind, ["127.0.0.1".parse().unwrap()]);
        let authority = Authority { crt_validity: Span::days(93), max_csr: 50, auto_approve_count: 0 };
        assert_eq!((settings.ca.services, settings.ca.users), (authority, authority));
        assert_eq!(settings.access_log, AccessLog::Stdout);
        assert_eq!(settings.notes, []);
    }

    #[test]
    fn name_and_ports_follow_each_other() {
        let check = |text: &str, netloc: &str, http: u16, https: u16| {
            let settings = of_text(text).unwrap();
            assert_eq!(settings.netloc.to_string(), netloc, "{text}");
            assert_eq!(settings.ports, Ports { http, https }, "{text}");
        };
        check("base_port = 9000", "127.0.0.1:9000", 9000, 9001);
        check("netloc = \"ca:3000\"", "ca:3000", 3000, 3001);
        check("netloc = \"ca\"", "ca", 80, 443);
        check("netloc = \"ca\"\nbase_port = 8080", "ca", 8080, 8081);
    }

    #[test]
    fn paths_in_a_file_start_from_its_directory() {
        let settings = of_text("data = \"house\"\n[server]\nkey_file = \"/keys/server.pem\"\n").unwrap();
        assert_eq!(settings.data.as_deref(), Some(Path::new("/etc/house")));
        assert_eq!(settings.files.cors_keys, Path::new("/etc/house/cors.key"));
        assert_eq!(settings.files.server_key, Path::new("/keys/server.pem"));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let text = "netloc = \"ca:65535\"\nbase_port = 70000\nbind = [\"127.0.0.1:80\", 4]\n\
                    [ca]\nkey_bits = 1024\nlock_auto_approve_count = \"perhaps\"\nthreshold_days = -1\n\
                    [ca.services]\ncrt_validity_days = 0\nmax_csr = 1.5\n\
                    [ca.users]\ncrt_validity_days = \"long\"\nmax_csr = -1\ncolour = 1\n\
                    [cors]\nkey_store = \"\"\n[log]\nlevel = \"a=b=c\"\nformat = \"xml\"\n\
                    [limits]\nconnections_max = 0\nidle_seconds = nan\n\
                    bodies_bytes_max = 10485759\nbytes_per_second_min = 0\n\
                    [fleet]\napi = 2\nplain_http = \"some\"\ntrusted_proxies = [\"10.0.0.0/8\", \"proxy\"]\n";
        let told: Vec<_> = of_text(text).unwrap_err().iter().map(ToString::to_string).collect();
        let expected = [
            "1: netloc: port 65535 leaves no port above it for HTTPS",
            "2: base_port: must be between 1 and 65535, not 70000",
            "3: bind: `127.0.0.1:80` has a port, which is said with `base_port`",
            "3: bind: is a list of texts, and a whole number stands in it",
            "5: ca.key_bits: must be 2048, 3072, 4096 or 8192, not 1024",
            "6: ca.lock_auto_approve_count: must be true or false, not `perhaps`",
            "7: ca.threshold_days: must be between 0 and 365000, not -1",
            "9: ca.services.crt_validity_days: must be more than 0",
            "10: ca.services.max_csr: must be a whole number, not a number with a fraction",
            "12: ca.users.crt_validity_days: `long` is not a number",
            "13: ca.users.max_csr: must be between 0 and 9223372036854775807, not -1",
            "14: ca.users.colour: no setting has this name",
            "16: cors.key_store: is empty",
            "18: log.level: `a=b=c` is no filter",
            "19: log.format: must be one of text, json, not `xml`",
            "21: limits.connections_max: must be between 1 and 1000000, not 0",
            "22: limits.idle_seconds: must be between 0 and 86400, not NaN",
            "23: limits.bodies_bytes_max: must be between 10485760 and 9223372036854775807, not 10485759",
            "24: limits.bytes_per_second_min: must be between 1 and 4294967295, not 0",
            "26: fleet.api: must be true or false, not a whole number",
            "27: fleet.plain_http: must be one of loopback, everyone, not `some`",
            "28: fleet.trusted_proxies: `proxy` is no address",
        ];
        assert_eq!(told, expected.map(|line| format!("/etc/provost.toml:{line}")));
    }

    #[test]
    fn what_is_overridden_is_checked_all_the_same() {
        let mut config = Config::empty(Surroundings { variables: Vec::new(), root: true });
        for (name, text) in [("netloc", "flag"), ("base_port", "8000"), ("ca.key_bits", "2048")] {
            let value = Value::Text(text.to_owned());
            config.say(name, Said { value, origin: Origin::Flag(format!("--{name}")), from: None });
        }
        let text = "netloc = \"a b\"\nbase_port = 65535\nca.key_bits = 4096\nlog.level = \"=\"\n";
        config.read_text(Path::new("/etc/provost.toml"), text);
        let told: Vec<_> = Settings::from(&config).unwrap_err().iter().map(ToString::to_string).collect();
        let expected = [
            "1: netloc: `a b` is not a host name: only letters, digits, `-` and `.` may stand in it",
            "2: base_port: port 65535 leaves no port above it for HTTPS",
            "4: log.level: `=` is no filter",
        ];
        assert_eq!(told, expected.map(|line| format!("/etc/provost.toml:{line}")));
    }

    #[test]
    fn contradictions_are_problems() {
        let check = |text: &str, expected: &str| {
            let told: Vec<_> = of_text(text).unwrap_err().iter().map(ToString::to_string).collect();
            assert_eq!(told, [expected], "{text}");
        };
        check("bind = []", "/etc/provost.toml:1: bind: names no address to listen on");
        check(
            "base_port = 65535",
            "/etc/provost.toml:1: base_port: port 65535 leaves no port above it for HTTPS",
        );
        check(
            "cors.key_store = \"/k\"\nserver.key_file = \"/k\"",
            "/etc/provost.toml:1: cors.key_store: /k is already the file of server.key_file",
        );
        check(
            "log.access = \"/var/lib/provost/provost.db\"",
            "/etc/provost.toml:1: log.access: /var/lib/provost/provost.db is already the file of the database",
        );
    }

    #[test]
    fn a_token_is_named_wholly_or_not_at_all() {
        const WHOLE: &str = "[ca.token]\nmodule = \"/m.so\"\nlabel = \"hsm\"\npin_file = \"pin\"\n";
        let token = of_text(WHOLE).unwrap().ca.token.unwrap();
        assert_eq!((token.label.as_str(), token.new_keys), ("hsm", true));
        assert_eq!(token.pin_file, Path::new("/etc/pin"));
        assert!(of_text("").unwrap().ca.token.is_none());
        let check = |text: &str, expected: &str| {
            let told: Vec<_> = of_text(text).unwrap_err().iter().map(ToString::to_string).collect();
            assert!(told.len() == 1 && told[0].ends_with(expected), "{text}: {told:?}");
        };
        check("ca.token.label = \"hsm\"", "ca.token.label: needs `ca.token.module` as well");
        check(
            "ca.token.module = \"/m.so\"\nca.token.label = \"hsm\"",
            "ca.token.pin_file: is needed where `ca.token.module` is given",
        );
        check(&WHOLE.replace("hsm", &"x".repeat(33)), "ca.token.label: must have 1 to 32 bytes, not 33");
    }

    /// Whoever chose the name of the house is not told that it is none.
    #[test]
    fn names_are_strict_unless_said_otherwise() {
        for netloc in ["ca.example.com:8000", "[2001:db8::1]:8000", "localhost:8000", "ca.example.zone1"] {
            let names = |rest: &str| of_text(&format!("netloc = \"{netloc}\"\n{rest}")).unwrap().ca.names;
            assert_eq!(names(""), Names::Strict, "{netloc}");
            assert_eq!(names("ca.names = \"strict\""), Names::Strict, "{netloc}");
            assert_eq!(names("ca.names = \"any\""), Names::Any, "{netloc}");
        }
    }
}
