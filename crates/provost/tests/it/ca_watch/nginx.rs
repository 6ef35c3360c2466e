//! nginx, which has a certificate that is kept.

use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Face, Process, free_pair, openssl, wait_until};

use super::{configure, once, watch};
use crate::ca_commands::Holder;
use crate::houses::plan;

/// nginx, which goes on answering while its certificate is another one twenty times, and its hook makes it read that.
#[test]
fn nginx_answers_through_twenty_renewals() {
    let nginx =
        ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| std::path::Path::new(path).exists());
    let nginx = nginx.unwrap_or_else(|| panic!("nginx is not installed: run `cargo xtask witnesses`"));
    // 40 s long, dated back by 10 s, and due 2 s after it was issued.
    let house = plan(Face::Up)
        .option("service-auto-approve-count", "999")
        .option("service-crt-validity", "0.000463")
        .start();
    let holder = Holder::of(&house.http_url(""));
    let port = free_pair();
    let conf = format!(
        "daemon off; master_process on; worker_processes 2; pid nginx.pid; error_log nginx.err;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate web.crt; ssl_certificate_key web.key; return 200 \"hello\"; }} }}\n"
    );
    std::fs::write(holder.path("nginx.conf"), conf).unwrap();
    let prefix = holder.folder().display().to_string();
    let arguments = ["-p", &prefix, "-c", "nginx.conf", "-e", "nginx.err"];
    configure(&holder, &house.http_url(""), "threshold = \"28s\"\njitter = \"0\"\n");
    once(&holder).ok();
    let serving = Process::spawn(Command::new(nginx).args(arguments));
    // The features of this build leave the choice to whoever comes first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let get = || {
        let client =
            reqwest::blocking::Client::builder().tls_danger_accept_invalid_certs(true).tls_certs_only([]);
        let client = client.tls_info(true).pool_max_idle_per_host(0).no_proxy().build().unwrap();
        let answer = client.get(format!("https://127.0.0.1:{port}/")).send()?;
        let der = answer
            .extensions()
            .get::<reqwest::tls::TlsInfo>()
            .and_then(|info| info.peer_certificate().map(<[u8]>::to_vec));
        let served = x509::Certificate::from_der(&der.unwrap()).unwrap();
        assert_eq!((answer.status().as_u16(), answer.text()?.as_str()), (200, "hello"));
        Ok::<_, reqwest::Error>(served)
    };
    wait_until("nginx", || get().is_ok());
    let hook = format!(
        "on_renew = \"{nginx} {} -s reload\"\nthreshold = \"28s\"\njitter = \"0\"\n",
        arguments.join(" ")
    );
    configure(&holder, &house.http_url(""), &hook);
    let watching = watch(&holder);
    let (mut serials, mut asked) = (std::collections::BTreeSet::new(), 0);
    let begun = Instant::now();
    while serials.len() <= 20 {
        let served =
            get().unwrap_or_else(|error| panic!("request {asked} failed: {error:?}\n{}", watching.stderr()));
        serials.insert(served.serial().to_string());
        asked += 1;
        assert!(
            begun.elapsed() < Duration::from_secs(240),
            "{} renewals, {}",
            serials.len(),
            watching.stderr()
        );
    }
    println!("{asked} requests, {} certificates", serials.len());
    watching.terminate();
    let ran = watching.wait();
    assert!(ran.code == Some(0) && !ran.stderr.contains("hook failed"), "{ran:?}");
    holder.has_a_pair("web.crt", "web.key", "ca.pem");
    serving.terminate();
    drop(serving.wait());
    let _ = openssl(holder.folder(), &["version"]);
}
