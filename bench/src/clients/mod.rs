//! What holders of certificates run: Provost's programs beside those of the Python `caucase`, against one server of ours.
//!
//! ```text
//! running    --get-crt, caucase-probe, caucase-rerequest: from the start of the process to its end    against caucase
//! ```
//! Contenders take turns, round by round, and the median of the rounds counts.

mod running;

use std::process::ExitCode;

use clap::{Parser as _, ValueEnum};

use crate::Failure;
use crate::process::Moment;
use crate::run::{self, Settings};

/// Measures what holders of certificates run beside the programs of caucase
#[derive(clap::Parser)]
#[command(name = "ca-clients")]
struct Options {
    /// What to measure; everything when nothing is named
    sections: Vec<Chosen>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chosen {
    Running,
}

/// Measures what the command line names, and prints it.
#[must_use]
pub fn main() -> ExitCode {
    run::exit("ca-clients", measure(&Options::parse()))
}

fn measure(options: &Options) -> Result<(), Failure> {
    options.settings.check()?;
    let provost = options.settings.provost()?;
    let began = Moment::now()?;
    let wanted = |section| options.sections.is_empty() || options.sections.contains(&section);
    let mut sections = Vec::new();
    if wanted(Chosen::Running) {
        sections.push(running::measure(&provost, options.settings.rounds)?);
    }
    options.settings.print(&began, &sections)
}
