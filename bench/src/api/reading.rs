//! How many hosts, and lists of a thousand, are read in a second, signed in by a password, over plain HTTP.

use super::contenders::{Place, Store, body_of, start_bare};
use super::filling::put_hosts;
use super::writing::write;
use super::{Bench, CONNECTIONS, Runs};
use crate::Failure;
use crate::http::{self, Client};
use crate::load::{self, Worker};
use crate::process::{self, Served};
use crate::report::{Measured, Row, Section, Unit, number};
use crate::run::{count, note};
use crate::signed_in::request;

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

/// How many read while somebody writes.
const BESIDE_A_WRITER: usize = 8;

pub(super) async fn measure(bench: &Bench, store: Store) -> Result<Vec<Section>, Failure> {
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
    let mut etcd_rows = Vec::new();
    for (document, path) in DOCUMENTS {
        for connections in CONNECTIONS {
            let what = format!("{document}, {}", count(connections, "connection"));
            note(&format!("reading {}: {what}", store.name()));
            let mut runs = [Runs::default(), Runs::default()];
            let (mut client, mut ranges) = (Measured::default(), Runs::default());
            for _ in 0..bench.rounds {
                for (served, runs) in [&ours, &bare].into_iter().zip(&mut runs) {
                    client.add(read(bench, served, &request("GET", path, None), connections, runs).await?);
                }
                if let Some(etcd) = place.etcd() {
                    read(bench, etcd, &range(), connections, &mut ranges).await?;
                }
            }
            let [ours, theirs] = runs;
            let row = |what, unit, ours, theirs| Row { what, unit, ours, theirs };
            if place.etcd().is_some() {
                etcd_rows.push(row(
                    what.clone(),
                    Unit::PerSecond,
                    ours.per_second.clone(),
                    ranges.per_second,
                ));
            }
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
    let title = |what| format!("Reading {}{what}, a second", store.name());
    let mut sections = vec![Section { title: title(""), rival: "bare handler", rows, notes }];
    if !etcd_rows.is_empty() {
        let notes = vec!["etcd: a range of one key without its value, through its JSON gateway".into()];
        sections.push(Section { title: title(""), rival: "etcd itself", rows: etcd_rows, notes });
    }
    sections.push(beside_a_writer(bench, &ours, title(" while one client writes")).await?);
    ours.stop().await?;
    Ok(sections)
}

/// Reading while somebody writes all the time, beside reading when nobody does.
async fn beside_a_writer(bench: &Bench, served: &Served, title: String) -> Result<Section, Failure> {
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for (document, path) in DOCUMENTS {
        let what = format!("{document}, {}", count(BESIDE_A_WRITER, "connection"));
        note(&format!("reading while one client writes: {what}"));
        let (mut runs, mut written) = ([Runs::default(), Runs::default()], Measured::default());
        for _ in 0..bench.rounds {
            let [beside, alone] = &mut runs;
            let request = request("GET", path, None);
            let reading = read(bench, served, &request, BESIDE_A_WRITER, beside);
            let (read_beside, wrote) = tokio::join!(reading, write(served, bench.duration));
            read_beside?;
            written.add(wrote?.per_second());
            read(bench, served, &request, BESIDE_A_WRITER, alone).await?;
        }
        let [ours, theirs] = runs.map(|runs| runs.per_second);
        rows.push(Row { what: what.clone(), unit: Unit::PerSecond, ours, theirs });
        notes.push(format!("commits a second meanwhile, {what}: {}", number(written.median())));
    }
    Ok(Section { title, rival: "nobody writes", rows, notes })
}

/// What Provost asks etcd before each answer, as anybody can.
fn range() -> Vec<u8> {
    let body: &[u8] = br#"{"key": "Lw==", "keys_only": true}"#;
    http::request("POST", "/v3/kv/range", Some(("application/json", body)))
}

/// Adds one run. Gives the processor time that the load generator took for each request, in microseconds.
async fn read(
    bench: &Bench,
    served: &Served,
    request: &[u8],
    connections: usize,
    runs: &mut Runs,
) -> Result<f64, Failure> {
    let reader = || Reader { client: Client::new(served.address), request: request.to_vec() };
    let readers = std::iter::repeat_with(reader).take(connections).collect();
    let (cpu, own) = (served.cpu()?, process::own_cpu());
    let (done, _) = load::run(readers, bench.duration).await?;
    let each = 1e6 / done.turns as f64;
    runs.per_second.add(done.per_second());
    runs.cpu_microseconds.add((served.cpu()? - cpu).as_secs_f64() * each);
    Ok((process::own_cpu() - own).as_secs_f64() * each)
}
