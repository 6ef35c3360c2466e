//! Measurements: Provost beside what it replaces, and beside what the machine can do.
//!
//! Each measurement is one command (`src/bin/`) that starts the contenders itself, lets them take turns,
//! and prints ratios. `README.md` says what they mean and what they were.
//!
//! ```text
//! http      asks one server over one connection, at little cost
//! load      several clients at once, for a while
//! process   a server that is started, watched and stopped
//! report    rows, medians, the table, JSON
//! ca/       the certificate authority: requests, contenders, and a file for each section
//! ```
//!
//! **Invariant:** nothing here is part of the product; every contender is given the same work, in turns.

pub mod ca;
mod failure;
mod http;
mod load;
mod process;
mod report;

pub use failure::Failure;
