//! What a server with many hosts takes of the memory: after taking them in, and while it lists all of them.

use std::time::Duration;

use super::contenders::{Place, Store};
use super::filling::put_hosts;
use super::writing::write;
use super::{Bench, FEWER};
use crate::Failure;
use crate::http::Client;
use crate::load::{self, Worker};
use crate::process::Served;
use crate::report::{Measured, Row, Section, Unit, number};
use crate::run::note;
use crate::signed_in::request;

/// So many read the list of all hosts at the same time.
const AT_ONCE: usize = 8;
/// How often each does.
const TIMES: usize = 2;

/// Longer than it ever takes.
const LONG: Duration = Duration::from_secs(600);

/// What is looked at, in this order.
const WHEN: [&str; 8] = [
    "after taking them in",
    "after starting again",
    "after one list of all",
    "at most until then",
    "after 16 lists, 8 at once",
    "at most until then",
    "after 16 lists while one client writes",
    "at most until then",
];

/// Reads the list of all hosts a few times.
struct Lister {
    client: Client,
    left: usize,
}

impl Worker for Lister {
    async fn turn(&mut self) -> Result<bool, Failure> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        self.client.expect(200, &request("GET", "/api/v0/hosts", None)).await?;
        Ok(true)
    }
}

pub(super) async fn measure(bench: &Bench, store: Store) -> Result<Section, Failure> {
    let ours = memory(bench, store, bench.hosts).await?;
    let theirs = memory(bench, store, FEWER).await?;
    let row = |((what, ours), theirs): ((&str, f64), f64)| Row {
        what: what.into(),
        unit: Unit::Megabytes,
        ours: Measured::from(ours),
        theirs: Measured::from(theirs),
    };
    Ok(Section {
        title: format!("Resident memory with {} hosts {}", number(bench.hosts as f64), store.name()),
        rival: "with 1,000",
        rows: WHEN.into_iter().zip(ours).zip(theirs).map(row).collect(),
        notes: vec!["hosts are put over HTTP, 64 at once".into()],
    })
}

async fn memory(bench: &Bench, store: Store, count: usize) -> Result<[f64; WHEN.len()], Failure> {
    note(&format!("memory {}: taking in {count} hosts", store.name()));
    let place = Place::found(bench, store, &format!("memory-{count}")).await?;
    let served = place.serve().await?;
    put_hosts(&served, "host", count).await?;
    let filled = served.resident_bytes()?;
    served.stop().await?;

    note(&format!("memory {}: listing {count} hosts", store.name()));
    let served = place.serve().await?;
    let started = served.resident_bytes()?;
    list(&served, 1, 1).await?;
    let (listed, listed_peak) = (served.resident_bytes()?, served.resident_bytes_peak()?);
    list(&served, AT_ONCE, TIMES).await?;
    let (crowded, crowded_peak) = (served.resident_bytes()?, served.resident_bytes_peak()?);
    // Each commit has the list made anew.
    let lists = async {
        tokio::select! { listed = list(&served, AT_ONCE, TIMES) => listed, wrote = write(&served, LONG) => wrote.map(drop) }
    };
    lists.await?;
    let (written, written_peak) = (served.resident_bytes()?, served.resident_bytes_peak()?);
    served.stop().await?;
    let all = [filled, started, listed, listed_peak, crowded, crowded_peak, written, written_peak];
    Ok(all.map(|bytes| bytes as f64 / 1e6))
}

async fn list(served: &Served, at_once: usize, times: usize) -> Result<(), Failure> {
    let lister = || Lister { client: Client::new(served.address), left: times };
    let listers = std::iter::repeat_with(lister).take(at_once).collect();
    load::run(listers, LONG).await.map(drop)
}
