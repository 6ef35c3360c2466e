//! An authority that has issued very many certificates.
//!
//! ```text
//! itself     with 100,000 and with 1,000,000 certificates     against itself with 1,000
//! caucased   the same database                                against caucased
//! backup     issuing while a backup is made                   against issuing while none is
//! ```
//! A tenth of the certificates is revoked, 100,000 at most, and 50 requests wait. All of it is taken over from a database
//! of caucase, so that both have the same. Contenders come one after the other; the median of the rounds counts.

mod asking;
mod contender;
mod filled;

use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser as _;
use tokio::runtime::Runtime;

use self::asking::{Fetcher, Holders, Lister, Renewer, Timed, as_user};
use self::contender::Old;
use self::filled::Filled;
use super::contenders::{Contender, Contenders};
use super::issuing::{self, Holder};
use super::requests::{Requests, Supply};
use crate::Failure;
use crate::http::Client;
use crate::load;
use crate::process::{Moment, Served};
use crate::report::{Measured, Row, Section, Unit, number};
use crate::run::{self, Settings, note};

/// Few, beside which the many are seen.
const FEW: u64 = 1_000;
/// The most revocations there are.
const REVOKED_MAX: u64 = 100_000;
/// How many clients ask at once, but for lists of those that wait, for which there is one.
const CLIENTS: usize = 8;
/// How many renewals there are in one run, and how often one more is revoked. With those there have to be fewer than
/// certificates that are not revoked where there are few, for up to three rounds.
const RENEWALS: usize = 250;
const REVOCATIONS: usize = 5;
/// How long a server is left alone before its memory is looked at.
const REST: Duration = Duration::from_millis(500);

/// Measures Provost's certificate authority with very many certificates, beside itself with few and beside caucased
#[derive(clap::Parser)]
#[command(name = "ca-scale")]
struct Options {
    /// How many certificates there are; may be given several times
    #[arg(long, value_name = "N", default_values_t = [100_000, 1_000_000], value_parser = clap::value_parser!(u64).range(2_000..))]
    certificates: Vec<u64>,
    /// Leave caucased out, which takes most of the time
    #[arg(long)]
    without_caucased: bool,
    #[command(flatten)]
    settings: Settings,
}

/// What is shared.
struct Bench {
    contenders: Contenders,
    folder: tempfile::TempDir,
    runtime: Runtime,
    duration: Duration,
    rounds: usize,
    requests: Requests,
}

/// What was seen of one contender.
#[derive(Default)]
struct Seen {
    taken_over: Measured,
    started: Measured,
    idle_memory: Measured,
    issued: Measured,
    fetched: Measured,
    renewed: Measured,
    listed: Measured,
    revoked: Measured,
    memory: Measured,
    files: Measured,
}

/// What holders waited while a backup was made, and while none was, in milliseconds.
struct Waited {
    backup_seconds: f64,
    issued: [f64; 2],
    half: [f64; 2],
    most: [f64; 2],
}

/// Measures what the command line names, and prints it.
#[must_use]
pub fn main() -> ExitCode {
    run::exit("ca-scale", measure(&Options::parse()))
}

fn measure(options: &Options) -> Result<(), Failure> {
    options.settings.check()?;
    let duration = options.settings.duration();
    let per_second = super::limit::bare_signatures(Duration::from_millis(500))?.done.per_second();
    // For each round, and for the time with a backup and without one: more than that is not used up.
    let runs = options.settings.rounds as f64 + 4.0;
    note("signing requests");
    let bench = Bench {
        contenders: Contenders::find(options.settings.provost()?)?,
        folder: run::folder("ca-scale")?,
        runtime: run::runtime()?,
        duration,
        rounds: options.settings.rounds,
        requests: Requests::make((per_second * duration.as_secs_f64() * runs / 2.0).ceil() as usize)?,
    };
    let began = Moment::now()?;
    let sections =
        bench.runtime.block_on(bench.sections(&options.certificates, !options.without_caucased))?;
    options.settings.print(&began, &sections)
}

