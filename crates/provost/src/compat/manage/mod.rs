//! `caucased-manage`, by its own name: works on the database of a server that is stopped (caucase contract, 7.6).
//!
//! ```text
//! restore.rs     a backup, the original's or ours, becomes a database of ours
//! import.rs      CA certificates, keys and revocation lists that an operator brings along
//! export.rs      CA certificates and their keys, under a passphrase
//! passphrase.rs  asked on the terminal
//! ```
//! What it works on may also be a database of the original's: importing takes it over first, as `caucased --db` does;
//! exporting leaves it as it is.

mod error;
mod export;
mod import;
mod passphrase;
mod restore;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use base::{Clock, Entropy, Explain as _, Span, report};
use ca::AuthorityName;
use ca::takeover::Shelf;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use rustix::fs::Mode;
use rustix::process::umask;
use store::{Engine, SealingKey, Sqlite};

use self::error::ManageError;
use super::takeover::switch;
use crate::lock::Lock;
use crate::output;

/// The version whose behaviour this is; what `--version` prints.
const VERSION: &str = "0.9.17";
/// Exit code for wrong usage.
const WRONG_USAGE: u8 = 2;
/// Shortest and longest life of the certificate that is made, in days, as for `caucased`.
const VALIDITY_DAYS: std::ops::RangeInclusive<f64> = 0.000_07..=36_500.0;

/// What was asked for.
struct Wanted {
    database: PathBuf,
    user_life: Span,
    restore: Option<restore::Wanted>,
    import: import::Wanted,
    export: Option<PathBuf>,
}

/// The whole command line.
pub fn command() -> Command {
    let path = |long: &'static str, value: &'static str, help: &'static str| {
        Arg::new(long).long(long).value_name(value).value_parser(value_parser!(PathBuf)).help(help)
    };
    Command::new("caucased-manage")
        .about("Restores, imports and exports the certificate authority's database; its server has to be stopped")
        .version(VERSION)
        .infer_long_args(true)
        .args_override_self(true)
        .disable_version_flag(true)
        .arg(Arg::new("version").long("version").action(ArgAction::Version).help("Print version"))
        .arg(path("db", "PATH", "Database [default: caucase.sqlite]"))
        .arg(
            Arg::new("user-crt-validity")
                .long("user-crt-validity")
                .value_name("DAYS")
                .value_parser(value_parser!(f64))
                .allow_negative_numbers(true)
                .help("Validity of the certificate that a restoration makes [default: 93]"),
        )
        .arg(
            Arg::new("restore-backup")
                .long("restore-backup")
                .value_names(["BACKUP", "KEY", "CSR", "CRT"])
                .num_args(4)
                .value_parser(value_parser!(PathBuf))
                .help("Make a new database of BACKUP, which the private key in KEY opens")
                .long_help(
                    "Make a new database of BACKUP, which the private key in KEY opens. The certificate of that key is \
                     revoked, and one for the key of the signing request in CSR is appended to CRT. There must be no \
                     database yet.",
                ),
        )
        .arg(
            path("import-ca", "PEM", "Import CA certificates and their keys, for services")
                .action(ArgAction::Append)
                .long_help(
                    "Import CA certificates and their keys, for services. May be given several times: certificates and \
                     keys belong together by their keys, wherever they are. Passphrases are asked for.",
                ),
        )
        .arg(
            Arg::new("import-bad-ca")
                .long("import-bad-ca")
                .action(ArgAction::SetTrue)
                .help("Do not look whether they are fit for CA certificates"),
        )
        .arg(
            path("import-crl", "PEM", "Import a revocation list of services, of a CA that is present")
                .action(ArgAction::Append),
        )
        .arg(path("export-ca", "PEM", "Export all CA certificates of services, their keys under a passphrase"))
}

