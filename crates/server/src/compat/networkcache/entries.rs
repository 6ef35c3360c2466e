//! Entries in and out.

use std::io;

use axum::body::Body;
use axum::response::Response;
use cache::{EntryKey, EntryList, PutEntry, ReadArtifacts, ReadError};
use engine::{Asker, RelayError};
use entry::Entry;
use futures_util::stream;
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use identity::Permit;

use super::NetworkCache;
use super::answer::{self, Refusal};
use crate::app::Who;
use crate::doors::{Peer, read_body};

/// The longest list that is put together before it is sent, in bytes, and how long the parts of a longer one are; as far
/// as one entry is not longer.
const WHOLE_BYTES_MAX: usize = 64 * 1024;
/// Entries are added at any time: nobody shows what they were without asking.
const ASKED_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// The same, for whoever asked alone.
const NOBODY_ELSES: HeaderValue = HeaderValue::from_static("private, no-store");

impl NetworkCache {
    /// 201 without a body, as the public server answers. The very same entry again is answered the same.
    pub(super) async fn put_entry(
        &self,
        permit: Permit<PutEntry>,
        key: EntryKey,
        body: Body,
    ) -> Result<Response, Refusal> {
        let place = self.writing.take().await?;
        let body = read_body(body, entry::BODY_BYTES_MAX).await?;
        let entry = Entry::parse(&body)?;
        let cache = self.cache.clone();
        // To its end, also when the client hangs up now; its place is taken until then.
        let put = async move {
            let put = cache.put_entry(permit, &key, &entry).await;
            drop(place);
            put
        };
        self.house.tasks().complete(put).await?;
        Ok(answer::text(StatusCode::CREATED, String::new()))
    }

    /// Adds what the cache behind this one says under `key`, where there is one. When it has trouble, what is here is
    /// given all the same.
    async fn refresh(&self, key: &EntryKey, asker: Asker) -> Result<(), RelayError> {
        let Some(relay) = self.house.relay().filter(|relay| !relay.is_fresh(key)).cloned() else {
            return Ok(());
        };
        let key = key.clone();
        self.house.tasks().complete(async move { relay.refresh(&key, &asker).await }).await
    }

    /// 200 with all entries, the oldest first, in one JSON array.
    pub(super) async fn entries(
        &self,
        permit: Permit<ReadArtifacts>,
        key: EntryKey,
        parts: &Parts,
    ) -> Result<Response, Refusal> {
        let own = parts.extensions.get::<Peer>().map(|peer| &peer.own);
        let sending = self.sending.or(own);
        let failed = self.refresh(&key, self.asker(parts)).await;
        // A part of it is in memory for as long as it is sent.
        let place = self.lists.take_or(own.map(|own| &own.list)).await?;
        let mut list = match (self.cache.entries(permit, &key).await?, failed) {
            (Some(list), _) => list,
            (None, Err(error)) => return Err(Refusal::of_relay(error)),
            (None, Ok(())) => return Err(Refusal::not_found("there is no entry under this key")),
        };
        let mut text = String::from("[");
        while text.len() <= WHOLE_BYTES_MAX {
            match list.next().await? {
                Some(pair) => add(&mut text, &pair),
                None => {
                    text.push(']');
                    let room = sending.room(text.len()).await.map_err(|_| Refusal::busy())?;
                    return Ok(self.list(Body::from(room.hold(text.into()))));
                }
            }
        }
        let pieces = stream::try_unfold(Some((text, Some((list, place)))), move |left| {
            let sending = sending.clone();
            async move {
                let Some((text, list)) = left else { return Ok(None) };
                let left = match list {
                    None => None,
                    Some((mut list, place)) => {
                        Some(match piece(&mut list).await.map_err(io::Error::other)? {
                            Some(next) => (next, Some((list, place))),
                            None => ("]".to_owned(), None),
                        })
                    }
                };
                let room = sending.room(text.len()).await?;
                Ok::<_, io::Error>(Some((room.hold(text.into()), left)))
            }
        });
        Ok(self.list(Body::from_stream(pieces)))
    }

    fn list(&self, body: Body) -> Response {
        let mut response = answer::json(body);
        let kept = match self.api.readers {
            Who::Everybody => ASKED_AGAIN,
            Who::SignedIn => NOBODY_ELSES,
        };
        response.headers_mut().insert(CACHE_CONTROL, kept);
        response
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
