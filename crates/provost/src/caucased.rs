//! `caucased`, by its own name: the options, defaults and exit codes of caucase 0.9.17, and nothing else:
//! no environment variable and no file says anything.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::face::Face;
use crate::output;
use crate::settings::{Config, Origin, Problem, Said, Settings, Surroundings, Value};
use crate::up;

/// The version whose behaviour this is; what `--version` prints.
const VERSION: &str = "0.9.17";

/// Exit code for wrong usage.
const WRONG_USAGE: u8 = 2;

/// An option and the setting that it is.
struct Opt {
    long: &'static str,
    value: &'static str,
    many: Many,
    setting: &'static str,
    help: &'static str,
}

/// How many values an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Many {
    /// One; the last one given counts.
    Last,
    /// One, and the option may be repeated.
    Repeated,
    /// One or more after each other, and the option may be repeated.
    OneOrMore,
}

const OPTIONS: &[Opt] = &[
    opt(
        "netloc",
        "HOST[:PORT]",
        Many::Last,
        "netloc",
        "Name of this service; becomes part of the certificates",
    ),
    opt(
        "base-port",
        "PORT",
        Many::Last,
        "base_port",
        "HTTP port to listen on [default: that of --netloc, or 80]",
    ),
    opt("bind", "ADDR", Many::Repeated, "bind", "Address to listen on [default: host of --netloc]"),
    opt(
        "server-key",
        "PATH",
        Many::Last,
        "server.key_file",
        "Own key and certificate [default: server.key.pem]",
    ),
    opt(
        "cors-key-store",
        "PATH",
        Many::Last,
        "cors.key_store",
        "Keys of the CORS cookie [default: cors.key]",
    ),
    opt("cors-whitelist", "URL", Many::OneOrMore, "cors.whitelist", "Origins that need no permission"),
    opt(
        "threshold",
        "DAYS",
        Many::Last,
        "ca.threshold_days",
        "Renew own certificate this long before its end [default: 31]",
    ),
    opt("key-len", "BITS", Many::Last, "ca.key_bits", "Size of new keys [default: 2048]"),
    opt(
        "service-crt-validity",
        "DAYS",
        Many::Last,
        "ca.services.crt_validity_days",
        "Validity of certificates of services [default: 93]",
    ),
    opt(
        "user-crt-validity",
        "DAYS",
        Many::Last,
        "ca.users.crt_validity_days",
        "Validity of certificates of users [default: 93]",
    ),
    opt(
        "service-max-csr",
        "N",
        Many::Last,
        "ca.services.max_csr",
        "Pending requests for services at most [default: 50]",
    ),
    opt(
        "user-max-csr",
        "N",
        Many::Last,
        "ca.users.max_csr",
        "Pending requests for users at most [default: 50]",
    ),
    opt(
        "service-auto-approve-count",
        "N",
        Many::Last,
        "ca.services.auto_approve_count",
        "Requests for services approved automatically [default: 0]",
    ),
    opt(
        "user-auto-approve-count",
        "N",
        Many::Last,
        "ca.users.auto_approve_count",
        "Requests for users approved automatically [default: 1]",
    ),
    opt(
        "backup-directory",
        "PATH",
        Many::Last,
        "ca.backup_directory",
        "Where backups are put, encrypted for all users; none are made without it",
    ),
    opt(
        "backup-period",
        "DAYS",
        Many::Last,
        "ca.backup_period_days",
        "Time between two backups [default: 1]",
    ),
];

const fn opt(
    long: &'static str,
    value: &'static str,
    many: Many,
    setting: &'static str,
    help: &'static str,
) -> Opt {
    Opt { long, value, many, setting, help }
}

/// Runs `caucased` with `arguments`, the first of which is its name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(usage) if usage.kind() == ErrorKind::DisplayVersion => {
            let _ = output::data(&format!("{VERSION}\n"));
            return ExitCode::SUCCESS;
        }
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(if usage.exit_code() == 0 { 0 } else { WRONG_USAGE });
        }
    };
    match settings(&matches) {
        Ok(settings) => up::run(settings, Face::Caucased),
        Err(problems) => {
            for problem in problems.iter().map(|problem| Face::Caucased.problem(problem)) {
                output::error(&problem, problem.hint.as_ref());
            }
            ExitCode::from(WRONG_USAGE)
        }
    }
}

