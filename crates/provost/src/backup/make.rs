//! Making a copy.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::age::{Key as AgeKey, Sealed};
use archive::record;
use archive::write::Writer;
use base::{Clock, Entropy, Sha512};
use store::blobs::{LIST_MAX, LocalLook};
use store::{Engine, Page, Prefix, Snapshot, Sqlite, Still, regular_file};
use tokio::runtime::Runtime;

use super::error::BackupError;
use super::format::{
    BEGIN, Begin, CLAIMS, End, FORMAT, FileCopy, HeldAuthority, NAMED_MAX, blob_part, count, records_part,
};
use super::output_file::Output;
use super::progress::Progress;
use crate::compat::takeover::import;
use crate::etcd::EtcdError;
use crate::settings::{Config, Settings, StoreEngine};
use crate::{artifacts, etcd, greeting, relocate};

/// How long a part with records becomes before another is begun.
const RECORDS_BYTES: usize = 1 << 20;
/// How often another moment is taken, when objects went away meanwhile.
const MOMENTS_MAX: usize = 10;

/// A copy that was made.
pub struct Made {
    /// When it was begun.
    pub made_at: String,
    /// What it holds.
    pub end: End,
}

/// Where the records are.
enum Records {
    Embedded(PathBuf),
    Etcd(Arc<dyn Engine>),
}

/// Copies the house of `settings` to `out`, or to standard output.
pub fn make(
    config: &Config,
    settings: &Settings,
    key: Option<AgeKey>,
    out: Option<&Path>,
) -> Result<Made, BackupError> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BackupError::Runtime)?;
    let records = match settings.store.engine {
        StoreEngine::Embedded => {
            let path = settings.files.database.clone();
            if !path.exists() {
                return Err(BackupError::NoDatabase { path });
            }
            // Before anything is made: whether it can be looked at at all.
            Sqlite::look(&path)?;
            Records::Embedded(path)
        }
        StoreEngine::Etcd => {
            let engine: Arc<dyn Engine> =
                runtime.block_on(etcd::connect(&settings.store.etcd, &clock, &entropy))?;
            Records::Etcd(engine)
        }
    };
    // Nor is anything made of what is being filled.
    records.moment(&runtime)?;
    let made_at = clock.now().to_string();
    let (blobs, has_bucket) = place(settings, clock);
    let (copies, contents) = files(config, settings)?;
    let begin = Begin {
        format: FORMAT,
        made_by: concat!("provost ", env!("CARGO_PKG_VERSION")).to_owned(),
        made_at: made_at.clone(),
        store: match records {
            Records::Embedded(_) => "embedded",
            Records::Etcd(_) => "etcd",
        }
        .to_owned(),
        artifacts: match (&blobs, has_bucket) {
            (_, true) => "bucket",
            (Some(_), false) => "directory",
            (None, false) => "none",
        }
        .to_owned(),
        files: copies,
    };
    let output = Output::begin(out)?;
    let (progress, end) = (Progress::new(), End::default());
    let making = Making { runtime: &runtime, records, blobs, has_bucket, progress, end };
    let (output, end) = match key {
        None => making.write(output, &begin, &contents)?,
        Some(key) => {
            let sealed = Sealed::new(output, &key, &entropy).map_err(BackupError::Write)?;
            let (sealed, end) = making.write(sealed, &begin, &contents)?;
            (sealed.finish().map_err(BackupError::Write)?, end)
        }
    };
    output.finish()?;
    Ok(Made { made_at, end })
}

/// Where the objects are: in this directory, or in a bucket. Those that the records name are there also while the settings
/// say that nobody is served them.
fn place(settings: &Settings, clock: Clock) -> (Option<LocalLook>, bool) {
    let has_bucket = settings.cache.bucket.is_some();
    let folder = settings.files.artifacts.as_ref().filter(|_| !has_bucket);
    (folder.map(|folder| LocalLook::at(folder, clock)), has_bucket)
}

impl Records {
    /// All of them as they are now, unless they are only a part of what is to be there.
    fn moment(&self, runtime: &Runtime) -> Result<Arc<dyn Snapshot>, BackupError> {
        let moment: Arc<dyn Snapshot> = match self {
            Self::Embedded(path) => Sqlite::look(path)?,
            Self::Etcd(engine) => runtime.block_on(engine.snapshot()).map_err(BackupError::Store)?,
        };
        let still = Still::of(Arc::clone(&moment));
        if runtime.block_on(relocate::is_unfinished(&still)).map_err(BackupError::Store)? {
            return Err(EtcdError::HalfMoved.into());
        }
        if runtime.block_on(import::is_unfinished(&still)).map_err(BackupError::Store)? {
            return Err(BackupError::HalfTaken);
        }
        Ok(moment)
    }
}

