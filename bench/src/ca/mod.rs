//! The certificate authority: Provost beside the Python `caucased`, and beside what its own signatures cost.
//!
//! ```text
//! reading   requests for the CA certificate and the revocation list      against caucased
//! issuing   submit, automatic approval, fetch                            against caucased
//! limit     durable certificates                                         against bare RSA-2048 signatures
//! starting  first and later start, idle memory, size                     against caucased
//! ```
//! `scale` is a program of its own: the same with very many certificates.
//!
//! Contenders take turns, round by round, and the median of the rounds counts.

mod contenders;
mod issuing;
mod limit;
mod reading;
mod requests;
pub mod scale;
mod starting;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser as _, ValueEnum};
use tokio::runtime::Runtime;

use crate::Failure;
use crate::process::Moment;
use crate::report::{self, Section};
use crate::run::{self, Settings, note};
use contenders::Contenders;
use requests::Requests;

/// Measures Provost's certificate authority beside caucased, and beside the machine's own limit
#[derive(clap::Parser)]
#[command(name = "ca")]
struct Options {
    /// What to measure; everything when nothing is named
    sections: Vec<Chosen>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chosen {
    Reading,
    Issuing,
    Limit,
    Starting,
}

/// What the sections share.
struct Bench {
    contenders: Contenders,
    /// Where the contenders keep their data: on the disk that the binary is on, gone afterwards.
    folder: tempfile::TempDir,
    /// The load generator's: one thread.
    runtime: Runtime,
    duration: Duration,
    rounds: usize,
    /// How many signatures, and so certificates at most, this machine makes in a second.
    signatures_per_second: f64,
}

/// Measures what the command line names, and prints it.
#[must_use]
pub fn main() -> ExitCode {
    run::exit("ca", measure(&Options::parse()))
}

fn measure(options: &Options) -> Result<(), Failure> {
    options.settings.check()?;
    let bench = Bench {
        contenders: Contenders::find(options.settings.provost()?)?,
        folder: run::folder("ca")?,
        runtime: run::runtime()?,
        duration: options.settings.duration(),
        rounds: options.settings.rounds,
        signatures_per_second: limit::bare_signatures(Duration::from_millis(500))?.done.per_second(),
    };
    let began = Moment::now()?;
    options.settings.print(&began, &bench.sections(&options.sections)?)
}

impl Bench {
    fn sections(&self, chosen: &[Chosen]) -> Result<Vec<Section>, Failure> {
        let wanted = |section| chosen.is_empty() || chosen.contains(&section);
        let mut sections = Vec::new();
        if wanted(Chosen::Reading) {
            sections.push(reading::measure(self)?);
        }
        if wanted(Chosen::Issuing) || wanted(Chosen::Limit) {
            // As many as can be used up at the most, in whichever section uses more.
            let runs = issuing::CLIENTS.len().max(limit::CLIENTS.len()) * self.rounds;
            let most = self.signatures_per_second * self.duration.as_secs_f64() * runs as f64;
            note(&format!("signing {} requests", report::number(most)));
            let requests = Requests::make(most.ceil() as usize)?;
            if wanted(Chosen::Issuing) {
                sections.push(issuing::measure(self, &requests)?);
            }
            if wanted(Chosen::Limit) {
                sections.push(limit::measure(self, &requests)?);
            }
        }
        if wanted(Chosen::Starting) {
            sections.push(starting::measure(self)?);
        }
        Ok(sections)
    }

    /// A new folder for one contender's data.
    fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        run::folder_in(self.folder.path(), name)
    }
}
