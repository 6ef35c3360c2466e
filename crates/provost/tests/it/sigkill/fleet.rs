//! Hosts, clusters and operations of a server that is killed at work: what was acknowledged is there, whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base::Entropy;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::server::{Place, Server};
use super::{CLIENTS, LOAD_LIMIT, RESTART_LIMIT, chosen};

/// How many clusters there are.
const CLUSTERS: u64 = 3;

/// A host as its client knows it, who alone changes it.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    /// An answer was lost, so nobody knows.
    Nothing,
    Absent,
    Present {
        cluster: Option<String>,
    },
}

/// What one client was told about its hosts.
type Told = BTreeMap<String, Known>;

struct Work<'a> {
    client: &'a Client,
    killed: &'a AtomicBool,
    acknowledged: &'a AtomicUsize,
    number: u64,
}

impl Work<'_> {
    /// The answer, or nothing when the server was killed before it came.
    fn ask(&self, method: Method, path: &str, body: &Value) -> Option<Answer> {
        let body = Some(("application/json", body.to_string()));
        let answer = self.client.ask_as_admin(method, &format!("/api/v0{path}"), body);
        assert!(answer.is_some() || self.killed.load(Ordering::SeqCst), "{path}: no answer");
        let answer = answer?;
        assert!(answer.status < 300, "{path}: {answer:?}");
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        Some(answer)
    }

    /// Works until the server is killed.
    fn work(&self, entropy: &Entropy, told: &mut Told) {
        loop {
            let address = format!("h{}-{}", self.number, entropy.number() % 40);
            let known = told.get(&address).cloned().unwrap_or(Known::Absent);
            let is_turn_to_go = entropy.number().is_multiple_of(4);
            let after = match known {
                Known::Nothing => self.delete(&address),
                Known::Present { .. } if is_turn_to_go => self.delete(&address),
                Known::Absent => self.add(&address, entropy),
                Known::Present { cluster: None } => self.join(&address, entropy),
                Known::Present { cluster: Some(cluster) } => self.leave(&address, &cluster),
            };
            let is_lost = after.is_none();
            told.insert(address, after.unwrap_or(Known::Nothing));
            if is_lost {
                return;
            }
        }
    }

    /// Makes sure that it is not there.
    fn delete(&self, address: &str) -> Option<Known> {
        let answer = self.client.ask_as_admin(Method::DELETE, &format!("/api/v0/host/{address}"), None)?;
        assert!([200, 404].contains(&answer.status), "{answer:?}");
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        Some(Known::Absent)
    }

    fn add(&self, address: &str, entropy: &Entropy) -> Option<Known> {
        let cluster = entropy.number().is_multiple_of(2).then(|| cluster(entropy));
        let body = json!({"ssh_priv_key": key(address), "status": "active", "cluster": cluster});
        self.ask(Method::PUT, &format!("/host/{address}"), &body)?;
        Some(Known::Present { cluster })
    }

    fn join(&self, address: &str, entropy: &Entropy) -> Option<Known> {
        let cluster = cluster(entropy);
        self.ask(Method::PUT, &format!("/cluster/{cluster}/hosts/{address}"), &json!({}))?;
        Some(Known::Present { cluster: Some(cluster) })
    }

    fn leave(&self, address: &str, cluster: &str) -> Option<Known> {
        self.ask(Method::DELETE, &format!("/cluster/{cluster}/hosts/{address}"), &json!({}))?;
        Some(Known::Present { cluster: None })
    }
}

fn cluster(entropy: &Entropy) -> String {
    format!("c{}", entropy.number() % CLUSTERS)
}

fn key(address: &str) -> String {
    format!("the key of {address}")
}

