//! A look at a host: the script that is run there, and what it says.
//!
//! ```text
//! probe.sh ──► whatever a login prints
//!              provost-probe-begins
//!              name=value            each of them once, in any order
//!              provost-probe-ends
//! ```
//! One round trip; no root, no Python. The host says of itself whatever it likes, so that nothing it says is believed
//! beyond its own record: each value is bounded, of its own form, and never run.
//!
//! Units as in the commissaire contract, section 4: processors that are online, MB (2^20 bytes) of memory, bytes of
//! disk space, each block device once.

use base::{Explain, Kind};

use crate::host::{Facts, TEXT_BYTES_MAX};

/// What is run on the host, by `sh`.
pub const PROBE: &str = include_str!("../data/probe.sh");
/// The longest answer, in bytes, with whatever a login prints before it.
pub const PROBE_BYTES_MAX: usize = 64 * 1024;

const BEGINS: &str = "provost-probe-begins";
const ENDS: &str = "provost-probe-ends";

/// What a host says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// What Commissaire's clients know of a host as well.
    pub facts: Facts,
    /// The version of its operating system: `41`, `12`; empty where it has none.
    pub version: String,
    /// Whether OSTree deploys its operating system as a whole.
    pub is_atomic: bool,
    /// Which boot it is in: changes when it restarts (`random(4)`).
    pub boot_id: String,
    /// The release of its kernel: `6.1.0-18-amd64`.
    pub kernel: String,
    /// What its processors are: `x86_64`.
    pub architecture: String,
}

/// Why a host's answer says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It is longer than any honest one.
    #[error("the host answered with more than {PROBE_BYTES_MAX} bytes")]
    TooLong,
    /// It does not begin, or breaks off.
    #[error("the host's answer is not whole: its login may print or run something else")]
    NotWhole,
    /// Something is not said.
    #[error("the host does not say its `{name}`")]
    Missing {
        /// What.
        name: &'static str,
    },
    /// Something is said that has no meaning.
    #[error("what the host says of its `{name}` makes no sense")]
    Nonsense {
        /// Of what.
        name: String,
    },
}

impl Explain for ProbeError {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::TooLong | Self::NotWhole => Some(
                "the user's shell must run `sh` commands and print nothing of its own without end".into(),
            ),
            Self::Missing { .. } | Self::Nonsense { .. } => None,
        }
    }
}

impl Findings {
    /// Reads what [`PROBE`] printed.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn read(printed: &[u8]) -> Result<Self, ProbeError> {
        if printed.len() > PROBE_BYTES_MAX {
            return Err(ProbeError::TooLong);
        }
        // What a login prints before may be anything.
        let printed = String::from_utf8_lossy(printed);
        let mut said = Said::default();
        for line in printed.lines().skip_while(|line| *line != BEGINS).skip(1) {
            if line == ENDS {
                return said.findings();
            }
            said.hear(line)?;
        }
        Err(ProbeError::NotWhole)
    }
}

/// What was said so far.
#[derive(Default)]
struct Said<'a>([Option<&'a str>; NAMES.len()]);

/// What is to be said.
const NAMES: [&str; 9] =
    ["os", "version", "atomic", "cpus", "memory_kib", "space_kib", "boot_id", "kernel", "architecture"];

impl<'a> Said<'a> {
    fn hear(&mut self, line: &'a str) -> Result<(), ProbeError> {
        let nonsense = |name: &str| {
            let name = name.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
            ProbeError::Nonsense { name }
        };
        let (name, value) = line.split_once('=').ok_or_else(|| nonsense(line))?;
        let place = NAMES.iter().position(|known| *known == name).ok_or_else(|| nonsense(name))?;
        let is_fair =
            value.len() <= TEXT_BYTES_MAX && value.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if !is_fair || self.0[place].replace(value).is_some() {
            return Err(nonsense(name));
        }
        Ok(())
    }

