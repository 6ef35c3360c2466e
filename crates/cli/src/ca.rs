//! Commands about certificates, for those who hold them and those who hand them out: `provost ca`.
//!
//! ```text
//! session      which server, who asks, whom it is believed ──► client::compat::caucase
//! request ──► subject (what is to be certified), key_file (a key that is new), memory (what was submitted), obtain,
//!             anew (where what was there is over)
//! rotate                                    for whoever looks after the authority ──► crate::session (/v1)
//! list, show, decide (approve, reject)      for users who look after requests ──► shown
//! fetch, renew, revoke, crl, trust          for holders ──► holder
//! watch ──► watch/                          all of a holder's, for as long as it runs
//! ```
//! The server is asked in caucase's dialect, which ours and the original one speak; what comes back is believed where a CA
//! certificate that is trusted stands for it. Keys stay on this machine.

mod anew;
mod crl;
mod decide;
mod error;
mod fetch;
mod key_file;
mod key_kind;
mod list;
mod memory;
mod obtain;
mod renew;
mod request;
mod revoke;
mod rotate;
mod session;
mod shown;
mod subject;
mod trust;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base::{Clock, Explain as _, report};
use clap::{ArgMatches, FromArgMatches as _, Subcommand};

use self::error::CaCommandError;
use self::session::{Options, Session};
use crate::holder::KeyMaker;
use crate::output;
use crate::running::{self, until_signal};

const EXIT_CODES: &str = "Exit codes: 0 done; 2 wrong usage; 65 what was asked breaks a rule, or an answer cannot be \
    believed; 66 it is not there, or a file cannot be read; 69 no server, or not now; 73 its disk or a quota is full; \
    75 what was waited for needs somebody's decision, has to be confirmed, or took too long; 77 not known, not allowed, or a key that others may read; 78 wrong \
    configuration of `watch`; 130 ended by Ctrl-C.\n\n\
    Unless it is said here or in the environment, the client file says which server is asked and who asks. \
    `provost up` leaves one for its own user on its own machine. The server may be ours or caucase's.";

#[derive(Subcommand)]
enum Noun {
    /// Ask for certificates, hand them out, keep them valid, and take them back
    #[command(after_long_help = EXIT_CODES)]
    Ca {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: Command,
    },
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
enum Command {
    /// Ask for a certificate; run again, it finds what was asked for
    Request(request::Request),
    /// List the requests that wait for a decision
    List(list::List),
    /// Show what a request asks for
    Show(list::Show),
    /// Approve requests: their certificates are issued
    Approve(decide::Approve),
    /// Reject requests: they are forgotten
    Reject(decide::Reject),
    /// Fetch the certificate that was issued for a request
    Fetch(fetch::Fetch),
    /// Renew a certificate that is due, with a new key
    Renew(renew::Renew),
    /// Revoke a certificate: your own, or as a user anybody's
    Revoke(revoke::Revoke),
    /// Begin a rollover early: make the next CA certificate now
    Rotate(rotate::Rotate),
    /// Fetch what was revoked, and tell how old it is
    Crl(crl::List),
    /// Trust an authority, by its fingerprint, and show whom is trusted
    Trust(trust::Trust),
    /// Keep certificates valid, as many as a file names
    Watch(watch::Watch),
}

/// What the program around this lends to it.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Says what time it is.
    pub clock: Clock,
    /// Makes the keys of those who keep an eye on other things meanwhile.
    pub keys: KeyMaker,
    /// Tells the service manager a line of sd_notify(3), if there is one.
    pub tell: fn(&str),
    /// How often the service manager wants to hear that this is alive.
    pub watchdog: Option<Duration>,
}

/// `command` with the subcommand `ca`.
#[must_use]
pub fn with_noun(command: clap::Command) -> clap::Command {
    let of_ca = |ca: clap::Command| ca.mut_subcommand("watch", watch::without_users);
    Noun::augment_subcommands(command).mut_subcommand("ca", of_ca)
}

/// Whether `name` is that subcommand.
#[must_use]
pub fn is_noun(name: &str) -> bool {
    Noun::has_subcommand(name)
}

/// Runs the command that `matches` have, which come from a command [`with_noun`]. `data` is where this machine's server
/// keeps its data when the command does not say.
pub fn run(matches: &ArgMatches, data: Option<PathBuf>, surroundings: &Surroundings) -> ExitCode {
    let Noun::Ca { options, command } = match Noun::from_arg_matches(matches) {
        Ok(noun) => noun,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(2);
        }
    };
    let mut session = Session::new(options, data, surroundings.clock.clone());
    let ended = running::block_on(CaCommandError::Runtime, async {
        match command {
            // Looks after signals itself: one of them does not ask for the end.
            Command::Watch(watch) => watch.run(&mut session, surroundings).await,
            command => until_signal(CaCommandError::Runtime, command.run(&mut session)).await,
        }
    });
    ended.unwrap_or_else(|error| failed(&error))
}

impl Command {
    async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        match self {
            Self::Request(request) => request.run(session).await,
            Self::List(list) => list.run(session).await,
            Self::Show(show) => show.run(session).await,
            Self::Approve(approve) => approve.run(session).await,
            Self::Reject(reject) => reject.run(session).await,
            Self::Fetch(fetch) => fetch.run(session).await,
            Self::Renew(renew) => renew.run(session).await,
            Self::Revoke(revoke) => revoke.run(session).await,
            Self::Rotate(rotate) => rotate.run(session).await,
            Self::Crl(crl) => crl.run(session).await,
            Self::Trust(trust) => trust.run(session).await,
            // Runs with signals of its own.
            Self::Watch(_) => Ok(()),
        }
    }
}

/// Says what went wrong, and gives the exit code for it.
fn failed(error: &CaCommandError) -> ExitCode {
    match error {
        CaCommandError::Settings(problems) => {
            problems.iter().for_each(|problem| output::error(problem, problem.hint()))
        }
        error => output::error(report(error), error.help()),
    }
    ExitCode::from(error.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        with_noun(clap::Command::new("provost")).debug_assert();
        assert!(is_noun("ca") && !is_noun("cache"));
    }
}
