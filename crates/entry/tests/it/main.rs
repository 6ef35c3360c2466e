//! The crate beside the real Python and the `openssl` command: what `json` reads and writes, how its values compare, and
//! what others make of our signatures.
//!
//! `/usr/bin/python3` (3.11 was tried) and `openssl` (3.0) must be there.

#[cfg(test)]
mod openssl;
#[cfg(test)]
mod python;
