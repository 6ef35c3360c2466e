//! How many artifacts are read in a second, and what processor time each takes, over plain HTTP.

use std::path::Path;
use std::process::Command;

use base::Sha512;

use super::{Bench, LARGE, SMALL, bytes};
use crate::Failure;
use crate::http::{self, Client};
use crate::load::{self, Worker};
use crate::process::{self, Served};
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

pub(super) async fn measure(bench: &Bench) -> Result<Section, Failure> {
    let folder = run::folder_in(bench.folder.path(), "nginx")?;
    let ours = bench.serve("reading").await?;
    let nginx = start_nginx(&folder).await?;
    let (mut rows, mut cpu_rows) = (Vec::new(), Vec::new());
    for (size, length) in SIZES {
        let artifact = bytes(length, length as u64);
        let digest = Sha512::of(&artifact).to_string();
        let path = folder.join(&digest);
        std::fs::write(&path, &artifact).map_err(Failure::file(&path))?;
        let octets = Some(("application/octet-stream", &artifact[..]));
        Client::new(ours.address).expect(201, &http::request("POST", "/shacache", octets)).await?;
        drop(artifact);
        for connections in CONNECTIONS {
            let what = format!("{size}, {}", count(connections, "connection"));
            note(&format!("reading: {what}"));
            let mut per_second = [Measured::default(), Measured::default()];
            let mut cpu = [Measured::default(), Measured::default()];
            let contenders = [(&ours, format!("/shacache/{digest}")), (&nginx, format!("/{digest}"))];
            for _ in 0..bench.rounds {
                for (at, (served, path)) in contenders.iter().enumerate() {
                    let request = http::request("GET", path, None);
                    let reader = || Reader { client: Client::new(served.address), request: request.clone() };
                    let readers = std::iter::repeat_with(reader).take(connections).collect();
                    let before = served.cpu()?;
                    let (done, _) = load::run(readers, bench.duration).await?;
                    per_second[at].add(done.per_second());
                    cpu[at].add((served.cpu()? - before).as_secs_f64() * 1e6 / done.turns as f64);
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
    }
    rows.append(&mut cpu_rows);
    ours.stop().await?;
    nginx.stop().await?;
    let notes = vec!["both write an access log; nginx is one process with sendfile".into()];
    Ok(Section { title: "Reading artifacts over plain HTTP, a second".into(), rival: "nginx", rows, notes })
}

/// An nginx that serves what is in `folder`.
async fn start_nginx(folder: &Path) -> Result<Served, Failure> {
    let port = process::free_ports()?;
    let at = folder.display();
    let configuration = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{ worker_connections 1024; }}\n\
         http {{\n  access_log {at}/access.log;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 100000000;\n  \
         client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n  \
         uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n  server {{ listen 127.0.0.1:{port}; root {at}; }}\n}}\n"
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, configuration).map_err(Failure::file(&path))?;
    std::fs::write(folder.join("ready"), "ready").map_err(Failure::file(folder))?;
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    let program = program.into_iter().find(|path| Path::new(path).exists());
    let missing = || Failure::Missing("nginx is not here: apt-get install nginx-light".into());
    let mut command = Command::new(program.ok_or_else(missing)?);
    command.arg("-c").arg(&path).arg("-e").arg(folder.join("error.log"));
    Served::start("nginx", command, port, "/ready", folder).await
}