/// The files that a house needs besides its records, as they are now.
fn files(config: &Config, settings: &Settings) -> Result<(Vec<FileCopy>, Vec<Vec<u8>>), BackupError> {
    let data = settings.data.as_deref().ok_or(BackupError::NoData)?;
    let files = &settings.files;
    let mut named = vec![
        ("store.key", files.store_key.clone()),
        ("server.key.pem", files.server_key.clone()),
        ("cors.key", files.cors_keys.clone()),
        (artifacts::PLACE_FILE, data.join(artifacts::PLACE_FILE)),
    ];
    if let Some(first) = &files.first_start {
        named.push(("admin.pem", first.admin.clone()));
        named.push(("server-ca.pem", first.server_ca.clone()));
        named.push((::cli::CLIENT_FILE, first.client.clone()));
    }
    // One that is elsewhere is the machine's, and not the house's.
    if let Some(file) = config.file().filter(|file| file.parent() == Some(data)) {
        named.push((SETTINGS, file.to_owned()));
    }
    let (mut copies, mut contents) = (Vec::new(), Vec::new());
    for (name, path) in named {
        let bytes = match regular_file::read(&path) {
            Ok(bytes) => bytes,
            // Without it nobody reads the secrets among the records.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != files.store_key => continue,
            Err(source) => return Err(BackupError::File { path, doing: "read", source }),
        };
        copies.push(FileCopy {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            sha512: Sha512::of(&bytes).to_string(),
            is_elsewhere: path.parent() != Some(data),
        });
        contents.push(bytes);
    }
    Ok((copies, contents))
}

/// The settings in a data directory.
pub const SETTINGS: &str = "provost.toml";

/// A copy that is being made.
struct Making<'r> {
    runtime: &'r Runtime,
    records: Records,
    blobs: Option<LocalLook>,
    /// Whether objects are in a bucket, and are only counted.
    has_bucket: bool,
    progress: Progress,
    end: End,
}

