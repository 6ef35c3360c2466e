//! The HTTP and HTTPS doors, and what is said through them.
//!
//! [`doors`] is everything about sockets, TLS, limits and the access log; [`app`] is what is behind them.
//!
//! **Invariant:** nothing in here decides; it parses, asks a room, and renders. Old dialects live under
//! `compat/` and nowhere else.

mod accept;
mod answers;
mod app;
mod backup_meters;
mod compat;
pub mod doors;
mod fault;
mod health;
mod proxies;
mod sharing;
mod signing_in;
mod token_meters;
mod v1;

#[cfg(feature = "fuzzing")]
pub use compat::caucase::fuzzing;
#[cfg(feature = "fuzzing")]
pub use compat::commissaire::fuzzing as fleet_fuzzing;

pub use app::{App, CacheApi, Entrance, PlainHttp, Presenters, Who, app, crl_addresses};
pub use backup_meters::BackupMeters;
pub use compat::caucase::sign_handovers;
pub use health::MetersFor;
pub use proxies::{Subnet, TrustedProxies};
pub use token_meters::TokenMeters;
pub use v1::openapi::text as openapi;
