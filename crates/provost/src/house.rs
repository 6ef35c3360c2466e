//! The house itself: store, authorities, reconcilers, doors; built from the ground up, taken down from the
//! roof.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Explain as _, Secret, Span};
use ca::{Admission, AuthorityName, Names, Profile};
use client::PostLimits;
use engine::{
    Backup, BackupParts, Behind, CacheParts, House, HouseError, Parts, Retention, ServerIdentity, ServerName,
    Stop, Tasks, TokenParts,
};
use identity::Role;
use identity::sign_in::{ClientCertificateConfig, Config, MethodConfig, Roles};
use server::doors::{AccessLog, Bindings, Doors, Limits, Meters, Opening, Scheme, TlsIdentity};
use server::{
    App, BackupMeters, CacheApi, MetersFor, PlainHttp, Presenters, TokenMeters, TrustedProxies, Who,
};
use store::{Engine, Etcd, Revision, SealingKey, Sqlite, Still, private_file, regular_file};
use x509::{KeySpec, Name, PrivateKey};

use crate::another_cache::AnotherCache;
use crate::artifacts;
use crate::backup;
use crate::backup_folder::BackupDirectory;
use crate::client_file::client_file;
use crate::compat::takeover::{import, switch};
use crate::etcd;
use crate::greeting::{Beginning, Facts, Fingerprints};
use crate::hands::hands;
use crate::log_file::LogFile;
use crate::secret_file;
use crate::settings::{
    self, Audience, Binding, Files, FirstStartFiles, Host, Settings, StoreEngine, WhichDoors, log_of,
};
use crate::start_error::{Remains, StartError};
use crate::up::narrate;
use crate::webhooks::Webhooks;

/// What the first administrator's certificate calls its holder.
pub const FIRST_ADMINISTRATOR: &str = "first administrator";

/// A house that serves.
pub struct Running {
    /// Where it listens.
    pub bindings: Vec<Binding>,
    /// What the operator is told; `None` without a data directory.
    pub greeting: Option<Facts>,
    house: Arc<House>,
    drain: Duration,
}

/// Builds the house that `settings` describe, and opens its doors. Until `has_begun` is asked nothing is changed, and
/// whoever waits may stop waiting.
pub async fn build(settings: &Settings, has_begun: &Stop) -> Result<Running, StartError> {
    // Sockets are bound first and accepted from last, so that a failed start has started nothing.
    let bindings = settings.bindings()?;
    let doors = Doors::bind(&doors_at(&bindings, settings.doors.which))?;
    let access = access_log(settings)?;
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let reached = reach(settings, &clock, &entropy).await?;
    has_begun.ask();
    let Opened { engine, embedded, sealing } = open_whole(settings, reached, &clock, &entropy).await?;
    let tls = Arc::new(TlsIdentity::new());
    if let Some(path) = &settings.doors.tls_file {
        show(path, &tls)?;
    }
    let (tasks, stop) = (Tasks::new(), Stop::new());
    let cache = cache_parts(settings, &clock, &entropy).await?;
    let mut parts = parts(settings, (engine, sealing), cache, (clock.clone(), entropy), tls.clone())?;
    let meters = Arc::new(Meters::new());
    parts.backups = backups(settings, &meters);
    parts.token = token(settings, &meters);
    let house = House::build(parts, tasks.clone(), stop.clone()).await?;
    let entrance = Entrance { doors, tls, access, clock, bindings, meters };
    let running = finish(settings, house, embedded, entrance).await;
    if running.is_err() {
        // What runs already is asked to end; the process is about to.
        stop.ask();
    }
    running
}

/// What the doors are opened with.
struct Entrance {
    doors: Doors,
    tls: Arc<TlsIdentity>,
    access: AccessLog,
    clock: Clock,
    bindings: Vec<Binding>,
    meters: Arc<Meters>,
}

