//! What is left of the disk. Some of it is never taken: the records are there as a rule, and a house whose disk is full
//! to the last byte issues no certificates either.

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

impl Cache {
    /// Whether `more` bytes can be taken besides all that is under way, where that is known.
    pub(crate) async fn check_room(&self, more: u64) -> Result<(), NoRoom> {
        let reserve_bytes = self.limits.reserve_bytes;
        let Some(room) = self.ground.blobs.room().await.map_err(NoRoom::Unknown)? else { return Ok(()) };
        let bytes = room.saturating_sub(self.under_way.expected());
        if bytes < reserve_bytes.saturating_add(more) {
            return Err(NoRoom::Reserved { bytes, reserve_bytes });
        }
        Ok(())
    }
}
