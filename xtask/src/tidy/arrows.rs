//! Who may depend on whom.
//!
//! ```text
//! roof      provost
//! faces     server      console      cli
//! hall      engine      wire         client      service
//! rooms     ca          cache        fleet       trust
//! crafts    x509  lc-rsa  entry  chain  caucase-files  archive  store  bus  ssh  ansible  kube
//!           pkcs11  tls  identity
//! ground    base
//! (garden)  testkit  xtask  bench  fuzz  proof
//! ```
//! Arrows point down. The table also names crates that are still to come, so that the first line of
//! such a crate already has its place.

use super::manifest::{Dependency, Manifest};
use super::{File, Finding};

/// The four trades.
pub(crate) const ROOMS: [&str; 4] = ["ca", "cache", "fleet", "trust"];

/// For tests, chores and measurements: nobody's normal dependency. `testkit` lies under `crates/`.
pub(crate) const GARDEN: [&str; 4] = ["bench", "fuzz", "proof", "xtask"];

/// Each crate, and which of our own it may depend on besides `base`.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    // Crafts.
    ("lc-rsa", &[]),
    ("x509", &["lc-rsa"]),
    ("entry", &["x509", "lc-rsa"]),
    ("chain", &["x509"]),
    ("caucase-files", &["x509", "lc-rsa"]),
    ("archive", &[]),
    ("tls", &[]),
    ("store", &["tls"]),
    ("bus", &[]),
    ("ssh", &[]),
    ("ansible", &[]),
    ("kube", &["tls"]),
    ("pkcs11", &["x509"]),
    ("identity", &["x509", "store", "tls"]),
    // Rooms.
    ("ca", &["x509", "caucase-files", "store", "identity"]),
    ("cache", &["x509", "entry", "store", "identity"]),
    ("trust", &["x509", "store", "identity"]),
    ("fleet", &["x509", "store", "identity"]),
    // The hall.
    (
        "engine",
        &[
            "x509",
            "entry",
            "chain",
            "caucase-files",
            "store",
            "bus",
            "ssh",
            "ansible",
            "kube",
            "pkcs11",
            "tls",
            "identity",
            "ca",
            "cache",
            "fleet",
            "trust",
        ],
    ),
    ("wire", &[]),
    ("client", &["wire", "x509", "entry"]),
    ("service", &["bus", "wire"]),
    // Faces.
    (
        "server",
        &[
            "wire", "engine", "ca", "cache", "fleet", "trust", "identity", "x509", "entry", "chain", "store",
            "bus",
        ],
    ),
    ("console", &["wire", "engine", "ca", "cache", "fleet", "trust", "identity"]),
    // Never engine or store: the command line cannot open the database.
    ("cli", &["wire", "client", "x509", "entry", "chain"]),
    // The roof wires everything.
    (
        "provost",
        &[
            "lc-rsa",
            "x509",
            "entry",
            "chain",
            "caucase-files",
            "archive",
            "store",
            "bus",
            "ssh",
            "ansible",
            "kube",
            "pkcs11",
            "tls",
            "identity",
            "ca",
            "cache",
            "fleet",
            "trust",
            "engine",
            "wire",
            "client",
            "service",
            "server",
            "console",
            "cli",
        ],
    ),
    // The garden.
    (
        "testkit",
        &[
            "lc-rsa",
            "x509",
            "entry",
            "chain",
            "caucase-files",
            "archive",
            "store",
            "bus",
            "ssh",
            "ansible",
            "kube",
            "pkcs11",
            "tls",
            "identity",
            "ca",
            "cache",
            "fleet",
            "trust",
            "engine",
            "wire",
            "client",
            "service",
            "server",
            "console",
            "cli",
            "provost",
        ],
    ),
    ("xtask", &[]),
];

/// Crates from elsewhere that nobody may name, and why.
const BANNED: &[(&str, &str)] = &[
    ("native-tls", "TLS is rustls with aws-lc"),
    ("openssl", "one cryptography library in the process: aws-lc"),
    ("ring", "one cryptography library in the process: aws-lc"),
    ("rsa", "it leaks timing (RUSTSEC-2023-0071); RSA is aws-lc's"),
];

/// Every arrow that points where it must not, and every crate that does not stand in the table.
pub(crate) fn check(manifests: &[Manifest]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in manifests {
        let mut find = |line, what| findings.push(Finding { file: manifest.path(), line, what });
        if !manifest.inherits_lints {
            find(1, format!("`{}` does not have `[lints] workspace = true`", manifest.name));
        }
        if manifest.name != manifest.folder.rsplit('/').next().unwrap_or_default() {
            find(1, format!("crate `{}` does not have the name of its folder", manifest.name));
        }
        let allowed = allowed(&manifest.name);
        if allowed.is_none() && !may_use_anything(&manifest.name) {
            find(
                1,
                format!(
                    "`{}` does not stand in the table of arrows, xtask/src/tidy/arrows.rs",
                    manifest.name
                ),
            );
        }
        for dependency in &manifest.dependencies {
            if let Some(what) = objection(&manifest.name, allowed.unwrap_or_default(), dependency) {
                find(dependency.line, what);
            }
        }
    }
    findings
}

fn objection(from: &str, allowed: &[&str], dependency: &Dependency) -> Option<String> {
    let to = dependency.name.as_str();
    if let Some((_, why)) = BANNED.iter().find(|(name, _)| *name == to) {
        return Some(format!("`{from}` may not depend on `{to}`: {why}"));
    }
    // A crate's tests may want more of its own features.
    let is_itself = to == from && dependency.dev;
    if !is_ours(to) || is_itself || to == "base" || allowed.contains(&to) {
        return None;
    }
    if to == "testkit" {
        let fine = dependency.dev || may_use_anything(from);
        return (!fine).then(|| format!("`{from}` may have `{to}` in [dev-dependencies] only"));
    }
    if GARDEN.contains(&to) {
        return Some(format!("`{from}` may not depend on `{to}`: the garden is not part of the house"));
    }
    (!may_use_anything(from))
        .then(|| format!("`{from}` may not depend on `{to}`: the arrows do not go there"))
}

