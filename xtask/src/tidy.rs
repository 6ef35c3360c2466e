//! Is the house still the one that ARCHITECTURE.md draws?
//!
//! Three things are held: the arrows (who may depend on whom), the absences (what a crate must not
//! have or say), and the code map (it names what is there). A finding is one line: where, what, why.
//!
//! The rules read text, not meaning. They catch what happens by accident; whoever wants to get round
//! them can, and would have to explain it in a review.

mod absences;
mod arrows;
mod code_map;
mod manifest;
mod source;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::run::Failure;
use manifest::Manifest;
use source::Source;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, from the workspace's folder.
    pub(crate) file: String,
    /// The line in it, counted from 1.
    pub(crate) line: usize,
    /// What was found there, and why it should not be.
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// One Rust file of a crate's `src/`.
pub(crate) struct File {
    /// The crate it belongs to.
    pub(crate) package: String,
    /// Where it is, from the workspace's folder: `crates/ca/src/lib.rs`.
    pub(crate) path: String,
    /// What it says, without tests and comments.
    pub(crate) source: Source,
}

impl File {
    fn finding(&self, line: usize, what: String) -> Finding {
        Finding { file: self.path.clone(), line, what }
    }

    /// Whether the path has a folder of this name in it.
    fn is_under(&self, folder: &str) -> bool {
        self.path.split('/').rev().skip(1).any(|part| part == folder)
    }

    /// The file's name, without the folders.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Everything that is not tidy in the workspace at `root`, in order of file and line.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, Failure> {
    let manifests = manifests(root)?;
    let mut findings = arrows::check(&manifests);
    for manifest in &manifests {
        for file in files(root, manifest)? {
            findings.extend(absences::check_source(&file));
        }
    }
    findings.extend(absences::check_trees(root, &manifests)?);
    let map = root.join("ARCHITECTURE.md");
    let text = fs::read_to_string(&map).map_err(Failure::file(&map))?;
    findings.extend(code_map::check("ARCHITECTURE.md", &text, &manifests));
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// The manifests of all crates: those under `crates/`, and the garden beside it.
fn manifests(root: &Path) -> Result<Vec<Manifest>, Failure> {
    let mut folders: Vec<String> =
        entries(&root.join("crates"))?.iter().map(|path| format!("crates/{}", name_of(path))).collect();
    folders.extend(arrows::GARDEN.iter().map(|&name| name.to_owned()));
    let mut manifests = Vec::new();
    for folder in folders {
        let path = root.join(&folder).join("Cargo.toml");
        if path.is_file() {
            let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
            let manifest = Manifest::parse(&folder, &text);
            manifests.push(manifest.map_err(|source| Failure::Manifest { path, source })?);
        }
    }
    Ok(manifests)
}

/// The crate's own Rust files: `src/` without the files and folders that hold only tests.
fn files(root: &Path, manifest: &Manifest) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![format!("{}/src", manifest.folder)];
    while let Some(folder) = folders.pop() {
        for path in entries(&root.join(&folder))? {
            let name = name_of(&path);
            let here = format!("{folder}/{name}");
            if name == "tests" || name == "tests.rs" {
                continue;
            }
            if path.is_dir() {
                folders.push(here);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
                let source = Source::read(&text).without_tests();
                files.push(File { package: manifest.name.clone(), path: here, source });
            }
        }
    }
    Ok(files)
}

/// What lies in a folder, by name; nothing when the folder is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Failure::file(folder))? {
        paths.push(entry.map_err(Failure::file(folder))?.path());
    }
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let findings = check(crate::root()).unwrap();
        let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
    }

    #[test]
    fn every_crate_and_its_files_are_seen() {
        let manifests = manifests(crate::root()).unwrap();
        let folders: Vec<&str> = manifests.iter().map(|manifest| manifest.folder.as_str()).collect();
        assert!(folders.contains(&"crates/base"), "{folders:?}");
        assert!(folders.contains(&"xtask"), "{folders:?}");
        let base = manifests.iter().find(|manifest| manifest.name == "base").unwrap();
        let files = files(crate::root(), base).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert!(paths.contains(&"crates/base/src/lib.rs"), "{paths:?}");
    }
}
