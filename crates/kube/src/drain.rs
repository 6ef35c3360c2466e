//! Which pods to evict next, so that a node becomes empty.
//!
//! ```text
//! pods of DaemonSets, mirrors of static pods, finished pods     stay: they are in nobody's way
//! pods with an emptyDir, pods that nothing would make again     the drain is refused, unless the policy says otherwise
//! pods that are ending                                          are waited for
//! all others                                                    are evicted, and asked for again, later and later,
//!                                                               while a PodDisruptionBudget forbids it
//! ```
//! These are the rules of `kubectl drain --ignore-daemonsets`, which refuses for the same two reasons unless it is told
//! `--delete-emptydir-data` and `--force`, and evicts nothing at all then. Unlike kubectl, finished pods are left alone.
//!
//! Time is how long the drain has been going on; this file neither waits nor asks.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::pod::{Pod, PodName};

/// How a node is drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainPolicy {
    /// How long all of it may take. A request that has begun by then has a second more.
    pub within: Duration,
    /// Also evicts pods that keep data in an `emptyDir`, which end with them. As `--delete-emptydir-data`.
    pub deletes_empty_dirs: bool,
    /// Also evicts pods that nothing makes again elsewhere. As `--force`.
    pub deletes_unmanaged: bool,
    /// How many seconds pods have to end, instead of what each says itself.
    pub grace_period_seconds: Option<u32>,
    /// How long to wait after the first refusal of an eviction, and between two looks; doubled with each refusal.
    pub pause: Duration,
    /// How long to wait at most between two attempts to evict one pod.
    pub pause_max: Duration,
}

impl DrainPolicy {
    /// Five minutes, one second between two looks and at most 30 between two attempts; pods with an `emptyDir` and those
    /// that nothing makes again are not evicted.
    #[must_use]
    pub fn new() -> Self {
        Self {
            within: Duration::from_mins(5),
            deletes_empty_dirs: false,
            deletes_unmanaged: false,
            grace_period_seconds: None,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(30),
        }
    }
}

impl Default for DrainPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// A drain that is going on: what became of the evictions so far. Losing it does no harm: a new one, for the time that
/// is left, begins with what is on the node then.
#[derive(Debug, Clone)]
pub struct Drain {
    policy: DrainPolicy,
    /// By the pods' uids.
    asked: BTreeMap<String, Asked>,
    /// What the last look at the node's pods found, as far as they have to go.
    leaving: Vec<Pod>,
    has_looked: bool,
    accepted: usize,
}

/// What became of evicting a pod.
#[derive(Debug, Clone)]
struct Asked {
    times: u32,
    again_at: Duration,
    /// Why it was refused the last time, if it was.
    why: Option<String>,
}

/// What an API server says to an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicted {
    /// The pod will end.
    Accepted,
    /// The pod is not there any more.
    Gone,
    /// Not now.
    Later {
        /// Why, as it says.
        why: String,
        /// How long it wants not to be asked again; zero when it does not say.
        retry_after: Duration,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask for these pods' evictions, then look again.
    Evict(Vec<Pod>),
    /// Look again after so long.
    Wait(Duration),
    /// Nothing.
    Over(Drained),
}

/// How a drain ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drained {
    /// No pod is left that had to go.
    Empty {
        /// How many evictions it took.
        evictions: usize,
    },
    /// There are pods that the policy does not let go. Nothing is evicted once one of them is seen.
    Refused {
        /// Those pods.
        pods: Vec<Stayed>,
    },
    /// The time was over before all had gone.
    Late {
        /// Those that had not.
        pods: Vec<Stayed>,
        /// What kept us from looking at them at last, if anything did: then they are those of an earlier look.
        trouble: Option<Error>,
    },
}

/// A pod that stayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stayed {
    /// Which.
    pub pod: PodName,
    /// Why.
    pub why: Why,
}

