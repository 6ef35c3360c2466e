//! `provost ca watch`: certificates that stay valid, for as long as this runs.
//!
//! ```text
//! config    the file: which ones, and how        when     what is due next: pure
//! keeper    what one of them needs, done         metrics  what is known of each, for Prometheus
//! ```
//! One loop has all of them in a heap, by when they are due; it sleeps until the first one is, in pieces, so that a machine that
//! was suspended or a clock that was set is noticed. Nothing ticks for a certificate that is not due.

mod config;
mod keeper;
mod metrics;
mod when;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Explain as _, Timestamp};
use clap::{Arg, Args, value_parser};
use client::Nearby;
use client::compat::caucase::{Server, ServerUrl};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use self::config::Config;
pub(super) use self::config::Problem;
use self::keeper::Keeper;
use self::metrics::Boards;
use super::Surroundings;
use super::error::CaCommandError;
use super::session::{Defaults, Session};
use crate::holder::KeyMaker;
use crate::output;
use crate::signals::Signals;

/// What the file may have in it.
const HELP: &str = r#"The file is TOML, and nobody but its user and root may write it. Relative paths start from its folder; a duration is "90s", "12h" or "7d". What is said with --server, --ca, --mode, --users and --fingerprint holds where the file says nothing.

  metrics = "127.0.0.1:9109"    # for Prometheus: GET /metrics [nowhere]
  metrics_file = "ca.prom"      # the same, for its textfile collector [none]
  at_once = 8                   # so many are looked after at the same time
  timeout = "30s"               # a server may be silent for so long

  [defaults]                    # what is said of all, but for what is "own"

  [[certificate]]               # as often as there are certificates
  name = "web"                  # what it is called here (own)
  server = "http://ca.example:8000"
  mode = "service"              # or "user"
  ca = "cas.crt.pem"            # CA certificates that are trusted: a file or
                                # a folder; may be shared
  # fingerprint = "SHA-256"     # whom to trust at first [whoever answers,
                                # which is said]
  crl = "cas.crl.pem"           # what was revoked [not kept]
  certificate = "web.crt.pem"   # [none: only `ca` and `crl` are kept] (own)
  key = "web.key.pem"           # [in the same file] (own)
  # What to ask for where there is no certificate, or it is over (own):
  request = { name = "web", dns = ["web.example"], ip = [], email = [] }
  # csr = "web.csr.pem"         # or a signing request for the key that is
                                # there, for the first certificate (own)
  key_type = "rsa-2048"         # of the first key: rsa-3072, rsa-4096, p256,
                                # p384, ed25519
  key_format = "pkcs1"          # or "pkcs8" [as the one before]
  on_renew = "systemctl reload nginx"
                                # a command for `sh`, run when any of the
                                # files is another one, until it succeeds
  hook_timeout = "60s"          # it is ended after so long
  threshold = "31d"             # renewed when so much is left; a third of a
                                # life that is not so long
  crl_threshold = "7d"          # fetched when so much is left; half of a life
                                # that is not so long
  jitter = "1d"                 # put off by up to so much, so that not
                                # everybody comes at once
  look_every = "1d"             # looked for CA certificates and revocations

A hook finds PROVOST_NAME, PROVOST_CERTIFICATE, PROVOST_KEY, PROVOST_CA and PROVOST_CRL in its environment; what it writes is shown behind the name, but for the middle of what is longer than 64 KiB. What it leaves running has to write elsewhere.

Keys are made where they are missing (mode 0600), and never leave this machine. A certificate is replaced together with its key; until both are on the disk, the old pair is there. One that is over cannot be renewed: `request` is asked for anew then, with a new key. One that was revoked is left alone, and it is said what to do. Beside it, .NAME.provost says whether the hook has yet to be run, .KEY.provost-request which request waits, and .KEY.provost-key is the new key where one waits for its certificate. Where something goes wrong it is tried again, ever later: up to an hour, or what the server asks for; sooner where a certificate runs out.

SIGHUP reads the file again; if anything in it is wrong, what was there before goes on. SIGTERM and SIGINT end it, with exit code 0. With --once the exit code is that of the first one that is not as it is to be: 75 where a request waits for approval."#;

/// The longest sleep in one piece.
const PIECE: Duration = Duration::from_secs(60);
/// So many ask for metrics at the same time; others wait until they are over.
const ASKING_MAX: usize = 16;

