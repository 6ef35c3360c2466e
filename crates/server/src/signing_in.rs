//! Who asks for something, in whichever dialect.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use engine::House;
use http::request::Parts;
use identity::sign_in::{Attempt, Away, Outcome, SignInDenied, SignedIn};

use crate::app::Entrance;
use crate::doors::Peer;

/// Why nobody is signed in; each dialect has its own words for it.
#[derive(Debug)]
pub(crate) enum NotSignedIn {
    /// Secrets would go over the line in clear, and this is not the server's own machine.
    Unprotected,
    /// Who asks cannot be looked up for now.
    Unavailable(Away),
    /// Too many others are being looked at; after this long it is worth asking again.
    Busy(Duration),
    /// Nobody vouches for whoever asks.
    Denied(SignInDenied),
    /// There is no connection, which only a fault of ours explains.
    NoConnection,
}

/// What is said about [`NotSignedIn::Unprotected`].
pub(crate) const UNPROTECTED: &str = "without TLS, only programs on the server's machine are answered";
/// What is said about [`NotSignedIn::Busy`].
pub(crate) const BUSY: &str = "too many are signing in right now";
/// What is said about [`NotSignedIn::Unavailable`].
pub(crate) const UNAVAILABLE: &str = "who asks could not be looked up for now";

/// What a host is told whose address cannot be known.
pub(crate) const SILENT_PROXY: &str =
    "the proxy that this came through does not say from whom (X-Forwarded-For), so the host has no address";

/// Whether a request came through a proxy that does not say for whom it asks, so that nobody knows whose it is.
pub(crate) fn is_anonymous(api: &Entrance, parts: &Parts) -> bool {
    let peer = parts.extensions.get::<Peer>();
    peer.is_some_and(|peer| api.trusted_proxies.is_silent(peer.address.ip(), &parts.headers))
}

/// A path without the slashes in front that are too many.
fn with_one_slash(path: &str) -> &str {
    let inside = path.trim_start_matches('/');
    let slashes = path.len() - inside.len();
    &path[slashes.saturating_sub(1)..]
}

/// Finds out who asks for `path`, unless they must not be asked for what proves it. Who offers something and is
/// nobody gets into the history, and so does who guesses.
///
/// # Errors
/// The answer, when nobody is signed in: what `refused` makes of the reason, or that of the method of signing in.
pub(crate) async fn sign_in(
    house: &House,
    api: &Entrance,
    path: &str,
    parts: &Parts,
    refused: impl FnOnce(NotSignedIn) -> Response,
) -> Result<SignedIn, Response> {
    let Some(peer) = parts.extensions.get::<Peer>() else { return Err(refused(NotSignedIn::NoConnection)) };
    if !api.plain_http.serves(peer) {
        return Err(refused(NotSignedIn::Unprotected));
    }
    // Clients write one too many where they put addresses together (contract of `/api/v0`, section 12.7).
    let path = with_one_slash(path);
    let source: Option<IpAddr> = api.trusted_proxies.client(peer.address.ip(), &parts.headers);
    let certificate = peer.certificate.as_deref();
    let attempt = Attempt {
        path,
        headers: &parts.headers,
        certificate,
        source,
        peer: Some(peer.address.ip()),
        recent: Some(&peer.recent),
    };
    match api.sign_in.sign_in(&attempt).await {
        Outcome::SignedIn(signed_in) => Ok(signed_in),
        Outcome::Respond(response) => Err(response.map(Body::from)),
        Outcome::Unavailable { away, guessed } => {
            // Or nobody would hear of those who guess while a service is away.
            if guessed {
                house.refusals().sign_in(source, house.clock());
            }
            Err(refused(NotSignedIn::Unavailable(away)))
        }
        Outcome::Busy(wait) => Err(refused(NotSignedIn::Busy(wait))),
        Outcome::Denied(denied) => {
            if denied.offered {
                house.refusals().sign_in(source, house.clock());
            }
            Err(refused(NotSignedIn::Denied(denied)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_in_front_that_are_too_many_do_not_count() {
        for (path, expected) in [
            ("/api/v0/host", "/api/v0/host"),
            ("///api//v0", "/api//v0"),
            ("/", "/"),
            ("//", "/"),
            ("a", "a"),
            ("", ""),
        ] {
            assert_eq!(with_one_slash(path), expected, "{path}");
        }
    }
}
