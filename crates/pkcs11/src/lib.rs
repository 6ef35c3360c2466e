//! Signing keys that live in a PKCS#11 token and never leave it: a hardware security module, a smart card, SoftHSM.
//!
//! ```text
//! Token ──► open.rs: module, slot, login, sessions ──► key.rs: make, find, list, sign, remove
//! ```
//! A key is named by its `CKA_ID`; its `CKA_LABEL` is for people. It is made in the token, sensitive and not
//! extractable, and given digests to sign, never what they are of. Everything here may wait for as long as the module
//! likes: callers do that where they may. What was lost meanwhile (a token that was taken out, a network module that
//! was started again) is opened again, once, when it is next needed. A PIN that was refused is not tried again:
//! tokens lock themselves after a few of those.
//!
//! There can be one [`Token`] of a module in a process: a module is set up and torn down for the whole of it.
//!
//! Source: PKCS #11 Cryptographic Token Interface Base Specification 3.1, which modules of 2.40 keep as well.

mod error;
mod key;
mod open;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock};

use base::Secret;
use cryptoki::context::Pkcs11;
use x509::{KeySpec, PublicKey, Scheme};

pub use error::Error;
pub use key::KeyId;

use open::{Open, Refused};

/// Gives the PIN whenever somebody has to log in: it may have been changed since. What is wrong with it is said in words.
pub type PinSource = Box<dyn Fn() -> Result<Secret<String>, String> + Send + Sync>;

/// A token, found by its label.
pub struct Token {
    module: PathBuf,
    label: String,
    pin: PinSource,
    /// What is open; whoever opens it again waits until nobody is inside.
    open: RwLock<State>,
    /// A PIN that the token refused.
    refused: Mutex<Option<Refused>>,
}

#[derive(Default)]
struct State {
    /// Counts how often it was opened.
    times: u64,
    open: Option<Open>,
    /// Loaded once: modules have threads and handlers of their own.
    module: Option<Pkcs11>,
}

/// A key that was found in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name, where that is one of ours.
    pub id: Option<KeyId>,
    /// What it is called for people.
    pub label: String,
}

impl Token {
    /// The token called `label`, behind the module in the file `module`. Nothing is opened before it is needed.
    #[must_use]
    pub fn new(module: PathBuf, label: String, pin: PinSource) -> Self {
        Self { module, label, pin, open: RwLock::default(), refused: Mutex::default() }
    }

    /// What it is called.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Makes a key pair called `id`, of which the private half never leaves the token, and gives the public one.
    ///
    /// # Errors
    /// [`Error`]; then there is no such key, unless the module did not answer.
    pub fn make(&self, spec: KeySpec, id: KeyId, label: &str) -> Result<PublicKey, Error> {
        // Not tried again where the answer was lost: there would be two of that name.
        self.see()?;
        self.with(false, |open| key::make(open, spec, id, label))
    }

    /// The public half of the key called `id`, where the token has the private one.
    ///
    /// # Errors
    /// [`Error`].
    pub fn find(&self, id: KeyId) -> Result<Option<PublicKey>, Error> {
        self.with(true, |open| key::find(open, id))
    }

    /// All private keys in the token.
    ///
    /// # Errors
    /// [`Error`].
    pub fn list(&self) -> Result<Vec<Found>, Error> {
        self.with(true, key::list)
    }

    /// Signs `digest`, which is one of `scheme`'s, with the key called `id`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn sign(&self, id: KeyId, scheme: Scheme, digest: &[u8]) -> Result<Vec<u8>, Error> {
        self.with(true, |open| key::sign(open, id, scheme, digest))
    }

    /// Deletes both halves of the key called `id`, if they are there.
    ///
    /// # Errors
    /// [`Error`].
    pub fn remove(&self, id: KeyId) -> Result<(), Error> {
        self.with(true, |open| key::remove(open, id))
    }

    /// Sees whether the token is there and lets us in.
    ///
    /// # Errors
    /// [`Error`].
    pub fn see(&self) -> Result<(), Error> {
        self.with(true, |open| open.see())
    }

    /// Does `work`; where that shows that what was open is lost, it is opened again, and `work` done again if it
    /// `repeats` without harm.
    fn with<T>(&self, repeats: bool, work: impl Fn(&Open) -> Result<T, Error>) -> Result<T, Error> {
        let mut seen = None;
        loop {
            let times = {
                let state = self.open.read().unwrap_or_else(PoisonError::into_inner);
                match &state.open {
                    Some(open) if seen.is_none_or(|seen| seen != state.times) => match work(open) {
                        Err(error) if error.is_lost() && repeats && seen.is_none() => {}
                        answer => return answer,
                    },
                    _ => {}
                }
                state.times
            };
            self.open_again(times)?;
            seen = seen.or(Some(times));
        }
    }

    /// Opens it, unless somebody did since it was open for the time before.
    fn open_again(&self, times: u64) -> Result<(), Error> {
        let mut state = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if state.times != times {
            return Ok(());
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        // Its sessions are closed before anything else is done.
        drop(state.open.take());
        let module = match &state.module {
            Some(module) => module.clone(),
            None => state.module.insert(open::load(&self.module)?).clone(),
        };
        state.open = Some(Open::new(module, &self.module, &self.label, &self.pin, &mut refused)?);
        state.times += 1;
        Ok(())
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let state = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(state.open.take());
        if let Some(module) = state.module.take() {
            // It is unloaded next: what it says of that helps nobody.
            let _ = module.finalize();
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?} of {})", self.label, self.module.display())
    }
}
