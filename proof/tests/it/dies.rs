//! A store that dies at the n-th commit, for every n, in the middle of everything that an authority does.
//!
//! Each story is told again and again from the same stored beginning; each time the store dies one commit later, once
//! having done that commit and once not, until nobody has to die for the story to end. Whoever opens the store again
//! finds what was acknowledged, records that hold, and can do again what was not answered.
//!
//! What the program does besides has such tests where its commits are: a database that is imported
//! (`provost`'s `compat/takeover/import.rs`), a copy that is put back (`backup/restore.rs` there).

mod brought;
mod token;

use std::sync::Arc;

use base::Span;
use ca::takeover::RestoredError;
use ca::{
    ApproveError, RejectError, RenewError, RequestId, Resolve, RetireError, RevokeError, RotateError,
    SubmitError, VerifyHolderError,
};
use futures_executor::block_on;
use identity::Permit;
use proof::{Asker, Authorities, Base, Death, Mortal, Pool, administrator, hold};
use store::{Engine, Memory};
use x509::{Certificate, KeySpec, VerifyError};

/// What there is before a story begins.
struct Scene {
    base: Base,
    store: Arc<Memory>,
    user: Certificate,
    /// Holds `certificate`.
    holder: Asker,
    certificate: Certificate,
    /// Another one, to be taken back by somebody else.
    other: Certificate,
    /// Waits.
    waiting: RequestId,
    next: Asker,
    newcomer: Asker,
}

fn asker(name: &str) -> Asker {
    Asker::new(Pool::of(0).key(KeySpec::P256), name, &[])
}

impl Scene {
    /// Services of which `automatic` are approved at once.
    fn new(automatic: u64) -> Self {
        Self::on(Memory::new(), automatic)
    }

    fn on(store: Memory, automatic: u64) -> Self {
        let mut base = Base::seeded(11);
        base.automatic_services = automatic;
        let store = Arc::new(store);
        let engine: Arc<dyn Engine> = store.clone();
        let house = Authorities::open(&base, &engine).unwrap();
        let user = Asker::new(Pool::of(1).key(KeySpec::Rsa { bits: 2048 }), "user", &[]);
        let id = block_on(house.users.submit(&user.csr, &user.text)).unwrap();
        let fetch = |authority: &ca::Authority, id| {
            Certificate::from_pem(block_on(authority.certificate(id)).unwrap().as_bytes()).unwrap()
        };
        let user = fetch(&house.users, id);
        let get = |asker: &Asker| {
            let id = block_on(house.services.submit(&asker.csr, &asker.text)).unwrap();
            if block_on(house.services.certificate(id)).is_err() {
                let permit = administrator(&house.users, &user, base.clock.now()).unwrap();
                block_on(house.services.approve(permit, id, None)).unwrap();
            }
            fetch(&house.services, id)
        };
        let holder = asker("holder");
        let (certificate, other) = (get(&holder), get(&asker("other")));
        let waits = asker("waits");
        let waiting = block_on(house.services.submit(&waits.csr, &waits.text)).unwrap();
        block_on(house.services.published()).unwrap();
        let (next, newcomer) = (asker("next"), asker("newcomer"));
        Self { base, store, user, holder, certificate, other, waiting, next, newcomer }
    }

    fn administrator<A: identity::Action>(&self, house: &Authorities) -> Permit<A> {
        administrator(&house.users, &self.user, self.base.clock.now()).unwrap()
    }
}

/// Tells `story` with a store that dies earlier and later. It gives whether it was answered. `again` is told what it
/// was, and does the rest on a store that lives: it ends well.
fn at_every_commit(
    scene: &Scene,
    passes: Span,
    story: impl Fn(&Authorities) -> bool,
    again: impl Fn(&Authorities, bool),
) -> u64 {
    at_every_commit_on(scene, passes, |house, _| story(house), |house, _, answered| again(house, answered))
}