/// The option for a setting, if there is one.
pub fn option(setting: &str) -> Option<String> {
    if setting == "clock_is_right" {
        return Some("--clock-is-right".to_owned());
    }
    if setting == "ca.lock_auto_approve_count" {
        return Some("--lock-auto-approve-count".to_owned());
    }
    let found = OPTIONS.iter().find(|option| option.setting == setting);
    found.map(|option| format!("--{}", option.long))
}

/// The whole command line.
pub fn command() -> Command {
    let path = |long: &'static str, value, help| {
        Arg::new(long).long(long).value_name(value).value_parser(value_parser!(OsString)).help(help)
    };
    let lock = Arg::new("lock-auto-approve-count")
        .long("lock-auto-approve-count")
        .action(ArgAction::SetTrue)
        .help("Make the two --*-auto-approve-count permanent");
    // The original has no such option, and asks nobody.
    let clock_is_right = Arg::new("clock-is-right")
        .long("clock-is-right")
        .action(ArgAction::SetTrue)
        .help("Start although the clock differs much from when this database was used last");
    Command::new("caucased")
        .about("Certificate authority for users and for services")
        .after_help(
            "As with the original, names of every kind are certified: wildcards, host names of one label, URIs of \
             any scheme. `provost up` certifies those only where its setting `ca.names` is \"any\".",
        )
        .version(VERSION)
        .infer_long_args(true)
        .args_override_self(true)
        .disable_version_flag(true)
        .arg(Arg::new("version").long("version").action(ArgAction::Version).help("Print version"))
        .args(OPTIONS.iter().map(argument))
        .arg(path("db", "PATH", "Database [default: caucase.sqlite]"))
        .arg(lock)
        .arg(clock_is_right)
}

fn argument(option: &'static Opt) -> Arg {
    let argument = Arg::new(option.long)
        .long(option.long)
        .value_name(option.value)
        .value_parser(value_parser!(OsString))
        .allow_negative_numbers(true)
        .required(option.long == "netloc")
        .help(option.help);
    match option.many {
        Many::Last => argument,
        Many::Repeated => argument.action(ArgAction::Append),
        Many::OneOrMore => argument.action(ArgAction::Append).num_args(1..),
    }
}

