//! What is read and decided holds when it is done, whoever else does something meanwhile.

use std::sync::{Arc, Mutex};

use base::Span;
use futures_executor::block_on;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use store::{
    Batch, Change, CommitError, Engine, Error, Key, Listing, Memory, Page, Prefix, Revision, Versioned,
    WatchError,
};
use trust::{ChangeError, Offer, SetChange, Terms};

use crate::ground::{House, add, anchors, may, no_reason, pems, provider, requirer};

/// What somebody else does as soon as the records under a prefix were listed.
type Rival = (&'static str, BoxFuture<'static, ()>);

/// Records in memory, with a rival who is there between one reading and the next.
struct Rivalled {
    memory: Arc<Memory>,
    rival: Mutex<Option<Rival>>,
}

impl Engine for Rivalled {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        self.memory.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        async move {
            let found = self.memory.list(prefix, page).await;
            let rival = self.rival.lock().unwrap().take_if(|(after, _)| prefix.as_str() == *after);
            if let Some((_, rival)) = rival {
                rival.await;
            }
            found
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.memory.revision()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn store::Snapshot>, Error>> {
        self.memory.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        self.memory.commit(batch)
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        self.memory.watch(prefix, from)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.memory.close()
    }
}

/// A house with a rival who does this after the records under `prefix` were listed for the first time.
fn rivalled(memory: &Arc<Memory>, prefix: &'static str, rival: BoxFuture<'static, ()>) -> House {
    let engine = Rivalled { memory: memory.clone(), rival: Mutex::new(Some((prefix, rival))) };
    House::through(memory.clone(), Arc::new(engine))
}

/// Records in memory, with somebody who asks after each commit how many certificates `web` is to have.
struct Polled {
    memory: Arc<Memory>,
    seen: Mutex<Vec<Option<usize>>>,
    /// Whether nothing is stored any more after the first one.
    breaks: bool,
}

impl Engine for Polled {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        self.memory.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a Prefix, page: Page) -> BoxFuture<'a, Result<Listing, Error>> {
        self.memory.list(prefix, page)
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.memory.revision()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Arc<dyn store::Snapshot>, Error>> {
        self.memory.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            let done = self.memory.commit(batch).await;
            if self.breaks {
                let (doing, reason) = ("committing", "it was killed".to_owned());
                self.memory.fail_next_commits(1, store::Error::Unavailable { doing, reason });
            }
            let asks = House::on(self.memory.clone()).trust;
            let bundle = asks.bundle(may(), &requirer("web")).await;
            self.seen.lock().unwrap().push(bundle.ok().map(|found| found.bundle.anchors().len()));
            done
        }
        .boxed()
    }

    fn watch(&self, prefix: Prefix, from: Revision) -> BoxStream<'_, Result<Change, WatchError>> {
        self.memory.watch(prefix, from)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.memory.close()
    }
}

/// It has more relations and places than one commit removes.
#[test]
fn a_requirer_that_leaves_all_behind_is_whole_until_it_is_gone() {
    block_on(async {
        let house = House::new();
        house.set_requirer("web").await;
        house.set_requirer("webs").await;
        let names: Vec<String> = (0..50).map(|number| format!("p{number}")).collect();
        for name in &names {
            house.set_provider(name, &Terms::default()).await;
            house.relate(name, "web").await;
            house.offer(name, &add(&anchors(1))).await.unwrap();
        }
        house.relate("p0", "webs").await;
        let hash = house.trust.bundle(may(), &requirer("web")).await.unwrap().bundle.hash().to_owned();
        for number in 0..120 {
            house.trust.confirm(may(), &requirer("web"), &format!("u{number}"), &hash).await.unwrap();
        }
        let polled = Arc::new(Polled { memory: house.memory.clone(), seen: Mutex::default(), breaks: false });
        let other = House::through(house.memory.clone(), polled.clone());
        other.trust.remove_requirer(may(), &requirer("web"), true, &no_reason()).await.unwrap();
        let seen = std::mem::take(&mut *polled.seen.lock().unwrap());
        assert!(seen.len() > 2 && seen.iter().all(Option::is_none), "one commit, and it is gone: {seen:?}");
        for prefix in ["/trust/requirer/web", "/trust/relation/web", "/trust/number/"] {
            assert_eq!(house.count(prefix).await, 1, "{prefix}");
        }
        assert_eq!(house.count("/trust/unit/").await, 0);
        let (requirers, _) = house.trust.list_requirers(may(), None, 10).await.unwrap();
        assert_eq!(requirers.len(), 1);
        let told = house.history().await.into_iter().filter(|event| event.what == "trust requirer gone");
        assert_eq!(told.map(|event| event.facts["left_behind"].clone()).collect::<Vec<_>>(), ["true"]);
        let again = other.trust.remove_requirer(may(), &requirer("web"), true, &no_reason()).await;
        assert!(matches!(again, Err(ChangeError::NoRequirer(_))));
    });
}

