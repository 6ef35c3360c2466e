//! A cache behind the cache: what is not here is fetched from there, once, and stays.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use base::Sha512;
use serde_json::json;
use testkit::http::{anybody, holder_of};
use testkit::{Face, House};

use super::{entry, keep, open};
use crate::houses::{ended_without_a_fault, plan};

/// A house behind which `cache_url` and `dir_url` are.
fn behind(cache_url: &str, dir_url: &str) -> House {
    plan(Face::Up)
        .option("cache-writers", "everyone")
        .option("cache-upstream-cache-url", cache_url)
        .option("cache-upstream-dir-url", dir_url)
        .option("cache-upstream-absent-seconds", "0")
        .option("cache-upstream-fresh-seconds", "0")
        .start()
}

fn put(house: &House, key: &str, entry: String) {
    let sent = anybody().put(house.http_url(&format!("/shadir/{key}"))).body(entry).send().unwrap();
    assert_eq!(sent.status(), 201);
}

fn get(url: String) -> (u16, Vec<u8>) {
    let answer = anybody().get(url).send().unwrap();
    (answer.status().as_u16(), answer.bytes().unwrap().to_vec())
}

#[test]
fn what_is_not_here_comes_from_there_and_stays() {
    let far = open();
    let near = behind(&far.http_url("/shacache"), &far.http_url("/shadir"));
    let (small, large) = (b"small".to_vec(), vec![b'l'; 5_000_000]);
    for bytes in [&small, &large] {
        let digest = keep(&far, bytes);
        for path in ["/shacache", "/shacache/cache"] {
            assert_eq!(get(near.http_url(&format!("{path}/{digest}"))), (200, bytes.clone()));
        }
    }
    let absent = Sha512::of(b"absent");
    assert_eq!(get(near.http_url(&format!("/shacache/{absent}"))).0, 404);

    // Entries are added: what somebody said here stays.
    put(&far, "a", entry(Sha512::of(&small), 1));
    put(&near, "a", entry(Sha512::of(&small), 2));
    let list = |house: &House, path: &str| -> Vec<(String, String)> {
        let (status, body) = get(house.http_url(path));
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    };
    for path in ["/shadir/a", "/shacache/dir/a"] {
        let numbers: Vec<bool> =
            list(&near, path).iter().map(|(text, _)| text.contains("\"n\": 1")).collect();
        assert_eq!(numbers, [false, true], "{path}");
    }
    assert_eq!(get(near.http_url("/shadir/none")).0, 404);

    // There is nobody behind any more: what is here is given.
    ended_without_a_fault(far);
    assert_eq!(get(near.http_url(&format!("/shacache/{}", Sha512::of(&large)))), (200, large));
    assert_eq!(list(&near, "/shadir/a").len(), 2);
    assert_eq!(get(near.http_url(&format!("/shacache/{absent}"))).0, 502);
    assert_eq!(get(near.http_url("/shadir/none")).0, 502);
    let mut near = near;
    let ran = near.stop();
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("ERROR"), "{}", ran.stderr);
}

