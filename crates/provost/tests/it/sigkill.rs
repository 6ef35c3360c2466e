//! A server that is killed in the middle of its work, again and again, and what is there afterwards.
//!
//! Clients note what they were told. After each SIGKILL the database is looked at as it lies there, the
//! server is started again on it, and everything is compared: nothing that was acknowledged may be missing,
//! nothing may be there that nobody asked for, and the records must fit together.
//!
//! `SIGKILL_SEED` and `SIGKILL_ROUNDS` choose another seed and more rounds.

pub mod client;
mod disk_full;
mod first_start;
mod fleet;
pub mod load;
mod read_only;
pub mod server;
pub mod stored;
pub mod told;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base::Entropy;
use ca::record::ReservedRecord;
use reqwest::Method;

use self::client::Client;
use self::load::{Keys, Load};
use self::server::{Place, Server};
use self::told::Told;

/// How many clients work at once.
const CLIENTS: u64 = 6;
/// How many keys there are for users.
const USERS: usize = 24;
/// How long it may take until enough is acknowledged.
const LOAD_LIMIT: Duration = Duration::from_secs(60);
/// How long a start may take on a database that was left behind.
const RESTART_LIMIT: Duration = Duration::from_secs(10);

/// The flags of a server that takes all there is to take.
pub fn flags(automatic: bool) -> [&'static str; 6] {
    let count = if automatic { "1000000" } else { "0" };
    [
        "--ca-services-auto-approve-count",
        count,
        "--ca-services-max-csr",
        "1000000",
        "--ca-users-max-csr",
        "1000000",
    ]
}

pub fn chosen(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn a_server_that_is_killed_under_load_keeps_its_word() {
    let (seed, rounds) = (chosen("SIGKILL_SEED", 1), chosen("SIGKILL_ROUNDS", 20));
    let entropy = Entropy::seeded(seed);
    let directory = tempfile::tempdir().unwrap();
    let place = Place::new(&directory.path().join("data"));
    let keys = Keys::make(USERS);
    let told = Mutex::new(Told::default());
    // What killed servers had reserved.
    let mut reserved: [BTreeMap<String, ReservedRecord>; 2] = Default::default();
    let mut slowest = Duration::ZERO;
    let (mut server, _) = place.start(&flags(true));
    for round in 0..rounds {
        let automatic = round % 2 == 0;
        let client = Client::new(&place);
        let load = Load {
            client: &client,
            keys: &keys,
            told: &told,
            automatic,
            acknowledged: AtomicUsize::new(0),
            killed: AtomicBool::new(false),
        };
        work_until_killed(&load, server, &entropy);
        let left = stored::copied(&place.data);
        for (stored, reserved) in left.iter().zip(&mut reserved) {
            stored.check();
            stored.check_told(&told.lock().unwrap());
            reserved.extend(stored.reservations().map(|(id, record)| (id.clone(), record.clone())));
        }
        if entropy.number().is_multiple_of(3) {
            // Killed again while it puts things right.
            let mut server = place.spawn(&flags(!automatic));
            assert!(server.work_for(Duration::from_micros(entropy.number() % 60_000)), "it ended by itself");
            server.kill();
        }
        let took;
        (server, took) = place.start(&flags(!automatic));
        slowest = slowest.max(took);
        assert!(took < RESTART_LIMIT, "round {round}: {took:?}");
        let client = Client::new(&place);
        assert_eq!(client.ask(Method::GET, "/readyz", None).unwrap().status, 200);
        told.lock().unwrap().check(&client, false);
        let load = Load { client: &client, automatic: !automatic, ..load };
        load.killed.store(false, Ordering::SeqCst);
        load.submit_unanswered();
        told.lock().unwrap().round += 1;
    }
    let client = Client::new(&place);
    told.lock().unwrap().check(&client, true);
    server.stop();
    let told = told.into_inner().unwrap();
    for (stored, reserved) in stored::read(&place.data).iter().zip(&reserved) {
        stored.check();
        stored.check_told(&told);
        stored.check_voided(reserved);
    }
    assert!(told.lost_answers > 0, "no kill ever hit somebody who waited for an answer");
    println!(
        "seed {seed}: {rounds} kills, {} acknowledged, {} answers lost; slowest restart {slowest:?}",
        told.acknowledged, told.lost_answers
    );
}

/// Lets all clients work until much was acknowledged, and kills the server a little later.
fn work_until_killed(load: &Load<'_>, mut server: Server, entropy: &Entropy) {
    let enough = 30 + (entropy.number() % 240) as usize;
    let a_little = Duration::from_micros(entropy.number() % 4_000);
    let seeds: Vec<u64> = (0..CLIENTS).map(|_| entropy.number()).collect();
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            seeds.into_iter().map(|seed| scope.spawn(move || load.work(&Entropy::seeded(seed)))).collect();
        let begun = Instant::now();
        while load.acknowledged.load(Ordering::SeqCst) < enough {
            let is_well = !clients.iter().any(|client| client.is_finished()) && begun.elapsed() < LOAD_LIMIT;
            if !is_well || !server.work_for(Duration::from_micros(200)) {
                break;
            }
        }
        server.work_for(a_little);
        load.killed.store(true, Ordering::SeqCst);
        server.kill();
    });
    assert!(load.acknowledged.load(Ordering::SeqCst) >= enough, "not enough was done in {LOAD_LIMIT:?}");
}
