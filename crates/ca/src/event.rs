//! What happened, in the words of the history.

use std::collections::BTreeMap;

use base::{Clock, Timestamp};
use identity::Principal;
use store::Event;
use x509::{Certificate, Serial};

use crate::authority::AuthorityName;
use crate::issue::Mark;
use crate::record::CrlRecord;
use crate::request::RequestId;
use crate::token::{KeyLeft, TokenKeyId};

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
        /// Where the request could be read.
        key_id: Option<String>,
    },
    /// These may be signed under from now on.
    Reserved {
        serials: &'a [Serial],
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
        /// Where it was shown.
        certificate: Option<&'a Certificate>,
        /// The number of the lists that have it.
        number: u64,
    },
    /// Lists of this number and date may be signed from now on.
    ListsDated(CrlRecord),
    IssuerMade {
        certificate: &'a Certificate,
        /// The token in which its key was made, and the key's name there.
        token: Option<(&'a str, TokenKeyId)>,
    },
    /// It was made elsewhere.
    IssuerBrought {
        certificate: &'a Certificate,
    },
    /// It is trusted no more, as somebody else may have its key. That is gone, unless it is in a token.
    IssuerRetired {
        certificate: &'a Certificate,
        left: Option<&'a KeyLeft>,
    },
    /// One that has expired is gone; its key as well, unless that is in a token.
    IssuerDeleted {
        certificate: &'a Certificate,
        left: Option<&'a KeyLeft>,
    },
}

fn texts(serials: &[Serial]) -> String {
    serials.iter().map(Serial::to_string).collect::<Vec<_>>().join(" ")
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
            Self::Rejected { id, key_id } => {
                if let Some(key_id) = key_id {
                    fact("key_id", key_id.clone());
                }
                ("request rejected", format!("{authority} request {id}"))
            }
            Self::Reserved { serials } => {
                fact("reserved", texts(serials));
                ("serials reserved", format!("{authority} authority"))
            }
            Self::Issued { id, certificate, serial, mark } => {
                fact("serial", serial.to_string());
                fact("key_id", certificate.public_key().key_id().to_string());
                fact("automatic", (*mark == Mark::Automatic).to_string());
                if *mark == Mark::Carried {
                    fact("renewal", true.to_string());
                }
                fact("sha256", base::hex::encode(&certificate.fingerprint()));
                fact("not_after", certificate.not_after().to_string());
                ("certificate issued", format!("{authority} request {id}"))
            }
            Self::Voided { serials } => {
                fact("serials", texts(serials));
                ("reserved serials voided", format!("{authority} authority"))
            }
            Self::Revoked { serial, certificate, number } => {
                if let Some(certificate) = certificate {
                    fact("key_id", certificate.public_key().key_id().to_string());
                    fact("sha256", base::hex::encode(&certificate.fingerprint()));
                    fact("subject", certificate.subject().to_string());
                }
                fact("list_number", number.to_string());
                ("certificate revoked", format!("{authority} serial {serial}"))
            }
            Self::ListsDated(CrlRecord { number, this_update }) => {
                fact("list_number", number.to_string());
                fact("this_update", Timestamp::from_unix(*this_update).to_string());
                ("revocation lists dated", format!("{authority} authority"))
            }
            Self::IssuerDeleted { certificate, left } | Self::IssuerRetired { certificate, left } => {
                if let Some(KeyLeft { token, key }) = left {
                    fact("key_left_in", format!("token {token}"));
                    fact("token_key", key.clone());
                }
                fact("not_after", certificate.not_after().to_string());
                fact("sha256", base::hex::encode(&certificate.fingerprint()));
                let what = match self {
                    Self::IssuerRetired { .. } => "CA certificate retired",
                    _ => "CA certificate deleted",
                };
                (what, format!("{authority} authority"))
            }
            Self::IssuerMade { certificate, .. } | Self::IssuerBrought { certificate } => {
                if let Self::IssuerMade { token, .. } = self {
                    match token {
                        Some((token, key)) => {
                            fact("key_made_in", format!("token {token}"));
                            fact("token_key", key.to_string());
                        }
                        None => drop(fact("key_made_in", "store".to_owned())),
                    }
                }
                fact("not_before", certificate.not_before().to_string());
                fact("not_after", certificate.not_after().to_string());
                fact("key_id", certificate.public_key().key_id().to_string());
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
