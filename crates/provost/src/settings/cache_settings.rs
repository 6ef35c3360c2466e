//! How the artifact cache is served, and who puts what there.

use std::path::PathBuf;

use identity::Role;
use identity::sign_in::{
    BasicConfig, ClientCertificateConfig, Config, MethodConfig, Roles, check_authorities,
};

use super::bucket_settings::{self, bucket};
use super::fleet_settings::audience;
use super::reader::Reader;
use super::{Audience, Cache, Fleet, Settings, StoreEngine, WhichDoors};

/// The least that an artifact, and a quota, may be held to: less is a slip of the pen.
const BYTES_MIN: u64 = 1024;
/// The most that can be counted in the store's numbers.
const BYTES_MAX: u64 = i64::MAX as u64;

/// See [`super::Settings::from`].
pub fn cache(reader: &mut Reader<'_>) -> Option<Cache> {
    let api = reader.switch("cache.api");
    let folder = path(reader, "cache.folder");
    let readers_sign_in = reader.choice("cache.readers").map(|word| word == "signed-in");
    let writers_sign_in = reader.choice("cache.writers").map(|word| word == "signed-in");
    let plain_http = audience(reader, "cache.plain_http");
    let users_file = path(reader, "cache.users_file");
    let client_ca_file = client_ca_file(reader);
    let artifact_bytes_max = reader.whole("cache.artifact_bytes_max", BYTES_MIN..=BYTES_MAX);
    let writer_bytes_max = reader
        .is_said("cache.writer_bytes_max")
        .then(|| reader.whole("cache.writer_bytes_max", BYTES_MIN..=BYTES_MAX));
    let bucket = bucket(reader);
    Some(Cache {
        api: api?,
        folder,
        readers_sign_in: readers_sign_in?,
        writers_sign_in: writers_sign_in?,
        plain_http: plain_http?,
        users_file,
        client_ca_file: client_ca_file?,
        artifact_bytes_max: artifact_bytes_max?,
        writer_bytes_max: match writer_bytes_max {
            Some(bytes_max) => Some(bytes_max?),
            None => None,
        },
        bucket: bucket?,
    })
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
        config.methods.push(MethodConfig::ServicesAuthority(publishers()));
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
pub fn notes(settings: &Settings, reader: &Reader<'_>) -> Vec<(&'static str, String)> {
    let cache = &settings.cache;
    let mut notes = Vec::new();
    if !cache.api {
        return notes;
    }
    notes.extend(bucket_settings::notes(cache, reader));
    if !cache.writers_sign_in {
        notes.push((
            "cache.writers",
            "whoever reaches the service fills the disk, and says what artifacts are".into(),
        ));
    }
    let has_http = settings.doors.which != WhichDoors::Https;
    if has_http && cache.plain_http == Audience::Everyone {
        let what = "passwords can be read by everybody on the way to the HTTP port";
        notes.push(("cache.plain_http", what.into()));
    }
    let files = [("cache.users_file", &cache.users_file), ("cache.client_ca_file", &cache.client_ca_file)];
    for (name, path) in files {
        if let Some(path) = path.as_ref().filter(|path| !path.exists()) {
            notes.push((name, format!("there is no file {}", path.display())));
        }
    }
    if settings.store.engine == StoreEngine::Etcd && cache.bucket.is_none() {
        let what = "artifacts stay on this machine: others that share the etcd do not have them, as they would with \
                    `cache.s3.bucket`";
        notes.push(("cache.folder", what.into()));
    }
    notes
}
