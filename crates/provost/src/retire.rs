//! `provost ca retire AUTHORITY`: what is done once somebody else has, or may have, an authority's key.
//!
//! ```text
//! plan ──► all CA certificates go, another one is made ──► an administrator's certificate (users) ──► what is left to do
//! ```
//! Whoever is interrupted runs it again: it goes on. It opens the store itself, which no server may be using if it is a file.
//! Those that run on the same etcd believe nobody by the old CA certificates from then on, and sign nothing more with their
//! keys once it has ended (`ca`'s `retire.rs`). What can be done here is done here; the rest is told step by step, as nobody
//! but people can do it: a certificate that was trusted vouches for nothing any more.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, Explain, Kind, Timestamp, report};
use ca::{Authority, AuthorityName, Ground, KeyLeft, Resolve, Retirement};
use clap::ArgMatches;
use engine::{HouseError, Tasks, TokenParts, clock_seen};
use identity::Permit;
use rustix::fs::Mode;
use rustix::process::umask;
use serde_json::{Value, json};
use server::doors::Meters;
use store::{CommitError, SealingKey, private_file};
use x509::{Certificate, Name, PrivateKey, SigningRequest};

use crate::house::{self, FIRST_ADMINISTRATOR};
use crate::lock::{Lock, LockError};
use crate::output;
use crate::settings::{Settings, StoreEngine};
use crate::start_error::StartError;
use crate::up::RUNTIME_SHUTDOWN;

/// How many holders the plan names in words; `--json` has all.
const NAMED_MAX: usize = 100;