/// The same with the store at hand.
fn at_every_commit_on(
    scene: &Scene,
    passes: Span,
    story: impl Fn(&Authorities, &Arc<dyn Engine>) -> bool,
    again: impl Fn(&Authorities, &Arc<dyn Engine>, bool),
) -> u64 {
    let back = Span::seconds(-passes.as_seconds());
    for death in [Death::AfterIt, Death::BeforeIt] {
        for n in 1.. {
            let disk = scene.store.reopen();
            let lower: Arc<dyn Engine> = disk.clone();
            let mortal = Mortal::new(lower.clone());
            let engine: Arc<dyn Engine> = mortal.clone();
            scene.base.clock.advance(passes);
            // A start commits as well, and is part of every story but when time has to pass between.
            mortal.dies_at(n, death);
            let answered = Authorities::open(&scene.base, &engine).is_ok_and(|house| story(&house, &engine));
            let lived = !mortal.is_dead();
            assert!(answered || !lived, "who lives answers");
            drop((engine, mortal));

            let house = Authorities::open(&scene.base, &lower).unwrap();
            for authority in house.both() {
                hold(authority, &lower, scene.base.clock.now());
            }
            again(&house, &lower, answered);
            // And once more, from what that left.
            drop(house);
            let house = Authorities::open(&scene.base, &lower).unwrap();
            for authority in house.both() {
                hold(authority, &lower, scene.base.clock.now());
            }
            scene.base.clock.advance(back);
            if lived {
                if death == Death::BeforeIt {
                    return n - 1;
                }
                break;
            }
        }
    }
    unreachable!("each death has its end")
}

fn list_number(house: &Authorities) -> u64 {
    let published = block_on(house.services.published()).unwrap();
    x509::Crl::from_der(&published.lists[0].der).unwrap().number()
}

fn is_revoked(house: &Authorities, certificate: &Certificate) -> bool {
    let verified = block_on(house.services.verify(certificate));
    matches!(verified, Err(VerifyHolderError::Verify(VerifyError::Revoked)))
}

#[test]
fn a_first_start() {
    let base = Base::seeded(12);
    for death in [Death::AfterIt, Death::BeforeIt] {
        for n in 1.. {
            let lower: Arc<dyn Engine> = Arc::new(Memory::new());
            let mortal = Mortal::new(lower.clone());
            let engine: Arc<dyn Engine> = mortal.clone();
            mortal.dies_at(n, death);
            let opened = Authorities::open(&base, &engine);
            let anchors = opened.as_ref().ok().map(|house| block_on(house.services.anchors()).unwrap());
            assert_eq!(opened.is_ok(), !mortal.is_dead());
            let house = Authorities::open(&base, &lower).unwrap();
            for authority in house.both() {
                hold(authority, &lower, base.clock.now());
                assert_eq!(block_on(authority.anchors()).unwrap().len(), 1, "one is enough");
            }
            if let Some(anchors) = anchors {
                assert_eq!(block_on(house.services.anchors()).unwrap(), anchors);
                assert!(n > 2, "{n}");
                break;
            }
        }
    }
}

#[test]
fn a_request_that_waits() {
    let scene = Scene::new(0);
    let submit =
        |house: &Authorities| block_on(house.services.submit(&scene.newcomer.csr, &scene.newcomer.text)).ok();
    let told = std::cell::Cell::new(None);
    let commits = at_every_commit(
        &scene,
        Span::ZERO,
        |house| {
            told.set(submit(house));
            told.get().is_some()
        },
        |house, answered| {
            let known = block_on(house.services.pending(scene.administrator(house))).unwrap();
            let id = submit(house).unwrap();
            if answered {
                assert_eq!(told.get(), Some(id), "the same bytes are the same request");
                assert!(known.iter().any(|request| request.id == id), "what was answered is there");
            }
            assert_eq!(block_on(house.services.pending(scene.administrator(house))).unwrap().len(), 2);
        },
    );
    assert!(commits >= 1, "{commits}");
}

