//! A directory as a tar in gzip, with its own name as the topmost directory (networkcache contract, 7.5).

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Writes `directory` into `out`. Links are packed as links, sockets not at all; names come in alphabetical order. Waits
/// for nothing, and lets others have a turn after each file.
pub(crate) async fn pack(directory: &Path, out: impl Write) -> io::Result<()> {
    pack_as(directory, PathBuf::from(name_of(directory)?), out).await
}

/// The same with `top` for the name of the topmost directory.
pub(crate) async fn pack_as(directory: &Path, top: PathBuf, out: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    archive.follow_symlinks(false);
    let mut left = vec![(directory.to_owned(), top)];
    while let Some((path, name)) = left.pop() {
        // The directory itself may be named by a link to it.
        let found = if path == directory { path.metadata()? } else { path.symlink_metadata()? };
        if found.is_dir() {
            archive.append_dir(&name, &path)?;
            let mut inside = std::fs::read_dir(&path)?
                .map(|entry| Ok(entry?.file_name()))
                .collect::<io::Result<Vec<OsString>>>()?;
            inside.sort();
            left.extend(inside.iter().rev().map(|inner| (path.join(inner), name.join(inner))));
        } else if !found.file_type().is_socket() {
            archive.append_path_with_name(&path, &name)?;
        }
        tokio::task::yield_now().await;
    }
    archive.into_inner()?.finish()?.flush()
}

/// The last name in a path; the working directory's is a dot.
fn name_of(directory: &Path) -> io::Result<OsString> {
    if let Some(name) = directory.file_name() {
        return Ok(name.to_owned());
    }
    if directory == Path::new(".") {
        return Ok(".".into());
    }
    let whole = directory.canonicalize()?;
    Ok(whole.file_name().map_or_else(|| ".".into(), ToOwned::to_owned))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use flate2::read::GzDecoder;

    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn everything_is_packed_as_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("folder");
        let long = "long".repeat(40);
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::write(folder.join("sub/file"), "hello").unwrap();
        std::fs::write(folder.join(&long), "").unwrap();
        symlink("/etc/passwd", folder.join("link")).unwrap();
        symlink(&folder, directory.path().join("other")).unwrap();
        let _socket = UnixListener::bind(folder.join("socket")).unwrap();
        for (path, top) in [(folder.clone(), "folder"), (directory.path().join("other/"), "other")] {
            let mut out = Vec::new();
            wait(pack(&path, &mut out)).unwrap();
            let mut archive = tar::Archive::new(GzDecoder::new(&out[..]));
            let entries = archive.entries().unwrap().map(|entry| {
                let entry = entry.unwrap();
                let link = entry.link_name().unwrap().map(|link| link.display().to_string());
                (entry.path().unwrap().display().to_string(), entry.size(), link.unwrap_or_default())
            });
            let named = |name: &str| format!("{top}{name}");
            let expected = [
                (named(""), 0, String::new()),
                (named("/link"), 0, "/etc/passwd".to_owned()),
                (named(&format!("/{long}")), 0, String::new()),
                (named("/sub"), 0, String::new()),
                (named("/sub/file"), 5, String::new()),
            ];
            assert_eq!(entries.collect::<Vec<_>>(), expected);
        }
        assert!(wait(pack(&folder.join("absent"), Vec::new())).is_err());
    }

    #[test]
    fn the_topmost_directory_has_the_last_name() {
        for (path, expected) in [("a/b", "b"), ("a/b/", "b"), (".", "."), ("/", ".")] {
            assert_eq!(name_of(Path::new(path)).unwrap(), expected, "{path}");
        }
    }
}
