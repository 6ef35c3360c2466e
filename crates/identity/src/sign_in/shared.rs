//! What all stacks of one house have in common, however many interfaces sign people in: or whoever guesses would have as
//! many guesses as there are interfaces, and each would compare the same password again.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "basic")]
use {
    super::cache::Cache,
    super::turns::Turns,
    base::Entropy,
    std::collections::HashMap,
    std::sync::{Mutex, PoisonError},
};

use super::throttle::Throttle;

/// Who guessed, who was right a moment ago, and whose turn it is to have a password compared. Cloning shares it.
#[derive(Clone)]
pub struct Shared {
    pub(crate) throttle: Arc<Throttle>,
    #[cfg(feature = "basic")]
    passwords: Arc<Mutex<Passwords>>,
}

#[cfg(feature = "basic")]
#[derive(Default)]
struct Passwords {
    turns: Option<Turns>,
    /// By how long they remember, in seconds.
    caches: HashMap<u32, Arc<Cache>>,
}

impl Shared {
    /// Nobody came yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            throttle: Arc::new(Throttle::new()),
            #[cfg(feature = "basic")]
            passwords: Arc::default(),
        }
    }

    /// Who was right for so long, and whose turn it is, of whom `at_once` have one; the first to ask says how many.
    #[cfg(feature = "basic")]
    pub(crate) fn passwords(&self, seconds: u32, at_once: usize, entropy: &Entropy) -> (Arc<Cache>, Turns) {
        let mut passwords = self.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = passwords.turns.get_or_insert_with(|| Turns::new(at_once)).clone();
        let cache = passwords.caches.entry(seconds).or_insert_with(|| Arc::new(Cache::new(seconds, entropy)));
        (cache.clone(), turns)
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}
