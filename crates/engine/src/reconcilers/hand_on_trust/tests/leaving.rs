//! What a requirer has goes with it, wherever that is.

use super::*;

#[tokio::test]
async fn a_requirer_stays_until_nothing_of_it_is_left() {
    let mut world = World::new(&["h1", "h2"]).await;
    world.require("web", &["corp"], all()).await;
    world.step().await;
    world.hosts.away.lock().unwrap().insert("h2".to_owned());
    world.trust.remove_requirer(Permit::house(), &requirer("web"), false, &Why::default()).await.unwrap();
    world.step().await;
    world.step().await;
    assert_eq!((world.on("h1"), world.states("web").await.len()), (None, 1));
    world.hosts.away.lock().unwrap().clear();
    world.clock.advance(Span::seconds(3_600));
    world.step().await;
    world.step().await;
    assert_eq!(world.on("h2"), None);
    assert!(world.trust.requirer(Permit::house(), &requirer("web")).await.is_err());
}

/// Wherever a requirer wants its certificates now: they are taken away where they were put.
#[tokio::test]
async fn what_was_put_is_taken_away_wherever_its_requirer_is_now() {
    let mut world = World::new(&["h1", "h2"]).await;
    let hosts = Place::Hosts { which: all(), on: files(&["/etc/ca.pem"], true) };
    let kubernetes = Place::Kubernetes(trust::InKubernetes {
        container_manager: "k8s".into(),
        secret: false,
        // One that is called as a host is.
        namespaces: vec!["h1".into(), "shop".into()],
        selector: None,
        name: "cas".into(),
        key: "ca.crt".into(),
    });
    let webhook = Place::Webhook(trust::Webhook {
        url: "https://hooks.example.com/".into(),
        secret: base::Secret::new("0123456789abcdef".to_owned()),
        ca: None,
    });
    let units = |world: &World| world.hosts.units.lock().unwrap().keys().cloned().collect::<Vec<_>>();
    world.place("web", &hosts).await;
    world.relate("corp", "web").await;
    world.step().await;
    assert!(world.on("h1").is_some() && world.on("h2").is_some());

    // What is put in a namespace says nothing of the host that is called so, and is away.
    world.hosts.away.lock().unwrap().insert("h1".to_owned());
    world.place("web", &kubernetes).await;
    world.step().await;
    assert!(world.on("h1").is_some() && world.on("h2").is_none());
    world.hosts.away.lock().unwrap().clear();
    world.clock.advance(Span::seconds(10));
    world.step().await;
    assert_eq!((world.on("h1"), world.on("h2")), (None, None));
    assert_eq!(*world.hosts.dropped.lock().unwrap(), BTreeSet::from(["/etc/ca.pem".to_owned()]));
    assert_eq!(units(&world), ["kubernetes h1", "kubernetes shop"]);
    assert_eq!(world.states("web").await, [("h1".to_owned(), true), ("shop".to_owned(), true)]);

    world.place("web", &hosts).await;
    world.hosts.away.lock().unwrap().insert("h1".to_owned());
    world.step().await;
    assert!(units(&world).is_empty() && world.on("h2").is_some());
    world.hosts.away.lock().unwrap().clear();
    world.clock.advance(Span::seconds(10));
    world.step().await;
    assert!(world.on("h1").is_some());

    world.place("web", &webhook).await;
    world.step().await;
    assert_eq!((world.on("h1"), world.on("h2"), units(&world)), (None, None, vec!["webhook webhook".into()]));
    world.place("web", &hosts).await;
    world.step().await;
    assert!(world.on("h2").is_some());

    // Who comes and asks, and goes, is not forgotten before all of it is away.
    world.hosts.away.lock().unwrap().insert("h2".to_owned());
    world.place("web", &Place::Poll { only: trust::Only::default() }).await;
    world.leave("web").await;
    world.step().await;
    world.step().await;
    assert_eq!(world.on("h1"), None);
    assert!(world.is_known("web").await, "it is on a host that is away");
    world.hosts.away.lock().unwrap().clear();
    world.clock.advance(Span::seconds(10));
    world.step().await;
    world.step().await;
    assert!(world.on("h2").is_none() && !world.is_known("web").await);
}

