//! The token in which CA keys are, as the authorities ask it: on threads that may wait, a few at once, and not for ever.
//!
//! A module that hangs holds its thread, and as many of them as may be inside at once; whoever comes then is told that
//! it does not answer. That it answers again is seen without anybody's help.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, Explain as _, Kind, Span};
use ca::{Authority, TokenError, TokenKeyId};
use futures_util::future::BoxFuture;
use pkcs11::{Error, KeyId, Token};
use tokio::sync::Semaphore;
use x509::{KeySpec, PublicKey, Scheme};

use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::{Stop, Tasks};

/// How many may be inside at once, and so how many sessions there are: network modules sell them by number.
const AT_ONCE: usize = 4;
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long the making of a key may take: of RSA, in a smart card.
const MAKING_DEADLINE: Duration = Duration::from_secs(120);
/// How often it is looked whether it is there.
const EVERY: Span = Span::seconds(5);

/// Told whether the token is there, whenever it was looked.
pub type OnToken = Arc<dyn Fn(bool) + Send + Sync>;

/// The token, and what is wanted of it.
pub struct TokenParts {
    /// It.
    pub token: Token,
    /// Whether new CA keys are made in it.
    pub makes_keys: bool,
    /// Told whether it is there.
    pub told: OnToken,
}

impl TokenParts {
    /// For an authority that is opened without a house around it.
    #[must_use]
    pub fn alone(self) -> Arc<dyn ca::Token> {
        Arc::new(Asked::new(self.token, self.makes_keys, Tasks::new()))
    }
}

/// A token that may be asked by whoever must not block.
pub(crate) struct Asked {
    token: Arc<Token>,
    makes_keys: bool,
    turns: Arc<Semaphore>,
    tasks: Tasks,
    /// Why it could not be used when it was tried last.
    fault: Mutex<Option<String>>,
}

impl Asked {
    pub(crate) fn new(token: Token, makes_keys: bool, tasks: Tasks) -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { token: Arc::new(token), makes_keys, turns, tasks, fault: Mutex::default() }
    }

    /// Why it cannot be used, when that is so.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl FnOnce(&Token) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, TokenError> {
        let answered = tokio::time::timeout(deadline, async {
            // The turn is over when the module has answered, also where nobody waits for that any more.
            let turn = self.turns.clone().acquire_owned().await;
            let token = self.token.clone();
            self.tasks
                .compute_aside(move || {
                    let _turn = turn;
                    work(&token)
                })
                .await
        });
        let (answer, is_there) = match answered.await {
            Ok(Ok(answer)) => (Ok(answer), true),
            // It is there, and says no.
            Ok(Err(error @ Error::Cannot { .. })) => (Err(told(&error)), true),
            Ok(Err(error)) => (Err(told(&error)), false),
            Err(_) => {
                let (label, seconds) = (self.token.label(), deadline.as_secs());
                let reason = format!("the PKCS#11 token `{label}` did not answer within {seconds} seconds");
                let help = Some("nothing can be signed with its keys until it does".to_owned());
                let kind = Kind::Unavailable;
                (Err(TokenError { kind, reason, help, is_for_people: false }), false)
            }
        };
        self.note(answer.as_ref().err().filter(|_| !is_there).map(ToString::to_string));
        answer
    }

    /// Notes whether it can be used, and says so when that changed.
    fn note(&self, fault: Option<String>) {
        let mut noted = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*noted, &fault) {
            (None, Some(fault)) => {
                tracing::error!(token = self.token.label(), %fault, "the token cannot be used: nothing is signed with its keys");
            }
            (Some(_), None) => tracing::info!(token = self.token.label(), "the token can be used again"),
            _ => {}
        }
        *noted = fault;
    }
}

/// Whether a key was made, and whether somebody still waits for it. The one who is second knows of both.
#[derive(Default)]
struct Made(AtomicBool);

