//! Each of the house's own authorities provides trust: whoever requires it has all its CA certificates that are still
//! good for something, so that old and new overlap for as long as certificates of the old one live.

use std::sync::Arc;

use base::{Clock, Span};
use ca::Authority;
use futures_util::future::BoxFuture;
use identity::Permit;
use trust::{Anchor, ProviderName, Trust};

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often it is looked at: a certificate that is over is noticed without a hint.
const EVERY: Span = Span::seconds(600);
/// How soon it is tried again with one that could not be offered.
const AGAIN: Span = Span::seconds(60);

pub(crate) struct OwnTrust {
    pub(crate) authorities: Vec<Arc<Authority>>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) clock: Clock,
}

impl OwnTrust {
    async fn offer(&self, authority: &Authority) -> Result<(), StepError> {
        let name = authority.profile().name.as_str();
        let provider: ProviderName = name.parse()?;
        let anchors = authority.anchors().await?.iter().map(Anchor::from).collect::<Vec<_>>();
        // An authority always has one; if none can be seen, nothing is concluded from that.
        if anchors.is_empty() {
            return Ok(());
        }
        let anchors = anchors.into_iter().map(|anchor| (anchor.fingerprint(), anchor)).collect();
        let offered = self.trust.offer_own(Permit::house(), &provider, name, anchors).await?;
        if !offered.came.is_empty() || !offered.went.is_empty() {
            tracing::info!(
                provider = name,
                came = offered.came.len(),
                went = offered.went.len(),
                "other CA certificates are handed on"
            );
        }
        Ok(())
    }
}

impl Reconciler for OwnTrust {
    fn name(&self) -> &'static str {
        "own-trust"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let mut next = EVERY;
            for authority in &self.authorities {
                // What keeps one of them from being offered is no reason to keep the others.
                if let Err(error) = self.offer(authority).await {
                    let (authority, error) = (&authority.profile().name, base::report(&*error));
                    tracing::warn!(%authority, error = %error, "its CA certificates could not be offered");
                    next = AGAIN;
                }
            }
            Ok(Next::At(self.clock.now() + next))
        })
    }

    fn cares(&self, what: &str) -> bool {
        what == ca::CA_CERTIFICATE_MADE
    }
}

#[cfg(test)]
mod tests {
    use base::{Entropy, Timestamp};
    use ca::{Admission, AuthorityName, Ground, Names, Profile};
    use store::{Memory, SealingKey};
    use x509::{KeySpec, PrivateKey};

    use super::*;

    /// An authority whose first CA certificate has a successor after two of four days.
    fn profile(name: AuthorityName) -> Profile {
        Profile {
            name,
            issuer_common_name: "an authority".into(),
            issuer_extensions: Vec::new(),
            leaf_life: Span::days(1),
            issuer_life: Span::days(4),
            issuer_key: KeySpec::P256,
            crl_addresses: Vec::new(),
            names: Names::Any,
            admission: Admission {
                pending_max: 1,
                automatic_max: 0,
                lock_automatic_max: false,
                keys_for_backup: false,
                keep_issued: Span::days(1),
                keep_fetched: Span::days(1),
            },
        }
    }

    /// What cannot be read of one authority is not handed on for now; nothing is concluded from that, and the others are.
    #[tokio::test]
    async fn one_that_cannot_be_read_keeps_what_it_handed_on_and_nobody_from_anything() {
        let clock = Clock::manual(Timestamp::from_unix(1_790_000_000));
        let entropy = Entropy::seeded(7);
        let sealing = Arc::new(SealingKey::generate(&entropy));
        // Each on a store of its own, so that one can fail alone.
        let [of_users, of_services, of_trust] = [(); 3].map(|()| Arc::new(Memory::new()));
        let open = async |name, engine: &Arc<Memory>| {
            let ground = Ground {
                engine: engine.clone(),
                sealing: sealing.clone(),
                clock: clock.clone(),
                entropy: entropy.clone(),
                keys: Arc::new(|spec| Box::pin(async move { PrivateKey::generate(spec) })),
                token: None,
            };
            Arc::new(Authority::open(profile(name), ground).await.unwrap())
        };
        // The one that fails comes first.
        let authorities = vec![
            open(AuthorityName::Users, &of_users).await,
            open(AuthorityName::Services, &of_services).await,
        ];
        let ground = trust::Ground {
            engine: of_trust,
            sealing: sealing.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let trust = Arc::new(Trust::new(ground).unwrap());
        let mut reconciler = OwnTrust { authorities, trust: trust.clone(), clock: clock.clone() };
        let handed_on = async || {
            let all = trust.list_providers(Permit::house()).await.unwrap();
            all.into_iter()
                .map(|provider| (provider.name.to_string(), provider.set.count))
                .collect::<Vec<_>>()
        };
        let both =
            |users: usize, services: usize| [("services".to_owned(), services), ("users".to_owned(), users)];
        let Next::At(next) = reconciler.step(&Stop::new()).await.unwrap();
        assert_eq!((next, handed_on().await), (clock.now() + EVERY, both(1, 1).to_vec()));

        clock.advance(Span::days(3));
        let (doing, reason) = ("committing", "the disk is full".to_owned());
        of_users.fail_next_commits(1_000, store::Error::Unavailable { doing, reason });
        let Next::At(next) = reconciler.step(&Stop::new()).await.unwrap();
        assert_eq!((next, handed_on().await), (clock.now() + AGAIN, both(1, 2).to_vec()));

        let (doing, reason) = ("committing", String::new());
        of_users.fail_next_commits(0, store::Error::Unavailable { doing, reason });
        let Next::At(next) = reconciler.step(&Stop::new()).await.unwrap();
        assert_eq!((next, handed_on().await), (clock.now() + EVERY, both(2, 2).to_vec()));
    }
}
