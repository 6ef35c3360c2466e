//! Many clients, slow clients, and clients that never come to the point.

use std::time::{Duration, Instant};

use server::doors::Limits;

use super::client::{Knock, Line};
use super::house::{House, PATIENCE};

const CLOSED: &str = "provost_connections_closed_total";

fn patient() -> Limits {
    let hour = Duration::from_secs(3600);
    Limits {
        handshake: hour,
        head: hour,
        idle: hour,
        body_stall: hour,
        write_stall: hour,
        connections_max: 20,
        ..Limits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_do_not_keep_others_out() {
    let house = House::with(patient());
    let mut crowd = Vec::new();
    for nth in 0..100_u32 {
        let secure = nth % 2 == 0;
        let mut line = Line::to(if secure { house.https } else { house.http }).await;
        match nth % 5 {
            0 => {}
            1 => line.send("GET /hello HTTP/1.1\r\n").await.unwrap(),
            2 => line.send([0x16, 3, 1, 2, 0, 1, 0]).await.unwrap(), // a ClientHello begins so
            3 if !secure => assert_eq!(line.get("/hello").await.status, 200),
            _ if !secure => {
                line.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await.unwrap()
            }
            _ => {}
        }
        crowd.push(line);
        if nth % 10 == 9 {
            let began = Instant::now();
            assert_eq!(Line::to(house.http).await.get("/hello").await.status, 200);
            assert_eq!(Knock::default().who(house.https).await.unwrap(), "127.0.0.1 https nobody");
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        }
    }
    // Of 100, some were refused for what they sent, and the last are still there.
    assert!(house.meter(&format!(r#"{CLOSED}{{reason="displaced"}}"#)) >= 60);
    assert_eq!(house.meter("provost_connections_refused_total"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_progress_is_never_cut_off() {
    let house = House::with(Limits { connections_max: 3, ..patient() });
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut line = Line::to(house.http).await;
        line.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        house.began.acquire().await.unwrap().forget();
        busy.push(line);
    }
    assert!(Line::to(house.http).await.is_closed().await, "there is no place for a fourth");
    assert_eq!(house.meter("provost_connections_refused_total"), 1);
    house.release.add_permits(3);
    for line in &mut busy {
        assert_eq!(line.answer().await.text(), "released");
    }
    // Now they wait for the client, so the first of them makes room.
    assert_eq!(Line::to(house.http).await.get("/hello").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wait_for_a_peer_ends() {
    let short = Duration::from_millis(100);
    let check = async |limits: Limits, secure: bool, send: &str, reason: &str| {
        let house = House::with(limits);
        let mut line = Line::to(if secure { house.https } else { house.http }).await;
        line.send(send).await.unwrap();
        drop(line.rest().await); // the answer to `send`, if it has one, and the end
        house.until_meter(&format!(r#"{CLOSED}{{reason="{reason}"}}"#), 1).await;
        house.until_meter(r#"provost_connections_open{door="http"}"#, 0).await;
    };
    let head = Limits { head: short, ..patient() };
    check(Limits { handshake: short, ..patient() }, true, "", "handshake_timeout").await;
    check(head.clone(), false, "", "head_timeout").await;
    check(head.clone(), false, "GET /hello HTTP/1.1\r\n", "head_timeout").await;
    check(head, false, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /", "head_timeout").await;
    check(Limits { idle: short, ..patient() }, false, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "idle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_is_given_up() {
    let house = House::with(Limits { head: Duration::from_millis(300), ..patient() });
    let mut line = Line::to(house.http).await;
    line.send("GET /hello HTTP/1.1\r\n").await.unwrap();
    let dripping = async {
        // A drop every 5 ms, until there is nobody who takes it.
        while tokio::time::timeout(Duration::from_millis(5), line.is_closed()).await.is_err() {
            if line.send("X: y\r\n").await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.unwrap();
    house.until_meter(&format!(r#"{CLOSED}{{reason="head_timeout"}}"#), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_is_given_up() {
    let house = House::with(Limits { write_stall: Duration::from_millis(200), ..patient() });
    let mut line = Line::to(house.http).await;
    line.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    house.until_meter(&format!(r#"{CLOSED}{{reason="stalled"}}"#), 1).await;

    // On HTTP/2 it is the flow control that stands still, not the socket.
    let mut line = Line::to(house.http).await;
    line.send(http_2_request(b"/large")).await.unwrap();
    house.until_meter(&format!(r#"{CLOSED}{{reason="stalled"}}"#), 2).await;
}

/// The preface, empty settings, and a GET on stream 1 whose answer will never get more window.
fn http_2_request(path: &[u8]) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()]; // GET, http, path (RFC 7541)
    block.extend_from_slice(path);
    block.extend_from_slice(b"\x01\x04test"); // authority
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&[0, 0, u8::try_from(block.len()).unwrap(), 0x01, 0x05, 0, 0, 0, 1]);
    bytes.extend_from_slice(&block);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_all_of_it() {
    let house = House::with(Limits { write_stall: Duration::from_secs(5), ..patient() });
    let mut line = Line::to(house.http).await;
    line.send("GET /large HTTP/1.0\r\n\r\n").await.unwrap();
    let whole = line.rest().await.unwrap();
    assert!(whole.len() > super::house::LARGE_BYTES);
    assert!(house.meter(r#"provost_sent_bytes_total{door="http"}"#) as usize >= super::house::LARGE_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn dripping_bodies_do_not_keep_others_out() {
    let house = House::with(Limits { connections_max: 5, ..patient() });
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let mut line = Line::to(house.http).await;
        line.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
        crowd.spawn(async move {
            while tokio::time::timeout(Duration::from_millis(5), line.is_closed()).await.is_err() {
                if line.send("b").await.is_err() {
                    break;
                }
            }
        });
    }
    house.until_meter(r#"provost_connections_open{door="http"}"#, 5).await;
    let began = Instant::now();
    let served = async {
        // For a second they may be healthy transfers, and whoever comes is refused.
        loop {
            let mut line = Line::to(house.http).await;
            if line.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.is_ok() && !line.is_closed().await {
                return line.answer().await.status;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, served).await.unwrap(), 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(house.meter(&format!(r#"{CLOSED}{{reason="displaced"}}"#)), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_read_in_drips_is_given_up() {
    let write_stall = Duration::from_millis(300);
    let house = House::with(Limits { write_stall, bytes_per_second_min: 1 << 20, ..patient() });
    let mut line = Line::to(house.http).await;
    line.send(http_2_request(b"/large")).await.unwrap();
    let mut drops = tokio::time::interval(Duration::from_millis(5));
    let dripping = async {
        // Room for 100 bytes more (RFC 9113 §6.9) on the connection and on stream 1, every 5 ms.
        while house.meter(&format!(r#"{CLOSED}{{reason="stalled"}}"#)) == 0 {
            drops.tick().await;
            drop(line.send(b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x64\0\0\x04\x08\0\0\0\0\x01\0\0\0\x64").await);
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.unwrap();
}
