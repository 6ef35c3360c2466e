use super::*;
use crate::operation::Plan;
use crate::policy::{Gates, Policy};
use crate::rollout::RolloutId;
use crate::run::Past;

const NOW: Timestamp = Timestamp::from_unix(1_481_000_000);

fn host(place: u64) -> HostAddress {
    format!("10.0.0.{place}").parse().unwrap()
}

fn run(place: u64, state: RunState) -> HostRun {
    HostRun { place, address: host(place), state, cordon: Cordon::None, past: Past::default() }
}

fn begun(seconds_ago: i64) -> RunState {
    RunState::Begun { boot_id: None, at: NOW + Span::seconds(-seconds_ago) }
}

fn failed() -> RunState {
    RunState::Failed { reason: "no".into(), at: NOW }
}

/// An operation on hosts in these states, and all there is to know about it.
fn at(policy: Policy, states: &[RunState]) -> (Rollout, Situation) {
    let whose = ("web".parse().unwrap(), RolloutId(1));
    let total = states.len() as u64;
    let mut rollout = Rollout::asked_for(whose, (Plan::Restart, policy), "ada".into(), total, NOW);
    (rollout.gathered, rollout.is_gathered) = (total, true);
    let mut seen = Situation::default();
    for (place, state) in (0..).zip(states) {
        let mut run = run(place, RunState::Waiting);
        if *state != RunState::Waiting {
            rollout.shift(&mut run, state.clone());
        }
        match &run.state {
            RunState::Waiting => {
                seen.waiting.push(Candidate { run, is_available: true, unfit: None, is_busy: false });
            }
            RunState::Failed { .. } => seen.failed.push(run),
            state if state.is_underway() => seen.underway.push(run),
            _ => {}
        }
    }
    // Those that do not wait were all begun with together.
    rollout.batch_left = rollout.batch_size().saturating_sub(total - seen.waiting.len() as u64);
    (rollout, seen)
}

fn begins(hosts: &[u64]) -> Next {
    Next::Begin(hosts.iter().map(|place| host(*place)).collect())
}

fn waits(seconds: i64, why: Why) -> Next {
    Next::Await { until: NOW + Span::seconds(seconds), why }
}

fn policy(batch: &str, max_unavailable: &str, canary: &str, failures_max: u32) -> Policy {
    let share = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    Policy {
        batch: share(batch),
        max_unavailable: share(max_unavailable),
        canary: share(canary),
        failures_max,
        ..Policy::default()
    }
}

#[test]
fn hosts_are_begun_with_as_the_policy_says() {
    let (w, d) = (RunState::Waiting, RunState::Done { at: NOW });
    let unavailable = |are, may_be| waits(570, Why::Unavailable { are, may_be });
    for (policy, states, expected) in [
        // The original's way.
        (policy("", "", "", 0), vec![w.clone(), w.clone()], begins(&[0])),
        (policy("", "", "", 0), vec![begun(30), w.clone()], waits(570, Why::Hosts)),
        (policy("", "", "", 0), vec![d.clone(), w.clone()], begins(&[1])),
        (policy("", "", "", 0), vec![failed(), w.clone()], Next::Finish(Outcome::Failed)),
        (policy("", "", "", 0), vec![d.clone(), d.clone()], Next::Finish(Outcome::Finished)),
        (policy("", "", "", 0), vec![], Next::Finish(Outcome::Finished)),
        // Batches.
        (policy("2", "", "", 0), vec![w.clone(), w.clone(), w.clone()], begins(&[0, 1])),
        (policy("2", "", "", 0), vec![begun(30), d.clone(), w.clone()], waits(570, Why::Hosts)),
        (policy("50%", "", "", 0), vec![d.clone(), d.clone(), w.clone(), w.clone()], begins(&[2, 3])),
        (policy("2", "", "", 0), vec![failed(), begun(30), w.clone()], waits(570, Why::Hosts)),
        // Only so many unavailable.
        (policy("", "2", "", 0), vec![w.clone(), w.clone(), w.clone()], begins(&[0, 1])),
        (policy("", "2", "", 0), vec![begun(30), w.clone(), w.clone()], begins(&[1])),
        (policy("", "2", "", 0), vec![begun(30), begun(9), w.clone()], unavailable(2, 2)),
        (policy("", "2", "", 1), vec![failed(), w.clone(), w.clone()], begins(&[1, 2])),
        (policy("3", "2", "", 0), vec![w.clone(), w.clone(), w.clone()], begins(&[0, 1])),
        // Canaries.
        (policy("3", "", "1", 0), vec![w.clone(), w.clone(), w.clone()], begins(&[0])),
        (policy("3", "", "1", 0), vec![begun(30), w.clone(), w.clone()], waits(570, Why::Hosts)),
        (policy("3", "", "1", 0), vec![d.clone(), w.clone(), w.clone()], begins(&[1, 2])),
        (policy("3", "", "1", 9), vec![failed(), w.clone()], Next::Finish(Outcome::Failed)),
        (policy("3", "", "1", 9), vec![d.clone(), failed(), w.clone()], begins(&[2])),
        // Tolerated failures.
        (policy("", "", "", 1), vec![failed(), w.clone()], begins(&[1])),
        (policy("", "", "", 1), vec![failed(), failed(), w.clone()], Next::Finish(Outcome::Failed)),
        (policy("", "", "", 1), vec![failed(), d.clone()], Next::Finish(Outcome::Finished)),
    ] {
        let (rollout, seen) = at(policy, &states);
        assert_eq!(next(&rollout, &seen, NOW), expected, "{:?} {states:?}", rollout.policy);
    }
}

