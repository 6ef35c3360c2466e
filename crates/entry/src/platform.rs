//! Which machines a compiled release fits (networkcache contract, section 10).
//!
//! ```text
//! multiarch   x86_64-linux-gnu, as `gcc -dumpmachine` says it
//! os          ["debian", "12.9", "bookworm"]: the distribution's id, version and codename, as os-release says them
//! ```
//! Ids are compared in lower case, and Raspbian is Debian. Of Debian's version only what stands before the first dot
//! counts, and no codename; of all others all three, to the letter.
//!
//! Older entries have no `multiarch` but `machine`, which must be `x86_64`, and an `os` that is the text of a Python
//! tuple: `('debian', '8.10', '')`.

use base::{Explain, Kind};

use crate::entry::Statement;
use crate::value::Value;

/// A machine, as entries and nodes tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// As `x86_64-linux-gnu`.
    pub multiarch: String,
    /// The distribution's id, version and codename; what it does not say is empty.
    pub os: [String; 3],
}

/// Why a release does not fit a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The entry does not tell, or not in a way that anybody writes.
    #[error("the entry does not say which platform it is for")]
    Untold,
    /// Another processor or another C library.
    #[error("it is for {theirs}, this is {ours}")]
    Multiarch {
        /// The entry's.
        theirs: String,
        /// The machine's.
        ours: String,
    },
    /// Another distribution, or another version of it.
    #[error("it is for {theirs}, this is {ours}")]
    Os {
        /// The entry's.
        theirs: String,
        /// The machine's.
        ours: String,
    },
    /// Paths are compiled in.
    #[error("it must lie under {theirs}, and would lie under {ours}")]
    SoftwareRoot {
        /// The entry's.
        theirs: String,
        /// The machine's.
        ours: String,
    },
}

impl Misfit {
    /// What it is for, in short.
    pub(crate) fn elsewhere(&self) -> &'static str {
        match self {
            Self::Untold => "no platform that is known",
            Self::Multiarch { .. } | Self::Os { .. } => "another platform",
            Self::SoftwareRoot { .. } => "another folder",
        }
    }
}

impl Explain for Misfit {
    fn kind(&self) -> Kind {
        match self {
            // What would fit is not there, however often somebody asks.
            Self::Untold | Self::Multiarch { .. } | Self::Os { .. } | Self::SoftwareRoot { .. } => {
                Kind::NotFound
            }
        }
    }
}

impl Platform {
    /// This machine, if its `/etc/os-release` (or the file beside it under `/usr/lib`) is `os_release`. `None` when this
    /// program was built for a machine whose name with GCC is not known here.
    #[must_use]
    pub fn native(os_release: &str) -> Option<Self> {
        let multiarch = match (std::env::consts::ARCH, std::env::consts::OS) {
            ("x86_64", "linux") => "x86_64-linux-gnu",
            ("aarch64", "linux") => "aarch64-linux-gnu",
            ("riscv64", "linux") => "riscv64-linux-gnu",
            _ => return None,
        };
        Some(Self { multiarch: multiarch.into(), os: os_of(os_release) })
    }

    /// The one that an entry is for; `None` when it does not tell.
    #[must_use]
    pub fn of(statement: &Statement) -> Option<Self> {
        let os: [String; 3] = match statement.get("os")? {
            Value::List(parts) => {
                let parts: Option<Vec<_>> =
                    parts.iter().map(|part| Some(part.as_str()?.to_owned())).collect();
                parts?.try_into().ok()?
            }
            text => read_tuple(text.as_str()?)?,
        };
        let multiarch = match (statement.get("multiarch"), statement.get("machine")) {
            (Some(multiarch), _) => multiarch.as_str()?,
            (None, Some(machine)) if machine.as_str() == Some("x86_64") => "x86_64-linux-gnu",
            _ => return None,
        };
        Some(Self { multiarch: multiarch.to_owned(), os })
    }