impl Bench {
    async fn sections(&self, sizes: &[u64], with_caucased: bool) -> Result<Vec<Section>, Failure> {
        let few = self.filled(FEW).await?;
        let (seen_few, _) = self.look_at(Contender::Provost, &few).await?;
        let mut sections = Vec::new();
        for &size in sizes {
            let filled = self.filled(size).await?;
            let (seen, waited) = self.look_at(Contender::Provost, &filled).await?;
            sections.push(beside_few(size, &filled, &seen, &seen_few));
            if with_caucased {
                let (theirs, _) = self.look_at(Contender::Caucased, &filled).await?;
                sections.push(beside_caucased(size, &seen, &theirs));
            }
            sections.extend(waited.map(|waited| beside_no_backup(size, &waited)));
            std::fs::remove_file(&filled.path).map_err(Failure::file(&filled.path))?;
        }
        Ok(sections)
    }

    async fn filled(&self, certificates: u64) -> Result<Filled, Failure> {
        note(&format!("making a database with {certificates} certificates"));
        let folder = run::folder_in(self.folder.path(), &format!("filled-{certificates}"))?;
        let revoked = (certificates / 10).min(REVOKED_MAX);
        Filled::make(self.contenders.caucased(), &folder, certificates, revoked).await
    }

    /// Everything about one contender; what a backup does to who asks, of Provost only.
    async fn look_at(
        &self,
        contender: Contender,
        filled: &Filled,
    ) -> Result<(Seen, Option<Waited>), Failure> {
        note(&format!("{} with {} certificates", contender.name(), filled.certificates));
        let folder = format!("{}-{}", contender.name(), filled.certificates);
        let old = Old::new(contender, &self.contenders, run::folder_in(self.folder.path(), &folder)?)?;
        let mut seen = Seen::default();
        seen.taken_over.add(old.take_over(filled)?.as_secs_f64() * 1e3);
        for _ in 1..self.rounds {
            let served = old.start().await?;
            seen.started.add(served.started_in.as_secs_f64() * 1e3);
            served.stop().await?;
        }
        let served = old.start().await?;
        seen.started.add(served.started_in.as_secs_f64() * 1e3);
        tokio::time::sleep(REST).await;
        seen.idle_memory.add(served.resident_bytes()? as f64 / 1e6);
        let supply = self.requests.supply();
        self.ask(&served, filled, &supply, &mut seen).await?;
        seen.memory.add(served.resident_bytes()? as f64 / 1e6);
        let waited = match contender {
            Contender::Provost => Some(self.wait_for_backup(&served, &old, &supply).await?),
            Contender::Caucased => None,
        };
        served.stop().await?;
        seen.files.add(old.file_bytes()? as f64 / 1e6);
        old.remove()?;
        Ok((seen, waited))
    }

    async fn ask(
        &self,
        served: &Served,
        filled: &Filled,
        supply: &Supply,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let tls = as_user(&filled.user, std::slice::from_ref(&filled.server))?;
        let mut holders = Holders::new(filled);
        for _ in 0..self.rounds {
            let done = issuing::issue(served, supply, CLIENTS, true, self.duration).await?;
            seen.issued.add(done.per_second());
            let fetchers = (0..CLIENTS as u64).map(|first| Fetcher::new(served, filled, first)).collect();
            seen.fetched.add(load::run(fetchers, self.duration).await?.0.per_second());
            let renewals = holders.renewals(served, RENEWALS).await?;
            let renewers = (0..CLIENTS).map(|_| Renewer::new(served, &renewals)).collect();
            seen.renewed.add(load::run(renewers, self.duration).await?.0.per_second());
            seen.listed.add(load::run(vec![Lister::new(served, &tls)], self.duration).await?.0.per_second());
            for _ in 0..REVOCATIONS {
                seen.revoked.add(holders.revoke(served).await?.as_secs_f64() * 1e3);
            }
        }
        Ok(())
    }

