//! Unpacking what somebody else packed: a tar in gzip, of which nothing leads out of its one folder.
//!
//! An archive is refused as a whole, and nothing of it is left, when anything in it is absolute, goes up, lies elsewhere than
//! under the one folder, goes through a link, is a link that leads out, or is neither a file, a folder nor a link.
//! Permissions lose what makes programs run as somebody else, and what the umask takes. How much is written is bounded, and so
//! is what stands between the files' bytes: names may be long there, and are in memory.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink,
};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use base::{Explain, Kind};
use flate2::read::MultiGzDecoder;
use tar::EntryType;

/// The mark of releases whose parts lie elsewhere.
const SHARED: &str = ".shared";

/// The most files, folders and links in an archive.
const ENTRIES_MAX: u64 = 10_000_000;

/// The most bytes that may stand before a file's own: its header, a long name, and whatever else is said of it.
const HEAD_BYTES_MAX: u64 = 1 << 20;

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
    /// What should be its one folder is none.
    #[error("the archive is no packed folder: `{name}` in it is none")]
    NoFolder {
        /// Its name in the archive.
        name: String,
    },
    /// There is too much in it.
    #[error("there is more in the archive than the {bytes_max} bytes that are taken")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// What is in the folder could be packed, and then nobody would unpack it.
    #[error("{} cannot be in an archive that is unpacked elsewhere: it {why}", path.display())]
    Unfit {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It uses what lies outside of it, as its mark says.
    #[error("{} is a release with shared parts, which others do not have", .0.display())]
    Shared(PathBuf),
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
}

impl Explain for ReleaseError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unsafe { .. } | Self::Archive(_) | Self::NoFolder { .. } => Kind::Internal,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Files { .. } => Kind::Unavailable,
            Self::Exists(_) => Kind::Conflict,
            Self::Blacklisted { .. } | Self::Unfit { .. } | Self::Shared(_) => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some("--bytes-max takes more".to_owned()),
            Self::Exists(_) => Some("remove it first; a release that is there is never changed".to_owned()),
            Self::Shared(path) => {
                Some(format!("where that is no longer so, remove {}", path.join(SHARED).display()))
            }
            Self::Unsafe { .. }
            | Self::NoFolder { .. }
            | Self::Unfit { .. }
            | Self::Archive(_)
            | Self::Files { .. }
            | Self::Blacklisted { .. } => None,
        }
    }
}

/// Whether what [`unpack`] takes can be made of `folder`, which is `whole` by its full name; and whether that makes sense
/// (contract, section 10). What listens (sockets) is left out by whoever packs.
pub(crate) fn can_be_packed(folder: &Path, whole: &Path) -> Result<(), ReleaseError> {
    if folder.join(SHARED).symlink_metadata().is_ok() {
        return Err(ReleaseError::Shared(folder.to_owned()));
    }
    let mut left = vec![PathBuf::new()];
    while let Some(inside) = left.pop() {
        let here = folder.join(&inside);
        for entry in std::fs::read_dir(&here).map_err(files(&here))? {
            let entry = entry.map_err(files(&here))?;
            let (path, at) = (entry.path(), inside.join(entry.file_name()));
            let kind = entry.file_type().map_err(files(&path))?;
            let unfit = |why| ReleaseError::Unfit { path: path.clone(), why };
            if kind.is_dir() {
                left.push(at);
            } else if kind.is_symlink() {
                let link = std::fs::read_link(&path).map_err(files(&path))?;
                stays_inside(&link, &at, whole).map_err(unfit)?;
            } else if !kind.is_file() && !kind.is_socket() {
                return Err(unfit("is neither a file, a folder nor a link"));
            }
        }
    }
    Ok(())
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
    std::fs::create_dir_all(into).map_err(files(into))?;
    part.remove();
    let count = fill(MultiGzDecoder::new(archive), &part.0, &whole, bytes_max)?;
    // All of it is durable before it has its name: what is there under that is never changed.
    let synced = |path: &Path| Ok(rustix::fs::syncfs(File::open(path)?)?);
    synced(into).map_err(files(&part.0))?;
    std::fs::rename(&part.0, &whole).map_err(files(&whole))?;
    synced(into).map_err(files(into))?;
    Ok(count)
}

fn files(path: &Path) -> impl FnOnce(io::Error) -> ReleaseError {
    let path = path.to_owned();
    move |source| ReleaseError::Files { path, source }
}

