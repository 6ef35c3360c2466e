//! Entries in and out.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use cache::{EntryKey, EntryList, PutEntry, ReadArtifacts, ReadError};
use entry::Entry;
use futures_util::stream;
use http::StatusCode;
use identity::Permit;

use super::NetworkCache;
use super::answer::{self, Refusal};
use crate::doors::read_body;

/// The longest list that is put together before it is sent, in bytes.
const WHOLE_BYTES_MAX: usize = 256 * 1024;

impl NetworkCache {
    /// 201 without a body, as the public server answers. The very same entry again is answered the same.
    pub(super) async fn put_entry(
        &self,
        permit: Permit<PutEntry>,
        key: EntryKey,
        body: Body,
    ) -> Result<Response, Refusal> {
        let body = read_body(body, entry::BODY_BYTES_MAX).await?;
        let entry = Entry::parse(&body)?;
        let cache = self.cache.clone();
        let put = async move { cache.put_entry(permit, &key, &entry).await };
        self.house.tasks().complete(put).await?;
        Ok(answer::text(StatusCode::CREATED, String::new()))
    }

    /// 200 with all entries, the oldest first, in one JSON array.
    pub(super) async fn entries(
        &self,
        permit: Permit<ReadArtifacts>,
        key: &EntryKey,
    ) -> Result<Response, Refusal> {
        let found = self.cache.entries(permit, key).await?;
        let mut list = found.ok_or_else(|| Refusal::not_found("there is no entry under this key"))?;
        let mut text = String::from("[");
        while text.len() <= WHOLE_BYTES_MAX {
            match list.next().await? {
                Some(pair) => add(&mut text, &pair),
                None => {
                    text.push(']');
                    return Ok(answer::json(Body::from(text)));
                }
            }
        }
        let pieces = stream::try_unfold(Some((text, Some(list))), |left| async move {
            let Some((text, list)) = left else { return Ok(None) };
            let left = match list {
                None => None,
                Some(mut list) => Some(match piece(&mut list).await? {
                    Some(next) => (next, Some(list)),
                    None => ("]".to_owned(), None),
                }),
            };
            Ok::<_, ReadError>(Some((Bytes::from(text), left)))
        });
        Ok(answer::json(Body::from_stream(pieces)))
    }
}

/// The next part of a long list; nothing when there is no more.
async fn piece(list: &mut EntryList) -> Result<Option<String>, ReadError> {
    let mut text = String::new();
    while text.len() <= WHOLE_BYTES_MAX {
        match list.next().await? {
            Some((entry, signature)) => {
                text.push_str(", ");
                text.push_str(&pair(&entry, &signature));
            }
            None if text.is_empty() => return Ok(None),
            None => break,
        }
    }
    Ok(Some(text))
}

fn add(text: &mut String, (entry, signature): &(String, String)) {
    if text.len() > 1 {
        text.push_str(", ");
    }
    text.push_str(&pair(entry, signature));
}

/// One entry as it stands in the list.
fn pair(text: &str, signature: &str) -> String {
    let list = entry::render_pairs([(text, signature)]);
    list[1..list.len() - 1].to_owned()
}