#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct Watch {
    /// The file that says which certificates are kept
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Look after each once, and end
    #[arg(long)]
    once: bool,
    /// Check the file, and do nothing
    #[arg(long, conflicts_with = "once")]
    check: bool,
}

impl Watch {
    pub(super) async fn run(
        self,
        session: &mut Session,
        surroundings: &Surroundings,
    ) -> Result<ExitCode, CaCommandError> {
        let usage = |what: &str| Err(CaCommandError::Usage(what.to_owned()));
        if session.names_user() {
            return usage(
                "`watch` asks as nobody in particular: --user-key and --server-ca say nothing to it",
            );
        }
        if session.wants_json() && !self.once && !self.check {
            return usage("--json goes with --once or --check: what goes on for ever is told line by line");
        }
        let defaults = session.defaults()?;
        let config = match config::read(&self.config, &defaults) {
            Ok(config) => config,
            Err(problems) => {
                if self.check && session.wants_json() {
                    let all: Vec<Value> = problems.iter().map(Problem::as_json).collect();
                    session.print(&(crate::view::json(&json!({"ok": false, "problems": all})) + "\n"))?;
                }
                return Err(CaCommandError::Settings(problems));
            }
        };
        if self.check {
            let names: Vec<&str> = config.certificates.iter().map(|kept| kept.name.as_str()).collect();
            let line = format!("{} is right: {}", self.config.display(), counted(names.len()));
            return session
                .tell(&json!({"ok": true, "certificates": names}), line)
                .map(|()| ExitCode::SUCCESS);
        }
        let signals = Signals::catch_but(Some(Signal::HUP).filter(|_| !self.once));
        let mut signals = signals.map_err(CaCommandError::Runtime)?;
        let mut keeping = Keeping::new(config, nearby(session), surroundings)?;
        if self.once {
            let (ended, all) = tokio::select! {
                ended = keeping.once() => ended,
                signal = signals.next() => {
                    return Ok(ExitCode::from(crate::signals::exit_code(signal.as_raw_value())));
                }
            };
            if session.wants_json() {
                let document = json!({"ok": ended.is_ok(), "certificates": all});
                session.print(&(crate::view::json(&document) + "\n"))?;
            }
            return ended.map(|()| ExitCode::SUCCESS);
        }
        let mut again = signal(SignalKind::hangup()).map_err(CaCommandError::Runtime)?;
        keeping.listen().await?;
        (surroundings.tell)("READY=1");
        tokio::select! {
            never = keeping.live((&self.config, &defaults, session), surroundings, &mut again) => match never {},
            _ = signals.next() => {}
        }
        (surroundings.tell)("STOPPING=1");
        Ok(ExitCode::SUCCESS)
    }
}

/// `command`, which is `watch`, without what only users may do: it asks as nobody in particular.
pub(super) fn without_users(mut command: clap::Command) -> clap::Command {
    for (id, long) in [("user_key", "user-key"), ("server_ca", "server-ca")] {
        // One of the same name that all commands have is not offered beside it.
        let hidden = Arg::new(id).long(long).hide(true).value_parser(value_parser!(PathBuf));
        command = command.arg(hidden);
    }
    command
}

/// Which servers are on this machine, if anybody says so. Whoever keeps certificates needs no client file, and does what they can
/// without one that is broken.
fn nearby(session: &Session) -> Option<Nearby> {
    session.nearby().unwrap_or_else(|error| {
        let hint = error.help().map(|hint| format!(" ({hint})")).unwrap_or_default();
        output::note(format_args!("warning: {}{hint}; nothing of it is used", base::report(&error)));
        None
    })
}

/// How it is with a certificate after somebody looked after it, for scripts.
fn looked(keeper: &Keeper, outcome: &Result<(), CaCommandError>) -> Value {
    let board = &keeper.board;
    let waits_for = match outcome {
        Err(CaCommandError::Pending { id } | CaCommandError::PendingAmid { id, .. }) => Some(id),
        _ => None,
    };
    json!({
        "name": keeper.kept.name,
        "ok": outcome.is_ok(),
        "what": keeper.trouble(),
        "waits_for": waits_for,
        "serial": board.serial,
        "not_after": board.not_after.map(|until| until.to_string()),
        "renewed": board.renewals > 0,
        "next": board.next.map(|next| next.to_string()),
    })
}

