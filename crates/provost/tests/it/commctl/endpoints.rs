//! Several servers, some of which are away.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use testkit::{Recorder, Reply, openssl};

use super::{Operator, answering, lines, nobody};

fn configured(endpoints: &[&str]) -> Operator {
    let operator = Operator::new();
    operator.configure(&json!({"endpoint": endpoints, "username": "u", "password": "p"}));
    operator
}

#[test]
fn the_next_is_asked_when_one_is_away() {
    let (_held, away) = nobody();
    let server = answering(200, r#"["10.0.0.1"]"#);
    let operator = configured(&[&format!("{away}//"), &server.url()]);
    let said = format!("Could not connect to {away}. Retrying with {}.\n", server.url());
    let ran = operator.type_in("host list");
    assert_eq!((ran.ok(), ran.stderr.as_str()), (format!("{said}- 10.0.0.1\n").as_str(), ""));
    assert_eq!(lines(&server), ["GET /api/v0/hosts"]);

    // Each request begins with the first again.
    let ran = operator.type_in("host delete 10.0.0.1 10.0.0.2");
    assert_eq!(ran.ok(), format!("{said}{said}- - 10.0.0.1\n- - 10.0.0.1\n"));

    // In a format of ours, standard output has the result and nothing else.
    let ran = operator.type_in("--output name host list");
    assert_eq!((ran.ok(), &ran.stderr), ("10.0.0.1\n", &said));
}

#[test]
fn a_server_that_hangs_up_is_away() {
    let broken = Recorder::start(|_| Reply::HangUp);
    let server = answering(200, "");
    let ran = configured(&[&broken.url(), &server.url()]).type_in("network create n");
    assert!(ran.ok().starts_with(&format!("Could not connect to {}. ", broken.url())), "{}", ran.stdout);
    assert_eq!(lines(&server).len(), 1);
}

/// It takes the connection and says nothing: the words are true, and the next one is asked.
#[test]
fn a_server_that_is_silent_is_not_waited_for_long() {
    // The system takes connections for it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", silent.local_addr().unwrap());
    let server = answering(200, r#"["10.0.0.1"]"#);
    let begun = Instant::now();
    let ran = configured(&[&away, &server.url()]).type_in("host list");
    let said = format!("No answer from {away}. Retrying with {}.\n", server.url());
    assert_eq!(ran.ok(), format!("{said}- 10.0.0.1\n"));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_refusal_is_an_answer() {
    let first = answering(500, "");
    let second = answering(200, "");
    let ran = configured(&[&first.url(), &second.url()]).type_in("host list");
    assert_eq!(ran.code, Some(2));
    assert_eq!(lines(&second), [""; 0]);
}

#[test]
fn it_ends_with_1_when_all_are_away() {
    let ((_a, one), (_b, other)) = (nobody(), nobody());
    let ran = configured(&[&one, &other]).type_in("host list");
    assert_eq!(ran.code, Some(1));
    let expected = format!(
        "Could not connect to {one}. Retrying with {other}.\n\
         No servers could be reached. Tried the following:\n- {one}\n- {other}\nExiting...\n"
    );
    assert_eq!(ran.stdout, expected);
    let reasons: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].starts_with(&format!("commctl: {one}: ")), "{reasons:?}");
    assert!(reasons[0].ends_with("Connection refused (os error 111)"), "{reasons:?}");
}

/// A server's key and certificate for 127.0.0.1, from an authority of its own: `ca.crt.pem` in `folder`.
pub fn tls(folder: &Path, client_ca: bool) -> Arc<ServerConfig> {
    let make = |name: &str, more: &[&str]| {
        let (key, crt) = (format!("{name}.key.pem"), format!("{name}.crt.pem"));
        let fixed =
            ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", &key, "-out", &crt];
        openssl(folder, &[&fixed, more].concat()).ok();
    };
    make("ca", &["-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign"]);
    let signed =
        ["-CA", "ca.crt.pem", "-CAkey", "ca.key.pem", "-addext", "basicConstraints=critical,CA:FALSE"];
    make(
        "server",
        &[&["-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1"], &signed[..]].concat(),
    );
    make("client", &[&["-subj", "/CN=client"], &signed[..]].concat());
    let certificate = |name: &str| CertificateDer::from_pem_file(folder.join(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = if client_ca {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate("ca.crt.pem")).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        builder.unwrap().with_client_cert_verifier(verifier)
    } else {
        builder.unwrap().with_no_client_auth()
    };
    Arc::new(builder.with_single_cert(vec![certificate("server.crt.pem")], key).unwrap())
}

#[test]
fn servers_are_verified() {
    let operator = Operator::new();
    let server = Recorder::start_tls(tls(operator.home(), false), |_| Reply::json(200, "[]"));
    let ca = operator.home().join("ca.crt.pem");
    let configuration = json!({"endpoint": server.url(), "username": "u", "password": "p"});

    // The system's authorities, or others, do not know it.
    let other = tempfile::tempdir().unwrap();
    let (_config, other_ca) = (tls(other.path(), false), other.path().join("ca.crt.pem"));
    operator.configure(&configuration);
    for variable in [("SSL_CERT_FILE", &other_ca), ("REQUESTS_CA_BUNDLE", &other_ca)] {
        let ran = testkit::run(operator.command(&["host", "list"]).env(variable.0, variable.1));
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains("invalid peer certificate: "), "{}", ran.stderr);
        assert_eq!(lines(&server), [""; 0], "nothing was sent");
    }

    for variable in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        let ran = testkit::run(operator.command(&["host", "list"]).env(variable, &ca));
        assert_eq!(ran.ok(), "Success\n", "{variable}: {}", ran.stderr);
    }
    let mut trusting = configuration;
    trusting["ca_file"] = json!(ca);
    operator.configure(&trusting);
    let ran = testkit::run(operator.command(&["host", "list"]).env("REQUESTS_CA_BUNDLE", &other_ca));
    assert_eq!(ran.ok(), "Success\n", "the file comes before the variable: {}", ran.stderr);
}

#[test]
fn a_certificate_in_a_kubeconfig_is_presented() {
    let operator = Operator::new();
    let server = Recorder::start_tls(tls(operator.home(), true), |_| Reply::json(200, "[]"));
    let user = |credentials: &str| {
        let kubeconfig = format!(
            "current-context: c\ncontexts: [{{name: c, context: {{user: u}}}}]\nusers: [{{name: u, user: {credentials}}}]"
        );
        let path = operator.write("kubeconfig", &kubeconfig);
        let ca = operator.home().join("ca.crt.pem");
        operator.configure(&json!({"endpoint": server.url(), "kubeconfig": path, "ca_file": ca}));
        operator.type_in("host list")
    };
    let ran = user("{client-certificate: client.crt.pem, client-key: client.key.pem}");
    assert_eq!(ran.ok(), "Success\n", "{}", ran.stderr);
    assert_eq!(server.heard()[0].header("authorization"), None);
    assert_eq!(user("{token: t}").code, Some(1), "without a certificate nobody comes in");
}
