//! CA keys that are made in a token, which cannot be asked to do something together with the store: a key is there before
//! its certificate is on record, or without one. The token is pretended; SoftHSM is asked in `provost`'s tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base::{Kind, Span};
use ca::{Resolve, RetireError, RotateError, Token, TokenError, TokenKeyId};
use futures_executor::block_on;
use futures_util::future::BoxFuture;
use identity::Permit;
use proof::{Authorities, Base, Death, Mortal, hold};
use store::{Engine, Memory};
use x509::{KeySpec, PublicKey, Scheme};

type Keys = BTreeMap<[u8; 16], (Arc<EcdsaKeyPair>, String)>;

/// A token for keys on P-256. Whoever is dead asks it nothing.
#[derive(Default)]
struct Pretended {
    keys: Mutex<Keys>,
    asked_by: Mutex<Option<Arc<Mortal>>>,
}

impl Pretended {
    fn answer<T>(&self, answer: impl FnOnce(&mut Keys) -> T) -> Result<T, TokenError> {
        if self.asked_by.lock().unwrap().as_ref().is_some_and(|mortal| mortal.is_dead()) {
            let reason = "whoever asks is dead".into();
            return Err(TokenError { kind: Kind::Unavailable, reason, help: None, is_for_people: false });
        }
        Ok(answer(&mut self.keys.lock().unwrap()))
    }

    fn ids(&self) -> Vec<[u8; 16]> {
        self.keys.lock().unwrap().keys().copied().collect()
    }
}

fn public(pair: &EcdsaKeyPair) -> PublicKey {
    PublicKey::from_uncompressed_point(pair.public_key().as_ref()).unwrap()
}

impl Token for Pretended {
    fn name(&self) -> &str {
        "pretended"
    }

    fn makes_keys(&self) -> bool {
        true
    }

