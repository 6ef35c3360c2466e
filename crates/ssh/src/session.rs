//! One connection: how it is made, and whether it still stands.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{AuthResult, Config, Handle, connect_stream};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg};
use russh::{ChannelOpenFailure, Preferred};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::judge::{Judge, Record};
use crate::line::{Line, Scissors};
use crate::{Address, Error, HostKey, KnownKey, Settings, Step, Target};

/// A connection on which somebody signed in. It ends when the last use of it does.
pub(crate) struct Session {
    pub(super) handle: Handle<Judge>,
    pub(super) at: Address,
    pub(super) user: String,
    /// How many commands may run on it at once: sshd has its own limit.
    pub(super) channels: Semaphore,
    channels_max: usize,
    scissors: Scissors,
    host_key: HostKey,
    record: Arc<Mutex<Record>>,
    /// Serves whoever has it, and nobody new.
    is_retired: AtomicBool,
    /// When somebody last had it, in milliseconds of the clock.
    last_used: AtomicI64,
    /// The connection that carries this one.
    _via: Option<Arc<Session>>,
    /// Its place among the open ones.
    _place: OwnedSemaphorePermit,
}

/// `waiting` for at most `limit`.
pub(crate) async fn within<T>(
    at: &Address,
    step: Step,
    limit: Duration,
    waiting: impl Future<Output = T>,
) -> Result<T, Error> {
    timeout(limit, waiting).await.map_err(|_| Error::TimedOut { at: at.clone(), step, after: limit })
}

impl Session {
    /// Connects to `target`, over `via` where it has a jump, and signs in.
    pub(crate) async fn connect(
        target: &Target,
        via: Option<Arc<Session>>,
        settings: &Settings,
        place: OwnedSemaphorePermit,
    ) -> Result<Self, Error> {
        let (at, limits) = (&target.address, &settings.limits);
        let signed_in = match &via {
            None => {
                let stream = within(at, Step::Connect, limits.connect, dial(at, limits.connect)).await??;
                sign_in(target, stream, settings).await?
            }
            Some(jump) => {
                let stream = within(at, Step::Connect, limits.connect, jump.tunnel(at)).await??;
                sign_in(target, stream, settings).await?
            }
        };
        let (handle, scissors, host_key, record) = signed_in;
        tracing::debug!(at = %at, user = target.user, host_key = host_key.fingerprint(), "signed in");
        Ok(Self {
            handle,
            at: at.clone(),
            user: target.user.clone(),
            channels: Semaphore::new(settings.channels_max),
            channels_max: settings.channels_max,
            scissors,
            host_key,
            record,
            is_retired: AtomicBool::new(false),
            last_used: AtomicI64::new(0),
            _via: via,
            _place: place,
        })
    }

    /// A stream to `at`, carried by this connection.
    pub(crate) async fn tunnel(
        &self,
        at: &Address,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, Error> {
        let opened =
            self.handle.channel_open_direct_tcpip(&at.host, u32::from(at.port), "127.0.0.1", 0).await;
        match opened {
            Ok(channel) => Ok(channel.into_stream()),
            Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed)) => {
                let source = io::Error::other(format!("{} cannot connect to it", self.at));
                Err(Error::Unreachable { at: at.clone(), source })
            }
            Err(error) => {
                let source = match error {
                    russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
                        let said = "it does not allow forwarding (AllowTcpForwarding)".to_owned();
                        Error::Protocol { at: self.at.clone(), step: Step::Open, said }
                    }
                    error => self.broke_off(Step::Open, &error),
                };
                Err(Error::Jump { at: at.clone(), via: self.at.clone(), source: Box::new(source) })
            }
        }
    }

    /// The key that the machine proved.
    pub(crate) fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    /// Whether it can be used for a target of which `known` is known.
    pub(crate) fn fits(&self, known: &KnownKey) -> bool {
        match known {
            KnownKey::Unknown => true,
            KnownKey::Pinned(key) => *key == self.host_key,
        }
    }

    /// Whether it may be given to somebody. That the other side is gone may not be known yet.
    pub(crate) fn stands(&self) -> bool {
        !self.is_retired.load(Ordering::SeqCst) && !self.scissors.is_cut() && !self.handle.is_closed()
    }

    /// How many commands run on it, or are about to.
    pub(super) fn channels_in_use(&self) -> usize {
        self.channels_max - self.channels.available_permits()
    }

    /// Lets nobody new have it.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::SeqCst);
    }

    /// Ends it, whoever uses it.
    pub(crate) fn cut(&self) {
        self.scissors.cut();
    }

    /// Whether the other side answers within `limit`.
    pub(crate) async fn answers(&self, limit: Duration) -> bool {
        matches!(timeout(limit, self.handle.send_ping()).await, Ok(Ok(())))
    }

    /// When somebody last had it, in milliseconds of the clock.
    pub(crate) fn last_used(&self) -> i64 {
        self.last_used.load(Ordering::SeqCst)
    }

    pub(crate) fn used(&self, now_milliseconds: i64) {
        self.last_used.store(now_milliseconds, Ordering::SeqCst);
    }

    /// What the machine said when it closed the connection.
    pub(super) fn farewell(&self) -> String {
        farewell(&self.record)
    }

    /// What `error` on a connection that stood means.
    pub(super) fn broke_off(&self, step: Step, error: &russh::Error) -> Error {
        broke_off(&self.at, step, error, &self.record)
    }
}

fn farewell(record: &Mutex<Record>) -> String {
    record.lock().unwrap_or_else(PoisonError::into_inner).farewell.clone()
}