fn get(client: &Client, path: &str) -> Option<Value> {
    let answer = client.ask_as_admin(Method::GET, &format!("/api/v0{path}"), None).unwrap();
    assert!([200, 404].contains(&answer.status), "{path}: {answer:?}");
    (answer.status == 200).then(|| serde_json::from_str(&answer.body).unwrap())
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// That everything fits together, and with what the clients were told.
fn check(client: &Client, told: &[Mutex<Told>]) {
    let hosts = get(client, "/hosts").unwrap();
    let addresses: BTreeSet<&str> =
        hosts.as_array().unwrap().iter().map(|host| host["address"].as_str().unwrap()).collect();
    let mut member_of = BTreeMap::new();
    for number in 0..CLUSTERS {
        let name = format!("c{number}");
        let found = get(client, &format!("/cluster/{name}")).unwrap();
        let members = texts(&found["hostset"]);
        assert_eq!(members, texts(&get(client, &format!("/cluster/{name}/hosts")).unwrap()), "{name}");
        assert_eq!(found["hosts"]["total"], members.len(), "{name}: the counts");
        for address in members {
            assert!(addresses.contains(address.as_str()), "{address} of {name} does not exist");
            let before = member_of.insert(address.clone(), name.clone());
            assert_eq!(before, None, "{address} is in two clusters");
        }
    }
    for told in told {
        for (address, known) in &*told.lock().unwrap() {
            let there = addresses.contains(address.as_str());
            match known {
                Known::Nothing => {}
                Known::Absent => assert!(!there, "{address} was deleted"),
                Known::Present { cluster } => {
                    assert!(there, "{address} was lost");
                    assert_eq!(member_of.get(address), cluster.as_ref(), "the cluster of {address}");
                }
            }
            // Whole, or not at all.
            let credentials = get(client, &format!("/host/{address}/creds"));
            let expected = there.then(|| json!(key(address)));
            assert_eq!(credentials.map(|found| found["ssh_priv_key"].clone()), expected, "{address}");
        }
    }
}

/// Lets all clients work until much was acknowledged, and kills the server a little later.
fn work_until_killed(client: &Client, mut server: Server, told: &[Mutex<Told>], entropy: &Entropy) {
    let enough = 30 + (entropy.number() % 120) as usize;
    let (killed, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let seeds: Vec<u64> = told.iter().map(|_| entropy.number()).collect();
    std::thread::scope(|scope| {
        let (killed, acknowledged) = (&killed, &acknowledged);
        let clients: Vec<_> = (0..)
            .zip(told.iter().zip(seeds))
            .map(|(number, (told, seed))| {
                let work = Work { client, killed, acknowledged, number };
                scope.spawn(move || work.work(&Entropy::seeded(seed), &mut told.lock().unwrap()))
            })
            .collect();
        let begun = Instant::now();
        while acknowledged.load(Ordering::SeqCst) < enough {
            let is_well = !clients.iter().any(|client| client.is_finished()) && begun.elapsed() < LOAD_LIMIT;
            if !is_well || !server.work_for(Duration::from_micros(200)) {
                break;
            }
        }
        server.work_for(Duration::from_micros(entropy.number() % 4_000));
        killed.store(true, Ordering::SeqCst);
        server.kill();
    });
    assert!(acknowledged.load(Ordering::SeqCst) >= enough, "not enough was done in {LOAD_LIMIT:?}");
}

#[test]
fn a_fleet_that_is_killed_under_load_keeps_its_word() {
    let (seed, rounds) = (chosen("SIGKILL_SEED", 2), chosen("SIGKILL_ROUNDS", 12));
    let entropy = Entropy::seeded(seed);
    let directory = tempfile::tempdir().unwrap();
    let place = Place::new(&directory.path().join("data"));
    let told: Vec<Mutex<Told>> = (0..CLIENTS).map(|_| Mutex::default()).collect();
    let (mut server, _) = place.start(&[]);
    let client = Client::new(&place);
    for number in 0..CLUSTERS {
        let path = format!("/api/v0/cluster/c{number}");
        assert_eq!(client.ask_as_admin(Method::PUT, &path, None).unwrap().status, 201);
    }
    for round in 0..rounds {
        work_until_killed(&Client::new(&place), server, &told, &entropy);
        let took;
        (server, took) = place.start(&[]);
        assert!(took < RESTART_LIMIT, "round {round}: {took:?}");
        check(&Client::new(&place), &told);
    }
    server.stop();
}
