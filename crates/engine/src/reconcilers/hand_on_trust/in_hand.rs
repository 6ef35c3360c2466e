//! Errands that were begun and have not ended.

use std::collections::{BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use trust::{Outcome, RequirerName};

use super::Before;
use super::errand::{Errand, HandOn, carry};
use crate::tasks::Stop;

/// Errands that were begun and have not ended. While one is, nothing else is begun on its host or, where its certificates
/// go elsewhere, for its requirer.
#[derive(Default)]
pub(super) struct InHand<'s> {
    under_way: FuturesUnordered<BoxFuture<'s, Done>>,
    /// Those that ended while something else was waited for.
    ended: VecDeque<Done>,
    hosts: BTreeSet<String>,
    requirers: BTreeSet<RequirerName>,
    /// Counts the rounds.
    round: u64,
}

/// An errand that has ended.
pub(super) struct Done {
    pub(super) errand: Errand,
    /// What was written down when it was begun.
    pub(super) before: Vec<Before>,
    pub(super) outcomes: Vec<Outcome>,
    /// Whether all of it was begun with.
    pub(super) is_whole: bool,
    /// In which round that was.
    round: u64,
}

impl<'s> InHand<'s> {
    /// From now on errands are begun by what is known now.
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Begins `errand`, for which `before` was written down.
    pub(super) fn begin(
        &mut self,
        hands: Arc<dyn HandOn>,
        errand: Errand,
        before: Vec<Before>,
        stop: &'s Stop,
    ) {
        match &errand {
            Errand::Host(at) => self.hosts.insert(at.host.clone()),
            Errand::Requirer(of) => self.requirers.insert(of.requirer.clone()),
        };
        let round = self.round;
        self.under_way.push(Box::pin(async move {
            let (outcomes, is_whole) = carry(&*hands, &errand, stop).await;
            Done { errand, before, outcomes, is_whole, round }
        }));
    }

    /// The next that ends; nothing where none is in hand.
    pub(super) async fn next(&mut self) -> Option<Done> {
        let done = match self.ended.pop_front() {
            Some(done) => done,
            None => self.under_way.next().await?,
        };
        match &done.errand {
            Errand::Host(at) => self.hosts.remove(&at.host),
            Errand::Requirer(of) => self.requirers.remove(&of.requirer),
        };
        Some(done)
    }

    /// Does `work`, while all that is in hand goes on: it has deadlines, and claims to keep.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                out = &mut work => return out,
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => self.ended.push_back(done),
            }
        }
    }

    /// Whether `done` was begun by what was known before this round.
    pub(super) fn is_of_old(&self, done: &Done) -> bool {
        done.round != self.round
    }

    /// How many have not ended.
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether none is in hand.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.ended.is_empty()
    }

    pub(super) fn has_host(&self, host: &str) -> bool {
        self.hosts.contains(host)
    }

    /// Whether something is done for `requirer` that is not done on a host.
    pub(super) fn has_requirer(&self, requirer: &RequirerName) -> bool {
        self.requirers.contains(requirer)
    }
}
