//! An authority through its life, with a clock that is moved by hand and a store in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod clocks;
mod limits;
mod lists;
mod names;
mod requests;
mod retire;
mod rollover;
mod serials;
mod shared;
mod takeover;
mod token;
mod world;
