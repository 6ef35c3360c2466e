//! When each host is looked at, and what is made of what it answers.
//!
//! Each host has its own moment in the period, which follows from its address: so nothing has to be stored, many hosts
//! are spread evenly, and a start of the server makes no crowd. The period is cut into slices of some seconds, and the
//! hosts whose moments are in one are looked at together ([`Rota`]): one after the other over those seconds, in another
//! order each time, so that whatever a host does at regular times is not always just before or after.
//!
//! A host that does not answer once is looked at again; twice, or while an operation waits for it, and its status is
//! `failed`. One that answers again has
//! the status that it had, unless it comes and goes too often: each coming and each going counts 1,000, which is halved
//! every ten minutes; at 4,000 it is no longer believed, until it has been quiet for so long that 1,000 are left.
//!
//! One that does not answer once and does the next time has come and gone between two looks. That counts by the time for
//! which it was not seen, 750 for a minute on each side of the missed look and no more: so it is the share of looks that
//! a host misses which counts, and not how often it is looked at. At one in three it is no longer believed, and at one in
//! sixteen it is again; looks that are rarer than once in some minutes tell too little.

use std::time::Duration;

use base::{Span, Timestamp};

use crate::address::HostAddress;
use crate::host::HostStatus;
use crate::record::CareRecord;
use crate::tally;

/// About how long a slice of the period is, in seconds.
const SLICE_SECONDS: i64 = 5;
/// How many it has at least, where that makes seconds of them: so that never all hosts are looked at together.
const SLICES_MIN: i64 = 2;
/// How many slices a period has at most.
const SLICES_MAX: i64 = 60;
/// After so many silences in a row a host has failed.
const SILENCES_MAX: u32 = 2;
/// What coming and going counts.
const PENALTY: u32 = 1_000;
/// What missing one look counts, for a host that was not seen for [`UNSEEN_SECONDS`] or longer.
const MISSED: i64 = 750;
/// A minute on each side of the look that was missed.
const UNSEEN_SECONDS: i64 = 120;
/// From here on a host is not believed.
const DAMPED_FROM: u32 = 4_000;
/// From here down it is believed again.
const TRUSTED_FROM: u32 = 1_000;
/// What is said of one that is not believed.
const TOO_OFTEN: &str = "it answers, but has come and gone too often to be believed yet";
/// In what time that halves, in seconds.
const HALVED_SECONDS: i64 = 600;

/// What came of looking at a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It answered.
    Answered,
    /// It did not, for this reason.
    Silent {
        /// For a person who is to do something about it.
        reason: String,
    },
    /// It was tried for long enough to be sure that it does not answer: an operation has waited for it in vain.
    Lost {
        /// For a person who is to do something about it.
        reason: String,
    },
}

/// When which hosts are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rota {
    /// Seconds.
    period: i64,
    slices: u32,
}

impl Rota {
    /// Each host once in `period`, which is a second at least.
    #[must_use]
    pub fn new(period: Span) -> Self {
        let period = period.as_seconds().max(1);
        let slices = (period / SLICE_SECONDS).clamp(SLICES_MIN.min(period), SLICES_MAX);
        Self { period, slices: u32::try_from(slices).unwrap_or(1) }
    }

    /// How many slices there are; their numbers begin with 0.
    #[must_use]
    pub fn slices(self) -> u32 {
        self.slices
    }

    /// In which slice a host is looked at.
    #[must_use]
    pub fn slice(self, address: &HostAddress) -> u32 {
        let own = tally::spread(address.as_str()) % u64::from(self.slices);
        u32::try_from(own).unwrap_or(0)
    }

    /// How long after the moment of its slice a host is looked at, where that moment is `due`: another time each time,
    /// and before the next slice begins.
    #[must_use]
    pub fn after(self, address: &HostAddress, due: Timestamp) -> Duration {
        let seconds = (self.period / i64::from(self.slices)).min(SLICE_SECONDS);
        let chance = tally::spread(&format!("{} {address}", due.as_unix()));
        Duration::from_millis(chance % (1_000 * seconds.max(1).unsigned_abs()))
    }

    /// When the hosts of a slice were to be looked at last, `now` included.
    #[must_use]
    pub fn last_due(self, slice: u32, now: Timestamp) -> Timestamp {
        let begins = self.period * i64::from(slice) / i64::from(self.slices);
        now + Span::seconds(-(now.as_unix() - begins).rem_euclid(self.period))
    }