/// Finds out whether anybody listens at an address: a TCP connection is opened there within `limit`, and closed again.
///
/// # Errors
/// Why none could be opened: see [`Error`].
pub async fn listens(at: &Address, limit: Duration) -> Result<(), Error> {
    within(at, Step::Connect, limit, dial(at, limit)).await?.map(drop)
}

/// Opens a TCP connection within `limit`. Of several addresses that the name has, one where nobody answers leaves the
/// others their share of the time.
async fn dial(at: &Address, limit: Duration) -> Result<TcpStream, Error> {
    let begun = Instant::now();
    let addresses: Vec<_> = lookup_host((at.host.as_str(), at.port))
        .await
        .map_err(|source| Error::NoSuchName { at: at.clone(), source })?
        .collect();
    let mut failed = None;
    for (left, address) in (1..=u32::try_from(addresses.len()).unwrap_or(u32::MAX)).rev().zip(addresses) {
        let share = limit.saturating_sub(begun.elapsed()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small packets wait for the answer to the one before otherwise: 40 ms for each command.
                stream.set_nodelay(true).map_err(|source| Error::Unreachable { at: at.clone(), source })?;
                return Ok(stream);
            }
            Ok(Err(source)) => failed = Some(not_connected(at, source)),
            Err(_) => {
                failed = Some(Error::TimedOut { at: at.clone(), step: Step::Connect, after: limit });
            }
        }
    }
    let none = || io::Error::new(io::ErrorKind::NotFound, "it has no address");
    Err(failed.unwrap_or_else(|| Error::NoSuchName { at: at.clone(), source: none() }))
}

fn not_connected(at: &Address, source: io::Error) -> Error {
    let at = at.clone();
    match source.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused { at },
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::NoRoute { at, source },
        _ => Error::Unreachable { at, source },
    }
}

type SignedIn = (Handle<Judge>, Scissors, HostKey, Arc<Mutex<Record>>);

/// Does the handshake on `stream`, looks at the host key, and signs in.
async fn sign_in<S>(target: &Target, stream: S, settings: &Settings) -> Result<SignedIn, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (at, limits) = (&target.address, &settings.limits);
    let pinned = match &target.known {
        KnownKey::Pinned(key) => Some(key),
        KnownKey::Unknown => None,
    };
    let config = Config {
        preferred: Preferred { key: HostKey::algorithms_preferring(pinned).into(), ..Preferred::default() },
        keepalive_interval: Some(settings.keep_alive),
        keepalive_max: settings.keep_alives_missed_max,
        nodelay: true,
        ..Config::default()
    };
    let (line, scissors) = Line::new(stream);
    let (judge, record) = Judge::new(target.known.clone());
    let greeted = connect_stream(Arc::new(config), line, judge);
    let mut handle = within(at, Step::Handshake, limits.handshake, greeted).await?.map_err(|error| {
        let offered = record.lock().unwrap_or_else(PoisonError::into_inner).proved.clone();
        match (error, pinned, offered) {
            (russh::Error::UnknownKey, Some(pinned), Some(offered)) => Error::HostKeyChanged {
                at: at.clone(),
                pinned: Box::new(pinned.clone()),
                offered: Box::new(offered),
            },
            (error, ..) => broke_off(at, Step::Handshake, &error, &record),
        }
    })?;
    within(at, Step::Authenticate, limits.authenticate, authenticate(target, &mut handle, &record)).await??;
    let host_key = record.lock().unwrap_or_else(PoisonError::into_inner).proved.clone();
    let host_key = host_key.ok_or_else(|| Error::Protocol {
        at: at.clone(),
        step: Step::Handshake,
        said: "it proved no host key".to_owned(),
    })?;
    Ok((handle, scissors, host_key, record))
}

async fn authenticate(
    target: &Target,
    handle: &mut Handle<Judge>,
    record: &Mutex<Record>,
) -> Result<(), Error> {
    let broken = |error: russh::Error| broke_off(&target.address, Step::Authenticate, &error, record);
    let hash = if target.key.is_rsa() {
        // A server that does not say what it takes is asked with what all since 2016 take.
        handle.best_supported_rsa_hash().await.map_err(broken)?.unwrap_or(Some(HashAlg::Sha512))
    } else {
        None
    };
    let key = PrivateKeyWithHashAlg::new(target.key.private(), hash);
    match handle.authenticate_publickey(target.user.as_str(), key).await.map_err(broken)? {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { remaining_methods, .. }
            if remaining_methods.is_empty() && handle.is_closed() =>
        {
            Err(broken(russh::Error::Disconnect))
        }
        AuthResult::Failure { remaining_methods, .. } => Err(Error::Unauthorized {
            at: target.address.clone(),
            user: target.user.clone(),
            fingerprint: target.key.fingerprint(),
            offers: remaining_methods.iter().map(|method| <&str>::from(method).to_owned()).collect(),
        }),
    }
}

/// What `error` in the middle of `step` means.
fn broke_off(at: &Address, step: Step, error: &russh::Error, record: &Mutex<Record>) -> Error {
    let at = at.clone();
    match error {
        russh::Error::Disconnect
        | russh::Error::HUP
        | russh::Error::SendError
        | russh::Error::RecvError
        | russh::Error::IO(_)
        | russh::Error::KeepaliveTimeout
        | russh::Error::InactivityTimeout => Error::Closed { at, step, said: farewell(record) },
        russh::Error::Version => {
            Error::Protocol { at, step, said: "what answers there does not speak SSH 2".to_owned() }
        }
        other => Error::Protocol {
            at,
            step,
            said: other.to_string().chars().filter(|c| !c.is_control()).take(300).collect(),
        },
    }
}
