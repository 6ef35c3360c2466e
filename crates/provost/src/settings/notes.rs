//! What prevents nothing, but is worth saying.

use std::collections::BTreeSet;

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

/// One of them.
pub struct Note {
    /// The setting that it is about.
    pub name: &'static str,
    /// The others that it follows from.
    pub from: &'static [&'static str],
    /// What is worth saying.
    pub what: String,
}

/// What prevents nothing, but is seldom meant. `unknown` are settings of which nobody knows yet what they will say: what
/// follows from them is not said.
pub fn notes(
    config: &Config,
    reader: &Reader<'_>,
    settings: &Settings,
    unknown: &BTreeSet<&'static str>,
) -> Vec<Problem> {
    let found = found(reader, settings).into_iter().chain(cache_settings::notes(settings, reader));
    let is_known = |note: &Note| !note.from.iter().chain([&note.name]).any(|name| unknown.contains(name));
    let mut notes: Vec<_> = found
        .filter(is_known)
        .map(|note| Problem::new(config.origin(note.name), note.name, note.what))
        .collect();
    notes.sort_by_key(|note| note.origin.place());
    if let Some(file) = &settings.fleet.sign_in {
        notes.extend(file.notes.clone());
    }
    notes
}

fn found(reader: &Reader<'_>, settings: &Settings) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |name: &'static str, from: &'static [&'static str], what: String| {
        notes.push(Note { name, from, what });
    };
    for (name, authority) in [
        ("ca.services.crt_validity_days", &settings.ca.services),
        ("ca.users.crt_validity_days", &settings.ca.users),
    ] {
        // Dates are written ten seconds early, and a revocation list lives a third of this (caucase, "Model").
        if authority.crt_validity < Span::seconds(31) {
            let what = "below 31 seconds revocation lists are born expired, and users cannot log in";
            note(name, &[], what.to_owned());
        } else if authority.crt_validity < Span::seconds(61) {
            let what = "below 61 seconds the revocation list is made again at each request";
            note(name, &[], what.to_owned());
        }
    }
    let third = settings.ca.services.crt_validity.fraction(1, 3);
    if reader.is_said("ca.threshold_days") && settings.ca.threshold > third {
        let what = format!("is more than a third of the services' validity; that third ({third}) is used");
        note("ca.threshold_days", &["ca.services.crt_validity_days"], what);
    }
    if settings.ca.token.is_some() && settings.ca.backup_directory.is_some() {
        let what = "backups in caucase's format hold the CA keys, and a token never gives them away: none is made once a key is in \
                    `ca.token`; `provost backup` copies everything else";
        note("ca.backup_directory", &["ca.token.module"], what.to_owned());
    }
    match settings.netloc.host() {
        Host::Name(name) if name.contains('_') => {
            note(
                "netloc",
                &[],
                format!("`{name}` has a `_`, which some clients do not accept in a certificate"),
            );
        }
        Host::Address(address) if address.is_unspecified() => {
            note(
                "netloc",
                &[],
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
        note(
            "netloc",
            &["base_port", "ca.api", "ca.names"],
            format!("{bad}, of which linters for certificates of the web warn"),
        );
    }
    for (name, path) in
        [("server.key_file", &settings.files.server_key), ("cors.key_store", &settings.files.cors_keys)]
    {
        // The data directory is made where it is missing, others are not.
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let is_missing = directory
            .is_some_and(|directory| Some(directory) != settings.data.as_deref() && !directory.is_dir());
        if reader.is_said(name) && is_missing {
            note(name, &["data"], format!("{} cannot be made: there is no such directory", path.display()));
        }
    }
    if let AccessLog::File(path) = &settings.access_log
        && path.parent().is_some_and(|directory| !directory.as_os_str().is_empty() && !directory.is_dir())
        && path.parent() != settings.data.as_deref()
    {
        note(
            "log.access",
            &["data"],
            format!("{} cannot be made: there is no such directory", path.display()),
        );
    }
    let has_http = settings.doors.which != WhichDoors::Https;
    if settings.fleet.api && has_http && settings.fleet.plain_http == Audience::Everyone {
        let what = "passwords and the keys of hosts can be read by everybody on the way to the HTTP port";
        note("fleet.plain_http", &["fleet.api", "server.doors"], what.to_owned());
    }
    for (name, path) in store_settings::files(&settings.store.etcd) {
        if settings.store.engine == StoreEngine::Embedded {
            let what = "counts for nothing as long as `store.engine` is embedded";
            note(name, &["store.engine"], what.to_owned());
        } else if !path.exists() {
            note(name, &["store.engine"], format!("there is no file {}", path.display()));
        }
    }
    if settings.ca.api && settings.doors.which != WhichDoors::Both {
        let what =
            "clients of the certificate authorities need both: they ask over HTTP, and approve over HTTPS";
        note("server.doors", &["ca.api"], what.to_owned());
    }
    for name in door_settings::without_https(&settings.doors, reader) {
        note(name, &["server.doors"], "counts for nothing: there is no HTTPS port".to_owned());
    }
    let review = settings.fleet.token_review.iter().flat_map(fleet_settings::files);
    let hands = hands_settings::files(&settings.fleet.hands);
    for (name, path) in door_settings::files(&settings.doors).chain(review).chain(hands) {
        if !path.exists() {
            note(name, &[], format!("there is no file {}", path.display()));
        }
    }
    if settings.fleet.sign_in.is_some() && !settings.fleet.api && !settings.cache.api {
        let what = "counts for nothing: there is nothing to sign in to without fleet.api or cache.api";
        note("fleet.sign_in", &["fleet.api", "cache.api"], what.to_owned());
    }
    for origin in &settings.cors_whitelist {
        if let Some(what) = matches_nobody(origin) {
            note("cors.whitelist", &[], what);
        }
    }
    notes
}

/// What is to be said of an entry of the whitelist that no browser ever sends. It is a note and no more: nobody is let in by
/// it who should not be, and where the original was started with it, we start as well.
fn matches_nobody(origin: &str) -> Option<String> {
    const FORM: &str = "write scheme://host[:port], nothing after it";
    let is_part = |part: &str| !part.is_empty() && !part.contains(['/', '?', '#', '@', '*', ' ', ',']);
    if origin == "null" {
        return None;
    }
    if !origin.is_ascii() {
        return Some(format!("`{origin}` matches no page: browsers write such a host in ASCII (`xn--`)"));
    }
    let Some((scheme, authority)) =
        origin.split_once("://").filter(|(scheme, rest)| is_part(scheme) && is_part(rest))
    else {
        return Some(format!("`{origin}` matches no page: {FORM}"));
    };
    // RFC 6454 §6.2, and the URL standard's way to write hosts.
    let sent = origin.to_ascii_lowercase();
    let default = match scheme.to_ascii_lowercase().as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let has_default = !default.is_empty() && authority.ends_with(default);
    let sent = if has_default { sent.trim_end_matches(default) } else { &sent };
    (sent != origin).then(|| format!("`{origin}` matches no page: browsers write it `{sent}`"))
}

#[cfg(test)]
mod tests {
    use super::super::check::{notes_beside_problems, of_text};

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
        check("cors.whitelist = [\"nonsense\"]", "`nonsense` matches no page: write scheme://host[:port]");
        check("cors.whitelist = [\"https://*.a.example\"]", "`https://*.a.example` matches no page");
        check("cors.whitelist = [\"https://bücher.example\"]", "browsers write such a host in ASCII");
        check("cors.whitelist = [\"HTTPS://A.example:443\"]", "browsers write it `https://a.example`");
        check("cors.whitelist = [\"http://a:80\", \"https://a:80\"]", "browsers write it `http://a`");
    }
    /// What holds without what is wrong is noted beside it; what follows from that is not.
    #[test]
    fn what_is_seldom_meant_is_noted_beside_what_is_wrong() {
        let check = |text: &str, expected: &[&str]| {
            let notes: Vec<_> = notes_beside_problems(text).iter().map(ToString::to_string).collect();
            assert_eq!(notes, expected, "{text}");
        };
        let whitelist = "\n[cors]\nwhitelist = [\"nonsense\"]";
        let line = |line: usize| {
            format!(
                "/etc/provost.toml:{line}: cors.whitelist: `nonsense` matches no page: write scheme://host[:port], nothing after it"
            )
        };
        for wrong in [
            "colour = 1",
            "base_port = 0",
            "netloc = \"a b\"",
            "ca.key_bits = 7",
            "ca.token.module = \"/m\"",
            "store.engine = \"etcd\"",
            "fleet.sign_in = \"/no/where\"",
            "cache.s3.region = 7",
        ] {
            check(&format!("{wrong}{whitelist}"), &[&line(3)]);
        }
        check(
            "ca.users.crt_validity_days = -1\nca.threshold_days = 32",
            &[
                "/etc/provost.toml:2: ca.threshold_days: is more than a third of the services' validity; that third (31d 0h) is used",
            ],
        );
        check("ca.services.crt_validity_days = -1\nca.threshold_days = 32", &[]);
        check("store.engine = \"etdc\"\nstore.etcd.ca_file = \"/no/where\"", &[]);
        check("netloc = \"a b\"\nbase_port = 9000", &[]);
        check("server.doors = \"neither\"\nfleet.plain_http = \"everyone\"", &[]);
        // What a file cannot say, nobody knows.
        check("netloc = ", &[]);
    }
}
