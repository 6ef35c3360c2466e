//! `cargo xtask life --seed N --years 4 --holders 300`: see `proof::life`.

use std::io::Write as _;
use std::process::ExitCode;

use base::Entropy;
use proof::life::{Plan, live};

const USAGE: &str = "usage: life [--seed N] [--years N] [--holders N] [--disk|--memory]";

fn main() -> ExitCode {
    let Some(plan) = plan(std::env::args().skip(1)) else {
        say(USAGE);
        return ExitCode::from(2);
    };
    // First, so that it is known whatever comes of it.
    say(&format!("{plan:?}"));
    say(&format!("{:#?}", live(&plan)));
    ExitCode::SUCCESS
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Option<Plan> {
    let (mut seed, mut years, mut holders, mut on_disk) = (Entropy::system().number() >> 32, 4, 300, None);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next()?.parse::<u64>().ok();
        match argument.as_str() {
            "--seed" => seed = number()?,
            "--years" => years = i64::try_from(number()?).ok()?,
            "--holders" => holders = usize::try_from(number()?).ok()?,
            "--disk" => on_disk = Some(true),
            "--memory" => on_disk = Some(false),
            _ => return None,
        }
    }
    let plan = Plan::long(seed, years, holders);
    Some(Plan { on_disk: on_disk.unwrap_or(plan.on_disk), ..plan })
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
