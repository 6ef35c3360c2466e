//! A house in this process, whose hosts are not there.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Secret, Span};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ca::{Admission, AuthorityName, Names, Profile};
use engine::{Hands, House, Parts, Retention, ServerName, Stop, Tasks};
use fleet::{Credentials, HostAddress, HostStatus, NewHost, OsCommands, Templates, bootstrap};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use identity::{Permit, Principal};
use ssh::Remote;
use store::{Engine, SealingKey};
use x509::KeySpec;

use crate::Failure;
use crate::report::{Row, Unit};

/// How many hosts are added at the same time.
const ADDING: usize = 64;

/// The key that each of them proves.
pub(crate) const HOST_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO";

/// What is wrong with the house.
pub(crate) fn failed(error: impl std::error::Error) -> Failure {
    Failure::Program { program: "the house, in process".into(), what: base::report(&error) }
}

/// A figure, and the limit to it.
pub(crate) fn row(what: &str, unit: Unit, ours: f64, limit: f64) -> Row {
    Row { what: what.into(), unit, ours: ours.into(), theirs: limit.into() }
}

fn profile(name: AuthorityName) -> Profile {
    let leaf_life = Span::days(93);
    Profile {
        name,
        issuer_common_name: format!("{name} of a measurement"),
        issuer_extensions: Vec::new(),
        leaf_life,
        issuer_life: leaf_life.fraction(4, 1),
        issuer_key: KeySpec::P256,
        crl_addresses: Vec::new(),
        names: Names::Any,
        admission: Admission {
            pending_max: 50,
            automatic_max: 0,
            lock_automatic_max: false,
            keys_for_backup: false,
            keep_issued: leaf_life,
            keep_fetched: leaf_life,
        },
    }
}

/// A house in `folder`, on the database `engine`, which gets into hosts by `remote`, at most so many at once, and does nothing
/// with them by itself but watch them, where it is to.
pub(crate) async fn house(
    folder: &Path,
    engine: Arc<dyn Engine>,
    remote: Arc<dyn Remote>,
    hosts_max: usize,
    watch_period: Option<Span>,
) -> Result<Arc<House>, Failure> {
    let hands = Hands {
        remote,
        playbooks: None,
        port: 22,
        jump: None,
        profile: bootstrap::Profile::None,
        commands: OsCommands::standard(),
        templates: Templates::default(),
        etcd: None,
        investigates: false,
        operates: false,
        watch_period,
        hosts_max,
        host_limit: Duration::from_secs(600),
    };
    let entropy = Entropy::system();
    let sealing = SealingKey::load_or_create(&folder.join("store.key"), &entropy).map_err(failed)?;
    let parts = Parts {
        clock_is_right: false,
        engine,
        sealing: Arc::new(sealing),
        clock: Clock::system(),
        entropy,
        services: profile(AuthorityName::Services),
        users: profile(AuthorityName::Users),
        server: profile(AuthorityName::Server),
        server_name: ServerName::Dns("localhost".into()),
        server_file: folder.join("server.key.pem"),
        server_threshold: Span::days(31),
        server_key: KeySpec::P256,
        on_server_identity: Arc::new(|_| {}),
        on_server_anchors: Arc::new(|_| true),
        retention: Retention { age: Span::days(400), count: 100_000 },
        courier: None,
        backups: None,
        token: None,
        hands: Some(hands),
        cache: None,
    };
    House::build(parts, Tasks::new(), Stop::new()).await.map_err(failed)
}

/// The text of a private key, as an operator gives it for hosts.
fn key(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("host_ed25519");
    let program = |what: String| Failure::Program { program: "ssh-keygen".into(), what };
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).output();
    let made = made.map_err(|error| program(error.to_string()))?;
    if !made.status.success() {
        return Err(program(String::from_utf8_lossy(&made.stderr).into_owned()));
    }
    std::fs::read_to_string(&path).map_err(Failure::file(&path))
}

/// The address of host `number`.
pub(crate) fn address(number: u32) -> String {
    format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)
}

/// Adds `size` hosts that are ready, and does `then` with each, several at a time.
pub(crate) async fn add_all<D>(
    house: &House,
    folder: &Path,
    by: &Principal,
    size: u32,
    then: impl Fn(HostAddress) -> D,
) -> Result<(), Failure>
where
    D: Future<Output = Result<(), Failure>>,
{
    let (fleet, then, key) = (house.fleet(), &then, &BASE64.encode(key(folder)?));
    let adding = stream::iter(0..size).map(|number| async move {
        let address: HostAddress = address(number).parse().map_err(failed)?;
        let credentials = Credentials { ssh_priv_key: Secret::new(key.clone()), remote_user: "root".into() };
        let new = NewHost { status: HostStatus::Active, credentials, ..NewHost::default() };
        let permit = Permit::grant(by.clone()).map_err(failed)?;
        fleet.add_host(permit, address.clone(), new).await.map_err(failed)?;
        then(address).await
    });
    adding.buffer_unordered(ADDING).try_collect::<()>().await
}
