//! What the server puts up with: readers that do not read, as many as there are files, and disks that are full.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base::Sha512;
use testkit::{Answer, Face, House, Line, Plan, exchange, wait_until};

use super::{keep, open};
use crate::houses::{ended_without_a_fault, get, plan, request};
use crate::program::PROVOST;

fn ask(house: &House, method: &str, path: &str, body: &[u8]) -> Answer {
    exchange(house.http(), request(method, path, &[], body))
}

/// The most memory that the house has had, in kilobytes.
fn peak(house: &House) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.process().id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Asks for an artifact and reads no more than the beginning of the answer. Whoever drops it hangs up.
fn idle_reader(house: &House, path: &str) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(house.http()).unwrap();
    stream.set_read_timeout(Some(testkit::LIMIT)).unwrap();
    stream.write_all(&get(path)).unwrap();
    let mut status = vec![0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut status).unwrap();
    (stream, status)
}

/// However many do not read what they asked for, little of it is in memory.
#[test]
fn idle_readers_take_no_memory() {
    let house = plan(Face::Up)
        .option("cache-writers", "everyone")
        .option("cache-sending-bytes-max", "1048576")
        .start();
    let digest = keep(&house, &vec![7; 20_000_000]);
    let path = format!("/shacache/{digest}");
    let before = peak(&house);
    let readers: Vec<_> = (0..300).map(|_| idle_reader(&house, &path)).collect();
    assert!(readers.iter().all(|(_, status)| status == b"HTTP/1.1 200"));
    // Whoever reads is served all the while: each connection has room of its own.
    let answer = ask(&house, "GET", &path, b"");
    assert!(Sha512::of(&answer.body) == digest);
    let after = peak(&house);
    assert!(after - before < 60_000, "{before} kB before, {after} kB after");
    drop(readers);
    ended_without_a_fault(house);
}

/// The same over HTTP/2, where one connection has many streams, and a window of any size that it opens.
#[test]
fn idle_streams_take_no_memory() {
    let house = plan(Face::Up)
        .option("cache-writers", "everyone")
        .option("cache-sending-bytes-max", "1048576")
        .start();
    let digest = keep(&house, &vec![7; 20_000_000]);
    let path = format!("/shacache/{digest}");
    let before = peak(&house);
    let connections: Vec<_> = (0..5).map(|_| idle_streams(&house, &path, 100)).collect();
    // Whoever reads is served all the while: each connection has room of its own.
    let answer = ask(&house, "GET", &path, b"");
    assert!(Sha512::of(&answer.body) == digest);
    let after = peak(&house);
    assert!(after - before < 40_000, "{before} kB before, {after} kB after");
    drop(connections);
    ended_without_a_fault(house);
}

/// A connection with so many requests for `path`, that opens all windows and reads no more than a little.
fn idle_streams(house: &House, path: &str, streams: u32) -> TcpStream {
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let window: u32 = (1 << 31) - 1;
    // SETTINGS_INITIAL_WINDOW_SIZE, and as much for the connection.
    sent.extend(frame(4, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat()));
    sent.extend(frame(8, 0, 0, &(window - 65_535).to_be_bytes()));
    // `:method: GET`, `:scheme: http`, and two that are spelled out (RFC 7541 §6.2.2).
    let mut head = vec![0x82, 0x86, 0x01, 4];
    head.extend(b"test");
    head.extend([0x04, 127, u8::try_from(path.len() - 127).unwrap()]);
    head.extend(path.as_bytes());
    for stream in 0..streams {
        sent.extend(frame(1, 4 | 1, 2 * stream + 1, &head));
    }
    let mut connection = TcpStream::connect(house.http()).unwrap();
    connection.set_read_timeout(Some(testkit::LIMIT)).unwrap();
    connection.write_all(&sent).unwrap();
    // Bytes of artifacts come.
    connection.read_exact(&mut vec![0; 200_000]).unwrap();
    connection
}

/// Starts `provost` through a script that does `first` before.
fn through(directory: &Path, first: &str) -> Plan {
    let script = directory.join("provost");
    let text = format!("#!/bin/sh\n{}\n", first.replace("PROVOST", &format!("\"{PROVOST}\" \"$@\"")));
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o700)).unwrap();
    Plan::new(script.to_str().unwrap(), Face::Up).option("cache-writers", "everyone")
}

/// With few files to open, artifacts have their part of them: whoever comes too late is told when to come back, and
/// everything else goes on.
#[test]
fn files_do_not_run_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut house = through(directory.path(), "ulimit -n 200; exec PROVOST").start();
    let digest = keep(&house, &vec![7; 20_000_000]);
    let path = format!("/shacache/{digest}");
    let others = |house: &House| {
        assert_eq!(ask(house, "GET", "/readyz", b"").status, 200);
        assert_eq!(ask(house, "PUT", "/shadir/a", super::entry(digest, 1).as_bytes()).status, 201);
    };
    // One more than `doors/files.rs` makes of 200, and five that find no place.
    let reader = idle_streams(&house, &path, 18 + 1 + 5);
    wait_until("five to be refused", || house.process().stdout().matches(" HTTP/2.0\" 503 ").count() == 5);
    // Each connection has a place of its own.
    assert_eq!(ask(&house, "GET", &path, b"").status, 200);
    others(&house);
    drop(reader);

    let writer = || {
        let mut line = Line::to(house.http());
        line.send("POST /shacache HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        line.send(vec![8; 300_000]).unwrap();
        line
    };
    let mut writers: Vec<_> = (0..9).map(|_| writer()).collect();
    let staged = house.data().join("artifacts/staged");
    wait_until("all uploads to have begun", || std::fs::read_dir(&staged).unwrap().count() == 9);
    let refused = ask(&house, "POST", "/shacache", b"hello");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    assert_eq!(ask(&house, "GET", "/readyz", b"").status, 200);
    let mut last = writers.pop().unwrap();
    last.send(vec![8; 700_000]).unwrap();
    assert_eq!(last.answer().status, 201);
    drop(writers);
    wait_until("the places to be free again", || ask(&house, "POST", "/shacache", b"hello").status == 201);
    others(&house);
    let ran = house.stop();
    assert!(!ran.stderr.contains("ERROR") && !ran.stderr.contains("panicked"), "{}", ran.stderr);
}