/// The head of a request, as far as it comes.
fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// One key, or one artifact, that upstream chokes on keeps nobody from the others.
#[test]
fn what_upstream_chokes_on_is_trouble_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let good = Sha512::of(b"good");
    std::thread::spawn(move || {
        // Those with which it is silent stay open.
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = head_of(&mut stream);
            let path = head.split(' ').nth(1).unwrap_or_default();
            let (status, body) = match path {
                "/d/malformed" => ("200 OK", "<ht"),
                "/d/refused" => ("400 Bad Request", "no"),
                "/d/absent" => ("404 Not Found", ""),
                "/d/good" => ("200 OK", "[]"),
                _ if path.ends_with(&good.to_string()) => ("200 OK", "good"),
                _ => {
                    held.push(stream);
                    continue;
                }
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let there = format!("http://127.0.0.1:{port}");
    let near = behind(&format!("{there}/c"), &format!("{there}/d"));
    let status = |path: &str| get(near.http_url(path)).0;
    for key in ["malformed", "refused", "malformed"] {
        assert_eq!(status(&format!("/shadir/{key}")), 502, "{key}");
        assert_eq!(status("/shadir/absent"), 404, "after {key}");
    }
    let silent = near.http_url(&format!("/shacache/{}", Sha512::of(b"silent")));
    // Whatever comes of it, or of hanging up, later.
    std::thread::spawn(move || anybody().get(silent).send().map(drop));
    assert_eq!(get(near.http_url(&format!("/shacache/{good}"))), (200, b"good".to_vec()));
    let mut near = near;
    let ran = near.stop();
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("ERROR"), "{}", ran.stderr);
}

/// `POST /shacache/update` with and without a cache behind.
#[test]
fn entries_are_looked_at_again_when_somebody_asks_for_that() {
    let far = open();
    let near = behind(&far.http_url("/shacache"), &far.http_url("/shadir"));
    let digest = keep(&far, b"bytes");
    put(&far, "theirs", entry(digest, 1));
    put(&near, "ours", entry(digest, 2));
    assert_eq!(get(near.http_url("/shadir/theirs")).0, 200);
    put(&far, "theirs", entry(digest, 3));
    let update = |house: &House| -> serde_json::Value {
        let client = holder_of(&house.administrator());
        let answer = client.post(house.https_url("/shacache/update")).send().unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(testkit::http::header(&answer, "content-type").unwrap(), "application/json");
        serde_json::from_str(&answer.text().unwrap()).unwrap()
    };
    assert_eq!(update(&near), json!({"removed": [], "updated": ["ours", "theirs"]}));
    // Without a cache behind, entries go whose artifact is not here.
    put(&far, "orphan", entry(Sha512::of(b"nowhere"), 1));
    assert_eq!(anybody().post(far.http_url("/shacache/update")).send().unwrap().status(), 401);
    assert_eq!(update(&far), json!({"removed": ["orphan"], "updated": []}));
    assert_eq!(get(far.http_url("/shadir/orphan")).0, 404);
    ended_without_a_fault(near);
    ended_without_a_fault(far);
}

/// A server of one artifact, which gives it in pieces as it is told.
struct Slow {
    port: u16,
    asked: Arc<AtomicUsize>,
    pieces: Sender<Vec<u8>>,
}

impl Slow {
    /// One that announces `bytes`; each connection ends when no more pieces come.
    fn new(bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let (pieces, receiver) = channel();
        let (count, receiver) = (asked.clone(), Arc::new(Mutex::new(receiver)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let receiver = receiver.clone();
                std::thread::spawn(move || serve(stream.unwrap(), bytes, &receiver.lock().unwrap()));
            }
        });
        Self { port, asked, pieces }
    }
}

fn serve(mut stream: TcpStream, bytes: usize, pieces: &Receiver<Vec<u8>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    for piece in pieces {
        if piece.is_empty() || stream.write_all(&piece).is_err() {
            return;
        }
    }
}

/// Many ask for what is not here: it is fetched once, and each reads along while it comes, from wherever they want; the
/// last byte comes when all of it is known to be right.
#[test]
fn everybody_reads_along_with_one_fetch() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 249) as u8).collect();
    let slow = Slow::new(bytes.len());
    let url = format!("http://127.0.0.1:{}", slow.port);
    let near = behind(&url, &url);
    let digest = Sha512::of(&bytes);
    slow.pieces.send(bytes[..1_000_000].to_vec()).unwrap();
    let path = near.http_url(&format!("/shacache/{digest}"));
    let mut readers: Vec<_> = (0..5)
        .map(|n| {
            let from = n * 100_000;
            let request = anybody().get(&path).header("Range", format!("bytes={from}-"));
            let answer = request.send().unwrap();
            assert_eq!(answer.status(), 206);
            (from, answer, Vec::new())
        })
        .collect();
    // What has come so far is read, before the rest has.
    for (from, answer, read) in &mut readers {
        read.resize(500_000, 0);
        answer.read_exact(read).unwrap();
        assert!(*read == bytes[*from..*from + 500_000]);
    }
    slow.pieces.send(bytes[1_000_000..].to_vec()).unwrap();
    for (from, answer, mut read) in readers.drain(..) {
        let mut answer = answer;
        answer.read_to_end(&mut read).unwrap();
        assert!(read == bytes[from..]);
    }
    assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
    assert_eq!(get(path), (200, bytes));
    assert_eq!(slow.asked.load(Ordering::SeqCst), 1, "it stayed");
    ended_without_a_fault(near);
}

/// Other bytes than were asked for are not kept, and nobody gets to their end.
#[test]
fn wrong_bytes_are_not_passed_on_to_their_end() {
    let slow = Slow::new(1_000_000);
    let url = format!("http://127.0.0.1:{}", slow.port);
    let near = behind(&url, &url);
    let digest = Sha512::of(b"what was asked for");
    slow.pieces.send(vec![b'x'; 1_000_000]).unwrap();
    let path = near.http_url(&format!("/shacache/{digest}"));
    let answer = anybody().get(&path).send().unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().is_err());
    let listed = holder_of(&near.administrator()).get(near.https_url("/v1/cache/artifacts")).send().unwrap();
    assert_eq!(listed.text().unwrap(), r#"{"items":[]}"#);
    ended_without_a_fault(near);
}

