//! Years of an authority for services and one for users, and of those who hold their certificates.
//!
//! A step is some hours. In each, holders whose time has come do what stock clients do: they ask, wait, fetch, keep CA
//! certificates and lists up to date, renew a month before the end; some have gone to sleep for weeks. Their clocks are
//! wrong by minutes. Users decide about what waits, and are holders themselves. Certificates are taken back. The house
//! is stopped and started, is killed in the middle of commits, loses answers, has a disk that fails, and a clock that
//! is wrong for a while; it is put back to what it was weeks or months ago, its CA certificates are given up, and it goes
//! through caucase's files (`moves.rs`). After every step everything is looked at (`check.rs`).

mod check;
mod holder;
mod model;
mod moves;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use base::{Entropy, Span, Timestamp};
use ca::{AuthorityName, RequestId};
use futures_executor::block_on;
use identity::{Action, Permit};
use store::{Engine, Memory, Sqlite};
use x509::{Certificate, KeySpec};

use self::holder::Holder;
use self::model::Model;
use self::moves::Kept;
use crate::{Authorities, Base, Death, Mortal, Pool, administrator, hold};

/// What is to be lived through.
#[derive(Debug, Clone)]
pub struct Plan {
    /// All decisions follow from it.
    pub seed: u64,
    /// For how long.
    pub days: i64,
    /// How many hold certificates of services.
    pub holders: usize,
    /// How many users there are.
    pub users: usize,
    /// The shortest and the longest step, in hours.
    pub step_hours: (u64, u64),
    /// On SQLite in a folder of its own; else in memory.
    pub on_disk: bool,
    /// CA keys are RSA, as the house has them; else on a curve, which is quicker.
    pub rsa_issuers: bool,
    /// `openssl verify` looks at somebody's certificate every so many steps.
    pub openssl_every: u64,
    /// How many RSA keys go round.
    pub rsa_keys: usize,
}

