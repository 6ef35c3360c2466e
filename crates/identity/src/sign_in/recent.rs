//! What was shown last over one connection, so that whoever shows the same again is found without taking it apart and
//! hashing it once more.
//!
//! What is kept beside it is not who it was, but where the method that knew them remembers it: when that is forgotten,
//! or counts no more, this is of no use either. The bytes are those of the last request that somebody was signed in
//! with, for as long as the connection lasts, and are wiped with it.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::offer;

/// Where a method remembers somebody. Each method has its own form of it.
pub(crate) type Trace = Arc<dyn Any + Send + Sync>;

/// What was shown last over one connection.
#[derive(Default)]
pub struct Recent(Mutex<Option<(Zeroizing<Vec<u8>>, Trace)>>);

impl Recent {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known of what `headers` show, if it is what was shown last.
    pub(crate) fn trace(&self, headers: &HeaderMap) -> Option<Trace> {
        let shown = offer::only(headers, &AUTHORIZATION)?;
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, trace) = recent.as_ref()?;
        bool::from(before.ct_eq(shown.as_bytes())).then(|| Arc::clone(trace))
    }

    /// Keeps the `trace` of somebody who was signed in by what `headers` show.
    #[cfg(feature = "basic")]
    pub(crate) fn keep(&self, headers: &HeaderMap, trace: Trace) {
        let Some(shown) = offer::only(headers, &AUTHORIZATION) else { return };
        let shown = Zeroizing::new(shown.as_bytes().to_vec());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((shown, trace));
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recent(..)")
    }
}
