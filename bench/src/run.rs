//! What every measurement shares: how it is told what to do, what it runs, and how it says what came of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::Failure;
use crate::process::Moment;
use crate::report::{self, Section};

/// What every measurement can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// How long one run lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// How many runs each contender has; the median counts
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Measure this binary, instead of the one that is built first
    #[arg(long, value_name = "FILE")]
    provost: Option<PathBuf>,
}

impl Settings {
    /// Whether they can be followed, by this build.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if cfg!(debug_assertions) {
            return Err(Failure::Usage("measure with `cargo run --release`".into()));
        }
        if !(self.seconds > 0.0 && self.seconds <= 3_600.0 && self.rounds > 0) {
            return Err(Failure::Usage("--seconds and --rounds must be greater than 0".into()));
        }
        Ok(())
    }

    /// How long one run lasts.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Provost's binary.
    pub(crate) fn provost(&self) -> Result<PathBuf, Failure> {
        match &self.provost {
            // Some are started in a folder of their own.
            Some(provost) if provost.is_file() => {
                std::path::absolute(provost).map_err(Failure::file(provost))
            }
            Some(provost) => Err(Failure::Missing(format!("{} is not there", provost.display()))),
            None => built(),
        }
    }

    /// Prints what came of what was measured since `began`.
    pub(crate) fn print(&self, began: &Moment, sections: &[Section]) -> Result<(), Failure> {
        let machine = machine(Moment::now()?.others_since(began));
        let text = if self.json {
            format!("{:#}\n", report::to_json(&machine, sections))
        } else {
            report::to_table(&machine, sections)
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).map_err(Failure::file(Path::new("standard output")))
    }
}

/// How the measurement `name` ends.
pub(crate) fn exit(name: &str, measured: Result<(), Failure>) -> ExitCode {
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("{name}: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// A folder for what the contenders of the measurement `name` keep: on the disk that the binary is on, gone
/// afterwards.
pub(crate) fn folder(name: &str) -> Result<TempDir, Failure> {
    let binaries = binaries()?;
    let folder = tempfile::Builder::new().prefix(&format!("bench-{name}-")).tempdir_in(&binaries);
    folder.map_err(Failure::file(&binaries))
}

/// The load generator's: one thread.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::file(Path::new("the load generator's runtime")))
}

/// A new folder inside another one.
pub(crate) fn folder_in(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    std::fs::create_dir(&path).map_err(Failure::file(&path))?;
    Ok(path)
}

/// The folder of this program, where cargo puts the other ones too.
fn binaries() -> Result<PathBuf, Failure> {
    let unknown = || Failure::Missing("the folder of this program is not known".into());
    this_program()?.parent().map(Path::to_owned).ok_or_else(unknown)
}

/// This program.
pub(crate) fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|_| Failure::Missing("the path of this program is not known".into()))
}

/// Provost's own binary, from the sources as they are.
fn built() -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--quiet", "--release", "--locked", "--package", "provost"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let failed = |what: String| Failure::Program { program: "cargo build".into(), what };
    let status = Command::new(cargo).args(arguments).current_dir(root).status();
    let status = status.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    Ok(binaries()?.join("provost"))
}

/// What it was measured on, of which others used a part meanwhile.
fn machine(others: f64) -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{} cores ({model}), of which other programs used {:.0} %", cores(), others * 100.0)
}

/// How many threads can run at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Says on standard error what is being done: this takes a while.
pub(crate) fn note(line: &str) {
    // Whoever does not listen misses nothing that matters.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// `1 client`, `8 clients`.
pub(crate) fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
