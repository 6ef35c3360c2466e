//! The life of the process: prepare, build the house, serve until told to stop, take it down.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use base::{Explain, Kind, report};
use ca::IssueError;
use engine::Stop;
use rustix::fs::Mode;
use rustix::process::umask;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use crate::cli::WRONG_SETTINGS;
use crate::data_dir::DataDirError;
use crate::face::Face;
use crate::house::{self, Running};
use crate::lock::{Lock, LockError};
use crate::settings::{LogFormat, Settings, StoreEngine};
use crate::start_error::StartError;
use crate::{data_dir, greeting, logging, output, service_manager};

/// How long what computes or writes beside the house may go on after its end.
pub const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(1);

/// Why the program could not serve.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
}

impl Explain for RunError {
    fn kind(&self) -> Kind {
        match self {
            Self::DataDir(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Start(error) => error.kind(),
            Self::Runtime(_) => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::DataDir(error) => error.help(),
            Self::Lock(error) => error.help(),
            Self::Start(error) => error.help(),
            Self::Runtime(_) => None,
        }
    }
}

/// Tells the operator something that is no log line; where they asked for JSON it is one, so that everything is.
pub fn narrate(settings: &Settings, text: impl Display) {
    match settings.log.format {
        LogFormat::Text => output::note(text),
        LogFormat::Json => tracing::info!("{text}"),
    }
}

/// Serves until a signal says to stop; the exit code is 0 then.
pub fn run(settings: Settings, face: Face) -> ExitCode {
    logging::install(&settings.log);
    for note in &settings.notes {
        warn!("{}", face.problem(note));
    }
    let Err(error) = live(&settings, face) else { return ExitCode::SUCCESS };
    let what = face.words(&report(&error));
    service_manager::tell(&[NotifyState::Status(&format!("could not start: {what}"))]);
    match (settings.log.format, error.help().map(|help| face.words(&help))) {
        (LogFormat::Text, help) => output::error(what, help),
        (LogFormat::Json, help) => tracing::error!(hint = help, "{what}"),
    }
    match face {
        Face::Provost if is_for_people(&error) => ExitCode::from(WRONG_SETTINGS),
        Face::Provost => ExitCode::from(error.kind().exit_code()),
        Face::Caucased | Face::Commissaire => ExitCode::FAILURE,
    }
}

/// Whether a token with CA keys did not let us in, of which each new start could take one of the tries that are left.
fn is_for_people(error: &RunError) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref())
        .any(|cause| matches!(cause, IssueError::Token(error) if error.is_for_people))
}

fn live(settings: &Settings, face: Face) -> Result<(), RunError> {
    let Some(data) = &settings.data else { return work(settings, face) };
    let is_made = data_dir::prepare(data)?;
    let lock = Lock::take(data)?;
    let worked = work(settings, face);
    if is_made && worked.is_err() {
        // A start that failed before it kept anything leaves nothing. If it kept something, this does nothing.
        let _ = std::fs::remove_dir(data);
    }
    drop(lock);
    worked
}

/// What is between the taking of the data directory, where there is one, and its giving back. Without one the store
/// alone is locked.
fn work(settings: &Settings, face: Face) -> Result<(), RunError> {
    // Whatever is made from here on is for this user alone.
    umask(Mode::RWXG | Mode::RWXO);
    // What the store's thread has answered goes on before the next signature is made, instead of behind all those
    // that a worker has already: everybody else who wants to commit waits for it.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().global_queue_interval(1).build().map_err(RunError::Runtime)?;
    let served = runtime.block_on(serve(settings, face));
    // Not for ever: somebody may have stopped reading our standard output.
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    served
}

async fn serve(settings: &Settings, face: Face) -> Result<(), RunError> {
    let mut signals = Signals::catch().map_err(RunError::Runtime)?;
    let Some(house) = start(settings, &mut signals).await? else { return Ok(()) };
    announce(&house, settings, face);
    let alive = || service_manager::tell(&[NotifyState::Watchdog]);
    tokio::select! {
        _ = signals.next() => {}
        never = service_manager::keep_alive(service_manager::watchdog_period(), async || house.healthy().await, alive) => {
            match never {}
        }
    }
    stop(house, settings, face, &mut signals).await;
    Ok(())
}

/// Builds the house. A signal meanwhile is not lost: the house is taken down as soon as it stands, and not even begun
/// with while it waits for its store.
async fn start(settings: &Settings, signals: &mut Signals) -> Result<Option<Running>, StartError> {
    let has_begun = Stop::new();
    let mut build = pin!(house::build(settings, &has_begun));
    let stopped_by = tokio::select! {
        house = &mut build => return house.map(Some),
        number = signals.next() => number,
    };
    if !has_begun.is_asked() {
        tracing::info!(signal = stopped_by, "stopped before the start");
        return Ok(None);
    }
    narrate(settings, "stopping as soon as the start is done; another signal ends it at once");
    tokio::select! {
        house = build => house?.stop().await,
        number = signals.next() => exit_at_once(number),
    }
    tracing::info!(signal = stopped_by, "stopped before serving");
    Ok(None)
}

/// Tells people and the service manager that the doors are open.
fn announce(house: &Running, settings: &Settings, face: Face) {
    match face {
        Face::Caucased => {
            house.bindings.iter().for_each(|binding| output::note(format_args!("Listening on {binding}")))
        }
        Face::Commissaire => {
            for binding in &house.bindings {
                let addresses = greeting::addresses(binding, settings.doors.which);
                narrate(settings, format_args!("listening on {addresses}"));
            }
            if let Some(data) = &settings.data {
                let what = match settings.store.engine {
                    StoreEngine::Embedded => "everything",
                    StoreEngine::Etcd => "what is not in etcd",
                };
                narrate(settings, format_args!("{what} is kept in {}", data.display()));
            }
        }
        Face::Provost => {
            if let Some(facts) = &house.greeting {
                narrate(settings, greeting::greeting(facts).trim_end());
            }
        }
    }
    let status = format!("serving {} on {} address(es)", settings.netloc, house.bindings.len());
    service_manager::tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

async fn stop(house: Running, settings: &Settings, face: Face, signals: &mut Signals) {
    service_manager::tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    match face {
        Face::Caucased => output::note("Exiting"),
        Face::Commissaire | Face::Provost => {
            let seconds = settings.limits.drain.as_secs_f64();
            narrate(
                settings,
                format_args!(
                    "stopping: open requests have up to {seconds} s to end; another signal ends them at once"
                ),
            );
        }
    }
    tokio::select! {
        () = house.stop() => {}
        number = signals.next() => exit_at_once(number),
    }
}

/// What the operator insists on. Nothing that was acknowledged is lost by it: the store has it on disk.
fn exit_at_once(signal: i32) -> ! {
    std::process::exit(128 + signal)
}

/// The signals that ask for the end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// A terminal that goes away is the end. Without one a hangup means "begin a new log file", which happens
    /// by itself.
    has_terminal: bool,
    /// Caught so that a limit on the size of files (`ulimit -f`) is an error of the one who writes, and not
    /// the end of the program.
    _file_too_large: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            has_terminal: io::stderr().is_terminal() || io::stdin().is_terminal(),
            _file_too_large: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Waits for the next one; its number.
    async fn next(&mut self) -> i32 {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return SignalKind::interrupt().as_raw_value(),
                _ = self.terminate.recv() => return SignalKind::terminate().as_raw_value(),
                _ = self.hangup.recv() => if self.has_terminal { return SignalKind::hangup().as_raw_value() },
            }
        }
    }
}
