//! Whatever is done to a fleet, in whatever order, it is as a plain model of it says: statuses, counts, lists and
//! labels of the moment, and a host in one cluster at most.

use std::collections::{BTreeMap, BTreeSet};

use base::Entropy;
use fleet::{
    AddHostError, ClusterError, Expected, Facts, Fleet, HostError, HostFilter, HostStatus, LabelChange,
    Labels, MembersError, NewCluster, NewHost, OperationError, OperationKind, Plan,
};
use futures_executor::block_on;

use crate::world::{World, address, cluster, host, permit};

const HOSTS: u64 = 24;
const CLUSTERS: u64 = 3;
const STATUSES: [&str; 8] =
    ["", "investigating", "bootstrapping", "disassociated", "active", "failed", "on fire", "melted"];
/// For clusters; the last two do not exist at first.
const MANAGERS: [&str; 3] = ["", "trivial", "missing"];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    key: String,
    status: String,
    os: String,
    cluster: Option<String>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Cluster {
    manager: String,
    /// Whether an operation runs that had hosts to run on.
    running: Option<OperationKind>,
    done: Vec<OperationKind>,
}

#[derive(Debug, Default)]
struct Model {
    hosts: BTreeMap<String, Host>,
    clusters: BTreeMap<String, Cluster>,
    managers: BTreeSet<String>,
}

/// What is answered, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Done,
    Nothing,
    NoHost,
    NoCluster,
    Refused,
}

impl Model {
    fn members(&self, name: &str) -> BTreeSet<String> {
        let of = |host: &Host| host.cluster.as_deref() == Some(name);
        self.hosts.iter().filter(|(_, host)| of(host)).map(|(text, _)| text.clone()).collect()
    }

    fn add(&mut self, text: &str, new: Host) -> Said {
        if new.cluster.as_ref().is_some_and(|name| !self.clusters.contains_key(name)) {
            return Said::NoCluster;
        }
        match self.hosts.get(text) {
            Some(old) if old.key != new.key => Said::Refused,
            Some(old) if new.cluster.is_some() && old.cluster != new.cluster => Said::Refused,
            Some(_) => Said::Nothing,
            None => {
                self.hosts.insert(text.to_owned(), new);
                Said::Done
            }
        }
    }

    fn delete(&mut self, text: &str) -> Said {
        if self.hosts.remove(text).is_some() { Said::Done } else { Said::NoHost }
    }

    fn label(&mut self, text: &str, change: BTreeMap<String, Option<String>>) -> Said {
        match self.hosts.get_mut(text) {
            None => Said::NoHost,
            Some(host) => {
                for (key, value) in change {
                    host.labels.remove(&key);
                    host.labels.extend(value.map(|value| (key, value)));
                }
                Said::Done
            }
        }
    }

    fn put(&mut self, name: &str, manager: &str) -> Said {
        self.clusters.entry(name.to_owned()).or_default().manager = manager.to_owned();
        Said::Done
    }

    fn drop_cluster(&mut self, name: &str) -> Said {
        if self.clusters.remove(name).is_none() {
            return Said::NoCluster;
        }
        for host in self.hosts.values_mut().filter(|host| host.cluster.as_deref() == Some(name)) {
            host.cluster = None;
        }
        Said::Done
    }

    /// What a host would be after joining, or why it cannot.
    fn admitted(&self, name: &str, text: &str) -> Result<Option<String>, Said> {
        let manager = self.clusters.get(name).ok_or(Said::NoCluster)?.manager.as_str();
        let host = self.hosts.get(text).ok_or(Said::NoHost)?;
        match host.cluster.as_deref() {
            Some(own) if own == name => return Ok(None),
            Some(_) => return Err(Said::Refused),
            None => {}
        }
        if !["active", "disassociated"].contains(&host.status.as_str()) {
            return Err(Said::Refused);
        }
        match manager {
            "" => Ok(Some("disassociated".into())),
            name if self.managers.contains(name) => Ok(Some("active".into())),
            _ => Err(Said::Refused),
        }
    }

    fn join(&mut self, name: &str, text: &str) -> Said {
        match self.admitted(name, text) {
            Err(said) => said,
            Ok(None) => Said::Nothing,
            Ok(Some(status)) => {
                let host = self.hosts.get_mut(text).unwrap();
                (host.cluster, host.status) = (Some(name.to_owned()), status);
                Said::Done
            }
        }
    }

