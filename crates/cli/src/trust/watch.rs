//! `provost trust watch`: a file that is what a requirer is to have, for as long as this runs.
//!
//! ```text
//! ask ──► another bundle? ──► say so ──► owe the hook ──► write the file ──► run the hook ──► pay it ──► confirm, or say why not
//!  ▲           │ no: somebody edited the file? the same from the third step on                               │
//!  └───────────┴─────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! The server is told that the file is about to become another one before it does, so that whoever has the requirer go waits
//! until nothing is in the file: what it says, it has to be told in time, as nobody can tell one that is gone from one that
//! was to leave everything behind.
//!
//! A hook is owed before the file becomes another one, and paid when it has succeeded; that is on the disk (`kept_file`), so
//! that none is forgotten by whoever is killed in between. It may be run once more than is needed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Explain as _, Kind, report};
use clap::Args;
use client::Segment;
use client::v1::{self, trust};
use serde_json::json;
use tokio::time::Instant;
use wire::{TrustApplied, TrustBundle};

use super::bundle::{NEW, holding, pem};
use super::certificates::{self, FILE_BYTES_MAX};
use super::error::TrustCommandError;

use crate::hook;
use crate::kept_file::{KeptFile, Owed};
use crate::output;
use crate::session::Session;
use crate::table::one_line;

/// The pauses after something went wrong: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The longest reason that the server is told, in bytes.
const REASON_BYTES_MAX: usize = 500;

#[derive(Debug, Args)]
#[command(
    after_long_help = "FILE is replaced as a whole, with the mode and the owner that it has, or 0644 where there is none; whoever \
        reads it finds one set or the other. The hook is run when it became another one, and until it succeeds; when it did, \
        the server is told that this place has the set, and when it fails, or FILE cannot be written, that and why, which \
        `provost trust requirer places` shows. What somebody else \
        makes of FILE is mended. While no server answers, FILE stays what it is. A requirer that is removed goes once FILE, \
        and what all others keep who watched for it, is empty; this ends then. Beside it is .FILE.provost, by which \
        the next start knows whether the hook has yet to be run."
)]
pub(super) struct Watch {
    requirer: Segment,
    /// The file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace FILE although it is there already with something else in it than certificates: that is lost then
    #[arg(long)]
    adopt: bool,
    /// A command for `sh` that is run when the file is another one
    #[arg(long, value_name = "COMMAND")]
    hook: Option<String>,
    /// End a hook that takes longer than so many seconds: it has failed then
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=600))]
    hook_timeout: u32,
    /// What this place is called in the lists of the server [default: the names of this machine and of FILE, and a mark of where FILE is]
    #[arg(long, value_name = "NAME")]
    place: Option<String>,
    /// End as soon as the file is what it is to be
    #[arg(long)]
    once: bool,
    /// Look at the file at the latest after so many seconds, whether it is still what it is to be
    #[arg(long, value_name = "SECONDS", default_value_t = 45, value_parser = clap::value_parser!(u32).range(1..=60))]
    interval: u32,
}

/// A file and what it is to be.
struct Keeper<'w> {
    watch: &'w Watch,
    place: String,
    file: KeptFile,
    owed: Owed,
    /// The hash of the bundle which the server was told that this place is about to be given, or does not want to hear of.
    begun: Option<String>,
    /// The hash of the bundle which the server was told that this place has, or does not want to hear of.
    confirmed: Option<String>,
    /// The hash of the bundle which the server was told that this place could not be given, and why, since it was told
    /// anything else.
    failed: Option<(String, String)>,
    /// Whether it was said that something goes wrong, and for how long to wait then.
    trouble: Option<Duration>,
}

