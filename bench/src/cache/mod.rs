//! The artifact cache: Provost beside nginx, and beside what the machine can do.
//!
//! ```text
//! reading   GET of 1 KiB and of 256 MiB, over plain HTTP and TLS     against nginx with sendfile
//! posting   POST of 1 KiB and of 256 MiB, durable                    against the disk, and hashing and writing the bytes
//! others    POST of 1 KiB and of 64 MiB                              against slapos.core's proxy, and PUT to nginx
//! growth    adding and reading entries with 1,000,000 keys           against the same with 1,000
//! memory    of the server, while 4 GiB come and 8 read               against what is aimed at
//! entries   signing and verifying an entry with RSA-1024 and SHA-1   against the times that are aimed at
//! ```
//! Contenders take turns, round by round, and the median of the rounds counts.

mod entries;
mod growth;
mod memory;
mod posting;
mod reading;
mod rivals;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Parser as _, ValueEnum};
use tokio::runtime::Runtime;

use crate::Failure;
use crate::process::{self, Moment, Served};
use crate::run::{self, Settings};

/// The larger of the two sizes: 256 MiB.
const LARGE: usize = 256 << 20;
/// And the smaller one.
const SMALL: usize = 1024;

/// Measures Provost's artifact cache beside nginx, and beside the machine's own limits
#[derive(clap::Parser)]
#[command(name = "cache")]
struct Options {
    /// What to measure; everything when nothing is named
    sections: Vec<Chosen>,
    /// How many keys there are in the end, in `growth`
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(2_000..))]
    keys: u64,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chosen {
    Reading,
    Posting,
    Others,
    Growth,
    Memory,
    Entries,
}

/// What the sections share.
struct Bench {
    provost: PathBuf,
    /// Where the contenders keep their data: on the disk that the binary is on, gone afterwards.
    folder: tempfile::TempDir,
    /// The load generator's: one thread.
    runtime: Runtime,
    duration: Duration,
    rounds: usize,
}

/// Measures what the command line names, and prints it.
#[must_use]
pub fn main() -> ExitCode {
    run::exit("cache", measure(&Options::parse()))
}

fn measure(options: &Options) -> Result<(), Failure> {
    options.settings.check()?;
    let bench = Bench {
        provost: options.settings.provost()?,
        folder: run::folder("cache")?,
        runtime: run::runtime()?,
        duration: options.settings.duration(),
        rounds: options.settings.rounds,
    };
    let began = Moment::now()?;
    let wanted = |section| options.sections.is_empty() || options.sections.contains(&section);
    let mut sections = Vec::new();
    if wanted(Chosen::Reading) {
        sections.extend(bench.runtime.block_on(reading::measure(&bench))?);
    }
    if wanted(Chosen::Posting) {
        sections.extend(bench.runtime.block_on(posting::measure(&bench))?);
    }
    if wanted(Chosen::Others) {
        sections.extend(bench.runtime.block_on(posting::beside_others(&bench))?);
    }
    if wanted(Chosen::Growth) {
        sections.push(bench.runtime.block_on(growth::measure(&bench, options.keys))?);
    }
    if wanted(Chosen::Memory) {
        sections.push(bench.runtime.block_on(memory::measure(&bench))?);
    }
    if wanted(Chosen::Entries) {
        sections.push(entries::measure(&bench)?);
    }
    options.settings.print(&began, &sections)
}

impl Bench {
    /// A Provost to whose cache everybody may write, with data in a folder of this name.
    async fn serve(&self, name: &str) -> Result<Served, Failure> {
        let folder = run::folder_in(self.folder.path(), name)?;
        let port = process::free_ports()?;
        let mut command = Command::new(&self.provost);
        command.args(["up", "--netloc", &format!("127.0.0.1:{port}"), "--cache-writers", "everyone"]);
        command.args(["--cache-scrub-bytes-per-second", "0"]).arg("--data").arg(folder.join("data"));
        Served::start("provost", command, port, "/readyz", &folder).await
    }
}

/// So many bytes, which no two `seed`s have in common.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    // A generator of pseudo-random numbers (xorshift64), so that nothing is compressed or found alike.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}
