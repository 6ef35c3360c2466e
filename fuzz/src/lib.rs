//! What must hold for whatever strangers send: nothing panics, what is read is kept as it was, and what is
//! written is read again.
//!
//! Each target takes bytes and panics when something does not hold. Two things drive them:
//!
//! ```text
//! tests/smoke.rs    as an ordinary test: seeds, changed in ways that are drawn from a fixed number
//! libfuzzer/        for hours, guided by coverage (its Cargo.toml says how)
//! ```
//! The seeds were made by `seeds/make.py`. An input that once did harm becomes a seed.

mod archive;
mod backup;
mod certificate;
mod database;
mod dialect;
mod dump;
mod entry;
mod filter;
mod fleet;
mod ini;
mod issuance;
mod link;
pub mod mutate;
mod pem;
mod private_key;
mod request;
mod resign;
mod revocation_list;
mod sign_in;
mod signature;
mod tar;

/// Something that is fed with bytes.
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Which folder under `seeds/` its examples are in.
    pub seeds: &'static str,
    /// Panics when something does not hold.
    pub run: fn(&[u8]),
    /// How much longer it takes than others do: a short walk has as many inputs less.
    pub costs: u64,
}

/// All of them.
pub const TARGETS: [Target; 20] = [
    Target { name: "pem", seeds: "pem", run: pem::run, costs: 1 },
    Target { name: "request", seeds: "request", run: request::run, costs: 1 },
    Target { name: "certificate", seeds: "certificate", run: certificate::run, costs: 1 },
    Target { name: "revocation_list", seeds: "revocation_list", run: revocation_list::run, costs: 1 },
    Target { name: "private_key", seeds: "private_key", run: private_key::run, costs: 1 },
    Target { name: "envelope", seeds: "envelope", run: dialect::envelope, costs: 1 },
    Target { name: "web", seeds: "web", run: dialect::web, costs: 1 },
    Target { name: "fleet", seeds: "fleet", run: fleet::run, costs: 1 },
    Target { name: "sign_in", seeds: "sign_in", run: sign_in::run, costs: 1 },
    Target { name: "issuance", seeds: "request", run: issuance::run, costs: 1 },
    Target { name: "entry", seeds: "entry", run: entry::run, costs: 1 },
    Target { name: "filter", seeds: "filter", run: filter::run, costs: 1 },
    Target { name: "ini", seeds: "ini", run: ini::run, costs: 1 },
    Target { name: "signature", seeds: "signature", run: signature::run, costs: 1 },
    Target { name: "archive", seeds: "archive", run: archive::run, costs: 1 },
    Target { name: "tar", seeds: "tar", run: tar::run, costs: 8 },
    Target { name: "database", seeds: "database", run: database::run, costs: 40 },
    Target { name: "backup", seeds: "backup", run: backup::run, costs: 20 },
    Target { name: "dump", seeds: "dump", run: dump::run, costs: 20 },
    Target { name: "link", seeds: "link", run: link::run, costs: 1 },
];

/// Runs the target called `name` on `data`.
///
/// # Panics
/// When something does not hold, or no target has this name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the name of a target");
    (target.run)(data);
}
