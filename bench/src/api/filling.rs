//! Hosts, as many as are wanted: over HTTP, or in process where they are to differ.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fleet::{Expected, Facts, Fleet, HostAddress, HostStatus, Labels, NewCluster, NewHost};
use identity::Principal;

use super::contenders::{InProcess, permit};
use crate::Failure;
use crate::http::Client;
use crate::load::{self, Done, Worker};
use crate::process::Served;
use crate::signed_in::request;

/// How many put hosts at the same time when it is only about having them.
const AT_ONCE: usize = 64;
/// Longer than it ever takes.
const LONG: Duration = Duration::from_secs(3_600);
/// What is said of each host.
const BODY: &[u8] = br#"{"remote_user": "root", "ssh_priv_key": "dGVzdAo="}"#;

/// Addresses that were not taken yet. Cloning shares it.
#[derive(Clone)]
pub(super) struct Supply {
    name: &'static str,
    next: Arc<AtomicUsize>,
    end: usize,
}

impl Supply {
    /// `NAME-0`, `NAME-1` and so on, without an end.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, next: Arc::default(), end: usize::MAX }
    }

    fn take(&self) -> Option<usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.end).then_some(number)
    }
}

/// Puts one host after the other, over HTTP.
struct Putter {
    client: Client,
    supply: Supply,
}

impl Worker for Putter {
    async fn turn(&mut self) -> Result<bool, Failure> {
        let Some(number) = self.supply.take() else { return Ok(false) };
        let path = format!("/api/v0/host/{}-{number}", self.supply.name);
        self.client.expect(201, &request("PUT", &path, Some(BODY))).await?;
        Ok(true)
    }
}

/// Puts hosts out of `supply` for a while.
pub(super) async fn put_some(
    served: &Served,
    supply: &Supply,
    connections: usize,
    duration: Duration,
) -> Result<Done, Failure> {
    let putter = || Putter { client: Client::new(served.address), supply: supply.clone() };
    Ok(load::run(std::iter::repeat_with(putter).take(connections).collect(), duration).await?.0)
}

/// Puts the hosts `NAME-0` to `NAME-(count - 1)`. Gives what was answered to putting the first once more.
pub(super) async fn put_hosts(served: &Served, name: &'static str, count: usize) -> Result<Vec<u8>, Failure> {
    put_some(served, &Supply { end: count, ..Supply::new(name) }, AT_ONCE.min(count), LONG).await?;
    let mut client = Client::new(served.address);
    let again = request("PUT", &format!("/api/v0/host/{name}-0"), Some(BODY));
    Ok(client.expect(201, &again).await?.body.to_vec())
}

/// How many hosts are taken in one after the other before others join in.
const ONE_BY_ONE: usize = 1_200;
/// How many do that at the same time after that.
const TOGETHER: usize = 16;
/// How many hosts are in the small cluster, however many there are.
pub(super) const SMALL_CLUSTER: usize = 100;
/// How many hosts have what few have.
pub(super) const FEW: usize = 20;

/// Takes in one host after the other, in this process.
struct Adder {
    fleet: Arc<Fleet>,
    by: Principal,
    next: Arc<AtomicUsize>,
    /// The first that is not taken in.
    end: usize,
    /// How many there will be at last.
    count: usize,
}

impl Worker for Adder {
    async fn turn(&mut self) -> Result<bool, Failure> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.end {
            return Ok(false);
        }
        let (address, host) = varied(number, self.count);
        self.fleet.add_host(permit(&self.by)?, address, host).await.map_err(Failure::fleet)?;
        Ok(true)
    }
}

/// The address of host `number`.
pub(super) fn address(number: usize) -> HostAddress {
    let [_, a, b, c] = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    format!("10.{a}.{b}.{c}").parse().expect("an IPv4 address is an address")
}

/// Host `number` of `count`, so that however many there are
/// - [`SMALL_CLUSTER`] are in the cluster `small`, and all others in `large`;
/// - half have the OS `fedora`;
/// - [`FEW`] are `failed`, [`FEW`] have the label `role=database`, all others `role=web`;
/// - half are in the zone `a`, half are of the kind `x`, and [`FEW`] are both.
fn varied(number: usize, count: usize) -> (HostAddress, NewHost) {
    let among_few = |which| number % (count / FEW) == which;
    let is_small = number.is_multiple_of(count / SMALL_CLUSTER);
    let is_both = among_few(7);
    let mut labels = BTreeMap::from([("role", if among_few(3) { "database" } else { "web" })]);
    labels.insert("zone", if is_both || number % 4 < 2 { "a" } else { "b" });
    labels.insert("kind", if is_both || number % 4 >= 2 { "x" } else { "y" });
    let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    let host = NewHost {
        status: if among_few(5) { HostStatus::Failed } else { HostStatus::Active },
        facts: Facts {
            os: if number.is_multiple_of(2) { "fedora" } else { "debian" }.into(),
            cpus: 4,
            memory: 16_384,
            space: 100_000_000_000,
        },
        last_check: "2026-11-21T04:53:20.042000".into(),
        cluster: Some(if is_small { "small" } else { "large" }.parse().expect("a name")),
        labels: Labels::new(labels).expect("they keep to the rules"),
        ..NewHost::default()
    };
    (address(number), host)
}

/// Takes in `count` hosts, a multiple of 1,000, as [`varied`] has them.
pub(super) fn fill(within: &InProcess, count: usize) -> Result<(), Failure> {
    let fill = async {
        for name in ["small", "large"] {
            let name = name.parse().expect("a name");
            let new = NewCluster::default();
            let put = within.fleet.put_cluster(within.permit()?, &name, &new, Expected::Absent).await;
            put.map_err(Failure::fleet)?;
        }
        let next = Arc::<AtomicUsize>::default();
        // Each of the first thousand rewrites its cluster's record, so that many at once are in each other's way.
        for (end, at_once) in [(count.min(ONE_BY_ONE), 1), (count, TOGETHER)] {
            let adder = || Adder {
                fleet: within.fleet.clone(),
                by: within.by().clone(),
                next: next.clone(),
                end,
                count,
            };
            load::run(std::iter::repeat_with(adder).take(at_once).collect(), LONG).await?;
            next.store(end, Ordering::Relaxed);
        }
        Ok(())
    };
    within.runtime.block_on(fill)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_have_it_as_is_said() {
        for count in [1_000, 100_000] {
            let hosts: Vec<NewHost> = (0..count).map(|number| varied(number, count).1).collect();
            let those = |is: &dyn Fn(&NewHost) -> bool| hosts.iter().filter(|host| is(host)).count();
            let has = |host: &NewHost, key: &str, value: &str| host.labels.as_map()[key] == value;
            assert_eq!(those(&|host| host.cluster.as_ref().unwrap().as_str() == "small"), SMALL_CLUSTER);
            assert_eq!(those(&|host| host.status == HostStatus::Failed), FEW);
            assert_eq!(those(&|host| has(host, "role", "database")), FEW);
            assert_eq!(those(&|host| host.facts.os == "fedora"), count / 2);
            assert_eq!(those(&|host| has(host, "zone", "a") && has(host, "kind", "x")), FEW);
        }
    }
}
