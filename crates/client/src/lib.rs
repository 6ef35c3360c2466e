//! Something that asks a server over HTTP: several endpoints in order, credentials, time-outs.
//!
//! ```text
//! v1, compat/*           ──► Request ──► Client ──► Answer, Events
//!                                          ▲
//!             Endpoint, Trust, Credentials ┘ (a user name, a token, a certificate; from a kubeconfig too)
//!
//! networkcache ──► Artifacts, Entries (their own connections: bytes stream, and downloads resume)
//! origin ──► whatever a URL names
//! post ──► Poster (something for one URL, whoever is there)
//! ```
//! A request that cannot be delivered to one endpoint goes to the next; whatever a server answers is an
//! answer, also when it says no. Servers are verified, against the system's authorities or those of a file.
//!
//! **Invariant:** nothing here prints, asks a person, or knows how a server decides; a secret is sent to the
//! endpoints that were given and nowhere else: redirections are not followed, and no proxy comes between where it
//! could read along. What has no secret, `origin`, follows and uses both.

mod answer;
mod client;
pub mod compat;
mod credentials;
mod endpoint;
mod events;
mod kubeconfig;
mod nearby;
pub mod networkcache;
pub mod origin;
mod post;
mod request;
pub mod v1;

pub use answer::Answer;
pub use client::{BuildError, Client, Listening, SendError, Trust, Unreachable};
pub use credentials::{Authorization, Credentials};
pub use endpoint::{BadEndpoint, Endpoint};
pub use events::{Event, Events};
pub use kubeconfig::{KubeconfigError, kubeconfig};
pub use nearby::Nearby;
pub use post::{PostError, PostLimits, Posted, Poster};
pub use request::{BadSegment, Condition, Request, Segment};
pub use reqwest::Method;
