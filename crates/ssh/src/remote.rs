//! What can be asked of a machine, whatever carries it there.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::session::within;
use crate::{Command, Error, HostKey, Output, Step, Target, Upload};

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

    /// Finds out whether anybody listens where the machine is, with as little as the transport can, at most as long as
    /// `limit`. For those who wait for a machine to come back: whether it lets them in, [`Remote::run`] shows.
    ///
    /// # Errors
    /// Nobody does, or not within `limit`: see [`Error`].
    fn knock<'a>(&'a self, target: &'a Target, limit: Duration) -> BoxFuture<'a, Result<(), Error>> {
        async move { within(&target.address, Step::Connect, limit, self.meet(target)).await?.map(drop) }
            .boxed()
    }

    /// Lets nobody new have the connection to the machine that is kept, if one is: it may be dead, and the machine not.
    fn forget(&self, _target: &Target) {}

    /// Closes the connections that nobody has used for long, where any are kept.
    fn close_idle(&self) {}

    /// Puts a file on the machine, all of it or nothing.
    ///
    /// # Errors
    /// As for [`Remote::run`], and [`Error::Upload`].
    fn put<'a>(&'a self, target: &'a Target, upload: &'a Upload) -> BoxFuture<'a, Result<(), Error>>;
}
