//! `provost trust explain`: where a certificate came from, and where it is.

use std::fmt::Write as _;

use clap::Args;
use client::v1::{self, trust};
use wire::TrustExplanation;

use super::certificates::{self, Fingerprint};
use super::error::TrustCommandError;
use super::shown::state;
use crate::input::File;
use crate::session::Session;
use crate::shown::Detailed as _;
use crate::table::{details, one_line};
use crate::view;

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The certificate, as `openssl x509 -noout -fingerprint -sha256` prints it
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    fingerprint: Option<Fingerprint>,
    /// The certificate in this file, PEM; `-` for standard input. Only its fingerprint is sent
    #[arg(long, value_name = "FILE")]
    file: Option<File>,
}

impl Explain {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), TrustCommandError> {
        let which = match (self.fingerprint, self.file) {
            (Some(which), _) => which,
            (None, Some(file)) => {
                let what = file.to_string();
                let found = certificates::read(&mut session.input, &[file]).await?;
                let (count, mut found) = (found.len(), found.into_keys());
                match (found.next(), found.next()) {
                    (Some(which), None) => which,
                    _ => return Err(TrustCommandError::Several { what, count }),
                }
            }
            (None, None) => return Err(TrustCommandError::Usage("a fingerprint or --file FILE is needed")),
        };
        let asked = session.ask(&trust::explain(&which.segment()?)).await;
        let hint = || "`provost trust provider show NAME` tells which there are".to_owned();
        let answer = asked.map_err(|error| error.or_hint(404, hint))?;
        let found: TrustExplanation = v1::read(&answer)?;
        let text = if session.wants_json() { view::json(&found) + "\n" } else { told(&found) };
        Ok(session.print(&text)?)
    }
}

/// For people.
fn told(found: &TrustExplanation) -> String {
    let mut text = match &found.certificate {
        Some(certificate) => details(&certificate.details(), None),
        None => details(&[("fingerprint", found.fingerprint.clone())], None),
    };
    let mut part = |head: &str, none: &str, lines: Vec<String>| {
        let _ = writeln!(text, "\n{head}:"); // to a String: cannot fail
        for line in if lines.is_empty() { vec![none.to_owned()] } else { lines } {
            let _ = writeln!(text, "  {}", one_line(&line));
        }
    };
    let brought = found.brought.iter().map(|one| {
        let why = one.why.as_ref().map(|why| format!(" because {why}")).unwrap_or_default();
        format!("{} by {} for {}{why}", one.at, one.by, one.from)
    });
    part("brought", "nobody knows by whom any more", brought.collect());
    let offered = found.offered.iter().map(|one| match one.relation {
        Some(number) => format!("{} in relation {number}", one.provider),
        None => format!("{} to all its requirers", one.provider),
    });
    part("handed on by", "nobody any more", offered.collect());
    let requirers = |is_wanted: bool| {
        let mut lines = Vec::new();
        for one in found.requirers.iter().filter(|one| one.wanted == is_wanted) {
            lines.push(one.requirer.clone());
            lines.extend(one.places.iter().map(|place| format!("  {}: {}", place.name, state(place))));
            if one.more {
                lines.push(format!("  and more: `provost trust requirer places {}`", one.requirer));
            }
        }
        lines
    };
    part("to be had by", "nobody", requirers(true));
    let left = requirers(false);
    if !left.is_empty() {
        part("to be had no more, and perhaps still there with", "nobody", left);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_is_known_is_told() {
        let found = json!({
            "fingerprint": "ff",
            "certificate": {"fingerprint": "ff", "subject": "Root", "not_before": "b", "not_after": "e",
                "findings": [], "pem": "P"},
            "brought": [{"from": "corp", "by": "ada", "at": "t", "why": "merger"}, {"from": "lab", "by": "bo", "at": "u"}],
            "offered": [{"provider": "corp"}, {"provider": "lab", "relation": 3}],
            "requirers": [{"requirer": "db", "wanted": false, "more": false, "places": [
                {"name": "h3", "state": "behind", "since": "s"},
            ]}, {"requirer": "web", "wanted": true, "more": true, "places": [
                {"name": "h1", "state": "in-step", "since": "s"},
                {"name": "h2", "state": "failing", "since": "s", "reason": "away\u{1b}[2J"},
            ]}],
        });
        let expected = "fingerprint  ff\nsubject      Root\nvalid        b to e\nfindings     -\n\n\
            brought:\n  t by ada for corp because merger\n  u by bo for lab\n\nhanded on by:\n  corp to all its requirers\n  lab in relation 3\n\n\
            to be had by:\n  web\n    h1: in step\n    h2: failing since s because away\u{fffd}[2J\n    \
            and more: `provost trust requirer places web`\n\n\
            to be had no more, and perhaps still there with:\n  db\n    h3: behind since s\n";
        assert_eq!(told(&serde_json::from_value(found).unwrap()), expected);
        let gone = json!({"fingerprint": "ff", "brought": [], "offered": [], "requirers": []});
        let expected = "fingerprint  ff\n\nbrought:\n  nobody knows by whom any more\n\nhanded on by:\n  \
            nobody any more\n\nto be had by:\n  nobody\n";
        assert_eq!(told(&serde_json::from_value(gone).unwrap()), expected);
    }
}
