//! What is left of the disk. Some of it is never taken: the records are there as a rule, and a house whose disk is full
//! to the last byte issues no certificates either.

use std::sync::{Arc, OnceLock};

use store::blobs;

use crate::service::Cache;

/// Why nothing more is taken.
#[derive(Debug)]
pub(crate) enum NoRoom {
    /// No more than the reserve is left, counting what is still to come of other uploads.
    Reserved { bytes: u64, reserve_bytes: u64 },
    /// It could not be found out.
    Unknown(blobs::Error),
}

/// What is given up where room is short, before anybody is refused: says whether there was anything.
#[derive(Clone, Default)]
pub(crate) struct Spare(Arc<OnceLock<Box<dyn Fn() -> bool + Send + Sync>>>);

impl Spare {
    /// Gives it up; whether there was anything.
    pub(crate) fn give_up(&self) -> bool {
        self.0.get().is_some_and(|give_up| give_up())
    }
}

impl Cache {
    /// Has `give_up` called where room is short, before anybody is refused, which says whether it had something to give up.
    /// There is one such; another one is not called.
    pub fn gives_up_first(&self, give_up: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.spare.0.set(Box::new(give_up));
    }

    /// Whether `more` bytes can be taken besides all that is under way, where that is known.
    pub(crate) async fn check_room(&self, more: u64) -> Result<(), NoRoom> {
        match self.room_for(more).await {
            Err(NoRoom::Reserved { .. }) if self.spare.give_up() => self.room_for(more).await,
            checked => checked,
        }
    }

    async fn room_for(&self, more: u64) -> Result<(), NoRoom> {
        let reserve_bytes = self.limits.reserve_bytes;
        let Some(room) = self.ground.blobs.room().await.map_err(NoRoom::Unknown)? else { return Ok(()) };
        let bytes = room.saturating_sub(self.under_way.expected());
        if bytes < reserve_bytes.saturating_add(more) {
            return Err(NoRoom::Reserved { bytes, reserve_bytes });
        }
        Ok(())
    }
}
