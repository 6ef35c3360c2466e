//! Which files a configuration uses, and for what: none is for two things of which one would destroy the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use client::compat::caucase::{Authority, ServerUrl};

use crate::holder::Collection;
use crate::kept_file::place_of;

/// For what a file is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Use {
    /// This file.
    Configuration,
    Metrics,
    /// Of this authority, whose first one is pinned or not.
    Authorities(ServerUrl, Authority, Option<[u8; 32]>),
    Lists(ServerUrl, Authority),
    /// Of the certificate of this number.
    Certificate(usize),
    Key(usize),
    Csr,
}

/// A file that is used.
#[derive(Debug, Clone)]
pub(super) struct Used {
    pub(super) how: Use,
    /// What it is called when there is something wrong with it.
    pub(super) what: String,
    pub(super) path: PathBuf,
    /// Where it is said, in bytes from the beginning of the configuration.
    pub(super) at: usize,
}

impl Use {
    /// Why one file cannot be used both ways, if it cannot.
    fn excludes(&self, other: &Self, path: &Path) -> Option<&'static str> {
        match (self, other) {
            (Self::Certificate(one), Self::Key(other)) | (Self::Key(one), Self::Certificate(other))
                if one == other =>
            {
                None
            }
            (Self::Csr, Self::Csr) => None,
            (Self::Authorities(..), Self::Authorities(..)) | (Self::Lists(..), Self::Lists(..)) => {
                (self != other).then_some(", for another server, mode or fingerprint")
            }
            // In a folder each has files of its own.
            (Self::Authorities(..), Self::Lists(..)) | (Self::Lists(..), Self::Authorities(..))
                if Collection::<x509::Certificate>::at(path).is_folder() =>
            {
                None
            }
            _ => Some(""),
        }
    }
}

/// What of `all` would destroy something else, by whatever path: where it is said, and what it is.
pub(super) fn clashes(all: Vec<Used>) -> Vec<(usize, String)> {
    let mut clashes = Vec::new();
    let mut places: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut found: BTreeMap<PathBuf, Vec<Used>> = BTreeMap::new();
    for one in all {
        let place = places.entry(one.path.clone()).or_insert_with(|| place_of(&one.path)).clone();
        let others = found.entry(place).or_default();
        let clash = others
            .iter()
            .find_map(|other| one.how.excludes(&other.how, &one.path).map(|why| (other.what.clone(), why)));
        if let Some((other, why)) = clash {
            let path = one.path.display();
            clashes.push((one.at, format!("{} and {other} are the same file, {path}{why}", one.what)));
        } else if others.iter().all(|other| other.how != one.how) {
            others.push(one);
        }
    }
    // What is called like what a folder of CA certificates or lists has in it is taken for one that ended.
    for (place, used) in &found {
        let folder = place.parent().and_then(|folder| found.get(folder));
        let owner = folder.into_iter().flatten().find(|owner| match owner.how {
            Use::Authorities(..) => place.to_string_lossy().ends_with(".ca.pem"),
            Use::Lists(..) => place.to_string_lossy().ends_with(".crl.pem"),
            _ => false,
        });
        if let (Some(owner), Some(one)) = (owner, used.first()) {
            let (path, what) = (one.path.display(), &one.what);
            clashes.push((
                one.at,
                format!("{what}, {path}, would be removed from the folder of {}", owner.what),
            ));
        }
    }
    clashes
}
