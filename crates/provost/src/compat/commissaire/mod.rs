//! The configuration of `commissaire-server`.

mod options;
pub mod sign_in;