    /// When they are to be looked at next, after `now`.
    #[must_use]
    pub fn next_due(self, slice: u32, now: Timestamp) -> Timestamp {
        self.last_due(slice, now) + Span::seconds(self.period)
    }
}

/// What is to be made of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) care: CareRecord,
    /// The host's status afterwards.
    pub(crate) status: HostStatus,
    /// Why it is `failed`; absent where that is as before.
    pub(crate) reason: Option<String>,
}

/// What is to be made of a look at a host with this status, which has answered last at `seen`, where that is known.
pub(crate) fn judge(
    status: &HostStatus,
    care: &CareRecord,
    look: &Look,
    seen: Option<Timestamp>,
    now: Timestamp,
) -> Judgement {
    let mut care = care.clone();
    let mut judged = status.clone();
    let mut reason = None;
    match look {
        Look::Silent { reason: why } | Look::Lost { reason: why } if status.may_join() => {
            let least = if matches!(look, Look::Lost { .. }) { SILENCES_MAX } else { 1 };
            care.silences = care.silences.saturating_add(1).max(least);
            if care.silences >= SILENCES_MAX {
                care.status_before = Some(status.as_str().to_owned());
                flap(&mut care, PENALTY, now);
                judged = HostStatus::Failed;
                reason = Some(why.clone());
            }
        }
        // It is not ready or has failed already. Why one that was ready does not answer may be another reason by now;
        // the others are for those who make them ready.
        Look::Silent { reason: why } | Look::Lost { reason: why } => {
            care.silences = care.silences.saturating_add(1).min(SILENCES_MAX);
            if *status == HostStatus::Failed && care.status_before.is_some() {
                reason = Some(why.clone());
            }
        }
        Look::Answered => {
            let silences = std::mem::take(&mut care.silences);
            let was_silent = silences > 0;
            let counts = if silences < SILENCES_MAX { missed(seen, now) } else { PENALTY };
            if penalty(&care, now) == 0 {
                // So that nothing is left on record of what is long over.
                (care.penalty, care.penalty_at) = (0, None);
            }
            if let (HostStatus::Failed, Some(before)) = (status, care.status_before.clone()) {
                if care.is_damped && penalty(&care, now) > TRUSTED_FROM {
                    if was_silent {
                        flap(&mut care, counts, now);
                    }
                    reason = Some(TOO_OFTEN.into());
                } else {
                    judged = HostStatus::from(before.as_str());
                    care.status_before = None;
                    flap(&mut care, PENALTY, now);
                    care.is_damped = false;
                }
            } else if was_silent && status.may_join() {
                flap(&mut care, counts, now);
                if care.is_damped {
                    care.status_before = Some(status.as_str().to_owned());
                    judged = HostStatus::Failed;
                    reason = Some(TOO_OFTEN.into());
                }
            }
        }
    }
    Judgement { care, status: judged, reason }
}

/// What it counts that a host missed one look, and was not seen from `seen` until now.
fn missed(seen: Option<Timestamp>, now: Timestamp) -> u32 {
    let unseen = seen.map_or(UNSEEN_SECONDS, |seen| (now - seen).as_seconds()).clamp(0, UNSEEN_SECONDS);
    u32::try_from(MISSED * unseen / UNSEEN_SECONDS).unwrap_or(PENALTY)
}

/// It came or went, which counts so much.
fn flap(care: &mut CareRecord, counts: u32, now: Timestamp) {
    care.penalty = penalty(care, now).saturating_add(counts);
    care.penalty_at = Some(now.as_unix());
    care.is_damped |= care.penalty >= DAMPED_FROM;
}

