//! Who trusts whom, on two servers at once.

use serde_json::{Value, json};
use testkit::{Etcd, House, StandIn, StandInReply, http, wait_until};

use super::{administrator, two};
use crate::handed_on::authority;

struct Operator<'h> {
    client: reqwest::blocking::Client,
    houses: &'h [House; 2],
}

impl Operator<'_> {
    fn ask(&self, house: usize, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let asked = self.client.request(method.parse().unwrap(), self.houses[house].https_url(path));
        let asked = asked.header("Content-Type", "application/json");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = asked.body(body).send().unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().unwrap()).unwrap_or_default())
    }

    fn done(&self, house: usize, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(house, method, path, body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }
}

#[test]
fn nothing_that_two_servers_were_told_at_once_is_lost_and_one_goes_on_alone() {
    const EACH: usize = 8;
    let etcd = Etcd::start(1);
    let mut houses = two(&etcd, |plan| plan);
    let client = http::holder_of(&administrator(&houses));
    let hook = StandIn::http(|_| Some(StandInReply::json(200, &json!({}))));
    let told = || -> usize {
        let asked = hook.asked();
        let last = asked.last().map(|asked| serde_json::from_slice::<Value>(&asked.body).unwrap());
        last.map_or(0, |last| last["certificates"].as_array().unwrap().len())
    };
    let operator = Operator { client: client.clone(), houses: &houses };
    operator.done(0, "PUT", "/v1/trust/providers/corp", &json!({}));
    let place = json!({"kind": "webhook", "url": hook.url("/"), "secret": "0123456789abcdef"});
    operator.done(1, "PUT", "/v1/trust/requirers/hook", &json!({ "place": place }));
    let relation = json!({"provider": "corp", "requirer": "hook"});
    operator.done(0, "POST", "/v1/trust/relations", &relation);
    // Both are told of certificates in the same moment, again and again.
    std::thread::scope(|scope| {
        for house in [0, 1] {
            let operator = &operator;
            scope.spawn(move || {
                for number in 0..EACH {
                    let pem = authority(&format!("authority {number} of {house}"));
                    let offer = json!({"change": "add", "pem": pem});
                    operator.done(house, "POST", "/v1/trust/providers/corp/offers", &offer);
                }
            });
        }
    });
    for house in [0, 1] {
        let bundle = operator.done(house, "GET", "/v1/trust/requirers/hook/bundle", &Value::Null);
        assert_eq!(
            bundle["certificates"].as_array().unwrap().len(),
            2 * EACH,
            "neither took back the other's"
        );
    }
    wait_until("the webhook to be told all", || told() == 2 * EACH);
    // Each of both may be the one that hands on; the other goes on when it is gone.
    houses[0].kill();
    let operator = Operator { client, houses: &houses };
    let offer = json!({"change": "add", "pem": authority("one more")});
    operator.done(1, "POST", "/v1/trust/providers/corp/offers", &offer);
    wait_until("the webhook to be told by the other", || told() == 2 * EACH + 1);
    houses[1].stop();
}
