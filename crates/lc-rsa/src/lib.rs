//! What aws-lc can do with RSA and aws-lc-rs does not offer.
//!
//! ```text
//! pss.rs    verifies RSASSA-PSS with a salt of any length; aws-lc-rs has one length, fixed at compile time
//! sha1.rs   signs and verifies RSASSA-PKCS1-v1_5 with SHA-1, with keys of any size; aws-lc-rs signs with
//!           neither SHA-1 nor less than 2048 bits, and reads a key again for every verification
//! ```
//! SHA-1 and short keys are for one old format whose readers know nothing else (the artifact cache's
//! entries). They protect little; whoever uses them says so.
//!
//! **Invariant:** this is the only crate with `unsafe` code.

#![allow(unsafe_code)]

mod key;
mod pss;
mod sha1;

pub use pss::{Hash, verify_any_salt};
pub use sha1::{SigningKey, VerifyingKey};
