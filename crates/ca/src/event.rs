//! What happened, in the words of the history.

use std::collections::BTreeMap;

use base::Clock;
use identity::Principal;
use store::Event;
use x509::{Certificate, Serial};

use crate::authority::AuthorityName;
use crate::issue::Mark;
use crate::request::RequestId;

/// What the history says when there is a new CA certificate.
pub const CA_CERTIFICATE_MADE: &str = "CA certificate made";

/// Something that happened to an authority.
#[derive(Debug)]
pub(crate) enum Happened<'a> {
    Submitted {
        id: RequestId,
        key_id: &'a str,
    },
    Rejected {
        id: RequestId,
    },
    /// Also that it was asked for, unless that was told before.
    Issued {
        id: RequestId,
        certificate: &'a Certificate,
        serial: &'a Serial,
        mark: Mark,
    },
    Voided {
        serials: &'a [Serial],
    },
    Revoked {
        serial: &'a Serial,
    },
    IssuerMade {
        certificate: &'a Certificate,
    },
    /// It was made elsewhere.
    IssuerBrought {
        certificate: &'a Certificate,
    },
}

impl Happened<'_> {
    /// As the history keeps it. `by` is who asked, when that is known.
    pub(crate) fn event(&self, authority: AuthorityName, by: Option<&Principal>, clock: &Clock) -> Event {
        let mut facts = BTreeMap::new();
        let mut fact = |name: &str, value: String| facts.insert(name.to_owned(), value);
        let (what, about) = match self {
            Self::Submitted { id, key_id } => {
                fact("key_id", (*key_id).to_owned());
                ("request submitted", format!("{authority} request {id}"))
            }
            Self::Rejected { id } => ("request rejected", format!("{authority} request {id}")),
            Self::Issued { id, certificate, serial, mark } => {
                fact("serial", serial.to_string());
                fact("key_id", certificate.public_key().key_id().to_string());
                fact("automatic", (*mark == Mark::Automatic).to_string());
                fact("not_after", certificate.not_after().to_string());
                ("certificate issued", format!("{authority} request {id}"))
            }
            Self::Voided { serials } => {
                let serials: Vec<String> = serials.iter().map(Serial::to_string).collect();
                fact("serials", serials.join(" "));
                ("reserved serials voided", format!("{authority} authority"))
            }
            Self::Revoked { serial } => ("certificate revoked", format!("{authority} serial {serial}")),
            Self::IssuerMade { certificate } | Self::IssuerBrought { certificate } => {
                fact("not_before", certificate.not_before().to_string());
                fact("not_after", certificate.not_after().to_string());
                fact("sha256", base::hex::encode(&certificate.fingerprint()));
                let what = match self {
                    Self::IssuerBrought { .. } => "CA certificate imported",
                    _ => CA_CERTIFICATE_MADE,
                };
                (what, format!("{authority} authority"))
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
