//! Years and deaths of the authorities.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod dies;
mod life;
