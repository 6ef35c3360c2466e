//! How many artifacts are taken in a second, each durable when it is answered, and what processor time that takes.

use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use base::Sha512Hasher;

use super::{Bench, LARGE, SMALL, bytes};
use crate::Failure;
use crate::disk;
use crate::http::{self, Client};
use crate::load::{self, Worker};
use crate::process;
use crate::report::{Measured, Row, Section, Unit};
use crate::run::{count, note};

const CLIENTS: [usize; 3] = [1, 8, 64];

/// Posts another small artifact each time.
struct Poster {
    client: Client,
    seed: u64,
}

impl Worker for Poster {
    async fn turn(&mut self) -> Result<bool, Failure> {
        self.seed += 1;
        let artifact = bytes(SMALL, self.seed);
        let request = http::request("POST", "/shacache", Some(("application/octet-stream", &artifact[..])));
        self.client.expect(201, &request).await?;
        Ok(true)
    }
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Section>, Failure> {
    let served = bench.serve("posting").await?;
    let (mut rows, mut cpu) = (Vec::new(), Vec::new());
    let mut seed = 0;
    for clients in CLIENTS {
        let what = format!("1 KiB, {}", count(clients, "client"));
        note(&format!("posting: {what}"));
        let (mut ours, mut syncs, mut each) = (Measured::default(), Measured::default(), Measured::default());
        for _ in 0..bench.rounds {
            let poster = || {
                seed += 1;
                Poster { client: Client::new(served.address), seed: seed << 40 }
            };
            let posters = std::iter::repeat_with(poster).take(clients).collect();
            let before = served.cpu()?;
            let (done, _) = load::run(posters, bench.duration).await?;
            ours.add(done.per_second());
            each.add((served.cpu()? - before).as_secs_f64() * 1e6 / done.turns as f64);
            syncs.add(disk::syncs(bench.folder.path(), SMALL, bench.duration / 4)?.per_second());
        }
        cpu.push(format!("{what}: {:.0} µs", each.median()));
        rows.push(Row { what, unit: Unit::PerSecond, ours, theirs: syncs });
    }
    let notes = vec![format!("the server's processor time for each: {}", cpu.join("; "))];
    let small = Section {
        title: "Taking artifacts of 1 KiB, durable, a second".into(),
        rival: "fdatasync",
        rows,
        notes,
    };

    note("posting: 256 MiB");
    let (mut ours, mut theirs) =
        ([Measured::default(), Measured::default()], [Measured::default(), Measured::default()]);
    for _ in 0..bench.rounds {
        seed += 1;
        let artifact = bytes(LARGE, seed << 40);
        let request = http::request("POST", "/shacache", Some(("application/octet-stream", &artifact[..])));
        let (before, began) = (served.cpu()?, Instant::now());
        Client::new(served.address).expect(201, &request).await?;
        ours[0].add((served.cpu()? - before).as_secs_f64() * 1e3);
        ours[1].add(began.elapsed().as_secs_f64() * 1e3);
        let (before, began) = (process::own_cpu(), Instant::now());
        hash_and_write(bench, &artifact)?;
        theirs[0].add((process::own_cpu() - before).as_secs_f64() * 1e3);
        theirs[1].add(began.elapsed().as_secs_f64() * 1e3);
    }
    served.stop().await?;
    let [our_cpu, our_time] = ours;
    let [their_cpu, their_time] = theirs;
    let rows = vec![
        Row { what: "processor time".into(), unit: Unit::Milliseconds, ours: our_cpu, theirs: their_cpu },
        Row {
            what: "until it is durable".into(),
            unit: Unit::Milliseconds,
            ours: our_time,
            theirs: their_time,
        },
    ];
    let notes = vec!["the limit hashes the bytes, then writes them, then tells the disk to keep them".into()];
    let title = "Taking an artifact of 256 MiB, durable".into();
    Ok(vec![small, Section { title, rival: "the limit", rows, notes }])
}

/// What cannot be done without: hashing the bytes, and writing them durably.
fn hash_and_write(bench: &Bench, artifact: &[u8]) -> Result<(), Failure> {
    let path = bench.folder.path().join("written");
    let mut hasher = Sha512Hasher::new();
    for piece in artifact.chunks(1 << 20) {
        hasher.update(piece);
    }
    std::hint::black_box(hasher.finish());
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(artifact)?;
        file.sync_data()?;
        std::fs::remove_file(&path)
    };
    write().map_err(Failure::file(&path))
}
