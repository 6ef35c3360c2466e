//! The methods of sign-in, one after the other (contract of `/api/v0`, section 7.4).
//!
//! ```text
//! path is open ─── yes ──────────────────────────────────────────► signed in; as somebody, where these know who it is
//!      │ no
//!      ▼
//! first method ─── success ──────────────────────────────────────► signed in
//!      │           answers by itself ────────────────────────────► respond
//!      │ failure
//!      ▼
//! next method … ── no further one ───────────────────────────────► denied, or unavailable when one of them could
//!                                                                  not look
//! ```
//! Without any method everybody is denied.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use x509::{Certificate, VerifyError};

use super::attempt::{Attempt, Outcome, SignInDenied, SignedIn};
use super::client_certificate::{Anchors, ClientCertificate};
use super::config::{Config, MethodConfig, OpenPath};
use super::error::BuildError;
use super::method::{Away, Known, Method, Verdict};
use super::offer::Offer;
use super::own_authority::{AskAuthority, Holders};
use super::shared::Shared;
use super::throttle::Throttle;
use crate::Principal;
use crate::principal::ANYBODY;

/// Runs work that takes long away from whoever waits for it.
pub type Compute = Arc<dyn Fn(Work) -> BoxFuture<'static, bool> + Send + Sync>;

/// Something that takes long to find out.
pub type Work = Box<dyn FnOnce() -> bool + Send>;

/// What methods stand on.
#[derive(Clone)]
pub struct Ground {
    /// What time it is.
    pub clock: Clock,
    /// Where chance comes from.
    pub entropy: Entropy,
    /// Where passwords are compared.
    pub compute: Compute,
    /// How many passwords are compared at the same time; at least one.
    pub compute_at_once: usize,
    /// Who knows our own users' certificates.
    pub users_authority: Option<AskAuthority>,
    /// Who knows our own services' certificates.
    pub services_authority: Option<AskAuthority>,
    /// What it has in common with the other stacks of the house.
    pub shared: Shared,
}

/// The methods of sign-in to an interface.
pub struct Stack {
    methods: Vec<Box<dyn Method>>,
    open_paths: Vec<OpenPath>,
    /// Authorities, besides our own, whose client certificates count.
    anchors: Vec<Arc<Anchors>>,
    throttle: Arc<Throttle>,
    clock: Clock,
}

impl Stack {
    /// The methods that `config` names.
    ///
    /// # Errors
    /// Everything that is wrong with it. A file of users or of client authorities that cannot be read is no
    /// error: it lets nobody in until it can be, and the log says so.
    pub fn build(config: Config, ground: &Ground) -> Result<Self, Vec<BuildError>> {
        let mut stack = Self::of(Vec::new(), config.open_paths, &ground.clock);
        stack.throttle = ground.shared.throttle.clone();
        let mut errors = Vec::new();
        let mut configs = config.methods.into_iter();
        while let Some(config) = configs.next() {
            let is_last_for_passwords = !configs.as_slice().iter().any(takes_passwords);
            if let Err(error) = stack.add(config, is_last_for_passwords, ground) {
                errors.push(error);
            }
        }
        if stack.methods.is_empty() && errors.is_empty() {
            tracing::warn!("there is no sign-in method, so nobody can sign in");
        }
        if errors.is_empty() { Ok(stack) } else { Err(errors) }
    }

    /// Any methods.
    #[must_use]
    pub fn of(methods: Vec<Box<dyn Method>>, open_paths: Vec<OpenPath>, clock: &Clock) -> Self {
        Self {
            methods,
            open_paths,
            anchors: Vec::new(),
            throttle: Arc::new(Throttle::new()),
            clock: clock.clone(),
        }
    }

    fn add(
        &mut self,
        config: MethodConfig,
        is_last_for_passwords: bool,
        ground: &Ground,
    ) -> Result<(), BuildError> {
        let method = config.name();
        let built: Box<dyn Method> = match config {
            MethodConfig::ClientCertificate(config) => {
                let built = ClientCertificate::new(config, &self.clock)?;
                self.anchors.push(built.anchors().clone());
                Box::new(built)
            }
            MethodConfig::UsersAuthority(roles) => {
                let authority = ground.users_authority.clone();
                let authority = authority.ok_or(BuildError::NoSuchAuthority { method })?;
                Box::new(Holders { method, authority, roles })
            }
            MethodConfig::ServicesAuthority(roles) => {
                let authority = ground.services_authority.clone();
                let authority = authority.ok_or(BuildError::NoSuchAuthority { method })?;
                Box::new(Holders { method, authority, roles })
            }
            config => self.guarded(config, is_last_for_passwords, ground)?,
        };
        self.methods.push(built);
        Ok(())
    }

