//! The crate beside the `openssl` command: each reads what the other wrote.
//!
//! `openssl` must be in the path (3.0 was tried).

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod openssl;
#[cfg(test)]
mod ours;
#[cfg(test)]
mod robust;
#[cfg(test)]
mod statements;
