//! From caucase and back, over rows: what one authority has, another that is opened on it goes on with.

use std::sync::Arc;

use base::{Entropy, Secret, Span};
use ca::takeover::{Shelf, TakenAuthority, Taking, Unfit, give_back};
use ca::{Admission, AuthorityName, Profile, RenewError};
use caucase_files::{Count, Prefix, RevokedRow, Row};
use futures_executor::block_on;
use store::{CommitError, Engine, Memory, SealingKey};
use x509::{CrlTemplate, KeySpec, RevokedEntry, Serial};

use crate::world::{Asker, World, permit, services, users};

fn rows_of(engine: &Arc<dyn Engine>, sealing: &SealingKey) -> Vec<(Prefix, Row)> {
    let mut rows = Vec::new();
    let give = |prefix, row| {
        rows.push((prefix, row));
        Ok::<_, std::convert::Infallible>(())
    };
    block_on(give_back(engine, sealing, give)).unwrap();
    rows
}

/// Rows as text, in an order of their own.
fn told(rows: &[(Prefix, Row)]) -> Vec<String> {
    let key = |row: &Row| match row {
        Row::Issuer(row) => String::from_utf8(row.key.expose().clone()).unwrap(),
        _ => String::new(),
    };
    let mut told: Vec<_> =
        rows.iter().map(|(prefix, row)| format!("{prefix:?} {row:?} {}", key(row))).collect();
    told.sort();
    told
}

type Into = (Arc<Memory>, [TakenAuthority; 3]);

fn take(rows: Vec<(Prefix, Row)>, sealing: &SealingKey, world: &World) -> Result<Into, Unfit> {
    let (entropy, store) = (Entropy::seeded(9), Arc::new(Memory::new()));
    let mut taking = Taking::new(sealing, &entropy, world.now());
    let mut batches = Vec::new();
    for (prefix, row) in rows {
        batches.extend(taking.take(prefix, row)?);
    }
    let (rest, taken) = taking.finish()?;
    for batch in batches.into_iter().chain(rest) {
        batch.check().unwrap();
        block_on(store.commit(batch)).unwrap();
    }
    Ok((store, taken))
}

/// An authority that has lived, and those who know it.
struct Lived {
    world: World,
    holder: Asker,
    certificate: x509::Certificate,
    revoked: x509::Certificate,
    waiting: (Asker, ca::RequestId),
    spec: KeySpec,
}

fn lived(profile: Profile, spec: KeySpec) -> Lived {
    let admission = Admission { automatic_max: 2, lock_automatic_max: true, ..profile.admission.clone() };
    let world = World::new(Profile { admission, ..profile });
    let [holder, gone, waiting] = ["holder", "gone", "waiting"].map(|name| Asker::with(name, spec, &[]));
    let [first, second, third] = [&holder, &gone, &waiting].map(|asker| world.submit(asker).unwrap());
    let certificate = world.certificate(first).unwrap();
    let revoked = world.certificate(second).unwrap();
    block_on(world.authority.revoke(permit(), &revoked)).unwrap();
    assert_eq!(world.pending(), [third]);
    world.list();
    Lived { world, holder, certificate, revoked, waiting: (waiting, third), spec }
}

