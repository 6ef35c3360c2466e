//! For tests only: houses to start, and other people's programs to try them with.
//!
//! ```text
//! House      the program under test, by either of its names, in a directory of its own
//! Caucase    the stock clients of the certificate authority, from PyPI
//! Caucased   the stock server, from PyPI
//! NetworkCache  the stock clients of the artifact cache, from PyPI
//! Etcd       a real etcd, whose members can be killed and stopped
//! Juju       a model of Juju, whose hook commands charms call
//! Moto       a server that speaks S3, from PyPI
//! Hosts      real sshd hosts, that can be cut off, frozen, rebooted, installed anew
//! Browser    Debian's chromium, and what a person does with it
//! Cable      what lies between a client and a server, to be cut
//! cloud_init Debian's, in a folder of its own
//! Strace     Debian's strace: the end of a program before any of its calls, and calls that fail
//! openssl    the command
//! http       a client that presents certificates; exchange: one that says any bytes
//! Recorder   a server that answers as it is told, and remembers what it was asked
//! StandIn    a service that cannot be run here: Keystone, Kubernetes; they follow what is published of its API
//! ApiServer  the part of a Kubernetes that has nodes, pods and disruption budgets
//! ```
//! Nothing here sleeps for a fixed time: what must happen is waited for, within [`LIMIT`]. Whatever goes
//! wrong panics and says what the other side said; a witness that is not installed fails the test that
//! needs it, and says how to install it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod any_client;
mod api_server;
mod browser;
mod cable;
mod caucase;
mod caucased;
mod cloud_init;
mod etcd;
mod exchange;
mod hosts;
mod house;
pub mod http;
mod juju;
mod keystone;
mod kubernetes;
mod moto;
mod network_cache;
mod openssl;
mod ports;
mod process;
mod recorder;
mod softhsm;
mod stand_in;
mod strace;
mod wait;
mod witness;

pub use api_server::{ApiServer, Budget, PodPlan, Schema};
pub use browser::{Browser, ThirdParties};
pub use cable::{Cable, Pass};
pub use caucase::Caucase;
pub use caucased::Caucased;
pub use cloud_init::{cloud_init, cloud_init_on};
pub use etcd::{Etcd, EtcdPlan};
pub use exchange::{Answer, Line, exchange};
pub use hosts::{Host, HostPlan, Hosts};
pub use house::{Face, House, Plan};
pub use juju::{Acted, CharmBy, Fault, Juju, charm, charm_sources, in_scenario};
pub use keystone::Keystone;
pub use kubernetes::Kubernetes;
pub use moto::Moto;
pub use network_cache::NetworkCache;
pub use openssl::{key_and_request, openssl, openssl_ok, openssl_with_input};
pub use ports::free_pair;
pub use process::{Process, Ran, run};
pub use recorder::{Heard, Recorder, Reply};
pub use softhsm::SoftHsm;
pub use stand_in::{Asked, StandIn, StandInReply};
pub use strace::{DiskCall, Failing, Strace};
pub use wait::{LIMIT, wait_for, wait_until};
pub use witness::{buildout_program, charms_python, recipes_program, slapos_python, witness};
