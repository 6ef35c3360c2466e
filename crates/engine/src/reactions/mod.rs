//! What one room's matters have to do with another's, one file each.

mod host_trust;

#[expect(unused_imports, reason = "whoever reconciles hosts with their bundles calls this")]
pub(crate) use host_trust::{Errand, HandedOn};