/// Unpacks a tar into the new folder `folder`, which is going to be `whole`, whose name is that of the archive's one folder.
/// How many files there are. When it fails, what it has made so far is left.
fn fill(archive: impl Read, folder: &Path, whole: &Path, bytes_max: u64) -> Result<u64, ReleaseError> {
    let top = whole.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    DirBuilder::new().mode(0o700).create(folder).map_err(files(folder))?;
    let leave = left_by_umask(folder).map_err(files(folder))?;
    let allowed = Rc::new(Cell::new(HEAD_BYTES_MAX));
    let mut archive = tar::Archive::new(Bounded { archive, allowed: Rc::clone(&allowed) });
    let (mut left, mut count) = (bytes_max, 0);
    // Of the folder itself, and of those that would not let us fill them.
    let mut modes = BTreeMap::from([(folder.to_owned(), 0o755 & leave)]);
    for entry in archive.entries().map_err(ReleaseError::Archive)? {
        let mut entry = entry.map_err(ReleaseError::Archive)?;
        let name = entry.path().map_err(ReleaseError::Archive)?.into_owned();
        let refused = |why| ReleaseError::Unsafe { name: shown(&name), why };
        let inside = inside(&name, top).map_err(refused)?;
        let kind = entry.header().entry_type();
        if inside.as_os_str().is_empty() && kind != EntryType::Directory {
            return Err(ReleaseError::NoFolder { name: shown(&name) });
        }
        count += 1;
        // What stands before it costs as well: else very many empty things would cost nothing.
        let head = HEAD_BYTES_MAX.saturating_sub(allowed.get());
        let costs = entry.size().saturating_add(head);
        left = left.checked_sub(costs).ok_or(ReleaseError::TooLarge { bytes_max })?;
        if count > ENTRIES_MAX {
            return Err(refused("is one too many"));
        }
        let path = folder.join(&inside);
        goes_through_folders(folder, &inside).map_err(refused)?;
        if let Some(parent) = path.parent().filter(|parent| parent.starts_with(folder)) {
            std::fs::create_dir_all(parent).map_err(files(parent))?;
        }
        let mode = entry.header().mode().unwrap_or(0o644) & leave;
        let link = || match entry.link_name() {
            Ok(Some(link)) => Ok(link.into_owned()),
            Ok(None) => Err(refused("is a link to nothing")),
            Err(error) => Err(ReleaseError::Archive(error)),
        };
        match kind {
            EntryType::Directory => {
                let is_there = inside.as_os_str().is_empty()
                    || path.symlink_metadata().is_ok_and(|found| found.is_dir());
                if !is_there {
                    DirBuilder::new().mode(0o700).create(&path).map_err(files(&path))?;
                }
                if mode & 0o700 == 0o700 && !inside.as_os_str().is_empty() {
                    std::fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(files(&path))?;
                    modes.remove(&path);
                } else {
                    modes.insert(path, mode);
                }
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(files(&path))?;
                // These are counted above.
                allowed.set(u64::MAX);
                io::copy(&mut entry, &mut file).map_err(ReleaseError::Archive)?;
                file.set_permissions(Permissions::from_mode(mode)).map_err(files(&path))?;
            }
            EntryType::Symlink => {
                let link = link()?;
                stays_inside(&link, &inside, whole).map_err(refused)?;
                symlink(&link, &path).map_err(files(&path))?;
            }
            EntryType::Link => {
                let to = self::inside(&link()?, top).map_err(refused)?;
                goes_through_folders(folder, &to).map_err(refused)?;
                let to = folder.join(to);
                if !to.symlink_metadata().is_ok_and(|found| found.is_file()) {
                    return Err(refused("is a second name of something that is no file of this archive"));
                }
                std::fs::hard_link(&to, &path).map_err(files(&path))?;
            }
            _ => return Err(refused("is neither a file, a folder nor a link")),
        }
        allowed.set(HEAD_BYTES_MAX);
    }
    if count == 0 {
        let empty = io::Error::new(io::ErrorKind::UnexpectedEof, "there is nothing in it");
        return Err(ReleaseError::Archive(empty));
    }
    // Last, as a folder may not let its owner write; what is inside before what it is in.
    for (path, mode) in modes.iter().rev() {
        std::fs::set_permissions(path, Permissions::from_mode(*mode)).map_err(files(path))?;
    }
    Ok(count)
}

/// What the umask leaves of all permissions, as `folder`, which is nobody else's yet, shows: asked for by its name, it would
/// be another one for a moment, for whatever else goes on. What root unpacks is for others to run, who keep their leave.
fn left_by_umask(folder: &Path) -> io::Result<u32> {
    let shown = folder.join("umask");
    DirBuilder::new().mode(0o777).create(&shown)?;
    let made = shown.symlink_metadata()?;
    std::fs::remove_dir(&shown)?;
    Ok(left_to(made.uid(), made.mode() & 0o777))
}

fn left_to(user: u32, by_umask: u32) -> u32 {
    if user == 0 { by_umask | 0o555 } else { by_umask }
}

