//! Files put on a host.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use base::{Explain, Kind};
use ssh::{Error, Remote, Upload};
use testkit::HostPlan;

use crate::One;

#[tokio::test]
async fn a_file_is_there_with_its_mode_and_owner_and_replaces_what_was() {
    let one = One::new();
    for (user, path) in [("root", "/etc/it's a file"), ("admin", "/srv/-n")] {
        let target = one.target(user);
        for bytes in [&b"first\0\xff\n"[..], b"", &vec![7; 3 << 20]] {
            let upload = Upload::new(path, bytes).unwrap().mode(0o640).unwrap().owner("root:adm").unwrap();
            one.sessions.put(&target, &upload).await.unwrap();
            let there = one.host().path(path);
            assert_eq!(fs::read(&there).unwrap(), bytes);
            let about = fs::metadata(&there).unwrap();
            assert_eq!((about.permissions().mode() & 0o7777, about.uid(), about.gid()), (0o640, 0, 4));
        }
    }
    // Nothing lies beside it, and others' links are replaced, not followed.
    one.say("root", "echo kept >/etc/other; ln -sf /etc/other /srv/link").await;
    let upload = Upload::new("/srv/link", "new").unwrap();
    one.sessions.put(&one.target("root"), &upload).await.unwrap();
    assert_eq!(one.say("root", "cat /etc/other; cat /srv/link; ls -A /srv").await, "kept\nnew-n\nlink\n");
    assert_eq!(fs::metadata(one.host().path("/srv/link")).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_leaves_what_was() {
    let one = One::planned(HostPlan::new().disk("/full", 64));
    one.say("root", "echo before >/full/file; mkdir /srv/folder").await;
    let target = one.target("admin");
    let refused = async |path: &str, size: usize, owner: &str| {
        let upload = Upload::new(path, vec![b'x'; size]).unwrap().owner(owner).unwrap();
        let error = one.sessions.put(&target, &upload).await.unwrap_err();
        let Error::Upload { said, .. } = &error else { panic!("{error}") };
        (error.kind(), said.clone())
    };
    let (kind, said) = refused("/full/file", 300 << 10, "root").await;
    assert_eq!(kind, Kind::Full, "{said}");
    assert_eq!(one.say("root", "cat /full/file; ls -A /full").await, "before\nfile\n");
    let (kind, said) = refused("/nowhere/file", 3, "root").await;
    assert_eq!(kind, Kind::Conflict, "{said}");
    let (_, said) = refused("/srv/folder", 3, "root").await;
    assert!(said.contains("is a folder"), "{said}");
    let (_, said) = refused("/srv/file", 3, "nobody-knows").await;
    assert!(said.contains("nobody-knows"), "{said}");
    assert_eq!(one.say("root", "ls -A /srv").await, "folder\n");
}

#[tokio::test]
async fn a_file_cut_off_midway_is_not_there() {
    let one = One::new();
    one.say("root", "echo before >/srv/file").await;
    let upload = Upload::new("/srv/file", vec![b'x'; 512 << 20]).unwrap();
    let target = one.target("root");
    let put = one.sessions.put(&target, &upload);
    let cut = async {
        let begun =
            || one.host().sh("cat /srv/.file.*.part | head -c 1000000 | wc -c").stdout.trim() == "1000000";
        crate::until("the upload to be on its way", begun).await;
        one.host().stop_sshd();
    };
    let (outcome, ()) = tokio::join!(put, cut);
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    let settled = || one.host().sh("cat /srv/file; ls -A /srv").stdout == "before\nfile\n";
    crate::until("only the file that was there", settled).await;
}