    fn make(
        &self,
        _: KeySpec,
        id: TokenKeyId,
        label: String,
    ) -> BoxFuture<'_, Result<PublicKey, TokenError>> {
        Box::pin(async move {
            self.answer(|keys| {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
                let made = public(&pair);
                assert!(keys.insert(id.0, (Arc::new(pair), label)).is_none(), "a name is given once");
                made
            })
        })
    }

    fn find(&self, id: TokenKeyId) -> BoxFuture<'_, Result<Option<PublicKey>, TokenError>> {
        Box::pin(async move { self.answer(|keys| keys.get(&id.0).map(|(pair, _)| public(pair))) })
    }

    fn sign(&self, id: TokenKeyId, _: Scheme, digest: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, TokenError>> {
        Box::pin(async move {
            self.answer(|keys| {
                let digest = digest::Digest::import_less_safe(&digest, &digest::SHA256).unwrap();
                let (pair, _) = keys.get(&id.0).expect("the key that is asked for is there");
                pair.sign_digest(&digest).unwrap().as_ref().to_vec()
            })
        })
    }

    fn remove(&self, id: TokenKeyId) -> BoxFuture<'_, Result<(), TokenError>> {
        Box::pin(async move { self.answer(|keys| drop(keys.remove(&id.0))) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<(TokenKeyId, String)>, TokenError>> {
        Box::pin(async move {
            self.answer(|keys| keys.iter().map(|(id, (_, label))| (TokenKeyId(*id), label.clone())).collect())
        })
    }
}

/// A house with its keys in a token.
struct Scene {
    base: Base,
    token: Arc<Pretended>,
    store: Arc<Memory>,
    keys: Keys,
}

impl Scene {
    /// One that has started, unless it is to be `new`.
    fn of(store: Memory, new: bool) -> Self {
        let mut base = Base::seeded(13);
        let token = Arc::new(Pretended::default());
        base.token = Some(token.clone());
        let store = Arc::new(store);
        if !new {
            let house = Authorities::open(&base, &(store.clone() as Arc<dyn Engine>)).unwrap();
            for authority in house.both() {
                block_on(authority.published()).unwrap();
            }
        }
        let keys = token.keys.lock().unwrap().clone();
        assert_eq!(keys.len(), if new { 0 } else { 2 });
        Self { base, token, store, keys }
    }

    /// Opens it: every key that is on record is there, and each that is not on record is told of. Gives how many those are.
    fn opened(&self, engine: &Arc<dyn Engine>) -> (Authorities, usize) {
        let house = Authorities::open(&self.base, engine).unwrap();
        let (mut used, mut unused) = (0, 0);
        for authority in house.both() {
            hold(authority, engine, self.base.clock.now());
            block_on(authority.find_token_keys()).unwrap();
            used += block_on(authority.anchors()).unwrap().len();
            unused += block_on(authority.unused_token_keys()).unwrap().len();
        }
        assert_eq!(
            self.token.ids().len(),
            used + unused,
            "no key is used that is not there, none is forgotten"
        );
        (house, unused)
    }
}

/// Tells `story` with a store that dies earlier and later, and the one who asks the token with it. `again` does it again.
fn at_every_commit(
    scene: &Scene,
    passes: Span,
    story: impl Fn(&Authorities) -> bool,
    again: impl Fn(&Authorities, bool),
) -> u64 {
    let back = Span::seconds(-passes.as_seconds());
    for death in [Death::AfterIt, Death::BeforeIt] {
        for n in 1.. {
            scene.token.keys.lock().unwrap().clone_from(&scene.keys);
            let lower: Arc<dyn Engine> = scene.store.reopen();
            let mortal = Mortal::new(lower.clone());
            let engine: Arc<dyn Engine> = mortal.clone();
            *scene.token.asked_by.lock().unwrap() = Some(mortal.clone());
            scene.base.clock.advance(passes);
            mortal.dies_at(n, death);
            let answered = Authorities::open(&scene.base, &engine).is_ok_and(|house| story(&house));
            let lived = !mortal.is_dead();
            assert!(answered || !lived, "who lives answers");
            *scene.token.asked_by.lock().unwrap() = None;
            drop((engine, mortal));

            let (house, _) = scene.opened(&lower);
            again(&house, answered);
            drop(house);
            let (_, unused) = scene.opened(&lower);
            // Whoever died had one key in hand at most; who was there before has it still.
            assert!(unused <= scene.keys.len() + usize::from(!lived), "{unused} keys are unused");
            assert!(
                scene.keys.keys().all(|id| scene.token.ids().contains(id)),
                "no key that was used is deleted"
            );
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

#[test]
fn a_first_start_with_a_token() {
    let scene = Scene::of(Memory::new(), true);
    let commits = at_every_commit(
        &scene,
        Span::ZERO,
        |house| house.both().into_iter().all(|authority| block_on(authority.published()).is_ok()),
        |house, _| {
            for authority in house.both() {
                assert_eq!(block_on(authority.anchors()).unwrap().len(), 1, "one is enough");
            }
        },
    );
    assert!(commits >= 2, "{commits}");
}

#[test]
fn a_rollover_into_a_token() {
    for (days, early) in [(20, true), (190, false)] {
        let scene = Scene::of(Memory::new(), false);
        let roll = |house: &Authorities| match early {
            true => block_on(house.services.rotate(Permit::house(), false)).map(drop),
            false => block_on(house.services.anchors()).map(drop).map_err(RotateError::Issue),
        };
        let commits = at_every_commit(
            &scene,
            Span::days(days),
            |house| roll(house).is_ok(),
            |house, answered| {
                let rolled = roll(house);
                let is_under_way = matches!(rolled, Err(RotateError::UnderWay { .. }));
                assert!(rolled.is_ok() && !(early && answered) || early && is_under_way, "{rolled:?}");
                assert_eq!(block_on(house.services.anchors()).unwrap().len(), 2, "once");
            },
        );
        assert!(commits >= 1, "{commits}");
    }
}

#[test]
fn a_retirement_of_what_is_in_a_token() {
    for store in [Memory::new(), Memory::shared()] {
        let scene = Scene::of(store, false);
        let retire = |house: &Authorities| {
            let retired = block_on(house.services.retire(Permit::house(), Resolve::Once))?;
            block_on(house.services.end_retirement()).map_err(ca::IssueError::from)?;
            Ok::<_, RetireError>(retired)
        };
        let commits = at_every_commit(
            &scene,
            Span::ZERO,
            |house| retire(house).is_ok(),
            |house, answered| match retire(house) {
                Ok(retired) => {
                    assert!(!answered);
                    assert_eq!(
                        (retired.retired.len(), retired.left.len()),
                        (1, 1),
                        "the key that stays is told of"
                    );
                }
                Err(error) => assert!(matches!(error, RetireError::Already { .. }), "{error}"),
            },
        );
        assert!(commits >= 2, "{commits}");
    }
}
