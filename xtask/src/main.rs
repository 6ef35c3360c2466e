//! Chores, run as `cargo xtask VERB`.
//!
//! ```text
//! tidy        holds the architecture: arrows, absences, the code map
//! witnesses   installs the programs that the tests talk to, outside the repository
//! test        everything that must pass before a change goes in
//! life        years of the certificate authorities, simulated
//! ```
//!
//! **Invariant:** nothing here ends up in the product, and nothing in the product knows it is here.

mod run;
mod test;
mod tidy;
mod witnesses;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use run::Failure;

const USAGE: &str = "\
usage: cargo xtask VERB

  tidy        check the architecture: arrows, absences, the code map
  witnesses   install the programs that the tests talk to, and print where they are
  test        everything that must pass before a change goes in; ends with the tests
  life        years of the certificate authorities, simulated: [--seed N] [--years N] [--holders N] [--disk|--memory]
";

fn main() -> ExitCode {
    let verbs: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match verbs.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy(),
        ["witnesses"] => witnesses(),
        ["test"] => test::run(root()),
        ["life", options @ ..] => life(options),
        ["help" | "--help" | "-h"] => {
            print(USAGE);
            return ExitCode::SUCCESS;
        }
        _ => {
            note(USAGE.trim_end());
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("xtask: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn tidy() -> Result<(), Failure> {
    let findings = tidy::check(root())?;
    for finding in &findings {
        print(&format!("{finding}\n"));
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(Failure::Untidy { count }),
    }
}

fn witnesses() -> Result<(), Failure> {
    let folder = witnesses::install(root())?;
    print(&format!("{}\n", folder.display()));
    Ok(())
}

/// Runs the simulation with `options`, which it looks at itself.
fn life(options: &[&str]) -> Result<(), Failure> {
    let program = ["run", "--release", "--locked", "--quiet", "-p", "proof", "--bin", "life", "--"];
    run::run(run::cargo(&[&program, options].concat()).current_dir(root()))
}

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the workspace's folder")
}

/// Data, for stdout. A reader who has gone away is no fault of ours.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Narration, for stderr.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