    /// Whether what `statement` tells of fits this machine, and would lie under `software_root` as it must; old nodes do not
    /// compare that. An entry that says nothing of a root may lie anywhere.
    ///
    /// # Errors
    /// When it does not.
    pub fn fits(&self, statement: &Statement, software_root: Option<&str>) -> Result<(), Misfit> {
        let theirs = Self::of(statement).ok_or(Misfit::Untold)?;
        if theirs.multiarch != self.multiarch {
            return Err(Misfit::Multiarch { theirs: theirs.multiarch, ours: self.multiarch.clone() });
        }
        if what_counts(&theirs.os) != what_counts(&self.os) {
            return Err(Misfit::Os { theirs: theirs.os_name(), ours: self.os_name() });
        }
        let root = statement.get("software_root").and_then(Value::as_str);
        let plain = |root: &str| root.trim_end_matches('/').to_owned();
        match (root, software_root) {
            (Some(theirs), Some(ours)) if plain(theirs) != plain(ours) => {
                Err(Misfit::SoftwareRoot { theirs: theirs.to_owned(), ours: ours.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// As people say it: `debian 12.9 bookworm`.
    #[must_use]
    pub fn os_name(&self) -> String {
        let parts: Vec<&str> = self.os.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    }
}

/// What two distributions must have in common.
fn what_counts(os: &[String; 3]) -> (String, &str, &str) {
    let [id, version, codename] = os;
    let id = id.to_lowercase();
    if id == "debian" || id == "raspbian" {
        ("debian".into(), version.split('.').next().unwrap_or_default(), "")
    } else {
        (id, version, codename)
    }
}

/// The distribution's id, version and codename in an os-release file. Where it names no codename, Ubuntu's own or what its
/// long version has in brackets or behind a comma is taken.
fn os_of(os_release: &str) -> [String; 3] {
    let value = |name: &str| {
        let line =
            os_release.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
        Some(unquoted(line)).filter(|value| !value.is_empty())
    };
    let in_version = || {
        let version = value("VERSION")?;
        let inside = version.split_once('(').and_then(|(_, rest)| Some(rest.split_once(')')?.0.to_owned()));
        inside.or_else(|| Some(version.split_once(',')?.1.trim().to_owned()))
    };
    let codename = value("VERSION_CODENAME").or_else(|| value("UBUNTU_CODENAME")).or_else(in_version);
    [value("ID").unwrap_or_default(), value("VERSION_ID").unwrap_or_default(), codename.unwrap_or_default()]
}

/// A value of an os-release file, which has the quotes of a shell.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(inside) = quoted('\'') {
        return inside.to_owned();
    }
    let mut out = String::new();
    let mut characters = quoted('"').unwrap_or(value).chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}

/// Three texts in the literal of a Python tuple.
fn read_tuple(text: &str) -> Option<[String; 3]> {
    let mut rest = text.trim().strip_prefix('(')?.strip_suffix(')')?.trim();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        // Python 2 wrote `u` in front of some.
        rest = rest.strip_prefix('u').unwrap_or(rest);
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (part, behind) = rest[1..].split_once(quote)?;
        // No distribution has such a name.
        if part.contains('\\') || parts.len() == 3 {
            return None;
        }
        parts.push(part.to_owned());
        rest = behind.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(behind) => behind.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;

    fn platform(os: [&str; 3]) -> Platform {
        Platform { multiarch: "x86_64-linux-gnu".into(), os: os.map(str::to_owned) }
    }

    fn fits(members: &str, os: [&str; 3], root: Option<&str>) -> Result<(), Misfit> {
        let text = format!(r#"{{"sha512": "{}", {members}}}"#, base::Sha512::of(b""));
        platform(os).fits(Entry::new(text, String::new()).unwrap().statement(), root)
    }

    #[test]
    fn distributions_match_as_nodes_match_them() {
        let table: [([&str; 3], [&str; 3], bool); 11] = [
            (["debian", "12.1", ""], ["debian", "12.9", "bookworm"], true),
            (["Debian", "12", "x"], ["raspbian", "12.9", "y"], true),
            (["debian", "11.9", "bullseye"], ["debian", "12.9", "bookworm"], false),
            (["debian", "1", ""], ["debian", "12", ""], false),
            (["ubuntu", "22.04", "jammy"], ["Ubuntu", "22.04", "jammy"], true),
            (["ubuntu", "22.04", "jammy"], ["ubuntu", "24.04", "noble"], false),
            (["ubuntu", "22.04", "jammy"], ["ubuntu", "22.04", ""], false),
            (["centos", "7.5", "Core"], ["centos", "7.6", "Core"], false),
            (["centos", "7.5", "Core"], ["centos", "7.5", "core"], false),
            (["debian", "12", ""], ["ubuntu", "12", ""], false),
            (["", "", ""], ["", "", ""], true),
        ];
        for (theirs, ours, expected) in table {
            let [id, version, codename] = theirs;
            let list =
                format!(r#""multiarch": "x86_64-linux-gnu", "os": ["{id}", "{version}", "{codename}"]"#);
            assert_eq!(fits(&list, ours, None).is_ok(), expected, "{theirs:?} {ours:?}");
            let tuple = format!(r#""machine": "x86_64", "os": "('{id}', '{version}', '{codename}')""#);
            assert_eq!(fits(&tuple, ours, None).is_ok(), expected, "{theirs:?} {ours:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_explained() {
        let os = r#""os": ["debian", "12.1", "bookworm"]"#;
        let this = ["debian", "12.9", "bookworm"];
        let x86 = r#""multiarch": "x86_64-linux-gnu""#;
        let said = |members: &str, root| fits(members, this, root).map_err(|misfit| misfit.to_string());
        let untold = Err("the entry does not say which platform it is for".to_owned());
        for members in [
            os.to_owned(),
            x86.to_owned(),
            format!("{x86}, \"os\": []"),
            format!("{x86}, \"os\": [\"debian\", \"12\", 1]"),
            format!("{x86}, \"os\": \"debian\""),
            format!("{x86}, \"os\": \"('debian', '12')\""),
            format!("{x86}, \"os\": \"('debian', '12', '', '')\""),
            format!("{x86}, \"os\": \"('debian' '12', '')\""),
            format!("{x86}, \"os\": \"('debian, '12', '')\""),
            format!("\"machine\": \"aarch64\", {os}"),
            format!("\"multiarch\": 1, {os}"),
        ] {
            assert_eq!(said(&members, None), untold, "{members}");
        }
        let arm = format!("\"multiarch\": \"aarch64-linux-gnu\", {os}");
        assert_eq!(said(&arm, None), Err("it is for aarch64-linux-gnu, this is x86_64-linux-gnu".into()));
        let ubuntu = format!("{x86}, \"os\": [\"ubuntu\", \"24.04\", \"\"]");
        assert_eq!(said(&ubuntu, None), Err("it is for ubuntu 24.04, this is debian 12.9 bookworm".into()));
        let rooted = format!("{x86}, {os}, \"software_root\": \"/opt/slapgrid\"");
        for (root, expected) in [
            (None, Ok(())),
            (Some("/opt/slapgrid"), Ok(())),
            (Some("/opt/slapgrid/"), Ok(())),
            (Some("/srv"), Err("it must lie under /opt/slapgrid, and would lie under /srv".to_owned())),
        ] {
            assert_eq!(said(&rooted, root), expected);
        }
    }

    #[test]
    fn os_release_is_read_as_a_shell_does() {
        for (text, expected) in [
            ("ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n", ["debian", "12", "bookworm"]),
            ("ID='centos'\nVERSION_ID=\"7\"\nVERSION=\"7 (Core)\"\n", ["centos", "7", "Core"]),
            ("ID=ubuntu\nVERSION=\"12.04.5 LTS, Precise Pangolin\"\n", ["ubuntu", "", "Precise Pangolin"]),
            ("ID=\"a\\\"b\"\n# VERSION_ID=1\nUBUNTU_CODENAME=x", ["a\"b", "", "x"]),
            ("", ["", "", ""]),
        ] {
            assert_eq!(os_of(text), expected);
        }
        assert!(Platform::native("ID=debian").is_some());
    }
}
