//! Nodes and their pods, and bundles of certificates, against a stand-in for an API server that is held to the published
//! schema; and against servers that are none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod bundle;
mod calls;
mod drain;
mod hostile;
mod schema;
mod stand_in;
mod tls;
mod world;
