//! How the artifact cache is served, and who puts what there.

use std::path::PathBuf;

use base::{Explain as _, Span};
use cache::{Retention, RetentionError, Rules};
use engine::Freshness;
use identity::Role;
use identity::sign_in::{
    BasicConfig, ClientCertificateConfig, Config, MethodConfig, Roles, check_authorities,
};

use super::bucket_settings::{self, bucket};
use super::fleet_settings::audience;
use super::notes::Note;
use super::reader::Reader;
use super::{Audience, Cache, Fleet, Settings, StoreEngine, Upstream, WhichDoors};

/// The least that an artifact, and a quota, may be held to: less is a slip of the pen.
const BYTES_MIN: u64 = 1024;
/// The most that can be counted in the store's numbers.
const BYTES_MAX: u64 = i64::MAX as u64;

/// The longest time that upstream is believed: a year.
const UPSTREAM_SECONDS_MAX: f64 = 31_536_000.0;
/// The longest time of grace: ten years.
const GRACE_DAYS_MAX: f64 = 3_650.0;
/// The shortest: whoever was told that an artifact is there has so long to name it.
const GRACE_MIN: Span = Span::seconds(3_600);
/// The least memory that sending takes: a few pieces.
const SENDING_BYTES_MIN: u64 = 1024 * 1024;
/// The most that can be counted at once.
const SENDING_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024 - 1;

/// See [`super::Settings::from`].
pub fn cache(reader: &mut Reader<'_>) -> Option<Cache> {
    let api = reader.switch("cache.api");
    let folder = path(reader, "cache.folder");
    let readers_sign_in = reader.choice("cache.readers").map(|word| word == "signed-in");
    let writers_sign_in = reader.choice("cache.writers").map(|word| word == "signed-in");
    let plain_http = audience(reader, "cache.plain_http");
    let users_file = path(reader, "cache.users_file");
    let services_publish = reader.choice("cache.services").map(|word| word == "publishers");
    let client_ca_file = client_ca_file(reader);
    let artifact_bytes_max = reader.whole("cache.artifact_bytes_max", BYTES_MIN..=BYTES_MAX);
    let writer_bytes_max = reader
        .is_said("cache.writer_bytes_max")
        .then(|| reader.whole("cache.writer_bytes_max", BYTES_MIN..=BYTES_MAX));
    let upstream_bytes_max = reader
        .is_said("cache.upstream_bytes_max")
        .then(|| reader.whole("cache.upstream_bytes_max", 0..=BYTES_MAX));
    let hide_withdrawn = path(reader, "cache.hide_withdrawn");
    let rules = rules(reader);
    let upstream = upstream(reader);
    let fresh = freshness(reader);
    let scrub = reader.whole("cache.scrub_bytes_per_second", 0..=BYTES_MAX);
    let reserve_bytes = reader.whole("cache.reserve_bytes", 0..=BYTES_MAX);
    let sending_bytes_max = reader.whole("cache.sending_bytes_max", SENDING_BYTES_MIN..=SENDING_BYTES_MAX);
    let bucket = bucket(reader);
    Some(Cache {
        api: api?,
        folder,
        readers_sign_in: readers_sign_in?,
        writers_sign_in: writers_sign_in?,
        plain_http: plain_http?,
        users_file,
        services_publish: services_publish?,
        client_ca_file: client_ca_file?,
        artifact_bytes_max: artifact_bytes_max?,
        writer_bytes_max: match writer_bytes_max {
            Some(bytes_max) => Some(bytes_max?),
            None => None,
        },
        upstream_bytes_max: match upstream_bytes_max {
            Some(bytes_max) => Some(bytes_max?),
            None => None,
        },
        hide_withdrawn,
        rules: rules?,
        upstream: upstream?,
        fresh: fresh?,
        scrub_bytes_per_second: Some(scrub?).filter(|bytes| *bytes > 0),
        reserve_bytes: reserve_bytes?,
        sending_bytes_max: sending_bytes_max?,
        bucket: bucket?,
    })
}

/// How long what the cache behind this one said is believed.
fn freshness(reader: &mut Reader<'_>) -> Option<Freshness> {
    let entries = reader.fraction("cache.upstream_fresh_seconds", UPSTREAM_SECONDS_MAX);
    let absent = reader.fraction("cache.upstream_absent_seconds", UPSTREAM_SECONDS_MAX);
    let span = |seconds: f64| Span::days_f64(seconds / 86_400.0);
    Some(Freshness { entries: span(entries?)?, absent: span(absent?)? })
}

