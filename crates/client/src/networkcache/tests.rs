//! Against a small server that behaves badly, on purpose.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Explain as _, Kind, Sha512};
use entry::Entry;

use super::*;

/// What the server does with a connection, after it has read the request.
#[derive(Debug, Clone)]
enum Act {
    /// Says this, and closes in an orderly way.
    Say(Vec<u8>),
    /// Says this, and the connection is reset.
    Reset(Vec<u8>),
    /// Says this, and nothing more.
    Hang(Vec<u8>),
    /// Says this, and then the rest again and again until nobody listens.
    Flood(Vec<u8>, Vec<u8>),
    /// Hangs up before the body is read.
    Slam,
}

use Act::{Flood, Hang, Reset, Say, Slam};

struct Server {
    url: ServiceUrl,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Does these one after another, and the last one for ever.
    fn doing(acts: &[Act]) -> Self {
        Self::at("base", acts)
    }

    /// The same, with this base path.
    fn at(base: &str, acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/{base}", listener.local_addr().unwrap()).parse().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (acts, hears) = (acts.to_vec(), heard.clone());
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let act = acts.get(n).or(acts.last()).cloned().unwrap();
                let hears = hears.clone();
                std::thread::spawn(move || act.perform(&stream.unwrap(), &hears));
            }
        });
        Self { url, heard }
    }

    fn artifacts(&self) -> Artifacts {
        Artifacts::with(self.url.clone(), &Access::default(), SHORT).unwrap()
    }

    fn entries(&self) -> Entries {
        Entries::with(self.url.clone(), &Access::default(), SHORT).unwrap()
    }

    /// What was asked so far: first lines, and the bodies' lengths, ranges and users.
    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Act {
    fn perform(self, mut stream: &TcpStream, hears: &Mutex<Vec<String>>) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
            head.extend_from_slice(&byte);
        }
        let head = String::from_utf8(head).unwrap();
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")))?;
            Some(line.split_once(": ")?.1.to_owned())
        };
        let mut line = head.lines().next().unwrap_or_default().to_owned();
        for name in ["range", "authorization", "content-length", "content-type", "upload-offset"] {
            line.extend(header(name).map(|value| format!(" {value}")));
        }
        hears.lock().unwrap().push(line);
        if matches!(self, Slam) {
            return;
        }
        let bytes = header("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = Vec::new();
        let _ = stream.take(bytes).read_to_end(&mut body);
        match self {
            Say(text) => drop(stream.write_all(&text)),
            Reset(text) => {
                let _ = stream.write_all(&text);
                // The other side reads what there is before it learns of the reset.
                let _ = stream.set_read_timeout(Some(Duration::from_millis(30)));
                let _ = stream.read(&mut byte);
                socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
            Hang(text) => {
                let _ = stream.write_all(&text);
                // Until the client hangs up.
                let _ = stream.read(&mut byte);
            }
            Flood(text, rest) => {
                let _ = stream.write_all(&text);
                while stream.write_all(&rest).is_ok() {}
            }
            Slam => unreachable!("it was done above"),
        }
    }
}

const SHORT: Patience = Patience {
    connect: Duration::from_secs(5),
    read: Duration::from_millis(300),
    write: Duration::from_millis(600),
    list: Duration::from_millis(1500),
    pause: Duration::from_millis(1),
    pause_max: Duration::from_millis(4),
    tries: 6,
    in_pieces: 30,
};

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

const TEXT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn digest() -> Sha512 {
    Sha512::of(TEXT)
}

