//! Provost: one program that keeps a fleet in order.
//!
//! This crate is the roof of the house: it reads settings, builds everything below, opens the doors, and
//! answers to the names of the programs that it replaces. Called by its own name it is `provost`.

#![expect(unreachable_pub, reason = "in a program `pub` is what a module offers to the other modules")]

mod another_cache;
mod artifacts;
mod audit;
mod backup;
mod backup_folder;
mod caucased;
mod cli;
mod client_file;
mod compat;
mod data_dir;
mod documents;
mod etcd;
mod face;
mod greeting;
mod hands;
mod house;
mod links;
mod lock;
mod log_file;
mod logging;
mod names;
mod playbooks;
mod relocate;
mod retire;
mod s3_key_file;
mod secret_file;
mod service_manager;
mod settings;
mod start_error;
mod up;
mod uploader;
mod webhooks;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use ::cli::output;

use crate::compat::juju;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let called = arguments.first().and_then(|path| Path::new(path).file_name()).and_then(OsStr::to_str);
    match (called, called.and_then(names::find)) {
        // A charm, whose one program has this name.
        (Some("dispatch"), _) if std::env::var_os(juju::EVENT_VARIABLE).is_some() => juju::run(),
        // Ansible, which takes this for ssh.
        (Some(ansible::RELAY), _) => ansible::relay(arguments.into_iter().skip(1)),
        // Ourselves then, to become it.
        (Some(ansible::RELAYED), _) => ansible::relayed(arguments.into_iter().skip(1)),
        (_, Some(name)) => name.run(arguments),
        (_, None) => cli::run(arguments),
    }
}
