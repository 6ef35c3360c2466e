//! Pages of other origins in a real browser, and the person before it (caucase contract, section 5).
//!
//! What chromium 156 does, as Debian 12 has it:
//!
//! - With a new profile it sends no cookie along with what a page asks of another site (`UserPreferences` is the reason
//!   that it gives): the form's answer is without effect there, and the page is asked for leave again and again.
//!   `cors.whitelist` is what helps such pages.
//! - Where the person allows cookies of third parties, it sends those that are `SameSite=None; Secure`, as ours is. One
//!   that says nothing, as the original's, counts as `SameSite=Lax`, and is not sent: the original's form helps nobody
//!   who has a browser of today.
//!
//! The tests show both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testkit::{Browser, Face, House, Recorder, Reply, ThirdParties};
use x509::Certificate;

use crate::houses::{ended_without_a_fault, plan};

/// A house, pages of other origins, and a browser.
struct Scene {
    house: House,
    pages: Recorder,
    browser: Browser,
}

impl Scene {
    fn new(house: House, cookies: ThirdParties) -> Self {
        let empty = || Reply::Answer(200, "text/html", "<!DOCTYPE html><title>A page</title>".into());
        let text = std::fs::read_to_string(house.data().join("server.key.pem")).unwrap();
        let at = text.find("-----BEGIN CERTIFICATE").unwrap();
        let shown = Certificate::from_pem(&text.as_bytes()[at..]).unwrap();
        let digest = BASE64.encode(base::sha256(shown.public_key().spki()));
        Self { house, pages: Recorder::start(move |_| empty()), browser: Browser::start(&digest, cookies) }
    }

    /// The origin of the pages of `site`, each of which is another site.
    fn origin(&self, site: &str) -> String {
        format!("http://{site}.example:{}", self.pages.url().rsplit(':').next().unwrap())
    }

    /// An address in the house, by a name that is not this machine's own.
    fn house(&self, path: &str) -> String {
        format!("https://ca.example:{}{path}", self.house.port() + 1)
    }

    /// Asks the house as pages do, and with what the browser remembers: the status, or that the page may not know.
    fn asked(&mut self, path: &str) -> Value {
        let url = self.house(path);
        self.browser.forget();
        self.browser.run(&format!(
            "fetch('{url}', {{credentials: 'include'}}).then(answer => answer.status, error => error.name)"
        ))
    }

    /// The status of an answer that the page is not shown.
    fn refused(&mut self, path: &str) -> u64 {
        assert_eq!(self.asked(path), "TypeError", "the page is shown nothing");
        let url = self.house(path);
        let sent = self.browser.event("Network.requestWillBeSent", |event| event["request"]["url"] == url);
        let id = sent["requestId"].clone();
        let answer =
            self.browser.event("Network.responseReceivedExtraInfo", |event| event["requestId"] == id);
        answer["statusCode"].as_u64().unwrap()
    }

    /// Goes to the form for a page of `site`, and presses a button of it.
    fn decide(&mut self, site: &str, button: &str) {
        let origin = self.origin(site);
        let back = format!("{origin}/back");
        let query = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
        let form = self.house(&format!("/cors?origin={}&return={}", query(&origin), query(&back)));
        self.browser.go(&form);
        assert_eq!(self.browser.run("document.querySelector('strong').textContent"), origin);
        assert_eq!(self.browser.run("document.cookie"), "", "no script sees the cookie");
        let press = format!(
            "[...document.querySelectorAll('button')].find(b => b.textContent == '{button}').click()"
        );
        self.browser.run_to(&press, &back);
    }
}

/// What everybody may know; and what needs leave.
const OPEN: &str = "/cas";
const CLOSED: &str = "/cas/crl";

