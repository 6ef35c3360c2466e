//! Words everyone uses: time, chance, secrets, hexadecimal, and what an error must tell.
//!
//! **Invariant:** nothing here waits, and nothing here knows a product noun. [`Clock`] and [`Entropy`]
//! are the only sources of time and chance in the program; both are made in `main` and passed down.

mod calendar;
mod digest;
mod entropy;
mod explain;
pub mod hex;
mod hide;
mod secret;
mod secret_name;
mod secret_text;
mod time;

pub use digest::{Sha512, Sha512Hasher, hmac_sha256, sha256};
pub use entropy::Entropy;
pub use explain::{Explain, Kind, report};
pub use hide::hide;
pub use secret::Secret;
pub use secret_name::names_a_secret;
pub use secret_text::tells_a_secret;
pub use time::{Clock, Span, Timestamp};
