//! The settings as flags.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

use super::key::{Default, KEYS, Key, Kind};

/// `command` with `--config` and a flag for every setting. Values are taken as they are: what is wrong
/// with them is reported together with what is wrong elsewhere.
pub fn with_flags(command: Command) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("The configuration file [default: provost.toml in the data directory, if there] [env: PROVOST_CONFIG]");
    command.arg(config).args(KEYS.iter().map(flag))
}

fn flag(key: &'static Key) -> Arg {
    let arg = Arg::new(key.name)
        .long(key.long())
        .value_name(key.value_word())
        .value_parser(value_parser!(OsString))
        .allow_hyphen_values(matches!(key.kind, Kind::Whole(_) | Kind::Days | Kind::Seconds))
        .hide_possible_values(true)
        .help(format!("{}{}", key.docs[0], default(key)))
        .long_help(long_help(key));
    let arg = match key.kind {
        Kind::List(_) => arg.action(ArgAction::Append),
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    };
    match key.name.split_once('.') {
        Some((table, _)) => arg.help_heading(heading(table)),
        None => arg,
    }
}

fn default(key: &Key) -> String {
    match key.default {
        Default::Is("[]" | "false") => String::new(),
        Default::Is(value) => format!(" [default: {}]", value.trim_matches('"')),
        Default::Follows(words, _) => format!(" [default: {words}]"),
    }
}

fn long_help(key: &Key) -> String {
    let more = key.docs[1..].join(" ");
    let paragraph = if more.is_empty() { String::new() } else { format!("{more}\n\n") };
    let names = format!("[env: {}] [file: {}]", key.variable(), key.name);
    format!("{}\n\n{paragraph}{}\n{names}", key.docs[0], default(key).trim_start()).replace("\n\n\n", "\n\n")
}

fn heading(table: &str) -> &'static str {
    match table {
        "store" => "Where everything is remembered",
        "ca" => "Certificate authorities",
        "cors" => "Cross-origin pages",
        "server" => "Doors and their certificates",
        "fleet" => "Hosts and clusters",
        "cache" => "Artifacts",
        "limits" => "Limits",
        "log" => "Logs",
        "metrics" => "Metrics",
        "history" => "History",
        _ => "Other settings",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        with_flags(Command::new("up")).debug_assert();
    }

    #[test]
    fn every_table_has_a_heading() {
        for table in KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(table, _)| table) {
            assert_ne!(heading(table), "Other settings", "{table}");
        }
    }
}
