//! How much is asked of upstream at once, in all and for whom.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many places there are in all.
const PLACES_MAX: usize = 64;
/// How many of them whoever comes from one address takes.
const EACH_MAX: usize = 16;

/// Places at upstream. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<Option<IpAddr>, usize>>>);

/// One of them, until this is dropped.
pub(super) struct Place {
    all: Places,
    from: Option<IpAddr>,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for whoever comes from there, if there is one.
    pub(super) fn take(&self, from: Option<IpAddr>) -> Option<Place> {
        let from = from.map(network);
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= PLACES_MAX || taken.get(&from).copied().unwrap_or(0) >= EACH_MAX {
            return None;
        }
        *taken.entry(from).or_default() += 1;
        Some(Place { all: self.clone(), from })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.all.taken();
        if let Some(count) = taken.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.from);
            }
        }
    }
}

/// Whoever has an IPv6 address has all of the 2⁶⁴ around it (RFC 4291 §2.5.1).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places() {
        let places = Places::default();
        let address = |text: &str| Some(text.parse().unwrap());
        let hers: Vec<Place> = std::iter::from_fn(|| places.take(address("2001:db8::1"))).collect();
        assert_eq!(hers.len(), EACH_MAX);
        assert!(places.take(address("2001:db8::2")).is_none(), "that is hers as well");
        assert!(places.take(address("2001:db8:0:1::1")).is_some());
        let his = places.take(address("::ffff:192.0.2.1"));
        assert!(his.is_some() && places.taken().contains_key(&address("192.0.2.1")));
        let others: Vec<Option<Place>> =
            (0..100_u32).map(|n| places.take(Some(IpAddr::V4((n << 8).into())))).collect();
        assert_eq!(others.iter().flatten().count(), PLACES_MAX - EACH_MAX - 1);
        drop((hers, his, others));
        assert!(places.taken().is_empty());
    }
}