/// Whoever is killed between the two leaves a requirer that nobody sees, and of which nothing is another one's.
#[test]
fn what_is_left_of_a_requirer_that_is_gone_is_nobodys() {
    block_on(async {
        let house = House::new();
        house.set_requirer("web").await;
        house.set_provider("corp", &Terms::default()).await;
        house.offer("corp", &add(&anchors(1))).await.unwrap();
        for by_tidying in [true, false] {
            house.set_requirer("web").await;
            let number = house.relate("corp", "web").await;
            let broken = Polled { memory: house.memory.clone(), seen: Mutex::default(), breaks: true };
            let other = House::through(house.memory.clone(), Arc::new(broken));
            other.trust.remove_requirer(may(), &requirer("web"), true, &no_reason()).await.unwrap();
            let (doing, reason) = ("committing", String::new());
            house.memory.fail_next_commits(0, store::Error::Unavailable { doing, reason });
            assert!(house.trust.requirer(may(), &requirer("web")).await.is_err());
            assert!(house.trust.relation(may(), number).await.unwrap().is_none());
            assert!(house.trust.list_relations(may(), None, None).await.unwrap().is_empty());
            assert_eq!(house.count("/trust/relation/web").await, 1);
            if by_tidying {
                house.trust.tidy(may()).await.unwrap();
                assert_eq!(
                    (house.count("/trust/relation/").await, house.count("/trust/requirer/").await),
                    (0, 0)
                );
            } else {
                house.set_requirer("web").await;
                assert!(house.bundle("web").await.is_empty());
                assert_eq!(
                    (house.count("/trust/relation/").await, house.count("/trust/requirer/").await),
                    (0, 1)
                );
            }
        }
    });
}

fn empty() -> Offer {
    Offer { change: SetChange::Empty, relation: None, basis: None, confirmed: false }
}

/// A house in which `web` has a certificate of each of two providers.
async fn with_two() -> House {
    let house = House::new();
    house.set_requirer("web").await;
    let terms = Terms { grace: Span::days(7), ..Terms::default() };
    for name in ["one", "two"] {
        house.set_provider(name, &terms).await;
        house.relate(name, "web").await;
        house.offer(name, &add(&anchors(1))).await.unwrap();
    }
    house
}

#[test]
fn two_graces_do_not_add_up_to_nothing() {
    block_on(async {
        let house = with_two().await;
        let remove = |name: &'static str| {
            let trust = house.trust.clone();
            async move { trust.remove_provider(may(), &provider(name), false, &no_reason()).await }
        };
        remove("one").await.unwrap();
        assert_eq!(house.bundle("web").await.len(), 2, "the one that is going is still there");
        let relations = house.trust.list_relations(may(), Some(&provider("two")), None).await.unwrap();
        let lost = |result: Result<(), ChangeError>| {
            assert!(matches!(result, Err(ChangeError::Shrinks { before: 2, after: 0, .. })), "{result:?}");
        };
        lost(remove("two").await.map(drop));
        lost(house.offer("two", &empty()).await.map(drop));
        lost(house.trust.unrelate(may(), relations[0].number, false, &no_reason()).await);
        // Whoever goes anyway is not in the way of what has nothing to do with it.
        house.set_provider("three", &Terms::default()).await;
        let all = anchors(3);
        house.offer("three", &add(&all)).await.unwrap();
        house.set_requirer("db").await;
        house.relate("three", "db").await;
        let remove_one = Offer { change: SetChange::Remove(all[0].fingerprint()), ..empty() };
        house.offer("three", &remove_one).await.unwrap();
    });
}

#[test]
fn two_processes_do_not_take_away_everything_together() {
    block_on(async {
        let house = with_two().await;
        let other = House::on(house.memory.clone());
        house.memory.before_next_commit(async move {
            other.offer("two", &empty()).await.unwrap();
        });
        let refused = house.offer("one", &empty()).await;
        assert!(matches!(refused, Err(ChangeError::Shrinks { before: 1, after: 0, .. })), "{refused:?}");
        assert_eq!(house.bundle("web").await.len(), 1);
    });
}

