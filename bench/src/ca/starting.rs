//! What a contender takes before anybody asks it anything: time to start, memory, room on the disk.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Bench;
use super::contenders::{BOTH, Contender};
use crate::Failure;
use crate::process;
use crate::report::{Measured, Row, Section, Unit};
use crate::run::note;

/// How long a server is left alone before its memory is looked at.
const REST: Duration = Duration::from_millis(500);

/// How large caucased is: its files and those of the packages it needs, without the Python below.
const CAUCASED_BYTES: &str = r#"
import importlib.metadata as packages, re
seen, wanted = {}, ["caucase"]
while wanted:
    name = wanted.pop()
    if name in seen:
        continue
    try:
        package = packages.distribution(name)
    except packages.PackageNotFoundError:
        continue
    paths = [file.locate() for file in package.files or []]
    seen[name] = sum(path.stat().st_size for path in paths if path.is_file())
    needs = [need for need in package.requires or [] if "extra ==" not in need]
    wanted += [re.match(r"[\w.-]+", need)[0] for need in needs]
print(sum(seen.values()))
"#;

/// What was seen of one contender.
#[derive(Default)]
struct Seen {
    first_start: Measured,
    later_start: Measured,
    memory: Measured,
}

pub(super) fn measure(bench: &Bench) -> Result<Section, Failure> {
    let [ours, theirs] = bench.runtime.block_on(start_both(bench))?;
    let row = |what: &str, unit, ours, theirs| Row { what: what.to_owned(), unit, ours, theirs };
    Ok(Section {
        title: "Starting, and doing nothing".into(),
        rival: Contender::Caucased.name(),
        rows: vec![
            row("first start, until it answers", Unit::Milliseconds, ours.first_start, theirs.first_start),
            row("later start, until it answers", Unit::Milliseconds, ours.later_start, theirs.later_start),
            row("resident memory, idle", Unit::Megabytes, ours.memory, theirs.memory),
            row("program", Unit::Megabytes, provost_size(bench)?.into(), caucased_size(bench)?.into()),
        ],
        notes: vec!["program: one stripped binary; caucased with its packages, without Python itself".into()],
    })
}

async fn start_both(bench: &Bench) -> Result<[Seen; 2], Failure> {
    let mut seen = [Seen::default(), Seen::default()];
    for round in 1..=bench.rounds {
        note(&format!("starting: round {round}"));
        for (contender, seen) in BOTH.into_iter().zip(&mut seen) {
            let folder = bench.folder(&format!("starting-{round}-{}", contender.name()))?;
            let port = process::free_ports()?;
            let served = contender.start_on(bench, port, &folder).await?;
            seen.first_start.add(served.started_in.as_secs_f64() * 1e3);
            served.stop().await?;
            let served = contender.start_on(bench, port, &folder).await?;
            seen.later_start.add(served.started_in.as_secs_f64() * 1e3);
            tokio::time::sleep(REST).await;
            seen.memory.add(served.resident_bytes()? as f64 / 1e6);
            served.stop().await?;
        }
    }
    Ok(seen)
}

fn provost_size(bench: &Bench) -> Result<f64, Failure> {
    let path: &Path = bench.contenders.provost();
    Ok(std::fs::metadata(path).map_err(Failure::file(path))?.len() as f64 / 1e6)
}

fn caucased_size(bench: &Bench) -> Result<f64, Failure> {
    let python = bench.contenders.python();
    let output = Command::new(&python).args(["-c", CAUCASED_BYTES]).output();
    let output = output.map_err(Failure::file(&python))?;
    let bytes = String::from_utf8_lossy(&output.stdout).trim().parse::<f64>();
    bytes.map(|bytes| bytes / 1e6).map_err(|_| Failure::Program {
        program: python.display().to_string(),
        what: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
