//! Members of etcd that die while clients work at the fleet of two houses: what they were told is there, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base::{Clock, Entropy};
use futures_executor::block_on;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use store::{EtcdSettings, Event, History};
use testkit::{Etcd, EtcdPlan, Face, House, http, wait_until};

use super::{administrator, two};
use crate::houses::plan;

const CLUSTERS: [&str; 2] = ["web", "db"];

/// What a client was told of one of its hosts.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// It is there, and in this cluster.
    cluster: Option<Option<&'static str>>,
    /// How often it joined or left.
    moves: usize,
}

#[derive(Default)]
struct Work {
    told: Mutex<BTreeMap<String, Told>>,
    done: AtomicUsize,
    stop: AtomicBool,
}

impl Work {
    /// Adds, moves and deletes hosts of its own, each step at another house.
    fn work(&self, houses: &[House; 2], name: &str, admin: &Client) {
        for number in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let address = format!("{name}-{number}");
            let step = |step: usize, method: &str, path: &str, body: &Value, wanted: &[u16]| {
                let url = houses[(number + step) % 2].https_url(&format!("/api/v0{path}"));
                self.until(admin, method, &url, body, wanted);
            };
            let host = json!({"ssh_priv_key": address, "status": "active", "cluster": "web"});
            step(0, "PUT", &format!("/host/{address}"), &host, &[201]);
            let mut told = Told { cluster: Some(Some("web")), moves: 0 };
            if number % 2 == 0 {
                step(1, "DELETE", &format!("/cluster/web/hosts/{address}"), &json!({}), &[200]);
                step(2, "PUT", &format!("/cluster/db/hosts/{address}"), &json!({}), &[200]);
                told = Told { cluster: Some(Some("db")), moves: 2 };
            }
            if number % 3 == 0 {
                // Gone already is fine only after an answer that it is not known whether it is.
                step(3, "DELETE", &format!("/host/{address}"), &json!({}), &[200]);
                told.cluster = None;
            }
            self.told.lock().unwrap().insert(address, told);
            self.done.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Asks until it is answered as `wanted`. 503 is a reason to ask again, and then what was to go may be gone.
    fn until(&self, admin: &Client, method: &str, url: &str, body: &Value, wanted: &[u16]) {
        let mut was_refused = false;
        let was_refused = &mut was_refused;
        testkit::wait_for("an answer", || {
            let asked = admin.request(method.parse().unwrap(), url).body(body.to_string());
            let status = asked.send().unwrap().status().as_u16();
            if wanted.contains(&status) || (*was_refused && method == "DELETE" && status == 404) {
                return Some(());
            }
            assert_eq!(status, 503, "{method} {url}: only an etcd that is away is a reason");
            *was_refused = true;
            None
        });
    }

    fn wait_for_more(&self, more: usize) {
        let before = self.done.load(Ordering::SeqCst);
        wait_until("work to go on", || self.done.load(Ordering::SeqCst) >= before + more);
    }
}

/// Stops the work when it is dropped, so that a test that fails ends.
struct StopAtTheEnd<'a>(&'a Work);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

