//! What one uploads, the other downloads.

use std::os::unix::fs::symlink;

use testkit::{NetworkCache, Process};

use super::{Ours, is_tidy};
use crate::cache::service;
use crate::houses::{ended_without_a_fault, up};

#[test]
fn what_we_upload_they_download_and_the_other_way_round() {
    let (house, ours) = (up(), Ours::new());
    let client = NetworkCache::of(&house, &service(&house, "build-1"));
    for key in ["plain", "'quoted-key'", "a/b", "a/b/c", "pypi:x=1.0+y~z@!", "cut#here", "end?there", "a%20b"]
    {
        for (who, n) in [("us", "1"), ("them", "2")] {
            client.write("file", format!("{who} {key}").as_bytes());
            let arguments = ["-f", "file", "-k", key, &format!("n={n}"), "e=\u{e9}"];
            let upload =
                if who == "us" { ours.upload(&client, &arguments) } else { client.upload(&arguments) };
            assert_eq!((upload.ok(), upload.stderr.as_str()), ("", ""), "{key}");
        }
        let both = [client.download(&["-k", key, "-l"]), ours.download(&client, &["-k", key, "-l"])];
        assert_eq!(both[0].ok(), both[1].ok(), "{key}");
        for (n, expected) in [("n==\"1\"", format!("us {key}")), ("n==\"2\"", format!("them {key}"))] {
            assert_eq!(client.download(&["-k", key, n]).ok(), expected);
            assert_eq!(ours.download(&client, &["-k", key, n]).ok(), expected);
        }
    }
    // Where there are blanks and other languages, theirs cannot ask.
    assert_eq!(ours.upload(&client, &["-f", "file", "-k", "ein Schlüssel", "n=1"]).ok(), "");
    assert_eq!(ours.download(&client, &["-k", "ein Schlüssel"]).ok(), "them a%20b");
    ended_without_a_fault(house);
}

#[test]
fn large_files_arrive_and_small_ones_too() {
    let (house, ours) = (up(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    let bytes: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    client.write("file", &bytes);
    client.write("empty", b"");
    let digest = base::Sha512::of(&bytes);
    let printed = ours.upload(&client, &["--print-digest", "--file", "file", "--key=large", "n=1"]);
    assert_eq!(printed.ok(), format!("{digest}\n"));
    // What is there is not sent again; without a key, nothing is said of it.
    assert_eq!(ours.upload(&client, &["-f", "file"]).ok(), "");
    assert_eq!(ours.upload(&client, &["-f", "empty", "-k", "empty", "n=1"]).ok(), "");
    let script = "import subprocess, sys; sys.exit(subprocess.run([sys.argv[1], '-c', 'cache.cfg', '-k', 'large'], \
                  stdout=open('got', 'wb')).returncode)";
    for program in [ours.path("networkcache-download"), testkit::witness("networkcache-download")] {
        client.program("python", &["-c", script, program.to_str().unwrap()]).ok();
        assert!(std::fs::read(client.path("got")).unwrap() == bytes, "the bytes are others");
    }
    assert_eq!(ours.download(&client, &["-k", "empty"]).ok(), "");
    assert_eq!(client.download(&["-k", "empty"]).ok(), "");
    ended_without_a_fault(house);
}

#[test]
fn directories_and_urls_are_uploaded() {
    let (house, ours) = (up(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    client.write("file", b"hello");
    std::fs::create_dir_all(client.path("folder/sub")).unwrap();
    client.write("folder/sub/inside", b"inside");
    symlink("sub/inside", client.path("folder/link")).unwrap();
    assert_eq!(ours.upload(&client, &["-u", "folder", "kind=folder"]).ok(), "");
    assert!(is_tidy(client.directory()));
    let listed = client.download(&["-u", "folder", "-l", "kind==\"folder\""]);
    assert!(listed.ok().contains("\"url\": \"folder\""), "{listed:?}");
    let unpack = "
import io, subprocess, sys, tarfile
data = subprocess.run(sys.argv[1:] + ['-c', 'cache.cfg', '-u', 'folder'], stdout=subprocess.PIPE, check=True).stdout
with tarfile.open(fileobj=io.BytesIO(data), mode='r:gz') as tar:
    for member in tar.getmembers():
        print(member.name, member.type.decode(), member.linkname, member.size)
";
    let downloader = testkit::witness("networkcache-download");
    let names = client.program("python", &["-c", unpack, downloader.to_str().unwrap()]);
    assert_eq!(
        names.ok(),
        "folder 5  0\nfolder/link 2 sub/inside 0\nfolder/sub 5  0\nfolder/sub/inside 0  6\n"
    );

    let file_url = format!("file://{}", client.path("file").display());
    let web_url = house.http_url("/cas/crt/ca.crt.pem");
    for (url, expected) in [
        ("data:text/plain,hi%20x", Some("hi x".to_owned())),
        ("data:;base64,aGk=", Some("hi".to_owned())),
        (&file_url, Some("hello".to_owned())),
        ("file:file", Some("hello".to_owned())),
        (&web_url, None),
    ] {
        assert_eq!(ours.upload(&client, &["-u", url]).ok(), "", "{url}");
        let got = client.download(&["-u", url]);
        match expected {
            Some(expected) => assert_eq!(got.ok(), expected, "{url}"),
            None => assert!(got.ok().starts_with("-----BEGIN CERTIFICATE"), "{got:?}"),
        }
        assert_eq!(ours.download(&client, &["-u", url]).ok(), got.ok(), "{url}");
    }
    // Given both, the file is what is uploaded.
    ours.upload(&client, &["-f", "file", "-u", "http://example.invalid/file"]).ok();
    assert_eq!(client.download(&["-u", "http://example.invalid/file"]).ok(), "hello");
    for (url, expected) in [
        ("nothing", "unknown url type: 'nothing'"),
        ("ftp://example.invalid/x", "ftp is not spoken"),
        ("file://elsewhere/x", "file not on local host"),
        (&house.http_url("/nothing"), "the server answered 404"),
    ] {
        let ran = ours.upload(&client, &["-u", url]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{url}");
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    ended_without_a_fault(house);
}

#[test]
fn what_comes_through_a_pipe_is_uploaded() {
    let (house, ours) = (up(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    let mut upload = std::process::Command::new(ours.path("networkcache-upload"));
    upload.current_dir(client.directory()).env_clear();
    upload.args(["-c", "cache.cfg", "-f", "/dev/stdin", "-k", "pipe", "n=1"]);
    let mut process = Process::spawn(&mut upload);
    process.say(b"through a pipe");
    process.close_input();
    assert_eq!(process.wait().ok(), "");
    assert_eq!(client.download(&["-k", "pipe"]).ok(), "through a pipe");
    ended_without_a_fault(house);
}
