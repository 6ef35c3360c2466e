//! CA keys in a token: one that is pretended, so that it can be away, and lie.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base::{Explain as _, Kind, Span};
use ca::{Resolve, Token, TokenError, TokenKeyId};
use futures_executor::block_on;
use futures_util::future::BoxFuture;
use x509::{KeySpec, PublicKey, Scheme};

use crate::world::{Asker, World, permit, services};

/// A token for keys on P-256.
#[derive(Default)]
struct Pretended {
    name: String,
    keys: Mutex<HashMap<TokenKeyId, (EcdsaKeyPair, String)>>,
    is_away: AtomicBool,
    lies: AtomicBool,
    asked: AtomicUsize,
}

impl Pretended {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), ..Self::default() })
    }

    fn take_out(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn answer<T>(&self, answer: impl FnOnce() -> T) -> Result<T, TokenError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(TokenError {
                kind: Kind::Unavailable,
                reason: "it was taken out".into(),
                help: None,
                is_for_people: false,
            });
        }
        Ok(answer())
    }

    fn labels(&self) -> Vec<String> {
        self.keys.lock().unwrap().values().map(|(_, label)| label.clone()).collect()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn public(pair: &EcdsaKeyPair) -> PublicKey {
    PublicKey::from_uncompressed_point(pair.public_key().as_ref()).unwrap()
}

impl Token for Pretended {
    fn name(&self) -> &str {
        &self.name
    }

    fn makes_keys(&self) -> bool {
        true
    }

    fn make(
        &self,
        spec: KeySpec,
        id: TokenKeyId,
        label: String,
    ) -> BoxFuture<'_, Result<PublicKey, TokenError>> {
        assert_eq!(spec, KeySpec::P256);
        Box::pin(async move {
            self.answer(|| {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
                let key = public(&pair);
                self.keys.lock().unwrap().insert(id, (pair, label));
                key
            })
        })
    }

    fn find(&self, id: TokenKeyId) -> BoxFuture<'_, Result<Option<PublicKey>, TokenError>> {
        Box::pin(
            async move { self.answer(|| self.keys.lock().unwrap().get(&id).map(|(pair, _)| public(pair))) },
        )
    }

    fn sign(
        &self,
        id: TokenKeyId,
        scheme: Scheme,
        mut digest: Vec<u8>,
    ) -> BoxFuture<'_, Result<Vec<u8>, TokenError>> {
        assert_eq!(scheme, Scheme::Ecdsa(x509::Digest::Sha256));
        Box::pin(async move {
            self.answer(|| {
                if self.lies.load(Ordering::SeqCst) {
                    digest[0] ^= 1;
                }
                let digest = digest::Digest::import_less_safe(&digest, &digest::SHA256).unwrap();
                let keys = self.keys.lock().unwrap();
                keys[&id].0.sign_digest(&digest).unwrap().as_ref().to_vec()
            })
        })
    }

    fn remove(&self, id: TokenKeyId) -> BoxFuture<'_, Result<(), TokenError>> {
        Box::pin(async move { self.answer(|| drop(self.keys.lock().unwrap().remove(&id))) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<(TokenKeyId, String)>, TokenError>> {
        Box::pin(async move {
            self.answer(|| {
                self.keys.lock().unwrap().iter().map(|(id, (_, label))| (*id, label.clone())).collect()
            })
        })
    }
}

/// An authority whose second CA certificate is in a token, and signs; and whose first one ended.
fn moved_into(token: &Arc<Pretended>) -> World {
    let mut world = World::new(services());
    world.restart_with(Some(token.clone())).unwrap();
    assert!(token.labels().is_empty(), "the key that is sealed is used until it ends");
    world.clock.advance(Span::days(1));
    let begun = block_on(world.authority.rotate(permit(), false)).unwrap();
    assert_eq!(token.labels().len(), 1);
    world.clock.advance(begun.signs_after - world.now() + Span::seconds(1));
    world
}

fn issued(world: &World, name: &str) -> Result<x509::Certificate, ca::ApproveError> {
    let id = world.submit(&Asker::new(name)).unwrap();
    world.approve(id)
}

#[test]
fn a_rollover_goes_from_the_store_into_a_token_and_on() {
    let token = Pretended::new("hsm");
    let mut world = moved_into(&token);
    let [sealed, inside] = &world.anchors()[..] else { panic!("two") };
    let made = world.events("CA certificate made");
    let mut places: Vec<&str> = made.iter().map(|event| event.facts["key_made_in"].as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["store", "token hsm"]);
    // Whoever trusts the sealed one learns the one in the token.
    let [handover] = &block_on(world.authority.handovers()).unwrap()[..] else { panic!("one") };
    assert_eq!((handover.older(), handover.newer()), (sealed, inside));
    let certificate = issued(&world, "one").unwrap();
    certificate.verify_signature(inside.public_key()).unwrap();
    // Lists of both.
    block_on(world.authority.revoke_serial(permit(), &certificate.serial())).unwrap();
    for (list, anchor) in block_on(world.authority.published()).unwrap().lists.iter().zip([sealed, inside]) {
        let list = x509::Crl::from_der(&list.der).unwrap();
        list.verify_signature(anchor.public_key()).unwrap();
        assert_eq!(list.entries().len(), 1);
    }
    world.restart_with(Some(token.clone())).unwrap();
    issued(&world, "two").unwrap();

    // On to the next key in the token, for which the one in it vouches, and says so without being asked twice.
    block_on(world.authority.rotate(permit(), false)).unwrap();
    let handovers = block_on(world.authority.handovers()).unwrap();
    assert_eq!(handovers.len(), 2);
    let say = || block_on(handovers[1].say(|_, _| "it follows".into())).unwrap();
    let said = say();
    said.verify(handovers[1].older().public_key()).unwrap();
    let asked = token.asked();
    token.take_out(true);
    assert_eq!(say().signature, said.signature);
    assert_eq!(token.asked(), asked);
    token.take_out(false);

    // When its certificate has ended a key stays, in case that this is a copy and the original needs it, and is told of.
    assert_eq!(token.labels().len(), 2);
    world.clock.advance(Span::days(800));
    world.settle();
    world.anchors();
    let (used, unused) = (world.ids("issuer/").len(), block_on(world.authority.unused_token_keys()).unwrap());
    assert_eq!((used + unused.len(), unused.len()), (token.labels().len(), 2), "{:?}", token.labels());
    let mut places: Vec<_> = world
        .events("CA certificate deleted")
        .iter()
        .map(|event| event.facts.get("token_key").cloned())
        .collect();
    places.sort();
    let mut expected: Vec<_> = unused.iter().map(|(id, _)| Some(id.to_string())).collect();
    expected.push(None);
    expected.sort();
    assert_eq!(places, expected, "of the sealed one nothing is left");
}

/// A retirement, perhaps rehearsed on a copy, deletes no key in the token, and one that can make none changes nothing.
#[test]
fn a_retirement_leaves_the_keys_in_the_token() {
    let token = Pretended::new("hsm");
    let world = moved_into(&token);
    let id = world.submit(&Asker::new("one")).unwrap();
    world.approve(id).unwrap();
    let before = world.anchors();
    token.take_out(true);
    assert!(block_on(world.authority.retire(permit(), Resolve::Once)).is_err());
    block_on(world.authority.certificate(id)).expect("it is as it was");
    token.take_out(false);
    assert_eq!(world.anchors(), before);

    let plan = block_on(world.authority.retire(permit(), Resolve::Look { again: false })).unwrap();
    let [left] = &plan.left[..] else { panic!("one: {plan:?}") };
    let is_needed = |key: &str| {
        let mut ids = token.keys.lock().unwrap().keys().copied().collect::<Vec<_>>().into_iter();
        let id = ids.find(|id| id.to_string() == key).unwrap();
        block_on(world.authority.needs_token_key(id)).unwrap()
    };
    assert!(is_needed(&left.key));
    assert!(
        left.deleted_by()
            .contains(&format!("--token-label 'hsm' --delete-object --type privkey --id {}", left.key))
    );
    let done = block_on(world.authority.retire(permit(), Resolve::Once)).unwrap();
    assert_eq!(done.left, plan.left);
    assert!(!is_needed(&left.key), "that the token loses it is no fault from now on");
    let kept: Vec<String> = token.keys.lock().unwrap().keys().map(ToString::to_string).collect();
    assert_eq!(kept.len(), 2);
    assert!(kept.contains(&left.key), "{kept:?}");
    let told: Vec<_> = world
        .events("CA certificate retired")
        .iter()
        .filter_map(|event| Some((event.facts.get("key_left_in")?.clone(), event.facts["token_key"].clone())))
        .collect();
    assert_eq!(told, [("token hsm".to_owned(), left.key.clone())]);
    let unused = block_on(world.authority.unused_token_keys()).unwrap();
    assert_eq!(
        unused.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(),
        std::slice::from_ref(&left.key)
    );
}

#[test]
fn while_the_token_is_away_nothing_is_signed_and_all_else_goes_on() {
    let token = Pretended::new("hsm");
    let mut world = moved_into(&token);
    let [one, two] = ["one", "two"].map(|name| issued(&world, name).unwrap());
    let lists = block_on(world.authority.published()).unwrap();
    assert_eq!(lists.lists.len(), 2);

    token.take_out(true);
    let waiting = world.submit(&Asker::new("three")).unwrap();
    let error = world.approve(waiting).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Unavailable, "it was taken out"));
    assert_eq!(world.pending(), [waiting], "it waits as before");
    block_on(world.authority.verify(&one)).unwrap();
    // What is revoked is revoked, for us at once; whoever reads lists has those that were signed last.
    block_on(world.authority.revoke_serial(permit(), &one.serial())).unwrap();
    assert!(block_on(world.authority.verify(&one)).is_err());
    block_on(world.authority.verify(&two)).unwrap();
    let meanwhile = block_on(world.authority.published()).unwrap();
    assert_eq!(meanwhile.lists[1].der, lists.lists[1].der);
    // That of the key in the store is not held up.
    assert_eq!(x509::Crl::from_der(&meanwhile.lists[0].der).unwrap().entries()[0].serial, one.serial());
    let asked = token.asked();
    block_on(world.authority.verify(&two)).unwrap();
    assert_eq!(token.asked(), asked, "not for everybody who comes");
    // Until they end: then none is better.
    let now = world.now();
    world.clock.advance(Span::days(40));
    assert_eq!(block_on(world.authority.published()).unwrap().lists.len(), 1);
    let of = |list: &ca::PublishedCrl| block_on(world.authority.published_of(&list.key_id));
    assert!(of(&lists.lists[0]).unwrap().is_some());
    assert_eq!(of(&lists.lists[1]).unwrap_err().kind(), Kind::Unavailable);
    assert!(block_on(world.authority.verify(&one)).is_err());
    block_on(world.authority.verify(&two)).unwrap();
    world.clock.advance(now + Span::seconds(60) - world.now());

    // A start that needs it is refused.
    let error = world.restart_with(Some(token.clone())).unwrap_err();
    assert_eq!(
        (error.kind(), base::report(&error)),
        (Kind::Unavailable, "could not make or find a CA key: it was taken out".into())
    );
    let error = world.restart_with(None).unwrap_err();
    let said = base::report(&error);
    assert!(
        said.ends_with("a CA key is in the PKCS#11 token `hsm`, and the settings name no token"),
        "{said}"
    );
    let error = world.restart_with(Some(Pretended::new("other"))).unwrap_err();
    let said = base::report(&error);
    assert!(
        said.ends_with("is in the PKCS#11 token `hsm`, and the settings name the token `other`"),
        "{said}"
    );
    let error = world.restart_with(Some(Pretended::new("hsm"))).unwrap_err();
    assert!(base::report(&error).contains("the PKCS#11 token `hsm` has no key "), "{error:?}");

    // It is back: nobody has to do anything.
    token.take_out(false);
    world.clock.advance(Span::seconds(10));
    world.approve(waiting).unwrap();
    let list = x509::Crl::from_der(&block_on(world.authority.published()).unwrap().lists[1].der).unwrap();
    assert_eq!(list.entries()[0].serial, one.serial());
    world.restart_with(Some(token)).unwrap();
}

