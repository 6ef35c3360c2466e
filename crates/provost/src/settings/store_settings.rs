//! Where everything is remembered, and what is wrong with that.

use std::path::PathBuf;
use std::time::Duration;

use store::{EtcdSettings, Prefix};

use super::reader::Reader;
use super::{EtcdStore, Password, Store, StoreEngine};

/// The longest that one answer may take, and that a start may wait, in seconds.
const SECONDS_MAX: (f64, f64) = (60.0, 86_400.0);

/// A namespace leaves room for the keys behind it.
const NAMESPACE_BYTES_MAX: usize = 200;

/// See [`super::Settings::from`].
pub fn store(reader: &mut Reader<'_>) -> Option<Store> {
    let engine = reader.choice("store.engine");
    let engine = engine.map(|word| if word == "etcd" { StoreEngine::Etcd } else { StoreEngine::Embedded });
    let etcd = etcd(reader, engine);
    Some(Store { engine: engine?, etcd: etcd? })
}

fn etcd(reader: &mut Reader<'_>, engine: Option<StoreEngine>) -> Option<EtcdStore> {
    let ca = reader.path("store.etcd.ca_file");
    let endpoints = endpoints(reader);
    if engine == Some(StoreEngine::Etcd) && endpoints.as_ref().is_some_and(Vec::is_empty) {
        reader.wrong("store.etcd.endpoints", "names no member of the etcd that `store.engine` asks for");
    }
    let certificate = reader.path("store.etcd.certificate_file");
    let key = reader.path("store.etcd.key_file");
    let identity = both(reader, ("store.etcd.certificate_file", certificate), ("store.etcd.key_file", key));
    let user = reader.text("store.etcd.user");
    let password = reader.path("store.etcd.password_file");
    let user = both(reader, ("store.etcd.user", user), ("store.etcd.password_file", password));
    let namespace = namespace(reader);
    let deadline = reader.positive("store.etcd.deadline_seconds", SECONDS_MAX.0);
    let wait = reader.fraction("store.etcd.wait_seconds", SECONDS_MAX.1);
    Some(EtcdStore {
        endpoints: endpoints?,
        ca,
        identity,
        user: user.map(|(name, password)| (name, Password::File(password))),
        namespace: namespace?,
        deadline: Duration::from_secs_f64(deadline?),
        wait: Duration::from_secs_f64(wait?),
    })
}

fn endpoints(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    const NAME: &str = "store.etcd.endpoints";
    let endpoints = reader.parsed_list::<String>(NAME)?;
    // All are looked at before any is given up.
    let checked: Vec<_> = endpoints
        .iter()
        .map(|endpoint| {
            let checked = EtcdSettings::check_endpoint(endpoint);
            reader.or_wrong(NAME, checked.map_err(|error| error.to_string()))
        })
        .collect();
    checked.into_iter().collect::<Option<Vec<()>>>().map(|_| endpoints)
}

/// Two settings that are of use together only.
fn both<A, B>(
    reader: &mut Reader<'_>,
    (one_name, one): (&str, Option<A>),
    (other_name, other): (&str, Option<B>),
) -> Option<(A, B)> {
    for (said, missing) in [(one_name, other_name), (other_name, one_name)] {
        if reader.is_said(said) && !reader.is_said(missing) {
            reader.wrong(missing, format!("is needed where `{said}` is given"));
        }
    }
    one.zip(other)
}

fn namespace(reader: &mut Reader<'_>) -> Option<Prefix> {
    const NAME: &str = "store.etcd.namespace";
    let text = reader.text(NAME)?;
    let is_fair = text.is_empty() || (text.starts_with('/') && !text.ends_with('/'));
    if !is_fair || text.len() > NAMESPACE_BYTES_MAX {
        reader
            .wrong(NAME, format!("`{text}` does not look like /name: one `/` before it and none behind it"));
        return None;
    }
    reader.or_wrong(NAME, Prefix::new(text).map_err(|error| error.to_string()))
}

/// The files that have to be there, by the settings that name them.
pub fn files(etcd: &EtcdStore) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    let identity = etcd.identity.as_ref();
    let password = etcd.user.as_ref().and_then(|(_, password)| match password {
        Password::File(path) => Some(path),
        Password::Said(_) => None,
    });
    [
        ("store.etcd.ca_file", etcd.ca.as_ref()),
        ("store.etcd.certificate_file", identity.map(|(certificate, _)| certificate)),
        ("store.etcd.key_file", identity.map(|(_, key)| key)),
        ("store.etcd.password_file", password),
    ]
    .into_iter()
    .filter_map(|(name, path)| Some((name, path?)))
}

#[cfg(test)]
mod tests {
    use super::super::check::of_text;

    #[test]
    fn an_etcd_is_described_as_a_whole() {
        let check = |text: &str, expected: &[&str]| {
            let text = format!("[store]\nengine = \"etcd\"\n[store.etcd]\n{text}");
            let told: Vec<_> =
                of_text(&text).err().unwrap_or_default().iter().map(ToString::to_string).collect();
            assert_eq!(told, expected, "{text}");
        };
        check("endpoints = [\"http://127.0.0.1:2379\", \"http://[::1]:2379\"]", &[]);
        check("endpoints = [\"https://a:2379\"]\nca_file = \"ca.pem\"\nnamespace = \"/provost\"", &[]);
        check("", &["store.etcd.endpoints: names no member of the etcd that `store.engine` asks for"]);
        check("endpoints = [\"https://b:2379\"]", &[]);
        check(
            "endpoints = [\"a:2379\"]\nuser = \"root\"\nkey_file = \"k\"\n\
             namespace = \"provost\"\ndeadline_seconds = 0\nwait_seconds = -1",
            &[
                "/etc/provost.toml:4: store.etcd.endpoints: `a:2379` is no endpoint of etcd: it begins neither with \
                 http:// nor with https://",
                "/etc/provost.toml:7: store.etcd.namespace: `provost` does not look like /name: one `/` before it and \
                 none behind it",
                "/etc/provost.toml:8: store.etcd.deadline_seconds: must be more than 0",
                "/etc/provost.toml:9: store.etcd.wait_seconds: must be between 0 and 86400, not -1",
                "store.etcd.certificate_file: is needed where `store.etcd.key_file` is given",
                "store.etcd.password_file: is needed where `store.etcd.user` is given",
            ],
        );
    }
}