/// Runs it with `arguments`, the first of which is its name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(usage) if usage.kind() == ErrorKind::DisplayVersion => {
            let _ = output::data(&format!("{VERSION}\n"));
            return ExitCode::SUCCESS;
        }
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(if usage.exit_code() == 0 { 0 } else { WRONG_USAGE });
        }
    };
    let wanted = match wanted(&matches) {
        Ok(wanted) => wanted,
        Err(what) => {
            output::error(what, None::<&str>);
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match manage(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(report(&error), error.help());
            match error {
                ManageError::ExportExists { .. } => ExitCode::from(WRONG_USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn wanted(matches: &ArgMatches) -> Result<Wanted, String> {
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let paths = |name: &str| -> Vec<PathBuf> {
        matches.get_many::<PathBuf>(name).map(|paths| paths.cloned().collect()).unwrap_or_default()
    };
    let days = matches.get_one::<f64>("user-crt-validity").copied().unwrap_or(93.0);
    let user_life = Some(days).filter(|days| VALIDITY_DAYS.contains(days)).and_then(Span::days_f64);
    let (least, most) = (VALIDITY_DAYS.start(), VALIDITY_DAYS.end());
    let user_life =
        user_life.ok_or_else(|| format!("--user-crt-validity: must be between {least} and {most}"))?;
    let restore = match &paths("restore-backup")[..] {
        [backup, key, csr, crt] => Some(restore::Wanted {
            backup: backup.clone(),
            key: key.clone(),
            csr: csr.clone(),
            crt: crt.clone(),
        }),
        _ => None,
    };
    Ok(Wanted {
        database: path("db").unwrap_or_else(|| PathBuf::from("caucase.sqlite")),
        user_life,
        restore,
        import: import::Wanted {
            authorities: paths("import-ca"),
            also_bad: matches.get_flag("import-bad-ca"),
            lists: paths("import-crl"),
        },
        export: path("export-ca"),
    })
}

fn manage(wanted: &Wanted) -> Result<(), ManageError> {
    // Before anything is done: what can be known to fail does not fail halfway.
    if let Some(path) = &wanted.export
        && path.symlink_metadata().is_ok()
    {
        return Err(ManageError::ExportExists { path: path.clone() });
    }
    // Whatever is made from here on is for this user alone.
    umask(Mode::RWXG | Mode::RWXO);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ManageError::Runtime)?;
    let (clock, entropy) = (Clock::system(), Entropy::system());
    runtime.block_on(async {
        let place = Place::of(&wanted.database);
        if let Some(restored) = &wanted.restore {
            restore::restore(&place, restored, wanted.user_life, &clock, &entropy).await?;
        }
        import::import(&place, &wanted.import, &clock, &entropy).await?;
        match &wanted.export {
            Some(path) => export::export(&place, path, &clock, &entropy).await,
            None => Ok(()),
        }
    })
}

/// Where a database is, and the key that seals its secrets.
struct Place {
    database: PathBuf,
    key: PathBuf,
}

impl Place {
    /// Beside the database of `caucased`, and in the data directory of `provost up`.
    fn of(database: &Path) -> Self {
        let key = match database.file_name() {
            Some(name) if name == "provost.db" => database.with_file_name("store.key"),
            _ => beside(database, "", ".key"),
        };
        Self { database: database.to_owned(), key }
    }

    /// The lock of the data directory that it is in, where it is in one.
    fn lock(&self) -> Result<Option<Lock>, ManageError> {
        if self.database.file_name().is_none_or(|name| name != "provost.db") {
            return Ok(None);
        }
        Ok(Some(Lock::take(folder_of(&self.database))?))
    }

    /// Opens the database, which is taken over from the original where it is its, and made where it is not there and `is_made`.
    async fn open(&self, is_made: bool, clock: &Clock, entropy: &Entropy) -> Result<Opened, ManageError> {
        let lock = self.lock()?;
        Sqlite::check_path(&self.database)?;
        if switch::is_needed(&self.database)? {
            let switched =
                switch::take_over(&self.database, &self.key, (clock, false), entropy, |_| {}).await?;
            let (was, is) = (self.database.display(), switched.original.display());
            let what = switched.taken.summary();
            output::note(format_args!("took over {was} from caucase, which is {is} now: {what}"));
            for odd in switched.taken.findings() {
                output::note(format_args!("note: {odd}"));
            }
        }
        let is_there = self.database.exists();
        if !is_there && !is_made {
            return Err(ManageError::NoDatabase { path: self.database.clone() });
        }
        if is_there && !self.key.exists() {
            // First whether it is ours at all.
            drop(Sqlite::look(&self.database)?);
            return Err(ManageError::KeyLost { database: self.database.clone(), key: self.key.clone() });
        }
        // The key comes first: who is killed in between leaves no database without its key.
        let sealing = SealingKey::load_or_create(&self.key, entropy)?;
        let engine: Arc<dyn Engine> = Arc::new(Sqlite::open(&self.database)?);
        Ok(Opened { engine, sealing, _lock: lock })
    }
}

/// An open database.
struct Opened {
    engine: Arc<dyn Engine>,
    sealing: SealingKey,
    _lock: Option<Lock>,
}

impl Opened {
    /// The authority for services, which alone can be imported and exported.
    fn services<'a>(&'a self, clock: &'a Clock, entropy: &'a Entropy) -> Shelf<'a> {
        Shelf { authority: AuthorityName::Services, sealing: &self.sealing, clock, entropy }
    }
}

/// What is beside `path`, its name with something around it.
fn beside(path: &Path, before: &str, after: &str) -> PathBuf {
    let mut name = OsString::from(before);
    name.push(path.file_name().unwrap_or_default());
    name.push(after);
    path.with_file_name(name)
}

/// The folder that `path` is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        command().debug_assert();
    }

    #[test]
    fn paths_are_shown_as_python_does() {
        for (path, shown) in
            [("a b", "'a b'"), ("a'b", "\"a'b\""), ("a'\"", "'a\\'\"'"), ("\\\n", "'\\\\\\n'")]
        {
            assert_eq!(error::python(Path::new(path)), shown);
        }
    }
}
