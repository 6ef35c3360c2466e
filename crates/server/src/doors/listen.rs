//! Binding, listening, and letting people in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base::{Clock, Explain, Kind};
use engine::{Stop, Tasks};
use futures_util::future::join_all;
use hyper::rt::Executor;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Duration;
use tokio_rustls::TlsAcceptor;

use super::access_log::{AccessLog, Lines};
use super::connection::serve;
use super::files;
use super::limits::Limits;
use super::meters::Meters;
use super::registry::Registry;
use super::routes::Routes;
use super::tls::{ClientCertificates, ClientTrust, TlsIdentity, configuration};

/// Which addresses to bind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bindings {
    /// For each: the HTTP address and the HTTPS address. Port 0 lets the system choose.
    pub pairs: Vec<(SocketAddr, SocketAddr)>,
    /// Doors that stand alone: the address, and what is spoken there.
    pub alone: Vec<(SocketAddr, Scheme)>,
}

/// What is spoken at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// Why a door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program, or another door, is there already.
    #[error("{address} is in use already")]
    InUse {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// The system keeps the port to itself.
    #[error("no permission to listen on {address}")]
    NotPermitted {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// No network interface has this address.
    #[error("{address} is not an address of this machine")]
    NotOurs {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// The system says something else.
    #[error("could not listen on {address}")]
    Other {
        /// What was to be bound.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address },
            io::ErrorKind::AddrNotAvailable => Self::NotOurs { address },
            _ => Self::Other { address, source },
        }
    }
}

impl Explain for BindError {
    fn kind(&self) -> Kind {
        match self {
            Self::InUse { .. } | Self::Other { .. } => Kind::Unavailable,
            Self::NotPermitted { .. } => Kind::Forbidden,
            Self::NotOurs { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::InUse { address } => {
                let port = address.port();
                Some(format!("choose another port, or see who has it: ss -ltnp 'sport = :{port}'"))
            }
            Self::NotPermitted { .. } => {
                Some("ports below 1024 need CAP_NET_BIND_SERVICE; with systemd: AmbientCapabilities=".into())
            }
            Self::NotOurs { .. } => Some("list this machine's addresses: ip address".into()),
            Self::Other { .. } => None,
        }
    }
}

/// Everything that the doors need when they open.
pub struct Opening {
    /// Who runs the connections; `tasks.drain` waits for them.
    pub tasks: Tasks,
    /// When asked: nobody is let in any more, idle connections close, requests in progress finish.
    pub stop: Stop,
    /// The certificate of the HTTPS door. Should be set by now.
    pub tls: Arc<TlsIdentity>,
    /// Whose certificates are accepted.
    pub trust: Arc<dyn ClientTrust>,
    /// Whether one has to be shown.
    pub client_certificates: ClientCertificates,
    /// What answers. Requests carry a [`super::Peer`] in their extensions.
    pub routes: Routes,
    /// Where answered requests are noted.
    pub access: AccessLog,
    /// What time it is in the access log and in TLS.
    pub clock: Clock,
    /// What one peer may take.
    pub limits: Limits,
    /// Where things are counted.
    pub meters: Arc<Meters>,
}

/// Plain HTTP on one port, HTTPS on another, or one of them alone, all in front of the same routes.
///
/// Sockets are bound first and accepted from last, so that a start that fails has started nothing.
///
/// A slow client cannot starve others: handshakes run beside each other, every wait for a peer has a
/// limit, and when all places are taken, whoever has kept us waiting longest makes room for the next.
#[derive(Debug)]
pub struct Doors {
    sockets: Vec<(Socket, SocketAddr, Scheme)>,
    addresses: Vec<(SocketAddr, SocketAddr)>,
}

impl Doors {
    /// Binds and nothing else: peers are refused until [`Doors::open`]. IPv6 sockets take IPv6 only, so
    /// that `0.0.0.0` and `::` can stand beside each other.
    ///
    /// # Errors
    /// When one of the addresses cannot be had; none is kept then.
    pub fn bind(bindings: &Bindings) -> Result<Self, BindError> {
        let mut doors = Self { sockets: Vec::new(), addresses: Vec::new() };
        for &(http, https) in &bindings.pairs {
            let ((http, http_address), (https, https_address)) = (bind(http)?, bind(https)?);
            doors.sockets.push((http, http_address, Scheme::Http));
            doors.sockets.push((https, https_address, Scheme::Https));
            doors.addresses.push((http_address, https_address));
        }
        for &(address, scheme) in &bindings.alone {
            let (socket, address) = bind(address)?;
            doors.sockets.push((socket, address, scheme));
        }
        Ok(doors)
    }

    /// The pairs that are bound, HTTP and HTTPS, with the ports that the system chose for 0.
    #[must_use]
    pub fn addresses(&self) -> &[(SocketAddr, SocketAddr)] {
        &self.addresses
    }

    /// Lets people in, until `opening.stop` is asked. Returns at once; the work is done by
    /// `opening.tasks`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When somebody else listens on one of the addresses by now; then none is opened.
    pub fn open(self, opening: Opening) -> Result<(), BindError> {
        let mut listeners = Vec::new();
        for (socket, address, scheme) in self.sockets {
            listeners.push((listen(socket, address)?, address, scheme == Scheme::Https));
        }

        let tasks = opening.tasks.clone();
        let (lines, writer) = opening.access.open(opening.meters.lost_lines.clone());
        if let Some(writer) = writer {
            let writers = tasks.clone();
            tasks.spawn(async move { writer.write(&writers).await });
        }
        let mut limits = opening.limits;
        limits.connections_max = files::for_connections(limits.connections_max, files::limit());
        let limits = Arc::new(limits);
        let foyer = Arc::new(Foyer {
            http: http(&limits, &opening.tasks),
            tls: TlsAcceptor::from(Arc::new(configuration(
                opening.tls,
                opening.trust,
                opening.client_certificates,
                opening.clock.clone(),
            ))),
            registry: Arc::new(Registry::new(Arc::clone(&limits), Arc::clone(&opening.meters))),
            bodies_bytes: Arc::new(Semaphore::new(limits.bodies_bytes_max.min(Semaphore::MAX_PERMITS))),
            limits,
            routes: opening.routes,
            log: lines,
            clock: opening.clock,
            meters: opening.meters,
            tasks: opening.tasks,
            stop: opening.stop,
        });
        let registry = Arc::clone(&foyer.registry);
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|(listener, local, secure)| tasks.spawn(accept(Arc::clone(&foyer), listener, local, secure)))
            .collect();
        tasks.spawn(async move { registry.patrol(async { drop(join_all(accepting).await) }).await });
        Ok(())
    }
}

/// What all connections share.
pub(super) struct Foyer {
    pub(super) http: Builder<Spawner>,
    pub(super) tls: TlsAcceptor,
    pub(super) routes: Routes,
    pub(super) log: Lines,
    pub(super) clock: Clock,
    pub(super) limits: Arc<Limits>,
    /// What is left of `limits.bodies_bytes_max`.
    pub(super) bodies_bytes: Arc<Semaphore>,
    pub(super) meters: Arc<Meters>,
    pub(super) stop: Stop,
    registry: Arc<Registry>,
    tasks: Tasks,
}

/// Runs what hyper wants to run beside a connection: the requests of HTTP/2.
#[derive(Clone)]
pub(super) struct Spawner(Tasks);

impl<F> Executor<F> for Spawner
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, work: F) {
        self.0.spawn(work);
    }
}

