//! What a crate's `Cargo.toml` says about whom it depends on.

use toml_edit::{Document, Item, Table, TomlError};

/// One crate.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// The crate's name.
    pub(crate) name: String,
    /// Its folder, from the workspace's folder: `crates/ca`.
    pub(crate) folder: String,
    /// Whom it names, on every platform and with every feature.
    pub(crate) dependencies: Vec<Dependency>,
    /// Whether the workspace's lints hold in it.
    pub(crate) inherits_lints: bool,
}

/// One line of a dependency table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The name of the crate depended on, not the name it is given here.
    pub(crate) name: String,
    /// Only its tests, examples and benches see it.
    pub(crate) dev: bool,
    /// The line in `Cargo.toml`, counted from 1.
    pub(crate) line: usize,
}

impl Manifest {
    /// Reads the `Cargo.toml` of the crate in `folder`.
    pub(crate) fn parse(folder: &str, text: &str) -> Result<Self, TomlError> {
        let document = Document::parse(text)?;
        let root = document.as_table();
        let mut dependencies = Vec::new();
        collect(root, text, &mut dependencies);
        if let Some(targets) = root.get("target").and_then(Item::as_table) {
            for (_, target) in targets {
                target.as_table().into_iter().for_each(|table| collect(table, text, &mut dependencies));
            }
        }
        let at = |table: &str, key: &str| root.get(table).and_then(|table| table.get(key));
        let name = at("package", "name").and_then(Item::as_str).unwrap_or(folder).to_owned();
        let inherits_lints = at("lints", "workspace").and_then(Item::as_bool) == Some(true);
        Ok(Self { name, folder: folder.to_owned(), dependencies, inherits_lints })
    }

    /// Where its `Cargo.toml` is, from the workspace's folder.
    pub(crate) fn path(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// The line that names `dependency`, or the first when none does.
    pub(crate) fn line_of(&self, dependency: &str) -> usize {
        self.dependencies.iter().find(|named| named.name == dependency).map_or(1, |named| named.line)
    }
}

fn collect(table: &Table, text: &str, into: &mut Vec<Dependency>) {
    for (kind, dev) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
        let Some(named) = table.get(kind).and_then(Item::as_table_like) else { continue };
        for (alias, item) in named.iter() {
            let name = item.get("package").and_then(Item::as_str).unwrap_or(alias).to_owned();
            let span = named.key(alias).and_then(toml_edit::Key::span).or_else(|| item.span());
            let line = span.map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            into.push(Dependency { name, dev, line });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "\
[package]
name = \"ca\"

[dependencies]
base.workspace = true
shop = { package = \"store\", path = \"../store\" }

[dependencies.x509]
workspace = true

[target.'cfg(unix)'.dependencies]
rustix = \"1\"

[build-dependencies]
cc = \"1\"

[dev-dependencies]
testkit.workspace = true

[lints]
workspace = true
";

    #[test]
    fn every_way_to_write_a_dependency_is_read() {
        let manifest = Manifest::parse("crates/ca", EXAMPLE).unwrap();
        let seen: Vec<_> =
            manifest.dependencies.iter().map(|seen| (seen.name.as_str(), seen.dev, seen.line)).collect();
        let expected = [
            ("base", false, 5),
            ("store", false, 6),
            ("x509", false, 8),
            ("cc", false, 15),
            ("testkit", true, 18),
            ("rustix", false, 12),
        ];
        assert_eq!(seen, expected);
        assert_eq!((manifest.name.as_str(), manifest.inherits_lints), ("ca", true));
        assert_eq!(manifest.line_of("store"), 6);
        assert_eq!(manifest.line_of("nobody"), 1);
    }

    #[test]
    fn lints_that_are_not_inherited_are_noticed() {
        let manifest = Manifest::parse("crates/ca", "[package]\nname = \"ca\"\n").unwrap();
        assert!(!manifest.inherits_lints);
    }
}
