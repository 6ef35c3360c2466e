//! How it comes to an end.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base::Explain as _;
use server::doors::{Bindings, Doors, Limits};

use super::client::{Knock, Line};
use super::house::{House, PATIENCE};

/// Does not wait long for those who do not close their side.
fn quick() -> Limits {
    Limits { closing: Duration::from_millis(100), ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_progress_finish_and_everyone_else_goes() {
    let house = House::open();
    let mut fresh = Line::to(house.http).await;
    let mut shaking = Line::to(house.https).await;
    let mut idle = Line::to(house.http).await;
    assert_eq!(idle.get("/hello").await.status, 200);
    let mut idle_secure = Knock::default().at(house.https).await.unwrap();
    assert_eq!(idle_secure.get("/hello").await.status, 200);
    let mut busy = Line::to(house.http).await;
    busy.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    house.began.acquire().await.unwrap().forget();

    house.stop.ask();
    assert!(fresh.is_closed().await && shaking.is_closed().await);
    assert!(idle.is_closed().await && idle_secure.is_closed().await);
    until_refused(house.http).await;
    until_refused(house.https).await;

    house.release.add_permits(1);
    let answer = busy.answer().await;
    assert_eq!((answer.text(), &answer.headers["connection"]), ("released", &"close".parse().unwrap()));
    assert!(busy.is_closed().await);
    assert_eq!(house.log_lines().await.len(), 3);
}

/// The doors close beside the connections, in no order.
async fn until_refused(address: SocketAddr) {
    let refused = async {
        while TcpStream::connect(address).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_told_to_go_away() {
    let house = House::with(quick());
    let mut line = Line::to(house.http).await;
    line.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // Until our settings are acknowledged we may not have been understood.
    assert!(!line.is_closed().await);
    house.stop.ask();
    let bytes = line.rest().await.unwrap();
    const GO_AWAY: [u8; 6] = [7, 0, 0, 0, 0, 0]; // the frame's type, flags and stream
    assert!(bytes.windows(GO_AWAY.len()).any(|six| six == GO_AWAY), "{bytes:?}");
    assert!(house.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_does_not_wait_for_the_silent() {
    let house = House::with(quick());
    let mut silent = Vec::new();
    for _ in 0..10 {
        let mut line = Line::to(house.http).await;
        line.send("GET /hello HTTP/1.1\r\n").await.unwrap();
        silent.push(line);
    }
    house.until_meter(r#"provost_connections_open{door="http"}"#, 10).await;
    assert!(house.close().await);
}

#[tokio::test]
async fn doors_are_bound_first_and_opened_later() {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let doors = Doors::bind(&Bindings { pairs: vec![(any, any)], ..Bindings::default() }).unwrap();
    let (http, https) = doors.addresses()[0];
    assert!(http.port() != 0 && https.port() != 0 && http != https);
    assert!(TcpStream::connect(http).is_err(), "nobody listens yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_house_on_the_same_doors_is_refused() {
    let house = House::open();
    let error =
        Doors::bind(&Bindings { pairs: vec![(house.http, house.https)], ..Bindings::default() }).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is in use already", house.http));
    let hint = format!("choose another port, or see who has it: ss -ltnp 'sport = :{}'", house.http.port());
    assert_eq!(error.help(), Some(hint));
}
