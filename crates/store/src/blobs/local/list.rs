//! What objects there are.

use std::io;
use std::path::Path;

use base::Sha512;

use super::failed;
use super::place::{Place, kept_at, look};
use crate::blobs::contract::{Error, Found, LIST_MAX};

/// The objects behind `after` in order, at most `limit`. One directory's names are in memory at a time: of a million
/// objects, four thousand.
pub(super) fn list(place: &Place, after: Option<Sha512>, limit: usize) -> Result<Vec<Found>, Error> {
    place.still_open()?;
    let limit = limit.clamp(1, LIST_MAX);
    let first = after.map_or(0, |after| after.as_bytes()[0]);
    let mut found = Vec::new();
    for (shard, byte) in place.shards().iter().zip(0..=u8::MAX).skip(usize::from(first)) {
        let mut digests = names(shard.path()).map_err(failed("listing"))?;
        // Whatever else somebody put there is not ours.
        digests.retain(|digest| digest.as_bytes()[0] == byte && after.is_none_or(|after| *digest > after));
        digests.sort_unstable();
        for digest in digests {
            match look(&shard.path().join(digest.to_string())) {
                Ok(Some(about)) => {
                    found.push(Found { digest, size: about.len(), kept_at: kept_at(&about) });
                }
                // It went meanwhile, or is no file.
                Ok(None) | Err(Error::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// The digests that files in `directory` are named by.
fn names(directory: &Path) -> io::Result<Vec<Sha512>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut digests = Vec::new();
    for entry in entries {
        digests.extend(entry?.file_name().to_str().and_then(Sha512::parse));
    }
    Ok(digests)
}
