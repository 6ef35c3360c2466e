//! Pages of other origins: what they may do, and how a person lets them (caucase contract, section 5).

use testkit::http::{self, Response};
use testkit::{Answer, Face, House, exchange};

use crate::houses::{ended_without_a_fault, get, plan, request};

const PAGE: &str = "https://page.example:8443";

fn house() -> House {
    plan(Face::Up).option("cors-whitelist", "https://listed.example").start()
}

fn from(house: &House, origin: &str, method: &str, path: &str) -> Answer {
    exchange(house.http(), request(method, path, &[("Origin", origin)], b""))
}

/// The headers of an answer that a page of `origin` may see.
#[track_caller]
fn is_shown(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("vary"), Some("Origin"));
}

#[track_caller]
fn is_not_shown(answer: &Answer) {
    assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("access-control-")), "{answer:?}");
}

/// Everybody may ask what can be done; for the rest a page needs leave, and is told where to get it.
#[test]
fn pages_are_asked_for_leave() {
    let house = house();
    for path in ["/", "/cas", "/cau"] {
        let answer = from(&house, PAGE, "GET", path);
        assert_eq!(answer.status, 200);
        is_shown(&answer, PAGE);
        let exposed = answer.header("access-control-expose-headers");
        assert_eq!(exposed, Some("Location, WWW-Authenticate"));
    }
    for (path, methods) in [
        ("/", "GET, OPTIONS"),
        ("/nowhere", "GET, OPTIONS"),
        ("/cas/csr/1", "GET, PUT, DELETE, OPTIONS"),
        ("/cas/crt/renew", "PUT, OPTIONS"),
        ("/cors", "GET, OPTIONS"),
    ] {
        let answer = from(&house, PAGE, "OPTIONS", path);
        assert_eq!(answer.status, 204, "{path}");
        is_shown(&answer, PAGE);
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods), "{path}");
        assert_eq!(answer.header("access-control-allow-headers"), Some("Content-Type, User-Agent"));
        assert_eq!(answer.header("access-control-expose-headers"), None);
    }
    // No page of ours has such an origin, nor two.
    for origins in
        [&b"https://\xe9vil.example"[..], b"http://ca.example:8000\r\nOrigin: https://evil.example"]
    {
        let asked =
            [b"GET /cas/crl HTTP/1.1\r\nHost: ca.example:8000\r\nOrigin: ", origins, b"\r\n\r\n"].concat();
        assert_eq!(exchange(house.http(), asked).status, 401);
    }
    let asked = format!("GET /cas/crl HTTP/1.1\r\nHost: ca.example:8000\r\nOrigin: {PAGE}\r\n\r\n");
    let answer = exchange(house.http(), asked);
    assert_eq!(answer.status, 401);
    let url = "cors url=https%3A//ca.example%3A8001/cors%3Forigin%3Dhttps%253A%252F%252Fpage.example%253A8443%7B%26return%7D";
    assert_eq!(answer.header("www-authenticate"), Some(url));
    is_not_shown(&answer);

    // Listed origins need no leave, also for answers that are refusals.
    for (path, status) in [("/cas/crl", 200), ("/cas/csr/1", 404), ("/cas/csr/one", 400), ("/cas/csr", 401)] {
        let answer = from(&house, "https://listed.example", "GET", path);
        assert_eq!(answer.status, status, "{path}");
        is_shown(&answer, "https://listed.example");
    }
    // Origins that are none, or not quite listed, or that send the form.
    for (origin, method, path, status) in [
        ("null", "GET", "/cas/crl", 403),
        ("null", "GET", "/cas", 200),
        ("https://listed.example.evil", "GET", "/cas/crl", 401),
        ("http://listed.example", "GET", "/cas/crl", 401),
        (PAGE, "POST", "/cors", 403),
    ] {
        let answer = from(&house, origin, method, path);
        assert_eq!(answer.status, status, "{origin} {method} {path}");
        if status != 200 {
            is_not_shown(&answer);
        }
    }
    // A page of our own is no stranger, through either port; the original did not know itself.
    for own in [house.http_url(""), house.https_url("")] {
        let asked = format!("GET /cas/crl HTTP/1.1\r\nHost: {}\r\nOrigin: {own}\r\n\r\n", house.http());
        let answer = exchange(house.http(), asked);
        assert_eq!(answer.status, 200, "{own}");
        is_not_shown(&answer);
    }
    ended_without_a_fault(house);
}

