//! `provost trust requirer`.

use clap::{Args, Subcommand, ValueEnum};
use client::Segment;
use client::v1::{self, trust};
use wire::{
    NewTrustRequirer, TrustFile, TrustPlace, TrustPlaceEvent, TrustPlaceState, TrustRequirer, TrustState,
};

use super::certificates;
use super::error::TrustCommandError;
use super::provider::Why;
use crate::input::File;
use crate::output;
use crate::session::{DryRun, Session};
use crate::shown::Listed as _;
use crate::view::{self, Watch};

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Command {
    /// List those who are to have certificates
    List {
        #[command(flatten)]
        watch: Watch,
    },
    /// Show a requirer
    Show {
        name: Segment,
        #[command(flatten)]
        watch: Watch,
    },
    /// Make a requirer, or have its certificates put somewhere else
    Set(Box<Set>),
    /// Have a requirer go, once nothing is left in its places
    Remove {
        name: Segment,
        /// Leave what was put in its places there
        #[arg(long)]
        leave_behind: bool,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List a requirer's places, and how it is with each
    Places {
        name: Segment,
        /// Only those that could not be given what they are to have
        #[arg(long)]
        failing: bool,
        #[command(flatten)]
        watch: Watch,
    },
    /// List what happened in a requirer's places, the oldest first
    History {
        name: Segment,
        #[command(flatten)]
        watch: Watch,
    },
}

/// Where a requirer's certificates are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Wherever it wants: it comes and asks, as `provost trust watch` does
    Poll,
    /// On hosts of the fleet
    Hosts,
    /// In objects of a Kubernetes cluster
    Kubernetes,
    /// Told to a program
    Webhook,
}

/// A requirer, and where its certificates are put: all of it, each time.
#[derive(Debug, Args)]
pub(super) struct Set {
    name: Segment,
    /// Where its certificates are put
    kind: Kind,
    #[command(flatten)]
    polling: Polling,
    #[command(flatten)]
    on_hosts: OnHosts,
    #[command(flatten)]
    in_kubernetes: InKubernetes,
    #[command(flatten)]
    webhook: Webhook,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "With `poll`")]
struct Polling {
    /// Take this account's word and administrators' for what its places have, and nobody else's: `user NAME`, `client NAME`, as
    /// the server calls it; repeatable [default: whoever may look]
    #[arg(long, value_name = "ACCOUNT")]
    only: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "With `hosts`")]
struct OnHosts {
    /// On this one, by its address; repeatable
    #[arg(long = "host", value_name = "ADDRESS", conflicts_with_all = ["cluster", "all"])]
    hosts: Vec<String>,
    /// On those of this cluster
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    cluster: Option<String>,
    /// On all of them
    #[arg(long)]
    all: bool,
    /// In the operating system's trust store
    #[arg(long)]
    system_store: bool,
    /// In Java's
    #[arg(long)]
    java: bool,
    /// In this file, which may be followed by `,owner=NAME`, `,group=NAME`, `,mode=0644`; `,keystore`, which makes it a
    /// keystore of Java's (PKCS#12) instead of PEM, and `,password-file=PATH`, the file on the host that has the keystore's
    /// password (`changeit` otherwise); `,adopt`, which has it take the place of a file that is there already; and, last,
    /// `,hook=COMMAND`, which is run when the file is another one, and of which commas are a part; repeatable
    #[arg(long = "file", value_name = "PATH[,OPTION=VALUE]...", value_parser = trust_file)]
    files: Vec<TrustFile>,
}

#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "With `kubernetes`")]
struct InKubernetes {
    /// The container manager that knows it
    #[arg(long, value_name = "NAME")]
    container_manager: Option<String>,
    /// In this namespace; repeatable
    #[arg(long = "namespace", value_name = "NAME", conflicts_with = "selector")]
    namespaces: Vec<String>,
    /// In those with these labels, as `kubectl --selector` has them
    #[arg(long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// What the object is called
    #[arg(long = "name", value_name = "NAME")]
    object_name: Option<String>,
    /// What the text in it is called [default: ca.crt]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A Secret instead of a ConfigMap
    #[arg(long)]
    secret: bool,
}

#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "With `webhook`")]
struct Webhook {
    /// Where the program listens
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The file with what it is told is signed with; `-` for standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<File>,
    /// The authorities that its certificate may come from, PEM [default: the system's]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<File>,
}

