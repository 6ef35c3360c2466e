//! What the programs that Provost replaces were told, in their own words.

pub mod commissaire;
pub mod juju;
pub mod manage;
pub mod takeover;
