//! Archives of compiled software, unpacked: whatever is in one, nothing appears outside its folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};

use cli::cache::unpack_tar;

/// How much is unpacked.
const BYTES_MAX: u64 = 1 << 20;
const BLOCK: usize = 512;

pub(crate) fn run(data: &[u8]) {
    // In memory, where there is such a place: a disk would be waited for most of the time.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let directory = directory.expect("a folder for temporary files");
    for (name, archive) in [("as it is", data.to_vec()), ("with its sums", summed(data))] {
        let place = directory.path().join(name);
        let (part, whole) = (place.join("part"), place.join("top"));
        fs::create_dir(&place).expect("it is new");
        let unpacked = unpack_tar(&archive, &part, &whole, BYTES_MAX);
        let beside: Vec<_> = fs::read_dir(&place).expect("it is there").flatten().collect();
        assert!(beside.iter().all(|entry| entry.file_name() == "part"), "{beside:?}");
        if let Ok(count) = unpacked {
            let (mut found, mut bytes) = (0, 0);
            look(&part, &part, &whole, &mut found, &mut bytes);
            // Folders that nobody tells of are made as well; a folder may be told of again.
            assert!(bytes <= BYTES_MAX && count > 0, "{count} {found} {bytes}");
        }
    }
    let beside = fs::read_dir(directory.path()).expect("it is there").count();
    assert_eq!(beside, 2);
}

/// Looks at all that is in `folder`, in `part`, which is going to be `whole`.
fn look(folder: &Path, part: &Path, whole: &Path, found: &mut u64, bytes: &mut u64) {
    let leave = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    leave(folder).expect("it is ours");
    for entry in fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it can be read").path();
        let is = path.symlink_metadata().expect("it is there");
        *found += 1;
        if is.is_symlink() {
            let target = fs::read_link(&path).expect("it is a link");
            assert!(stays(&path, &target, part, whole), "{} leads to {}", path.display(), target.display());
        } else if is.is_dir() {
            look(&path, part, whole, found, bytes);
        } else {
            assert!(is.is_file(), "{}", path.display());
            assert_eq!(is.permissions().mode() & 0o7000, 0, "{}", path.display());
            *bytes += is.len();
        }
    }
}

/// Whether a link in `part` leads to somewhere in it, or in what it is going to be.
fn stays(at: &Path, target: &Path, part: &Path, whole: &Path) -> bool {
    let mut depth = match target.strip_prefix(whole) {
        Ok(_) => 0,
        Err(_) if target.is_absolute() => return false,
        Err(_) => at.strip_prefix(part).expect("it is in there").components().count() - 1,
    };
    for component in target.strip_prefix(whole).unwrap_or(target).components() {
        match component {
            Component::ParentDir if depth == 0 => return false,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    true
}

/// The same archive, with each header's sum as it must be: else hardly anything would get past the first one.
fn summed(data: &[u8]) -> Vec<u8> {
    let mut archive = data.to_vec();
    let mut at = 0;
    while let Some(header) = archive.get_mut(at..at + BLOCK) {
        if header.iter().any(|byte| *byte != 0) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let size = std::str::from_utf8(&header[124..135]).unwrap_or_default().trim();
        let size = usize::from_str_radix(size.trim_end_matches('\0'), 8).unwrap_or(0);
        at = at.saturating_add(BLOCK).saturating_add(size.next_multiple_of(BLOCK));
    }
    archive
}
