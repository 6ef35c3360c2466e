//! Pages of keys.

use super::calls::{Calls, Repeat};
use super::ends::{Ends, guesses};
use super::failure::CallError;
use super::json::{Blob, KeyValue, Range, Ranged};
use super::{from_etcd, to_etcd, versioned};
use crate::{Error, Key, Listing, Page, Prefix, Revision, Versioned};

const DOING: &str = "listing";

/// One page of what is under `prefix`, or was `then`. Each page is one question to etcd, so that it is of one moment.
pub(super) async fn list(
    calls: &Calls,
    ends: &Ends,
    prefix: &Prefix,
    page: Page,
    then: Option<Revision>,
) -> Result<Listing, Error> {
    let limit = page.held();
    let mut start = match &page.after {
        Some(after) if after.as_str() >= prefix.as_str() => behind(calls.stored(after.as_str()).0),
        _ => calls.stored(prefix.as_str()).0,
    };
    if start.is_empty() {
        // The first of all keys.
        start.push(0);
    }
    let range_end = calls.end_of(prefix.as_str());
    // One more, which shows that another page follows.
    let mut asked = limit + 1;
    // A page may have begun at the same key, and ended behind what is asked for now.
    let is_inside = |last: &Vec<u8>| range_end.0 == [0] || *last < range_end.0;
    let mut narrow: Vec<Vec<u8>> = match ends.of(&start, asked).filter(is_inside) {
        Some(last) => vec![behind(last)],
        None => match &page.after {
            Some(after) if after.as_str().starts_with(prefix.as_str()) => {
                let own = after.as_str().len() - prefix.as_str().len();
                guesses(&calls.stored(after.as_str()).0, own, asked)
            }
            _ => Vec::new(),
        },
    };
    narrow.reverse();
    loop {
        if range_end.0 != [0] && start >= range_end.0 {
            let revision = match then {
                Some(then) => then,
                None => calls.revision().await.map_err(|error| error.reading(DOING))?,
            };
            return Ok(Listing { entries: Vec::new(), next: None, revision });
        }
        let narrow = narrow.pop();
        let is_narrow = narrow.is_some();
        let range_end = narrow.map_or_else(|| range_end.clone(), Blob);
        let range = Range {
            key: Blob(start.clone()),
            range_end,
            limit: asked,
            revision: then.map_or(0, to_etcd),
            ..Range::default()
        };
        let ranged = match calls.call::<Ranged>("/v3/kv/range", &range, Repeat::Reads).await {
            Ok(answer) => answer.is,
            Err(CallError::TooLong) if asked > 1 => {
                asked = asked / 8 + 1;
                continue;
            }
            Err(error) => return Err(error.reading(DOING)),
        };
        let is_full = ranged.kvs.len() == asked;
        if is_narrow && !is_full {
            // Some are gone since, or there are others elsewhere.
            continue;
        }
        let last = ranged.kvs.last().map(|last| last.key.0.clone());
        if is_full && let Some(last) = &last {
            ends.note(&start, asked, last);
        }
        let revision = then.unwrap_or_else(|| from_etcd(ranged.header.revision));
        let rows = ranged.kvs.into_iter().filter_map(|found| row(calls, found)).map(Ok::<_, Error>);
        let mut listing = Listing::of(rows, limit, revision)?;
        // Behind a narrow range there may be more, or not.
        if listing.next.is_none() && (ranged.more || is_narrow) {
            match listing.entries.last() {
                Some((after, _)) => listing.next = Some(Page { after: Some(after.clone()), limit }),
                None => {
                    // Nothing but others' keys, with names that ours cannot have.
                    start = behind(last.unwrap_or(start));
                    continue;
                }
            }
        }
        return Ok(listing);
    }
}

/// The key that follows `key`.
fn behind(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// An entry, unless it is somebody else's: no text, or longer than keys are here.
fn row(calls: &Calls, found: KeyValue) -> Option<(Key, Versioned)> {
    let key = Key::new(calls.named(&found.key.0)?).ok()?;
    Some((key, versioned(found)))
}