impl Watch {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), TrustCommandError> {
        let place = self.place.clone().unwrap_or_else(|| name_of_place(&name_of_machine(), &self.out));
        // What can never be is said at once, and not tried again and again.
        let (file, owed) = match self.file() {
            Ok(found) => found,
            Err(error) => {
                self.tell_unusable(session, &place, &error).await;
                return Err(error);
            }
        };
        let mut keeper = Keeper {
            watch: &self,
            place,
            file,
            owed,
            begun: None,
            confirmed: None,
            failed: None,
            trouble: None,
        };
        if self.once {
            return match keeper.ask(session, None).await? {
                Some(mut bundle) => keeper.keep(session, &mut bundle).await,
                // Nobody asked whether it is another one.
                None => Ok(()),
            };
        }
        keeper.live(session).await
    }

    /// The file, which nobody else keeps.
    fn file(&self) -> Result<(KeptFile, Owed), TrustCommandError> {
        let unusable = |source| TrustCommandError::File { path: self.out.clone(), source };
        let mut file = KeptFile::at(&self.out, NEW).map_err(unusable)?;
        if !self.adopt
            && let Some(there) = file.found_there(FILE_BYTES_MAX).map_err(unusable)?
            && !certificates::are_all(there.expose())
        {
            return Err(TrustCommandError::Foreign(self.out.clone()));
        }
        let Some(owed) = file.lock().map_err(unusable)? else {
            return Err(TrustCommandError::Kept(self.out.clone()));
        };
        file.is(b"").map_err(unusable)?;
        Ok((file, owed))
    }

    /// Tells the server that the file can never be what it is to be.
    async fn tell_unusable(&self, session: &mut Session, place: &str, error: &TrustCommandError) {
        let Some(reason) = why_it_fails(error) else { return };
        let told = async {
            let bundle: TrustBundle = v1::read(&session.ask(&trust::bundle(&self.requirer)).await?)?;
            let failed = TrustApplied {
                place: place.to_owned(),
                hash: bundle.hash,
                failing: Some(reason),
                begun: false,
                // Of what it has from before, if it has, the server knows.
                untouched: true,
            };
            session.ask(&trust::applied(&self.requirer, &failed)).await?;
            Ok::<_, TrustCommandError>(())
        };
        if let Err(error) = told.await {
            output::note(format_args!("note: the server was not told: {}", report(&error)));
        }
    }
}

