//! The dialects that stock clients speak, one folder each. Nothing outside knows them.

pub(crate) mod caucase;
pub(crate) mod commissaire;
pub(crate) mod networkcache;
mod percent;
