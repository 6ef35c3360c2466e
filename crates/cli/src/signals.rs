//! The signals that ask for the end.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use rustix::process::{Signal as Number, getpid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a terminal or a service manager ends a program with.
const ASKING: [Number; 4] = [Number::HUP, Number::INT, Number::QUIT, Number::TERM];

/// What else ends a program that does not catch it, signal(7). Of the others, `KILL` cannot be caught, `PIPE` is ignored
/// by every program in Rust, and `BUS`, `FPE`, `ILL` and `SEGV` are the program's own faults: it cannot go on.
const OTHERS: [Number; 13] = [
    Number::ABORT,
    Number::ALARM,
    Number::IO,
    Number::POWER,
    Number::PROF,
    Number::STKFLT,
    Number::SYS,
    Number::TRAP,
    Number::USR1,
    Number::USR2,
    Number::VTALARM,
    Number::XCPU,
    Number::XFSZ,
];

/// The real-time signals, which end a program as well.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Whether somebody puts something in order before the program stops: see [`Stops`].
static STOPS_ARE_TAKEN: AtomicBool = AtomicBool::new(false);

/// Catches everything that would end the program and can be caught, so that something can be put in order first. Once
/// caught they no longer end the program by themselves, even after this is dropped.
pub(crate) struct Signals {
    ends: Vec<(SignalKind, Signal)>,
    /// Caught by others, and so no longer stopping the program by themselves.
    stops: Signal,
    /// Whether stops were somebody else's when this was last looked at: one that is seen only now may be theirs still.
    were_taken: bool,
}

impl Signals {
    /// Catches them from now on. Must be called in a runtime.
    pub(crate) fn catch() -> io::Result<Self> {
        Self::catch_but(None)
    }

    /// The same, but for one that means something else to whoever catches it.
    pub(crate) fn catch_but(other: Option<Number>) -> io::Result<Self> {
        let mut caught = Vec::new();
        // What whoever started this had ignored stays ignored: `nohup`, and what a shell puts into the background.
        let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        let is_ours = |number: &Number| Some(*number) != other && ignored & (1 << (number.as_raw() - 1)) == 0;
        for number in ASKING.into_iter().filter(is_ours) {
            let kind = SignalKind::from_raw(number.as_raw());
            caught.push((kind, signal(kind)?));
        }
        // Not every system has all of these.
        for number in OTHERS.iter().map(|number| number.as_raw()).chain(REAL_TIME) {
            let kind = SignalKind::from_raw(number);
            caught.extend(signal(kind).map(|signal| (kind, signal)));
        }
        Ok(Self { ends: caught, stops: catch_stops()?, were_taken: false })
    }

    /// Waits for the next one. Stops the program when the terminal says so meanwhile.
    pub(crate) async fn next(&mut self) -> SignalKind {
        poll_fn(|context| {
            let are_taken = STOPS_ARE_TAKEN.load(Ordering::Relaxed);
            let theirs = mem::replace(&mut self.were_taken, are_taken) || are_taken;
            while let Poll::Ready(Some(())) = self.stops.poll_recv(context) {
                if !theirs {
                    stop();
                }
            }
            let came = self
                .ends
                .iter_mut()
                .find_map(|(kind, signal)| signal.poll_recv(context).is_ready().then_some(*kind));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// The signals that are ignored, a bit for each from the first one on, as proc(5) tells them; none where it does not.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// What a terminal stops a program with, for whoever has something to put in order before: it is theirs to stop.
pub(crate) struct Stops(Signal);

impl Stops {
    /// Takes them until this is dropped.
    pub(crate) fn take() -> io::Result<Self> {
        let stops = Self(catch_stops()?);
        STOPS_ARE_TAKEN.store(true, Ordering::Relaxed);
        Ok(stops)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

impl Drop for Stops {
    fn drop(&mut self) {
        STOPS_ARE_TAKEN.store(false, Ordering::Relaxed);
    }
}

fn catch_stops() -> io::Result<Signal> {
    signal(SignalKind::from_raw(Number::TSTP.as_raw()))
}

/// Stops the program until somebody lets it go on.
pub(crate) fn stop() {
    // Everybody may stop themselves.
    let _ = kill_process(getpid(), Number::STOP);
}

/// The same signal for another program, if it is one of those that ask for the end; otherwise the one that does.
pub(crate) fn for_another(kind: SignalKind) -> Number {
    ASKING.into_iter().find(|number| number.as_raw() == kind.as_raw_value()).unwrap_or(Number::TERM)
}

/// The exit code of a program that a signal ended, as shells tell it.
pub(crate) fn exit_code(signal: i32) -> u8 {
    u8::try_from(signal).map_or(u8::MAX, |number| number.saturating_add(128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ignored_is_known() {
        assert_eq!(ignored("Name:\ta\nSigIgn:\t0000000000001001\nSigCgt:\tff\n"), 0x1001);
        assert_eq!(ignored(""), 0);
    }
}
