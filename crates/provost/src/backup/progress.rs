//! How far it is, on a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often it is said.
const EACH: Duration = Duration::from_millis(200);

/// A line that is written over. Nothing where nobody looks.
pub struct Progress {
    last: Option<Instant>,
    is_begun: bool,
}

impl Progress {
    pub fn new() -> Self {
        Self { last: io::stderr().is_terminal().then(Instant::now), is_begun: false }
    }

    /// Says what `line` gives, unless something was said just now.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.last.is_some_and(|last| last.elapsed() >= EACH) {
            self.last = Some(Instant::now());
            self.is_begun = true;
            let _ = io::stderr().lock().write_all(format!("\r\x1b[K{}", line()).as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_begun {
            let _ = io::stderr().lock().write_all(b"\r\x1b[K");
        }
    }
}
