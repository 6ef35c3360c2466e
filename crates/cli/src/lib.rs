//! Commands: what an operator types, and what comes back.
//!
//! ```text
//! fleet ──► host, cluster, network, container_manager ──► session ──► client
//!                        │                                   ▲
//!                        ▼                                   └ connection: which server, and who asks; client_file
//!                       view ──► shown, table
//! ca ──► holder, client::compat::caucase, x509
//! cache ──► connection, client::networkcache, entry
//! trust ──► session, x509, kept_file, hook
//! holder ──► x509, kept_file: what a certificate's holder has on disk
//! ```
//! Data goes to standard output, narration to standard error. What a command asks a server for, it asks
//! through `client`, like anybody else.
//!
//! **Invariant:** no command opens the database, and none knows how a server decides; the programs of old are
//! under `compat/`, and what they print is theirs.

mod archive;
pub mod ca;
pub mod cache;
mod client_file;
mod cluster;
pub mod compat;
mod connection;
mod container_manager;
mod definition;
mod durable;
mod duration;
mod error;
pub mod fleet;
mod holder;
mod hook;
mod host;
mod input;
mod kept_file;
mod key_file;
mod network;
mod operation;
mod options;
pub mod output;
mod private_file;
mod progress;
mod rolling;
mod running;
mod screen;
mod session;
mod shown;
mod signals;
mod ssh;
mod table;
pub mod trust;
mod view;

pub use client_file::for_this_machine as client_file_for_this_machine;
pub use connection::{FILE as CLIENT_FILE, VARIABLES};
