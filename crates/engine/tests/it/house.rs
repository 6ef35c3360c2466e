//! A house is built, lives, and is taken down.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Explain as _, Span, Timestamp};
use ca::{Admission, AuthorityName, Names, Profile, Revoke};
use engine::{House, Parts, Retention, ServerIdentity, ServerName, SignInFailed, Stop, Tasks};
use identity::{Permit, SignInError};
use store::{Engine, History, Memory, SealingKey};
use tokio::sync::mpsc;
use x509::{Certificate, KeySpec, Name, VerifyError};

const BEGINNING: Timestamp = Timestamp::from_unix(1_790_000_000);

/// What a house is built on, so that it can be built again.
pub(crate) struct Ground {
    directory: tempfile::TempDir,
    pub(crate) engine: Arc<Memory>,
    pub(crate) sealing: Arc<SealingKey>,
    pub(crate) clock: Clock,
    threshold: Span,
    server_lives: i64,
    /// How many certificates of the server's authority were told of, each time.
    anchors: Arc<std::sync::Mutex<Vec<usize>>>,
}

fn profile(name: AuthorityName, lives: i64) -> Profile {
    let leaf_life = Span::days(93);
    let is_users = name == AuthorityName::Users;
    Profile {
        name,
        issuer_common_name: format!("{name} of a test"),
        issuer_extensions: Vec::new(),
        leaf_life,
        issuer_life: leaf_life.fraction(lives, 1),
        issuer_key: KeySpec::P256,
        crl_addresses: Vec::new(),
        names: Names::Any,
        admission: Admission {
            pending_max: 50,
            automatic_max: 0,
            lock_automatic_max: false,
            keys_for_backup: is_users,
            keep_issued: leaf_life,
            keep_fetched: leaf_life,
        },
    }
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self::on(Memory::new())
    }

    /// The same after the process has ended.
    pub(crate) fn afterwards(self) -> Self {
        Self { engine: self.engine.reopen(), ..self }
    }

    /// Another machine, whose house shares store and key with this one's.
    pub(crate) fn beside(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            sealing: self.sealing.clone(),
            clock: self.clock.clone(),
            ..Self::new()
        }
    }

    pub(crate) fn on(engine: Memory) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            engine: Arc::new(engine),
            sealing: Arc::new(SealingKey::generate(&Entropy::seeded(1))),
            clock: Clock::manual(BEGINNING),
            threshold: Span::days(31),
            server_lives: 40,
            anchors: Arc::default(),
        }
    }

    pub(crate) fn server_file(&self) -> std::path::PathBuf {
        self.directory.path().join("server.key.pem")
    }

    /// Builds a house; the other end hears of each server certificate.
    pub(crate) async fn build(&self) -> (Arc<House>, mpsc::UnboundedReceiver<Certificate>) {
        let (parts, certificates) = self.parts();
        (House::build(parts, Tasks::new(), Stop::new()).await.unwrap(), certificates)
    }

    pub(crate) fn parts(&self) -> (Parts, mpsc::UnboundedReceiver<Certificate>) {
        let (told, certificates) = mpsc::unbounded_channel();
        let parts = Parts {
            engine: self.engine.clone(),
            sealing: self.sealing.clone(),
            clock: self.clock.clone(),
            clock_is_right: false,
            entropy: Entropy::system(),
            services: profile(AuthorityName::Services, 4),
            users: profile(AuthorityName::Users, 4),
            server: profile(AuthorityName::Server, self.server_lives),
            server_name: ServerName::Dns("ca.example".into()),
            server_file: self.server_file(),
            server_threshold: self.threshold,
            server_key: KeySpec::Rsa { bits: 2048 },
            on_server_identity: Arc::new(move |identity: &ServerIdentity| {
                // After the test's end nobody listens.
                let _ = told.send(identity.certificate.clone());
            }),
            on_server_anchors: {
                let anchors = self.anchors.clone();
                Arc::new(move |told: &[Certificate]| {
                    let mut anchors = anchors.lock().unwrap();
                    anchors.push(told.len());
                    // The first time that there are two, they cannot be taken.
                    *anchors != [1, 2]
                })
            },
            cache: None,
            courier: None,
            backups: None,
            token: None,
            hands: None,
            retention: Retention { age: Span::days(400), count: 1_000 },
        };
        (parts, certificates)
    }
}

