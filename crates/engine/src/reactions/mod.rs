//! What one room's matters have to do with another's, one file each.

mod everywhere;
mod host_trust;
mod own_trust;

pub(crate) use everywhere::Everywhere;
pub(crate) use host_trust::{Errand, HandedOn};
pub(crate) use own_trust::OwnTrust;
