//! Caches behind caches, without a network.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base::{Clock, Entropy, Sha512, Span, Timestamp};
use bytes::Bytes;
use cache::{Cache, EntryKey, Ground, Limits};
use entry::Entry;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use identity::Permit;
use store::Memory;
use tokio::time::Instant;

use super::fetch::State;
use super::*;

const FRESH: Freshness = Freshness { absent: Span::ZERO, entries: Span::ZERO };

fn relay(upstream: Arc<dyn Upstream>, limits: Limits, seed: u64) -> Arc<Relay> {
    let clock = Clock::manual(Timestamp::from_unix(1_790_000_000));
    let entropy = Entropy::seeded(seed);
    let ground = Ground {
        engine: Arc::new(Memory::new()),
        blobs: Arc::new(store::blobs::Memory::with_room(clock.clone(), 1 << 40)),
        clock: clock.clone(),
        entropy: entropy.clone(),
    };
    let cache = Arc::new(Cache::new(ground, limits).unwrap());
    let works = (Tasks::new(), Stop::new());
    Arc::new(Relay::new(cache, Behind { upstream, fresh: FRESH }, clock, &entropy, works))
}

async fn keep(relay: &Relay, bytes: &'static [u8]) -> Sha512 {
    let upload = relay.cache.upload(Permit::house(), None).await.unwrap();
    let upload = relay.cache.take(upload, Bytes::from_static(bytes)).await.unwrap();
    relay.cache.keep(upload, None).await.unwrap().digest
}

/// The bytes that come of it.
async fn read(relay: &Arc<Relay>, digest: Sha512) -> Result<Option<Vec<u8>>, RelayError> {
    Ok(match relay.artifact(Permit::house(), digest, &Asker::default()).await? {
        None => None,
        Some(Relayed::Here(artifact)) => {
            let pieces: Vec<Bytes> = artifact.blob.read(0..artifact.blob.size()).try_collect().await.unwrap();
            Some(pieces.concat())
        }
        Some(Relayed::Coming(coming)) => {
            Some(coming.read(0..u64::MAX).try_collect::<Vec<_>>().await?.concat())
        }
        Some(Relayed::Passing(passing)) => {
            Some(passing.read(0..u64::MAX).try_collect::<Vec<_>>().await?.concat())
        }
    })
}

/// Another house of ours, which may have a cache behind it as well.
#[derive(Default)]
struct Neighbour(OnceLock<Arc<Relay>>);

impl Neighbour {
    fn relay(&self) -> &Arc<Relay> {
        self.0.get().unwrap()
    }
}

impl Upstream for Neighbour {
    fn artifact(
        &self,
        digest: Sha512,
        from: u64,
        via: Via,
    ) -> BoxFuture<'_, Result<Option<Incoming>, NotFetched>> {
        // As it comes over a network: in a header.
        let via = Via::parse(via.header().as_deref());
        Box::pin(async move {
            let found = self.relay().artifact(Permit::house(), digest, &Asker { from: None, via }).await;
            let failed = |error: RelayError| NotFetched::Failed { reason: error.to_string() };
            let Some(Relayed::Here(artifact)) = found.map_err(failed)? else { return Ok(None) };
            let bytes = artifact.blob.size();
            let pieces = artifact.blob.read(from..bytes).map_err(move |error| failed(error.into())).boxed();
            Ok(Some(Incoming { begins: from, bytes: Some(bytes), pieces }))
        })
    }

    fn look(&self, digest: Sha512, via: Via) -> BoxFuture<'_, Result<Option<Looked>, NotFetched>> {
        Box::pin(async move {
            let looked = self.relay().look(Permit::house(), digest, &Asker { from: None, via }).await;
            looked.map_err(|error| NotFetched::Failed { reason: error.to_string() })
        })
    }

    fn entries<'a>(
        &'a self,
        key: &'a str,
        via: Via,
    ) -> BoxFuture<'a, Result<Option<Vec<Entry>>, NotFetched>> {
        Box::pin(async move {
            let (key, relay) = (key.parse::<EntryKey>().unwrap(), self.relay());
            // What is here is given in any case.
            let _ = relay.refresh(&key, &Asker { from: None, via }).await;
            let Some(mut list) = relay.cache.entries(Permit::house(), &key).await.unwrap() else {
                return Ok(None);
            };
            let mut entries = Vec::new();
            while let Some((text, signature)) = list.next().await.unwrap() {
                entries.push(Entry::new(text, signature).unwrap());
            }
            Ok(Some(entries))
        })
    }
}

