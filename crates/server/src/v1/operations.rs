//! Operations on clusters: started, shown and steered.

use std::sync::Arc;

use fleet::{
    ClusterName, DeployVersion, Fleet, HostAddress, OperationError, Plan, ReadClusters, Rollout, RolloutId,
    RunState, StartOperation, SteerError, SteerOperation,
};
use identity::Permit;
use wire::{NewOperation, OperationPolicy, Page};

use super::V1;
use super::answer::Answer;
use super::asked::{Asked, cursor};
use super::policy;
use super::refusal::Refusal;
use super::shown_operation as shown;
use super::table::Parameter;

/// What the cursors of lists of operations begin with.
const LIST: char = 'o';
/// What those of lists of their hosts begin with.
const HOSTS: char = 'r';

/// The operation that a request is about.
pub(super) fn named(asked: &Asked) -> Result<(ClusterName, RolloutId), Refusal> {
    Ok((asked.part(0)?, asked.part(1)?))
}

impl V1 {
    pub(super) async fn operations(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let name: ClusterName = asked.part(0)?;
        let (limit, before) = (asked.limit()?, asked.after::<RolloutId>(LIST)?);
        let page = self.fleet().latest_rollouts(permit, &name, before, limit).await?;
        let items: Vec<_> = page.rollouts.iter().map(shown::operation).collect();
        Ok(Answer::ok(&Page { items, next: page.next.map(|id| cursor(LIST, &id.to_string())) }))
    }

    pub(super) async fn operation(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (name, id) = named(&asked)?;
        // Called by its bytes: time alone may change how it is doing.
        Ok(Answer::ok(&shown::operation(&self.fleet().rollout_view(permit, &name, id).await?)))
    }

    pub(super) async fn operation_hosts(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let (name, id) = named(&asked)?;
        let (limit, after) = (asked.limit()?, asked.after::<u64>(HOSTS)?);
        let wanted = asked.one(Parameter::State)?;
        let is_state = |text: &str| wire::OperationHostState::ALL.iter().any(|state| state.as_str() == text);
        if wanted.is_some_and(|wanted| !is_state(wanted)) {
            return Err(Refusal::malformed("`state` is none that a host of an operation can be in"));
        }
        let is_wanted = |state: &RunState| wanted.is_none_or(|wanted| shown::state(state).as_str() == wanted);
        let page = self.fleet().rollout_hosts_that(permit, (&name, id), is_wanted, after, limit).await?;
        let items: Vec<_> = page.hosts.iter().map(shown::host).collect();
        Ok(Answer::ok(&Page { items, next: page.next.map(|place| cursor(HOSTS, &place.to_string())) }))
    }

    pub(super) async fn start_operation(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit::<StartOperation>()?;
        let name: ClusterName = asked.part(0)?;
        let Wanted { plan, policy, is_dry_run } = wanted(asked.json().await?)?;
        if is_dry_run {
            let preview = self.fleet().plan(asked.permit()?, &name, &plan, &policy).await?;
            return Ok(Answer::ok(&shown::plan(preview)));
        }
        let on = name.clone();
        let start = |fleet: Arc<Fleet>| async move { fleet.start_with(permit, &on, &plan, &policy).await };
        let started: Result<Rollout, SteerError> = self.change(start).await;
        let id = match started {
            Ok(started) => started.id,
            Err(error) => return Err(self.in_the_way(asked.permit()?, &name, error).await),
        };
        let view = self.fleet().rollout_view(asked.permit()?, &name, id).await?;
        let place = ["clusters", name.as_str(), "operations", &id.to_string()];
        Ok(Answer::ok(&shown::operation(&view)).created(&place))
    }

    pub(super) async fn pause_operation(&self, asked: Asked) -> Result<Answer, Refusal> {
        let pause =
            |fleet: Arc<Fleet>, permit, (name, id)| async move { fleet.pause(permit, &name, id).await };
        self.steer(asked, pause).await
    }

    pub(super) async fn resume_operation(&self, asked: Asked) -> Result<Answer, Refusal> {
        let resume =
            |fleet: Arc<Fleet>, permit, (name, id)| async move { fleet.resume(permit, &name, id).await };
        self.steer(asked, resume).await
    }

    pub(super) async fn abort_operation(&self, asked: Asked) -> Result<Answer, Refusal> {
        let abort =
            |fleet: Arc<Fleet>, permit, (name, id)| async move { fleet.abort(permit, &name, id).await };
        self.steer(asked, abort).await
    }

    pub(super) async fn retry_operation(&self, asked: Asked) -> Result<Answer, Refusal> {
        let retry =
            |fleet: Arc<Fleet>, permit, (name, id)| async move { fleet.retry(permit, &name, id).await };
        self.steer(asked, retry).await
    }

    pub(super) async fn skip_host(&self, asked: Asked) -> Result<Answer, Refusal> {
        let address: HostAddress = asked.address(2)?;
        let skip = |fleet: Arc<Fleet>, permit, (name, id)| async move {
            fleet.skip_host(permit, &name, id, &address).await
        };
        self.steer(asked, skip).await
    }

    /// Does something to an operation, and shows how it is then.
    async fn steer<F>(
        &self,
        mut asked: Asked,
        how: impl FnOnce(Arc<Fleet>, Permit<SteerOperation>, (ClusterName, RolloutId)) -> F,
    ) -> Result<Answer, Refusal>
    where
        F: Future<Output = Result<Rollout, SteerError>> + Send + 'static,
    {
        let permit = asked.permit()?;
        let (name, id) = named(&asked)?;
        let wire::Steering {} = asked.json().await?;
        let whose = (name.clone(), id);
        if let Err(error) = self.change(|fleet| how(fleet, permit, whose)).await {
            return Err(self.in_the_way(asked.permit()?, &name, error).await);
        }
        Ok(Answer::ok(&shown::operation(&self.fleet().rollout_view(asked.permit()?, &name, id).await?)))
    }

    /// Why something was not done, and the operation that was in its way if one was.
    async fn in_the_way(
        &self,
        permit: Permit<ReadClusters>,
        name: &ClusterName,
        error: SteerError,
    ) -> Refusal {
        let id = match &error {
            SteerError::Operation(OperationError::Running { running }) => running.id,
            _ => None,
        };
        let running = match id {
            Some(id) => self.fleet().rollout_view(permit, name, id).await.ok(),
            None => None,
        };
        Refusal::from(error).running(running.as_ref().map(shown::operation))
    }
}

/// What is to be started.
struct Wanted {
    plan: Plan,
    policy: fleet::Policy,
    is_dry_run: bool,
}

fn wanted(said: NewOperation) -> Result<Wanted, Refusal> {
    let (plan, policy, is_dry_run): (Plan, OperationPolicy, bool) = match said {
        NewOperation::Deploy { version, policy, dry_run } => {
            (Plan::Deploy { version: version.parse::<DeployVersion>()? }, policy, dry_run)
        }
        NewOperation::Upgrade { policy, dry_run } => (Plan::Upgrade, policy, dry_run),
        NewOperation::Restart { policy, dry_run } => (Plan::Restart, policy, dry_run),
    };
    Ok(Wanted { plan, policy: policy::asked(policy)?, is_dry_run })
}
