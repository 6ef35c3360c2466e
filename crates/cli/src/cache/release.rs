//! `provost cache release`: the binary cache (networkcache contract, section 10). A software release is a folder that is
//! called like the MD5 of its URL; it is good for machines of the same platform, under the same root.

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use entry::{Object, Value, keys};
use serde_json::json;

use super::error::CacheCommandError;
use super::get::{self, Placing};
use super::place::Place;
use super::put::{self, Saying};
use super::session::{Believing, Session, Wanted, this_machine};
use super::signing_file::SigningFile;
use super::unpacking::{self, ReleaseError};
use crate::archive;

/// How much is unpacked, unless more is asked for.
const BYTES_MAX: u64 = 64 << 30;

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    /// Pack a folder of compiled software and upload it, signed
    Pack(Pack),
    /// Fetch compiled software that somebody you believe packed, and unpack it
    Unpack(Unpack),
}

/// What is packed.
#[derive(Debug, Args)]
#[command(
    after_long_help = "What is packed is SOFTWARE_ROOT/MD5, where MD5 is that of the URL. Paths are compiled into programs: only \
    machines with the same SOFTWARE_ROOT can use it, and of the same platform. What is uploaded stays what it is for \
    everybody: pack tags and frozen versions only."
)]
pub(crate) struct Pack {
    /// The URL of the software release's profile
    #[arg(value_name = "URL")]
    url: String,
    /// The folder that has the release's
    #[arg(long, value_name = "DIR", default_value = "/opt/slapgrid")]
    software_root: PathBuf,
    /// URLs that begin with this are not packed; repeatable
    #[arg(long, value_name = "PREFIX")]
    blacklist: Vec<String>,
    /// What signs [default: ~/.config/provost/cache-sign-key.pem]
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    sign_key: Option<PathBuf>,
    /// Write the archive there, and upload nothing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is unpacked.
#[derive(Debug, Args)]
#[command(
    after_long_help = "It appears as SOFTWARE_ROOT/MD5, when all of it is there. Archives with absolute names, with `..`, with \
    links that lead out of them, or with anything but files, folders and links are refused."
)]
pub(crate) struct Unpack {
    /// The URL of the software release's profile
    #[arg(value_name = "URL")]
    url: String,
    /// The folder that gets the release's
    #[arg(long = "into", value_name = "SOFTWARE_ROOT", default_value = "/opt/slapgrid")]
    into: PathBuf,
    /// URLs that begin with this are not fetched; repeatable
    #[arg(long, value_name = "PREFIX")]
    blacklist: Vec<String>,
    /// How many bytes it may have when it is unpacked
    #[arg(long, value_name = "BYTES", default_value_t = BYTES_MAX)]
    bytes_max: u64,
    #[command(flatten)]
    believing: Believing,
}

impl Command {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        match self {
            Self::Pack(pack) => pack.run(session).await,
            Self::Unpack(unpack) => unpack.run(session).await,
        }
    }
}

/// Blacklists are plain prefixes of the URL (section 5.1).
fn check(url: &str, blacklist: &[String]) -> Result<(), ReleaseError> {
    match blacklist.iter().find(|prefix| url.starts_with(prefix.as_str())) {
        Some(prefix) => Err(ReleaseError::Blacklisted { url: url.to_owned(), prefix: prefix.clone() }),
        None => Ok(()),
    }
}

impl Pack {
    async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        check(&self.url, &self.blacklist)?;
        let top = keys::release(&self.url);
        // Its full name is what programs in it were built for, and what links in it are seen from.
        let root = std::path::absolute(&self.software_root)
            .map_err(|source| CacheCommandError::Unreadable { path: self.software_root.clone(), source })?;
        let folder = root.join(&top);
        if let Some(out) = &self.out {
            pack(&folder, &top, out).await?;
            session.tell(
                &json!({ "file": out.display().to_string(), "key": top }),
                &format!("{top}  {}", out.display()),
            )?;
            return Ok(());
        }
        let platform = this_machine().ok_or(CacheCommandError::NoPlatform)?;
        let signing = SigningFile::read(self.sign_key.as_deref())?;
        let caches = session.caches().await?;
        let directory = temporary()?;
        let path = directory.path().join(format!("{top}.tar.gz"));
        pack(&folder, &top, &path).await?;
        let mut metadata = Object::new();
        metadata.insert("software_url", Value::text(&self.url));
        metadata.insert("software_root", Value::text(&root.display().to_string()));
        metadata.insert("multiarch", Value::text(&platform.multiarch));
        metadata.insert("os", Value::List(platform.os.iter().map(|part| Value::text(part)).collect()));
        let saying = Saying { key: top.clone(), metadata };
        session.meter.begin(1);
        let share = put::share(session, &caches, &path, (&saying, &signing));
        let digest = session.meter.painted(share).await?;
        session.tell(
            &json!({ "folder": folder.display().to_string(), "key": top, "sha512": digest.to_string() }),
            &format!("{digest}  {}", folder.display()),
        )?;
        session.note(&format!("{} is packed, and signed under {top}", folder.display()));
        Ok(())
    }
}

