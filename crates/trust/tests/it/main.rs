//! Trust beyond Juju, on memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod going;
mod ground;
mod offering;
mod places;
mod races;
