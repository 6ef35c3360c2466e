//! Large artifacts, which the system sends by itself over plain HTTP: to everybody the same bytes, and the right ones.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use base::{Sha512, Sha512Hasher};
use socket2::{Domain, Socket, Type};
use testkit::{House, Line, exchange, http, wait_until};

use super::{keep, open};
use crate::houses::{ended_without_a_fault, get, request};

/// So many bytes, no two pieces of which are alike.
fn sample(count: usize) -> Vec<u8> {
    (0..count.div_ceil(8) as u64)
        .flat_map(|n| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(count)
        .collect()
}

fn path(digest: Sha512) -> String {
    format!("/shacache/{digest}")
}

/// A connection whose receiving end takes next to nothing at a time.
fn narrow(house: &House) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&house.http().parse::<SocketAddr>().unwrap().into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(testkit::LIMIT)).unwrap();
    stream
}

/// What follows the head that `stream` brings next, which says how many bytes that are.
fn body_begins(stream: &mut impl std::io::Read) -> u64 {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.unwrap().parse().unwrap()
}

/// How many artifacts the house has open.
fn open_artifacts(house: &House) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", house.process().id())).unwrap();
    let paths = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    // The objects are in directories with names of two digits.
    paths
        .filter(|path| {
            path.parent().and_then(|parent| parent.file_name()).is_some_and(|name| name.len() == 2)
        })
        .count()
}

