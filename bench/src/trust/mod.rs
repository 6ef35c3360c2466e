//! Trust handed on: Provost beside what charms are made with.
//!
//! ```text
//! dispatch   one hook of a requirer's unit, in the tests' model of Juju     against a charm on the reference library
//! rollover   another CA certificate reaches 1,000 and 20,000 requirers, over a scripted transport           against a limit
//! ```
//! Contenders take turns, round by round, and the median of the rounds counts.

mod dispatch;
mod rollover;

use std::process::ExitCode;

use clap::{Parser as _, ValueEnum};

use crate::Failure;
use crate::process::Moment;
use crate::run::{self, Settings};

/// Measures how Provost hands trust on beside what charms are made with
#[derive(clap::Parser)]
#[command(name = "trust")]
struct Options {
    /// What to measure; everything when nothing is named
    sections: Vec<Chosen>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chosen {
    Dispatch,
    Rollover,
}

/// Measures what the command line names, and prints it.
#[must_use]
pub fn main() -> ExitCode {
    run::exit("trust", measure(&Options::parse()))
}

fn measure(options: &Options) -> Result<(), Failure> {
    options.settings.check()?;
    let began = Moment::now()?;
    let wanted = |section| options.sections.is_empty() || options.sections.contains(&section);
    let mut sections = Vec::new();
    if wanted(Chosen::Dispatch) {
        sections.push(dispatch::measure(&options.settings.provost()?, options.settings.rounds)?);
    }
    if wanted(Chosen::Rollover) {
        sections.extend(rollover::measure()?);
    }
    options.settings.print(&began, &sections)
}