fn saved(path: &Path) -> Certificate {
    Certificate::from_pem(&certificate_of(&std::fs::read_to_string(path).unwrap())).unwrap()
}

/// The part of a file that is a certificate.
pub(crate) fn certificate_of(text: &str) -> Vec<u8> {
    text.as_bytes()[text.find("-----BEGIN CERTIFICATE").unwrap()..].to_vec()
}

async fn next(certificates: &mut mpsc::UnboundedReceiver<Certificate>) -> Certificate {
    certificates.recv().await.expect("the house tells of its certificate")
}

#[tokio::test(start_paused = true)]
async fn the_servers_certificate_is_kept_and_renewed_in_time() {
    let ground = Ground::new();
    let (house, mut certificates) = ground.build().await;
    let first = next(&mut certificates).await;
    assert_eq!(saved(&ground.server_file()).fingerprint(), first.fingerprint());
    assert!(house.stop(Duration::from_secs(5)).await.unwrap());

    // A memory store lives on without its house, as a disk does.
    let ground = Ground { engine: ground.engine.reopen(), ..ground };
    let (house, mut certificates) = ground.build().await;
    assert_eq!(next(&mut certificates).await.fingerprint(), first.fingerprint(), "a restart changes nothing");

    ground.clock.advance(Span::days(62));
    let second = next(&mut certificates).await;
    assert_ne!(second.public_key(), first.public_key());
    let anchors = house.authority(AuthorityName::Server).anchors().await.unwrap();
    x509::verify(&second, &anchors, ground.clock.now()).unwrap();
    assert!(house.stop(Duration::from_secs(5)).await.unwrap());
    assert_eq!(saved(&ground.server_file()).fingerprint(), second.fingerprint());
}