/// How much of an answer on one stream of HTTP/2 is asked for before the peer takes it.
const H2_SEND_BYTES_MAX: usize = 64 * 1024;

/// How many headers of an HTTP/1 request hyper takes unless it is told.
const HYPER_HEADERS_MAX: usize = 100;

fn http(limits: &Limits, tasks: &Tasks) -> Builder<Spawner> {
    let mut http = Builder::new(Spawner(tasks.clone()));
    http.http1()
        // Ours, in the registry: hyper would count time in which nothing has come at all as well.
        .header_read_timeout(None)
        // Room for every head that is let through by `head`, and for 8 KiB at least, as hyper wants it.
        .max_buf_size(limits.request_line_bytes_max + limits.header_bytes_max + 16_384)
        // Some clients close their sending side when they have sent everything.
        .half_close(true);
    // `head` lets no more through. To be told makes hyper make room for so many anew for each request.
    if limits.headers_max > HYPER_HEADERS_MAX {
        http.http1().max_headers(limits.headers_max);
    }
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        // Whatever window a peer opens: what it does not read is in memory.
        .max_send_buf_size(H2_SEND_BYTES_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.ping);
    http
}

fn bind(address: SocketAddr) -> Result<(Socket, SocketAddr), BindError> {
    let bound = || -> io::Result<(Socket, Option<SocketAddr>)> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A restart must not wait for the connections of the run before to time out.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        let local = socket.local_addr()?.as_socket();
        Ok((socket, local))
    };
    let (socket, local) = bound().map_err(|source| BindError::new(address, source))?;
    Ok((socket, local.unwrap_or(address)))
}

fn listen(socket: Socket, address: SocketAddr) -> Result<TcpListener, BindError> {
    /// How many may wait to be let in; the system caps it (net.core.somaxconn).
    const BACKLOG: i32 = 1024;
    let listening = socket.listen(BACKLOG).and_then(|()| TcpListener::from_std(socket.into()));
    listening.map_err(|source| BindError::new(address, source))
}

/// Lets people in. Never waits for one of them.
async fn accept(foyer: Arc<Foyer>, listener: TcpListener, local: SocketAddr, secure: bool) {
    /// How long to leave it alone when no connection can be accepted, for want of files or memory.
    const PAUSE: Duration = Duration::from_millis(50);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = foyer.stop.asked() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                failing = false;
                let Some(place) = foyer.registry.admit(secure) else { continue };
                // Answers are written whole; waiting to fill packets would only delay them.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().unwrap_or(local);
                foyer.tasks.spawn(serve(Arc::clone(&foyer), stream, address, local, secure, place));
            }
            // The peer was gone before we came to the door.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, address = %local, "connections cannot be accepted for now");
                }
                failing = true;
                tokio::select! {
                    () = foyer.stop.asked() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_errors_say_which_address_and_why() {
        let check = |address: &str, expected: &str, kind: Kind| {
            let address = address.parse().unwrap();
            let error = Doors::bind(&Bindings { pairs: vec![(address, address)], ..Bindings::default() })
                .unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind()), (expected, kind));
            assert!(error.help().is_some());
        };
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let held = std::net::TcpListener::bind(taken).unwrap();
        check(&taken.to_string(), &format!("{taken} is in use already"), Kind::Unavailable);
        drop(held);
        check("192.0.2.1:0", "192.0.2.1:0 is not an address of this machine", Kind::Invalid);
    }
}