impl Unpack {
    async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        check(&self.url, &self.blacklist)?;
        let top = keys::release(&self.url);
        let whole = self.into.join(&top);
        if whole.symlink_metadata().is_ok() {
            return Err(ReleaseError::Exists(whole).into());
        }
        let believed = self.believing.under(&self.into).read(false)?;
        let caches = session.caches().await?;
        let directory = temporary()?;
        let path = directory.path().join("archive");
        let placing = Placing { out: Some(&path), into: Path::new(""), force: true };
        get::obtain(session, &caches, &believed, &placing, &Wanted::Key(top.clone())).await?;
        let unreadable = |source| CacheCommandError::Unreadable { path: path.clone(), source };
        let archive = BufReader::new(File::open(&path).map_err(unreadable)?);
        let count = unpacking::unpack(archive, &self.into, &top, self.bytes_max)?;
        session.tell(
            &json!({ "folder": whole.display().to_string(), "key": top, "things": count }),
            &whole.display().to_string(),
        )?;
        session.note(&format!("{} has {count} files, folders and links", whole.display()));
        Ok(())
    }
}

async fn pack(folder: &Path, top: &str, out: &Path) -> Result<(), CacheCommandError> {
    if !folder.is_dir() {
        let source = std::io::ErrorKind::NotADirectory.into();
        return Err(CacheCommandError::Unreadable { path: folder.to_owned(), source });
    }
    unpacking::can_be_packed(folder, folder)?;
    let unwritable = |source| CacheCommandError::Unwritable { path: out.to_owned(), source };
    let mut place = Place::beside(out).map_err(unwritable)?;
    archive::pack_as(folder, PathBuf::from(top), &mut place).await.map_err(unwritable)?;
    place.keep().map_err(unwritable)
}

/// What the names of folders for archives on their way begin with; then follow a process and something of chance.
const TEMPORARY: &str = "provost-release-";

/// A folder of its owner's for an archive on its way, gone when this is dropped. Those that somebody left who was killed go
/// first: archives are large.
fn temporary() -> Result<tempfile::TempDir, CacheCommandError> {
    let all = std::env::temp_dir();
    for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        if is_left_over(&entry.file_name(), |process| Path::new("/proc").join(process).exists())
            && entry
                .metadata()
                .is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
        {
            // Whoever cannot remove it has no use for it either.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    tempfile::Builder::new()
        .prefix(&format!("{TEMPORARY}{}-", std::process::id()))
        .tempdir()
        .map_err(|source| CacheCommandError::Unwritable { path: all, source })
}

/// Whether a folder of this name is that of a process which is not there any more.
fn is_left_over(name: &OsStr, is_there: impl Fn(&str) -> bool) -> bool {
    let process = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY)?.split_once('-'));
    process.is_some_and(|(process, _)| process.parse::<u32>().is_ok() && !is_there(process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_nothing_else() {
        for (name, expected) in [
            ("provost-release-17-aB3", true),
            ("provost-release-18-aB3", false),
            ("provost-release-aB3", false),
            ("provost-release-..-aB3", false),
            ("other-17-aB3", false),
        ] {
            assert_eq!(is_left_over(OsStr::new(name), |process| process == "18"), expected, "{name}");
        }
    }

    #[test]
    fn blacklists_are_prefixes() {
        let list = ["/".to_owned(), "https://h/raw/master".to_owned()];
        for (url, expected) in [
            ("https://h/raw/1.0/software.cfg", true),
            ("https://h/raw/master/software.cfg", false),
            ("/srv/software.cfg", false),
        ] {
            assert_eq!(check(url, &list).is_ok(), expected, "{url}");
        }
    }
}
