//! What happened of late, kept in memory for those who watch.
//!
//! Watchers read from one shared ring, each at its own place, so a slow one costs nothing; when the
//! ring has moved past its place, its watch ends with [`WatchError::Compacted`]. Nobody polls: who has
//! read everything leaves a waker.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::{Change, Error, Prefix, Revision, WatchError};

/// How many changes are remembered.
const CHANGES_MAX: usize = 10_000;
/// How many bytes of keys and values are remembered.
const CHANGES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What happened of late. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Changes(Arc<Mutex<Ring>>);

struct Ring {
    /// Each one's changes, never none; oldest first.
    commits: VecDeque<Arc<[Change]>>,
    /// Every change after this revision is in `commits`.
    since: Revision,
    /// How often everything was forgotten. Watches from before are ended, wherever they were.
    forgotten: u64,
    changes: usize,
    bytes: usize,
    changes_max: usize,
    bytes_max: usize,
    closed: bool,
    waiting: HashMap<u64, Waker>,
    watchers: u64,
}

impl Changes {
    /// Remembers what happens from now on, where now is `since`.
    pub(crate) fn since(since: Revision) -> Self {
        Self::bounded(since, CHANGES_MAX, CHANGES_BYTES_MAX)
    }

    fn bounded(since: Revision, changes_max: usize, bytes_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Ring {
            commits: VecDeque::new(),
            since,
            forgotten: 0,
            changes: 0,
            bytes: 0,
            changes_max,
            bytes_max,
            closed: false,
            waiting: HashMap::new(),
            watchers: 0,
        })))
    }

    /// Adds what some commits did, in their order, and wakes who waits for it.
    pub(crate) fn add(&self, commits: impl IntoIterator<Item = Vec<Change>>) {
        let mut ring = self.ring();
        for commit in commits.into_iter().filter(|commit| !commit.is_empty()) {
            ring.changes += commit.len();
            ring.bytes += weight(&commit);
            ring.commits.push_back(commit.into());
        }
        while (ring.changes > ring.changes_max || ring.bytes > ring.bytes_max)
            && let Some(oldest) = ring.commits.pop_front()
        {
            ring.changes -= oldest.len();
            ring.bytes -= weight(&oldest);
            ring.since = oldest[0].revision;
        }
        wake(ring);
    }

    /// Forgets everything, because something that happened up to `since` was missed: all watches end.
    #[cfg(feature = "etcd")]
    pub(crate) fn start_over(&self, since: Revision) {
        let mut ring = self.ring();
        ring.commits.clear();
        (ring.changes, ring.bytes) = (0, 0);
        ring.since = since;
        ring.forgotten += 1;
        wake(ring);
    }

    /// Ends every watch, once it has told what is known.
    pub(crate) fn close(&self) {
        let mut ring = self.ring();
        ring.closed = true;
        wake(ring);
    }

    /// The changes under `prefix` after `from`.
    pub(crate) fn watch(&self, prefix: Prefix, from: Revision) -> Watch {
        let mut ring = self.ring();
        ring.watchers += 1;
        let (me, forgotten) = (ring.watchers, ring.forgotten);
        Watch { changes: self.clone(), me, prefix, at: from, forgotten, commit: None, ended: false }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing that is done under this lock leaves the ring half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes everybody, after letting go of the lock that they will want.
fn wake(mut ring: MutexGuard<'_, Ring>) {
    let waiting = std::mem::take(&mut ring.waiting);
    drop(ring);
    waiting.into_values().for_each(Waker::wake);
}

fn weight(commit: &[Change]) -> usize {
    commit
        .iter()
        .map(|change| change.key.as_str().len() + change.value.as_ref().map_or(0, bytes::Bytes::len))
        .sum()
}

/// Somebody's place in the ring.
pub(crate) struct Watch {
    changes: Changes,
    me: u64,
    prefix: Prefix,
    /// Everything up to here was told or is in `commit`.
    at: Revision,
    /// As it was in the ring when it began.
    forgotten: u64,
    /// The commit that is being told, and how far.
    commit: Option<(Arc<[Change]>, usize)>,
    ended: bool,
}

impl Watch {
    /// The next change of the commit that is being told.
    fn told(&mut self) -> Option<Change> {
        let (commit, next) = self.commit.as_mut()?;
        let rest = &commit[*next..];
        let Some(skipped) = rest.iter().position(|change| self.prefix.covers(&change.key)) else {
            self.commit = None;
            return None;
        };
        let change = rest[skipped].clone();
        *next += skipped + 1;
        Some(change)
    }
}

impl Stream for Watch {
    type Item = Result<Change, WatchError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(change) = this.told() {
                return Poll::Ready(Some(Ok(change)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let mut ring = this.changes.ring();
            if this.at < ring.since || this.forgotten != ring.forgotten {
                this.ended = true;
                return Poll::Ready(Some(Err(WatchError::Compacted)));
            }
            let next = ring.commits.partition_point(|commit| commit[0].revision <= this.at);
            if let Some(commit) = ring.commits.get(next) {
                this.at = commit[0].revision;
                this.commit = Some((Arc::clone(commit), 0));
            } else if ring.closed {
                this.ended = true;
                return Poll::Ready(Some(Err(WatchError::Store(Error::Closed))));
            } else {
                ring.waiting.insert(this.me, context.waker().clone());
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.changes.ring().waiting.remove(&self.me);
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::Key;

    fn commit(revision: u64, keys: &[&str]) -> Vec<Change> {
        let change = |key: &&str| Change {
            key: Key::new(*key).unwrap(),
            value: Some(bytes::Bytes::from_static(b"12345678")),
            revision: Revision(revision),
        };
        keys.iter().map(change).collect()
    }

    fn watch(changes: &Changes, from: u64) -> Watch {
        changes.watch(Prefix::default(), Revision(from))
    }

    #[test]
    fn who_is_slower_than_the_ring_is_told_so_and_holds_nothing() {
        let changes = Changes::bounded(Revision(0), 3, 1_000);
        let mut slow = watch(&changes, 0);
        changes.add([commit(1, &["/a", "/b"])]);
        assert_eq!(block_on(slow.next()).unwrap().unwrap().key.as_str(), "/a");
        changes.add([commit(2, &["/c"]), commit(4, &["/d"])]);
        changes.add([commit(5, &["/e", "/f"])]);

        // The commit it had begun is told to its end; what follows is gone.
        assert_eq!(block_on(slow.next()).unwrap().unwrap().key.as_str(), "/b");
        assert!(matches!(block_on(slow.next()), Some(Err(WatchError::Compacted))));
        assert!(block_on(slow.next()).is_none());
        assert_eq!(changes.ring().changes, 3);

        // Revision 2 is where the ring begins, and 3 was a commit that changed nothing.
        for (from, first) in [(2, "/d"), (3, "/d"), (4, "/e")] {
            assert_eq!(
                block_on(watch(&changes, from).next()).unwrap().unwrap().key.as_str(),
                first,
                "from {from}"
            );
        }
        assert!(watch(&changes, 5).next().now_or_never().is_none());
    }

    #[test]
    fn bytes_are_bounded_too() {
        let changes = Changes::bounded(Revision(0), 1_000, 25);
        changes.add((1..=10).map(|revision| commit(revision, &["/k"])));
        let ring = changes.ring();
        assert_eq!((ring.changes, ring.bytes, ring.since), (2, 20, Revision(8)));
    }

    #[test]
    fn a_watcher_that_left_leaves_no_waker() {
        let changes = Changes::since(Revision(0));
        let mut gone = watch(&changes, 0);
        assert!(gone.next().now_or_never().is_none());
        assert_eq!(changes.ring().waiting.len(), 1);
        drop(gone);
        assert!(changes.ring().waiting.is_empty());
    }

    #[cfg(feature = "etcd")]
    #[test]
    fn what_was_missed_ends_the_watches_from_before() {
        let changes = Changes::since(Revision(0));
        changes.add([commit(1, &["/a"]), commit(2, &["/b"])]);
        // Also one that is ahead, as after a return to a backup.
        let before = [watch(&changes, 1), watch(&changes, 9)];
        changes.start_over(Revision(7));
        for mut before in before {
            assert!(matches!(block_on(before.next()), Some(Err(WatchError::Compacted))));
            assert!(block_on(before.next()).is_none());
        }

        let mut after = watch(&changes, 7);
        assert!(after.next().now_or_never().is_none());
        changes.add([commit(8, &["/c"])]);
        assert_eq!(block_on(after.next()).unwrap().unwrap().key.as_str(), "/c");
        let ring = changes.ring();
        assert_eq!((ring.changes, ring.bytes), (1, 10));
    }

    #[test]
    fn closing_wakes_and_ends() {
        let changes = Changes::since(Revision(0));
        let waiting = std::thread::scope(|threads| {
            let mut stream = watch(&changes, 0);
            let waiting = threads.spawn(move || block_on(stream.next()));
            changes.close();
            waiting.join().unwrap()
        });
        assert!(matches!(waiting, Some(Err(WatchError::Store(Error::Closed)))));
    }
}