/// Unpacks a tar into the new folder `folder` as a release is, whose archive is in gzip: for fuzzing.
///
/// # Errors
/// What is wrong with the archive.
#[cfg(feature = "fuzzing")]
pub fn unpack_tar(archive: &[u8], folder: &Path, whole: &Path, bytes_max: u64) -> Result<u64, String> {
    fill(archive, folder, whole, bytes_max).map_err(|error| error.to_string())
}

/// What is read, as far as it is allowed.
struct Bounded<R> {
    archive: R,
    allowed: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.archive.read(bytes)?;
        match self.allowed.get().checked_sub(read as u64) {
            Some(left) => self.allowed.set(left),
            None => return Err(io::Error::other("more stands between its files than is taken")),
        }
        Ok(read)
    }
}

/// A folder that is gone when this is, unless it has another name by then.
struct Part(PathBuf);

impl Part {
    fn remove(&self) {
        // Folders may have got modes that let nobody remove what is in them.
        let mut left = vec![self.0.clone()];
        while let Some(folder) = left.pop() {
            if folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                let _ = std::fs::set_permissions(&folder, Permissions::from_mode(0o700));
                let inside = std::fs::read_dir(&folder).into_iter().flatten().flatten();
                left.extend(inside.map(|entry| entry.path()));
            }
        }
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

