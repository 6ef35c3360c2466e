//! Where a requirer's certificates are put.

use std::collections::BTreeSet;
use std::fmt;

use base::{Entropy, Explain, Kind, Secret};
use serde_json::json;
use store::SealingKey;

use crate::account::Only;
use crate::on_host::{self, FILES_MAX, FilePlace, Keystore, OnHost};
use crate::record::{FileRecord, KeystoreRecord, PlaceRecord, WebhookSecrets};
use crate::webhook::{BadKey, BadUrl, Key, Url};

/// The most hosts or namespaces that are named one by one.
const NAMED_MAX: usize = 500;
/// The longest name of any of them, in bytes, and the longest label selector, object name and key.
const NAME_BYTES_MAX: usize = 253;
/// The longest secret of a webhook, in bytes.
const SECRET_BYTES_MAX: usize = 1024;
/// The most bytes of what a webhook is verified with, as PEM.
const CA_BYTES_MAX: usize = 64 << 10;

/// Where a requirer's certificates are put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Wherever it wants: it comes and asks.
    Poll {
        /// Whose word it is that something is there; whoever may look, where nobody is named.
        only: Only,
    },
    /// On hosts of the fleet.
    Hosts {
        /// On which.
        which: WhichHosts,
        /// Where on each.
        on: OnHost,
    },
    /// In objects of a Kubernetes cluster.
    Kubernetes(InKubernetes),
    /// Told to a program of the operator's.
    Webhook(Webhook),
}

/// Some hosts of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhichHosts {
    /// These, by their addresses.
    pub hosts: Vec<String>,
    /// Those of this cluster.
    pub cluster: Option<String>,
    /// All of them.
    pub all: bool,
}

/// An object in namespaces of a Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InKubernetes {
    /// The name of the container manager that knows the cluster.
    pub container_manager: String,
    /// Whether the object is a Secret; it is a ConfigMap otherwise.
    pub secret: bool,
    /// In these namespaces.
    pub namespaces: Vec<String>,
    /// In those with these labels, as `kubectl --selector` has them.
    pub selector: Option<String>,
    /// What the object is called.
    pub name: String,
    /// What the text in it is called: `ca.crt`.
    pub key: String,
}

/// A program of the operator's, which is told over HTTPS.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where it listens.
    pub url: String,
    /// What what it is told is signed with.
    pub secret: Secret<String>,
    /// With what it is verified, PEM; by the system's authorities where there is nothing.
    pub ca: Option<String>,
}

/// What is no secret of it.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.shown_url())
    }
}

impl Webhook {
    /// Where it listens, for people: what comes behind host and port is left out, as there may be a secret in it.
    #[must_use]
    pub fn shown_url(&self) -> String {
        match self.url.parse::<Url>() {
            Ok(url) => format!("{url}/…"),
            Err(_) => "…".to_owned(),
        }
    }
}

/// Why nothing can be put there.
#[derive(Debug, thiserror::Error)]
pub enum BadPlace {
    /// No host is meant, or two kinds of selection.
    #[error("say which hosts: some by their addresses, those of a cluster, or all")]
    Which,
    /// Neither the system's store nor Java's nor a file is meant.
    #[error("say where on the hosts: in the system's store, in Java's, or in files")]
    Where,
    /// Too many are named.
    #[error("at most {NAMED_MAX} are named one by one")]
    TooMany,
    /// Java's store is to have them, and not the system's.
    #[error("Java's store is made of the system's: ask for both")]
    JavaAlone,
    /// There are too many files, or one twice.
    #[error("a requirer has at most {FILES_MAX} files on a host, each of them once")]
    Files,
    /// A file is none.
    #[error(transparent)]
    File(#[from] on_host::BadPlace),
    /// A name is none.
    #[error("`{0}` is not a name there")]
    Name(String),
    /// No namespace is meant.
    #[error("say in which namespaces: by their names, or by their labels")]
    Namespaces,
    /// The URL is none that can be used.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// The secret is too short to protect anything.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// The secret is too long.
    #[error("a webhook's secret has at most {SECRET_BYTES_MAX} bytes")]
    Secret,
    /// What it is verified with is too long.
    #[error("what the webhook is verified with has at most {CA_BYTES_MAX} bytes")]
    LongCa,
    /// What it is verified with is none.
    #[error("what the webhook is verified with is not to be used: {0}")]
    Ca(String),
}

impl Explain for BadPlace {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl Webhook {
    /// By what it is told from another one: changes with each of its parts, and gives none of them away.
    fn mark(&self) -> String {
        let said = format!("{}\n{}", self.url, self.ca.as_deref().unwrap_or_default());
        let mark = base::hmac_sha256(self.secret.expose().as_bytes(), said.as_bytes());
        base::hex::encode(&mark).chars().take(16).collect()
    }
}

impl Place {
    /// What it is called in lists.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Poll { .. } => "poll",
            Self::Hosts { .. } => "hosts",
            Self::Kubernetes(_) => "kubernetes",
            Self::Webhook(_) => "webhook",
        }
    }

