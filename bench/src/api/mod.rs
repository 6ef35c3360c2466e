//! The fleet's interface, `/api/v0`: Provost beside a bare handler, beside the disk, and beside itself with few hosts.
//!
//! ```text
//! reading   GET a host, and the list of 1,000            against a bare handler that answers the same bytes, and
//!                                                        against etcd where it is asked; also while somebody writes
//! putting   PUT a host, another one each time            against the same, and against the disk
//! growth    pages, filters and counts of 100,000 hosts   against those of 1,000
//! memory    a server that has 100,000 hosts              against one that has 1,000
//! ```
//! Each on the embedded store and on an etcd of one member, on the same disk. Contenders take turns, round by round,
//! and the median of the rounds counts.

mod bare;
mod contenders;
mod filling;
mod growth;
mod memory;
mod putting;
mod reading;
mod writing;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser as _, ValueEnum};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::Failure;
use crate::process::Moment;
use crate::report::{Measured, Section};
use crate::run::{self, Settings};
use contenders::Store;

/// So many connections at once.
const CONNECTIONS: [usize; 3] = [1, 8, 64];

/// Measures Provost's `/api/v0` beside a bare handler of the same HTTP stack, and with many hosts
#[derive(clap::Parser)]
#[command(name = "api")]
struct Options {
    /// What to measure; everything when nothing is named
    sections: Vec<Chosen>,
    /// On which store; on both when none is named
    #[arg(long)]
    store: Vec<Store>,
    /// How many hosts are many, a multiple of 1,000; to take in 100,000 takes minutes on etcd
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    hosts: usize,
    #[command(flatten)]
    settings: Settings,
    /// Be the bare handler: answer what this file says
    #[arg(long, hide = true, value_name = "FILE", requires = "port")]
    bare: Option<PathBuf>,
    /// Where the bare handler listens
    #[arg(long, hide = true, value_name = "PORT")]
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chosen {
    Reading,
    Putting,
    Growth,
    Memory,
}

/// What the sections share.
struct Bench {
    provost: PathBuf,
    folder: TempDir,
    /// The load generator's: one thread.
    runtime: Runtime,
    duration: Duration,
    rounds: usize,
    /// How many hosts are many.
    hosts: usize,
}

/// How many hosts are few.
const FEWER: usize = 1_000;

/// What one contender did in all rounds.
#[derive(Default)]
struct Runs {
    per_second: Measured,
    cpu_microseconds: Measured,
}

/// Measures what the command line names, and prints it.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    run::exit(
        "api",
        match (&options.bare, options.port) {
            (Some(answers), Some(port)) => bare::serve(answers, port),
            _ => measure(&options),
        },
    )
}

fn measure(options: &Options) -> Result<(), Failure> {
    options.settings.check()?;
    if options.hosts < 2 * FEWER || !options.hosts.is_multiple_of(FEWER) {
        return Err(Failure::Usage("--hosts must be a multiple of 1,000, and 2,000 at least".into()));
    }
    let bench = Bench {
        provost: options.settings.provost()?,
        folder: run::folder("api")?,
        runtime: run::runtime()?,
        duration: options.settings.duration(),
        rounds: options.settings.rounds,
        hosts: options.hosts,
    };
    let began = Moment::now()?;
    let stores = if options.store.is_empty() { &Store::BOTH[..] } else { &options.store };
    let mut sections = Vec::new();
    for store in stores {
        sections.extend(bench.sections(*store, &options.sections)?);
    }
    options.settings.print(&began, &sections)
}

impl Bench {
    fn sections(&self, store: Store, chosen: &[Chosen]) -> Result<Vec<Section>, Failure> {
        let wanted = |section| chosen.is_empty() || chosen.contains(&section);
        let mut sections = Vec::new();
        if wanted(Chosen::Reading) {
            sections.extend(self.runtime.block_on(reading::measure(self, store))?);
        }
        if wanted(Chosen::Putting) {
            sections.extend(self.runtime.block_on(putting::measure(self, store))?);
        }
        if wanted(Chosen::Growth) {
            sections.push(growth::measure(self, store)?);
        }
        if wanted(Chosen::Memory) {
            sections.push(self.runtime.block_on(memory::measure(self, store))?);
        }
        Ok(sections)
    }
}
