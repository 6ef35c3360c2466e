//! The stock clients live with us as with their own servers.

use testkit::NetworkCache;

use crate::houses::{ended_without_a_fault, up};

use super::service;

#[test]
fn what_a_service_uploads_anybody_downloads() {
    let house = up();
    let client = NetworkCache::of(&house, &service(&house, "build-1"));
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    client.write("file", &bytes);
    // Keys are not escaped by these clients, and need not be.
    for key in ["plain", "'quoted-key'", "a/b", "a/b/c", "pypi:x=1.0+y~z@!"] {
        assert_eq!(client.upload(&["-f", "file", "-k", key, "n=1", "e=\u{e9}"]).ok(), "", "{key}");
        let list = client.download(&["-k", key, "-l"]);
        let expected = format!(
            "[\n  {{\n    \"e\": \"\\u00e9\",\n    \"n\": \"1\",\n    \"sha512\": \"{}\"\n  }}\n]\n",
            base::Sha512::of(&bytes)
        );
        assert_eq!(list.ok(), expected, "{key}");
    }
    let script = "import subprocess, sys; out = subprocess.run([sys.argv[1], '-c', 'cache.cfg', '-k', 'a/b'], \
                  stdout=open('got', 'wb')).returncode; sys.exit(out)";
    let downloader = testkit::witness("networkcache-download");
    client.program("python", &["-c", script, downloader.to_str().unwrap()]).ok();
    assert!(std::fs::read(client.path("got")).unwrap() == bytes, "the bytes are others");
    let none = client.download(&["-k", "none"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), ""));
    assert!(none.stderr.contains("404"), "{}", none.stderr);
    ended_without_a_fault(house);
}

#[test]
fn a_url_and_a_directory_are_uploaded() {
    let house = up();
    let client = NetworkCache::of(&house, &house.administrator());
    client.write("file", b"hello");
    client.upload(&["-f", "file", "-u", "http://example.invalid/file"]).ok();
    assert_eq!(client.download(&["-u", "http://example.invalid/file"]).ok(), "hello");
    std::fs::create_dir(client.path("folder")).unwrap();
    client.write("folder/inside", b"hello");
    client.upload(&["-u", "folder", "kind=folder"]).ok();
    let listed = client.download(&["-u", "folder", "-l", "kind==\"folder\""]);
    assert!(listed.ok().contains("\"url\": \"folder\""), "{listed:?}");
    // What is there is not sent again; without a key, nothing is said of it.
    client.upload(&["-f", "file"]).ok();
    ended_without_a_fault(house);
}

/// Entries by somebody who is not trusted are there, and not believed; filters choose among the others.
#[test]
fn the_first_entry_that_is_believed_is_taken() {
    let house = up();
    let administrator = house.administrator();
    let (alice, mallory) =
        (NetworkCache::of(&house, &administrator), NetworkCache::of(&house, &administrator));
    for (client, text, n) in [(&mallory, "evil", "9"), (&alice, "one", "1"), (&alice, "two", "2")] {
        client.write("file", text.as_bytes());
        client.upload(&["-f", "file", "-k", "key", &format!("n={n}")]).ok();
    }
    assert_eq!(alice.download(&["-k", "key"]).ok(), "one");
    assert_eq!(alice.download(&["-k", "key", "n==\"2\""]).ok(), "two");
    assert_eq!(mallory.download(&["-k", "key"]).ok(), "evil");
    alice.write_configuration(&house, &administrator, &[&mallory.certificate(), &alice.certificate()]);
    assert_eq!(alice.download(&["-k", "key"]).ok(), "evil");
    ended_without_a_fault(house);
}

#[test]
fn the_library_reads_in_pieces() {
    let house = up();
    let client = NetworkCache::of(&house, &house.administrator());
    let program = "
import hashlib, io
from slapos.libnetworkcache import NetworkcacheClient
with open('cache.cfg') as f:
    client = NetworkcacheClient(f)
data = bytes(range(256)) * 5000
digest = client.upload(io.BytesIO(data), 'pieces', name='pieces')
assert digest == hashlib.sha512(data).hexdigest()
assert client.upload(io.BytesIO(data), 'pieces', name='pieces') == digest
entries = list(client.select('pieces'))
assert len(entries) == 1, entries
f = client.download(digest)
got = b''
while True:
    piece = f.read(1000)
    if not piece:
        break
    got += piece
assert got == data
assert client.download(digest).read() == data
client.upload(io.BytesIO(b''), 'empty', name='empty')
assert client.download(hashlib.sha512(b'').hexdigest()).read() == b''
print('ok')
";
    assert_eq!(client.python(program).ok(), "ok\n");
    ended_without_a_fault(house);
}

#[test]
fn slapcache_uploads_and_downloads() {
    let house = up();
    let client = NetworkCache::of(&house, &service(&house, "upgrader"));
    client.write("upgrade", b"[debian]\nupgrade = yes\n");
    let configuration = format!("--slapos-configuration={}", client.path("cache.cfg").display());
    let upload = client.program("slapcache-upload", &[&configuration, "--file", "upgrade"]);
    assert_eq!(upload.code, Some(0), "{upload:?}");
    let download = client.program("slapcache-download", &[&configuration, "--destination", "got"]);
    assert_eq!(download.code, Some(0), "{download:?}");
    assert_eq!(std::fs::read(client.path("got")).unwrap(), b"[debian]\nupgrade = yes\n", "{download:?}");
    ended_without_a_fault(house);
}