/// An answer with this first line and these headers, whose body says that it is so long.
fn answer(head: &str, announced: usize, body: &[u8]) -> Vec<u8> {
    let connection = "Connection: close\r\n";
    let head = format!("HTTP/1.1 {head}\r\n{connection}Content-Length: {announced}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn whole() -> Vec<u8> {
    answer("200 OK\r\nAccept-Ranges: bytes", TEXT.len(), TEXT)
}

/// The first `cut` bytes of an answer that promises all.
fn until(cut: usize) -> Vec<u8> {
    answer("200 OK\r\nAccept-Ranges: bytes", TEXT.len(), &TEXT[..cut])
}

/// What follows from `first`, as far as `cut`, as a server that knows ranges sends it.
fn from(first: usize, cut: usize) -> Vec<u8> {
    let (last, all) = (TEXT.len() - 1, TEXT.len());
    let head = format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{all}");
    answer(&head, TEXT.len() - first, &TEXT[first..cut])
}

fn trouble(status: u16) -> Vec<u8> {
    let words = b"<html>the sky is falling</html>";
    answer(&format!("{status} Trouble\r\nContent-Type: text/html"), words.len(), words)
}

async fn taken(artifacts: &Artifacts, digest: Sha512) -> (Vec<u8>, Result<(), CacheError>) {
    let mut bytes = Vec::new();
    let mut download = match artifacts.get(digest).await {
        Ok(download) => download,
        Err(error) => return (bytes, Err(error)),
    };
    loop {
        match download.next().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => return (bytes, Ok(())),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

#[test]
fn downloads_arrive_whatever_happens_on_the_way() {
    let unannounced = [b"HTTP/1.0 200 OK\r\n\r\n", TEXT].concat();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n".to_vec();
    let wide = answer("206 Partial Content\r\nContent-Range: bytes 2-35/36", 34, &TEXT[2..]);
    let unsaid = answer("206 Partial Content", 31, &TEXT[5..]);
    for (case, acts, asked) in [
        ("nothing", vec![Say(whole())], vec![""]),
        ("cuts", vec![Say(until(5)), Say(from(5, 9)), Say(from(9, 36))], vec!["", " bytes=5-", " bytes=9-"]),
        (
            "resets",
            vec![Reset(until(5)), Reset(from(5, 9)), Say(from(9, 36))],
            vec!["", " bytes=5-", " bytes=9-"],
        ),
        ("silence", vec![Hang(until(5)), Say(from(5, 36))], vec!["", " bytes=5-"]),
        ("silence at first", vec![Hang(Vec::new()), Say(whole())], vec!["", ""]),
        ("silence before the body", vec![Hang(until(0)), Say(whole())], vec!["", ""]),
        ("no answer", vec![Say(Vec::new()), Slam, Say(whole())], vec!["", "", ""]),
        ("trouble at first", vec![Say(trouble(503)), Say(trouble(500)), Say(whole())], vec!["", "", ""]),
        (
            "trouble in the middle",
            vec![Say(until(7)), Say(trouble(502)), Say(trouble(504)), Say(from(7, 36))],
            vec!["", " bytes=7-", " bytes=7-", " bytes=7-"],
        ),
        ("no ranges", vec![Say(until(20)), Say(whole())], vec!["", " bytes=20-"]),
        (
            "no ranges, and cut earlier",
            vec![Say(until(20)), Say(until(5)), Say(until(30)), Say(whole())],
            vec!["", " bytes=20-", " bytes=20-", " bytes=30-"],
        ),
        ("a wider range", vec![Say(until(5)), Say(wide)], vec!["", " bytes=5-"]),
        ("a range that is not said", vec![Say(until(5)), Say(unsaid)], vec!["", " bytes=5-"]),
        ("no length", vec![Say(unannounced)], vec![""]),
        ("pieces, cut", vec![Say(chunked), Say(from(5, 36))], vec!["", " bytes=5-"]),
    ] {
        let server = Server::doing(&acts);
        let (bytes, ended) = wait(taken(&server.artifacts(), digest()));
        assert!(ended.is_ok(), "{case}: {ended:?}");
        assert_eq!(bytes, TEXT, "{case}");
        let expected: Vec<String> =
            asked.iter().map(|range| format!("GET /base/{} HTTP/1.1{range}", digest())).collect();
        assert_eq!(server.heard(), expected, "{case}");
    }
}

/// Whoever has the beginning fetches what is behind it, from servers that know ranges and from those that do not.
#[test]
fn what_is_behind_a_beginning_is_fetched_alone() {
    for (case, acts, expected) in [
        ("a range", vec![Say(from(7, 36))], Some(&[7][..])),
        ("cuts", vec![Say(from(7, 9)), Reset(from(9, 20)), Say(from(20, 36))], Some(&[7, 9, 20])),
        ("trouble at first", vec![Say(trouble(503)), Say(from(7, 36))], Some(&[7, 7])),
        ("no ranges", vec![Say(whole())], Some(&[7])),
        ("gone", vec![Say(trouble(404))], None),
        ("not so long", vec![Say(trouble(416))], None),
        ("something later", vec![Say(from(9, 36))], None),
    ] {
        let server = Server::doing(&acts);
        let came = wait(async {
            let mut download = server.artifacts().get_behind(digest(), 7).await.ok()?;
            assert_eq!(download.bytes(), Some(36), "{case}");
            let mut bytes = Vec::new();
            while let Some(piece) = download.next().await.unwrap() {
                bytes.extend_from_slice(&piece);
            }
            Some(bytes)
        });
        assert_eq!(came.as_deref(), expected.map(|_| &TEXT[7..]), "{case}");
        let Some(expected) = expected else { continue };
        let asked: Vec<_> =
            expected.iter().map(|from| format!("GET /base/{} HTTP/1.1 bytes={from}-", digest())).collect();
        assert_eq!(server.heard(), asked, "{case}");
    }
}

/// Or all of it, where a server has no parts and they want to know: then they see that something comes.
#[test]
fn whoever_has_the_beginning_learns_that_all_of_it_comes() {
    for (case, acts, begins) in [("a range", vec![Say(from(7, 36))], 7), ("no ranges", vec![Say(whole())], 0)]
    {
        let server = Server::doing(&acts);
        let came = wait(async {
            let mut download = server.artifacts().get_behind(digest(), 7).await.unwrap();
            assert_eq!(download.begins(), begins, "{case}");
            let mut bytes = Vec::new();
            while let Some(piece) = download.next().await.unwrap() {
                bytes.extend_from_slice(&piece);
            }
            bytes
        });
        assert_eq!(came, TEXT[begins as usize..], "{case}");
    }
}

#[test]
fn nothing_that_is_not_the_object_is_handed_out() {
    let other = answer("200 OK", 36, &[b'x'; 36]);
    let longer = answer("200 OK", 37, &[TEXT, b"!"].concat());
    let ahead = answer("206 Partial Content\r\nContent-Range: bytes 9-35/36", 27, &TEXT[9..]);
    let no_such_range = answer("416 Range Not Satisfiable", 0, b"");
    for (case, acts, handed_out, expected) in [
        ("absent", vec![Say(trouble(404))], "", "the server answered 404 to GET "),
        (
            "elsewhere",
            vec![Say(answer("302 Found\r\nLocation: /base/x", 0, b""))],
            "",
            "the server answered 302",
        ),
        (
            "forbidden",
            vec![Say(answer("403 F\r\nContent-Type: text/plain", 4, b"no!\n"))],
            "",
            "the server answered 403",
        ),
        ("never well", vec![Say(trouble(503))], "", "the server answered 503"),
        ("never well again", vec![Say(until(5)), Say(trouble(503))], "01234", "the server answered 503"),
        ("gone meanwhile", vec![Say(until(5)), Say(trouble(404))], "01234", "the server answered 404"),
        ("always silent", vec![Hang(until(5)), Hang(Vec::new())], "01234", ""),
        ("always cut", vec![Say(until(5)), Say(until(4))], "01234", "the connection to "),
        ("ahead", vec![Say(until(5)), Say(ahead)], "01234", ""),
        ("no such range", vec![Say(until(5)), Say(no_such_range)], "01234", "the server answered 416"),
        ("another length", vec![Say(until(5)), Say(longer.clone())], "01234", ""),
        ("longer", vec![Say(longer)], "0123456789abcdefghijklmnopqrstuvwxyz!", "invalid checksum: "),
        ("other bytes", vec![Say(other)], "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "invalid checksum: "),
        ("not HTTP", vec![Say(b"220 smtp\r\n".to_vec())], "", "the connection to "),
        (
            "an endless head",
            vec![Flood(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(99))],
            "",
            "the connection to ",
        ),
    ] {
        let server = Server::doing(&acts);
        let (bytes, ended) = wait(taken(&server.artifacts(), digest()));
        assert_eq!(String::from_utf8(bytes).unwrap(), handed_out, "{case}");
        let error = ended.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{case}: {error}");
        assert!(!error.contains("sky"), "{error}");
        assert!(server.heard().len() <= 7, "{case}: {:?}", server.heard());
    }
}

#[test]
fn an_object_without_an_end_has_one() {
    let server = Server::doing(&[Flood(b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), vec![0; 10_000])]);
    let error = wait(async {
        let mut download = server.artifacts().get(digest()).await.unwrap().at_most(100_000);
        loop {
            match download.next().await {
                Ok(piece) => assert!(piece.is_some()),
                Err(error) => break error,
            }
        }
    });
    assert!(matches!(error, CacheError::TooLarge { bytes_max: 100_000, .. }), "{error}");
    // One that there is no server for.
    let nobody: ServiceUrl = "http://127.0.0.1:1".parse().unwrap();
    let artifacts = Artifacts::with(nobody, &Access::default(), SHORT).unwrap();
    let error = wait(artifacts.get(digest())).unwrap_err();
    assert_eq!((error.kind(), error.is_absent()), (Kind::Unavailable, false));
}

#[test]
fn whether_bytes_are_there_is_asked_without_reading_them() {
    let no_head = Say(answer("501 Unsupported", 0, b""));
    let begun = Flood(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(), vec![0; 10_000]);
    for (case, acts, is_there, asked) in [
        ("there", vec![Say(answer("200 OK", 36, b""))], true, &["HEAD"][..]),
        ("absent", vec![Say(trouble(404))], false, &["HEAD"]),
        ("there, no HEAD", vec![no_head.clone(), begun], true, &["HEAD", "GET"]),
        ("absent, no HEAD", vec![no_head.clone(), Say(trouble(404))], false, &["HEAD", "GET"]),
        (
            "empty, says HEAD",
            vec![Say(answer("200 OK", 0, b"")), Say(answer("200 OK", 36, b""))],
            true,
            &["HEAD", "GET"],
        ),
        (
            "empty",
            vec![Say(answer("200 OK", 0, b"")), Say(answer("204 No Content", 0, b""))],
            false,
            &["HEAD", "GET"],
        ),
        ("nobody may look", vec![Say(trouble(403))], false, &["HEAD", "GET"]),
        ("elsewhere", vec![Say(answer("301 Moved\r\nLocation: /x", 0, b""))], false, &["HEAD", "GET"]),
    ] {
        let server = Server::doing(&acts);
        assert_eq!(wait(server.artifacts().is_there(digest())).unwrap(), is_there, "{case}");
        let expected: Vec<String> =
            asked.iter().map(|method| format!("{method} /base/{} HTTP/1.1", digest())).collect();
        assert_eq!(server.heard(), expected, "{case}");
    }
    let server = Server::doing(&[Slam]);
    assert!(wait(server.artifacts().is_there(digest())).is_err());
}

/// Some servers say of a body that they leave out that it has no bytes; those are asked as for all of it.
#[test]
fn how_long_bytes_are_is_asked_without_reading_them() {
    let (there, nothing) = (Say(answer("200 OK", 36, b"")), Say(answer("200 OK", 0, b"")));
    let no_content = Say(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec());
    for (case, acts, bytes, asked) in [
        ("there", vec![there.clone()], Some(36), &["HEAD"][..]),
        ("said to be nothing", vec![nothing.clone(), there.clone()], Some(36), &["HEAD", "GET"]),
        ("no content", vec![no_content.clone(), there], Some(36), &["HEAD", "GET"]),
        ("nothing", vec![nothing.clone(), nothing.clone()], Some(0), &["HEAD", "GET"]),
        ("no content at all", vec![no_content.clone(), no_content], Some(0), &["HEAD", "GET"]),
    ] {
        let server = Server::doing(&acts);
        assert_eq!(wait(server.artifacts().size(digest())).unwrap(), bytes, "{case}");
        let expected: Vec<String> =
            asked.iter().map(|method| format!("{method} /base/{} HTTP/1.1", digest())).collect();
        assert_eq!(server.heard(), expected, "{case}");
    }
    let server = Server::doing(&[nothing]);
    assert_eq!(wait(server.artifacts().size(Sha512::of(b""))).unwrap(), Some(0), "it has none");
}

/// Where the server is one of ours: see [`super::uploads`].
#[test]
fn uploads_go_on_where_they_were_cut_off() {
    const UPLOAD: &str = "/v1/cache/uploads/0123456789abcdef0123456789abcdef";
    let name = digest().to_string();
    let does = || Say(answer("204 No Content\r\nUpload-Limit: max-age=9", 0, b""));
    let open = || Say(answer(&format!("201 Created\r\nLocation: {UPLOAD}\r\nUpload-Offset: 0"), 0, b""));
    let begun = Say(answer(&format!("201 Created\r\nLocation: {UPLOAD}\r\nUpload-Offset: 30"), 0, b""));
    let has = |bytes: u64| Say(answer(&format!("200 OK\r\nUpload-Offset: {bytes}"), 0, b""));
    let kept = |name: &str| {
        let body = format!("{{\"offset\":36,\"sha512\":\"{name}\"}}");
        Say(answer("201 Created", body.len(), body.as_bytes()))
    };
    let no = |status| Say(trouble(status));
    let kept_whole = Say(answer("201 Created", 128, name.as_bytes()));
    let mut lost_thrice = vec![does()];
    lost_thrice.extend(std::iter::repeat_n([open(), no(404), no(404), no(404)], 3).flatten());
    lost_thrice.push(kept_whole.clone());
    let patched = |at: u64| {
        // Where nothing is left, there is no body, and no length of it.
        let length = if at == 36 { String::new() } else { format!(" {}", 36 - at) };
        format!("PATCH {UPLOAD} HTTP/1.1{length} application/partial-upload {at}")
    };
    for (case, acts, expected, cuts, last) in [
        ("at once", vec![does(), open(), kept(&name)], None, 0, patched(0)),
        ("begun before", vec![does(), begun, kept(&name)], None, 0, patched(30)),
        ("cut", vec![does(), open(), Slam, has(10), kept(&name)], None, 1, patched(10)),
        (
            "cut twice",
            vec![does(), open(), Slam, Slam, has(10), no(502), has(20), kept(&name)],
            None,
            2,
            patched(20),
        ),
        ("trouble", vec![does(), open(), no(503), has(0), kept(&name)], None, 1, patched(0)),
        ("silent", vec![does(), open(), Hang(Vec::new()), has(36), kept(&name)], None, 1, patched(36)),
        ("elsewhere", vec![does(), open(), no(409), has(7), kept(&name)], None, 1, patched(7)),
        (
            "started again",
            vec![does(), open(), Slam, no(404), no(404), open(), kept(&name)],
            None,
            1,
            patched(0),
        ),
        (
            "the answer is lost",
            vec![does(), open(), Slam, no(404), Say(answer("200 OK", 36, b""))],
            None,
            1,
            format!("HEAD /shacache/{name} HTTP/1.1"),
        ),
        (
            "another server",
            vec![no(501), kept_whole.clone()],
            None,
            0,
            "POST /shacache HTTP/1.1 36 application/octet-stream".to_owned(),
        ),
        (
            "too many are open",
            vec![does(), no(409), kept_whole.clone()],
            None,
            0,
            "POST /shacache HTTP/1.1 36 application/octet-stream".to_owned(),
        ),
        (
            "each process knows its own",
            lost_thrice,
            None,
            3,
            "POST /shacache HTTP/1.1 36 application/octet-stream".to_owned(),
        ),
        (
            "and too many are open",
            vec![does(), open(), no(404), no(404), no(404), no(409), kept_whole.clone()],
            None,
            1,
            "POST /shacache HTTP/1.1 36 application/octet-stream".to_owned(),
        ),
        (
            "full",
            vec![does(), no(507)],
            Some("the server answered 507 to POST "),
            0,
            "POST /v1/cache/uploads HTTP/1.1 0 application/octet-stream".to_owned(),
        ),
        (
            "another name",
            vec![does(), open(), kept("a")],
            Some("the server took the bytes and answered `a`"),
            0,
            format!("DELETE {UPLOAD} HTTP/1.1"),
        ),
        (
            "not allowed any more",
            vec![does(), open(), Slam, no(401), has(0)],
            Some("the server answered 401 to HEAD "),
            1,
            format!("DELETE {UPLOAD} HTTP/1.1"),
        ),
        (
            "never well",
            vec![does(), open(), Slam],
            Some("the connection to "),
            1,
            format!("DELETE {UPLOAD} HTTP/1.1"),
        ),
    ] {
        let server = Server::at("shacache", &acts);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("object");
        std::fs::write(&path, TEXT).unwrap();
        let (source, progress) = (wait(Source::of(&path)).unwrap(), Sent::default());
        let sent = wait(server.artifacts().send(&source, &progress)).map_err(|error| error.to_string());
        match (&sent, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => assert!(error.starts_with(expected), "{case}: {error}"),
            _ => panic!("{case}: {sent:?}"),
        }
        assert_eq!((progress.cuts(), server.heard().last()), (cuts, Some(&last)), "{case}");
    }
}

#[test]
fn uploads_say_what_became_of_them() {
    let name = digest().to_string();
    let created = Say(answer("201 Created", name.len(), name.as_bytes()));
    let full = answer("507 Full\r\nContent-Type: text/plain; charset=utf-8", 21, b"the disk is full\nmore");
    let sent = "POST /base HTTP/1.1 36 application/octet-stream".to_owned();
    for (case, acts, times, expected) in [
        ("new", vec![created.clone()], 1, None),
        ("cut at first", vec![Slam, created.clone()], 2, None),
        ("always cut", vec![Slam], 2, Some("the connection to ")),
        ("trouble at first", vec![Say(trouble(503)), created.clone()], 2, None),
        (
            "200 is not done",
            vec![Say(answer("200 OK", 128, name.as_bytes()))],
            1,
            Some("the server answered 200 to POST "),
        ),
        (
            "a line end",
            vec![Say(answer("201 C", 129, format!("{name}\n").as_bytes()))],
            1,
            Some("the server took the bytes and answered `"),
        ),
        ("nothing", vec![Say(answer("201 C", 0, b""))], 1, Some("the server took the bytes and answered ``")),
        ("too much", vec![Flood(b"HTTP/1.1 201 C\r\n\r\n".to_vec(), vec![b'a'; 2000])], 1, Some("http://")),
        ("full", vec![Say(full)], 1, Some("the server answered 507 to POST ")),
        ("elsewhere", vec![Say(answer("307 T\r\nLocation: /x", 0, b""))], 1, Some("the server answered 307")),
        ("not allowed", vec![Say(trouble(401))], 1, Some("the server answered 401")),
        ("silent", vec![Hang(Vec::new())], 1, Some("http://")),
        ("never well", vec![Say(trouble(502))], 6, Some("the server answered 502")),
    ] {
        let server = Server::doing(&acts);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("object");
        std::fs::write(&path, TEXT).unwrap();
        let (source, progress) = (wait(Source::of(&path)).unwrap(), Sent::default());
        assert_eq!((source.bytes, source.digest), (36, digest()));
        let posted = wait(server.artifacts().post(&source, &progress)).map_err(|error| error.to_string());
        match (posted, expected) {
            (Ok(()), None) => assert_eq!(progress.bytes(), 36),
            (Err(error), Some(expected)) => assert!(error.starts_with(expected), "{case}: {error}"),
            (posted, _) => panic!("{case}: {posted:?}"),
        }
        assert_eq!(server.heard(), vec![sent.clone(); times], "{case}");
    }
}

#[test]
fn the_server_may_say_why() {
    let full = answer("507 Full\r\nContent-Type: text/plain; charset=utf-8", 21, b"the disk is full\nmore");
    let server = Server::doing(&[Say(full)]);
    let entry = Entry::new(format!(r#"{{"sha512": "{}"}}"#, digest()), String::new()).unwrap();
    let error = wait(server.entries().put("a", &entry)).unwrap_err();
    assert!(error.to_string().ends_with("/base/a: the disk is full"), "{error}");
    assert_eq!(error.kind(), Kind::Full);
}

#[test]
fn a_file_that_changes_is_not_sent_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("object");
    std::fs::write(&path, TEXT).unwrap();
    let source = wait(Source::of(&path)).unwrap();
    std::fs::write(&path, &TEXT[1..]).unwrap();
    let server = Server::doing(&[Slam]);
    let error = wait(server.artifacts().post(&source, &Sent::default())).unwrap_err();
    assert!(matches!(error, CacheError::Changed { .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = wait(server.artifacts().post(&source, &Sent::default())).unwrap_err();
    assert!(matches!(error, CacheError::File { .. }), "{error}");
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn lists_are_read_as_far_as_they_make_sense() {
    let text = format!(r#"{{\"sha512\": \"{}\"}}"#, digest());
    let list = format!(r#"[["{text}", ""], "x", ["{text}"], ["{text}", "?"], ["{text}", null]]"#);
    let said = answer("200 OK\r\nContent-Type: application/json", list.len(), list.as_bytes());
    for (case, act, expected) in [
        ("a list", vec![Say(said.clone())], Ok((2, 3))),
        ("cut at first", vec![Slam, Say(said[..200].to_vec()), Say(said)], Ok((2, 3))),
        ("empty", vec![Say(answer("200 OK", 2, b"[]"))], Ok((0, 0))),
        ("no list", vec![Say(answer("200 OK", 2, b"{}"))], Err("Failed to parse json response")),
        ("no JSON", vec![Say(answer("200 OK", 2, b"<h"))], Err("Failed to parse json response")),
        ("unknown", vec![Say(trouble(404))], Err("the server answered 404 to GET ")),
        ("endless", vec![Flood(b"HTTP/1.0 200 OK\r\n\r\n[".to_vec(), vec![b' '; 1 << 20])], Err("http://")),
        ("announced too large", vec![Hang(answer("200 OK", LIST_BYTES_MAX + 1, b"["))], Err("http://")),
        ("silent", vec![Hang(answer("200 OK", 5, b"["))], Err("http://")),
    ] {
        let server = Server::doing(&act);
        let read = wait(server.entries().get("key")).map_err(|error| error.to_string());
        match (read, expected) {
            (Ok(list), Ok(expected)) => {
                assert_eq!((list.entries.len(), list.skipped.len()), expected, "{case}")
            }
            (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{case}: {error}"),
            (read, _) => panic!("{case}: {read:?}"),
        }
    }
}

#[test]
fn who_asks_is_said_and_entries_go_out_as_json() {
    let server = Server::doing(&[Say(answer("201 Created", 0, b""))]);
    let url = server.url.to_string().replace("http://", "http://us%65r:p%3Aw@").parse().unwrap();
    let entries = Entries::with(url, &Access::default(), SHORT).unwrap();
    let entry = Entry::new(format!(r#"{{"sha512": "{}"}}"#, digest()), String::new()).unwrap();
    wait(entries.put("file-urlmd5:x", &entry)).unwrap();
    let bytes = entry.to_json().len();
    // user:p:w
    let expected = format!("PUT /base/file-urlmd5:x HTTP/1.1 Basic dXNlcjpwOnc= {bytes} application/json");
    assert_eq!(server.heard(), [expected]);
}
