//! What it makes of an etcd: whose configuration comes first, and where everything is kept.

use std::net::TcpStream;

use serde_json::json;
use testkit::{EtcdPlan, free_pair, http};

use super::{Place, with_alice};
use crate::program::called;

#[test]
fn etcds_configuration_comes_before_the_file() {
    let etcd = EtcdPlan::new(1).option("--enable-v2").start();
    let place = Place::new(&[("commissaire.conf", json!({"listen-interface": "192.0.2.1"}))]);
    let machines = etcd.endpoint(0).trim_start_matches("http://").to_owned();
    let variables = [("ETCD_MACHINES", machines.as_str()), ("PROVOST_STORE_ETCD_NAMESPACE", "/ours")];
    let options = ["-c", "commissaire.conf", "-p", "PORT"];
    let conf = with_alice(json!({"listen_interface": "127.0.0.1"})).to_string();

    // In the keyspace of version 2, where the original has it.
    let url = format!("{}/v2/keys/commissaire/config/commissaire", etcd.endpoint(0));
    let put = http::anybody().put(&url).header("Content-Type", "application/x-www-form-urlencoded");
    let value: String = conf.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(put.body(format!("value={value}")).send().unwrap().status(), 201);
    let served = place.serve("", &variables, &options);
    assert_eq!(served.put_cluster("web"), 201);
    let ran = served.stop();
    assert!(ran.stderr.contains(&format!("ETCD_MACHINES=http://{machines}\n")), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the configuration is that under /commissaire/config/commissaire"),
        "{}",
        ran.stderr
    );
    // Everything is kept there too.
    let kept = etcd.etcdctl(&["get", "--prefix", "--keys-only", "/ours/"]).ok().to_owned();
    assert!(kept.contains("web"), "{kept}");
    assert!(!place.path("data/provost.db").exists());

    // In that of version 3, which comes first.
    etcd.etcdctl(&[
        "put",
        "/commissaire/config/commissaire",
        &with_alice(json!({"listen-interface": "::1"})).to_string(),
    ])
    .ok();
    let served = place.serve("", &variables, &options);
    assert!(TcpStream::connect(("::1", served.port)).is_ok());
    served.stop();

    // What it says is no object: the file counts.
    etcd.etcdctl(&["put", "/commissaire/config/commissaire", "[]"]).ok();
    let ran = called("commissaire-server", place.0.path(), &variables, &["-c", "missing.conf"]);
    let told = "/commissaire/config/commissaire in etcd cannot be used: is no JSON object\n";
    assert!(ran.code == Some(2) && ran.stderr.contains(told), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: missing.conf: could not be read"), "{}", ran.stderr);
    // Nothing of it is asked.
    let served = place.serve("", &variables, &["--no-config", "-i", "127.0.0.1", "-p", "PORT"]);
    assert_eq!(served.status(&http::anybody(), "http", "/api/v0/hosts", Some("secret")), 403);
    served.stop();
}

#[test]
fn etcd_is_asked_over_tls_by_a_user_with_a_password() {
    let etcd = EtcdPlan::new(1).tls().start();
    let conf = with_alice(json!({"listen-interface": "127.0.0.1"}));
    etcd.etcdctl(&["put", "/commissaire/config/commissaire", &conf.to_string()]).ok();
    etcd.enable_auth("hunter2");
    let place = Place::new(&[]);
    let text = |name: &str| etcd.path(name).display().to_string();
    let (ca, pem, key, machines) =
        (text("ca.pem"), text("client.pem"), text("client.key.pem"), etcd.endpoint(0));
    let variables = |password: &'static str| {
        [
            ("ETCD_MACHINES", machines.as_str()),
            ("ETCD_CACERT", &ca),
            ("ETCD_TLSPEM", &pem),
            ("ETCD_TLSKEY", &key),
            ("ETCD_USERNAME", "root"),
            ("ETCD_PASSWORD", password),
        ]
        .map(|(name, value)| (name, value.to_owned()))
    };
    let given = variables("hunter2");
    let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let served = place.serve("", &given, &["-p", "PORT"]);
    assert_eq!(served.put_cluster("web"), 201);
    let ran = served.stop();
    assert!(ran.stderr.contains("ETCD_PASSWORD=(redacted)\n"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);

    let given = variables("hunter22");
    let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ran = called("commissaire-server", place.0.path(), &given, &["-c", "missing.conf"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("authentication failed"), "{}", ran.stderr);
}

/// As with etcdctl.
#[test]
fn whom_the_system_trusts_may_have_issued_etcds_certificate() {
    let etcd = EtcdPlan::new(1).tls().start();
    let text = |name: &str| etcd.path(name).display().to_string();
    let (ca, pem, key, machines) =
        (text("ca.pem"), text("client.pem"), text("client.key.pem"), etcd.endpoint(0));
    // What tells everybody who uses OpenSSL's, and us, whom this system trusts.
    let variables = [
        ("SSL_CERT_FILE", ca.as_str()),
        ("ETCD_MACHINES", &machines),
        ("ETCD_TLSPEM", &pem),
        ("ETCD_TLSKEY", &key),
    ];
    let place = Place::new(&[("commissaire.conf", with_alice(json!({"listen-interface": "127.0.0.1"})))]);
    let served = place.serve("", &variables, &["-c", "commissaire.conf", "-p", "PORT"]);
    assert_eq!(served.put_cluster("web"), 201);
    let ran = served.stop();
    assert!(ran.stderr.contains("there is no /commissaire/config/commissaire in etcd\n"), "{}", ran.stderr);

    std::fs::write(place.path("empty.pem"), "").unwrap();
    let variables =
        [("SSL_CERT_FILE", "empty.pem"), ("SSL_CERT_DIR", "empty.pem"), ("ETCD_MACHINES", &machines)];
    let ran = called("commissaire-server", place.0.path(), &variables, &["-c", "missing.conf"]);
    assert!(ran.stderr.contains("nor does this system trust any"), "{}", ran.stderr);
}

#[test]
fn an_etcd_that_is_gone_leaves_the_file() {
    let place = Place::new(&[("commissaire.conf", with_alice(json!({"listen-interface": "127.0.0.1"})))]);
    let nobody = format!("127.0.0.1:{}", free_pair());
    let variables = [("ETCD_MACHINES", nobody.as_str()), ("PROVOST_STORE_ENGINE", "embedded")];
    let served = place.serve("", &variables, &["-c", "commissaire.conf", "-p", "PORT"]);
    assert_eq!(served.put_cluster("web"), 201);
    let ran = served.stop();
    assert!(ran.stderr.contains("everything is kept in "), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("/commissaire/config/commissaire in etcd cannot be used: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_storage_services_etcd_is_where_everything_is_kept() {
    let etcd = testkit::Etcd::start(1);
    let handlers = json!({"storage_handlers": [
        {"type": "etcd", "server_url": etcd.endpoint(0)}, {"name": "commissaire.storage.custodia"},
    ]});
    let conf = with_alice(json!({"listen-interface": "127.0.0.1"}));
    // A second handler claims every model once more.
    let place = Place::new(&[("commissaire.conf", conf), ("storage.conf", handlers.clone())]);
    let ran = called("commissaire-server", place.0.path(), &[], &["-c", "commissaire.conf"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("is claimed twice"), "{}", ran.stderr);

    let mut handlers = handlers["storage_handlers"].clone();
    handlers.as_array_mut().unwrap().pop();
    let storage = json!({"storage-handlers": handlers, "custodia_socket_path": "/run/custodia.sock"});
    std::fs::write(place.path("storage.conf"), storage.to_string()).unwrap();
    // With an URL of its own the environment is not asked.
    let variables = [("ETCD_MACHINES", "127.0.0.1:1"), ("ETCD_USERNAME", "root"), ("ETCD_PASSWORD", "p")];
    let served = place.serve("", &variables, &["-c", "commissaire.conf", "-p", "PORT"]);
    assert_eq!(served.put_cluster("web"), 201);
    let ran = served.stop();
    assert!(ran.stderr.contains("storage.conf: custodia_socket_path: has no counterpart"), "{}", ran.stderr);
    assert!(ran.stderr.contains("what is not in etcd is kept in "), "{}", ran.stderr);
    let kept = etcd.etcdctl(&["get", "--prefix", "--keys-only", "/provost/"]).ok().to_owned();
    assert!(kept.contains("web"), "{kept}");
}
