//! What a command that waits for others runs in.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::SignalKind;

use crate::signals::{self, Signals};

/// Runs `work` to its end. `unable` says that there is nothing to run it in.
pub(crate) fn block_on<T, E>(
    unable: impl FnOnce(io::Error) -> E,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unable)?;
    let ended = runtime.block_on(work);
    // Not for ever: something may still be reading standard input.
    runtime.shutdown_background();
    ended
}

/// Does `work`, in a runtime, until a signal asks for the end, which gives the exit code of a shell. What is dropped with
/// it puts its files in order. `unable` says that signals cannot be caught.
pub(crate) async fn until_signal<E>(
    unable: impl FnOnce(io::Error) -> E,
    work: impl Future<Output = Result<(), E>>,
) -> Result<ExitCode, E> {
    match ended_or_signal(unable, work).await? {
        Ended::Done(()) => Ok(ExitCode::SUCCESS),
        Ended::Signal(signal) => Ok(ExitCode::from(signals::exit_code(signal.as_raw_value()))),
    }
}

/// How work came to its end.
pub(crate) enum Ended<T> {
    /// By itself.
    Done(T),
    /// By a signal.
    Signal(SignalKind),
}

/// As [`until_signal`], for whoever has exit codes of their own.
pub(crate) async fn ended_or_signal<T, E>(
    unable: impl FnOnce(io::Error) -> E,
    work: impl Future<Output = Result<T, E>>,
) -> Result<Ended<T>, E> {
    let mut signals = Signals::catch().map_err(unable)?;
    tokio::select! {
        ended = work => ended.map(Ended::Done),
        signal = signals.next() => Ok(Ended::Signal(signal)),
    }
}