    fn leave(&mut self, name: &str, text: &str) -> Said {
        if !self.clusters.contains_key(name) {
            return Said::NoCluster;
        }
        match self.hosts.get_mut(text).filter(|host| host.cluster.as_deref() == Some(name)) {
            None => Said::Nothing,
            Some(host) => {
                host.cluster = None;
                Said::Done
            }
        }
    }

    fn replace(&mut self, name: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) -> Said {
        if !self.clusters.contains_key(name) {
            return Said::NoCluster;
        }
        if self.members(name) != *old {
            return Said::Refused;
        }
        for text in new.difference(old) {
            match self.admitted(name, text) {
                Ok(_) => {}
                Err(said) => return said,
            }
        }
        for text in old.difference(new) {
            self.leave(name, text);
        }
        for text in new.difference(old) {
            self.join(name, text);
        }
        Said::Done
    }

    fn start(&mut self, name: &str, kind: OperationKind) -> Said {
        let is_empty = self.members(name).is_empty();
        let Some(cluster) = self.clusters.get_mut(name) else { return Said::NoCluster };
        if cluster.running.is_some() {
            return Said::Refused;
        }
        cluster.done.push(kind);
        cluster.running = (!is_empty).then_some(kind);
        Said::Done
    }
}

/// The fleet and the model beside it.
struct Both<'w> {
    world: &'w World,
    fleets: [&'w Fleet; 2],
    model: Model,
    entropy: Entropy,
}

