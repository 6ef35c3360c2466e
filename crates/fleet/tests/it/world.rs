//! A fleet on a store, and those who ask it for things.

use std::sync::Arc;

use base::{Clock, Entropy, Secret, Timestamp};
use fleet::{
    AddHostError, Credentials, Expected, Fleet, Ground, Host, HostStatus, LabelChange, Labels, MembersError,
    NewCluster, NewHost, Roster,
};
use futures_executor::block_on;
use identity::{Action, Permit, Principal, Role};
use store::{Engine, History, Memory, Page, Prefix, SealingKey, Sqlite};

/// When every world begins: 2016-12-06T04:53:20Z.
const BEGINNING: Timestamp = Timestamp::from_unix(1_481_000_000);

/// A store, a clock, and the fleet opened on them.
pub(crate) struct World {
    pub(crate) memory: Arc<Memory>,
    pub(crate) store: Arc<dyn Engine>,
    pub(crate) clock: Clock,
    pub(crate) fleet: Fleet,
    ground: Ground,
    _directory: Option<tempfile::TempDir>,
}

/// Leave for anything, for an administrator at 192.0.2.7.
pub(crate) fn permit<A: Action>() -> Permit<A> {
    permit_of("ada", Role::Administrator)
}

pub(crate) fn permit_of<A: Action>(name: &str, role: Role) -> Permit<A> {
    let from = Some([192, 0, 2, 7].into());
    Permit::grant(Principal::pretended(name, role, from)).unwrap()
}

pub(crate) fn address(text: &str) -> fleet::HostAddress {
    text.parse().unwrap()
}

/// Begins with a host of which nothing is known before.
pub(crate) fn begin(text: &str) -> fleet::Beginning {
    fleet::Beginning::with(address(text), None)
}

pub(crate) fn cluster(text: &str) -> fleet::ClusterName {
    text.parse().unwrap()
}

pub(crate) fn labels(labels: &[(&str, &str)]) -> Labels {
    Labels::new(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).unwrap()
}

/// A change of labels: nothing for those that are to go.
pub(crate) fn change(labels: &[(&str, Option<&str>)]) -> LabelChange {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
    LabelChange::new(labels.collect()).unwrap()
}

/// A host with a key and a status.
pub(crate) fn host(key: &str, status: &str) -> NewHost {
    NewHost {
        status: HostStatus::from(status),
        credentials: Credentials { ssh_priv_key: Secret::new(key.into()), ..Credentials::default() },
        ..NewHost::default()
    }
}

/// The same, in a cluster.
pub(crate) fn host_in(name: &str, status: &str) -> NewHost {
    NewHost { cluster: Some(cluster(name)), ..host("key", status) }
}

impl World {
    pub(crate) fn new() -> Self {
        let memory = Arc::new(Memory::new());
        Self::on(Arc::clone(&memory), memory, None)
    }

    /// One where the answers to the first commits are lost; whether each is done.
    pub(crate) fn founded_with(lost: &[bool]) -> Self {
        let memory = Arc::new(Memory::new());
        memory.lose_next_answers(lost.to_vec());
        let world = Self::on(Arc::clone(&memory), memory, None);
        world.memory.lose_next_answers([]);
        world
    }