fn counted(count: usize) -> String {
    crate::table::counted(count as u64, "certificate")
}

/// A certificate among those that are kept.
enum Slot {
    /// Nobody is looking after it now.
    Idle(Box<Keeper>),
    /// Somebody is, and brings it back.
    Busy,
}

/// What is going on, which brings the keeper back to the place that it came from.
type Looking = LocalBoxFuture<'static, (usize, Box<Keeper>, Result<(), CaCommandError>)>;

struct Keeping {
    config: Config,
    /// Which servers are on this machine.
    nearby: Option<Nearby>,
    /// Whose connections all share.
    server: Server,
    clock: Clock,
    keys: KeyMaker,
    slots: Vec<Slot>,
    /// When each that is idle is due.
    due: BinaryHeap<Reverse<(Timestamp, usize)>>,
    looking: FuturesUnordered<Looking>,
    /// Where nobody was trusted when somebody began to look after it: one alone decides who is the first.
    firsts: BTreeSet<PathBuf>,
    /// Those that are due, and wait until that is decided.
    behind: Vec<Reverse<(Timestamp, usize)>>,
    boards: Boards,
    listener: Option<TcpListener>,
    asking: FuturesUnordered<LocalBoxFuture<'static, ()>>,
    /// Whether the file of metrics could not be written, which is said once.
    is_file_failing: bool,
}

impl Keeping {
    fn new(
        config: Config,
        nearby: Option<Nearby>,
        surroundings: &Surroundings,
    ) -> Result<Self, CaCommandError> {
        let mut keeping = Self {
            server: server_of(&config, nearby.clone())?,
            config,
            nearby,
            clock: surroundings.clock.clone(),
            keys: surroundings.keys,
            slots: Vec::new(),
            due: BinaryHeap::new(),
            looking: FuturesUnordered::new(),
            firsts: BTreeSet::new(),
            behind: Vec::new(),
            boards: Rc::new(RefCell::new(Vec::new())),
            listener: None,
            asking: FuturesUnordered::new(),
            is_file_failing: false,
        };
        keeping.fill(BTreeMap::new());
        Ok(keeping)
    }

    /// Has a slot for each that is kept: the keeper that there was before, if it keeps the same.
    fn fill(&mut self, mut before: BTreeMap<String, Box<Keeper>>) {
        let now = self.clock.now();
        self.due.clear();
        self.behind.clear();
        self.slots.clear();
        for (index, kept) in self.config.certificates.iter().enumerate() {
            let same = before.remove(&kept.name).filter(|keeper| keeper.kept == *kept);
            let keeper = same.unwrap_or_else(|| Box::new(Keeper::new(Arc::clone(kept), self.keys)));
            self.due.push(Reverse((keeper.board.next.unwrap_or(now), index)));
            self.slots.push(Slot::Idle(keeper));
        }
        let mut boards = self.boards.borrow_mut();
        boards.clear();
        for slot in &self.slots {
            if let Slot::Idle(keeper) = slot {
                boards.push((keeper.kept.name.clone(), keeper.board.clone()));
            }
        }
    }

    async fn listen(&mut self) -> Result<(), CaCommandError> {
        let Some(address) = self.config.metrics else {
            self.listener = None;
            return Ok(());
        };
        let listener = TcpListener::bind(address).await;
        self.listener = Some(listener.map_err(|source| CaCommandError::Metrics { address, source })?);
        Ok(())
    }

    /// Begins to look after whatever is due, as many as may be at once.
    fn begin(&mut self) {
        let now = self.clock.now();
        while self.looking.len() < self.config.at_once
            && let Some(Reverse((due, index))) = self.due.peek().copied()
            && due <= now
        {
            self.due.pop();
            let Some(slot) = self.slots.get_mut(index) else { continue };
            let Slot::Idle(mut keeper) = std::mem::replace(slot, Slot::Busy) else { continue };
            if !keeper.kept.ca.exists() && !self.firsts.insert(keeper.kept.ca.clone()) {
                *slot = Slot::Idle(keeper);
                self.behind.push(Reverse((due, index)));
                continue;
            }
            let (server, clock) = (self.server.clone(), self.clock.clone());
            self.looking.push(Box::pin(async move {
                let outcome = keeper.look(&server, &clock).await;
                (index, keeper, outcome)
            }));
        }
    }

