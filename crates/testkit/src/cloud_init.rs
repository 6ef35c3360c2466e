//! Debian's cloud-init, which is unpacked and never installed: it would take part in the machine's next boot.

use std::path::Path;
use std::process::Command;

use crate::process::Ran;
use crate::witness::folder;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/witness/cloud_init.py");

/// Lets cloud-init handle the user-data in a file as in a first boot, with `directory` as its place for
/// everything. Standard output is the merged cloud-config's `final_message`, standard error cloud-init's log.
///
/// # Panics
/// When cloud-init is not there.
#[must_use]
#[track_caller]
pub fn cloud_init(user_data: &Path, directory: &Path) -> Ran {
    let library = folder().map(|folder| folder.join("cloud-init/usr/lib/python3/dist-packages"));
    let Some(library) = library.filter(|library| library.join("cloudinit").is_dir()) else {
        panic!("this test needs the witness cloud-init; install it with: cargo xtask witnesses");
    };
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
