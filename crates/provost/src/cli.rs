//! The command line of `provost`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::cli::{ca, cache, fleet, trust};
use base::{Clock, Entropy, Explain, report};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use engine::Tasks;
use sd_notify::NotifyState;
use serde_json::{Value, json};
use x509::PrivateKey;

use crate::compat::commissaire::import;
use crate::face::Face;
use crate::settings::{Config, Problem, Settings, Surroundings, reference, shown, with_flags};
use crate::up;
use crate::{documents, links, output, playbooks, relocate, service_manager};

/// Exit code for settings that are wrong (`EX_CONFIG` of sysexits.h).
const WRONG_SETTINGS: u8 = 78;

/// Runs what `arguments` ask for; the first is the program's name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    match command().try_get_matches_from(arguments) {
        Ok(matches) => dispatch(&matches),
        Err(usage) => {
            // Help and version arrive here as well, with exit code 0 and for standard output.
            let _ = usage.print();
            ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
        }
    }
}

/// The whole command line, from which help, completions and manual pages are made.
pub fn command() -> Command {
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON");
    let directory = |help: &'static str| {
        Arg::new("dir").value_name("DIR").value_parser(value_parser!(PathBuf)).help(help)
    };
    let force =
        Arg::new("force").long("force").action(ArgAction::SetTrue).help("Replace other files of these names");
    let path = |long: &'static str, value: &'static str, help: &'static str| {
        Arg::new(long).long(long).value_name(value).value_parser(value_parser!(PathBuf)).help(help)
    };
    let shell = Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell));
    let config = Command::new("config")
        .about("Look at settings")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            with_flags(Command::new("check"))
                .about("Check the settings that `provost up` would use, and print them")
                .long_about(
                    "Check the settings that `provost up` would use with the same flags, environment and file, \
                     and print each with its value and where it was said. Exit code 78 when something is wrong.",
                )
                .arg(json.clone()),
        )
        .subcommand(
            Command::new("import")
                .about("Make our settings of the configuration files of Commissaire")
                .long_about(
                    "Make our settings of Commissaire's: commissaire.conf, storage.conf and the other services' files in \
                     DIR, and the variables ETCD_*. Says what was taken, and what has no counterpart and why; nothing is \
                     written when anything is wrong (exit code 78). Where ETCD_MACHINES names an etcd, its keys under \
                     /commissaire/config come before the files; that it cannot be asked is wrong as well, unless \
                     --without-etcd says that the files are enough. Relative paths start from the working directory, as \
                     they do for commissaire-server: run this where that is started. With --out, who signs in goes into \
                     sign-in.json beside FILE, and the password for etcd into etcd-password, both for their owner alone; \
                     without, the settings are printed and nothing is written.",
                )
                .arg(path("from", "DIR", "Where Commissaire's files are [default: /etc/commissaire]"))
                .arg(path("out", "FILE", "Where our settings go"))
                .arg(
                    Arg::new("without-etcd")
                        .long("without-etcd")
                        .action(ArgAction::SetTrue)
                        .help("Read the files alone, whatever configuration there is in etcd"),
                )
                .arg(force.clone())
                .arg(json.clone()),
        )
        .subcommand(
            Command::new("playbooks")
                .about("Write the playbooks that come with the program into a directory")
                .long_about(
                    "Write the playbooks that come with the program into a directory, where they can be changed for \
                     fleet.ansible.playbooks_folder. Those that are to stay as they are can be removed there again.",
                )
                .arg(directory("The directory for the playbooks").required(true))
                .arg(force.clone()),
        )
        .subcommand(Command::new("reference").about("Print a configuration file that explains every setting"));
    let provost = Command::new("provost")
        .about("One program that keeps a fleet in order")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            with_flags(Command::new("up"))
                .about("Serve")
                .long_about(
                    "Serve, until SIGTERM or SIGINT. The first start makes what is missing, and says what to do \
                     next. Every flag may also be given as an environment variable or in the configuration file; \
                     flags come first, then variables, then the file.",
                ),
        )
        .subcommand(
            fleet::with_nouns(Command::new("fleet"))
                .about("Look after hosts, clusters, networks and container managers")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .disable_help_subcommand(true),
        );
    // What operators type all day needs no `fleet` before it.
    trust::with_noun(cache::with_noun(ca::with_noun(fleet::with_nouns(provost))))
        .subcommand(config)
        .subcommand(
            Command::new("store")
                .about("Look after where everything is remembered")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(
                    with_flags(Command::new("move"))
                        .about("Move what the database in the data directory has into the etcd of the settings")
                        .long_about(
                            "Move what the database in the data directory has into the etcd of the settings, which \
                             nobody may have used yet. Stop `provost up` before. What was interrupted goes on when it \
                             is run again. The database is kept under another name.",
                        ),
                ),
        )
        .subcommand(
            Command::new("links")
                .about("Make links for the names of the programs that Provost replaces")
                .arg(directory("The directory for the links").required(true))
                .arg(force),
        )
        .subcommand(Command::new("openapi").about("Print the description of the interface /v1, in OpenAPI 3.1"))
        .subcommand(
            Command::new("completions")
                .about("Print completions for a shell, or write them into a directory")
                .long_about(
                    "Print completions for a shell. With DIR, write them there instead, for provost and for each name \
                     that `provost links` makes, a file each.",
                )
                .arg(shell)
                .arg(directory("The directory for the completions, which must exist")),
        )
        .subcommand(
            Command::new("man")
                .about("Print the manual page, or write those of all commands into a directory")
                .long_about(
                    "Print the manual page of provost. With DIR, write it there instead, with those of all its \
                     commands and of each name that `provost links` makes.",
                )
                .arg(directory("The directory for the pages, which must exist")),
        )
}

