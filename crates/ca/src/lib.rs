//! The certificate authority: requests, certificates, revocations, rollover.
//!
//! An [`Authority`] holds signing requests, decides which are approved at once, issues certificates under
//! its active issuer, revokes, and hands over from one CA certificate to the next. Everything derives
//! from one duration, the life of a leaf certificate, which the contract calls `L`
//! (caucase contract, section 1).
//!
//! **Invariant:** nothing here reads the clock, rolls dice, waits for anything but the store, or knows a
//! dialect. What is acknowledged is stored; a certificate is never signed before its serial is.

mod approve;
mod authority;
mod crl;
mod desk;
mod error;
mod event;
mod handover;
mod held;
mod issue;
mod issuer;
mod issuers;
mod ledger;
mod lists;
mod names;
mod purge;
mod recent;
pub mod record;
mod renew;
mod request;
mod restored;
mod retire;
mod revoke;
mod rollover;
mod rotate;
mod service;
mod settled;
mod sign;
mod statement;
mod stock;
mod submit;
pub mod takeover;
mod token;

pub use authority::{Admission, AuthorityName, Profile};
pub use crl::{Published, PublishedCrl};
pub use error::{
    ApproveError, CrlError, DraftError, IssueError, OpenError, ReadError, RejectError, RenewError,
    RevokeError, StatementError, SubmitError, VerifyHolderError,
};
pub use event::CA_CERTIFICATE_MADE;
pub use handover::Handover;
pub use issuer::Issuer;
pub use names::Names;
pub use request::{ParseIdError, PendingRequest, RequestId};
pub use restored::{CRL_NUMBERS_A_SECOND, HeldIssuer, held_issuers, jump_crl_numbers};
pub use retire::{Holder, Resolve, RetireError, Retirement};
pub use rollover::BACK_DATED;
pub use rotate::{RotateError, Rotation};
pub use service::{
    Approve, Authority, Ground, Issue, KeyMaker, ReadRequests, Reject, Retire, Revoke, Rotate,
};
pub use settled::{settled_in, stranded, stranded_of};
pub use statement::{ByHolder, Statement, signed_text};
pub use token::{KeyLeft, Token, TokenError, TokenKeyId};
