//! A large fleet that is watched: what that takes of the processors and of memory.
//!
//! The hosts are simulated: whatever is asked of them is answered a moment later, and one of a hundred never answers. All
//! else is the house as it runs: its watcher, its store on a disk, its claims, keys that are unsealed for each look. What
//! SSH itself takes for a look at a host over a connection that stands is in the section of a command that does nothing.
//! The rival is a limit.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::Span;
use engine::House;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ssh::{Captured, End, Error, HostKey, Output, Remote, Target, Upload};
use store::Sqlite;

use crate::Failure;
use crate::house::{HOST_KEY, add_all, failed, house, row};
use crate::process::{own_cpu, own_resident_bytes};
use crate::report::{Section, Unit};
use crate::run::{self, note};
use crate::signed_in::anybody;

/// How many hosts there are.
const HOSTS: u32 = 20_000;
/// How often each is looked at.
const PERIOD: Span = Span::seconds(300);
/// For how long that is measured: a twentieth of the period, and of the hosts. Looks are spread evenly over the period
/// (`fleet::Rota`), so there are as many a second as in all of it.
const MEASURED: Duration = Duration::from_secs(15);
/// How long a house that starts may read which hosts there are, which it does once in a period.
const SETTLED: Duration = Duration::from_secs(2);
/// How many hosts are looked at at once.
const AT_ONCE: usize = 50;
/// How long a host takes to answer.
const ANSWER: Duration = Duration::from_millis(20);
/// How long one that is silent is waited for.
const SILENCE: Duration = Duration::from_secs(10);
/// One of so many is silent.
const SILENT: u64 = 100;
/// Of one processor, in percent.
const CPU_LIMIT: f64 = 5.0;
/// In bytes, for all of it.
const MEMORY_LIMIT: f64 = 128e6;

/// Hosts that are not there.
#[derive(Default)]
struct Simulated {
    looks: AtomicU64,
}

impl Remote for Simulated {
    fn meet<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
        async { Ok(HOST_KEY.parse().expect("it is a key")) }.boxed()
    }

    fn run<'a>(&'a self, target: &'a Target, _: &'a ssh::Command) -> BoxFuture<'a, Result<Output, Error>> {
        async move {
            self.looks.fetch_add(1, Ordering::Relaxed);
            let number: u64 =
                target.address.host.bytes().map(u64::from).fold(7, |sum, byte| sum * 31 % 1_009 + byte);
            if number.is_multiple_of(SILENT) {
                tokio::time::sleep(SILENCE).await;
                let (at, step) = (target.address.clone(), ssh::Step::Connect);
                return Err(Error::TimedOut { at, step, after: SILENCE });
            }
            tokio::time::sleep(ANSWER).await;
            Ok(Output { end: End::Exit(0), stdout: Captured::default(), stderr: Captured::default() })
        }
        .boxed()
    }

    fn put<'a>(&'a self, _: &'a Target, _: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        async { Ok(()) }.boxed()
    }
}

/// What a fleet of 20,000 takes that is watched every five minutes.
pub(super) fn measure() -> Result<Section, Failure> {
    let folder = run::folder("fleet")?;
    let runtime = run::runtime()?;
    let remote = Arc::new(Simulated::default());
    let empty = own_resident_bytes()?;
    runtime.block_on(async {
        let house = watching(folder.path(), &remote).await?;
        note(&format!("adding {HOSTS} simulated hosts"));
        let by = anybody(house.clock()).await?;
        add_all(&house, folder.path(), &by, HOSTS, |_| async { Ok(()) }).await?;
        note(&format!("watching them for {} s", MEASURED.as_secs()));
        house.stop(Duration::from_secs(20)).await.map_err(failed)?;
        drop(house);
        let starting = own_cpu();
        let house = watching(folder.path(), &remote).await?;
        tokio::time::sleep(SETTLED).await;
        let starting = own_cpu().saturating_sub(starting);
        remote.looks.store(0, Ordering::Relaxed);
        let (began, cpu) = (Instant::now(), own_cpu());
        tokio::time::sleep(MEASURED).await;
        let (took, cpu) = (began.elapsed(), own_cpu().saturating_sub(cpu));
        let resident = own_resident_bytes()?;
        house.stop(Duration::from_secs(20)).await.map_err(failed)?;
        let looks = remote.looks.load(Ordering::Relaxed);
        let share = cpu.as_secs_f64() / took.as_secs_f64() * 100.0;
        // Due in that time, and with the same share of the processor.
        let due = f64::from(HOSTS) * took.as_secs_f64() / PERIOD.as_duration().as_secs_f64();
        Ok(Section {
            title: format!("{HOSTS} simulated hosts, each watched every {} s", PERIOD.as_seconds()),
            rival: "limit",
            rows: vec![
                row("processor time, of one core", Unit::Percent, share, CPU_LIMIT),
                row(
                    "processor time for each look",
                    Unit::Microseconds,
                    cpu.as_secs_f64() * 1e6 / looks as f64,
                    1_000.0,
                ),
                row("looks, of those that were due", Unit::PercentDone, looks as f64 / due * 100.0, 90.0),
                row("memory of the whole house", Unit::Megabytes, resident as f64 / 1e6, MEMORY_LIMIT / 1e6),
            ],
            notes: vec![
                format!(
                    "{looks} looks in {:.0} s; 1 of {SILENT} hosts is silent for {} s",
                    took.as_secs_f64(),
                    SILENCE.as_secs()
                ),
                format!(
                    "its start took {:.0} ms of a processor, with reading once which hosts there are",
                    starting.as_secs_f64() * 1e3
                ),
                format!(
                    "memory before the house was built: {:.0} MB; adding the hosts was in the same process",
                    empty as f64 / 1e6
                ),
            ],
        })
    })
}

/// A house that only watches, on a database in `folder`.
async fn watching(folder: &Path, remote: &Arc<Simulated>) -> Result<Arc<House>, Failure> {
    let engine = Arc::new(Sqlite::open(&folder.join("provost.db")).map_err(failed)?);
    house(folder, engine, remote.clone(), AT_ONCE, Some(PERIOD)).await
}
