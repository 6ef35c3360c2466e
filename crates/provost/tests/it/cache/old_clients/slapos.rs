//! Servers of others: slapos.core's proxy and the stock library's test server are caches to our clients. And slapos.core's
//! node agent is a client to our server.

use std::path::Path;
use std::process::Command;

use testkit::{NetworkCache, Process, run, slapos_python, witness};

use super::Ours;
use crate::cache::open;
use crate::houses::ended_without_a_fault;

/// Serves the proxy's network cache from two folders, on a port that it prints.
const PROXY: &str = "
import os, sys
from werkzeug.serving import make_server
from slapos.proxy.views import app
app.config.update(
    DATABASE_URI='proxy.db', SHACACHE_CONTENT_DIRECTORY=os.path.abspath('objects'),
    SHACACHE_METADATA_DIRECTORY=os.path.abspath('entries'),
    computer_id='computer', software_product_list={}, multimaster={}, run_id='run')
if sys.argv[1]:
    app.config.update(SHACACHE_UPSTREAM_CACHE_URL=sys.argv[1], SHACACHE_UPSTREAM_DIR_URL=sys.argv[2])
server = make_server('127.0.0.1', 0, app, threaded=True)
print(server.port, flush=True)
server.serve_forever()
";

/// A server in Python that prints its port, and its URL.
pub fn serve(python: &Path, client: &NetworkCache, program: &str, arguments: &[&str]) -> (Process, String) {
    for folder in ["objects", "entries", "tree"] {
        let _ = std::fs::create_dir(client.path(folder));
    }
    let mut server = Command::new(python);
    server.args(["-c", program]).args(arguments).current_dir(client.directory());
    let server = Process::spawn(&mut server);
    let port = server.wait_for_stdout(|said| said.ends_with('\n')).unwrap_or_else(|said| panic!("{said}"));
    let url = format!("http://127.0.0.1:{}", port.trim());
    (server, url)
}

/// From now on, `client` reads and writes there.
fn point_at(client: &NetworkCache, artifacts: &str, entries: &str) {
    let text = std::fs::read_to_string(client.path("cache.cfg")).unwrap();
    let mut lines: Vec<String> =
        text.lines().filter(|line| !line.contains("load-")).map(str::to_owned).collect();
    for direction in ["download", "upload"] {
        lines.insert(1, format!("{direction}-cache-url = {artifacts}"));
        lines.insert(1, format!("{direction}-dir-url = {entries}"));
    }
    client.write("cache.cfg", (lines.join("\n") + "\n").as_bytes());
}

