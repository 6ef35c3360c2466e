//! What is on the way between a client of ours and a cache: cut cables, passwords, signals.

use std::io::Read as _;
use std::process::{Command, Stdio};

use testkit::{Cable, NetworkCache, Pass, Process, openssl_ok, wait_until, witness};

use super::slapos::serve;
use super::{Ours, is_tidy};
use crate::cache::{keep, open, with_users};
use crate::houses::ended_without_a_fault;

/// The configuration of a client that reads and writes at `url`, with `more` lines.
fn configure(client: &NetworkCache, url: &str, more: &str) {
    let url = url.trim_end_matches('/');
    let mut text = String::from("[networkcache]\n");
    for option in ["download", "upload"] {
        text.push_str(&format!("{option}-cache-url = {url}/shacache\n{option}-dir-url = {url}/shadir\n"));
    }
    client.write("cache.cfg", (text + more).as_bytes());
}

#[test]
fn a_download_goes_on_when_the_cable_is_cut() {
    let (mut house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    let cable = Cable::to(house.port());
    configure(&client, &format!("http://127.0.0.1:{}", cable.port()), "");
    let bytes: Vec<u8> = (0..16_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = keep(&house, &bytes);
    client.write("file", &bytes);
    assert_eq!(
        ours.upload(&client, &["-f", "file", "-k", "key", "n=1", "--print-digest"]).ok().trim(),
        digest.to_string()
    );
    let mut download = Command::new(ours.path("networkcache-download"));
    download.current_dir(client.directory()).env_clear().args(["-c", "cache.cfg", "-k", "key"]);
    let mut download = download.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = download.stdout.take().unwrap();
    // What is not read here stops the client, and the server behind it.
    let mut got = vec![0; 100_000];
    out.read_exact(&mut got).unwrap();
    cable.set(Pass::Nothing);
    cable.set(Pass::All);
    let mut more = vec![0; 20_000_000];
    out.read_exact(&mut more).unwrap();
    // And when the server is another one.
    house.kill();
    house.start();
    got.extend_from_slice(&more);
    out.read_to_end(&mut got).unwrap();
    assert!(download.wait().unwrap().success());
    assert!(got == bytes, "the bytes are others");
    ended_without_a_fault(house);
}

#[test]
fn passwords_stand_in_urls_and_https_needs_no_certificate() {
    let (_directory, plan) = with_users(&["bob", "us%er"]);
    let (house, ours) = (plan.start(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    let ca = house.data().join("server-ca.pem");
    let tls = format!("shacache-ca-file = {0}\nshadir-ca-file = {0}\n", ca.display());
    client.write("file", b"hello");
    let upload = |user: &str, more: &str| {
        configure(&client, &house.https_url("").replace("https://", &format!("https://{user}")), more);
        ours.upload(&client, &["-f", "file", "-k", "key", "n=1"])
    };
    for user in ["bob:bob@", "us%%25er:us%%25er@"] {
        assert_eq!(upload(user, &tls).ok(), "", "{user}");
        assert_eq!(ours.download(&client, &["-k", "key"]).ok(), "hello");
    }
    client.write("file", b"other");
    for (user, more, expected) in [
        ("", &tls[..], "the server answered 401 to POST "),
        ("bob:wrong@", &tls, "the server answered 401 to POST "),
        // The system's authorities do not know ours.
        ("bob:bob@", "", "could not "),
    ] {
        let ran = upload(user, more);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{user}");
        assert!(ran.stderr.contains(expected) && !ran.stderr.contains("wrong"), "{}", ran.stderr);
    }
    ended_without_a_fault(house);
}

/// A server that has one entry under every key, behind TLS with a certificate that it signed itself.
const SELF_SIGNED: &str = "
import http.server, json, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps([[json.dumps({'sha512': '0' * 128}), '']]).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('self.crt', 'self.key')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

/// As OpenSSL does it for old clients: the file of authorities may hold the server's own certificate.
#[test]
fn a_server_may_be_its_own_authority() {
    let (house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    for (file, name) in [("self", "IP:127.0.0.1"), ("other", "IP:127.0.0.1"), ("elsewhere", "IP:127.0.0.2")] {
        let (names, key, certificate) =
            (format!("subjectAltName={name}"), format!("{file}.key"), format!("{file}.crt"));
        let arguments =
            ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "10", "-subj", "/CN=cache"];
        let more = ["-addext", &names, "-keyout", &key, "-out", &certificate];
        openssl_ok(client.directory(), &[&arguments[..], &more].concat());
    }
    let (_server, url) = serve(&witness("python"), &client, SELF_SIGNED, &[]);
    for (file, expected) in [("self", Some(0)), ("other", Some(1))] {
        configure(&client, &url.replace("http:", "https:"), &format!("shadir-ca-file = {file}.crt\n"));
        let ran = ours.download(&client, &["-k", "key", "-l"]);
        assert_eq!(ran.code, expected, "{ran:?}");
        assert!(expected == Some(0) || ran.stderr.contains("could not reach https://"), "{ran:?}");
    }
    // What it says of its name counts.
    for file in ["crt", "key"] {
        std::fs::rename(client.path(&format!("elsewhere.{file}")), client.path(&format!("self.{file}")))
            .unwrap();
    }
    let (_server, url) = serve(&witness("python"), &client, SELF_SIGNED, &[]);
    configure(&client, &url.replace("http:", "https:"), "shadir-ca-file = self.crt\n");
    let ran = ours.download(&client, &["-k", "key", "-l"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("could not reach https://"), "{ran:?}");
    ended_without_a_fault(house);
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let (house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    let cable = Cable::to(house.port());
    configure(&client, &format!("http://127.0.0.1:{}", cable.port()), "");
    std::fs::create_dir(client.path("folder")).unwrap();
    client.write("folder/file", b"hello");
    cable.set(Pass::Later);
    let mut upload = Command::new(ours.path("networkcache-upload"));
    upload.current_dir(client.directory()).env_clear().args(["-c", "cache.cfg", "-u", "folder"]);
    let upload = Process::spawn(&mut upload);
    wait_until("it has packed the folder", || !is_tidy(client.directory()));
    upload.terminate();
    assert_eq!(upload.wait().code, Some(128 + 15));
    assert!(is_tidy(client.directory()));
}
