//! `commissaire-server`, its configuration, and that of the services which went with it.

mod conf;
pub mod import;
mod methods;
mod options;
pub mod server;
pub mod sign_in;
mod storage;
mod translate;
mod variables;
