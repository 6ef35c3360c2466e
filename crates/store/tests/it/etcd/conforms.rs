//! The suite that all engines pass, each case on an etcd of its own.

use std::cell::RefCell;
use std::sync::Arc;

use store::conformance::conformance;
use testkit::EtcdPlan;

use super::*;

/// Runs the suite; `start` gives an etcd that nobody has written to.
fn conforms(start: impl Fn() -> (testkit::Etcd, EtcdSettings)) {
    let running = RefCell::new(None);
    block_on(conformance(async || {
        // The one before is no longer needed.
        drop(running.take());
        let (server, settings) = start();
        running.replace(Some(server));
        let store = Etcd::connect(&settings, Clock::system(), Entropy::system()).await;
        Arc::new(store.unwrap()) as Arc<dyn Engine>
    }));
}

#[test]
fn one_member_conforms() {
    conforms(|| {
        let server = testkit::Etcd::start(1);
        let settings = settings(&server);
        (server, settings)
    });
}

#[test]
fn three_members_conform() {
    conforms(|| {
        let server = testkit::Etcd::start(3);
        let settings = settings(&server);
        (server, settings)
    });
}

#[test]
fn with_tls_and_a_user_it_conforms() {
    conforms(|| {
        let server = EtcdPlan::new(1).tls().start();
        server.enable_auth("hunter2");
        let mut settings = settings(&server);
        settings.user = user("root", "hunter2");
        (server, settings)
    });
}

#[test]
fn in_a_namespace_it_conforms() {
    conforms(|| {
        let server = testkit::Etcd::start(1);
        let mut settings = settings(&server);
        settings.namespace = Prefix::new("/elsewhere").unwrap();
        (server, settings)
    });
}
