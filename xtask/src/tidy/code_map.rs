//! The code map names what is there.
//!
//! An entry of the map is a list item under the heading `## Code map` that begins with a crate's
//! folder in backquotes, and holds the word `**Invariant:**`:
//!
//! ```text
//! - `crates/ca`: the certificate authority. **Invariant:** it never reads the clock.
//! ```

use super::Finding;
use super::manifest::Manifest;

const HEADING: &str = "## Code map";
const INVARIANT: &str = "**Invariant:**";

struct Entry<'a> {
    folder: &'a str,
    line: usize,
    has_invariant: bool,
}

/// Crates that the map in `text` forgets or invents, and entries without an invariant.
pub(crate) fn check(file: &str, text: &str, manifests: &[Manifest]) -> Vec<Finding> {
    let finding = |line, what| Finding { file: file.to_owned(), line, what };
    let Some(heading) = text.lines().position(|line| line.trim_end() == HEADING) else {
        return vec![finding(1, format!("there is no heading `{HEADING}`"))];
    };
    let entries = entries(text, heading);
    let mut findings = Vec::new();
    for manifest in manifests {
        match entries.iter().filter(|entry| entry.folder == manifest.folder).count() {
            0 => findings.push(finding(heading + 1, format!("the code map forgets `{}`", manifest.folder))),
            1 => {}
            _ => findings.push(finding(heading + 1, format!("the code map has `{}` twice", manifest.folder))),
        }
    }
    for entry in entries {
        if !manifests.iter().any(|manifest| manifest.folder == entry.folder) {
            findings.push(finding(
                entry.line,
                format!("the code map names `{}`, which is not there", entry.folder),
            ));
        }
        if !entry.has_invariant {
            findings.push(finding(entry.line, format!("`{}` has no {INVARIANT}", entry.folder)));
        }
    }
    findings
}

/// The entries between the heading on line `heading` (counted from 0) and the next heading.
fn entries(text: &str, heading: usize) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (number, line) in text.lines().enumerate().skip(heading + 1) {
        if line.starts_with("## ") {
            break;
        }
        if let Some((folder, _)) = line.strip_prefix("- `").and_then(|rest| rest.split_once('`')) {
            entries.push(Entry { folder, line: number + 1, has_invariant: false });
        }
        if let Some(entry) = entries.last_mut() {
            entry.has_invariant |= line.contains(INVARIANT);
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let manifest = |folder| Manifest::parse(folder, "").unwrap();
        let manifests = [manifest("crates/ca"), manifest("xtask")];
        check("MAP.md", text, &manifests).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_true_map_is_fine() {
        let text = "# A\n- `crates/elsewhere`\n## Code map\nText.\n- `crates/ca`: one.\n  **Invariant:** x.\n\
                    - `xtask`: **Invariant:** y.\n## Next\n- `crates/elsewhere`\n";
        assert_eq!(findings(text), [""; 0]);
    }

    #[test]
    fn what_is_forgotten_invented_or_unexplained_is_found() {
        let text = "## Code map\n- `crates/ca`: no rule.\n- `crates/attic`: **Invariant:** dusty.\n";
        let expected = [
            "MAP.md:1: the code map forgets `xtask`",
            "MAP.md:2: `crates/ca` has no **Invariant:**",
            "MAP.md:3: the code map names `crates/attic`, which is not there",
        ];
        assert_eq!(findings(text), expected);
        let twice = "## Code map\n- `xtask` **Invariant:** a\n- `xtask` **Invariant:** b\n\
                     - `crates/ca` **Invariant:** c\n";
        assert_eq!(findings(twice), ["MAP.md:1: the code map has `xtask` twice"]);
        assert_eq!(findings("# Map\n"), ["MAP.md:1: there is no heading `## Code map`"]);
    }
}
