//! The file that says which certificates are kept, and how.
//!
//! It is strict: what is not known is refused, and everything that is wrong is said at once, with its line. The keys are
//! documented where operators look: in the help of `provost ca watch` ([`super::HELP`]).

mod uses;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration as StdDuration;

use base::Span;
use clap::ValueEnum;
use client::compat::caucase::{Authority, ServerUrl};
use toml_edit::{Array, Document, Item, TableLike};

use self::uses::{Use, Used, clashes};
use super::super::key_kind::{KeyFormat, KeyType};
use super::super::session::{Defaults, Fingerprint, Mode};
use super::super::subject::Subject;
use super::when::Rules;
use crate::duration::Duration;
use crate::output;

/// The longest file that is read, in bytes: of some ten thousand certificates.
const BYTES_MAX: u64 = 16 << 20;

/// What the file may have at its top.
const TOP: [&str; 6] = ["metrics", "metrics_file", "at_once", "timeout", "defaults", "certificate"];
/// What may be said of each certificate, or once for all of them.
const COMMON: [&str; 13] = [
    "server",
    "mode",
    "ca",
    "crl",
    "fingerprint",
    "key_type",
    "key_format",
    "on_renew",
    "hook_timeout",
    "threshold",
    "crl_threshold",
    "jitter",
    "look_every",
];
/// What may be said of one alone.
const OWN: [&str; 5] = ["name", "certificate", "key", "csr", "request"];
/// What may be said of whom a certificate is about.
const SUBJECT: [&str; 5] = ["name", "dns", "ip", "email", "uri"];

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ca) struct Problem {
    path: PathBuf,
    line: Option<usize>,
    what: String,
    hint: Option<String>,
}

impl Problem {
    /// As scripts read it.
    pub(in crate::ca) fn as_json(&self) -> serde_json::Value {
        serde_json::json!({"path": self.path.display().to_string(), "line": self.line, "what": self.what, "hint": self.hint})
    }

    pub(in crate::ca) fn hint(&self) -> Option<&String> {
        self.hint.as_ref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// Where metrics are offered.
    pub(super) metrics: Option<SocketAddr>,
    /// The file that has them.
    pub(super) metrics_file: Option<PathBuf>,
    /// How many certificates are looked after at the same time.
    pub(super) at_once: usize,
    /// How long a server may be silent.
    pub(super) timeout: StdDuration,
    pub(super) certificates: Vec<Arc<Kept>>,
}

/// What is kept: a certificate with whom it trusts, or these alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) server: ServerUrl,
    pub(super) authority: Authority,
    /// Who is trusted.
    pub(super) ca: PathBuf,
    /// What was revoked, where that is wanted.
    pub(super) crl: Option<PathBuf>,
    /// Whom to trust at first.
    pub(super) fingerprint: Option<[u8; 32]>,
    /// The certificate and the key, which may be in the same file; none where only the others are kept.
    pub(super) files: Option<Files>,
    /// What to ask for where there is no certificate yet.
    pub(super) first: Option<First>,
    pub(super) key_type: KeyType,
    /// How keys are written, where that is said: else as the one before.
    pub(super) key_format: Option<KeyFormat>,
    pub(super) on_renew: Option<String>,
    pub(super) hook_timeout: StdDuration,
    pub(super) rules: Rules,
}

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What is asked for at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum First {
    /// What is in this file.
    Csr(PathBuf),
    /// This.
    Subject(Subject),
}

/// Who may say what is done here, with a program that runs commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writers {
    /// Whoever runs it, and root.
    Us,
    /// Their own group as well.
    Group,
    /// Others.
    Others,
}

/// Who may write a file of this mode and these owners, for whoever runs as user and group `us`.
fn writers(mode: u32, (owner, group): (u32, u32), us: (u32, u32)) -> Writers {
    let is_groups = mode & 0o020 != 0;
    if (owner != us.0 && owner != 0) || mode & 0o002 != 0 || (is_groups && group != us.1) {
        return Writers::Others;
    }
    if is_groups { Writers::Group } else { Writers::Us }
}

fn writers_of(found: &Metadata) -> Writers {
    let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    writers(found.mode(), (found.uid(), found.gid()), us)
}

