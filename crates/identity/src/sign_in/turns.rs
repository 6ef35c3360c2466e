//! Who may look at a password or ask another server now, who waits, and who has to come back later.
//!
//! Turns go round by source, so that whoever asks a great deal waits for themselves and not others for them. One
//! source has at most half of the turns at once, and whoever guesses at one user one of them. Those who come from
//! where nothing wrong came from go first. When all places to wait are taken, the longest line gives one up.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;

/// How many wait for their turn before somebody is turned away.
const WAITING_MAX: usize = 1_024;
/// How many of them come from one source.
const WAITING_OF_SOURCE_MAX: usize = 32;

/// A bounded number of turns at once, and a bounded queue for them. Clones have the same.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Queue>);

/// Who has a turn, or waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    /// Where they come from.
    pub(crate) source: IpAddr,
    /// Whose password they offer. Nothing when it is not such as one guesses.
    pub(crate) user: Option<u64>,
}

/// Somebody's turn, until its last clone is dropped. One goes where the work goes: when whoever waited for the work
/// hangs up, the turn lasts as long as the work does.
#[derive(Clone)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not looked at")] Arc<Held>);

struct Held {
    queue: Arc<Queue>,
    who: Who,
}

struct Queue {
    at_once: usize,
    waiting_max: usize,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    running: Vec<Who>,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    who: Who,
    is_suspect: bool,
    turn: oneshot::Sender<Turn>,
}

impl Turns {
    /// At most `at_once` turns, at least one.
    pub(crate) fn new(at_once: usize) -> Self {
        let line = Mutex::default();
        Self(Arc::new(Queue { at_once: at_once.max(1), waiting_max: WAITING_MAX, line }))
    }

    /// Waits for a turn; nothing when too many wait already.
    pub(crate) async fn take(&self, who: Who, is_suspect: bool) -> Option<Turn> {
        let turn = self.0.enter(who, is_suspect)?;
        Queue::go_on(&self.0);
        // Nobody sends one to who has to make room for others.
        turn.await.ok()
    }
}

impl Queue {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, who: Who, is_suspect: bool) -> Option<oneshot::Receiver<Turn>> {
        let mut line = self.line();
        line.waiting.retain(|waiting| !waiting.turn.is_canceled());
        let of_source = line.waiting.iter().filter(|waiting| waiting.who.source == who.source).count();
        if of_source >= WAITING_OF_SOURCE_MAX {
            return None;
        }
        if line.waiting.len() >= self.waiting_max {
            line.shorten(of_source + 1)?;
        }
        let (turn, receiver) = oneshot::channel();
        line.waiting.push_back(Waiting { who, is_suspect, turn });
        Some(receiver)
    }

    /// Gives turns to those who may have one.
    fn go_on(queue: &Arc<Self>) {
        loop {
            let next = queue.line().next(queue.at_once);
            let Some(next) = next else { return };
            let held = Held { queue: queue.clone(), who: next.who };
            // Whoever has hung up meanwhile gives it back by that.
            let _ = next.turn.send(Turn(Arc::new(held)));
        }
    }
}

impl Line {
    /// Who is next, when somebody is.
    fn next(&mut self, at_once: usize) -> Option<Waiting> {
        if self.running.len() >= at_once {
            return None;
        }
        self.waiting.retain(|waiting| !waiting.turn.is_canceled());
        let may = |waiting: &Waiting| {
            let of_source = self.running.iter().filter(|who| who.source == waiting.who.source);
            let is_same = |who: &Who| who.user.is_some() && *who == waiting.who;
            of_source.count() < at_once.div_ceil(2) && !self.running.iter().any(is_same)
        };
        let unsuspected = self.waiting.iter().position(|waiting| !waiting.is_suspect && may(waiting));
        let next = unsuspected.or_else(|| self.waiting.iter().position(may))?;
        let next = self.waiting.remove(next)?;
        self.running.push(next.who);
        // The others from there let everybody else go first.
        let (of_source, others) =
            self.waiting.drain(..).partition::<Vec<_>, _>(|waiting| waiting.who.source == next.who.source);
        self.waiting = others.into_iter().chain(of_source).collect();
        Some(next)
    }

