//! Commands about trust that is handed on: `provost trust`.
//!
//! ```text
//! provider, requirer, relation    who provides for whom ──► shown
//! offer                           what a provider hands on: certificates (certificates), and what is no such is not sent
//! bundle, watch                   what a requirer is to have, in a file (kept_file, hook)
//! explain                         where a certificate came from, and where it is
//! ```
//! What is to be trusted is decided by the server; what leaves this machine is looked at before it does.

mod bundle;
mod certificates;
mod error;
mod explain;
mod offer;
mod provider;
mod relation;
mod requirer;
mod shown;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use base::{Explain as _, report};
use clap::{ArgMatches, FromArgMatches as _, Subcommand};

use self::error::TrustCommandError;
use crate::error::CommandError;
use crate::output;
use crate::running::{self, until_signal};
use crate::session::{Options, Session};

const EXIT_CODES: &str = "Exit codes: 0 done; 2 wrong usage; 65 what was asked breaks a rule; 66 it is not there, \
    or a file cannot be read; 69 no server, or not now; 70 the server is at fault; 73 its disk or a quota is full; \
    75 something is in the way, or has to be confirmed; 77 not known, or not allowed; 130 ended by Ctrl-C.\n\n\
    Unless it is said here or in the environment, the client file says which server is asked and who asks. \
    `provost up` leaves one for its own user on its own machine.";

#[derive(Subcommand)]
enum Noun {
    /// Hand on which certificates are to be trusted, and see that everybody has them
    #[command(after_long_help = EXIT_CODES)]
    Trust {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: Command,
    },
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
enum Command {
    /// Look after those who say which certificates are to be trusted
    Provider {
        #[command(subcommand)]
        command: provider::Command,
    },
    /// Look after those who are to have certificates
    Requirer {
        #[command(subcommand)]
        command: requirer::Command,
    },
    #[command(flatten)]
    Relation(relation::Command),
    #[command(flatten)]
    Offer(offer::Command),
    /// Print all certificates that a requirer is to have
    Bundle(bundle::Bundle),
    /// Keep a file what a requirer is to have, until Ctrl-C
    Watch(watch::Watch),
    /// Tell where a certificate came from, and where it is
    Explain(explain::Explain),
}

/// `command` with the subcommand `trust`.
#[must_use]
pub fn with_noun(command: clap::Command) -> clap::Command {
    Noun::augment_subcommands(command)
}

/// Whether `name` is that subcommand.
#[must_use]
pub fn is_noun(name: &str) -> bool {
    Noun::has_subcommand(name)
}

/// Runs the command that `matches` have, which come from a command [`with_noun`]. `data` is where this machine's server
/// keeps its data when the command does not say.
pub fn run(matches: &ArgMatches, data: Option<PathBuf>) -> ExitCode {
    let Noun::Trust { options, command } = match Noun::from_arg_matches(matches) {
        Ok(noun) => noun,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(2);
        }
    };
    let mut session = Session::new(options, data);
    // A file that is being written is dropped with the command, and what was there before stays.
    let unable = |source| CommandError::Runtime(source).into();
    let ended = running::block_on(unable, until_signal(unable, command.run(&mut session)));
    ended.unwrap_or_else(|error| failed(&error))
}

impl Command {
    async fn run(self, session: &mut Session) -> Result<(), TrustCommandError> {
        match self {
            Self::Provider { command } => command.run(session).await?,
            Self::Requirer { command } => command.run(session).await?,
            Self::Relation(command) => command.run(session).await?,
            Self::Offer(command) => command.run(session).await?,
            Self::Bundle(bundle) => bundle.run(session).await?,
            Self::Watch(watch) => watch.run(session).await?,
            Self::Explain(explain) => explain.run(session).await?,
        }
        Ok(())
    }
}

/// Says what went wrong, and gives the exit code for it.
fn failed(error: &TrustCommandError) -> ExitCode {
    output::error(report(error), error.help());
    ExitCode::from(error.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        with_noun(clap::Command::new("provost")).debug_assert();
        assert!(is_noun("trust") && !is_noun("cache"));
    }
}
