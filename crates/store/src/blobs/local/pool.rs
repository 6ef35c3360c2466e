//! Threads for what waits for a disk: as many as are busy, up to a limit; idle ones end.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;

/// How long a thread stays that has nothing to do.
const IDLE: Duration = Duration::from_secs(10);
/// For each thread. The deepest thing it does is to hash.
const STACK_BYTES: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run jobs in the order they came, several at a time. Dropping it lets what is queued be done.
pub(in crate::blobs) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    threads_max: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Nothing more is taken.
    closed: bool,
    /// Told when there is neither a thread nor a job left.
    over: Vec<oneshot::Sender<()>>,
}

impl Pool {
    /// A pool of at most so many threads, whose first is started here.
    ///
    /// # Errors
    /// The system's, when it gives no thread.
    pub(in crate::blobs) fn new(name: &'static str, threads_max: usize) -> std::io::Result<Self> {
        let state = State { threads: 1, ..State::default() };
        let shared = Arc::new(Shared { name, threads_max, state: Mutex::new(state), wake: Condvar::new() });
        start(&shared)?;
        Ok(Self { shared })
    }

    /// Has `job` done. Gives it back when the pool is closed.
    pub(in crate::blobs) fn run<J: FnOnce() + Send + 'static>(&self, job: J) -> Result<(), J> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(job);
        }
        state.queue.push_back(Box::new(job));
        if state.idle >= state.queue.len() || state.threads >= self.shared.threads_max {
            drop(state);
            self.shared.wake.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        // The first thread stays as long as the pool: without another one it only takes longer.
        if let Err(error) = start(&self.shared) {
            tracing::warn!(%error, pool = self.shared.name, "no further thread could be started");
            self.shared.state().threads -= 1;
        }
        Ok(())
    }

    /// Takes nothing more. What comes back ends once all that was taken is done.
    pub(super) fn close(&self) -> oneshot::Receiver<()> {
        let (over, ended) = oneshot::channel();
        let mut state = self.shared.state();
        state.closed = true;
        if state.threads > 0 {
            state.over.push(over);
        }
        drop(state);
        self.shared.wake.notify_all();
        ended
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock: jobs run outside it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` when the thread is to end, which is counted then.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (again, waited) = self.wake.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = again;
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() && state.threads > 1 {
                break;
            }
        }
        state.threads -= 1;
        if state.threads == 0 {
            // Dropping them is how the end is told.
            state.over.clear();
        }
        None
    }
}

fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name(shared.name.into()).stack_size(STACK_BYTES);
    thread.spawn(move || {
        while let Some(job) = shared.next() {
            // A job that panics has told so, and whoever waits for it sees that it is gone; the others go on.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_executor::block_on;

    use super::*;

    #[test]
    fn as_many_at_once_as_it_has_threads() {
        let pool = Pool::new("test", 3).unwrap();
        let (begun, beginnings) = mpsc::channel();
        let mut gates = Vec::new();
        for number in 0..5 {
            let begun = begun.clone();
            let (gate, wait) = mpsc::channel::<()>();
            gates.push(gate);
            let job = move || {
                begun.send(number).unwrap();
                // Ends when the gate is dropped.
                let _ = wait.recv();
            };
            assert!(pool.run(job).is_ok());
        }
        let limit = Duration::from_secs(10);
        let mut first: Vec<i32> = (0..3).map(|_| beginnings.recv_timeout(limit).unwrap()).collect();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2]);
        assert!(beginnings.try_recv().is_err());
        gates.remove(0);
        assert_eq!(beginnings.recv_timeout(limit), Ok(3));
        let ended = pool.close();
        assert!(pool.run(|| ()).is_err());
        gates.clear();
        assert!(block_on(ended).is_err());
        assert_eq!(beginnings.recv_timeout(limit), Ok(4), "what was taken is done");
        assert!(block_on(pool.close()).is_err(), "closing again is nothing");
    }

    #[test]
    fn a_job_that_panics_takes_no_thread_along() {
        let pool = Pool::new("test", 1).unwrap();
        let (done, told) = oneshot::channel();
        assert!(pool.run(|| panic!("as the test has it")).is_ok());
        assert!(pool.run(move || done.send(()).unwrap()).is_ok());
        assert_eq!(block_on(told), Ok(()));
    }
}
