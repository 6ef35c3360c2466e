use base::{Entropy, Timestamp};
use fleet::ContainerManagerKind;
use serde_json::Value;
use store::{Memory, SealingKey};
use testkit::{ApiServer, StandIn};
use trust::{Fingerprint, Offer, ProviderName, RequirerName, SetChange, Terms, Trust, Why};
use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

use super::*;
use crate::hands::handing_on::{Letter, Replied, Unanswered};
use crate::hands::nodes::tests::{TOKEN, World, at, name, server};
use crate::reconcilers::Give;

/// Keeps what is posted, and takes it.
#[derive(Default)]
struct Posted(Mutex<Vec<Letter>>);

impl Courier for Posted {
    fn post(&self, letter: Letter) -> BoxFuture<'_, Result<Replied, Unanswered>> {
        self.0.lock().unwrap().push(letter);
        Box::pin(async { Ok(Replied { status: 200, body: Vec::new() }) })
    }
}

struct There {
    everywhere: Everywhere,
    posted: Arc<Posted>,
    fleet: World,
}

/// A house without hosts, whose container manager `k8s` is `server`.
async fn there(server: &ApiServer) -> There {
    let fleet = World::new().await;
    fleet.define(ContainerManagerKind::Kubernetes, at(server, TOKEN)).await;
    let clock = Clock::manual(Timestamp::from_unix(1_790_000_000));
    let posted = Arc::new(Posted::default());
    let everywhere = Everywhere {
        crew: None,
        fleet: fleet.fleet.clone(),
        nodes: Arc::new(Nodes::new(fleet.fleet.clone(), clock.clone())),
        courier: Some(posted.clone()),
        claims: Claims::new(Arc::new(Memory::new())).unwrap(),
        holder: "we".into(),
        mark: "00ff".into(),
        clock,
        silent: Mutex::default(),
    };
    There { everywhere, posted, fleet }
}

fn anchor() -> (Fingerprint, Anchor) {
    let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("1").unwrap(),
        issuer: Name::from_common_name("corp").unwrap(),
        subject: Name::from_common_name("corp").unwrap(),
        not_before: Timestamp::from_unix(1_700_000_000),
        not_after: Timestamp::from_unix(1_900_000_000),
        public_key: key.public().clone(),
        extensions: vec![extension::basic_constraints(true, None)],
    };
    let anchor = Anchor::from(&template.sign(&key));
    (anchor.fingerprint(), anchor)
}

/// A bundle of one certificate, as `trust` makes them.
async fn bundle() -> Arc<Bundle> {
    let (clock, entropy) = (Clock::manual(Timestamp::from_unix(1_790_000_000)), Entropy::seeded(1));
    let (sealing, engine) = (Arc::new(SealingKey::generate(&entropy)), Arc::new(Memory::new()));
    let trust = Trust::new(trust::Ground { engine, sealing, clock, entropy }).unwrap();
    let (corp, web): (ProviderName, RequirerName) = ("corp".parse().unwrap(), "web".parse().unwrap());
    let why = Why::default();
    trust.set_provider(Permit::house(), &corp, &Terms::default(), &why).await.unwrap();
    let change = SetChange::Add([anchor()].into());
    let offer = Offer { change, relation: None, basis: None, confirmed: true };
    trust.offer(Permit::house(), &corp, &offer, &why).await.unwrap();
    trust
        .set_requirer(Permit::house(), &web, &Place::Poll { only: trust::Only::default() }, &why)
        .await
        .unwrap();
    trust.relate(Permit::house(), &corp, &web, &why).await.unwrap();
    trust.bundle(Permit::house(), &web).await.unwrap().bundle
}

fn cas(name: &str, key: &str) -> Place {
    in_manager("k8s", name, key)
}

fn in_manager(manager: &str, name: &str, key: &str) -> Place {
    Place::Kubernetes(InKubernetes {
        container_manager: manager.to_owned(),
        secret: false,
        namespaces: vec!["shop".into()],
        selector: None,
        name: name.to_owned(),
        key: key.to_owned(),
    })
}

fn give(elsewhere: Vec<Place>, had: bool) -> Vec<Give> {
    vec![Give { unit: "shop".into(), elsewhere, had }]
}