/// What comes after the house stands: its first administrator, and the doors.
async fn finish(
    settings: &Settings,
    house: Arc<House>,
    embedded: Option<Arc<Sqlite>>,
    Entrance { doors, tls, access, clock, bindings, meters }: Entrance,
) -> Result<Running, StartError> {
    let beginning = match &settings.files.first_start {
        Some(files) => {
            let client = client_file(&settings.doors, &settings.netloc, &bindings, files);
            first_start(&house, files, key_spec(settings), client).await?
        }
        None => Beginning::Again,
    };
    // Whoever takes the database and not the log beside it has a house from here on: its authorities at least.
    if let Some(store) = embedded
        && let Err(error) = store.copy_log()
    {
        tracing::warn!(error = %base::report(&error), "the database needs the log beside it until the next stop");
    }
    let greeting = match (&settings.data, &settings.files.first_start) {
        (Some(data), Some(files)) => Some(Facts {
            beginning,
            bindings: bindings.clone(),
            doors: settings.doors.which,
            authorities: settings.ca.api,
            https_url: settings.doors.which.https_url(&settings.netloc),
            fingerprints: fingerprints(&house).await?,
            data: data.clone(),
            admin: files.admin.exists().then(|| files.admin.clone()),
            server_ca: settings.doors.tls_file.is_none().then(|| files.server_ca.clone()),
        }),
        _ => None,
    };
    let (fleet, cache) = (fleet_api(settings, &house)?, cache_api(settings, &house)?);
    let of_cache = cache.as_ref().map(|cache| &cache.entrance);
    let mut others: Vec<_> = fleet.iter().chain(of_cache).map(|api| api.sign_in.clone()).collect();
    if let Some(path) = &settings.doors.client_ca_file {
        others.push(Arc::new(house.sign_in_methods(of_authorities(path)).map_err(StartError::SignIn)?));
    }
    let trust = Presenters {
        house: house.clone(),
        services: cache.is_some() && settings.cache.services_publish,
        others,
    };
    if settings.ca.token.is_some() {
        server::sign_handovers(&house).await;
    }
    let routes = server::app(App {
        house: house.clone(),
        cors_whitelist: settings.cors_whitelist.clone(),
        cors_key_store: settings.files.cors_keys.clone(),
        meters: meters.clone(),
        meters_for: match settings.metrics {
            Audience::Loopback => MetersFor::Loopback,
            Audience::Everyone => MetersFor::Everyone,
        },
        authorities: settings.ca.api,
        fleet,
        cache,
    });
    doors.open(Opening {
        tasks: house.tasks().clone(),
        stop: house.stopping().clone(),
        tls,
        trust: Arc::new(trust),
        client_certificates: settings.doors.client_certificates,
        routes,
        access,
        clock,
        limits: limits(settings),
        meters,
    })?;
    Ok(Running { bindings, greeting, house, drain: settings.limits.drain })
}

fn doors_at(bindings: &[Binding], which: WhichDoors) -> Bindings {
    let mut doors = Bindings::default();
    for binding in bindings {
        match which {
            WhichDoors::Both => doors.pairs.push((binding.http, binding.https)),
            WhichDoors::Http => doors.alone.push((binding.http, Scheme::Http)),
            WhichDoors::Https => doors.alone.push((binding.https, Scheme::Https)),
        }
    }
    doors
}

/// Shows the certificate in the file at `path`, whose key is in it as well.
fn show(path: &Path, tls: &TlsIdentity) -> Result<(), StartError> {
    let refuse = |reason: String| StartError::TlsFile { path: path.to_owned(), reason };
    // Those who issue such files know what they may do with them.
    if let Err(error) = private_file::is_there(path) {
        tracing::warn!(error = %base::report(&error), hint = error.help(), "the TLS key is not safe");
    }
    let pem = Secret::new(regular_file::read(path).map_err(|error| refuse(error.to_string()))?);
    let text = std::str::from_utf8(pem.expose()).map_err(|_| refuse("it is no text".to_owned()))?;
    let key = PrivateKey::from_pem(text).map_err(|error| refuse(base::report(&error)))?;
    let chain =
        x509::Certificate::all_from_pem(pem.expose()).map_err(|error| refuse(base::report(&error)))?;
    tls.set(&chain, &key).map_err(|error| refuse(base::report(&error)))
}

