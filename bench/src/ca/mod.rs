//! The certificate authority: Provost beside the Python `caucased`, and beside what its own signatures cost.
//!
//! ```text
//! reading   requests for the CA certificate and the revocation list      against caucased
//! issuing   submit, automatic approval, fetch                            against caucased
//! limit     durable certificates                                         against bare RSA-2048 signatures
//! starting  first and later start, idle memory, size                     against caucased
//! ```
//! Contenders take turns, round by round, and the median of the rounds counts.

mod contenders;
mod issuing;
mod limit;
mod reading;
mod requests;
mod starting;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Parser as _, ValueEnum};
use tokio::runtime::Runtime;

use crate::Failure;
use crate::process::Moment;
use crate::report::{self, Section};
use contenders::Contenders;
use requests::Requests;

/// Measures Provost's certificate authority beside caucased, and beside the machine's own limit
#[derive(clap::Parser)]
#[command(name = "ca")]
struct Options {
    /// What to measure; everything when nothing is named
    sections: Vec<Chosen>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// How long one run lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// How many runs each contender has; the median counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Measure this binary, instead of the one that is built first
    #[arg(long, value_name = "FILE")]
    provost: Option<PathBuf>,
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
    let options = Options::parse();
    match measure(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("ca: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err(Failure::Usage("measure with `cargo run --release`".into()));
    }
    if !(options.seconds > 0.0 && options.seconds <= 3_600.0 && options.rounds > 0) {
        return Err(Failure::Usage("--seconds and --rounds must be greater than 0".into()));
    }
    let binaries = binaries()?;
    let contenders = Contenders::find(match &options.provost {
        Some(provost) => provost.clone(),
        None => built(&binaries)?,
    })?;
    let folder = tempfile::Builder::new().prefix("bench-ca-").tempdir_in(&binaries);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bench = Bench {
        contenders,
        folder: folder.map_err(Failure::file(&binaries))?,
        runtime: runtime.map_err(Failure::file(Path::new("the load generator's runtime")))?,
        duration: Duration::from_secs_f64(options.seconds),
        rounds: options.rounds,
        signatures_per_second: limit::bare_signatures(Duration::from_millis(500))?.done.per_second(),
    };
    let began = Moment::now()?;
    let sections = bench.sections(&options.sections)?;
    let machine = machine(Moment::now()?.others_since(&began));
    let text = if options.json {
        format!("{:#}\n", report::to_json(&machine, &sections))
    } else {
        report::to_table(&machine, &sections)
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(Failure::file(Path::new("standard output")))
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
        let path = self.folder.path().join(name);
        std::fs::create_dir(&path).map_err(Failure::file(&path))?;
        Ok(path)
    }
}

/// The folder of this program, where cargo puts the other ones too.
fn binaries() -> Result<PathBuf, Failure> {
    let unknown = || Failure::Missing("the folder of this program is not known".into());
    let this = std::env::current_exe().map_err(|_| unknown())?;
    this.parent().map(Path::to_owned).ok_or_else(unknown)
}

/// Provost's own binary, from the sources as they are.
fn built(binaries: &Path) -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--quiet", "--release", "--locked", "--package", "provost"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let failed = |what: String| Failure::Program { program: "cargo build".into(), what };
    let status = Command::new(cargo).args(arguments).current_dir(root).status();
    let status = status.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    Ok(binaries.join("provost"))
}

/// What it was measured on, of which others used a part meanwhile.
fn machine(others: f64) -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{} cores ({model}), of which other programs used {:.0} %", cores(), others * 100.0)
}

/// How many threads can run at once.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Says on standard error what is being done: this takes a while.
fn note(line: &str) {
    // Whoever does not listen misses nothing that matters.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// `1 client`, `8 clients`.
fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