/// A house whose artifacts are on a small disk of their own, which only it sees; and where we see it.
fn on_a_small_disk(directory: &Path, reserve: &str) -> (House, PathBuf) {
    let disk = directory.join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size=8m,mode=0700 tmpfs {}", disk.display());
    let first = format!("exec unshare --mount sh -c '{mount} && exec \"$0\" \"$@\"' PROVOST");
    let plan = through(directory, &first).option("cache-folder", disk.to_str().unwrap());
    let house = plan.option("cache-reserve-bytes", reserve).start();
    let seen = PathBuf::from(format!("/proc/{}/root{}", house.process().id(), disk.display()));
    assert!(seen.join("staged").exists(), "a small disk is mounted with unshare(1) and mount(8), as root");
    (house, seen)
}

/// POST without a length.
fn chunked(house: &House, pieces: usize) -> Answer {
    let mut line = Line::to(house.http());
    line.send("POST /shacache HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let piece = [&b"10000\r\n"[..], &[9; 65_536], b"\r\n"].concat();
    for _ in 0..pieces {
        // It may be answered, and closed, at any time.
        if line.send(&piece).is_err() {
            break;
        }
    }
    let _ = line.send("0\r\n\r\n");
    line.answer()
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().count() == 0
}

/// What would fill the disk is refused before it does: at once where it is said what and how much comes, in the middle
/// where neither is, and at its end where it may be there already: that is answered as ever.
#[test]
fn the_reserve_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let (house, disk) = on_a_small_disk(directory.path(), "2097152");
    let mut line = Line::to(house.http());
    let absent = Sha512::of(b"absent");
    let head = format!("PUT /shacache/{absent} HTTP/1.1\r\nHost: test\r\nContent-Length: 7000000\r\n\r\n");
    line.send(head).unwrap();
    let refused = line.answer();
    assert_eq!(refused.status, 507, "before anything of it has come");
    assert!(refused.text().starts_with("there is no room for it: "), "{refused:?}");
    assert!(refused.text().ends_with(" bytes would be left, and 2097152 are kept free\n"), "{refused:?}");
    for _ in 0..3 {
        let refused = chunked(&house, 400);
        assert_eq!(refused.status, 507, "{refused:?}");
        wait_until("what was staged to go", || is_empty(&disk.join("staged")));
    }
    // Two that fit, but not together.
    let mut first = Line::to(house.http());
    first.send("POST /shacache HTTP/1.1\r\nHost: test\r\nContent-Length: 4000000\r\n\r\n").unwrap();
    first.send(vec![1; 1_000_000]).unwrap();
    wait_until("the first to have begun", || !is_empty(&disk.join("staged")));
    assert_eq!(ask(&house, "POST", "/shacache", &vec![2; 4_000_000]).status, 507);
    first.send(vec![1; 3_000_000]).unwrap();
    assert_eq!(first.answer().status, 201);
    keep(&house, b"hello");
    // Once more, and there is no room for it; and the same of something else.
    let same = vec![1; 4_000_000];
    assert_eq!(keep(&house, &same), Sha512::of(&same));
    assert_eq!(ask(&house, "POST", "/shacache", &vec![3; 4_000_000]).status, 507);
    ended_without_a_fault(house);
}

/// A disk that fills all the same, in the middle of an upload: 507, and nothing of it is left.
#[test]
fn a_full_disk_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (house, disk) = on_a_small_disk(directory.path(), "0");
    let kept = keep(&house, &vec![1; 1_000_000]);
    // Somebody else fills it.
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![0; 5_000_000]).unwrap();
    let mut line = Line::to(house.http());
    line.send("POST /shacache HTTP/1.1\r\nHost: test\r\nContent-Length: 2000000\r\n\r\n").unwrap();
    line.send(vec![3; 500_000]).unwrap();
    wait_until("it to have begun", || !is_empty(&disk.join("staged")));
    let mut more = std::fs::File::options().append(true).open(&ballast).unwrap();
    while more.write_all(&[0; 4096]).is_ok() {}
    drop(more);
    line.send(vec![3; 1_500_000]).unwrap();
    let refused = line.answer();
    assert_eq!(refused.status, 507, "{refused:?}");
    wait_until("what was staged to go", || is_empty(&disk.join("staged")));
    assert_eq!(ask(&house, "GET", &format!("/shacache/{kept}"), b"").status, 200);
    std::fs::remove_file(ballast).unwrap();
    keep(&house, &vec![3; 2_000_000]);
    ended_without_a_fault(house);
}

/// Section 2.4: of many who upload the same at the same time each is told 201, there is one copy, and nobody sees a part.
#[test]
fn rivals_all_succeed() {
    let house = open();
    let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = Sha512::of(&bytes);
    let path = format!("/shacache/{digest}");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(keep(&house, &bytes), digest));
            scope.spawn(|| {
                loop {
                    let answer = ask(&house, "GET", &path, b"");
                    if answer.status == 200 {
                        return assert!(answer.body == bytes);
                    }
                    assert_eq!(answer.status, 404);
                }
            });
        }
    });
    let folder = house.data().join("artifacts").join(&digest.to_string()[..2]);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    ended_without_a_fault(house);
}