/// The cache behind this one. `None` when it cannot be used.
fn upstream(reader: &mut Reader<'_>) -> Option<Option<Upstream>> {
    let (cache_name, dir_name) = ("cache.upstream_cache_url", "cache.upstream_dir_url");
    let (ca_file, key_file) =
        (path(reader, "cache.upstream_ca_file"), path(reader, "cache.upstream_key_file"));
    match (reader.is_said(cache_name), reader.is_said(dir_name)) {
        (false, false) => Some(None),
        (true, true) => {
            let (cache_url, dir_url) = (reader.parsed(cache_name), reader.parsed(dir_name));
            Some(Some(Upstream { cache_url: cache_url?, dir_url: dir_url?, ca_file, key_file }))
        }
        (says_cache, _) => {
            let (said, missing) = if says_cache { (cache_name, dir_name) } else { (dir_name, cache_name) };
            reader.wrong(said, format!("needs `{missing}` as well"));
            None
        }
    }
}

/// What is removed.
fn rules(reader: &mut Reader<'_>) -> Option<Rules> {
    const RETENTION: &str = "cache.retention";
    let texts = reader.parsed_list::<String>(RETENTION);
    let retention = texts.and_then(|texts| {
        let parsed = Retention::parse(texts.iter().map(String::as_str));
        reader.or_wrong(RETENTION, parsed.map_err(|error| with_help(&error)))
    });
    const UNNAMED: &str = "cache.unnamed";
    let unnamed = reader.text(UNNAMED).and_then(|text| {
        let parsed = text.parse().map_err(|error: RetentionError| with_help(&error));
        reader.or_wrong(UNNAMED, parsed)
    });
    let grace = reader.fraction("cache.grace_days", GRACE_DAYS_MAX).and_then(Span::days_f64);
    let grace = grace.map(|grace| grace.max(GRACE_MIN));
    Some(Rules { retention: retention?, unnamed: unnamed?, grace: grace? })
}

fn with_help(error: &RetentionError) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

fn path(reader: &mut Reader<'_>, name: &str) -> Option<PathBuf> {
    if reader.is_said(name) { reader.path(name) } else { None }
}

/// `None` when it cannot be used.
fn client_ca_file(reader: &mut Reader<'_>) -> Option<Option<PathBuf>> {
    const NAME: &str = "cache.client_ca_file";
    let Some(path) = path(reader, NAME) else { return Some(None) };
    let checked = check_authorities(&path).map_err(|error| base::report(&error));
    reader.or_wrong(NAME, checked).map(|()| Some(path))
}

impl Cache {
    /// How writers sign in, and readers where they have to: as everywhere in the fleet, and as publishers by what
    /// counts for the cache alone.
    pub fn methods(&self, fleet: &Fleet) -> Config {
        let mut config = fleet.methods();
        config.open_paths.clear();
        let publishers = || Roles::everybody(Role::Publisher);
        if self.services_publish {
            config.methods.push(MethodConfig::ServicesAuthority(publishers()));
        }
        let of_others = self.client_ca_file.clone().map(|ca_file| {
            MethodConfig::ClientCertificate(ClientCertificateConfig {
                common_name: None,
                ca_file,
                roles: publishers(),
            })
        });
        config.methods.extend(of_others);
        let by_password = self.users_file.clone().map(|file| {
            MethodConfig::Basic(BasicConfig {
                users: Vec::new(),
                file: Some(file),
                role: Role::Publisher,
                cache_seconds: BasicConfig::CACHE_SECONDS,
            })
        });
        config.methods.extend(by_password);
        config
    }
}

/// What an operator may not have meant.
pub fn notes(settings: &Settings, reader: &Reader<'_>) -> Vec<Note> {
    let cache = &settings.cache;
    if !cache.api {
        return Vec::new();
    }
    let mut notes = bucket_settings::notes(cache, reader);
    let mut note = |name: &'static str, from: &'static [&'static str], what: String| {
        notes.push(Note { name, from, what });
    };
    if !cache.writers_sign_in {
        let what = "whoever reaches the service fills the disk, and says what artifacts are";
        note("cache.writers", &["cache.api"], what.into());
    }
    let has_http = settings.doors.which != WhichDoors::Https;
    if has_http && cache.plain_http == Audience::Everyone {
        let what = "passwords can be read by everybody on the way to the HTTP port";
        note("cache.plain_http", &["cache.api", "server.doors"], what.into());
    }
    let files = [
        ("cache.users_file", &cache.users_file),
        ("cache.client_ca_file", &cache.client_ca_file),
        ("cache.hide_withdrawn", &cache.hide_withdrawn),
    ];
    for (name, path) in files {
        if let Some(path) = path.as_ref().filter(|path| !path.exists()) {
            note(name, &["cache.api"], format!("there is no file {}", path.display()));
        }
    }
    if settings.store.engine == StoreEngine::Etcd && cache.bucket.is_none() {
        let what = "artifacts stay on this machine: others that share the etcd do not have them, as they would with \
                    `cache.s3.bucket`";
        note("cache.folder", &["cache.api", "store.engine", "cache.s3.bucket"], what.into());
    }
    notes
}