/// Lets certificates of the authorities in the file at `path` through the handshake, and nobody in by them.
fn of_authorities(path: &Path) -> Config {
    let roles = Roles { others: None, ..Roles::everybody(Role::Reader) };
    let method = ClientCertificateConfig { common_name: None, ca_file: path.to_owned(), roles };
    Config { methods: vec![MethodConfig::ClientCertificate(method)], open_paths: Vec::new() }
}

/// An opened store.
pub struct Opened {
    /// It.
    pub engine: Arc<dyn Engine>,
    /// The same, where it is the embedded one.
    embedded: Option<Arc<Sqlite>>,
    /// What seals the secrets in it.
    pub sealing: Arc<SealingKey>,
}

pub async fn open_store(settings: &Settings, clock: &Clock, entropy: &Entropy) -> Result<Opened, StartError> {
    let reached = reach(settings, clock, entropy).await?;
    open_whole(settings, reached, clock, entropy).await
}

async fn open_whole(
    settings: &Settings,
    reached: Option<Arc<Etcd>>,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Opened, StartError> {
    let opened = open_reached(settings, reached, clock, entropy).await?;
    if import::is_unfinished(&opened.engine).await.map_err(HouseError::Store)? {
        return Err(StartError::HalfTaken);
    }
    Ok(opened)
}

/// Opens the store of `settings`, also one into which not everything has been imported yet.
pub async fn open_any(settings: &Settings, clock: &Clock, entropy: &Entropy) -> Result<Opened, StartError> {
    let reached = reach(settings, clock, entropy).await?;
    open_reached(settings, reached, clock, entropy).await
}

/// The etcd of `settings`, where that is the store, once it answers.
async fn reach(
    settings: &Settings,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Option<Arc<Etcd>>, StartError> {
    check_restored(settings)?;
    Ok(match settings.store.engine {
        StoreEngine::Embedded => None,
        StoreEngine::Etcd => Some(etcd::connect(&settings.store.etcd, clock, entropy).await?),
    })
}

/// That no restoring of a copy has stopped halfway.
fn check_restored(settings: &Settings) -> Result<(), StartError> {
    let unfinished = settings.data.as_ref().map(|data| data.join(backup::UNFINISHED));
    match unfinished.filter(|path| path.exists()) {
        Some(path) => Err(StartError::HalfRestored { path }),
        None => Ok(()),
    }
}

async fn open_reached(
    settings: &Settings,
    reached: Option<Arc<Etcd>>,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Opened, StartError> {
    Ok(match reached {
        None => {
            let (engine, sealing) = open_embedded(settings, clock, entropy).await?;
            Opened { engine: engine.clone(), embedded: Some(engine), sealing }
        }
        Some(etcd) => {
            let (engine, sealing) = etcd::look_at(settings, etcd, entropy).await?;
            Opened { engine, embedded: None, sealing }
        }
    })
}

/// The store of `settings` as it is, and nothing where there is none yet. Nothing is made.
pub async fn look_any(
    settings: &Settings,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Option<Arc<dyn Engine>>, StartError> {
    check_restored(settings)?;
    match settings.store.engine {
        StoreEngine::Embedded => {
            let database = &settings.files.database;
            match std::fs::metadata(database) {
                Ok(found) if found.len() > 0 || !found.is_file() => {
                    Ok(Some(Still::of(Sqlite::look(database)?)))
                }
                _ => Ok(None),
            }
        }
        StoreEngine::Etcd => {
            let engine = etcd::connect(&settings.store.etcd, clock, entropy).await?;
            Ok(Some(Still::of(engine.snapshot().await.map_err(HouseError::Store)?)))
        }
    }
}

async fn open_embedded(
    settings: &Settings,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<(Arc<Sqlite>, Arc<SealingKey>), StartError> {
    let (database, key) = (&settings.files.database, &settings.files.store_key);
    Sqlite::check_path(database)?;
    if switch::is_needed(database)? {
        let clock = (clock, settings.clock_is_right);
        let switched = switch::take_over(database, key, clock, entropy, |_| {}).await?;
        let (was, is) = (database.display(), switched.original.display());
        let what = switched.taken.summary();
        narrate(settings, format_args!("took over {was} from caucase, which is {is} now: {what}"));
        for odd in switched.taken.findings() {
            narrate(settings, format_args!("note: {odd}"));
        }
    }
    let lost = |file, remains| StartError::DatabaseLost { database: database.clone(), file, remains };
    let remains = match std::fs::metadata(database) {
        Err(_) => Some(Remains::Nothing),
        Ok(found) => (found.len() == 0).then_some(Remains::NoBytes),
    };
    if let Some(remains) = remains {
        if let Some(file) = left_of_a_database(&settings.files) {
            return Err(lost(file, remains));
        }
        // Nobody who had a database is to get new authorities without a word.
        if remains == Remains::NoBytes && !key.exists() {
            return Err(StartError::EmptyDatabase { database: database.clone() });
        }
        // The key comes first: a first start that is killed in between leaves no database without its key.
        SealingKey::load_or_create(key, entropy)?;
    }
    let engine = Sqlite::open(database)?;
    // It is filled before any of these is made.
    if engine.revision_now().map_err(HouseError::Store)? == Revision(0)
        && let Some(file) = left_of_a_house(&settings.files)
    {
        return Err(lost(file, Remains::NoRecords));
    }
    if !key.exists() {
        return Err(StartError::KeyLost { database: database.clone(), key: key.clone() });
    }
    let sealing = SealingKey::load_or_create(key, entropy)?;
    Ok((Arc::new(engine), Arc::new(sealing)))
}

/// A file that only a start with a database makes: it was there, and is lost.
fn left_of_a_database(files: &Files) -> Option<PathBuf> {
    let log = log_of(&files.database);
    let has_bytes = std::fs::metadata(&log).is_ok_and(|found| found.len() > 0);
    first_start_file(files).or_else(|| has_bytes.then_some(log))
}

/// A file that only a start makes whose database has authorities.
fn left_of_a_house(files: &Files) -> Option<PathBuf> {
    match &files.first_start {
        Some(_) => first_start_file(files),
        None => Some(files.server_key.clone()).filter(|file| file.exists()),
    }
}

/// What a first start made for people, and they did not take away.
fn first_start_file(files: &Files) -> Option<PathBuf> {
    let made = files.first_start.iter().flat_map(|files| [&files.admin, &files.server_ca]);
    made.into_iter().find(|file| file.exists()).cloned()
}

/// What keys are made here.
pub fn key_spec(settings: &Settings) -> KeySpec {
    KeySpec::Rsa { bits: settings.ca.key_bits }
}

fn parts(
    settings: &Settings,
    (engine, sealing): (Arc<dyn Engine>, Arc<SealingKey>),
    cache: Option<CacheParts>,
    (clock, entropy): (Clock, Entropy),
    tls: Arc<TlsIdentity>,
) -> Result<Parts, StartError> {
    let server_name = server_name(settings);
    let shows_another = settings.doors.tls_file.is_some();
    let hands = hands(settings, &clock, &entropy)?;
    Ok(Parts {
        engine,
        sealing,
        clock,
        clock_is_right: settings.clock_is_right,
        entropy,
        services: profile_of(settings, AuthorityName::Services)?,
        users: profile_of(settings, AuthorityName::Users)?,
        server: profile_of(settings, AuthorityName::Server)?,
        server_name,
        server_file: settings.files.server_key.clone(),
        server_threshold: settings.ca.threshold,
        server_key: key_spec(settings),
        on_server_identity: Arc::new(move |identity: &ServerIdentity| {
            // Kept ready, for the day when it is shown again.
            if shows_another {
                return;
            }
            if let Err(error) = tls.set(std::slice::from_ref(&identity.certificate), &identity.key) {
                tracing::error!(error = %base::report(&error), "server certificate cannot be used");
            }
        }),
        on_server_anchors: {
            let path = settings.files.first_start.as_ref().map(|files| files.server_ca.clone());
            Arc::new(move |anchors: &[x509::Certificate]| {
                let Some(path) = &path else { return true };
                let written = write_anchors(path, anchors);
                if let Err(error) = &written {
                    tracing::warn!(error = %base::report(error), "the server authority's file is not up to date");
                }
                written.is_ok()
            })
        },
        cache,
        courier: Some(Arc::new(Webhooks::new(PostLimits::default()))),
        hands,
        backups: None,
        token: None,
        retention: Retention {
            age: settings.history.keep,
            count: usize::try_from(settings.history.keep_count).unwrap_or(usize::MAX),
        },
    })
}

fn server_name(settings: &Settings) -> ServerName {
    match settings.netloc.host() {
        Host::Name(name) => ServerName::Dns(name.clone()),
        Host::Address(address) => ServerName::Address(*address),
    }
}

/// The policy of one authority, as the caucase contract's sections 1 and 6 have it.
pub fn profile_of(settings: &Settings, name: AuthorityName) -> Result<Profile, StartError> {
    let authority = match name {
        AuthorityName::Users => &settings.ca.users,
        AuthorityName::Services | AuthorityName::Server => &settings.ca.services,
    };
    let mut profile = profile(settings, name, authority);
    if name == AuthorityName::Server {
        profile.issuer_extensions = vec![server_name(settings).constraint().map_err(StartError::Name)?];
    }
    Ok(profile)
}

fn profile(settings: &Settings, name: AuthorityName, authority: &settings::Authority) -> Profile {
    let netloc = settings.netloc.to_string();
    let life = authority.crt_validity;
    let (common_name, lives) = match name {
        AuthorityName::Services => (format!("Caucase CAS at {netloc}"), 4),
        AuthorityName::Users => (format!("Caucase CAU at {netloc}"), 4),
        AuthorityName::Server => (format!("Caucased CA at {netloc}"), 40),
    };
    let is_users = name == AuthorityName::Users;
    Profile {
        name,
        issuer_common_name: common_name,
        issuer_extensions: Vec::new(),
        leaf_life: life,
        issuer_life: life.fraction(lives, 1),
        issuer_key: key_spec(settings),
        crl_addresses: match name {
            AuthorityName::Services => server::crl_addresses(&netloc),
            AuthorityName::Users | AuthorityName::Server => Vec::new(),
        },
        names: match name {
            // The operator chose the names that it certifies: the house's own.
            AuthorityName::Server => Names::Any,
            AuthorityName::Services | AuthorityName::Users => settings.ca.names,
        },
        admission: Admission {
            pending_max: authority.max_csr,
            automatic_max: authority.auto_approve_count,
            lock_automatic_max: settings.ca.lock_auto_approve_count,
            keys_for_backup: is_users,
            keep_issued: if is_users { life } else { Span::days(1) },
            // 0.05 day.
            keep_fetched: if is_users { life } else { Span::seconds(4_320) },
        },
    }
}

/// Makes the first administrator's key and certificate, once, and shows the server authority's certificate.
/// Where the authorities were taken over with users who can sign in, nobody else is let in.
async fn first_start(
    house: &House,
    files: &FirstStartFiles,
    spec: KeySpec,
    client: Option<String>,
) -> Result<Beginning, StartError> {
    let file = |path: &PathBuf| {
        let path = path.clone();
        move |source| StartError::File { path, source }
    };
    let anchors = house.authority(AuthorityName::Server).anchors().await?;
    // What is there was good at the start before. That it could not be renewed was said.
    match write_anchors(&files.server_ca, &anchors) {
        Err(_) if files.server_ca.exists() => {}
        shown => shown?,
    }
    // A house serves without it.
    if let Some(client) = client
        && let Err(error) = write_once(&files.client, client.as_bytes())
    {
        tracing::warn!(error = %base::report(&error), "the file for commands on this machine is not up to date");
    }
    if let Err(error) = private_file::is_there(&files.admin) {
        let hint = error.help();
        tracing::warn!(error = %base::report(&error), hint, "the first administrator's key is not safe");
    }
    if !house.is_first_start().await.map_err(HouseError::Store)? {
        return Ok(Beginning::Again);
    }
    let taken_over = house.taken_over().await.map_err(HouseError::Store)?;
    if taken_over == Some(true) {
        house.first_start_done().await.map_err(HouseError::Store)?;
        return Ok(Beginning::TakenOver);
    }
    let name = Name::from_common_name(FIRST_ADMINISTRATOR).map_err(StartError::Name)?;
    let administrator = house.make_administrator(&name, spec).await?;
    private_file::replace(&files.admin, administrator.expose().as_bytes()).map_err(file(&files.admin))?;
    // Last: a crash before this line makes another administrator, whose key exists; the first one's is lost.
    house.first_start_done().await.map_err(HouseError::Store)?;
    Ok(if taken_over.is_some() { Beginning::TakenOverWithoutUsers } else { Beginning::First })
}

/// Puts the certificates of the server's authority into the file at `path`, unless they are in it.
fn write_anchors(path: &Path, anchors: &[x509::Certificate]) -> Result<(), StartError> {
    let pem: String = anchors.iter().map(x509::Certificate::to_pem).collect();
    write_once(path, pem.as_bytes())
}

/// Puts `bytes` into the file at `path`, unless they are in it.
fn write_once(path: &Path, bytes: &[u8]) -> Result<(), StartError> {
    if std::fs::read(path).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    private_file::replace(path, bytes).map_err(|source| StartError::File { path: path.to_owned(), source })
}

async fn fingerprints(house: &House) -> Result<Fingerprints, StartError> {
    let newest = async |name| {
        let anchors = house.authority(name).anchors().await?;
        Ok::<_, ca::IssueError>(anchors.last().ok_or(ca::IssueError::NoActiveIssuer)?.fingerprint())
    };
    Ok(Fingerprints {
        services: newest(AuthorityName::Services).await?,
        users: newest(AuthorityName::Users).await?,
        server: newest(AuthorityName::Server).await?,
    })
}

fn access_log(settings: &Settings) -> Result<AccessLog, StartError> {
    Ok(match &settings.access_log {
        settings::AccessLog::Off => AccessLog::off(),
        settings::AccessLog::Stdout => AccessLog::to(Box::new(io::stdout())),
        settings::AccessLog::File(path) => {
            let file =
                LogFile::open(path).map_err(|source| StartError::File { path: path.clone(), source })?;
            AccessLog::to(Box::new(file))
        }
    })
}

fn fleet_api(settings: &Settings, house: &Arc<House>) -> Result<Option<server::Entrance>, StartError> {
    if !settings.fleet.api {
        return Ok(None);
    }
    let sign_in = house.sign_in_methods(settings.fleet.methods()).map_err(StartError::SignIn)?;
    Ok(Some(server::Entrance {
        sign_in: Arc::new(sign_in),
        plain_http: plain_http(settings.fleet.plain_http),
        trusted_proxies: TrustedProxies::new(settings.fleet.trusted_proxies.clone()),
    }))
}

fn cache_api(settings: &Settings, house: &Arc<House>) -> Result<Option<CacheApi>, StartError> {
    let cache = &settings.cache;
    if !cache.api {
        return Ok(None);
    }
    let sign_in = house.sign_in_methods(cache.methods(&settings.fleet)).map_err(StartError::SignIn)?;
    let who = |signs_in: bool| if signs_in { Who::SignedIn } else { Who::Everybody };
    Ok(Some(CacheApi {
        entrance: server::Entrance {
            sign_in: Arc::new(sign_in),
            plain_http: plain_http(cache.plain_http),
            trusted_proxies: TrustedProxies::new(settings.fleet.trusted_proxies.clone()),
        },
        readers: who(cache.readers_sign_in),
        writers: who(cache.writers_sign_in),
        sending_bytes_max: usize::try_from(cache.sending_bytes_max).unwrap_or(usize::MAX),
    }))
}

fn plain_http(audience: Audience) -> PlainHttp {
    match audience {
        Audience::Loopback => PlainHttp::Loopback,
        Audience::Everyone => PlainHttp::Everyone,
    }
}

/// Where backups go, and where they are counted.
fn backups(settings: &Settings, meters: &Meters) -> Option<BackupParts> {
    let directory = settings.ca.backup_directory.clone()?;
    let counted = BackupMeters::default();
    counted.enter(meters);
    Some(BackupParts {
        folder: Arc::new(BackupDirectory::new(directory)),
        period: settings.ca.backup_period,
        told: Arc::new(move |backup| match backup {
            Backup::Found { at } => counted.made(at.as_unix(), None),
            Backup::Made { at, bytes } => counted.made(at.as_unix(), Some(bytes)),
            Backup::Failed => counted.failed(),
        }),
    })
}

/// The token that CA keys are in, if any are.
pub fn token(settings: &Settings, meters: &Meters) -> Option<TokenParts> {
    let token = settings.ca.token.as_ref()?;
    let shown = TokenMeters::default();
    shown.enter(meters);
    let pin_file = token.pin_file.clone();
    let pin = move || secret_file::read_text(&pin_file).map_err(|error| base::report(&error));
    Some(TokenParts {
        token: pkcs11::Token::new(token.module.clone(), token.label.clone(), Box::new(pin)),
        makes_keys: token.new_keys,
        told: Arc::new(move |is_there| shown.seen(is_there)),
    })
}

/// Where artifacts are kept, if any are.
async fn cache_parts(
    settings: &Settings,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Option<CacheParts>, StartError> {
    let Some((blobs, artifact_bytes_max)) = artifacts::open(settings, clock, entropy).await? else {
        return Ok(None);
    };
    let limits = cache::Limits {
        artifact_bytes_max,
        writer_bytes_max: settings.cache.writer_bytes_max,
        reserve_bytes: settings.cache.reserve_bytes,
        fetched_bytes_max: settings.cache.upstream_bytes_max,
        ..cache::Limits::default()
    };
    Ok(Some(CacheParts {
        blobs,
        limits,
        rules: settings.cache.rules.clone(),
        scrub_bytes_per_second: settings.cache.scrub_bytes_per_second,
        upstream: upstream(settings)?,
        signers: artifacts::signers(settings)?,
        place: artifacts::place(settings, entropy)?,
    }))
}

/// The cache behind ours.
fn upstream(settings: &Settings) -> Result<Option<Behind>, StartError> {
    let Some(upstream) = &settings.cache.upstream else { return Ok(None) };
    let asked = AnotherCache::new(upstream).map_err(StartError::Upstream)?;
    Ok(Some(Behind { upstream: Arc::new(asked), fresh: settings.cache.fresh }))
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        connections_max: settings.limits.connections_max,
        head: settings.limits.header,
        idle: settings.limits.idle,
        body_stall: settings.limits.body,
        bytes_per_second_min: settings.limits.bytes_per_second_min,
        bodies_bytes_max: settings.limits.bodies_bytes_max,
        ..Limits::default()
    }
}

impl Running {
    /// Whether it still does its work, as far as that is up to this process.
    pub async fn healthy(&self) -> bool {
        self.house.is_well().await
    }

    /// Stops accepting, lets requests end, and takes everything down in reverse order.
    pub async fn stop(self) {
        match self.house.stop(self.drain).await {
            Ok(true) => tracing::info!("stopped"),
            Ok(false) => tracing::warn!("stopped; some requests did not end in time"),
            Err(error) => tracing::error!(error = %base::report(&error), "store could not be closed"),
        }
    }
}