    /// Looks at it before it is kept.
    ///
    /// # Errors
    /// [`BadPlace`], the first rule that is broken.
    pub fn check(&self) -> Result<(), BadPlace> {
        match self {
            Self::Poll { .. } => Ok(()),
            Self::Hosts { which, on } => {
                let ways = [!which.hosts.is_empty(), which.cluster.is_some(), which.all];
                if ways.into_iter().filter(|way| *way).count() != 1 {
                    return Err(BadPlace::Which);
                }
                if which.hosts.len() > NAMED_MAX {
                    return Err(BadPlace::TooMany);
                }
                which.hosts.iter().chain(&which.cluster).try_for_each(|name| check_name(name))?;
                let OnHost { system_store, java, files } = on;
                let paths: BTreeSet<&str> = files.iter().map(FilePlace::path).collect();
                match (system_store, java) {
                    (false, true) => Err(BadPlace::JavaAlone),
                    (false, false) if files.is_empty() => Err(BadPlace::Where),
                    _ if files.len() > FILES_MAX || paths.len() < files.len() => Err(BadPlace::Files),
                    _ => Ok(()),
                }
            }
            Self::Kubernetes(place) => {
                if place.namespaces.is_empty() && place.selector.is_none() {
                    return Err(BadPlace::Namespaces);
                }
                if place.namespaces.len() > NAMED_MAX {
                    return Err(BadPlace::TooMany);
                }
                if place.selector.as_ref().is_some_and(|text| text.len() > NAME_BYTES_MAX) {
                    return Err(BadPlace::Name(place.selector.clone().unwrap_or_default()));
                }
                let names =
                    place.namespaces.iter().chain([&place.container_manager, &place.name, &place.key]);
                names.map(String::as_str).try_for_each(check_name)
            }
            Self::Webhook(webhook) => {
                webhook.url.parse::<Url>()?;
                Key::new(Secret::new(webhook.secret.expose().as_bytes().to_vec()))?;
                if webhook.secret.expose().len() > SECRET_BYTES_MAX {
                    return Err(BadPlace::Secret);
                }
                match webhook.ca.as_deref().map(kept_ca) {
                    None => Ok(()),
                    Some(ca) if ca.as_ref().is_ok_and(|ca| ca.len() > CA_BYTES_MAX) => Err(BadPlace::LongCa),
                    Some(ca) => ca.map(drop),
                }
            }
        }
    }

    /// The same as it is kept: certificates and nothing else where certificates are meant, in one spelling.
    pub(crate) fn kept(&self) -> Self {
        match self {
            Self::Webhook(webhook) => {
                let ca = webhook.ca.as_ref().map(|ca| kept_ca(ca).unwrap_or_else(|_| ca.clone()));
                Self::Webhook(Webhook { ca, ..webhook.clone() })
            }
            Self::Poll { .. } | Self::Hosts { .. } | Self::Kubernetes(_) => self.clone(),
        }
    }

    /// As it is stored, of the requirer whose record is at `about`.
    pub(crate) fn record(&self, about: &str, sealing: &SealingKey, entropy: &Entropy) -> PlaceRecord {
        match self.clone() {
            Self::Poll { only } => PlaceRecord::Poll { only: only.names() },
            Self::Hosts { which: WhichHosts { hosts, cluster, all }, on } => PlaceRecord::Hosts {
                hosts,
                cluster,
                all,
                system_store: on.system_store,
                java: on.java,
                files: on.files.iter().map(file_record).collect(),
            },
            Self::Kubernetes(InKubernetes { container_manager, secret, namespaces, selector, name, key }) => {
                PlaceRecord::Kubernetes { container_manager, secret, namespaces, selector, name, key }
            }
            Self::Webhook(Webhook { url, secret, ca }) => {
                let secrets = Secret::new(json!({ "url": url, "secret": secret.expose() }).to_string());
                let sealed = sealing.seal(about, secrets.expose().as_bytes(), entropy);
                PlaceRecord::Webhook { sealed, ca }
            }
        }
    }

