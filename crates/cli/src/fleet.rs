//! Commands about the fleet: `provost host`, `provost cluster`, `provost operation`, `provost network`,
//! `provost container-manager`, and the same under `provost fleet`.

use std::path::PathBuf;
use std::process::ExitCode;

use base::{Entropy, Explain as _, report};
use clap::{ArgMatches, FromArgMatches as _, Subcommand};

use crate::error::CommandError;
use crate::running;
use crate::session::{Options, Session};
use crate::signals::{self, Signals};
use crate::{cluster, container_manager, host, network, operation, output, ssh};

/// What stands under the help of each noun.
const EXIT_CODES: &str = "Exit codes: 0 done; 2 wrong usage; 65 what was asked breaks a rule; 66 it is not there, \
    or a file cannot be read; 69 no server, or not now; 70 the server is at fault; 73 its disk or a quota is full; \
    75 something is in the way, or was changed meanwhile; 77 not known, or not allowed; 130 ended by Ctrl-C.\n\n\
    Unless it is said here or in the environment, the client file says which server is asked and who asks. \
    `provost up` leaves one for its own user on its own machine.";

#[derive(Subcommand)]
enum Noun {
    /// Look after hosts
    #[command(after_long_help = EXIT_CODES)]
    Host {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: host::Command,
    },
    /// Look after clusters of hosts
    #[command(after_long_help = EXIT_CODES)]
    Cluster {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: cluster::Command,
    },
    /// Look after operations on clusters, which `provost cluster` starts
    #[command(after_long_help = EXIT_CODES)]
    Operation {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: operation::Command,
    },
    /// Look after networks
    #[command(after_long_help = EXIT_CODES)]
    Network {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: network::Command,
    },
    /// Look after container managers
    #[command(after_long_help = EXIT_CODES)]
    ContainerManager {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: container_manager::Command,
    },
}

/// `command` with a subcommand for each noun.
#[must_use]
pub fn with_nouns(command: clap::Command) -> clap::Command {
    Noun::augment_subcommands(command)
}

/// Whether `name` is one of these subcommands.
#[must_use]
pub fn is_noun(name: &str) -> bool {
    Noun::has_subcommand(name)
}

/// Runs the noun that `matches` have, which come from a command [`with_nouns`]. `data` is where this machine's
/// server keeps its data when the command does not say.
pub fn run(matches: &ArgMatches, data: Option<PathBuf>, entropy: &Entropy) -> ExitCode {
    let noun = match Noun::from_arg_matches(matches) {
        Ok(noun) => noun,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(2);
        }
    };
    let ended = running::block_on(CommandError::Runtime, live(noun, data, entropy));
    ended.unwrap_or_else(|error| failed(&error))
}

async fn live(noun: Noun, data: Option<PathBuf>, entropy: &Entropy) -> Result<ExitCode, CommandError> {
    let mut signals = Signals::catch().map_err(CommandError::Runtime)?;
    let to_hold = tokio::select! {
        to_hold = act(noun, data) => to_hold?,
        signal = signals.next() => return Ok(ExitCode::from(signals::exit_code(signal.as_raw_value()))),
    };
    match to_hold {
        Some(session) => Ok(ExitCode::from(session.run(&mut signals, entropy).await?)),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Runs the command; an SSH session that is still to be held is given back.
async fn act(noun: Noun, data: Option<PathBuf>) -> Result<Option<ssh::Session>, CommandError> {
    let session = |options| Session::new(options, data);
    match noun {
        Noun::Host { options, command } => return command.run(&mut session(options)).await,
        Noun::Cluster { options, command } => command.run(&mut session(options)).await?,
        Noun::Operation { options, command } => command.run(&mut session(options)).await?,
        Noun::Network { options, command } => command.run(&mut session(options)).await?,
        Noun::ContainerManager { options, command } => command.run(&mut session(options)).await?,
    }
    Ok(None)
}

/// Says what went wrong, and gives the exit code for it.
fn failed(error: &CommandError) -> ExitCode {
    output::error(report(error), error.help());
    ExitCode::from(error.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        with_nouns(clap::Command::new("provost")).debug_assert();
    }

    #[test]
    fn nouns_are_those_that_operators_type() {
        for (name, is) in
            [("host", true), ("cluster", true), ("operation", true), ("network", true), ("up", false)]
        {
            assert_eq!(is_noun(name), is, "{name}");
        }
    }
}
