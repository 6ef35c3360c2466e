//! Emptying a node: listing its pods, evicting them, and waiting until they are gone.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::ask::{JSON, Question};
use crate::client::Client;
use crate::drain::{Drain, DrainPolicy, Drained, Evicted, Step};
use crate::error::{Action, Error};
use crate::list::escaped;
use crate::node_name::NodeName;
use crate::pod::{Pod, PodObject};

/// How many pods one answer has at most.
const PAGE: usize = 100;
/// How long one request of a drain has at least, so that its last look is not given up before it has begun.
const WITHIN_MIN: Duration = Duration::from_secs(1);

/// What became of one round of a drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Round {
    /// There is to be another after this long.
    Again(Duration),
    /// It is over.
    Over(Drained),
}

impl Client {
    /// Evicts the node's pods and waits until they are gone, for as long as `policy` says. Cordon the node first: what
    /// is evicted from one that is not may come back. Dropping this stops it at once; whatever was evicted by then is,
    /// and to go on with what is left, drain again.
    ///
    /// An API server that is away for a while is waited for; what keeps us from it is part of the result then.
    ///
    /// # Errors
    /// What will not pass by itself ([`Error::may_pass`]), and whatever kept us from looking at the pods even once.
    pub async fn drain(&self, node: &NodeName, policy: DrainPolicy) -> Result<Drained, Error> {
        let begun = Instant::now();
        let (within, pause, pause_max) = (policy.within, policy.pause, policy.pause_max);
        let mut drain = Drain::new(policy);
        let mut troubles = 0_u32;
        loop {
            let trouble = match self.drain_round(node, &mut drain, begun.elapsed()).await {
                Ok(Round::Over(drained)) => return Ok(drained),
                Ok(Round::Again(after)) => {
                    troubles = 0;
                    sleep(after).await;
                    continue;
                }
                Err(error) if !error.may_pass() => return Err(error),
                Err(error) => error,
            };
            let left = within.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return if drain.has_looked() { Ok(drain.late(Some(trouble))) } else { Err(trouble) };
            }
            tracing::debug!(%node, error = base::report(&trouble), "a look at a node's pods failed");
            let doubled = pause.saturating_mul(1 << troubles.min(20)).min(pause_max);
            sleep(doubled.max(trouble.retry_after()).min(left)).await;
            troubles += 1;
        }
    }

    /// One round of a drain, which has been going on for `elapsed`: looks at the node's pods and asks for the evictions
    /// that are due. For whoever waits elsewhere; [`Self::drain`] is this again and again.
    ///
    /// # Errors
    /// The first that the server answers, or why it does not. What was not done is done in the next round.
    pub async fn drain_round(
        &self,
        node: &NodeName,
        drain: &mut Drain,
        elapsed: Duration,
    ) -> Result<Round, Error> {
        let begun = Instant::now();
        let now = || elapsed + begun.elapsed();
        let policy = drain.policy().clone();
        let within = || policy.within.saturating_sub(now()).max(WITHIN_MIN).min(self.asker.deadline);
        let pods = self.pods_within(node, within()).await?;
        let due = match drain.next(pods, now()) {
            Step::Over(drained) => return Ok(Round::Over(drained)),
            Step::Wait(after) => return Ok(Round::Again(after)),
            Step::Evict(due) => due,
        };
        for pod in due {
            if now() >= policy.within {
                break;
            }
            let answer = self.evict(&pod, policy.grace_period_seconds, within()).await?;
            tracing::debug!(%node, pod = %pod.name, ?answer, "eviction asked for");
            drain.answered(&pod, answer, now());
        }
        Ok(Round::Again(policy.pause.min(policy.within.saturating_sub(now()))))
    }

    /// All pods on the node, whatever they are.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn pods(&self, node: &NodeName) -> Result<Vec<Pod>, Error> {
        self.pods_within(node, self.asker.deadline).await
    }

    /// The same, with so long for each page.
    async fn pods_within(&self, node: &NodeName, within: Duration) -> Result<Vec<Pod>, Error> {
        let action = Action { verb: "list", resource: "pods", name: node.to_string() };
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&limit={PAGE}");
        self.list(&action, &path, within, |pod: PodObject| {
            // Whoever does not know what was asked for would have us evict the pods of other nodes.
            if pod.node() == node.as_str() {
                Ok(pod.pod())
            } else {
                Err(self.asker.malformed(action.clone(), "it lists pods of other nodes"))
            }
        })
        .await
    }

    /// Asks for the eviction of this very pod, not of one that has its name by now.
    async fn evict(
        &self,
        pod: &Pod,
        grace_period_seconds: Option<u32>,
        within: Duration,
    ) -> Result<Evicted, Error> {
        let (namespace, name) = (escaped(&pod.name.namespace), escaped(&pod.name.name));
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        let action = Action { verb: "create", resource: "pods/eviction", name: pod.name.to_string() };
        let body = Some((JSON, eviction(pod, grace_period_seconds)));
        let question = Question { action, method: Method::POST, path: &path, body, within };
        let answer = self.asker.ask(question).await?;
        let is_later = match answer.status {
            StatusCode::NOT_FOUND => return Ok(Evicted::Gone),
            // A budget or too many requests; another pod of that name, which the next look tells; two budgets for one
            // pod, or a budget that changed meanwhile.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT | StatusCode::INTERNAL_SERVER_ERROR => true,
            // The namespace is going, and so is the pod.
            StatusCode::FORBIDDEN => answer.says.is_because("NamespaceTerminating"),
            _ => false,
        };
        if is_later {
            let retry_after = answer.retry_after();
            let message = &answer.says.message;
            let why = if message.is_empty() { answer.status.to_string() } else { message.clone() };
            return Ok(Evicted::Later { why, retry_after });
        }
        answer.done().map(|()| Evicted::Accepted)
    }
}

fn eviction(pod: &Pod, grace_period_seconds: Option<u32>) -> Value {
    let mut options = json!({"preconditions": {"uid": pod.uid}});
    if let Some(seconds) = grace_period_seconds {
        options["gracePeriodSeconds"] = seconds.into();
    }
    json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name.name, "namespace": pod.name.namespace},
        "deleteOptions": options,
    })
}
