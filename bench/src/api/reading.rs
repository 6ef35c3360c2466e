//! How many hosts, and lists of a thousand, are read in a second, signed in by a password, over plain HTTP.

use super::contenders::{Place, Store, body_of, request, start_bare};
use super::filling::put_hosts;
use super::{Bench, CONNECTIONS, Runs};
use crate::Failure;
use crate::http::Client;
use crate::load::{self, Worker};
use crate::process::{self, Served};
use crate::report::{Measured, Row, Section, Unit, number};
use crate::run::{count, note};

/// How many hosts there are.
const HOSTS: usize = 1_000;
const DOCUMENTS: [(&str, &str); 2] =
    [("one host", "/api/v0/host/host-500"), ("1,000 hosts", "/api/v0/hosts")];

/// Reads one document over and over.
struct Reader {
    client: Client,
    request: Vec<u8>,
}

impl Worker for Reader {
    async fn turn(&mut self) -> Result<bool, Failure> {
        self.client.expect(200, &self.request).await?;
        Ok(true)
    }
}

pub(super) async fn measure(bench: &Bench, store: Store) -> Result<Section, Failure> {
    let place = Place::found(bench, store, "reading").await?;
    let ours = place.serve().await?;
    put_hosts(&ours, "host", HOSTS).await?;
    let mut bodies = Vec::new();
    for (_, path) in DOCUMENTS {
        bodies.push((path, body_of(&ours, path).await?));
    }
    let known: Vec<_> = bodies.iter().map(|(path, body)| (*path, &body[..])).collect();
    let bare = start_bare(place.folder(), &known).await?;

    let (mut rows, mut cpu_rows, mut client_cpu) = (Vec::new(), Vec::new(), Vec::new());
    for (document, path) in DOCUMENTS {
        for connections in CONNECTIONS {
            let what = format!("{document}, {}", count(connections, "connection"));
            note(&format!("reading {}: {what}", store.name()));
            let mut runs = [Runs::default(), Runs::default()];
            let mut client = Measured::default();
            for _ in 0..bench.rounds {
                for (served, runs) in [&ours, &bare].into_iter().zip(&mut runs) {
                    client.add(read(bench, served, path, connections, runs).await?);
                }
            }
            let [ours, theirs] = runs;
            let row = |what, unit, ours, theirs| Row { what, unit, ours, theirs };
            rows.push(row(what.clone(), Unit::PerSecond, ours.per_second, theirs.per_second));
            let (ours, theirs) = (ours.cpu_microseconds, theirs.cpu_microseconds);
            cpu_rows.push(row(format!("processor time, {what}"), Unit::Microseconds, ours, theirs));
            client_cpu.push(format!("{what}: {} µs", number(client.median())));
        }
    }
    rows.append(&mut cpu_rows);
    let mut notes = vec![format!("the load generator's own processor time: {}", client_cpu.join("; "))];
    notes.extend(bodies.iter().map(|(path, body)| format!("{path}: {} bytes", body.len())));
    bare.stop().await?;
    ours.stop().await?;
    Ok(Section { title: format!("Reading {}, a second", store.name()), rival: "bare handler", rows, notes })
}

/// Adds one run. Gives the processor time that the load generator took for each request, in microseconds.
async fn read(
    bench: &Bench,
    served: &Served,
    path: &str,
    connections: usize,
    runs: &mut Runs,
) -> Result<f64, Failure> {
    let reader = || Reader { client: Client::new(served.address), request: request("GET", path, None) };
    let readers = std::iter::repeat_with(reader).take(connections).collect();
    let (cpu, own) = (served.cpu()?, process::own_cpu()?);
    let (done, _) = load::run(readers, bench.duration).await?;
    let each = 1e6 / done.turns as f64;
    runs.per_second.add(done.per_second());
    runs.cpu_microseconds.add((served.cpu()? - cpu).as_secs_f64() * each);
    Ok((process::own_cpu()? - own).as_secs_f64() * each)
}
