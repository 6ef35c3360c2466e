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
            if runtime.block_on(relocate::is_unfinished(&engine)).map_err(BackupError::Store)? {
                return Err(EtcdError::HalfMoved.into());
            }
            Records::Etcd(engine)
        }
    };
    let made_at = clock.now().to_string();
    let blobs = match (&settings.files.artifacts, &settings.cache.bucket) {
        (Some(folder), None) if settings.cache.api => Some(LocalLook::at(folder, clock)),
        _ => None,
    };
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
        artifacts: match (&blobs, &settings.cache.bucket) {
            (Some(_), _) => "directory",
            (None, Some(_)) => "bucket",
            (None, None) => "none",
        }
        .to_owned(),
        files: copies,
    };
    let output = Output::begin(out)?;
    let making = Making { runtime: &runtime, records, blobs, progress: Progress::new(), end: End::default() };
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

    fn moment(&self) -> Result<Arc<dyn Snapshot>, BackupError> {
        match &self.records {
            Records::Embedded(path) => Ok(Sqlite::look(path)?),
            Records::Etcd(engine) => self.runtime.block_on(engine.snapshot()).map_err(BackupError::Store),
        }
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
            let moment = self.moment()?;
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
        let is_copied = self.blobs.is_some();
        let (mut late, mut count, mut bytes) = (BTreeSet::new(), 0, 0_u64);
        let each = |digest, size: Option<u64>| {
            if is_copied && !copied.contains(&short(digest)) {
                late.insert(digest);
            }
            count += 1;
            bytes = bytes.saturating_add(size.unwrap_or(0));
        };
        self.runtime.block_on(cache::each_blob_named(&still, each)).map_err(BackupError::Store)?;
        self.end.blobs_named = count;
        if !is_copied {
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
