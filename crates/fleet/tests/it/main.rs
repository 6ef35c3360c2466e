//! A fleet through its life, on a store in memory and, where the engine matters, on SQLite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod clusters;
mod definitions;
mod doubts;
mod filters;
mod hosts;
mod members;
mod model;
mod operations;
mod rivals;
mod roles;
mod scale;
mod stored;
mod unreadable;
mod world;