/// Reads the file at `path`, with what the command says where it says nothing.
pub(super) fn read(path: &Path, command: &Defaults) -> Result<Config, Vec<Problem>> {
    let problem = |what: String, hint: String| {
        vec![Problem { path: path.to_owned(), line: None, what, hint: Some(hint) }]
    };
    let help = || "`provost ca watch --help` says what it may have in it".to_owned();
    let unreadable = |error| problem(format!("could not be read: {error}"), help());
    let mut file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    let shown = path.display();
    match writers_of(&found) {
        Writers::Us => {}
        Writers::Group => output::note(format_args!(
            "warning: {shown} may be written by everybody in its group, and says which commands are run; `chmod g-w {shown}`"
        )),
        Writers::Others => {
            let (mode, owner) = (found.mode() & 0o7777, found.uid());
            return Err(problem(
                format!(
                    "others may write it, and it says which commands are run (mode {mode:04o}, of user {owner})"
                ),
                format!("chown {} {shown} && chmod go-w {shown}", rustix::process::geteuid().as_raw()),
            ));
        }
    }
    let mut text = String::new();
    (&mut file).take(BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(problem(format!("it is longer than {BYTES_MAX} bytes"), help()));
    }
    parse(&text, path, command)
}

/// What `text` says, which is in the file at `path`; relative paths start from its folder.
fn parse(text: &str, path: &Path, command: &Defaults) -> Result<Config, Vec<Problem>> {
    let mut reader = Reader { text, path, command, problems: Vec::new() };
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            reader.wrong(at, error.message().replace('\n', ", "));
            return Err(reader.problems);
        }
    };
    let config = reader.config(document.as_table());
    if reader.problems.is_empty() {
        return Ok(config);
    }
    reader.problems.sort_by_key(|problem| problem.line);
    // What is wrong with what is said for all is met with each.
    reader.problems.dedup();
    Err(reader.problems)
}

struct Reader<'t> {
    text: &'t str,
    path: &'t Path,
    command: &'t Defaults,
    problems: Vec<Problem>,
}

/// A value, and where it is said.
struct Said<'d> {
    name: &'d str,
    item: &'d Item,
    at: usize,
}

/// What is said of a certificate, and of all of them.
struct Tables<'d> {
    own: &'d dyn TableLike,
    defaults: Option<&'d dyn TableLike>,
}

impl<'d> Tables<'d> {
    fn get(&self, name: &str) -> Option<Said<'d>> {
        let defaults = self.defaults.filter(|_| COMMON.contains(&name));
        said(self.own, name).or_else(|| said(defaults?, name))
    }
}

fn said<'d>(table: &'d dyn TableLike, name: &str) -> Option<Said<'d>> {
    let (key, item) = table.get_key_value(name)?;
    let at = key.span().or_else(|| item.span()).map_or(0, |span| span.start);
    Some(Said { name: key.get(), item, at })
}

