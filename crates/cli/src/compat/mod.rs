//! Programs of old, by their own names.

pub mod caucase;
pub mod commctl;
pub mod networkcache;