#[test]
fn a_person_with_a_browser_grants_and_denies() {
    let mut scene = Scene::new(plan(Face::Up).start(), ThirdParties::Allowed);
    let [page, evil] = ["page", "evil"].map(|site| scene.origin(site));
    scene.browser.go(&page);
    assert_eq!(scene.asked(OPEN), 200);
    assert_eq!(scene.refused(CLOSED), 401, "nobody was asked yet");
    scene.decide("page", "Grant");
    assert_eq!(scene.asked(CLOSED), 200);
    scene.decide("denied", "Deny");
    assert_eq!(scene.refused(CLOSED), 403);

    // Somebody else's page has the same cookie, and no leave.
    scene.browser.go(&evil);
    assert_eq!(scene.refused(CLOSED), 401);
    // Nor can it give itself any, by a script or by a form of its own.
    let form = scene.house("/cors");
    let posts = format!(
        "fetch('{form}', {{method: 'POST', credentials: 'include', mode: 'no-cors', body: \
         'origin={evil}&return_to={evil}&grant=1', \
         headers: {{'Content-Type': 'application/x-www-form-urlencoded'}}}}).then(answer => answer.type)"
    );
    let sends = format!(
        "document.body.innerHTML = `<form method=post action='{form}'><input name=origin value='{evil}'>\
         <input name=return_to value='{evil}'><input name=grant value=1></form>`; document.forms[0].submit()"
    );
    for script in [posts, sends] {
        scene.browser.forget();
        scene.browser.run(&script);
        scene.browser.event("Network.responseReceivedExtraInfo", |event| event["statusCode"] == 403);
    }
    scene.browser.go(&evil);
    assert_eq!(scene.refused(CLOSED), 401, "it gave itself leave");

    // Nor can it put the form under somebody's mouse.
    let framed = evil.replace(':', "%3A").replace('/', "%2F");
    scene.browser.forget();
    scene.browser.run(&format!(
        "const frame = document.createElement('iframe'); document.body.append(frame); \
         frame.src = '{form}?origin={framed}&return={framed}'; 0"
    ));
    let stopped = scene.browser.event("Network.loadingFailed", |event| event["type"] == "Document");
    assert_eq!(stopped["errorText"], "net::ERR_BLOCKED_BY_RESPONSE", "{stopped}");

    the_cookie_has_its_bounds(&mut scene);
    ended_without_a_fault(scene.house);
}

/// It is for this host, over TLS, hidden from scripts; and needs its `SameSite=None`.
fn the_cookie_has_its_bounds(scene: &mut Scene) {
    let cookies = scene.browser.cookies();
    let [cookie] = &cookies[..] else { panic!("{cookies:?}") };
    for (member, value) in [
        ("name", json!("cors")),
        ("domain", json!("ca.example")),
        ("path", json!("/")),
        ("httpOnly", json!(true)),
        ("secure", json!(true)),
        ("sameSite", json!("None")),
    ] {
        assert_eq!(cookie[member], value, "{cookie}");
    }
    scene.browser.go(&format!("http://ca.example:{}/", scene.house.port()));
    let sent = scene.browser.event("Network.requestWillBeSentExtraInfo", |_| true);
    assert_eq!(sent["associatedCookies"][0]["blockedReasons"], json!(["SecureOnly"]), "{sent}");

    let kept = ["name", "value", "domain", "path", "secure", "httpOnly", "expires"];
    let silent: serde_json::Map<String, Value> =
        kept.into_iter().map(|member| (member.to_owned(), cookie[member].clone())).collect();
    scene.browser.call("Network.setCookie", &Value::Object(silent));
    let page = scene.origin("page");
    scene.browser.go(&page);
    assert_eq!(scene.refused(CLOSED), 401, "as the original sets it, it is not sent");
    scene.decide("page", "Grant");
    assert_eq!(scene.asked(CLOSED), 200);
}

#[test]
fn a_browser_as_it_comes_forgets_what_was_granted_and_asks_for_what_is_listed() {
    let mut scene = Scene::new(plan(Face::Up).start(), ThirdParties::AsInstalled);
    scene.decide("page", "Grant");
    assert_eq!(scene.refused(CLOSED), 401, "the cookie stays at home");
    let listed = scene.origin("page");
    scene.house.stop();
    scene.house.set("cors-whitelist", &listed);
    scene.house.start();
    assert_eq!(scene.asked(CLOSED), 200);
    ended_without_a_fault(scene.house);
}
