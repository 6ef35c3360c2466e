//! What the operator wants: what was said ([`Config`]) and what the program makes of it ([`Settings`]).
//!
//! One table, [`keys::KEYS`], names every setting. [`Config::gather`] collects what flags, environment and file
//! say, and [`Settings::from`] turns it into types that cannot hold the wrong thing, or reports every
//! problem at once. `provost up` and `provost config check` both go this way.

mod bucket_settings;
mod cache_settings;
mod check;
mod config;
mod door_settings;
mod file;
mod files;
mod flags;
mod fleet_settings;
mod hands_settings;
mod key;
mod keys;
mod nearest;
mod netloc;
mod notes;
mod problem;
mod reader;
mod reference;
mod show;
mod sign_in;
mod store_settings;
mod written;

use std::path::PathBuf;
use std::time::Duration;

use base::{Secret, Span};
use ca::Names;
use client::networkcache::ServiceUrl;
use engine::Freshness;
use fleet::bootstrap::Profile;
use identity::sign_in::TokenReviewConfig;
use server::Subnet;
use server::doors::ClientCertificates;

pub use bucket_settings::of_engine;
#[cfg(test)]
pub use check::of_text;
pub use config::{Config, Said, Surroundings, Value};
pub use files::{log_of, within};
pub use flags::with_flags;
pub use key::{KEYS, Key, Kind};
pub use nearest::meant;
pub use netloc::{Binding, Host, Netloc, Ports, ResolveError};
pub use problem::{Origin, Problem};
pub use reference::reference;
pub use show::shown;
pub use sign_in::SignInFile;
pub use written::{place_of, spoken_of, toml, written};

/// What the program needs to know, checked.
#[derive(Debug)]
pub struct Settings {
    /// The data directory; `caucased` has none, it names its files one by one.
    pub data: Option<PathBuf>,
    /// Where each file is.
    pub files: Files,
    /// The name of the service in certificates and for clients.
    pub netloc: Netloc,
    /// The ports to listen on.
    pub ports: Ports,
    /// The addresses and names to listen on; not empty.
    pub bind: Vec<Host>,
    /// Whether somebody says that the clock is right, whatever it was when the house was here last.
    pub clock_is_right: bool,
    /// Which doors there are, and what is shown at them.
    pub doors: Doors,
    /// Where everything is remembered.
    pub store: Store,
    /// The certificate authorities.
    pub ca: Authorities,
    /// Origins that may use the service without asking the user, as browsers write them.
    pub cors_whitelist: Vec<String>,
    /// How the fleet is served.
    pub fleet: Fleet,
    /// How the artifact cache is served.
    pub cache: Cache,
    /// What is logged, and how.
    pub log: Log,
    /// Where the access log goes.
    pub access_log: AccessLog,
    /// What clients may take.
    pub limits: Limits,
    /// Who may read the metrics.
    pub metrics: Audience,
    /// How much history is kept.
    pub history: History,
    /// What prevents nothing, but is worth saying at the start.
    pub notes: Vec<Problem>,
}

/// Where each file is.
#[derive(Debug)]
pub struct Files {
    /// The database.
    pub database: PathBuf,
    /// The key under which secrets in the database are sealed.
    pub store_key: PathBuf,
    /// The private key and certificate of the HTTPS port.
    pub server_key: PathBuf,
    /// The keys that sign the cookie of the cross-origin page.
    pub cors_keys: PathBuf,
    /// The directory of artifacts, where there is a data directory.
    pub artifacts: Option<PathBuf>,
    /// What only a data directory has.
    pub first_start: Option<FirstStartFiles>,
}

/// What the first start leaves in the data directory for the operator.
#[derive(Debug)]
pub struct FirstStartFiles {
    /// The first administrator's private key and certificate.
    pub admin: PathBuf,
    /// The certificate of the authority that signs the HTTPS port's.
    pub server_ca: PathBuf,
    /// Where the server is and who asks it, for commands on this machine; written at each start.
    pub client: PathBuf,
}

/// Which doors there are, and what is shown at them.
#[derive(Debug)]
pub struct Doors {
    /// Which.
    pub which: WhichDoors,
    /// Another certificate than the service's own, with its key and its chain.
    pub tls_file: Option<PathBuf>,
    /// Whether clients have to show one.
    pub client_certificates: ClientCertificates,
    /// Authorities whose certificates clients may show besides.
    pub client_ca_file: Option<PathBuf>,
}

/// What is listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichDoors {
    /// An HTTP port and the HTTPS port that belongs to it.
    Both,
    /// HTTP alone.
    Http,
    /// HTTPS alone.
    Https,
}

/// Where everything is remembered.
#[derive(Debug)]
pub struct Store {
    /// By what.
    pub engine: StoreEngine,
    /// The etcd; used when that is the engine.
    pub etcd: EtcdStore,
}

/// What remembers everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreEngine {
    /// The database among the files, for this process alone.
    Embedded,
    /// An etcd, which others may share.
    Etcd,
}

