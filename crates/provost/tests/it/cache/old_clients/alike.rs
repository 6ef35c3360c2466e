//! The same arguments: the same output and the same exit codes.

use testkit::{House, NetworkCache, Ran, openssl, openssl_ok};

use super::Ours;
use crate::cache::commands::operator;
use crate::cache::{entry, keep, open};
use crate::houses::ended_without_a_fault;

/// Puts an unsigned entry with this behind its digest.
fn put(house: &House, key: &str, text: &str) {
    let entry = serde_json::json!([text, ""]).to_string();
    let url = house.http_url(&format!("/shadir/{key}"));
    let answer = testkit::http::anybody().put(url).body(entry).send().unwrap();
    assert_eq!(answer.status(), 201, "{text}");
}

/// A reader that believes everybody.
fn reader(house: &House) -> NetworkCache {
    let client = NetworkCache::of(house, &house.administrator());
    let http = house.http_url("");
    let http = http.trim_end_matches('/');
    let mut text = String::from("[networkcache]\n");
    for option in ["download", "upload"] {
        text.push_str(&format!("{option}-cache-url = {http}/shacache\n{option}-dir-url: {http}/shadir/\n"));
    }
    client.write("cache.cfg", text.as_bytes());
    client
}

/// What filters may meet.
const VALUES: &[&str] = &[
    "1",
    "2",
    "2.0",
    "1.5",
    "true",
    "null",
    "\"text\"",
    "\"\\u00e9\\ud83d\\ude00\\ud800\"",
    "[1, 2]",
    "[1, \"a\"]",
    "{\"k\": 1}",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e16",
    "1e300",
    "5e-324",
    "-0.0",
    "123456789012345678.0",
    "123456789012345678901234567890",
    "9007199254740993",
    "9007199254740992.0",
    "[]",
    "{}",
    "[[], {\"b\": [1.50], \"a\": 1E5}]",
    "\"\\u0000\\b\\f\\n\\r\\t\\\"/\\\\\\u007f\"",
];

#[test]
fn both_list_and_filter_alike() {
    let (house, ours) = (open(), Ours::new());
    let client = reader(&house);
    let digest = keep(&house, b"hello");
    for (n, value) in VALUES.iter().enumerate() {
        put(&house, "key", &format!("{{\"sha512\": \"{digest}\", \"n\": {n}, \"x\": {value}}}"));
    }
    put(&house, "key", &format!("{{\"sha512\": \"{digest}\", \"n\": 99, \" x\": 1, \"n\": 100}}"));
    let mut corpus: Vec<Vec<String>> = Vec::new();
    let mut add = |words: &[&str]| corpus.push(words.iter().map(|word| (*word).to_owned()).collect());
    add(&["-l"]);
    add(&[]);
    for operator in ["==", "<", "<=", ">", ">=", "<<", ">>"] {
        for value in ["1", "\"text\"", "[1, 2]", "null", "NaN", "9007199254740993"] {
            add(&["-l", &format!("x{operator}{value}")]);
        }
    }
    for words in [
        &["-l", "x== 1 "][..],
        &["-l", " x==1"],
        &["-l", "x ==1"],
        &["-l", "n>=3", "n<9", "x<<Infinity"],
        &["-l", "n>=3", "x>>-Infinity"],
        &["-l", "n>5", "nothing==1", "x<1"],
        &["--list", "n==100"],
        &["--li", "n==99"],
        &["n==3"],
        &["x==1", "--list"],
        &["-l", "x==\"\\u00e9\\ud83d\\ude00\\ud800\""],
        &["-l", "x==[1, \"a\"]"],
        &["-l", "x<[1, 3]"],
        &["-l", "x<[\"a\"]"],
        &["-l", "sha512>\"\""],
        &["x==77"],
    ] {
        add(words);
    }
    for words in &corpus {
        let words: Vec<&str> =
            [&["-k", "key"][..], &words.iter().map(String::as_str).collect::<Vec<_>>()].concat();
        let (theirs, ours) = (client.download(&words), ours.download(&client, &words));
        // With what they warn of, and what they say when nothing is found.
        assert_eq!(theirs, ours, "{words:?}");
    }
    ended_without_a_fault(house);
}

