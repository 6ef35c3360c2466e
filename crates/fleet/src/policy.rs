//! How an operation goes through a cluster: how many hosts at once, when, and what makes one done.
//!
//! By default as the original does: one host after the other, and the first that fails ends it (commissaire contract,
//! section 9.5).

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind, Span, Timestamp};

use crate::operation::OperationKind;
use crate::window::{BadWindow, Window};

/// The most hosts that are under way at once, whatever is asked for.
pub const UNDERWAY_MAX: u64 = 256;
/// The most failures that can be tolerated.
pub const FAILURES_MAX: u32 = 100;
/// The longest command of an operator, in bytes.
pub const COMMAND_BYTES_MAX: usize = 4 * 1024;
/// The most maintenance windows.
pub const WINDOWS_MAX: usize = 20;
/// The longest time that anything may take.
const SPAN_MAX: Span = Span::days(7);

/// Some of a cluster's hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many; at least one.
    Hosts(u32),
    /// So many of a hundred, 1 to 100; rounded down, but at least one.
    Percent(u8),
}

impl Share {
    /// How many that is of `total`; at least one.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Hosts(hosts) => u64::from(hosts),
            Self::Percent(percent) => total.saturating_mul(u64::from(percent)) / 100,
        }
        .max(1)
    }
}

/// `3` or `25%`.
impl FromStr for Share {
    type Err = BadPolicy;

    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let bad = || BadPolicy::Share { text: text.chars().take(20).collect() };
        if !text.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(bad());
        }
        let share = match text.strip_suffix('%') {
            Some(percent) => Self::Percent(percent.parse().map_err(|_| bad())?),
            None => Self::Hosts(text.parse().map_err(|_| bad())?),
        };
        match share {
            Self::Hosts(0) | Self::Percent(0 | 101..) => Err(bad()),
            Self::Hosts(_) | Self::Percent(_) => Ok(share),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(hosts) => write!(f, "{hosts}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// What a host has to show before it counts as done, besides what the operation itself is about: after a restart that
/// SSH is back with another boot id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates {
    /// Its container manager says that its node is ready; nothing where there is no container manager.
    pub node_ready: bool,
    /// This command of the operator succeeds on it.
    pub command: Option<String>,
    /// And then this much time passes.
    pub soak: Span,
}

impl Default for Gates {
    /// A ready node is enough.
    fn default() -> Self {
        Self { node_ready: true, command: None, soak: Span::ZERO }
    }
}

/// How an operation goes through a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// So many at once, and the next so many when all of them are done. One, where this and `max_unavailable` say
    /// nothing.
    pub batch: Option<Share>,
    /// No host is begun with while it would make more than these unavailable, for whatever reason others are. Without
    /// `batch` a host follows as soon as another is done.
    pub max_unavailable: Option<Share>,
    /// These come first, at once, and none of them may fail.
    pub canary: Option<Share>,
    /// How many hosts may fail before no more are begun with.
    pub failures_max: u32,
    /// Whether a host is cordoned and drained before, where there is a container manager.
    pub drain: bool,
    /// What a host has to show.
    pub gates: Gates,
    /// How long a host may take until it has shown that; what is usual for the kind of operation when absent.
    pub host_limit: Option<Span>,
    /// No host is begun with before.
    pub start_at: Option<Timestamp>,
    /// Hosts are begun with in one of these only; at any time when there are none.
    pub windows: Vec<Window>,
}

