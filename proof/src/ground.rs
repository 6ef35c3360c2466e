//! The two authorities that people ask, opened on some store.

use std::sync::Arc;

use base::{Clock, Entropy, Span, Timestamp};
use ca::takeover::Shelf;
use ca::{Admission, Authority, AuthorityName, Ground, KeyMaker, Names, OpenError, Profile, Token};
use futures_executor::block_on;
use identity::{Action, Permit};
use store::{Engine, SealingKey};
use x509::{Certificate, KeySpec, PrivateKey};

/// When every simulation begins: some day in 2026.
const BEGINNING: Timestamp = Timestamp::from_unix(1_790_000_000);
/// The life of a leaf certificate.
pub(crate) const LEAF_LIFE: Span = Span::days(93);

/// What stays when a process goes: time, chance, the sealing key, the policy.
#[derive(Clone)]
pub struct Base {
    /// Moved by hand.
    pub clock: Clock,
    /// Of serials and numbers.
    pub entropy: Entropy,
    pub(crate) sealing: Arc<SealingKey>,
    /// What kind of key the authorities have.
    pub issuer_key: KeySpec,
    /// How many requests for services are approved at once.
    pub automatic_services: u64,
    /// How many requests for services may be pending.
    pub pending_max: u64,
    /// Where CA keys are made, if not in the store.
    pub token: Option<Arc<dyn Token>>,
}

impl Base {
    /// The base of the simulation with this number.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let entropy = Entropy::seeded(seed);
        Self {
            clock: Clock::manual(BEGINNING),
            sealing: Arc::new(SealingKey::generate(&entropy)),
            entropy,
            issuer_key: KeySpec::P256,
            automatic_services: 0,
            pending_max: 50,
            token: None,
        }
    }

    /// What an operator works on who brings something to this authority, or takes it away.
    #[must_use]
    pub fn shelf(&self, authority: AuthorityName) -> Shelf<'_> {
        Shelf { authority, sealing: &self.sealing, clock: &self.clock, entropy: &self.entropy }
    }

    fn ground(&self, engine: &Arc<dyn Engine>) -> Ground {
        let keys: KeyMaker = Arc::new(|spec| Box::pin(async move { PrivateKey::generate(spec) }));
        Ground {
            engine: engine.clone(),
            sealing: self.sealing.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            keys,
            token: self.token.clone(),
        }
    }

    fn profile(&self, name: AuthorityName) -> Profile {
        let is_users = name == AuthorityName::Users;
        Profile {
            name,
            issuer_common_name: format!("{name} of a simulation"),
            issuer_extensions: Vec::new(),
            leaf_life: LEAF_LIFE,
            issuer_life: LEAF_LIFE.fraction(4, 1),
            issuer_key: self.issuer_key,
            crl_addresses: Vec::new(),
            names: Names::Any,
            admission: Admission {
                pending_max: self.pending_max,
                automatic_max: if is_users { 1 } else { self.automatic_services },
                lock_automatic_max: true,
                keys_for_backup: is_users,
                keep_issued: if is_users { LEAF_LIFE } else { Span::days(1) },
                keep_fetched: if is_users { LEAF_LIFE } else { Span::seconds(4_320) },
            },
        }
    }
}

/// Services and users.
pub struct Authorities {
    /// Certificates for anything.
    pub services: Authority,
    /// Certificates of those who approve.
    pub users: Authority,
}

impl Authorities {
    /// Opens both, and voids what an earlier process left where nobody else can be at work, as a house does.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open(base: &Base, engine: &Arc<dyn Engine>) -> Result<Self, OpenError> {
        let open = |name| {
            let authority = block_on(Authority::open(base.profile(name), base.ground(engine)))?;
            if !engine.is_shared() {
                block_on(authority.void_reserved(Span::ZERO))?;
            }
            Ok::<_, OpenError>(authority)
        };
        Ok(Self { services: open(AuthorityName::Services)?, users: open(AuthorityName::Users)? })
    }

    /// Both.
    pub fn both(&self) -> [&Authority; 2] {
        [&self.services, &self.users]
    }
}

/// Leave for anything that the holder of the user's `certificate` may do; `None` when they are not let in.
#[must_use]
pub fn administrator<A: Action>(
    users: &Authority,
    certificate: &Certificate,
    now: Timestamp,
) -> Option<Permit<A>> {
    let anchors = block_on(users.anchors()).ok()?;
    let published = block_on(users.published()).ok()?;
    let signed_in =
        identity::certificate(certificate, &anchors, |serial| published.is_revoked(serial), now, None);
    Permit::grant(signed_in.ok()?).ok()
}