/// Where they die with a traceback, we say why; the exit code is theirs.
#[test]
fn both_fail_alike() {
    let (house, ours) = (open(), Ours::new());
    let client = reader(&house);
    let digest = keep(&house, b"hello");
    put(&house, "key", &format!("{{\"sha512\": \"{digest}\", \"n\": 1}}"));
    let absent = base::Sha512::of(b"absent");
    put(&house, "lost", &format!("{{\"sha512\": \"{absent}\", \"n\": 1}}"));
    client.write("file", b"file");
    client.write("list.json", b"[1]");
    client.write("broken.json", b"{");
    client.write("sha512.json", b"{\"sha512\": 1}");
    client.write("section.cfg", b"[other]\na = 1\n");
    let percent = std::fs::read_to_string(client.path("cache.cfg")).unwrap() + "[DEFAULT]\nx = 50%\n";
    client.write("percent.cfg", percent.as_bytes());
    client.write("double.cfg", b"[networkcache]\na = 1\nA = 2\n");
    client.write("nothing.cfg", b"[networkcache]\n");
    for arguments in [
        "download",
        "download -h",
        "download -c cache.cfg",
        "download -c cache.cfg -k",
        "download -c cache.cfg -k a -u b",
        "download -k key",
        "download -c absent.cfg -k key",
        "download -c cache.cfg -k key --bogus",
        "download -c cache.cfg -k none",
        "download -c cache.cfg -k none n",
        "download -c cache.cfg -k key n=1",
        "download -c cache.cfg -k key n==x",
        "download -c cache.cfg -k key n",
        "download -c cache.cfg -k key a<<=3",
        "download -c cache.cfg -k lost",
        "download -c cache.cfg -k lost -l",
        "download -c section.cfg -k key",
        "download -c percent.cfg -k key",
        "download -c double.cfg -k key",
        "download -c nothing.cfg -k key",
        "upload",
        "upload -h",
        "upload -c cache.cfg",
        "upload -c cache.cfg -k key",
        "upload -c cache.cfg -k a -u b -f file",
        "upload -f file",
        "upload -c absent.cfg -f file",
        "upload -c cache.cfg -f absent",
        "upload -c cache.cfg -f .",
        "upload -c cache.cfg -f file word",
        "upload -c cache.cfg -f file -k x word",
        "upload -c cache.cfg -f file -k x",
        "upload -c cache.cfg -f file -k x key=1",
        "upload -c cache.cfg -f file -k x sha512=1",
        "upload -c cache.cfg -f file -k x file_descriptor=1",
        "upload -c cache.cfg -f file -k x -m absent.json",
        "upload -c cache.cfg -f file -k x -m list.json",
        "upload -c cache.cfg -f file -k x -m broken.json",
        "upload -c cache.cfg -f file -k x -m sha512.json",
        "upload -c cache.cfg -u absent",
        "upload -c cache.cfg -f file -m absent.json",
        "upload -c cache.cfg -f file -k x =1",
        "upload --conf cache.cfg --fi file --k y n=1",
        "upload -c section.cfg -f file",
        "upload -c nothing.cfg -f file",
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let name = format!("networkcache-{}", words[0]);
        let (theirs, ours): (Ran, Ran) =
            (client.program(&name, &words[1..]), ours.run(&client, &name, &words[1..]));
        assert_eq!(theirs.code, ours.code, "{arguments}: {theirs:?} {ours:?}");
        if !arguments.ends_with("-h") {
            assert_eq!(theirs.stdout, ours.stdout, "{arguments}");
        }
        let is_told = !ours.stderr.is_empty() && !ours.stderr.contains("panicked");
        assert!(is_told || ours.code == Some(0), "{arguments}: {ours:?}");
        // Nobody reads a traceback to learn that usage is wrong.
        if ours.code == Some(2) {
            assert!(theirs.stderr.starts_with("usage: ") && ours.stderr.contains("Usage: "), "{ours:?}");
        }
    }
    let said = |arguments: &[&str]| ours.upload(&client, arguments).stderr;
    assert_eq!(said(&["-f", "file", "-k", "x", "-m", "list.json"]), "Not a dictionary: list.json\n");
    assert!(said(&["-f", "file", "-k", "x", "-m", "broken.json"]).starts_with("broken.json: "));
    assert!(said(&["-k", "x"]).contains("either --file or --url is required"));
    // What stood on its own line before is still there: the object, for one.
    assert_eq!(ours.download(&client, &["-k", "y"]).ok(), "file");
    ended_without_a_fault(house);
}