    /// A method that is a feature of this crate.
    #[cfg_attr(
        not(all(feature = "basic", feature = "services")),
        allow(unused_variables, clippy::needless_pass_by_value)
    )]
    fn guarded(
        &self,
        config: MethodConfig,
        is_last_for_passwords: bool,
        ground: &Ground,
    ) -> Result<Box<dyn Method>, BuildError> {
        let method = config.name();
        #[cfg(feature = "services")]
        let guard = |cache_seconds, at_once, throttle| {
            let cache = Arc::new(super::cache::Cache::new(cache_seconds, &ground.entropy));
            super::guard::Guard::new(cache, super::turns::Turns::new(at_once), throttle, &ground.clock)
        };
        #[cfg(feature = "services")]
        let service = |source| BuildError::Service { method, source };
        match config {
            #[cfg(feature = "basic")]
            MethodConfig::Basic(config) => {
                let at_once = ground.compute_at_once.max(1);
                // What one of them remembers depends on the user, the password, its hash and the role, and so is the same
                // for all.
                let (cache, turns) = ground.shared.passwords(config.cache_seconds, at_once, &ground.entropy);
                let throttle = Some(self.throttle.clone());
                let guard = super::guard::Guard::new(cache, turns, throttle, &self.clock);
                let compute = ground.compute.clone();
                let basic = super::basic::Basic::new(
                    config,
                    is_last_for_passwords,
                    guard,
                    compute,
                    &self.clock,
                    &ground.entropy,
                );
                Ok(Box::new(basic))
            }
            #[cfg(feature = "services")]
            MethodConfig::KeystonePassword(config) | MethodConfig::KeystoneToken(config) => {
                use super::keystone::{Keystone, Means};
                let means = if method == "keystone-token" { Means::Token } else { Means::Password };
                // What is said of bearer tokens below is so of Keystone's as well.
                let throttle = (means == Means::Password).then(|| self.throttle.clone());
                let guard = guard(config.service.cache_seconds, super::service::AT_ONCE, throttle);
                Ok(Box::new(Keystone::new(means, config, guard, &self.clock).map_err(service)?))
            }
            // Nobody guesses a bearer token, and a client whose token has ended must not be kept from trying with a
            // new one.
            #[cfg(feature = "services")]
            MethodConfig::OpenShift(config) => {
                let guard = guard(config.service.cache_seconds, super::service::AT_ONCE, None);
                let built = super::openshift::OpenShift::new(config, guard, &self.clock);
                Ok(Box::new(built.map_err(service)?))
            }
            #[cfg(feature = "services")]
            MethodConfig::TokenReview(config) => {
                let guard = guard(config.service.cache_seconds, super::service::AT_ONCE, None);
                let built = super::token_review::TokenReview::new(config, guard, &self.clock);
                Ok(Box::new(built.map_err(service)?))
            }
            _ => Err(BuildError::NotInThisBuild { method }),
        }
    }

    /// Whether a TLS client may present `certificate` because of one of the methods: it is for clients, within its
    /// dates, and an authority issued it whose certificates count. Those of our own users are not looked at.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn may_present(&self, certificate: &Certificate) -> Result<(), VerifyError> {
        let now = self.clock.now();
        let mut verdict = Err(VerifyError::UnknownIssuer);
        for anchors in &self.anchors {
            // Of several reasons, one that is about the certificate itself tells more.
            match anchors.verify(certificate, now) {
                Ok(()) => return Ok(()),
                Err(VerifyError::UnknownIssuer) => {}
                Err(error) => verdict = Err(error),
            }
        }
        verdict
    }

    /// Finds out who makes the `attempt`: whoever asks first in the order of the configuration and succeeds.
    ///
    /// Takes long at times: for comparing a password, for another service's answer (five seconds at most), and for
    /// the turn to do so. May be dropped while it waits.
    pub async fn sign_in(&self, attempt: &Attempt<'_>) -> Outcome {
        match self.open_paths.iter().find(|open| open.path == attempt.path) {
            Some(open) => Outcome::SignedIn(Box::pin(self.let_in(attempt, open)).await),
            None => self.look(attempt).await,
        }
    }

    /// Whoever asks for a path that is open: they get in, and whoever signs in all the same is not less for it.
    async fn let_in(&self, attempt: &Attempt<'_>, open: &OpenPath) -> SignedIn {
        let offers = attempt.certificate.is_some() || !Offer::read(attempt.headers).is_empty();
        if offers && let Outcome::SignedIn(signed_in) = self.look(attempt).await {
            let SignedIn { principal, headers } = signed_in;
            if principal.role().covers(open.role) {
                return SignedIn { principal, headers };
            }
            let principal = Principal::new(principal.name(), open.role, attempt.source);
            return SignedIn { principal, headers };
        }
        let principal = Principal::new(ANYBODY, open.role, attempt.source);
        SignedIn { principal, headers: HeaderMap::new() }
    }

    /// Finds out who it is.
    async fn look(&self, attempt: &Attempt<'_>) -> Outcome {
        if let Some(known) = self.again(attempt) {
            return signed_in(&known, attempt);
        }
        // Most are remembered, and need no room for this.
        Box::pin(self.judge(attempt)).await
    }

    /// Asks the methods.
    async fn judge(&self, attempt: &Attempt<'_>) -> Outcome {
        let offer = Offer::read(attempt.headers);
        let (mut was_wrong, mut retry_after, mut away, mut busy) = (false, None, None::<Away>, None);
        let mut was_looked_at = true;
        for method in &self.methods {
            match method.judge(attempt, &offer).await {
                Verdict::Success(known) => {
                    tracing::debug!(method = method.name(), who = known.name(), "signed in");
                    return signed_in(&known, attempt);
                }
                Verdict::Respond(response) => return Outcome::Respond(response),
                Verdict::Failure => {}
                Verdict::Unavailable(what) => away = away.max(Some(what)),
                // Counted at once: somebody whom a later method knows, by their certificate, may guess as well.
                Verdict::WrongGuess if !was_wrong => {
                    was_wrong = true;
                    retry_after = retry_after.max(self.guessed(attempt, &offer));
                }
                Verdict::WrongGuess => {}
                Verdict::TooSoon(wait) => {
                    was_looked_at = false;
                    retry_after = retry_after.max(Some(wait));
                }
                Verdict::Busy(wait) => busy = busy.max(Some(wait)),
            }
        }
        if was_looked_at {
            for method in &self.methods {
                method.take_as_long(attempt, &offer).await;
            }
        }
        if let Some(away) = away {
            return Outcome::Unavailable { away, guessed: was_wrong || retry_after.is_some() };
        }
        if let Some(wait) = busy {
            return Outcome::Busy(wait);
        }
        let offered =
            was_wrong || retry_after.is_some() || !offer.is_empty() || attempt.certificate.is_some();
        Outcome::Denied(SignInDenied { retry_after, offered })
    }

    /// Whoever the first method remembers from this connection's last request. The other methods come after those
    /// that may have changed their mind.
    fn again(&self, attempt: &Attempt<'_>) -> Option<Arc<Known>> {
        let first = self.methods.first()?;
        first.again(attempt, &*attempt.recent?.trace(attempt.headers)?)
    }

    /// Counts a wrong guess, unless the method has. How long the next one has to wait.
    fn guessed(&self, attempt: &Attempt<'_>, offer: &Offer) -> Option<Duration> {
        let (guesser, now) = (self.throttle.guesser(attempt.counted_at(), offer.user()), self.clock.now());
        if offer.count() {
            self.throttle.was_wrong(guesser, now);
        }
        let wait = self.throttle.wait(guesser, now);
        let source = attempt.source.map_or_else(|| "nowhere".to_owned(), |source| source.to_string());
        // What was offered as a name may be a password in the wrong field, so it is not told.
        match wait {
            Some(wait) => {
                tracing::warn!(%source, wait_seconds = wait.as_secs(), "wrong passwords, again and again")
            }
            None => tracing::info!(%source, "a password or a token was wrong"),
        }
        wait
    }
}

fn signed_in(known: &Known, attempt: &Attempt<'_>) -> Outcome {
    Outcome::SignedIn(SignedIn {
        principal: known.principal(attempt.source),
        headers: known.headers().clone(),
    })
}

/// Whether the method judges a name and a password.
fn takes_passwords(config: &MethodConfig) -> bool {
    matches!(config, MethodConfig::Basic(_) | MethodConfig::KeystonePassword(_))
}
