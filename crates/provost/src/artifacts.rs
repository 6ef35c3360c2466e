//! Where artifacts are kept: in a directory, or in a bucket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Clock, Entropy, Explain, Kind};
use entry::{PolicyError, Trust};
use store::blobs::{Blobs, ConnectError, Local, OpenError, S3, S3Key, S3KeySource, S3Settings};
use store::{private_file, regular_file};

use crate::s3_key_file::{KeyFile, KeyFileError};
use crate::secret_file::{self, SecretFileError};
use crate::settings::{self, Bucket, BucketKey, Password, Settings, StoreEngine};
use crate::uploader::{STARTS_FILE, Uploader};

/// In the data directory: under which name uploads to a bucket are begun. Behind it stands something else for each start.
const OWNER_FILE: &str = "uploader.id";
/// In the data directory: what its folder of artifacts is called among those of others on the same store.
pub const PLACE_FILE: &str = "artifacts.id";

/// The place for artifacts could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactsError {
    /// The directory could not be.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The bucket could not be.
    #[error("artifacts cannot be kept in the bucket {bucket} at {at}")]
    Bucket {
        /// Its name.
        bucket: String,
        /// Where it is looked for.
        at: String,
        /// Why not.
        source: ConnectError,
    },
    /// The secret of the access key could not be read.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// The access key could not be read.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// Who may withdraw could not be read.
    #[error("`cache.hide_withdrawn` cannot be used: {}", path.display())]
    Signers {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<PolicyError>,
    },
    /// A file could not be read or written.
    #[error("could not read or write {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Explain for ArtifactsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Folder(source) => source.kind(),
            Self::Bucket { source, .. } => source.kind(),
            Self::Secret(source) => source.kind(),
            Self::Key(source) => source.kind(),
            Self::Signers { source, .. } => source.kind(),
            Self::File { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Folder(source) => source.help(),
            Self::Bucket { source, .. } => source.help().or_else(|| {
                Some("see that `cache.s3.endpoint` is right, and that the server answers".into())
            }),
            Self::Secret(source) => source.help(),
            Self::Key(source) => source.help(),
            Self::Signers { source, .. } => source.help(),
            Self::File { .. } => None,
        }
    }
}

/// Opens the place where artifacts are kept, if any are; and says how many bytes one may have there.
pub async fn open(
    settings: &Settings,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Option<(Arc<dyn Blobs>, u64)>, ArtifactsError> {
    let bytes_max = settings.cache.artifact_bytes_max;
    let (Some(data), Some(folder), true) = (&settings.data, &settings.files.artifacts, settings.cache.api)
    else {
        return Ok(None);
    };
    let Some(bucket) = &settings.cache.bucket else {
        return Ok(Some((Arc::new(Local::open(folder, clock.clone())?), bytes_max)));
    };
    let name = owner(&data.join(OWNER_FILE), entropy)?;
    let file = |source| ArtifactsError::File { path: data.join(STARTS_FILE), source };
    let Uploader { owner, over, lock } = Uploader::begin(data, &name, entropy).map_err(file)?;
    let engine = S3Settings { temporary: Some(data.clone()), over, lock, ..with_files(bucket, &owner)? };
    let connected = S3::connect(&engine, clock.clone(), entropy.clone()).await;
    let blobs = connected.map_err(|source| ArtifactsError::Bucket {
        bucket: bucket.name.clone(),
        at: bucket.endpoint.clone().unwrap_or_else(|| format!("Amazon's {}", bucket.region)),
        source,
    })?;
    Ok(Some((Arc::new(blobs), bytes_max.min(S3::OBJECT_BYTES_MAX))))
}

/// Whose keys are whose, where what they withdrew is hidden.
pub fn signers(settings: &Settings) -> Result<Option<Trust>, ArtifactsError> {
    let Some(path) = &settings.cache.hide_withdrawn else { return Ok(None) };
    let text = regular_file::read_to_string(path)
        .map_err(|source| ArtifactsError::File { path: path.clone(), source })?;
    let trust = Trust::parse(&text);
    trust.map(Some).map_err(|source| ArtifactsError::Signers { path: path.clone(), source: Box::new(source) })
}

/// What the folder of artifacts is called, where others on the same store have folders of their own.
pub fn place(settings: &Settings, entropy: &Entropy) -> Result<Option<String>, ArtifactsError> {
    match &settings.data {
        Some(data) if settings.store.engine == StoreEngine::Etcd && settings.cache.bucket.is_none() => {
            owner(&data.join(PLACE_FILE), entropy).map(Some)
        }
        _ => Ok(None),
    }
}

/// The settings of the engine, with what the files hold.
fn with_files(bucket: &Bucket, owner: &str) -> Result<S3Settings, ArtifactsError> {
    let read = |path: &PathBuf| {
        regular_file::read(path).map_err(|source| ArtifactsError::File { path: path.clone(), source })
    };
    let (mut key, mut keys): (_, Option<Arc<dyn S3KeySource>>) = (None, None);
    match &bucket.key {
        Some(BucketKey::Fixed { id, secret, session }) => {
            let secret = match secret {
                Password::File(path) => secret_file::read_text(path)?,
                Password::Said(secret) => secret.clone(),
            };
            key = Some(S3Key { id: id.clone(), secret, session: session.clone() });
        }
        Some(BucketKey::Changing(path)) => keys = Some(Arc::new(KeyFile::open(path)?)),
        None => {}
    }
    Ok(S3Settings {
        key,
        keys,
        authorities: bucket.ca.as_ref().map(read).transpose()?,
        ..settings::of_engine(bucket, owner)
    })
}

/// The name in the file at `path`; another one when there is none, or something else.
fn owner(path: &Path, entropy: &Entropy) -> Result<String, ArtifactsError> {
    let held = private_file::read(path).map_err(SecretFileError::from)?;
    let is_name = |name: &&str| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(name) = held.as_ref().and_then(|held| std::str::from_utf8(held.expose()).ok()).filter(is_name)
    {
        return Ok(name.to_owned());
    }
    let name = format!("{:016x}{:016x}", entropy.number(), entropy.number());
    let file = |source| ArtifactsError::File { path: path.to_owned(), source };
    private_file::replace(path, name.as_bytes()).map_err(file)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_uploads_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(OWNER_FILE);
        let first = owner(&path, &Entropy::seeded(1)).unwrap();
        assert_eq!(owner(&path, &Entropy::seeded(2)).unwrap(), first);
        private_file::replace(&path, b"../..").unwrap();
        let other = owner(&path, &Entropy::seeded(2)).unwrap();
        assert!(other != first && other.len() == 32);
    }
}
