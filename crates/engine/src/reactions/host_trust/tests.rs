use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Entropy, Secret, Timestamp};
use base64::Engine as _;
use fleet::bootstrap::Profile;
use fleet::{Credentials, Details, Expected, Facts, Fleet, Found, Ground, NewHost, OsCommands, Templates};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use identity::Permit;
use ssh::{Captured, Command, End, Error, HostKey, Output, Remote, Target, Upload};
use store::{Memory, SealingKey};
use trust::on_host::Drift;

use super::*;
use crate::hands::{Hands, Nodes};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO";

/// A machine on which all is well, or that proves another key.
#[derive(Default)]
struct Scripted {
    asked: Mutex<u32>,
    has_another_key: Mutex<bool>,
}

impl Remote for Scripted {
    fn meet<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<HostKey, Error>> {
        unreachable!("nobody is met")
    }

    fn run<'a>(&'a self, target: &'a Target, _: &'a Command) -> BoxFuture<'a, Result<Output, Error>> {
        async move {
            *self.asked.lock().unwrap() += 1;
            if *self.has_another_key.lock().unwrap() {
                let key = || Box::new(KEY.parse().unwrap());
                return Err(Error::HostKeyChanged {
                    at: target.address.clone(),
                    pinned: key(),
                    offered: key(),
                });
            }
            let stdout = Captured::whole("provost-trust-begins\nsystem debian \nprovost-trust-ends\n");
            Ok(Output { end: End::Exit(0), stdout, stderr: Captured::default() })
        }
        .boxed()
    }

    fn put<'a>(&'a self, _: &'a Target, _: &'a Upload) -> BoxFuture<'a, Result<(), Error>> {
        unreachable!("nothing is put")
    }
}

/// A host is worked on by one at a time, after it was met, and says what is wrong with it.
#[tokio::test]
async fn certificates_come_to_hosts_that_were_met_and_that_nobody_else_works_on() {
    let store = Arc::new(Memory::new());
    let (clock, entropy) = (Clock::manual(Timestamp::from_unix(1_790_000_000)), Entropy::seeded(3));
    let sealing = Arc::new(SealingKey::generate(&entropy));
    let ground = Ground { engine: store.clone(), sealing, clock: clock.clone(), entropy };
    let fleet = Arc::new(Fleet::open(ground).await.unwrap());
    let (claims, remote) = (Claims::new(store).unwrap(), Arc::new(Scripted::default()));
    let hands = Hands {
        remote: remote.clone(),
        playbooks: None,
        port: 22,
        jump: None,
        profile: Profile::None,
        commands: OsCommands::standard(),
        templates: Templates::default(),
        etcd: None,
        investigates: false,
        operates: false,
        watch_period: None,
        hosts_max: 50,
        host_limit: Duration::from_secs(600),
    };
    let nodes = Arc::new(Nodes::new(fleet.clone(), clock.clone()));
    let crew = Crew { hands, fleet: fleet.clone(), nodes };
    let (address, places, stop): (HostAddress, _, _) =
        ("10.0.0.1".parse().unwrap(), OnHost { system_store: true, ..OnHost::default() }, Stop::new());
    let errand = Errand {
        claims: &claims,
        holder: "we",
        clock: &clock,
        places: &places,
        bundle: Some(&[]),
        contents: &[],
        drops: &[],
    };
    let hand_on = || crew.hand_on_to_host(&address, errand, &stop).map(Result::unwrap);
    let asked = || std::mem::take(&mut *remote.asked.lock().unwrap());

    assert!(matches!(hand_on().await, HandedOn::Gone));
    let key = x509::PrivateKey::generate(x509::KeySpec::P256).unwrap().to_pem();
    let key = base64::engine::general_purpose::STANDARD.encode(key.expose());
    let credentials = Credentials { ssh_priv_key: Secret::new(key), ..Credentials::default() };
    let new = NewHost { credentials, ..NewHost::default() };
    fleet.add_host(Permit::house(), address.clone(), new).await.unwrap();
    assert!(matches!(hand_on().await, HandedOn::Failed(_)), "its key is not known");
    assert_eq!(asked(), 0);

    let claim = claims.take(&claim_on(&address), "others", clock.now(), LEASE).await.unwrap().unwrap();
    fleet.record_investigating(&claim, &address).await.unwrap();
    let found =
        Found { facts: Facts::default(), details: Details::default(), host_key: Some(KEY.parse().unwrap()) };
    fleet.record_facts(&claim, &address, &found).await.unwrap();
    assert!(matches!(hand_on().await, HandedOn::NotNow), "somebody else is at work on it");
    assert_eq!(asked(), 0);
    claims.release(claim).await.unwrap();

    let nothing = Delivered { changed: false, drift: Drift::default(), store: None, refused: vec![] };
    for bundle in [Some(&[][..]), None] {
        let done = crew.hand_on_to_host(&address, Errand { bundle, ..errand }, &stop).await.unwrap();
        assert!(matches!(done, HandedOn::Done(done) if done == nothing));
    }
    assert_eq!(asked(), 2, "one question each, where all is well");
    *remote.has_another_key.lock().unwrap() = true;
    let HandedOn::Failed(reason) = hand_on().await else { panic!("it proved another key") };
    assert!(reason.contains("provost host accept-key 10.0.0.1"), "{reason}");
    fleet.delete_host(Permit::house(), &address, Expected::Anything).await.unwrap();
    assert!(matches!(hand_on().await, HandedOn::Gone));
}
