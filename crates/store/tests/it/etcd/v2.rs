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

/// By etcd's own tool, over the API of version 2.
fn set(server: &testkit::Etcd, key: &str, value: &str) {
    let mut command = std::process::Command::new("etcdctl");
    command.env("ETCDCTL_API", "2").args(["--endpoints", &server.endpoint(0), "set", key, value]);
    testkit::run(&mut command).ok();
}

#[test]
fn a_value_is_found_where_the_older_api_is_there() {
    let server = EtcdPlan::new(1).option("--enable-v2").start();
    set(&server, "/commissaire/config/commissaire", "{\"debug\": true}");
    let mut settings = settings(&server);
    let key = "/commissaire/config/commissaire";
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