    /// Whoever waited for what `keeper` did with those that are trusted waits no longer.
    fn decided(&mut self, keeper: &Keeper) {
        self.firsts.remove(&keeper.kept.ca);
        self.due.extend(self.behind.drain(..));
    }

    /// Somebody comes back.
    fn end(&mut self, index: usize, keeper: Box<Keeper>) {
        self.decided(&keeper);
        self.due.push(Reverse((keeper.board.next.unwrap_or(self.clock.now()), index)));
        if let Some((_, board)) = self.boards.borrow_mut().get_mut(index) {
            board.clone_from(&keeper.board);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot::Idle(keeper);
        }
    }

    /// Looks after each once, and says how it is with each, in their order.
    async fn once(&mut self) -> (Result<(), CaCommandError>, Vec<Value>) {
        let mut first = None;
        let mut left = self.slots.len();
        let mut all = vec![Value::Null; left];
        while left > 0 {
            self.begin();
            let Some((index, keeper, outcome)) = self.looking.next().await else { break };
            left -= 1;
            self.decided(&keeper);
            if let Some(one) = all.get_mut(index) {
                *one = looked(&keeper, &outcome);
            }
            if let Err(error) = outcome
                && first.as_ref().is_none_or(|(_, before)| index < *before)
            {
                first = Some((error.kind(), index));
            }
            // It is not due again in this run.
            if let Some((_, board)) = self.boards.borrow_mut().get_mut(index) {
                board.clone_from(&keeper.board);
            }
        }
        self.write_metrics();
        let failed = self.failed();
        let ended = match first {
            None => Ok(()),
            Some((kind, _)) => Err(CaCommandError::Several { failed, all: self.slots.len(), kind }),
        };
        (ended, all)
    }

    /// How many are not as they are to be.
    fn failed(&self) -> usize {
        let boards = self.boards.borrow();
        let is_well = |board: &keeper::Board| !board.is_failing && board.not_after.is_some();
        let kept = self.config.certificates.iter().zip(boards.iter());
        kept.filter(|(kept, (_, board))| board.is_failing || kept.files.is_some() && !is_well(board)).count()
    }

