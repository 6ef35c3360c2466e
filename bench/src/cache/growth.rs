//! What it costs to add and to read entries when there are very many keys.

use super::Bench;
use crate::Failure;
use crate::http::{self, Client};
use crate::load::{self, Worker};
use crate::process::Served;
use crate::report::{Measured, Row, Section, Unit};
use crate::run::note;

/// How many keys there are at first.
const FEW: u64 = 1_000;
/// How many fill the cache at once, and how many are measured at once.
const FILLERS: u64 = 64;
const CLIENTS: u64 = 8;
/// Coprime to any number of keys that is tried: keys are read in no order.
const STRIDE: u64 = 7_368_787;

/// Adds one entry under another key each time, as long as there are some left to be added.
struct Adder {
    client: Client,
    next: u64,
    step: u64,
    end: u64,
}

impl Worker for Adder {
    async fn turn(&mut self) -> Result<bool, Failure> {
        if self.next >= self.end {
            return Ok(false);
        }
        let text = format!(
            r#"["{{\"sha512\": \"{}\", \"url\": \"http://example.invalid/{}\"}}", ""]"#,
            base::Sha512::of(&self.next.to_be_bytes()),
            self.next
        );
        let body = Some(("application/json", text.as_bytes()));
        let request = http::request("PUT", &format!("/shadir/{}", key(self.next)), body);
        self.client.expect(201, &request).await?;
        self.next += self.step;
        Ok(true)
    }
}

/// Reads the entries of one key after the other.
struct Reader {
    client: Client,
    at: u64,
    keys: u64,
}

impl Worker for Reader {
    async fn turn(&mut self) -> Result<bool, Failure> {
        self.at = (self.at + STRIDE) % self.keys;
        let request = http::request("GET", &format!("/shadir/{}", key(self.at)), None);
        self.client.expect(200, &request).await?;
        Ok(true)
    }
}

/// As keys of files are.
fn key(at: u64) -> String {
    let digest = base::Sha512::of(&at.to_be_bytes()).to_string();
    format!("file-urlmd5:{}", &digest[..32])
}

/// Both rows with few keys first, and then with `keys`: one server, one after the other.
pub(super) async fn measure(bench: &Bench, keys: u64) -> Result<Section, Failure> {
    let served = bench.serve("growth").await?;
    let mut there = FEW;
    fill(bench, &served, 0, there).await?;
    let few = at_work(bench, &served, &mut there).await?;
    note(&format!("growth: adding keys until there are {keys}"));
    fill(bench, &served, there, keys).await?;
    there = keys.max(there);
    let many = at_work(bench, &served, &mut there).await?;
    let memory = served.resident_bytes()? / 1_000_000;
    served.stop().await?;
    let rows = ["adding an entry", "reading a key's entries"].into_iter().zip(many.into_iter().zip(few));
    let rows = rows
        .map(|(what, (ours, theirs))| Row { what: what.into(), unit: Unit::PerSecond, ours, theirs })
        .collect();
    let notes = vec![
        format!("{CLIENTS} clients; the aim is a ratio of 0.67 at least"),
        format!("in memory with {keys} keys: {memory} MB"),
    ];
    Ok(Section { title: format!("Entries with {keys} keys, a second"), rival: "with 1,000", rows, notes })
}

/// Adds those from `from` to `end`, without the end, however long it takes.
async fn fill(bench: &Bench, served: &Served, from: u64, end: u64) -> Result<(), Failure> {
    let adder = |at| Adder { client: Client::new(served.address), next: from + at, step: FILLERS, end };
    load::run((0..FILLERS).map(adder).collect(), bench.duration.max(std::time::Duration::from_secs(86_400)))
        .await?;
    Ok(())
}

async fn at_work(bench: &Bench, served: &Served, there: &mut u64) -> Result<[Measured; 2], Failure> {
    let mut measured = [Measured::default(), Measured::default()];
    for _ in 0..bench.rounds {
        let adder = |at| Adder {
            client: Client::new(served.address),
            next: *there + at,
            step: CLIENTS,
            end: u64::MAX,
        };
        let (added, adders) = load::run((0..CLIENTS).map(adder).collect(), bench.duration).await?;
        measured[0].add(added.per_second());
        // Those that some did not come to are left out by all readers.
        *there = adders.iter().map(|adder| adder.next).max().unwrap_or(*there);
        let whole = adders.iter().map(|adder| adder.next).min().unwrap_or(*there);
        let reader = |at| Reader { client: Client::new(served.address), at, keys: whole };
        let (read, _) = load::run((0..CLIENTS).map(reader).collect(), bench.duration).await?;
        measured[1].add(read.per_second());
        fill(bench, served, whole, *there).await?;
    }
    Ok(measured)
}
