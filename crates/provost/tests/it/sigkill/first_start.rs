//! The very first start, killed at any moment: the next one brings it to its end.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use base::Entropy;

use super::client::{Authority, Client};
use super::server::{Place, Server};
use super::{chosen, stored};

/// How long a file may take to appear.
const FILE_LIMIT: Duration = Duration::from_secs(20);

/// After how many further kills on one data directory a start is left alone.
const KILLS: u64 = 3;

fn files(data: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(data).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Starts on what was left behind: it must succeed, and its first administrator must be one.
fn check_next_start(place: &Place, killed: &str) {
    let (server, _) = place.start(&[]);
    let client = Client::new(place);
    for at in Authority::BOTH {
        let pending = client.pending(at).unwrap();
        assert_eq!((pending.status, pending.body.as_str()), (200, "[]"), "killed {killed}");
    }
    server.stop();
    for stored in stored::read(&place.data) {
        stored.check();
    }
}

#[test]
fn a_first_start_that_is_killed_when_a_file_appears_is_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let whole = Place::new(&directory.path().join("whole"));
    whole.start(&[]).0.stop();
    // What is left at the end, and what SQLite has beside its file meanwhile.
    let mut awaited = files(&whole.data);
    assert!(awaited.contains("admin.pem"), "{awaited:?}");
    awaited.extend(["provost.db-journal", "provost.db-wal", "provost.db-shm"].map(str::to_owned));
    for file in &awaited {
        let place = Place::new(&directory.path().join(format!("until {file}")));
        let mut server = place.spawn(&[]);
        let begun = Instant::now();
        // Some are there for a moment only, and may be missed.
        while !place.data.join(file).exists() && !files(&place.data).contains("admin.pem") {
            assert!(begun.elapsed() < FILE_LIMIT && server.work_for(Duration::ZERO), "{file} is missing");
        }
        server.kill();
        check_next_start(&place, &format!("when {file} appeared"));
    }
}

#[test]
fn a_first_start_that_is_killed_at_any_moment_is_repeated() {
    let seed = chosen("SIGKILL_SEED", 1);
    let entropy = Entropy::seeded(seed);
    let directory = tempfile::tempdir().unwrap();
    let (server, whole) = Place::new(&directory.path().join("whole")).start(&[]);
    server.kill();
    for round in 0..chosen("SIGKILL_ROUNDS", 8) {
        let place = Place::new(&directory.path().join(round.to_string()));
        let mut moments = Vec::new();
        for _ in 0..KILLS {
            // Half of them early, when files are made; the making of keys takes most of the time.
            let micros = whole.as_micros() as u64;
            let span = if entropy.number().is_multiple_of(2) { micros } else { micros / 8 };
            let moment = Duration::from_micros(entropy.number() % span);
            moments.push(moment);
            let mut server: Server = place.spawn(&[]);
            assert!(server.work_for(moment), "it ended by itself");
            server.kill();
        }
        check_next_start(&place, &format!("after {moments:?} with seed {seed}"));
    }
}
