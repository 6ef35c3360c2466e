//! A large fleet that is watched: what that takes of the processors and of memory.
//!
//! The hosts are simulated: whatever is asked of them is answered a moment later, and one of a hundred never answers. All
//! else is the house as it runs: its watcher, its store on a disk, its claims, keys that are unsealed for each look. What
//! SSH itself takes for a look at a host over a connection that stands is in the section of a command that does nothing.
//! The rival is a limit.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::{Clock, Entropy, Secret, Span};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ca::{Admission, AuthorityName, Names, Profile};
use engine::{Hands, House, Parts, Retention, ServerName, Stop, Tasks};
use fleet::{Credentials, Fleet, HostAddress, HostStatus, NewHost, OsCommands, Templates, bootstrap};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use identity::{Permit, Principal};
use ssh::{Captured, End, Error, HostKey, Output, Remote, Target, Upload};
use store::{SealingKey, Sqlite};
use x509::KeySpec;

use crate::Failure;
use crate::process::{own_cpu, own_resident_bytes};
use crate::report::{Row, Section, Unit};
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
/// How many hosts are added at the same time.
const ADDING: usize = 64;
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

const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO";

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

fn failed(error: impl std::error::Error) -> Failure {
    Failure::Program { program: "the house, in process".into(), what: base::report(&error) }
}

fn profile(name: AuthorityName) -> Profile {
    let leaf_life = Span::days(93);
    Profile {
        name,
        issuer_common_name: format!("{name} of a measurement"),
        issuer_extensions: Vec::new(),
        leaf_life,
        issuer_life: leaf_life.fraction(4, 1),
        issuer_key: KeySpec::P256,
        crl_addresses: Vec::new(),
        names: Names::Any,
        admission: Admission {
            pending_max: 50,
            automatic_max: 0,
            lock_automatic_max: false,
            keys_for_backup: false,
            keep_issued: leaf_life,
            keep_fetched: leaf_life,
        },
    }
}

/// What a fleet of 20,000 takes that is watched every five minutes.
pub(super) fn measure() -> Result<Section, Failure> {
    let folder = run::folder("fleet")?;
    let runtime = run::runtime()?;
    let remote = Arc::new(Simulated::default());
    let empty = own_resident_bytes()?;
    runtime.block_on(async {
        let house = house(folder.path(), remote.clone()).await?;
        note(&format!("adding {HOSTS} simulated hosts"));
        let key = key(folder.path())?;
        add_all(house.fleet(), &anybody(house.clock()).await?, &key).await?;
        note(&format!("watching them for {} s", MEASURED.as_secs()));
        house.stop(Duration::from_secs(20)).await.map_err(failed)?;
        drop(house);
        let starting = own_cpu();
        let house = self::house(folder.path(), remote.clone()).await?;
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

fn row(what: &str, unit: Unit, ours: f64, limit: f64) -> Row {
    Row { what: what.into(), unit, ours: ours.into(), theirs: limit.into() }
}

/// A house that only watches, on a database in `folder`.
async fn house(folder: &std::path::Path, remote: Arc<Simulated>) -> Result<Arc<House>, Failure> {
    let hands = Hands {
        remote,
        playbooks: None,
        port: 22,
        jump: None,
        profile: bootstrap::Profile::None,
        commands: OsCommands::standard(),
        templates: Templates::default(),
        etcd: None,
        investigates: false,
        operates: false,
        watch_period: Some(PERIOD),
        hosts_max: 50,
        host_limit: Duration::from_secs(600),
    };
    let entropy = Entropy::system();
    let sealing = SealingKey::load_or_create(&folder.join("store.key"), &entropy).map_err(failed)?;
    let parts = Parts {
        engine: Arc::new(Sqlite::open(&folder.join("provost.db")).map_err(failed)?),
        sealing: Arc::new(sealing),
        clock: Clock::system(),
        entropy,
        services: profile(AuthorityName::Services),
        users: profile(AuthorityName::Users),
        server: profile(AuthorityName::Server),
        server_name: ServerName::Dns("localhost".into()),
        server_file: folder.join("server.key.pem"),
        server_threshold: Span::days(31),
        server_key: KeySpec::P256,
        on_server_identity: Arc::new(|_| {}),
        on_server_anchors: Arc::new(|_| true),
        retention: Retention { age: Span::days(400), count: 100_000 },
        courier: None,
        hands: Some(hands),
        cache: None,
    };
    House::build(parts, Tasks::new(), Stop::new()).await.map_err(failed)
}

/// The text of a private key, as an operator gives it for hosts.
fn key(folder: &std::path::Path) -> Result<String, Failure> {
    let path = folder.join("host_ed25519");
    let program = |what: String| Failure::Program { program: "ssh-keygen".into(), what };
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).output();
    let made = made.map_err(|error| program(error.to_string()))?;
    if !made.status.success() {
        return Err(program(String::from_utf8_lossy(&made.stderr).into_owned()));
    }
    std::fs::read_to_string(&path).map_err(Failure::file(&path))
}

async fn add_all(fleet: &Arc<Fleet>, by: &Principal, key: &str) -> Result<(), Failure> {
    let adding = stream::iter(0..HOSTS).map(|number| async move {
        let address: HostAddress =
            format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255).parse().map_err(failed)?;
        let credentials =
            Credentials { ssh_priv_key: Secret::new(BASE64.encode(key)), remote_user: "root".into() };
        let new = NewHost { status: HostStatus::Active, credentials, ..NewHost::default() };
        let permit = Permit::grant(by.clone()).map_err(failed)?;
        fleet.add_host(permit, address, new).await.map_err(failed)?;
        Ok::<_, Failure>(())
    });
    adding.buffer_unordered(ADDING).try_collect::<()>().await
}
