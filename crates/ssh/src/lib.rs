//! Runs commands and puts files on other machines, over SSH.
//!
//! ```text
//! Remote     what can be asked of a machine: meet it, run a command, put a file
//! Sessions   does so over SSH connections that are kept, shared and bounded
//! Target     whom to ask: address, user, key, the host key that is expected, the way there
//! UserKey    the key that signs in;   HostKey   the key that a machine proves
//! Command    what to run, and its bounds;   Output   what came of it
//! Upload     a file to put there
//! ```
//! Nothing has to be installed on the machine but an SSH server and a POSIX `sh` with `cat`, `chmod`, `chown`, `mv`, `rm`
//! and `wc`; `sudo` where the user is not root. Files travel through `cat`, so no SFTP server is needed, and sudo
//! works for them as for commands.
//!
//! **Invariant:** every wait has an end, and every buffer a bound, whatever the other side does. A secret is never
//! part of a command's arguments.

mod capture;
mod command;
mod error;
mod exec;
mod host_key;
mod judge;
mod line;
mod remote;
mod session;
mod sessions;
mod shell;
mod target;
mod upload;
mod user_key;

pub use capture::{Captured, Keep};
pub use command::{Command, End, Output};
pub use error::{Error, Step};
pub use host_key::{HostKey, HostKeyError};
pub use remote::Remote;
pub use session::listens;
pub use sessions::{Limits, Sessions, Settings};
pub use shell::quote;
pub use target::{Address, KnownKey, Target};
pub use upload::{Upload, UploadError};
pub use user_key::{KeyError, UserKey};
