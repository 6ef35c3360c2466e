//! Another CA certificate reaches everybody: how long that takes, and what it costs the house.
//!
//! The hosts are simulated: each keeps what it was told, and answers a moment later as `data/host.sh` does. All else is the
//! house as it runs: records in a database on a disk, claims on each host, keys that are unsealed for each visit. The rival
//! is a limit: two round trips to each host, as many at once as the house works at, and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::{Clock, Entropy, Span};
use engine::House;
use fleet::{HostAddress, claim_on};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use identity::{Permit, Principal};
use ssh::{Captured, End, Error, HostKey, Output, Remote, Target, Upload};
use store::{
    Batch, Change, Claims, CommitError, Engine, Key, Listing, Page, Prefix, Revision, Sqlite, Versioned,
    WatchError,
};
use trust::on_host::OnHost;
use trust::{Anchor, Offer, Place, ProviderName, RequirerName, SetChange, Terms, Trust, WhichHosts, Why};
use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

use crate::Failure;
use crate::house::{HOST_KEY, add_all, address, failed, house, row};
use crate::process::{own_cpu, own_resident_bytes};
use crate::report::{Section, Unit};
use crate::run::{self, note};
use crate::signed_in::anybody;

/// How many requirers there are, each with a host of its own.
const SIZES: [u32; 2] = [1_000, 20_000];
/// How long a host takes to answer.
const ANSWER: Duration = Duration::from_millis(20);
/// How many hosts are worked at at once.
const AT_ONCE: usize = 50;
/// How often a host is asked something: what it has, and then to have something else.
const ROUND_TRIPS: u32 = 2;
/// In bytes, for all of the house.
const MEMORY_LIMIT: f64 = 128e6;
/// What is written down for each: the claim on its host taken and given back, and some of the state of several.
const COMMITS_LIMIT: f64 = 2.5;
/// Nothing takes longer.
const DEADLINE: Duration = Duration::from_secs(900);

/// A store that counts what is written.
struct Counting {
    inner: Sqlite,
    commits: AtomicU64,
}

impl Engine for Counting {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, store::Error>> {
        self.inner.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, store::Error>> {
        self.inner.list(prefix, page)
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, store::Error>> {
        self.inner.revision()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn store::Snapshot>, store::Error>> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.inner.commit(batch)
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        self.inner.watch(prefix, from)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), store::Error>> {
        self.inner.close()
    }
}

/// Hosts that are not there: the files of ours that each has in its trust store, with their digests.
#[derive(Default)]
struct Simulated {
    hosts: Mutex<HashMap<String, BTreeMap<String, String>>>,
    asked: AtomicU64,
}

impl Simulated {
    /// How many hosts have so many certificates.
    fn with(&self, count: usize) -> usize {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.values().filter(|own| own.len() == count).count()
    }

    /// What `host` answers to `script`.
    fn answer(&self, host: &str, script: &str) -> String {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let own = hosts.entry(host.to_owned()).or_default();
        let asked = script.lines().skip(2).take_while(|line| !line.starts_with("---- provost"));
        let mut asked = asked.peekable();
        if asked.peek() == Some(&"make") {
            let wanted = asked.filter_map(|line| line.strip_prefix("want ")?.split_once(' '));
            *own = wanted.map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect();
        }
        let mut answer = "provost-trust-begins\nsystem debian \nstore debian 1 1 0\n".to_owned();
        for (name, digest) in &*own {
            answer.extend(["own debian ", name, " ", digest, "\ntaken debian ", name, "\n"]);
        }
        if !own.is_empty() {
            answer.push_str("kept debian\n");
        }
        answer + "provost-trust-ends\n"
    }
}

impl Remote for Simulated {
    fn meet<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
        async { Ok(HOST_KEY.parse().expect("it is a key")) }.boxed()
    }

    fn run<'a>(
        &'a self,
        target: &'a Target,
        command: &'a ssh::Command,
    ) -> BoxFuture<'a, Result<Output, Error>> {
        async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(ANSWER).await;
            let answer = self.answer(&target.address.host, command.script());
            Ok(Output { end: End::Exit(0), stdout: Captured::whole(answer), stderr: Captured::default() })
        }
        .boxed()
    }

    fn put<'a>(&'a self, _: &'a Target, _: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        async { Ok(()) }.boxed()
    }
}

/// What it takes until everybody has another certificate.
pub(super) fn measure() -> Result<Vec<Section>, Failure> {
    SIZES.into_iter().map(rollover).collect()
}

