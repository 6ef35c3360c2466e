//! Artifacts that come in several pieces, each in a request of its own: what has come stays when a connection is cut.
//!
//! They are kept in this process alone, and their bytes where all that is coming in has its own: a new start knows none of
//! them. Each belongs to the account that began it; to everybody else it is not there. One request at a time works on an
//! upload. Whoever comes later is heard: the one before is told to let go, since it may be one whose client is long gone.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_lock::{MutexGuardArc, OnceCell};
use base::{Clock, Sha512, Span, Timestamp, hex};
use bytes::Bytes;
use identity::Permit;

use crate::error::ResumeError;
use crate::service::{Cache, PutArtifact};
use crate::upload::{Kept, Upload};

/// How many may be open at once.
const OPEN_MAX: usize = 64;
/// How many of them may be one account's.
const ACCOUNT_OPEN_MAX: usize = 16;
/// How long one may be open while nothing of it comes.
const IDLE: Span = Span::seconds(1800);
/// How long one may be open at all.
const OPEN_FOR: Span = Span::days(2);

/// What an upload is called: 32 hexadecimal digits that nobody guesses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// The one that is written so, whether there is such an upload or not.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is said of an artifact before it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announced {
    /// How many bytes it has.
    pub bytes: Option<u64>,
    /// What it is called.
    pub sha512: Option<Sha512>,
}

/// How much of an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoFarCame {
    /// How many bytes.
    pub offset: u64,
    /// Of how many, if that was said.
    pub length: Option<u64>,
}

/// All that are open. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct OpenUploads(Arc<Mutex<HashMap<UploadId, Arc<Open>>>>);

/// One that is open.
struct Open {
    account: String,
    sha512: Option<Sha512>,
    begun: Timestamp,
    state: Mutex<State>,
    /// Nothing when it is over. Whoever works on it has the lock.
    upload: Arc<async_lock::Mutex<Option<Upload>>>,
    /// What its opener wants to be held as long as it is open.
    _held: Box<dyn Any + Send + Sync>,
}

struct State {
    length: Option<u64>,
    /// When something of it last came.
    grown: Timestamp,
    /// Rung when whoever was the last to ask for it is to let go.
    bell: Arc<OnceCell<()>>,
}

/// Leave to work on an upload, for one request. When this is dropped, what has come stays for the next one.
pub struct Appending {
    id: UploadId,
    open: Arc<Open>,
    all: OpenUploads,
    clock: Clock,
    bell: Arc<OnceCell<()>>,
    upload: MutexGuardArc<Option<Upload>>,
    /// How much of it had come before.
    before: u64,
}

impl OpenUploads {
    fn all(&self) -> MutexGuard<'_, HashMap<UploadId, Arc<Open>>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that `account` has begun with these bytes, all of which are said.
    fn same(&self, account: &str, announced: Announced) -> Option<UploadId> {
        let (bytes, sha512) = (announced.bytes?, announced.sha512?);
        let is_same = |open: &Open| {
            (open.account.as_str(), open.sha512, open.state().length) == (account, Some(sha512), Some(bytes))
        };
        self.all().iter().find(|(_, open)| is_same(open)).map(|(id, _)| id.clone())
    }

    /// Whether `account` may open one more.
    fn check(&self, account: &str) -> Result<(), ResumeError> {
        let all = self.all();
        let own = all.values().filter(|open| open.account == account).count();
        match (all.len() >= OPEN_MAX, own >= ACCOUNT_OPEN_MAX) {
            (true, _) => Err(ResumeError::TooManyOpen { open_max: OPEN_MAX, is_all: true }),
            (_, true) => Err(ResumeError::TooManyOpen { open_max: ACCOUNT_OPEN_MAX, is_all: false }),
            _ => Ok(()),
        }
    }
}

