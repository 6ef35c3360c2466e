//! What the tests stand on.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Clock, Entropy, Span, Timestamp};
use identity::{Action, Permit, Principal, Role};
use store::{Engine, History, Memory, Page, SealingKey};
use trust::{
    Anchor, ChangeError, Fingerprint, Ground, Offer, Offered, Place, ProviderName, RequirerName, SetChange,
    Terms, Trust, Why,
};
use x509::extension::Extension;
use x509::{
    Certificate, CertificateTemplate, KeySpec, Name, ObjectIdentifier, PrivateKey, Serial, extension,
};

pub(crate) struct House {
    pub(crate) memory: Arc<Memory>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) clock: Clock,
}

pub(crate) fn may<A: Action>() -> Permit<A> {
    Permit::grant(Principal::pretended("olga", Role::Administrator, None)).unwrap()
}

pub(crate) fn provider(name: &str) -> ProviderName {
    name.parse().unwrap()
}

pub(crate) fn requirer(name: &str) -> RequirerName {
    name.parse().unwrap()
}

/// The certificate of an authority that is valid for `days` from now on.
pub(crate) fn authority(name: &str, days: i64) -> Certificate {
    signed(name, days, Vec::new())
}

/// The certificate of an authority that says `bytes` bytes of something that nobody understands.
pub(crate) fn with_filler(bytes: usize) -> Certificate {
    let oid = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1");
    signed("filler", 1_000, vec![Extension { oid, critical: false, value: vec![0; bytes] }])
}

fn signed(name: &str, days: i64, mut extensions: Vec<Extension>) -> Certificate {
    extensions.insert(0, extension::basic_constraints(true, None));
    let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    let start = Timestamp::from_unix(1_800_000_000);
    let template = CertificateTemplate {
        serial: Serial::from_decimal("1").unwrap(),
        issuer: Name::from_common_name(name).unwrap(),
        subject: Name::from_common_name(name).unwrap(),
        not_before: start - Span::days(10),
        not_after: start + Span::days(days),
        public_key: key.public().clone(),
        extensions,
    };
    template.sign(&key)
}

/// `count` anchors, each another one.
pub(crate) fn anchors(count: usize) -> Vec<Anchor> {
    (0..count).map(|number| Anchor::from(&authority(&format!("ca {number}"), 1_000))).collect()
}

pub(crate) fn by_fingerprint(anchors: &[Anchor]) -> BTreeMap<Fingerprint, Anchor> {
    anchors.iter().map(|anchor| (anchor.fingerprint(), anchor.clone())).collect()
}

pub(crate) fn add(anchors: &[Anchor]) -> Offer {
    let change = SetChange::Add(by_fingerprint(anchors));
    Offer { change, relation: None, basis: None, confirmed: false }
}

pub(crate) fn no_reason() -> Why {
    Why::default()
}

impl House {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(Memory::new()))
    }

    pub(crate) fn on(memory: Arc<Memory>) -> Self {
        Self::through(memory.clone(), memory)
    }

    /// A house that reads and writes what is in `memory` through `engine`.
    pub(crate) fn through(memory: Arc<Memory>, engine: Arc<dyn Engine>) -> Self {
        let (clock, entropy) = (Clock::manual(Timestamp::from_unix(1_800_000_000)), Entropy::seeded(1));
        let ground = Ground {
            engine,
            sealing: Arc::new(SealingKey::generate(&entropy)),
            clock: clock.clone(),
            entropy,
        };
        Self { memory, trust: Arc::new(Trust::new(ground).unwrap()), clock }
    }

    /// A house in which `web` has what `corp` says.
    pub(crate) async fn related() -> (Self, u64) {
        let house = Self::new();
        house.set_provider("corp", &Terms::default()).await;
        house.set_requirer("web").await;
        let number = house.relate("corp", "web").await;
        (house, number)
    }

    pub(crate) async fn set_provider(&self, name: &str, terms: &Terms) {
        self.trust.set_provider(may(), &provider(name), terms, &no_reason()).await.unwrap();
    }

    pub(crate) async fn set_requirer(&self, name: &str) {
        self.trust
            .set_requirer(may(), &requirer(name), &Place::Poll { only: trust::Only::default() }, &no_reason())
            .await
            .unwrap();
    }

    pub(crate) async fn relate(&self, from: &str, to: &str) -> u64 {
        let related = self.trust.relate(may(), &provider(from), &requirer(to), &no_reason()).await;
        related.unwrap().number
    }

    pub(crate) async fn offer(&self, from: &str, offer: &Offer) -> Result<Offered, ChangeError> {
        self.trust.offer(may(), &provider(from), offer, &Why::new("a test").unwrap()).await
    }

    /// What `name` is to have, as PEM in order.
    pub(crate) async fn bundle(&self, name: &str) -> Vec<String> {
        let bundle = self.trust.bundle(may(), &requirer(name)).await.unwrap().bundle;
        bundle.anchors().iter().map(|anchor| anchor.pem().to_owned()).collect()
    }

    /// What the history of the house tells, in order.
    pub(crate) async fn history(&self) -> Vec<store::Event> {
        let engine: Arc<dyn Engine> = self.memory.clone();
        let page = History::new(engine).unwrap().page(None, 1_000).await.unwrap();
        page.entries.into_iter().map(|(_, loaded)| loaded.record).collect()
    }

    /// How many records there are of which the key begins with `prefix`.
    pub(crate) async fn count(&self, prefix: &str) -> usize {
        let prefix = store::Prefix::new(prefix).unwrap();
        self.memory.list(&prefix, Page::first(1_000)).await.unwrap().entries.len()
    }
}

/// The PEM of these, in order.
pub(crate) fn pems(anchors: &[Anchor]) -> Vec<String> {
    let mut pems: Vec<String> = anchors.iter().map(|anchor| anchor.pem().to_owned()).collect();
    pems.sort();
    pems
}