    /// Takes the last one out of the line of the source of which most wait, if those are more than `than`.
    fn shorten(&mut self, than: usize) -> Option<()> {
        let mut lengths: HashMap<IpAddr, usize> = HashMap::new();
        for waiting in &self.waiting {
            *lengths.entry(waiting.who.source).or_default() += 1;
        }
        let (longest, length) = lengths.into_iter().max_by_key(|(_, length)| *length)?;
        let last = self.waiting.iter().rposition(|waiting| waiting.who.source == longest)?;
        (length > than).then(|| self.waiting.remove(last)).map(drop)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut line = self.queue.line();
        if let Some(own) = line.running.iter().position(|who| *who == self.who) {
            line.running.swap_remove(own);
        }
        drop(line);
        Queue::go_on(&self.queue);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt as _;

    use super::*;

    fn who(source: u8, user: u64) -> Who {
        Who { source: IpAddr::from([192, 0, 2, source]), user: Some(user) }
    }

    type Taking<'a> = Pin<Box<dyn Future<Output = Option<Turn>> + 'a>>;

    /// Somebody who has begun to wait.
    fn wait(turns: &Turns, who: Who, is_suspect: bool) -> Taking<'_> {
        let mut taking: Taking<'_> = Box::pin(turns.take(who, is_suspect));
        assert!(taking.as_mut().now_or_never().is_none(), "{who:?} waits");
        taking
    }

    #[test]
    fn turns_go_round_by_source() {
        let turns = Turns::new(1);
        let mut held = turns.take(who(1, 0), false).now_or_never().flatten();
        assert!(held.is_some());
        let mut waiting = Vec::new();
        for (name, source, is_suspect) in [
            ("1a", 1, false),
            ("1b", 1, false),
            ("9", 9, true),
            ("1c", 1, false),
            ("2a", 2, false),
            ("2b", 2, false),
        ] {
            waiting.push((name, wait(&turns, who(source, waiting.len() as u64 + 1), is_suspect)));
        }
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(held.take());
            let next = waiting
                .iter_mut()
                .enumerate()
                .find_map(|(place, (_, taking))| Some((place, taking.as_mut().now_or_never()?)));
            let (place, turn) = next.expect("somebody has a turn");
            held = turn;
            order.push(waiting.remove(place).0);
        }
        assert_eq!(order, ["1a", "2a", "1b", "2b", "1c", "9"]);
    }

    #[test]
    fn nobody_has_all_turns_nor_two_guesses_at_one_user() {
        let turns = Turns::new(4);
        let first = turns.take(who(1, 1), false).now_or_never().flatten();
        assert!(first.is_some());
        let mut again = wait(&turns, who(1, 1), false);
        let second = turns.take(who(1, 2), false).now_or_never().flatten();
        let third = wait(&turns, who(1, 3), false);
        let other = turns.take(who(2, 1), false).now_or_never().flatten();
        assert!(second.is_some() && other.is_some());
        drop(third);
        drop(first);
        assert!(again.as_mut().now_or_never().flatten().is_some());
        // What nobody guesses is not held up by its like.
        let token = Who { user: None, ..who(3, 0) };
        let tokens = [(), ()].map(|()| turns.take(token, false).now_or_never().flatten());
        assert!(tokens.iter().all(Option::is_some));
    }

    #[test]
    fn the_longest_line_makes_room() {
        let queue = Queue { at_once: 1, waiting_max: 3, line: Mutex::default() };
        let turns = Turns(Arc::new(queue));
        let held = turns.take(who(1, 0), false).now_or_never().flatten();
        let mut greedy: Vec<_> = (1..4).map(|user| wait(&turns, who(1, user), false)).collect();
        assert!(matches!(turns.take(who(1, 9), false).now_or_never(), Some(None)), "no place left for more");
        let mut fresh = wait(&turns, who(2, 1), false);
        assert!(matches!(greedy[2].as_mut().now_or_never(), Some(None)), "who came last");
        drop(held);
        drop(greedy.remove(0).now_or_never());
        assert!(fresh.as_mut().now_or_never().flatten().is_some());
    }

    #[test]
    fn one_source_has_few_places_and_who_hangs_up_gives_theirs_back() {
        let turns = Turns::new(1);
        let held = turns.take(who(1, 0), false).now_or_never().flatten();
        let line: Vec<_> =
            (1..=WAITING_OF_SOURCE_MAX as u64).map(|user| wait(&turns, who(1, user), false)).collect();
        assert!(matches!(turns.take(who(1, 99), false).now_or_never(), Some(None)));
        drop(line);
        let mut next = wait(&turns, who(1, 99), false);
        drop(held);
        assert!(next.as_mut().now_or_never().flatten().is_some());
    }
}
