//! Who may do what.

use serde_json::{Value, json};

use super::Asker;
use crate::houses::ended_without_a_fault;
use crate::sign_in::{everybody, files, house};

const USERS: [&str; 4] = ["registrar", "reader", "operator", "administrator"];

/// Whose word is taken is said by operators: then it is that one's alone, however little else they may do, and administrators'.
#[test]
fn who_hands_on_trust_may_be_one_alone() {
    let directory = files(&everybody(), &[]);
    let house = house(directory.path(), &[]);
    let users = USERS.map(|user| Asker::user(&house, Some(user)));
    let all = |method: &str, path: &str, body: &Value| {
        [0, 1, 2, 3].map(|n: usize| users[n].ask(method, path, &[], body).status)
    };
    let poll = |only: &[&str]| json!({"place": {"kind": "poll", "only": only}});
    let empty = json!({"change": "empty"});
    for (method, path, body, expected) in [
        ("PUT", "/trust/providers/open", &json!({}), [403, 403, 200, 200]),
        ("POST", "/trust/providers/open/offers", &empty, [403, 403, 200, 200]),
        ("PUT", "/trust/providers/corp", &json!({"only": ["user reader"]}), [403, 403, 200, 200]),
        ("POST", "/trust/providers/corp/offers", &empty, [403, 200, 403, 200]),
        ("PUT", "/trust/providers/corp", &json!({"only": ["a\nb"]}), [403, 403, 422, 422]),
        ("PUT", "/trust/providers/corp", &json!({}), [403, 403, 200, 200]),
        ("POST", "/trust/providers/corp/offers", &empty, [403, 403, 200, 200]),
        ("PUT", "/trust/requirers/web", &poll(&[]), [403, 403, 200, 200]),
    ] {
        assert_eq!(all(method, path, body), expected, "{method} {path} {body}");
    }
    let hash = users[1].get("/trust/requirers/web").document["hash"].clone();
    let applied = json!({"place": "here", "hash": hash});
    let begun = json!({"place": "here", "hash": hash, "begun": true});
    let failing = json!({"place": "here", "hash": hash, "failing": "why"});
    let declined = json!({"place": "there", "hash": hash, "failing": "why", "untouched": true});
    for said in [&applied, &begun, &failing, &declined] {
        assert_eq!(all("POST", "/trust/requirers/web/applied", said), [403, 204, 204, 204], "{said}");
    }
    assert_eq!(users[2].ask("PUT", "/trust/requirers/web", &[], &poll(&["user operator"])).status, 200);
    for said in [&applied, &begun, &failing, &declined] {
        assert_eq!(all("POST", "/trust/requirers/web/applied", said), [403, 403, 204, 204], "{said}");
    }
    let refused = users[1].ask("POST", "/trust/requirers/web/applied", &[], &applied);
    refused.is_problem(403);
    let said = "what is in the places of `web` is for `user operator` to say, and you are `user reader`";
    assert_eq!(refused.document["detail"], said, "{refused:?}");
    let neither = json!({"place": "here", "hash": hash, "begun": true, "failing": "why"});
    users[2].ask("POST", "/trust/requirers/web/applied", &[], &neither).is_problem(422);
    let neither = json!({"place": "here", "hash": hash, "untouched": true});
    users[2].ask("POST", "/trust/requirers/web/applied", &[], &neither).is_problem(422);
    ended_without_a_fault(house);
}