/// Sizes around what goes in one piece, whichever way they are asked for.
#[test]
fn every_way_of_asking_gives_the_same_bytes() {
    let house = open();
    let secure = http::anybody();
    let http_2 = reqwest::blocking::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let mut line = Line::to(house.http());
    for size in [1, 16_384, 16_385, 65_536, 65_537, 1_048_576, 1_048_577, 3_000_001] {
        let bytes = sample(size);
        let path = path(keep(&house, &bytes));
        let mut ask = |headers: &[(&str, &str)]| {
            line.send(request("GET", &path, headers, b"")).unwrap();
            line.answer()
        };
        for _ in 0..2 {
            let whole = ask(&[]);
            assert!((whole.status, &whole.body) == (200, &bytes), "{size}: {:?}", whole.headers);
        }
        for (first, end) in [(0, size), (size / 2, size), (size / 3, size / 3 + size / 2), (size - 1, size)] {
            let some = ask(&[("Range", &format!("bytes={first}-{}", end.max(first + 1) - 1))]);
            assert!(
                some.status == 206 && some.body == bytes[first..end.max(first + 1)],
                "{first} to {end} of {size}"
            );
        }
        let tag = format!("\"{}\"", &path["/shacache/".len()..]);
        assert_eq!(
            (ask(&[("If-None-Match", &tag)]).status, ask(&[("Range", "bytes=9999999-")]).status),
            (304, 416)
        );

        let head = exchange(house.http(), request("HEAD", &path, &[], b""));
        assert_eq!(
            (head.status, head.header("content-length"), head.text()),
            (200, Some(&*size.to_string()), "")
        );
        let old = exchange(house.http(), format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert!((old.status, &old.body) == (200, &bytes), "{size} by HTTP/1.0");
        for (client, url) in [
            (&secure, house.https_url(&path)),
            (&http_2, house.http_url(&path)),
            (&secure, house.http_url(&path)),
        ] {
            let got = client.get(&url).send().unwrap();
            assert!(got.bytes().unwrap() == bytes, "{size} by {url}");
        }
    }
    drop((line, http_2, secure));
    wait_until("all files to be let go", || open_artifacts(&house) == 0);
    ended_without_a_fault(house);
}

/// Answers come in the order of the requests, whichever of them the system sends.
#[test]
fn requests_that_do_not_wait_are_answered_in_order() {
    let house = open();
    let all: Vec<Vec<u8>> = [100_000, 5, 1_500_000, 70_000].map(sample).into();
    let paths: Vec<String> = all.iter().map(|bytes| path(keep(&house, bytes))).collect();
    let order: Vec<usize> = (0..40).map(|n| n * n % 7 % all.len()).collect();
    let mut stream = narrow(&house);
    let requests: Vec<u8> = order.iter().flat_map(|at| get(&paths[*at])).collect();
    stream.write_all(&requests).unwrap();
    for at in order {
        let length = body_begins(&mut stream);
        let mut body = Vec::new();
        (&mut stream).take(length).read_to_end(&mut body).unwrap();
        assert!(body == all[at], "the one of {} bytes", all[at].len());
    }
    ended_without_a_fault(house);
}

/// Whoever takes it in drips gets all of it, and so do eight at a time who take it as fast as they can.
#[test]
fn slow_and_fast_readers_get_the_same() {
    let house = open();
    let bytes = sample(20_000_000);
    let digest = keep(&house, &bytes);
    let request = get(&path(digest));
    let read = |stream: &mut TcpStream, at_a_time: usize| {
        let mut hasher = Sha512Hasher::new();
        let mut left = body_begins(stream);
        let mut some = vec![0; at_a_time];
        while left > 0 {
            let bytes = stream.read(&mut some[..at_a_time.min(usize::try_from(left).unwrap())]).unwrap();
            assert!(bytes > 0, "closed with {left} bytes left");
            hasher.update(&some[..bytes]);
            left -= bytes as u64;
        }
        assert_eq!(hasher.finish(), digest);
    };
    std::thread::scope(|threads| {
        for number in 0..8 {
            let (house, request) = (&house, &request);
            threads.spawn(move || {
                let mut stream =
                    if number == 0 { narrow(house) } else { TcpStream::connect(house.http()).unwrap() };
                stream.set_read_timeout(Some(testkit::LIMIT)).unwrap();
                for _ in 0..3 {
                    stream.write_all(request).unwrap();
                    read(&mut stream, if number == 0 { 1_000 } else { 100_000 });
                }
            });
        }
    });
    ended_without_a_fault(house);
}

/// As large as none of the bounds in between is.
#[test]
fn three_hundred_megabytes_come_whole() {
    let house = open();
    let digest = keep(&house, &sample(300 << 20));
    let mut stream = TcpStream::connect(house.http()).unwrap();
    stream.set_read_timeout(Some(testkit::LIMIT)).unwrap();
    stream.write_all(&get(&path(digest))).unwrap();
    assert_eq!(body_begins(&mut stream), 300 << 20);
    let (mut hasher, mut some) = (Sha512Hasher::new(), vec![0; 1 << 20]);
    let mut body = (&mut stream).take(300 << 20);
    loop {
        match body.read(&mut some).unwrap() {
            0 => break,
            bytes => hasher.update(&some[..bytes]),
        }
    }
    assert_eq!(hasher.finish(), digest);
    drop(stream);
    ended_without_a_fault(house);
}

/// Whoever hangs up in the middle leaves no file open, and is in nobody's way.
#[test]
fn hanging_up_lets_go_of_the_file() {
    let house = open();
    let digest = keep(&house, &sample(40_000_000));
    let mut readers: Vec<_> = (0..8).map(|_| narrow(&house)).collect();
    for reader in &mut readers {
        reader.write_all(&get(&path(digest))).unwrap();
        assert_eq!(body_begins(reader), 40_000_000);
    }
    assert!(open_artifacts(&house) >= 8);
    drop(readers);
    wait_until("all files to be let go", || open_artifacts(&house) == 0);
    let answer = exchange(house.http(), get(&path(digest)));
    assert_eq!(Sha512::of(&answer.body), digest);
    ended_without_a_fault(house);
}

/// A file that becomes shorter while it is sent: the connection closes, so that nobody takes what came for all of it.
#[test]
fn a_file_that_is_cut_ends_the_connection() {
    let house = open();
    let bytes = sample(40_000_000);
    let digest = keep(&house, &bytes);
    let mut stream = narrow(&house);
    stream.write_all(&get(&path(digest))).unwrap();
    assert_eq!(body_begins(&mut stream), 40_000_000);
    let name = digest.to_string();
    let file = house.data().join("artifacts").join(&name[..2]).join(&name);
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(20_000_000).unwrap();
    let mut came = Vec::new();
    match stream.read_to_end(&mut came) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert!(came.len() <= 20_000_000 && came == bytes[..came.len()], "{} bytes came", came.len());
    wait_until("the file to be let go", || open_artifacts(&house) == 0);
    assert_eq!(exchange(house.http(), get(&path(digest))).status, 404);
    ended_without_a_fault(house);
}