/// Why a pod stayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It keeps data in an `emptyDir`, and the policy does not let it go.
    EmptyDir,
    /// Nothing would make it again, and the policy does not let it go.
    Unmanaged,
    /// It is ending, and not at its end.
    Terminating {
        /// Since when, as the server writes it.
        since: String,
    },
    /// Its eviction was refused.
    Refused {
        /// How often.
        times: u32,
        /// Why, as the server said the last time.
        why: String,
    },
    /// Its eviction was accepted, and nothing came of it.
    Ignored,
    /// The time was over before its eviction was asked for.
    NotAsked,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyDir => f.write_str("its data in an emptyDir would be lost"),
            Self::Unmanaged => f.write_str("nothing would start it again elsewhere"),
            Self::Terminating { since } => write!(f, "it has been ending since {since}"),
            Self::Refused { times: 1, why } => write!(f, "its eviction was refused: {why}"),
            Self::Refused { times, why } => write!(f, "its eviction was refused {times} times: {why}"),
            Self::Ignored => f.write_str("its eviction was accepted, and it went on"),
            Self::NotAsked => f.write_str("there was no time left to evict it"),
        }
    }
}

impl fmt::Display for Stayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pod, self.why)
    }
}

impl Drain {
    /// One that begins.
    #[must_use]
    pub fn new(policy: DrainPolicy) -> Self {
        Self { policy, asked: BTreeMap::new(), leaving: Vec::new(), has_looked: false, accepted: 0 }
    }

    /// How it is done.
    #[must_use]
    pub fn policy(&self) -> &DrainPolicy {
        &self.policy
    }

    /// What to do when the node has `pods`, `elapsed` after the beginning.
    #[must_use]
    pub fn next(&mut self, pods: Vec<Pod>, elapsed: Duration) -> Step {
        let has_to_go = |pod: &Pod| !(pod.is_of_daemon_set || pod.is_mirror || pod.is_finished);
        self.leaving = pods.into_iter().filter(has_to_go).collect();
        self.has_looked = true;
        let kept: Vec<Stayed> = self.leaving.iter().filter_map(|pod| self.kept(pod)).collect();
        if !kept.is_empty() {
            return Step::Over(Drained::Refused { pods: kept });
        }
        if self.leaving.is_empty() {
            return Step::Over(Drained::Empty { evictions: self.accepted });
        }
        if elapsed >= self.policy.within {
            return Step::Over(self.late(None));
        }
        let again_at = |pod: &Pod| self.asked.get(&pod.uid).map_or(Duration::ZERO, |asked| asked.again_at);
        let stays = || self.leaving.iter().filter(|pod| pod.terminating_since.is_none());
        let due: Vec<Pod> = stays().filter(|pod| again_at(pod) <= elapsed).cloned().collect();
        if !due.is_empty() {
            return Step::Evict(due);
        }
        // Whoever waits for pods to end looks at each pause; whoever waits for a budget not before it is due.
        let is_any_ending = self.leaving.iter().any(|pod| !self.is_refused(pod));
        let soonest = stays().map(again_at).min().unwrap_or(self.policy.within);
        let until = if is_any_ending { soonest.min(elapsed + self.policy.pause) } else { soonest };
        Step::Wait(until.min(self.policy.within).saturating_sub(elapsed))
    }

    /// What became of the eviction of `pod`, `elapsed` after the beginning.
    pub fn answered(&mut self, pod: &Pod, answer: Evicted, elapsed: Duration) {
        let times = self.asked.get(&pod.uid).map_or(0, |asked| asked.times);
        let (why, pause) = match answer {
            Evicted::Gone => return,
            Evicted::Accepted => {
                self.accepted += 1;
                (None, self.policy.pause_max)
            }
            Evicted::Later { why, retry_after } => {
                let doubled = self.policy.pause.saturating_mul(1 << times.min(20));
                // A server that wants an hour gets it; the deadline ends it all the same.
                (Some(why), doubled.min(self.policy.pause_max).max(retry_after))
            }
        };
        let asked = Asked { times: times + 1, again_at: elapsed + pause, why };
        self.asked.insert(pod.uid.clone(), asked);
    }

    /// How it ends when the time is over, by what the last look found.
    #[must_use]
    pub fn late(&self, trouble: Option<Error>) -> Drained {
        let pods =
            self.leaving.iter().map(|pod| Stayed { pod: pod.name.clone(), why: self.why(pod) }).collect();
        Drained::Late { pods, trouble }
    }

