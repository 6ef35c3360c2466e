//! What happened, in the words of the history.

use std::collections::BTreeMap;

use base::Clock;
use identity::Principal;
use store::Event;
use x509::{Certificate, Serial};

use crate::authority::AuthorityName;
use crate::request::RequestId;

/// Something that happened to an authority.
#[derive(Debug)]
pub(crate) enum Happened<'a> {
    Submitted { id: RequestId, automatic: bool, key_id: String },
    Rejected { id: RequestId },
    Approved { id: RequestId, serial: &'a Serial },
    Issued { id: RequestId, certificate: &'a Certificate, serial: &'a Serial },
    Voided { id: RequestId, serial: &'a str },
    Revoked { serial: &'a Serial },
    IssuerMade { certificate: &'a Certificate },
}

impl Happened<'_> {
    /// As the history keeps it. `by` is who asked, when that is known.
    pub(crate) fn event(&self, authority: AuthorityName, by: Option<&Principal>, clock: &Clock) -> Event {
        let mut facts = BTreeMap::new();
        let mut fact = |name: &str, value: String| facts.insert(name.to_owned(), value);
        let (what, about) = match self {
            Self::Submitted { id, automatic, key_id } => {
                fact("automatic", automatic.to_string());
                fact("key_id", key_id.clone());
                ("request submitted", format!("{authority} request {id}"))
            }
            Self::Rejected { id } => ("request rejected", format!("{authority} request {id}")),
            Self::Approved { id, serial } => {
                fact("serial", serial.to_string());
                ("request approved", format!("{authority} request {id}"))
            }
            Self::Issued { id, certificate, serial } => {
                fact("serial", serial.to_string());
                fact("not_after", certificate.not_after().to_string());
                ("certificate issued", format!("{authority} request {id}"))
            }
            Self::Voided { id, serial } => {
                fact("serial", (*serial).to_owned());
                ("interrupted issuance voided", format!("{authority} request {id}"))
            }
            Self::Revoked { serial } => ("certificate revoked", format!("{authority} serial {serial}")),
            Self::IssuerMade { certificate } => {
                fact("not_before", certificate.not_before().to_string());
                fact("not_after", certificate.not_after().to_string());
                fact("sha256", base::hex::encode(&certificate.fingerprint()));
                ("CA certificate made", format!("{authority} authority"))
            }
        };
        Event {
            at_milliseconds: clock.now_milliseconds(),
            what: what.to_owned(),
            about,
            by: by.map_or_else(|| "anonymous".to_owned(), |by| by.name().to_owned()),
            from: by.and_then(Principal::from).map(|address| address.to_string()),
            facts,
        }
    }
}