fn post(house: &House, cookie: Option<&str>, kind: &str, body: &str) -> Response {
    let own = house.https_url("");
    let mut asked = http::anybody().post(house.https_url("/cors")).header("Content-Type", kind);
    // As browsers do; the original refused its own form for it.
    asked = asked.header("Origin", own);
    if let Some(cookie) = cookie {
        asked = asked.header("Cookie", cookie);
    }
    asked.body(body.to_owned()).send().unwrap()
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Sends the form as a browser does; the cookie it is given.
#[track_caller]
fn answer_form(house: &House, cookie: Option<&str>, origin: &str, grant: u8) -> String {
    let origin = origin.replace(':', "%3A").replace('/', "%2F");
    let back = "https%3A%2F%2Fpage.example%2Fback%3Fa%3D1";
    let answer = post(house, cookie, FORM, &format!("origin={origin}&return_to={back}&grant={grant}"));
    assert_eq!(answer.status(), 302);
    assert_eq!(http::header(&answer, "location").as_deref(), Some("https://page.example/back?a=1"));
    let set = http::header(&answer, "set-cookie").unwrap();
    assert!(set.starts_with("cors=\"{"), "{set}");
    assert!(set.contains("; Max-Age=31536000") && set.contains("; Path=/"), "{set}");
    set.split("; ").next().unwrap().to_owned()
}

/// What a page of `origin` hears with this cookie.
fn with_cookie(house: &House, origin: &str, cookie: &str) -> Answer {
    let headers = [("Origin", origin), ("Cookie", cookie)];
    exchange(house.http(), request("GET", "/cas/crl", &headers, b""))
}

/// The form asks over HTTPS, the answer is remembered in a cookie, for this origin, over a restart.
#[test]
fn a_person_grants_and_denies() {
    let mut house = house();
    // Over HTTP one is sent to HTTPS, with all that was asked.
    let asked = format!("GET /cors?origin=a&return=b HTTP/1.1\r\nHost: {}\r\n\r\n", house.http());
    let answer = exchange(house.http(), asked);
    let there = house.https_url("/cors?origin=a&return=b");
    assert_eq!((answer.status, answer.header("location")), (302, Some(there.as_str())));
    let posted = request("POST", "/cors", &[("Content-Type", FORM)], b"origin=a&return_to=b&grant=1");
    assert_eq!(exchange(house.http(), posted).status, 404);

    let form = |query: &str| http::anybody().get(house.https_url(&format!("/cors{query}"))).send().unwrap();
    for query in [
        "",
        "?origin=a",
        "?return=https://b",
        "?origin=a&origin=b&return=https://c",
        "?origin=a&return=javascript:x",
    ] {
        assert_eq!(form(query).status(), 400, "{query}");
    }
    let page = form("?origin=https://a%22%3E%3Cscript%3E&return=https://b/?x=1%26y");
    assert_eq!(page.status(), 200);
    assert!(http::header(&page, "content-type").unwrap().starts_with("text/html"));
    assert_eq!(http::header(&page, "content-security-policy").as_deref(), Some("frame-ancestors 'none'"));
    assert_eq!(http::header(&page, "x-frame-options").as_deref(), Some("DENY"));
    let page = page.text().unwrap();
    for part in [
        "action=\"cors\" method=\"post\"",
        "name=\"origin\" value=\"https://a&quot;&gt;&lt;script&gt;\"",
        "name=\"return_to\" value=\"https://b/?x=1&amp;y\"",
        "name=\"grant\" value=\"0\"",
        "name=\"grant\" value=\"1\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for (kind, body) in [
        ("text/plain", "origin=a&return_to=https://b&grant=1"),
        ("application/x-www-form-urlencoded; charset=utf-8", "origin=a&return_to=https://b&grant=1"),
        (FORM, "return_to=https://b&grant=1"),
        (FORM, "origin=a&grant=1"),
        (FORM, "origin=a&return_to=https://b"),
        (FORM, "origin=a&return_to=https://b&grant=yes"),
        (FORM, "origin=a&origin=b&return_to=https://b&grant=1"),
        (FORM, "origin=a&return_to=https://b%0d%0aX: y&grant=1"),
        (FORM, "origin=a&return_to=https://b&grant=1&grant=0"),
        (FORM, "\u{fffd}"),
        (FORM, ""),
    ] {
        assert_eq!(post(&house, None, kind, body).status(), 400, "{kind} {body}");
    }

    // The first answer: the original failed here, and at its next start.
    let granted = answer_form(&house, None, PAGE, 1);
    let both = answer_form(&house, Some(&granted), "https://other.example", 0);
    let answer = with_cookie(&house, PAGE, &granted);
    assert_eq!(answer.status, 200);
    is_shown(&answer, PAGE);
    assert_eq!(with_cookie(&house, PAGE, &format!("x=y; {both}")).status, 200);
    let denied = with_cookie(&house, "https://other.example", &both);
    assert_eq!((denied.status, denied.header("www-authenticate")), (403, None));
    is_not_shown(&denied);
    assert_eq!(with_cookie(&house, "https://third.example", &both).status, 401);

    house.kill();
    house.start();
    assert_eq!(with_cookie(&house, PAGE, &both).status, 200, "the secret was kept");
    assert_eq!(with_cookie(&house, "https://other.example", &both).status, 403);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(house.data().join("cors.key")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);

    // An empty file stands for none: the original did not start with it.
    house.stop();
    std::fs::write(house.data().join("cors.key"), "").unwrap();
    house.start();
    let forgotten = with_cookie(&house, PAGE, &granted);
    assert_eq!(forgotten.status, 401);
    let again = answer_form(&house, None, PAGE, 1);
    assert_eq!(with_cookie(&house, PAGE, &again).status, 200);
    ended_without_a_fault(house);
}

/// Cookies that cannot be read are removed; tokens that do not hold are dropped from them.
#[test]
fn garbled_cookies_are_thrown_away() {
    let house = house();
    for cookie in ["cors=", "cors=nonsense", "cors=\"{\\\"a\"", "cors=[1]", "cors=\"{\\\"a\\\": 1}\""] {
        let answer = with_cookie(&house, PAGE, cookie);
        assert_eq!(answer.status, 401, "{cookie}");
        let set = answer.header("set-cookie").unwrap_or_default();
        assert!(set.starts_with("cors=") && set.contains("1970"), "{cookie}: {set}");
    }
    let granted = answer_form(&house, None, PAGE, 1);
    let stolen = granted.replace("page.example", "thief.example");
    let answer = with_cookie(&house, "https://thief.example:8443", &stolen);
    assert_eq!(answer.status, 401);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("cors=\"{}\""), "{set}");
    // Without any cookie there is nothing to be removed.
    let answer = exchange(house.http(), request("GET", "/cas/crl", &[("Origin", PAGE)], b""));
    assert_eq!((answer.status, answer.header("set-cookie")), (401, None));
    assert_eq!(exchange(house.http(), get("/cas/crl")).status, 200);
    ended_without_a_fault(house);
}
