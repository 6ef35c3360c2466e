//! How much is done at once: as many answers and uploads as there are files for, and as much memory for what is on its
//! way out as was said, however slowly it is read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;
use crate::doors::Own;

/// How long whoever finds all places taken waits for one: a burst of short requests is over by then.
const PLACE_WAIT: Duration = Duration::from_secs(2);
/// How long an answer waits for room. Its connection has some of its own, which only its other answers can take.
const ROOM_WAIT: Duration = Duration::from_secs(60);

/// A number of places. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Places(Arc<Semaphore>);

/// One of them, until this is dropped.
pub(crate) struct Place(#[expect(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// A place.
    ///
    /// # Errors
    /// 503, when there is none.
    pub(super) async fn take(&self) -> Result<Place, Refusal> {
        self.take_or(None).await
    }

    /// A place, if there is one soon.
    pub(crate) async fn found(&self) -> Option<Place> {
        first(PLACE_WAIT, &self.0, 1, None).await.map(Place)
    }

    /// How many are free.
    pub(crate) fn free(&self) -> usize {
        self.0.available_permits()
    }

    /// A place, or that which the connection has of its own.
    ///
    /// # Errors
    /// 503, when there is none.
    pub(super) async fn take_or(&self, own: Option<&Arc<Semaphore>>) -> Result<Place, Refusal> {
        first(PLACE_WAIT, &self.0, 1, own).await.map(Place).ok_or_else(Refusal::busy)
    }
}

/// So many of what all share, or else one of what a connection has of its own, whichever there is first.
async fn first(
    wait: Duration,
    shared: &Arc<Semaphore>,
    count: u32,
    own: Option<&Arc<Semaphore>>,
) -> Option<OwnedSemaphorePermit> {
    if let Ok(taken) = Arc::clone(shared).try_acquire_many_owned(count) {
        return Some(taken);
    }
    let of_own = async {
        match own {
            Some(own) => Arc::clone(own).acquire_owned().await,
            None => std::future::pending().await,
        }
    };
    let taken = async {
        tokio::select! {
            biased;
            taken = of_own => taken,
            taken = Arc::clone(shared).acquire_many_owned(count) => taken,
        }
    };
    // The semaphores are never closed.
    tokio::time::timeout(wait, taken).await.ok()?.ok()
}

/// Room in memory for what is on its way out. Cloning shares it.
#[derive(Clone)]
pub(super) struct Sending {
    room: Arc<Semaphore>,
    bytes_max: u32,
    /// What the connection has of its own, once it is known which.
    own: Option<Arc<Semaphore>>,
}

/// Some of that room, until this is dropped.
pub(super) struct Room(#[expect(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

/// Bytes in the room that was made for them.
struct Roomy {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Roomy {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Sending {
    pub(super) fn new(bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self { room: Arc::new(Semaphore::new(bytes_max as usize)), bytes_max, own: None }
    }

    /// The same room, for the connection that has this of its own: one piece at a time.
    pub(super) fn or(&self, own: Option<&Own>) -> Self {
        Self { own: own.map(|own| own.piece.clone()), ..self.clone() }
    }

    /// Waits for room for so many bytes.
    ///
    /// # Errors
    /// When nobody else reads what was made for them.
    pub(super) async fn room(&self, bytes: usize) -> io::Result<Room> {
        // What is larger than all of it waits for all of it.
        let count = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let taken = first(ROOM_WAIT, &self.room, count, self.own.as_ref()).await;
        taken.map(Room).ok_or_else(|| io::Error::other("nobody reads their answers"))
    }
}

impl Room {
    /// `bytes`, which give the room back when they are gone: that is, once the connection has taken them.
    pub(super) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Roomy { bytes, _room: self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_is_told_to_come_back() {
        let places = Places::new(1);
        let place = places.take().await.unwrap_or_else(|_| panic!("there is one"));
        let refused = places.take().await.err().unwrap().into_response();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        drop(place);
        assert!(places.take().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_given_back_with_the_bytes() {
        let sending = Sending::new(10);
        let hello = sending.room(6).await.unwrap().hold(Bytes::from_static(b"hello "));
        let part = hello.slice(1..2);
        drop(hello);
        assert!(sending.room(5).await.is_err(), "a part of them is still there");
        drop(part);
        // More than there is waits for all of it.
        drop(sending.room(5000).await.unwrap());
        assert!(sending.room(10).await.is_ok());
    }

    /// Whatever others take and do not read, each connection goes on.
    #[tokio::test(start_paused = true)]
    async fn each_connection_has_room_of_its_own() {
        let (sending, places) = (Sending::new(10), Places::new(1));
        let own = Own::default();
        let mine = sending.or(Some(&own));
        let all = (sending.room(10).await, places.take().await.ok());
        assert!(sending.room(1).await.is_err() && places.take().await.is_err());
        let (piece, place) =
            (mine.room(10).await.unwrap(), places.take_or(Some(&own.file)).await.ok().unwrap());
        assert!(mine.room(1).await.is_err() && places.take_or(Some(&own.file)).await.is_err());
        drop((piece, place));
        assert!(mine.room(10).await.is_ok() && places.take_or(Some(&own.file)).await.is_ok());
        drop(all);
        assert!(sending.room(10).await.is_ok() && places.take().await.is_ok());
    }
}
