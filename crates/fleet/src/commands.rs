//! What is done on a host, by its operating system: commands as data, which an operator can override.
//!
//! `data/commands.toml` says what each is called and what it is by default (commissaire contract, section 11.3).
//! Commands are run by `sh`, as root. What is put into them is quoted here.

use std::collections::BTreeMap;

use base::{Explain, Kind};
use serde::Deserialize;

use crate::operation::DeployVersion;
use crate::probe::Findings;

const STANDARD: &str = include_str!("../data/commands.toml");
/// The table that comes first on hosts whose operating system OSTree deploys as a whole.
const ATOMIC: &str = "atomic";
/// The table that all others are like in the end.
const LINUX: &str = "linux";
/// How many tables may be `like` another, one behind the other.
const LIKE_MAX: usize = 8;

/// What a table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Item {
    Like,
    Restart,
    Upgrade,
    Deploy,
    Install,
    HasPackage,
    EnableRepositories,
    IsRunning,
    StartService,
    LibselinuxPackage,
    FlannelPackage,
    FlannelService,
    FlannelConfig,
    DockerPackage,
    DockerService,
    DockerConfig,
    PackagesHelp,
}

impl Item {
    /// What its text has for what is given, if anything is, and whether it makes no sense without.
    fn placeholder(self) -> Option<(&'static str, bool)> {
        match self {
            Self::Install => Some(("{packages}", true)),
            Self::HasPackage => Some(("{packages}", false)),
            Self::Deploy => Some(("{version}", true)),
            Self::IsRunning | Self::StartService => Some(("{service}", false)),
            _ => None,
        }
    }

    /// What is wrong with `text` as this.
    fn wrong(self, text: &str) -> Option<String> {
        let own = self.placeholder().map(|(own, _)| own);
        // Braces have other meanings in `sh`: only what looks like one of ours is looked at.
        for begin in ["{pack", "{vers", "{serv"] {
            for (at, _) in text.match_indices(begin) {
                let is_variable = text[..at].ends_with('$');
                if is_variable || own.is_some_and(|own| text[at..].starts_with(own)) {
                    continue;
                }
                let is_word = |c: char| c.is_ascii_alphanumeric() || "{}_-".contains(c);
                let word: String = text[at..].chars().take_while(|c| is_word(*c)).collect();
                return Some(match own {
                    Some(own) => format!("`{word}` stands for nothing there; what is given is {own}"),
                    None => format!("`{word}` stands for nothing there"),
                });
            }
        }
        match self.placeholder() {
            Some((own, true)) if !text.is_empty() && !text.contains(own) => {
                Some(format!("{own} is missing, which stands for what is given"))
            }
            _ => None,
        }
    }
}

type Table = BTreeMap<Item, String>;

/// The commands for all operating systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsCommands(BTreeMap<String, Table>);

/// Why a file of commands cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCommands {
    /// It is no such file.
    #[error("{reason}")]
    Form {
        /// What is wrong, and in which line.
        reason: String,
    },
    /// A command does not take what is given to it.
    #[error("the table `{table}`: in `{text}`, {reason}")]
    Placeholder {
        /// The table.
        table: String,
        /// The command.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A table is like one that does not exist, or like itself.
    #[error("the table `{table}` is like `{like}`, which {why}")]
    Like {
        /// The one.
        table: String,
        /// The other.
        like: String,
        /// What about it.
        why: &'static str,
    },
}

impl Explain for BadCommands {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// There are no commands for a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not known what to do on the operating system `{os}`")]
pub struct UnknownOs {
    /// As the host says.
    pub os: String,
}

impl Explain for UnknownOs {
    fn kind(&self) -> Kind {
        Kind::Conflict
    }

    fn help(&self) -> Option<String> {
        Some(format!("give it a table `[{}]` in the file of commands, `like` one that is known", self.os))
    }
}

impl OsCommands {
    /// Those that come with the program.
    #[must_use]
    pub fn standard() -> Self {
        Self(read(STANDARD).expect("a test reads it"))
    }

