//! Old dialects.

pub mod commissaire;