impl Both<'_> {
    fn below(&self, end: u64) -> u64 {
        self.entropy.number() % end
    }

    fn some_host(&self) -> String {
        format!("h{}", self.below(HOSTS))
    }

    fn some_cluster(&self) -> String {
        format!("c{}", self.below(CLUSTERS))
    }

    fn some_labels(&self) -> BTreeMap<String, String> {
        let count = self.below(3);
        (0..count).map(|_| (format!("k{}", self.below(3)), format!("v{}", self.below(2)))).collect()
    }

    /// Does something to both, and compares what they say.
    fn step(&mut self, step: usize) {
        let fleet = self.fleets[(self.below(2)) as usize];
        let (text, name) = (self.some_host(), self.some_cluster());
        let (at, of) = (address(&text), cluster(&name));
        let (did, found, expected) = match self.below(20) {
            0..5 => {
                let (found, expected) = self.add(fleet, &text);
                ("add", found, expected)
            }
            5..7 => {
                let found = match block_on(fleet.delete_host(permit(), &at, Expected::Anything)) {
                    Ok(()) => Said::Done,
                    Err(HostError::NoSuchHost { .. }) => Said::NoHost,
                    Err(error) => panic!("{error}"),
                };
                ("delete", found, self.model.delete(&text))
            }
            7..10 => {
                let keys = self.some_labels().into_iter();
                let wanted: BTreeMap<_, _> =
                    keys.map(|(key, value)| (key, (self.below(3) > 0).then_some(value))).collect();
                let change = LabelChange::new(wanted.clone()).unwrap();
                let found = match block_on(fleet.label_host(permit(), &at, &change, Expected::Anything)) {
                    Ok(_) => Said::Done,
                    Err(HostError::NoSuchHost { .. }) => Said::NoHost,
                    Err(error) => panic!("{error}"),
                };
                ("label", found, self.model.label(&text, wanted))
            }
            10..12 => {
                let manager = MANAGERS[self.below(3) as usize];
                let new = NewCluster { container_manager: manager.into(), ..NewCluster::default() };
                block_on(fleet.put_cluster(permit(), &of, &new, Expected::Anything)).unwrap();
                ("put", Said::Done, self.model.put(&name, manager))
            }
            12 if self.below(3) == 0 => {
                let found = match block_on(fleet.delete_cluster(permit(), &of, Expected::Anything)) {
                    Ok(()) => Said::Done,
                    Err(ClusterError::NoSuchCluster { .. }) => Said::NoCluster,
                    Err(error) => panic!("{error}"),
                };
                ("drop", found, self.model.drop_cluster(&name))
            }
            12..15 => {
                let found = moved(block_on(fleet.join(permit(), &of, &at)));
                ("join", found, self.model.join(&name, &text))
            }
            15..17 => {
                let found = moved(block_on(fleet.leave(permit(), &of, &at)));
                ("leave", found, self.model.leave(&name, &text))
            }
            17..19 => {
                let (found, expected) = self.replace(fleet, &name);
                ("replace", found, expected)
            }
            _ => {
                let kind = OperationKind::ALL[self.below(3) as usize];
                let plan = match kind {
                    OperationKind::Deploy => Plan::Deploy { version: "1".parse().unwrap() },
                    OperationKind::Upgrade => Plan::Upgrade,
                    OperationKind::Restart => Plan::Restart,
                };
                let found = match block_on(fleet.start(permit(), &of, plan)) {
                    Ok(_) => Said::Done,
                    Err(OperationError::NoSuchCluster { .. }) => Said::NoCluster,
                    Err(OperationError::Running { .. }) => Said::Refused,
                    Err(error) => panic!("{error}"),
                };
                ("start", found, self.model.start(&name, kind))
            }
        };
        assert_eq!(found, expected, "step {step}: {did} {text} {name}: {:#?}", self.model);
    }

    fn add(&mut self, fleet: &Fleet, text: &str) -> (Said, Said) {
        let wanted = Host {
            key: format!("key {}", self.below(8) / 7),
            status: STATUSES[self.below(8) as usize].to_owned(),
            os: ["", "fedora", "oracle linux"][self.below(3) as usize].to_owned(),
            cluster: (self.below(2) == 0).then(|| self.some_cluster()),
            labels: self.some_labels(),
        };
        let new = NewHost {
            facts: Facts { os: wanted.os.clone(), ..Facts::default() },
            cluster: wanted.cluster.as_deref().map(cluster),
            labels: Labels::new(wanted.labels.clone()).unwrap(),
            ..host(&wanted.key, &wanted.status)
        };
        let found = match block_on(fleet.add_host(permit(), address(text), new)) {
            Ok(put) if put.is_new => Said::Done,
            Ok(_) => Said::Nothing,
            Err(AddHostError::NoSuchCluster { .. }) => Said::NoCluster,
            Err(AddHostError::DifferentKey { .. } | AddHostError::NotInCluster { .. }) => Said::Refused,
            Err(error) => panic!("{error}"),
        };
        (found, self.model.add(text, wanted))
    }

    /// Mostly with the hosts that it has, and some that could join.
    fn replace(&mut self, fleet: &Fleet, name: &str) -> (Said, Said) {
        let mut old = self.model.members(name);
        if self.below(5) == 0 {
            old.insert(self.some_host());
        }
        let mut new: BTreeSet<String> = old.iter().filter(|_| self.below(3) > 0).cloned().collect();
        let suitable: Vec<String> = (self.model.hosts.keys())
            .filter(|text| self.model.admitted(name, text).is_ok() || self.below(12) == 0)
            .cloned()
            .collect();
        new.extend(suitable.into_iter().filter(|_| self.below(2) == 0));
        let found =
            moved(block_on(fleet.replace_members(permit(), &cluster(name), Some(&old), &new)).map(|_| true));
        (found, self.model.replace(name, &old, &new))
    }

    /// Everything that can be asked is as the model says.
    fn compare(&self) {
        let model = &self.model;
        let hosts = block_on(self.world.fleet.all_hosts(permit(), |host| host)).unwrap();
        let found: BTreeMap<String, Host> = hosts
            .into_iter()
            .map(|host| {
                let text = host.address.to_string();
                let is = Host {
                    key: block_on(self.world.fleet.credentials(permit(), &host.address))
                        .map(|credentials| credentials.ssh_priv_key.expose().clone())
                        .unwrap(),
                    status: host.status.as_str().to_owned(),
                    os: host.facts.os,
                    cluster: host.cluster.map(|name| name.to_string()),
                    labels: host.labels.as_map().clone(),
                };
                (text, is)
            })
            .collect();
        assert_eq!(found, model.hosts);

        let names = block_on(self.world.fleet.cluster_names(permit())).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names, model.clusters.keys().cloned().collect::<Vec<_>>());
        for (name, known) in &model.clusters {
            let members = model.members(name);
            assert_eq!(self.world.members(name).into_iter().collect::<BTreeSet<_>>(), members, "{name}");
            let is_available = |text: &&String| {
                let status = model.hosts[*text].status.as_str();
                status == "active" || (known.manager.is_empty() && status == "disassociated")
            };
            let available = members.iter().filter(is_available).count() as u64;
            let total = members.len() as u64;
            let health = match available {
                _ if available == total => "ok",
                0 => "failed",
                _ => "degraded",
            };
            assert_eq!(self.world.health(name), (total, available, total - available, health), "{name}");
            for kind in OperationKind::ALL {
                let found = block_on(self.world.fleet.operation(permit(), &cluster(name), kind));
                let is_running = found.as_ref().is_ok_and(|seen| seen.is.finished_at.is_empty());
                assert_eq!(found.is_ok(), known.done.contains(&kind), "{name} {kind:?}");
                assert_eq!(is_running, known.running == Some(kind), "{name} {kind:?}");
            }
        }
        self.compare_filters();
        self.world.assert_consistent();
    }

    /// Found by each status, and by a label, a cluster and both.
    fn compare_filters(&self) {
        let found = |filter: &HostFilter| -> BTreeSet<String> {
            let page = block_on(self.world.fleet.hosts(permit(), filter, None, 1_000)).unwrap();
            assert_eq!(page.next, None);
            page.hosts.iter().map(|host| host.is.address.to_string()).collect()
        };
        let expected = |is: &dyn Fn(&Host) -> bool| -> BTreeSet<String> {
            let hosts = self.model.hosts.iter().filter(|(_, host)| is(host));
            hosts.map(|(text, _)| text.clone()).collect()
        };
        for status in STATUSES {
            let filter = HostFilter { status: Some(HostStatus::from(status)), ..HostFilter::default() };
            // What nobody knows is all the same.
            let is = |host: &Host| match HostStatus::from(status) {
                HostStatus::Other(_) => !STATUSES[..6].contains(&host.status.as_str()),
                _ => host.status == status,
            };
            assert_eq!(found(&filter), expected(&is), "{status:?}");
        }
        let has = |host: &Host| host.labels.get("k1").is_some_and(|value| value == "v0");
        let labels = Labels::new([("k1".to_owned(), "v0".to_owned())]).unwrap();
        let filter = HostFilter { labels, ..HostFilter::default() };
        assert_eq!(found(&filter), expected(&has));
        let filter = HostFilter { cluster: Some(cluster("c1")), ..filter };
        assert_eq!(found(&filter), expected(&|host| has(host) && host.cluster.as_deref() == Some("c1")));
    }
}

