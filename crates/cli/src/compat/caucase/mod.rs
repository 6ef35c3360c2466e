//! The programs of caucase for whoever holds certificates, by their own names: their options, files, output and exit codes.
//!
//! ```text
//! caucase            caucase.rs ──► work.rs ───────┐
//! caucase-updater    updater.rs ──► wake.rs        ├─► holder, client ──► any server of the dialect
//!                               └─► network.rs     │
//! caucase-probe      probe.rs ─────────────────────┘
//! caucase-rerequest  rerequest.rs ┐
//! caucase-key-id     key_id.rs ───┴► nobody is asked
//! ```
//! Source: the caucase contract, section 7. Where the originals die with a traceback these say one line, which names the file
//! or the server and the cause, and give the same exit code, 1. Files are replaced as a whole, and a key and its certificate
//! together (`holder`). A key that others may read is used, as it was, and a warning says so.

#[expect(clippy::module_inception, reason = "the program is called like all of them together")]
mod caucase;
mod error;
mod key_id;
mod network;
mod probe;
mod python;
mod rerequest;
mod updater;
mod wake;
mod work;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::{Clock, Explain as _, Span, report};
use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};
use client::compat::caucase::Authority;
use tokio::signal::unix::SignalKind;
use x509::{Certificate, SigningRequest};

use crate::holder::{Collection, Pem, exposed};
use crate::output;
use crate::{running, signals};
use error::CommandError;

/// The version whose behaviour this is; what `--version` prints.
const VERSION: &str = "0.9.17";

/// Exit code for wrong usage.
const WRONG_USAGE: u8 = 2;

/// What signals that ask for the end end a program with.
#[derive(Clone, Copy)]
enum OnSignal {
    /// As shells tell it.
    Shells,
    /// 0 where it is an interrupt or a service manager's: to end is all that such a program ever does.
    Done,
}

/// A program that is served under its own name.
#[derive(Debug, Clone, Copy)]
pub enum Program {
    /// `caucase`.
    Caucase,
    /// `caucase-updater`.
    Updater,
    /// `caucase-probe`.
    Probe,
    /// `caucase-rerequest`.
    Rerequest,
    /// `caucase-key-id`.
    KeyId,
}

impl Program {
    /// The whole command line, from which help, completions and manual pages are made.
    #[must_use]
    pub fn command(self) -> clap::Command {
        use clap::CommandFactory as _;
        match self {
            Self::Caucase => caucase::Line::command(),
            Self::Updater => updater::Line::command(),
            Self::Probe => probe::Line::command(),
            Self::Rerequest => rerequest::Line::command(),
            Self::KeyId => key_id::Line::command(),
        }
    }

    /// Runs it with `arguments`, the first of which is its name.
    pub fn run(self, arguments: Vec<OsString>, clock: &Clock) -> ExitCode {
        match self {
            Self::Caucase => {
                waiting(arguments, OnSignal::Shells, async |line: caucase::Line| line.run(clock).await)
            }
            Self::Updater => {
                waiting(arguments, OnSignal::Done, async |line: updater::Line| line.run(clock).await)
            }
            Self::Probe => waiting(arguments, OnSignal::Shells, async |line: probe::Line| line.run().await),
            Self::Rerequest => at_once(arguments, rerequest::Line::run),
            Self::KeyId => at_once(arguments, |line: key_id::Line| Ok(line.run()?)),
        }
    }
}

/// How a program ended that did not do what it was asked for.
enum Ended {
    /// What was typed makes no sense.
    Usage(clap::Error),
    Failed(CommandError),
}

impl From<CommandError> for Ended {
    fn from(error: CommandError) -> Self {
        Self::Failed(error)
    }
}

fn at_once<L: Parser>(arguments: Vec<OsString>, act: impl FnOnce(L) -> Result<(), Ended>) -> ExitCode {
    let done = L::try_parse_from(arguments).map_err(Ended::Usage).and_then(act);
    done.map_or_else(|ended| told::<L>(&ended), |()| ExitCode::SUCCESS)
}

/// Runs what waits for others, to the exit code that it gives or until a signal asks for the end: between two waits only,
/// and so never while a file is replaced.
fn waiting<L: Parser>(
    arguments: Vec<OsString>,
    on_signal: OnSignal,
    act: impl AsyncFnOnce(L) -> Result<u8, CommandError>,
) -> ExitCode {
    let line = match L::try_parse_from(arguments) {
        Ok(line) => line,
        Err(usage) => return told::<L>(&Ended::Usage(usage)),
    };
    let unable = CommandError::Runtime;
    match running::block_on(unable, running::ended_or_signal(unable, act(line))) {
        Ok(running::Ended::Done(code)) => ExitCode::from(code),
        Ok(running::Ended::Signal(signal)) => match on_signal {
            OnSignal::Done if is_asking(signal) => ExitCode::SUCCESS,
            OnSignal::Done | OnSignal::Shells => ExitCode::from(signals::exit_code(signal.as_raw_value())),
        },
        Err(error) => told::<L>(&error.into()),
    }
}