impl Made {
    /// Said when it was made: whether somebody waits for it.
    fn done(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// Said when nobody waits any more: whether it was not made by then.
    fn give_up(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }
}

/// Whoever waits for a key to be made. Dropped, also where they went away, they wait no more.
struct Waited(Arc<Made>);

impl Drop for Waited {
    fn drop(&mut self) {
        let _ = self.0.give_up();
    }
}

fn told(error: &Error) -> TokenError {
    let (kind, reason, help) = (error.kind(), base::report(error), error.help());
    TokenError { kind, reason, help, is_for_people: error.is_for_people() }
}

impl ca::Token for Asked {
    fn name(&self) -> &str {
        self.token.label()
    }

    fn makes_keys(&self) -> bool {
        self.makes_keys
    }

    fn make(
        &self,
        spec: KeySpec,
        id: TokenKeyId,
        label: String,
    ) -> BoxFuture<'_, Result<PublicKey, TokenError>> {
        Box::pin(async move {
            let made = Arc::new(Made::default());
            let waited = Waited(made.clone());
            let answer = self
                .ask(MAKING_DEADLINE, move |token| {
                    let key = token.make(spec, KeyId(id.0), &label)?;
                    if !made.done() {
                        // That it cannot be done does no harm: it is told of at the next start.
                        let _ = token.remove(KeyId(id.0));
                    }
                    Ok(key)
                })
                .await;
            if answer.is_err() && !waited.0.give_up() {
                // It was made in the moment in which we waited no more.
                let _ = self.ask(DEADLINE, move |token| token.remove(KeyId(id.0))).await;
            }
            answer
        })
    }

    fn find(&self, id: TokenKeyId) -> BoxFuture<'_, Result<Option<PublicKey>, TokenError>> {
        Box::pin(self.ask(DEADLINE, move |token| token.find(KeyId(id.0))))
    }

    fn sign(
        &self,
        id: TokenKeyId,
        scheme: Scheme,
        digest: Vec<u8>,
    ) -> BoxFuture<'_, Result<Vec<u8>, TokenError>> {
        Box::pin(self.ask(DEADLINE, move |token| token.sign(KeyId(id.0), scheme, &digest)))
    }

    fn remove(&self, id: TokenKeyId) -> BoxFuture<'_, Result<(), TokenError>> {
        Box::pin(self.ask(DEADLINE, move |token| token.remove(KeyId(id.0))))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<(TokenKeyId, String)>, TokenError>> {
        Box::pin(async move {
            let found = self.ask(DEADLINE, Token::list).await?;
            Ok(found.into_iter().filter_map(|key| Some((TokenKeyId(key.id?.0), key.label))).collect())
        })
    }
}

/// Says which keys in the token nobody uses: something ended between the making of a key and its certificate.
pub(crate) async fn tell_unused(authorities: &[Arc<Authority>]) {
    for authority in authorities {
        match authority.unused_token_keys().await {
            Ok(unused) => {
                for (key, label) in unused {
                    let hint = format!(
                        "unless another house uses it: pkcs11-tool --module MODULE --login --token-label TOKEN \
                         --delete-object --type privkey --id {key}"
                    );
                    tracing::warn!(%key, label, hint, "a key in the token belongs to no CA certificate");
                }
            }
            Err(error) => {
                let authority = authority.profile().name;
                tracing::warn!(%authority, %error, "it is not known whether the token has keys that nobody uses");
            }
        }
    }
}

/// Looks whether the token is there, so that who looks after the house hears of it before somebody needs it.
pub(crate) struct WatchToken {
    pub(crate) token: Arc<Asked>,
    pub(crate) told: OnToken,
    pub(crate) clock: Clock,
}

impl Reconciler for WatchToken {
    fn name(&self) -> &'static str {
        "token"
    }

    fn is_own(&self) -> bool {
        true
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            // What is wrong is noted there, and said once.
            let seen = self.token.ask(DEADLINE, Token::see).await;
            (self.told)(seen.is_ok());
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever is second removes what nobody waits for; never both, never neither.
    #[test]
    fn a_key_that_nobody_waits_for_is_removed_once() {
        let made = Made::default();
        assert!(made.done(), "somebody waits");
        assert!(!made.give_up(), "it was made before: the one who waited removes it");

        let made = Arc::new(Made::default());
        drop(Waited(made.clone()));
        assert!(!made.done(), "nobody waits: the one who made it removes it");
    }
}