/// The day comes on which the next CA certificate is due, and nobody can make its key.
#[test]
fn a_token_that_is_away_strands_no_rollover() {
    let token = Pretended::new("hsm");
    let world = moved_into(&token);
    token.take_out(true);
    // 186 days before it ends.
    world.clock.advance(Span::days(95));
    let before = world.anchors();
    let asked = token.asked();
    assert_eq!(world.anchors(), before);
    assert_eq!(token.asked(), asked, "not by everybody who comes");
    token.take_out(false);
    world.clock.advance(Span::seconds(11));
    assert_ne!(world.anchors().last(), before.last());
    assert_eq!(token.labels().len(), 2);
}

#[test]
fn what_a_token_signed_wrongly_is_given_to_nobody() {
    let token = Pretended::new("hsm");
    let world = moved_into(&token);
    token.lies.store(true, Ordering::SeqCst);
    let id = world.submit(&Asker::new("one")).unwrap();
    let error = world.approve(id).unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    assert!(
        error.to_string().starts_with("the signature of a certificate that the PKCS#11 token `hsm` made"),
        "{error}"
    );
    assert_eq!(world.pending(), [id]);
    assert!(block_on(world.authority.rotate(permit(), false)).is_err());
    assert_eq!(token.labels().len(), 1, "and a key that signs wrongly is not left there");
}

