//! The doors: sockets, TLS, HTTP, limits and the access log, but none of the routes.
//!
//! ```text
//! listen ──► connection ──► (tls) ──► stream ──► hyper ──► exchange ──► routes
//!   │            │    below it: socket, └► head               │
//!   │            │         sendfile                           │
//!   └─ registry ◄┘ each has a watch: who waits for whom       ├─► access_log
//!                                                             └─► meters
//! ```
//! [`Doors::bind`] takes the addresses, [`Doors::open`] lets people in. Handlers find a [`Peer`] in
//! every request's extensions and read bodies with [`read_body`].
//!
//! **Invariant:** nobody in here waits for a peer without a limit, and nobody waits for one peer in the
//! way of another.

mod access_log;
mod body;
mod connection;
mod exchange;
mod files;
mod head;
mod limits;
mod line_queue;
mod listen;
mod meters;
mod registry;
mod routes;
mod sendfile;
mod socket;
mod stream;
mod tls;
mod unread;
mod watch;

pub use access_log::AccessLog;
pub use body::{BodyError, Flowing, read_body};
pub use exchange::{Own, Peer};
pub(crate) use files::ForArtifacts;
pub use limits::Limits;
pub use listen::{BindError, Bindings, Doors, Opening, Scheme};
pub use meters::Meters;
pub use routes::Routes;
pub(crate) use sendfile::{PIECE_BYTES, Sendfile};
pub use tls::{ClientCertificates, ClientTrust, TlsError, TlsIdentity};