    /// These, but for what `text` says otherwise, which has the form of `data/commands.toml`.
    ///
    /// # Errors
    /// [`BadCommands`], and nothing of it is used.
    pub fn with(&self, text: &str) -> Result<Self, BadCommands> {
        let mut tables = self.0.clone();
        let said = read(text)?;
        for (os, table) in &said {
            let wrong = table.iter().find_map(|(item, text)| Some((text, item.wrong(text)?)));
            if let Some((text, reason)) = wrong {
                return Err(BadCommands::Placeholder { table: os.clone(), text: text.clone(), reason });
            }
            // What an operator says of an operating system holds for all of its versions.
            for (other, versioned) in &mut tables {
                if version_of(other, os).is_some() {
                    versioned.retain(|item, _| *item == Item::Like || !table.contains_key(item));
                }
            }
        }
        for (os, table) in said {
            tables.entry(os).or_default().extend(table);
        }
        let merged = Self(tables);
        for os in merged.0.keys() {
            merged.lineage(os)?;
        }
        Ok(merged)
    }

    /// What is done on a host that says this of itself.
    ///
    /// # Errors
    /// [`UnknownOs`].
    pub fn of(&self, findings: &Findings) -> Result<HostCommands, UnknownOs> {
        let os = findings.facts.os.as_str();
        // Two tables are there to be taken from, and are no operating systems.
        let is_known = self.0.contains_key(os) && ![LINUX, ATOMIC].contains(&os);
        let major = findings.version.split('.').next().unwrap_or_default();
        let versioned = self.0.keys().find(|table| version_of(table, os) == Some(major));
        let of_version = versioned.map_or(os, String::as_str);
        let tables: &[&str] = match (is_known, findings.is_atomic) {
            (true, false) => &[of_version],
            (true, true) => &[of_version, ATOMIC],
            // OSTree's commands are the same everywhere.
            (false, true) => &[LINUX, ATOMIC],
            (false, false) => return Err(UnknownOs { os: os.to_owned() }),
        };
        let mut items = Table::new();
        for table in tables {
            // None of them is bad: that was looked at when they were read.
            let lineage = self.lineage(table).unwrap_or_default();
            items.extend(lineage.into_iter().rev().flatten().map(|(item, text)| (*item, text.clone())));
        }
        items.remove(&Item::Like);
        Ok(HostCommands(items))
    }

    /// The table of `os`, and those it is like, the nearest first.
    fn lineage(&self, os: &str) -> Result<Vec<&Table>, BadCommands> {
        let mut tables: Vec<&Table> = Vec::new();
        let (mut table, mut name) = (os, os);
        loop {
            let bad = |why| BadCommands::Like { table: table.to_owned(), like: name.to_owned(), why };
            let found = self.0.get(name).ok_or_else(|| bad("does not exist"))?;
            if tables.len() == LIKE_MAX {
                return Err(bad("goes round in a circle"));
            }
            tables.push(found);
            match found.get(&Item::Like) {
                Some(like) => (table, name) = (name, like),
                None => return Ok(tables),
            }
        }
    }
}

/// The major version of `os` that `table` is for, if it is for one.
fn version_of<'a>(table: &'a str, os: &str) -> Option<&'a str> {
    let version = table.strip_prefix(os)?.strip_prefix('-')?;
    (!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())).then_some(version)
}

fn read(text: &str) -> Result<BTreeMap<String, Table>, BadCommands> {
    toml::from_str(text)
        .map_err(|error| BadCommands::Form { reason: error.to_string().trim_end().to_owned() })
}

/// What is done on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCommands(Table);

/// Something that is installed, configured and run on hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Software {
    /// What connects containers of different hosts.
    Flannel,
    /// What runs containers.
    Docker,
}

