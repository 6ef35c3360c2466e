//! Pages of other origins in a real browser, and the person before it (caucase contract, section 5).
//!
//! What chromium 156 does, as Debian 12 has it, with nothing set: it sends cookies of third parties along, if they are
//! `SameSite=None; Secure`. Without that it does not, so that the form's answer would be forgotten as soon as it was
//! given: the original sets neither, and its form helps nobody who has a browser of today. Where a person turned the
//! cookies of third parties off, as other browsers have them from the beginning, pages of other sites are asked for
//! leave again and again; `cors.whitelist` is what helps them, for what needs no certificate. The test shows all three.

use serde_json::{Value, json};
use testkit::{Browser, Face, House, Recorder, Reply};
use x509::Certificate;

use crate::houses::{ended_without_a_fault, plan};

/// The address that a page of `site` has, with the pages' server at `pages`.
fn origin(site: &str, pages: &Recorder) -> String {
    let url = pages.url();
    format!("http://{site}.example:{}", url.rsplit(':').next().unwrap())
}

/// Asks the house as pages do, and with what the browser remembers: the status, or that the page may not know.
fn asked(browser: &mut Browser, url: &str) -> Value {
    let script = format!(
        "fetch('{url}', {{credentials: 'include'}}).then(answer => answer.status, error => error.name)"
    );
    browser.run(&script)
}

/// The status of the answer that the page was not shown.
fn refused(browser: &mut Browser, url: &str) -> u64 {
    assert_eq!(asked(browser, url), "TypeError", "the page is shown nothing");
    let sent = browser.event("Network.requestWillBeSent", |event| event["request"]["url"] == url);
    let id = sent["requestId"].clone();
    let answer = browser.event("Network.responseReceivedExtraInfo", |event| event["requestId"] == id);
    answer["statusCode"].as_u64().unwrap()
}

/// Goes to the form for `site`, and presses a button of it.
fn decide(browser: &mut Browser, house: &House, site: &str, button: &str) {
    let back = format!("{site}/back");
    let query = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
    browser.go(&house.https_url(&format!("/cors?origin={}&return={}", query(site), query(&back))));
    assert_eq!(browser.run("document.querySelector('strong').textContent"), site);
    assert_eq!(browser.run("document.cookie"), "", "no script sees the cookie");
    let press =
        format!("[...document.querySelectorAll('button')].find(b => b.textContent == '{button}').click()");
    browser.run_to(&press, &back);
}

#[test]
fn a_person_with_a_browser_grants_and_denies() {
    let house = plan(Face::Up).start();
    let pages =
        Recorder::start(|_| Reply::Answer(200, "text/html", "<!DOCTYPE html><title>A page</title>".into()));
    let [page, denied, evil] = ["page", "denied", "evil"].map(|site| origin(site, &pages));
    let text = std::fs::read_to_string(house.data().join("server.key.pem")).unwrap();
    let at = text.find("-----BEGIN CERTIFICATE").unwrap();
    let shown = Certificate::from_pem(text[at..].as_bytes()).unwrap();
    let digest = base::sha256(shown.public_key().spki());
    let mut browser =
        Browser::start(&base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest));
    let (secret, open) = (house.https_url("/cas/crl"), house.https_url("/cas"));

    // Nobody was asked yet.
    browser.go(&page);
    assert_eq!(asked(&mut browser, &open), 200, "everybody may know what can be done");
    assert_eq!(refused(&mut browser, &secret), 401);
    decide(&mut browser, &house, &page, "Grant");
    assert_eq!(asked(&mut browser, &secret), 200, "by default, cookies of third parties are sent");
    decide(&mut browser, &house, &denied, "Deny");
    assert_eq!(refused(&mut browser, &secret), 403);

    // Somebody else's page has the same cookie, and no leave; nor can it give itself any.
    browser.go(&evil);
    assert_eq!(refused(&mut browser, &secret), 401);
    let form = house.https_url("/cors");
    let own = format!("origin={evil}&return_to={evil}&grant=1");
    let posts = format!(
        "fetch('{form}', {{method: 'POST', credentials: 'include', body: '{own}', mode: 'no-cors', \
         headers: {{'Content-Type': 'application/x-www-form-urlencoded'}}}}).then(a => a.type)"
    );
    assert_eq!(browser.run(&posts), "opaque");
    let sends = format!(
        "document.body.innerHTML = `<form method=post action='{form}'><input name=origin value='{evil}'>\
         <input name=return_to value='{evil}'><input name=grant value=1></form>`; document.forms[0].submit()"
    );
    browser.run_to(&sends, &form);
    browser.go(&evil);
    assert_eq!(refused(&mut browser, &secret), 401, "it gave itself leave");

    // Nor can it put the form under somebody's mouse.
    let framed = format!("{form}?origin={evil}&return={evil}").replace("http://", "http%3A%2F%2F");
    let framed = framed.replacen("https%3A%2F%2F", "https://", 1);
    let frames = format!(
        "new Promise(done => {{ const f = document.createElement('iframe'); f.onload = () => done('loaded'); \
         f.src = '{framed}'; document.body.append(f); }})"
    );
    browser.run(&frames);
    let stopped = browser.event("Network.loadingFailed", |event| event["type"] == "Document");
    assert_eq!(stopped["errorText"], "net::ERR_BLOCKED_BY_RESPONSE", "{stopped}");

    // The cookie is for this host, TLS and HTTP only, for a year.
    let cookies = browser.cookies();
    let [cookie] = &cookies[..] else { panic!("{cookies:?}") };
    for (member, value) in [
        ("name", json!("cors")),
        ("domain", json!("127.0.0.1")),
        ("path", json!("/")),
        ("httpOnly", json!(true)),
        ("secure", json!(true)),
        ("sameSite", json!("None")),
    ] {
        assert_eq!(cookie[member], value, "{cookie}");
    }
    browser.go(&house.http_url("/"));
    let sent = browser.event("Network.requestWillBeSentExtraInfo", |_| true);
    assert_eq!(sent["associatedCookies"][0]["blockedReasons"], json!(["SecureOnly"]), "{sent}");

    // As the original sets it, it would not come back from another site's page.
    let mut plain = cookie.clone();
    for member in ["sameSite", "size", "session", "priority", "sourceScheme", "sourcePort", "sameParty"] {
        plain.as_object_mut().unwrap().remove(member);
    }
    browser.call("Network.setCookie", &plain);
    browser.go(&page);
    assert_eq!(refused(&mut browser, &secret), 401, "without SameSite=None");
    decide(&mut browser, &house, &page, "Grant");
    assert_eq!(asked(&mut browser, &secret), 200);

    // Where a person turned the cookies of third parties off.
    browser.call("Network.setCookieControls", &json!({"enableThirdPartyCookieRestriction": true}));
    browser.go(&page);
    assert_eq!(refused(&mut browser, &secret), 401);
    drop(browser);
    ended_without_a_fault(house);
}
