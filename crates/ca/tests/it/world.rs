//! An authority on a store in memory, and those who ask it for things.

use std::sync::Arc;

use base::{Clock, Entropy, Span, Timestamp};
use ca::{Admission, Authority, AuthorityName, Ground, Names, Profile, RequestId, SubmitError, Token};
use futures_executor::block_on;
use identity::{Action, Permit};
use store::{Memory, SealingKey};
use x509::{Certificate, Digest, Extension, KeySpec, Name, PrivateKey, SigningRequest};

/// When every world begins: some day in 2026, as good as any.
const BEGINNING: Timestamp = Timestamp::from_unix(1_790_000_000);

/// A store, a clock, and the authority opened on them.
pub(crate) struct World {
    pub(crate) store: Arc<Memory>,
    pub(crate) clock: Clock,
    entropy: Entropy,
    sealing: Arc<SealingKey>,
    profile: Profile,
    /// The token that the settings name.
    token: Option<Arc<dyn Token>>,
    pub(crate) authority: Authority,
}

/// The policy of the services authority as it is unless the operator says otherwise, but with keys that
/// are made and used quickly.
pub(crate) fn services() -> Profile {
    let leaf_life = Span::days(93);
    Profile {
        name: AuthorityName::Services,
        issuer_common_name: "Services of a test".into(),
        issuer_extensions: Vec::new(),
        leaf_life,
        issuer_life: leaf_life.fraction(4, 1),
        issuer_key: KeySpec::P256,
        crl_addresses: vec![("http://ca.example/crl/".into(), ".der".into())],
        names: Names::Any,
        admission: Admission {
            pending_max: 50,
            automatic_max: 0,
            lock_automatic_max: false,
            keys_for_backup: false,
            keep_issued: Span::days(1),
            keep_fetched: Span::seconds(4_320),
        },
    }
}

/// The same for users, who must have RSA keys of their own.
pub(crate) fn users() -> Profile {
    let mut profile = services();
    profile.name = AuthorityName::Users;
    profile.crl_addresses.clear();
    profile.admission.keys_for_backup = true;
    profile.admission.keep_issued = profile.leaf_life;
    profile.admission.keep_fetched = profile.leaf_life;
    profile
}

impl World {
    pub(crate) fn new(profile: Profile) -> Self {
        Self::on(Memory::new(), profile)
    }

    /// On a store that says that other processes use it too.
    pub(crate) fn shared(profile: Profile) -> Self {
        Self::on(Memory::shared(), profile)
    }

    fn on(store: Memory, profile: Profile) -> Self {
        let store = Arc::new(store);
        let clock = Clock::manual(BEGINNING);
        let entropy = Entropy::seeded(7);
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let authority = open(&store, &clock, &entropy, &sealing, &None, profile.clone()).unwrap();
        Self { store, clock, entropy, sealing, profile, token: None, authority }
    }

    /// Opens the authority again, with this token in the settings.
    pub(crate) fn restart_with(&mut self, token: Option<Arc<dyn Token>>) -> Result<(), ca::OpenError> {
        self.token = token;
        let Self { store, clock, entropy, sealing, token, profile, .. } = self;
        self.authority = open(store, clock, entropy, sealing, token, profile.clone())?;
        Ok(())
    }

    /// Services, of which the first `count` are approved at once.
    pub(crate) fn automatic(count: u64) -> Self {
        let mut profile = services();
        profile.admission.automatic_max = count;
        Self::new(profile)
    }

    /// Opens the authority again, as after a restart, perhaps with another profile.
    pub(crate) fn restart(&mut self, change: impl FnOnce(&mut Profile)) {
        change(&mut self.profile);
        self.restart_with(self.token.clone()).unwrap();
    }

    /// What its keys are sealed under.
    pub(crate) fn sealing(&self) -> &SealingKey {
        &self.sealing
    }

    /// Opens the authority that is in another store.
    pub(crate) fn move_to(&mut self, store: Arc<Memory>) {
        self.store = store;
        self.restart(|_| {});
    }

    /// The same authority in another process, on the same store.
    pub(crate) fn beside(&self) -> Authority {
        let Self { store, clock, entropy, sealing, token, profile, .. } = self;
        open(store, clock, entropy, sealing, token, profile.clone()).unwrap()
    }