#[test]
fn a_request_that_is_approved_at_once() {
    let scene = Scene::new(100);
    let submit =
        |house: &Authorities| block_on(house.services.submit(&scene.newcomer.csr, &scene.newcomer.text)).ok();
    let fetch = |house: &Authorities, id| block_on(house.services.certificate(id)).ok();
    let told = std::cell::RefCell::new(None);
    let commits = at_every_commit(
        &scene,
        Span::ZERO,
        |house| {
            let got = submit(house).map(|id| (id, fetch(house, id)));
            *told.borrow_mut() = got;
            told.borrow().is_some()
        },
        |house, answered| {
            let id = submit(house).unwrap();
            let certificate = fetch(house, id).unwrap();
            if let Some((before, fetched)) = told.borrow().as_ref().filter(|_| answered) {
                assert_eq!(*before, id);
                assert!(fetched.as_ref().is_none_or(|fetched| *fetched == certificate));
            }
        },
    );
    assert!(commits >= 3, "reserving, storing, noting that it was fetched: {commits}");
}

/// Approved as it asks, and from a template; and rejected.
#[test]
fn a_decision() {
    let scene = Scene::new(0);
    let template = asker("as the template says");
    for with in [None, Some(&template)] {
        let told = std::cell::RefCell::new(None);
        let approve = |house: &Authorities| {
            let template = with.map(|template| &template.csr);
            block_on(house.services.approve(scene.administrator(house), scene.waiting, template))
        };
        let commits = at_every_commit(
            &scene,
            Span::ZERO,
            |house| {
                *told.borrow_mut() = approve(house).ok();
                told.borrow().is_some()
            },
            |house, answered| {
                let certificate = match (answered, approve(house)) {
                    (false, Ok(certificate)) => certificate,
                    (_, Err(ApproveError::NotPending { .. })) => {
                        let pem = block_on(house.services.certificate(scene.waiting)).unwrap();
                        Certificate::from_pem(pem.as_bytes()).unwrap()
                    }
                    (_, other) => panic!("{other:?}"),
                };
                if let Some(told) = told.borrow().as_ref().filter(|_| answered) {
                    assert_eq!(*told, certificate);
                }
                let name = if with.is_some() { "as the template says" } else { "waits" };
                assert!(certificate.subject().to_string().contains(name));
            },
        );
        assert!(commits >= 2, "{commits}");
    }
    let reject =
        |house: &Authorities| block_on(house.services.reject(scene.administrator(house), scene.waiting));
    at_every_commit(
        &scene,
        Span::ZERO,
        |house| reject(house).is_ok(),
        |house, answered| {
            let rejected = reject(house);
            assert!(!answered && rejected.is_ok() || matches!(rejected, Err(RejectError::NotPending { .. })));
            assert!(block_on(house.services.request(scene.waiting)).is_err());
        },
    );
}

#[test]
fn a_renewal() {
    let scene = Scene::new(0);
    let renew = |house: &Authorities| {
        let (csr, text) = (scene.next.csr.clone(), &scene.next.text);
        block_on(house.services.renew(scene.holder.prove(&scene.certificate), csr, text))
    };
    let told = std::cell::RefCell::new(None);
    let commits = at_every_commit(
        &scene,
        Span::days(60),
        |house| {
            *told.borrow_mut() = renew(house).ok();
            told.borrow().is_some()
        },
        |house, answered| {
            match renew(house) {
                Ok(_) => assert!(!answered, "a request is good for one renewal"),
                Err(RenewError::AlreadyIssued) => {
                    // Who was not answered asks with another key.
                    let another = asker("another key");
                    let holder = scene.holder.prove(&scene.certificate);
                    block_on(house.services.renew(holder, another.csr.clone(), &another.text)).unwrap();
                }
                Err(other) => panic!("{other:?}"),
            }
            if let Some(told) = told.borrow().as_ref().filter(|_| answered) {
                block_on(house.services.verify(told)).unwrap();
            }
        },
    );
    assert!(commits >= 3, "dating the lists, reserving, storing: {commits}");
}

