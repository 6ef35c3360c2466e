//! `provost up`, as far as its data directory: one process at a time, for its owner alone.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use crate::program::{Ran, nowhere, provost_in};

fn up(data: &Path, variables: &[(&str, &str)]) -> Ran {
    provost_in(&nowhere(), variables, &["up", "--data", data.to_str().unwrap()])
}

/// A data directory that process 4711 seems to use, for as long as the file lives.
fn taken(data: &Path) -> File {
    let mut lock = File::create(data.join("provost.lock")).unwrap();
    lock.lock().unwrap();
    lock.write_all(b"4711\n").unwrap();
    lock
}

#[test]
fn a_second_start_on_one_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _lock = taken(dir.path());
    let ran = up(dir.path(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(75), ""));
    assert_eq!(
        ran.stderr,
        format!(
            "error: {} is in use by another process (pid 4711)\n\
             hint: stop process 4711 first, or keep data elsewhere\n",
            dir.path().display()
        )
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o770)).unwrap();
    let ran = up(dir.path(), &[]);
    assert_eq!(ran.code, Some(75));
    let path = dir.path().display();
    assert_eq!(
        ran.stderr,
        format!(
            "error: other users may write to {path} (its mode is 0770)\n\
             hint: run `chmod go-w {path}` if they should not\n"
        )
    );
}

/// sd_notify(3): the service manager shows the status of a unit that failed.
#[test]
fn the_service_manager_hears_why_a_start_failed() {
    let dir = tempfile::tempdir().unwrap();
    let _lock = taken(dir.path());
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    up(dir.path(), &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let mut message = [0; 1024];
    let length = socket.recv(&mut message).unwrap();
    let message = String::from_utf8_lossy(&message[..length]);
    let expected =
        format!("STATUS=could not start: {} is in use by another process (pid 4711)\n", dir.path().display());
    assert_eq!(message, expected);
}
