//! Which paths there are.

use base::Sha512;
use cache::{BadKey, EntryKey};
use http::Method;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// To keep the body, which is to have a certain digest where one is said.
    PutArtifact(Option<Sha512>),
    /// An artifact.
    Artifact(Sha512),
    /// To add an entry.
    PutEntry(EntryKey),
    /// All entries of a key.
    Entries(EntryKey),
    /// To have all entries looked at again.
    Update,
}

/// Nothing is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missed {
    /// No artifact can have this name.
    Path,
    /// Nothing can be under this key.
    NoKey,
    /// Nothing can be kept under this key.
    Key(BadKey),
    /// It is no text.
    NoText,
    /// Something is there, for these methods.
    Method(&'static str),
}

/// Where artifacts are, and where entries are.
const ARTIFACTS: &str = "/shacache";
const ENTRIES: &str = "/shadir";
/// The same, where the proxy of slapos.core has them, behind [`ARTIFACTS`].
const PROXYS_ARTIFACTS: &str = "/cache";
const PROXYS_ENTRIES: &str = "/dir/";
const PROXYS_UPDATE: &str = "/update";

/// Whether `path`, which may be encoded, is answered here.
pub(super) fn is_inside(path: &str) -> bool {
    below(path, ARTIFACTS).is_some() || below(path, ENTRIES).is_some()
}

/// What follows `root` in `path`, if `path` is that or below.
fn below<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is asked for with `method` at `path`, which is decoded.
pub(super) fn find(method: &Method, path: &str) -> Result<Call, Missed> {
    if let Some(rest) = below(path, ENTRIES) {
        return entries(method, rest.strip_prefix('/').unwrap_or_default());
    }
    let rest = below(path, ARTIFACTS).ok_or(Missed::Path)?;
    if let Some(key) = rest.strip_prefix(PROXYS_ENTRIES) {
        return entries(method, key);
    }
    if rest == PROXYS_UPDATE {
        return match *method {
            Method::POST => Ok(Call::Update),
            _ => Err(Missed::Method("POST")),
        };
    }
    artifacts(method, below(rest, PROXYS_ARTIFACTS).unwrap_or(rest))
}

fn entries(method: &Method, key: &str) -> Result<Call, Missed> {
    match *method {
        Method::GET | Method::HEAD => key.parse().map(Call::Entries).map_err(|_| Missed::NoKey),
        Method::PUT => {
            let key: EntryKey = key.parse().map_err(Missed::Key)?;
            key.check_askable().map_err(Missed::Key)?;
            Ok(Call::PutEntry(key))
        }
        _ => Err(Missed::Method("GET, HEAD, PUT")),
    }
}

/// `name` is empty, `/`, or a slash and a digest.
fn artifacts(method: &Method, name: &str) -> Result<Call, Missed> {
    if matches!(name, "" | "/") {
        return match *method {
            Method::POST => Ok(Call::PutArtifact(None)),
            _ => Err(Missed::Method("POST")),
        };
    }
    let digest = name.strip_prefix('/').and_then(Sha512::parse).ok_or(Missed::Path)?;
    match *method {
        Method::GET | Method::HEAD => Ok(Call::Artifact(digest)),
        Method::PUT => Ok(Call::PutArtifact(Some(digest))),
        _ => Err(Missed::Method("GET, HEAD, PUT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_methods() {
        let digest = Sha512::of(b"hello");
        let key = |text: &str| text.parse::<EntryKey>().unwrap();
        let check = |method: Method, path: &str, expected: Result<Call, Missed>| {
            assert_eq!(find(&method, path), expected, "{method} {path}");
        };
        for base in ["/shacache", "/shacache/cache"] {
            check(Method::POST, base, Ok(Call::PutArtifact(None)));
            check(Method::POST, &format!("{base}/"), Ok(Call::PutArtifact(None)));
            check(Method::GET, base, Err(Missed::Method("POST")));
            let path = format!("{base}/{digest}");
            check(Method::GET, &path, Ok(Call::Artifact(digest)));
            check(Method::HEAD, &path, Ok(Call::Artifact(digest)));
            check(Method::PUT, &path, Ok(Call::PutArtifact(Some(digest))));
            check(Method::DELETE, &path, Err(Missed::Method("GET, HEAD, PUT")));
            check(Method::GET, &format!("{path}/"), Err(Missed::Path));
            check(Method::GET, &path.to_uppercase().replace("/SHACACHE", "/shacache"), Err(Missed::Path));
            check(Method::GET, &format!("{base}/../etc/passwd"), Err(Missed::Path));
        }
        for base in ["/shadir", "/shacache/dir"] {
            check(Method::GET, &format!("{base}/a"), Ok(Call::Entries(key("a"))));
            check(Method::GET, &format!("{base}/a/b"), Ok(Call::Entries(key("a/b"))));
            check(Method::PUT, &format!("{base}/a:é"), Ok(Call::PutEntry(key("a:é"))));
            check(Method::POST, &format!("{base}/a"), Err(Missed::Method("GET, HEAD, PUT")));
            check(Method::GET, &format!("{base}/"), Err(Missed::NoKey));
            check(Method::PUT, &format!("{base}/"), Err(Missed::Key(BadKey::Empty)));
            check(Method::PUT, &format!("{base}/a/.."), Err(Missed::Key(BadKey::Dots)));
            check(Method::GET, &format!("{base}/a/.."), Ok(Call::Entries(key("a/.."))));
        }
        check(Method::POST, "/shacache/update", Ok(Call::Update));
        check(Method::GET, "/shacache/update", Err(Missed::Method("POST")));
        check(Method::GET, "/shacachex", Err(Missed::Path));
    }

    #[test]
    fn other_paths_are_not_ours() {
        for (path, expected) in [
            ("/shacache", true),
            ("/shacache/", true),
            ("/shadir/a", true),
            ("/shadirx", false),
            ("/shacachex/a", false),
            ("/cas/crt", false),
        ] {
            assert_eq!(is_inside(path), expected, "{path}");
        }
    }
}
