//! Stands before a method that compares passwords or asks another server: remembers, queues, slows.
//!
//! Who asks what somebody else is just asking hears the same answer: a hundred machines that start with one password
//! are one comparison.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

#[cfg(feature = "basic")]
use base::Entropy;
use base::{Clock, Timestamp};

use super::attempt::Attempt;
use super::cache::{Cache, CacheKey};
use super::method::{Known, Verdict};
use super::offer::Offer;
use super::throttle::{self, Guesser, Throttle};
use super::turns::{Turn, Turns, Who};

/// What those are told for whom there is no place in the queue.
const COME_BACK_IN: Duration = Duration::from_secs(2);

/// One method's guard.
pub(crate) struct Guard {
    clock: Clock,
    cache: Arc<Cache>,
    turns: Turns,
    throttle: Option<Arc<Throttle>>,
    questions: Mutex<HashMap<CacheKey, Weak<Question>>>,
}

/// Where somebody is remembered.
#[cfg(feature = "basic")]
pub(crate) struct Trace {
    key: CacheKey,
    /// The name as the throttle has it, when there is one.
    user: Option<u64>,
}

/// Something that is being found out. Whoever holds the lock does; the others wait for what is found.
type Question = async_lock::Mutex<Option<Answer>>;

/// What was found, for those who asked at the same time.
#[derive(Clone)]
struct Answer {
    finding: Finding,
    /// From where it was asked.
    source: IpAddr,
}

#[derive(Clone)]
enum Finding {
    Known(Arc<Known>),
    Wrong,
    #[cfg(feature = "services")]
    Nothing,
    #[cfg(feature = "services")]
    Unavailable,
}

/// What a method found when it looked.
pub(crate) enum Found {
    /// Somebody, and until when at most that may be remembered, when that is known.
    Known(Known, Option<Timestamp>),
    /// Nobody: what was offered is wrong.
    Nobody,
    /// Somebody who has no role here.
    #[cfg(feature = "services")]
    Stranger,
    /// It was asked, and did not say. The method has logged why.
    #[cfg(feature = "services")]
    Unknown,
    /// It could not be asked. The method has logged why.
    #[cfg(feature = "services")]
    Unavailable,
}

impl Guard {
    /// Remembers in `cache`, lets look whose turn it is, and slows guesses by `throttle`, when they are such as one
    /// guesses.
    pub(crate) fn new(
        cache: Arc<Cache>,
        turns: Turns,
        throttle: Option<Arc<Throttle>>,
        clock: &Clock,
    ) -> Self {
        Self { clock: clock.clone(), cache, turns, throttle, questions: Mutex::default() }
    }

    /// The same turns for those who are not to be known from others: their guesses are counted by themselves, and nobody
    /// is remembered.
    #[cfg(feature = "basic")]
    pub(crate) fn of_strangers(&self, entropy: &Entropy) -> Self {
        Self {
            clock: self.clock.clone(),
            cache: Arc::new(Cache::new(0, entropy)),
            turns: self.turns.clone(),
            throttle: Some(Arc::new(Throttle::new())),
            questions: Mutex::default(),
        }
    }

    /// The key for a finding that depends on `parts`: see [`Cache::key`].
    pub(crate) fn key(&self, parts: &[&[u8]]) -> CacheKey {
        self.cache.key(parts)
    }

