//! How many requests for what everybody reads are answered in a second, over plain HTTP.

use super::Bench;
use super::contenders::{BOTH, Contender};
use crate::Failure;
use crate::http::{self, Client};
use crate::load::{self, Worker};
use crate::process::Served;
use crate::report::{Measured, Row, Section, Unit};
use crate::run::{count, note};

const DOCUMENTS: [(&str, &str); 2] =
    [("CA certificate", "/cas/crt/ca.crt.pem"), ("revocation list", "/cas/crl")];
const CONNECTIONS: [usize; 2] = [1, 8];

/// Reads one document over and over.
struct Reader {
    client: Client,
    request: Vec<u8>,
}

impl Worker for Reader {
    async fn turn(&mut self) -> Result<bool, Failure> {
        self.client.expect(200, &self.request).await?;
        Ok(true)
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Section, Failure> {
    bench.runtime.block_on(measure_both(bench))
}

async fn measure_both(bench: &Bench) -> Result<Section, Failure> {
    let ours = Contender::Provost.start(bench, "reading").await?;
    let theirs = Contender::Caucased.start(bench, "reading").await?;
    let mut rows = Vec::new();
    let mut kept = [true; 2];
    for (document, path) in DOCUMENTS {
        for connections in CONNECTIONS {
            note(&format!("reading: {document}, {}", count(connections, "connection")));
            let mut measured = [Measured::default(), Measured::default()];
            for _ in 0..bench.rounds {
                for (at, served) in [&ours, &theirs].into_iter().enumerate() {
                    let (per_second, keeps) = read(bench, served, path, connections).await?;
                    measured[at].add(per_second);
                    kept[at] &= keeps;
                }
            }
            let [ours, theirs] = measured;
            let what = format!("{document}, {}", count(connections, "connection"));
            rows.push(Row { what, unit: Unit::PerSecond, ours, theirs });
        }
    }
    ours.stop().await?;
    theirs.stop().await?;
    let told = |(who, kept): (&Contender, bool)| {
        let how = if kept { "keeps connections open" } else { "wants a new connection for each request" };
        format!("{} {how}", who.name())
    };
    Ok(Section {
        title: "Reading over HTTP, requests a second".into(),
        rival: Contender::Caucased.name(),
        rows,
        notes: vec![BOTH.iter().zip(kept).map(told).collect::<Vec<_>>().join("; ")],
    })
}

/// Requests a second, and whether the connections were kept open.
async fn read(
    bench: &Bench,
    served: &Served,
    path: &str,
    connections: usize,
) -> Result<(f64, bool), Failure> {
    let reader = || Reader { client: Client::new(served.address), request: http::request("GET", path, None) };
    let readers = std::iter::repeat_with(reader).take(connections).collect();
    let (done, readers) = load::run(readers, bench.duration).await?;
    Ok((done.per_second(), readers.iter().all(|reader| reader.client.connections() == 1)))
}