impl Open {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// Begins to take an artifact in that may come in several pieces. `held` is dropped when it is over. Where `or_join`, one
    /// that the same account has begun with the same bytes is gone on with instead: who was interrupted and comes again
    /// neither sends everything again nor is in their own way.
    ///
    /// # Errors
    /// [`ResumeError::TooManyOpen`]; [`ResumeError::Upload`] as for [`Cache::upload`], and at once where it is too much for
    /// its writer.
    pub async fn open_upload(
        &self,
        permit: Permit<PutArtifact>,
        announced: Announced,
        held: Box<dyn Any + Send + Sync>,
        or_join: bool,
    ) -> Result<UploadId, ResumeError> {
        let account = permit.by().account().to_owned();
        self.end_idle_uploads();
        if or_join && let Some(id) = self.open.same(&account, announced) {
            return Ok(id);
        }
        self.open.check(&account)?;
        let upload = self.upload(permit, announced.bytes).await?;
        // What is there already needs no room, here as well; of what is not named nobody knows.
        let upload = match announced.sha512 {
            Some(digest) => self.expecting(upload, digest).await?,
            None => upload.wanted()?,
        };
        let id = UploadId(hex::encode(&self.ground.entropy.bytes::<16>()));
        let begun = self.ground.clock.now();
        let state = State { length: announced.bytes, grown: begun, bell: Arc::default() };
        let open = Open {
            account,
            sha512: announced.sha512,
            begun,
            state: Mutex::new(state),
            upload: Arc::new(async_lock::Mutex::new(Some(upload))),
            _held: held,
        };
        // Others may have been as fast.
        self.open.check(&open.account)?;
        self.open.all().insert(id.clone(), Arc::new(open));
        Ok(id)
    }

    /// Has the upload called `id` to itself, once whoever works on it has let go, who is told to. That may take as long as
    /// keeping an artifact does.
    ///
    /// # Errors
    /// [`ResumeError::NoSuchUpload`]; [`ResumeError::CutOff`] when somebody else came meanwhile.
    pub async fn resume(&self, permit: Permit<PutArtifact>, id: &UploadId) -> Result<Appending, ResumeError> {
        self.end_idle_uploads();
        let open = self.open.all().get(id).filter(|open| open.account == permit.by().account()).cloned();
        let open = open.ok_or(ResumeError::NoSuchUpload)?;
        let bell = Arc::new(OnceCell::new());
        let last = std::mem::replace(&mut open.state().bell, Arc::clone(&bell));
        // It was not rung before: only who takes its place does.
        let _ = last.set(()).await;
        let upload = open.upload.lock_arc().await;
        if bell.is_initialized() {
            return Err(ResumeError::CutOff);
        }
        if upload.is_none() {
            return Err(ResumeError::NoSuchUpload);
        }
        let (all, clock) = (self.open.clone(), self.ground.clock.clone());
        let before = upload.as_ref().map_or(0, Upload::bytes);
        Ok(Appending { id: id.clone(), open, all, clock, bell, upload, before })
    }

    /// Adds `bytes` to what has come.
    ///
    /// # Errors
    /// [`ResumeError::Length`] when they are too many: none of them counts then. [`ResumeError::Upload`] as for
    /// [`Cache::take`], and the upload is over then.
    pub async fn append(&self, appending: &mut Appending, bytes: Bytes) -> Result<(), ResumeError> {
        let SoFarCame { offset, length } = appending.so_far();
        if let Some(length) = length.filter(|length| offset.saturating_add(bytes.len() as u64) > *length) {
            return Err(ResumeError::Length { length });
        }
        let upload = appending.upload.take().ok_or(ResumeError::NoSuchUpload)?;
        *appending.upload = Some(self.take(upload, bytes).await?);
        Ok(())
    }

    /// Keeps what has come, which is all of it, as [`Cache::keep`] does. It is over then, whatever came of it.
    ///
    /// # Errors
    /// [`ResumeError::Length`] when it is not all, and then it stays open; [`ResumeError::Upload`].
    pub async fn finish(&self, mut appending: Appending) -> Result<Kept, ResumeError> {
        let SoFarCame { offset, length } = appending.so_far();
        if let Some(length) = length.filter(|length| *length != offset) {
            return Err(ResumeError::Length { length });
        }
        let upload = appending.upload.take().ok_or(ResumeError::NoSuchUpload)?;
        Ok(self.keep(upload, appending.open.sha512).await?)
    }