fn get(house: &House, admin: &Client, path: &str) -> Value {
    let answer = admin.get(house.https_url(&format!("/api/v0{path}"))).send().unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    serde_json::from_str(&answer.text().unwrap()).unwrap()
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Everything that happened.
fn history(etcd: &Etcd) -> Vec<Event> {
    let settings = EtcdSettings::new(etcd.endpoints());
    let engine = block_on(store::Etcd::connect(&settings, Clock::system(), Entropy::system())).unwrap();
    let history = History::new(Arc::new(engine)).unwrap();
    let (mut events, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = block_on(history.page(after.as_deref(), 1_000)).unwrap();
        after = page.entries.last().map(|(id, _)| id.clone());
        events.extend(page.entries.into_iter().map(|(_, event)| event.record));
        if page.next.is_none() {
            return events;
        }
    }
}

/// Lets clients work at both houses while `happen` does things to etcd, and compares what they were told with what
/// is there.
fn keeps_its_word(mut etcd: Etcd, happen: impl FnOnce(&mut Etcd, &Work)) {
    let houses =
        two(&etcd, |plan| plan.option("store-etcd-deadline-seconds", "2").option("log-access", "off"));
    let admin = administrator(&houses);
    for name in CLUSTERS {
        let url = houses[0].https_url(&format!("/api/v0/cluster/{name}"));
        assert_eq!(http::holder_of(&admin).put(url).send().unwrap().status(), 201);
    }
    let work = Work::default();
    std::thread::scope(|scope| {
        let stop_at_the_end = StopAtTheEnd(&work);
        for name in ["a", "b", "c", "d"] {
            let (work, houses, admin) = (&work, &houses, &admin);
            scope.spawn(move || work.work(houses, name, &http::holder_of(admin)));
        }
        work.wait_for_more(10);
        happen(&mut etcd, &work);
        drop(stop_at_the_end);
    });
    let told = work.told.into_inner().unwrap();
    let admin = http::holder_of(&admin);
    let there = |is: &dyn Fn(&Told) -> bool| -> BTreeSet<String> {
        told.iter().filter(|(_, told)| is(told)).map(|(address, _)| address.clone()).collect()
    };
    for house in &houses {
        let hosts = get(house, &admin, "/hosts");
        let hosts = hosts.as_array().unwrap().iter().map(|host| host["address"].as_str().unwrap().to_owned());
        assert_eq!(hosts.collect::<BTreeSet<_>>(), there(&|told| told.cluster.is_some()));
        for name in CLUSTERS {
            let found = get(house, &admin, &format!("/cluster/{name}"));
            let members = there(&|told| told.cluster == Some(Some(name)));
            assert_eq!(texts(&found["hostset"]), members, "{name}");
            assert_eq!(found["hosts"]["total"], members.len(), "{name}: the counts");
        }
    }
    let history = history(&etcd);
    for (address, told) in &told {
        let count = |what: &str| {
            let about = format!("host {address}");
            history.iter().filter(|event| event.about == about && event.what == what).count()
        };
        let is_moved = |event: &&Event| event.facts.values().any(|hosts| hosts == address);
        let moves = history.iter().filter(|event| event.what == "cluster's hosts changed").filter(is_moved);
        let gone = usize::from(told.cluster.is_none());
        let expected = (1, gone, told.moves);
        assert_eq!((count("host added"), count("host deleted"), moves.count()), expected, "{address}");
    }
}

#[test]
fn the_only_member_of_etcd_is_sigkilled_while_hosts_come_and_go() {
    keeps_its_word(Etcd::start(1), |etcd, work| {
        for _ in 0..6 {
            etcd.kill(0);
            etcd.restart(0);
            work.wait_for_more(8);
        }
    });
}

#[test]
fn each_member_of_etcd_is_sigkilled_while_hosts_come_and_go() {
    keeps_its_word(Etcd::start(3), |etcd, work| {
        for member in 0..3 {
            etcd.kill(member);
            work.wait_for_more(8);
            etcd.restart(member);
            work.wait_for_more(8);
        }
    });
}

/// An etcd that is silent is 503 in the time that the settings give it, and one that is full takes nothing and shows
/// everything; what was refused is not there when it is well again.
#[test]
fn an_etcd_that_is_silent_or_takes_nothing_changes_nothing() {
    let etcd = EtcdPlan::new(1).option("--quota-backend-bytes=4000000").start();
    let mut house = plan(Face::Up).etcd(&etcd).option("store-etcd-deadline-seconds", "0.5").start();
    let admin = http::holder_of(&house.administrator());
    let ask = |method: &str, path: &str, body: &str| {
        let url = house.https_url(&format!("/api/v0{path}"));
        let asked = admin.request(method.parse().unwrap(), url).body(body.to_owned()).send().unwrap();
        (asked.status().as_u16(), asked.text().unwrap())
    };
    assert_eq!(ask("PUT", "/host/a", "{}").0, 201);

    etcd.pause(0);
    for (method, path) in [("GET", "/host/a"), ("PUT", "/host/silent"), ("DELETE", "/host/a")] {
        assert_eq!(ask(method, path, "{}"), (503, "Service Unavailable".into()), "{method} {path}");
    }
    etcd.resume(0);
    wait_until("etcd to answer again", || ask("GET", "/host/a", "").0 == 200);

    let large = json!({"options": {"padding": "x".repeat(300_000)}}).to_string();
    let refused =
        (0..40).map(|n| ask("PUT", &format!("/network/n{n}"), &large)).find(|(status, _)| *status != 201);
    assert_eq!(refused.unwrap(), (507, "Insufficient Storage".into()));
    assert_eq!(ask("PUT", "/host/full", "{}").0, 507);
    assert_eq!(ask("DELETE", "/host/a", "").0, 507);
    assert_eq!(ask("GET", "/host/a", "").0, 200);

    etcd.etcdctl(&["del", "--prefix", "/commissaire/networks/n"]).ok();
    let status = etcd.etcdctl(&["endpoint", "status", "--write-out", "json"]);
    let status: Value = serde_json::from_str(status.ok()).unwrap();
    etcd.etcdctl(&["compact", &status[0]["Status"]["header"]["revision"].to_string()]).ok();
    etcd.etcdctl(&["defrag"]).ok();
    etcd.etcdctl(&["alarm", "disarm"]).ok();
    wait_until("etcd to take something again", || ask("PUT", "/host/b", "{}").0 == 201);
    let hosts: Value = serde_json::from_str(&ask("GET", "/hosts", "").1).unwrap();
    let hosts: Vec<&str> =
        hosts.as_array().unwrap().iter().map(|host| host["address"].as_str().unwrap()).collect();
    assert_eq!(hosts, ["a", "b"]);
    assert!(!house.stop().stderr.contains("panicked"));
}

/// Each of two houses is given a list of hosts for a cluster of its own, and sixty of them are in both lists.
#[test]
fn of_two_lists_with_hosts_in_common_one_is_refused() {
    let etcd = Etcd::start(1);
    let houses = two(&etcd, |plan| plan.option("log-access", "off"));
    let admin = http::holder_of(&administrator(&houses));
    let put = |house: &House, path: &str, body: &Value| {
        let url = house.https_url(&format!("/api/v0{path}"));
        admin.put(url).body(body.to_string()).send().unwrap()
    };
    let list = |letter: &str, count: usize| -> Vec<String> {
        (0..count).map(|number| format!("{letter}{number}")).collect()
    };
    let lists = ["a", "z"].map(|own| [list(own, 20), list("s", 60)].concat());
    for address in lists.concat() {
        assert_eq!(put(&houses[0], &format!("/host/{address}"), &json!({"status": "active"})).status(), 201);
    }
    for name in CLUSTERS {
        assert_eq!(put(&houses[0], &format!("/cluster/{name}"), &json!({})).status(), 201);
    }
    for _ in 0..5 {
        let told: Vec<(u16, Value)> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..2)
                .map(|number| {
                    let (put, list, house) = (&put, &lists[number], &houses[number]);
                    scope.spawn(move || {
                        let path = format!("/cluster/{}/hosts", CLUSTERS[number]);
                        let answer = put(house, &path, &json!({"old": [], "new": list}));
                        let status = answer.status().as_u16();
                        (status, serde_json::from_str(&answer.text().unwrap()).unwrap_or_default())
                    })
                })
                .collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        let mut statuses: Vec<u16> = told.iter().map(|(status, _)| *status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        for ((name, (status, said)), list) in CLUSTERS.into_iter().zip(&told).zip(&lists) {
            for house in &houses {
                let there = texts(&get(house, &admin, &format!("/cluster/{name}/hosts")));
                let wanted = if *status == 200 { list.iter().cloned().collect() } else { BTreeSet::new() };
                assert_eq!(there, wanted, "{name}");
                if *status == 200 {
                    assert_eq!(texts(&said["hostset"]), there);
                }
            }
            let old = if *status == 200 { list.clone() } else { Vec::new() };
            let path = format!("/cluster/{name}/hosts");
            assert_eq!(put(&houses[0], &path, &json!({"old": old, "new": []})).status(), 200);
        }
    }
}
