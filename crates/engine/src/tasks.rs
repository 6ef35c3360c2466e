//! Who works in the background, and how all of it comes to an end.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Says when it is time to stop. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// A stop that nobody has asked for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to stop. Asking again changes nothing.
    pub fn ask(&self) {
        self.0.cancel();
    }

    /// Whether stopping was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.is_cancelled()
    }

    /// A stop of its own for a part of the work, which is asked when this one is.
    #[must_use]
    pub fn part(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Waits until stopping is asked for.
    pub async fn asked(&self) {
        self.0.cancelled().await;
    }
}

/// Everything that runs beside `main`. The one place that spawns; what it spawned, it awaits.
/// Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// Nobody works yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` beside the caller, until it ends by itself.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.0.track_future(work))
    }

    /// Runs `work` to its end also when the caller goes away: what has begun to change the store must
    /// not stop halfway because a client hung up.
    ///
    /// # Panics
    /// When `work` panics.
    pub async fn complete<F>(&self, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        output(self.spawn(work).await)
    }

    /// Runs `work` where it may block or compute for long.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        output(self.0.spawn_blocking(work).await)
    }

    /// As [`Self::compute`], for what may stand still for ever: [`Self::drain`] does not wait for it, but for those who
    /// wait for it here.
    pub async fn compute_aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        output(tokio::task::spawn_blocking(work).await)
    }

    /// Waits until everyone is done, at most `deadline`. Whether everyone was.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.0.close();
        tokio::time::timeout(deadline, self.0.wait()).await.is_ok()
    }

    /// How many tasks run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.len()
    }
}

/// What came of a task; its panic goes on in whoever waited for it.
fn output<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(output) => output,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("nothing aborts these tasks, and the runtime outlives them"),
        },
    }
}
