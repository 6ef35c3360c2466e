//! A machine with many certificates: one `provost ca watch` for all of them, beside programs of caucase for each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::http::{Client, request};
use crate::process::{self, Served, children_cpu};
use crate::report::{Row, Section, Unit, number};
use crate::run::{self, note};

/// How many certificates there are.
const CERTIFICATES: usize = 1_000;
/// How many of them caucase's programs renew: one by one, each takes as long as the one before.
const RENEWED_BY_THEM: usize = 10;
/// How long nothing happens while wake-ups are counted.
const IDLE: Duration = Duration::from_secs(30);
/// A certificate that has been valid for five seconds is due: its life is 93 days, from ten seconds before it was made.
const DUE_AT_ONCE: &str = "8035195s";

/// The folder of all of it, and where the server is.
struct Site<'s> {
    provost: &'s Path,
    folder: PathBuf,
    url: String,
}

pub(super) fn measure(provost: &Path) -> Result<Section, Failure> {
    let folder = run::folder("ca-clients")?;
    let runtime = run::runtime()?;
    let port = process::free_ports()?;
    let mut command = Command::new(provost);
    command.args(["up", "--netloc", &format!("127.0.0.1:{port}"), "--data"]).arg(folder.path().join("data"));
    command.args(["--ca-services-auto-approve-count", "1000000", "--ca-services-max-csr", "1000000"]);
    let server = runtime.block_on(Served::start("provost", command, port, "/readyz", folder.path()))?;
    let site = Site {
        provost,
        folder: run::folder_in(folder.path(), "machine")?,
        url: format!("http://127.0.0.1:{port}"),
    };

    note(&format!("watching: obtaining {CERTIFICATES} certificates"));
    let (obtained, _) = site.once("31d")?;
    let theirs = site.copies()?;
    // What is due now was made more than five seconds ago.
    std::thread::park_timeout(Duration::from_secs(6));
    note(&format!("watching: renewing {CERTIFICATES} certificates"));
    let (wall, cpu) = site.once(DUE_AT_ONCE)?;
    note(&format!("watching: {RENEWED_BY_THEM} renewed by caucase"));
    let (their_wall, their_cpu) = site.renew_by_them(&theirs)?;

    note("watching: nothing to do");
    let (memory, wake_ups) = runtime.block_on(site.idle(folder.path()))?;
    let their_memory = site.updater_memory(&theirs[0])? * CERTIFICATES as f64;
    runtime.block_on(server.stop())?;

    let row = |what: &str, unit, ours: f64, theirs: f64| Row {
        what: what.into(),
        unit,
        ours: ours.into(),
        theirs: theirs.into(),
    };
    let each = |all: Duration, count: usize| all.as_secs_f64() * 1e3 / count as f64;
    Ok(Section {
        title: format!("{CERTIFICATES} certificates of a machine, RSA-2048"),
        rival: "caucase",
        rows: vec![
            row(
                "renewing one of them",
                Unit::Milliseconds,
                each(wall, CERTIFICATES),
                each(their_wall, RENEWED_BY_THEM),
            ),
            row(
                "renewing one of them: processor time",
                Unit::Milliseconds,
                each(cpu, CERTIFICATES),
                each(their_cpu, RENEWED_BY_THEM),
            ),
            row("memory, nothing to do", Unit::Megabytes, memory, their_memory),
        ],
        notes: vec![
            format!(
                "obtaining all took {} s, renewing all {} s; the server is on the same cores",
                number(obtained.as_secs_f64()),
                number(wall.as_secs_f64())
            ),
            format!(
                "caucase renewed {RENEWED_BY_THEM}, with a process for each; its memory is that of one caucase-updater, \
                 {CERTIFICATES} times, shared pages included"
            ),
            format!("woken {wake_ups} times in {} s with nothing to do", IDLE.as_secs()),
        ],
    })
}

