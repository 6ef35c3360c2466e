//! How many artifacts are read in a second, and what processor time each takes, over plain HTTP and over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use base::Sha512;
use rustls::ClientConfig;

use super::{Bench, LARGE, SMALL, bytes, rivals};
use crate::Failure;
use crate::http::{self, Client};
use crate::load::{self, Worker};
use crate::process::Served;
use crate::report::{Measured, Row, Section, Unit};
use crate::run::{self, count, note};

const SIZES: [(&str, usize); 2] = [("1 KiB", SMALL), ("256 MiB", LARGE)];
const CONNECTIONS: [usize; 3] = [1, 8, 64];

/// Reads one artifact over and over, and throws it away.
struct Reader {
    client: Client,
    request: Vec<u8>,
}

impl Worker for Reader {
    async fn turn(&mut self) -> Result<bool, Failure> {
        self.client.drained(200, &self.request).await?;
        Ok(true)
    }
}

/// Who is asked, and for what.
struct Contender<'a> {
    served: &'a Served,
    path: String,
}

impl Contender<'_> {
    /// The port after that of HTTP is that of HTTPS.
    fn address(&self, tls: bool) -> SocketAddr {
        let mut address = self.served.address;
        address.set_port(address.port() + u16::from(tls));
        address
    }
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Section>, Failure> {
    let folder = run::folder_in(bench.folder.path(), "nginx")?;
    let ours = bench.serve("reading").await?;
    let data = bench.folder.path().join("reading/data");
    let nginx = rivals::nginx(&folder, &data.join("server.key.pem")).await?;
    let tls = rivals::trusting(&data.join("server-ca.pem"))?;
    let (mut rows, mut tls_rows) = (Vec::new(), Vec::new());
    for (size, length) in SIZES {
        let artifact = bytes(length, length as u64);
        let digest = Sha512::of(&artifact).to_string();
        let path = folder.join(&digest);
        std::fs::write(&path, &artifact).map_err(Failure::file(&path))?;
        let octets = Some(("application/octet-stream", &artifact[..]));
        Client::new(ours.address).expect(201, &http::request("POST", "/shacache", octets)).await?;
        drop(artifact);
        let contenders = [
            Contender { served: &ours, path: format!("/shacache/{digest}") },
            Contender { served: &nginx, path: format!("/{digest}") },
        ];
        rows.extend(compare(bench, size, &contenders, None).await?);
        tls_rows.extend(compare(bench, &format!("TLS, {size}"), &contenders, Some(&tls)).await?);
    }
    ours.stop().await?;
    nginx.stop().await?;
    let section = |title: &str, rows, note: &str| Section {
        title: title.into(),
        rival: "nginx",
        rows,
        notes: vec!["both write an access log; nginx is one process".into(), note.into()],
    };
    Ok(vec![
        section("Reading artifacts over plain HTTP", rows, "nginx has sendfile on"),
        section("Reading artifacts over TLS 1.3", tls_rows, "both have the same key, certificate and cipher"),
    ])
}

/// Requests a second and processor time for each, with more and more connections.
async fn compare(
    bench: &Bench,
    what: &str,
    contenders: &[Contender<'_>; 2],
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Vec<Row>, Failure> {
    let (mut rows, mut cpu_rows) = (Vec::new(), Vec::new());
    for connections in CONNECTIONS {
        let what = format!("{what}, {}", count(connections, "connection"));
        note(&format!("reading: {what}"));
        let mut per_second = [Measured::default(), Measured::default()];
        let mut cpu = [Measured::default(), Measured::default()];
        for _ in 0..bench.rounds {
            for (at, contender) in contenders.iter().enumerate() {
                let request = http::request("GET", &contender.path, None);
                let address = contender.address(tls.is_some());
                let reader = || Reader {
                    client: match tls {
                        Some(tls) => Client::over_tls(address, tls.clone()),
                        None => Client::new(address),
                    },
                    request: request.clone(),
                };
                let readers = std::iter::repeat_with(reader).take(connections).collect();
                let before = contender.served.cpu()?;
                let (done, _) = load::run(readers, bench.duration).await?;
                per_second[at].add(done.per_second());
                cpu[at].add((contender.served.cpu()? - before).as_secs_f64() * 1e6 / done.turns as f64);
            }
        }
        let [ours, theirs] = per_second;
        rows.push(Row { what: what.clone(), unit: Unit::PerSecond, ours, theirs });
        let [ours, theirs] = cpu;
        cpu_rows.push(Row {
            what: format!("processor time, {what}"),
            unit: Unit::Microseconds,
            ours,
            theirs,
        });
    }
    rows.append(&mut cpu_rows);
    Ok(rows)
}
