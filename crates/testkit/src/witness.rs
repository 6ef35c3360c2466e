//! Where other people's programs are, as `cargo xtask witnesses` installs them.

use std::path::PathBuf;

/// The path of the Python program `name`: in `venv/bin` of `$PROVOST_WITNESSES`, or else of
/// `$XDG_CACHE_HOME/provost/witnesses`, or else of `~/.cache/provost/witnesses`.
///
/// # Panics
/// When it is not there: a test without its witness has shown nothing.
#[must_use]
pub fn witness(name: &str) -> PathBuf {
    program("venv/bin", name)
}

/// The Python that has slapos.core at hand, in `slapos/bin` of the same folder.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn slapos_python() -> PathBuf {
    program("slapos/bin", "python")
}

/// The Python that has `ops`, what charms are made with, and the library of `certificate_transfer`.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn charms_python() -> PathBuf {
    program("charms/bin", "python")
}

/// The program `name` of the Python that has zc.buildout at hand, in `buildout/bin` of the same folder.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn buildout_program(name: &str) -> PathBuf {
    program("buildout/bin", name)
}

/// The program `name` of the Python that has what runs in a SlapOS partition at hand, zc.buildout and the recipes, in
/// `recipes/bin` of the same folder.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn recipes_program(name: &str) -> PathBuf {
    program("recipes/bin", name)
}

fn program(bin: &str, name: &str) -> PathBuf {
    let program = folder().map(|folder| folder.join(bin).join(name));
    match program {
        Some(program) if program.exists() => program,
        _ => panic!("this test needs the witness `{name}`; install it with: cargo xtask witnesses"),
    }
}

/// Where the witnesses are.
pub(crate) fn folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    variable("PROVOST_WITNESSES")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("provost/witnesses")))
        .or_else(|| Some(variable("HOME")?.join(".cache/provost/witnesses")))
}