fn dispatch(line: &ArgMatches) -> ExitCode {
    let (name, matches) = line.subcommand().expect("clap demands a subcommand");
    match name {
        "up" => up(matches),
        "fleet" => look_after(matches),
        noun if fleet::is_noun(noun) => look_after(line),
        noun if ca::is_noun(noun) => {
            let surroundings = ca::Surroundings {
                clock: Clock::system(),
                keys: |spec| {
                    Box::pin(async move { Tasks::new().compute(move || PrivateKey::generate(spec)).await })
                },
                tell: tell_service_manager,
                watchdog: service_manager::watchdog_period(),
            };
            ca::run(line, Surroundings::of_process().data(), &surroundings)
        }
        noun if cache::is_noun(noun) => {
            cache::run(line, Surroundings::of_process().data(), Clock::system(), Entropy::system())
        }
        noun if trust::is_noun(noun) => trust::run(line, Surroundings::of_process().data()),
        "config" => match matches.subcommand() {
            Some(("check", matches)) => check(matches),
            Some(("import", matches)) => import_settings(matches),
            Some(("playbooks", matches)) => {
                let directory = directory(matches).expect("clap demands DIR");
                ended(playbooks::write(directory, matches.get_flag("force")))
            }
            _ => printed(output::data(&reference())),
        },
        "store" => {
            let (_, matches) = matches.subcommand().expect("clap demands a subcommand");
            match Settings::from(&Config::gather(matches, Surroundings::of_process())) {
                Ok(settings) => relocate::run(&settings),
                Err(problems) => wrong_settings(&problems),
            }
        }
        "links" => {
            let directory = directory(matches).expect("clap demands DIR");
            ended(links::make(directory, matches.get_flag("force")))
        }
        "openapi" => printed(output::data(server::openapi())),
        "completions" => {
            let shell = *matches.get_one::<Shell>("shell").expect("clap demands SHELL");
            match directory(matches) {
                Some(directory) => ended(documents::write_completions(shell, directory)),
                None => printed(output::data(&documents::completions(shell))),
            }
        }
        "man" => match directory(matches) {
            Some(directory) => ended(documents::write_manual_pages(directory)),
            None => printed(output::data(&documents::manual_page())),
        },
        other => unreachable!("clap knows no command `{other}`"),
    }
}

