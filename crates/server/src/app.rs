//! Every route, put together.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use axum::routing::get;
use engine::House;
use futures_util::FutureExt as _;
use http::StatusCode;
use identity::sign_in::Stack;
use tower::Service as _;
use x509::VerifyError;

use crate::compat::caucase::{self, Caucase};
use crate::compat::commissaire::{self, Commissaire};
use crate::compat::networkcache::{self, NetworkCache};
use crate::doors::{ClientTrust, Meters, Peer, Routes};
use crate::health::{Health, MetersFor, healthz, metrics, readyz};
use crate::proxies::TrustedProxies;
use crate::v1::{self, Uploads, V1};

/// What is served, and to whom.
pub struct App {
    /// Who decides.
    pub house: Arc<House>,
    /// Origins whose pages need not be granted anything.
    pub cors_whitelist: Vec<String>,
    /// Where the secrets are kept that CORS tokens are made with.
    pub cors_key_store: PathBuf,
    /// Whether the certificate authorities' interface is served.
    pub authorities: bool,
    /// How the fleet's interface is served, if it is.
    pub fleet: Option<Entrance>,
    /// How the artifact cache is served, if it is, and the house has one.
    pub cache: Option<CacheApi>,
    /// What is counted.
    pub meters: Arc<Meters>,
    /// Who may read what is counted.
    pub meters_for: MetersFor,
}

/// How people come in to an interface.
pub struct Entrance {
    /// Who signs in, and how. The one that the TLS handshake asks as well: [`Presenters`].
    pub sign_in: Arc<Stack>,
    /// Who is answered without TLS.
    pub plain_http: PlainHttp,
    /// Who is believed when they say for whom they ask.
    pub trusted_proxies: TrustedProxies,
}

/// How the artifact cache is served.
pub struct CacheApi {
    /// Who signs in, and how.
    pub entrance: Entrance,
    /// Who reads.
    pub readers: Who,
    /// Who puts artifacts there, and says what they are.
    pub writers: Who,
    /// How much memory artifacts and lists on their way out may take together, in bytes.
    pub sending_bytes_max: usize,
}

/// Who may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Whoever can reach the door.
    Everybody,
    /// Who signs in and has the role for it.
    SignedIn,
}

/// Who is answered without TLS, where credentials go over the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// Programs on this machine.
    Loopback,
    /// Everybody who can reach the door.
    Everyone,
}

impl PlainHttp {
    /// Whether `peer` may be told secrets, and tell them, over its connection.
    pub(crate) fn serves(self, peer: &Peer) -> bool {
        peer.secure || self == Self::Everyone || peer.address.ip().to_canonical().is_loopback()
    }
}

