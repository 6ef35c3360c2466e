//! Where a requirer's certificates are put, as it is said and shown.

use base::Secret;
use trust::on_host::{BadPlace, FilePlace, Keystore, OnHost};
use trust::{InKubernetes, Only, Place, Webhook, WhichHosts};
use wire::{TrustFile, TrustPlace};

use super::Refusal;

/// What the text is called in an object of Kubernetes, where nobody says.
const KEY: &str = "ca.crt";

/// What is said, if it can be meant.
pub(super) fn read(said: TrustPlace) -> Result<Place, Refusal> {
    let unfit = |error: &dyn base::Explain| Refusal::unfit(error.to_string()).hint(error.help());
    let place = match said {
        TrustPlace::Poll { only } => Place::Poll { only: Only::new(only).map_err(|error| unfit(&error))? },
        TrustPlace::Hosts { hosts, cluster, all, system_store, java, files } => {
            let files = files.into_iter().map(read_file).collect::<Result<Vec<_>, _>>();
            let files = files.map_err(|error| unfit(&error))?;
            let on = OnHost { system_store, java, files };
            Place::Hosts { which: WhichHosts { hosts, cluster, all }, on }
        }
        TrustPlace::Kubernetes { container_manager, secret, namespaces, selector, name, key } => {
            let key = key.unwrap_or_else(|| KEY.to_owned());
            Place::Kubernetes(InKubernetes { container_manager, secret, namespaces, selector, name, key })
        }
        TrustPlace::Webhook { url, secret, ca } => {
            let secret = secret.ok_or_else(|| Refusal::unfit("a webhook needs a `secret`"))?;
            Place::Webhook(Webhook { url, secret: Secret::new(secret), ca })
        }
    };
    place.check().map_err(|error| unfit(&error))?;
    Ok(place)
}

fn read_file(said: TrustFile) -> Result<FilePlace, BadPlace> {
    let TrustFile { path, owner, group, mode, hook, keystore, password_file, adopt } = said;
    let mut file = FilePlace::new(&path)?;
    if keystore {
        file = file.with_keystore(Keystore::new(password_file.as_deref())?);
    } else if password_file.is_some() {
        return Err(BadPlace::Password);
    }
    if adopt {
        file = file.adopting();
    }
    if let Some(owner) = owner {
        file = file.with_owner(&owner)?;
    }
    if let Some(group) = group {
        file = file.with_group(&group)?;
    }
    if let Some(mode) = mode {
        file = file.with_mode(&mode)?;
    }
    match hook {
        Some(hook) => file.with_hook(&hook),
        None => Ok(file),
    }
}

/// What is shown: no secret.
pub(super) fn show(place: Place) -> TrustPlace {
    match place {
        Place::Poll { only } => TrustPlace::Poll { only: only.names() },
        Place::Hosts { which: WhichHosts { hosts, cluster, all }, on } => TrustPlace::Hosts {
            hosts,
            cluster,
            all,
            system_store: on.system_store,
            java: on.java,
            files: on.files.iter().map(show_file).collect(),
        },
        Place::Kubernetes(InKubernetes { container_manager, secret, namespaces, selector, name, key }) => {
            let key = Some(key);
            TrustPlace::Kubernetes { container_manager, secret, namespaces, selector, name, key }
        }
        Place::Webhook(webhook) => {
            TrustPlace::Webhook { url: webhook.shown_url(), secret: None, ca: webhook.ca }
        }
    }
}

fn show_file(file: &FilePlace) -> TrustFile {
    TrustFile {
        path: file.path().to_owned(),
        owner: Some(file.owner().to_owned()),
        group: Some(file.group().to_owned()),
        mode: Some(format!("{:04o}", file.mode())),
        hook: file.hook().map(ToOwned::to_owned),
        keystore: file.keystore().is_some(),
        password_file: file.keystore().and_then(Keystore::password_file).map(ToOwned::to_owned),
        adopt: file.adopts(),
    }
}