    /// Whether the node's pods were looked at even once.
    pub(crate) fn has_looked(&self) -> bool {
        self.has_looked
    }

    /// Whether the policy keeps `pod` from being evicted. One that is ending anyway is nobody's decision any more.
    fn kept(&self, pod: &Pod) -> Option<Stayed> {
        let why = if pod.terminating_since.is_some() {
            return None;
        } else if !pod.is_managed && !self.policy.deletes_unmanaged {
            Why::Unmanaged
        } else if pod.has_empty_dir && !self.policy.deletes_empty_dirs {
            Why::EmptyDir
        } else {
            return None;
        };
        Some(Stayed { pod: pod.name.clone(), why })
    }

    fn is_refused(&self, pod: &Pod) -> bool {
        let asked = self.asked.get(&pod.uid);
        pod.terminating_since.is_none() && asked.is_some_and(|asked| asked.why.is_some())
    }

    fn why(&self, pod: &Pod) -> Why {
        match (&pod.terminating_since, self.asked.get(&pod.uid)) {
            (Some(since), _) => Why::Terminating { since: since.clone() },
            (None, None) => Why::NotAsked,
            (None, Some(Asked { times, why: Some(why), .. })) => {
                Why::Refused { times: *times, why: why.clone() }
            }
            (None, Some(Asked { why: None, .. })) => Why::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Pod {
        Pod {
            name: PodName { namespace: "n".into(), name: name.into() },
            uid: format!("uid-{name}"),
            is_of_daemon_set: false,
            is_mirror: false,
            is_finished: false,
            is_managed: true,
            has_empty_dir: false,
            terminating_since: None,
        }
    }

    fn with(name: &str, change: fn(&mut Pod)) -> Pod {
        let mut pod = pod(name);
        change(&mut pod);
        pod
    }

    fn ending(name: &str) -> Pod {
        with(name, |pod| pod.terminating_since = Some("then".into()))
    }

    fn stayed(name: &str, why: Why) -> Stayed {
        Stayed { pod: pod(name).name, why }
    }

    fn later(why: &str) -> Evicted {
        Evicted::Later { why: why.into(), retry_after: Duration::ZERO }
    }

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn pods_that_are_in_nobodys_way_stay() {
        let pods = vec![
            with("daemon", |pod| pod.is_of_daemon_set = true),
            with("daemons-scratch", |pod| (pod.is_of_daemon_set, pod.has_empty_dir) = (true, true)),
            with("static", |pod| (pod.is_mirror, pod.is_managed) = (true, false)),
            with("done", |pod| (pod.is_finished, pod.is_managed) = (true, false)),
        ];
        let mut drain = Drain::new(DrainPolicy::new());
        assert_eq!(drain.next(pods.clone(), S), Step::Over(Drained::Empty { evictions: 0 }));
        let all: Vec<Pod> = pods.into_iter().chain([pod("web")]).collect();
        assert_eq!(drain.next(all, S), Step::Evict(vec![pod("web")]));
    }

    #[test]
    fn pods_whose_end_would_be_a_loss_refuse_the_drain() {
        let alone = with("alone", |pod| pod.is_managed = false);
        let scratch = with("scratch", |pod| pod.has_empty_dir = true);
        let pods = vec![pod("web"), alone.clone(), scratch.clone()];
        let check = |deletes_empty_dirs, deletes_unmanaged, expected: Step| {
            let policy = DrainPolicy { deletes_empty_dirs, deletes_unmanaged, ..DrainPolicy::new() };
            assert_eq!(Drain::new(policy).next(pods.clone(), Duration::ZERO), expected);
        };
        let refused = |pods: Vec<Stayed>| Step::Over(Drained::Refused { pods });
        let (lone, data) = (stayed("alone", Why::Unmanaged), stayed("scratch", Why::EmptyDir));
        check(false, false, refused(vec![lone.clone(), data.clone()]));
        check(true, false, refused(vec![lone]));
        check(false, true, refused(vec![data]));
        check(true, true, Step::Evict(pods.clone()));
        // What somebody else has ended already is lost already.
        let pods = vec![with("alone", |pod| {
            (pod.is_managed, pod.terminating_since) = (false, Some("then".into()));
        })];
        assert_eq!(Drain::new(DrainPolicy::new()).next(pods, S), Step::Wait(S));
    }

    #[test]
    fn a_refused_eviction_is_asked_for_again_later_and_later() {
        let mut drain = Drain::new(DrainPolicy::new());
        let mut elapsed = Duration::ZERO;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(drain.next(vec![pod("a")], elapsed), Step::Evict(vec![pod("a")]));
            drain.answered(&pod("a"), later("budget"), elapsed);
            assert_eq!(drain.next(vec![pod("a")], elapsed), Step::Wait(seconds * S));
            elapsed += seconds * S;
        }
        // What the server asks for counts, and the deadline before all.
        let patient = Evicted::Later { why: "busy".into(), retry_after: 60 * S };
        drain.answered(&pod("a"), patient.clone(), elapsed);
        assert_eq!(drain.next(vec![pod("a")], elapsed), Step::Wait(60 * S));
        drain.answered(&pod("a"), patient, 290 * S);
        assert_eq!(drain.next(vec![pod("a")], 290 * S), Step::Wait(10 * S));
        let why = Why::Refused { times: 9, why: "busy".into() };
        let late = Drained::Late { pods: vec![stayed("a", why)], trouble: None };
        assert_eq!(drain.next(vec![pod("a")], 300 * S), Step::Over(late));
    }

    #[test]
    fn pods_that_end_are_waited_for() {
        let mut drain = Drain::new(DrainPolicy::new());
        let pods = vec![pod("a"), pod("b"), pod("c")];
        assert_eq!(drain.next(pods.clone(), Duration::ZERO), Step::Evict(pods));
        drain.answered(&pod("a"), Evicted::Accepted, Duration::ZERO);
        drain.answered(&pod("b"), Evicted::Gone, Duration::ZERO);
        drain.answered(&pod("c"), later("budget"), Duration::ZERO);
        assert_eq!(drain.next(vec![ending("a"), pod("c")], Duration::ZERO), Step::Wait(S));
        assert_eq!(drain.next(vec![ending("a"), pod("c")], S), Step::Evict(vec![pod("c")]));
        drain.answered(&pod("c"), Evicted::Accepted, S);
        assert_eq!(drain.next(vec![ending("c")], 2 * S), Step::Wait(S));
        assert_eq!(drain.next(vec![], 3 * S), Step::Over(Drained::Empty { evictions: 2 }));
    }

    #[test]
    fn at_the_end_every_pod_says_why_it_stayed() {
        let mut drain = Drain::new(DrainPolicy { within: 10 * S, ..DrainPolicy::new() });
        let _ = drain.next(vec![pod("a"), pod("b")], Duration::ZERO);
        drain.answered(&pod("a"), Evicted::Accepted, S);
        drain.answered(&pod("b"), later("budget"), S);
        let pods = vec![pod("a"), pod("b"), ending("c"), pod("d")];
        let expected = vec![
            stayed("a", Why::Ignored),
            stayed("b", Why::Refused { times: 1, why: "budget".into() }),
            stayed("c", Why::Terminating { since: "then".into() }),
            stayed("d", Why::NotAsked),
        ];
        let late = Drained::Late { pods: expected, trouble: None };
        assert_eq!(drain.next(pods, 10 * S), Step::Over(late.clone()));
        assert_eq!(drain.late(None), late);
        // Whatever is gone by then is gone.
        assert_eq!(drain.next(vec![], 11 * S), Step::Over(Drained::Empty { evictions: 1 }));
    }

    #[test]
    fn another_pod_of_the_same_name_is_another_pod() {
        let mut drain = Drain::new(DrainPolicy::new());
        drain.answered(&pod("a"), Evicted::Accepted, Duration::ZERO);
        let new = with("a", |pod| pod.uid = "uid-new".into());
        assert_eq!(drain.next(vec![new.clone()], S), Step::Evict(vec![new]));
    }
}
