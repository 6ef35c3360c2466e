//! Unpacking what somebody else packed: a tar in gzip, of which nothing leads out of its one folder.
//!
//! An archive is refused as a whole, and nothing of it is left, when anything in it is absolute, goes up, lies elsewhere than
//! under the one folder, goes through a link, is a link that leads out, or is neither a file, a folder nor a link.
//! Permissions lose what makes programs run as somebody else.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use base::{Explain, Kind};
use flate2::read::MultiGzDecoder;
use tar::EntryType;

/// The most files, folders and links in an archive.
const ENTRIES_MAX: u64 = 10_000_000;

/// Why a release was not packed or unpacked. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReleaseError {
    /// Something in the archive is not to be unpacked.
    #[error("the archive is not to be unpacked: `{name}` {why}")]
    Unsafe {
        /// Its name in the archive.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is too much in it.
    #[error("there is more in the archive than the {bytes_max} bytes that are taken")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// The archive cannot be read.
    #[error("the archive cannot be read")]
    Archive(#[source] io::Error),
    /// A file cannot be written.
    #[error("could not write {}", path.display())]
    Files {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The URL is one of those that are never packed or unpacked.
    #[error("`{url}` begins with `{prefix}`, which is on the blacklist")]
    Blacklisted {
        /// The release's URL.
        url: String,
        /// Which prefix.
        prefix: String,
    },
    /// Nobody knows what this machine is.
    #[error("this machine does not say what it is, in /etc/os-release")]
    NoPlatform,
}

impl Explain for ReleaseError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unsafe { .. } | Self::Archive(_) => Kind::Internal,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Files { .. } | Self::NoPlatform => Kind::Unavailable,
            Self::Exists(_) => Kind::Conflict,
            Self::Blacklisted { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some("--bytes-max takes more".to_owned()),
            Self::Exists(_) => Some("remove it first; a release that is there is never changed".to_owned()),
            Self::NoPlatform => Some("--any-platform unpacks releases for whatever machine".to_owned()),
            Self::Unsafe { .. } | Self::Archive(_) | Self::Files { .. } | Self::Blacklisted { .. } => None,
        }
    }
}

/// Unpacks `archive`, whose one folder is called `top`, as `into`/`top`, which appears when all of it is there. How many
/// files there are.
pub(crate) fn unpack(
    archive: impl Read,
    into: &Path,
    top: &str,
    bytes_max: u64,
) -> Result<u64, ReleaseError> {
    let whole = into.join(top);
    if whole.symlink_metadata().is_ok() {
        return Err(ReleaseError::Exists(whole));
    }
    let part = Part(into.join(format!(".{top}.{}.part", std::process::id())));
    let files = |path: &Path| {
        let path = path.to_owned();
        move |source| ReleaseError::Files { path, source }
    };
    std::fs::create_dir_all(into).map_err(files(into))?;
    part.remove();
    DirBuilder::new().mode(0o755).create(&part.0).map_err(files(&part.0))?;
    let mut archive = tar::Archive::new(MultiGzDecoder::new(archive));
    let (mut left, mut count, mut modes) = (bytes_max, 0, Vec::new());
    for entry in archive.entries().map_err(ReleaseError::Archive)? {
        let mut entry = entry.map_err(ReleaseError::Archive)?;
        let name = entry.path().map_err(ReleaseError::Archive)?.into_owned();
        let refused = |why| ReleaseError::Unsafe { name: shown(&name), why };
        let inside = inside(&name, top).map_err(refused)?;
        count += 1;
        left = left.checked_sub(entry.size()).ok_or(ReleaseError::TooLarge { bytes_max })?;
        if count > ENTRIES_MAX {
            return Err(refused("is one too many"));
        }
        let path = part.0.join(&inside);
        goes_through_folders(&part.0, &inside).map_err(refused)?;
        if let Some(parent) = path.parent().filter(|parent| parent.starts_with(&part.0)) {
            std::fs::create_dir_all(parent).map_err(files(parent))?;
        }
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
        let link = || match entry.link_name() {
            Ok(Some(link)) => Ok(link.into_owned()),
            Ok(None) => Err(refused("is a link to nothing")),
            Err(error) => Err(ReleaseError::Archive(error)),
        };
        match entry.header().entry_type() {
            EntryType::Directory => {
                if inside.as_os_str().is_empty() || path.is_dir() && !path.is_symlink() {
                    modes.push((path, mode));
                    continue;
                }
                DirBuilder::new().mode(0o700).create(&path).map_err(files(&path))?;
                modes.push((path, mode));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(files(&path))?;
                io::copy(&mut entry, &mut file).map_err(ReleaseError::Archive)?;
                file.set_permissions(Permissions::from_mode(mode)).map_err(files(&path))?;
            }
            EntryType::Symlink => {
                let link = link()?;
                stays_inside(&link, &inside, &whole).map_err(refused)?;
                symlink(&link, &path).map_err(files(&path))?;
            }
            EntryType::Link => {
                let to = self::inside(&link()?, top).map_err(refused)?;
                goes_through_folders(&part.0, &to).map_err(refused)?;
                let to = part.0.join(to);
                if !to.symlink_metadata().is_ok_and(|found| found.is_file()) {
                    return Err(refused("is a second name of something that is no file of this archive"));
                }
                std::fs::hard_link(&to, &path).map_err(files(&path))?;
            }
            _ => return Err(refused("is neither a file, a folder nor a link")),
        }
    }
    if count == 0 {
        let empty = io::Error::new(io::ErrorKind::UnexpectedEof, "there is nothing in it");
        return Err(ReleaseError::Archive(empty));
    }
    // Last, as a folder may not let its owner write; the innermost first.
    for (path, mode) in modes.iter().rev() {
        std::fs::set_permissions(path, Permissions::from_mode(*mode)).map_err(files(path))?;
    }
    // All of it is durable before it has its name: what is there under that is never changed.
    let synced = |path: &Path| Ok(rustix::fs::syncfs(File::open(path)?)?);
    synced(&part.0).map_err(files(&part.0))?;
    std::fs::rename(&part.0, &whole).map_err(files(&whole))?;
    synced(into).map_err(files(into))?;
    Ok(count)
}

