//! The engines, whole: the suite that both pass, and what only a file on a disk can show.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod conformance;
mod kill;
mod sqlite;