    /// The same authority for who only looks: nothing can be written, and there is no token.
    pub(crate) fn look(&self) -> Authority {
        use store::Engine as _;
        let still = store::Still::of(block_on(self.store.snapshot()).unwrap());
        let ground = ground(still, &self.clock, &self.entropy, &self.sealing, &None);
        Authority::look(self.profile.clone(), ground).unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn submit(&self, asker: &Asker) -> Result<RequestId, SubmitError> {
        block_on(self.authority.submit(&asker.csr, &asker.text))
    }

    pub(crate) fn approve(&self, id: RequestId) -> Result<Certificate, ca::ApproveError> {
        block_on(self.authority.approve(permit(), id, None))
    }

    pub(crate) fn certificate(&self, id: RequestId) -> Option<Certificate> {
        let pem = block_on(self.authority.certificate(id)).ok()?;
        Some(Certificate::from_pem(pem.as_bytes()).unwrap())
    }

    pub(crate) fn pending(&self) -> Vec<RequestId> {
        block_on(self.authority.pending(permit())).unwrap().iter().map(|request| request.id).collect()
    }

    pub(crate) fn anchors(&self) -> Vec<Certificate> {
        block_on(self.authority.anchors()).unwrap()
    }

    /// Lets time pass until what is past now is certainly past: two more lists are dated.
    pub(crate) fn settle(&self) {
        for _ in 0..2 {
            block_on(self.authority.published()).unwrap();
            self.clock.advance(Span::days(16));
        }
        block_on(self.authority.published()).unwrap();
        block_on(self.authority.look_again()).unwrap();
    }

    /// The revocation list of the oldest CA certificate.
    pub(crate) fn list(&self) -> x509::Crl {
        let published = block_on(self.authority.published()).unwrap();
        x509::Crl::from_der(&published.lists[0].der).unwrap()
    }

    /// How many records there are whose key begins so.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        self.ids(prefix).len()
    }

    /// What follows `prefix` in the keys of the records that begin so.
    pub(crate) fn ids(&self, prefix: &str) -> Vec<String> {
        use store::{Engine as _, Page, Prefix};
        let prefix = Prefix::new(format!("/ca/{}/{prefix}", self.profile.name)).unwrap();
        let listing = block_on(self.store.list(&prefix, Page::full())).unwrap();
        listing.entries.iter().map(|(key, _)| prefix.rest(key).unwrap().to_owned()).collect()
    }

    /// What happened of that kind.
    pub(crate) fn events(&self, what: &str) -> Vec<store::Event> {
        let history = store::History::new(self.store.clone()).unwrap();
        let page = block_on(history.page(None, 1_000)).unwrap();
        assert!(page.next.is_none());
        let events = page.entries.into_iter().map(|(_, loaded)| loaded.record);
        events.filter(|event| event.what == what).collect()
    }
}

fn ground(
    engine: Arc<dyn store::Engine>,
    clock: &Clock,
    entropy: &Entropy,
    sealing: &Arc<SealingKey>,
    token: &Option<Arc<dyn Token>>,
) -> Ground {
    Ground {
        engine,
        sealing: sealing.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        keys: Arc::new(|spec| Box::pin(async move { PrivateKey::generate(spec) })),
        token: token.clone(),
    }
}

fn open(
    store: &Arc<Memory>,
    clock: &Clock,
    entropy: &Entropy,
    sealing: &Arc<SealingKey>,
    token: &Option<Arc<dyn Token>>,
    profile: Profile,
) -> Result<Authority, ca::OpenError> {
    let ground = ground(store.clone(), clock, entropy, sealing, token);
    let authority = block_on(Authority::open(profile, ground))?;
    block_on(authority.find_token_keys())?;
    Ok(authority)
}

/// Leave for anything.
pub(crate) fn permit<A: Action>() -> Permit<A> {
    Permit::house()
}

/// Somebody with a key and a request.
pub(crate) struct Asker {
    pub(crate) key: PrivateKey,
    pub(crate) csr: SigningRequest,
    pub(crate) text: String,
}

impl Asker {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, KeySpec::P256, &[])
    }

    pub(crate) fn with(name: &str, spec: KeySpec, extensions: &[Extension]) -> Self {
        let key = PrivateKey::generate(spec).unwrap();
        let subject = if name.is_empty() { Name::empty() } else { Name::from_common_name(name).unwrap() };
        let csr = SigningRequest::build(&key, &subject, extensions);
        Self { text: csr.to_pem(), key, csr }
    }

    /// Proves to hold `certificate`.
    pub(crate) fn prove(&self, certificate: &Certificate) -> ca::ByHolder {
        let text = "whatever a dialect says".to_owned();
        let digest = Digest::Sha256;
        let signature = self.key.sign_statement(digest, &ca::signed_text(&text, digest)).unwrap();
        ca::Statement { text, digest, signature }.by(certificate.clone()).unwrap()
    }
}