    /// On SQLite; `memory` is of no use then.
    pub(crate) fn on_sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&directory.path().join("store.sqlite")).unwrap();
        Self::on(Arc::new(Memory::new()), Arc::new(store), Some(directory))
    }

    /// On a store that tells how much is asked of it.
    pub(crate) fn counted(store: Arc<dyn Engine>) -> Self {
        Self::on(Arc::new(Memory::new()), store, None)
    }

    fn on(memory: Arc<Memory>, store: Arc<dyn Engine>, directory: Option<tempfile::TempDir>) -> Self {
        let clock = Clock::manual(BEGINNING);
        let entropy = Entropy::seeded(7);
        let sealing = Arc::new(SealingKey::generate(&entropy));
        let ground = Ground { engine: Arc::clone(&store), sealing, clock: clock.clone(), entropy };
        let fleet = block_on(Fleet::open(ground.clone())).unwrap();
        Self { memory, store, clock, fleet, ground, _directory: directory }
    }

    /// Another process on the same store, or the same after a restart.
    pub(crate) fn another(&self) -> Fleet {
        block_on(Fleet::open(self.ground.clone())).unwrap()
    }

    /// Another process, which reaches the store in its own way.
    pub(crate) fn another_on(&self, engine: Arc<dyn Engine>) -> Fleet {
        block_on(Fleet::open(Ground { engine, ..self.ground.clone() })).unwrap()
    }

    pub(crate) fn add(&self, text: &str, new: NewHost) -> Result<Host, AddHostError> {
        block_on(self.fleet.add_host(permit(), address(text), new)).map(|put| put.is)
    }

    pub(crate) fn host(&self, text: &str) -> Option<Host> {
        block_on(self.fleet.host(permit(), &address(text))).ok().map(|seen| seen.is)
    }

    pub(crate) fn status(&self, text: &str) -> String {
        self.host(text).unwrap().status.as_str().to_owned()
    }

    pub(crate) fn make_cluster(&self, name: &str, manager: &str) {
        let new = NewCluster { container_manager: manager.into(), ..NewCluster::default() };
        block_on(self.fleet.put_cluster(permit(), &cluster(name), &new, Expected::Anything)).unwrap();
    }

    pub(crate) fn make_manager(&self, name: &str, kind: &str) {
        let manager = fleet::ContainerManager {
            name: name.parse().unwrap(),
            kind: kind.parse().unwrap(),
            options: fleet::Options::default(),
        };
        block_on(self.fleet.put_container_manager(permit(), manager, Expected::Anything)).unwrap();
    }

    pub(crate) fn join(&self, name: &str, text: &str) -> Result<bool, MembersError> {
        block_on(self.fleet.join(permit(), &cluster(name), &address(text)))
    }

    pub(crate) fn leave(&self, name: &str, text: &str) -> Result<bool, MembersError> {
        block_on(self.fleet.leave(permit(), &cluster(name), &address(text)))
    }

    pub(crate) fn replace(&self, name: &str, old: &[&str], new: &[&str]) -> Result<Roster, MembersError> {
        let set = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect();
        block_on(self.fleet.replace_members(permit(), &cluster(name), Some(&set(old)), &set(new)))
    }

    pub(crate) fn roster(&self, name: &str) -> Roster {
        block_on(self.fleet.roster(permit(), &cluster(name))).unwrap()
    }

    pub(crate) fn members(&self, name: &str) -> Vec<String> {
        self.roster(name).hosts.iter().map(ToString::to_string).collect()
    }

    /// Total, available, unavailable and how the cluster is doing.
    pub(crate) fn health(&self, name: &str) -> (u64, u64, u64, &'static str) {
        let view = block_on(self.fleet.cluster(permit(), &cluster(name))).unwrap();
        let counts = view.counts();
        (counts.total, counts.available, counts.unavailable, view.health().as_str())
    }

    /// What stands under a key, as text.
    pub(crate) fn stored(&self, key: &str) -> Option<String> {
        let key = store::Key::new(key).unwrap();
        let found = block_on(self.store.get(&key)).unwrap();
        found.map(|found| String::from_utf8(found.value.to_vec()).unwrap())
    }

    /// All keys that begin so.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let prefix = Prefix::new(prefix).unwrap();
        let mut keys = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = block_on(self.store.list(&prefix, page)).unwrap();
            keys.extend(found.entries.iter().map(|(key, _)| key.to_string()));
            next = found.next;
        }
        keys
    }

    /// What happened, in order of the words: what, about what, and facts.
    pub(crate) fn events(&self) -> Vec<String> {
        let history = History::new(Arc::clone(&self.store)).unwrap();
        let found = block_on(history.page(None, 1_000)).unwrap();
        let mut events: Vec<String> = found
            .entries
            .iter()
            .map(|(_, event)| {
                let event = &event.record;
                let from = event.from.as_deref().unwrap_or("nowhere");
                let facts = event.facts.iter().map(|(name, value)| format!(", {name} {value}"));
                format!(
                    "{} {}: {} from {from}{}",
                    event.at_milliseconds,
                    event.what,
                    event.by,
                    facts.collect::<String>()
                ) + &format!(" ({})", event.about)
            })
            .map(|event| event.split_once(' ').unwrap().1.to_owned())
            .collect();
        events.sort();
        events
    }

    /// Every count is the count of what is there, and every index names what is there and nothing else.
    pub(crate) fn assert_consistent(&self) {
        let hosts = block_on(self.fleet.all_hosts(permit(), |host| host)).unwrap();
        let mut expected = Vec::new();
        for host in &hosts {
            let address = &host.address;
            let encoded = |text: &str| text.replace(' ', "%20");
            expected.push(format!("/fleet/host/status/{}/{address}", counted_as(&host.status)));
            expected.push(format!("/fleet/host/os/{}/{address}", encoded(&host.facts.os)));
            expected.extend(host.cluster.iter().map(|name| format!("/fleet/host/cluster/{name}/{address}")));
            let labels = host.labels.as_map().iter();
            expected.extend(labels.map(|(key, value)| format!("/fleet/host/label/{key}={value}/{address}")));
        }
        expected.sort();
        assert_eq!(self.keys("/fleet/host/"), expected);

        let names = block_on(self.fleet.cluster_names(permit())).unwrap();
        for name in &names {
            let mut statuses = std::collections::BTreeMap::<String, u64>::new();
            let members: Vec<&Host> =
                hosts.iter().filter(|host| host.cluster.as_ref() == Some(name)).collect();
            for host in &members {
                *statuses.entry(counted_as(&host.status).to_owned()).or_default() += 1;
            }
            let roster = self.roster(name.as_str());
            assert_eq!(*roster.view.tally.by_status(), statuses, "{name}");
            assert_eq!(roster.hosts, members.iter().map(|host| host.address.clone()).collect::<Vec<_>>());
            let document = self.stored(&format!("/commissaire/clusters/{name}")).unwrap();
            let document: serde_json::Value = serde_json::from_str(&document).unwrap();
            if document.get("hostset_under").is_none() {
                let mut hostset: Vec<fleet::HostAddress> = document["hostset"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|host| address(host.as_str().unwrap()))
                    .collect();
                hostset.sort();
                assert_eq!(hostset, roster.hosts, "{name}");
            }
        }
        assert!(self.keys("/fleet/regrouping").is_empty(), "a change of many hosts was left");
        for key in self.keys("/commissaire/hosts/") {
            assert!(!self.stored(&key).unwrap().contains(r#""joining""#), "{key} is reserved");
        }
        for key in self.keys("/fleet/tally/") {
            let name = key.split('/').nth(3).unwrap();
            assert!(names.iter().any(|known| known.as_str() == name), "{key} is of nobody");
        }
    }
}

/// What a host with this status is counted as, and found by.
fn counted_as(status: &HostStatus) -> &str {
    match status {
        HostStatus::Other(_) => "other",
        status => status.as_str(),
    }
}
