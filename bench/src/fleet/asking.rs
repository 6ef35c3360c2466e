//! Facts of all hosts, and a command that does nothing on all of them.

use std::time::Duration;

use super::ours::Ours;
use super::rival::{Programs, Rival};
use super::site::Site;
use crate::Failure;
use crate::report::{Measured, Row, Section, Unit};
use crate::run::note;

/// How many hosts are asked at once, by whomever.
const AT_ONCE: usize = 50;
/// How many Ansible is tried with; the fastest of them counts.
const FORKS: [usize; 3] = [10, 25, 50];

/// What hosts are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Say what they are: our probe, Ansible's `setup`.
    Facts,
    /// Nothing: `true`, Ansible's `ping`.
    Nothing,
}

const WORKS: [(Work, &str); 2] = [(Work::Facts, "facts"), (Work::Nothing, "no-op")];

/// What asking took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Until the last host had answered.
    pub(super) time: Duration,
    /// Of processors, by whoever asked, the hosts not counted.
    pub(super) cpu: Duration,
}

/// What asking took, each time.
#[derive(Default)]
struct Costs {
    time: Measured,
    cpu: Measured,
}

impl Costs {
    fn add(&mut self, cost: Cost) {
        self.time.add(cost.time.as_secs_f64() * 1e3);
        self.cpu.add(cost.cpu.as_secs_f64() * 1e3);
    }
}

/// Cold is with no connection there, warm with all of them.
#[derive(Default)]
struct Seen {
    cold: Costs,
    warm: Costs,
}

pub(super) fn measure(programs: &Programs, hosts: usize, rounds: usize) -> Result<Vec<Section>, Failure> {
    let site = Site::start(hosts)?;
    let ours = Ours::new(&site)?;
    let forks = best_forks(programs, &site)?;
    let mut seen: Vec<(Seen, Vec<Seen>)> =
        WORKS.map(|_| (Seen::default(), Rival::ALL.map(|_| Seen::default()).into())).into();
    for round in 1..=rounds {
        for ((work, name), (our_costs, their_costs)) in WORKS.into_iter().zip(&mut seen) {
            note(&format!("{hosts} hosts, {name}: round {round}"));
            ours.hang_up();
            our_costs.cold.add(ours.ask(work, AT_ONCE)?);
            our_costs.warm.add(ours.ask(work, AT_ONCE)?);
            for (rival, costs) in Rival::ALL.into_iter().zip(their_costs) {
                let at_once = if rival == Rival::Ansible { forks } else { AT_ONCE };
                let asked = programs.ask(rival, &site, work, at_once)?;
                costs.cold.add(asked.cold);
                costs.warm.add(asked.warm);
            }
        }
    }
    Ok(Rival::ALL.iter().enumerate().map(|(at, rival)| section(*rival, at, hosts, forks, &seen)).collect())
}

/// Rows beside one rival.
fn section(rival: Rival, at: usize, hosts: usize, forks: usize, seen: &[(Seen, Vec<Seen>)]) -> Section {
    let mut rows = Vec::new();
    for ((_, work), (ours, theirs)) in WORKS.iter().zip(seen) {
        let theirs = &theirs[at];
        for (state, ours, theirs) in [("cold", &ours.cold, &theirs.cold), ("warm", &ours.warm, &theirs.warm)]
        {
            let row = |what: &str, ours: &Measured, theirs: &Measured| Row {
                what: format!("{work}, {state}: {what}"),
                unit: Unit::Milliseconds,
                ours: ours.clone(),
                theirs: theirs.clone(),
            };
            rows.push(row("time", &ours.time, &theirs.time));
            rows.push(row("processor time", &ours.cpu, &theirs.cpu));
        }
    }
    let at_once = match rival {
        Rival::Ansible => format!("Ansible: pipelining, {forks} forks (the best of {FORKS:?})"),
        _ => format!("{AT_ONCE} hosts at once"),
    };
    let warm = if rival.keeps_connections() {
        "cold: no connection stands; warm: all of them do"
    } else {
        "it keeps no connections: its warm runs are cold, too"
    };
    Section {
        title: format!("{hosts} hosts, beside {}", rival.name()),
        rival: rival.name(),
        rows,
        notes: vec![format!("{at_once}; {warm}; processor time is that of whoever asks")],
    }
}

/// With how many processes Ansible is the fastest, its connections standing.
fn best_forks(programs: &Programs, site: &Site) -> Result<usize, Failure> {
    let mut best = (Duration::MAX, FORKS[0]);
    for forks in FORKS {
        note(&format!("Ansible with {forks} forks"));
        let asked = programs.ask(Rival::Ansible, site, Work::Nothing, forks)?;
        best = best.min((asked.warm.time, forks));
    }
    Ok(best.1)
}
