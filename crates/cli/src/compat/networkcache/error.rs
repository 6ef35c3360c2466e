//! What can go wrong, in the original's words where its users may look for them.

use std::io;
use std::path::PathBuf;

use base::{Explain, Kind};
use client::BuildError;
use client::networkcache::{AccessError, BadServiceUrl, CacheError};
use client::origin::OriginError;
use entry::json::JsonError;
use entry::{FilterError, NewError, NoMatchingCertificate, SigningKeyError, TrustError};
use x509::NameError;

use super::ini::IniError;

/// A command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// A file that was named cannot be read.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("could not write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The configuration file is not one.
    #[error("{} cannot be used", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: IniError,
    },
    /// The configuration file has not what is needed.
    #[error("{} has no section [networkcache]", path.display())]
    NoSection {
        /// The file.
        path: PathBuf,
    },
    /// An option that is needed now is not there.
    #[error("the configuration has no `{option}`")]
    NoOption {
        /// Its name.
        option: &'static str,
    },
    /// An option that is no URL.
    #[error("option `{option}` cannot be used")]
    Url {
        /// Its name.
        option: &'static str,
        /// Why not.
        #[source]
        source: BadServiceUrl,
    },
    /// The files for TLS.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// What is in them.
    #[error("could not prepare to ask {url}")]
    Build {
        /// The server.
        url: String,
        /// Why not.
        #[source]
        source: BuildError,
    },
    /// The key that signs.
    #[error("{} cannot sign", path.display())]
    SigningKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: SigningKeyError,
    },
    /// A key that is not made.
    #[error(transparent)]
    NewKey(#[from] SigningKeyError),
    /// A name that no certificate can have.
    #[error("the common name cannot be used")]
    Name(#[from] NameError),
    /// The certificates that are trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Certificates are to be trusted, and none of them can be: the original would believe everybody then.
    #[error("none of the certificates to be trusted can be used")]
    NobodyTrusted,
    /// The signer would not be believed.
    #[error(transparent)]
    NoMatchingCertificate(#[from] NoMatchingCertificate),
    /// A cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Where something is to be fetched from.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// What is to be said about the bytes.
    #[error(transparent)]
    Entry(#[from] NewError),
    /// A word that says nothing.
    #[error("`{0}` is not KEY=VALUE")]
    Word(String),
    /// A name that is not for the caller to say.
    #[error("`{0}` cannot be a name of metadata")]
    Reserved(String),
    /// A file that is no JSON.
    #[error("{}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: JsonError,
    },
    /// A file that is another JSON.
    #[error("Not a dictionary: {}", path.display())]
    NotADictionary {
        /// The file.
        path: PathBuf,
    },
    /// A filter that was not understood.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Nothing is left of what was found.
    #[error("No result found with given criteria.")]
    NoResult,
    /// slapcache found nothing that it can take.
    #[error("No result from shacache")]
    NoUpgrade(#[source] Option<Box<CommandError>>),
    /// What slapcache found is not what its companion says.
    #[error("the file from the cache is not the one that `{key}` tells of")]
    Companion {
        /// The key of the digest.
        key: String,
    },
    /// What is to be written is there already.
    #[error("{what} exists, will not overwrite.")]
    Exists {
        /// In the original's words: what it is and its name in quotes.
        what: String,
    },
    /// What slapcache-conf is to write is there already.
    #[error("{} already exists!", path.display())]
    ConfigurationExists {
        /// The file.
        path: PathBuf,
    },
    /// A directory cannot be packed.
    #[error("could not pack {}", path.display())]
    Archive {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Standard output is out of order.
    #[error("could not write the result")]
    Output(#[source] io::Error),
    /// The system refuses what every program needs.
    #[error("could not start")]
    Runtime(#[source] io::Error),
}

impl CommandError {
    /// Whether the words are the original's and stand alone.
    pub(super) fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::NoResult
                | Self::NotADictionary { .. }
                | Self::Metadata { .. }
                | Self::ConfigurationExists { .. }
        )
    }
}

impl Explain for CommandError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::Archive { .. }
            | Self::Output(_)
            | Self::Runtime(_) => Kind::Unavailable,
            Self::Configuration { source, .. } => source.kind(),
            Self::Access(source) => source.kind(),
            Self::Build { source, .. } => source.kind(),
            Self::SigningKey { source, .. } | Self::NewKey(source) => source.kind(),
            Self::Trust(source) => source.kind(),
            Self::Cache(source) => source.kind(),
            Self::Origin(source) => source.kind(),
            Self::Entry(source) => source.kind(),
            Self::Filter(source) => source.kind(),
            Self::NoResult | Self::NoUpgrade(_) => Kind::NotFound,
            Self::Exists { .. } | Self::ConfigurationExists { .. } | Self::Companion { .. } => Kind::Conflict,
            Self::NoSection { .. }
            | Self::NoOption { .. }
            | Self::Url { .. }
            | Self::Name(_)
            | Self::NobodyTrusted
            | Self::NoMatchingCertificate(_)
            | Self::Word(_)
            | Self::Reserved(_)
            | Self::Metadata { .. }
            | Self::NotADictionary { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Configuration { source, .. } => source.help(),
            Self::SigningKey { source, .. } => source.help(),
            Self::Trust(source) => source.help(),
            Self::Cache(source) => source.help(),
            Self::Origin(source) => source.help(),
            Self::Filter(source) => source.help(),
            Self::NobodyTrusted => Some(
                "put a certificate into signature-certificate-list; take the option out to believe everybody"
                    .into(),
            ),
            Self::ConfigurationExists { .. } => Some("`--force` keeps the old one under another name".into()),
            _ => None,
        }
    }
}
