//! Lines on their way to one writer, who takes all that have come at once.
//!
//! Waking somebody up costs more than making a line. So the writer is woken by the first line only, and then waits
//! [`LINGER`] for others, unless there is enough to write before. A thousand lines a second wake it a hundred times.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the writer waits for more lines after the first one.
const LINGER: Duration = Duration::from_millis(10);
/// So many bytes are enough to be written at once.
const ENOUGH_BYTES: usize = 65_536;

/// The end that lines are put in at. The last clone's end is the queue's.
#[derive(Debug, Clone)]
pub(super) struct Sender(Arc<Sending>);

/// The end that lines are taken out at.
#[derive(Debug)]
pub(super) struct Taker(Arc<Queue>);

/// Says that nobody puts in lines any more when it is dropped.
#[derive(Debug)]
struct Sending(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    comes: Condvar,
    lines_max: u64,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    text: String,
    lines: u64,
    /// Whether the writer sleeps until a first line comes.
    is_asleep: bool,
    /// Nobody puts in lines any more.
    is_ended: bool,
    /// Nobody takes them any more.
    is_abandoned: bool,
}

/// There is no place for a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A queue in which `lines_max` lines may wait, of `bytes_max` bytes with their ends.
pub(super) fn line_queue(lines_max: u64, bytes_max: usize) -> (Sender, Taker) {
    let queue = Arc::new(Queue { waiting: Mutex::default(), comes: Condvar::new(), lines_max, bytes_max });
    (Sender(Arc::new(Sending(queue.clone()))), Taker(queue))
}

impl Sender {
    /// Puts in a line, without its end. Never waits. What nobody takes any more is forgotten.
    pub(super) fn put(&self, line: &str) -> Result<(), Full> {
        let queue = &self.0.0;
        let mut waiting = queue.waiting();
        if waiting.is_abandoned {
            return Ok(());
        }
        let bytes = waiting.text.len().saturating_add(line.len() + 1);
        if waiting.lines >= queue.lines_max || bytes > queue.bytes_max {
            return Err(Full);
        }
        let was_enough = waiting.text.len() >= ENOUGH_BYTES;
        waiting.text.push_str(line);
        waiting.text.push('\n');
        waiting.lines += 1;
        let is_enough = waiting.text.len() >= ENOUGH_BYTES && !was_enough;
        let wakes = std::mem::take(&mut waiting.is_asleep) || is_enough;
        drop(waiting);
        if wakes {
            queue.comes.notify_one();
        }
        Ok(())
    }
}

impl Taker {
    /// Waits for lines, and puts all that have come into `text`, which it empties first. How many they are; 0 when
    /// there never will be any more.
    pub(super) fn take(&self, text: &mut String) -> u64 {
        text.clear();
        let mut waiting = self.0.waiting();
        while waiting.lines == 0 && !waiting.is_ended {
            waiting.is_asleep = true;
            waiting = self.0.comes.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.is_asleep = false;
        let may_wait = |waiting: &mut Waiting| !waiting.is_ended && waiting.text.len() < ENOUGH_BYTES;
        let waited = self.0.comes.wait_timeout_while(waiting, LINGER, may_wait);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.text, text);
        // After a rush the room for it is given back.
        waiting.text.shrink_to(4 * ENOUGH_BYTES);
        std::mem::take(&mut waiting.lines)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.waiting().is_ended = true;
        self.0.comes.notify_one();
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        *waiting = Waiting { is_abandoned: true, ..Waiting::default() };
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics under this lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_is_taken_at_once_and_in_order() {
        let (sender, taker) = line_queue(3, 100);
        let mut text = String::from("left over");
        for line in ["one", "two", "three"] {
            assert_eq!(sender.put(line), Ok(()));
        }
        assert_eq!(sender.put("four"), Err(Full));
        assert_eq!((taker.take(&mut text), text.as_str()), (3, "one\ntwo\nthree\n"));
        assert_eq!(sender.clone().put("five"), Ok(()), "there is room again");
        drop(sender);
        assert_eq!((taker.take(&mut text), text.as_str()), (1, "five\n"));
        assert_eq!((taker.take(&mut text), text.as_str()), (0, ""));
    }

    /// Who asks may make their lines long.
    #[test]
    fn long_lines_take_the_room_of_many() {
        let (sender, taker) = line_queue(100, 10);
        let mut text = String::new();
        assert_eq!(sender.put("12345678"), Ok(()));
        assert_eq!((sender.put("9"), sender.put("")), (Err(Full), Ok(())));
        assert_eq!((taker.take(&mut text), text.as_str()), (2, "12345678\n\n"));
        assert_eq!((sender.put("1234567890"), sender.put("123456789")), (Err(Full), Ok(())));
    }

    #[test]
    fn a_sleeping_writer_is_woken_by_a_line_and_by_the_end() {
        let (sender, taker) = line_queue(10, 100);
        let asleep = || taker.0.waiting().is_asleep;
        std::thread::scope(|threads| {
            let taken = threads.spawn(|| {
                let mut text = String::new();
                let first = (taker.take(&mut text), text.clone());
                (first, taker.take(&mut text))
            });
            while !asleep() {
                std::thread::yield_now();
            }
            sender.put("one").unwrap();
            while !asleep() {
                std::thread::yield_now();
            }
            drop(sender);
            assert_eq!(taken.join().unwrap(), ((1, "one\n".to_owned()), 0));
        });
    }

    #[test]
    fn lines_that_nobody_takes_are_forgotten() {
        let (sender, taker) = line_queue(1, 100);
        sender.put("one").unwrap();
        drop(taker);
        assert_eq!((sender.put("two"), sender.put("three")), (Ok(()), Ok(())));
        assert!(sender.0.0.waiting().text.is_empty());
    }
}