/// A folder that is gone when this is, unless it has another name by then.
struct Part(PathBuf);

impl Part {
    fn remove(&self) {
        // What cannot be removed is said when it is in the way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.remove();
    }
}

fn shown(name: &Path) -> String {
    name.display().to_string().chars().take(200).collect()
}

/// Where something lies in the folder `top`, which is all of the archive; nothing for the folder itself.
fn inside(name: &Path, top: &str) -> Result<PathBuf, &'static str> {
    let mut inside = PathBuf::new();
    let mut is_under_top = false;
    for component in name.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) if is_under_top => inside.push(part),
            Component::Normal(part) if part == top => is_under_top = true,
            Component::Normal(_) => return Err("lies elsewhere than the release does"),
            Component::ParentDir => return Err("goes up"),
            Component::RootDir | Component::Prefix(_) => return Err("is absolute"),
        }
    }
    if is_under_top { Ok(inside) } else { Err("lies elsewhere than the release does") }
}

/// That nothing on the way is a link.
fn goes_through_folders(root: &Path, inside: &Path) -> Result<(), &'static str> {
    let mut path = root.to_owned();
    for component in inside.parent().unwrap_or(Path::new("")).components() {
        path.push(component);
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err("goes through what is no folder"),
            // It will be made.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// That a link at `at` in the release `whole` leads to somewhere in it. A link may go up only at its beginning: what it goes
/// through after that may be a link itself, and then up is not back.
fn stays_inside(link: &Path, at: &Path, whole: &Path) -> Result<(), &'static str> {
    const OUT: &str = "is a link that leads out of the release";
    let rest = match link.strip_prefix(whole) {
        Ok(rest) => rest,
        Err(_) if link.is_absolute() => return Err(OUT),
        Err(_) => {
            let mut depth = at.components().count().saturating_sub(1);
            let mut components = link.components().peekable();
            while components
                .next_if(|component| matches!(component, Component::CurDir | Component::ParentDir))
                .is_some_and(|component| {
                    if component == Component::ParentDir {
                        depth = depth.wrapping_sub(1);
                    }
                    depth != usize::MAX
                })
            {}
            if depth == usize::MAX {
                return Err(OUT);
            }
            return match components.any(|component| component == Component::ParentDir) {
                true => Err("is a link that goes up after it went down"),
                false => Ok(()),
            };
        }
    };
    match rest.components().any(|component| component == Component::ParentDir) {
        true => Err("is a link that goes up after it went down"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::Header;

    use super::*;

    /// A thing in an archive.
    struct Thing(EntryType, &'static str, &'static str);

    /// An archive of these, with names as they are, whatever they are.
    fn archive(things: &[Thing]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for Thing(kind, name, what) in things {
            let mut header = Header::new_old();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            let is_file = *kind == EntryType::Regular;
            if !is_file {
                header.as_old_mut().linkname[..what.len()].copy_from_slice(what.as_bytes());
            }
            let data = if is_file { what.as_bytes() } else { b"" };
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    const FILE: EntryType = EntryType::Regular;
    const FOLDER: EntryType = EntryType::Directory;
    const LINK: EntryType = EntryType::Symlink;
    const SAME: EntryType = EntryType::Link;

    #[test]
    fn what_is_in_order_is_unpacked() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        let inner = root.join("top/bin/tool").display().to_string();
        let inner: &'static str = Box::leak(inner.into_boxed_str());
        let things = [
            Thing(FOLDER, "top/", ""),
            Thing(FOLDER, "top/bin", ""),
            Thing(FILE, "top/bin/tool", "hello"),
            Thing(LINK, "top/bin/other", "tool"),
            Thing(LINK, "top/up", "bin/tool"),
            Thing(LINK, "top/bin/lib", "../lib/x"),
            Thing(LINK, "top/absolute", inner),
            Thing(SAME, "top/same", "top/bin/tool"),
            Thing(FILE, "./top/lib/x", ""),
        ];
        assert_eq!(unpack(&archive(&things)[..], &root, "top", 1000).unwrap(), 9);
        for name in ["bin/tool", "bin/other", "up", "absolute", "same"] {
            assert_eq!(std::fs::read_to_string(root.join("top").join(name)).unwrap(), "hello", "{name}");
        }
        let mode = root.join("top/bin/tool").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755, "it does not run as somebody else");
        assert!(matches!(unpack(&archive(&things)[..], &root, "top", 1000), Err(ReleaseError::Exists(_))));
    }

    #[test]
    fn what_is_not_leaves_nothing() {
        let outside = tempfile::tempdir().unwrap();
        for (things, part) in [
            (&[Thing(FILE, "/top/a", "x")][..], "is absolute"),
            (&[Thing(FILE, "top/../a", "x")], "goes up"),
            (&[Thing(FILE, "../a", "x")], "goes up"),
            (&[Thing(FILE, "other/a", "x")], "lies elsewhere"),
            (&[Thing(FILE, "a", "x")], "lies elsewhere"),
            (&[Thing(LINK, "top/a", "/etc"), Thing(FILE, "top/a/b", "x")], "leads out"),
            (&[Thing(LINK, "top/a", "..")], "leads out"),
            (&[Thing(LINK, "top/a/b", "../../x")], "leads out"),
            (&[Thing(LINK, "top/a", "b/../../x")], "goes up after it went down"),
            (
                &[Thing(FOLDER, "top/d", ""), Thing(LINK, "top/a", "d"), Thing(FILE, "top/a/b", "x")],
                "no folder",
            ),
            (&[Thing(SAME, "top/a", "/etc/passwd")], "is absolute"),
            (&[Thing(SAME, "top/a", "top/../../etc/passwd")], "goes up"),
            (&[Thing(SAME, "top/a", "top/b")], "is no file of this archive"),
            (&[Thing(LINK, "top/b", "c"), Thing(SAME, "top/a", "top/b")], "is no file of this archive"),
            (&[Thing(EntryType::Fifo, "top/a", "")], "is neither"),
            (&[Thing(EntryType::Char, "top/a", "")], "is neither"),
            (&[Thing(FILE, "top/a", "x"), Thing(FILE, "top/a", "y")], "could not write"),
            (&[Thing(FILE, "top/a", "x"), Thing(FILE, "top/a/b", "y")], "no folder"),
            (&[Thing(FILE, "top/a", "0123456789abcdef")], "more in the archive"),
            (&[], "cannot be read"),
        ] {
            let root = outside.path().join("root");
            let error = unpack(&archive(things)[..], &root, "top", 10).unwrap_err();
            assert!(error.to_string().contains(part), "{part}: {error}");
            assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "{part}");
        }
        for bytes in [&b""[..], b"no gzip", &archive(&[Thing(FILE, "top/a", "x")])[..30]] {
            let root = outside.path().join("root");
            assert!(matches!(unpack(bytes, &root, "top", 10), Err(ReleaseError::Archive(_))));
            assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
        }
    }
}