impl Making<'_> {
    fn write<W: Write>(
        mut self,
        out: W,
        begin: &Begin,
        contents: &[Vec<u8>],
    ) -> Result<(W, End), BackupError> {
        let mut writer = Writer::new(out);
        writer.part(BEGIN, &json(begin)).map_err(BackupError::Write)?;
        for (file, bytes) in begin.files.iter().zip(contents) {
            writer.part(&format!("files/{}", file.name), bytes).map_err(BackupError::Write)?;
        }
        let moment = self.blobs_and_moment(&mut writer)?;
        self.records(&mut writer, &moment)?;
        drop(moment);
        let mut end = self.end;
        let mut told = End::default();
        let out = writer.finish(|digest| {
            end.sha512 = digest.to_string();
            told = end;
            json(&told)
        });
        Ok((out.map_err(BackupError::Write)?, told))
    }

    /// Copies the objects, and gives a moment whose records name none that is not among them but those that were missing
    /// at that moment already.
    fn blobs_and_moment<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
    ) -> Result<Arc<dyn Snapshot>, BackupError> {
        // Of each, sixteen bytes: enough to tell all that there will ever be from each other.
        let mut copied: HashSet<[u8; 16]> = HashSet::new();
        let mut after = None;
        while let Some(blobs) = &self.blobs {
            let found = blobs.list(after, LIST_MAX).map_err(BackupError::ReadBlobs)?;
            let Some(last) = found.last() else { break };
            after = Some(last.digest);
            for blob in found {
                if self.blob(writer, blob.digest)? {
                    copied.insert(short(blob.digest));
                }
            }
        }
        let mut gone_before: Option<BTreeSet<Sha512>> = None;
        for _ in 0..MOMENTS_MAX {
            let moment = self.records.moment(self.runtime)?;
            let late = self.named_and_not_copied(&moment, &copied)?;
            let mut gone = BTreeSet::new();
            for digest in late {
                if self.blob(writer, digest)? {
                    copied.insert(short(digest));
                } else {
                    gone.insert(digest);
                }
            }
            // What is missing twice is not on its way out: its record would have gone first.
            let is_settled = gone_before.as_ref().is_some_and(|before| gone.is_subset(before));
            if gone.is_empty() || is_settled {
                self.end.missing = gone.len() as u64;
                self.end.missing_first = gone.iter().take(NAMED_MAX).map(ToString::to_string).collect();
                return Ok(moment);
            }
            gone_before = Some(gone);
        }
        Err(BackupError::Restless)
    }

    /// The objects that the records of `moment` name and that are not among the copied, in order; none where objects are
    /// not copied, and are only counted.
    fn named_and_not_copied(
        &mut self,
        moment: &Arc<dyn Snapshot>,
        copied: &HashSet<[u8; 16]>,
    ) -> Result<BTreeSet<Sha512>, BackupError> {
        let still = Still::of(Arc::clone(moment));
        let has_bucket = self.has_bucket;
        let (mut late, mut count, mut bytes) = (BTreeSet::new(), 0, 0_u64);
        let each = |digest, size: Option<u64>| {
            if !has_bucket && !copied.contains(&short(digest)) {
                late.insert(digest);
            }
            count += 1;
            bytes = bytes.saturating_add(size.unwrap_or(0));
        };
        self.runtime.block_on(cache::each_blob_named(&still, each)).map_err(BackupError::Store)?;
        self.end.blobs_named = count;
        if has_bucket {
            (self.end.in_bucket, self.end.in_bucket_bytes) = (count, bytes);
        }
        Ok(late)
    }

    /// Copies one object; whether it was there.
    fn blob<W: Write>(&mut self, writer: &mut Writer<W>, digest: Sha512) -> Result<bool, BackupError> {
        let Some(blobs) = &self.blobs else { return Ok(false) };
        let Some((file, size)) = blobs.open(digest).map_err(BackupError::ReadBlobs)? else {
            return Ok(false);
        };
        let copied = writer.copy(&blob_part(digest), size, file).map_err(BackupError::Write)?;
        self.end.blobs += 1;
        self.end.blob_bytes += size;
        if copied.cut.is_some() || copied.digest != digest {
            self.end.damaged += 1;
            if self.end.damaged_first.len() < NAMED_MAX {
                self.end.damaged_first.push(digest.to_string());
            }
        }
        let end = &self.end;
        self.progress.tell(|| format!("{} artifacts, {} bytes", end.blobs, end.blob_bytes));
        Ok(true)
    }

    fn records<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        moment: &Arc<dyn Snapshot>,
    ) -> Result<(), BackupError> {
        let claims = Prefix::new(CLAIMS).map_err(BackupError::Store)?;
        let (mut lines, mut parts, mut next) = (Vec::new(), 0, Some(Page::full()));
        while let Some(page) = next {
            let listing = self.runtime.block_on(moment.list(&Prefix::default(), page));
            let listing = listing.map_err(BackupError::Store)?;
            for (key, versioned) in listing.entries {
                if claims.covers(&key) {
                    continue;
                }
                self.end.records += 1;
                count(&mut self.end.records_of, key.as_str());
                record::write(&mut lines, key.as_str(), &versioned.value);
                if lines.len() >= RECORDS_BYTES {
                    parts += 1;
                    writer.part(&records_part(parts), &lines).map_err(BackupError::Write)?;
                    lines.clear();
                }
            }
            let end = &self.end;
            self.progress.tell(|| format!("{} records", end.records));
            next = listing.next;
        }
        if !lines.is_empty() {
            writer.part(&records_part(parts + 1), &lines).map_err(BackupError::Write)?;
        }
        self.end.revision = moment.revision().0;
        let still = Still::of(Arc::clone(moment));
        let held = self.runtime.block_on(ca::held_issuers(&still)).map_err(BackupError::Store)?;
        self.end.authorities = held.iter().map(authority).collect();
        Ok(())
    }
}

fn authority(held: &ca::HeldIssuer) -> HeldAuthority {
    HeldAuthority {
        authority: held.authority.to_string(),
        subject: held.certificate.subject().to_string(),
        not_after: held.certificate.not_after().to_string(),
        fingerprint: greeting::fingerprint(&held.certificate.fingerprint()),
        token: held.token.clone(),
    }
}

/// Enough of a digest to tell it from all others.
fn short(digest: Sha512) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&digest.as_bytes()[..16]);
    short
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("they have a JSON form");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
pub(super) mod tests {
    use archive::read::Reader;
    use base::Explain as _;
    use store::{Batch, Key, Memory};

    use super::*;
    use crate::settings::of_text;

    /// The key that the secrets in [`copy_of`] would be sealed under.
    pub const STORE_KEY: &[u8] = b"a key";