/// Of a key whose certificate was not stored nothing is left, and what is left of a crash is told of.
#[test]
fn keys_that_nobody_uses_are_found() {
    let token = Pretended::new("hsm");
    let mut world = World::new(services());
    world.restart_with(Some(token.clone())).unwrap();
    world.clock.advance(Span::days(1));
    world.store.fail_next_commits(1, store::Error::Full);
    assert!(block_on(world.authority.rotate(permit(), false)).is_err());
    assert!(token.labels().is_empty(), "{:?}", token.labels());
    // The answer is lost, and it was not done; as when somebody pulls the plug.
    world.store.lose_next_answers([false]);
    block_on(world.authority.rotate(permit(), false)).unwrap();
    let unused = block_on(world.authority.unused_token_keys()).unwrap();
    assert_eq!((token.labels().len(), unused.len()), (2, 1));
    assert!(unused[0].1.starts_with("provost: Services of a test 2026-"), "{unused:?}");
    // Somebody else's in the same token are nobody's business.
    block_on(token.make(KeySpec::P256, TokenKeyId([9; 16]), "provost: Services of a test, another".into()))
        .unwrap();
    assert_eq!(block_on(world.authority.unused_token_keys()).unwrap().len(), 1);
}

/// Neither a caucase database nor anything else that has keys in it can be made.
#[test]
fn keys_in_a_token_are_not_given_away() {
    let token = Pretended::new("hsm");
    let world = moved_into(&token);
    let engine: Arc<dyn store::Engine> = world.store.clone();
    let given =
        block_on(ca::takeover::give_back(&engine, world.sealing(), |_, _| Ok::<_, ca::TokenError>(())));
    let error = given.unwrap_err();
    let said = "the CA certificate `/ca/services/issuer/00000002` cannot be given in caucase's format: its key is in the \
                PKCS#11 token `hsm`, which never gives it away";
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Conflict, said));
    let held = block_on(ca::held_issuers(&engine)).unwrap();
    assert_eq!(held.iter().map(|held| held.token.as_deref()).collect::<Vec<_>>(), [None, Some("hsm")]);
}