    /// What is remembered under `key`, or else what `look` finds when it is its turn. The turn has to be kept until
    /// the work is over.
    pub(crate) async fn judge<F>(
        &self,
        attempt: &Attempt<'_>,
        offer: &Offer,
        key: CacheKey,
        look: impl FnOnce(Turn) -> F,
    ) -> Verdict
    where
        F: Future<Output = Found>,
    {
        let source = attempt.counted_at();
        let guesser = self.throttle.as_ref().map(|throttle| throttle.guesser(source, offer.user()));
        if let Some(verdict) = self.at_once(guesser, offer.is_counted(), &key) {
            return verdict;
        }
        let question = self.question(key);
        let mut answer = question.lock().await;
        // While we waited, many wrong ones may have come from the same source.
        if let Some(verdict) = self.at_once(guesser, offer.is_counted(), &key) {
            return verdict;
        }
        let source = throttle::source(source);
        if let Some(answer) = &*answer {
            if matches!(answer.finding, Finding::Wrong) && answer.source != source {
                self.was_wrong(guesser, offer);
            }
            return self.verdict(&answer.finding, guesser);
        }
        let who = Who { source, user: guesser.map(|guesser| guesser.user) };
        let Some(turn) = self.turns.take(who, self.suspects(guesser)).await else {
            return Verdict::Busy(COME_BACK_IN);
        };
        if let Some(verdict) = self.at_once(guesser, offer.is_counted(), &key) {
            return verdict;
        }
        let finding = match look(turn.clone()).await {
            Found::Known(known, end) => {
                let known = Arc::new(known);
                self.cache.remember(key, &known, self.clock.now(), end);
                Finding::Known(known)
            }
            Found::Nobody => {
                self.was_wrong(guesser, offer);
                Finding::Wrong
            }
            #[cfg(feature = "services")]
            Found::Stranger | Found::Unknown => Finding::Nothing,
            #[cfg(feature = "services")]
            Found::Unavailable => Finding::Unavailable,
        };
        // Only now, so that the next guess finds this one counted.
        drop(turn);
        let verdict = self.verdict(&finding, guesser);
        self.forget(&key, &question);
        *answer = Some(Answer { finding, source });
        verdict
    }

    /// Where whoever makes the `attempt` is remembered under `key`.
    #[cfg(feature = "basic")]
    pub(crate) fn trace(&self, offer: &Offer, key: CacheKey) -> Trace {
        Trace { key, user: self.throttle.as_ref().map(|throttle| throttle.guesser(None, offer.user()).user) }
    }

    /// Whoever is remembered there, unless somebody guesses.
    #[cfg(feature = "basic")]
    pub(crate) fn again(&self, attempt: &Attempt<'_>, trace: &Trace) -> Option<Arc<Known>> {
        let source = throttle::source(attempt.counted_at());
        let guesser = trace.user.map(|user| Guesser { source, user });
        match self.at_once(guesser, false, &trace.key)? {
            Verdict::Success(known) => Some(known),
            _ => None,
        }
    }

    /// What can be said without looking.
    fn at_once(&self, guesser: Option<Guesser>, is_counted: bool, key: &CacheKey) -> Option<Verdict> {
        let now = self.clock.now();
        // What a method before this one has looked at and counted is let through to here.
        if let (Some(throttle), Some(guesser), false) = (&self.throttle, guesser, is_counted)
            && let Some(wait) = throttle.wait(guesser, now)
        {
            return Some(Verdict::TooSoon(wait));
        }
        let known = self.cache.recall(key, now)?;
        Some(self.verdict(&Finding::Known(known), guesser))
    }

    fn verdict(&self, finding: &Finding, guesser: Option<Guesser>) -> Verdict {
        match finding {
            Finding::Known(known) => {
                if let (Some(throttle), Some(guesser)) = (&self.throttle, guesser) {
                    throttle.was_right(guesser);
                }
                Verdict::Success(known.clone())
            }
            Finding::Wrong if guesser.is_some() => Verdict::WrongGuess,
            Finding::Wrong => Verdict::Failure,
            #[cfg(feature = "services")]
            Finding::Nothing => Verdict::Failure,
            #[cfg(feature = "services")]
            Finding::Unavailable => Verdict::Unavailable(super::method::Away::Service),
        }
    }

    fn was_wrong(&self, guesser: Option<Guesser>, offer: &Offer) {
        if let (Some(throttle), Some(guesser)) = (&self.throttle, guesser)
            && offer.count()
        {
            throttle.was_wrong(guesser, self.clock.now());
        }
    }

    fn suspects(&self, guesser: Option<Guesser>) -> bool {
        let both = self.throttle.as_ref().zip(guesser);
        both.is_some_and(|(throttle, guesser)| throttle.suspects(guesser, self.clock.now()))
    }

    /// The question that is being asked under `key`, or a new one.
    fn question(&self, key: CacheKey) -> Arc<Question> {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever hangs up leaves one behind that nobody asks any more.
        questions.retain(|_, question| question.strong_count() > 0);
        if let Some(question) = questions.get(&key).and_then(Weak::upgrade) {
            return question;
        }
        let question = Arc::default();
        questions.insert(key, Arc::downgrade(&question));
        question
    }

    /// Whoever asks from now on asks anew.
    fn forget(&self, key: &CacheKey, question: &Arc<Question>) {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if questions.get(key).is_some_and(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(question))) {
            questions.remove(key);
        }
    }
}
