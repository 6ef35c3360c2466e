//! A fleet through its life, on a store in memory and, where the engine matters, on SQLite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod care;
mod clusters;
mod definitions;
mod doubts;
mod filters;
mod host_keys;
mod hosts;
mod members;
mod model;
mod operations;
mod regrouping;
mod rivals;
mod roles;
mod rolling;
mod scale;
mod steering;
mod stored;
mod unreadable;
mod views;
mod world;
