//! Operations carried out by processes that die at any point, over random policies and random hosts.
//!
//! What happens to hosts is played here; what is right is asked of the play, not of the records: how many are down at
//! once, how often each was restarted, which are cordoned.

use std::collections::{BTreeMap, BTreeSet};

use base::{Entropy, Span};
use fleet::{
    Beginning, Gates, HostAddress, HostProgress, HostRun, Next, Outcome, Plan, Policy, RolloutError,
    RolloutId, RunState, Share, Step,
};
use futures_executor::block_on;
use store::{Claim, Claims};

use crate::world::{World, cluster, host_in, permit};

const LEASE: Span = Span::seconds(60);

/// Hosts, as they are.
#[derive(Default)]
struct Play {
    cordoned: BTreeSet<HostAddress>,
    /// Those told to restart that have not yet shown that they are well.
    down: BTreeSet<HostAddress>,
    restarts: BTreeMap<HostAddress, u32>,
    tries: u32,
}

struct Life {
    world: World,
    fleet: fleet::Fleet,
    claim: Claim,
    processes: u32,
    entropy: Entropy,
    id: RolloutId,
    play: Play,
    allowed: u64,
    may_fail: bool,
}

/// The process dies.
struct Dead;

impl Life {
    fn new(seed: u64, hosts: u64, policy: &Policy) -> Self {
        let world = World::new();
        world.make_cluster("web", "");
        for n in 0..hosts {
            world.add(&format!("10.0.0.{n}"), host_in("web", "active")).unwrap();
        }
        let started =
            block_on(world.fleet.start_with(permit(), &cluster("web"), &Plan::Restart, policy)).unwrap();
        let of = |share: Option<Share>| share.map(|share| share.of(hosts));
        let most = of(policy.batch).or(of(policy.max_unavailable)).unwrap_or(1);
        let most = most.max(of(policy.canary).unwrap_or(0));
        let allowed = most.min(of(policy.max_unavailable).unwrap_or(u64::MAX));
        let (fleet, claim) = (world.another(), claim(&world, 0));
        let (entropy, play) = (Entropy::seeded(seed), Play::default());
        Self { world, fleet, claim, processes: 0, entropy, id: started.id, play, allowed, may_fail: true }
    }

    /// True once in `n`.
    fn once_in(&self, n: u64) -> bool {
        self.entropy.number().is_multiple_of(n)
    }

    fn or_die(&self) -> Result<(), Dead> {
        if self.once_in(12) { Err(Dead) } else { Ok(()) }
    }

    fn rollout(&self) -> fleet::Rollout {
        block_on(self.world.fleet.rollout(permit(), &cluster("web"), self.id)).unwrap().is
    }

    /// Another process takes the work over; the one before writes nothing more.
    fn next_process(&mut self) {
        self.processes += 1;
        self.world.clock.advance(LEASE + Span::seconds(1));
        let old = std::mem::replace(&mut self.claim, claim(&self.world, self.processes));
        self.fleet = self.world.another();
        let web = cluster("web");
        let late = block_on(self.fleet.next_step(&web, self.id)).unwrap();
        if let Next::Begin(hosts) = late.next {
            let hosts: Vec<_> = hosts.into_iter().map(|host| Beginning::with(host, None)).collect();
            let refused = block_on(self.fleet.begin_hosts(&old, &web, self.id, &hosts));
            assert!(matches!(refused, Err(RolloutError::ClaimLost { .. })), "{refused:?}");
        }
    }

    fn record(&self, host: &HostAddress, progress: &HostProgress) {
        let web = cluster("web");
        block_on(self.fleet.record_host(&self.claim, &web, self.id, host, progress)).unwrap();
    }

    /// Cordons a host and tells it to restart; it does so once, whoever tells it how often.
    fn command(&mut self, run: &HostRun) -> Result<(), Dead> {
        self.or_die()?;
        self.play.cordoned.insert(run.address.clone());
        self.or_die()?;
        let boot_id = |play: &Play| play.restarts.get(&run.address).copied().unwrap_or(0).to_string();
        if run.state.boot_id() == Some(boot_id(&self.play).as_str()) {
            *self.play.restarts.entry(run.address.clone()).or_default() += 1;
            self.play.down.insert(run.address.clone());
        }
        self.or_die()?;
        self.record(&run.address, &HostProgress::Commanded);
        Ok(())
    }