/// Tells the service manager a line of sd_notify(3).
fn tell_service_manager(line: &str) {
    match line {
        // Whoever says this says when as well.
        "RELOADING=1" => match NotifyState::monotonic_usec_now() {
            Ok(now) => service_manager::tell(&[NotifyState::Reloading, now]),
            Err(_) => service_manager::tell(&[NotifyState::Reloading]),
        },
        line => service_manager::tell(&[NotifyState::Custom(line)]),
    }
}

/// Runs a command about the fleet; `nouns` is what has one of them as its subcommand.
fn look_after(nouns: &ArgMatches) -> ExitCode {
    fleet::run(nouns, Surroundings::of_process().data(), &Entropy::system())
}

fn directory(matches: &ArgMatches) -> Option<&Path> {
    matches.get_one::<PathBuf>("dir").map(PathBuf::as_path)
}

fn up(matches: &ArgMatches) -> ExitCode {
    match Settings::from(&Config::gather(matches, Surroundings::of_process())) {
        Ok(settings) => up::run(settings, Face::Provost),
        Err(problems) => wrong_settings(&problems),
    }
}

fn check(matches: &ArgMatches) -> ExitCode {
    let config = Config::gather(matches, Surroundings::of_process());
    let as_json = matches.get_flag("json");
    let settings = match Settings::from(&config) {
        Ok(settings) => settings,
        Err(problems) => {
            if as_json {
                let problems = problems.iter().map(problem_json).collect::<Vec<_>>();
                let _ = output::data(&format!("{:#}\n", json!({ "ok": false, "problems": problems })));
            }
            return wrong_settings(&problems);
        }
    };
    for note in &settings.notes {
        output::note(format_args!("note: {note}"));
    }
    let text = if as_json { summary_json(&config, &settings) } else { summary(&config, &settings) };
    printed(output::data(&text))
}

fn import_settings(matches: &ArgMatches) -> ExitCode {
    let path = |name: &str| matches.get_one::<PathBuf>(name).map(PathBuf::as_path);
    let wanted = import::Wanted {
        from: path("from").unwrap_or(Path::new("/etc/commissaire")),
        out: path("out"),
        force: matches.get_flag("force"),
        without_etcd: matches.get_flag("without-etcd"),
        json: matches.get_flag("json"),
    };
    import::run(&wanted, Surroundings::of_process(), WRONG_SETTINGS)
}

/// A line for every setting: its name, its value, where it was said.
fn summary(config: &Config, settings: &Settings) -> String {
    let rows: Vec<_> = shown(settings)
        .into_iter()
        .map(|(name, value)| (name, plain(&value), config.origin(name).to_string()))
        .collect();
    let name_width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    let value_width = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value, origin) in rows {
        let _ = writeln!(text, "{name:name_width$}  {value:value_width$}  {origin}"); // to a String: cannot fail
    }
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn summary_json(config: &Config, settings: &Settings) -> String {
    let settings_json: serde_json::Map<_, _> = shown(settings)
        .into_iter()
        .map(|(name, value)| {
            (name.to_owned(), json!({ "value": value, "origin": config.origin(name).to_string() }))
        })
        .collect();
    let summary = json!({
        "ok": true,
        "file": config.file().map(|path| path.display().to_string()),
        "settings": settings_json,
        "notes": settings.notes.iter().map(problem_json).collect::<Vec<_>>(),
    });
    format!("{summary:#}\n")
}

fn problem_json(problem: &Problem) -> Value {
    json!({
        "origin": problem.origin.to_string(),
        "key": problem.key,
        "what": problem.what,
        "hint": problem.hint,
    })
}

fn wrong_settings(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        output::error(problem, problem.hint.as_ref());
    }
    ExitCode::from(WRONG_SETTINGS)
}

/// The exit code after something was written.
fn printed(written: io::Result<()>) -> ExitCode {
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(format_args!("could not write: {error}"), None::<&str>);
            ExitCode::from(base::Kind::Unavailable.exit_code())
        }
    }
}

/// The exit code after something was done; says what went wrong.
fn ended<E: Explain>(done: Result<(), E>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    output::error(report(&error), error.help());
    ExitCode::from(error.kind().exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        command().debug_assert();
    }
}