/// `PATH[,owner=NAME][,group=NAME][,mode=0644][,keystore][,password-file=PATH][,adopt][,hook=COMMAND]`.
fn trust_file(text: &str) -> Result<TrustFile, String> {
    let (text, hook) = match text.split_once(",hook=") {
        Some((text, hook)) => (text, Some(hook.to_owned())),
        None => (text, None),
    };
    let mut parts = text.split(',');
    let path = parts.next().unwrap_or_default().to_owned();
    if path.is_empty() {
        return Err("it names no file".to_owned());
    }
    let mut file = TrustFile { path, hook, ..TrustFile::default() };
    for part in parts {
        let flag = match part {
            "adopt" => Some(&mut file.adopt),
            "keystore" => Some(&mut file.keystore),
            _ => None,
        };
        if let Some(flag) = flag {
            if std::mem::replace(flag, true) {
                return Err(format!("`{part}` is said twice"));
            }
            continue;
        }
        let option = match part.split_once('=') {
            Some(("owner", value)) => (&mut file.owner, value),
            Some(("group", value)) => (&mut file.group, value),
            Some(("mode", value)) => (&mut file.mode, value),
            Some(("password-file", value)) => (&mut file.password_file, value),
            _ => {
                return Err(format!(
                    "`{part}` is neither owner=, group=, mode=, keystore, password-file=, adopt nor hook="
                ));
            }
        };
        if option.0.replace(option.1.to_owned()).is_some() {
            return Err(format!("`{part}` is said twice"));
        }
    }
    Ok(file)
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), TrustCommandError> {
        match self {
            Self::List { watch } => view::list::<TrustRequirer>(session, &trust::requirers(), &watch).await?,
            Self::Show { name, watch } => {
                view::one::<TrustRequirer>(session, &trust::requirer(&name), &watch).await?;
            }
            Self::Set(set) => set.run(session).await?,
            Self::Remove { name, leave_behind, why, dry_run } => {
                let request = trust::remove_requirer(&name, leave_behind, why.why.as_deref());
                if session.change(&request, &dry_run).await?.is_some() {
                    output::note(if leave_behind {
                        format!("requirer {name} is gone; what was put in its places is there still")
                    } else {
                        format!("requirer {name} goes, once nothing is left in its places")
                    });
                }
            }
            Self::Places { name, failing, watch } => {
                let none = match failing {
                    true => "none of its places is failing",
                    false => none_of(session, &name).await?,
                };
                let is_meant = |place: &TrustPlaceState| !failing || place.state == TrustState::Failing;
                view::some(session, &trust::places(&name), &watch, none, is_meant).await?;
            }
            Self::History { name, watch } => {
                view::list::<TrustPlaceEvent>(session, &trust::history(&name), &watch).await?;
            }
        }
        Ok(())
    }
}

impl Set {
    async fn run(self, session: &mut Session) -> Result<(), TrustCommandError> {
        let place =
            place(self.kind, self.polling, self.on_hosts, self.in_kubernetes, self.webhook, session).await?;
        let requirer = NewTrustRequirer { place, why: self.why.why };
        let request = trust::put_requirer(&self.name, &requirer);
        let Some(answer) = session.change(&request, &self.dry_run).await? else { return Ok(()) };
        let told = session.tell(&answer, |requirer: &TrustRequirer| {
            let name = crate::table::one_line(&requirer.name);
            format!("requirer {name} is set; `provost trust relate PROVIDER {name}` gives it certificates")
        });
        Ok(told?)
    }
}

/// What is said where no place of the requirer `name` is known.
async fn none_of(session: &mut Session, name: &Segment) -> Result<&'static str, TrustCommandError> {
    let found: TrustRequirer = v1::read(&session.ask(&trust::requirer(name)).await?)?;
    Ok(match found.place {
        Some(TrustPlace::Hosts { .. }) => {
            "nothing is known of its places yet: none of its hosts is there, or none was come to so far; `provost host list` \
             tells which there are"
        }
        Some(TrustPlace::Poll { .. } | TrustPlace::Kubernetes { .. } | TrustPlace::Webhook { .. }) | None => {
            TrustPlaceState::NONE
        }
    })
}

