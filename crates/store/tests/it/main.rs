//! The engines, whole: the suite that all pass, and what only a file on a disk can show.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod blobs;
mod conformance;
mod damage;
mod etcd;
mod kill;
mod look;
mod sqlite;