/// Whoever trusts the server's authority by a file finds the next CA certificate there before it signs.
#[tokio::test(start_paused = true)]
async fn a_new_certificate_of_the_servers_authority_is_told_before_it_signs() {
    let ground = Ground { server_lives: 4, ..Ground::new() };
    let (house, mut certificates) = ground.build().await;
    let first = next(&mut certificates).await;
    assert_eq!(*ground.anchors.lock().unwrap(), [1]);
    // The next one is made when half of the first one's life is over, and signs from the 279th day on.
    for _ in 0..270 {
        ground.clock.advance(Span::days(1));
        // Time for whoever looks at the clock every minute.
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
    assert_eq!(*ground.anchors.lock().unwrap(), [1, 2, 2], "told until they are taken, and no more");
    while let Ok(certificate) = certificates.try_recv() {
        assert_eq!(certificate.authority_key_id(), first.authority_key_id());
    }
    house.stop(Duration::from_secs(5)).await.unwrap();
}

/// A threshold longer than the certificate's life does not make the server renew for ever.
#[tokio::test(start_paused = true)]
async fn a_threshold_beyond_the_life_is_cut() {
    let ground = Ground { threshold: Span::days(200), ..Ground::new() };
    let (house, mut certificates) = ground.build().await;
    let first = next(&mut certificates).await;
    ground.clock.advance(Span::days(61));
    // Whoever is asked for the time meanwhile has looked at it again.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(certificates.try_recv().is_err(), "two thirds of its life are not over");
    ground.clock.advance(Span::days(2));
    assert_ne!(next(&mut certificates).await.fingerprint(), first.fingerprint());
    house.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_none_of_ours_is_replaced() {
    for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let ground = Ground::new();
        store::private_file::replace(&ground.server_file(), text.as_bytes()).unwrap();
        let (house, mut certificates) = ground.build().await;
        let made = next(&mut certificates).await;
        assert_eq!(saved(&ground.server_file()).fingerprint(), made.fingerprint(), "{text:?}");
        house.stop(Duration::from_secs(5)).await.unwrap();
    }
}

/// A key that others may have read is not used.
#[tokio::test(start_paused = true)]
async fn a_key_that_others_may_read_is_refused() {
    let ground = Ground::new();
    let (house, _certificates) = ground.build().await;
    house.stop(Duration::from_secs(5)).await.unwrap();
    std::fs::set_permissions(ground.server_file(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let ground = Ground { engine: ground.engine.reopen(), ..ground };
    let error = House::build(ground.parts().0, Tasks::new(), Stop::new()).await.err().unwrap();
    assert_eq!(error.help(), Some(format!("chmod 600 {}", ground.server_file().display())));
}

#[tokio::test(start_paused = true)]
async fn an_administrator_signs_in_until_revoked() {
    let ground = Ground::new();
    let (house, _certificates) = ground.build().await;
    let name = Name::from_common_name("somebody").unwrap();
    let pem = house.make_administrator(&name, KeySpec::Rsa { bits: 2048 }).await.unwrap();
    let certificate = Certificate::from_pem(&certificate_of(pem.expose())).unwrap();
    house.may_present(&certificate).unwrap();
    let principal = house.sign_in(Some(&certificate), None).await.unwrap();
    assert!(principal.name().contains("somebody"), "{principal}");
    assert!(matches!(house.sign_in(None, None).await, Err(SignInFailed::SignIn(SignInError::Nothing))));

    let users = house.authority(AuthorityName::Users);
    users.revoke(Permit::<Revoke>::house(), &certificate).await.unwrap();
    // The handshake does not look at revocations; each request does.
    house.may_present(&certificate).unwrap();
    assert!(matches!(
        house.sign_in(Some(&certificate), None).await,
        Err(SignInFailed::SignIn(SignInError::Certificate(VerifyError::Revoked)))
    ));
    ground.clock.advance(Span::days(93));
    assert_eq!(house.may_present(&certificate), Err(VerifyError::Expired));
    house.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_requires_trust_has_the_next_ca_certificate_and_the_last_one_as_long_as_it_lives() {
    let ground = Ground::new();
    let (house, _certificates) = ground.build().await;
    let (requirer, provider) = ("web".parse().unwrap(), "services".parse().unwrap());
    let (trust, why) = (house.trust(), trust::Why::default());
    trust
        .set_requirer(Permit::house(), &requirer, &trust::Place::Poll { only: trust::Only::default() }, &why)
        .await
        .unwrap();
    // The authority provides by itself, a moment after the start.
    while trust.provider(Permit::house(), &provider).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    trust.relate(Permit::house(), &provider, &requirer, &why).await.unwrap();
    let held = async || {
        let bundle = trust.bundle(Permit::house(), &requirer).await.unwrap().bundle;
        bundle.anchors().iter().map(trust::Anchor::fingerprint).collect::<Vec<_>>()
    };
    let authority = house.authority(AuthorityName::Services);
    let first = held().await;
    let mut counts = Vec::new();
    for _ in 0..400 {
        ground.clock.advance(Span::days(1));
        let valid = authority.anchors().await.unwrap();
        let expected: std::collections::BTreeSet<_> =
            valid.iter().map(|certificate| trust::Anchor::from(certificate).fingerprint()).collect();
        // By a hint when one comes, and at the next look when one is over.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(3_600);
        while held().await.into_iter().collect::<std::collections::BTreeSet<_>>() != expected {
            assert!(tokio::time::Instant::now() < deadline, "{:?} is not {expected:?}", held().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if counts.last() != Some(&expected.len()) {
            counts.push(expected.len());
        }
    }
    assert_eq!(counts[..2], [1, 2], "old and new overlap");
    assert!(!held().await.contains(&first[0]), "and then the old one is gone");
    house.stop(Duration::from_secs(5)).await.unwrap();
}

/// The users authority's next CA certificate is trusted in handshakes as soon as it is there.
#[tokio::test(start_paused = true)]
async fn handshakes_trust_a_new_users_authority_at_once() {
    let ground = Ground::new();
    let (house, _certificates) = ground.build().await;
    ground.clock.advance(Span::days(280));
    let name = Name::from_common_name("late").unwrap();
    let pem = house.make_administrator(&name, KeySpec::Rsa { bits: 2048 }).await.unwrap();
    let late = Certificate::from_pem(&certificate_of(pem.expose())).unwrap();
    house.may_present(&late).unwrap();
    house.stop(Duration::from_secs(5)).await.unwrap();
}

/// After the stop nothing works on, and the store is closed.
#[tokio::test(start_paused = true)]
async fn a_stopped_house_is_quiet() {
    let ground = Ground::new();
    let (house, _certificates) = ground.build().await;
    assert!(house.is_ready().await);
    assert!(house.stop(Duration::from_secs(5)).await.unwrap());
    assert!(!house.is_ready().await);
    assert_eq!(house.tasks().running(), 0);
    let listed = ground.engine.list(&store::History::prefix(), store::Page::first(1)).await;
    assert!(matches!(listed, Err(store::Error::Closed)));
}

/// What is there can be served when nothing can be written: not even that reserved serials are void.
#[tokio::test(start_paused = true)]
async fn a_house_starts_on_a_full_disk() {
    let ground = Ground::new();
    let (house, _certificates) = ground.build().await;
    let name = Name::from_common_name("somebody").unwrap();
    house.make_administrator(&name, KeySpec::Rsa { bits: 2048 }).await.unwrap();
    drop(house);
    let ground = ground.afterwards();
    ground.engine.fail_next_commits(usize::MAX, store::Error::Full);
    let (house, _certificates) = ground.build().await;
    assert!(house.is_ready().await);
}

/// What somebody has begun is finished before the house is taken down.
#[tokio::test(start_paused = true)]
async fn what_was_begun_is_finished_first() {
    let ground = Ground::new();
    let (house, _certificates) = ground.build().await;
    let (begun, waits) = tokio::sync::oneshot::channel();
    let tasks = house.tasks().clone();
    let work = tasks.spawn(async move {
        begun.send(()).unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        "done"
    });
    waits.await.unwrap();
    assert!(house.stop(Duration::from_secs(5)).await.unwrap());
    assert_eq!(work.await.unwrap(), "done");
}

/// Who was refused is in the history a minute later, and what comes after that a quarter of an hour later or at the
/// end.
#[tokio::test(start_paused = true)]
async fn refusals_come_into_the_history() {
    let ground = Ground::new();
    let (house, _certificates) = ground.build().await;
    let refuse = || house.refusals().sign_in(Some([192, 0, 2, 1].into()), &ground.clock);
    let told = async |engine: Arc<Memory>| {
        let page = History::new(engine).unwrap().page(None, 1_000).await.unwrap();
        let refused = page.entries.iter().filter(|(_, event)| event.record.what == "sign-ins refused");
        refused.map(|(_, event)| event.record.facts["times"].clone()).collect::<Vec<_>>()
    };
    let pass = async |seconds: u32| {
        ground.clock.advance(Span::seconds(i64::from(seconds)));
        // Time for whoever looks at the clock every minute.
        tokio::time::sleep(Duration::from_secs(61)).await;
    };
    refuse();
    refuse();
    pass(60).await;
    assert_eq!(told(ground.engine.clone()).await, ["2"]);
    refuse();
    pass(60).await;
    assert_eq!(told(ground.engine.clone()).await, ["2"], "so that nobody can fill it by being refused");
    pass(840).await;
    assert_eq!(told(ground.engine.clone()).await, ["2", "1"]);
    ground.clock.advance(Span::seconds(1));
    for _ in 0..3 {
        refuse();
    }
    house.stop(Duration::from_secs(5)).await.unwrap();
    assert_eq!(told(ground.engine.reopen()).await, ["2", "1", "3"]);
}

/// What removes from the cache is done by one at a time, also when somebody asks for it.
#[tokio::test(start_paused = true)]
async fn the_cache_is_tidied_up_by_one_at_a_time() {
    let ground = Ground::new();
    let (mut parts, _certificates) = ground.parts();
    parts.cache = Some(engine::CacheParts {
        blobs: Arc::new(store::blobs::Memory::new(ground.clock.clone())),
        limits: cache::Limits::default(),
        rules: cache::Rules {
            retention: cache::Retention::default(),
            unnamed: "all".parse().unwrap(),
            grace: Span::days(1),
        },
        scrub_bytes_per_second: None,
        upstream: None,
        signers: None,
        place: None,
    });
    let house = House::build(parts, Tasks::new(), Stop::new()).await.unwrap();
    let claims = store::Claims::new(ground.engine.clone()).unwrap();
    let take = async || {
        let lease = Span::seconds(3_600);
        claims.take("collect-artifacts", "somebody else", ground.clock.now(), lease).await.unwrap()
    };
    // The house does it at its beginning.
    let held = loop {
        match take().await {
            Some(held) => break held,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let how = cache::How { is_dry: true, ..cache::How::default() };
    let refused = house.collect_artifacts(&Permit::house(), how).await.unwrap_err();
    assert_eq!(refused.kind(), base::Kind::Conflict);
    assert!(refused.help().is_some());
    claims.release(held).await.unwrap();
    house.collect_artifacts(&Permit::house(), how).await.unwrap();
    assert!(take().await.is_some(), "it is given up again");
    house.stop(Duration::from_secs(5)).await.unwrap();
}
