//! The bucket that artifacts are kept in.

use std::path::PathBuf;
use std::time::Duration;

use base::Secret;
use store::blobs::{ConnectError, S3, S3Addressing, S3Settings};

use super::notes::Note;
use super::reader::Reader;
use super::{Bucket, BucketKey, Cache, Password};

/// The setting without which all others count for nothing, and those others.
const BUCKET: &str = "cache.s3.bucket";
const OTHERS: [&str; 9] = [
    "cache.s3.prefix",
    "cache.s3.endpoint",
    "cache.s3.region",
    "cache.s3.path_style",
    "cache.s3.access_key_id",
    "cache.s3.secret_key_file",
    CREDENTIALS,
    "cache.s3.ca_file",
    "cache.s3.wait_seconds",
];
/// The file with a key that changes.
const CREDENTIALS: &str = "cache.s3.credentials_file";
/// What notes about the bucket and its key follow from.
const WHOLE: [&str; 5] =
    ["cache.api", BUCKET, CREDENTIALS, "cache.s3.access_key_id", "cache.s3.secret_key_file"];
/// What holds when nobody says another region.
const REGION: &str = "us-east-1";
/// How long it is waited for when nobody says, in seconds.
const WAIT_SECONDS: f64 = 30.0;
/// The longest that it may be waited for, in seconds.
const WAIT_SECONDS_MAX: f64 = 600.0;
/// Where everybody who speaks S3 has a key, when no setting says it.
const KEY_VARIABLES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// The bucket, when one is said. `None` when something about it is wrong.
pub fn bucket(reader: &mut Reader<'_>) -> Option<Option<Bucket>> {
    let name = reader.text(BUCKET);
    let endpoint = reader.text("cache.s3.endpoint");
    let prefix = reader.text("cache.s3.prefix");
    let region = reader.text("cache.s3.region");
    let path_style = if reader.is_said("cache.s3.path_style") {
        reader.switch("cache.s3.path_style")
    } else {
        Some(endpoint.is_some())
    };
    let id = reader.text("cache.s3.access_key_id");
    let secret = reader.path("cache.s3.secret_key_file");
    let credentials = if reader.is_said(CREDENTIALS) { reader.path(CREDENTIALS) } else { None };
    let ca = reader.path("cache.s3.ca_file");
    let wait = if reader.is_said("cache.s3.wait_seconds") {
        reader.positive("cache.s3.wait_seconds", WAIT_SECONDS_MAX)
    } else {
        Some(WAIT_SECONDS)
    };
    let Some(name) = name else {
        // Something that is no text was told by now.
        return (!reader.is_said(BUCKET)).then_some(None);
    };
    let key = match credentials {
        Some(path) => Some(Some(BucketKey::Changing(path))),
        None if reader.is_said(CREDENTIALS) => None,
        None => key(reader, id, secret),
    };
    let bucket = Bucket {
        name,
        prefix: prefix.unwrap_or_default(),
        endpoint,
        region: region.unwrap_or_else(|| REGION.to_owned()),
        path_style: path_style?,
        key: key?,
        ca,
        wait: Duration::from_secs_f64(wait?),
    };
    places(reader, &bucket).map(|()| Some(bucket))
}

/// What requests are signed with, when they are.
fn key(reader: &mut Reader<'_>, id: Option<String>, secret: Option<PathBuf>) -> Option<Option<BucketKey>> {
    const SAID: [&str; 2] = ["cache.s3.access_key_id", "cache.s3.secret_key_file"];
    match SAID.map(|name| reader.is_said(name)) {
        [true, true] => {
            let secret = Password::File(secret?);
            return Some(Some(BucketKey::Fixed { id: id?, secret, session: None }));
        }
        [false, false] => {}
        [id_is_said, _] => {
            let (said, missing) = if id_is_said { (SAID[0], SAID[1]) } else { (SAID[1], SAID[0]) };
            reader.wrong(missing, format!("is needed where `{said}` is given"));
            return None;
        }
    }
    let variable = |name| reader.variable(name).and_then(|value| value.to_str()).map(str::to_owned);
    match KEY_VARIABLES.map(variable) {
        [None, None, _] => Some(None),
        [Some(id), Some(secret), session] => {
            let secret = Password::Said(Secret::new(secret));
            Some(Some(BucketKey::Fixed { id, secret, session: session.map(Secret::new) }))
        }
        [id, _, _] => {
            let [there, missing] =
                if id.is_some() { [0, 1] } else { [1, 0] }.map(|at: usize| KEY_VARIABLES[at]);
            reader.wrong(SAID[0], format!("{there} is in the environment, and {missing} is not"));
            None
        }
    }
}

