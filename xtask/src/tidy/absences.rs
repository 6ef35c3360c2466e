//! What a crate must not have in its tree, or say in its sources.

use std::path::Path;

use super::arrows::{self, ROOMS};
use super::manifest::Manifest;
use super::source::is_word;
use super::{File, Finding};
use crate::run::{self, Failure};

/// A word or path, and why it must not stand there.
type Ban = (&'static str, &'static str);

/// Crates that no room may bring along: a room decides, and neither waits nor talks.
const ROOM_TREE: &[&str] = &["axum", "bus", "hyper", "kube", "reqwest", "russh", "rustls", "ssh", "tokio"];

/// Crates that the program may not bring along in its default features.
const PROGRAM_TREE: &[&str] = &["native-tls", "openssl", "openssl-sys", "ring"];

const ROOM_WORDS: &[Ban] = &[
    ("std::fs", "a room touches no files; what it keeps goes through `store`"),
    ("std::net", "a room does not talk to the network; addresses as such are in core::net, which cannot"),
    ("std::process", "a room starts no programs"),
    ("std::env", "settings arrive as arguments"),
    ("SystemTime", "time is an argument: take a base::Clock"),
    ("Instant::now", "time is an argument: take a base::Clock"),
    ("getrandom", "chance is an argument: take a base::Entropy"),
    ("SystemRandom", "chance is an argument: take a base::Entropy"),
];

const SPAWNS: &[&str] = &[
    "tokio::spawn",
    "task::spawn",
    "task::spawn_blocking",
    "task::spawn_local",
    "runtime::Handle",
    "JoinSet",
    "TaskTracker",
];

const THREADS: &[&str] = &["thread::spawn", "thread::Builder"];

/// How the paths of the dialects begin.
const DIALECT_PATHS: &[&str] = &["/cas", "/cau", "/shacache", "/shadir"];

/// What must not stand in this file.
pub(crate) fn check_source(file: &File) -> Vec<Finding> {
    let mut findings = arrows::check_reactions(file);
    if ROOMS.contains(&file.package.as_str()) {
        for (word, why) in ROOM_WORDS {
            name(file, word, why, &mut findings);
        }
        if file.name() != "record.rs" && !file.is_under("record") {
            let why = "domain types are not serialised; what is stored has a type in record.rs";
            name(file, "Serialize", why, &mut findings);
        }
    }
    let spawns_threads = ["engine", "store", "testkit", "bench", "xtask"].contains(&file.package.as_str());
    let spawns_tasks = spawns_threads && file.package != "store";
    let why = "only `engine` spawns, and it awaits what it spawned";
    for word in SPAWNS.iter().filter(|_| !spawns_tasks) {
        name(file, word, why, &mut findings);
    }
    for word in THREADS.iter().filter(|_| !spawns_threads) {
        name(file, word, why, &mut findings);
    }
    if file.package != "lc-rsa" {
        name(file, "unsafe", "unsafe code lives in `lc-rsa` and nowhere else", &mut findings);
    }
    if file.package != "identity" {
        findings.extend(permits(file));
    }
    if file.package == "server" && !file.is_under("compat") {
        findings.extend(dialects(file));
    }
    findings
}

/// A finding for each line of `file` that names `word`.
fn name(file: &File, word: &str, why: &str, findings: &mut Vec<Finding>) {
    let lines = file.source.lines_naming(word).into_iter();
    findings.extend(lines.map(|line| file.finding(line, format!("`{word}`: {why}"))));
}

/// Places where a `Permit` is made, other than by asking `identity` for it with `Permit::grant`. The
/// house's own, `Permit::house`, is for those who run it.
fn permits(file: &File) -> impl Iterator<Item = Finding> {
    const WORD: &str = "Permit";
    let runs_the_house = ["engine", "provost", "testkit", "proof"].contains(&file.package.as_str());
    let made = file.source.words(WORD).filter(move |&at| {
        let (before, rest) = file.source.around(at);
        let after = rest[WORD.len()..].trim_start();
        if let Some(path) = after.strip_prefix("::") {
            // The action between `<` and `>` may be a path, but is never generic itself.
            let path =
                path.strip_prefix('<').and_then(|path| path.split_once(">::")).map_or(path, |(_, path)| path);
            let asked = path.split(|c| !is_word(c)).next().unwrap_or_default();
            return asked != "grant" && !(asked == "house" && runs_the_house);
        }
        let names_a_type = ["->", " for", " struct"].iter().any(|sign| before.trim_end().ends_with(sign));
        (after.starts_with('(') || after.starts_with('{')) && !names_a_type
    });
    let what = "only `identity` makes a `Permit`: ask for it with `Permit::grant`";
    made.map(move |at| file.finding(file.source.line(at), what.to_owned()))
}