/// Two houses that are each other's upstream, and one that is its own.
#[tokio::test(start_paused = true)]
async fn caches_that_are_each_others_upstream_do_not_wait_for_each_other() {
    let (of_one, of_two) = (Arc::new(Neighbour::default()), Arc::new(Neighbour::default()));
    let one = relay(of_one.clone(), Limits::default(), 1);
    let two = relay(of_two.clone(), Limits::default(), 2);
    drop((of_one.0.set(two.clone()), of_two.0.set(one.clone())));
    let of_itself = Arc::new(Neighbour::default());
    let alone = relay(of_itself.clone(), Limits::default(), 3);
    drop(of_itself.0.set(alone.clone()));

    let absent = Sha512::of(b"absent");
    let begun = Instant::now();
    for relay in [&one, &two, &alone] {
        assert_eq!(read(relay, absent).await.unwrap(), None);
        assert!(relay.look(Permit::house(), absent, &Asker::default()).await.unwrap().is_none());
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // Both at the same time: each fetches what the other is about to ask it for.
    let (here, there) = tokio::join!(read(&one, absent), read(&two, absent));
    assert_eq!((here.unwrap(), there.unwrap()), (None, None));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let key: EntryKey = "a".parse().unwrap();
    let asker = Asker::default();
    let (here, there) = tokio::join!(one.refresh(&key, &asker), two.refresh(&key, &asker));
    assert!(here.is_ok() && there.is_ok() && begun.elapsed() < Duration::from_secs(5));
    assert!(!is_away(&one) && !is_away(&two));
    let digest = keep(&two, b"there").await;
    assert_eq!(read(&one, digest).await.unwrap().unwrap(), b"there");
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_caches_goes_to_its_end() {
    let (of_near, of_middle) = (Arc::new(Neighbour::default()), Arc::new(Neighbour::default()));
    let near = relay(of_near.clone(), Limits::default(), 1);
    let middle = relay(of_middle.clone(), Limits::default(), 2);
    let far = relay(Arc::new(Far::default()), Limits::default(), 3);
    drop((of_near.0.set(middle.clone()), of_middle.0.set(far.clone())));
    let digest = keep(&far, b"far away").await;
    assert_eq!(
        near.look(Permit::house(), digest, &Asker::default()).await.unwrap(),
        Some(Looked { bytes: Some(8) })
    );
    assert_eq!(read(&near, digest).await.unwrap().unwrap(), b"far away");
    assert!(middle.cache.open(Permit::house(), digest).await.unwrap().is_some(), "it stays on the way");
}

/// A cache of one artifact, which gives it as it is told.
#[derive(Default)]
struct Far {
    bytes: Vec<u8>,
    /// How long it waits before each piece; nothing for all at once.
    waits: Option<Duration>,
    /// How long a piece is then; a byte where nothing is said.
    piece: usize,
    /// Whether it never answers.
    hangs: bool,
    /// Whether it dies of the first question.
    dies: bool,
    asked: Mutex<Vec<&'static str>>,
}

impl Far {
    fn has(&self, digest: Sha512) -> bool {
        Sha512::of(&self.bytes) == digest
    }

    async fn asked(&self, what: &'static str) {
        let is_first = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(what);
            asked.len() == 1
        };
        assert!(!(self.dies && is_first), "it was to die");
        if self.hangs {
            std::future::pending().await
        }
    }
}

impl Upstream for Far {
    fn artifact(
        &self,
        digest: Sha512,
        from: u64,
        _via: Via,
    ) -> BoxFuture<'_, Result<Option<Incoming>, NotFetched>> {
        assert_eq!(from, 0, "it never cuts");
        Box::pin(async move {
            self.asked("artifact").await;
            let waits = self.waits;
            let length = if waits.is_some() { self.piece.max(1) } else { self.bytes.len().max(1) };
            let pieces: Vec<Bytes> = self.bytes.chunks(length).map(Bytes::copy_from_slice).collect();
            let pieces = stream::iter(pieces).then(move |piece| async move {
                if let Some(wait) = waits {
                    tokio::time::sleep(wait).await;
                }
                Ok(piece)
            });
            let bytes = Some(self.bytes.len() as u64);
            Ok(self.has(digest).then(|| Incoming { begins: 0, bytes, pieces: pieces.boxed() }))
        })
    }

    fn look(&self, digest: Sha512, _via: Via) -> BoxFuture<'_, Result<Option<Looked>, NotFetched>> {
        Box::pin(async move {
            self.asked("look").await;
            Ok(self.has(digest).then_some(Looked { bytes: Some(self.bytes.len() as u64) }))
        })
    }

    fn entries<'a>(
        &'a self,
        _key: &'a str,
        _via: Via,
    ) -> BoxFuture<'a, Result<Option<Vec<Entry>>, NotFetched>> {
        Box::pin(async move {
            self.asked("entries").await;
            Ok(None)
        })
    }
}

