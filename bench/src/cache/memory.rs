//! How much memory the server takes at most, while a very large artifact comes and others are read.

use std::convert::Infallible;

use base::Sha512;

use super::{Bench, LARGE, bytes};
use crate::Failure;
use crate::http::{self, Client};
use crate::report::{Row, Section, Unit};
use crate::run::note;

/// The large one: 4 GiB, in pieces of 1 MiB.
const PIECES: u64 = 4096;
const PIECE_BYTES: usize = 1 << 20;
/// How many read meanwhile.
const READERS: usize = 8;
/// What is aimed at, in MB: 64 MiB.
const AIM: f64 = 67.1;

pub(super) async fn measure(bench: &Bench) -> Result<Section, Failure> {
    note("memory: 4 GiB come, 8 read");
    let served = bench.serve("memory").await?;
    let artifact = bytes(LARGE, 1);
    let digest = Sha512::of(&artifact).to_string();
    let octets = Some(("application/octet-stream", &artifact[..]));
    Client::new(served.address).expect(201, &http::request("POST", "/shacache", octets)).await?;
    drop(artifact);
    let idle = served.resident_bytes()?;
    let request = http::request("GET", &format!("/shacache/{digest}"), None);
    let read = async || -> Result<Infallible, Failure> {
        let mut client = Client::new(served.address);
        loop {
            client.drained(200, &request).await?;
        }
    };
    let readers = futures_util::future::try_join_all(std::iter::repeat_with(read).take(READERS));
    let piece = bytes(PIECE_BYTES, 2);
    let mut poster = Client::new(served.address);
    let posted = tokio::select! {
        posted = poster.post_repeated("/shacache", &piece, PIECES) => posted,
        // They go on for ever, unless one fails.
        Err(failure) = readers => Err(failure),
    };
    posted?;
    let peak = served.resident_bytes_peak()?;
    served.stop().await?;
    let row = Row {
        what: "at most".into(),
        unit: Unit::Megabytes,
        ours: (peak as f64 / 1e6).into(),
        theirs: AIM.into(),
    };
    let notes = vec![format!("{:.1} MB before", idle as f64 / 1e6)];
    let title = "Memory of the server while 4 GiB come and 8 read 256 MiB over and over".into();
    Ok(Section { title, rival: "the aim", rows: vec![row], notes })
}
