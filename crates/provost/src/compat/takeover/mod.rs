//! Taking over from caucase, and leaving for it: its database into our store, and our authorities into such a database.
//!
//! ```text
//! switch.rs   `caucased --db FILE` on a database of caucase's: our store takes its place, once and wholly
//! import.rs   `provost ca import FILE`: into a store that is there already, etcd's too
//! export.rs   `provost ca export FILE`: back
//! taken.rs    what was found, in words
//! ```
//! What a row means is decided in `ca::takeover`; here is what touches files and stores.

pub mod export;
pub mod import;
pub mod switch;
mod taken;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Clock, Entropy, Explain, Kind, Timestamp};
use ca::AuthorityName;
use ca::takeover::{TakenAuthority, TakenOver, Taking, Unfit, authority_of};
use caucase_files::{Database, DatabaseError, Prefix};
use engine::clock_seen;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use identity::Principal;
use store::{Batch, CommitError, Engine, Event, History, Key, OpenError, SealError, SealingKey};

pub use self::taken::Taken;
use crate::lock::LockError;

/// How many batches are on their way to the store at a time: those that wait are committed together.
const ON_THEIR_WAY: usize = 16;

/// A database of caucase's could not be taken over. It is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// It cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It holds what an authority could not keep its word with.
    #[error("{} cannot be taken over", path.display())]
    Unfit {
        /// The database.
        path: PathBuf,
        /// Which row, and why.
        source: Unfit,
    },
    /// It was used at a time that is still to come.
    #[error(
        "the clock says {now}, but {} was used at {seen} already, or has what is of no use before then",
        path.display()
    )]
    ClockBehind {
        /// The database.
        path: PathBuf,
        /// What the clock says.
        now: Timestamp,
        /// When it was used.
        seen: Timestamp,
    },
    /// It was used last so long ago that nobody could go on.
    #[error(
        "the clock says {now}, {} was used last at {seen}, and every CA certificate of its `{name}` authority has ended \
         since, the last one at {ended}",
        path.display()
    )]
    ClockAhead {
        /// The database.
        path: PathBuf,
        /// What the clock says.
        now: Timestamp,
        /// When it was used.
        seen: Timestamp,
        /// An authority of which nothing is left.
        name: AuthorityName,
        /// When its last CA certificate ended.
        ended: Timestamp,
    },
    /// Two rows say what only one may.
    #[error("{} cannot be taken over: two of its rows make the record `{key}`", path.display())]
    Twice {
        /// The database.
        path: PathBuf,
        /// What both are.
        key: Key,
    },
    /// Somebody else takes it over already.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Our store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The key that seals the CA keys could not be had.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Our store could not be read or written.
    #[error("what was taken over could not be stored")]
    Commit(#[from] CommitError),
    /// Our store could not be read or closed.
    #[error("what was taken over could not be stored")]
    Store(#[from] store::Error),
    /// A file could not be given its name.
    #[error("could not {doing} {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was to be done: "remove".
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database is named by a link.
    #[error("{} is a link: the database would stay where it leads to", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
}

impl Explain for TakeOverError {
    fn kind(&self) -> Kind {
        match self {
            Self::Database(error) => error.kind(),
            Self::Unfit { source, .. } => source.kind(),
            Self::Twice { .. } => Kind::Invalid,
            Self::ClockBehind { .. } | Self::ClockAhead { .. } => Kind::Conflict,
            Self::Lock(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Seal(error) => error.kind(),
            Self::Commit(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Kind::Full,
            Self::File { .. } => Kind::Unavailable,
            Self::Link { .. } => Kind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Database(error) => error.help(),
            Self::Unfit { source, .. } => source.help(),
            Self::Twice { .. } => {
                Some("nothing was changed: put the database back from a backup of before".into())
            }
            Self::ClockBehind { .. } => Some(
                "nothing was changed: set the clock right, or, if it is right and was wrong then, say so once: \
                 --clock-is-right"
                    .into(),
            ),
            Self::ClockAhead { .. } => Some(
                "nothing was changed: set the clock right, or, if it is right, say so once: --clock-is-right; new CA \
                 certificates are made then, and all who hold certificates have to begin anew"
                    .into(),
            ),
            Self::Lock(LockError::Held { .. }) => {
                Some("wait for it: what it makes is there when it is done".into())
            }
            Self::Lock(error) => error.help(),
            Self::Open(error) => error.help(),
            Self::Seal(error) => error.help(),
            Self::Commit(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::File { .. } => Some("see that the directory may be written and has room".into()),
            Self::Link { .. } => Some("name the database itself".into()),
        }
    }
}

/// What the conversion stands on.
pub struct Means<'a> {
    /// Seals the CA keys.
    pub sealing: &'a SealingKey,
    /// What time it is.
    pub clock: &'a Clock,
    /// Whether somebody says that the clock is right, whatever the database says.
    pub clock_is_right: bool,
    /// Where the sealing takes chance from.
    pub entropy: &'a Entropy,
}

/// Refuses a clock that cannot be right, as a house does that starts again: by the latest thing that was done.
fn check_clock(path: &Path, taken: &[TakenAuthority], now: Timestamp) -> Result<(), TakeOverError> {
    let path = || path.to_owned();
    let Some(seen) = taken.iter().filter_map(|taken| taken.latest).max() else { return Ok(()) };
    if clock_seen::is_behind(now, seen) {
        return Err(TakeOverError::ClockBehind { path: path(), now, seen });
    }
    if clock_seen::is_ahead(now, seen) {
        for (prefix, taken) in
            Prefix::ALL.into_iter().zip(taken).filter(|(prefix, _)| *prefix != Prefix::Server)
        {
            if let Some(ended) = ca::stranded_of(&taken.issuers, seen, now) {
                let name = authority_of(prefix);
                return Err(TakeOverError::ClockAhead { path: path(), now, seen, name, ended });
            }
        }
    }
    Ok(())
}

/// What is in the database at `path`, checked row by row as if it were taken over.
pub fn look(
    path: &Path,
    clock: &Clock,
    clock_is_right: bool,
    entropy: &Entropy,
) -> Result<Taken, TakeOverError> {
    let mut database = Database::open(path)?;
    let sealing = SealingKey::generate(entropy);
    let mut taking = Taking::new(&sealing, entropy, clock.now());
    let unfit = |source| TakeOverError::Unfit { path: path.to_owned(), source };
    loop {
        let rows = database.next_rows()?;
        if rows.is_empty() {
            break;
        }
        for (prefix, row) in rows {
            taking.take(prefix, row).map_err(unfit)?;
        }
    }
    let (_, authorities) = taking.finish().map_err(unfit)?;
    if !clock_is_right {
        check_clock(path, &authorities, clock.now())?;
    }
    Ok(Taken { authorities, others: database.others().to_vec() })
}

/// Puts everything of `database`, which is at `path`, into `engine`, where nothing of an authority may be.
async fn copy(
    database: &mut Database,
    path: &Path,
    engine: &Arc<dyn Engine>,
    means: &Means<'_>,
) -> Result<Taken, TakeOverError> {
    let mut on_their_way = Committing { engine, path, commits: FuturesUnordered::new(), lost: None };
    let converted = convert(database, path, &mut on_their_way, means).await;
    // Whoever clears up after an error finds all that was on its way.
    let ended = on_their_way.end().await;
    // Or has to know that some of it may still come, whatever else went wrong.
    if let Some(lost) = on_their_way.lost {
        return Err(lost.into());
    }
    let authorities = converted?;
    ended?;
    let taken = Taken { authorities, others: database.others().to_vec() };
    tell_history(engine, &taken, path, means).await?;
    Ok(taken)
}

/// Sends all rows on their way.
async fn convert<'a>(
    database: &mut Database,
    path: &Path,
    on_their_way: &mut Committing<'a, BoxFuture<'a, Result<store::Revision, CommitError>>>,
    means: &Means<'_>,
) -> Result<[TakenAuthority; Prefix::ALL.len()], TakeOverError> {
    let mut taking = Taking::new(means.sealing, means.entropy, means.clock.now());
    let unfit = |source| TakeOverError::Unfit { path: path.to_owned(), source };
    loop {
        let rows = database.next_rows()?;
        if rows.is_empty() {
            break;
        }
        for (prefix, row) in rows {
            if let Some(batch) = taking.take(prefix, row).map_err(unfit)? {
                on_their_way.add(batch).await?;
            }
        }
    }
    let (batches, authorities) = taking.finish().map_err(unfit)?;
    if !means.clock_is_right {
        check_clock(path, &authorities, means.clock.now())?;
    }
    for batch in batches {
        on_their_way.add(batch).await?;
    }
    Ok(authorities)
}

/// Batches that are being committed, in whatever order.
struct Committing<'a, F> {
    engine: &'a Arc<dyn Engine>,
    path: &'a Path,
    commits: FuturesUnordered<F>,
    /// The first of which nobody knows whether it was done.
    lost: Option<CommitError>,
}

impl<'a> Committing<'a, BoxFuture<'a, Result<store::Revision, CommitError>>> {
    async fn add(&mut self, batch: Batch) -> Result<(), TakeOverError> {
        self.commits.push(self.engine.commit(batch));
        if self.commits.len() >= ON_THEIR_WAY { self.one().await } else { Ok(()) }
    }

    async fn one(&mut self) -> Result<(), TakeOverError> {
        match self.commits.next().await {
            Some(Err(CommitError::Conflict { key })) => {
                Err(TakeOverError::Twice { path: self.path.to_owned(), key })
            }
            Some(Err(error)) => {
                if matches!(error, CommitError::Unknown { .. }) {
                    self.lost.get_or_insert_with(|| error.clone());
                }
                Err(error.into())
            }
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Waits for all of them; the first error.
    async fn end(&mut self) -> Result<(), TakeOverError> {
        let mut ended = Ok(());
        while !self.commits.is_empty() {
            let one = self.one().await;
            ended = ended.and(one);
        }
        ended
    }
}

/// The history says for each authority where it came from.
async fn tell_history(
    engine: &Arc<dyn Engine>,
    taken: &Taken,
    path: &Path,
    means: &Means<'_>,
) -> Result<(), TakeOverError> {
    let history = History::new(engine.clone())?;
    let mut batch = Batch::new();
    for (name, facts) in taken.facts() {
        let event = Event {
            at_milliseconds: means.clock.now_milliseconds(),
            what: "authority taken over from caucase".to_owned(),
            about: format!("{name} authority"),
            by: Principal::house().name().to_owned(),
            from: None,
            facts: facts.into_iter().chain([("file".to_owned(), path.display().to_string())]).collect(),
        };
        history.append(&mut batch, &event, means.entropy)?;
    }
    let users = &taken.authorities[Prefix::Users as usize];
    TakenOver { users_until: users.good_until }.stage(&mut batch, engine)?;
    engine.commit(batch).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use base::Secret;
    use caucase_files::{Count, IssuerRow, RevokedRow, Row, Writer};
    use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

    use super::*;

    /// How many revocations [`original`] has: more than one batch.
    pub const REVOKED: u64 = 250;

    /// Makes a database of caucase's at `path`, with one authority that has issued nothing and revoked much.
    pub fn original(path: &Path) {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let now = Clock::system().now();
        let name = Name::from_common_name("Caucase CAS at test").unwrap();
        let template = CertificateTemplate {
            serial: Serial::random(&Entropy::system()),
            issuer: name.clone(),
            subject: name,
            not_before: now,
            not_after: now + base::Span::days(372),
            public_key: key.public().clone(),
            extensions: vec![
                extension::subject_key_id(key.public().key_id()),
                extension::basic_constraints(true, Some(0)),
            ],
        };
        let certificate = template.sign(&key);
        let mut writer = Writer::create(path).unwrap();
        let issuer = IssuerRow {
            expires_at: certificate.not_after().as_unix(),
            key: Secret::new(key.to_pem().expose().as_bytes().to_vec()),
            certificate: certificate.to_pem().into_bytes(),
        };
        writer.push(Prefix::Services, &Row::Issuer(issuer)).unwrap();
        for number in 1..=REVOKED {
            let row = RevokedRow { serial: number.to_string(), at: 1, expires_at: 2_000_000_000 };
            writer.push(Prefix::Services, &Row::Revoked(row)).unwrap();
        }
        writer.push(Prefix::Services, &Row::Count(Count::CrlNumber(REVOKED))).unwrap();
        writer.finish().unwrap();
    }

    /// A database knows what time it was: by a clock that is wrong nothing is taken over without a word.
    #[test]
    fn a_clock_that_cannot_be_right_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        original(&path);
        let look = |days: i64, clock_is_right: bool| {
            let clock = Clock::manual(Clock::system().now() + base::Span::days(days));
            look(&path, &clock, clock_is_right, &Entropy::system()).map(drop)
        };
        for days in [0, 1, 300] {
            look(days, false).unwrap();
        }
        let behind = look(-2, false).unwrap_err();
        assert!(matches!(behind, TakeOverError::ClockBehind { .. }), "{behind}");
        let ahead = look(1_000, false).unwrap_err();
        assert!(matches!(ahead, TakeOverError::ClockAhead { name: AuthorityName::Services, .. }), "{ahead}");
        for error in [behind, ahead] {
            assert_eq!(error.kind(), Kind::Conflict);
            assert!(error.help().unwrap().contains("--clock-is-right"));
        }
        look(-2, true).unwrap();
        look(1_000, true).unwrap();
    }

    /// What is wrong is said once.
    #[test]
    fn a_reason_is_said_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        original(&path);
        let spoil = "UPDATE casrevoked SET serial = 'x' WHERE serial = '7'";
        rusqlite::Connection::open(&path).unwrap().execute_batch(spoil).unwrap();
        let error = look(&path, &Clock::system(), false, &Entropy::system()).unwrap_err();
        assert_eq!(base::report(&error).matches("casrevoked").count(), 1, "{}", base::report(&error));
        assert!(!error.help().unwrap().contains("with caucase"));
    }
}