fn is_asking(signal: SignalKind) -> bool {
    [SignalKind::interrupt(), SignalKind::terminate()].contains(&signal)
}

/// Says what went wrong, and gives the originals' exit code: 2 for wrong usage, 1 for everything else.
fn told<L: Parser>(ended: &Ended) -> ExitCode {
    match ended {
        Ended::Usage(usage) if usage.kind() == ErrorKind::DisplayVersion => {
            let _ = output::data(&format!("{VERSION}\n"));
            ExitCode::SUCCESS
        }
        Ended::Usage(usage) => {
            // Help arrives here as well, with exit code 0 and for standard output.
            let _ = usage.print();
            if usage.use_stderr() && !usage.to_string().contains("Usage: ") {
                output::note(L::command().render_usage());
            }
            ExitCode::from(if usage.exit_code() == 0 { 0 } else { WRONG_USAGE })
        }
        Ended::Failed(error) => {
            output::note(format_args!("{}: error: {}", L::command().get_name(), report(error)));
            if let Some(hint) = error.help() {
                output::note(format_args!("hint: {hint}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// Wrong usage that only shows when all options are known.
fn usage<L: Parser>(what: impl std::fmt::Display) -> Ended {
    Ended::Usage(L::command().error(ErrorKind::ValueValidation, what))
}

/// Whose certificates something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Those of services, for anything
    Service,
    /// Those of users, who may approve requests and revoke certificates
    User,
}

impl Mode {
    fn authority(self) -> Authority {
        match self {
            Self::Service => Authority::Services,
            Self::User => Authority::Users,
        }
    }

    /// As options and headlines have it.
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::User => "user",
        }
    }
}

/// A number of days, of which there may be a fraction.
fn days(text: &str) -> Result<Span, String> {
    let days: Option<f64> = text.trim().parse().ok();
    days.and_then(Span::days_f64).ok_or_else(|| "it is no number of days".to_owned())
}

/// How long RSA keys are.
fn key_bits(text: &str) -> Result<u32, String> {
    let bits: Option<u32> = text.trim().parse().ok();
    bits.filter(|bits| [2048, 3072, 4096, 8192].contains(bits))
        .ok_or_else(|| "RSA keys are made with 2048, 3072, 4096 or 8192 bits".to_owned())
}

/// The signing request in a file that has nothing else in it.
fn request_in(path: &Path) -> Result<SigningRequest, CommandError> {
    let mut found = Pem::read_once(path)?;
    let (requests, blocks) = (found.requests.len(), found.count());
    match found.requests.pop() {
        Some(request) if blocks == 1 => Ok(request),
        _ => Err(CommandError::NotOneRequest { path: path.to_owned(), requests, blocks }),
    }
}

/// Refuses CA certificates and revocation lists in one file: each would take the place of the other, and whoever is asked
/// next would be trusted for being the first. They may share a folder.
fn share_no_file(authorities: &[&PathBuf], lists: &[&PathBuf]) -> Result<(), CommandError> {
    let is_file = |path: &Path| !Collection::<Certificate>::at(path).is_folder();
    match authorities.iter().find(|path| lists.contains(path) && is_file(path)) {
        Some(path) => Err(CommandError::Shared((*path).clone())),
        None => Ok(()),
    }
}

/// Says of files with keys, once of each, that others may read them.
#[derive(Debug)]
struct Warnings {
    program: &'static str,
    said: Vec<PathBuf>,
}

impl Warnings {
    fn of(program: &'static str) -> Self {
        Self { program, said: Vec::new() }
    }

    /// To be called with a file that has a key in it.
    fn look(&mut self, path: &Path) {
        let Some(mode) = exposed(path) else { return };
        if self.said.iter().any(|said| said == path) {
            return;
        }
        self.said.push(path.to_owned());
        let (program, path) = (self.program, path.display());
        output::note(format_args!(
            "{program}: warning: others may read the private key in {path} (mode {mode:04o}); `chmod 600 {path}` keeps it to \
             its owner"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        for program in
            [Program::Caucase, Program::Updater, Program::Probe, Program::Rerequest, Program::KeyId]
        {
            program.command().debug_assert();
        }
    }

    #[test]
    fn days_may_be_fractions() {
        for (text, expected) in [
            ("31", Some(31 * 86_400)),
            ("0.5", Some(43_200)),
            ("-1", Some(-86_400)),
            (" 1e1 ", Some(864_000)),
        ] {
            assert_eq!(days(text).ok().map(Span::as_seconds), expected, "{text}");
        }
        for text in ["", "x", "nan", "inf", "1 2"] {
            assert!(days(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_have_the_lengths_that_are_made() {
        assert_eq!((key_bits("2048"), key_bits("4096")), (Ok(2048), Ok(4096)));
        for text in ["1024", "2049", "16384", "-2048", "x"] {
            assert!(key_bits(text).unwrap_err().contains("2048, 3072, 4096 or 8192"), "{text}");
        }
    }
}
