//! What prevents nothing, but is worth saying.

use base::Span;
use ca::Names;

use super::config::Config;
use super::netloc::Host;
use super::problem::Problem;
use super::reader::Reader;
use super::{
    AccessLog, Audience, Settings, StoreEngine, WhichDoors, cache_settings, door_settings, fleet_settings,
    hands_settings, store_settings,
};

/// What prevents nothing, but is seldom meant.
pub fn notes(config: &Config, reader: &Reader<'_>, settings: &Settings) -> Vec<Problem> {
    let mut notes = Vec::new();
    let mut note = |name: &str, what: String| notes.push(Problem::new(config.origin(name), name, what));
    for (name, authority) in [
        ("ca.services.crt_validity_days", &settings.ca.services),
        ("ca.users.crt_validity_days", &settings.ca.users),
    ] {
        // Dates are written ten seconds early, and a revocation list lives a third of this (caucase, "Model").
        if authority.crt_validity < Span::seconds(31) {
            note(
                name,
                "below 31 seconds revocation lists are born expired, and users cannot log in".to_owned(),
            );
        } else if authority.crt_validity < Span::seconds(61) {
            note(name, "below 61 seconds the revocation list is made again at each request".to_owned());
        }
    }
    let third = settings.ca.services.crt_validity.fraction(1, 3);
    if reader.is_said("ca.threshold_days") && settings.ca.threshold > third {
        let what = format!("is more than a third of the services' validity; that third ({third}) is used");
        note("ca.threshold_days", what);
    }
    if settings.ca.token.is_some() && settings.ca.backup_directory.is_some() {
        let what = "backups in caucase's format hold the CA keys, and a token never gives them away: none is made once a key is in \
                    `ca.token`; `provost backup` copies everything else";
        note("ca.backup_directory", what.to_owned());
    }
    match settings.netloc.host() {
        Host::Name(name) if name.contains('_') => {
            note("netloc", format!("`{name}` has a `_`, which some clients do not accept in a certificate"));
        }
        Host::Address(address) if address.is_unspecified() => {
            note(
                "netloc",
                format!("clients cannot reach {address}: name the service here, and use `bind` for it"),
            );
        }
        Host::Name(_) | Host::Address(_) => {}
    }
    // It stands in every certificate of a service, where revocation lists are found.
    let address = x509::strict::uri("the certificates' address", &format!("http://{}/", settings.netloc));
    if settings.ca.api
        && settings.ca.names == Names::Strict
        && let Err(bad) = address
    {
        note("netloc", format!("{bad}, of which linters for certificates of the web warn"));
    }
    for (name, path) in
        [("server.key_file", &settings.files.server_key), ("cors.key_store", &settings.files.cors_keys)]
    {
        // The data directory is made where it is missing, others are not.
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let is_missing = directory
            .is_some_and(|directory| Some(directory) != settings.data.as_deref() && !directory.is_dir());
        if reader.is_said(name) && is_missing {
            note(name, format!("{} cannot be made: there is no such directory", path.display()));
        }
    }
    if let AccessLog::File(path) = &settings.access_log
        && path.parent().is_some_and(|directory| !directory.as_os_str().is_empty() && !directory.is_dir())
        && path.parent() != settings.data.as_deref()
    {
        note("log.access", format!("{} cannot be made: there is no such directory", path.display()));
    }
    let has_http = settings.doors.which != WhichDoors::Https;
    if settings.fleet.api && has_http && settings.fleet.plain_http == Audience::Everyone {
        let what = "passwords and the keys of hosts can be read by everybody on the way to the HTTP port";
        note("fleet.plain_http", what.to_owned());
    }
    for (name, path) in store_settings::files(&settings.store.etcd) {
        if settings.store.engine == StoreEngine::Embedded {
            note(name, "counts for nothing as long as `store.engine` is embedded".to_owned());
        } else if !path.exists() {
            note(name, format!("there is no file {}", path.display()));
        }
    }
    if settings.ca.api && settings.doors.which != WhichDoors::Both {
        let what =
            "clients of the certificate authorities need both: they ask over HTTP, and approve over HTTPS";
        note("server.doors", what.to_owned());
    }
    for name in door_settings::without_https(&settings.doors, reader) {
        note(name, "counts for nothing: there is no HTTPS port".to_owned());
    }
    let review = settings.fleet.token_review.iter().flat_map(fleet_settings::files);
    let hands = hands_settings::files(&settings.fleet.hands);
    for (name, path) in door_settings::files(&settings.doors).chain(review).chain(hands) {
        if !path.exists() {
            note(name, format!("there is no file {}", path.display()));
        }
    }
    let sign_in = settings.fleet.sign_in.as_ref();
    if sign_in.is_some() && !settings.fleet.api && !settings.cache.api {
        note(
            "fleet.sign_in",
            "counts for nothing: there is nothing to sign in to without fleet.api or cache.api".to_owned(),
        );
    }
    for (name, what) in cache_settings::notes(settings, reader) {
        note(name, what);
    }
    for origin in &settings.cors_whitelist {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        if origin != "null"
            && authority.is_none_or(|authority| authority.is_empty() || authority.contains('/'))
        {
            note(
                "cors.whitelist",
                format!("`{origin}` matches no page: write scheme://host[:port], nothing after it"),
            );
        }
    }
    notes.extend(sign_in.into_iter().flat_map(|file| file.notes.clone()));
    notes
}

#[cfg(test)]
mod tests {
    use super::super::check::of_text;

    #[test]
    fn what_is_seldom_meant_is_noted() {
        let check = |text: &str, expected: &str| {
            let notes: Vec<_> = of_text(text).unwrap().notes.iter().map(|note| note.what.clone()).collect();
            assert_eq!(notes.len(), 1, "{text}: {notes:?}");
            assert!(notes[0].contains(expected), "{text}: {notes:?}");
        };
        check("ca.users.crt_validity_days = 0.0005", "below 61 seconds");
        check("ca.users.crt_validity_days = 0.0003", "below 31 seconds");
        check("ca.threshold_days = 32", "(31d 0h) is used");
        check("netloc = \"my_host.example\"", "has a `_`");
        check(
            "ca.backup_directory = \"/b\"\nca.token.module = \"/m\"\nca.token.label = \"a\"\nca.token.pin_file = \"/p\"",
            "none is made once a key is in `ca.token`",
        );
        check(
            "netloc = \"localhost:8000\"",
            "the certificates' address \"http://localhost:8000/\" has a host name of one label, of which linters",
        );
        check("netloc = \"0.0.0.0:80\"", "clients cannot reach 0.0.0.0");
        check("server.key_file = \"/no/where/key\"", "/no/where/key cannot be made");
        check("cors.key_store = \"no/where/key\"", "/etc/no/where/key cannot be made");
        check("fleet.plain_http = \"everyone\"", "can be read by everybody on the way");
        check("store.etcd.ca_file = \"/no/where\"", "counts for nothing");
        check(
            "[store]\nengine = \"etcd\"\n[store.etcd]\nendpoints = [\"http://a:1\"]\nca_file = \"/no/where\"\n[cache]\napi = false",
            "there is no file /no/where",
        );
        check(
            "cors.whitelist = [\"https://a.example/\", \"https://b.example:8\", \"null\"]",
            "`https://a.example/`",
        );
    }
}
