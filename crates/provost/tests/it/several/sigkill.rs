//! One of two is killed under load, again and again, while the other goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base::{Clock, Entropy};
use futures_executor::block_on;
use reqwest::Method;
use store::EtcdSettings;
use testkit::{Etcd, wait_until};

use super::Key;
use crate::sigkill::client::Client;
use crate::sigkill::load::{Keys, Load};
use crate::sigkill::server::{Place, Server};
use crate::sigkill::told::Told;
use crate::sigkill::{chosen, flags, stored};

/// How many clients work at each of them.
const CLIENTS: usize = 3;
/// How many keys there are for users.
const USERS: usize = 16;

fn place(directory: &Path, name: &str, key: &Key) -> Place {
    let data = directory.join(name);
    std::fs::create_dir(&data).unwrap();
    std::fs::copy(&key.file, data.join("store.key")).unwrap();
    Place::new(&data)
}

/// What etcd has is looked at as it lies there.
fn check_stored(etcd: &Etcd, told: &Told) {
    let settings = EtcdSettings::new(etcd.endpoints());
    let engine = block_on(store::Etcd::connect(&settings, Clock::system(), Entropy::system())).unwrap();
    for stored in stored::of(Arc::new(engine)) {
        stored.check();
        stored.check_told(told);
    }
}

#[test]
fn one_that_is_sigkilled_is_survived_by_the_other() {
    let (seed, rounds) = (chosen("SIGKILL_SEED", 1), chosen("SIGKILL_ROUNDS", 6));
    let entropy = Entropy::seeded(seed);
    let etcd = Etcd::start(1);
    let (directory, key) = (tempfile::tempdir().unwrap(), Key::new());
    let places = ["one", "other"].map(|name| place(directory.path(), name, &key));
    let endpoint = etcd.endpoint(0);
    // One approves at once what comes to it, the other does not.
    let flags = [true, false].map(|automatic| {
        let etcd = ["--store-engine", "etcd", "--store-etcd-endpoints", &endpoint];
        [&flags(automatic)[..], &etcd].concat()
    });
    let mut servers: [Option<Server>; 2] = [None, None];
    for turn in 0..2 {
        servers[turn] = Some(places[turn].start(&flags[turn]).0);
    }
    let file = |turn: usize, name: &str| std::fs::read(places[turn].data.join(name)).unwrap();
    let clients =
        [0, 1].map(|turn| Client::with(&places[turn], &file(turn, "server-ca.pem"), &file(0, "admin.pem")));
    let (keys, told) = (Keys::make(USERS), Mutex::new(Told::default()));
    for round in 0..rounds {
        let (victim, survivor) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
        let loads = [0, 1].map(|turn| Load {
            client: &clients[turn],
            keys: &keys,
            told: &told,
            automatic: turn == 0,
            acknowledged: AtomicUsize::new(0),
            killed: AtomicBool::new(false),
        });
        let acknowledged = |turn: usize| loads[turn].acknowledged.load(Ordering::SeqCst);
        let mut server = servers[victim].take().unwrap();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..2 * CLIENTS)
                .map(|worker| {
                    let (load, seed) = (&loads[worker % 2], entropy.number());
                    scope.spawn(move || load.work(&Entropy::seeded(seed)))
                })
                .collect();
            // A worker that has found a fault ends too.
            let is_over = || workers.iter().any(|worker| worker.is_finished());
            wait_until("both to work", || is_over() || (acknowledged(0) > 20 && acknowledged(1) > 20));
            server.work_for(Duration::from_micros(entropy.number() % 20_000));
            loads[victim].killed.store(true, Ordering::SeqCst);
            server.kill();
            let before = acknowledged(survivor);
            wait_until("the other to go on", || {
                acknowledged(survivor) > before + 20
                    || workers.iter().skip(survivor).step_by(2).any(|worker| worker.is_finished())
            });
            loads[survivor].killed.store(true, Ordering::SeqCst);
        });
        check_stored(&etcd, &told.lock().unwrap());
        told.lock().unwrap().check(&clients[survivor], false);
        servers[victim] = Some(places[victim].start(&flags[victim]).0);
        assert_eq!(clients[victim].ask(Method::GET, "/readyz", None).unwrap().status, 200);
        told.lock().unwrap().check(&clients[victim], false);
        loads.iter().for_each(|load| load.killed.store(false, Ordering::SeqCst));
        loads[survivor].submit_unanswered();
        told.lock().unwrap().round += 1;
    }
    for (server, client) in servers.into_iter().zip(&clients) {
        told.lock().unwrap().check(client, true);
        server.unwrap().stop();
    }
    let told = told.into_inner().unwrap();
    check_stored(&etcd, &told);
    println!(
        "seed {seed}: {rounds} kills, {} acknowledged, {} answers lost",
        told.acknowledged, told.lost_answers
    );
}
