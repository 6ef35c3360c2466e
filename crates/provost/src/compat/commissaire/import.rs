//! `provost config import`: Commissaire's configuration files, as ours.
//!
//! ```text
//! DIR/commissaire.conf, storage.conf, investigator.conf, watcher.conf, clusterexec.conf, containermgr.conf, ETCD_*
//!       │
//!       ├─► FILE                          our settings
//!       ├─► sign-in.json beside it        who signs in, with the hashes of passwords: for its owner alone
//!       └─► etcd-password beside it       ETCD_PASSWORD: for its owner alone
//! ```
//! Where `ETCD_MACHINES` is set, what etcd has under `/commissaire/config` comes before the files of these names; so an
//! etcd that cannot be asked ends the import, unless it is to do without. Relative paths start from the working
//! directory, as they do for the original.
//!
//! Nothing is written when anything is wrong, or when no FILE is named. What is written passes `provost config check`.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::{Explain, Kind, Secret, report};
use serde_json::{Map, Value, json};
use store::private_file;

use super::conf::{self, Conf, Place};
use super::storage::{COMMON, is_of_custodia};
use super::translate;
use super::variables::EtcdVariables;
use crate::output;
use crate::settings::{
    self, Config, Origin, Problem, Said, Settings, SignInFile, Surroundings, place_of, spoken_of, toml,
    written,
};

/// The files of the services, without what only one has: their names, and what they are.
const SERVICES: [&str; 4] = ["investigator", "watcher", "clusterexec", "containermgr"];

/// What goes into the file of those who sign in.
const SIGN_IN: [&str; 3] = ["authentication-plugins", "self-auths", "tls-clientverifyfile"];

/// The options of plugins that are paths.
const PATHS: [&str; 3] = ["filepath", "ca-file", "token-file"];

/// What is asked for.
pub struct Wanted<'a> {
    /// Where the original's files are.
    pub from: &'a Path,
    /// Where ours go; nothing is written without.
    pub out: Option<&'a Path>,
    /// Whether other files of these names are replaced.
    pub force: bool,
    /// Whether etcd is not to be asked, though it may know better than the files.
    pub without_etcd: bool,
    /// Whether to tell of it in JSON.
    pub json: bool,
}

/// Our settings, made of theirs.
#[derive(Debug, Default)]
struct Import {
    /// The configuration file.
    text: String,
    /// What was taken: the setting, its value as TOML writes it, and where it was said.
    taken: Vec<(&'static str, String, String)>,
    /// What has no counterpart, and why.
    lost: Vec<Problem>,
    /// What is worth knowing.
    notes: Vec<String>,
    /// Who signs in.
    sign_in: Option<Secret<String>>,
    /// The password for etcd.
    password: Option<Secret<String>>,
}

/// The files were not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("there are other files already: {}", list(paths))]
    Occupied { paths: Vec<PathBuf> },
    #[error("{} would hold the settings and a secret file of theirs at once", path.display())]
    Taken { path: PathBuf },
    #[error("could not write {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Explain for WriteError {
    fn kind(&self) -> Kind {
        match self {
            Self::Occupied { .. } => Kind::Conflict,
            Self::Taken { .. } => Kind::Invalid,
            Self::Io { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Occupied { .. } => Some("`--force` replaces them".to_owned()),
            Self::Taken { .. } => Some("name another file with `--out`".to_owned()),
            Self::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
                Some(format!("make its directory: mkdir -p -m 0700 {}", path.parent()?.display()))
            }
            Self::Io { .. } => None,
        }
    }
}

/// Does what is `wanted`; `wrong_settings` is the exit code for files that are wrong.
pub fn run(wanted: &Wanted<'_>, surroundings: Surroundings, wrong_settings: u8) -> ExitCode {
    let import = match import(wanted, surroundings) {
        Ok(import) => import,
        Err(problems) => {
            if wanted.json {
                let told: Vec<_> = problems.iter().map(told).collect();
                let _ = output::data(&format!("{:#}\n", json!({ "ok": false, "problems": told })));
            }
            for problem in &problems {
                output::error(problem, problem.hint.as_ref());
            }
            return ExitCode::from(wrong_settings);
        }
    };
    let written = match wanted.out.map(|out| write(&import, out, wanted.force)).transpose() {
        Ok(written) => written.unwrap_or_default(),
        Err(error) => {
            output::error(report(&error), error.help());
            return ExitCode::from(error.kind().exit_code());
        }
    };
    let data = if wanted.json { import.summary(wanted, &written) } else { import.narrate(wanted, &written) };
    match output::data(&data) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(format_args!("could not write: {error}"), None::<&str>);
            ExitCode::from(Kind::Unavailable.exit_code())
        }
    }
}

/// The file of those who sign in, and what is worth saying about it.
type SignInText = (Secret<String>, Vec<Problem>);

