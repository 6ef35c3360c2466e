//! The cache at work, on memory.

mod artifacts;
mod entries;
mod ground;
