//! `commctl`, the command line client of Commissaire, by its own name: its commands, options, defaults,
//! configuration file, output and exit codes.
//!
//! ```text
//! arguments ──► a command ──► requests ──► client ──► answers ──► one result ──► YAML
//!                  └► passhash, user-data: nobody is asked
//! ```
//! Source: commissaire, section 12. Where the original crashes or misleads, this does what its users meant;
//! what is more than the original has (`--config`, `--output`) stands before the subject, where it cannot be
//! taken for an abbreviation of one of the original's options.

mod answers;
mod cluster;
mod configuration;
mod container_manager;
mod error;
mod host;
mod members;
mod network;
mod passhash;
mod shown;
mod user_data;
mod yaml;
mod yaml_words;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use base::{Entropy, Explain, report};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use client::{Client, Request, SendError};
use serde_json::Value;

use crate::input::Input;
use crate::output;
use crate::running;
use crate::signals::{self, Signals};
use crate::ssh::Session;
use error::CommandError;
use shown::Format;

/// Control hosts and clusters
#[derive(Parser)]
#[command(
    name = "commctl",
    infer_long_args = true,
    args_override_self = true,
    disable_help_subcommand = true
)]
struct Line {
    /// Configuration file [default: $COMMCTL_CONFIG, or ~/.commissaire.json]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How results are printed [default: yaml, as ever]
    #[arg(long, value_name = "FORMAT")]
    output: Option<Format>,
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// Work with clusters
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Work with container managers
    #[command(subcommand, name = "container_manager", alias = "container-manager")]
    ContainerManager(container_manager::Command),
    /// Work with hosts
    #[command(subcommand)]
    Host(host::Command),
    /// Work with networks
    #[command(subcommand)]
    Network(network::Command),
    /// Hash a password
    Passhash(passhash::Arguments),
    /// Make user-data for cloud-init, with which a new machine registers itself
    UserData(user_data::Arguments),
}

/// What is left to do once everything is known.
enum Done {
    /// Print this.
    Said(String),
    /// Go to a host.
    Connect(Session),
}

/// The whole command line, from which help, completions and manual pages are made.
#[must_use]
pub fn command() -> clap::Command {
    Line::command()
}