/// What is left of the penalty: halved with each half-life, and evenly in between.
fn penalty(care: &CareRecord, now: Timestamp) -> u32 {
    let Some(at) = care.penalty_at else { return 0 };
    let passed = (now.as_unix() - at).max(0);
    let Ok(halvings) = u32::try_from(passed / HALVED_SECONDS) else { return 0 };
    let halved = u64::from(care.penalty.checked_shr(halvings).unwrap_or(0));
    let within = (passed % HALVED_SECONDS).unsigned_abs();
    let left = halved - halved * within / (2 * HALVED_SECONDS.unsigned_abs());
    u32::try_from(left).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_481_000_000 + seconds)
    }

    fn silent() -> Look {
        Look::Silent { reason: "no answer".into() }
    }

    #[test]
    fn each_host_is_looked_at_once_in_a_period_and_not_all_at_once() {
        let rota = Rota::new(Span::seconds(300));
        let mut slices = [0_u32; 60];
        for n in 0..20_000_u32 {
            let address = format!("10.0.{}.{}", n / 256, n % 256).parse().unwrap();
            slices[usize::try_from(rota.slice(&address)).unwrap()] += 1;
        }
        assert!(slices.iter().all(|hosts| (200..500).contains(hosts)), "{slices:?}");
        for (period, slices) in [(0, 1), (1, 1), (2, 2), (9, 2), (60, 12), (300, 60), (86_400, 60)] {
            let rota = Rota::new(Span::seconds(period));
            assert_eq!(rota.slices(), slices, "{period}");
            let mut dues: Vec<Timestamp> = (0..slices).map(|slice| rota.next_due(slice, at(0))).collect();
            dues.sort_unstable();
            dues.dedup();
            assert_eq!(dues.len(), usize::try_from(slices).unwrap());
            for slice in 0..slices {
                let next = rota.next_due(slice, at(0));
                assert!(next > at(0) && next <= at(period.max(1)), "{period} {slice}");
                assert_eq!(rota.last_due(slice, next), next);
                assert_eq!(rota.last_due(slice, next + Span::seconds(-1)), rota.last_due(slice, at(0)));
                assert_eq!(rota.next_due(slice, next), next + Span::seconds(period.max(1)));
            }
        }
    }

    #[test]
    fn a_silent_host_fails_at_the_second_time_and_comes_back_as_it_was() {
        for status in [HostStatus::Active, HostStatus::Disassociated] {
            let care = CareRecord::default();
            let once = judge(&status, &care, &silent(), None, at(0));
            assert_eq!((&once.status, once.care.silences, once.reason), (&status, 1, None));
            let twice = judge(&once.status, &once.care, &silent(), None, at(300));
            assert_eq!((&twice.status, twice.reason.as_deref()), (&HostStatus::Failed, Some("no answer")));
            let again = judge(&twice.status, &twice.care, &silent(), None, at(600));
            assert_eq!((&again.status, again.reason.as_deref()), (&HostStatus::Failed, Some("no answer")));
            let back = judge(&again.status, &again.care, &Look::Answered, None, at(900));
            assert_eq!((&back.status, back.care.silences, back.care.status_before), (&status, 0, None));
        }
        for status in [HostStatus::New, HostStatus::Investigating, HostStatus::Failed] {
            let mut care = CareRecord::default();
            for look in [silent(), silent(), silent(), Look::Answered] {
                let judged = judge(&status, &care, &look, None, at(0));
                assert_eq!((&judged.status, &judged.reason), (&status, &None), "others see to that");
                care = judged.care;
            }
        }
    }

    #[test]
    fn one_that_an_operation_has_lost_fails_at_once() {
        let lost = Look::Lost { reason: "it did not come back".into() };
        let judged = judge(&HostStatus::Active, &CareRecord::default(), &lost, None, at(0));
        assert_eq!((&judged.status, judged.care.silences), (&HostStatus::Failed, 2));
        assert_eq!(judged.reason.as_deref(), Some("it did not come back"));
        let back = judge(&judged.status, &judged.care, &Look::Answered, None, at(60));
        assert_eq!((&back.status, back.care.silences), (&HostStatus::Active, 0));
    }

    #[test]
    fn a_host_that_comes_and_goes_is_not_believed_until_it_is_quiet() {
        let (mut care, mut status, mut seconds) = (CareRecord::default(), HostStatus::Active, 0);
        let mut seen = |look: &Look, after: i64| {
            seconds += after;
            let judged = judge(&status, &care, look, None, at(seconds));
            (care, status) = (judged.care.clone(), judged.status.clone());
            judged
        };
        let mut came_back = 0;
        for _ in 0..5 {
            seen(&silent(), 20);
            seen(&silent(), 20);
            came_back += u32::from(seen(&Look::Answered, 20).status == HostStatus::Active);
        }
        assert_eq!(came_back, 2, "and then it is damped");
        let judged = seen(&Look::Answered, 300);
        assert_eq!(judged.status, HostStatus::Failed);
        assert!(judged.reason.is_some_and(|reason| reason.contains("too often")));
        assert_eq!(seen(&Look::Answered, 1_800).status, HostStatus::Active);
    }

    /// A host that misses one look in so many, from the beginning on: after how many seconds it was not believed any
    /// more, and how it is in the end.
    fn missing(one_in: i64, period: i64, seconds: i64) -> (Option<i64>, CareRecord, HostStatus) {
        let (mut care, mut status, mut seen) = (CareRecord::default(), HostStatus::Active, None);
        let mut failed_at = None;
        for time in 0..seconds / period {
            let (look, now) = (if time % one_in == 1 { silent() } else { Look::Answered }, at(time * period));
            let judged = judge(&status, &care, &look, seen, now);
            (care, status) = (judged.care, judged.status);
            if look == Look::Answered {
                seen = Some(now);
            }
            failed_at = failed_at.or((status == HostStatus::Failed).then_some(time * period));
        }
        (failed_at, care, status)
    }

    /// Outages that are shorter than the time between two looks are seen as well, if they come often enough: it is the
    /// share of looks that counts, however many there are.
    #[test]
    fn a_host_that_misses_every_other_look_is_not_believed() {
        for period in [1, 2, 10, 60] {
            let (failed_at, care, status) = missing(2, period, 3_600);
            assert!(failed_at.is_some_and(|at| (600..1_200).contains(&at)), "{period}: {failed_at:?}");
            assert_eq!(status, HostStatus::Failed);
            let back = judge(&status, &care, &Look::Answered, None, at(3_600));
            assert_eq!(back.reason.as_deref(), Some(TOO_OFTEN));
            let back = judge(&status, &back.care, &Look::Answered, None, at(3_600 + 2_400));
            assert_eq!((back.status, back.reason), (HostStatus::Active, None));
        }
        assert_eq!(missing(2, 600, 36_000).0, None, "now and then a host may miss one");
    }

    #[test]
    fn a_host_that_misses_few_looks_is_believed() {
        for (one_in, period) in [(4, 60), (10, 60), (4, 10), (24, 10), (4, 1), (60, 1)] {
            let (failed_at, care, _) = missing(one_in, period, 86_400);
            assert_eq!((failed_at, care.is_damped), (None, false), "one in {one_in}, every {period} s");
        }
        // Nor does that keep one from being believed again.
        for period in [10, 60] {
            let damped = CareRecord {
                penalty: 8_000,
                penalty_at: Some(at(0).as_unix()),
                is_damped: true,
                status_before: Some("active".into()),
                ..CareRecord::default()
            };
            let (mut care, mut status, mut seen) = (damped, HostStatus::Failed, at(0));
            for time in 1..7_200 / period {
                let (look, now) = (if time % 16 == 0 { silent() } else { Look::Answered }, at(time * period));
                let judged = judge(&status, &care, &look, Some(seen), now);
                (care, status) = (judged.care, judged.status);
                seen = if look == Look::Answered { now } else { seen };
            }
            assert_eq!((status, care.is_damped), (HostStatus::Active, false), "every {period} s");
        }
    }

    #[test]
    fn hosts_of_a_slice_are_looked_at_over_its_seconds_and_not_always_at_the_same() {
        let rota = Rota::new(Span::seconds(60));
        let after = |n: u32, seconds: i64| {
            let address = format!("10.0.{}.{}", n / 256, n % 256).parse().unwrap();
            rota.after(&address, at(seconds)).as_millis()
        };
        let mut seconds = [0_u32; 5];
        for n in 0..1_000 {
            seconds[usize::try_from(after(n, 0) / 1_000).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|hosts| (120..280).contains(hosts)), "{seconds:?}");
        let mut moments: Vec<u128> = (0..100).map(|round| after(7, 60 * round) / 1_000).collect();
        moments.sort_unstable();
        moments.dedup();
        assert_eq!(moments, [0, 1, 2, 3, 4]);
        for period in [0, 1, 9] {
            let address = "10.0.0.1".parse().unwrap();
            let rota = Rota::new(Span::seconds(period));
            assert!(rota.after(&address, at(0)) < Duration::from_secs(period.max(1).unsigned_abs()));
        }
    }

    #[test]
    fn penalties_fade() {
        for (seconds, left) in
            [(-5, 4_000), (0, 4_000), (300, 3_000), (600, 2_000), (1_200, 1_000), (40_000, 0)]
        {
            let care =
                CareRecord { penalty: 4_000, penalty_at: Some(at(0).as_unix()), ..CareRecord::default() };
            assert_eq!(penalty(&care, at(seconds)), left, "after {seconds}");
        }
    }
}
