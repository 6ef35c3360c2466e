//! Entries that their signers withdrew, and whoever does not know of that.

use base::{Sha512, Timestamp};
use entry::new::withdrawal;
use entry::{Claims, Entry, New, Object, Value};
use serde_json::json;
use testkit::http::{anybody, holder_of};
use testkit::{Face, House};
use x509::{KeySpec, PrivateKey, pem};

use crate::houses::{ended_without_a_fault, plan};

const KEY: &str = "file-urlmd5:0cc1";

fn claims(sequence: u64) -> Claims {
    let created = Timestamp::from_unix(1_700_000_000);
    Claims { key: KEY.into(), size: 5, created, expires: None, sequence, revokes: Vec::new() }
}

fn shown(house: &House) -> Vec<String> {
    let answer = anybody().get(house.http_url(&format!("/shadir/{KEY}"))).send().unwrap();
    assert_eq!(answer.status(), 200);
    let pairs: Vec<(String, String)> = serde_json::from_str(&answer.text().unwrap()).unwrap();
    pairs.into_iter().map(|(text, _)| text).collect()
}

#[test]
fn old_readers_do_not_see_what_was_withdrawn() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trust.toml");
    let anna = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    let public = pem::write("PUBLIC KEY", anna.public().spki());
    let root = format!(
        "[[root]]\nname = \"us\"\n\n[[root.signer]]\nname = \"anna\"\npublic_keys = \"\"\"\n{public}\"\"\"\n"
    );
    std::fs::write(&file, root).unwrap();
    let attested = |sequence: u64| {
        let mut metadata = Object::new();
        metadata.insert("n", Value::text(&sequence.to_string()));
        let attestation = Some((&claims(sequence), &anna));
        New { sha512: Sha512::of(b"hello"), metadata, attestation }.sign(None).unwrap()
    };
    let (first, second) = (attested(1), attested(2));
    let withdraws = withdrawal(&claims(3), [&first], &anna, None).unwrap();
    let house = plan(Face::Up)
        .option("cache-writers", "everyone")
        .option("cache-hide-withdrawn", file.to_str().unwrap())
        .start();
    let put = |entry: &Entry| {
        let body = json!([entry.text(), entry.signature()]).to_string();
        let sent = anybody().put(house.http_url(&format!("/shadir/{KEY}"))).body(body).send().unwrap();
        assert_eq!(sent.status(), 201);
    };
    put(&first);
    put(&second);
    assert_eq!(shown(&house), [first.text(), second.text()]);
    put(&withdraws);
    assert_eq!(shown(&house), [second.text(), withdraws.text()]);
    let url = house.https_url("/v1/cache/entries");
    let all: serde_json::Value =
        serde_json::from_str(&holder_of(&house.administrator()).get(url).send().unwrap().text().unwrap())
            .unwrap();
    let by: Vec<&serde_json::Value> =
        all["items"].as_array().unwrap().iter().map(|item| &item["withdrawn_by"]).collect();
    assert_eq!(by, [&json!(withdraws.text_digest().to_string()), &json!(null), &json!(null)]);
    ended_without_a_fault(house);
}
