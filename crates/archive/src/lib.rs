//! One file that holds many: written in one go, read in one go, in bounded memory, and checked from its first byte to its
//! last.
//!
//! ```text
//! age (if it is encrypted) ─► tar ─► part, part, …, end.json
//! ```
//! - [`tar`]: each part's header is the only one that its name and length can have, so that there is nothing in it to
//!   misread: no links, no owners, no other kinds.
//! - [`mod@write`], [`read`]: the last part holds the SHA-512 of all that is before it. Whoever has not come to that has
//!   read nothing yet.
//! - [`record`]: records under keys, a line each.
//! - [`age`]: the format of the program `age`, so that a file can be opened without this program.
//!
//! **Invariant:** no input makes it panic or take more memory than one chunk and one part's promise; whatever is not
//! exactly what would have been written is refused.

pub mod age;
pub mod read;
pub mod record;
pub mod tar;
pub mod write;

/// The name of the last part.
pub const END: &str = "end.json";