/// A hundred requests make several batches.
fn goes_on(profile: Profile, spec: KeySpec) {
    let Lived { mut world, holder, certificate, revoked, waiting, spec } = lived(profile, spec);
    let name = world.authority.profile().name;
    let prefix = Prefix::ALL.into_iter().find(|prefix| ca::takeover::authority_of(*prefix) == name).unwrap();
    let before = world.list();
    let engine: Arc<dyn Engine> = world.store.clone();
    let rows = rows_of(&engine, world.sealing());
    let (store, taken) = take(rows.clone(), world.sealing(), &world).unwrap();
    let taken = &taken[prefix as usize];
    assert_eq!((taken.issued, taken.orphans, taken.pending, taken.revoked), (2, 0, 1, 1));
    assert_eq!((taken.received, taken.automatic), (3, Some(2)));
    assert_eq!(taken.next_end, Some(certificate.not_after().min(revoked.not_after())));

    world.move_to(store);
    let of =
        |list: &x509::Crl| (list.number(), list.this_update(), list.next_update(), list.entries().to_vec());
    assert_eq!(of(&world.list()), of(&before), "number, dates and entries are the same");
    let engine: Arc<dyn Engine> = world.store.clone();
    assert_eq!(told(&rows_of(&engine, world.sealing())), told(&rows), "back again");
    // Whatever was asked before is known.
    let (asker, id) = waiting;
    assert_eq!(world.submit(&asker).unwrap(), id);
    assert_eq!(world.pending(), [id]);
    let issued = world.approve(id).unwrap();
    assert_eq!(issued.public_key(), asker.key.public());
    assert!(matches!(
        block_on(world.authority.renew(asker.prove(&issued), asker.csr.clone(), &asker.text)),
        Err(RenewError::AlreadyIssued)
    ));
    // A holder in the middle of its life goes on.
    let next = Asker::with("next", spec, &[]);
    block_on(world.authority.renew(holder.prove(&certificate), next.csr.clone(), &next.text)).unwrap();
    // What was taken back stays so, and what is taken back now counts on.
    assert!(block_on(world.authority.verify(&revoked)).is_err());
    block_on(world.authority.revoke(permit(), &certificate)).unwrap();
    assert_eq!(world.list().number(), before.number() + 1);
    assert_eq!(world.list().entries().len(), 2);
    // The locked count stays, and what was received counts.
    world.restart(|profile| profile.admission.automatic_max = 100);
    assert_eq!(world.authority.automatic_max(), 2);
    let late = Asker::with("late", spec, &[]);
    let late = world.submit(&late).unwrap();
    assert_eq!(world.pending(), [late]);
    // What is due is dropped.
    world.clock.advance(Span::days(94));
    world.settle();
    world.submit(&Asker::with("later", spec, &[])).unwrap();
    assert_eq!(world.count("issued/"), 0, "issued long ago");
}

#[test]
fn services_go_on() {
    goes_on(services(), KeySpec::P256);
}

#[test]
fn users_go_on() {
    goes_on(users(), KeySpec::Rsa { bits: 2048 });
}

#[test]
fn many_rows_are_batches_of_what_stores_take() {
    let lived = lived(services(), KeySpec::P256);
    for number in 0..250 {
        let asker = Asker::new(&format!("holder {number}"));
        let submitted = lived.world.submit(&asker);
        if number < 49 {
            submitted.unwrap();
        }
    }
    let engine: Arc<dyn Engine> = lived.world.store.clone();
    let mut rows = rows_of(&engine, lived.world.sealing());
    for number in 1..1_000 {
        let row = RevokedRow { serial: number.to_string(), at: 5, expires_at: 2_000_000_000 };
        rows.push((Prefix::Services, Row::Revoked(row)));
    }
    let (store, _) = take(rows.clone(), lived.world.sealing(), &lived.world).unwrap();
    let engine: Arc<dyn Engine> = store;
    assert_eq!(told(&rows_of(&engine, lived.world.sealing())), told(&rows));
}

