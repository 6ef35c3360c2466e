//! How far a command is with its transfers: one line on standard error, painted anew while it lasts, on a terminal only.
//!
//! ```text
//! [########............] 3 of 10 files, 120.0 MiB of 1.2 GiB, 35.0 MiB/s, 0:31 left
//! ```

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use client::networkcache::Sent;
use tokio::time::Instant;

use crate::screen::narration_size;
use crate::table::cut;

/// How often the line is painted.
const PERIOD: Duration = Duration::from_millis(200);
/// Over how many paintings the rate is taken: five seconds.
const SAMPLES: usize = 25;
/// Goes to the beginning of a terminal's line, and clears it (ECMA-48, EL).
const AGAIN: &str = "\r\u{1b}[K";
/// How many characters a bar has.
const BAR: u64 = 20;

/// What all transfers of a command have done. Bytes are those of the files, and come once for each.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    files: Cell<u64>,
    files_done: Cell<u64>,
    bytes: Cell<u64>,
    bytes_done: Cell<u64>,
    /// What is being sent, by a number of its own.
    sending: RefCell<BTreeMap<u64, Sent>>,
    number: Cell<u64>,
    is_painted: Cell<bool>,
}

impl Meter {
    /// So many files are to be moved.
    pub(crate) fn begin(&self, files: usize) {
        self.files.set(files as u64);
    }

    /// Takes the line away, for whoever writes something.
    pub(crate) fn clear(&self) {
        if self.is_painted.replace(false) {
            paint("");
        }
    }

    /// So many bytes more are to be moved.
    pub(crate) fn expect(&self, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// So many bytes were moved, or need not be.
    pub(crate) fn moved(&self, bytes: u64) {
        self.bytes_done.set(self.bytes_done.get() + bytes);
    }

    /// A file is done.
    pub(crate) fn done(&self) {
        self.files_done.set(self.files_done.get() + 1);
    }

    /// Counts what `sent` says while `work` lasts; what was sent is not counted any more afterwards.
    pub(crate) async fn sending<T>(&self, sent: &Sent, work: impl Future<Output = T>) -> T {
        let number = self.number.get();
        self.number.set(number + 1);
        self.sending.borrow_mut().insert(number, sent.clone());
        let result = work.await;
        self.sending.borrow_mut().remove(&number);
        result
    }

    /// How often what is being sent was cut off.
    fn cuts(&self) -> u64 {
        self.sending.borrow().values().map(Sent::cuts).sum()
    }

    fn bytes_done(&self) -> u64 {
        self.bytes_done.get() + self.sending.borrow().values().map(Sent::bytes).sum::<u64>()
    }

    /// Paints while `work` lasts.
    pub(crate) async fn painted<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if !io::stderr().is_terminal() {
            return work.await;
        }
        // Once at least: a timer that is due now is looked at a moment later, and the work may be over by then.
        let begun = Instant::now();
        let mut ticks = tokio::time::interval_at(begun + PERIOD, PERIOD);
        let mut samples: VecDeque<(Instant, u64)> = VecDeque::new();
        let mut paint_at = |now| {
            samples.push_back((now, self.bytes_done()));
            if samples.len() > SAMPLES {
                samples.pop_front();
            }
            let columns = narration_size().map(|size| size.columns);
            // A line as wide as the terminal would go on in the next one.
            self.is_painted.set(true);
            paint(&cut(&self.line(rate(&samples)), columns.map(|columns| columns.saturating_sub(1))));
        };
        paint_at(begun);
        loop {
            tokio::select! {
                result = &mut work => {
                    self.clear();
                    return result;
                }
                now = ticks.tick() => paint_at(now),
            }
        }
    }

    fn line(&self, rate: Option<u64>) -> String {
        let (done, bytes) = (self.bytes_done(), self.bytes.get());
        let mut text = format!(
            "{} {} of {} files, {} of {}",
            bar(done, bytes),
            self.files_done.get(),
            self.files.get(),
            shown(done),
            shown(bytes)
        );
        if let Some(rate) = rate {
            text += &format!(", {}/s", shown(rate));
            if let Some(seconds) = bytes.saturating_sub(done).checked_div(rate) {
                text += &format!(", {} left", clock(seconds));
            }
        }
        match self.cuts() {
            0 => {}
            1 => text += ", cut off once",
            cuts => text += &format!(", cut off {cuts} times"),
        }
        text
    }
}

/// A line that says something else from time to time, on a terminal only. It is taken away when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Line {
    is_painted: bool,
}

impl Line {
    /// Says this.
    pub(crate) fn says(&mut self, text: &str) {
        if io::stderr().is_terminal() {
            self.is_painted = true;
            let columns = narration_size().map(|size| size.columns);
            paint(&cut(text, columns.map(|columns| columns.saturating_sub(1))));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_painted {
            paint("");
        }
    }
}

fn paint(line: &str) {
    // Where nobody looks, nothing is lost.
    let _ = io::stderr().lock().write_all(format!("{AGAIN}{line}").as_bytes());
}

/// Bytes in a second, as far as that can be told.
fn rate(samples: &VecDeque<(Instant, u64)>) -> Option<u64> {
    let ((since, before), (until, now)) = (samples.front()?, samples.back()?);
    let milliseconds = u64::try_from(until.duration_since(*since).as_millis()).ok()?;
    now.saturating_sub(*before).saturating_mul(1000).checked_div(milliseconds)
}

/// How much of something is done, as a bar.
pub(crate) fn bar(done: u64, of: u64) -> String {
    let full =
        u64::try_from(u128::from(done.min(of)) * u128::from(BAR) / u128::from(of.max(1))).unwrap_or(BAR);
    let part = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or_default());
    format!("[{}{}]", part("#", full), part(".", BAR - full))
}

/// So many bytes, for people: `999 B`, `1.5 KiB`.
pub(crate) fn shown(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        // From here on it would be written as 1024.0.
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

/// `0:05`, `59:59`, `1:00:00`.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes}:{seconds:02}") } else { format!("{hours}:{minutes:02}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_shortly() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(shown(bytes), expected);
        }
        for (seconds, expected) in [(0, "0:00"), (65, "1:05"), (3599, "59:59"), (3600, "1:00:00")] {
            assert_eq!(clock(seconds), expected);
        }
    }

    #[test]
    fn the_line_says_how_far_it_is() {
        let meter = Meter::default();
        meter.begin(3);
        assert_eq!(meter.line(None), "[....................] 0 of 3 files, 0 B of 0 B");
        meter.expect(4096);
        meter.moved(1024);
        meter.done();
        let expected = "[#####...............] 1 of 3 files, 1.0 KiB of 4.0 KiB";
        assert_eq!(meter.line(Some(1024)), format!("{expected}, 1.0 KiB/s, 0:03 left"));
        assert_eq!(meter.line(Some(0)), format!("{expected}, 0 B/s"));
        let start = Instant::now();
        let at = |seconds: u64, bytes: u64| (start + Duration::from_secs(seconds), bytes);
        for (samples, expected) in [
            (vec![], None),
            (vec![at(0, 5)], None),
            (vec![at(0, 0), at(1, 50), at(4, 100)], Some(25)),
            (vec![at(0, 100), at(2, 0)], Some(0)),
        ] {
            assert_eq!(rate(&samples.into()), expected);
        }
        assert_eq!(bar(u64::MAX, u64::MAX), format!("[{}]", "#".repeat(20)));
    }
}
