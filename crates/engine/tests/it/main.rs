//! The house from cellar to roof, with a clock that is moved by hand and a store in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod clock;
mod host_trust;
mod house;
mod neighbours;
mod sign_in;
mod transports;
