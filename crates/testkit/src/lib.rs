//! For tests only: houses to start, and other people's programs to try them with.
//!
//! ```text
//! House      the program under test, by either of its names, in a directory of its own
//! Caucase    the stock clients of the certificate authority, from PyPI
//! openssl    the command
//! http       a client that presents certificates; exchange: one that says any bytes
//! StandIn    a service that cannot be run here: Keystone, Kubernetes; they follow what is published of its API
//! ```
//! Nothing here sleeps for a fixed time: what must happen is waited for, within [`LIMIT`]. Whatever goes
//! wrong panics and says what the other side said; a witness that is not installed fails the test that
//! needs it, and says how to install it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod caucase;
mod exchange;
mod house;
pub mod http;
mod keystone;
mod kubernetes;
mod openssl;
mod ports;
mod process;
mod stand_in;
mod wait;
mod witness;

pub use caucase::Caucase;
pub use exchange::{Answer, Line, exchange};
pub use house::{Face, House, Plan};
pub use keystone::Keystone;
pub use kubernetes::Kubernetes;
pub use openssl::{key_and_request, openssl, openssl_ok, openssl_with_input};
pub use ports::free_pair;
pub use process::{Process, Ran, run};
pub use stand_in::{Asked, Reply, StandIn};
pub use wait::{LIMIT, wait_for, wait_until};
pub use witness::witness;