    /// Where in one of its units certificates are put, as it is written down with that unit; nothing where nothing is
    /// left behind that would have to be taken away. Of a webhook it is by what another one is told from it, and neither
    /// its secret nor its path.
    pub(crate) fn in_unit(&self) -> Option<PlaceRecord> {
        match self.clone() {
            Self::Poll { .. } => None,
            Self::Webhook(webhook) => Some(PlaceRecord::Webhook {
                // No secret, and not to be opened: it only tells one from another.
                sealed: webhook.mark(),
                ca: None,
            }),
            Self::Hosts { on, .. } => Some(PlaceRecord::Hosts {
                hosts: Vec::new(),
                cluster: None,
                all: false,
                system_store: on.system_store,
                java: on.java,
                files: on.files.iter().map(file_record).collect(),
            }),
            Self::Kubernetes(place) => Some(PlaceRecord::Kubernetes {
                container_manager: place.container_manager,
                secret: place.secret,
                namespaces: Vec::new(),
                selector: None,
                name: place.name,
                key: place.key,
            }),
        }
    }

    /// What [`Self::in_unit`] gave.
    pub(crate) fn in_unit_from(record: PlaceRecord) -> Option<Self> {
        Some(match record {
            PlaceRecord::Poll { .. } => return None,
            // Which one it was is not to be told any more; only that it was one.
            PlaceRecord::Webhook { sealed, ca } => {
                let (url, secret) = (String::new(), sealed);
                Self::Webhook(Webhook { url, secret: Secret::new(secret), ca })
            }
            PlaceRecord::Hosts { system_store, java, files, .. } => {
                let files = files.into_iter().map(file).collect::<Option<Vec<_>>>()?;
                let on = OnHost { system_store, java, files };
                Self::Hosts { which: WhichHosts::default(), on }
            }
            PlaceRecord::Kubernetes { container_manager, secret, namespaces, selector, name, key } => {
                Self::Kubernetes(InKubernetes { container_manager, secret, namespaces, selector, name, key })
            }
        })
    }

    /// What is stored; nothing where that cannot be read.
    pub(crate) fn from_record(record: PlaceRecord, about: &str, sealing: &SealingKey) -> Option<Self> {
        Some(match record {
            PlaceRecord::Poll { only } => Self::Poll { only: Only::from_record(only) },
            PlaceRecord::Hosts { hosts, cluster, all, system_store, java, files } => {
                let files = files.into_iter().map(file).collect::<Option<Vec<_>>>()?;
                let on = OnHost { system_store, java, files };
                Self::Hosts { which: WhichHosts { hosts, cluster, all }, on }
            }
            PlaceRecord::Kubernetes { container_manager, secret, namespaces, selector, name, key } => {
                Self::Kubernetes(InKubernetes { container_manager, secret, namespaces, selector, name, key })
            }
            PlaceRecord::Webhook { sealed, ca } => {
                let opened = sealing.open(about, &sealed).ok()?;
                let WebhookSecrets { url, secret } = serde_json::from_slice(opened.expose()).ok()?;
                Self::Webhook(Webhook { url, secret: Secret::new(secret), ca })
            }
        })
    }
}

/// The certificates in `text`, and nothing else.
fn kept_ca(text: &str) -> Result<String, BadPlace> {
    let anchors = crate::anchor::read(text.as_bytes()).map_err(|error| BadPlace::Ca(base::report(&error)))?;
    let sorted: BTreeSet<&str> = anchors.values().map(crate::anchor::Anchor::pem).collect();
    Ok(sorted.into_iter().collect())
}

fn file_record(file: &FilePlace) -> FileRecord {
    FileRecord {
        path: file.path().to_owned(),
        owner: file.owner().to_owned(),
        group: file.group().to_owned(),
        mode: file.mode(),
        hook: file.hook().map(ToOwned::to_owned),
        adopt: file.adopts(),
        keystore: file.keystore().map(|keystore| KeystoreRecord {
            password_file: keystore.password_file().map(ToOwned::to_owned),
        }),
    }
}