/// A server that says of everything that it is there, and hears what it is asked with.
#[test]
fn who_only_looks_makes_nobody_fetch() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            told.send(head_of(&mut stream).to_lowercase()).unwrap();
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let near = behind(&url, &url);
    let digest = Sha512::of(b"whatever");
    let path = near.http_url(&format!("/shacache/{digest}"));
    let answer = anybody().head(&path).send().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(testkit::http::header(&answer, "content-length").unwrap(), "5000000000");
    let answer = anybody().get(&path).header("If-None-Match", format!("\"{digest}\"")).send().unwrap();
    assert_eq!(answer.status(), 304);
    for _ in 0..2 {
        let head = heard.recv().unwrap();
        assert!(head.starts_with("head /") && head.contains("\r\nvia: 1.1 provost-"), "{head}");
    }
    assert!(heard.try_recv().is_err());
    ended_without_a_fault(near);
}

/// A cache that says of everything that it is there, and has nothing: not even that, by the name of `no_content`, and one text,
/// without saying how long it is, by the name that this has.
fn hollow(no_content: Sha512, text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (no_content, named) = (no_content.to_string(), Sha512::of(text.as_bytes()).to_string());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = head_of(&mut stream);
            let answer = match head.split(['/', ' ']).nth(2) {
                Some(name) if name == no_content => "204 No Content\r\nConnection: close\r\n\r\n".to_owned(),
                Some(name) if name == named => format!("200 OK\r\nConnection: close\r\n\r\n{text}"),
                _ => "200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
            };
            let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
        }
    });
    url
}

/// Nothing at all is not handed out as an artifact that is whole, however many ask at once, and whether it could be kept.
#[test]
fn nothing_is_not_passed_on_as_something() {
    let no_content = Sha512::of(b"no content");
    let url = hollow(no_content, "not asked for");
    for reserved in ["0", "99999999999999"] {
        let near = plan(Face::Up)
            .option("cache-reserve-bytes", reserved)
            .option("cache-upstream-cache-url", &url)
            .option("cache-upstream-dir-url", &url)
            .start();
        let path = |name: Sha512| near.http_url(&format!("/shacache/{name}"));
        for name in [no_content, Sha512::of(b"no bytes")] {
            let reader = |_| {
                let path = path(name);
                std::thread::spawn(move || get(path).0)
            };
            let readers: Vec<_> = (0..4).map(reader).collect();
            let answers: Vec<u16> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
            assert_eq!(answers, [502; 4], "{name}, {reserved}");
        }
        let looked = anybody().head(path(Sha512::of(b"looked at"))).send().unwrap();
        assert_eq!(looked.status(), 502, "{reserved}");
        let part = anybody().get(path(Sha512::of(b"a part"))).header("Range", "bytes=0-").send().unwrap();
        assert_eq!(part.status(), 502, "{reserved}");
        // What has no bytes is just that.
        let empty = Sha512::of(b"");
        assert_eq!(get(path(empty)), (200, Vec::new()), "{reserved}");
        let mut near = near;
        let ran = near.stop();
        assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("ERROR"), "{}", ran.stderr);
    }
}

/// Whoever has as many bytes as somebody else said that there are is not told that these are all: they may be an error page.
#[test]
fn what_is_not_known_to_be_whole_has_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            head_of(&mut stream);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot it at");
        }
    });
    for reserved in ["0", "99999999999999"] {
        let near = plan(Face::Up)
            .option("cache-reserve-bytes", reserved)
            .option("cache-upstream-cache-url", &url)
            .option("cache-upstream-dir-url", &url)
            .start();
        let path = near.http_url(&format!("/shacache/{}", Sha512::of(b"a large one")));
        let answer = anybody().get(path).header("Range", "bytes=9-").send();
        // Refused, or begun anew and never at its end.
        let is_whole = answer.is_ok_and(|answer| match answer.status().as_u16() {
            502 => false,
            200 => answer.bytes().is_ok(),
            other => panic!("{other}"),
        });
        assert!(!is_whole, "{reserved}");
    }
}

/// What comes without a length, and then is longer than anything may be, is not the fault of who reads.
#[test]
fn what_turns_out_too_large_is_no_fault_of_the_readers() {
    let text: &str = Box::leak("x".repeat(2000).into_boxed_str());
    let url = hollow(Sha512::of(b"no content"), text);
    let mut near = plan(Face::Up)
        .option("cache-artifact-bytes-max", "1024")
        .option("cache-upstream-cache-url", &url)
        .option("cache-upstream-dir-url", &url)
        .start();
    let (status, said) = get(near.http_url(&format!("/shacache/{}", Sha512::of(text.as_bytes()))));
    let said = String::from_utf8(said).unwrap();
    assert_eq!((status, said.contains("1024 bytes at most")), (502, true), "{said}");
    let ran = near.stop();
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("ERROR"), "{}", ran.stderr);
}