impl There {
    async fn carry(&self, errand: &RequirerErrand) -> Vec<(String, Came)> {
        self.everywhere.to_units(errand, &Stop::new()).await
    }
}

async fn errand(place: &Place, give: Vec<Give>, take: Vec<(String, Vec<Place>)>) -> RequirerErrand {
    let requirer = "web".parse().unwrap();
    RequirerErrand { requirer, place: place.clone(), bundle: bundle().await, revision: Some(7), give, take }
}

fn keys(server: &ApiServer, name: &str) -> Option<Vec<String>> {
    let held = server.held("configmaps", "shop", name)?;
    Some(held["data"].as_object().unwrap().keys().cloned().collect())
}

fn done(drifted: bool) -> Vec<(String, Came)> {
    vec![("shop".to_owned(), Came::Done { drifted })]
}

/// Another key of the same object is not another place: the object is written anew, and never deleted.
#[tokio::test]
async fn another_key_is_the_same_object() {
    let server = server();
    server.add_namespace("shop", &[]);
    let there = there(&server).await;
    let (old, new) = (cas("cas", "ca.crt"), cas("cas", "ca-bundle.crt"));
    assert_eq!(there.carry(&errand(&old, give(Vec::new(), false), Vec::new()).await).await, done(false));
    assert_eq!(there.carry(&errand(&new, give(vec![old], false), Vec::new()).await).await, done(false));
    assert_eq!(keys(&server, "cas"), Some(vec!["ca-bundle.crt".to_owned()]));
    assert!(server.asked().iter().all(|asked| asked.method != "DELETE"));

    // Another name is: the new one is put before the old one goes.
    let moved = cas("more-cas", "ca.crt");
    assert_eq!(there.carry(&errand(&moved, give(vec![new], false), Vec::new()).await).await, done(false));
    assert_eq!((keys(&server, "cas"), keys(&server, "more-cas")), (None, Some(vec!["ca.crt".to_owned()])));
    let methods: Vec<String> = server.asked().into_iter().map(|asked| asked.method).collect();
    let last = |method: &str| methods.iter().rposition(|is| is == method).unwrap();
    assert!(last("POST") < last("DELETE"), "{methods:?}");
}

/// Of two houses that want the same object for requirers of one name, it is the first one's.
#[tokio::test]
async fn what_another_house_put_in_a_cluster_is_in_the_way() {
    let server = server();
    server.add_namespace("shop", &[]);
    let (one, mut other) = (there(&server).await, there(&server).await);
    other.everywhere.mark = "11ee".into();
    let place = cas("cas", "ca.crt");
    assert_eq!(one.carry(&errand(&place, give(Vec::new(), false), Vec::new()).await).await, done(false));
    let came = other.carry(&errand(&place, give(Vec::new(), false), Vec::new()).await).await;
    let [(_, Came::Failed(reason))] = &came[..] else { panic!("{came:?}") };
    assert!(
        reason.contains("another Provost put there") && reason.contains("give the requirer another name"),
        "{reason}"
    );
    let take = vec![("shop".to_owned(), vec![place.clone()])];
    assert_eq!(
        other.carry(&errand(&Place::Poll { only: trust::Only::default() }, Vec::new(), take).await).await,
        done(false)
    );
    assert!(keys(&server, "cas").is_some(), "it is not the other one's to take away");
}

/// What was put in a cluster is taken away there, wherever its requirer wants certificates now.
#[tokio::test]
async fn what_is_in_a_cluster_is_taken_away_for_whoever_left_it() {
    let server = server();
    server.add_namespace("shop", &[]);
    let there = there(&server).await;
    let place = cas("cas", "ca.crt");
    there.carry(&errand(&place, give(Vec::new(), false), Vec::new()).await).await;
    assert!(keys(&server, "cas").is_some());
    for now in [Place::Poll { only: trust::Only::default() }, place.clone()] {
        let take = vec![("shop".to_owned(), vec![place.clone()])];
        assert_eq!(there.carry(&errand(&now, Vec::new(), take).await).await, done(false));
        assert_eq!(keys(&server, "cas"), None);
    }
}