#[test]
fn what_is_unavailable_for_other_reasons_counts() {
    let (rollout, mut seen) = at(policy("", "2", "", 0), &[RunState::Waiting, RunState::Waiting]);
    seen.unavailable = 1;
    assert_eq!(next(&rollout, &seen, NOW), begins(&[0]));
    seen.unavailable = 2;
    assert_eq!(next(&rollout, &seen, NOW), waits(30, Why::Unavailable { are: 2, may_be: 2 }));
    // One that is down anyway makes no difference.
    seen.waiting[1].is_available = false;
    assert_eq!(next(&rollout, &seen, NOW), begins(&[1]));
}

#[test]
fn time_settles_what_is_over() {
    let soak = Policy { gates: Gates { soak: Span::seconds(60), ..Gates::default() }, ..Policy::default() };
    let soaking = |ago: i64| RunState::Soaking { since: NOW + Span::seconds(-ago) };
    let (rollout, seen) = at(soak.clone(), &[soaking(59), RunState::Waiting]);
    assert_eq!(next(&rollout, &seen, NOW), waits(1, Why::Hosts));
    let (rollout, seen) = at(soak, &[soaking(60), RunState::Waiting]);
    assert_eq!(next(&rollout, &seen, NOW), Next::Settle(vec![(host(0), RunState::Done { at: NOW })]));

    let limited = Policy { host_limit: Some(Span::seconds(90)), ..Policy::default() };
    let awaiting = RunState::Awaiting { boot_id: None, begun_at: NOW + Span::seconds(-90), since: NOW };
    for state in [begun(90), awaiting] {
        let (rollout, seen) = at(limited.clone(), &[state]);
        let Next::Settle(settled) = next(&rollout, &seen, NOW) else { panic!("its time is over") };
        let (_, RunState::Failed { reason, .. }) = &settled[0] else { panic!("it failed") };
        assert!(reason.ends_with("within 90 seconds"), "{reason}");
    }
}

#[test]
fn nothing_begins_when_it_is_not_to() {
    let waiting = [RunState::Waiting];
    let (mut rollout, seen) = at(Policy::default(), &waiting);
    rollout.is_gathered = false;
    assert_eq!(next(&rollout, &seen, NOW), Next::Gather);
    rollout.is_gathered = true;
    rollout.wish = Wish::Pause;
    assert_eq!(next(&rollout, &seen, NOW), Next::Paused);
    rollout.wish = Wish::Abort;
    assert_eq!(next(&rollout, &seen, NOW), Next::Finish(Outcome::Aborted));
    rollout.outcome = Some(Outcome::Aborted);
    assert_eq!(next(&rollout, &seen, NOW), Next::Ended(Outcome::Aborted));

    let later = Policy { start_at: Some(NOW + Span::seconds(100)), ..Policy::default() };
    let (rollout, seen) = at(later, &waiting);
    assert_eq!(next(&rollout, &seen, NOW), waits(100, Why::Schedule));
    assert_eq!(next(&rollout, &seen, NOW + Span::seconds(100)), begins(&[0]));
    // NOW is a Tuesday, 04:53:20.
    let window = Policy { windows: vec!["tue 05:00-06:00".parse().unwrap()], ..Policy::default() };
    let (rollout, seen) = at(window.clone(), &waiting);
    assert_eq!(next(&rollout, &seen, NOW), waits(400, Why::Schedule));
    let (rollout, seen) = at(window, &[begun(500), RunState::Waiting]);
    assert_eq!(next(&rollout, &seen, NOW), waits(100, Why::Schedule), "the host is looked at before");
}

#[test]
fn nothing_is_left_cordoned() {
    let (mut rollout, mut seen) = at(Policy::default(), &[failed(), begun(1), RunState::Waiting]);
    seen.failed[0].cordon = Cordon::Perhaps;
    assert_eq!(next(&rollout, &seen, NOW), Next::Release(vec![host(0)]));
    rollout.wish = Wish::Abort;
    assert_eq!(next(&rollout, &seen, NOW), Next::Release(vec![host(0), host(1)]));
    seen.failed[0].cordon = Cordon::Left;
    seen.underway.clear();
    assert_eq!(next(&rollout, &seen, NOW), Next::Finish(Outcome::Aborted));
}

#[test]
fn a_host_that_others_are_at_is_waited_for() {
    let (rollout, mut seen) = at(policy("2", "", "", 0), &[RunState::Waiting, RunState::Waiting]);
    seen.waiting[0].is_busy = true;
    assert_eq!(next(&rollout, &seen, NOW), begins(&[1]));
    seen.waiting[1].is_busy = true;
    assert_eq!(next(&rollout, &seen, NOW), waits(5, Why::Others));
}

#[test]
fn hosts_that_cannot_be_begun_with_are_settled_in_their_turn() {
    let (rollout, mut seen) = at(Policy::default(), &[RunState::Waiting, RunState::Waiting]);
    seen.waiting[1].unfit = Some(Unfit::NotAtomic);
    assert_eq!(next(&rollout, &seen, NOW), begins(&[0]));
    for (unfit, expected) in
        [(Unfit::NotAtomic, "failed"), (Unfit::Left, "skipped"), (Unfit::Deleted, "skipped")]
    {
        seen.waiting[0].unfit = Some(unfit);
        let Next::Settle(settled) = next(&rollout, &seen, NOW) else { panic!("{unfit:?}") };
        assert_eq!((&settled[0].0, settled[0].1.as_str()), (&host(0), expected));
    }
}
