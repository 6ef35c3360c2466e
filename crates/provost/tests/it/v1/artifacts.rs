//! What is in the artifact cache, and how it is looked after.

use base::Sha512;
use serde_json::{Value, json};
use testkit::{Face, House};

use super::Asker;
use crate::houses::{ended_without_a_fault, plan, up};

/// Sends an artifact, and entries about it under these keys.
fn publish(house: &House, bytes: &str, keys: &[&str]) -> String {
    let client = testkit::http::holder_of(&house.administrator());
    let sent = client.post(house.https_url("/shacache")).body(bytes.to_owned()).send().unwrap();
    assert_eq!(sent.status(), 201);
    let digest = Sha512::of(bytes.as_bytes()).to_string();
    for key in keys {
        let text = format!("{{\"sha512\": \"{digest}\", \"os\": \"debian\", \"bytes\": {}}}", bytes.len());
        let sent = client.put(house.https_url(&format!("/shadir/{key}"))).body(json!([text, ""]).to_string());
        assert_eq!(sent.send().unwrap().status(), 201);
    }
    digest
}

/// What is said of each item.
#[track_caller]
fn each(page: &Value, name: &str) -> Vec<String> {
    let said = |item: &Value| item[name].as_str().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(said).collect()
}

#[test]
fn artifacts_and_entries_are_found() {
    let house = up();
    let admin = Asker::admin(&house);
    let one = publish(&house, "one", &["pypi:a=1", "pypi:b=1", "a/b c"]);
    let three = publish(&house, "three", &["pypi:a=1"]);
    let mut both = [one.clone(), three.clone()];
    both.sort_unstable();

    let page = admin.get("/cache/artifacts?limit=1").document;
    assert_eq!(each(&page, "sha512"), both[..1]);
    let next = page["next"].as_str().unwrap();
    assert_eq!(each(&admin.get(&format!("/cache/artifacts?after={next}")).document, "sha512"), both[1..]);

    let report = admin.get(&format!("/cache/artifacts/{one}")).document;
    assert_eq!((&report["artifact"]["bytes"], &report["is_pinned"]), (&json!(3), &json!(false)));
    assert_eq!(report["keys"], json!(["a/b c", "pypi:a=1", "pypi:b=1"]));
    assert!(report["artifact"]["by"].as_str().unwrap().starts_with("user certificate "));

    let keys = admin.get("/cache/keys?key=pypi:*").document;
    assert_eq!(keys["items"], json!([{"key": "pypi:a=1", "entries": 2}, {"key": "pypi:b=1", "entries": 1}]));
    let found = admin.get("/cache/entries?key=*=1&where=bytes%3E3&where=os%3D%3D%22debian%22").document;
    assert_eq!((each(&found, "key"), each(&found, "sha512")), (vec!["pypi:a=1".into()], vec![three]));
    let first = admin.get("/cache/entries?limit=1").document;
    assert_eq!(each(&first, "key"), ["a/b c"]);
    let next = first["next"].as_str().unwrap();
    let others = admin.get(&format!("/cache/entries?after={next}")).document;
    assert_eq!(each(&others, "key"), ["pypi:a=1", "pypi:a=1", "pypi:b=1"]);
    admin.says("GET", "/cache/entries?where=os", &[], &Value::Null, 422).is_problem(422);

    let absent = Sha512::of(b"absent").to_string();
    let missing = json!({"sha512": [one, absent]});
    assert_eq!(
        admin.says("POST", "/cache/missing", &[], &missing, 200).document,
        json!({"sha512": [absent]})
    );
    admin.says("POST", "/cache/missing", &[], &json!({"sha512": ["x"]}), 422).is_problem(422);
    admin.says("GET", "/cache/artifacts/x", &[], &Value::Null, 400).is_problem(400);
    admin.says("GET", &format!("/cache/artifacts/{absent}"), &[], &Value::Null, 404).is_problem(404);
    ended_without_a_fault(house);
}

#[test]
fn what_the_rules_do_not_keep_goes() {
    let house = plan(Face::Up).option("cache-retention", "keep newest 1 for a*").start();
    let admin = Asker::admin(&house);
    let old = publish(&house, "old", &["a"]);
    let pinned = publish(&house, "pinned", &["a1"]);
    for (bytes, key) in [("new", "a"), ("newer", "a1")] {
        publish(&house, bytes, &[key]);
    }
    admin.put("/cache/pins/keys/a1", &json!({"note": "in use"}), 204);
    admin.put(&format!("/cache/pins/artifacts/{pinned}"), &json!({}), 204);
    let pins = admin.get("/cache/pins?limit=1").document;
    assert_eq!(pins["items"][0]["sha512"], json!(pinned));
    let next = pins["next"].as_str().unwrap();
    let pins = admin.get(&format!("/cache/pins?after={next}")).document;
    assert_eq!((&pins["items"][0]["key"], &pins["items"][0]["note"]), (&json!("a1"), &json!("in use")));

    let dry = admin.says("POST", "/cache/collections", &[], &json!({"dry_run": true}), 200).document;
    assert_eq!((&dry["entries"], &dry["removed"][0]["key"]), (&json!(1), &json!("a")));
    assert_eq!(dry["removed"][0]["sha512"], json!(old));
    assert_eq!(admin.get("/cache/entries?key=a").document["items"].as_array().unwrap().len(), 2);
    let done = admin.says("POST", "/cache/collections", &[], &json!({}), 200).document;
    // An artifact stays for the time of grace.
    assert_eq!((&done["entries"], &done["artifacts"], &done["waiting"]), (&json!(1), &json!(0), &json!(1)));
    assert_eq!(admin.get("/cache/entries?key=a").document["items"].as_array().unwrap().len(), 1);
    assert!(admin.get(&format!("/cache/artifacts/{old}")).document["artifact"]["unnamed_since"].is_string());

    admin.says("DELETE", "/cache/pins/keys/a1", &[], &Value::Null, 204);
    admin.says("DELETE", "/cache/pins/keys/a1", &[], &Value::Null, 404).is_problem(404);
    let done = admin.says("POST", "/cache/collections", &[], &json!({}), 200).document;
    assert_eq!(done["entries"], json!(1));
    admin.get("/cache/scrub");
    ended_without_a_fault(house);
}

#[test]
fn where_there_is_no_cache_there_is_nothing_to_list() {
    let house = plan(Face::Up).option("cache-api", "false").start();
    let answered = Asker::admin(&house).says("GET", "/cache/keys", &[], &Value::Null, 404);
    answered.is_problem(404);
    assert!(answered.document["hint"].as_str().unwrap().contains("cache.api"));
    Asker::user(&house, None).says("GET", "/cache/keys", &[], &Value::Null, 401);
    ended_without_a_fault(house);
}