/// Runs `commctl` with `arguments`, the first of which is its name.
pub fn run(arguments: Vec<OsString>, entropy: &Entropy) -> ExitCode {
    let typed = subject_of(&arguments);
    let line = match Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(usage) => {
            if usage.use_stderr() {
                output::note(said_of_usage(typed.as_deref(), usage.kind(), &usage.render().to_string()));
            } else {
                // Help arrives here as well, for standard output.
                let _ = usage.print();
            }
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    let subject = line.subject.name();
    let format = line.output;
    let ended = running::block_on(CommandError::Runtime, live(line, entropy));
    ended.unwrap_or_else(|error| failed(subject, &error, format))
}

async fn live(line: Line, entropy: &Entropy) -> Result<ExitCode, CommandError> {
    // Hashing keeps the only thread busy, and nobody would look at a signal that was caught.
    if let Subject::Passhash(arguments) = line.subject {
        return print(&arguments.hash(&mut Input::new(), entropy).await?);
    }
    let mut signals = Signals::catch().map_err(CommandError::Runtime)?;
    let done = tokio::select! {
        done = act(line, entropy) => done?,
        signal = signals.next() => return Ok(ExitCode::from(signals::exit_code(signal.as_raw_value()))),
    };
    match done {
        Done::Said(text) => print(&text),
        Done::Connect(session) => Ok(ExitCode::from(session.run(&mut signals, entropy).await?)),
    }
}

fn print(text: &str) -> Result<ExitCode, CommandError> {
    output::data(text).map_err(CommandError::Output)?;
    Ok(ExitCode::SUCCESS)
}

async fn act(line: Line, entropy: &Entropy) -> Result<Done, CommandError> {
    let mut input = Input::new();
    if let Subject::UserData(arguments) = line.subject {
        return Ok(Done::Said(arguments.make(&mut input, entropy, line.config.as_deref()).await?));
    }
    let configuration = configuration::read(line.config.as_deref(), &mut input).await?;
    let client = Client::new(configuration.endpoints, &configuration.trust, &configuration.credentials)?;
    let requests = match line.subject {
        Subject::Host(host::Command::Ssh(arguments)) => {
            let answer = send(&client, &arguments.request(), line.output).await?;
            return Ok(Done::Connect(arguments.session(&answer)?));
        }
        Subject::Cluster(command) => command.requests(),
        Subject::ContainerManager(command) => command.requests(),
        Subject::Host(command) => command.requests(&mut input).await?,
        Subject::Network(command) => command.requests(),
        Subject::Passhash(_) | Subject::UserData(_) => unreachable!("these ask nobody, and were done above"),
    };
    let mut results = Vec::new();
    let several = requests.len() > 1;
    for request in requests {
        match result(&client, &request, line.output).await {
            Ok(result) => results.push(result),
            Err(error) => {
                // What was done before is done: it is said.
                if !results.is_empty() {
                    output::data(&shown::shown(&Value::Array(results), line.output))
                        .map_err(CommandError::Output)?;
                }
                return Err(error);
            }
        }
    }
    let result = if several { Value::Array(results) } else { results.pop().unwrap_or_default() };
    Ok(Done::Said(shown::shown(&result, line.output)))
}

async fn result(client: &Client, request: &Request, format: Option<Format>) -> Result<Value, CommandError> {
    answers::result(request, &send(client, request, format).await?)
}

async fn send(
    client: &Client,
    request: &Request,
    format: Option<Format>,
) -> Result<client::Answer, CommandError> {
    let goes_on = |from: &client::Unreachable, to: &client::Endpoint| {
        // The original waits for ever for a server that takes the connection; so it has no words for that.
        let what = if from.is_silent { "No answer from" } else { "Could not connect to" };
        narrate(&format!("{what} {}. Retrying with {to}.\n", from.endpoint), format);
    };
    Ok(client.send(request, goes_on).await?)
}

/// The original tells on standard output how it fares. Whoever asks for a format of ours gets only that there.
fn narrate(text: &str, format: Option<Format>) {
    match format {
        // Nobody reads it: then there is nobody to tell either.
        None => drop(output::data(text)),
        Some(_) => output::note(text.trim_end()),
    }
}

/// The subject among the arguments, as far as one can tell before they are understood.
fn subject_of(arguments: &[OsString]) -> Option<String> {
    let command = Line::command();
    let typed = arguments.iter().skip(1).find_map(|word| command.find_subcommand(word))?;
    Some(typed.get_name().to_owned())
}

/// What clap says of wrong usage, as the original has it: how it is used, then who says what is wrong.
fn said_of_usage(subject: Option<&str>, kind: ErrorKind, said: &str) -> String {
    let who = subject.map_or_else(|| "commctl".to_owned(), |subject| format!("commctl {subject}"));
    let said = said.trim_end();
    if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return format!("{said}\n{who}: error: a command is missing");
    }
    let (usage, rest): (Vec<&str>, Vec<&str>) =
        said.split("\n\n").partition(|paragraph| paragraph.starts_with("Usage: "));
    let usage = match usage.first() {
        Some(usage) => (*usage).to_owned(),
        None => used(subject),
    };
    let rest = rest.join("\n\n");
    format!("{usage}\n{who}: error: {}", rest.strip_prefix("error: ").unwrap_or(&rest))
}

/// How a subject is used; or all of them, where none is named.
fn used(subject: Option<&str>) -> String {
    let mut command = Line::command();
    command.build();
    let usage =
        subject.and_then(|subject| command.find_subcommand_mut(subject)).map(clap::Command::render_usage);
    usage.unwrap_or_else(|| Line::command().render_usage()).to_string()
}

/// Says what went wrong as the original does, and gives its exit code.
fn failed(subject: &str, error: &CommandError, format: Option<Format>) -> ExitCode {
    if let CommandError::Send(SendError::Unreachable(tried)) = error {
        let what = if tried.iter().all(|one| one.is_silent) { "answered" } else { "could be reached" };
        let mut text = format!("No servers {what}. Tried the following:\n");
        text.extend(tried.iter().map(|one| format!("- {}\n", one.endpoint)));
        narrate(&(text + "Exiting...\n"), format);
        tried.iter().for_each(|one| output::note(format_args!("commctl: {}: {}", one.endpoint, one.why)));
        return ExitCode::from(error.exit_code());
    }
    output::note(used(Some(subject)));
    output::note(format_args!("commctl {subject}: error: {}", report(error)));
    if let Some(hint) = error.help() {
        output::note(format_args!("hint: {hint}"));
    }
    ExitCode::from(error.exit_code())
}

impl Subject {
    /// The word that the operator typed for it.
    fn name(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "cluster",
            Self::ContainerManager(_) => "container_manager",
            Self::Host(_) => "host",
            Self::Network(_) => "network",
            Self::Passhash(_) => "passhash",
            Self::UserData(_) => "user-data",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        Line::command().debug_assert();
    }
}