    /// Looks after all of them until this is dropped.
    async fn live(
        &mut self,
        said: (&Path, &Defaults, &Session),
        surroundings: &Surroundings,
        again: &mut tokio::signal::unix::Signal,
    ) -> std::convert::Infallible {
        let mut alive = surroundings.watchdog.map(interval);
        if let Some(alive) = &mut alive {
            alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut is_changing = false;
        let mut has_news = true;
        let mut status = String::new();
        loop {
            if is_changing && self.looking.is_empty() {
                is_changing = false;
                self.reload(said).await;
                (surroundings.tell)("READY=1");
                has_news = true;
            }
            if !is_changing {
                self.begin();
            }
            if std::mem::take(&mut has_news) {
                self.write_metrics();
                let new = self.status();
                if new != status {
                    (surroundings.tell)(&format!("STATUS={new}"));
                    status = new;
                }
            }
            let piece = Instant::now() + self.piece(is_changing);
            tokio::select! {
                Some((index, keeper, _)) = self.looking.next(), if !self.looking.is_empty() => {
                    self.end(index, keeper);
                    has_news = true;
                }
                () = tokio::time::sleep_until(piece) => has_news = self.config.metrics_file.is_some(),
                () = tick(&mut alive) => (surroundings.tell)("WATCHDOG=1"),
                accepted = accept(self.listener.as_ref()), if self.asking.len() < ASKING_MAX => match accepted {
                    Ok((stream, _)) => {
                        let (boards, clock) = (Rc::clone(&self.boards), self.clock.clone());
                        self.asking.push(Box::pin(metrics::serve(stream, boards, clock)));
                    }
                    // Out of descriptors, say: not at once again.
                    Err(_) => sleep(Duration::from_millis(100)).await,
                },
                Some(()) = self.asking.next(), if !self.asking.is_empty() => {}
                Some(()) = again.recv() => {
                    (surroundings.tell)("RELOADING=1");
                    is_changing = true;
                }
            }
        }
    }

    /// How long to sleep at most: until the first is due, if anybody may be begun with.
    fn piece(&self, is_changing: bool) -> Duration {
        if is_changing || self.looking.len() >= self.config.at_once {
            return PIECE;
        }
        let Some(Reverse((due, _))) = self.due.peek() else { return PIECE };
        // To the millisecond, as the clock's seconds begin in between ours.
        let left = due.as_unix().saturating_mul(1_000).saturating_sub(self.clock.now_milliseconds());
        Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(PIECE)
    }

    fn status(&self) -> String {
        let boards = self.boards.borrow();
        let failing = boards.iter().filter(|(_, board)| board.is_failing).count();
        let next = boards.iter().filter_map(|(_, board)| board.next).min();
        let next = next.map(|next| format!("; next look at {next}")).unwrap_or_default();
        let trouble = if failing > 0 { format!(", {failing} in trouble") } else { String::new() };
        format!("keeps {}{trouble}{next}", counted(boards.len()))
    }

    fn write_metrics(&mut self) {
        let Some(path) = &self.config.metrics_file else { return };
        match metrics::write(path, &self.boards, self.clock.now()) {
            Ok(()) => self.is_file_failing = false,
            Err(error) if !self.is_file_failing => {
                self.is_file_failing = true;
                output::note(format_args!("could not write {}: {error}", path.display()));
            }
            Err(_) => {}
        }
    }

    /// Goes on as the file says now; as before, where that is wrong. Nobody is looking after anything meanwhile.
    async fn reload(&mut self, (path, defaults, session): (&Path, &Defaults, &Session)) {
        let config = match config::read(path, defaults) {
            Ok(config) => config,
            Err(problems) => {
                for problem in &problems {
                    output::error(problem, problem.hint());
                }
                output::note("the configuration is as it was before");
                return;
            }
        };
        self.nearby = nearby(session);
        let server = match server_of(&config, self.nearby.clone()) {
            Ok(server) => server,
            Err(error) => return output::error(base::report(&error), error.help()),
        };
        let is_elsewhere = config.metrics != self.config.metrics;
        let before = std::mem::replace(&mut self.config, config);
        if is_elsewhere && let Err(error) = self.listen().await {
            output::error(base::report(&error), error.help());
            self.config.metrics = before.metrics;
        }
        self.server = server;
        let slots = std::mem::take(&mut self.slots);
        let keepers = slots.into_iter().filter_map(|slot| match slot {
            Slot::Idle(keeper) => Some((keeper.kept.name.clone(), keeper)),
            Slot::Busy => None,
        });
        let keepers = keepers.collect();
        self.fill(keepers);
        output::note(format_args!("the configuration was read again: {}", counted(self.slots.len())));
    }
}

/// The one whose connections all others share.
fn server_of(config: &Config, nearby: Option<Nearby>) -> Result<Server, CaCommandError> {
    let any: ServerUrl = match config.certificates.first() {
        Some(kept) => kept.server.clone(),
        None => "http://localhost".parse()?,
    };
    Ok(Server::patient(any, nearby, config.timeout)?)
}

async fn tick(alive: &mut Option<tokio::time::Interval>) {
    match alive {
        Some(alive) => drop(alive.tick().await),
        None => std::future::pending().await,
    }
}

async fn accept(
    listener: Option<&TcpListener>,
) -> std::io::Result<(tokio::net::TcpStream, std::net::SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use base::{Clock, Timestamp};

    use super::*;
    use crate::ca::session::Options;

    /// What is copied from the help into a file is right, also from a terminal of 80 columns.
    #[test]
    fn the_example_of_the_help_can_be_copied() {
        let mut command = crate::ca::with_noun(clap::Command::new("provost").term_width(80));
        command.build();
        let ca = command.find_subcommand_mut("ca").unwrap();
        let help = ca.find_subcommand_mut("watch").unwrap().render_long_help().to_string();
        let begin = help.find("  metrics = ").unwrap();
        let end = help.find("\nA hook finds").unwrap();
        let example = &help[begin..end];
        assert!(example.lines().all(|line| line.chars().count() < 80), "{example}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        let of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let session = Session::new(Options::default(), None, Clock::manual(Timestamp::from_unix(0)));
            config::read(&path, &session.defaults().unwrap())
        };
        let config = of(example).unwrap();
        assert_eq!((config.certificates.len(), config.at_once), (1, 8));
        assert!(config.certificates[0].first.is_some() && config.certificates[0].crl.is_some());
        of(&example.replace("  request", "  # request").replace("# csr", "csr")).unwrap();
        assert!(
            help.contains("--server <URL>") && !help.contains("--user-key") && !help.contains("--server-ca"),
            "{help}"
        );
    }
}
