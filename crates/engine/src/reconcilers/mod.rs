//! What the house does without being asked, one file each.

mod backups;
mod certificates;
mod close_idle;
mod collect_artifacts;
mod cordons;
mod end_idle_uploads;
mod hand_on_trust;
mod history;
mod investigate;
mod link_history;
mod nodes;
mod operations;
mod rollover;
mod scrub_artifacts;
mod server_certificate;
mod tell_refusals;
mod trim_linked;
mod void_serials;
mod watch;
mod write_uses;

pub(crate) use backups::Backups;
pub use backups::{BACKUP_SUFFIX, Backup, BackupFile, BackupFolder, BackupParts, OnBackup};
pub(crate) use certificates::Certificates;
pub(crate) use close_idle::CloseIdle;
pub(crate) use collect_artifacts::CollectArtifacts;
pub use collect_artifacts::CollectError;
pub(crate) use cordons::LiftCordons;
pub(crate) use end_idle_uploads::EndIdleUploads;
#[cfg(test)]
pub(crate) use hand_on_trust::Give;
pub(crate) use hand_on_trust::{Came, HandOn, HandOnTrust, HostErrand, Part, RequirerErrand, Trouble};
pub(crate) use history::TrimHistory;
pub(crate) use investigate::Investigate;
pub(crate) use link_history::LinkHistory;
pub(crate) use nodes::RegisterNodes;
pub(crate) use operations::Operations;
pub(crate) use rollover::Rollover;
pub(crate) use scrub_artifacts::ScrubArtifacts;
pub(crate) use server_certificate::ServerCertificate;
pub use server_certificate::{OnAnchors, OnIdentity};
pub(crate) use tell_refusals::TellRefusals;
pub(crate) use trim_linked::TrimLinked;
pub(crate) use void_serials::VoidSerials;
pub(crate) use watch::{Watch, Watcher};
pub(crate) use write_uses::WriteUses;
