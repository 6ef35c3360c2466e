//! A program from its start to its end, as scripts and timers run it on every machine.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::Failure;
use crate::process::{self, Served, children_cpu, resident_bytes_peak_of};
use crate::report::{Measured, Row, Section, Unit};
use crate::run::{self, note};

/// How many times a program is run, one after the other, before the other one's turn.
const TURN: usize = 10;
const PROGRAMS: [&str; 3] = ["caucase", "caucase-probe", "caucase-rerequest"];

/// What is measured.
#[derive(Debug, Clone, Copy)]
enum What {
    Fetch,
    Probe,
    Rerequest,
}

/// Whose programs.
struct Contender {
    /// Where they are.
    programs: PathBuf,
    /// Where they are run.
    folder: PathBuf,
}

/// What a run took, by round.
#[derive(Default)]
struct Took {
    wall: Measured,
    cpu: Measured,
    memory: Measured,
}

pub(super) fn measure(provost: &Path, rounds: usize) -> Result<Section, Failure> {
    let folder = run::folder("ca-clients")?;
    let runtime = run::runtime()?;
    let links = run::folder_in(folder.path(), "bin")?;
    for name in PROGRAMS {
        let link = links.join(name);
        symlink(provost, &link).map_err(Failure::file(&link))?;
    }
    let theirs = testkit::witness("caucase");
    let theirs = theirs.parent().map(Path::to_owned).unwrap_or_default();
    let ours = Contender { programs: links, folder: run::folder_in(folder.path(), "ours")? };
    let theirs = Contender { programs: theirs, folder: run::folder_in(folder.path(), "theirs")? };
    let port = process::free_ports()?;
    let url = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(provost);
    command.args(["up", "--netloc", &format!("127.0.0.1:{port}"), "--data"]).arg(folder.path().join("data"));
    command.args(["--ca-services-auto-approve-count", "10"]);
    let server = runtime.block_on(Served::start("provost", command, port, "/readyz", folder.path()))?;
    let mut rows = Vec::new();
    for (what, title) in [
        (What::Fetch, "caucase --get-crt"),
        (What::Probe, "caucase-probe"),
        (What::Rerequest, "caucase-rerequest"),
    ] {
        note(&format!("running: {title}"));
        let id = ours.submit(&url)?;
        let mut took = [Took::default(), Took::default()];
        // The first time files are read from the disk, and whom to trust is not known yet.
        for contender in [&ours, &theirs] {
            contender.copy_request(&ours)?;
            contender.run(what, &url, &id)?;
        }
        for _ in 0..rounds {
            for (contender, took) in [&ours, &theirs].into_iter().zip(&mut took) {
                contender.turn(what, &url, &id, took)?;
            }
        }
        let [ours, theirs] = took;
        let row = |what: &str, unit, ours, theirs| Row { what: format!("{title}{what}"), unit, ours, theirs };
        rows.push(row("", Unit::Milliseconds, ours.wall, theirs.wall));
        rows.push(row(": processor time", Unit::Milliseconds, ours.cpu, theirs.cpu));
        rows.push(row(": memory at most", Unit::Megabytes, ours.memory, theirs.memory));
    }
    runtime.block_on(server.stop())?;
    Ok(Section {
        title: "One run of a program".into(),
        rival: "caucase",
        rows,
        notes: vec![
            "both ask a server of ours; caucase-rerequest is for the greater part the making of an RSA-2048 key, which takes \
             anybody another time each time"
                .into(),
        ],
    })
}

impl Contender {
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Makes a request, submits it, and gives its number. The request is in `request.csr.pem`.
    fn submit(&self, url: &str) -> Result<String, Failure> {
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=bench",
            "-out",
            "request.csr.pem",
        ]);
        openssl.args(["-keyout", "request.key.pem"]).current_dir(&self.folder);
        succeeded(&mut openssl)?;
        let mut send = self.command("caucase");
        send.args(["--ca-url", url, "--send-csr", "request.csr.pem"]).stdout(Stdio::piped());
        let said = String::from_utf8_lossy(&succeeded(&mut send)?.stdout).into_owned();
        Ok(said.split(' ').next().unwrap_or_default().to_owned())
    }

    fn copy_request(&self, from: &Self) -> Result<(), Failure> {
        if self.folder == from.folder {
            return Ok(());
        }
        let (from, to) = (from.folder.join("request.csr.pem"), self.folder.join("request.csr.pem"));
        std::fs::copy(&from, &to).map(drop).map_err(Failure::file(&to))
    }

    /// The next run, ready to be started.
    fn prepare(&self, what: What, url: &str, id: &str) -> Result<Command, Failure> {
        Ok(match what {
            What::Fetch => {
                let out = self.folder.join("fetched.crt.pem");
                match std::fs::remove_file(&out) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Failure::file(&out)(error));
                    }
                    Ok(()) | Err(_) => {}
                }
                let mut command = self.command("caucase");
                command.args(["--ca-url", url, "--get-crt", id, "fetched.crt.pem"]);
                command
            }
            What::Probe => {
                let mut command = self.command("caucase-probe");
                command.arg(url);
                command
            }
            What::Rerequest => {
                let mut command = self.command("caucase-rerequest");
                command.args(["--template", "request.csr.pem", "--csr", "again.csr.pem"]);
                command.args(["--key", "again.key.pem"]);
                command
            }
        })
    }

    /// Runs it once; how long that took, in milliseconds.
    fn run(&self, what: What, url: &str, id: &str) -> Result<f64, Failure> {
        let mut command = self.prepare(what, url, id)?;
        let began = Instant::now();
        let status = command.status();
        let took = began.elapsed();
        match status {
            Ok(status) if status.success() => Ok(took.as_secs_f64() * 1_000.0),
            Ok(status) => Err(failed(&command, status.to_string())),
            Err(error) => Err(failed(&command, error.to_string())),
        }
    }

    /// Runs it some times, and then once with an eye on its memory.
    fn turn(&self, what: What, url: &str, id: &str, took: &mut Took) -> Result<(), Failure> {
        let before = children_cpu()?;
        let mut wall = Measured::default();
        for _ in 0..TURN {
            wall.add(self.run(what, url, id)?);
        }
        let cpu = children_cpu()?.saturating_sub(before);
        took.wall.add(wall.median());
        took.cpu.add(cpu.as_secs_f64() * 1_000.0 / TURN as f64);
        took.memory.add(resident_bytes_peak_of(self.prepare(what, url, id)?)? as f64 / 1e6);
        Ok(())
    }
}

fn failed(command: &Command, what: String) -> Failure {
    Failure::Program { program: format!("{command:?}"), what }
}

fn succeeded(command: &mut Command) -> Result<Output, Failure> {
    let output =
        command.stderr(Stdio::piped()).output().map_err(|error| failed(command, error.to_string()))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(failed(command, format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr))))
}
