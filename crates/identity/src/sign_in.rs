//! Sign-in: how somebody proves who they are.
//!
//! A door makes an [`Attempt`] of a request and asks the one [`Stack`], whose methods are asked in the order of the
//! [`Config`]: the first that succeeds says who it is, and which [`Role`](crate::Role) they have.
//!
//! ```text
//! method               feature    what it looks at             and how
//! basic                basic      Authorization: Basic         bcrypt hashes, in a file or the configuration
//! keystone-password    services   Authorization: Basic         asks Keystone
//! keystone-token       services   X-Auth-Token                 asks Keystone
//! openshift            services   Authorization: Bearer        reads a page of OpenShift's with it
//! token-review         services   Authorization: Bearer        asks Kubernetes
//! client-certificate              the TLS client certificate   of any authority, by common name
//! users-authority                 the TLS client certificate   of our own users authority
//! ```
//! Methods that compare passwords or ask others are features, so that a room does not bring a runtime along.
//! Whoever was right is remembered for at most a minute, under a key that depends on the password and its hash;
//! whoever guesses is slowed, by source address.
//!
//! Source of the rules: the contract of `/api/v0`, section 7.

mod attempt;
#[cfg(feature = "basic")]
mod basic;
#[cfg(feature = "services")]
mod bearer;
#[cfg(feature = "guard")]
mod cache;
mod client_certificate;
mod config;
mod error;
#[cfg(feature = "guard")]
mod guard;
#[cfg(feature = "services")]
mod keystone;
mod method;
mod offer;
#[cfg(feature = "services")]
mod openshift;
#[cfg(feature = "services")]
mod outage;
mod own_authority;
mod recent;
mod roles;
#[cfg(feature = "services")]
mod service;
mod shared;
#[cfg(feature = "services")]
mod silence;
mod stack;
#[cfg_attr(not(feature = "guard"), expect(dead_code, reason = "without these methods nobody guesses"))]
mod throttle;
#[cfg(feature = "services")]
mod token_review;
#[cfg(feature = "guard")]
mod turns;
mod watched_file;

pub use attempt::{Attempt, Outcome, SignInDenied, SignedIn};
#[cfg(feature = "basic")]
pub use basic::{UserProblem, users};
pub use client_certificate::check_authorities;
pub use config::{
    BasicConfig, ClientCertificateConfig, Config, KeystoneConfig, MethodConfig, OpenPath, OpenShiftConfig,
    ParseHashError, ParseUrlError, PasswordHash, Service, TokenReviewConfig, Url, UserConfig,
};
pub use error::{BuildError, ServiceError};
pub use method::{Away, Known, Method, Verdict};
pub use offer::{Login, Offer};
pub use own_authority::{AskAuthority, AskAuthorityError, SignInError, certificate, service_certificate};
pub use recent::Recent;
pub use roles::{ParseRoleError, Roles};
pub use shared::Shared;
pub use stack::{Compute, Ground, Stack, Work};