/// Measurements, fuzzing and proofs may reach into every crate.
fn may_use_anything(package: &str) -> bool {
    matches!(package, "bench" | "fuzz" | "proof")
}

fn allowed(package: &str) -> Option<&'static [&'static str]> {
    ARROWS.iter().find(|(name, _)| *name == package).map(|(_, allowed)| *allowed)
}

fn is_ours(package: &str) -> bool {
    allowed(package).is_some() || GARDEN.contains(&package)
}

/// A file of `engine` that names two rooms is a reaction and lives with the others; `house.rs` is where
/// the rooms are put into the house.
pub(crate) fn check_reactions(file: &File) -> Vec<Finding> {
    if file.package != "engine" || file.is_under("reactions") || file.name() == "house.rs" {
        return Vec::new();
    }
    let named: Vec<(&str, usize)> = ROOMS
        .iter()
        .filter_map(|room| Some((*room, *file.source.lines_naming(&format!("{room}::")).first()?)))
        .collect();
    match named.as_slice() {
        [(one, _), (two, line), ..] => {
            let what = format!("names two rooms, `{one}` and `{two}`: this belongs in engine/src/reactions/");
            vec![file.finding(*line, what)]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::Source;

    fn findings(folder: &str, dependencies: &str) -> Vec<String> {
        let name = folder.rsplit('/').next().unwrap();
        let text = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{dependencies}");
        let manifest = Manifest::parse(folder, &text).unwrap();
        check(&[manifest]).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn arrows_point_down() {
        let check = |folder: &str, dependencies: &str, expected: &[&str]| {
            assert_eq!(findings(folder, dependencies), expected, "{folder}: {dependencies}");
        };
        check(
            "crates/ca",
            "[dependencies]\nbase.workspace = true\nstore.workspace = true\nserde = \"1\"",
            &[],
        );
        check("crates/ca", "[dev-dependencies]\ntestkit.workspace = true", &[]);
        check("crates/ca", "[dev-dependencies]\nca = { path = \".\", features = [\"x\"] }", &[]);
        check("bench", "[dependencies]\nserver.workspace = true\ntestkit.workspace = true", &[]);
        check(
            "crates/ca",
            "[dependencies]\nengine.workspace = true",
            &["crates/ca/Cargo.toml:6: `ca` may not depend on `engine`: the arrows do not go there"],
        );
        check(
            "crates/store",
            "[dev-dependencies]\nca.workspace = true",
            &["crates/store/Cargo.toml:6: `store` may not depend on `ca`: the arrows do not go there"],
        );
        check(
            "crates/cache",
            "[dependencies]\nca.workspace = true",
            &["crates/cache/Cargo.toml:6: `cache` may not depend on `ca`: the arrows do not go there"],
        );
        check(
            "crates/cli",
            "[dependencies]\nstore.workspace = true",
            &["crates/cli/Cargo.toml:6: `cli` may not depend on `store`: the arrows do not go there"],
        );
    }

    #[test]
    fn nobody_depends_on_the_garden() {
        assert_eq!(
            findings("crates/server", "[dependencies]\ntestkit.workspace = true"),
            ["crates/server/Cargo.toml:6: `server` may have `testkit` in [dev-dependencies] only"]
        );
        assert_eq!(
            findings("crates/server", "[dev-dependencies]\nxtask.workspace = true"),
            [
                "crates/server/Cargo.toml:6: `server` may not depend on `xtask`: the garden is not part of the house"
            ]
        );
    }

    #[test]
    fn some_crates_are_for_nobody() {
        assert_eq!(
            findings("crates/x509", "[dependencies]\nrsa = \"0.9\""),
            ["crates/x509/Cargo.toml:6: `x509` may not depend on `rsa`: \
              it leaks timing (RUSTSEC-2023-0071); RSA is aws-lc's"]
        );
    }

    #[test]
    fn a_crate_has_a_place_a_name_and_lints() {
        assert_eq!(
            findings("crates/attic", ""),
            [
                "crates/attic/Cargo.toml:1: `attic` does not stand in the table of arrows, xtask/src/tidy/arrows.rs"
            ]
        );
        let manifest = Manifest::parse("crates/ca", "[package]\nname = \"cas\"").unwrap();
        let found: Vec<String> = check(&[manifest]).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], "`cas` does not have `[lints] workspace = true`");
        assert_eq!(found[1], "crate `cas` does not have the name of its folder");
    }

    #[test]
    fn the_table_names_only_crates_that_are_in_it() {
        for (name, allowed) in ARROWS {
            for to in *allowed {
                assert!(is_ours(to), "{name} → {to}");
            }
        }
    }

    #[test]
    fn two_rooms_meet_in_reactions() {
        let check = |path: &str, text: &str| {
            let source = Source::read(text).without_tests();
            check_reactions(&File { package: "engine".into(), path: path.into(), source }).len()
        };
        let both = "use ca::Authority;\nuse fleet::Host;\n";
        assert_eq!(check("crates/engine/src/renew.rs", both), 1);
        assert_eq!(check("crates/engine/src/reactions/renew.rs", both), 0);
        assert_eq!(check("crates/engine/src/house.rs", both), 0);
        assert_eq!(check("crates/engine/src/renew.rs", "use ca::Authority;\n"), 0);
    }
}