    #[test]
    fn what_root_unpacks_is_for_others_to_run() {
        for (user, by_umask, expected) in
            [(0, 0o755, 0o755), (0, 0o700, 0o755), (0, 0o777, 0o777), (7, 0o700, 0o700), (7, 0o750, 0o750)]
        {
            assert_eq!(left_to(user, by_umask), expected, "{user} {by_umask:o}");
        }
    }

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
    fn what_nobody_would_unpack_is_not_packed() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("release");
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        std::fs::write(folder.join("bin/program"), "").unwrap();
        symlink("../bin/program", folder.join("bin/other")).unwrap();
        symlink(folder.join("bin"), folder.join("all")).unwrap();
        let said = || can_be_packed(&folder, &folder).map_err(|error| error.to_string());
        assert_eq!(said(), Ok(()));
        for target in ["/opt/shared/openssl", "../../other"] {
            let link = folder.join("bin/out");
            symlink(target, &link).unwrap();
            assert!(said().unwrap_err().contains("bin/out"), "{target}");
            std::fs::remove_file(link).unwrap();
        }
        let fifo = folder.join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        assert!(said().unwrap_err().ends_with("neither a file, a folder nor a link"));
        std::fs::remove_file(fifo).unwrap();
        std::fs::write(folder.join(SHARED), "").unwrap();
        assert!(matches!(can_be_packed(&folder, &folder), Err(ReleaseError::Shared(_))));
    }

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
        assert_eq!(unpack(&archive(&things)[..], &root, "top", 10_000).unwrap(), 9);
        for name in ["bin/tool", "bin/other", "up", "absolute", "same"] {
            assert_eq!(std::fs::read_to_string(root.join("top").join(name)).unwrap(), "hello", "{name}");
        }
        let mode = root.join("top/bin/tool").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755 & !umask(), "it does not run as somebody else");
        assert!(matches!(unpack(&archive(&things)[..], &root, "top", 10_000), Err(ReleaseError::Exists(_))));
    }

    /// That of whoever runs this.
    fn umask() -> u32 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
        u32::from_str_radix(mask.trim(), 8).unwrap()
    }

    /// As `tar` does it for whoever does not ask for more.
    #[test]
    fn nobody_gets_more_leave_than_the_umask_gives() {
        let directory = tempfile::tempdir().unwrap();
        let (folder, whole) = (directory.path().join("part"), directory.path().join("top"));
        let things = [(FOLDER, "top"), (FOLDER, "top/d"), (FILE, "top/d/f"), (FILE, "top/e/f")];
        let archive = things.map(|(kind, name)| {
            let mut header = Header::new_gnu();
            header.set_path(name).unwrap();
            header.set_entry_type(kind);
            header.set_mode(0o6777);
            header.set_size(0);
            header.set_cksum();
            header.as_bytes().to_vec()
        });
        fill(&archive.concat()[..], &folder, &whole, 10_000).unwrap();
        for name in ["", "d", "d/f", "e", "e/f"] {
            let mode = folder.join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o777 & !umask(), "{name}");
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    }

    /// A header of this kind, and bytes behind it.
    fn raw(kind: EntryType, name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        let padding = vec![0; bytes.len().next_multiple_of(512) - bytes.len()];
        [header.as_bytes(), bytes, &padding].concat()
    }

    /// What stands between files costs little, however little of the archive it is.
    #[test]
    fn what_is_said_of_files_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let file = raw(FILE, "top/a", b"x");
        let long = |length: usize| [b"top/".as_slice(), &b"n/".repeat(length / 2), b"a\0"].concat();
        let megabytes = 3 << 20;
        for (number, (head, is_taken)) in [
            (raw(EntryType::GNULongName, "././@LongLink", &long(1000)), true),
            (raw(EntryType::GNULongName, "././@LongLink", &long(megabytes)), false),
            (raw(EntryType::GNULongLink, "././@LongLink", &long(megabytes)), false),
            (
                raw(
                    EntryType::XHeader,
                    "pax",
                    format!("{} path={}\n", megabytes, "x".repeat(megabytes - 14)).as_bytes(),
                ),
                false,
            ),
            (raw(FOLDER, "top/d", &vec![0; megabytes]), false),
        ]
        .into_iter()
        .enumerate()
        {
            let folder = directory.path().join(number.to_string());
            let whole = directory.path().join("top");
            let done = fill(&[head, file.clone()].concat()[..], &folder, &whole, u64::MAX);
            assert_eq!(done.is_ok(), is_taken, "{number}: {done:?}");
        }
        // A file may be as long as all may be.
        let folder = directory.path().join("large");
        let large = raw(FILE, "top/large", &vec![7; megabytes]);
        let done = fill(&[large, file].concat()[..], &folder, &directory.path().join("top"), 4 << 20);
        assert_eq!(done.unwrap(), 2);
        // Nothing is for nothing.
        let folder = directory.path().join("many");
        let many: Vec<u8> = (0..100).flat_map(|at| raw(FOLDER, &format!("top/{at}"), b"")).collect();
        let done = fill(&many[..], &folder, &directory.path().join("top"), 40_000);
        assert!(matches!(done, Err(ReleaseError::TooLarge { .. })), "{done:?}");
    }

    /// Modes are those of the archive, the last one that is said, and keep nothing from being removed.
    #[test]
    fn folders_without_leave_are_made_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (folder, whole) = (directory.path().join("part"), directory.path().join("top"));
        let closed = |name: &str, mode| {
            let mut header = Header::new_old();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(FOLDER);
            header.set_mode(mode);
            header.set_size(0);
            header.set_cksum();
            header.as_bytes().to_vec()
        };
        let archive =
            [closed("top/a/b/", 0o555), closed("top/a/", 0o700), closed("top/a/", 0), closed("top", 0o711)];
        fill(&archive.concat()[..], &folder, &whole, 10_000).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("a"))), (0o711 & !umask(), 0));
        drop(Part(folder.clone()));
        assert!(!folder.exists());
    }

    /// What is told of an archive is no more than a text, whoever made it.
    #[test]
    fn no_archive_steers_a_terminal() {
        let directory = tempfile::tempdir().unwrap();
        let mut header = Header::new_gnu();
        header.set_path("top/a").unwrap();
        header.as_old_mut().size[..7].copy_from_slice(b"\x1b]0;x\x07\n");
        header.set_cksum();
        for archive in [header.as_bytes().to_vec(), raw(EntryType::Fifo, "top/\u{1b}[2J\u{202e}", b"")] {
            let (folder, whole) = (directory.path().join("part"), directory.path().join("top"));
            let error = fill(&archive[..], &folder, &whole, 10_000).unwrap_err();
            assert!(base::report(&error).contains('\u{1b}'), "it is in there: {error:?}");
            let (said, hint) = crate::cache::told(&error.into());
            assert!(
                !said.contains(|c: char| c.is_control() || c == '\u{202e}') && hint.is_none(),
                "{said:?}"
            );
            assert!(said.starts_with("the archive "), "{said}");
            drop(Part(folder));
        }
    }

    #[test]
    fn what_is_not_leaves_nothing() {
        let outside = tempfile::tempdir().unwrap();
        let long: &'static str = Box::leak("x".repeat(4000).into_boxed_str());
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
            (&[Thing(FILE, "top", "x")], "is no packed folder: `top` in it is none"),
            (&[Thing(FOLDER, "top", ""), Thing(SAME, "top/", "top/b")], "is no packed folder"),
            (&[Thing(FILE, "top/a", long)], "more in the archive"),
            (&[], "cannot be read"),
        ] {
            let root = outside.path().join("root");
            let error = unpack(&archive(things)[..], &root, "top", 4000).unwrap_err();
            assert!(error.to_string().contains(part), "{part}: {error}");
            assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "{part}");
        }
        for bytes in [&b""[..], b"no gzip", &archive(&[Thing(FILE, "top/a", "x")])[..30]] {
            let root = outside.path().join("root");
            assert!(matches!(unpack(bytes, &root, "top", 4000), Err(ReleaseError::Archive(_))));
            assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
        }
    }
}