/// An upstream that gives no more than so many bytes of an artifact at once, and then is gone.
struct Cutting {
    bytes: Vec<u8>,
    each: usize,
    /// What was asked for: from where on.
    asked: Mutex<Vec<u64>>,
    manner: Manner,
}

/// What comes when a part is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// The right one.
    Right,
    /// Other bytes.
    Wrong,
    /// All of it.
    NoParts,
    /// The right one, and how long all of it is, which was not known before.
    LengthLater,
    /// The part of something longer.
    Longer,
    /// Nothing.
    Refused,
}

impl Upstream for Cutting {
    fn artifact(
        &self,
        _digest: Sha512,
        from: u64,
        _via: Via,
    ) -> BoxFuture<'_, Result<Option<Incoming>, NotFetched>> {
        self.asked.lock().unwrap().push(from);
        let is_part = from > 0;
        if is_part && self.manner == Manner::Refused {
            return Box::pin(async { Err(NotFetched::Failed { reason: "416".into() }) });
        }
        // What has no parts is not cut when it comes again.
        let (begins, each) = match self.manner {
            Manner::NoParts if is_part => (0, self.bytes.len()),
            Manner::Longer | Manner::Refused if self.asked.lock().unwrap().len() > 1 => {
                (from, self.bytes.len())
            }
            _ => (from, self.each),
        };
        let from = usize::try_from(begins).unwrap();
        let end = self.bytes.len().min(from + each);
        let mut piece = self.bytes[from..end].to_vec();
        if self.manner == Manner::Wrong && is_part {
            piece.fill(0);
        }
        let cut = NotFetched::Unreachable { reason: "it went away".into() };
        let cut = (end < self.bytes.len()).then_some(Err(cut));
        let pieces = stream::iter([Ok(Bytes::from(piece))].into_iter().chain(cut));
        let bytes = match self.manner {
            Manner::LengthLater if !is_part => None,
            Manner::Longer if is_part => Some(self.bytes.len() as u64 + 1),
            _ => Some(self.bytes.len() as u64),
        };
        Box::pin(async move { Ok(Some(Incoming { begins, bytes, pieces: pieces.boxed() })) })
    }

    fn look(&self, _digest: Sha512, _via: Via) -> BoxFuture<'_, Result<Option<Looked>, NotFetched>> {
        Box::pin(async { Ok(None) })
    }

    fn entries<'a>(
        &'a self,
        _key: &'a str,
        _via: Via,
    ) -> BoxFuture<'a, Result<Option<Vec<Entry>>, NotFetched>> {
        Box::pin(async { Ok(None) })
    }
}

const MIB: u64 = 1024 * 1024;

/// Five MiB, and an upstream that gives two of them at once.
fn cutting(manner: Manner) -> (Arc<Cutting>, Sha512) {
    let bytes: Vec<u8> = (0..1_310_720_u32).flat_map(u32::to_le_bytes).collect();
    let digest = Sha512::of(&bytes);
    let each = 2 * MIB as usize;
    (Arc::new(Cutting { bytes, each, asked: Mutex::default(), manner }), digest)
}