/// What options say, which are only those of `kind`.
async fn place(
    kind: Kind,
    polling: Polling,
    on_hosts: OnHosts,
    in_kubernetes: InKubernetes,
    webhook: Webhook,
    session: &mut Session,
) -> Result<TrustPlace, TrustCommandError> {
    let strangers = [
        (Kind::Poll, polling != Polling::default()),
        (Kind::Hosts, on_hosts != OnHosts::default()),
        (Kind::Kubernetes, in_kubernetes != InKubernetes::default()),
        (Kind::Webhook, webhook != Webhook::default()),
    ];
    if strangers.into_iter().any(|(of, is_said)| is_said && of != kind) {
        return Err(TrustCommandError::Usage(match kind {
            Kind::Poll => {
                "whoever polls says where by itself: `poll` takes the option about who polls, and no others"
            }
            Kind::Hosts => "`hosts` takes the options about hosts, and no others",
            Kind::Kubernetes => "`kubernetes` takes the options about Kubernetes, and no others",
            Kind::Webhook => "`webhook` takes the options about webhooks, and no others",
        }));
    }
    match kind {
        Kind::Poll => Ok(TrustPlace::Poll { only: polling.only }),
        Kind::Hosts => {
            let OnHosts { hosts, cluster, all, system_store, java, files } = on_hosts;
            if hosts.is_empty() && cluster.is_none() && !all {
                return Err(TrustCommandError::Usage(
                    "`hosts` needs --host ADDRESS, --cluster NAME or --all",
                ));
            }
            if !system_store && !java && files.is_empty() {
                return Err(TrustCommandError::Usage("`hosts` needs --system-store, --java or --file PATH"));
            }
            Ok(TrustPlace::Hosts { hosts, cluster, all, system_store, java, files })
        }
        Kind::Kubernetes => {
            let InKubernetes { container_manager, namespaces, selector, object_name, key, secret } =
                in_kubernetes;
            let (Some(container_manager), Some(name)) = (container_manager, object_name) else {
                let wanted = "`kubernetes` needs --container-manager NAME and --name NAME";
                return Err(TrustCommandError::Usage(wanted));
            };
            if namespaces.is_empty() && selector.is_none() {
                let wanted = "`kubernetes` needs --namespace NAME or --selector SELECTOR";
                return Err(TrustCommandError::Usage(wanted));
            }
            Ok(TrustPlace::Kubernetes { container_manager, secret, namespaces, selector, name, key })
        }
        Kind::Webhook => {
            let Webhook { url: Some(url), secret_file: Some(secret_file), ca_file } = webhook else {
                return Err(TrustCommandError::Usage("`webhook` needs --url URL and --secret-file FILE"));
            };
            if base::tells_a_secret(&url) {
                let open =
                    "the URL has a secret in it, and everybody on this machine can read the command line";
                return Err(TrustCommandError::Usage(open));
            }
            if ca_file.as_ref() == Some(&File::StandardInput) && secret_file == File::StandardInput {
                return Err(TrustCommandError::Usage("standard input can be read once"));
            }
            let mut secret = session.input.text(&secret_file).await?;
            if secret.ends_with('\n') {
                secret.pop();
            }
            let ca = match ca_file {
                Some(file) => {
                    let found = certificates::read(&mut session.input, &[file]).await?;
                    Some(certificates::as_pem(&found))
                }
                None => None,
            };
            Ok(TrustPlace::Webhook { url, secret: Some(secret), ca })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_are_part_of_hooks_and_of_nothing_else() {
        let file = |path: &str| TrustFile { path: path.to_owned(), ..TrustFile::default() };
        for (text, expected) in [
            ("/a", Some(file("/a"))),
            (
                "/a,keystore,password-file=/b",
                Some(TrustFile { keystore: true, password_file: Some("/b".into()), ..file("/a") }),
            ),
            ("/a,keystore,keystore", None),
            ("/a,adopt", Some(TrustFile { adopt: true, ..file("/a") })),
            ("/a,mode=0600", Some(TrustFile { mode: Some("0600".into()), ..file("/a") })),
            (
                "/a,owner=x,group=y,mode=0640,hook=echo a,b; echo mode=1,hook=2",
                Some(TrustFile {
                    path: "/a".into(),
                    owner: Some("x".into()),
                    group: Some("y".into()),
                    mode: Some("0640".into()),
                    hook: Some("echo a,b; echo mode=1,hook=2".into()),
                    ..TrustFile::default()
                }),
            ),
            ("", None),
            (",mode=0600", None),
            ("/a,b", None),
            ("/a,mode", None),
            ("/a,adopt,adopt", None),
            ("/a,adopt=1", None),
            ("/a,mode=1,mode=2", None),
            ("/a,user=x", None),
        ] {
            assert_eq!(trust_file(text).ok(), expected, "{text}");
        }
    }
}
