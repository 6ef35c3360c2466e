//! Whether a record is what was stored: SQLite would give back whatever the disk does.
//!
//! Beside each record stands the CRC-32 of its key, its revision and its value. It is there against disks, and not
//! against people, who would count it again. Rows of the first layout have none before they are written again.

use crc32fast::Hasher;

use crate::{Error, Key, Versioned};

/// That of a record.
pub(super) fn of(key: &str, revision: i64, value: &[u8]) -> i64 {
    let mut sum = Hasher::new();
    sum.update(key.as_bytes());
    // No key has a NUL in it.
    sum.update(b"\0");
    sum.update(&revision.to_be_bytes());
    sum.update(value);
    i64::from(sum.finalize())
}

/// A record that was found with `sum` beside it, if it is the one that was stored.
pub(super) fn checked(key: &Key, found: Versioned, sum: Option<i64>) -> Result<Versioned, Error> {
    let is_right = |sum: i64| sum == of(key.as_str(), super::to_sql(found.version.0), &found.value);
    if sum.is_none_or(is_right) {
        Ok(found)
    } else {
        Err(Error::Record { key: key.clone(), reason: "its bytes are not those that were stored".into() })
    }
}
