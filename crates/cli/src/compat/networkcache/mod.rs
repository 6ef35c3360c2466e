//! The programs of slapos.libnetworkcache and slapcache, by their own names: their options, configuration files, output
//! and exit codes.
//!
//! ```text
//! networkcache-upload       upload.rs ─────┐
//! networkcache-download     download.rs ───┼─► library.rs ──► client ──► any cache
//! slapcache-upload, -download  slapcache.rs┘      ▲
//! slapcache-conf            slapcache_conf.rs     └ configuration.rs ◄── ini.rs
//! generate-signature-key    signature_key.rs: nobody is asked
//! ```
//! Source: the networkcache contract, sections 5 to 9. Where the originals die with a traceback these say one line and give
//! the same exit code; where they hide a failure behind exit code 0, these give 1; and where they would believe everybody
//! because none of the certificates they were given can be read, these believe nobody.

mod configuration;
mod download;
mod error;
pub mod ini;
mod library;
mod signature_key;
mod slapcache;
mod slapcache_conf;
mod temporary;
mod upload;

use std::ffi::OsString;
use std::process::ExitCode;

use base::{Clock, Entropy, Explain, report};
use clap::Parser;

use crate::output;
use crate::running::{self, until_signal};
use error::CommandError;

/// A program that is served under its own name.
#[derive(Debug, Clone, Copy)]
pub enum Program {
    /// `networkcache-upload`.
    Upload,
    /// `networkcache-download`.
    Download,
    /// `generate-signature-key`.
    SignatureKey,
    /// `slapcache-conf`.
    SlapcacheConf,
    /// `slapcache-upload`.
    SlapcacheUpload,
    /// `slapcache-download`.
    SlapcacheDownload,
}

impl Program {
    /// The whole command line, from which help, completions and manual pages are made.
    #[must_use]
    pub fn command(self) -> clap::Command {
        use clap::CommandFactory as _;
        match self {
            Self::Upload => upload::Line::command(),
            Self::Download => download::Line::command(),
            Self::SignatureKey => signature_key::Line::command(),
            Self::SlapcacheConf => slapcache_conf::Line::command(),
            Self::SlapcacheUpload => slapcache::UploadLine::command(),
            Self::SlapcacheDownload => slapcache::DownloadLine::command(),
        }
    }

    /// Runs it with `arguments`, the first of which is its name.
    pub fn run(self, arguments: Vec<OsString>, clock: &Clock, entropy: &Entropy) -> ExitCode {
        match self {
            Self::Upload => waiting(arguments, async |line: upload::Line| line.run(entropy).await),
            Self::Download => waiting(arguments, async |line: download::Line| line.run().await),
            Self::SignatureKey => {
                at_once(arguments, |line: signature_key::Line| Ok(line.run(clock, entropy)?))
            }
            Self::SlapcacheConf => at_once(arguments, |line: slapcache_conf::Line| Ok(line.run(clock)?)),
            Self::SlapcacheUpload => {
                waiting(arguments, async |line: slapcache::UploadLine| Ok(line.run(clock, entropy).await?))
            }
            Self::SlapcacheDownload => {
                waiting(arguments, async |line: slapcache::DownloadLine| Ok(line.run(entropy).await?))
            }
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

/// Runs what waits for others. A signal that asks for the end is caught, so that temporary files go.
fn waiting<L: Parser>(arguments: Vec<OsString>, act: impl AsyncFnOnce(L) -> Result<(), Ended>) -> ExitCode {
    let line = match L::try_parse_from(arguments) {
        Ok(line) => line,
        Err(usage) => return told::<L>(&Ended::Usage(usage)),
    };
    let unable = |source| Ended::Failed(CommandError::Runtime(source));
    let ended = running::block_on(unable, until_signal(unable, act(line)));
    ended.unwrap_or_else(|ended| told::<L>(&ended))
}

/// Says what went wrong, and gives the originals' exit code: 2 for wrong usage, 1 for everything else.
fn told<L: Parser>(ended: &Ended) -> ExitCode {
    match ended {
        Ended::Usage(usage) => {
            // Help arrives here as well, with exit code 0 and for standard output.
            let _ = usage.print();
            if usage.use_stderr() && !usage.to_string().contains("Usage: ") {
                output::note(L::command().render_usage());
            }
            ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
        }
        Ended::Failed(error) => {
            let what = report(error);
            if error.is_plain() {
                output::note(what);
            } else {
                output::note(format_args!("{}: error: {what}", L::command().get_name()));
            }
            if let Some(hint) = error.help() {
                output::note(format_args!("hint: {hint}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// Wrong usage that only shows when the files that were named are looked for.
fn usage<L: Parser>(what: impl std::fmt::Display) -> Ended {
    Ended::Usage(L::command().error(clap::error::ErrorKind::ValueValidation, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        for program in [
            Program::Upload,
            Program::Download,
            Program::SignatureKey,
            Program::SlapcacheConf,
            Program::SlapcacheUpload,
            Program::SlapcacheDownload,
        ] {
            program.command().debug_assert();
        }
    }
}
