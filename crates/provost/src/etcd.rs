//! The etcd that several processes share: found, waited for, and looked at before anything is kept in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Clock, Entropy, Explain, Kind};
use store::{
    ConnectError, Engine, Etcd, EtcdIdentity, EtcdPassword, EtcdSettings, EtcdUser, SealError, SealingKey,
    regular_file,
};

use crate::relocate;
use crate::secret_file::{self, SecretFileError};
use crate::settings::{EtcdStore, Files, Password, Settings};

/// How long to wait before an etcd that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// The etcd could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// It did not answer, or refused.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A file that may be read by everybody could not be.
    #[error("could not read {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is for its owner only could not be read.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// It could not be looked at.
    #[error("could not look at what is in etcd")]
    Store(#[from] store::Error),
    /// The key that seals the secrets in it could not be had.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Others have begun, and this process does not have their key.
    #[error("etcd is in use by others, but {}, which their secrets are sealed with, is not here", key.display())]
    KeyMissing {
        /// The missing file.
        key: PathBuf,
    },
    /// A move into it was interrupted.
    #[error("not everything has been moved or restored into etcd yet")]
    HalfMoved,
    /// There are files of an earlier start, but nothing in etcd.
    #[error("{} is there from an earlier start, but there is nothing of it in etcd", file.display())]
    Empty {
        /// What is left.
        file: PathBuf,
    },
}

impl Explain for EtcdError {
    fn kind(&self) -> Kind {
        match self {
            Self::Connect(source) => source.kind(),
            Self::File { .. } => Kind::Unavailable,
            Self::Secret(source) => source.kind(),
            Self::Store(source) => source.kind(),
            Self::Seal(source) => source.kind(),
            Self::KeyMissing { .. } | Self::HalfMoved | Self::Empty { .. } => Kind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Connect(source) => source.help(),
            Self::File { .. } => None,
            Self::Secret(source) => source.help(),
            Self::Store(source) => source.help(),
            Self::Seal(source) => source.help(),
            Self::KeyMissing { key } => Some(format!(
                "copy store.key from the data directory of one that runs to {}, mode 0600",
                key.display()
            )),
            Self::HalfMoved => Some(
                "run `provost store move` again: it goes on where it stopped; after `provost restore`, empty the namespace \
                 and run that again"
                    .into(),
            ),
            Self::Empty { .. } => Some(
                "see that `store.etcd.namespace` and the endpoints are the right ones, move what the database has \
                 with `provost store move`, or begin anew in another directory"
                    .into(),
            ),
        }
    }
}

/// Connects to the etcd of `settings`, and gets the key for what is in it: a new one only when nothing is.
///
/// An etcd that does not answer is asked again for as long as the settings say.
pub async fn open(
    settings: &Settings,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<(Arc<dyn Engine>, Arc<SealingKey>), EtcdError> {
    look_at(settings, connect(&settings.store.etcd, clock, entropy).await?, entropy).await
}

/// As [`open`], of the etcd of `settings` that is connected already.
pub async fn look_at(
    settings: &Settings,
    etcd: Arc<Etcd>,
    entropy: &Entropy,
) -> Result<(Arc<dyn Engine>, Arc<SealingKey>), EtcdError> {
    let engine: Arc<dyn Engine> = etcd;
    let key = &settings.files.store_key;
    if relocate::is_unfinished(&engine).await? {
        return Err(EtcdError::HalfMoved);
    }
    if engine::is_new(&engine).await? {
        if let Some(file) = left_from_before(&settings.files) {
            return Err(EtcdError::Empty { file });
        }
    } else if !key.exists() {
        return Err(EtcdError::KeyMissing { key: key.clone() });
    }
    Ok((engine, Arc::new(SealingKey::load_or_create(key, entropy)?)))
}

/// A file that only a start with a store makes.
fn left_from_before(files: &Files) -> Option<PathBuf> {
    let made = files.first_start.iter().flat_map(|files| [&files.admin, &files.server_ca]);
    made.chain([&files.database]).find(|file| file.exists()).cloned()
}

/// Connects, and waits for an etcd that does not answer yet. Nothing is changed in it, so whoever waits may stop.
pub async fn connect(etcd: &EtcdStore, clock: &Clock, entropy: &Entropy) -> Result<Arc<Etcd>, EtcdError> {
    let settings = settings_of(etcd)?;
    let begun = Instant::now();
    loop {
        let error = match Etcd::connect(&settings, clock.clone(), entropy.clone()).await {
            Ok(engine) => return Ok(Arc::new(engine)),
            Err(error @ ConnectError::Store(store::Error::Unavailable { .. })) => error,
            Err(error) => return Err(error.into()),
        };
        let left = etcd.wait.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(error.into());
        }
        tracing::warn!(
            error = %base::report(&error),
            seconds_left = left.as_secs(),
            "etcd does not answer yet, trying again"
        );
        tokio::time::sleep(PAUSE.min(left)).await;
    }
}

/// The same as etcd's engine takes it, with what the files hold.
pub fn settings_of(etcd: &EtcdStore) -> Result<EtcdSettings, EtcdError> {
    let identity = |(certificate, key): &(PathBuf, PathBuf)| {
        Ok::<_, EtcdError>(EtcdIdentity { certificates: read(certificate)?, key: secret_file::read(key)? })
    };
    let user = |(name, password): &(String, Password)| {
        let password = match password {
            Password::File(path) => {
                // Now, so that a start tells what is wrong with the file; and again for each signing in.
                secret_file::read_text(path)?;
                let path = path.clone();
                EtcdPassword::read(move || {
                    secret_file::read_text(&path).map_err(|error| base::report(&error))
                })
            }
            Password::Said(password) => password.clone().into(),
        };
        Ok::<_, EtcdError>(EtcdUser { name: name.clone(), password })
    };
    Ok(EtcdSettings {
        authorities: etcd.ca.as_deref().map(read).transpose()?,
        identity: etcd.identity.as_ref().map(identity).transpose()?,
        user: etcd.user.as_ref().map(user).transpose()?,
        namespace: etcd.namespace.clone(),
        deadline: etcd.deadline,
        ..EtcdSettings::new(&etcd.endpoints)
    })
}

fn read(path: &Path) -> Result<Vec<u8>, EtcdError> {
    regular_file::read(path).map_err(|source| EtcdError::File { path: path.to_owned(), source })
}
