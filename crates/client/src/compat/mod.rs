//! Old dialects.

pub mod caucase;
pub mod commissaire;
