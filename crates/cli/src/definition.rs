//! What networks and container managers have in common: they are made once, with options, and never changed.

use clap::builder::EnumValueParser;
use clap::{Args, Subcommand, ValueEnum};
use client::v1::{self, List};
use client::{Request, Segment};
use serde_json::{Map, Value};

use crate::error::CommandError;
use crate::options::Options;
use crate::output;
use crate::session::{Change, DryRun, Session};
use crate::shown::{Detailed, Listed};
use crate::view::{self, Watch};

/// A thing of that sort, as the server shows it.
pub(crate) trait Definition: Listed + Detailed {
    /// What it is called: `network`. With an `s` it is several.
    const NOUN: &'static str;
    /// The option of `provost cluster create` that names one.
    const OPTION: &'static str;
    /// What its kind says, for the help.
    const KIND: &'static str;
    /// All of them.
    const LIST: List<'static>;
    /// What kinds there are.
    type Kind: ValueEnum + Clone + Send + Sync + 'static;

    /// Asks for one.
    fn get(name: &Segment) -> Request;
    /// Makes one.
    fn put(name: &Segment, kind: Self::Kind, options: Map<String, Value>) -> Request;
    /// Deletes one.
    fn delete(name: &Segment) -> Request;
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command<D: Definition> {
    #[command(about = format!("List {}s", D::NOUN))]
    List {
        #[command(flatten)]
        watch: Watch,
    },
    #[command(about = format!("Show a {}", D::NOUN))]
    Show {
        name: Segment,
        #[command(flatten)]
        watch: Watch,
    },
    #[command(about = format!("Make a {}; it can be deleted, and not be changed", D::NOUN))]
    Create(Create<D>),
    #[command(about = format!("Delete a {}", D::NOUN))]
    Delete {
        name: Segment,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Args)]
pub(crate) struct Create<D: Definition> {
    name: Segment,
    #[arg(long, help = D::KIND, value_parser = EnumValueParser::<D::Kind>::new())]
    kind: D::Kind,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    dry_run: DryRun,
}

impl<D: Definition> Command<D> {
    pub(crate) async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        match self {
            Self::List { watch } => view::list::<D>(session, &v1::list(D::LIST), &watch).await,
            Self::Show { name, watch } => view::one::<D>(session, &D::get(&name), &watch).await,
            Self::Create(create) => create.run(session).await,
            Self::Delete { name, change } => {
                let request = change.condition(D::delete(&name));
                if session.change(&request, &change.dry_run).await?.is_some() {
                    output::note(format_args!("deleted {} {name}", D::NOUN));
                }
                Ok(())
            }
        }
    }
}

impl<D: Definition> Create<D> {
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        let dry_run = self.dry_run.hiding(self.options.named_with_files());
        let options = self.options.read(&mut session.input).await?;
        let request = D::put(&self.name, self.kind, options);
        let Some(answer) = session.change(&request, &dry_run).await? else { return Ok(()) };
        let (noun, option, name) = (D::NOUN, D::OPTION, self.name);
        session.tell(&answer, |_: &D| match answer.status {
            201 => format!("made {noun} {name}; `provost cluster create NAME {option} {name}` uses it"),
            _ => format!("{noun} {name} is there already, and the same"),
        })
    }
}