    /// Looks at a host under way.
    fn look(&mut self, run: &HostRun) -> Result<(), Dead> {
        match &run.state {
            RunState::Begun { .. } => self.command(run),
            RunState::Awaiting { .. } if self.once_in(3) => Ok(()),
            RunState::Awaiting { .. } if self.may_fail && self.once_in(6) => {
                self.play.down.remove(&run.address);
                self.record(&run.address, &HostProgress::Failed { reason: "no".into() });
                Ok(())
            }
            RunState::Awaiting { .. } => {
                self.play.down.remove(&run.address);
                self.play.cordoned.remove(&run.address);
                self.or_die()?;
                self.record(&run.address, &HostProgress::Healthy);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn carry(&mut self) -> Result<Option<Outcome>, Dead> {
        let web = cluster("web");
        let step: Step = block_on(self.fleet.advance(&self.claim, &web, self.id, || true)).unwrap();
        self.check(&step);
        match step.next {
            Next::Ended(outcome) => return Ok(Some(outcome)),
            Next::Begin(hosts) => {
                self.or_die()?;
                let boot_id =
                    |host: &HostAddress| self.play.restarts.get(host).copied().unwrap_or(0).to_string();
                let hosts: Vec<_> = hosts
                    .into_iter()
                    .map(|host| Beginning::with(host.clone(), Some(boot_id(&host))))
                    .collect();
                let begun = block_on(self.fleet.begin_hosts(&self.claim, &web, self.id, &hosts)).unwrap();
                assert!(self.rollout().underway() <= self.allowed, "{:?}", self.rollout());
                for run in begun {
                    self.command(&run)?;
                }
            }
            Next::Release(hosts) => {
                for host in hosts {
                    self.play.cordoned.remove(&host);
                    self.play.down.remove(&host);
                    self.or_die()?;
                    let released = self.fleet.release_host(&self.claim, &web, self.id, &host, None);
                    block_on(released).unwrap();
                }
            }
            Next::Await { until, .. } => {
                for run in &step.seen.underway {
                    self.look(run)?;
                }
                let patience = Span::seconds(20);
                let nobody = step.seen.underway.is_empty();
                let until = if nobody { until } else { self.world.clock.now() + patience };
                self.world.clock.advance(until - self.world.clock.now());
            }
            Next::Paused => {
                block_on(self.world.fleet.resume(permit(), &web, self.id)).unwrap();
            }
            Next::Gather | Next::Settle(_) | Next::Finish(_) => panic!("that is done by now"),
        }
        self.interfere();
        Ok(None)
    }

    /// What operators do meanwhile.
    fn interfere(&mut self) {
        let (web, fleet) = (cluster("web"), &self.world.fleet);
        let is_over = self.rollout().outcome.is_some();
        if is_over || !self.once_in(8) {
            return;
        }
        match self.entropy.number() % 8 {
            0 | 1 => drop(block_on(fleet.pause(permit(), &web, self.id))),
            2 if self.once_in(3) => drop(block_on(fleet.abort(permit(), &web, self.id))),
            3 => {
                let host = format!("10.0.0.{}", self.entropy.number() % 5).parse().unwrap();
                let _ = block_on(fleet.skip_host(permit(), &web, self.id, &host));
            }
            _ => {}
        }
    }

    fn check(&mut self, step: &Step) {
        // Those whose time was over count as failed, and no longer as under way.
        for run in &step.seen.failed {
            self.play.down.remove(&run.address);
        }
        let down = self.play.down.len() as u64;
        assert!(down <= self.allowed, "{down} are down: {step:?}");
        assert!(step.rollout.underway() <= self.allowed);
        let rollout = &step.rollout;
        let sum = rollout.done + rollout.skipped + rollout.failed() + rollout.underway() + rollout.waiting();
        assert_eq!(sum, rollout.total);
    }

    /// Lives until it has ended.
    fn live(&mut self) -> Outcome {
        for _ in 0..5_000 {
            match self.carry() {
                Ok(Some(outcome)) => return outcome,
                Ok(None) => {}
                Err(Dead) => self.next_process(),
            }
        }
        panic!("it does not come to an end: {:?}", self.rollout());
    }

    fn check_end(&mut self, outcome: Outcome) {
        let rollout = self.rollout();
        assert!(self.play.cordoned.is_empty(), "{outcome:?} leaves {:?}", self.play.cordoned);
        assert_eq!((rollout.outcome, rollout.underway()), (Some(outcome), 0));
        assert!(self.world.keys("/fleet/under-way/").is_empty());
        assert!(self.world.keys("/fleet/operation-running/").is_empty());
        let web = cluster("web");
        let page = self.world.fleet.rollout_hosts(permit(), &web, self.id, None, 1_000);
        let hosts = block_on(page).unwrap().hosts;
        let count = |state: &str| hosts.iter().filter(|run| run.state.as_str() == state).count() as u64;
        assert_eq!(
            (count("done"), count("failed"), count("skipped"), count("waiting")),
            (rollout.done, rollout.failed(), rollout.skipped, rollout.waiting())
        );
        assert_eq!(hosts.len() as u64, rollout.total, "none is forgotten");
        if outcome == Outcome::Finished {
            assert_eq!(rollout.waiting(), 0);
        }
        for run in &hosts {
            let restarts = self.play.restarts.get(&run.address).copied().unwrap_or(0);
            match run.state {
                RunState::Done { .. } => assert!((1..=1 + self.play.tries).contains(&restarts), "{run:?}"),
                RunState::Waiting => assert!(restarts <= self.play.tries, "{run:?}"),
                _ => assert!(restarts <= 1 + self.play.tries, "{run:?}"),
            }
        }
        let kind = fleet::OperationKind::Restart;
        let told = block_on(self.world.fleet.operation(permit(), &cluster("web"), kind)).unwrap().is;
        assert_eq!((told.done.len() as u64, told.in_process.len() as u64), (rollout.done, rollout.failed()));
        assert_eq!(told.state.as_str(), if outcome == Outcome::Finished { "finished" } else { "failed" });
        assert!(!told.finished_at.is_empty());
    }
}

fn claim(world: &World, process: u32) -> Claim {
    let claims = Claims::new(world.store.clone()).unwrap();
    let holder = format!("process {process}");
    block_on(claims.take("operation/web", &holder, world.clock.now(), LEASE)).unwrap().unwrap()
}

fn any_policy(entropy: &Entropy) -> Policy {
    let one_of = |texts: &[&str]| {
        let text = texts[(entropy.number() % texts.len() as u64) as usize];
        (!text.is_empty()).then(|| text.parse::<Share>().unwrap())
    };
    let batch = one_of(&["", "", "1", "3", "50%"]);
    let max_unavailable = one_of(&["", "", "2", "40%"]);
    let canary = one_of(&["", "", "1", "2"]);
    let soak = Span::seconds([0, 0, 30][(entropy.number() % 3) as usize]);
    Policy {
        batch,
        max_unavailable,
        canary,
        failures_max: [0, 0, 2][(entropy.number() % 3) as usize],
        drain: true,
        gates: Gates { soak, ..Gates::default() },
        ..Policy::default()
    }
}

/// Whoever dies wherever, and whatever operators do: no more are down than may be, none is restarted twice, none is
/// forgotten, none stays cordoned, and it can be taken to its end.
#[test]
fn operations_do_not_lose_their_place() {
    let mut outcomes = BTreeMap::<&str, u32>::new();
    for seed in 0..250 {
        let entropy = Entropy::seeded(seed);
        let (policy, hosts) = (any_policy(&entropy), 1 + entropy.number() % 12);
        let mut life = Life::new(seed, hosts, &policy);
        let outcome = life.live();
        *outcomes.entry(outcome.as_str()).or_default() += 1;
        life.check_end(outcome);
        // What is left is taken up again until all of it is done, and no host fails any more.
        life.may_fail = false;
        while life.rollout().waiting() + life.rollout().failed() > 0 && life.play.tries < 20 {
            life.play.tries += 1;
            block_on(life.world.fleet.retry(permit(), &cluster("web"), life.id)).unwrap();
            let outcome = life.live();
            life.check_end(outcome);
        }
        // One that was aborted when there was nothing left to do stays aborted.
        let end = life.rollout();
        assert_eq!(end.done + end.skipped, end.total, "seed {seed}: {outcome:?}");
        life.world.assert_consistent();
    }
    assert_eq!(outcomes.len(), 3, "all ends were seen: {outcomes:?}");
}

/// One after the other, and the first that fails ends it: so it is without a policy (commissaire contract, 9.5).
#[test]
fn the_originals_way_is_the_usual_one() {
    for seed in 0..40 {
        let mut life = Life::new(seed, 6, &Policy { drain: true, ..Policy::default() });
        assert_eq!(life.allowed, 1);
        let outcome = life.live();
        life.check_end(outcome);
        assert!(life.rollout().failed() <= 1 || outcome == Outcome::Aborted);
    }
}
