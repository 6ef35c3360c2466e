//! How many artifacts are taken in a second, each durable when it is answered, and what processor time that takes.

use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use base::Sha512Hasher;

use super::{Bench, LARGE, SMALL, bytes, rivals};
use crate::Failure;
use crate::disk;
use crate::http::{self, Client};
use crate::load::{self, Worker};
use crate::process::{self, Served};
use crate::report::{Measured, Row, Section, Unit};
use crate::run::{self, count, note};

const CLIENTS: [usize; 3] = [1, 8, 64];
/// How Provost takes artifacts.
const OURS: Way = Way::Post("/shacache");

/// Posts another artifact of so many bytes each time.
struct Poster {
    client: Client,
    seed: u64,
    bytes: usize,
    way: Way,
}

/// How a server takes a file.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// `POST`, here; the answer is its digest.
    Post(&'static str),
    /// `PUT`, under a name of its own.
    Put,
}

impl Worker for Poster {
    async fn turn(&mut self) -> Result<bool, Failure> {
        self.seed += 1;
        let artifact = bytes(self.bytes, self.seed);
        let octets = Some(("application/octet-stream", &artifact[..]));
        let request = match self.way {
            Way::Post(path) => http::request("POST", path, octets),
            Way::Put => http::request("PUT", &format!("/put/{}", self.seed), octets),
        };
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
                Poster { client: Client::new(served.address), seed: seed << 40, bytes: SMALL, way: OURS }
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
        hash_and_write(bench, &artifact, seed)?;
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

/// Beside what a user would have in its place. Neither of them makes durable what it answers for; nginx hashes nothing.
pub(super) async fn beside_others(bench: &Bench) -> Result<Vec<Section>, Failure> {
    let folder = |name| run::folder_in(bench.folder.path(), name);
    let (at_proxy, at_nginx) = (folder("proxy")?, folder("putting")?);
    std::fs::create_dir(at_nginx.join("put")).map_err(Failure::file(&at_nginx))?;
    let ours = bench.serve("beside").await?;
    let key = bench.folder.path().join("beside/data/server.key.pem");
    let rivals = [
        ("slapos.core", rivals::proxy(&at_proxy).await?, Way::Post("/shacache/cache")),
        ("nginx", rivals::nginx(&at_nginx, &key).await?, Way::Put),
    ];
    let mut sections = Vec::new();
    // So that no two send the same, or the same again.
    let mut posters = 0;
    for (name, rival, way) in rivals {
        let (mut rows, mut cpu_rows) = (Vec::new(), Vec::new());
        for (size, bytes, clients) in [("1 KiB", SMALL, 1), ("1 KiB", SMALL, 8), ("64 MiB", LARGE / 4, 1)] {
            let what = format!("{size}, {}", count(clients, "client"));
            note(&format!("posting: {what}, beside {name}"));
            let mut measured =
                [[Measured::default(), Measured::default()], [Measured::default(), Measured::default()]];
            for _ in 0..bench.rounds {
                for (at, (served, way)) in [(&ours, OURS), (&rival, way)].into_iter().enumerate() {
                    let poster = || {
                        posters += 1;
                        Poster { client: Client::new(served.address), seed: posters << 40, bytes, way }
                    };
                    let [per_second, cpu] =
                        turns(bench, served, std::iter::repeat_with(poster).take(clients).collect()).await?;
                    measured[at][0].add(per_second);
                    measured[at][1].add(cpu);
                }
            }
            let [[ours, our_cpu], [theirs, their_cpu]] = measured;
            rows.push(Row { what: what.clone(), unit: Unit::PerSecond, ours, theirs });
            let what = format!("processor time, {what}");
            cpu_rows.push(Row { what, unit: Unit::Microseconds, ours: our_cpu, theirs: their_cpu });
        }
        rows.append(&mut cpu_rows);
        rival.stop().await?;
        let notes = vec![format!("{name} answers before anything is durable")];
        sections.push(Section {
            title: format!("Taking artifacts, beside {name}"),
            rival: name,
            rows,
            notes,
        });
    }
    ours.stop().await?;
    Ok(sections)
}

/// How many a second, and microseconds of the server's processor time for each.
async fn turns(bench: &Bench, served: &Served, posters: Vec<Poster>) -> Result<[f64; 2], Failure> {
    let before = served.cpu()?;
    let (done, _) = load::run(posters, bench.duration).await?;
    let cpu = (served.cpu()? - before).as_secs_f64() * 1e6 / done.turns as f64;
    Ok([done.per_second(), cpu])
}

/// What cannot be done without: hashing the bytes, and writing them durably. They stay, as the server's do: a file that
/// follows one that was removed is written into memory that is at hand, which takes half as long on some machines.
fn hash_and_write(bench: &Bench, artifact: &[u8], number: u64) -> Result<(), Failure> {
    let path = bench.folder.path().join(format!("written-{number}"));
    let mut hasher = Sha512Hasher::new();
    for piece in artifact.chunks(1 << 20) {
        hasher.update(piece);
    }
    std::hint::black_box(hasher.finish());
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(artifact)?;
        file.sync_data()
    };
    write().map_err(Failure::file(&path))
}