#[test]
fn nobody_is_taken_to_have_nothing_while_others_change_something() {
    block_on(async {
        let (house, number) = House::related().await;
        let all = anchors(1);
        house.offer("corp", &add(&all)).await.unwrap();
        let (memory, offered) = (house.memory.clone(), all.clone());
        let rival = async move {
            let other = House::on(memory);
            other.set_provider("next", &Terms::default()).await;
            other.offer("next", &add(&offered)).await.unwrap();
            other.relate("next", "web").await;
            other.trust.unrelate(may(), number, false, &no_reason()).await.unwrap();
        };
        let reader = rivalled(&house.memory, "/trust/provider/", rival.boxed());
        let (wanted, _) = reader.trust.wanted(may()).await.unwrap();
        assert_eq!(wanted[0].bundle.pem(), pems(&all).concat());
        // The same where one requirer is looked at.
        let number = house.trust.list_relations(may(), None, None).await.unwrap()[0].number;
        let (memory, offered) = (house.memory.clone(), all.clone());
        let rival = async move {
            let other = House::on(memory);
            other.offer("corp", &add(&offered)).await.unwrap();
            other.relate("corp", "web").await;
            other.offer("next", &empty()).await.unwrap();
            other.trust.unrelate(may(), number, false, &no_reason()).await.unwrap();
        };
        house.offer("corp", &Offer { confirmed: true, ..empty() }).await.unwrap();
        let reader = rivalled(&house.memory, "/trust/relation/", rival.boxed());
        let bundle = reader.trust.bundle(may(), &requirer("web")).await.unwrap().bundle;
        assert_eq!(bundle.pem(), pems(&all).concat());
    });
}

#[test]
fn a_provider_that_is_made_to_stay_keeps_its_relations() {
    block_on(async {
        let (house, number) = House::related().await;
        let all = anchors(1);
        house.offer("corp", &add(&all)).await.unwrap();
        house.trust.remove_provider(may(), &provider("corp"), true, &no_reason()).await.unwrap();
        let other = House::on(house.memory.clone());
        house.memory.before_next_commit(async move {
            other.set_provider("corp", &Terms::default()).await;
        });
        house.trust.tidy(may()).await.unwrap();
        assert!(house.trust.relation(may(), number).await.unwrap().is_some());
        assert_eq!(house.bundle("web").await, pems(&all));
    });
}

#[test]
fn a_requirer_that_is_made_to_stay_keeps_what_it_has() {
    block_on(async {
        let (house, number) = House::related().await;
        let all = anchors(1);
        house.offer("corp", &add(&all)).await.unwrap();
        let bundle = house.trust.bundle(may(), &requirer("web")).await.unwrap().bundle;
        for poller in 0..60 {
            let poller = format!("laptop-{poller}");
            house.trust.confirm(may(), &requirer("web"), &poller, bundle.hash()).await.unwrap();
        }
        let other = House::on(house.memory.clone());
        house.trust.remove_requirer(may(), &requirer("web"), false, &no_reason()).await.unwrap();
        // Said to go, and made to stay before it is forgotten.
        house.memory.before_next_commit(async move { other.set_requirer("web").await });
        house.trust.requirer_left(may(), &requirer("web")).await.unwrap();
        assert!(house.trust.relation(may(), number).await.unwrap().is_some());
        assert_eq!(house.bundle("web").await, pems(&all));
        assert_eq!(house.count("/trust/unit/web/").await, 60);
    });
}

#[test]
fn whoever_was_not_told_that_it_is_done_is_not_told_that_somebody_else_did_it() {
    block_on(async {
        let (house, _) = House::related().await;
        for (revision, done) in [(0, true), (1, false)] {
            let all = anchors(1);
            let offer = Offer { basis: Some(revision), ..add(&all) };
            // The certificates, and who brought them, are written down before.
            house.memory.before_next_commit(async {});
            house.memory.before_next_commit(async {});
            let memory = house.memory.clone();
            house.memory.before_next_commit(async move { memory.lose_next_answers([done]) });
            let offered = house.offer("corp", &offer).await.unwrap();
            assert_eq!((offered.set.revision, offered.came), (revision + 1, vec![all[0].fingerprint()]));
        }
    });
}

#[test]
fn a_house_has_one_mark() {
    block_on(async {
        let house = House::new();
        let other = House::on(house.memory.clone());
        // Their dice are the same; one has thrown them.
        other.set_provider("corp", &Terms::default()).await;
        let (memory, found) = (house.memory.clone(), Arc::new(Mutex::new(None)));
        let first = found.clone();
        // Another process is faster.
        memory.before_next_commit(async move {
            *first.lock().unwrap() = Some(other.trust.mark(may()).await.unwrap());
        });
        let mark = house.trust.mark(may()).await.unwrap();
        assert_eq!(Some(&mark), found.lock().unwrap().as_ref());
        assert_eq!((mark.len(), house.trust.mark(may()).await.unwrap()), (16, mark));
    });
}
