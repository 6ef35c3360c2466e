//! How close issuing comes to the limit: what the signing library alone can do on the same cores.
//!
//! Every certificate here is durable when its request is answered: on disk, synced, together with its
//! request and an event. `in process` calls the authority as the server does, on a runtime like the
//! server's; `over HTTP` asks the program, while the load generator takes its share of the same cores.
//! That is why processor time is compared as well: it tells what a certificate costs the server alone.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base::{Clock, Entropy, Span};
use ca::{Admission, Authority, AuthorityName, Ground, Names, Profile};
use store::{SealingKey, Sqlite};
use tokio::runtime::Runtime;
use x509::{KeySpec, PrivateKey, SigningRequest};

use super::Bench;
use super::contenders::Contender;
use super::issuing;
use super::requests::{Requests, Supply};
use crate::Failure;
use crate::disk;
use crate::load::{self, Done, Worker};
use crate::process;
use crate::report::{Measured, Row, Section, Unit, number};
use crate::run::{cores, note};

/// So many requests at once. With eight, each waits for the disk while the others keep the cores
/// busy; with more, there is always something to sign.
pub(super) const CLIENTS: [usize; 2] = [8, 32];
/// About as long as what is signed of a certificate.
const SIGNED_BYTES: usize = 900;
/// What is written for each sync when the disk is measured: about a commit.
const SYNCED_BYTES: usize = 16 * 1024;

/// What was done, and the processor time it took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) done: Done,
    cpu: Duration,
}

impl Spent {
    fn cpu_microseconds(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.done.turns as f64
    }
}

/// What one contender did in all rounds.
#[derive(Default)]
struct Runs {
    per_second: Measured,
    cpu_microseconds: Measured,
}

impl Runs {
    fn add(&mut self, spent: Spent) {
        self.per_second.add(spent.done.per_second());
        self.cpu_microseconds.add(spent.cpu_microseconds());
    }
}

pub(super) fn measure(bench: &Bench, requests: &Requests) -> Result<Section, Failure> {
    let mut bare = Runs::default();
    let [mut in_process, mut over_http]: [[Runs; CLIENTS.len()]; 2] = Default::default();
    let mut client_microseconds = Measured::default();
    let within = InProcess::open(&bench.folder("limit")?, requests)?;
    let served = bench.runtime.block_on(Contender::Provost.start(bench, "limit"))?;
    let supply = requests.supply();
    for round in 1..=bench.rounds {
        note(&format!("limit: round {round}"));
        bare.add(bare_signatures(bench.duration)?);
        for (at, clients) in CLIENTS.into_iter().enumerate() {
            in_process[at].add(within.issue(clients, bench.duration)?);
            let (server_cpu, client_cpu) = (served.cpu()?, process::own_cpu());
            let work = issuing::issue(&served, &supply, clients, false, bench.duration);
            let done = bench.runtime.block_on(work)?;
            over_http[at].add(Spent { done, cpu: served.cpu()? - server_cpu });
            client_microseconds.add(Spent { done, cpu: process::own_cpu() - client_cpu }.cpu_microseconds());
        }
    }
    bench.runtime.block_on(served.stop())?;
    let syncs = disk::syncs(bench.folder.path(), SYNCED_BYTES, Duration::from_secs(1))?.per_second();
    Ok(Section {
        title: "Durable certificates against bare RSA-2048 signatures".into(),
        rival: "the limit",
        rows: rows(&bare, &in_process, &over_http),
        notes: vec![
            format!("the disk: {} fdatasync of {} KiB a second", number(syncs), SYNCED_BYTES / 1024),
            format!(
                "the load generator: {} µs of processor time for each certificate, on the same cores",
                number(client_microseconds.median())
            ),
        ],
    })
}

fn rows(bare: &Runs, in_process: &[Runs], over_http: &[Runs]) -> Vec<Row> {
    let row = |what: String, unit, ours: &Measured, theirs: &Measured| Row {
        what,
        unit,
        ours: ours.clone(),
        theirs: theirs.clone(),
    };
    let mut rows = Vec::new();
    for (way, runs) in [("in process", in_process), ("over HTTP", over_http)] {
        for (clients, runs) in CLIENTS.into_iter().zip(runs) {
            let what = format!("{way}, {clients} at once");
            rows.push(row(what, Unit::PerSecond, &runs.per_second, &bare.per_second));
        }
    }
    for (way, runs) in [("in process", in_process), ("the server's", over_http)] {
        for (clients, runs) in CLIENTS.into_iter().zip(runs) {
            let what = format!("processor time for one, {way}, {clients} at once");
            rows.push(row(what, Unit::Microseconds, &runs.cpu_microseconds, &bare.cpu_microseconds));
        }
    }
    rows
}

