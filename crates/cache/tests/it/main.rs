//! The cache at work, on memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod artifacts;
mod collecting;
mod entries;
mod fetching;
mod finding;
mod ground;
mod scrubbing;
mod withdrawn;
