//! Certificates on a host: its own trust store, Java's, and plain files (contract, section 9.4).
//!
//! ```text
//! OnHost, bundle ──► Aim ──► look()     what a host is asked           ──► host.sh ──► an answer
//!                            due(Seen)  what is to be done there, if anything; what somebody else changed
//!                                       what a host is told            ──► host.sh ──► an answer
//!                            judge(Seen)  whether it is as it is to be
//! ```
//! What is asked and told is text that `data/host.sh` reads there, and never a part of what its shell runs.
//!
//! In a trust store each certificate is a file of its own, `provost-FINGERPRINT` with the store's ending: by that name, and
//! no other, files are ours to replace and to remove. Which stores there are is in [`stores`](TRUST_STORES).
//!
//! A host is told all of what it is to have, each time: what this house put there before and is not in [`OnHost`] any more,
//! goes. So there is one [`OnHost`] and one bundle for a host.

mod aim;
mod amiss;
mod place;
mod seen;
mod stores;

pub use aim::{Aim, Drift, Due};
pub use amiss::{Amiss, Refused, Spot};
pub use place::{BadPlace, FilePlace, Keystore};
pub use seen::{NotSeen, Seen};
pub use stores::{TRUST_STORES, TrustStore};

/// What looks at a host and makes it as it is to be.
const SCRIPT: &str = include_str!("../../data/host.sh");
/// No line of what is asked or told is this one.
const INPUT_ENDS: &str = "---- provost: what is asked ends here ----";

/// What a POSIX `sh` on a host runs, as root, to be asked or told `input`, as [`Aim`] has it. It is as long as a bundle may
/// be, so it is to be sent, and no argument of a command.
#[must_use]
pub fn host_script(input: &str) -> String {
    format!("input() {{\ncat <<'{INPUT_ENDS}'\n{input}{INPUT_ENDS}\n}}\n{SCRIPT}")
}
/// The longest answer of a host, in bytes.
pub const HOST_ANSWER_BYTES_MAX: usize = 4 << 20;
/// How long the hook of one file may take, in seconds.
pub const HOOK_SECONDS: u64 = 60;
/// The most files on one host.
pub const FILES_MAX: usize = 16;

/// Where on a host certificates are to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnHost {
    /// In the trust store of its operating system.
    pub system_store: bool,
    /// In the keystore for all Java programs that the operating system makes of its trust store. Without
    /// [`OnHost::system_store`] this means nothing.
    pub java: bool,
    /// In these files; each once, and at most [`FILES_MAX`].
    pub files: Vec<FilePlace>,
}
