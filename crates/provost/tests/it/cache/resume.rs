//! Downloads that are cut off and go on, by other people's programs; and the ordinary clients of HTTP/2 and TLS.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use base::Sha512;
use testkit::{NetworkCache, Ran, run};

use super::{keep, open, service};
use crate::houses::{ended_without_a_fault, up};

/// Passes everything on to the server at `port`, and ends each connection in an orderly way after so many bytes of what
/// it answers. Where it listens, on 127.0.0.1.
fn scissors(port: u16, bytes: u64) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let here = listener.local_addr().unwrap().port();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) =
                (client.unwrap(), TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
            let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut asks, &mut asked);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut (&mut server).take(bytes), &mut client);
                let _ = client.flush();
                let _ = client.shutdown(Shutdown::Write);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    here
}

/// A program in `directory`, with nothing of ours in its environment.
fn program(directory: &Path, name: &str, arguments: &[&str]) -> Ran {
    run(Command::new(name).current_dir(directory).args(arguments))
}

fn bytes() -> Vec<u8> {
    (0..700_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn curl_and_wget_go_on_where_they_were_cut_off() {
    let house = open();
    let bytes = bytes();
    let digest = keep(&house, &bytes);
    let cut = format!("http://127.0.0.1:{}/shacache/{digest}", scissors(house.port(), 1_000_000));
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let have = |name: &str| std::fs::read(at.join(name)).map_or(0, |have| have.len());
    let (mut runs, mut before) = (0, 0);
    loop {
        let ran = program(at, "curl", &["-sS", "-f", "-C", "-", "-o", "curled", &cut]);
        runs += 1;
        if ran.code == Some(0) {
            break;
        }
        assert_eq!(ran.code, Some(18), "a part of the file came: {ran:?}");
        assert!(have("curled") > before, "each brings some more");
        before = have("curled");
    }
    assert_eq!(runs, 3);
    assert!(std::fs::read(at.join("curled")).unwrap() == bytes);
    // wget does it by itself.
    let ran = program(at, "wget", &["-q", "-c", "--waitretry=0", "-O", "got", &cut]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(std::fs::read(at.join("got")).unwrap() == bytes);
    // What is there as a whole is not fetched again.
    let url = house.http_url(&format!("/shacache/{digest}"));
    for (name, arguments) in [("wget", ["-q", "-c", "-O", "got"]), ("curl", ["-sS", "-C-", "-o", "curled"])] {
        let ran = program(at, name, &[&arguments[..], &[url.as_str()]].concat());
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
    }
    assert!(have("got") == bytes.len() && have("curled") == bytes.len());
    ended_without_a_fault(house);
}

/// Section 2.3: the stock library goes on after each orderly cut.
#[test]
fn the_library_resumes() {
    let mut house = up();
    let client = NetworkCache::of(&house, &house.administrator());
    client.write("file", &bytes());
    client.upload(&["-f", "file", "-k", "key", "n=1"]).ok();
    let cut = scissors(house.port(), 1_000_000);
    let configuration = std::fs::read_to_string(client.path("cache.cfg")).unwrap();
    let through = configuration
        .replace(&format!("http://{}/shacache", house.http()), &format!("http://127.0.0.1:{cut}/shacache"));
    assert_ne!(through, configuration);
    client.write("cache.cfg", through.as_bytes());
    let program = "
import hashlib
from slapos.libnetworkcache import NetworkcacheClient
with open('cache.cfg') as f:
    client = NetworkcacheClient(f)
data = open('file', 'rb').read()
f = client.download(hashlib.sha512(data).hexdigest())
got = b''
while True:
    piece = f.read(100000)
    if not piece:
        break
    got += piece
assert got == data, (len(got), len(data))
print('ok')
";
    assert_eq!(client.python(program).ok(), "ok\n");
    let ran = house.stop();
    let parts = ran.stdout.lines().filter(|line| line.contains("GET /shacache/") && line.contains("\" 206 "));
    assert!(parts.count() >= 2, "{}", ran.stdout);
}

/// Ordinary clients of HTTP/2, over TLS and without: many at once on one connection, up and down, and parts of it.
#[test]
fn http_2_is_as_good() {
    let house = up();
    let service = service(&house, "build");
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let ca = house.data().join("server-ca.pem");
    let tls = ["--cacert", ca.to_str().unwrap(), "--cert", service.to_str().unwrap(), "--http2"];
    let curl = |more: &[&str]| {
        let ran = program(at, "curl", &[&["-sS", "-f"][..], &tls, more].concat());
        assert_eq!(ran.code, Some(0), "{more:?}: {ran:?}");
        ran.stdout
    };
    let bytes = bytes();
    std::fs::write(at.join("file"), &bytes).unwrap();
    let digest = Sha512::of(&bytes);
    for _ in 0..2 {
        let said = curl(&[
            "--data-binary",
            "@file",
            "-w",
            " %{http_code} %{http_version}",
            &house.https_url("/shacache"),
        ]);
        assert_eq!(said, format!("{digest} 201 2"));
    }
    let url = house.https_url(&format!("/shacache/{digest}"));
    assert_eq!(curl(&["-r", "4-7", "-o", "part", "-w", "%{http_code}", &url]), "206");
    assert_eq!(std::fs::read(at.join("part")).unwrap(), 1_u32.to_le_bytes());
    // Sixty at once on one connection.
    let many: Vec<String> =
        (0..60).flat_map(|n| ["-o".to_owned(), format!("many-{n}"), url.clone()]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    curl(&[&["-Z", "--parallel-max", "60"][..], &many].concat());
    for n in 0..60 {
        assert!(std::fs::read(at.join(format!("many-{n}"))).unwrap() == bytes, "{n}");
    }
    let plain = house.http_url(&format!("/shacache/{digest}"));
    let ran = program(at, "curl", &["-sS", "-f", "--http2-prior-knowledge", "-o", "plain", &plain]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(std::fs::read(at.join("plain")).unwrap() == bytes);
    ended_without_a_fault(house);
}

/// Section 15: TLS 1.2 and 1.3, without ALPN, a handshake for each request.
#[test]
fn old_tls_is_spoken() {
    let house = up();
    let service = service(&house, "build");
    let directory = tempfile::tempdir().unwrap();
    let ca = house.data().join("server-ca.pem");
    let url = house.https_url("/shacache");
    for version in ["1.2", "1.3"] {
        let arguments = [
            &["-sS", "--no-alpn", "--http1.1", "--no-sessionid", "--tls-max", version, "--tlsv1.2"][..],
            &["--cacert", ca.to_str().unwrap(), "--cert", service.to_str().unwrap()],
            &["-H", "Connection: close", "--data-binary", version, &url],
        ]
        .concat();
        let ran = program(directory.path(), "curl", &arguments);
        assert_eq!(ran.ok(), Sha512::of(version.as_bytes()).to_string(), "TLS {version}");
    }
    ended_without_a_fault(house);
}