fn moved(answer: Result<bool, MembersError>) -> Said {
    match answer {
        Ok(true) => Said::Done,
        Ok(false) => Said::Nothing,
        Err(MembersError::NoSuchCluster { .. }) => Said::NoCluster,
        Err(MembersError::NoSuchHost { .. }) => Said::NoHost,
        Err(
            MembersError::InAnotherCluster { .. }
            | MembersError::Unsuitable { .. }
            | MembersError::NoSuchContainerManager { .. }
            | MembersError::NotAsExpected { .. },
        ) => Said::Refused,
        Err(error) => panic!("{error}"),
    }
}

fn walk(world: &World, seed: u64, steps: usize, trouble: bool) {
    let other = world.another();
    world.make_manager("trivial", "trivial");
    let model = Model { managers: ["trivial".to_owned()].into(), ..Model::default() };
    let entropy = Entropy::seeded(seed);
    let mut both = Both { world, fleets: [&world.fleet, &other], model, entropy };
    for step in 0..steps {
        if trouble {
            // Some answers are lost, and some commits overtaken: nobody is to notice.
            match both.below(6) {
                0 => world.memory.lose_next_answers([both.below(2) == 0]),
                1 => world.memory.lose_next_answers([false, both.below(2) == 0]),
                2 => world.memory.conflict_next_commits(1),
                _ => {}
            }
        }
        both.step(step);
        world.memory.lose_next_answers([]);
        world.memory.conflict_next_commits(0);
        if step % 10 == 0 {
            both.compare();
        }
    }
    both.compare();
}

#[test]
fn the_fleet_is_as_its_model_in_memory() {
    for seed in 1..=8 {
        walk(&World::new(), seed, 400, false);
    }
}

#[test]
fn the_fleet_is_as_its_model_on_sqlite() {
    walk(&World::on_sqlite(), 11, 400, false);
}

#[test]
fn the_fleet_is_as_its_model_when_answers_are_lost_and_rivals_are_faster() {
    for seed in 21..=28 {
        walk(&World::new(), seed, 400, true);
    }
}