impl Site<'_> {
    /// Writes a configuration that renews when so much is left.
    fn configure(&self, threshold: &str, metrics: Option<u16>) -> Result<PathBuf, Failure> {
        let mut text = String::new();
        if let Some(port) = metrics {
            let _ = writeln!(text, "metrics = \"127.0.0.1:{port}\""); // to a String: cannot fail
        }
        let url = &self.url;
        let _ = write!(
            text,
            "[defaults]\nserver = \"{url}\"\nca = \"cas.crt.pem\"\nthreshold = \"{threshold}\"\njitter = \"0s\"\n"
        );
        for at in 0..CERTIFICATES {
            let _ = write!(
                text,
                "[[certificate]]\nname = \"c{at}\"\ncertificate = \"c{at}.crt.pem\"\nkey = \"c{at}.key.pem\"\n\
                 request = {{ name = \"c{at}\" }}\n"
            );
        }
        let path = self.folder.join("watch.toml");
        std::fs::write(&path, text).map_err(Failure::file(&path))?;
        Ok(path)
    }

    fn watch(&self, configuration: &Path) -> Command {
        let mut command = Command::new(self.provost);
        command.args(["ca", "watch", "--config"]).arg(configuration).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Looks after all of them once; how long that took, and how much processor time of the one who did.
    fn once(&self, threshold: &str) -> Result<(Duration, Duration), Failure> {
        let mut command = self.watch(&self.configure(threshold, None)?);
        command.arg("--once").stderr(Stdio::null());
        timed(&mut command)
    }

    /// Pairs of certificates and keys for caucase's programs.
    fn copies(&self) -> Result<Vec<[PathBuf; 2]>, Failure> {
        let folder = run::folder_in(&self.folder, "theirs")?;
        let copy = |at: usize| {
            let to = ["crt", "key"].map(|kind| folder.join(format!("c{at}.{kind}.pem")));
            for (kind, to) in ["crt", "key"].into_iter().zip(&to) {
                let from = self.folder.join(format!("c{at}.{kind}.pem"));
                std::fs::copy(&from, to).map_err(Failure::file(&from))?;
            }
            Ok(to)
        };
        (0..RENEWED_BY_THEM).map(copy).collect()
    }

    fn caucase(&self, program: &str) -> Command {
        let mut command = Command::new(testkit::witness(program));
        command.args(["--ca-url", &self.url]).current_dir(self.folder.join("theirs"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn renew_by_them(&self, pairs: &[[PathBuf; 2]]) -> Result<(Duration, Duration), Failure> {
        let (mut wall, mut cpu) = (Duration::ZERO, Duration::ZERO);
        for [certificate, key] in pairs {
            let mut command = self.caucase("caucase");
            command.args(["--threshold", "93", "--renew-crt"]).arg(certificate).arg(key);
            let before = std::fs::read(certificate).map_err(Failure::file(certificate))?;
            let took = timed(&mut command)?;
            if std::fs::read(certificate).map_err(Failure::file(certificate))? == before {
                return Err(Failure::Program { program: "caucase".into(), what: "did not renew".into() });
            }
            wall += took.0;
            cpu += took.1;
        }
        Ok((wall, cpu))
    }

    /// The memory, in megabytes, of one that has nothing to do, and how often it is woken meanwhile.
    async fn idle(&self, folder: &Path) -> Result<(f64, u64), Failure> {
        let port = process::free_ports()?;
        let command = self.watch(&self.configure("31d", Some(port))?);
        let watch = Served::start("provost ca watch", command, port, "/metrics", folder).await?;
        let asked = request("GET", "/metrics", None);
        loop {
            let mut client = Client::new(watch.address);
            let answer = client.expect(200, &asked).await?;
            let text = String::from_utf8_lossy(answer.body);
            if text.matches("provost_ca_last_success_timestamp_seconds{").count() == CERTIFICATES {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // Connections that are idle are closed.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let before = watch.wake_ups()?;
        tokio::time::sleep(IDLE).await;
        let wake_ups = watch.wake_ups()? - before;
        let memory = watch.resident_bytes()? as f64 / 1e6;
        watch.stop().await?;
        Ok((memory, wake_ups))
    }

    /// The memory of one caucase-updater that has nothing to do, in megabytes.
    fn updater_memory(&self, [certificate, key]: &[PathBuf; 2]) -> Result<f64, Failure> {
        let mut command = self.caucase("caucase-updater");
        command.args(["--cas-ca", "cas.crt.pem", "--ca", "cas.crt.pem", "--crl", "cas.crl.pem", "--crt"]);
        command.arg(certificate).arg("--key").arg(key);
        let mut child = command.spawn().map_err(Failure::file(Path::new("caucase-updater")))?;
        std::thread::park_timeout(Duration::from_secs(4));
        let memory = process::resident_bytes_of(&child.id().to_string());
        let _ = child.kill();
        let _ = child.wait();
        Ok(memory? as f64 / 1e6)
    }
}

/// Runs a command to its end; how long it took, and its processor time.
fn timed(command: &mut Command) -> Result<(Duration, Duration), Failure> {
    let failed = |what: String| Failure::Program { program: "a program".into(), what };
    let before = children_cpu()?;
    let began = Instant::now();
    let status = command.status().map_err(|error| failed(error.to_string()))?;
    let took = began.elapsed();
    if !status.success() {
        return Err(failed(format!("{command:?}: {status}")));
    }
    Ok((took, children_cpu()?.saturating_sub(before)))
}