/// An etcd and how it is talked to. Secrets are in the files.
#[derive(Debug)]
pub struct EtcdStore {
    /// URLs of its members; known to be right, and some where etcd is the engine.
    pub endpoints: Vec<String>,
    /// The certificates of the authorities that its members' are from.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown, and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Who signs in, and with what.
    pub user: Option<(String, Password)>,
    /// What all keys begin with.
    pub namespace: store::Prefix,
    /// How long one answer may take.
    pub deadline: Duration,
    /// How long a start waits for it.
    pub wait: Duration,
}

/// A password.
#[derive(Debug)]
pub enum Password {
    /// In a file.
    File(PathBuf),
    /// Said itself, by a variable of the environment.
    Said(Secret<String>),
}

/// The certificate authorities.
#[derive(Debug)]
pub struct Authorities {
    /// Whether they are served.
    pub api: bool,
    /// How long before its end the service's own certificate is renewed, before any cap.
    pub threshold: Span,
    /// Size of new RSA keys in bits: 2048, 3072, 4096 or 8192.
    pub key_bits: u32,
    /// Which names are certified.
    pub names: Names,
    /// Whether the counts of automatic approval become permanent.
    pub lock_auto_approve_count: bool,
    /// Where backups are put, if any are made.
    pub backup_directory: Option<PathBuf>,
    /// How much time is between them.
    pub backup_period: Span,
    /// The token that CA keys are in, if any are.
    pub token: Option<CaToken>,
    /// The authority for services.
    pub services: Authority,
    /// The authority for users.
    pub users: Authority,
}

/// A PKCS#11 token that CA keys are in.
#[derive(Debug)]
pub struct CaToken {
    /// The module's file.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    /// The file with its PIN.
    pub pin_file: PathBuf,
    /// Whether new CA keys are made in it.
    pub new_keys: bool,
}

/// One certificate authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority {
    /// How long a certificate is valid; everything else about time derives from it.
    pub crt_validity: Span,
    /// How many signing requests may wait at once.
    pub max_csr: u64,
    /// How many of the first signing requests are approved automatically.
    pub auto_approve_count: u64,
}

/// How the fleet is served.
#[derive(Debug)]
pub struct Fleet {
    /// Whether it is, under `/v1` and `/api/v0`.
    pub api: bool,
    /// Who is answered without TLS.
    pub plain_http: Audience,
    /// Whose word is taken for where a request comes from.
    pub trusted_proxies: Vec<Subnet>,
    /// How people sign in other than by a certificate of the users authority.
    pub sign_in: Option<SignInFile>,
    /// The Kubernetes that is asked about tokens.
    pub token_review: Option<TokenReviewConfig>,
    /// How hosts are looked at and made ready.
    pub hands: Hands,
}

/// How the artifact cache is served.
#[derive(Debug)]
pub struct Cache {
    /// Whether it is, under `/shacache` and `/shadir`.
    pub api: bool,
    /// Where artifacts are kept, where that was said.
    pub folder: Option<PathBuf>,
    /// Whether readers have to sign in.
    pub readers_sign_in: bool,
    /// Whether writers have to.
    pub writers_sign_in: bool,
    /// Who may do that without TLS.
    pub plain_http: Audience,
    /// Users who sign in by a password.
    pub users_file: Option<PathBuf>,
    /// Whether our own services are publishers.
    pub services_publish: bool,
    /// Authorities whose clients are publishers.
    pub client_ca_file: Option<PathBuf>,
    /// How large an artifact may be.
    pub artifact_bytes_max: u64,
    /// How much one writer may keep.
    pub writer_bytes_max: Option<u64>,
    /// What is removed.
    pub rules: cache::Rules,
    /// How fast artifacts are read again, to see whether they are whole.
    pub scrub_bytes_per_second: Option<u64>,
    /// Another cache, which has what this one has not.
    pub upstream: Option<Upstream>,
    /// How long what it said is believed.
    pub fresh: Freshness,
    /// How much of what came from it is kept.
    pub upstream_bytes_max: Option<u64>,
    /// Whose keys are whose, where what they withdrew is hidden.
    pub hide_withdrawn: Option<PathBuf>,
    /// How much of the disk is left free.
    pub reserve_bytes: u64,
    /// How much memory what is sent may take.
    pub sending_bytes_max: u64,
    /// The bucket that artifacts are kept in, where they are not kept in a directory.
    pub bucket: Option<Bucket>,
}

/// Another cache, which has what this one has not.
#[derive(Debug)]
pub struct Upstream {
    /// Where its artifacts are.
    pub cache_url: ServiceUrl,
    /// Where its entries are.
    pub dir_url: ServiceUrl,
    /// Where its certificate may come from, if not from the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// The certificate and the key that are shown to it.
    pub key_file: Option<PathBuf>,
}