impl Cutting {
    fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

/// What came before upstream was gone need not come again, unless it turns out to be wrong, or nobody asks for long.
#[tokio::test(start_paused = true)]
async fn what_was_cut_goes_on_where_it_was() {
    for manner in [Manner::Right, Manner::LengthLater] {
        let (far, digest) = cutting(manner);
        let near = relay(far.clone(), Limits::default(), 1);
        assert!(read(&near, digest).await.unwrap_err().is_upstreams());
        assert!(read(&near, digest).await.unwrap_err().is_upstreams());
        assert!(read(&near, digest).await.unwrap().unwrap() == far.bytes);
        assert_eq!(far.asked(), [0, 2 * MIB, 4 * MIB], "{manner:?}");
    }

    let (far, digest) = cutting(Manner::Wrong);
    let near = relay(far.clone(), Limits::default(), 1);
    for _ in 0..4 {
        assert!(read(&near, digest).await.is_err());
    }
    assert_eq!(far.asked(), [0, 2 * MIB, 4 * MIB, 0]);
    // Nobody comes for it in time.
    tokio::time::sleep(Duration::from_secs(1_801)).await;
    assert!(read(&near, digest).await.is_err());
    assert_eq!(far.asked().last(), Some(&0));
}

/// What is here of it is in nobody's way, where it does not fit to what comes: all of it comes then, for who asks now.
#[tokio::test(start_paused = true)]
async fn what_does_not_go_on_begins_anew() {
    for (manner, asked) in [
        (Manner::NoParts, &[0, 2 * MIB][..]),
        (Manner::Longer, &[0, 2 * MIB, 0]),
        (Manner::Refused, &[0, 2 * MIB, 0]),
    ] {
        let (far, digest) = cutting(manner);
        let near = relay(far.clone(), Limits::default(), 1);
        assert!(read(&near, digest).await.unwrap_err().is_upstreams());
        assert!(read(&near, digest).await.unwrap().unwrap() == far.bytes, "{manner:?}");
        assert_eq!(far.asked(), asked, "{manner:?}");
    }
}

/// Nor does it take the room that others need, or wait anew when nothing more came.
#[tokio::test(start_paused = true)]
async fn what_was_cut_goes_first_where_room_is_short() {
    let (far, digest) = cutting(Manner::Right);
    let limits = Limits { fetched_bytes_max: Some(6 * MIB), ..Limits::default() };
    let near = relay(far.clone(), limits, 1);
    assert!(read(&near, digest).await.is_err());
    let upload = near.cache.upload(Permit::house(), Some(3 * MIB)).await;
    assert!(upload.is_ok(), "{:?}", upload.err());
    assert!(near.parking.take(digest).is_none(), "it went");

    let near = relay(far, Limits::default(), 1);
    assert!(read(&near, digest).await.is_err());
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(1_000)).await;
        if let Some(parked) = near.parking.take(digest) {
            near.park(digest, parked);
        }
    }
    assert!(near.parking.take(digest).is_none(), "it waited for long enough");
}

/// `HEAD`, and what is answered 304.
#[tokio::test(start_paused = true)]
async fn who_only_looks_makes_nobody_fetch() {
    let far = Arc::new(Far { bytes: b"hello".to_vec(), ..Far::default() });
    let near = relay(far.clone(), Limits::default(), 1);
    let (digest, absent) = (Sha512::of(b"hello"), Sha512::of(b"absent"));
    let look = async |digest| near.look(Permit::house(), digest, &Asker::default()).await.unwrap();
    assert_eq!(look(digest).await, Some(Looked { bytes: Some(5) }));
    assert_eq!(look(absent).await, None);
    assert_eq!(*far.asked.lock().unwrap(), ["look", "look"]);
    assert!(near.cache.open(Permit::house(), digest).await.unwrap().is_none());
}

fn is_away(relay: &Relay) -> bool {
    relay.trouble.is_away(relay.clock.now())
}