impl Policy {
    /// Whether it can be kept to.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), BadPolicy> {
        let spans =
            [("the soak time", Some(self.gates.soak)), ("the limit on a host's time", self.host_limit)];
        if let Some((what, _)) =
            spans.into_iter().find(|(_, span)| span.is_some_and(|span| span < Span::ZERO || span > SPAN_MAX))
        {
            return Err(BadPolicy::Span { what });
        }
        if self.host_limit == Some(Span::ZERO) {
            return Err(BadPolicy::Span { what: "the limit on a host's time" });
        }
        if self.failures_max > FAILURES_MAX {
            return Err(BadPolicy::TooMany { what: "failures", max: FAILURES_MAX as usize });
        }
        if self.windows.len() > WINDOWS_MAX {
            return Err(BadPolicy::TooMany { what: "maintenance windows", max: WINDOWS_MAX });
        }
        match &self.gates.command {
            Some(command)
                if command.is_empty() || command.len() > COMMAND_BYTES_MAX || command.contains('\0') =>
            {
                Err(BadPolicy::Command)
            }
            _ => Ok(()),
        }
    }

    /// When hosts may be begun with: `now`, or the first moment after it.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Timestamp {
        let from = self.start_at.map_or(now, |start_at| start_at.max(now));
        self.windows.iter().map(|window| window.opens(from)).min().unwrap_or(from)
    }

    /// How long a host may take.
    #[must_use]
    pub fn host_limit(&self, kind: OperationKind) -> Span {
        self.host_limit.unwrap_or(match kind {
            // Servers with much memory test it for minutes.
            OperationKind::Restart => Span::seconds(600),
            OperationKind::Upgrade | OperationKind::Deploy => Span::seconds(3_600),
        })
    }
}

/// Why a policy cannot be kept to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// No number of hosts, and no percentage.
    #[error("`{text}` is no share of hosts: write a number from 1 on, or 1% to 100%")]
    Share {
        /// What was written.
        text: String,
    },
    /// A time is negative, or longer than a week.
    #[error("{what} is no time of up to 7 days")]
    Span {
        /// Which.
        what: &'static str,
    },
    /// More of something than there may be.
    #[error("at most {max} {what} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        max: usize,
    },
    /// A command that is empty or too long, or that no shell can be given.
    #[error("a command has 1 to {COMMAND_BYTES_MAX} bytes, and no NUL among them")]
    Command,
    /// No maintenance window.
    #[error(transparent)]
    Window(#[from] BadWindow),
}

impl Explain for BadPolicy {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_text_and_back() {
        for (text, of_1, of_10, of_1000) in
            [("1", 1, 1, 1), ("3", 3, 3, 3), ("1%", 1, 1, 10), ("25%", 1, 2, 250), ("100%", 1, 10, 1_000)]
        {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.of(1), share.of(10), share.of(1_000)), (of_1, of_10, of_1000), "{text}");
            assert_eq!(share.to_string(), text);
        }
        for text in ["", "0", "0%", "101%", "-1", "+1", "1.5", "all", "%", "1 %", "4294967296"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn policies_are_checked() {
        let gates = |gates| Policy { gates, ..Policy::default() };
        for (policy, fits) in [
            (Policy::default(), true),
            (Policy { failures_max: 100, ..Policy::default() }, true),
            (Policy { failures_max: 101, ..Policy::default() }, false),
            (Policy { host_limit: Some(Span::days(7)), ..Policy::default() }, true),
            (Policy { host_limit: Some(Span::days(8)), ..Policy::default() }, false),
            (Policy { host_limit: Some(Span::ZERO), ..Policy::default() }, false),
            (Policy { windows: vec!["daily 01:00-02:00".parse().unwrap(); 21], ..Policy::default() }, false),
            (gates(Gates { soak: Span::seconds(-1), ..Gates::default() }), false),
            (gates(Gates { command: Some(String::new()), ..Gates::default() }), false),
            (gates(Gates { command: Some("tr\0ue".into()), ..Gates::default() }), false),
            (gates(Gates { command: Some("true".into()), ..Gates::default() }), true),
        ] {
            assert_eq!(policy.check().is_ok(), fits, "{policy:?}");
        }
    }

    #[test]
    fn the_first_open_window_counts_and_only_from_the_start_on() {
        let at = |day, hour| Timestamp::from_fields((2026, 11, day, hour, 0, 0)).unwrap();
        let windows = vec!["wed 10:00-12:00".parse().unwrap(), "tue 10:00-12:00".parse().unwrap()];
        let policy = Policy { windows, ..Policy::default() };
        assert_eq!(policy.opens(at(2, 0)), at(3, 10));
        assert_eq!(policy.opens(at(4, 11)), at(4, 11));
        let later = Policy { start_at: Some(at(3, 13)), ..policy };
        assert_eq!(later.opens(at(2, 0)), at(4, 10));
        assert_eq!(Policy::default().opens(at(2, 0)), at(2, 0));
    }
}