fn file(record: FileRecord) -> Option<FilePlace> {
    let FileRecord { path, owner, group, mode, hook, adopt, keystore } = record;
    let file = FilePlace::new(&path).and_then(|file| file.with_owner(&owner)).ok()?;
    let file = file.with_group(&group).and_then(|file| file.with_mode(&format!("{mode:04o}"))).ok()?;
    let file = if adopt { file.adopting() } else { file };
    let file = match keystore {
        Some(KeystoreRecord { password_file }) => {
            file.with_keystore(Keystore::new(password_file.as_deref()).ok()?)
        }
        None => file,
    };
    match hook {
        Some(hook) => file.with_hook(&hook).ok(),
        None => Some(file),
    }
}

fn check_name(name: &str) -> Result<(), BadPlace> {
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if is_name { Ok(()) } else { Err(BadPlace::Name(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhooks_secrets_are_sealed() {
        let entropy = Entropy::seeded(1);
        let sealing = SealingKey::generate(&entropy);
        let secret = Secret::new("0123456789abcdef".to_owned());
        let place =
            Place::Webhook(Webhook { url: "https://a.example:8443/hush?hush".into(), secret, ca: None });
        place.check().unwrap();
        let shown = format!("{place:?}");
        assert!(shown.contains("https://a.example:8443/…") && !shown.contains("hush"), "{shown}");
        let record = place.record("/trust/requirer/a", &sealing, &entropy);
        let stored = serde_json::to_string(&record).unwrap();
        assert!(!stored.contains("0123456789abcdef") && !stored.contains("hush"), "{stored}");
        assert_eq!(Place::from_record(record.clone(), "/trust/requirer/a", &sealing), Some(place));
        assert_eq!(Place::from_record(record, "/trust/requirer/b", &sealing), None);
    }

    #[test]
    fn what_a_webhook_is_verified_with_is_kept_in_one_spelling() {
        let webhook = |ca: String| {
            let secret = Secret::new("0123456789abcdef".to_owned());
            Place::Webhook(Webhook { url: "https://a".into(), secret, ca: Some(ca) })
        };
        let pem = crate::anchor::tests::authority("a").to_pem();
        let spelled = webhook(format!("# ours\n{}\n{pem}", pem.replace('\n', "\r\n")));
        spelled.check().unwrap();
        assert_eq!(spelled.kept(), webhook(pem.clone()).kept());
        assert_eq!(spelled.kept(), webhook(pem));
        let many: String =
            (0..200).map(|number| crate::anchor::tests::authority(&format!("{number}")).to_pem()).collect();
        assert!(matches!(webhook(many).check(), Err(BadPlace::LongCa)));
        assert!(matches!(webhook("none".into()).check(), Err(BadPlace::Ca(_))));
    }

    #[test]
    fn a_webhook_is_another_place_when_any_of_it_changes() {
        let hook = |url: &str, secret: &str, ca: Option<&str>| {
            let (url, secret) = (url.to_owned(), Secret::new(secret.to_owned()));
            Place::Webhook(Webhook { url, secret, ca: ca.map(Into::into) }).in_unit()
        };
        let one = hook("https://a/S3CRET", "0123456789abcdef", None);
        assert_eq!(one, hook("https://a/S3CRET", "0123456789abcdef", None));
        let said = format!("{one:?}");
        assert!(!said.contains("S3CRET") && !said.contains("0123456789abcdef"), "{said}");
        for other in [
            hook("https://a/other", "0123456789abcdef", None),
            hook("https://a/S3CRET", "fedcba9876543210", None),
            hook("https://a/S3CRET", "0123456789abcdef", Some("ca")),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn places_are_looked_at() {
        let on = OnHost { system_store: true, ..OnHost::default() };
        let hosts = |hosts: &[&str], cluster: Option<&str>, all| {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            let which = WhichHosts { hosts, cluster: cluster.map(Into::into), all };
            Place::Hosts { which, on: on.clone() }.check().is_ok()
        };
        assert!(hosts(&["10.0.0.1", "fe80::1"], None, false) && hosts(&[], Some("web"), false));
        assert!(hosts(&[], None, true));
        assert!(
            !hosts(&[], None, false) && !hosts(&["a"], Some("web"), false) && !hosts(&["a/b"], None, false)
        );
        let nowhere = OnHost::default();
        let which = WhichHosts { all: true, ..WhichHosts::default() };
        assert!(matches!(Place::Hosts { which, on: nowhere }.check(), Err(BadPlace::Where)));
    }
}
