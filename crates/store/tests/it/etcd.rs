//! The etcd engine against a real etcd.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base::{Clock, Entropy, Secret};
use futures_executor::block_on;
use futures_util::StreamExt;
use store::{
    Batch, Change, CommitError, ConnectError, Engine, Error, Etcd, EtcdIdentity, EtcdPassword, EtcdSettings,
    EtcdUser, Expect, Key, Page, Prefix, Revision, Version, WatchError,
};
use testkit::wait_until;

mod claims;
mod conforms;
mod entry;
mod losses;
mod members;
mod records;
mod v2;

/// How to talk to `server`, certificates included when it speaks TLS.
fn settings(server: &testkit::Etcd) -> EtcdSettings {
    let mut settings = EtcdSettings::new(server.endpoints());
    if server.endpoint(0).starts_with("https") {
        settings.authorities = Some(std::fs::read(server.path("ca.pem")).unwrap());
        settings.identity = Some(identity(server, "client"));
    }
    settings
}

fn identity(server: &testkit::Etcd, name: &str) -> EtcdIdentity {
    let read = |suffix| std::fs::read(server.path(&format!("{name}{suffix}"))).unwrap();
    EtcdIdentity { certificates: read(".pem"), key: Secret::new(read(".key.pem")) }
}

fn user(name: &str, password: &str) -> Option<EtcdUser> {
    Some(EtcdUser { name: name.into(), password: Secret::new(password.to_owned()).into() })
}

fn try_connect(settings: &EtcdSettings) -> Result<Arc<Etcd>, ConnectError> {
    block_on(Etcd::connect(settings, Clock::system(), Entropy::system())).map(Arc::new)
}

#[track_caller]
fn connect(settings: &EtcdSettings) -> Arc<Etcd> {
    try_connect(settings).unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn put(store: &Etcd, text: &str, value: impl Into<Vec<u8>>) -> Result<Revision, CommitError> {
    let mut batch = Batch::new();
    batch.put(key(text), value.into());
    block_on(store.commit(batch))
}

fn get(store: &Etcd, text: &str) -> Result<Option<(String, Version)>, Error> {
    let found = block_on(store.get(&key(text)))?;
    Ok(found.map(|found| (String::from_utf8(found.value.to_vec()).unwrap(), found.version)))
}

/// The value of a key, once the store can be read.
fn value(store: &Etcd, text: &str) -> Option<String> {
    testkit::wait_for("the store to be readable", || get(store, text).ok()).map(|(value, _)| value)
}

/// Watches everything, on a thread of its own, until the watch ends.
struct Follower {
    told: Arc<Mutex<Vec<Change>>>,
    thread: JoinHandle<WatchError>,
}

impl Follower {
    fn of(store: &Arc<Etcd>, from: Revision) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (store, telling) = (Arc::clone(store), Arc::clone(&told));
        let thread = std::thread::spawn(move || {
            let mut watch = store.watch(Prefix::default(), from);
            loop {
                match block_on(watch.next()).expect("a watch ends with an error") {
                    Ok(change) => telling.lock().unwrap().push(change),
                    Err(error) => return error,
                }
            }
        });
        Self { told, thread }
    }

    /// From the revision that the store is at.
    fn from_now(store: &Arc<Etcd>) -> Self {
        Self::of(store, block_on(store.commit(Batch::new())).unwrap())
    }

    fn keys(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(|change| change.key.to_string()).collect()
    }

    /// Waits until this key was told last.
    fn wait_for(&self, text: &str) {
        wait_until(&format!("{text} to be told"), || {
            self.told.lock().unwrap().last().is_some_and(|change| change.key.as_str() == text)
        });
    }
}
