//! Every setting, once.
//!
//! The flags of `provost up` and `provost config check`, the names of the environment variables, the
//! reader of the file and `provost config reference` are all made from [`KEYS`], so that they cannot
//! drift apart.

use super::key::Key;

mod bounds;
mod cache;
mod fleet;
mod house;

/// The settings, in the order in which they are shown. Those of one table stand together.
pub const KEYS: &[Key] = &joined::<
    { house::KEYS.len() + fleet::KEYS.len() + cache::KEYS.len() + bounds::KEYS.len() },
>(&[house::KEYS, fleet::KEYS, cache::KEYS, bounds::KEYS]);

/// All of `parts`, one after the other; `N` is how many that are, or this does not compile.
const fn joined<const N: usize>(parts: &[&[Key]]) -> [Key; N] {
    let mut keys = [parts[0][0]; N];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut place = 0;
        while place < parts[part].len() {
            keys[at] = parts[part][place];
            place += 1;
            at += 1;
        }
        part += 1;
    }
    assert!(at == N);
    keys
}
