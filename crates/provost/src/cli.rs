//! The command line of `provost`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::cli::{audit as audits, ca, cache, fleet, trust};
use base::{Clock, Entropy, Explain, report};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use engine::Tasks;
use sd_notify::NotifyState;
use serde_json::{Value, json};
use x509::PrivateKey;

use crate::audit;
use crate::compat::commissaire::import;
use crate::compat::takeover;
use crate::face::Face;
use crate::settings::{Config, Problem, Settings, Surroundings, reference, shown, with_flags};
use crate::up;
use crate::{backup, documents, links, output, playbooks, relocate, retire, service_manager};

/// Exit code for settings that are wrong (`EX_CONFIG` of sysexits.h).
pub const WRONG_SETTINGS: u8 = 78;

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
    audit::with_store(audits::with_noun(trust::with_noun(cache::with_noun(ca::with_noun(fleet::with_nouns(provost))))))
        .mut_subcommand("ca", with_takeover)
        .subcommand(config)
        .subcommands(backup::commands())
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

/// `ca` with the commands that open a store, which commands that ask a server never do.
fn with_takeover(ca: Command) -> Command {
    let file = |help: &'static str| {
        Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(PathBuf)).help(help)
    };
    let import = with_flags(Command::new("import"))
        .about("Take over from caucase: its database into a store without authorities")
        .long_about(
            "Take over from caucase: everything in its database FILE goes into the store of the settings, which are those \
             of `provost up`, and which may have no authorities yet. Stop caucase and `provost up` before. FILE is not \
             changed. What cannot be understood is refused, and then nothing is imported. What was interrupted begins anew \
             when it is run again; nobody serves before. Whoever is to go on under the name `caucased` need not do this: \
             `caucased --db FILE` takes over by itself.",
        )
        .arg(file("caucase's database, caucase.sqlite as a rule"))
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Check everything and say what it holds, and import nothing"),
        );
    let export = with_flags(Command::new("export"))
        .about("Leave for caucase: write the authorities into a database of its own")
        .long_about(
            "Leave for caucase: write what the authorities have into a database FILE that caucased 0.9.17 goes on with. The \
             CA keys are in it in clear, as they always are there: FILE is for its owner only. The server may run; then FILE \
             is of this moment, and what is issued or revoked after it is not in it.",
        )
        .arg(file("The database to be made, where nothing may be"))
        .arg(
            Arg::new("db")
                .long("db")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("The database of `caucased`, instead of the store of the settings"),
        );
    let retire = with_flags(Command::new("retire"))
        .about("Give up an authority's CA certificates, whose keys somebody else may have")
        .long_about(
            "Give up all CA certificates of an authority at once, and make another one, which signs from then on: for when \
             somebody else has, or may have, the key. Nobody vouches for the new one, so all who hold certificates begin \
             anew, and all who verify need the new CA certificate put there by hand: the plan says to whom what has to be \
             told, step by step. The settings are those of `provost up`, or of `caucased` with --db. Stop the server before, but \
             for those that use an etcd: they sign nothing with the old key once this has ended. With --dry-run, which only \
             prints the plan, any may run. If it is interrupted, run it again: it goes on.",
        )
        .arg(
            Arg::new("authority")
                .value_name("AUTHORITY")
                .required(true)
                .value_parser(["services", "users", "server"])
                .help("Which authority"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .conflicts_with("yes")
                .help("Print the plan, and change nothing"),
        )
        .arg(Arg::new("yes").long("yes").action(ArgAction::SetTrue).help("Do it: it cannot be undone"))
        .arg(
            Arg::new("again")
                .long("again")
                .action(ArgAction::SetTrue)
                .help("Also retire the CA certificate that an earlier retirement made"),
        )
        .arg(
            Arg::new("db")
                .long("db")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("The database of `caucased`, instead of the store of the settings"),
        );
    // Which server is asked is nothing to commands that ask none.
    let hidden: Vec<_> = asking(&ca).map(|arg| arg.clone().global(false).hide(true)).collect();
    ca.subcommand(import.args(&hidden)).subcommand(export.args(&hidden)).subcommand(retire.args(hidden))
}

/// What commands of `ca` take that ask a server, and these do not.
fn asking(ca: &Command) -> impl Iterator<Item = &Arg> {
    ca.get_arguments().filter(|arg| arg.is_global_set() && arg.get_id() != "json" && arg.get_id() != "data")
}

/// Runs `ca import`, `ca export` and `ca retire`.
fn take_over(name: &str, matches: &ArgMatches) -> ExitCode {
    let line = command();
    let asked = line.find_subcommand("ca").into_iter().flat_map(asking).find(|arg| {
        matches.try_contains_id(arg.get_id().as_str()).unwrap_or(false)
            && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    });
    if let Some(asked) = asked.and_then(Arg::get_long) {
        let hint = "leave the option out";
        output::error(
            format_args!("--{asked} is for commands that ask a server; `ca {name}` asks none"),
            Some(hint),
        );
        return ExitCode::from(2);
    }
    let settings = || Settings::from(&Config::gather(matches, Surroundings::of_process()));
    if name == "retire" {
        return match settings() {
            Ok(settings) => retire::run(matches, settings),
            Err(problems) => wrong_settings(&problems),
        };
    }
    let file = takeover::import::file(matches);
    if name == "export" {
        if let Some(database) = matches.get_one::<PathBuf>("db") {
            return takeover::export::run(file, &takeover::export::Source::Database(database));
        }
        return match settings() {
            Ok(settings) => takeover::export::run(file, &takeover::export::Source::Settings(&settings)),
            Err(problems) => wrong_settings(&problems),
        };
    }
    let wanted = takeover::import::Wanted { file, json: matches.get_flag("json") };
    match settings() {
        Ok(settings) if matches.get_flag("dry-run") => takeover::import::dry_run(&wanted, &settings),
        Ok(settings) => takeover::import::run(&wanted, &settings),
        Err(problems) => wrong_settings(&problems),
    }
}

fn dispatch(line: &ArgMatches) -> ExitCode {
    let (name, matches) = line.subcommand().expect("clap demands a subcommand");
    match name {
        "up" => up(matches),
        "fleet" => look_after(matches),
        noun if fleet::is_noun(noun) => look_after(line),
        "ca" if let Some((name @ ("import" | "export" | "retire"), matches)) = matches.subcommand() => {
            take_over(name, matches)
        }
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
        noun if audits::is_noun(noun) => match audit::store_to_verify(matches) {
            Some(wanted) => audit::verify(&wanted, Surroundings::of_process().data()),
            None => audits::run(line, Surroundings::of_process().data(), &Clock::system()),
        },
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
        "backup" | "restore" => {
            let config = Config::gather(matches, Surroundings::of_process());
            match Settings::from(&config) {
                Ok(settings) if name == "backup" => backup::backup(matches, &config, &settings),
                Ok(settings) => backup::restore(matches, &settings),
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
            let notes = Settings::notes_beside(&config, &problems);
            if as_json {
                let all = |told: &[Problem]| told.iter().map(problem_json).collect::<Vec<_>>();
                let found = json!({ "ok": false, "problems": all(&problems), "notes": all(&notes) });
                let _ = output::data(&format!("{found:#}\n"));
            }
            let code = wrong_settings(&problems);
            tell_notes(&notes);
            return code;
        }
    };
    tell_notes(&settings.notes);
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

fn tell_notes(notes: &[Problem]) {
    for note in notes {
        output::note(format_args!("note: {note}"));
    }
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