impl Keeper<'_> {
    /// Keeps the file until this is dropped, or something is such that nobody but an operator can help.
    async fn live(&mut self, session: &mut Session) -> Result<(), TrustCommandError> {
        let mut known: Option<TrustBundle> = None;
        loop {
            let begun = Instant::now();
            let asked = self.ask(session, known.as_ref()).await;
            let mut result = match asked {
                Ok(another) => {
                    let is_another = another.is_some();
                    known = another.or(known);
                    Ok(is_another)
                }
                Err(error) => Err(error),
            };
            // Also while no server answers: what is to be there is known.
            if let Some(bundle) = &mut known
                && let Err(error) = self.keep(session, bundle).await
                && result.is_ok()
            {
                result = Err(error);
            }
            match result {
                Ok(is_another) => {
                    self.all_is_well();
                    // Whoever answers at once that nothing is new is not asked at once again.
                    if !is_another && begun.elapsed() < PAUSES.0 {
                        tokio::time::sleep(PAUSES.0).await;
                    }
                }
                Err(error) if known.is_some() && may_be_mended(&error) || error.may_pass() => {
                    tokio::time::sleep(self.tell_trouble(&error)).await;
                    session.renew_client().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The bundle, if it is another one than `known`.
    async fn ask(
        &self,
        session: &mut Session,
        known: Option<&TrustBundle>,
    ) -> Result<Option<TrustBundle>, TrustCommandError> {
        let request = match known {
            // Whoever is in trouble wants to see soon that it is over.
            Some(known) if self.trouble.is_none() => {
                let wait = Duration::from_secs(self.watch.interval.into());
                trust::another_bundle(&self.watch.requirer, &known.hash, wait)
            }
            _ => trust::bundle(&self.watch.requirer),
        };
        let answer = session.ask(&request).await?;
        if answer.status == 304 {
            return Ok(None);
        }
        let bundle: TrustBundle = v1::read(&answer)?;
        Ok(Some(bundle).filter(|bundle| known.is_none_or(|known| known.hash != bundle.hash)))
    }

    /// Makes the file `bundle`, or what the requirer is to have instead by now; runs the hook where it is owed, and tells the
    /// server when all is done, or why it is not.
    async fn keep(
        &mut self,
        session: &mut Session,
        bundle: &mut TrustBundle,
    ) -> Result<(), TrustCommandError> {
        while let Some(other) = self.begin(session, bundle).await? {
            *bundle = other;
        }
        if let Err(error) = self.put(session, bundle).await {
            self.tell_failing(session, bundle, &error).await;
            return Err(error);
        }
        if self.confirmed.as_ref() != Some(&bundle.hash) {
            self.confirm(session, bundle).await?;
        }
        Ok(())
    }

    /// Tells the server that this place is about to be given `bundle`, where that is something and it is not there yet; what it
    /// is to be given instead, if that is something else by now.
    async fn begin(
        &mut self,
        session: &mut Session,
        bundle: &TrustBundle,
    ) -> Result<Option<TrustBundle>, TrustCommandError> {
        let is_known =
            [&self.begun, &self.confirmed].into_iter().any(|hash| hash.as_ref() == Some(&bundle.hash));
        if is_known || bundle.certificates.is_empty() || self.is_done(bundle)? {
            return Ok(None);
        }
        let begun = TrustApplied {
            place: self.place.clone(),
            hash: bundle.hash.clone(),
            failing: None,
            begun: true,
            untouched: false,
        };
        match session.ask(&trust::applied(&self.watch.requirer, &begun)).await {
            Ok(_) => {}
            Err(error) if error.kind() == Kind::Conflict => {
                let now: TrustBundle = v1::read(&session.ask(&trust::bundle(&self.watch.requirer)).await?)?;
                if now.hash != bundle.hash {
                    return Ok(Some(now));
                }
                // It has no list of such places.
            }
            // That it does not write it down is said when it is told that all is done.
            Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Full) => {}
            Err(error) => return Err(error.into()),
        }
        self.begun = Some(bundle.hash.clone());
        Ok(None)
    }

    /// Whether the file is `bundle`, and no hook is owed.
    fn is_done(&self, bundle: &TrustBundle) -> Result<bool, TrustCommandError> {
        let unreadable = |source| TrustCommandError::File { path: self.watch.out.clone(), source };
        let is_owed = self.watch.hook.is_some() && self.owed.is_owed().map_err(unreadable)?;
        Ok(!is_owed && self.file.is(pem(bundle).as_bytes()).map_err(unreadable)?)
    }

    /// Makes the file `bundle`, and runs the hook where it is owed.
    async fn put(&mut self, session: &mut Session, bundle: &TrustBundle) -> Result<(), TrustCommandError> {
        let pem = pem(bundle);
        let path = &self.watch.out;
        let unwritable = |source| TrustCommandError::File { path: path.clone(), source };
        let is_new = !self.file.is(pem.as_bytes()).map_err(unwritable)?;
        if is_new {
            if self.watch.hook.is_some() {
                self.owed.owe().map_err(unwritable)?;
            }
            self.file.make(pem.as_bytes()).map_err(unwritable)?;
            self.tell_change(session, bundle)?;
        }
        if let Some(command) = &self.watch.hook
            && self.owed.is_owed().map_err(unwritable)?
        {
            let within = Duration::from_secs(self.watch.hook_timeout.into());
            hook::run(command, within).await.map_err(TrustCommandError::Hook)?;
            self.owed.pay().map_err(unwritable)?;
        }
        Ok(())
    }

    /// Tells the server that this place could not be given `bundle`: once for each, and each reason.
    async fn tell_failing(&mut self, session: &mut Session, bundle: &TrustBundle, error: &TrustCommandError) {
        let Some(reason) = why_it_fails(error) else { return };
        let failed = (bundle.hash.clone(), reason.clone());
        if self.failed.as_ref() == Some(&failed) {
            return;
        }
        let told = TrustApplied {
            place: self.place.clone(),
            hash: bundle.hash.clone(),
            failing: Some(reason),
            begun: false,
            untouched: false,
        };
        match session.ask(&trust::applied(&self.watch.requirer, &told)).await {
            // When it is there at last, the server is to hear that, whatever it heard before.
            Ok(_) => (self.failed, self.confirmed) = (Some(failed), None),
            // With the next attempt it is told again.
            Err(error) => {
                if self.trouble.is_none() {
                    output::note(format_args!("note: the server was not told: {}", report(&error)));
                }
            }
        }
    }

    async fn confirm(
        &mut self,
        session: &mut Session,
        bundle: &TrustBundle,
    ) -> Result<(), TrustCommandError> {
        let applied = TrustApplied {
            place: self.place.clone(),
            hash: bundle.hash.clone(),
            failing: None,
            begun: false,
            untouched: false,
        };
        match session.ask(&trust::applied(&self.watch.requirer, &applied)).await {
            Ok(_) => {}
            // That it is another one by now is heard of with the next question.
            Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Invalid | Kind::Full) => {
                output::note(format_args!("note: the server does not write it down: {}", report(&error)));
            }
            Err(error) => return Err(error.into()),
        }
        (self.confirmed, self.failed) = (Some(bundle.hash.clone()), None);
        Ok(())
    }

    fn tell_change(&self, session: &Session, bundle: &TrustBundle) -> Result<(), TrustCommandError> {
        let file = self.watch.out.display();
        if session.wants_json() {
            let said =
                json!({"file": file.to_string(), "hash": bundle.hash, "count": bundle.certificates.len()});
            return Ok(session.print(&format!("{said}\n"))?);
        }
        output::note(format_args!("{file} {} now", holding(bundle)));
        Ok(())
    }

    /// Says that something goes wrong, once, and gives the time to wait.
    fn tell_trouble(&mut self, error: &TrustCommandError) -> Duration {
        let pause = match self.trouble {
            Some(before) => (before * 2).min(PAUSES.1),
            None => {
                let why = match error {
                    // It is run again before that.
                    TrustCommandError::Hook(_) => String::new(),
                    error => error.help().map(|why| format!(" ({why})")).unwrap_or_default(),
                };
                output::note(format_args!("note: {}{why}; trying again", report(error)));
                PAUSES.0
            }
        };
        self.trouble = Some(pause);
        pause
    }

    fn all_is_well(&mut self) {
        if self.trouble.take().is_some() {
            output::note("note: all is well again");
        }
    }
}

/// What the server is told of an error in one line, if it is one of this place.
fn why_it_fails(error: &TrustCommandError) -> Option<String> {
    let why = match error {
        TrustCommandError::File { .. } | TrustCommandError::Foreign(_) | TrustCommandError::Hook(_) => {
            one_line(&report(error))
        }
        TrustCommandError::Asked(_)
        | TrustCommandError::Certificates(_)
        | TrustCommandError::Usage(_)
        | TrustCommandError::Several { .. }
        | TrustCommandError::Kept(_) => return None,
    };
    Some(why[..why.floor_char_boundary(REASON_BYTES_MAX)].to_owned())
}

/// Whether somebody may mend it who does not start this again: a hook, or a certificate that is over and is renewed.
fn may_be_mended(error: &TrustCommandError) -> bool {
    let is_refused = || matches!(error.kind(), Kind::Unauthenticated | Kind::Forbidden);
    matches!(error, TrustCommandError::Hook(_)) || is_refused()
}

/// What the file at `path` is called in the lists of the server: no two of one machine are called alike, and there are only
/// letters, digits, `-`, `_`, `.` and `:` in it.
fn name_of_place(machine: &str, path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mark = base::hex::encode(&base::sha256(whole.as_os_str().as_encoded_bytes()));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => character,
        _ => '_',
    };
    let short = |text: &str, most: usize| text.chars().map(plain).take(most).collect::<String>();
    format!("{}:{}:{}", short(machine, 64), short(&name, 128), &mark[..8])
}

fn name_of_machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_one_machine_are_two_places() {
        let names =
            ["/a/b.pem", "/c/b.pem", "b.pem", "/a/b c.pem"].map(|path| name_of_place("vm", Path::new(path)));
        assert!(names[0].starts_with("vm:b.pem:") && names[3].starts_with("vm:b_c.pem:"), "{names:?}");
        assert_eq!(std::collections::BTreeSet::from(names).len(), 4);
        let long = name_of_place(&"m".repeat(300), Path::new(&"é".repeat(200)));
        assert!(
            long.len() <= 253
                && long.chars().all(|character| character.is_ascii_graphic() && character != '/'),
            "{long}"
        );
    }
}
