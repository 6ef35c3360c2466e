//! Which blobs the records name: for whoever copies both.

use std::sync::Arc;

use base::Sha512;
use store::{Engine, Page, Prefix, Table};

use crate::record::ArtifactRecord;
use crate::service::{ARTIFACTS, LONG};

/// Tells `each` of every blob that the records in `engine` name, and how many bytes it has where a record says so. One may
/// be told of more than once.
///
/// # Errors
/// The store's; a record that cannot be read.
pub async fn each_blob_named(
    engine: &Arc<dyn Engine>,
    mut each: impl FnMut(Sha512, Option<u64>),
) -> Result<(), store::Error> {
    let artifacts = Table::<ArtifactRecord>::new(Arc::clone(engine), ARTIFACTS)?;
    let mut next = Some(Page::full());
    while let Some(page) = next {
        let found = artifacts.list(page).await?;
        for (id, loaded) in found.entries {
            if let Some(digest) = Sha512::parse(&id) {
                each(digest, Some(loaded.record.bytes));
            }
        }
        next = found.next;
    }
    let long = Prefix::new(LONG)?;
    let mut next = Some(Page::full());
    while let Some(page) = next {
        let found = engine.list(&long, page).await?;
        for (key, _) in found.entries {
            let name = long.rest(&key).and_then(|rest| rest.split('/').next());
            if let Some(digest) = name.and_then(Sha512::parse) {
                each(digest, None);
            }
        }
        next = found.next;
    }
    Ok(())
}