/// String literals with a path of one of the dialects.
fn dialects(file: &File) -> impl Iterator<Item = Finding> {
    let spoken = file.source.literals().filter_map(|(line, text)| {
        let path = DIALECT_PATHS.iter().find(|path| {
            text.match_indices(*path).any(|(at, _)| !text[at + path.len()..].starts_with(is_word))
        })?;
        Some((line, *path))
    });
    spoken.map(|(line, path)| {
        file.finding(line, format!("\"{path}\": old dialects are spoken under compat/ and nowhere else"))
    })
}

/// What must not be in the tree of each room, and of the program as a whole.
pub(crate) fn check_trees(root: &Path, manifests: &[Manifest]) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for manifest in manifests {
        let (edges, banned, why) = if ROOMS.contains(&manifest.name.as_str()) {
            ("normal", ROOM_TREE, "a room neither waits nor talks")
        } else if manifest.name == "provost" {
            ("normal,build", PROGRAM_TREE, "one cryptography library in the process: aws-lc")
        } else {
            continue;
        };
        let arguments =
            ["tree", "--locked", "--prefix", "depth", "--edges", edges, "--package", &manifest.name];
        let tree = run::read(run::cargo(&arguments).current_dir(root))?;
        findings.extend(check_tree(manifest, &tree, banned, why));
    }
    Ok(findings)
}

