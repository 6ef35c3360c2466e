//! What went wrong, in our words.

use base::report;
use object_store::Error as StoreError;

use crate::blobs::contract::Error;

/// What the servers say when there is no room: the status (RFC 4918 §11.5), MinIO's word, and those of quotas.
const FULL: [&str; 4] = ["507 Insufficient", "XMinioStorageFull", "QuotaExceeded", "StorageFull"];

/// Whether it is said that there is no such object.
pub(super) fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. })
}

/// What was said, in our words.
pub(super) fn failed(doing: &'static str) -> impl Fn(StoreError) -> Error {
    move |error| {
        let reason = report(&error);
        if FULL.iter().any(|word| reason.contains(word)) {
            return Error::Full;
        }
        match error {
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
                Error::Refused { doing, reason }
            }
            // No bucket is told like no object.
            StoreError::NotFound { .. } => Error::Refused { doing, reason },
            _ => Error::Unavailable { doing, reason },
        }
    }
}
