//! ShaCache and ShaDir, as their stock clients speak with them over HTTP (networkcache contract, sections 2, 3, 13
//! and 15).
//!
//! ```text
//! POST /shacache            201 and the digest            PUT /shadir/KEY   201
//! GET  /shacache/DIGEST     the bytes, or some of them    GET /shadir/KEY   all its entries
//! ```
//! Under `/shacache/cache` and `/shacache/dir` the same is found where the proxy of slapos.core has it, and what it calls
//! `/shacache/update`. What is not here may come from another cache ([`engine::Relay`]).

mod answer;
mod artifacts;
mod entries;
mod places;
mod range;
mod route;
mod update;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use cache::{Cache, PutArtifact, PutEntry, ReadArtifacts};
use engine::{Asker, House, Via};
use http::HeaderMap;
use http::header::{ORIGIN, VIA};
use http::request::Parts;
use identity::{Action, Permit, Principal};

use self::answer::Refusal;
use self::places::Sending;
use self::route::{Call, Missed};
use super::percent;
use crate::app::{CacheApi, Who};
use crate::doors::{ForArtifacts, Peer};
use crate::signing_in::sign_in;

pub(crate) use self::places::Places;

/// The dialect's server side.
pub(crate) struct NetworkCache {
    house: Arc<House>,
    cache: Arc<Cache>,
    api: Arc<CacheApi>,
    /// For each artifact that is read, whose file is open.
    reading: Places,
    /// For each that comes in, and each entry: until it is kept, also when whoever sent it has hung up.
    writing: Places,
    /// For each list of entries that is read.
    lists: Places,
    sending: Sending,
}

/// How many lists are read at once, besides one for each connection. Each takes up to half a mebibyte while it is sent.
const LISTS_MAX: usize = 64;

/// Whether `path` is the dialect's to answer.
pub(crate) fn is_inside(path: &str) -> bool {
    route::is_inside(path)
}

impl NetworkCache {
    pub(crate) fn new(house: Arc<House>, cache: Arc<Cache>, api: Arc<CacheApi>) -> Self {
        let files = ForArtifacts::now();
        let sending = Sending::new(api.sending_bytes_max);
        let (reading, writing) = (Places::new(files.reading), Places::new(files.writing));
        Self { house, cache, api, reading, writing, lists: Places::new(LISTS_MAX), sending }
    }

    /// For what else comes in.
    pub(crate) fn writing(&self) -> &Places {
        &self.writing
    }

    /// Answers one request. Never fails: a refusal is an answer.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let found = match percent::decode_strictly(parts.uri.path()) {
            Some(path) => route::find(&parts.method, &path).map(|call| (call, path)),
            None => Err(Missed::NoText),
        };
        let answered = match found {
            Ok((call, path)) => self.call(call, &path, &parts, body).await,
            Err(missed) => Err(missed.into()),
        };
        answered.unwrap_or_else(Refusal::into_response)
    }

    async fn call(&self, call: Call, path: &str, parts: &Parts, body: Body) -> Result<Response, Refusal> {
        if matches!(call, Call::PutArtifact(_) | Call::PutEntry(_) | Call::Update)
            && is_of_a_foreign_page(&parts.headers)
        {
            return Err(Refusal::foreign_page());
        }
        match call {
            Call::PutArtifact(expected) => {
                let permit = self
                    .permit::<PutArtifact>(self.api.writers, Principal::anybody_publishing, path, parts)
                    .await?;
                self.put_artifact(permit, expected, parts, body).await
            }
            Call::Artifact(digest) => {
                let permit = self
                    .permit::<ReadArtifacts>(self.api.readers, Principal::anybody_reading, path, parts)
                    .await?;
                self.artifact(permit, digest, parts).await
            }
            Call::PutEntry(key) => {
                let permit = self
                    .permit::<PutEntry>(self.api.writers, Principal::anybody_publishing, path, parts)
                    .await?;
                self.put_entry(permit, key, body).await
            }
            Call::Entries(key) => {
                let permit = self
                    .permit::<ReadArtifacts>(self.api.readers, Principal::anybody_reading, path, parts)
                    .await?;
                self.entries(permit, key, parts).await
            }
            Call::Update => {
                // Entries may go: that is for nobody who does not say who they are.
                let who = Who::SignedIn;
                let permit = self.permit(who, Principal::anybody_publishing, path, parts).await?;
                let listing = self.permit(who, Principal::anybody_reading, path, parts).await?;
                self.update(permit, listing).await
            }
        }
    }

    /// Who asks, for the cache behind this one.
    fn asker(&self, parts: &Parts) -> Asker {
        let via = parts.headers.get_all(VIA).iter().filter_map(|header| header.to_str().ok());
        Asker { from: source(&self.api, parts), via: Via::parse(via) }
    }

    /// Leave for whoever asks. Where everybody has it, nobody is asked who they are: they are what `anybody` makes.
    async fn permit<A: Action>(
        &self,
        who: Who,
        anybody: fn(Option<IpAddr>) -> Principal,
        path: &str,
        parts: &Parts,
    ) -> Result<Permit<A>, Refusal> {
        let principal = match who {
            Who::Everybody => anybody(source(&self.api, parts)),
            Who::SignedIn => {
                let refused = |why| Refusal::not_signed_in(why).into_response();
                let signed_in = sign_in(&self.house, &self.api.entrance, path, parts, refused).await;
                signed_in.map_err(Refusal::by_method)?.principal
            }
        };
        Ok(Permit::grant(principal).inspect_err(|denied| {
            self.house.refusals().request(denied, source(&self.api, parts), self.house.clock());
        })?)
    }
}

/// Where a request comes from, as far as that is known.
pub(crate) fn source(api: &CacheApi, parts: &Parts) -> Option<IpAddr> {
    let peer = parts.extensions.get::<Peer>()?;
    api.entrance.trusted_proxies.client(peer.address.ip(), &parts.headers)
}

/// Whether a browser sends this for a page: none of ours writes here, and what its user's certificate is let in for is
/// not for other sites to do (Fetch Metadata, §2.1). Other programs say nothing of the kind.
pub(crate) fn is_of_a_foreign_page(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        None => headers.contains_key(ORIGIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_do_not_write() {
        for (headers, expected) in [
            (&[][..], false),
            (&[("origin", "https://elsewhere.example")], true),
            (&[("origin", "null")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://a.example")], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://a.example")], false),
            (&[("sec-fetch-site", "none")], false),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            assert_eq!(is_of_a_foreign_page(&headers), expected, "{headers:?}");
        }
    }
}
