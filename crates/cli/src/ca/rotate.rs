//! `provost ca rotate`: a rollover that begins early.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use client::Segment;
use client::compat::caucase::Authority;
use client::v1::{self, audit};
use wire::{NewRotation, Rotation};

use super::error::CaCommandError;
use super::session::Session;
use crate::error::CommandError;
use crate::input::InputError;
use crate::output;
use crate::table::one_line;
use crate::view;

#[derive(Debug, Args)]
#[command(
    after_long_help = "A CA certificate hands over to the next one by itself. This makes the next one now, for a key that is to go \
        sooner. Until it was handed out for as long as a certificate lives it signs nothing, so that everybody who renews on time \
        has heard of it: nobody has to do anything, and certificates stay good. Where a key is known to have been stolen, this is \
        not enough: it goes on signing until then.\n\n\
        The server is asked over HTTPS, and has to be ours."
)]
pub(super) struct Rotate {
    /// Which authority [default: the one that --mode says]
    #[arg(value_enum)]
    authority: Option<Which>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Only tell what would be
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// An authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// That of services
    Services,
    /// That of users
    Users,
    /// The one that certifies the server itself
    Server,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Users => "users",
            Self::Server => "server",
        }
    }
}

impl Rotate {
    /// Which one is meant, where the options before it mean `said`.
    fn which(&self, said: Authority) -> Result<Which, CaCommandError> {
        match (self.authority, said) {
            (None, Authority::Services) => Ok(Which::Services),
            (None, Authority::Users) => Ok(Which::Users),
            (Some(Which::Services), Authority::Users) => {
                Err(CaCommandError::Usage("services and users are two authorities: name one of them".into()))
            }
            (Some(which), _) => Ok(which),
        }
    }

    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let which = self.which(session.authority())?;
        if which == Which::Users {
            // Who is pinned is one of theirs.
            session.mean(Authority::Users);
        }
        let name: Segment = which.name().parse().map_err(CommandError::Name)?;
        session.refuse_unpinned(&session.server()?).await?;
        let mut asked = session.v1()?;
        let plan = audit::rotate(&name, &NewRotation { dry_run: true });
        let plan: Rotation = v1::read(&asked.ask(&plan).await?).map_err(CommandError::from)?;
        if self.dry_run {
            return told(session, &plan);
        }
        if !self.yes {
            if !std::io::stdin().is_terminal() {
                return Err(CaCommandError::NotBegun);
            }
            steps(&plan);
            match session.input.ask("Begin? [y/N] ").await {
                Ok(answer) if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") => {}
                Ok(_) | Err(InputError::NoAnswer(_)) => return Err(CaCommandError::NotBegun),
                Err(error) => return Err(error.into()),
            }
        }
        let rotate = audit::rotate(&name, &NewRotation { dry_run: false });
        let begun = v1::read(&asked.ask(&rotate).await?).map_err(CommandError::from)?;
        told(session, &begun)
    }
}

fn told(session: &Session, rotation: &Rotation) -> Result<(), CaCommandError> {
    if session.wants_json() {
        return session.print(&(view::json(rotation) + "\n"));
    }
    steps(rotation);
    match &rotation.next {
        Some(next) => session.print(&format!("{}\n", one_line(&next.fingerprint))),
        None => Ok(()),
    }
}

fn steps(rotation: &Rotation) {
    let Rotation { authority, current, next, signs_after, not_after } = rotation;
    let when = if next.is_some() { "is made, and" } else { "would be made, and" };
    for line in [
        format!("authority {authority}:"),
        format!("  now                 the next CA certificate {when} handed on to whoever asks"),
        format!("  until {signs_after}  {} signs, as before", current.fingerprint),
        format!("  after that          the next one signs, until {not_after}"),
        format!("  {}  the one that signs now ends; what it signed ended before", current.not_after),
        "holders who renew on time have to do nothing".to_owned(),
    ] {
        output::note(one_line(&line));
    }
}
