//! What one room has to do because something happened in another.

mod own_trust;

pub(crate) use own_trust::OwnTrust;