/// The settings that the options say, with the defaults of `caucased` where they differ.
fn settings(matches: &ArgMatches) -> Result<Settings, Vec<Problem>> {
    let mut config = Config::empty(Surroundings::default());
    let mut problems = Vec::new();
    let mut say = |setting, value, origin| config.say(setting, Said { value, origin, from: None });
    for option in OPTIONS {
        let Some(given) = matches.get_many::<OsString>(option.long) else { continue };
        let origin = Origin::Flag(format!("--{}", option.long));
        let Some(mut texts) = given.map(|text| text.to_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        else {
            problems.push(Problem { origin, key: None, what: "is not valid UTF-8".to_owned(), hint: None });
            continue;
        };
        let value = match option.many {
            Many::Last => Value::Text(texts.pop().unwrap_or_default()),
            Many::Repeated | Many::OneOrMore => Value::List(texts.into_iter().map(Value::Text).collect()),
        };
        say(option.setting, value, origin);
    }
    let lock = Origin::Flag("--lock-auto-approve-count".to_owned());
    say("ca.lock_auto_approve_count", Value::Switch(matches.get_flag("lock-auto-approve-count")), lock);
    let clock = Origin::Flag("--clock-is-right".to_owned());
    say("clock_is_right", Value::Switch(matches.get_flag("clock-is-right")), clock);
    // Said by nobody: the first request for a user is the first administrator's.
    say("ca.users.auto_approve_count", Value::Whole(1), Origin::Default);
    // Who comes from the original has certificates of any names, and requests for more of them.
    say("ca.names", Value::Text("any".to_owned()), Origin::Default);
    // Its clients know of no fleet and no artifacts, and nobody asked for any.
    say("fleet.api", Value::Switch(false), Origin::Default);
    say("cache.api", Value::Switch(false), Origin::Default);
    // Standard error is for the two lines that its users know, and for what is wrong.
    say("log.level", Value::Text("warn".to_owned()), Origin::Default);
    let database =
        matches.get_one::<OsString>("db").map_or_else(|| PathBuf::from("caucase.sqlite"), PathBuf::from);
    let settings = Settings::beside_database(&config, database);
    match (settings, problems.is_empty()) {
        (Ok(settings), true) => Ok(settings),
        (Ok(_), false) => Err(problems),
        (Err(more), _) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use base::Span;
    use ca::Names;

    use super::*;
    use crate::settings::{AccessLog, Ports};

    fn of(options: &str) -> Result<Settings, String> {
        let arguments = std::iter::once("caucased").chain(options.split_whitespace());
        let matches = command().try_get_matches_from(arguments).map_err(|usage| usage.to_string())?;
        settings(&matches).map_err(|problems| problems.iter().map(|problem| format!("{problem}\n")).collect())
    }

    #[test]
    fn clap_finds_no_fault() {
        command().debug_assert();
    }

    /// caucase, section "caucased".
    #[test]
    fn the_defaults_are_those_of_caucased() {
        let settings = of("--netloc ca.example:8009").unwrap();
        assert_eq!(settings.data, None);
        assert_eq!(settings.ports, Ports { http: 8009, https: 8010 });
        assert_eq!(settings.bind, [settings.netloc.host().clone()]);
        assert_eq!(settings.files.database, Path::new("caucase.sqlite"));
        assert_eq!(settings.files.store_key, Path::new("caucase.sqlite.key"));
        assert_eq!(settings.files.server_key, Path::new("server.key.pem"));
        assert_eq!(settings.files.cors_keys, Path::new("cors.key"));
        assert!(settings.files.first_start.is_none());
        assert_eq!(settings.ca.threshold, Span::days(31));
        assert_eq!(settings.ca.key_bits, 2048);
        assert!(!settings.ca.lock_auto_approve_count);
        assert_eq!(settings.ca.names, Names::Any);
        let (services, users) = (settings.ca.services, settings.ca.users);
        assert_eq!((services.crt_validity, users.crt_validity), (Span::days(93), Span::days(93)));
        assert_eq!((services.max_csr, users.max_csr), (50, 50));
        assert_eq!((services.auto_approve_count, users.auto_approve_count), (0, 1));
        assert_eq!((settings.ca.backup_directory, settings.ca.backup_period), (None, Span::days(1)));
        assert_eq!(settings.access_log, AccessLog::Stdout);
        assert_eq!(of("--netloc ca").unwrap().ports, Ports { http: 80, https: 443 });
    }

    #[test]
    fn options_come_as_argparse_takes_them() {
        let settings = of(
            "--cors-whitelist https://a https://b --lock --db=/x/db --service-crt 0.5 --netloc=a --netloc b:1 \
             --backup-dir b --backup-p 0.5 --bind ::1 --cors-w https://c --bind 127.0.0.1 --user-auto 0 --base 3000",
        )
        .unwrap();
        assert_eq!(settings.netloc.to_string(), "b:1");
        assert_eq!(settings.cors_whitelist, ["https://a", "https://b", "https://c"]);
        assert!(settings.ca.lock_auto_approve_count);
        assert_eq!(settings.files.store_key, Path::new("/x/db.key"));
        assert_eq!(settings.ca.services.crt_validity, Span::seconds(43_200));
        assert_eq!(settings.bind.iter().map(ToString::to_string).collect::<Vec<_>>(), ["[::1]", "127.0.0.1"]);
        assert_eq!(settings.ca.users.auto_approve_count, 0);
        assert_eq!(settings.ca.backup_directory.as_deref(), Some(Path::new("b")));
        assert_eq!(settings.ca.backup_period, Span::seconds(43_200));
        assert_eq!(settings.ports, Ports { http: 3000, https: 3001 });
    }

    #[test]
    fn wrong_usage_is_told() {
        let check = |options: &str, expected: &str| {
            let told = of(options).unwrap_err();
            assert!(told.contains(expected), "{options}: {told}");
        };
        check("", "--netloc");
        check("--netloc a --nonsense", "--nonsense");
        check("--netloc a --user 1", "--user");
        check("--netloc a stray", "stray");
        check("--netloc a --cors-whitelist", "--cors-whitelist");
        check("--netloc a --base-port 65535", "--base-port: port 65535 leaves no port above it for HTTPS\n");
        check("--netloc a --threshold -1 --key-len many", "--threshold: must be between 0 and");
        check("--netloc a --threshold -1 --key-len many", "--key-len: `many` is not a whole number\n");
    }
}