impl HostCommands {
    fn text(&self, item: Item) -> Option<&str> {
        self.0.get(&item).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Restarts the host; ends before it goes down. `None` where that is not to be done.
    #[must_use]
    pub fn restart(&self) -> Option<&str> {
        self.text(Item::Restart)
    }

    /// Upgrades its packages, or its operating system as a whole.
    #[must_use]
    pub fn upgrade(&self) -> Option<&str> {
        self.text(Item::Upgrade)
    }

    /// Gives it this version of its operating system. `None` where that is installed by packages, and for what
    /// would be taken for an option.
    #[must_use]
    pub fn deploy(&self, version: &DeployVersion) -> Option<String> {
        let version = Some(version.as_str()).filter(|version| !version.starts_with('-'))?;
        self.text(Item::Deploy).map(|command| command.replace("{version}", &quoted(version)))
    }

    pub(crate) fn enable_repositories(&self) -> Option<&str> {
        self.text(Item::EnableRepositories)
    }

    /// Installs `package`. `None` where nothing is.
    pub(crate) fn install(&self, package: &str) -> Option<String> {
        self.with_package(Item::Install, package)
    }

    /// Succeeds when `package` is there.
    pub(crate) fn has(&self, package: &str) -> Option<String> {
        self.with_package(Item::HasPackage, package)
    }

    fn with_package(&self, item: Item, package: &str) -> Option<String> {
        self.text(item).map(|command| command.replace("{packages}", &quoted(package)))
    }

    /// What Ansible needs to write files where SELinux is.
    pub(crate) fn libselinux_package(&self) -> Option<&str> {
        self.text(Item::LibselinuxPackage)
    }

    pub(crate) fn package(&self, software: Software) -> Option<&str> {
        self.text(match software {
            Software::Flannel => Item::FlannelPackage,
            Software::Docker => Item::DockerPackage,
        })
    }

    /// What can be done where software is not to be had.
    pub(crate) fn packages_help(&self) -> Option<&str> {
        self.text(Item::PackagesHelp)
    }

    pub(crate) fn service(&self, software: Software) -> &str {
        let item = match software {
            Software::Flannel => Item::FlannelService,
            Software::Docker => Item::DockerService,
        };
        self.text(item).unwrap_or_default()
    }

    /// Where its configuration is.
    pub(crate) fn config(&self, software: Software) -> &str {
        let item = match software {
            Software::Flannel => Item::FlannelConfig,
            Software::Docker => Item::DockerConfig,
        };
        self.text(item).unwrap_or_default()
    }

    pub(crate) fn is_running(&self, service: &str) -> String {
        self.text(Item::IsRunning).unwrap_or("false").replace("{service}", &quoted(service))
    }

    pub(crate) fn start(&self, service: &str) -> Option<String> {
        self.text(Item::StartService).map(|command| command.replace("{service}", &quoted(service)))
    }
}

/// `text` as one word of `sh`, whatever is in it.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    use super::*;
    use crate::host::Facts;

    /// What a host of this operating system says.
    pub(crate) fn findings(os: &str, is_atomic: bool) -> Findings {
        Findings {
            facts: Facts { os: os.into(), cpus: 2, memory: 2048, space: 1 << 30 },
            version: "1".into(),
            is_atomic,
            boot_id: "0a".into(),
            kernel: "6.1".into(),
            architecture: "x86_64".into(),
        }
    }

    fn commands(os: &str, is_atomic: bool) -> HostCommands {
        OsCommands::standard().of(&findings(os, is_atomic)).unwrap()
    }

    /// Commissaire contract, section 11.3.
    #[test]
    fn each_operating_system_has_its_commands() {
        for (os, is_atomic, upgrade, install) in [
            ("fedora", false, "dnf update -y", Some("dnf install -y flannel")),
            ("centos", false, "yum update -y", Some("yum install -y flannel")),
            ("rhel", false, "yum update -y", Some("yum install -y flannel")),
            ("redhat", false, "yum update -y", Some("yum install -y flannel")),
            ("rocky", false, "yum update -y", Some("yum install -y flannel")),
            ("almalinux", false, "yum update -y", Some("yum install -y flannel")),
            ("fedora", true, "rpm-ostree upgrade", None),
            ("centos", true, "rpm-ostree upgrade", None),
            ("atomic", true, "rpm-ostree upgrade", None),
            ("anything", true, "rpm-ostree upgrade", None),
        ] {
            let commands = commands(os, is_atomic);
            assert_eq!(commands.upgrade(), Some(upgrade), "{os}");
            assert_eq!(commands.install("flannel").as_deref(), install, "{os}");
            assert!(commands.restart().unwrap().contains("systemctl reboot"));
        }
        for os in ["debian", "ubuntu"] {
            assert!(commands(os, false).install("docker.io").unwrap().ends_with("docker.io"), "{os}");
        }
        let version: DeployVersion = "41.1;reboot".parse().unwrap();
        assert_eq!(commands("fedora", true).deploy(&version).unwrap(), "rpm-ostree deploy '41.1;reboot'");
        assert_eq!(commands("fedora", false).deploy(&version), None);
        for os in ["windows", "", "linux", "atomic"] {
            assert_eq!(OsCommands::standard().of(&findings(os, false)), Err(UnknownOs { os: os.into() }));
        }
    }

