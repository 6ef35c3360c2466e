//! Reading what is in the keyspace of etcd's version 2.

use base::Clock;
use store::read_v2;
use testkit::EtcdPlan;

use super::*;

fn read(settings: &EtcdSettings, key: &str) -> Result<Option<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let read = runtime.block_on(read_v2(settings, key, Clock::system()));
    read.map_err(|error| base::report(&error))
}

/// etcd's own tool, over the API of version 2.
fn etcdctl(server: &testkit::Etcd, arguments: &[&str]) {
    let mut command = std::process::Command::new("etcdctl");
    command.env("ETCDCTL_API", "2").args(["--endpoints", &server.endpoint(0)]);
    testkit::run(command.args(arguments)).ok();
}

#[test]
fn a_value_is_found_where_the_older_api_is_there() {
    let server = EtcdPlan::new(1).option("--enable-v2").start();
    let key = "/commissaire/config/commissaire";
    etcdctl(&server, &["set", key, "{\"debug\": true}"]);
    let mut settings = settings(&server);
    assert_eq!(read(&settings, key), Ok(Some("{\"debug\": true}".to_owned())));
    assert_eq!(read(&settings, "/commissaire/config/other"), Ok(None));
    assert_eq!(read(&settings, "/commissaire/config"), Ok(None), "a directory has no value");
    // The next one is asked when nobody is at the first.
    settings.endpoints.insert(0, "http://127.0.0.1:1".to_owned());
    assert_eq!(read(&settings, key), Ok(Some("{\"debug\": true}".to_owned())));
    settings.endpoints.truncate(1);
    assert!(read(&settings, key).unwrap_err().contains("etcd"));
}

#[test]
fn where_it_is_not_nothing_is_found() {
    let server = testkit::Etcd::start(1);
    assert_eq!(read(&settings(&server), "/commissaire/config/commissaire"), Ok(None));
}

/// Its users are its own: those of version 3 are others.
#[test]
fn who_signs_in_is_known_by_a_password() {
    let server = EtcdPlan::new(1).option("--enable-v2").start();
    let key = "/commissaire/config/commissaire";
    etcdctl(&server, &["set", key, "{}"]);
    etcdctl(&server, &["user", "add", "root:hunter2"]);
    etcdctl(&server, &["auth", "enable"]);
    etcdctl(&server, &["-u", "root:hunter2", "role", "revoke", "guest", "--path", "/*", "--readwrite"]);
    let mut settings = settings(&server);
    let told = read(&settings, key).unwrap_err();
    assert!(told.contains("etcd answered 401"), "{told}");
    settings.user = user("root", "hunter2");
    assert_eq!(read(&settings, key), Ok(Some("{}".to_owned())));
    settings.user = user("root", "hunter22");
    let told = read(&settings, key).unwrap_err();
    assert!(told.contains("etcd answered 401") && !told.contains("hunter"), "{told}");
}