    /// Issues while a backup is made, and as long as that takes, and before it while none is.
    async fn wait_for_backup(
        &self,
        served: &Served,
        old: &Old<'_>,
        supply: &Supply,
    ) -> Result<Waited, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let holders = || {
            let holder = || Timed::new(Holder::new(Client::new(served.address), supply, true), &stop);
            std::iter::repeat_with(holder).take(CLIENTS).collect()
        };
        let without = load::run(holders(), self.duration).await?;
        let mut command = old.backup();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ended = Arc::clone(&stop);
        let backup = tokio::task::spawn_blocking(move || {
            let began = std::time::Instant::now();
            let status = command.status();
            ended.store(true, Ordering::Relaxed);
            (status, began.elapsed())
        });
        let with = load::run(holders(), Duration::from_secs(86_400)).await?;
        let failed = |what: String| Failure::Program { program: "provost backup".into(), what };
        let (status, took) = backup.await.map_err(|error| failed(error.to_string()))?;
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(failed(status.to_string())),
            Err(error) => return Err(failed(error.to_string())),
        }
        let at = |part: f64, timed: &[Timed]| {
            let mut all: Vec<Duration> = timed.iter().flat_map(|timed| timed.took.iter().copied()).collect();
            all.sort();
            let last = all.len().saturating_sub(1);
            all.get((last as f64 * part) as usize).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
        };
        Ok(Waited {
            backup_seconds: took.as_secs_f64(),
            issued: [with.0.per_second(), without.0.per_second()],
            half: [at(0.5, &with.1), at(0.5, &without.1)],
            most: [at(0.99, &with.1), at(0.99, &without.1)],
        })
    }
}

/// What a row is about, and where its figures are.
type Column = (&'static str, Unit, fn(&Seen) -> &Measured);

/// What is compared with caucased; with few certificates, what it took to take them over as well.
const ROWS: [Column; 9] = [
    ("submit, approve, fetch", Unit::PerSecond, |seen| &seen.issued),
    ("fetch a certificate", Unit::PerSecond, |seen| &seen.fetched),
    ("renew", Unit::PerSecond, |seen| &seen.renewed),
    ("list those that wait, 1 client", Unit::PerSecond, |seen| &seen.listed),
    ("revoke one more, fetch the list", Unit::Milliseconds, |seen| &seen.revoked),
    ("start, until it answers", Unit::Milliseconds, |seen| &seen.started),
    ("memory, idle", Unit::Megabytes, |seen| &seen.idle_memory),
    ("memory, afterwards", Unit::Megabytes, |seen| &seen.memory),
    ("files", Unit::Megabytes, |seen| &seen.files),
];

fn rows(ours: &Seen, theirs: &Seen) -> Vec<Row> {
    let row = |(what, unit, figure): &Column| Row {
        what: (*what).into(),
        unit: *unit,
        ours: figure(ours).clone(),
        theirs: figure(theirs).clone(),
    };
    ROWS.iter().map(row).collect()
}

fn beside_few(size: u64, filled: &Filled, seen: &Seen, few: &Seen) -> Section {
    Section {
        title: format!("Provost with {size} certificates, {} of them revoked", filled.revoked),
        rival: "with 1,000",
        rows: rows(seen, few),
        notes: vec![format!(
            "taking over from caucase: {} s; {} ms with 1,000",
            number(seen.taken_over.median() / 1e3),
            number(few.taken_over.median())
        )],
    }
}

fn beside_caucased(size: u64, ours: &Seen, theirs: &Seen) -> Section {
    Section {
        title: format!("With {size} certificates"),
        rival: Contender::Caucased.name(),
        rows: rows(ours, theirs),
        notes: Vec::new(),
    }
}

fn beside_no_backup(size: u64, waited: &Waited) -> Section {
    let row = |what: &str, unit, [with, without]: [f64; 2]| Row {
        what: what.into(),
        unit,
        ours: with.into(),
        theirs: without.into(),
    };
    Section {
        title: format!("Submit, approve, fetch while a backup of {size} certificates is made"),
        rival: "without one",
        rows: vec![
            row("certificates", Unit::PerSecond, waited.issued),
            row("a holder waits, median", Unit::Milliseconds, waited.half),
            row("a holder waits, 99 of 100", Unit::Milliseconds, waited.most),
        ],
        notes: vec![format!("the backup took {} s", number(waited.backup_seconds))],
    }
}
