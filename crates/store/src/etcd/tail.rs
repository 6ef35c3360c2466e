//! Following what happens in etcd, and telling those who watch.
//!
//! One watch of everything in the namespace fills the ring of changes. It goes on where it stopped, at the next
//! endpoint if need be: nothing is told twice, and nothing is left out unless etcd has forgotten it; then all
//! watches end with [`Compacted`](crate::WatchError::Compacted), and what happens from then on is told.
//!
//! A member that is stopped or cut off keeps its connections open and says nothing. So after some silence it is
//! asked a question that it can only answer together with a majority.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use tokio::time::{sleep, timeout};

use super::calls::{Calls, from_json, to_json};
use super::failure::{Failure, code};
use super::json::{Event, Told, Watch, WatchCreate, Watched};
use super::{from_etcd, to_etcd};
use crate::changes::Changes;
use crate::{Change, Error, Key, Revision};

/// How long nothing may be heard before it is asked whether anybody is there.
const SILENCE: Duration = Duration::from_secs(2);
/// The longest message that is read. Fragments are far below it, unless somebody has raised etcd's own limits.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Says in `begun` from where on it follows, or why it cannot, and follows until `finish` says up to where what
/// happened is to be told before the end.
pub(super) async fn run(
    calls: Arc<Calls>,
    changes: Changes,
    begun: oneshot::Sender<Result<Revision, Error>>,
    finish: oneshot::Receiver<Revision>,
) {
    let mut tail = Tail { calls, changes, at: Revision(0), pending: Vec::new() };
    let last = {
        let work = std::pin::pin!(async {
            if tail.begin(begun).await {
                tail.follow(Revision(u64::MAX)).await;
            }
        });
        match select(work, finish).await {
            Either::Right((Ok(last), _)) => last,
            // It could not begin, or is dropped instead of closed: nobody is left to be told.
            Either::Left(_) | Either::Right((Err(oneshot::Canceled), _)) => return,
        }
    };
    let deadline = tail.calls.deadline();
    if timeout(deadline, tail.follow(last)).await.is_err() {
        tracing::warn!("the store was closed before all that happened could be told");
    }
}

struct Tail {
    calls: Arc<Calls>,
    changes: Changes,
    /// Everything up to here was told.
    at: Revision,
    /// What was heard of revisions that are not whole yet.
    pending: Vec<Event>,
}

/// Why a watch ended.
enum Broken {
    /// Something happened to the connection or the member.
    Lost(String),
    /// What follows can no longer be told.
    Missed(String),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(reason) | Failure::Lost(reason) => Self::Lost(reason),
            Failure::Refused(refusal) => Self::Lost(refusal.message),
            Failure::TooLong => Self::Lost("etcd's answer is too long".into()),
        }
    }
}

impl Tail {
    /// Finds out where to begin, and tells it. Whether that could be done, and anybody wants to know.
    async fn begin(&mut self, begun: oneshot::Sender<Result<Revision, Error>>) -> bool {
        let revision = self.calls.revision().await.map_err(|error| error.reading("connecting"));
        let is_known = revision.is_ok();
        if let Ok(revision) = &revision {
            self.changes.start_over(*revision);
            self.at = *revision;
        }
        begun.send(revision).is_ok() && is_known
    }

    /// Tells what happens until everything up to `last` was told.
    async fn follow(&mut self, last: Revision) {
        let mut failures = 0;
        while self.at < last {
            let before = self.at;
            let endpoint = self.calls.current();
            self.pending.clear();
            match self.watch(endpoint, last).await {
                Ok(()) => return,
                Err(Broken::Lost(reason)) => {
                    self.calls.leave(endpoint);
                    let endpoint = self.calls.url(endpoint);
                    tracing::warn!(endpoint, reason, "etcd cannot be followed, trying again");
                }
                Err(Broken::Missed(reason)) => {
                    tracing::warn!(reason, "some changes in etcd were missed, everybody looks at everything");
                    match self.calls.revision().await.map_err(|error| error.reading("following")) {
                        Ok(revision) => {
                            self.changes.start_over(revision);
                            self.at = revision;
                            continue;
                        }
                        Err(error) => tracing::warn!(%error, "etcd cannot be asked, trying again"),
                    }
                }
            }
            failures = if self.at > before { 0 } else { failures + 1 };
            sleep(self.calls.pause(failures)).await;
        }
    }

