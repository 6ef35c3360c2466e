//! `provost up`, as far as its data directory: one process at a time, for its owner alone.

use std::fs::{File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use crate::program::{Ran, nowhere, provost_in};

fn up(data: &Path, variables: &[(&str, &str)]) -> Ran {
    provost_in(&nowhere(), variables, &["up", "--data", data.to_str().unwrap()])
}

/// A data directory that this process uses, for as long as the handle lives.
fn taken(data: &Path) -> File {
    let directory = File::open(data).unwrap();
    directory.lock().unwrap();
    directory
}

/// How the refusal begins; the number of this process is behind it where the file system lets the kernel tell.
fn in_use(data: &Path) -> String {
    format!("{} is in use by another process", data.display())
}

#[test]
fn a_second_start_on_one_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _lock = taken(dir.path());
    let ran = up(dir.path(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(75), ""));
    assert!(ran.stderr.starts_with(&format!("error: {}", in_use(dir.path()))), "{}", ran.stderr);
    assert!(ran.stderr.ends_with(" first, or keep data elsewhere\n"), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
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
    let expected = format!("STATUS=could not start: {}", in_use(dir.path()));
    assert!(message.starts_with(&expected), "{message}");
}

/// Where nothing was kept, nothing is left.
#[test]
fn a_start_that_cannot_listen_leaves_no_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let netloc = taken.local_addr().unwrap().to_string();
    let data = dir.path().join("data");
    let arguments = ["up", "--data", data.to_str().unwrap(), "--netloc", &netloc];
    let ran = provost_in(&nowhere(), &[], &arguments);
    assert!(ran.stderr.contains(" is in use already\n"), "{}", ran.stderr);
    assert!(!data.exists());
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    provost_in(&nowhere(), &[], &arguments);
    assert!(data.exists(), "one that was there stays");
}
