//! Debian's cloud-init, which is unpacked and never installed: it would take part in the machine's next boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::hosts::Host;
use crate::process::Ran;
use crate::witness::folder;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/witness/cloud_init.py");

/// Its Python library.
#[track_caller]
fn library() -> PathBuf {
    let library = folder().map(|folder| folder.join("cloud-init/usr/lib/python3/dist-packages"));
    match library {
        Some(library) if library.join("cloudinit").is_dir() => library,
        _ => panic!("this test needs the witness cloud-init; install it with: cargo xtask witnesses"),
    }
}

/// Lets cloud-init handle the text `user_data` on `host`, as in its first boot.
///
/// # Panics
/// When cloud-init is not there.
#[must_use]
#[track_caller]
pub fn cloud_init_on(host: &Host, user_data: &str) -> Ran {
    let folder = host.path("/opt/cloud-init");
    let copied = crate::run(Command::new("cp").arg("-a").args([&library(), &folder]));
    copied.ok();
    fs::copy(SCRIPT, folder.join("boot.py")).unwrap();
    fs::write(folder.join("user-data"), user_data).unwrap();
    host.sh("cd /opt/cloud-init && PYTHONPATH=. /usr/bin/python3 boot.py user-data /var/lib/cloud")
}

/// Lets cloud-init handle the user-data in a file as in a first boot, with `directory` as its place for
/// everything. Standard output is the merged cloud-config's `final_message`, standard error cloud-init's log.
///
/// # Panics
/// When cloud-init is not there.
#[must_use]
#[track_caller]
pub fn cloud_init(user_data: &Path, directory: &Path) -> Ran {
    let library = library();
    // Debian's Python, and as root, as on a new machine: where we are not, in a namespace where we seem to be.
    let mut command = if rustix::process::getuid().is_root() {
        Command::new("/usr/bin/python3")
    } else {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "/usr/bin/python3"]);
        command
    };
    crate::run(command.arg(SCRIPT).args([user_data, directory]).env("PYTHONPATH", library))
}