#[test]
fn what_would_make_it_lie_is_refused() {
    let lived = lived(services(), KeySpec::P256);
    let other = self::lived(services(), KeySpec::P256);
    let engine: Arc<dyn Engine> = lived.world.store.clone();
    let sealing = lived.world.sealing();
    let rows = rows_of(&engine, sealing);
    let others = rows_of(&(other.world.store.clone() as Arc<dyn Engine>), other.world.sealing());
    let issued = |rows: &[(Prefix, Row)]| {
        rows.iter()
            .find_map(|(_, row)| match row {
                Row::Certificate(row) if row.certificate.is_some() => Some(row.clone()),
                _ => None,
            })
            .unwrap()
    };
    let foreign = issued(&others);
    let check = |change: &dyn Fn(&mut Row), expected: &str| {
        let mut rows = rows.clone();
        rows.iter_mut().for_each(|(_, row)| change(row));
        let error = take(rows, sealing, &lived.world).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let of_issuer = |row: &mut Row, change: &dyn Fn(&mut caucase_files::IssuerRow)| {
        if let Row::Issuer(row) = row {
            change(row);
        }
    };
    let of_issued = |row: &mut Row, change: &dyn Fn(&mut caucase_files::CertificateRow)| {
        if let Row::Certificate(row) = row
            && row.certificate.is_some()
        {
            change(row);
        }
    };
    let another_key = Asker::new("x").key.to_pem().expose().as_bytes().to_vec();
    check(
        &|row| of_issuer(row, &|row| row.key = Secret::new(another_key.clone())),
        "casca, the one that ends at",
    );
    check(
        &|row| of_issuer(row, &|row| row.key = Secret::new(b"x".to_vec())),
        "its key: there is no PEM block",
    );
    check(&|row| of_issuer(row, &|row| row.certificate.truncate(100)), "its certificate: ");
    let spoilt = |row: &mut caucase_files::IssuerRow| {
        let mut der = x509::Certificate::from_pem(&row.certificate).unwrap().der().to_vec();
        *der.last_mut().unwrap() ^= 1;
        row.certificate = x509::pem::write("CERTIFICATE", &der).into_bytes();
    };
    check(&|row| of_issuer(row, &spoilt), "its certificate's signature is not its key's");
    check(&|row| of_issued(row, &|row| row.certificate = Some(b"x".to_vec())), "cascrt, request ");
    check(&|row| of_issued(row, &|row| row.key_id = "00".repeat(20)), "its key_id is ");
    check(&|row| of_issued(row, &|row| row.drop_at = None), "nothing says when it may be dropped");
    check(&|row| of_issued(row, &|row| row.id = u64::MAX), "more than 63 bits");
    check(
        &|row| of_issued(row, &|row| row.request = foreign.request.clone()),
        "for another key than the request's",
    );
    let foreign_row = |row: &mut caucase_files::CertificateRow| {
        let id = row.id;
        *row = foreign.clone();
        row.id = id;
    };
    // The other authority has the same name, and another key: its key identifier tells them apart.
    let mut rows_with_foreign = rows.clone();
    rows_with_foreign.iter_mut().for_each(|(_, row)| of_issued(row, &foreign_row));
    rows_with_foreign.retain({
        let mut seen = false;
        move |(_, row)| match row {
            Row::Certificate(row) if row.certificate.is_some() => !std::mem::replace(&mut seen, true),
            _ => true,
        }
    });
    let (_, taken) = take(rows_with_foreign.clone(), sealing, &lived.world).unwrap();
    assert_eq!(taken[Prefix::Services as usize].orphans, 1, "as of a CA certificate that is gone");
    let issuer = others.iter().find(|(_, row)| matches!(row, Row::Issuer(_))).unwrap().1.clone();
    rows_with_foreign.insert(0, (Prefix::Users, issuer));
    let error = take(rows_with_foreign, sealing, &lived.world).err().unwrap();
    assert!(error.to_string().ends_with("its certificate is one of `cau`"), "{error}");
    check(
        &|row| {
            if let Row::Revoked(row) = row {
                row.serial.insert(0, '0');
            }
        },
        "casrevoked, serial \"0",
    );
}

/// What one table says that another contradicts: something was lost, and the authority would go on as if it had never been.
#[test]
fn what_lacks_a_part_is_refused() {
    let lived = lived(services(), KeySpec::P256);
    let engine: Arc<dyn Engine> = lived.world.store.clone();
    let rows = rows_of(&engine, lived.world.sealing());
    let without = |prefix: Prefix, goes: &dyn Fn(&Row) -> bool| {
        let left = rows.iter().filter(|(_, row)| !goes(row)).map(|(_, row)| (prefix, row.clone())).collect();
        take(left, lived.world.sealing(), &lived.world).err().map_or(String::new(), |error| error.to_string())
    };
    let is_issuer = |row: &Row| matches!(row, Row::Issuer(_));
    let is_issued = |row: &Row| matches!(row, Row::Certificate(row) if row.certificate.is_some());
    let is_certificate = |row: &Row| matches!(row, Row::Certificate(_));
    let is_revoked = |row: &Row| matches!(row, Row::Revoked(_));
    let is_number = |row: &Row| matches!(row, Row::Count(Count::CrlNumber(_)));
    let is_date = |row: &Row| matches!(row, Row::Count(Count::CrlLastUpdate(_)));
    let is_received = |row: &Row| matches!(row, Row::Count(Count::Received(_)));
    for (goes, expected) in [
        (
            &is_issuer as &dyn Fn(&Row) -> bool,
            "casca, its rows: there is no CA certificate, although `cascrt` has 2 that",
        ),
        (&|row| is_issuer(row) || is_issued(row), "no CA certificate, although `casrevoked` has 1"),
        (
            &|row| is_issuer(row) || is_issued(row) || is_revoked(row),
            "no CA certificate, although `cascounter` says that ",
        ),
        (
            &is_number,
            "cascounter, `crl_number`: the number of the last revocation list is missing, although `casrevoked`",
        ),
        (
            &|row| is_number(row) || is_revoked(row),
            "is missing, although `casconfig` says that there was one",
        ),
        (
            &is_received,
            "cascounter, `received_csr`: how many requests there were is missing, although `cascrt` has 1",
        ),
        // What is there nevertheless is nothing that was lost.
        (&is_date, ""),
        (&is_certificate, ""),
        (&|row| is_received(row) || is_certificate(row), ""),
        (&|_| true, ""),
    ] {
        let said = without(Prefix::Services, goes);
        assert_eq!(said.is_empty(), expected.is_empty(), "{expected}: {said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
    // Where lists were counted and not revocations, there may be one before the first list.
    let mut older: Vec<_> =
        rows.iter().filter(|(_, row)| !is_number(row) && !is_date(row)).cloned().collect();
    // A row that says 0 is no word of that: where there is one, each revocation counts it up.
    let mut damaged = older.clone();
    damaged.push((Prefix::Services, Row::Count(Count::CrlNumber(0))));
    let said = take(damaged, lived.world.sealing(), &lived.world).err().unwrap().to_string();
    assert!(said.contains("the number of the last revocation list is missing"), "{said}");
    older.push((Prefix::Services, Row::Count(Count::NoList)));
    let taken = take(older, lived.world.sealing(), &lived.world);
    assert!(taken.is_ok(), "{:?}", taken.err());
    // caucase would approve the next request of anybody for a user by itself.
    let said = without(Prefix::Users, &|row| {
        is_received(row) || matches!(row, Row::Certificate(row) if row.certificate.is_none())
    });
    assert!(said.contains("caucounter, `received_csr`: how many requests there were is missing"), "{said}");
}

/// What was decided once counts, though nobody could decide it again; and what is known of the time is told.
#[test]
fn what_is_odd_is_told() {
    let lived = lived(services(), KeySpec::P256);
    let engine: Arc<dyn Engine> = lived.world.store.clone();
    let mut rows = rows_of(&engine, lived.world.sealing());
    let taken = |rows: Vec<(Prefix, Row)>| take(rows, lived.world.sealing(), &lived.world).unwrap().1;
    let whole = taken(rows.clone())[Prefix::Services as usize].clone();
    assert_eq!(whole.unread, 0);
    assert_eq!(whole.good_until, Some(lived.certificate.not_after()), "the other one is revoked");
    assert_eq!(
        whole.latest,
        Some(lived.world.now()),
        "its lists are dated before, and its revocation is not"
    );
    let mut unsigned = 0;
    for (_, row) in &mut rows {
        if let Row::Certificate(row) = row
            && row.certificate.is_some()
        {
            let mut der = x509::SigningRequest::from_pem(&row.request).unwrap().der().to_vec();
            *der.last_mut().unwrap() ^= 1;
            row.request = x509::pem::write("CERTIFICATE REQUEST", &der).into_bytes();
            unsigned += 1;
        }
    }
    assert_eq!(taken(rows.clone())[Prefix::Services as usize].unread, unsigned);
    // What waits is still to be decided on, so it has to be good.
    for (_, row) in &mut rows {
        if let Row::Certificate(row) = row {
            row.certificate = None;
        }
    }
    let error = take(rows, lived.world.sealing(), &lived.world).err().unwrap();
    assert!(error.to_string().contains("own signature is not good"), "{error}");
}

/// A first user who was made without a request is not to make caucase approve the next stranger's by itself.
#[test]
fn who_was_made_without_a_request_counts_as_one() {
    let world = World::new(users());
    let asker = Asker::with("administrator", KeySpec::Rsa { bits: 2048 }, &[]);
    block_on(world.authority.issue(permit(), &asker.csr, &asker.text)).unwrap();
    let rows = rows_of(&(world.store.clone() as Arc<dyn Engine>), world.sealing());
    assert!(
        rows.iter()
            .any(|(prefix, row)| *prefix == Prefix::Users && matches!(row, Row::Count(Count::Received(1)))),
        "{rows:?}"
    );
    take(rows, world.sealing(), &world).unwrap();
}

/// Two rows with one serial number would be one record: whoever commits is told.
#[test]
fn what_comes_twice_is_seen_when_it_is_committed() {
    let world = World::new(services());
    let (sealing, entropy) = (SealingKey::generate(&Entropy::seeded(1)), Entropy::seeded(2));
    let mut taking = Taking::new(&sealing, &entropy, world.now());
    world.list();
    let rows = rows_of(&(world.store.clone() as Arc<dyn Engine>), world.sealing());
    for (prefix, row) in rows.into_iter().filter(|(_, row)| !matches!(row, Row::Revoked(_))) {
        assert!(taking.take(prefix, row).unwrap().is_none());
    }
    let row = || Row::Revoked(RevokedRow { serial: "5".into(), at: 5, expires_at: 6 });
    assert!(taking.take(Prefix::Services, row()).unwrap().is_none());
    let first = taking.take(Prefix::Services, row()).unwrap().expect("it cannot be in the same batch");
    assert!(taking.take(Prefix::Services, Row::Count(Count::Received(1))).unwrap().is_none());
    let store = Memory::new();
    block_on(store.commit(first)).unwrap();
    let (rest, _) = taking.finish().unwrap();
    let refused = rest.into_iter().map(|batch| block_on(store.commit(batch))).find_map(Result::err);
    assert!(matches!(refused, Some(CommitError::Conflict { .. })), "{refused:?}");
}

/// An operator's list, brought to lists that were handed out already: no number ever has two contents, and no date goes
/// back.
#[test]
fn a_list_that_is_brought_counts_on() {
    let world = World::new(services());
    let before = world.list();
    let engine: Arc<dyn Engine> = world.store.clone();
    let shelf = Shelf {
        authority: AuthorityName::Services,
        sealing: world.sealing(),
        clock: &world.clock,
        entropy: &Entropy::seeded(3),
    };
    let (issuer, key) = block_on(shelf.issuers(&engine)).unwrap().remove(0);
    let bring = |number: u64, serial: &str| {
        let revoked = [RevokedEntry { serial: Serial::from_hex(serial).unwrap(), at: world.now() }];
        let this_update = world.now() - Span::days(9);
        let list = CrlTemplate {
            issuer: issuer.subject(),
            authority_key_id: issuer.public_key().key_id(),
            number,
            this_update,
            next_update: world.now(),
            revoked: &revoked,
        };
        let brought = block_on(shelf.add_revocations(&engine, &[list.sign(&key)])).unwrap();
        (brought.number, brought.new, brought.this_update)
    };
    let [first, second] = ["01", "02"].map(|end| format!("{}{end}", "0".repeat(38)));
    assert_eq!(bring(1, &first), (before.number() + 1, 1, before.this_update()));
    assert_eq!(bring(1, &first), (before.number() + 1, 0, before.this_update()), "nothing is new");
    assert_eq!(bring(70, &second), (70, 1, before.this_update()));
}