    /// The names of Red Hat's version 7 are its own.
    #[test]
    fn versions_may_have_commands_of_their_own() {
        let of = |commands: &OsCommands, os: &str, version: &str| {
            let findings = Findings { version: version.into(), ..findings(os, false) };
            commands.of(&findings).unwrap()
        };
        let standard = OsCommands::standard();
        for (os, version, libselinux, has_repositories) in [
            ("rhel", "7.9", "libselinux-python", true),
            ("redhat", "7", "libselinux-python", true),
            ("rhel", "8.10", "python3-libselinux", false),
            ("rhel", "9.4", "python3-libselinux", false),
            ("rhel", "70", "python3-libselinux", false),
            ("centos", "7", "libselinux-python", false),
            ("centos", "9", "python3-libselinux", false),
            ("rocky", "9.4", "python3-libselinux", false),
            ("almalinux", "8.5", "python3-libselinux", false),
        ] {
            let commands = of(&standard, os, version);
            assert_eq!(commands.libselinux_package(), Some(libselinux), "{os} {version}");
            assert_eq!(commands.enable_repositories().is_some(), has_repositories, "{os} {version}");
        }
        let said =
            standard.with("[rhel]\nenable_repositories = ''\n[fedora-43]\nlike = 'fedora'\nupgrade = 'x'\n");
        let said = said.unwrap();
        assert_eq!(of(&said, "rhel", "7.9").enable_repositories(), None, "that is for all versions");
        assert_eq!(
            (of(&said, "fedora", "43").upgrade(), of(&said, "fedora", "42").upgrade()),
            (Some("x"), Some("dnf update -y"))
        );
    }

    #[test]
    fn an_operator_says_otherwise() {
        let said = OsCommands::standard()
            .with("[fedora]\nupgrade = 'dnf5 upgrade -y'\n[arch]\nlike = 'linux'\ninstall = 'pacman -S {packages}'\n")
            .unwrap();
        let fedora = said.of(&findings("fedora", false)).unwrap();
        assert_eq!(fedora.upgrade(), Some("dnf5 upgrade -y"));
        assert_eq!(fedora.install("x").as_deref(), Some("dnf install -y x"));
        let arch = said.of(&findings("arch", false)).unwrap();
        assert_eq!((arch.install("x").as_deref(), arch.upgrade()), (Some("pacman -S x"), None));
        assert_eq!(arch.service(Software::Docker), "docker");
    }

    #[test]
    fn what_is_no_file_of_commands_is_refused_with_its_line() {
        for (text, expected) in [
            ("[fedora]\nupgrad = 'x'\n", "line 2"),
            ("[fedora]\nupgrade = 7\n", "line 2"),
            ("upgrade = 'x'\n", "line 1"),
            ("[fedora\n", "line 1"),
            ("[a]\nlike = 'b'\n", "does not exist"),
            ("[a]\nlike = 'b'\n[b]\nlike = 'a'\n", "circle"),
            ("[linux]\nlike = 'linux'\n", "circle"),
            ("[gentoo]\nlike = 'linux'\ninstall = 'emerge {package}'\n", "`{package}` stands for nothing"),
            ("[gentoo]\nlike = 'linux'\ninstall = 'emerge {packages'\n", "what is given is {packages}"),
            ("[gentoo]\nlike = 'linux'\ninstall = 'emerge'\n", "{packages} is missing"),
            ("[gentoo]\nlike = 'linux'\nupgrade = 'emerge {packages}'\n", "`{packages}` stands for nothing"),
            ("[gentoo]\nlike = 'linux'\nstart_service = 'rc-service {services} start'\n", "is {service}"),
            ("[fedora]\ndeploy = 'rpm-ostree deploy'\n", "{version} is missing"),
        ] {
            let refused = OsCommands::standard().with(text).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text:?}: {refused}");
        }
    }

    #[test]
    fn what_is_quoted_is_one_word() {
        for text in ["plain", "", "it's", "a b", "$(reboot)", "`x`", "a;b", "\n", "'", "\\", "ä", "-n"] {
            let script = format!("printf %s {}", quoted(text));
            let ran = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(ran.stdout).unwrap(), text, "{script}");
        }
    }
}
