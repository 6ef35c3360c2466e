//! `provost backup` and `provost restore`: all of a house in one file, and a house out of such a file.
//!
//! ```text
//! backup.json               what it is, when it was made, and of which files it has a copy
//! files/NAME                those files of the data directory
//! blobs/64 digits/64 digits the objects that are kept in a directory, by their SHA-512
//! records/00000001.jsonl    the records, all of one moment, a JSON object in each line
//! end.json                  how much of everything there is, the CA certificates, the SHA-512 of all that is before it
//! ```
//! It is a tar file, in that order, inside the encryption of the program `age`: `age -d FILE | tar -t` lists it without
//! this program.
//!
//! The objects come before the records, though records are what says which objects are wanted. While objects are copied,
//! which may take hours, the house goes on, and removes some. So nothing is looked at as one moment meanwhile; that is
//! done when almost all objects are there. What the records of that moment name and was not copied yet is copied then;
//! when one of those is gone by then, another moment is taken, until everything is there. Objects that were removed in
//! the meantime are in the copy without a record, and are not put back.

mod ask;
mod error;
mod format;
mod keys;
mod make;
pub mod output_file;
mod progress;
mod restore;
mod target;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;

use base::{Explain as _, report};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use self::error::BackupError;
use self::keys::{Lock, Opener};
use crate::output;
use crate::settings::{Config, Settings, with_flags};

pub use self::target::UNFINISHED;

/// The commands.
pub fn commands() -> [Command; 2] {
    let json = Arg::new("as-json").long("json").action(ArgAction::SetTrue).help("Print JSON");
    let path = |long: &'static str, value: &'static str, help: &'static str| {
        Arg::new(long).long(long).value_name(value).value_parser(value_parser!(PathBuf)).help(help)
    };
    let backup = Command::new("backup")
        .about("Copy all that the house keeps into one file, while it serves or not")
        .long_about(
            "Copy all that the house keeps into one file: records of all trades as they are at one moment, the artifacts \
             that are kept in a directory, and the keys of the data directory. The house goes on serving. Artifacts in a \
             bucket are counted and not copied. The settings are those of `provost up`.\n\n\
             It holds the keys of the authorities, so it is encrypted, in the format of the program `age`: with a \
             passphrase, which is asked for, or for those who are named by --recipient.",
        )
        .arg(
            Arg::new("out")
                .value_name("OUT")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file to make, which must not exist; `-` for standard output"),
        )
        .arg(path("passphrase-file", "FILE", "The passphrase is in this file, which is for its owner only"))
        .arg(
            Arg::new("recipient")
                .long("recipient")
                .value_name("AGE1…")
                .action(ArgAction::Append)
                .conflicts_with("passphrase-file")
                .help("Encrypt it for this recipient of age's; may be given several times"),
        )
        .arg(
            Arg::new("unencrypted")
                .long("unencrypted")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["passphrase-file", "recipient"])
                .help("Do not encrypt it: whoever reads it can sign as the authorities"),
        )
        .arg(json.clone());
    let restore = Command::new("restore")
        .about("Make a house out of what `provost backup` copied")
        .long_about(
            "Make a house out of what `provost backup` copied, in a data directory that does not exist or is empty, or in an \
             etcd that nobody has used where the settings name one. Nothing is there before all is there and was found \
             whole. With --dry-run nothing is made, and what the copy holds is told, and whether the directory that --data names \
             would be refused.\n\n\
             What happened after the copy was made is unknown to the new house: certificates issued since are valid \
             until they end, and revocations made since have to be made again. The numbers of the revocation lists jump \
             ahead, so that clients take the new ones. A CA certificate made since is lost with its key, but that a key \
             in a token stays there: whoever trusts it takes it out of the file, and who has a certificate of it begins anew.",
        )
        .arg(
            Arg::new("in")
                .value_name("IN")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file that `provost backup` made; `-` for standard input"),
        )
        .arg(path("passphrase-file", "FILE", "The passphrase is in this file, which is for its owner only"))
        .arg(
            path("identity", "FILE", "Open it with the identities of age's in this file, which is for its owner only")
                .conflicts_with("passphrase-file"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Make nothing, and tell what it holds and whether it is whole"),
        )
        .arg(json);
    [with_flags(backup), with_flags(restore)]
}

/// Runs `provost backup`.
pub fn backup(matches: &ArgMatches, config: &Config, settings: &Settings) -> ExitCode {
    let out = matches.get_one::<PathBuf>("out").expect("clap demands OUT");
    let is_pipe = out.as_os_str() == OsStr::new("-");
    let lock = Lock {
        passphrase: matches.get_one("passphrase-file").cloned(),
        recipients: matches.get_many::<String>("recipient").unwrap_or_default().cloned().collect(),
        is_open: matches.get_flag("unencrypted"),
    };
    let made =
        lock.key().and_then(|key| make::make(config, settings, key, (!is_pipe).then_some(out.as_path())));
    match made {
        Ok(made) => {
            let told = if !matches.get_flag("as-json") {
                let name = if is_pipe { "standard output".to_owned() } else { out.display().to_string() };
                output::note(format_args!("{name} has all as of {}", made.made_at));
                made.end.summary().iter().for_each(output::note);
                Ok(())
            } else {
                let text =
                    format!("{:#}\n", json!({ "file": out, "made_at": made.made_at, "holds": made.end }));
                if is_pipe {
                    // Standard output is the copy's own.
                    output::note(text.trim_end());
                    Ok(())
                } else {
                    output::data(&text)
                }
            };
            ended(told.map_err(BackupError::Output))
        }
        Err(error) => ended(Err(error)),
    }
}

/// Runs `provost restore`.
pub fn restore(matches: &ArgMatches, settings: &Settings) -> ExitCode {
    let from = matches.get_one::<PathBuf>("in").expect("clap demands IN");
    let opener = Opener {
        passphrase: matches.get_one("passphrase-file").cloned(),
        identities: matches.get_one("identity").cloned(),
    };
    let is_dry = matches.get_flag("dry-run");
    match restore::restore(settings, from, &opener, is_dry) {
        Ok(mut restored) => {
            let json = matches.get_flag("as-json").then(|| format!("{:#}\n", restored.json()));
            // Whoever does not name where to only looks at the copy, perhaps beside the house that it is of.
            let is_named = matches.value_source("data") == Some(ValueSource::CommandLine);
            let refused = if is_named { restored.refused.take() } else { None };
            let told = match json {
                Some(json) => output::data(&json),
                None => {
                    restored.lines(is_dry).iter().for_each(output::note);
                    Ok(())
                }
            };
            ended(told.map_err(BackupError::Output).and(refused.map_or(Ok(()), Err)))
        }
        Err(error) => ended(Err(error)),
    }
}

fn ended(done: Result<(), BackupError>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    output::error(report(&error), error.help());
    ExitCode::from(error.kind().exit_code())
}
