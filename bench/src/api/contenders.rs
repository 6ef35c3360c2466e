//! Who is measured: Provost on one of its stores, as a server and in this process; and the bare handler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base::{Clock, Entropy};
use clap::ValueEnum;
use fleet::{Fleet, Ground};
use identity::{Action, Permit, Principal};
use serde_json::Value;
use store::{Engine, Etcd, EtcdSettings, SealingKey, Sqlite};
use tokio::runtime::Runtime;

use super::{Bench, bare};
use crate::Failure;
use crate::http::Client;
use crate::process::{self, Served};
use crate::run;
use crate::signed_in::{self, anybody, request};

/// Where a fleet is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Store {
    Embedded,
    Etcd,
}

impl Store {
    pub(super) const BOTH: [Self; 2] = [Self::Embedded, Self::Etcd];

    /// As titles have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "on the embedded store",
            Self::Etcd => "on etcd",
        }
    }
}

/// A Provost and its store, with data of their own.
pub(super) struct Place {
    provost: PathBuf,
    folder: PathBuf,
    /// The etcd that it is kept in, if it is one.
    etcd: Option<Served>,
}

/// A fleet in this process.
pub(super) struct InProcess {
    pub(super) fleet: Arc<Fleet>,
    pub(super) runtime: Runtime,
    engine: Arc<dyn Engine>,
    by: Principal,
}

impl Place {
    /// A place without any hosts, called `name`.
    pub(super) async fn found(bench: &Bench, store: Store, name: &str) -> Result<Self, Failure> {
        let folder = run::folder_in(bench.folder.path(), &format!("{name}-{store:?}").to_lowercase())?;
        signed_in::file(&folder)?;
        let etcd = match store {
            Store::Embedded => None,
            Store::Etcd => Some(start_etcd(&folder).await?),
        };
        Ok(Self { provost: bench.provost.clone(), folder, etcd })
    }

    /// Starts the server, and waits until it serves.
    pub(super) async fn serve(&self) -> Result<Served, Failure> {
        let port = process::free_ports()?;
        let mut command = Command::new(&self.provost);
        command.args(["up", "--netloc", &format!("127.0.0.1:{port}")]).arg("--data").arg(self.data());
        // Its hosts are only names.
        command.arg("--fleet-investigate=false");
        command.arg("--fleet-sign-in").arg(self.folder.join("sign-in.json"));
        if let Some(endpoint) = self.endpoint() {
            command.args(["--store-engine", "etcd", "--store-etcd-endpoints", &endpoint]);
        }
        Served::start("provost", command, port, "/readyz", &self.folder).await
    }

    /// Opens the fleet in this process. A server has been started here once, and runs no more.
    pub(super) fn open(&self) -> Result<InProcess, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(Failure::file(&self.folder))?;
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let engine: Arc<dyn Engine> = match self.endpoint() {
            None => Arc::new(Sqlite::open(&self.data().join("provost.db")).map_err(Failure::fleet)?),
            Some(endpoint) => {
                let settings = EtcdSettings::new([endpoint]);
                let connected = runtime.block_on(Etcd::connect(&settings, clock.clone(), entropy.clone()));
                Arc::new(connected.map_err(Failure::fleet)?)
            }
        };
        let sealing = SealingKey::load_or_create(&self.data().join("store.key"), &entropy);
        let sealing = Arc::new(sealing.map_err(Failure::fleet)?);
        let by = runtime.block_on(anybody(&clock))?;
        let ground = Ground { engine: engine.clone(), sealing, clock, entropy };
        let fleet = Arc::new(runtime.block_on(Fleet::open(ground)).map_err(Failure::fleet)?);
        Ok(InProcess { fleet, runtime, engine, by })
    }

    /// The etcd that it is kept in, if it is one.
    pub(super) fn etcd(&self) -> Option<&Served> {
        self.etcd.as_ref()
    }

    /// Where it keeps everything.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn endpoint(&self) -> Option<String> {
        self.etcd.as_ref().map(|etcd| format!("http://{}", etcd.address))
    }
}

impl InProcess {
    /// Leave for whoever measures.
    pub(super) fn permit<A: Action>(&self) -> Result<Permit<A>, Failure> {
        permit(&self.by)
    }

    /// Who measures.
    pub(super) fn by(&self) -> &Principal {
        &self.by
    }

    /// Lets go of the store.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.runtime.block_on(self.engine.close()).map_err(Failure::fleet)
    }
}

/// Leave for `by`.
pub(super) fn permit<A: Action>(by: &Principal) -> Result<Permit<A>, Failure> {
    Permit::grant(by.clone()).map_err(Failure::fleet)
}

/// An etcd of one member, as it is by default.
async fn start_etcd(folder: &Path) -> Result<Served, Failure> {
    let port = process::free_ports()?;
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", port + 1));
    let mut command = Command::new("etcd");
    command.args(["--name", "bench", "--data-dir"]).arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("bench={peer}")]);
    Served::start("etcd", command, port, "/health", folder).await
}

/// Starts the bare handler, which answers `bodies`, by path.
pub(super) async fn start_bare(folder: &Path, bodies: &[(&str, &[u8])]) -> Result<Served, Failure> {
    let text = |(path, body): &(&str, &[u8])| ((*path).to_owned(), String::from_utf8_lossy(body).into());
    let answers: serde_json::Map<String, Value> = bodies.iter().map(text).collect();
    let path = folder.join("answers.json");
    write(&path, &answers.into())?;
    let port = process::free_ports()?;
    let mut command = Command::new(run::this_program()?);
    command.arg("--bare").arg(&path).args(["--port", &port.to_string()]);
    Served::start("the bare handler", command, port, bare::READY, folder).await
}

fn write(path: &Path, value: &Value) -> Result<(), Failure> {
    std::fs::write(path, value.to_string()).map_err(Failure::file(path))
}

/// What `served` answers to a GET of `path`.
pub(super) async fn body_of(served: &Served, path: &str) -> Result<Vec<u8>, Failure> {
    let mut client = Client::new(served.address);
    Ok(client.expect(200, &request("GET", path, None)).await?.body.to_vec())
}