/// A file, and whether it had to be written.
type Written = Vec<(PathBuf, bool)>;

impl Import {
    /// Says on standard error what was found; what remains is for standard output.
    fn narrate(&self, wanted: &Wanted<'_>, written: &Written) -> String {
        for (setting, value, origin) in &self.taken {
            output::note(format_args!("taken: {origin}: {setting} = {value}"));
        }
        for problem in &self.lost {
            output::note(format_args!("no counterpart: {problem}"));
        }
        for note in &self.notes {
            output::note(format_args!("note: {note}"));
        }
        for (path, is_new) in written {
            let what = if *is_new { "written" } else { "unchanged" };
            output::note(format_args!("{what}: {}", path.display()));
        }
        match wanted.out {
            Some(out) => {
                output::note(format_args!("next: provost config check --config {}", out.display()));
                String::new()
            }
            None => {
                output::note("nothing was written: name a file with --out FILE");
                self.text.clone()
            }
        }
    }

    fn summary(&self, wanted: &Wanted<'_>, written: &Written) -> String {
        let taken = self
            .taken
            .iter()
            .map(|(setting, value, origin)| json!({ "setting": setting, "value": value, "origin": origin }));
        let files = written
            .iter()
            .map(|(path, is_new)| json!({ "path": path.display().to_string(), "changed": is_new }));
        let summary = json!({
            "ok": true,
            "file": wanted.out.map(|out| out.display().to_string()),
            "text": self.text,
            "taken": taken.collect::<Vec<_>>(),
            "without_counterpart": self.lost.iter().map(told).collect::<Vec<_>>(),
            "notes": self.notes,
            "files": files.collect::<Vec<_>>(),
        });
        format!("{summary:#}\n")
    }
}

fn told(problem: &Problem) -> Value {
    json!({ "origin": problem.origin.to_string(), "what": problem.what, "hint": problem.hint })
}

/// Where the original's configuration is looked for.
struct Sources<'a> {
    /// The directory of the files.
    from: &'a Path,
    /// Asked first, until it fails: it would fail for every name.
    etcd: Option<&'a EtcdVariables>,
    notes: Vec<String>,
    problems: Vec<Problem>,
}

impl Sources<'_> {
    /// The configuration called `name`, if there is one that can be read.
    fn conf(&mut self, name: &str) -> Option<Conf> {
        match self.etcd.map(|etcd| conf::in_etcd(name, etcd, &mut self.notes)).transpose() {
            Ok(Some(Some(conf))) => return Some(conf),
            Ok(_) => {}
            Err(reason) => {
                self.etcd = None;
                let origin = Origin::Variable("ETCD_MACHINES".to_owned());
                let problem = Problem { origin, key: None, what: reason, hint: None };
                let hint = "what is there comes before the files; to read the files alone: --without-etcd";
                self.problems.push(problem.hint(hint));
            }
        }
        let place = Place::Perhaps(self.from.join(format!("{name}.conf")));
        conf::in_file(&place).unwrap_or_else(|problem| {
            self.problems.push(problem);
            None
        })
    }
}

