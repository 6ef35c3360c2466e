//! ShaCache and ShaDir, as their stock clients speak with them over HTTP (networkcache contract, sections 2, 3, 13
//! and 15).
//!
//! ```text
//! POST /shacache            201 and the digest            PUT /shadir/KEY   201
//! GET  /shacache/DIGEST     the bytes, or some of them    GET /shadir/KEY   all its entries
//! ```
//! Under `/shacache/cache` and `/shacache/dir` the same is found where the proxy of slapos.core has it.

mod answer;
mod artifacts;
mod entries;
mod range;
mod route;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use cache::{Cache, PutArtifact, PutEntry, ReadArtifacts};
use engine::House;
use http::request::Parts;
use identity::{Action, Permit, Principal};

use self::answer::Refusal;
use self::route::Call;
use super::percent;
use crate::app::{CacheApi, Who};
use crate::doors::Peer;
use crate::signing_in::sign_in;

/// The dialect's server side.
pub(crate) struct NetworkCache {
    house: Arc<House>,
    cache: Arc<Cache>,
    api: Arc<CacheApi>,
}

/// Whether `path` is the dialect's to answer.
pub(crate) fn is_inside(path: &str) -> bool {
    route::is_inside(path)
}

impl NetworkCache {
    pub(crate) fn new(house: Arc<House>, cache: Arc<Cache>, api: Arc<CacheApi>) -> Self {
        Self { house, cache, api }
    }

    /// Answers one request. Never fails: a refusal is an answer.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let path = percent::decode(parts.uri.path());
        let answered = match route::find(&parts.method, &path) {
            Ok(call) => self.call(call, &path, &parts, body).await,
            Err(missed) => Err(missed.into()),
        };
        answered.unwrap_or_else(Refusal::into_response)
    }

    async fn call(&self, call: Call, path: &str, parts: &Parts, body: Body) -> Result<Response, Refusal> {
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
                self.artifact(permit, digest, &parts.headers).await
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
                self.entries(permit, &key).await
            }
        }
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
fn source(api: &CacheApi, parts: &Parts) -> Option<IpAddr> {
    let peer = parts.extensions.get::<Peer>()?;
    api.entrance.trusted_proxies.client(peer.address.ip(), &parts.headers)
}
