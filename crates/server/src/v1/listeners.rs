//! How many read along with operations: each of them keeps a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many there may be. Each costs some kilobytes; the store is asked once for all who read the same.
const LISTENERS_MAX: usize = 512;
/// How many of them may be one and the same user, so that nobody takes all places: a team has one certificate, perhaps.
const LISTENERS_MAX_EACH: usize = 64;

/// Those who read along. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct Listeners(Arc<Mutex<HashMap<String, usize>>>);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken.
    Full,
    /// This user has as many as one may have.
    Enough,
}

impl Listeners {
    /// A place for `name`.
    pub(super) fn admit(&self, name: &str) -> Result<Place, NoPlace> {
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= LISTENERS_MAX {
            return Err(NoPlace::Full);
        }
        let own = taken.entry(name.to_owned()).or_default();
        if *own >= LISTENERS_MAX_EACH {
            return Err(NoPlace::Enough);
        }
        *own += 1;
        Ok(Place { listeners: self.clone(), name: name.to_owned() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // Nothing is half done under this lock when it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the listeners, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    listeners: Listeners,
    name: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.listeners.taken();
        if let Some(own) = taken.get_mut(&self.name) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shared_and_come_back() {
        let listeners = Listeners::default();
        let mut places: Vec<Place> =
            (0..LISTENERS_MAX_EACH).map(|_| listeners.admit("ada").unwrap()).collect();
        assert_eq!(listeners.admit("ada").unwrap_err(), NoPlace::Enough);
        for other in 0..LISTENERS_MAX - LISTENERS_MAX_EACH {
            places.push(listeners.admit(&format!("user {other}")).unwrap());
        }
        assert_eq!(listeners.admit("bob").unwrap_err(), NoPlace::Full);
        places.remove(0);
        assert!(listeners.admit("ada").is_ok());
        drop(places);
        assert!(listeners.taken().is_empty());
    }
}
