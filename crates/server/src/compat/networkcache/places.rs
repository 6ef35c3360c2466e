//! How much is done at once: as many answers and uploads as there are files for, and as much memory for what is on its
//! way out as was said, however slowly it is read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;

/// How long whoever finds all places taken waits for one: a burst of short requests is over by then.
const PLACE_WAIT: Duration = Duration::from_secs(2);
/// How long an answer waits for room: longer than the doors wait for whoever takes it up and does not read.
const ROOM_WAIT: Duration = Duration::from_secs(60);

/// A number of places. Cloning shares them.
#[derive(Clone)]
pub(super) struct Places(Arc<Semaphore>);

/// One of them, until this is dropped.
pub(super) struct Place(#[expect(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// A place.
    ///
    /// # Errors
    /// 503, when there is none.
    pub(super) async fn take(&self) -> Result<Place, Refusal> {
        let taken = tokio::time::timeout(PLACE_WAIT, Arc::clone(&self.0).acquire_owned()).await;
        // The semaphore is never closed.
        taken.ok().and_then(Result::ok).map(Place).ok_or_else(Refusal::busy)
    }
}

/// Room in memory for what is on its way out. Cloning shares it.
#[derive(Clone)]
pub(super) struct Sending {
    room: Arc<Semaphore>,
    bytes_max: u32,
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
        Self { room: Arc::new(Semaphore::new(bytes_max as usize)), bytes_max }
    }

    /// Waits for room for so many bytes.
    ///
    /// # Errors
    /// When nobody else reads what was made for them.
    pub(super) async fn room(&self, bytes: usize) -> io::Result<Room> {
        // What is larger than all of it waits for all of it.
        let count = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let taken = tokio::time::timeout(ROOM_WAIT, Arc::clone(&self.room).acquire_many_owned(count)).await;
        // The semaphore is never closed.
        taken
            .ok()
            .and_then(Result::ok)
            .map(Room)
            .ok_or_else(|| io::Error::other("nobody reads their answers"))
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
}
