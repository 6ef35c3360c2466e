//! Signing in, with other people's programs as witnesses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod basic;
mod certificates;
mod kubernetes;
mod openstack;
mod stack;
mod world;
