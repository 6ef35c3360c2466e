//! Commands about the history: `provost audit`.
//!
//! ```text
//! show                what happened, as the server tells
//! head                how far it is linked: to be kept elsewhere
//! export, verify      the links and what they cover ──► source: the server, or a file ──► chain, which looks at them
//! ```
//! Whether the history was rewritten is seen here, and not believed of the server.

mod error;
mod export;
mod head;
mod show;
mod source;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use base::{Clock, Explain as _, report};
use clap::{ArgMatches, FromArgMatches as _, Subcommand};

use self::error::AuditCommandError;
use crate::error::CommandError;
use crate::output;
use crate::running::{self, until_signal};
use crate::session::{Options, Session};

pub use self::verify::{Told, tell_summary};

const EXIT_CODES: &str = "Exit codes: 0 done, and the history is whole where it was looked at; 2 wrong usage; 65 the history \
    was rewritten, or a file is no export; 66 a file cannot be read; 69 no server, or not now; 70 the server is at fault; 77 \
    not known, or not allowed; 130 ended by Ctrl-C.\n\n\
    Unless it is said here or in the environment, the client file says which server is asked and who asks. \
    `provost up` leaves one for its own user on its own machine.";

#[derive(Subcommand)]
enum Noun {
    /// See what happened and who did it, and that nobody rewrote it
    #[command(after_long_help = EXIT_CODES)]
    Audit {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: Command,
    },
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
enum Command {
    /// Show what happened, the oldest first
    Show(Box<show::Show>),
    /// Print how far the history is linked; kept elsewhere, it shows later that nothing up to it was rewritten
    Head(head::ShowHead),
    /// Check that nobody rewrote the history
    Verify(verify::Verify),
    /// Write the history and its links into a file, which `verify` checks without a server
    Export(export::Export),
}

/// `command` with the subcommand `audit`.
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
pub fn run(matches: &ArgMatches, data: Option<PathBuf>, clock: &Clock) -> ExitCode {
    let Noun::Audit { options, command } = match Noun::from_arg_matches(matches) {
        Ok(noun) => noun,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(2);
        }
    };
    let mut session = Session::new(options, data);
    let unable = |source| CommandError::Runtime(source).into();
    // A file that is being written is dropped with the command.
    let ended = running::block_on(unable, until_signal(unable, command.run(&mut session, clock)));
    ended.unwrap_or_else(|error| failed(&error))
}

impl Command {
    async fn run(self, session: &mut Session, clock: &Clock) -> Result<(), AuditCommandError> {
        match self {
            Self::Show(show) => Ok(show.run(session, clock).await?),
            Self::Head(head) => head.run(session).await,
            Self::Verify(verify) => verify.run(session).await,
            Self::Export(export) => export.run(session).await,
        }
    }
}

/// Says what went wrong, and gives the exit code for it.
fn failed(error: &AuditCommandError) -> ExitCode {
    output::error(report(error), error.help());
    ExitCode::from(error.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        with_noun(clap::Command::new("provost")).debug_assert();
        assert!(is_noun("audit") && !is_noun("cache"));
    }
}