fn rollover(size: u32) -> Result<Section, Failure> {
    let folder = run::folder("trust")?;
    let remote = Arc::new(Simulated::default());
    run::runtime()?.block_on(async {
        let counting = Sqlite::open(&folder.path().join("provost.db")).map_err(failed)?;
        let store = Arc::new(Counting { inner: counting, commits: AtomicU64::new(0) });
        let house = house(folder.path(), store.clone(), remote.clone(), AT_ONCE, None).await?;
        note(&format!("adding {size} simulated hosts, and a requirer for each"));
        let by = anybody(house.clock()).await?;
        let claims = Claims::new(store.clone()).map_err(failed)?;
        add_all(&house, folder.path(), &by, size, |address| meet(&house, &claims, address)).await?;
        let trust = house.trust().clone();
        let corp: ProviderName = "corp".parse().map_err(failed)?;
        trust.set_provider(may(&by)?, &corp, &Terms::default(), &Why::default()).await.map_err(failed)?;
        offer(&trust, &by, &corp, "the first").await?;
        require_all(&trust, &by, &corp, size).await?;
        until(|| remote.with(1) == size as usize).await?;
        settled(&house, &by, size).await?;
        note("rolling over");
        remote.asked.store(0, Ordering::Relaxed);
        store.commits.store(0, Ordering::Relaxed);
        let (began, cpu) = (Instant::now(), own_cpu());
        offer(&trust, &by, &corp, "the second").await?;
        until(|| remote.with(2) == size as usize).await?;
        let reached = began.elapsed();
        settled(&house, &by, size).await?;
        let (known, cpu) = (began.elapsed(), own_cpu().saturating_sub(cpu));
        let commits = store.commits.load(Ordering::Relaxed);
        let (asked, resident) = (remote.asked.load(Ordering::Relaxed), own_resident_bytes()?);
        house.stop(Duration::from_secs(20)).await.map_err(failed)?;
        let (size_f, least) = (f64::from(size), ANSWER * ROUND_TRIPS * size / AT_ONCE as u32);
        Ok(Section {
            title: format!("another CA certificate, {size} requirers with a simulated host each"),
            rival: "limit",
            rows: vec![
                row("until every host has it", Unit::Milliseconds, reached.as_secs_f64() * 1e3, least.as_secs_f64() * 1e3),
                row("commits for each host", Unit::Number, commits as f64 / size_f, COMMITS_LIMIT),
                row("memory of the whole house", Unit::Megabytes, resident as f64 / 1e6, MEMORY_LIMIT / 1e6),
            ],
            notes: vec![
                format!("{AT_ONCE} hosts at once, which answer after {} ms", ANSWER.as_millis()),
                format!(
                    "written down of all of them after {:.0} ms; {:.1} questions a host; {:.0} µs of a processor each",
                    known.as_secs_f64() * 1e3,
                    asked as f64 / size_f,
                    cpu.as_secs_f64() * 1e6 / size_f
                ),
            ],
        })
    })
}

fn may<A: identity::Action>(by: &Principal) -> Result<Permit<A>, Failure> {
    Permit::grant(by.clone()).map_err(failed)
}

/// Waits until `is_so`.
async fn until(is_so: impl Fn() -> bool) -> Result<(), Failure> {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > DEADLINE {
            return Err(Failure::Program {
                program: "the house, in process".into(),
                what: format!("not every host had it after {} s", DEADLINE.as_secs()),
            });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Waits until it is written down of everybody that they have what they are to have.
async fn settled(house: &Arc<House>, by: &Principal, size: u32) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let (mut in_step, mut after, mut more) = (0, None, true);
        while more {
            let page = house.trust().list_requirers(may(by)?, after.as_ref(), 1_000);
            let (found, is_more) = page.await.map_err(failed)?;
            in_step += found.iter().map(|view| view.counts.in_step).sum::<usize>();
            after = found.last().map(|view| view.requirer.name.clone());
            more = is_more;
        }
        if in_step == size as usize {
            return Ok(());
        }
        if began.elapsed() > DEADLINE {
            return Err(Failure::Program {
                program: "the house, in process".into(),
                what: format!("{in_step} of {size} were in step after {} s", DEADLINE.as_secs()),
            });
        }
        // Reading of all of them takes the processor from those who are measured.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A requirer for each host.
async fn require_all(trust: &Trust, by: &Principal, from: &ProviderName, size: u32) -> Result<(), Failure> {
    for number in 0..size {
        let name: RequirerName = format!("requirer-{number}").parse().map_err(failed)?;
        let which = WhichHosts { hosts: vec![address(number)], ..WhichHosts::default() };
        let place = Place::Hosts { which, on: OnHost { system_store: true, ..OnHost::default() } };
        trust.set_requirer(may(by)?, &name, &place, &Why::default()).await.map_err(failed)?;
        trust.relate(may(by)?, from, &name, &Why::default()).await.map_err(failed)?;
    }
    Ok(())
}

/// Has `provider` hand on another certificate.
async fn offer(trust: &Trust, by: &Principal, provider: &ProviderName, name: &str) -> Result<(), Failure> {
    let key = PrivateKey::generate(KeySpec::P256).map_err(failed)?;
    let now = Clock::system().now();
    let template = CertificateTemplate {
        serial: Serial::random(&Entropy::system()),
        issuer: Name::from_common_name(name).map_err(failed)?,
        subject: Name::from_common_name(name).map_err(failed)?,
        not_before: now - Span::days(1),
        not_after: now + Span::days(1_000),
        public_key: key.public().clone(),
        extensions: vec![extension::basic_constraints(true, None)],
    };
    let anchor = Anchor::from(&template.sign(&key));
    let change = SetChange::Add([(anchor.fingerprint(), anchor)].into());
    let offer = Offer { change, relation: None, basis: None, confirmed: false };
    trust.offer(may(by)?, provider, &offer, &Why::default()).await.map_err(failed)?;
    Ok(())
}

/// Has it known what key a host has to prove.
async fn meet(house: &House, claims: &Claims, address: HostAddress) -> Result<(), Failure> {
    let name = claim_on(&address);
    let taken = claims.take(&name, "a measurement", house.clock().now(), Span::seconds(60));
    if let Some(claim) = taken.await.map_err(failed)? {
        let host_key = HOST_KEY.parse().expect("it is a key");
        house.fleet().record_host_key(&claim, &address, &host_key).await.map_err(failed)?;
        claims.release(claim).await.map_err(failed)?;
    }
    Ok(())
}
