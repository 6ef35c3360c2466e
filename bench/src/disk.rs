//! What the disk can do at best.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::load::Done;

/// How many places in the file take turns.
const PLACES: u64 = 1024;

/// Tells the disk to keep `bytes` that were just written over what was there (fdatasync), one after the other, as a
/// log does that is used again and again. In a file of its own in `folder`.
pub(crate) fn syncs(folder: &Path, bytes: usize, duration: Duration) -> Result<Done, Failure> {
    let path = folder.join("syncs");
    let work = || {
        let file = File::create(&path)?;
        let written = vec![0x5a; bytes];
        for place in 0..PLACES {
            file.write_all_at(&written, place * bytes as u64)?;
        }
        file.sync_all()?;
        let began = Instant::now();
        let mut turns = 0;
        while began.elapsed() < duration {
            file.write_all_at(&written, turns % PLACES * bytes as u64)?;
            file.sync_data()?;
            turns += 1;
        }
        Ok(Done { turns, elapsed: began.elapsed() })
    };
    work().map_err(Failure::file(&path))
}
