//! Where a requirer's certificates are put, as it is said and shown.

use base::Secret;
use trust::{FilePlace, InKubernetes, OnHost, Place, Webhook, WhichHosts};
use wire::{TrustFile, TrustPlace};

use super::Refusal;

/// What the text is called in an object of Kubernetes, where nobody says.
const KEY: &str = "ca.crt";

/// What is said, if it can be meant.
pub(super) fn read(said: TrustPlace) -> Result<Place, Refusal> {
    let unfit = |error: &dyn base::Explain| Refusal::unfit(error.to_string()).hint(error.help());
    let place = match said {
        TrustPlace::Poll {} => Place::Poll,
        TrustPlace::Hosts { hosts, cluster, all, system_store, java, files } => {
            let files = files.into_iter().map(read_file).collect::<Result<Vec<_>, _>>()?;
            let on = OnHost::new(system_store, java, files).map_err(|error| unfit(&error))?;
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

fn read_file(file: TrustFile) -> Result<FilePlace, Refusal> {
    let TrustFile { path, owner, group, mode, hook } = file;
    let octal = |text: String| {
        let is_octal =
            (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let mode = u32::from_str_radix(&text, 8).ok().filter(|_| is_octal);
        mode.ok_or_else(|| Refusal::unfit("a `mode` is three or four octal digits"))
    };
    let mode = mode.map(octal).transpose()?;
    FilePlace::new(path, owner, group, mode, hook).map_err(|error| Refusal::unfit(error.to_string()))
}

/// What is shown: no secret.
pub(super) fn show(place: Place) -> TrustPlace {
    match place {
        Place::Poll => TrustPlace::Poll {},
        Place::Hosts { which: WhichHosts { hosts, cluster, all }, on } => TrustPlace::Hosts {
            hosts,
            cluster,
            all,
            system_store: on.system_store(),
            java: on.java(),
            files: on.files().iter().map(show_file).collect(),
        },
        Place::Kubernetes(InKubernetes { container_manager, secret, namespaces, selector, name, key }) => {
            let key = Some(key);
            TrustPlace::Kubernetes { container_manager, secret, namespaces, selector, name, key }
        }
        Place::Webhook(Webhook { url, ca, .. }) => TrustPlace::Webhook { url, secret: None, ca },
    }
}

fn show_file(file: &FilePlace) -> TrustFile {
    TrustFile {
        path: file.path().to_owned(),
        owner: file.owner().map(ToOwned::to_owned),
        group: file.group().map(ToOwned::to_owned),
        mode: file.mode().map(|mode| format!("{mode:04o}")),
        hook: file.hook().map(ToOwned::to_owned),
    }
}
