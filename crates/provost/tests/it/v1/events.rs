//! Operations as event streams, over real connections.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};
use testkit::{House, http, wait_for};

use super::Asker;
use crate::houses::{ended_without_a_fault, up};
use crate::sign_in::{everybody, files, house};

/// With an operation that does not begin before next year.
fn world() -> (House, Asker, String) {
    let house = up();
    let admin = Asker::admin(&house);
    let place = with_operation(&admin);
    (house, admin, place)
}

/// Where it is.
fn with_operation(admin: &Asker) -> String {
    admin.put("/clusters/web", &json!({}), 201);
    admin.put("/hosts/10.0.0.1", &json!({"cluster": "web"}), 201);
    let restart = json!({"kind": "restart", "policy": {"start_at": "2099-01-01T00:00:00Z"}});
    let started = admin.says("POST", "/clusters/web/operations", &[], &restart, 201);
    format!("/clusters/web/operations/{}", started.document["id"])
}

struct Stream {
    lines: std::io::Lines<BufReader<Response>>,
    last_id: String,
}

impl Stream {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { lines: BufReader::new(response).lines(), last_id: String::new() }
    }

    /// What the next event tells; nothing at the end.
    fn next(&mut self) -> Option<Value> {
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut self.last_id);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
        None
    }
}

/// Somebody who reads along, with headers.
fn ask(client: &Client, house: &House, place: &str, headers: &[(&str, &str)]) -> Response {
    let mut asked = client.get(house.https_url(&format!("/v1{place}/events")));
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    asked.send().unwrap()
}

#[test]
fn an_operation_is_read_along_with_until_it_ends() {
    let (house, admin, place) = world();
    let client = http::holder_of(&house.administrator());
    let steer = |verb: &str| admin.says("POST", &format!("{place}/{verb}"), &[], &json!({}), 200).document;
    let mut stream = Stream::of(ask(&client, &house, &place, &[("Accept", "text/event-stream")]));
    let mut other = Stream::of(ask(&client, &house, &place, &[("Last-Event-ID", "an older one")]));
    let shown = admin.get(&place);
    for stream in [&mut stream, &mut other] {
        assert_eq!(stream.next().unwrap(), shown.document);
        assert_eq!(format!("\"{}\"", stream.last_id), shown.tag(), "an event is called as what is shown");
    }
    for verb in ["pause", "hosts/10.0.0.1/skip", "resume"] {
        let now = steer(verb);
        assert_eq!(stream.next().unwrap(), now, "{verb}");
    }
    let ended = steer("abort");
    assert_eq!((stream.next(), stream.next()), (Some(ended.clone()), None));
    // Who is slow gets what it has come to, and not every step.
    let mut last = None;
    while let Some(told) = other.next() {
        last = Some(told);
    }
    assert_eq!(last, Some(ended.clone()));

    // Whoever comes again is told the end, unless they know it.
    let mut again = Stream::of(ask(&client, &house, &place, &[]));
    assert_eq!((again.next(), again.next()), (Some(ended), None));
    let known = ask(&client, &house, &place, &[("Last-Event-ID", stream.last_id.as_str())]);
    assert_eq!(known.status(), 204);
    ended_without_a_fault(house);
}

#[test]
fn who_takes_no_events_gets_none() {
    let (house, admin, place) = world();
    let events = format!("{place}/events");
    for (accept, status) in [("application/json", 406), ("text/*;q=0", 406), ("text/event-stream;q=0", 406)] {
        admin.says("GET", &events, &[("Accept", accept)], &Value::Null, status).is_problem(status);
    }
    for accept in ["text/event-stream", "text/*", "*/*"] {
        let head = admin.says("HEAD", &events, &[("Accept", accept)], &Value::Null, 200);
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
    }
    admin.says("POST", &events, &[("Accept", "*/*")], &json!({}), 405).is_problem(405);
    Asker::user(&house, None).ask("GET", &events, &[], &Value::Null).is_problem(401);
    ended_without_a_fault(house);
}

/// One user has sixty-four places, and gets one back by hanging up.
#[test]
fn places_are_bounded_and_come_back() {
    let (house, _admin, place) = world();
    let client = http::holder_of(&house.administrator());
    let mut streams: Vec<Stream> = (0..64).map(|_| Stream::of(ask(&client, &house, &place, &[]))).collect();
    for stream in &mut streams {
        stream.next().unwrap();
    }
    let refused = ask(&client, &house, &place, &[]);
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"10".parse().unwrap()));
    let problem: wire::Problem = serde_json::from_str(&refused.text().unwrap()).unwrap();
    assert_eq!(problem.detail, "you read along with too many operations already");
    drop(streams.pop());
    let mut stream = wait_for("a place", || {
        let response = ask(&client, &house, &place, &[]);
        (response.status() == 200).then(|| Stream::of(response))
    });
    stream.next().unwrap();
}

/// The same over HTTP/1.1, where whoever says that nothing more will be sent may still read: that somebody has gone is
/// noticed when they are told something, which is every five seconds, be it that there is nothing new.
#[test]
fn whoever_hangs_up_gives_their_place_back() {
    let directory = files(&everybody(), &[]);
    let house = house(directory.path(), &[]);
    let admin = Asker::user(&house, Some("administrator"));
    let place = with_operation(&admin);
    let listen = || {
        let mut stream = TcpStream::connect(house.http()).unwrap();
        stream.set_read_timeout(Some(testkit::LIMIT)).unwrap();
        let user = "Authorization: Basic cmVhZGVyOnNlY3JldA==";
        write!(stream, "GET /v1{place}/events HTTP/1.1\r\nHost: a\r\n{user}\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let first = lines.next().unwrap_or_default();
        first.starts_with("HTTP/1.1 200").then(|| {
            assert!(lines.any(|line| line.starts_with("data: ")));
            stream
        })
    };
    let mut streams: Vec<TcpStream> = (0..64).map(|_| listen().unwrap()).collect();
    assert!(listen().is_none());
    drop(streams.pop());
    let gone = std::time::Instant::now();
    wait_for("a place", listen);
    assert!(gone.elapsed() < std::time::Duration::from_secs(20), "{:?}", gone.elapsed());
}

/// Those who read along do not keep a server from stopping, and see where it ends.
#[test]
fn a_server_that_stops_ends_its_streams() {
    let (mut house, _admin, place) = world();
    let client = http::holder_of(&house.administrator());
    let mut stream = Stream::of(ask(&client, &house, &place, &[]));
    stream.next().unwrap();
    let began = std::time::Instant::now();
    let ran = house.stop();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(stream.next(), None);
}