impl Plan {
    /// Years, with as many holders, as the house would have them.
    #[must_use]
    pub fn long(seed: u64, years: i64, holders: usize) -> Self {
        Self {
            seed,
            days: years * 365,
            holders,
            users: 5,
            step_hours: (1, 12),
            on_disk: seed.is_multiple_of(2),
            rsa_issuers: true,
            openssl_every: 10,
            rsa_keys: 40,
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Clone)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Figures {
    pub steps: u64,
    pub submitted: u64,
    pub refused_when_full: u64,
    pub approved: u64,
    pub rejected: u64,
    pub renewed: u64,
    pub began_anew: u64,
    pub revoked_by_owner: u64,
    pub revoked_by_user: u64,
    pub revoked_by_serial: u64,
    pub stops: u64,
    pub kills: u64,
    pub commits_failed: u64,
    pub answers_lost: u64,
    pub wrong_clocks: u64,
    pub rotated: u64,
    pub retired: u64,
    pub refused_without_issuer: u64,
    pub copies: u64,
    pub restores: u64,
    pub restores_of_caucase: u64,
    pub restores_of_older: u64,
    pub revoked_again: u64,
    pub taken_over: u64,
    pub unanswered: u64,
    pub serials: u64,
    pub ca_certificates: u64,
    pub lists: u64,
    pub verified: u64,
    pub verified_by_openssl: u64,
}

/// The simulation's own dice.
struct Dice(Entropy);

impl Dice {
    /// A number below `sides`.
    fn below(&self, sides: u64) -> u64 {
        self.0.number() % sides.max(1)
    }

    fn index(&self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("it is below a usize")
    }

    /// Whether something happens that does so `often` times in ten thousand.
    fn happens(&self, often: u64) -> bool {
        self.below(10_000) < often
    }

    fn span(&self, from: Span, to: Span) -> Span {
        let width = u64::try_from(to.as_seconds() - from.as_seconds()).unwrap_or(0) + 1;
        from + Span::seconds(i64::try_from(self.below(width)).unwrap_or(0))
    }
}

/// Where the records are, whoever has them open.
enum Disk {
    Memory(Arc<Memory>),
    File { path: PathBuf, open: Option<Arc<Sqlite>> },
}

impl Disk {
    /// Another one of its kind, empty; on disk it is at `path`.
    fn another(&self, path: PathBuf) -> Self {
        match self {
            Self::Memory(_) => Self::Memory(Arc::new(Memory::new())),
            Self::File { .. } => Self::File { path, open: None },
        }
    }

    /// What is found there by the next process.
    fn engine(&mut self) -> Arc<dyn Engine> {
        match self {
            Self::Memory(memory) => memory.clone(),
            Self::File { path, open } => {
                if let Some(before) = open.take() {
                    block_on(before.close()).expect("a store can be closed");
                }
                let engine = Arc::new(Sqlite::open(path).expect("a store can be opened again"));
                *open = Some(engine.clone());
                engine
            }
        }
    }
}

/// Everything there is.
struct World {
    plan: Plan,
    base: Base,
    dice: Dice,
    disk: Disk,
    lower: Arc<dyn Engine>,
    mortal: Arc<Mortal>,
    house: Authorities,
    service_keys: Pool,
    user_keys: Pool,
    services: Vec<Holder>,
    users: Vec<Holder>,
    /// What was acknowledged, of services and of users.
    models: [Model; 2],
    /// What could be put back.
    copies: Vec<Rc<Kept>>,
    /// How often records were put elsewhere.
    moved: u64,
    /// Until then nobody decides about anything.
    users_are_away: Timestamp,
    figures: Figures,
    folder: tempfile::TempDir,
}

/// Somebody: a holder or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Who {
    name: AuthorityName,
    at: usize,
}

/// Lives through `plan`. The same plan makes the same decisions.
///
/// # Panics
/// When something does not hold.
#[must_use]
pub fn live(plan: &Plan) -> Figures {
    let mut world = World::new(plan.clone());
    let end = world.now() + Span::days(plan.days);
    while world.now() < end {
        world.step();
    }
    world.restart();
    world.check();
    world.figures.serials = world.models.iter().map(|model| model.serials.len() as u64).sum();
    world.figures.ca_certificates = world.models.iter().map(|model| model.anchors.len() as u64).sum();
    world.figures.lists = world.models.iter().map(|model| model.lists_seen).sum();
    world.figures
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut base = Base::seeded(plan.seed);
        base.pending_max = 3 + plan.holders as u64 / 60;
        base.automatic_services = plan.holders as u64 / 4;
        if plan.rsa_issuers {
            base.issuer_key = KeySpec::Rsa { bits: 2048 };
        }
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut disk = if plan.on_disk {
            Disk::File { path: folder.path().join("store.sqlite"), open: None }
        } else {
            Disk::Memory(Arc::new(Memory::new()))
        };
        let lower = disk.engine();
        let mortal = Mortal::new(lower.clone());
        let house = Authorities::open(&base, &(mortal.clone() as Arc<dyn Engine>)).expect("a first start");
        let dice = Dice(Entropy::seeded(plan.seed ^ 0x00d1_ce00));
        let begin = base.clock.now();
        let holder = |name, at| Holder::new(&dice, name, at, begin);
        let services = (0..plan.holders).map(|at| holder(AuthorityName::Services, at)).collect();
        let users = (0..plan.users).map(|at| holder(AuthorityName::Users, at)).collect();
        Self {
            service_keys: Pool::of(plan.rsa_keys),
            user_keys: Pool::of(plan.users * 3),
            plan,
            base,
            disk,
            lower,
            mortal,
            house,
            services,
            users,
            models: Default::default(),
            copies: Vec::new(),
            moved: 0,
            users_are_away: begin,
            figures: Figures::default(),
            folder,
            dice,
        }
    }

