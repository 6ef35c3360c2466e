//! How many hosts are taken in in a second, each durable when it is answered.

use super::contenders::{Place, Store, start_bare};
use super::filling::{Supply, put_hosts, put_some};
use super::{Bench, CONNECTIONS, Runs, bare};
use crate::process::Served;
use crate::report::{Measured, Row, Section, Unit};
use crate::run::{count, note};
use crate::{Failure, disk};

/// What is written for each sync when the disk is measured: about what a host's commit adds to the log.
const SYNCED_BYTES: usize = 16 * 1024;

pub(super) async fn measure(bench: &Bench, store: Store) -> Result<[Section; 2], Failure> {
    let place = Place::found(bench, store, "putting").await?;
    let ours = place.serve().await?;
    let answer = put_hosts(&ours, "first", 1).await?;
    let bare = start_bare(place.folder(), &[(bare::PUT, &answer)]).await?;
    let supply = Supply::new("host");
    let (mut rows, mut cpu_rows, mut disk_rows) = (Vec::new(), Vec::new(), Vec::new());
    for connections in CONNECTIONS {
        let what = format!("put a host, {}", count(connections, "connection"));
        note(&format!("putting {}: {what}", store.name()));
        let (mut runs, mut syncs) = ([Runs::default(), Runs::default()], Measured::default());
        for _ in 0..bench.rounds {
            for (served, runs) in [&ours, &bare].into_iter().zip(&mut runs) {
                put(bench, served, &supply, connections, runs).await?;
            }
            syncs.add(disk::syncs(place.folder(), SYNCED_BYTES, bench.duration)?.per_second());
        }
        let [ours, theirs] = runs;
        let row = |what, unit, ours, theirs| Row { what, unit, ours, theirs };
        disk_rows.push(row(what.clone(), Unit::PerSecond, ours.per_second.clone(), syncs));
        rows.push(row(what.clone(), Unit::PerSecond, ours.per_second, theirs.per_second));
        let (ours, theirs) = (ours.cpu_microseconds, theirs.cpu_microseconds);
        cpu_rows.push(row(format!("processor time, {what}"), Unit::Microseconds, ours, theirs));
    }
    rows.append(&mut cpu_rows);
    bare.stop().await?;
    ours.stop().await?;
    let section = |rival, rows, notes| Section {
        title: format!("Putting hosts {}, a second", store.name()),
        rival,
        rows,
        notes,
    };
    let told = format!("the disk: fdatasync of {} KiB, one after the other", SYNCED_BYTES / 1024);
    Ok([section("bare handler", rows, Vec::new()), section("the disk", disk_rows, vec![told])])
}

async fn put(
    bench: &Bench,
    served: &Served,
    supply: &Supply,
    connections: usize,
    runs: &mut Runs,
) -> Result<(), Failure> {
    let cpu = served.cpu()?;
    let done = put_some(served, supply, connections, bench.duration).await?;
    runs.per_second.add(done.per_second());
    runs.cpu_microseconds.add((served.cpu()? - cpu).as_secs_f64() * 1e6 / done.turns as f64);
    Ok(())
}
