//! What a database of caucase's holds, in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base::Timestamp;
use ca::takeover::{TakenAuthority, authority_of};
use caucase_files::Prefix;
use serde_json::{Value, json};

/// What was found, or taken.
#[derive(Debug)]
pub struct Taken {
    /// In the order of [`Prefix::ALL`].
    pub authorities: [TakenAuthority; Prefix::ALL.len()],
    /// Further tables, of which nothing is taken.
    pub others: Vec<String>,
}

impl Taken {
    fn each(&self) -> impl Iterator<Item = (&'static str, &TakenAuthority)> {
        let name = |prefix| authority_of(prefix).as_str();
        Prefix::ALL.into_iter().zip(&self.authorities).map(move |(prefix, taken)| (name(prefix), taken))
    }

    /// For the history.
    pub fn facts(&self) -> Vec<(&'static str, BTreeMap<String, String>)> {
        let facts = |taken: &TakenAuthority| {
            [
                ("issuers", taken.issuers.len() as u64),
                ("issued", taken.issued),
                ("pending", taken.pending),
                ("revoked", taken.revoked),
                ("received", taken.received),
                ("crl_number", taken.crl_number),
            ]
            .map(|(name, number)| (name.to_owned(), number.to_string()))
            .into()
        };
        self.each().map(|(name, taken)| (name, facts(taken))).collect()
    }

    /// One line.
    pub fn summary(&self) -> String {
        let each: Vec<_> = self
            .each()
            .map(|(name, taken)| {
                format!(
                    "{name}: {} CA certificate(s), {} issued, {} pending, {} revoked, CRL number {}",
                    taken.issuers.len(),
                    taken.issued,
                    taken.pending,
                    taken.revoked,
                    taken.crl_number
                )
            })
            .collect();
        let others = match &self.others[..] {
            [] => String::new(),
            others => format!("; not taken: the table(s) {}", others.join(", ")),
        };
        format!("{}{others}", each.join("; "))
    }

    /// What is odd and was taken nevertheless, in sentences.
    pub fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for (name, taken) in self.each() {
            if taken.orphans > 0 {
                findings.push(format!(
                    "{name}: {} certificate(s) are of CA certificates that are gone: nobody can verify them",
                    taken.orphans
                ));
            }
            if taken.unread > 0 {
                findings.push(format!(
                    "{name}: of {} issued certificate(s) the request cannot be read any more, or is not signed by its key; \
                     the certificates were taken as they are",
                    taken.unread
                ));
            }
        }
        findings
    }

    /// A line for each thing that an operator wants to know before.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, taken) in self.each() {
            // To a String: cannot fail.
            let _ = writeln!(text, "{name}");
            for issuer in &taken.issuers {
                let subject = issuer.subject().common_name().unwrap_or_default();
                let (from, to) = (issuer.not_before(), issuer.not_after());
                let _ = writeln!(text, "  CA certificate      {subject}, {from} to {to}");
            }
            let orphans = match taken.orphans {
                0 => String::new(),
                orphans => format!(", {orphans} of them by CA certificates that are gone"),
            };
            let _ = writeln!(text, "  issued              {}{orphans}", taken.issued);
            if let Some(next) = taken.next_end {
                let _ = writeln!(text, "  the next one ends   {next}");
            }
            let _ = writeln!(text, "  pending             {}", taken.pending);
            let _ = writeln!(text, "  revoked             {}", taken.revoked);
            let _ = writeln!(text, "  received            {}", taken.received);
            let dated = match taken.crl_date {
                0 => String::new(),
                date => format!(", of {}", Timestamp::from_unix(date)),
            };
            let _ = writeln!(text, "  CRL number          {}{dated}", taken.crl_number);
            if let Some(automatic) = taken.automatic {
                let _ = writeln!(text, "  approved by itself  the first {automatic}, locked");
            }
        }
        for finding in self.findings() {
            let _ = writeln!(text, "note: {finding}");
        }
        if !self.others.is_empty() {
            let _ = writeln!(text, "not taken\n  tables              {}", self.others.join(", "));
        }
        text
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let issuer = |issuer: &x509::Certificate| {
            json!({
                "subject": issuer.subject().common_name(),
                "sha256": base::hex::encode(&issuer.fingerprint()),
                "not_before": issuer.not_before().to_string(),
                "not_after": issuer.not_after().to_string(),
            })
        };
        let authority = |taken: &TakenAuthority| {
            json!({
                "issuers": taken.issuers.iter().map(issuer).collect::<Vec<_>>(),
                "issued": taken.issued,
                "issued_by_gone_issuers": taken.orphans,
                "issued_with_unreadable_request": taken.unread,
                "next_end": taken.next_end.map(|end| end.to_string()),
                "pending": taken.pending,
                "revoked": taken.revoked,
                "received": taken.received,
                "crl_number": taken.crl_number,
                "crl_date": (taken.crl_date != 0).then(|| Timestamp::from_unix(taken.crl_date).to_string()),
                "locked_automatic": taken.automatic,
            })
        };
        let authorities: serde_json::Map<_, _> =
            self.each().map(|(name, taken)| (name.to_owned(), authority(taken))).collect();
        json!({ "authorities": authorities, "tables_not_taken": self.others })
    }
}