    /// Forgets all uploads, and what has come of them.
    pub fn end_uploads(&self) {
        let all = std::mem::take(&mut *self.open.all());
        for open in all.values() {
            // Whoever works on one finds out.
            if let Some(mut upload) = open.upload.try_lock() {
                upload.take();
            }
        }
    }

    /// Forgets the uploads of which nothing has come in half an hour, and those that have been open for two days, and what
    /// has come of them: who only asks how far one is keeps nobody else from theirs.
    pub fn end_idle_uploads(&self) {
        let now = self.ground.clock.now();
        let mut ended = Vec::new();
        self.open.all().retain(|_, open| {
            if open.state().grown + IDLE > now && open.begun + OPEN_FOR > now {
                return true;
            }
            // One that is worked on is not idle.
            let Some(mut upload) = open.upload.try_lock() else { return true };
            ended.push(upload.take());
            false
        });
    }
}

impl Appending {
    /// How much has come.
    #[must_use]
    pub fn so_far(&self) -> SoFarCame {
        let offset = self.upload.as_ref().map_or(0, Upload::bytes);
        SoFarCame { offset, length: self.open.state().length }
    }

    /// That what comes now is to be added at `offset`.
    ///
    /// # Errors
    /// [`ResumeError::Offset`].
    pub fn at(&self, offset: u64) -> Result<(), ResumeError> {
        match self.so_far().offset {
            expected if expected == offset => Ok(()),
            expected => Err(ResumeError::Offset { expected, said: offset }),
        }
    }

    /// That it has `length` bytes in all.
    ///
    /// # Errors
    /// [`ResumeError::Length`] when another length was said before, or more has come.
    pub fn announce(&mut self, length: u64) -> Result<(), ResumeError> {
        let SoFarCame { offset, length: before } = self.so_far();
        if before.is_some_and(|before| before != length) || offset > length {
            return Err(ResumeError::Length { length: before.unwrap_or(offset) });
        }
        self.open.state().length = Some(length);
        Ok(())
    }

    /// Waits until somebody else wants to go on with it.
    pub fn cut_off(&self) -> impl Future<Output = ()> + Send + use<> {
        let bell = Arc::clone(&self.bell);
        async move {
            bell.wait().await;
        }
    }