impl Reader<'_> {
    fn wrong(&mut self, at: usize, what: String) {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.problems.push(Problem { path: self.path.to_owned(), line: Some(line), what, hint: None });
    }

    /// Refuses what is not known in `table`.
    fn known(&mut self, table: &dyn TableLike, known: &[&str], place: &str) {
        let names: Vec<String> = table.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            if !known.contains(&name.as_str()) {
                let at = said(table, &name).map_or(0, |said| said.at);
                self.wrong(at, format!("nothing is called `{name}` {place}"));
                if let Some(problem) = self.problems.last_mut() {
                    problem.hint = Some(format!("there are {}", known.join(", ")));
                }
            }
        }
    }

    fn config(&mut self, top: &dyn TableLike) -> Config {
        self.known(top, &TOP, "at the top");
        let defaults = said(top, "defaults").and_then(|said| self.table(&said));
        if let Some(defaults) = defaults {
            self.known(defaults, &COMMON, "in [defaults]");
        }
        let metrics = said(top, "metrics")
            .and_then(|said| self.parsed(&said, "an address and a port: \"127.0.0.1:9109\""));
        let mut used = vec![Used {
            how: Use::Configuration,
            what: "this configuration".into(),
            path: self.path.to_owned(),
            at: 0,
        }];
        let metrics_file = said(top, "metrics_file").and_then(|said| self.path_of(&said));
        let at_once = said(top, "at_once").and_then(|said| {
            let found = said.item.as_integer().and_then(|number| usize::try_from(number).ok());
            let found = found.filter(|number| (1..=256).contains(number));
            self.or_wrong(&said, found, "a number from 1 to 256")
        });
        let timeout =
            said(top, "timeout").and_then(|said| self.duration(&said)).filter(|timeout| timeout.0 > 0);
        used.extend(metrics_file.clone().map(|path| Used {
            how: Use::Metrics,
            what: "the `metrics_file`".into(),
            path,
            at: said(top, "metrics_file").map_or(0, |said| said.at),
        }));
        let mut certificates = Vec::new();
        let mut names = BTreeMap::new();
        match said(top, "certificate") {
            None => self.wrong(0, "no [[certificate]] is named".into()),
            Some(all) => match all.item.as_array_of_tables() {
                None => self.wrong(
                    all.at,
                    "certificates are written as tables that begin with [[certificate]]".into(),
                ),
                Some(tables) => {
                    for (number, table) in tables.iter().enumerate() {
                        let at = table.span().map_or(0, |span| span.start);
                        let tables = Tables { own: table, defaults };
                        let Some(kept) = self.kept(&tables, at) else { continue };
                        if names.insert(kept.name.clone(), ()).is_some() {
                            self.wrong(at, format!("another certificate has the name `{}`", kept.name));
                        }
                        used.extend(used_by(&kept, number, &tables, at));
                        certificates.push(Arc::new(kept));
                    }
                }
            },
        }
        for (at, what) in clashes(used) {
            self.wrong(at, what);
        }
        Config {
            metrics,
            metrics_file,
            at_once: at_once.unwrap_or(8),
            timeout: StdDuration::from_secs(timeout.map_or(30, |timeout| timeout.0.into())),
            certificates,
        }
    }

    fn kept(&mut self, tables: &Tables<'_>, at: usize) -> Option<Kept> {
        let before = self.problems.len();
        self.known(tables.own, &[&OWN[..], &COMMON].concat(), "in [[certificate]]");
        let name = tables.get("name").and_then(|said| self.text_of(&said));
        if name.is_none() && tables.get("name").is_none() {
            self.wrong(at, "this certificate has no `name`".into());
        }
        if let Some(name) = &name
            && (name.chars().any(char::is_control) || name.len() > 200)
        {
            self.wrong(at, "a `name` has at most 200 bytes, and no control characters".into());
        }
        let server = self.server(tables, at);
        let mode = tables.get("mode").and_then(|said| self.one_of::<Mode>(&said));
        let authority = mode.map_or(self.command.authority, Mode::authority);
        let ca = match tables.get("ca") {
            Some(said) => self.path_of(&said),
            None => self.command.ca.clone(),
        };
        if ca.is_none() && tables.get("ca").is_none() {
            self.wrong(at, "nothing says where the CA certificates go: `ca` is missing".into());
        }
        let crl = tables.get("crl").and_then(|said| self.path_of(&said));
        let fingerprint = tables.get("fingerprint").and_then(|said| {
            self.parsed::<Fingerprint>(&said, "a SHA-256 fingerprint: 64 hexadecimal digits")
        });
        let files = self.files(tables);
        let first = self.first(tables);
        if files.is_none() && first.is_some() {
            self.wrong(
                at,
                "something is to be asked for, and nothing says where the `certificate` goes".into(),
            );
        }
        let key_type = tables.get("key_type").and_then(|said| self.one_of(&said)).unwrap_or_default();
        let key_format = tables.get("key_format").and_then(|said| self.one_of(&said));
        let on_renew = tables.get("on_renew").and_then(|said| self.text_of(&said));
        let mut span = |name: &str, default: Span| {
            let found = tables.get(name).and_then(|said| self.duration(&said));
            found.map_or(default, |found| Span::seconds(found.0.into()))
        };
        let hook_timeout = span("hook_timeout", Span::seconds(60));
        let rules = Rules {
            threshold: span("threshold", Span::days(31)),
            crl_threshold: span("crl_threshold", Span::days(7)),
            jitter: span("jitter", Span::days(1)),
            look_every: span("look_every", Span::days(1)),
        };
        for (name, span) in [("hook_timeout", hook_timeout), ("look_every", rules.look_every)] {
            if span == Span::ZERO {
                self.wrong(at, format!("`{name}` is some time"));
            }
        }
        // Whatever is missing was said.
        let kept = Kept {
            name: name?,
            server: server?,
            authority,
            ca: ca?,
            crl,
            fingerprint: fingerprint.map(|pin| pin.0).or(self.command.fingerprint),
            files,
            first,
            key_type,
            key_format,
            on_renew,
            hook_timeout: hook_timeout.as_duration(),
            rules,
        };
        (self.problems.len() == before).then_some(kept)
    }

    fn server(&mut self, tables: &Tables<'_>, at: usize) -> Option<ServerUrl> {
        let Some(said) = tables.get("server") else {
            if let Some(server) = &self.command.server {
                return Some(server.clone());
            }
            self.wrong(at, "nothing says which `server` is asked".into());
            return None;
        };
        let text = self.text_of(&said)?;
        let url = ServerUrl::by_either_door(&text);
        url.map_err(|error| self.wrong(said.at, format!("`server`: {error}"))).ok()
    }

    fn files(&mut self, tables: &Tables<'_>) -> Option<Files> {
        let certificate = tables.get("certificate").and_then(|said| self.path_of(&said));
        let key_said = tables.get("key");
        let key = key_said.as_ref().and_then(|said| self.path_of(said));
        match (certificate, key_said) {
            (Some(certificate), _) => {
                Some(Files { key: key.unwrap_or_else(|| certificate.clone()), certificate })
            }
            (None, Some(said)) if tables.get("certificate").is_none() => {
                self.wrong(said.at, "there is a `key`, and nothing says where its `certificate` is".into());
                None
            }
            _ => None,
        }
    }

    fn first(&mut self, tables: &Tables<'_>) -> Option<First> {
        match (tables.get("csr"), tables.get("request")) {
            (Some(_), Some(said)) => {
                self.wrong(said.at, "`csr` and `request` are one too many".into());
                None
            }
            (Some(said), None) => self.path_of(&said).map(First::Csr),
            (None, Some(said)) => {
                let table = self.table(&said)?;
                self.known(table, &SUBJECT, "in `request`");
                let subject = Subject {
                    name: super::config::said(table, "name").and_then(|said| self.text_of(&said)),
                    dns: self.texts(table, "dns"),
                    ip: self.addresses(table),
                    email: self.texts(table, "email"),
                    uri: self.texts(table, "uri"),
                };
                if subject.is_empty() {
                    self.wrong(
                        said.at,
                        "`request` says nothing of whom the certificate is to be about".into(),
                    );
                } else if let Err(error) = subject.parts() {
                    self.wrong(said.at, format!("`request`: {}", base::report(&error)));
                }
                Some(First::Subject(subject))
            }
            (None, None) => None,
        }
    }

    fn addresses(&mut self, table: &dyn TableLike) -> Vec<IpAddr> {
        let at = said(table, "ip").map_or(0, |said| said.at);
        let mut addresses = Vec::new();
        for text in self.texts(table, "ip") {
            match text.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => self.wrong(at, format!("`ip`: `{text}` is no address")),
            }
        }
        addresses
    }

    /// Texts, one or several.
    fn texts(&mut self, table: &dyn TableLike, name: &str) -> Vec<String> {
        let Some(said) = said(table, name) else { return Vec::new() };
        let of_array = |array: &Array| array.iter().map(|one| one.as_str().map(str::to_owned)).collect();
        let found = match (said.item.as_str(), said.item.as_array()) {
            (Some(text), _) => Some(vec![text.to_owned()]),
            (None, Some(array)) => of_array(array),
            (None, None) => None,
        };
        self.or_wrong(&said, found, "a text, or a list of texts").unwrap_or_default()
    }

    fn or_wrong<T>(&mut self, said: &Said<'_>, found: Option<T>, what: &str) -> Option<T> {
        if found.is_none() {
            self.wrong(said.at, format!("`{}` is {what}", said.name));
        }
        found
    }

    fn text_of(&mut self, said: &Said<'_>) -> Option<String> {
        let found = said.item.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        self.or_wrong(said, found, "a text that is not empty")
    }

    fn path_of(&mut self, said: &Said<'_>) -> Option<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new("")).to_owned();
        self.text_of(said).map(|text| folder.join(text))
    }

    fn parsed<T: std::str::FromStr>(&mut self, said: &Said<'_>, what: &str) -> Option<T> {
        let found = said.item.as_str().and_then(|text| text.parse().ok());
        self.or_wrong(said, found, what)
    }

    fn duration(&mut self, said: &Said<'_>) -> Option<Duration> {
        self.parsed(said, "a text with a number and `s`, `m`, `h`, `d` or `w`: \"12h\"")
    }

    fn one_of<T: ValueEnum>(&mut self, said: &Said<'_>) -> Option<T> {
        let found = said.item.as_str().and_then(|text| T::from_str(text, false).ok());
        let names = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|value| format!("\"{}\"", value.get_name())).collect();
        self.or_wrong(said, found, &format!("one of {}", names.join(", ")))
    }

    fn table<'d>(&mut self, said: &Said<'d>) -> Option<&'d dyn TableLike> {
        self.or_wrong(said, said.item.as_table_like(), "a table")
    }
}

/// The files of the certificate of this number, which is said at `at`.
fn used_by(kept: &Kept, number: usize, tables: &Tables<'_>, at: usize) -> Vec<Used> {
    let (server, authority) = (&kept.server, kept.authority);
    let own = kept.files.as_ref();
    let csr = match &kept.first {
        Some(First::Csr(path)) => Some(path),
        Some(First::Subject(_)) | None => None,
    };
    [
        ("ca", Some(&kept.ca), Use::Authorities(server.clone(), authority, kept.fingerprint)),
        ("crl", kept.crl.as_ref(), Use::Lists(server.clone(), authority)),
        ("certificate", own.map(|own| &own.certificate), Use::Certificate(number)),
        (
            "key",
            own.map(|own| &own.key).filter(|key| own.is_none_or(|own| **key != own.certificate)),
            Use::Key(number),
        ),
        ("csr", csr, Use::Csr),
    ]
    .into_iter()
    .filter_map(|(name, path, how)| {
        let at = said(tables.own, name).map_or(at, |said| said.at);
        Some(Used { how, what: format!("the `{name}` of `{}`", kept.name), path: path?.clone(), at })
    })
    .collect()
}

#[cfg(test)]
mod tests;
