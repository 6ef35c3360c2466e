//! Manual pages and completions, made from the commands themselves: those of `provost`, and of every program of old
//! that this version has.

use std::io;
use std::iter;
use std::path::{Path, PathBuf};

use base::{Explain, Kind};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::names::{OLD_NAMES, OldName};
use crate::{cli, output};

/// Why pages or completions could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// There is nowhere to put them.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// What was named.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("could not write into {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Explain for DocumentsError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotADirectory { .. } => Kind::NotFound,
            Self::Io { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotADirectory { path } if path.exists() => Some("name a directory".to_owned()),
            Self::NotADirectory { path } => Some(format!("run `mkdir -p {}` first", path.display())),
            Self::Io { .. } => None,
        }
    }
}

/// The command lines of all programs in this one.
fn programs() -> impl Iterator<Item = Command> {
    iter::once(cli::command()).chain(OLD_NAMES.iter().filter_map(OldName::command))
}

fn page(command: Command) -> Man {
    Man::new(command).source(concat!("Provost ", env!("CARGO_PKG_VERSION"))).manual("Provost")
}

/// The manual page of `provost`.
pub fn manual_page() -> String {
    let mut text = Vec::new();
    page(cli::command()).render(&mut text).expect("writing to memory cannot fail");
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes the manual pages of all programs and of their commands into `directory`, and says so.
///
/// # Errors
/// [`DocumentsError`].
pub fn write_manual_pages(directory: &Path) -> Result<(), DocumentsError> {
    is_directory(directory)?;
    for program in programs() {
        // `help` would have a page for each command once more.
        let mut program = program.disable_help_subcommand(true);
        program.build();
        let of_commands = write_pages(&program, directory).map_err(not_written(directory))? - 1;
        let first = directory.join(page(program).get_filename());
        match of_commands {
            0 => output::note(format_args!("wrote {}", first.display())),
            _ => output::note(format_args!("wrote {}, and {of_commands} for its commands", first.display())),
        }
    }
    Ok(())
}

/// Writes the pages of `command` and of all commands below it; how many these are.
fn write_pages(command: &Command, directory: &Path) -> io::Result<usize> {
    page(command.clone()).generate_to(directory)?;
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| write_pages(command, directory)).try_fold(1, |sum, pages| Ok(sum + pages?))
}

/// What makes `shell` complete the commands of `provost`.
pub fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "provost", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes what makes `shell` complete the commands of all programs into `directory`, a file for each under the name that
/// the shell looks for, and says so.
///
/// # Errors
/// [`DocumentsError`].
pub fn write_completions(shell: Shell, directory: &Path) -> Result<(), DocumentsError> {
    is_directory(directory)?;
    for mut program in programs() {
        let name = program.get_name().to_owned();
        let written = clap_complete::generate_to(shell, &mut program, name, directory);
        output::note(format_args!("wrote {}", written.map_err(not_written(directory))?.display()));
    }
    Ok(())
}

fn is_directory(path: &Path) -> Result<(), DocumentsError> {
    if path.is_dir() { Ok(()) } else { Err(DocumentsError::NotADirectory { path: path.to_owned() }) }
}

fn not_written(path: &Path) -> impl Fn(io::Error) -> DocumentsError {
    move |source| DocumentsError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    /// Calls `look` with every command that is shown in help, and the name of its page.
    fn each(command: &Command, look: &mut impl FnMut(&str, &Command)) {
        look(command.get_display_name().unwrap_or_else(|| command.get_name()), command);
        command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(|one| each(one, look));
    }

    fn long_options(command: &Command) -> Vec<String> {
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        shown.filter_map(|argument| Some(argument.get_long()?.to_owned())).collect()
    }

    /// All programs, with what clap adds to them.
    fn built() -> Vec<Command> {
        programs()
            .map(|program| {
                let mut program = program.disable_help_subcommand(true);
                program.build();
                program
            })
            .collect()
    }

    #[test]
    fn every_command_has_a_manual_page_with_its_options() {
        let directory = tempfile::tempdir().unwrap();
        write_manual_pages(directory.path()).unwrap();
        let mut pages: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|page| page.unwrap().file_name().into_string().unwrap())
            .collect();
        for program in built() {
            each(&program, &mut |name, command| {
                let file = format!("{name}.1");
                let page = std::fs::read_to_string(directory.path().join(&file)).unwrap();
                pages.retain(|page| *page != file);
                // One line, without which `man` shows nothing, and `apropos` finds nothing.
                assert!(page.lines().any(|line| line.starts_with(&format!(".TH {name} 1 "))), "{page}");
                let about = page.lines().skip_while(|line| *line != ".SH NAME").nth(1).unwrap();
                assert!(about.replace('\\', "").starts_with(&format!("{name} - ")), "{name}: {about}");
                for option in long_options(command) {
                    let option = format!("\\-\\-{}", option.replace('-', "\\-"));
                    assert!(page.contains(&option), "{name}: {option}");
                }
                for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
                    let see = format!("{name}-{}(1)", command.get_name()).replace('-', "\\-");
                    assert!(page.contains(&see), "{name}: {see}");
                }
            });
        }
        assert_eq!(pages, Vec::<String>::new(), "pages of no command");
    }

    #[test]
    fn every_shell_completes_every_program() {
        for shell in Shell::value_variants() {
            let directory = tempfile::tempdir().unwrap();
            write_completions(*shell, directory.path()).unwrap();
            let files = std::fs::read_dir(directory.path()).unwrap().count();
            assert_eq!(files, programs().count(), "{shell}");
            for program in built() {
                let name = program.get_name();
                let file = clap_complete::Generator::file_name(shell, name);
                let text = std::fs::read_to_string(directory.path().join(file)).unwrap();
                each(&program, &mut |command, its| {
                    // clap_complete goes two levels deep for fish: what follows `provost cache release pack` is not completed.
                    let is_deep =
                        ["provost-cache-release-", "provost-trust-provider-", "provost-trust-requirer-"];
                    if *shell == Shell::Fish && is_deep.iter().any(|deep| command.starts_with(deep)) {
                        return;
                    }
                    for option in long_options(its) {
                        assert!(text.contains(&option), "{shell}: {command}: {option}");
                    }
                    assert!(text.contains(its.get_name()), "{shell}: {command}");
                });
            }
        }
    }

    #[test]
    fn every_name_that_is_linked_has_both() {
        let served = OLD_NAMES.iter().filter(|old| old.is_served()).map(|old| old.name);
        let expected: Vec<_> = iter::once("provost").chain(served).collect();
        let named: Vec<_> = programs().map(|program| program.get_name().to_owned()).collect();
        assert_eq!(named, expected);
    }
}
