//! A batch as a transaction of etcd's.

use super::calls::{Calls, Repeat};
use super::failure::CallError;
use super::json::{Compare, Range, Request, Txn, TxnDone};
use super::{from_etcd, to_etcd};
use crate::{Batch, CommitError, Error, Expect, Operation, Revision};

const DOING: &str = "committing";

/// What a commit came to.
pub(super) struct Committed {
    /// The revision that the store is at.
    pub(super) revision: Revision,
    /// Whether anything changed, so that there is something to tell at that revision.
    pub(super) is_change: bool,
}

/// Does all of `batch` or nothing.
pub(super) async fn commit(calls: &Calls, batch: &Batch) -> Result<Committed, CommitError> {
    let answer = calls.call::<TxnDone>("/v3/kv/txn", &transaction(calls, batch), repeat(batch)).await;
    let answer = answer.map_err(|error| match error {
        CallError::Unknown(reason) => CommitError::Unknown { reason },
        error => CommitError::Store(error.reading(DOING)),
    })?;
    let done = answer.is;
    if done.succeeded {
        let is_deleted = |response: &super::json::Response| {
            response.response_delete_range.as_ref().is_some_and(|range| range.deleted > 0)
        };
        let is_put = batch.operations().iter().any(|operation| matches!(operation, Operation::Put(..)));
        return Ok(Committed {
            revision: from_etcd(done.header.revision),
            is_change: is_put || done.responses.iter().any(is_deleted),
        });
    }
    if answer.in_doubt {
        let reason = "the connection was lost, and what it expects is no longer so".into();
        return Err(CommitError::Unknown { reason });
    }
    Err(conflict(batch, &done))
}

/// Whether a batch may be sent again after it was lost. It may when it could not be done twice: something that
/// it writes was expected to be at a version, which no key ever comes back to. That a key does not exist is no
/// such expectation: it may be deleted in between, and a first attempt that was stuck in a stopped member would
/// then create it again.
fn repeat(batch: &Batch) -> Repeat {
    if batch.is_empty() {
        return Repeat::Reads;
    }
    let is_guard = |(key, expectation): &(crate::Key, Expect)| {
        matches!(expectation, Expect::At(_))
            && batch.operations().iter().any(|operation| operation.key() == key)
    };
    if batch.expectations().iter().any(is_guard) { Repeat::Guarded } else { Repeat::Never }
}

fn transaction(calls: &Calls, batch: &Batch) -> Txn {
    let compare = |(key, expectation): &(crate::Key, Expect)| Compare {
        target: "MOD",
        result: "EQUAL",
        key: calls.stored(key.as_str()),
        mod_revision: expected(*expectation).to_string(),
    };
    let look = |(key, _): &(crate::Key, Expect)| {
        Request::Range(Range { key: calls.stored(key.as_str()), keys_only: true, ..Range::default() })
    };
    let operation = |operation: &Operation| match operation {
        Operation::Put(key, value) => {
            Request::Put { key: calls.stored(key.as_str()), value: super::json::Blob(value.to_vec()) }
        }
        Operation::Delete(key) => Request::Delete { key: calls.stored(key.as_str()) },
    };
    let mut success: Vec<_> = batch.operations().iter().map(operation).collect();
    if success.is_empty() {
        // Without anything to read, a member would answer by itself, and could be behind.
        success.push(Request::Range(calls.nothing()));
    }
    Txn {
        compare: batch.expectations().iter().map(compare).collect(),
        success,
        // To see in the same moment which expectation does not hold.
        failure: batch.expectations().iter().map(look).collect(),
    }
}

/// The revision of the last write that is expected of a key; etcd's is 0 where there is none.
fn expected(expectation: Expect) -> u64 {
    match expectation {
        Expect::Absent => 0,
        Expect::At(version) => to_etcd(version.0),
    }
}

/// The first expectation that does not hold.
fn conflict(batch: &Batch, done: &TxnDone) -> CommitError {
    let found = done.responses.iter().map(|response| {
        let range = response.response_range.as_ref();
        range.and_then(|range| range.kvs.first()).map_or(0, |found| found.mod_revision)
    });
    let first = batch
        .expectations()
        .iter()
        .zip(found)
        .find(|((_, expectation), found)| expected(*expectation) != *found);
    match first {
        Some(((key, _), _)) => CommitError::Conflict { key: key.clone() },
        None => {
            Error::Engine { doing: DOING, reason: "etcd refuses without saying what differs".into() }.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Version};

    #[test]
    fn only_what_cannot_be_done_twice_is_sent_again() {
        let key = |text: &str| Key::new(text).unwrap();
        let at = Expect::At(Version(Revision(7)));
        let check = |expectations: &[(&str, Expect)], puts: &[&str], deletes: &[&str], expected| {
            let mut batch = Batch::new();
            for (text, expectation) in expectations {
                batch.expect(key(text), *expectation);
            }
            for text in puts {
                batch.put(key(text), "");
            }
            for text in deletes {
                batch.delete(key(text));
            }
            assert_eq!(repeat(&batch), expected, "{batch:?}");
        };
        check(&[], &[], &[], Repeat::Reads);
        check(&[("/a", at)], &[], &[], Repeat::Reads);
        check(&[("/a", at)], &["/a"], &[], Repeat::Guarded);
        check(&[("/a", at)], &[], &["/a"], Repeat::Guarded);
        check(&[("/a", at)], &["/b"], &[], Repeat::Never);
        check(&[("/a", Expect::Absent)], &["/a"], &[], Repeat::Never);
        check(&[], &["/a"], &[], Repeat::Never);
        check(&[], &[], &["/a"], Repeat::Never);
        check(&[("/a", Expect::Absent), ("/b", at)], &["/a", "/b"], &[], Repeat::Guarded);
    }
}
