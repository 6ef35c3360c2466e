//! Measurements: Provost beside what it replaces, and beside what the machine can do.
//!
//! Each measurement is one command (`src/bin/`) that starts the contenders itself, lets them take turns,
//! and prints ratios. `README.md` says what they mean and what they were.
//!
//! ```text
//! http      asks one server over one connection, at little cost
//! load      several clients at once, for a while
//! process   a server that is started, watched and stopped
//! disk      what the disk can do at best
//! run       what every measurement shares: its options, its folder, its end
//! signed_in somebody who asks a Provost with a password
//! report    rows, medians, the table, JSON
//! ca/       the certificate authority: requests, contenders, and a file for each section
//! api/      the fleet's interface: contenders, and a file for each section
//! cache/    the artifact cache: a file for each section
//! fleet/    the way to hosts: the hosts, ours, rivals, and a file for each section
//! trust/    trust handed on: a file for each section
//! clients/  what holders of certificates run: a file for each section
//! ```
//!
//! **Invariant:** nothing here is part of the product; every contender is given the same work, in turns.

pub mod api;
pub mod ca;
pub mod cache;
pub mod clients;
mod disk;
mod failure;
pub mod fleet;
mod house;
mod http;
mod load;
mod process;
mod report;
mod run;
mod signed_in;
pub mod trust;

pub use failure::Failure;
