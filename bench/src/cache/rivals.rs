//! What a user would have in place of Provost: nginx for files, slapos.core's proxy for a cache.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::Failure;
use crate::process::{self, Served};

/// Serves the network cache of slapos.core's proxy from two folders of the one it is started in.
const PROXY: &str = "
import logging, os, sys
from werkzeug.serving import make_server
from slapos.proxy.views import app
logging.getLogger('werkzeug').setLevel(logging.ERROR)
for folder in ('objects', 'entries'):
    os.mkdir(folder)
app.config.update(
    DATABASE_URI='proxy.db', SHACACHE_CONTENT_DIRECTORY=os.path.abspath('objects'),
    SHACACHE_METADATA_DIRECTORY=os.path.abspath('entries'),
    computer_id='computer', software_product_list={}, multimaster={}, run_id='run')
open('objects/' + sys.argv[2], 'w').close()
make_server('127.0.0.1', int(sys.argv[1]), app, threaded=True).serve_forever()
";

/// An nginx that serves what is in `folder`, and takes files under `/put/`; over TLS, too, with the key and the
/// certificate in `pem`.
pub(super) async fn nginx(folder: &Path, pem: &Path) -> Result<Served, Failure> {
    let port = process::free_ports()?;
    let (at, pem) = (folder.display(), pem.display());
    let tls = port + 1;
    let configuration = format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{ worker_connections 1024; }}\n\
         http {{\n  access_log {at}/access.log;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 100000000;\n  \
         client_max_body_size 0;\n  client_body_temp_path {at}/put;\n  proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n  \
         uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n  server {{\n    listen 127.0.0.1:{port};\n    listen 127.0.0.1:{tls} ssl;\n    \
         ssl_certificate {pem};\n    ssl_certificate_key {pem};\n    ssl_protocols TLSv1.3;\n    root {at};\n    \
         location /put/ {{ dav_methods PUT; }}\n  }}\n}}\n"
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

/// slapos.core's proxy, with its network cache in `folder`.
pub(super) async fn proxy(folder: &Path) -> Result<Served, Failure> {
    let port = process::free_ports()?;
    let empty = base::Sha512::of(b"").to_string();
    let mut command = Command::new(testkit::slapos_python());
    command.args(["-c", PROXY, &port.to_string(), &empty]).current_dir(folder);
    Served::start("slapos.core", command, port, &format!("/shacache/cache/{empty}"), folder).await
}

/// Trusts the certificates in the file at `path`, and nobody else.
pub(super) fn trusting(path: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let failed = |what: String| Failure::Program { program: "rustls".into(), what };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let config = config.map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
