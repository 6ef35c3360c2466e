//! Commands about the artifact cache: `provost cache`.
//!
//! ```text
//! sign_key                makes keys ──► signing_file
//! put, withdraw           say something of bytes, signed
//! fetch                   get, or else from where it comes from, and put
//! mirror                  get and put of whole keys, as they are
//! release                 folders of compiled software, packed and unpacked (unpacking)
//! maintain                asks /v1 what is there, and what stays
//! get, look, verify       believe something ──► session: which server, whom to believe, what was seen (seen)
//! ```
//! What counts and why not is for `entry` to say; how bytes come and go, for `client::networkcache`. Files appear when they
//! are whole (place). Each command prints a line or, with `--json`, a document for each thing that it did.

mod error;
mod fetch;
mod get;
mod look;
mod maintain;
mod mirror;
mod place;
mod progress;
mod put;
mod release;
mod seen;
mod session;
mod sign_key;
mod signing_file;
mod unpacking;
mod verify;
mod withdraw;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use base::{Clock, Entropy, Explain as _, report};
use clap::{ArgMatches, FromArgMatches as _, Subcommand};

use self::error::CacheCommandError;
use self::progress::Meter;
use self::session::Session;
#[cfg(feature = "fuzzing")]
pub use self::unpacking::unpack_tar;
use crate::output;
use crate::running::{self, until_signal};
use crate::session::Options;
use crate::table::one_line;

const EXIT_CODES: &str = "Exit codes: 0 done; 2 wrong usage; 65 what was asked breaks a rule; 66 it is not there, \
    or a file cannot be read; 69 no server, or not now; 70 the server is at fault, or its bytes are not what they should be; \
    73 its disk or a quota is full; 75 something is in the way; 77 nobody who is believed says so, or you are not allowed; \
    130 ended by Ctrl-C.\n\n\
    Unless it is said here or in the environment, the client file says which server is asked and who asks. \
    `provost up` leaves one for its own user on its own machine.";

#[derive(Subcommand)]
enum Noun {
    /// Keep files in the artifact cache, and fetch them from there
    #[command(after_long_help = EXIT_CODES)]
    Cache {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: Command,
    },
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
enum Command {
    /// Make the keys that you sign with, and print what others need to believe you
    SignKey(sign_key::SignKey),
    /// Upload files, and sign what they are
    Put(put::Put),
    /// Download files that somebody you believe tells of
    Get(get::Get),
    /// List what those whom you believe tell of
    Find(look::Find),
    /// Check that files are what those whom you believe tell of
    Verify(verify::Verify),
    /// Tell of each entry why it counts, or why it does not
    Explain(look::Explain),
    /// Take back what you signed
    Withdraw(withdraw::Withdraw),
    /// Download files for a build: from the cache, or else from where they come from, and then into the cache
    Fetch(fetch::Fetch),
    /// Copy entries and what they tell of from one cache to another, as they are
    Mirror(Box<mirror::Mirror>),
    /// Compiled software that other machines of the same platform can use
    Release {
        #[command(subcommand)]
        command: release::Command,
    },
    #[command(flatten)]
    Maintain(maintain::Command),
}

/// `command` with the subcommand `cache`.
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
pub fn run(matches: &ArgMatches, data: Option<PathBuf>, clock: Clock, entropy: Entropy) -> ExitCode {
    let Noun::Cache { options, command } = match Noun::from_arg_matches(matches) {
        Ok(noun) => noun,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(2);
        }
    };
    let work = async {
        let Command::Maintain(command) = command else {
            let session = Session {
                options,
                data,
                clock,
                entropy,
                meter: Meter::default(),
                has_forgotten: AtomicBool::new(false),
            };
            // A download that is dropped removes what it has written so far.
            return command.run(&session).await;
        };
        let mut session = crate::session::Session::new(options, data);
        Ok(command.run(&mut session).await?)
    };
    let unable = CacheCommandError::Runtime;
    let ended = running::block_on(unable, until_signal(unable, work));
    ended.unwrap_or_else(|error| failed(&error))
}

impl Command {
    async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        match self {
            Self::SignKey(sign_key) => sign_key.run(session.options.json, &session.clock, &session.entropy),
            Self::Put(put) => put.run(session).await,
            Self::Get(get) => get.run(session).await,
            Self::Find(find) => find.run(session).await,
            Self::Verify(verify) => verify.run(session).await,
            Self::Explain(explain) => explain.run(session).await,
            Self::Withdraw(withdraw) => withdraw.run(session).await,
            Self::Fetch(fetch) => fetch.run(session).await,
            Self::Mirror(mirror) => mirror.run(session).await,
            Self::Release { command } => command.run(session).await,
            // Asks as the commands about hosts do.
            Self::Maintain(_) => Ok(()),
        }
    }
}

/// What went wrong, and what to do about it: without what would steer a terminal, as much of it comes from servers, and from
/// what they sent.
fn told(error: &CacheCommandError) -> (String, Option<String>) {
    (one_line(&report(error)), error.help().as_deref().map(one_line))
}

/// Says what went wrong, and gives the exit code for it.
fn failed(error: &CacheCommandError) -> ExitCode {
    let (what, hint) = told(error);
    output::error(what, hint);
    ExitCode::from(error.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        with_noun(clap::Command::new("provost")).debug_assert();
        assert!(is_noun("cache") && !is_noun("host"));
    }
}
