//! Blobs: bytes of any size under the name that their SHA-512 is.
//!
//! ```text
//! stage ──► write, write, … ──► keep: durable, and visible under its digest ──► open, from any place
//!   └──── dropped: nothing of it is left          remove, set_aside: no longer ◄──┘
//! ```
//! Three engines: a directory ([`Local`], the default), a bucket of an S3-compatible object store (`S3`, a feature) and
//! memory ([`Memory`], for tests); one suite for all (`conformance`).
//!
//! **Invariant:** nobody sees an object before all its bytes are there and durable, nobody is told that it is kept before
//! its name is durable too, and no name is made of anything but a digest.
//! However large an object is, an engine holds no more of it in memory than a few chunks ([`CHUNK_BYTES`]), or
//! parts of an upload.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod contract;
mod local;
mod memory;
#[cfg(feature = "s3")]
mod s3;

pub use contract::{Blob, Blobs, CHUNK_BYTES, Error, Found, Kept, LIST_MAX, SoFar, Source, Staged};
pub use local::{Local, LocalLook, OpenError};
pub use memory::{Call, Memory};
#[cfg(feature = "s3")]
pub use s3::{ConnectError, S3, S3Addressing, S3Key, S3KeySource, S3Settings};