/// Who uploads looks first whether it is there, and gives up after a minute of silence.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_keeps_nobody_waiting_for_long() {
    let far = Arc::new(Far { hangs: true, ..Far::default() });
    let near = relay(far.clone(), Limits::default(), 1);
    let begun = Instant::now();
    let error = read(&near, Sha512::of(b"a")).await.unwrap_err();
    assert!(error.is_upstreams() && begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());
    // Whoever asks for the same again is told so at once.
    assert!(read(&near, Sha512::of(b"a")).await.unwrap_err().is_upstreams());
    assert!(begun.elapsed() <= Duration::from_secs(11));
    assert_eq!(*far.asked.lock().unwrap(), ["artifact"]);
    // After a few of them it is left alone, whatever is asked.
    for other in [b"d", b"e", b"f"] {
        assert!(read(&near, Sha512::of(other)).await.is_err());
    }
    let begun = Instant::now();
    let key: EntryKey = "a".parse().unwrap();
    assert!(read(&near, Sha512::of(b"b")).await.unwrap_err().is_upstreams());
    assert!(near.refresh(&key, &Asker::default()).await.unwrap_err().is_upstreams());
    assert!(near.look(Permit::house(), Sha512::of(b"c"), &Asker::default()).await.is_err());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(far.asked.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_trickles_is_not_waited_for() {
    let bytes = vec![7; 10_000];
    let far = Arc::new(Far { bytes: bytes.clone(), waits: Some(Duration::from_secs(1)), ..Far::default() });
    let near = relay(far, Limits::default(), 1);
    let begun = Instant::now();
    let error = read(&near, Sha512::of(&bytes)).await.unwrap_err();
    assert!(error.is_upstreams() && begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
    assert!(near.artifacts.fetches().is_empty() && !is_away(&near));
}

/// Whoever was cut off comes back for it; when nobody does, it ends.
#[tokio::test(start_paused = true)]
async fn a_fetch_that_nobody_reads_ends() {
    let bytes = vec![7; 300 * 140 * 1024];
    let digest = Sha512::of(&bytes);
    let far = Far { bytes, waits: Some(Duration::from_secs(30)), piece: 140 * 1024, ..Far::default() };
    let near = relay(Arc::new(far), Limits::default(), 1);
    let reads = near.fetch(digest, &Asker::default(), Via::default()).unwrap();
    tokio::time::sleep(Duration::from_secs(2000)).await;
    assert!(matches!(*reads.borrow(), State::Coming { .. }), "somebody reads it");
    drop(reads);
    tokio::time::sleep(Duration::from_secs(1500)).await;
    assert!(!near.artifacts.fetches().is_empty(), "they may come back");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(near.artifacts.fetches().is_empty());
    assert!(near.cache.open(Permit::house(), digest).await.unwrap().is_none());
}

/// Nobody of one address takes all fetches.
#[tokio::test(start_paused = true)]
async fn others_fetch_as_well() {
    let near = relay(Arc::new(Far { hangs: true, ..Far::default() }), Limits::default(), 1);
    let asker = |address: &str| Asker { from: Some(address.parse().unwrap()), via: Via::default() };
    let (mine, theirs) = (asker("192.0.2.1"), asker("192.0.2.2"));
    let begun: Vec<_> = (0..100_u32)
        .map_while(|n| near.fetch(Sha512::of(&n.to_be_bytes()), &mine, Via::default()).ok())
        .collect();
    assert!(begun.len() < 64);
    assert!(near.fetch(Sha512::of(b"theirs"), &theirs, Via::default()).is_ok());
}

/// What is too large to be kept here comes through.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_passed_on() {
    let bytes: Vec<u8> = (0..200).collect();
    let far = Arc::new(Far { bytes: bytes.clone(), waits: Some(Duration::from_millis(1)), ..Far::default() });
    let near = relay(far, Limits { artifact_bytes_max: 100, ..Limits::default() }, 1);
    let digest = Sha512::of(&bytes);
    assert_eq!(read(&near, digest).await.unwrap().unwrap(), bytes);
    let found = near.artifact(Permit::house(), digest, &Asker::default()).await.unwrap();
    let Some(Relayed::Passing(passing)) = found else { panic!("it is passed on") };
    assert_eq!(passing.bytes(), 200);
    let part: Vec<Bytes> = passing.read(20..150).try_collect().await.unwrap();
    assert_eq!(part.concat(), bytes[20..150]);
    assert!(near.cache.open(Permit::house(), digest).await.unwrap().is_none());
}

/// A cache that has nothing, and says of everything that it is there; with a length where `bytes` is one.
struct Hollow {
    bytes: Option<u64>,
}

impl Upstream for Hollow {
    fn artifact(
        &self,
        _digest: Sha512,
        _from: u64,
        _via: Via,
    ) -> BoxFuture<'_, Result<Option<Incoming>, NotFetched>> {
        // Its end comes later than its beginning.
        let pieces = stream::once(tokio::time::sleep(Duration::from_millis(10))).map(|()| Ok(Bytes::new()));
        Box::pin(async { Ok(Some(Incoming { begins: 0, bytes: self.bytes, pieces: pieces.boxed() })) })
    }

    fn look(&self, _digest: Sha512, _via: Via) -> BoxFuture<'_, Result<Option<Looked>, NotFetched>> {
        Box::pin(async { Ok(Some(Looked { bytes: self.bytes })) })
    }

    fn entries<'a>(
        &'a self,
        _key: &'a str,
        _via: Via,
    ) -> BoxFuture<'a, Result<Option<Vec<Entry>>, NotFetched>> {
        Box::pin(async { Ok(None) })
    }
}

