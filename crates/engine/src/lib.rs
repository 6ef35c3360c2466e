//! The running house: every room and craft put together, and what happens in it without being asked.
//!
//! **Invariant:** only [`Tasks`] spawns, and it awaits what it spawned. A reconciler may be stopped
//! between steps and started again anywhere: all it knows is in the store.

pub mod audit;
pub mod clock_seen;
mod clusters;
mod hands;
mod hosts;
mod house;
mod house_error;
mod neighbours;
mod outbox;
mod reactions;
mod reconciler;
mod reconcilers;
mod refusals;
mod seal;
mod server_identity;
mod sign_in;
mod tasks;
mod token;
mod upstream;

pub use clusters::{Deleted, DeletionError, JoinError, Left, ManagerError, NotNow};
pub use hands::{Courier, Hands, Jump, Letter, OurFault, Playbooks, Replied, Unanswered, handing_on};
pub use house::{CacheParts, House, Parts, Retention};
pub use house_error::{HouseError, SignInFailed};
pub use reconcilers::{
    BACKUP_SUFFIX, Backup, BackupFile, BackupFolder, BackupParts, CollectError, OnAnchors, OnBackup,
    OnIdentity,
};
pub use refusals::Refusals;
pub use seal::{MOVING, fits, is_new};
pub use server_identity::{ServerIdentity, ServerIdentityError, ServerName};
pub use tasks::{Stop, Tasks};
pub use token::{OnToken, TokenParts};
pub use upstream::{
    Asker, Behind, Coming, Freshness, Incoming, Looked, NotFetched, Passing, Relay, RelayError, Relayed,
    Upstream, Via,
};