    fn text(&self, name: &'static str) -> Result<&'a str, ProbeError> {
        let place = NAMES.iter().position(|known| *known == name);
        place.and_then(|place| self.0[place]).ok_or(ProbeError::Missing { name })
    }

    /// A text that must not be empty.
    fn word(&self, name: &'static str) -> Result<&'a str, ProbeError> {
        match self.text(name)? {
            "" => Err(ProbeError::Missing { name }),
            word => Ok(word),
        }
    }

    fn number(&self, name: &'static str) -> Result<i64, ProbeError> {
        let digits = self.word(name)?;
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        number.ok_or_else(|| ProbeError::Nonsense { name: name.to_owned() })
    }

    fn findings(&self) -> Result<Findings, ProbeError> {
        let nonsense = |name: &str| ProbeError::Nonsense { name: name.to_owned() };
        let is_atomic = match self.text("atomic")? {
            "yes" => true,
            "no" => false,
            _ => return Err(nonsense("atomic")),
        };
        let boot_id = self.word("boot_id")?;
        if !boot_id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return Err(nonsense("boot_id"));
        }
        let space = self.number("space_kib")?.checked_mul(1024).ok_or_else(|| nonsense("space_kib"))?;
        let facts = Facts {
            os: self.word("os")?.to_ascii_lowercase(),
            cpus: self.number("cpus")?,
            memory: self.number("memory_kib")? / 1024,
            space,
        };
        Ok(Findings {
            facts,
            version: self.text("version")?.to_owned(),
            is_atomic,
            boot_id: boot_id.to_owned(),
            kernel: self.word("kernel")?.to_owned(),
            architecture: self.word("architecture")?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const HONEST: &str = "provost-probe-begins\nos=Fedora\nversion=41\natomic=no\ncpus=4\nmemory_kib=2097151\n\
                          space_kib=10\nboot_id=0a-1f\nkernel=6.1 x\narchitecture=x86_64\nprovost-probe-ends\n";

    #[test]
    fn an_honest_answer_is_read() {
        let expected = Findings {
            facts: Facts { os: "fedora".into(), cpus: 4, memory: 2047, space: 10_240 },
            version: "41".into(),
            is_atomic: false,
            boot_id: "0a-1f".into(),
            kernel: "6.1 x".into(),
            architecture: "x86_64".into(),
        };
        assert_eq!(Findings::read(HONEST.as_bytes()), Ok(expected.clone()));
        let noisy = format!("Welcome\nos=windows\n{HONEST}bye");
        assert_eq!(Findings::read(noisy.as_bytes()), Ok(expected.clone()));
        assert_eq!(Findings::read(&[b"\xff\xfe\n", HONEST.as_bytes()].concat()), Ok(expected));
    }

    #[test]
    fn any_other_answer_says_what_is_wrong() {
        let nonsense = |name: &str| ProbeError::Nonsense { name: name.into() };
        for (instead_of, put, expected) in [
            ("provost-probe-begins\n", "", ProbeError::NotWhole),
            ("provost-probe-ends\n", "", ProbeError::NotWhole),
            ("provost-probe-ends\n", "provost-probe-end", nonsense("provost-probe-end")),
            ("cpus=4\n", "", ProbeError::Missing { name: "cpus" }),
            ("cpus=4\n", "cpus=\n", ProbeError::Missing { name: "cpus" }),
            ("cpus=4\n", "cpus=four\n", nonsense("cpus")),
            ("cpus=4\n", "cpus=-4\n", nonsense("cpus")),
            ("cpus=4\n", "cpus=99999999999999999999\n", nonsense("cpus")),
            ("cpus=4\n", "cpus=4\ncpus=4\n", nonsense("cpus")),
            ("cpus=4\n", "cpus=4\ncores=4\n", nonsense("cores")),
            ("os=Fedora", "os=", ProbeError::Missing { name: "os" }),
            ("os=Fedora", "os=Fed\tora", nonsense("os")),
            ("os=Fedora", "os=Fedoré", nonsense("os")),
            ("version=41\n", "", ProbeError::Missing { name: "version" }),
            ("atomic=no", "atomic=maybe", nonsense("atomic")),
            ("boot_id=0a-1f", "boot_id=$(reboot)", nonsense("boot_id")),
            ("space_kib=10", "space_kib=9223372036854775807", nonsense("space_kib")),
        ] {
            assert_eq!(Findings::read(HONEST.replace(instead_of, put).as_bytes()), Err(expected), "{put:?}");
        }
        let long = HONEST.replace("kernel=6.1 x", &format!("kernel={}", "x".repeat(TEXT_BYTES_MAX + 1)));
        assert_eq!(Findings::read(long.as_bytes()), Err(nonsense("kernel")));
        assert_eq!(Findings::read(&[b'x'; PROBE_BYTES_MAX + 1]), Err(ProbeError::TooLong));
        assert_eq!(Findings::read(b""), Err(ProbeError::NotWhole));
    }

    /// The script itself, on the machine that runs the tests, in each shell there is.
    #[test]
    fn the_script_tells_of_this_machine() {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let mut asked = 0;
        for shell in [&["sh"][..], &["bash"], &["dash"], &["busybox", "sh"]] {
            let mut command = Command::new(shell[0]);
            let Ok(ran) = command.args(&shell[1..]).arg("-c").arg(PROBE).output() else { continue };
            assert!(ran.status.success() && ran.stderr.is_empty(), "{shell:?}: {ran:?}");
            let found = Findings::read(&ran.stdout).unwrap();
            assert_eq!(found.boot_id, boot_id.trim(), "{shell:?}");
            let facts = found.facts;
            assert!(
                facts.cpus > 0 && facts.memory > 0 && facts.space > 0 && !facts.os.is_empty(),
                "{facts:?}"
            );
            asked += 1;
        }
        assert!(asked > 0, "every machine has a sh");
    }
}
