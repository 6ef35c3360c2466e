//! Commands: what an operator types, and what comes back.
//!
//! Data goes to standard output, narration to standard error. What a command asks a server for, it asks
//! through `client`, like anybody else.
//!
//! **Invariant:** no command opens the database, and none knows how a server decides; the programs of old are
//! under `compat/`, and what they print is theirs.

pub mod compat;
mod input;
mod key_file;
pub mod output;
mod signals;
mod ssh;