/// Nothing at all is not handed out as something, whoever asks: to be kept, with no room to keep it, with no length.
#[tokio::test(start_paused = true)]
async fn nothing_is_the_empty_artifact_alone() {
    let digest = Sha512::of(b"something");
    let no_room = Limits { reserve_bytes: 2 << 40, ..Limits::default() };
    for (bytes, limits) in [(Some(0), Limits::default()), (Some(0), no_room), (None, Limits::default())] {
        let near = relay(Arc::new(Hollow { bytes }), limits, 1);
        let (one, two, three) = tokio::join!(read(&near, digest), read(&near, digest), read(&near, digest));
        for answer in [one, two, three, read(&near, digest).await] {
            assert!(
                answer.as_ref().is_err_and(RelayError::is_upstreams),
                "{bytes:?}, {limits:?}: {answer:?}"
            );
        }
        assert!(near.cache.open(Permit::house(), digest).await.unwrap().is_none());
        let near = relay(Arc::new(Hollow { bytes }), limits, 1);
        let looked = near.look(Permit::house(), digest, &Asker::default()).await;
        assert_eq!(looked.is_err(), bytes.is_some(), "{looked:?}");
    }
    let empty = Sha512::of(b"");
    for limits in [Limits::default(), no_room] {
        let near = relay(Arc::new(Hollow { bytes: Some(0) }), limits, 1);
        assert_eq!(read(&near, empty).await.unwrap(), Some(Vec::new()));
        let looked = near.look(Permit::house(), empty, &Asker::default()).await.unwrap();
        assert_eq!(looked, Some(Looked { bytes: Some(0) }));
    }
}

/// A fetch that died is over, and whoever asks again begins another.
#[tokio::test(start_paused = true)]
async fn a_fetch_that_died_is_over() {
    let far = Arc::new(Far { bytes: b"hello".to_vec(), dies: true, ..Far::default() });
    let near = relay(far, Limits::default(), 1);
    let digest = Sha512::of(b"hello");
    assert!(read(&near, digest).await.is_err());
    assert!(near.artifacts.fetches().is_empty());
    assert_eq!(read(&near, digest).await.unwrap().unwrap(), b"hello");
}

/// Counts what is said to operators.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<usize>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, _metadata: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        if *event.metadata().level() <= tracing::Level::WARN {
            *self.0.lock().unwrap() += 1;
        }
    }

    fn enter(&self, _span: &tracing::span::Id) {}

    fn exit(&self, _span: &tracing::span::Id) {}
}

/// However much anybody asks for while upstream has trouble, operators are told once.
#[tokio::test(start_paused = true)]
async fn who_asks_for_anything_does_not_fill_the_log() {
    let warnings = Warnings::default();
    let _told = tracing::subscriber::set_default(warnings.clone());
    let near = relay(Arc::new(Far { hangs: true, ..Far::default() }), Limits::default(), 1);
    assert!(read(&near, Sha512::of(b"first")).await.is_err());
    let before = *warnings.0.lock().unwrap();
    assert!(before > 0, "it is told");
    for n in 0..20_u32 {
        assert!(read(&near, Sha512::of(&n.to_be_bytes())).await.unwrap_err().is_upstreams());
    }
    assert_eq!(*warnings.0.lock().unwrap(), before);
}
