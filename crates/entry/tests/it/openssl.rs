//! What `openssl` makes of our signatures: of the outer one, and of the attestation, whose message Python builds as its
//! documentation says.

use std::path::Path;
use std::process::{Command, Output};

use base::{Sha512, Timestamp};
use entry::{Claims, New, Object, SigningKey, TrustList, Value, json};
use x509::{KeySpec, PrivateKey};

/// Makes the message of an attestation out of the text of an entry. Sorted names are those of RFC 8785 as long as none lies
/// above U+FFFF, and numbers as long as they are small and short.
const MESSAGE: &str = r#"
import base64, json, sys
statement = json.load(open("text"))
signature = statement["provost"].pop("sig")
form = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
open("message", "wb").write(b"provost cache entry v1\n" + form.encode())
open("signature", "wb").write(base64.b64decode(signature, validate=True))
"#;

fn run(dir: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(dir).output().unwrap()
}

fn must(dir: &Path, program: &str, arguments: &[&str]) {
    let output = run(dir, program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

fn metadata() -> Object {
    let text = r#"{"url": "http://example.invalid/é\n", "os": ["debian", "12.9", "bookworm"], "n": 1.5, "b": {"z": true, "a": null}}"#;
    json::read(text).unwrap().as_object().unwrap().clone()
}

#[test]
fn openssl_verifies_an_attestation() {
    let dir = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    let claims = Claims {
        key: "pypi:pytz=2016.10".into(),
        size: 5,
        created: Timestamp::from_unix(1_763_740_800),
        expires: Some(Timestamp::from_unix(1_795_276_800)),
        sequence: 7,
        revokes: vec![Sha512::of(b"")],
    };
    let new = New { sha512: Sha512::of(b"hello"), metadata: metadata(), attestation: Some((&claims, &key)) };
    let entry = new.sign(None).unwrap();
    std::fs::write(dir.path().join("text"), entry.text()).unwrap();
    std::fs::write(dir.path().join("key.pem"), key.to_pem().expose()).unwrap();
    must(dir.path(), "/usr/bin/python3", &["-I", "-c", MESSAGE]);
    must(dir.path(), "openssl", &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
    let verify = [
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "public.pem",
        "-rawin",
        "-in",
        "message",
        "-sigfile",
        "signature",
    ];
    must(dir.path(), "openssl", &verify);
    std::fs::write(dir.path().join("message"), "another").unwrap();
    assert!(!run(dir.path(), "openssl", &verify).status.success());
    // Who signed is the digest of what `openssl pkey -pubin -outform DER` prints.
    must(
        dir.path(),
        "openssl",
        &["pkey", "-pubin", "-in", "public.pem", "-outform", "DER", "-out", "public.der"],
    );
    let spki = std::fs::read(dir.path().join("public.der")).unwrap();
    let member = entry.statement().get("provost").and_then(Value::as_object).unwrap();
    let signer = member.get("signer").and_then(Value::as_str).unwrap();
    assert_eq!(signer, base::hex::encode(&base::sha256(&spki)));
}

#[test]
fn openssl_verifies_what_keys_of_all_sizes_sign_and_we_what_it_signs() {
    for bits in ["1024", "2048", "3072", "4096"] {
        let dir = tempfile::tempdir().unwrap();
        let request = ["req", "-x509", "-newkey", &format!("rsa:{bits}"), "-nodes", "-keyout", "key.pem"];
        let request =
            [&request[..], &["-out", "certificate.pem", "-subj", "/CN=test", "-days", "1"]].concat();
        must(dir.path(), "openssl", &request);
        must(dir.path(), "openssl", &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let (key, trust) = (
            SigningKey::from_pem(&read("key.pem")).unwrap(),
            TrustList::parse(&read("certificate.pem")).unwrap(),
        );
        assert_eq!(key.bits().to_string(), bits);
        let new = New { sha512: Sha512::of(b"hello"), metadata: metadata(), attestation: None };
        let entry = new.sign(Some(&key)).unwrap();
        assert_eq!((trust.verified_by(&entry), trust.check_signer(&key)), (Some(0), Ok(())));

        std::fs::write(dir.path().join("text"), entry.text()).unwrap();
        std::fs::write(dir.path().join("base64"), format!("{}\n", entry.signature())).unwrap();
        must(dir.path(), "openssl", &["base64", "-d", "-A", "-in", "base64", "-out", "signature"]);
        let verify = ["dgst", "-sha1", "-verify", "public.pem", "-signature", "signature", "text"];
        must(dir.path(), "openssl", &verify);

        // In lines of 64 characters, as `openssl base64` writes them.
        must(dir.path(), "openssl", &["dgst", "-sha1", "-sign", "key.pem", "-out", "signature", "text"]);
        must(dir.path(), "openssl", &["base64", "-in", "signature", "-out", "lines"]);
        assert_eq!(trust.verified_text_by(entry.text(), &read("lines")), Some(0));
    }
}