/// Looks at where it is.
fn places(reader: &mut Reader<'_>, bucket: &Bucket) -> Option<()> {
    let Err(error) = of_engine(bucket, "").check_places() else { return Some(()) };
    let (name, reason) = match error {
        ConnectError::Setting { setting: "endpoint", reason } => ("cache.s3.endpoint", reason),
        ConnectError::Setting { setting: "prefix", reason } => ("cache.s3.prefix", reason),
        error => (BUCKET, base::report(&error)),
    };
    reader.wrong(name, reason);
    None
}

/// The same as the engine takes it, but for what is in files, and for what is secret.
pub fn of_engine(bucket: &Bucket, owner: &str) -> S3Settings {
    S3Settings {
        endpoint: bucket.endpoint.clone(),
        prefix: bucket.prefix.clone(),
        patience: bucket.wait,
        addressing: if bucket.path_style { S3Addressing::Path } else { S3Addressing::Host },
        ..S3Settings::new(&bucket.region, &bucket.name, owner)
    }
}

/// What an operator may not have meant.
pub fn notes(cache: &Cache, reader: &Reader<'_>) -> Vec<Note> {
    let Some(bucket) = &cache.bucket else {
        let said = OTHERS.into_iter().filter(|name| reader.is_said(name));
        let what = || format!("counts for nothing without `{BUCKET}`");
        return said.map(|name| Note { name, from: &["cache.api", BUCKET], what: what() }).collect();
    };
    let mut notes = Vec::new();
    let mut note = |name: &'static str, what: String| notes.push(Note { name, from: &WHOLE, what });
    if reader.is_said("cache.folder") {
        note("cache.folder", format!("counts for nothing: artifacts are kept where `{BUCKET}` says"));
    }
    if reader.is_said("cache.artifact_bytes_max") && cache.artifact_bytes_max > S3::OBJECT_BYTES_MAX {
        let what = format!("a bucket takes no artifact of more than {} bytes", S3::OBJECT_BYTES_MAX);
        note("cache.artifact_bytes_max", what);
    }
    if bucket.key.is_none() {
        let what = "requests are not signed: there is no access key in the settings or in the environment";
        note("cache.s3.access_key_id", what.into());
    }
    let (secret, credentials) = match &bucket.key {
        Some(BucketKey::Fixed { secret: Password::File(path), .. }) => (Some(path), None),
        Some(BucketKey::Changing(path)) => (None, Some(path)),
        _ => (None, None),
    };
    if let Some(BucketKey::Fixed { session: Some(_), .. }) = &bucket.key {
        let what = "the key in the environment is a temporary one: when it ends, nothing can be read or kept until a start \
                    with another; name a file that is written anew";
        note(CREDENTIALS, what.into());
    }
    if let Some(BucketKey::Changing(_)) = &bucket.key {
        let others = ["cache.s3.access_key_id", "cache.s3.secret_key_file"].into_iter();
        for name in others.filter(|name| reader.is_said(name)) {
            note(name, format!("counts for nothing: the key is in `{CREDENTIALS}`"));
        }
    }
    let files = [
        ("cache.s3.secret_key_file", secret),
        (CREDENTIALS, credentials),
        ("cache.s3.ca_file", bucket.ca.as_ref()),
    ];
    for (name, path) in files {
        if let Some(path) = path.filter(|path| !path.exists()) {
            note(name, format!("there is no file {}", path.display()));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check::of_text;
    use super::super::{Config, Settings, Surroundings};
    use super::*;

    #[test]
    fn a_bucket_is_described_as_a_whole() {
        let check = |text: &str, expected: &[&str]| {
            let told: Vec<_> = match of_text(&format!("[cache.s3]\n{text}")) {
                Ok(settings) => settings.notes.iter().map(ToString::to_string).collect(),
                Err(problems) => problems.iter().map(ToString::to_string).collect(),
            };
            assert_eq!(told.len(), expected.len(), "{text}: {told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.contains(expected), "{text}: {told}");
            }
        };
        let key = "access_key_id = \"id\"\nsecret_key_file = \"secret\"";
        check("", &[]);
        check("prefix = \"a\"", &["cache.s3.prefix: counts for nothing without `cache.s3.bucket`"]);
        check("bucket = \"b\"", &["cache.s3.access_key_id: requests are not signed"]);
        check(&format!("bucket = \"b\"\n{key}"), &["secret_key_file: there is no file /etc/secret"]);
        check(
            "bucket = \"b\"\nprefix = \"/a b\"\nendpoint = \"s3.example.com\"\nsecret_key_file = \"x\"",
            &["cache.s3.access_key_id: is needed where `cache.s3.secret_key_file` is given"],
        );
        check("bucket = \"b\"\nprefix = \"a b\"", &["cache.s3.prefix: there is something else in it"]);
        check("bucket = \"b\"\nendpoint = \"s3\"", &["cache.s3.endpoint: it is no URL"]);
        check(
            "bucket = \"b\"\nendpoint = \"http://10.0.0.1\"\npath_style = false",
            &["cache.s3.endpoint: it is an address"],
        );
        check("bucket = 1", &["cache.s3.bucket"]);
    }

    #[test]
    fn a_key_may_be_in_the_environment() {
        let read = |variables: &[(&str, &str)], text: &str| {
            let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let mut config = Config::empty(Surroundings { variables, root: true });
            config.read_text(Path::new("/etc/provost.toml"), text);
            Settings::from(&config).map(|settings| settings.cache.bucket.and_then(|bucket| bucket.key))
        };
        let bucket = "cache.s3.bucket = \"b\"\n";
        let [id, secret, session] =
            [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_SESSION_TOKEN", "s")];
        let key = read(&[id, secret, session], bucket).unwrap().unwrap();
        assert!(!format!("{key:?}").contains("hunter2"));
        let BucketKey::Fixed { id: told, secret: Password::Said(said), session: Some(of) } = key else {
            panic!("{key:?}")
        };
        assert_eq!((told.as_str(), said.expose().as_str(), of.expose().as_str()), ("id", "hunter2", "s"));
        let said = format!("{bucket}cache.s3.access_key_id = \"other\"\ncache.s3.secret_key_file = \"x\"");
        let key = read(&[id, secret, session], &said).unwrap().unwrap();
        assert!(matches!(key, BucketKey::Fixed { id, session: None, .. } if id == "other"));
        let file = format!("{bucket}cache.s3.credentials_file = \"/x\"");
        let key = read(&[id, secret, session], &file).unwrap().unwrap();
        assert!(matches!(key, BucketKey::Changing(path) if path == Path::new("/x")));
        let both = read(&[], &format!("{said}\ncache.s3.credentials_file = \"/x\"")).unwrap().unwrap();
        assert!(matches!(both, BucketKey::Changing(_)));
        assert!(read(&[session], bucket).unwrap().is_none());
        for (there, told) in [(id, "AWS_SECRET_ACCESS_KEY is not"), (secret, "AWS_ACCESS_KEY_ID is not")] {
            let problems = read(&[there], bucket).unwrap_err();
            assert!(problems.len() == 1 && problems[0].what.contains(told), "{problems:?}");
        }
        assert!(read(&[id], "").unwrap().is_none(), "without a bucket nobody looks for a key");
    }
}