/// By its owner, by a user, by its serial.
#[test]
fn a_revocation() {
    let scene = Scene::new(0);
    let before =
        list_number(&Authorities::open(&scene.base, &(scene.store.reopen() as Arc<dyn Engine>)).unwrap());
    type Revoke<'a> = Box<dyn Fn(&Authorities) -> Result<(), RevokeError> + 'a>;
    let ways: [(Revoke<'_>, &Certificate); 3] = [
        (
            Box::new(|house| block_on(house.services.revoke_own(scene.holder.prove(&scene.certificate)))),
            &scene.certificate,
        ),
        (
            Box::new(|house| block_on(house.services.revoke(scene.administrator(house), &scene.other))),
            &scene.other,
        ),
        (
            Box::new(|house| {
                block_on(house.services.revoke_serial(scene.administrator(house), &scene.other.serial()))
            }),
            &scene.other,
        ),
    ];
    for (revoke, certificate) in &ways {
        at_every_commit(
            &scene,
            Span::ZERO,
            |house| revoke(house).is_ok(),
            |house, answered| {
                assert!(!answered || is_revoked(house, certificate), "what was answered holds");
                let revoked = revoke(house);
                assert!(!answered || revoked.is_err(), "it is revoked once");
                assert!(is_revoked(house, certificate));
                assert_eq!(list_number(house), before + 1, "counted once");
            },
        );
    }
}

/// A rollover that is begun early: there is one, whoever was answered.
#[test]
fn a_rotation() {
    let scene = Scene::new(0);
    let rotate = |house: &Authorities| block_on(house.services.rotate(Permit::house(), false));
    let commits = at_every_commit(
        &scene,
        Span::days(20),
        |house| rotate(house).is_ok(),
        |house, answered| {
            let rotated = rotate(house);
            assert!(!answered && rotated.is_ok() || matches!(rotated, Err(RotateError::UnderWay { .. })));
            let anchors = block_on(house.services.anchors()).unwrap();
            assert_eq!(anchors.len(), 2, "once");
            // Who has a certificate goes on with it.
            block_on(house.services.verify(&scene.certificate)).unwrap();
        },
    );
    assert!(commits >= 1, "{commits}");
}

/// All CA certificates are given up, or none; whoever was interrupted goes on, and makes no further one.
#[test]
fn a_retirement() {
    let alone = retire_at_every_commit(&Scene::new(0));
    assert!(alone >= 3, "the next one, what was issued, that it is done: {alone}");
    let shared = retire_at_every_commit(&Scene::on(Memory::shared(), 0));
    assert!(shared >= 4, "and what others reserved: {shared}");
}

fn retire_at_every_commit(scene: &Scene) -> u64 {
    let before = {
        let engine: Arc<dyn Engine> = scene.store.reopen();
        block_on(Authorities::open(&scene.base, &engine).unwrap().services.anchors()).unwrap()
    };
    let retire = |house: &Authorities| {
        let retired = block_on(house.services.retire(Permit::house(), Resolve::Once))?;
        block_on(house.services.end_retirement()).map_err(ca::IssueError::from)?;
        Ok::<_, RetireError>(retired)
    };
    let told = std::cell::RefCell::new(None);
    at_every_commit(
        scene,
        Span::ZERO,
        |house| {
            *told.borrow_mut() = retire(house).ok();
            told.borrow().is_some()
        },
        |house, answered| {
            let anchors = block_on(house.services.anchors()).unwrap();
            assert_eq!(anchors.len(), 1);
            let was_begun = anchors != before;
            assert!(was_begun || !answered, "what was answered holds");
            match retire(house) {
                Ok(retired) => {
                    assert!(!answered);
                    assert_eq!(retired.begun.is_some(), was_begun, "it goes on where it was");
                    assert_eq!(
                        (&retired.retired, retired.holders.len()),
                        (&before, 2),
                        "and tells all of it"
                    );
                    let now = block_on(house.services.anchors()).unwrap();
                    assert!(!was_begun || now == anchors, "one CA certificate for one retirement");
                    assert_eq!(retired.next.as_slice(), now);
                }
                // The answer to the very last commit was lost.
                Err(RetireError::Already { .. }) => assert!(was_begun),
                Err(other) => panic!("{other:?}"),
            }
            assert!(block_on(house.services.verify(&scene.certificate)).is_err());
            let text = &scene.holder.text;
            let id = block_on(house.services.submit(&scene.holder.csr, text)).unwrap();
            assert!(block_on(house.services.certificate(id)).is_err(), "asked again, it waits");
        },
    )
}

/// Whoever restores a backup of caucase's gets a certificate once, and the lists count on, also when it is done again from
/// where it died: what `caucased-manage` throws away, somebody may do in place.
#[test]
fn a_restoration() {
    let scene = Scene::new(0);
    let made_at = scene.base.clock.now();
    let number =
        list_number(&Authorities::open(&scene.base, &(scene.store.reopen() as Arc<dyn Engine>)).unwrap());
    let key = scene.user.public_key();
    let renew = |house: &Authorities, asker: &Asker| {
        block_on(house.users.renew_restored(&Permit::house(), key, &asker.csr, &asker.text))
    };
    let mut pool = Pool::of(2);
    let mut user = |name| Asker::new(pool.key(KeySpec::Rsa { bits: 2048 }), name, &[]);
    let (next, another) = (user("next"), user("another"));
    let told = std::cell::RefCell::new(None);
    let commits = at_every_commit_on(
        &scene,
        Span::days(3),
        |house, engine| {
            *told.borrow_mut() = renew(house, &next).ok();
            let now = scene.base.clock.now();
            let jumped = block_on(ca::jump_crl_numbers(engine, made_at, now, &scene.base.entropy));
            told.borrow().is_some() && jumped.is_ok()
        },
        |house, engine, answered| {
            let certificate = match renew(house, &next) {
                Ok(renewed) => renewed,
                // With the same key only once.
                Err(RestoredError::Renew(
                    RenewError::AlreadyIssued | RenewError::Submit(SubmitError::KeyKnown),
                )) => renew(house, &another).unwrap(),
                Err(other) => panic!("{other:?}"),
            };
            block_on(house.users.verify(&certificate)).unwrap();
            if answered {
                block_on(house.users.verify(told.borrow().as_ref().unwrap())).unwrap();
            }
            assert!(
                administrator::<ca::Approve>(&house.users, &certificate, scene.base.clock.now()).is_some()
            );
            assert!(
                administrator::<ca::Approve>(&house.users, &scene.user, scene.base.clock.now()).is_none()
            );
            let now = scene.base.clock.now();
            block_on(ca::jump_crl_numbers(engine, made_at, now, &scene.base.entropy)).unwrap();
            let reopened = Authorities::open(&scene.base, engine).unwrap();
            assert!(list_number(&reopened) > number + ca::CRL_NUMBERS_A_SECOND);
        },
    );
    assert!(commits >= 4, "a serial, the certificate, the revocation, the numbers: {commits}");
}

/// The next CA certificate, the lists, what is due: all of it at once, when time has passed.
#[test]
fn what_is_done_by_itself() {
    let scene = Scene::new(100);
    let house = Authorities::open(&scene.base, &(scene.store.clone() as Arc<dyn Engine>)).unwrap();
    block_on(house.services.revoke(scene.administrator(&house), &scene.other)).unwrap();
    drop(house);
    let number =
        list_number(&Authorities::open(&scene.base, &(scene.store.reopen() as Arc<dyn Engine>)).unwrap());
    for days in [2, 20, 186, 190, 280, 371, 400] {
        let told = std::cell::Cell::new(0);
        let commits = at_every_commit(
            &scene,
            Span::days(days),
            |house| {
                let work = || {
                    block_on(house.services.anchors()).ok()?;
                    block_on(house.services.published()).ok()?;
                    block_on(house.services.drop_ended_certificates(None)).ok()?;
                    let newcomer = &scene.newcomer;
                    block_on(house.services.submit(&newcomer.csr, &newcomer.text)).ok()
                };
                let done = work().is_some();
                told.set(if done { list_number(house) } else { 0 });
                done
            },
            |house, answered| {
                let anchors = block_on(house.services.anchors()).unwrap();
                let expected = if (186..372).contains(&days) { 2 } else { 1 };
                assert_eq!(anchors.len(), expected, "after {days} days");
                let now = list_number(house);
                assert!(now >= number && (!answered || now == told.get()), "{number} {now} {}", told.get());
                assert!(days > 100 || is_revoked(house, &scene.other));
            },
        );
        assert!(commits >= 2, "after {days} days: {commits}");
    }
}