    /// Tells what `endpoint` says, until everything up to `last` was told.
    async fn watch(&mut self, endpoint: usize, last: Revision) -> Result<(), Broken> {
        let patience = self.calls.patience();
        let silent = || Broken::Lost(format!("it was silent for {} ms", patience.as_millis()));
        let calls = Arc::clone(&self.calls);
        let pass = timeout(patience, calls.pass(endpoint)).await.map_err(|_| silent())??;
        let body = to_json(&Watch {
            create_request: WatchCreate {
                // All keys begin so. Whoever may read no more than that may follow it.
                key: calls.stored("/"),
                range_end: calls.end_of("/"),
                start_revision: to_etcd(Revision(self.at.0 + 1)).to_string(),
                progress_notify: true,
                fragment: true,
            },
        });
        let mut response = timeout(patience, calls.send(endpoint, "/v3/watch", body, &pass))
            .await
            .map_err(|_| silent())??;
        let mut buffer = BytesMut::new();
        while self.at < last {
            let chunk = match timeout(SILENCE, response.chunk()).await {
                Err(_) => {
                    if calls.probe(endpoint).await? < self.at {
                        let reason =
                            "etcd is at an earlier revision than before, as if restored from a backup";
                        return Err(Broken::Missed(reason.into()));
                    }
                    continue;
                }
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Err(Broken::Lost("it ended the watch".into())),
                Ok(Err(error)) => return Err(Broken::Lost(base::report(&error))),
            };
            buffer.extend_from_slice(&chunk);
            // Only what has come now can have the end of a message in it.
            let mut searched = buffer.len() - chunk.len();
            while let Some(end) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(searched + end + 1);
                searched = 0;
                match from_json(&line).map_err(Broken::Lost)? {
                    Watched::Result(told) if told.canceled => {
                        // A token that has ended is not told from a permission that is not there.
                        calls.forget(&pass).await;
                        return Err(cancelled(&told));
                    }
                    Watched::Result(told) => self.tell(told),
                    Watched::Error(error) if error.grpc_code == code::RESOURCE_EXHAUSTED => {
                        return Err(Broken::Missed(error.message));
                    }
                    Watched::Error(error) => return Err(Broken::Lost(error.message)),
                }
            }
            if buffer.len() > MESSAGE_BYTES_MAX {
                return Err(Broken::Missed("etcd tells more at once than can be read".into()));
            }
        }
        Ok(())
    }

    /// Takes one message.
    fn tell(&mut self, told: Told) {
        if told.events.is_empty() {
            if !told.created {
                // Nothing has happened here until now, whatever happened to others' keys.
                self.at = self.at.max(from_etcd(told.header.revision));
            }
            return;
        }
        self.pending.extend(told.events);
        // The last revision of a fragment may go on in the next one.
        let whole = match self.pending.last() {
            Some(last) if told.fragment => {
                let last = last.kv.mod_revision;
                self.pending.partition_point(|event| event.kv.mod_revision < last)
            }
            _ => self.pending.len(),
        };
        let mut commits: Vec<Vec<Change>> = Vec::new();
        let mut newest = self.at;
        for event in self.pending.drain(..whole) {
            let revision = from_etcd(event.kv.mod_revision);
            if revision <= self.at {
                continue;
            }
            newest = revision;
            let Some(change) = change(&self.calls, event, revision) else { continue };
            match commits.last_mut() {
                Some(commit) if commit[0].revision == revision => commit.push(change),
                _ => commits.push(vec![change]),
            }
        }
        self.at = newest;
        self.changes.add(commits);
    }
}

/// A change, unless it is to a key that ours cannot be like.
fn change(calls: &Calls, event: Event, revision: Revision) -> Option<Change> {
    let key = Key::new(calls.named(&event.kv.key.0)?).ok()?;
    let value = (!event.is_delete()).then(|| event.kv.value.0.into());
    Some(Change { key, value, revision })
}

fn cancelled(told: &Told) -> Broken {
    if told.compact_revision > 0 {
        return Broken::Missed("etcd has compacted them".into());
    }
    Broken::Lost(match told.cancel_reason.as_str() {
        "" => "it cancelled the watch".to_owned(),
        reason => reason.to_owned(),
    })
}