    fn now(&self) -> Timestamp {
        self.base.clock.now()
    }

    fn holder(&mut self, who: Who) -> &mut Holder {
        match who.name {
            AuthorityName::Users => &mut self.users[who.at],
            _ => &mut self.services[who.at],
        }
    }

    fn authority(&self, name: AuthorityName) -> &ca::Authority {
        if name == AuthorityName::Users { &self.house.users } else { &self.house.services }
    }

    fn model(&mut self, name: AuthorityName) -> &mut Model {
        &mut self.models[usize::from(name == AuthorityName::Users)]
    }

    fn everybody(&self) -> Vec<Who> {
        let all = |name, count| (0..count).map(move |at| Who { name, at });
        all(AuthorityName::Users, self.users.len())
            .chain(all(AuthorityName::Services, self.services.len()))
            .collect()
    }

    fn step(&mut self) {
        self.figures.steps += 1;
        let (from, to) = self.plan.step_hours;
        let hours = |hours: u64| Span::seconds(3_600 * i64::try_from(hours).unwrap_or(1));
        let passes = self.dice.span(hours(from), hours(to));
        self.base.clock.advance(passes);
        self.moves(passes);
        self.trouble();
        for who in self.everybody() {
            let now = self.now();
            if self.holder(who).wakes <= now {
                self.act(who);
                self.recover();
            }
        }
        self.decide();
        self.recover();
        self.take_back();
        self.recover();
        if self.dice.happens(800) {
            for name in [AuthorityName::Services, AuthorityName::Users] {
                let _ = block_on(self.authority(name).drop_ended_certificates(None));
            }
            self.recover();
        }
        self.check();
    }

    /// What happens to a house now and then.
    fn trouble(&mut self) {
        if self.dice.happens(300) {
            self.figures.stops += 1;
            self.restart();
        }
        if self.dice.happens(1_500) {
            let death = if self.dice.happens(5_000) { Death::AfterIt } else { Death::BeforeIt };
            self.mortal.dies_at(1 + self.dice.below(4), death);
        }
        if self.dice.happens(200) {
            self.figures.commits_failed += 1;
            self.mortal.fails_next(1 + u32::from(self.dice.happens(5_000)));
        }
        if self.dice.happens(400) {
            self.figures.answers_lost += 1;
            self.mortal.loses_next(self.dice.happens(5_000));
        }
        if self.dice.happens(40) {
            self.figures.wrong_clocks += 1;
            self.wrong_clock();
        }
    }

    /// The clock is wrong for an hour, by days or years, and the house does what it does by itself.
    fn wrong_clock(&mut self) {
        let wrong = match self.dice.below(4) {
            0 => self.dice.span(Span::days(1), Span::days(30)),
            1 => self.dice.span(Span::days(30), Span::days(800)),
            2 => Span::days(20 * 365),
            _ => Span::seconds(-self.dice.span(Span::seconds(60), Span::days(400)).as_seconds()),
        };
        self.base.clock.advance(wrong);
        let restarts = self.dice.happens(5_000);
        if restarts {
            self.reopen();
        }
        for authority in self.house.both() {
            let _ = block_on(authority.anchors());
            let _ = block_on(authority.published());
            let _ = block_on(authority.drop_ended_certificates(None));
        }
        // What was counted while the clock was wrong counts on.
        self.base.clock.advance(Span::seconds(3_600 - wrong.as_seconds()));
        if restarts || self.mortal.is_dead() {
            self.restart();
        }
    }

    /// A process that died is started again.
    fn recover(&mut self) {
        if self.mortal.is_dead() {
            self.figures.kills += 1;
            self.restart();
        }
    }

    /// Another process opens what is stored.
    fn reopen(&mut self) {
        self.lower = self.disk.engine();
        self.mortal = Mortal::new(self.lower.clone());
        let engine: Arc<dyn Engine> = self.mortal.clone();
        self.house = Authorities::open(&self.base, &engine).expect("what is stored can be opened");
    }