    /// Forgets all that has come.
    pub fn cancel(mut self) {
        self.upload.take();
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        match *self.upload {
            Some(ref upload) if upload.bytes() > self.before => self.open.state().grown = self.clock.now(),
            Some(_) => {}
            None => drop(self.all.all().remove(&self.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::Entropy;
    use futures_executor::block_on;
    use futures_util::FutureExt as _;
    use identity::{Principal, Role};

    use super::*;
    use crate::{Ground, Limits};

    fn cache(limits: Limits) -> (Cache, Clock) {
        let clock = Clock::manual(Timestamp::from_unix(1_790_000_000));
        let ground = Ground {
            engine: Arc::new(store::Memory::new()),
            blobs: Arc::new(store::blobs::Memory::new(clock.clone())),
            clock: clock.clone(),
            entropy: Entropy::seeded(1),
        };
        (Cache::new(ground, limits).unwrap(), clock)
    }

    fn of(name: &str) -> Permit<PutArtifact> {
        Permit::grant(Principal::pretended(name, Role::Publisher, None)).unwrap()
    }

    fn open(cache: &Cache, name: &str, announced: Announced) -> Result<UploadId, ResumeError> {
        block_on(cache.open_upload(of(name), announced, Box::new(()), false))
    }

    fn append(cache: &Cache, id: &UploadId, at: u64, bytes: &'static [u8]) -> Result<SoFarCame, ResumeError> {
        let mut appending = block_on(cache.resume(of("anna"), id))?;
        appending.at(at)?;
        block_on(cache.append(&mut appending, Bytes::from_static(bytes)))?;
        Ok(appending.so_far())
    }

    #[test]
    fn what_has_come_stays_until_it_is_all() {
        let (cache, _) = cache(Limits::default());
        let sha512 = Some(Sha512::of(b"hello"));
        let id = open(&cache, "anna", Announced { bytes: Some(5), sha512 }).unwrap();
        assert_eq!(append(&cache, &id, 0, b"he").unwrap(), SoFarCame { offset: 2, length: Some(5) });
        assert!(matches!(append(&cache, &id, 0, b"he"), Err(ResumeError::Offset { expected: 2, said: 0 })));
        assert!(matches!(append(&cache, &id, 2, b"llo!"), Err(ResumeError::Length { length: 5 })));
        let early = block_on(cache.finish(block_on(cache.resume(of("anna"), &id)).unwrap()));
        assert!(matches!(early, Err(ResumeError::Length { length: 5 })));
        // Nobody else sees it.
        assert!(matches!(block_on(cache.resume(of("berta"), &id)), Err(ResumeError::NoSuchUpload)));
        append(&cache, &id, 2, b"llo").unwrap();
        let kept = block_on(cache.finish(block_on(cache.resume(of("anna"), &id)).unwrap())).unwrap();
        assert_eq!((kept.digest, kept.bytes, kept.is_new), (Sha512::of(b"hello"), 5, true));
        assert!(matches!(append(&cache, &id, 5, b""), Err(ResumeError::NoSuchUpload)));
        assert!(cache.open.all().is_empty());
    }

    #[test]
    fn what_is_not_as_announced_is_forgotten() {
        let (cache, _) = cache(Limits::default());
        let id = open(&cache, "anna", Announced { bytes: None, sha512: Some(Sha512::of(b"hello")) }).unwrap();
        append(&cache, &id, 0, b"olleh").unwrap();
        let mut appending = block_on(cache.resume(of("anna"), &id)).unwrap();
        assert!(matches!(appending.announce(4), Err(ResumeError::Length { length: 5 })));
        appending.announce(5).unwrap();
        assert!(matches!(block_on(cache.finish(appending)), Err(ResumeError::Upload(_))));
        assert!(cache.open.all().is_empty() && cache.under_way.expected() == 0);
        let id = open(&cache, "anna", Announced { bytes: Some(7), sha512: None }).unwrap();
        assert_eq!(cache.under_way.expected(), 7);
        block_on(cache.resume(of("anna"), &id)).unwrap().cancel();
        assert!(cache.open.all().is_empty() && cache.under_way.expected() == 0);
    }

    #[test]
    fn whoever_comes_again_goes_on() {
        let (cache, _) = cache(Limits { writer_bytes_max: Some(9), ..Limits::default() });
        let join = |name, bytes, text: &[u8]| {
            let announced = Announced { bytes: Some(bytes), sha512: Some(Sha512::of(text)) };
            block_on(cache.open_upload(of(name), announced, Box::new(()), true))
        };
        let id = join("anna", 5, b"hello").unwrap();
        append(&cache, &id, 0, b"he").unwrap();
        assert_eq!(join("anna", 5, b"hello").unwrap(), id, "it counts once");
        assert!(join("anna", 5, b"other").is_err() && join("anna", 6, b"hello").is_err());
        assert_ne!(join("berta", 5, b"hello").unwrap(), id);
        cache.end_uploads();
        assert!(matches!(append(&cache, &id, 2, b"llo"), Err(ResumeError::NoSuchUpload)));
        assert_ne!(join("anna", 5, b"hello").unwrap(), id);
    }

    /// Also here, what is there needs no room: it is too much for its writer only when it is new.
    #[test]
    fn what_is_there_already_is_answered() {
        let (cache, _) = cache(Limits { writer_bytes_max: Some(9), ..Limits::default() });
        let hello = Announced { bytes: Some(5), sha512: Some(Sha512::of(b"hello")) };
        let id = open(&cache, "anna", hello).unwrap();
        append(&cache, &id, 0, b"hello").unwrap();
        block_on(cache.finish(block_on(cache.resume(of("anna"), &id)).unwrap())).unwrap();
        let other = Announced { bytes: Some(5), sha512: Some(Sha512::of(b"other")) };
        assert!(matches!(open(&cache, "anna", other), Err(ResumeError::Upload(_))));
        let id = open(&cache, "anna", hello).unwrap();
        append(&cache, &id, 0, b"hello").unwrap();
        let kept = block_on(cache.finish(block_on(cache.resume(of("anna"), &id)).unwrap())).unwrap();
        assert!(!kept.is_new);
    }

    #[test]
    fn whoever_comes_later_goes_on() {
        let (cache, _) = cache(Limits::default());
        let id = open(&cache, "anna", Announced::default()).unwrap();
        let first = block_on(cache.resume(of("anna"), &id)).unwrap();
        assert!(first.cut_off().now_or_never().is_none());
        let mut second = Box::pin(cache.resume(of("anna"), &id));
        assert!((&mut second).now_or_never().is_none());
        assert!(first.cut_off().now_or_never().is_some());
        let mut third = Box::pin(cache.resume(of("anna"), &id));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        // Of those who wait, the last one.
        assert!(matches!(block_on(second), Err(ResumeError::CutOff)));
        assert_eq!(block_on(third).unwrap().so_far().offset, 0);
    }

    #[test]
    fn they_are_bounded_and_end_when_they_are_idle() {
        let (cache, clock) = cache(Limits { writer_bytes_max: Some(10), ..Limits::default() });
        let announced = |bytes| Announced { bytes: Some(bytes), sha512: None };
        assert!(matches!(open(&cache, "anna", announced(11)), Err(ResumeError::Upload(_))));
        let ids: Vec<_> =
            (0..ACCOUNT_OPEN_MAX).map(|_| open(&cache, "anna", announced(0)).unwrap()).collect();
        assert!(matches!(
            open(&cache, "anna", announced(0)),
            Err(ResumeError::TooManyOpen { is_all: false, .. })
        ));
        for number in ACCOUNT_OPEN_MAX..OPEN_MAX {
            open(&cache, &format!("writer {number}"), announced(0)).unwrap();
        }
        assert!(matches!(
            open(&cache, "berta", announced(0)),
            Err(ResumeError::TooManyOpen { is_all: true, .. })
        ));
        clock.advance(Span::seconds(1799));
        let worked_on = block_on(cache.resume(of("anna"), &ids[0])).unwrap();
        clock.advance(Span::seconds(1));
        cache.end_idle_uploads();
        assert_eq!(cache.open.all().len(), 1);
        assert!(open(&cache, "berta", announced(0)).is_ok());
        drop(worked_on);
        // To ask is not to go on.
        assert!(matches!(block_on(cache.resume(of("anna"), &ids[0])), Err(ResumeError::NoSuchUpload)));
        assert!(matches!(block_on(cache.resume(of("anna"), &ids[1])), Err(ResumeError::NoSuchUpload)));
    }

    #[test]
    fn they_stay_as_long_as_they_grow_and_not_for_ever() {
        let (cache, clock) = cache(Limits::default());
        let id = open(&cache, "anna", Announced::default()).unwrap();
        let grow = || -> Result<(), ResumeError> {
            let mut appending = block_on(cache.resume(of("anna"), &id))?;
            block_on(cache.append(&mut appending, Bytes::from_static(b"x")))
        };
        for _ in 0..96 {
            grow().unwrap();
            clock.advance(Span::seconds(1799));
        }
        clock.advance(Span::seconds(100));
        assert!(matches!(grow(), Err(ResumeError::NoSuchUpload)));
    }
}
