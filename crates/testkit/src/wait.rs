//! Waiting for something to become true.

use std::time::{Duration, Instant};

/// How long anything is waited for. Far more than it takes; a test that needs it all has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(20);

/// What `look` finds, as soon as it finds something. `what` says what did not happen when it never does.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited in vain for {what}");
        std::thread::park_timeout(PAUSE);
    }
}

/// Waits until `is_so`.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}