    /// The same, and everything that is stored is looked at.
    fn restart(&mut self) {
        self.reopen();
        for authority in self.house.both() {
            hold(authority, &self.lower, self.base.clock.now());
        }
        self.nothing_is_missing();
    }

    /// A user with a good certificate who is let in.
    fn permit<A: Action>(&self) -> Option<Permit<A>> {
        let first = self.dice.index(self.users.len());
        let order = (0..self.users.len()).map(|turn| (first + turn) % self.users.len());
        order.filter_map(|at| self.users[at].certificate.as_ref()).find_map(|certificate: &Certificate| {
            administrator(&self.house.users, certificate, self.base.clock.now())
        })
    }

    /// Users decide about some of what waits: approve most, as asked or otherwise, and reject a few.
    fn decide(&mut self) {
        if self.dice.happens(100) {
            self.users_are_away = self.now() + self.dice.span(Span::days(1), Span::days(6));
        }
        if self.now() < self.users_are_away {
            return;
        }
        for name in [AuthorityName::Users, AuthorityName::Services] {
            let Some(permit) = self.permit() else { return };
            let Ok(pending) = block_on(self.authority(name).pending(permit)) else { return };
            for request in pending {
                if self.dice.happens(3_000) {
                    continue;
                }
                if self.dice.happens(500) {
                    self.reject(name, request.id);
                } else {
                    self.approve(name, request.id);
                }
                self.recover();
            }
        }
    }

    fn approve(&mut self, name: AuthorityName, id: RequestId) {
        let Some(permit) = self.permit() else { return };
        let approved = block_on(self.authority(name).approve(permit, id, None));
        let now = self.now();
        match approved {
            Ok(certificate) => {
                self.figures.approved += 1;
                let model = self.model(name);
                model.decided(id);
                model.issued(&certificate, now);
            }
            Err(error) => self.unanswered(name, Some(id), &error),
        }
    }

    fn reject(&mut self, name: AuthorityName, id: RequestId) {
        let Some(permit) = self.permit() else { return };
        match block_on(self.authority(name).reject(permit, id)) {
            Ok(()) => {
                self.figures.rejected += 1;
                let model = self.model(name);
                model.decided(id);
            }
            Err(error) => self.unanswered(name, Some(id), &error),
        }
    }

    /// An operation had no answer, or a bad one: whether it was done is seen when it is looked at next.
    fn unanswered(&mut self, name: AuthorityName, id: Option<RequestId>, error: &dyn std::error::Error) {
        self.figures.unanswered += 1;
        assert!(is_of_the_store(error), "nothing was wrong with the store: {error}: {:?}", error.source());
        let model = self.model(name);
        match id {
            Some(id) => {
                model.pending.remove(&id);
                model.doubtful.insert(id);
            }
            None => model.doubts += 1,
        }
    }

    /// Some lose their key, or the trust of a user.
    fn take_back(&mut self) {
        for (often, way) in [(150, 0), (100, 1), (80, 2)] {
            if !self.dice.happens(often) {
                continue;
            }
            let is_user = self.dice.happens(400);
            let who = if is_user {
                Who { name: AuthorityName::Users, at: self.dice.index(self.users.len()) }
            } else {
                Who { name: AuthorityName::Services, at: self.dice.index(self.services.len()) }
            };
            // Somebody has to be left who can approve the others.
            let users_left = self.users.iter().filter(|user| user.certificate.is_some()).count();
            if is_user && users_left < 3 {
                continue;
            }
            self.revoke(who, way);
            self.recover();
        }
    }
}

/// Whether the store is behind an error.
fn is_of_the_store(error: &dyn std::error::Error) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if ["the simulation", "the store is closed"].iter().any(|sign| text.contains(sign)) {
            return true;
        }
        cause = error.source();
    }
    false
}