#[test]
fn the_proxy_is_a_cache_to_our_clients() {
    let (house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    let (_proxy, url) = serve(&slapos_python(), &client, PROXY, &["", ""]);
    point_at(&client, &format!("{url}/shacache/cache"), &format!("{url}/shacache/dir"));
    let bytes = vec![b'x'; 3_000_000];
    client.write("file", &bytes);
    assert_eq!(ours.download(&client, &["-k", "none"]).code, Some(1));
    for n in ["n=1", "n=2"] {
        assert_eq!(ours.upload(&client, &["-f", "file", "-k", "key:x", n]).ok(), "");
    }
    assert!(ours.download(&client, &["-k", "key:x"]).ok().as_bytes() == bytes);
    // It replaces what there was: one entry is left.
    let list = ours.download(&client, &["-k", "key:x", "-l"]);
    assert_eq!(list.ok().matches("\"n\": \"2\"").count(), 1, "{list:?}");
    assert_eq!(client.download(&["-k", "key:x", "-l"]).ok(), list.ok());
    client.upload(&["-f", "file", "-k", "key:y", "n=3"]).ok();
    assert!(ours.download(&client, &["-k", "key:y", "n==\"3\""]).ok().as_bytes() == bytes);
    let configuration = ["--slapos-configuration=cache.cfg", "--file", "file"];
    ours.run(&client, "slapcache-upload", &configuration).ok();
    ours.run(&client, "slapcache-download", &[configuration[0], "--destination", "got"]).ok();
    assert!(std::fs::read(client.path("got")).unwrap() == bytes);
    ended_without_a_fault(house);
}

/// It fetches from us what it does not have, and hands it on.
#[test]
fn the_proxy_stands_between_our_clients_and_our_server() {
    let (house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    let [artifacts, entries] = ["/shacache", "/shadir"].map(|path| house.http_url(path));
    point_at(&client, &artifacts, &entries);
    let bytes = vec![b'y'; 3_000_000];
    client.write("file", &bytes);
    ours.upload(&client, &["-f", "file", "-k", "key:x", "n=1"]).ok();
    let list = ours.download(&client, &["-k", "key:x", "-l"]).ok().to_owned();
    let (_proxy, url) = serve(&slapos_python(), &client, PROXY, &[&artifacts, &entries]);
    point_at(&client, &format!("{url}/shacache/cache"), &format!("{url}/shacache/dir"));
    assert_eq!(ours.download(&client, &["-k", "key:x", "-l"]).ok(), list);
    for _ in ["from us", "from its folder"] {
        assert!(ours.download(&client, &["-k", "key:x"]).ok().as_bytes() == bytes);
    }
    assert_eq!(ours.download(&client, &["-k", "key:y"]).code, Some(1));
    ended_without_a_fault(house);
}

/// The stock library's own server for tests: HTTP/1.0, one connection at a time, no HEAD and no ranges, and it dies when a
/// client hangs up on it.
pub const TEST_SERVER: &str = "
from slapos.libnetworkcachetests import NCHandler, Server
server = Server('tree', ('127.0.0.1', 0), NCHandler)
print(server.server_port, flush=True)
server.serve_forever()
";

#[test]
fn their_test_server_is_a_cache_to_our_clients() {
    let (house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    let (_server, url) = serve(&witness("python"), &client, TEST_SERVER, &[]);
    point_at(&client, &format!("{url}/shacache"), &format!("{url}/shadir"));
    let bytes = vec![b'x'; 3_000_000];
    client.write("file", &bytes);
    client.write("small", b"small");
    for (file, n) in [("file", "n=1"), ("small", "n=2"), ("small", "n=2")] {
        assert_eq!(ours.upload(&client, &["-f", file, "-k", "key:x", n]).ok(), "");
    }
    assert!(ours.download(&client, &["-k", "key:x"]).ok().as_bytes() == bytes);
    assert_eq!(ours.download(&client, &["-k", "key:x", "n==\"2\""]).ok(), "small");
    // It keeps both of two that are alike.
    let list = ours.download(&client, &["-k", "key:x", "-l"]);
    assert_eq!(list.ok().matches("\"n\": \"2\"").count(), 2, "{list:?}");
    assert_eq!(client.download(&["-k", "key:x", "-l"]).ok(), list.ok());
    assert_eq!(ours.download(&client, &["-k", "key:y"]).code, Some(1));
    ended_without_a_fault(house);
}

/// The node agent uploads a compiled release, finds it again, and refuses what somebody else signed.
const AGENT: &str = "
import hashlib, logging, sys
from slapos.grid import networkcache
networkcache.multiarch = lambda: 'x86_64-linux-gnu'
url = sys.argv[1]
logger = logging.getLogger()
certificate, stranger = open('sign.crt').read(), open('other.crt').read()
release = 'http://example.invalid/software.cfg'
key = hashlib.md5(release.encode()).hexdigest()
cache, directory = url + '/shacache', url + '/shadir'
def upload():
    return networkcache.upload_network_cached(
        '/opt/slapgrid', release, key, cache, directory, 'release.tar', logger, 'sign.key', [certificate],
        None, None, None, None, None, None)
def download(trusted, path):
    return networkcache.download_network_cached(
        cache, directory, release, '/opt/slapgrid', key, path, logger, trusted, [])
assert not download([certificate], 'got'), 'nothing is there yet'
assert upload()
assert download([certificate], 'got')
assert open('got', 'rb').read() == open('release.tar', 'rb').read()
assert not download([stranger], 'not'), 'by somebody else'
assert not download([], 'not'), 'nobody is trusted'
print(len(list(networkcache.download_entry_list(cache, directory, key, logger, [certificate]))), key)
";

#[test]
fn the_node_agent_keeps_its_releases_with_us() {
    let (house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    client.write("release.tar", &[7; 1_000_000]);
    client.write("other.crt", NetworkCache::of(&house, &house.administrator()).certificate().as_bytes());
    let url = house.http_url("");
    let mut agent = Command::new(slapos_python());
    agent.args(["-c", AGENT, url.trim_end_matches('/')]).current_dir(client.directory());
    let ran = run(&mut agent);
    let said = ran.ok().trim().to_owned();
    let (entries, key) = said.split_once(' ').unwrap();
    assert_eq!(entries, "1", "{ran:?}");
    let list = ours.download(&client, &["-k", key, "-l"]);
    for part in ["\"multiarch\": \"x86_64-linux-gnu\"", "\"software_root\": \"/opt/slapgrid\"", "\"os\": ["] {
        assert!(list.ok().contains(part), "{list:?}");
    }
    ended_without_a_fault(house);
}