/// Programs that ask by themselves take away what they have by themselves, when they come again; nobody does it for them.
#[tokio::test]
async fn a_requirer_waits_for_whoever_asks_by_itself() {
    let mut world = World::new(&["h1"]).await;
    world.place("web", &Place::Poll { only: trust::Only::default() }).await;
    world.relate("corp", "web").await;
    world.offer("corp", SetChange::Add([anchor("one")].into())).await;
    let web = requirer("web");
    let bundle = async |world: &World| {
        let found = world.trust.bundle(Permit::house(), &web).await.unwrap();
        found.bundle.hash().to_owned()
    };
    let first = bundle(&world).await;
    // As many as are not all looked at when one of them says that it has nothing any more.
    let pollers: Vec<String> = (0..101).map(|number| format!("h{number}")).collect();
    for poller in &pollers {
        world.trust.begin(Permit::house(), &web, poller, &first).await.unwrap();
    }
    world.leave("web").await;
    let nothing = bundle(&world).await;
    for poller in &pollers {
        world.clock.advance(Span::days(1));
        world.step().await;
        assert!(world.is_known("web").await, "{poller} may have it");
        world.trust.confirm(Permit::house(), &web, poller, &nothing).await.unwrap();
    }
    world.step().await;
    assert!(!world.is_known("web").await);
}

#[tokio::test]
async fn a_webhook_with_another_secret_is_told_at_once() {
    let mut world = World::new(&[]).await;
    let place = |secret: &str| {
        Place::Webhook(trust::Webhook {
            url: "https://hooks.example.com/".into(),
            secret: base::Secret::new(secret.to_owned()),
            ca: None,
        })
    };
    world.place("web", &place("0123456789abcdef")).await;
    world.relate("corp", "web").await;
    for (secret, asked) in [("0123456789abcdef", 1), ("0123456789abcdef", 0), ("fedcba9876543210", 1)] {
        world.place("web", &place(secret)).await;
        world.step().await;
        assert_eq!(world.asked(), asked, "{secret}");
    }
    assert_eq!(world.states("web").await, [(WEBHOOK.to_owned(), true)]);
}

/// What cannot be read of one requirer is not taken for nothing, and is nobody else's trouble.
#[tokio::test]
async fn a_spoilt_set_is_its_requirers_trouble_only() {
    let mut world = World::new(&["h1", "h2"]).await;
    world.provide("other", 1).await;
    world.require("web", &["corp"], one("h1")).await;
    world.require("db", &["other"], all()).await;
    world.step().await;
    let before = world.on("h1");
    let (set, _) = world.trust.provider_set(Permit::house(), &provider("corp")).await.unwrap().unwrap();
    let prefix = store::Prefix::new("/trust/set/").unwrap();
    let found = store::Engine::list(&*world.engine, &prefix, store::Page::full()).await.unwrap();
    let mut batch = store::Batch::new();
    for (key, _) in found.entries.iter().filter(|(key, _)| key.as_str().contains(&set.hash)) {
        batch.delete(key.clone());
    }
    assert!(!batch.is_empty());
    store::Engine::commit(&*world.engine, batch).await.unwrap();
    // As after a restart: what was read before is read again.
    let entropy = Entropy::seeded(2);
    let sealing = Arc::new(SealingKey::generate(&entropy));
    let ground = trust::Ground { engine: world.engine.clone(), sealing, clock: world.clock.clone(), entropy };
    world.trust = Arc::new(Trust::new(ground).unwrap());
    world.reconciler = HandOnTrust::new(world.trust.clone(), world.hosts.clone(), world.clock.clone());
    world.asked();
    world.offer("other", SetChange::Add([anchor("more")].into())).await;
    world.step().await;
    assert_eq!(world.asked(), 1);
    assert_eq!(world.on("h2"), Some(world.hash("db").await));
    assert_eq!(world.on("h1"), before, "it is not known what is to be there");
}

/// Who moves on a host has what it had before taken away there, and is not said to be in step while that may be left.
#[tokio::test]
async fn what_is_left_where_a_requirer_was_before_is_not_forgotten() {
    let mut world = World::new(&["h1"]).await;
    let at = |on| Place::Hosts { which: all(), on };
    world.place("web", &at(files(&["/etc/a.pem"], true))).await;
    world.relate("corp", "web").await;
    world.step().await;
    assert_eq!(world.states("web").await, [("h1".to_owned(), true)]);
    for spot in [Spot::Store, Spot::File("/etc/a.pem".into())] {
        let trouble = Trouble { at: spot, said: "it is there still".into(), may_leave: true };
        world.hosts.trouble.lock().unwrap().insert("h1".to_owned(), trouble);
        world.place("web", &at(files(&["/etc/b.pem"], false))).await;
        world.clock.advance(Span::seconds(3_600));
        world.step().await;
        assert_eq!(world.states("web").await, [("h1".to_owned(), false)]);
        assert_eq!(world.reason("web").await.as_deref(), Some("it is there still"));
    }
    // Nor has it gone, whichever of the places it is.
    world.leave("web").await;
    world.step().await;
    assert!(world.is_known("web").await);
    world.hosts.trouble.lock().unwrap().clear();
    world.clock.advance(Span::seconds(3_600));
    world.step().await;
    world.step().await;
    assert!(!world.is_known("web").await);
}