/// An entry that would break old clients is passed over; where everybody's are believed, ours among them.
#[test]
fn who_is_believed_is_the_same() {
    let (house, ours) = (open(), Ours::new());
    let administrator = house.administrator();
    let (alice, mallory) =
        (NetworkCache::of(&house, &administrator), NetworkCache::of(&house, &administrator));
    for (client, text) in [(&mallory, "evil"), (&alice, "good")] {
        client.write("file", text.as_bytes());
        ours.upload(client, &["-f", "file", "-k", "key", &format!("by={text}")]).ok();
    }
    put(&house, "key", &serde_json::from_str::<Vec<String>>(&entry(base::Sha512::of(b""), 1)).unwrap()[0]);
    let [own, theirs] = [&alice, &mallory].map(NetworkCache::certificate);
    let key = std::fs::read_to_string(alice.path("sign.key")).unwrap();
    for trusted in [&[&own[..]][..], &[&theirs, &own], &[&own, "text between\n", &theirs]] {
        alice.write_configuration(&house, &administrator, trusted);
        let list = alice.download(&["-k", "key", "-l"]);
        assert_eq!(ours.download(&alice, &["-k", "key", "-l"]).ok(), list.ok(), "{}", trusted.len());
        assert_eq!(list.ok().matches("sha512").count(), if trusted.len() == 1 { 1 } else { 2 });
    }
    // Whoever does not believe itself would upload for ever.
    alice.write_configuration(&house, &administrator, &[&theirs]);
    for ran in [alice.download(&["-k", "key"]), ours.download(&alice, &["-k", "key"])] {
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        assert!(ran.stderr.contains("no matching certificate for private key"), "{}", ran.stderr);
    }
    // Here we are stricter: the stock client publishes the key, and believes everybody if it can read nothing.
    alice.write_configuration(&house, &administrator, &[&own, &key]);
    let ran = ours.download(&alice, &["-k", "key"]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("there is a private key among the certificates"),
        "{ran:?}"
    );
    ended_without_a_fault(house);
}

/// Of a certificate the key counts and nothing else (section 18.7): with 1024 bits, signed with SHA-1, and over, as one is
/// that old nodes come with.
#[test]
fn who_signs_counts_when_their_certificate_is_over() {
    let (house, ours) = (open(), Ours::new());
    let administrator = house.administrator();
    let [signer, other] = [(); 2].map(|()| NetworkCache::of(&house, &administrator));
    let again =
        ["x509", "-in", "sign.crt", "-signkey", "sign.key", "-sha1", "-days", "-1", "-out", "over.crt"];
    openssl_ok(signer.directory(), &again);
    let shown = ["x509", "-in", "over.crt", "-noout", "-text", "-checkend", "0"];
    let shown = openssl(signer.directory(), &shown);
    assert_eq!(shown.code, Some(1), "it has expired: {shown:?}");
    for part in ["sha1WithRSAEncryption", "(1024 bit)"] {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
    let over = std::fs::read_to_string(signer.path("over.crt")).unwrap();
    signer.write_configuration(&house, &administrator, &[&over]);
    signer.write("file", b"theirs");
    signer.upload(&["-f", "file", "-k", "key", "by=them"]).ok();
    signer.write("file", b"ours");
    ours.upload(&signer, &["-f", "file", "-k", "key", "by=us"]).ok();
    for (filter, expected) in [("by==\"them\"", "theirs"), ("by==\"us\"", "ours")] {
        assert_eq!(signer.download(&["-k", "key", filter]).ok(), expected);
        assert_eq!(ours.download(&signer, &["-k", "key", filter]).ok(), expected);
        // It is looked at who signed.
        for ran in [other.download(&["-k", "key", filter]), ours.download(&other, &["-k", "key", filter])] {
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        }
    }
    // Where weak signatures count at all, so do those.
    let operator = operator(&house);
    let signers = format!("[[root.signer]]\nname = \"old\"\ncertificates = \"\"\"\n{over}\"\"\"\n");
    let trust = format!("[[root]]\nname = \"old\"\nkeys = [\"*\"]\nweak = true\n{signers}");
    operator.write(".config/provost/cache-trust.toml", &trust);
    operator.run("cache get key --where by==\"them\" --out got").ok();
    assert_eq!(std::fs::read(operator.home().join("got")).unwrap(), b"theirs");
    ended_without_a_fault(house);
}

/// What is said of bytes is looked at when they are kept already (section 18.13).
#[test]
fn bytes_are_kept_before_what_is_said_of_them_is_refused() {
    let (house, ours) = (open(), Ours::new());
    let client = NetworkCache::of(&house, &house.administrator());
    for who in ["them", "us"] {
        client.write("file", format!("bytes of {who}").as_bytes());
        let artifact =
            house.http_url(&format!("/shacache/{}", base::Sha512::of(format!("bytes of {who}").as_bytes())));
        let get = |url: &str| testkit::http::anybody().get(url).send().unwrap();
        assert_eq!(get(&artifact).status(), 404, "nothing of {who} is there");
        let arguments = ["-f", "file", "-k", who];
        let ran = if who == "us" { ours.upload(&client, &arguments) } else { client.upload(&arguments) };
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains("metadata should not be empty"), "{ran:?}");
        assert_eq!(get(&artifact).text().unwrap(), format!("bytes of {who}"));
        assert_eq!(get(&house.http_url(&format!("/shadir/{who}"))).status(), 404, "nothing is said of it");
    }
    ended_without_a_fault(house);
}
