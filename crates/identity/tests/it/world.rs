//! What the tests have in common: a clock that they move, passwords compared where they can be counted, and requests
//! in short.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base::{Clock, Entropy, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use identity::Role;
use identity::sign_in::{
    Attempt, BasicConfig, Config, Ground, MethodConfig, OpenPath, Outcome, Recent, Shared, Stack, UserConfig,
    Work,
};
use x509::Certificate;

/// All come over one connection, as through a proxy, so that every test is also one of what that remembers.
static RECENT: LazyLock<Recent> = LazyLock::new(Recent::new);

/// What everything stands on.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) ground: Ground,
    compared: Arc<AtomicUsize>,
}

impl World {
    /// At the present, so that files are not from the future.
    pub(crate) fn new() -> Self {
        let clock = Clock::manual(Clock::system().now());
        let compared = Arc::new(AtomicUsize::new(0));
        let counted = compared.clone();
        let compute = move |work: Work| {
            let counted = counted.clone();
            let compared = async move {
                // Others get on meanwhile, as if it took long.
                tokio::task::yield_now().await;
                counted.fetch_add(1, Ordering::SeqCst);
                work()
            };
            Box::pin(compared) as std::pin::Pin<Box<dyn Future<Output = bool> + Send>>
        };
        let ground = Ground {
            clock: clock.clone(),
            entropy: Entropy::seeded(1),
            compute: Arc::new(compute),
            compute_at_once: 2,
            users_authority: None,
            services_authority: None,
            shared: Shared::new(),
        };
        Self { clock, ground, compared }
    }

    /// The methods, without open paths.
    pub(crate) fn stack(&self, methods: Vec<MethodConfig>) -> Stack {
        self.open_stack(methods, Vec::new())
    }

    pub(crate) fn open_stack(&self, methods: Vec<MethodConfig>, open_paths: Vec<OpenPath>) -> Stack {
        match Stack::build(Config { methods, open_paths }, &self.ground) {
            Ok(stack) => stack,
            Err(errors) => panic!("{errors:?}"),
        }
    }

    /// How many passwords were compared so far.
    pub(crate) fn compared(&self) -> usize {
        self.compared.load(Ordering::SeqCst)
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(base::Span::seconds(seconds));
    }

    /// The time in `seconds`, as Keystone writes it.
    pub(crate) fn in_seconds(&self, seconds: i64) -> String {
        let at = Timestamp::from_unix(self.clock.now().as_unix() + seconds);
        at.to_string().replace('Z', ".000000Z")
    }
}

/// Basic authentication with the users in `hashes`, who are administrators.
pub(crate) fn basic(hashes: &[(&str, &str)]) -> BasicConfig {
    let users = hashes.iter().map(|(name, hash)| UserConfig {
        name: (*name).to_owned(),
        hash: hash.parse().unwrap(),
        role: Role::Administrator,
    });
    BasicConfig {
        users: users.collect(),
        file: None,
        role: Role::Administrator,
        cache_seconds: BasicConfig::CACHE_SECONDS,
    }
}

/// A bcrypt hash of `password`, at the least cost.
pub(crate) fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

/// One request, as the methods see it.
#[derive(Clone)]
pub(crate) struct Request {
    path: String,
    headers: HeaderMap,
    source: Option<IpAddr>,
    certificate: Option<Certificate>,
}

impl Request {
    /// With nothing to show, from 192.0.2.1.
    pub(crate) fn of(path: &str) -> Self {
        let source = Some("192.0.2.1".parse().unwrap());
        Self { path: path.to_owned(), headers: HeaderMap::new(), source, certificate: None }
    }

    /// The same request for another path.
    pub(crate) fn to(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub(crate) fn from(mut self, source: &str) -> Self {
        self.source = Some(source.parse().unwrap());
        self
    }

    pub(crate) fn without_source(mut self) -> Self {
        self.source = None;
        self
    }

    pub(crate) fn presenting(mut self, certificate: &Certificate) -> Self {
        self.certificate = Some(certificate.clone());
        self
    }

    pub(crate) async fn outcome(&self, stack: &Stack) -> Outcome {
        let attempt = Attempt {
            path: &self.path,
            headers: &self.headers,
            certificate: self.certificate.as_ref(),
            source: self.source,
            peer: Some("127.0.0.1".parse().unwrap()),
            recent: Some(&RECENT),
        };
        let signs_in: &mut (dyn Future<Output = Outcome> + Send + Unpin) =
            &mut Box::pin(stack.sign_in(&attempt));
        signs_in.await // from any thread, as a server needs
    }

    /// Who it is, and the role; or that it is denied, and the wait in seconds.
    pub(crate) async fn said(&self, stack: &Stack) -> String {
        match self.outcome(stack).await {
            Outcome::SignedIn(signed_in) => {
                assert_eq!(signed_in.principal.from(), self.source);
                format!("{}: {}", signed_in.principal, signed_in.principal.role())
            }
            Outcome::Respond(response) => format!("responds {}", response.status()),
            Outcome::Unavailable { guessed: false, .. } => "unavailable".to_owned(),
            Outcome::Unavailable { guessed: true, .. } => "unavailable, guessed".to_owned(),
            Outcome::Busy(wait) => format!("busy for {} s", wait.as_secs()),
            Outcome::Denied(denied) => match denied.retry_after.map(|wait: Duration| wait.as_secs()) {
                Some(wait) => format!("denied for {wait} s"),
                None => "denied".to_owned(),
            },
        }
    }
}

/// A request of `user` with `password`.
pub(crate) fn login(user: &str, password: &str) -> Request {
    let credentials = STANDARD.encode(format!("{user}:{password}"));
    Request::of("/api/v0/hosts").with("authorization", &format!("Basic {credentials}"))
}