#[test]
fn each_role_may_do_what_it_is_for() {
    let directory = files(&everybody(), &[]);
    let house = house(directory.path(), &[]);
    let users = USERS.map(|user| Asker::user(&house, Some(user)));
    let (none, nothing) = (Value::Null, json!({}));
    let members = json!({"hosts": []});
    let key = json!({"fingerprint": format!("SHA256:{}", "0".repeat(43))});
    for (method, path, body, expected) in [
        ("PUT", "/clusters/web", &json!({}), [403, 403, 201, 200]),
        ("PUT", "/hosts/10.0.0.1", &json!({}), [403, 403, 201, 200]),
        ("PUT", "/networks/n", &json!({"kind": "flannel_etcd"}), [403, 403, 201, 200]),
        ("PUT", "/container-managers/m", &json!({"kind": "trivial"}), [403, 403, 201, 200]),
        ("PATCH", "/hosts/10.0.0.1", &json!({}), [403, 403, 200, 200]),
        ("GET", "/hosts", &none, [403, 200, 200, 200]),
        ("HEAD", "/hosts", &none, [403, 200, 200, 200]),
        ("GET", "/hosts/10.0.0.1", &none, [403, 200, 200, 200]),
        ("GET", "/hosts/10.0.0.1/status", &none, [403, 200, 200, 200]),
        ("GET", "/hosts/10.0.0.1/credentials", &none, [403, 403, 200, 200]),
        ("GET", "/clusters", &none, [403, 200, 200, 200]),
        ("GET", "/clusters/web", &none, [403, 200, 200, 200]),
        ("GET", "/clusters/web/hosts", &none, [403, 200, 200, 200]),
        ("GET", "/clusters/web/hosts/10.0.0.1", &none, [403, 404, 404, 404]),
        // Nobody has looked at the host yet, so it does not join.
        ("PUT", "/clusters/web/hosts/10.0.0.1", &none, [403, 403, 409, 409]),
        ("DELETE", "/clusters/web/hosts/10.0.0.1", &none, [403, 403, 404, 404]),
        ("PUT", "/clusters/web/hosts", &members, [403, 403, 200, 200]),
        ("POST", "/clusters/web/operations", &json!({"kind": "restart"}), [403, 403, 201, 201]),
        ("GET", "/clusters/web/operations", &none, [403, 200, 200, 200]),
        (
            "POST",
            "/clusters/web/operations",
            &json!({"kind": "restart", "dry_run": true}),
            [403, 403, 200, 200],
        ),
        ("GET", "/clusters/web/operations/7", &none, [403, 404, 404, 404]),
        ("GET", "/clusters/web/operations/7/hosts", &none, [403, 404, 404, 404]),
        ("GET", "/clusters/web/operations/7/events", &none, [403, 404, 404, 404]),
        ("POST", "/clusters/web/operations/7/pause", &nothing, [403, 403, 404, 404]),
        ("POST", "/clusters/web/operations/7/resume", &nothing, [403, 403, 404, 404]),
        ("POST", "/clusters/web/operations/7/abort", &nothing, [403, 403, 404, 404]),
        ("POST", "/clusters/web/operations/7/retry", &nothing, [403, 403, 404, 404]),
        ("POST", "/clusters/web/operations/7/hosts/10.0.0.1/skip", &nothing, [403, 403, 404, 404]),
        ("GET", "/networks", &none, [403, 200, 200, 200]),
        ("GET", "/networks/n", &none, [403, 200, 200, 200]),
        ("GET", "/networks/n/secrets", &none, [403, 403, 200, 200]),
        ("GET", "/container-managers", &none, [403, 200, 200, 200]),
        ("GET", "/container-managers/m", &none, [403, 200, 200, 200]),
        ("GET", "/container-managers/m/secrets", &none, [403, 403, 200, 200]),
        // Under the address that one comes from.
        ("POST", "/hosts", &json!({}), [201, 403, 200, 200]),
        ("GET", "/hosts/10.0.0.1/host-key", &none, [403, 404, 404, 404]),
        ("PUT", "/hosts/10.0.0.1/host-key", &key, [403, 403, 404, 404]),
        ("DELETE", "/hosts/10.0.0.1", &none, [403, 403, 204, 404]),
        ("DELETE", "/clusters/web", &none, [403, 403, 204, 404]),
        ("DELETE", "/networks/n", &none, [403, 403, 204, 404]),
        ("DELETE", "/container-managers/m", &none, [403, 403, 204, 404]),
        ("GET", "/audit", &none, [403, 403, 403, 200]),
        ("GET", "/audit?since=2026-02-31T00:00:00Z", &none, [403, 403, 403, 422]),
        ("GET", "/audit/head", &none, [403, 403, 403, 200]),
        ("GET", "/audit/links", &none, [403, 403, 403, 200]),
        ("POST", "/ca/services/rotations", &json!({"dry_run": true}), [403, 403, 403, 200]),
        ("POST", "/ca/others/rotations", &nothing, [403, 403, 403, 404]),
        ("GET", "/openapi.json", &none, [200; 4]),
        ("GET", "/nothing", &none, [404; 4]),
        ("OPTIONS", "/hosts", &none, [204; 4]),
        ("DELETE", "/hosts", &none, [405; 4]),
    ] {
        let found = [0, 1, 2, 3].map(|n: usize| users[n].ask(method, path, &[], body).status);
        assert_eq!(found, expected, "{method} {path} {body}");
    }
    // Who does not sign in learns nothing, not even which paths there are.
    let stranger = Asker::user(&house, None);
    for (method, path) in [
        ("GET", "/hosts"),
        ("PUT", "/hosts/a"),
        ("GET", "/nothing"),
        ("OPTIONS", "/hosts"),
        ("BREW", "/"),
        ("GET", ""),
    ] {
        let answered = stranger.ask(method, path, &[], &none);
        answered.is_problem(401);
        assert!(answered.header("www-authenticate").is_some(), "{answered:?}");
    }
    assert_eq!(stranger.ask("HEAD", "/hosts", &[], &none).status, 401);
    let description = stranger.get("/openapi.json");
    assert_eq!(description.document["openapi"], "3.1.0");
    ended_without_a_fault(house);
}
