//! What can be asked of a machine, whatever carries it there.

use futures_util::future::BoxFuture;

use crate::{Command, Error, HostKey, Output, Target, Upload};

/// Carries commands and files to machines. [`Sessions`](crate::Sessions) does so over SSH.
///
/// A future that is dropped leaves nothing behind here; whether the command has begun there, nobody knows, and it may
/// run on there until its deadline.
pub trait Remote: Send + Sync {
    /// Gets in, and gives the host key that the machine proved; to be pinned at the first meeting.
    ///
    /// # Errors
    /// Whatever keeps it from getting in: see [`Error`].
    fn meet<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>>;

    /// Runs `command`. That it exits with another status than 0 is no error here.
    ///
    /// # Errors
    /// It could not be begun, or was not seen to end: see [`Error`], and [`Error::may_have_begun`].
    fn run<'a>(&'a self, target: &'a Target, command: &'a Command) -> BoxFuture<'a, Result<Output, Error>>;

    /// Puts a file on the machine, all of it or nothing.
    ///
    /// # Errors
    /// As for [`Remote::run`], and [`Error::Upload`].
    fn put<'a>(&'a self, target: &'a Target, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>>;
}
