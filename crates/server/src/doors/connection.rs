//! One connection from its first byte to its last.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;

use super::exchange::{Exchanges, Own, Peer};
use super::listen::Foyer;
use super::registry::Place;
use super::sendfile::Sendfile;
use super::socket::Socket;
use super::stream::Stream;
use super::tls::{HTTP_2, refused_certificate};
use super::unread::Rest;
use super::watch::Watch;

/// Serves the peer at `address` until it has had enough, or has to go.
pub(super) async fn serve(
    foyer: Arc<Foyer>,
    stream: TcpStream,
    address: SocketAddr,
    local: SocketAddr,
    secure: bool,
    place: Place,
) {
    let watch = Arc::clone(&place.watch);
    let sendfile = (!secure).then(Sendfile::default);
    let own = Own { sendfile: sendfile.clone(), ..Own::default() };
    let socket = Socket::new(stream, Arc::clone(&watch), foyer.meters.sent_bytes(secure), sendfile);
    let mut peer = Peer { address, local, secure, certificate: None, recent: Arc::default(), own };
    if !secure {
        converse(&foyer, socket, peer, watch).await;
    } else if let Some(session) = shake_hands(&foyer, socket, address, &watch).await {
        peer.certificate = client_certificate(&session);
        converse(&foyer, session, peer, watch).await;
    }
    drop(place);
}

/// The TLS session, unless the peer fails, takes too long, or we are stopping.
async fn shake_hands(
    foyer: &Foyer,
    socket: Socket,
    address: SocketAddr,
    watch: &Watch,
) -> Option<TlsStream<Socket>> {
    let outcome = tokio::select! {
        outcome = foyer.tls.accept(socket) => outcome,
        () = watch.cut.cancelled() => return None,
        () = foyer.stop.asked() => return None,
    };
    match outcome {
        Ok(session) => {
            watch.shook_hands(session.get_ref().1.alpn_protocol() == Some(HTTP_2));
            Some(session)
        }
        Err(error) => {
            foyer.meters.failed_handshakes.inc();
            // Somebody who has a certificate and is cut off without a word will look here for the reason.
            match refused_certificate(&error) {
                Some(reason) => tracing::info!(peer = %address, reason, "a client certificate was refused"),
                None => tracing::debug!(peer = %address, %error, "TLS handshake failed"),
            }
            None
        }
    }
}

/// What the peer presented; the verifier has read and trusted it already.
fn client_certificate(session: &TlsStream<Socket>) -> Option<Arc<x509::Certificate>> {
    let der = session.get_ref().1.peer_certificates()?.first()?;
    x509::Certificate::from_holder_der(der).ok().map(Arc::new)
}

/// Answers requests until either side closes.
async fn converse<S>(foyer: &Arc<Foyer>, io: S, peer: Peer, watch: Arc<Watch>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = peer.address;
    let refused = Arc::new(OnceLock::new());
    let stream = Stream::new(io, Arc::clone(&watch), Arc::clone(&foyer.limits), Arc::clone(&refused));
    let stream = TokioIo::new(stream);
    let (rest, mut rests) = mpsc::unbounded_channel();
    let exchanges = Exchanges::new(Arc::clone(foyer), peer, Arc::clone(&watch), refused, rest);
    let mut connection = pin!(foyer.http.serve_connection(stream, exchanges.clone()));
    // These are looked at when one of them comes, and not with each request.
    let cut = watch.cut.cancelled().map(|()| Order::Cut).boxed();
    let finish = finish(foyer, &watch).map(|()| Order::Finish).boxed();
    let mut orders: FuturesUnordered<BoxFuture<'_, Order>> = [cut, finish].into_iter().collect();
    let mut going: FuturesUnordered<Rest> = FuturesUnordered::new();
    let outcome = loop {
        tokio::select! {
            // Orders first: an answer that becomes ready behind one says that the connection closes.
            biased;
            Some(order) = orders.next() => match order {
                Order::Cut => return,
                Order::Finish => {
                    watch.closes();
                    connection.as_mut().graceful_shutdown();
                }
            },
            outcome = &mut connection => break outcome,
            Some(rest) = rests.recv() => going.push(rest),
            Some(()) = going.next() => {}
        }
    };
    let Err(error) = outcome else { return };
    tracing::debug!(peer = %address, %error, "connection failed");
    if let Some(status) = refused_with(error.as_ref()) {
        exchanges.refused_head(status);
    }
}

/// What a connection is told from outside.
enum Order {
    /// Close as soon as no request is in progress.
    Finish,
    /// Close at once.
    Cut,
}

/// Waits until the connection should close at the next occasion.
async fn finish(foyer: &Foyer, watch: &Watch) {
    tokio::select! {
        () = foyer.stop.asked() => {}
        () = watch.finish.cancelled() => {}
    }
}

/// The status that hyper has answered with, when this error is about what the peer sent. As far as is known
/// `head` refuses all that hyper would; if something gets by, it is at least noted.
fn refused_with(error: &(dyn std::error::Error + 'static)) -> Option<StatusCode> {
    let error = error.downcast_ref::<hyper::Error>().filter(|error| error.is_parse())?;
    Some(match error.is_parse_too_large() {
        false => StatusCode::BAD_REQUEST,
        true => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    })
}