/// The routes. Whatever is not ours is answered in caucase's dialect, whose tree begins at `/`; where that is not
/// served, in Commissaire's, to which every path is one of its own, and nobody is told which there are before they
/// have signed in. Where neither is, nothing is found.
pub fn app(parts: App) -> Routes {
    let health = Health { house: parts.house.clone(), meters: parts.meters, meters_for: parts.meters_for };
    let fleet = parts.fleet.map(|api| {
        let api = Arc::new(api);
        let v1 = V1::new(parts.house.clone(), api.clone());
        Arc::new((v1, Commissaire::new(parts.house.clone(), api)))
    });
    let caucase = parts
        .authorities
        .then(|| Caucase::new(parts.house.clone(), parts.cors_whitelist, parts.cors_key_store));
    let caucase = Arc::new(caucase);
    let cache = parts.cache.zip(parts.house.cache().cloned()).map(|(api, cache)| {
        let api = Arc::new(api);
        let dialect = NetworkCache::new(parts.house.clone(), cache.clone(), api.clone());
        let uploads = Uploads::new(parts.house.clone(), cache, api, dialect.writing().clone());
        Arc::new((dialect, uploads))
    });
    let health = Router::new()
        .route(HEALTHZ, get(healthz))
        .route(READYZ, get(readyz))
        .route(METRICS, get(metrics))
        .with_state(health);
    // What is asked for most has room in the future that every request takes; the others have theirs when they come.
    Routes::new(move |request: Request| {
        let (caucase, fleet, cache) = (Arc::clone(&caucase), fleet.clone(), cache.clone());
        let health = matches!(request.uri().path(), HEALTHZ | READYZ | METRICS).then(|| health.clone());
        async move {
            if let Some(mut health) = health {
                return match health.call(request).boxed().await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
            }
            let uri = request.uri().clone();
            if let Some((cache, uploads)) = cache.as_deref() {
                if networkcache::is_inside(uri.path()) {
                    return cache.answer(request).boxed().await;
                }
                if Uploads::is_inside(uri.path()) {
                    return uploads.answer(request).boxed().await;
                }
            }
            let Some((v1, commissaire)) = fleet.as_deref() else {
                return match &*caucase {
                    Some(caucase) => caucase.answer(request).boxed().await,
                    None => StatusCode::NOT_FOUND.into_response(),
                };
            };
            if v1::is_inside(uri.path()) {
                return v1.answer(request).boxed().await;
            }
            match (commissaire::inside(uri.path()), &*caucase) {
                (Some(inside), _) => commissaire.answer(&inside, request).await,
                (None, Some(caucase)) => caucase.answer(request).boxed().await,
                (None, None) => commissaire.answer(commissaire::OUTSIDE, request).boxed().await,
            }
        }
    })
}

const HEALTHZ: &str = "/healthz";
const READYZ: &str = "/readyz";
const METRICS: &str = "/metrics";

/// Where the services authority's revocation lists are found under `netloc`: what stands before the
/// issuer's number, and what follows it. First the one that all the world can read (DER, RFC 5280
/// §4.2.1.13), then the one that stock clients know.
#[must_use]
pub fn crl_addresses(netloc: &str) -> Vec<(String, String)> {
    caucase::crl_addresses(netloc)
}

/// Who may present a client certificate in the TLS handshake. Whether it lets anybody in is for each interface to
/// say, at each request: what signs in to the fleet's need not be a user of the certificate authorities'.
pub struct Presenters {
    /// Lets its own users.
    pub house: Arc<House>,
    /// Whether it lets its own services, too.
    pub services: bool,
    /// Each lets those of the authorities that its methods know.
    pub others: Vec<Arc<Stack>>,
}

impl ClientTrust for Presenters {
    fn verify(&self, certificate: &x509::Certificate) -> Result<(), VerifyError> {
        let Err(mut told) = self.house.may_present(certificate) else { return Ok(()) };
        if self.services && self.house.is_service(certificate) {
            return Ok(());
        }
        for other in &self.others {
            match other.may_present(certificate) {
                Ok(()) => return Ok(()),
                // Who knows its issuer has more to say.
                Err(error) if told == VerifyError::UnknownIssuer => told = error,
                Err(_) => {}
            }
        }
        Err(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::Own;

    #[test]
    fn without_tls_the_own_machine_is_served() {
        for (address, secure, loopback, everyone) in [
            ("127.0.0.1:1", false, true, true),
            ("127.8.9.10:1", false, true, true),
            ("[::1]:1", false, true, true),
            ("[::ffff:127.0.0.1]:1", false, true, true),
            ("192.0.2.1:1", false, false, true),
            ("[::ffff:192.0.2.1]:1", false, false, true),
            ("[2001:db8::1]:1", false, false, true),
            ("192.0.2.1:1", true, true, true),
        ] {
            let address = address.parse().unwrap();
            let peer = Peer {
                address,
                local: address,
                secure,
                certificate: None,
                recent: Arc::default(),
                own: Own::default(),
            };
            assert_eq!(PlainHttp::Loopback.serves(&peer), loopback, "{peer:?}");
            assert_eq!(PlainHttp::Everyone.serves(&peer), everyone, "{peer:?}");
        }
    }
}
