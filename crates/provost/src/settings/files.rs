//! Where the files are, and that no two are the same.

use std::path::{Component, Path, PathBuf};

use super::reader::Reader;
use super::{AccessLog, Files, FirstStartFiles};

/// Where the files are.
pub enum Layout {
    /// In the data directory that the settings name.
    DataDirectory,
    /// Beside this database.
    Beside(PathBuf),
}

/// In the data directory, but for those that were named.
pub fn within(
    data: &Path,
    cors_keys: Option<PathBuf>,
    server_key: Option<PathBuf>,
    artifacts: Option<PathBuf>,
) -> Files {
    Files {
        database: data.join("provost.db"),
        store_key: data.join("store.key"),
        server_key: server_key.unwrap_or_else(|| data.join("server.key.pem")),
        cors_keys: cors_keys.unwrap_or_else(|| data.join("cors.key")),
        artifacts: Some(artifacts.unwrap_or_else(|| data.join("artifacts"))),
        first_start: Some(FirstStartFiles {
            admin: data.join("admin.pem"),
            server_ca: data.join("server-ca.pem"),
            client: data.join(cli::CLIENT_FILE),
        }),
    }
}

/// Beside the database, but for those that were named.
pub fn beside(database: PathBuf, cors_keys: Option<PathBuf>, server_key: Option<PathBuf>) -> Files {
    let with = |ending: &str| {
        let mut name = database.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    Files {
        store_key: with(".key"),
        server_key: server_key.unwrap_or_else(|| PathBuf::from("server.key.pem")),
        cors_keys: cors_keys.unwrap_or_else(|| PathBuf::from("cors.key")),
        artifacts: None,
        first_start: None,
        database,
    }
}

/// The write-ahead log of a database, which SQLite has beside it.
pub fn log_of(database: &Path) -> PathBuf {
    let mut name = database.to_owned().into_os_string();
    name.push("-wal");
    PathBuf::from(name)
}

/// Two things in one file would destroy each other, however the file is spelt.
pub fn one_each(reader: &mut Reader<'_>, files: &Files, access_log: Option<&AccessLog>) {
    let mut taken =
        vec![(place(&files.database), "the database"), (place(&files.store_key), "the key of the database")];
    // What SQLite has beside the database.
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut path = files.database.clone().into_os_string();
        path.push(suffix);
        taken.push((place(Path::new(&path)), "the database"));
    }
    if let Some(first_start) = &files.first_start {
        taken.push((place(&first_start.admin), "the first administrator"));
        taken.push((place(&first_start.server_ca), "the certificate of the server's authority"));
        taken.push((place(&first_start.client), "the commands on this machine"));
    }
    let access_log = match access_log {
        Some(AccessLog::File(path)) => Some(path.as_path()),
        Some(AccessLog::Stdout | AccessLog::Off) | None => None,
    };
    let named = [
        ("server.key_file", Some(files.server_key.as_path())),
        ("cors.key_store", Some(files.cors_keys.as_path())),
        ("cache.folder", files.artifacts.as_deref()),
        ("log.access", access_log),
    ];
    for (name, path) in named.into_iter().filter_map(|(name, path)| Some((name, path?))) {
        let place = place(path);
        if let Some((_, other)) = taken.iter().find(|(other, _)| *other == place) {
            reader.wrong(name, format!("{} is already the file of {other}", path.display()));
        }
        taken.push((place, name));
    }
}

/// Where a file is or would be, whatever leads there: links, a relative path, `.` and `..`.
fn place(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.parent(), path.components().next_back()) {
        (Some(parent), Some(Component::ParentDir)) => match place(parent).parent() {
            Some(above) => above.to_owned(),
            None => place(parent),
        },
        (Some(parent), Some(name)) => place(parent).join(name),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::of_text;

    #[test]
    fn a_file_is_the_same_however_it_is_spelt() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&data, &link).unwrap();
        std::fs::write(data.join("store.key"), "").unwrap();
        std::os::unix::fs::symlink(data.join("store.key"), directory.path().join("key")).unwrap();
        let check = |file: &str, other: &str| {
            let file = directory.path().join(file);
            let text = format!("data = {:?}\nserver.key_file = {file:?}\n", data.display().to_string());
            let told = of_text(&text).map(|_| ()).unwrap_err();
            assert!(told[0].what.ends_with(&format!("is already the file of {other}")), "{told:?}");
        };
        check("data/provost.db", "the database");
        check("data/../data/provost.db", "the database");
        check("data//./provost.db-wal", "the database");
        check("link/provost.db", "the database");
        check("link/not/there/../../admin.pem", "the first administrator");
        check("key", "the key of the database");
    }
}