/// Nothing was retired, or not all was done.
#[derive(Debug, thiserror::Error)]
enum RetireError {
    #[error("nothing was done yet")]
    NotBegun,
    #[error(
        "what signs now was made after {begun}, and was not retired: only the rest was done of what was begun then"
    )]
    NotThisOne { begun: Timestamp },
    #[error("there is no store at {}", path.display())]
    NoStore { path: PathBuf },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Seal(#[from] store::SealError),
    #[error(transparent)]
    Clock(#[from] HouseError),
    #[error("the authority cannot be opened")]
    Open(#[source] store::Error),
    #[error("the authority was not retired")]
    Retire(#[source] ca::RetireError),
    #[error(transparent)]
    Partly(ca::RetireError),
    #[error("the authority was retired, and that this is done could not be stored")]
    End(#[source] CommitError),
    #[error("the authority was retired, and no administrator could be made")]
    Administrator(#[source] ca::RenewError),
    #[error("the authority was retired, and no administrator could be made: {0}")]
    Key(x509::KeyError),
    #[error("the authority was retired, and the administrator's key could not be written to {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the store could not be closed")]
    Close(#[source] store::Error),
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
    #[error("could not write")]
    Output(#[source] io::Error),
}

impl RetireError {
    fn of(error: ca::RetireError) -> Self {
        match error {
            ca::RetireError::NotDropped(_) | ca::RetireError::NotVoid(_) => Self::Partly(error),
            ca::RetireError::Issue(_) | ca::RetireError::Already { .. } => Self::Retire(error),
        }
    }
}

impl Explain for RetireError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotBegun | Self::NotThisOne { .. } => Kind::Conflict,
            Self::NoStore { .. } => Kind::NotFound,
            Self::Lock(error) => error.kind(),
            Self::Start(error) => error.kind(),
            Self::Seal(error) => error.kind(),
            Self::Clock(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Retire(error) | Self::Partly(error) => error.kind(),
            Self::End(error) => error.kind(),
            Self::Administrator(error) => error.kind(),
            Self::Key(_) | Self::Runtime(_) => Kind::Internal,
            Self::Write { .. } | Self::Output(_) => Kind::Unavailable,
            Self::Close(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotBegun => Some("read the plan, and run it again with --yes".into()),
            Self::NotThisOne { .. } => {
                Some("if somebody may have its key as well, run it with --again: that retires it".into())
            }
            Self::NoStore { .. } => Some(
                "name the data directory with --data DIR, or the database of caucased with --db FILE".into(),
            ),
            Self::Lock(error) => error.help(),
            Self::Start(error) => error.help(),
            Self::Seal(error) => error.help(),
            Self::Clock(error) => error.help(),
            Self::Open(error) => error.help(),
            Self::Retire(error) | Self::Partly(error) => error.help(),
            Self::End(_) | Self::Administrator(_) | Self::Key(_) | Self::Write { .. } => {
                Some("run it again: it goes on there".into())
            }
            Self::Close(error) => error.help(),
            Self::Runtime(_) | Self::Output(_) => None,
        }
    }
}

/// What was asked for.
struct Wanted {
    authority: AuthorityName,
    is_dry: bool,
    is_sure: bool,
    /// Whether also one that comes from a retirement is to go.
    again: bool,
    json: bool,
    /// Where a new administrator's key is put.
    administrator: PathBuf,
}

/// What came of it.
struct Done {
    retirement: Retirement,
    /// Or was only looked at.
    is_done: bool,
    /// Where the new administrator's key is, if one was made.
    administrator: Option<PathBuf>,
}

/// Retires what `matches` say, in the store of `settings`.
pub fn run(matches: &ArgMatches, mut settings: Settings) -> ExitCode {
    let text = matches.get_one::<String>("authority").map(String::as_str);
    let authority = match text {
        Some("users") => AuthorityName::Users,
        Some("server") => AuthorityName::Server,
        _ => AuthorityName::Services,
    };
    let beside = |path: &PathBuf, ending: &str| {
        let mut name = path.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let mut administrator = settings.files.first_start.as_ref().map(|files| files.admin.clone());
    if let Some(database) = matches.get_one::<PathBuf>("db") {
        settings.data = None;
        settings.store.engine = StoreEngine::Embedded;
        settings.files.store_key = beside(database, ".key");
        settings.files.first_start = None;
        settings.files.database.clone_from(database);
        administrator = None;
    }
    let wanted = Wanted {
        authority,
        is_dry: matches.get_flag("dry-run"),
        is_sure: matches.get_flag("yes"),
        again: matches.get_flag("again"),
        json: matches.get_flag("json"),
        administrator: administrator.unwrap_or_else(|| beside(&settings.files.database, ".admin.pem")),
    };
    let Err(error) = retired(&wanted, &settings) else { return ExitCode::SUCCESS };
    output::error(report(&error), error.help());
    ExitCode::from(error.kind().exit_code())
}

fn retired(wanted: &Wanted, settings: &Settings) -> Result<(), RetireError> {
    let is_embedded = settings.store.engine == StoreEngine::Embedded;
    // One that were made now would have nothing to give up.
    let made = [Some(&settings.files.store_key), is_embedded.then_some(&settings.files.database)];
    if let Some(path) = made.into_iter().flatten().find(|path| !path.exists()) {
        return Err(RetireError::NoStore { path: path.clone() });
    }
    let only_look = wanted.is_dry || !wanted.is_sure;
    let data = settings.data.as_deref().filter(|_| !only_look);
    let lock = data.map(Lock::take).transpose()?;
    umask(Mode::RWXG | Mode::RWXO);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RetireError::Runtime)?;
    let done = runtime.block_on(retire(wanted, settings, only_look));
    // Not for ever: a token's module may not have answered yet.
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    drop(lock);
    let done = done?;
    if wanted.json {
        output::data(&format!("{:#}\n", told(wanted, &done))).map_err(RetireError::Output)?;
    } else {
        output::data(&plan(wanted, settings, &done)).map_err(RetireError::Output)?;
    }
    if only_look && !wanted.is_dry {
        return Err(RetireError::NotBegun);
    }
    match done.retirement.begun.filter(|_| done.is_done && done.retirement.is_next_newer) {
        Some(begun) => Err(RetireError::NotThisOne { begun }),
        None => Ok(()),
    }
}

async fn retire(wanted: &Wanted, settings: &Settings, only_look: bool) -> Result<Done, RetireError> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let (engine, sealing) = if only_look {
        let engine = house::look_any(settings, &clock, &entropy).await?;
        let none = || RetireError::NoStore { path: settings.files.database.clone() };
        let sealing = SealingKey::load_or_create(&settings.files.store_key, &entropy)?;
        let engine = engine.ok_or_else(none)?;
        engine::fits(&engine, &sealing).await?;
        clock_seen::look(&engine, &clock, settings.clock_is_right).await?;
        (engine, Arc::new(sealing))
    } else {
        let opened = house::open_store(settings, &clock, &entropy).await?;
        // Else nobody could use what is made now.
        engine::fits(&opened.engine, &opened.sealing).await?;
        clock_seen::check(&opened.engine, &clock, settings.clock_is_right).await?;
        (opened.engine, opened.sealing)
    };
    // Whoever only looks has no business there.
    let token = if only_look { None } else { house::token(settings, &Meters::new()) };
    let ground = Ground {
        engine: engine.clone(),
        sealing,
        clock,
        entropy,
        keys: Arc::new(|spec| {
            Box::pin(async move { Tasks::new().compute(move || PrivateKey::generate(spec)).await })
        }),
        token: token.map(TokenParts::alone),
    };
    // As it is: a successor that is due would be made, and given up at once.
    let profile = house::profile_of(settings, wanted.authority)?;
    let authority = Authority::look(profile, ground).map_err(RetireError::Open)?;
    let resolve = match (only_look, wanted.again) {
        (true, again) => Resolve::Look { again },
        (false, false) => Resolve::Once,
        (false, true) => Resolve::Again,
    };
    let retirement = authority.retire(Permit::house(), resolve).await.map_err(RetireError::of)?;
    let administrator = match (wanted.authority, only_look) {
        (AuthorityName::Users, false) => Some(administrator(&authority, wanted, settings).await?),
        _ => None,
    };
    if !only_look {
        authority.end_retirement().await.map_err(RetireError::End)?;
    }
    drop(authority);
    if !only_look {
        engine.close().await.map_err(RetireError::Close)?;
    }
    Ok(Done { retirement, is_done: !only_look, administrator })
}

/// Somebody has to be able to approve the users who come back.
async fn administrator(
    users: &Authority,
    wanted: &Wanted,
    settings: &Settings,
) -> Result<PathBuf, RetireError> {
    let spec = house::key_spec(settings);
    let key = Tasks::new().compute(move || PrivateKey::generate(spec)).await.map_err(RetireError::Key)?;
    let name = Name::from_common_name(FIRST_ADMINISTRATOR).map_err(StartError::Name)?;
    let csr = SigningRequest::build(&key, &name, &[]);
    let issued = users.issue(Permit::house(), &csr, &csr.to_pem()).await;
    let certificate = issued.map_err(RetireError::Administrator)?;
    let path = wanted.administrator.clone();
    let pem = base::Secret::new([key.to_pem().expose().as_str(), &certificate.to_pem()].concat());
    private_file::replace(&path, pem.expose().as_bytes())
        .map_err(|source| RetireError::Write { path: path.clone(), source })?;
    Ok(path)
}

fn fingerprint(certificate: &Certificate) -> String {
    crate::greeting::fingerprint(&certificate.fingerprint())
}

fn told(wanted: &Wanted, done: &Done) -> Value {
    let shown = |certificate: &Certificate| {
        json!({
            "subject": certificate.subject().to_string(),
            "sha256": base::hex::encode(&certificate.fingerprint()),
            "not_after": certificate.not_after().to_string(),
            "pem": certificate.to_pem(),
        })
    };
    let left = |left: &KeyLeft| json!({"token": left.token, "key": left.key});
    let holders: Vec<_> = done
        .retirement
        .holders
        .iter()
        .map(|holder| {
            json!({
                "serial": holder.serial.to_string(),
                "subject": holder.subject,
                "not_after": holder.not_after.to_string(),
            })
        })
        .collect();
    json!({
        "authority": wanted.authority.as_str(),
        "done": done.is_done,
        "begun": done.retirement.begun.map(|begun| begun.to_string()),
        "retired": done.retirement.retired.iter().map(shown).collect::<Vec<_>>(),
        "next": done.retirement.next.as_ref().map(shown),
        "administrator": done.administrator,
        "keys_left": done.retirement.left.iter().map(left).collect::<Vec<_>>(),
        "holders": holders,
    })
}

/// What was done, or would be, and what is left to do for people.
fn plan(wanted: &Wanted, settings: &Settings, done: &Done) -> String {
    let Done { retirement, is_done, administrator } = done;
    let Retirement { retired, next, holders, left, begun, .. } = retirement;
    let mut text = String::new();
    let mut line = |line: String| {
        // To a String: cannot fail.
        let _ = writeln!(text, "{line}");
    };
    let (would, is) = if next.is_some() { ("", "are") } else { ("would be ", "would be") };
    line(format!("authority {}:", wanted.authority));
    match begun {
        Some(begun) if *is_done => line(format!("  begun on {begun} and interrupted: this was the rest")),
        Some(begun) => line(format!("  begun on {begun} and interrupted: with --yes the rest is done")),
        None => {}
    }
    if begun.is_some() {
        line("  what signs now is NOT retired by that: if somebody may have its key as well, --again retires it".into());
    }
    for certificate in retired {
        line(format!("  {would}retired  {}  until {}", fingerprint(certificate), certificate.not_after()));
    }
    match next {
        Some(next) => line(format!("  signs now  {}  until {}", fingerprint(next), next.not_after())),
        None => line("  another CA certificate would be made, and sign at once".into()),
    }
    line(format!("  {} certificate(s) {is} worth nothing from then on:", holders.len()));
    for holder in holders.iter().take(NAMED_MAX) {
        line(format!("    until {}  {}  serial {}", holder.not_after, holder.subject, holder.serial));
    }
    if holders.len() > NAMED_MAX {
        line(format!("    and {} more: --json names all", holders.len() - NAMED_MAX));
    }
    for KeyLeft { token, key } in left {
        line(format!("  the key {key} stays in the PKCS#11 token `{token}`"));
    }
    let mut steps = steps(wanted, settings, administrator.as_ref());
    if let Some(first) = in_token(settings, *is_done, left) {
        steps.insert(0, first);
    }
    steps.extend(left.iter().map(|left| {
        format!(
            "delete the key {}, if no other house uses it, such as the one that this is a copy of: {}; and the same with \
             --type pubkey",
            left.key,
            left.deleted_by()
        )
    }));
    line("what is left to do, in this order:".into());
    for (number, step) in steps.into_iter().enumerate() {
        line(format!("  {}. {step}", number + 1));
    }
    text
}

/// What has to be done first where keys are in a token: whoever knows its PIN can use every key in it, also the next one.
fn in_token(settings: &Settings, is_done: bool, left: &[KeyLeft]) -> Option<String> {
    if settings.ca.token.is_none() && left.is_empty() {
        return None;
    }
    let when = if is_done {
        "if that was not done before this, do it, and run this again with --yes"
    } else {
        "do so before you run this with --yes"
    };
    Some(format!(
        "change the PIN of the PKCS#11 token, or name another token, first: whoever has the PIN, and reaches the token, can \
         use the next key as well; {when}. Where the token is lost, set `ca.token.new_keys = false`: the next key is sealed in \
         the store then. With another token, or a lost one, retire all authorities that have keys in the old one"
    ))
}

/// What people have to do.
fn steps(wanted: &Wanted, settings: &Settings, administrator: Option<&PathBuf>) -> Vec<String> {
    let netloc = &settings.netloc;
    let start = match settings.store.engine {
        StoreEngine::Embedded => "start the server",
        // They sign nothing with the old key, but may show for a moment what they know.
        StoreEngine::Etcd => "start, or start again, each server that uses this etcd",
    };
    let mut steps = vec![
        "see that whoever had the key cannot read this machine or its backups any more: the other authorities' keys are \
         kept at the same place, so retire those as well if all of it was read"
            .to_owned(),
    ];
    match wanted.authority {
        AuthorityName::Server => {
            steps.push(format!(
                "{start}: it gets a certificate of the new CA, and server-ca.pem in the data directory is written"
            ));
            steps.push("give the new server-ca.pem to all who verify this server by it".into());
            return steps;
        }
        AuthorityName::Users => {
            let file = administrator.unwrap_or(&wanted.administrator).display();
            let made = if administrator.is_some() { "has" } else { "would have" };
            steps.push(format!(
                "{file} {made} a new administrator's key and certificate: nobody else signs in any more"
            ));
            steps.push(start.into());
        }
        AuthorityName::Services => {
            steps.push(format!("{start}: who requires its trust gets the new CA certificate by itself"));
        }
    }
    let path = if wanted.authority == AuthorityName::Users { "cau" } else { "cas" };
    steps.push(format!(
        "tell all who verify by the old CA certificate, holders or not, that until they replace it they believe whoever has \
         the key. The new one: curl -o NEW http://{netloc}/{path}/crt/ca.crt.pem; compare it by another way with the \
         fingerprint above: openssl x509 -in NEW -noout -fingerprint -sha256"
    ));
    let mode = if wanted.authority == AuthorityName::Users { " --mode user" } else { "" };
    steps.push(format!(
        "tell each holder: caucase and caucase-updater learn nothing of this by themselves, as no chain leads from the old \
         CA certificate to the new one: they go on trusting the old one, and their next renewal is refused. Stop the updater, \
         remove the files of --ca, --crl and --crt{} (or put NEW in the place of --ca), and begin anew: caucase --ca-url \
         http://{netloc}{mode} --send-csr CSR, have it approved, --get-crt ID KEY; or start caucase-updater with --csr again",
        if wanted.authority == AuthorityName::Services { ", and of --cas-ca," } else { "" }
    ));
    steps.push(
        "approve only what you were told of by another way: a request that comes now may be of whoever has the key".into(),
    );
    steps.push(format!(
        "look what was issued while the key was not safe: provost audit show --about {}",
        wanted.authority
    ));
    steps
}