/// RSA-2048 signatures by the library alone, on all cores.
pub(super) fn bare_signatures(duration: Duration) -> Result<Spent, Failure> {
    let key = KeyPair::generate(KeySize::Rsa2048).map_err(Failure::authority)?;
    let cpu = process::own_cpu();
    let began = Instant::now();
    let sign_on = || {
        let message = [0x5a; SIGNED_BYTES];
        let mut signature = vec![0; key.public_modulus_len()];
        let mut turns = 0;
        while began.elapsed() < duration {
            key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature)?;
            turns += 1;
        }
        Ok::<u64, aws_lc_rs::error::Unspecified>(turns)
    };
    let turns = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(sign_on)).collect();
        let turns = threads.into_iter().map(|thread| thread.join().expect("signing does not panic"));
        turns.sum::<Result<u64, _>>()
    });
    let done = Done { turns: turns.map_err(Failure::authority)?, elapsed: began.elapsed() };
    Ok(Spent { done, cpu: process::own_cpu() - cpu })
}

/// An authority in this process, as the server has it.
struct InProcess {
    authority: Arc<Authority>,
    runtime: Runtime,
    supply: Supply,
}

/// Somebody who submits one request after the other.
struct Caller {
    authority: Arc<Authority>,
    supply: Supply,
}

impl Worker for Caller {
    async fn turn(&mut self) -> Result<bool, Failure> {
        let Some(number) = self.supply.take() else { return Ok(false) };
        let text = self.supply.text(number);
        let request = SigningRequest::from_pem(text.as_bytes()).map_err(Failure::authority)?;
        self.authority.submit(&request, text).await.map_err(Failure::authority)?;
        Ok(true)
    }
}

impl InProcess {
    fn open(folder: &Path, requests: &Requests) -> Result<Self, Failure> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.enable_all().global_queue_interval(1).build();
        let runtime = runtime.map_err(Failure::file(folder))?;
        let entropy = Entropy::system();
        let key_file = folder.join("store.key");
        let ground = Ground {
            engine: Arc::new(Sqlite::open(&folder.join("store.sqlite")).map_err(Failure::authority)?),
            sealing: Arc::new(SealingKey::load_or_create(&key_file, &entropy).map_err(Failure::authority)?),
            clock: Clock::system(),
            entropy,
            keys: Arc::new(|spec| Box::pin(async move { PrivateKey::generate(spec) })),
            token: None,
        };
        let authority = runtime.block_on(Authority::open(profile(), ground)).map_err(Failure::authority)?;
        Ok(Self { authority: Arc::new(authority), runtime, supply: requests.supply() })
    }

    fn issue(&self, clients: usize, duration: Duration) -> Result<Spent, Failure> {
        let caller = || Caller { authority: Arc::clone(&self.authority), supply: self.supply.clone() };
        let callers = std::iter::repeat_with(caller).take(clients).collect();
        let cpu = process::own_cpu();
        let (done, _) = self.runtime.block_on(load::run(callers, duration))?;
        Ok(Spent { done, cpu: process::own_cpu() - cpu })
    }
}

/// The services authority as `provost up` has it, but for the automatic count.
fn profile() -> Profile {
    let life = Span::days(93);
    let list = |after: &str| ("http://127.0.0.1:8000/cas/crl/".to_owned(), after.to_owned());
    Profile {
        name: AuthorityName::Services,
        issuer_common_name: "Caucase CAS at 127.0.0.1:8000".into(),
        issuer_extensions: Vec::new(),
        leaf_life: life,
        issuer_life: life.fraction(4, 1),
        issuer_key: KeySpec::Rsa { bits: 2048 },
        crl_addresses: vec![list(".der"), list("")],
        names: Names::Any,
        admission: Admission {
            pending_max: 50,
            automatic_max: u64::MAX,
            lock_automatic_max: false,
            keys_for_backup: false,
            keep_issued: Span::days(1),
            keep_fetched: Span::seconds(4_320),
        },
    }
}
