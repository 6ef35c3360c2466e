//! The token in which CA keys are, as the authorities ask it: on threads that may wait, a few at once, and not for ever.
//!
//! A module that hangs holds its thread, and as many of them as may be inside at once; whoever comes then is told that
//! it does not answer. That it answers again is seen without anybody's help.

use std::collections::BTreeMap;
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
    /// What is wrong with it.
    faults: Mutex<Faults>,
}

/// Why a token cannot be used. That it lacks a key is no reason to believe that it is away, and that it is there is none to
/// believe that it has the key: else each look would say the opposite of the one before.
#[derive(Debug, Default)]
struct Faults {
    /// Why it could not be used when it was tried last.
    away: Option<String>,
    /// The keys that it was to sign with last and did not have.
    lacking: BTreeMap<[u8; 16], String>,
}

/// What a look at a token changed.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// It is away, or does not answer.
    Away(String),
    /// It is there, and lacks a key.
    Lacks(String),
    /// Nothing is wrong any more.
    Better,
    None,
}

impl Faults {
    fn is_away(&mut self, fault: Option<String>) -> Change {
        let before = std::mem::replace(&mut self.away, fault);
        match (before, &self.away) {
            (None, Some(fault)) => Change::Away(fault.clone()),
            (Some(_), None) => self.mended(),
            _ => Change::None,
        }
    }

    fn lacks(&mut self, key: TokenKeyId, fault: Option<String>) -> Change {
        let before = match &fault {
            Some(fault) => self.lacking.insert(key.0, fault.clone()),
            None => self.lacking.remove(&key.0),
        };
        match (before, fault) {
            (None, Some(fault)) => Change::Lacks(fault),
            (Some(_), None) => self.mended(),
            _ => Change::None,
        }
    }

    /// Something is not wrong any more: what is still?
    fn mended(&self) -> Change {
        match (&self.away, self.lacking.values().next()) {
            (None, None) => Change::Better,
            (None, Some(fault)) => Change::Lacks(fault.clone()),
            // That is said already.
            (Some(_), _) => Change::None,
        }
    }

    fn first(&self) -> Option<&String> {
        self.away.as_ref().or_else(|| self.lacking.values().next())
    }
}

impl Asked {
    pub(crate) fn new(token: Token, makes_keys: bool, tasks: Tasks) -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { token: Arc::new(token), makes_keys, turns, tasks, faults: Mutex::default() }
    }

    /// Why it cannot be used, when that is so.
    pub(crate) fn fault(&self) -> Option<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
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
            Ok(Err(error @ (Error::Cannot { .. } | Error::NoKey { .. }))) => (Err(told(&error)), true),
            Ok(Err(error)) => (Err(told(&error)), false),
            Err(_) => {
                let (label, seconds) = (self.token.label(), deadline.as_secs());
                let reason = format!("the PKCS#11 token `{label}` did not answer within {seconds} seconds");
                let help = Some("nothing can be signed with its keys until it does".to_owned());
                let kind = Kind::Unavailable;
                (Err(TokenError { kind, reason, help, is_for_people: false }), false)
            }
        };
        self.note(|faults| {
            faults.is_away(answer.as_ref().err().filter(|_| !is_there).map(ToString::to_string))
        });
        answer
    }

    /// Notes what is wrong, and says so when that changed.
    fn note(&self, note: impl FnOnce(&mut Faults) -> Change) {
        let changed = note(&mut self.faults.lock().unwrap_or_else(PoisonError::into_inner));
        let token = self.token.label();
        match changed {
            Change::Away(fault) => {
                tracing::error!(token, %fault, "the token cannot be used: nothing is signed with its keys");
            }
            Change::Lacks(fault) => {
                tracing::error!(token, %fault, "the token lacks a key: nothing is signed with that one");
            }
            Change::Better => tracing::info!(token, "the token can be used again"),
            Change::None => {}
        }
    }

    /// Looks whether it is there, and has what it lacked. Gives the keys that it still lacks.
    async fn look(&self) -> Vec<TokenKeyId> {
        // What is wrong is noted there, and said once.
        if self.ask(DEADLINE, Token::see).await.is_err() {
            return Vec::new();
        }
        let mut lacking: Vec<_> = {
            let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.lacking.keys().map(|key| TokenKeyId(*key)).collect()
        };
        for key in lacking.clone() {
            if let Ok(Some(_)) = self.ask(DEADLINE, move |token| token.find(KeyId(key.0))).await {
                self.lacks_no_more(key);
                lacking.retain(|other| *other != key);
            }
        }
        lacking
    }

    /// It has that key, or nobody needs it.
    fn lacks_no_more(&self, key: TokenKeyId) {
        self.note(|faults| faults.lacks(key, None));
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
        Box::pin(async move {
            let lacks = Arc::new(AtomicBool::new(false));
            let noted = lacks.clone();
            let answer = self.ask(DEADLINE, move |token| {
                let signed = token.sign(KeyId(id.0), scheme, &digest);
                noted.store(matches!(signed, Err(Error::NoKey { .. })), Ordering::Release);
                signed
            });
            let answer = answer.await;
            match &answer {
                Ok(_) => self.lacks_no_more(id),
                Err(error) if lacks.load(Ordering::Acquire) => {
                    let fault = error.to_string();
                    self.note(|faults| faults.lacks(id, Some(fault)));
                }
                Err(_) => {}
            }
            answer
        })
    }

    fn remove(&self, id: TokenKeyId) -> BoxFuture<'_, Result<(), TokenError>> {
        Box::pin(async move {
            self.ask(DEADLINE, move |token| token.remove(KeyId(id.0))).await?;
            self.lacks_no_more(id);
            Ok(())
        })
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
    /// Whose keys are in it.
    pub(crate) authorities: Vec<Arc<Authority>>,
    pub(crate) told: OnToken,
    pub(crate) clock: Clock,
}

impl WatchToken {
    /// Whether a CA certificate has that key, as far as is known.
    async fn is_needed(&self, key: TokenKeyId) -> bool {
        for authority in &self.authorities {
            if authority.needs_token_key(key).await.unwrap_or(true) {
                return true;
            }
        }
        false
    }
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
            for key in self.token.look().await {
                if !self.is_needed(key).await {
                    self.token.lacks_no_more(key);
                }
            }
            (self.told)(self.token.fault().is_none());
            Ok(Next::At(self.clock.now() + EVERY))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token that is there and lacks a key is not one that comes and goes.
    #[test]
    fn a_key_that_is_missing_is_said_once() {
        let mut faults = Faults::default();
        let (key, other) = (TokenKeyId([1; 16]), TokenKeyId([2; 16]));
        let missing = || Some("no key".to_owned());
        let lacks = || Change::Lacks("no key".into());
        assert_eq!(faults.lacks(key, missing()), lacks());
        for _ in 0..3 {
            assert_eq!(faults.is_away(None), Change::None, "it is there");
            assert_eq!(faults.lacks(other, None), Change::None, "another key signs");
            assert_eq!(faults.lacks(key, missing()), Change::None, "and this is still missing");
            assert_eq!(faults.first(), missing().as_ref());
        }
        assert_eq!(faults.is_away(Some("away".into())), Change::Away("away".into()));
        assert_eq!(faults.is_away(None), lacks(), "it is there, and not as it should be");
        assert_eq!(faults.lacks(other, missing()), lacks());
        assert_eq!(faults.lacks(other, None), lacks(), "one of two");
        assert_eq!(faults.first(), missing().as_ref());
        assert_eq!(faults.lacks(key, None), Change::Better);
        assert_eq!(faults.first(), None);
    }

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
