//! Programs of old, by their own names.

pub mod commctl;
pub mod networkcache;