/// Our settings, made of what is in the directory, in etcd and in the environment.
///
/// # Errors
/// Everything that is wrong with it.
fn import(wanted: &Wanted<'_>, surroundings: Surroundings) -> Result<Import, Vec<Problem>> {
    let mut import = Import::default();
    let mut problems = Vec::new();
    let from = std::path::absolute(wanted.from).unwrap_or_else(|_| wanted.from.to_owned());
    if from.exists() && !from.is_dir() {
        let what = "is no directory".to_owned();
        let named = from.parent().unwrap_or(&from).display();
        let hint = Some(format!(
            "the files are found by their names, in the directory that is named: --from {named}"
        ));
        return Err(vec![Problem { origin: Origin::File(from.clone()), key: None, what, hint }]);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let variables = EtcdVariables::read(&surroundings).unwrap_or_else(|wrong| {
        problems.extend(wrong);
        None
    });
    let etcd = variables.as_ref().filter(|_| !wanted.without_etcd);
    let mut sources = Sources { from: &from, etcd, notes: Vec::new(), problems };
    let server = sources.conf("commissaire");
    let storage = sources.conf("storage");
    let services = SERVICES.map(|name| sources.conf(name));
    let Sources { notes, mut problems, .. } = sources;
    import.notes = notes;
    if wanted.without_etcd && variables.is_some() {
        let what = "etcd was not asked: what is under /commissaire/config there would come before the files";
        import.notes.push(what.to_owned());
    }
    let is_nothing = [&server, &storage].into_iter().chain(&services).all(Option::is_none);
    if is_nothing && variables.is_none() && problems.is_empty() {
        let what = "there is no configuration of Commissaire's in it".to_owned();
        let hint = Some("name its directory with --from DIR".to_owned());
        return Err(vec![Problem { origin: Origin::File(from), key: None, what, hint }]);
    }
    // Of ours nothing counts here: the file is to say what theirs said.
    let mut config = Config::empty(Surroundings { variables: Vec::new(), root: surroundings.root });
    let mut relative = Vec::new();
    if let Some(conf) = &server {
        problems.extend(translate::server(conf, &mut config, Some(&here)));
        import.lost.extend(lost_of_server(conf));
        match sign_in(conf, &here, &mut relative) {
            Ok(Some((text, notes))) => {
                import.sign_in = Some(text);
                import.notes.extend(notes.iter().map(ToString::to_string));
            }
            Ok(None) => {}
            Err(wrong) => problems.extend(wrong),
        }
    }
    let kept = translate::store(storage.as_ref(), variables.as_ref(), &mut config, Some(&here));
    problems.extend(kept.problems);
    import.lost.extend(kept.lost);
    for conf in storage.iter().chain(services.iter().flatten()) {
        import.lost.extend(lost_of_service(conf));
    }
    if server.is_some() {
        translate::defaults(&mut config);
    }
    if server.is_some() && config.said("netloc").is_none() {
        let what = "`netloc` becomes part of certificates: say there, before the first start, what clients call the \
                    service";
        import.notes.push(what.to_owned());
    }
    if config.said("store.engine").is_some() {
        let what = "what Commissaire has under /commissaire in etcd is not moved by this, and is not read";
        import.notes.push(what.to_owned());
    }
    relative.extend(relative_paths(&config));
    import.notes.extend(note_of_relative(relative, &here));
    check(&config, &mut import, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    name_further_files(&mut config, &mut import, server.as_ref(), variables);
    import.text = format!(
        "# Made by `provost config import` of Commissaire's configuration in {}.\n\
         # `provost config reference` explains every setting.\n\n{}",
        from.display(),
        written(&config).trim_start()
    );
    let taken = spoken_of(&config).map(|(key, said)| (key.name, toml(key, said), place_of(said)));
    import.taken = taken.collect();
    Ok(import)
}

/// Says where the files are that are yet to be written, and what goes into them.
fn name_further_files(
    config: &mut Config,
    import: &mut Import,
    server: Option<&Conf>,
    variables: Option<EtcdVariables>,
) {
    let by_variables = Origin::Variable("ETCD_MACHINES".to_owned());
    if let Some((user, password)) = variables.and_then(|variables| variables.user)
        && config.origin("store.etcd.endpoints") == by_variables
    {
        say(config, "store.etcd.user", &user, "ETCD_USERNAME");
        say(config, "store.etcd.password_file", "etcd-password", "ETCD_PASSWORD");
        import.password = Some(password);
    }
    if import.sign_in.is_some() {
        let origin = server.map_or(Origin::Default, |conf| conf.origin("authentication-plugins"));
        let value = settings::Value::Text("sign-in.json".to_owned());
        config.say("fleet.sign_in", Said { value, origin, from: None });
    }
}

/// What is said of `paths` that start from the working directory, if there are any.
fn note_of_relative(mut paths: Vec<String>, here: &Path) -> Option<String> {
    paths.sort_unstable();
    paths.dedup();
    (!paths.is_empty()).then(|| {
        format!(
            "relative paths start from the working directory, {}, as they did for the program that read them, so run \
             this where that was started: {}",
            here.display(),
            paths.join(", ")
        )
    })
}

/// The paths in settings that start from the working directory.
fn relative_paths(config: &Config) -> Vec<String> {
    let paths = spoken_of(config).filter_map(|(key, said)| match (&key.kind, &said.value) {
        (settings::Kind::Path(_), settings::Value::Text(path)) if Path::new(path).is_relative() => Some(path),
        _ => None,
    });
    paths.cloned().collect()
}

/// Whether what was said makes settings.
fn check(config: &Config, import: &mut Import, problems: &mut Vec<Problem>) {
    match Settings::from(config) {
        Ok(settings) => import.notes.extend(settings.notes.iter().map(ToString::to_string)),
        Err(more) => problems.extend(more),
    }
}

fn say(config: &mut Config, key: &'static str, value: &str, variable: &str) {
    let value = settings::Value::Text(value.to_owned());
    config.say(key, Said { value, origin: Origin::Variable(variable.to_owned()), from: None });
}

/// What there is in `commissaire.conf` that we have no word for.
fn lost_of_server(conf: &Conf) -> Vec<Problem> {
    let mut lost = conf.passed_over(&translate::MEMBERS);
    lost.extend(of_the_bus(conf));
    if let Some(logging) = conf.member("logging") {
        let parts = logging.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let parts: Vec<_> = parts.filter(|name| !["root", "loggers", "version"].contains(name)).collect();
        if !parts.is_empty() {
            let parts = parts.join(", ");
            let what = format!("{parts}: the log goes to standard error, and `log.format` says how it looks");
            lost.push(conf.problem("logging", what));
        }
    }
    lost
}

/// The same of a service's file.
fn lost_of_service(conf: &Conf) -> Vec<Problem> {
    let is_storage = conf.member("storage-handlers").is_some();
    let known = [&COMMON[..], if is_storage { &["storage-handlers"] } else { &[] }].concat();
    let mut lost: Vec<_> =
        conf.passed_over(&known).into_iter().filter(|lost| !is_of_custodia(lost)).collect();
    lost.extend(of_the_bus(conf));
    for name in ["debug", "logging"] {
        if conf.member(name).is_some() {
            lost.push(
                conf.problem(name, "there is one process and one log: that of commissaire.conf counts"),
            );
        }
    }
    lost
}

fn of_the_bus(conf: &Conf) -> Vec<Problem> {
    let names = ["bus-uri", "bus-exchange"].into_iter().filter(|name| conf.member(name).is_some());
    let what = "no bus is served yet, and one process does what the services did";
    names.map(|name| conf.problem(name, what)).collect()
}

/// The file of those who sign in, if anybody does. Its paths are absolute; those that were not start from `here`, and
/// are added to `relative`.
fn sign_in(conf: &Conf, here: &Path, relative: &mut Vec<String>) -> Result<Option<SignInText>, Vec<Problem>> {
    let is_any = ["authentication-plugins", "self-auths"].iter().any(|name| conf.member(name).is_some());
    if !is_any {
        return Ok(None);
    }
    let mut object = Map::new();
    for name in SIGN_IN {
        if let Some(value) = conf.member(name) {
            object.insert(name.to_owned(), value.clone());
        }
    }
    let mut absolute = |value: &mut Value| {
        if let Value::String(path) = value {
            let whole = here.join(&*path).display().to_string();
            let as_said = std::mem::replace(path, whole);
            if as_said != *path {
                relative.push(as_said);
            }
        }
    };
    object.get_mut("tls-clientverifyfile").into_iter().for_each(&mut absolute);
    let plugins = object.get_mut("authentication-plugins").and_then(Value::as_array_mut);
    for plugin in plugins.into_iter().flatten().filter_map(Value::as_object_mut) {
        let paths = plugin.iter_mut().filter(|(name, _)| PATHS.contains(&name.replace('_', "-").as_str()));
        paths.for_each(|(_, value)| absolute(value));
    }
    let text = Secret::new(format!("{:#}\n", Value::Object(object)));
    // The problems name the file that can be mended.
    SignInFile::read(conf.path.clone(), text.expose().as_bytes(), None).map(|file| Some((text, file.notes)))
}

/// Writes the files around `out`, unless others are there.
fn write(import: &Import, out: &Path, force: bool) -> Result<Written, WriteError> {
    let beside = |name: &str| out.with_file_name(name);
    let mut files: Vec<(PathBuf, &[u8], bool)> = Vec::new();
    if let Some(text) = &import.sign_in {
        files.push((beside("sign-in.json"), text.expose().as_bytes(), true));
    }
    if let Some(password) = &import.password {
        files.push((beside("etcd-password"), password.expose().as_bytes(), true));
    }
    if files.iter().any(|(path, ..)| path.file_name() == out.file_name()) {
        return Err(WriteError::Taken { path: out.to_owned() });
    }
    // Last, so that what it names is there.
    files.push((out.to_owned(), import.text.as_bytes(), false));
    let is_as_it_should = |(path, bytes, is_secret): &(PathBuf, &[u8], bool)| {
        let is_safe = std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 == 0);
        std::fs::read(path).is_ok_and(|found| found == *bytes) && (is_safe || !is_secret)
    };
    let occupied = files.iter().filter(|file| file.0.exists() && !is_as_it_should(file));
    let occupied: Vec<PathBuf> = occupied.map(|(path, ..)| path.clone()).collect();
    if !occupied.is_empty() && !force {
        return Err(WriteError::Occupied { paths: occupied });
    }
    let mut written = Vec::new();
    for file in &files {
        let (path, bytes, is_secret) = file;
        let is_new = !is_as_it_should(file);
        if is_new {
            let done = if *is_secret { private_file::replace(path, bytes) } else { replace(path, bytes) };
            done.map_err(|source| WriteError::Io { path: path.clone(), source })?;
        }
        written.push((path.clone(), is_new));
    }
    Ok(written)
}

/// Puts `bytes` into the file at `path`, in one step, and lets others read it as they could before: all of them, when
/// it is new.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file);
    let mode = before.map_or(0o644, |before| before.permissions().mode() & 0o777);
    private_file::replace(path, bytes)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