    /// A whole copy of what is in `engine`.
    pub fn copy_of(engine: &Arc<dyn Engine>) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let making = Making {
            runtime: &runtime,
            records: Records::Etcd(Arc::clone(engine)),
            blobs: None,
            has_bucket: false,
            progress: Progress::new(),
            end: End::default(),
        };
        let key = FileCopy {
            name: "store.key".to_owned(),
            bytes: STORE_KEY.len() as u64,
            sha512: Sha512::of(STORE_KEY).to_string(),
            is_elsewhere: false,
        };
        let begin = Begin {
            format: FORMAT,
            made_by: "a test".to_owned(),
            made_at: Clock::system().now().to_string(),
            store: "etcd".to_owned(),
            artifacts: "none".to_owned(),
            files: vec![key],
        };
        making.write(Vec::new(), &begin, &[STORE_KEY.to_vec()]).unwrap().0
    }

    /// Objects that records name and that are not there are told of, and others without a record are copied.
    #[test]
    fn what_is_missing_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let there = Sha512::of(b"there");
        let shard = directory.path().join(&there.to_string()[..2]);
        std::fs::create_dir(&shard).unwrap();
        std::fs::write(shard.join(there.to_string()), b"there").unwrap();
        let rotten = Sha512::of(b"as it was");
        let shard = directory.path().join(&rotten.to_string()[..2]);
        std::fs::create_dir_all(&shard).unwrap();
        std::fs::write(shard.join(rotten.to_string()), b"as it is").unwrap();
        let missing = Sha512::of(b"missing");
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let mut batch = Batch::new();
        for digest in [there, missing] {
            let record = r#"{"v":1,"is":{"bytes":5,"at":1,"by":"somebody"}}"#;
            batch.put(Key::new(format!("/cache/artifact/{digest}")).unwrap(), record);
        }
        batch.put(Key::new("/claim/one").unwrap(), "{}");
        futures_executor::block_on(engine.commit(batch)).unwrap();

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let making = Making {
            runtime: &runtime,
            records: Records::Etcd(engine),
            blobs: Some(LocalLook::at(directory.path(), Clock::system())),
            has_bucket: false,
            progress: Progress::new(),
            end: End::default(),
        };
        let begin = Begin {
            format: FORMAT,
            made_by: String::new(),
            made_at: String::new(),
            store: String::new(),
            artifacts: String::new(),
            files: Vec::new(),
        };
        let (bytes, end) = making.write(Vec::new(), &begin, &[]).unwrap();
        assert_eq!((end.blobs, end.blobs_named, end.records), (2, 2, 2), "claims are no part of it");
        assert_eq!((end.missing, end.missing_first), (1, vec![missing.to_string()]));
        assert_eq!((end.damaged, end.damaged_first), (1, vec![rotten.to_string()]));
        let mut reader = Reader::new(&bytes[..]);
        let mut names = Vec::new();
        while let Some(part) = reader.next_part().unwrap() {
            names.push(part.name);
        }
        let mut blobs = [blob_part(there), blob_part(rotten)];
        blobs.sort();
        assert_eq!(names, ["backup.json", &blobs[0], &blobs[1], "records/00000001.jsonl", "end.json"]);
    }

    /// Nobody is served them, and they are there.
    #[test]
    fn objects_are_looked_for_whoever_is_served() {
        let directory = tempfile::tempdir().unwrap();
        let digest = Sha512::of(b"there");
        let shard = directory.path().join("artifacts").join(&digest.to_string()[..2]);
        std::fs::create_dir_all(&shard).unwrap();
        std::fs::write(shard.join(digest.to_string()), b"there").unwrap();
        let mut settings = of_text("cache.api = false").unwrap();
        assert!(!settings.cache.api);
        settings.files.artifacts = Some(directory.path().join("artifacts"));
        let (blobs, has_bucket) = place(&settings, Clock::system());
        assert!(blobs.unwrap().open(digest).unwrap().is_some() && !has_bucket);
    }

    /// A part of an import is no house.
    #[test]
    fn what_is_being_imported_is_not_copied() {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let records = Records::Etcd(Arc::clone(&engine));
        assert!(records.moment(&runtime).is_ok());
        for key in ["/house/taking-over", "/house/moving"] {
            let mut batch = Batch::new();
            batch.put(Key::new(key).unwrap(), "a file");
            futures_executor::block_on(engine.commit(batch)).unwrap();
            let refused = records.moment(&runtime).err().unwrap();
            assert_eq!(refused.kind(), base::Kind::Conflict, "{refused}");
            assert_eq!(matches!(refused, BackupError::HalfTaken), key == "/house/taking-over", "{refused}");
            let mut batch = Batch::new();
            batch.delete(Key::new(key).unwrap());
            futures_executor::block_on(engine.commit(batch)).unwrap();
        }
    }
}