/// An old place at a container manager that is not there any more is no trouble of the new one's.
#[tokio::test]
async fn a_container_manager_that_was_deleted_keeps_nothing_back() {
    let server = server();
    server.add_namespace("shop", &[]);
    let there = there(&server).await;
    let (gone, new) = (in_manager("gone", "cas", "ca.crt"), cas("cas", "ca.crt"));
    assert_eq!(
        there.carry(&errand(&new, give(vec![gone.clone()], false), Vec::new()).await).await,
        done(false)
    );
    assert!(keys(&server, "cas").is_some());
    let take = vec![("old".to_owned(), vec![gone.clone()])];
    let came = there.carry(&errand(&new, give(Vec::new(), false), take).await).await;
    assert_eq!(came, [("old".to_owned(), Came::Done { drifted: false }), done(false).remove(0)]);
    // Nothing can be put there.
    let came = there.carry(&errand(&gone, give(Vec::new(), false), Vec::new()).await).await;
    assert!(
        matches!(&came[..], [(_, Came::Failed(reason))] if reason.contains("`gone` does not exist")),
        "{came:?}"
    );
}

#[tokio::test]
async fn what_somebody_changed_in_a_cluster_is_said() {
    let server = server();
    server.add_namespace("shop", &[]);
    let there = there(&server).await;
    let place = cas("cas", "ca.crt");
    let mut errand = errand(&place, give(Vec::new(), false), Vec::new()).await;
    assert_eq!(there.carry(&errand).await, done(false));
    errand.give = give(Vec::new(), true);
    assert_eq!(there.carry(&errand).await, done(false));
    server.unhold("configmaps", "shop", "cas");
    assert_eq!(there.carry(&errand).await, done(true));
    // What another requirer has there stays as it is.
    errand.requirer = "other".parse().unwrap();
    let came = there.carry(&errand).await;
    assert!(
        matches!(&came[..], [(_, Came::Failed(reason))] if reason.contains("for the requirer `web`")),
        "{came:?}"
    );
}

#[tokio::test]
async fn a_webhook_is_told_all_of_it_and_at_last_nothing() {
    let there = there(&server()).await;
    let place = Place::Webhook(Webhook {
        url: "https://hooks.example.com/S3CRET".into(),
        secret: Secret::new("0123456789abcdef".to_owned()),
        ca: None,
    });
    let unit = || WEBHOOK.to_owned();
    let told = vec![(unit(), Came::Done { drifted: false })];
    let given = vec![Give { unit: unit(), elsewhere: Vec::new(), had: false }];
    assert_eq!(there.carry(&errand(&place, given, Vec::new()).await).await, told);
    let taken = vec![(unit(), vec![place.clone()])];
    assert_eq!(there.carry(&errand(&place, Vec::new(), taken).await).await, told);
    let said = |letter: &Letter| -> usize {
        let body: Value = serde_json::from_str(&letter.body).unwrap();
        body["certificates"].as_array().unwrap().len()
    };
    assert_eq!(there.posted.0.lock().unwrap().iter().map(said).collect::<Vec<_>>(), [1, 0]);
}

/// Who is meant is asked once for all; and a container manager that is silent keeps nobody else from being told.
#[tokio::test(start_paused = true)]
async fn who_is_meant_is_asked_once_and_not_waited_for() {
    let silent = StandIn::http(|_| None);
    let server = server();
    let there = there(&server).await;
    there
        .fleet
        .define(ContainerManagerKind::Kubernetes, serde_json::json!({"server_url": silent.url("")}))
        .await;
    let hosts = |host: &str| Place::Hosts {
        which: WhichHosts { hosts: vec![host.to_owned()], ..WhichHosts::default() },
        on: OnHost::default(),
    };
    let (first, other, last) = (cas("a", "ca.crt"), cas("b", "ca.crt"), hosts("10.0.0.1"));
    let places = [&first, &other, &last];
    let began = tokio::time::Instant::now();
    for _ in 0..2 {
        let units = there.everywhere.units(&places).await;
        let [Err(one), Err(two), Ok(found)] = &units[..] else { panic!("{units:?}") };
        assert!(one == two && one.contains(name().as_str()), "{one}");
        assert_eq!(*found, BTreeSet::from(["10.0.0.1".to_owned()]));
    }
    assert!(began.elapsed() < SELECTED * 2, "it is asked once, and not for ever");
}