/// A bucket of an S3-compatible object store.
#[derive(Debug)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What the names of all objects begin with.
    pub prefix: String,
    /// Where the server is; Amazon's when absent.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// Whether the bucket is named in the path of requests.
    pub path_style: bool,
    /// What requests are signed with.
    pub key: Option<BucketKey>,
    /// The authorities that the server's certificate is from.
    pub ca: Option<PathBuf>,
    /// How long it is waited for.
    pub wait: Duration,
}

/// An access key.
#[derive(Debug)]
pub enum BucketKey {
    /// One that stays.
    Fixed {
        /// Its name.
        id: String,
        /// Its secret.
        secret: Password,
        /// The session that it is good for, when it is a temporary one.
        session: Option<Secret<String>>,
    },
    /// One in a file that is written anew now and then.
    Changing(PathBuf),
}

/// How hosts are looked at and made ready.
#[derive(Debug)]
pub struct Hands {
    /// Whether they are, once they are added.
    pub investigate: bool,
    /// How often those that are ready are looked at again; never where it is absent.
    pub watch_period: Option<Span>,
    /// Whether operations on clusters are carried out.
    pub operations: bool,
    /// What they are made ready for.
    pub profile: Profile,
    /// What is done on each operating system, where an operator says so.
    pub commands_file: Option<PathBuf>,
    /// The files that are written on hosts, where an operator has some.
    pub templates_folder: Option<PathBuf>,
    /// What works on them in place of our own SSH.
    pub ansible: Option<Ansible>,
    /// The TCP port of their SSH servers.
    pub port: u16,
    /// The machine that they are reached through.
    pub jump: Option<Jump>,
    /// How many are worked on at once.
    pub hosts_max: usize,
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How long one of them may take.
    pub host: Duration,
    /// The etcd for flannel.
    pub etcd: Option<FlannelEtcd>,
}

/// A machine that hosts are reached through.
#[derive(Debug)]
pub struct Jump {
    /// Who signs in to it.
    pub user: String,
    /// Where it is.
    pub address: ssh::Address,
    /// The key that it has to prove.
    pub host_key: ssh::HostKey,
    /// The file with the private key that signs in; the host's own where this is absent.
    pub key_file: Option<PathBuf>,
}

/// How hosts are worked on by playbooks.
#[derive(Debug)]
pub struct Ansible {
    /// What runs them: a path, or a name to look for on the `PATH`.
    pub program: PathBuf,
    /// The operator's, where there are some.
    pub playbooks_folder: Option<PathBuf>,
    /// How much a host may say to one task, in MiB.
    pub said_mib_max: u64,
}

/// The etcd in which flannel finds its network, as hosts reach it.
#[derive(Debug)]
pub struct FlannelEtcd {
    /// Its URL, or several with commas between them.
    pub url: String,
    /// The certificates of the authorities that its members' are from.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown, and its private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// What is logged on standard error.
#[derive(Debug, Clone)]
pub struct Log {
    /// A filter that `tracing_subscriber::EnvFilter` reads; known to be right.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// To standard output.
    Stdout,
    /// Nowhere.
    Off,
    /// To the end of this file.
    File(PathBuf),
}

/// What clients may take.
#[derive(Debug)]
pub struct Limits {
    /// Connections open at once.
    pub connections_max: usize,
    /// Time for a TLS handshake, and for the head of a request.
    pub header: Duration,
    /// Time for the body of a request.
    pub body: Duration,
    /// Time without a request on an open connection.
    pub idle: Duration,
    /// The slowest transfer that counts as one; at least 1.
    pub bytes_per_second_min: u32,
    /// Bodies of all requests together.
    pub bodies_bytes_max: usize,
    /// Time for requests that are being answered when the program stops.
    pub drain: Duration,
}

/// Who is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever asks from this machine.
    Loopback,
    /// Whoever reaches the service.
    Everyone,
}

/// How much history is kept.
#[derive(Debug)]
pub struct History {
    /// For how long.
    pub keep: Span,
    /// How many events at most.
    pub keep_count: u64,
}

impl Settings {
    /// What the program needs, from what was said; or everything that is wrong with it: flags first, then
    /// variables, then the file from top to bottom.
    pub fn from(config: &Config) -> Result<Self, Vec<Problem>> {
        check::settings(config, files::Layout::DataDirectory)
    }

    /// What is worth knowing beside `problems`, which [`Settings::from`] has found: of everything that was said but what is
    /// wrong and what follows from that.
    pub fn notes_beside(config: &Config, problems: &[Problem]) -> Vec<Problem> {
        check::notes_beside(config, problems)
    }

    /// [`Settings::from`] for `caucased`, which has no data directory: `database` is the database, its sealing key
    /// stands beside it, the other files were named.
    pub fn beside_database(config: &Config, database: PathBuf) -> Result<Self, Vec<Problem>> {
        check::settings(config, files::Layout::Beside(database))
    }

    /// Every distinct address to listen on. Asks the resolver, and waits for it.
    pub fn bindings(&self) -> Result<Vec<Binding>, ResolveError> {
        netloc::resolve(&self.bind, self.ports)
    }
}