/// Judges the output of `cargo tree --prefix depth`: lines such as `2tokio v1.54.1 (*)`.
fn check_tree(manifest: &Manifest, tree: &str, banned: &[&str], why: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut direct = "";
    for line in tree.lines() {
        let package = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let depth = &line[..line.len() - package.len()];
        let package = package.split(' ').next().unwrap_or_default();
        if depth == "1" {
            direct = package;
        }
        if depth != "0" && banned.contains(&package) {
            let through = if direct == package { String::new() } else { format!(" through `{direct}`") };
            let what = format!("`{}` has `{package}` in its tree{through}: {why}", manifest.name);
            findings.push(Finding { file: manifest.path(), line: manifest.line_of(direct), what });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::Source;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let package = path.strip_prefix("crates/").unwrap_or(path).split('/').next().unwrap().to_owned();
        let file = File { package, path: path.to_owned(), source: Source::read(text).without_tests() };
        let prefix = format!("{path}:");
        let found: Vec<String> = check_source(&file)
            .iter()
            .map(|finding| finding.to_string().strip_prefix(&prefix).unwrap().to_owned())
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_room_has_no_files_no_clock_and_no_dice() {
        check("crates/ca/src/lib.rs", "use base::{Clock, Entropy};\nfn now(clock: &Clock) {}", &[]);
        check(
            "crates/ca/src/lib.rs",
            "use std::{io, fs::File};\nlet now = std::time::SystemTime::now();",
            &[
                "1: `std::fs`: a room touches no files; what it keeps goes through `store`",
                "2: `SystemTime`: time is an argument: take a base::Clock",
            ],
        );
        check(
            "crates/fleet/src/lib.rs",
            "let now = Instant::now();\ngetrandom::fill(&mut a);",
            &[
                "1: `Instant::now`: time is an argument: take a base::Clock",
                "2: `getrandom`: chance is an argument: take a base::Entropy",
            ],
        );
        check("crates/store/src/lib.rs", "use std::fs::File;", &[]);
        check("crates/ca/src/lib.rs", "#[cfg(test)]\nmod tests { use std::fs; }", &[]);
    }

    #[test]
    fn what_a_room_stores_has_a_record() {
        let text = "#[derive(serde::Serialize)]\nstruct Certificate;";
        check("crates/ca/src/record.rs", text, &[]);
        check("crates/server/src/v1.rs", text, &[]);
        check("crates/ca/src/issue.rs", "#[derive(Deserialize)]\nstruct Certificate;", &[]);
        check(
            "crates/ca/src/issue.rs",
            text,
            &["1: `Serialize`: domain types are not serialised; what is stored has a type in record.rs"],
        );
    }

    #[test]
    fn only_the_engine_spawns() {
        let why = "only `engine` spawns, and it awaits what it spawned";
        let task = "tokio::spawn(work);";
        let thread = "std::thread::Builder::new().spawn(work);";
        check("crates/engine/src/tasks.rs", task, &[]);
        check("crates/store/src/sqlite.rs", thread, &[]);
        check("crates/server/src/doors.rs", "tasks.spawn(work);", &[]);
        check("crates/store/src/sqlite.rs", task, &[&format!("1: `tokio::spawn`: {why}")]);
        check("crates/server/src/doors.rs", task, &[&format!("1: `tokio::spawn`: {why}")]);
        check("crates/server/src/doors.rs", thread, &[&format!("1: `thread::Builder`: {why}")]);
        check("crates/provost/src/up.rs", "use tokio::task::{JoinSet};", &[&format!("1: `JoinSet`: {why}")]);
    }

    #[test]
    fn only_identity_makes_a_permit() {
        let why = "1: only `identity` makes a `Permit`: ask for it with `Permit::grant`";
        for made in ["Permit { by }", "Permit(by)", "Permit::house()", "Permit::<ca::Approve>::house()"] {
            check("crates/server/src/doors.rs", &format!("let permit = {made};"), &[why]);
            check("crates/identity/src/permit.rs", &format!("let permit = {made};"), &[]);
        }
        check("crates/server/src/doors.rs", "Permit::grant(by)?; Permit::<ca::Approve>::grant(by)?;", &[]);
        check("crates/engine/src/start.rs", "let permit = Permit::<Issue>::house();", &[]);
        check("crates/ca/src/service.rs", "fn approve(permit: Permit<Approve>) -> Permit { permit }", &[]);
        check("crates/ca/src/service.rs", "use identity::Permit;\nimpl Named for Permit {}", &[]);
    }

    #[test]
    fn dialects_are_spoken_under_compat() {
        let routes = "router.route(\"/cas/csr\", put(submit))";
        let why = "1: \"/cas\": old dialects are spoken under compat/ and nowhere else";
        check("crates/server/src/compat/caucase.rs", routes, &[]);
        check("crates/server/src/routes.rs", routes, &[why]);
        check("crates/server/src/routes.rs", "let why = \"in any /case, /castle\"; // \"/cas\"", &[]);
    }

    #[test]
    fn unsafe_code_has_one_home() {
        check("crates/lc-rsa/src/lib.rs", "unsafe { sign() }", &[]);
        check("crates/server/src/lib.rs", "#![forbid(unsafe_code)]", &[]);
        check(
            "crates/server/src/lib.rs",
            "unsafe { sign() }",
            &["1: `unsafe`: unsafe code lives in `lc-rsa` and nowhere else"],
        );
    }

    #[test]
    fn a_tree_is_judged_with_the_way_in() {
        let text = "[package]\nname = \"ca\"\n[dependencies]\nstore = \"1\"\ntokio = \"1\"\n";
        let manifest = Manifest::parse("crates/ca", text).unwrap();
        let found = |tree: &str| -> Vec<String> {
            check_tree(&manifest, tree, ROOM_TREE, "no").iter().map(Finding::to_string).collect()
        };
        assert_eq!(
            found("0ca v0.1.0 (/x)\n1store v0.1.0\n2serde v1.0.1\n1thiserror v2 (proc-macro)\n"),
            [""; 0]
        );
        assert_eq!(
            found("0ca v0.1.0 (/x)\n1store v0.1.0\n2hyper v1.0\n10rustls v0.23 (*)\n1tokio v1.54.1\n"),
            [
                "crates/ca/Cargo.toml:4: `ca` has `hyper` in its tree through `store`: no",
                "crates/ca/Cargo.toml:4: `ca` has `rustls` in its tree through `store`: no",
                "crates/ca/Cargo.toml:5: `ca` has `tokio` in its tree: no",
            ]
        );
    }
}
