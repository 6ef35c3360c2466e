//! Which row of the table a request is for.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use super::table::{ROWS, Row};

/// What a request has found.
pub(super) enum Found {
    /// A row, and what stands in the path where the row has `{…}`, decoded.
    Row(&'static Row, Vec<String>),
    /// Nothing is under this path.
    NoPath,
    /// There are rows for this path, with these methods, and the request's is none of them.
    NoMethod(String),
}

/// Whether a path, as it came, is ours.
pub(crate) fn is_inside(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|path| decoded(path.split('/').next().unwrap_or_default()) == "v1")
}

/// What `method` and `path` are for. Each segment is decoded by itself, so that no name is taken for two.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let segments: Vec<String> =
        path.split('/').skip(2).map(|segment| decoded(segment).into_owned()).collect();
    let wanted = if *method == Method::HEAD { &Method::GET } else { method };
    let mut methods = Vec::new();
    for row in ROWS.iter() {
        if let Some(parts) = parts(row, &segments) {
            if row.method == *wanted {
                return Found::Row(row, parts);
            }
            methods.push(&row.method);
        }
    }
    if methods.is_empty() { Found::NoPath } else { Found::NoMethod(allowed(&methods)) }
}

/// What stands where `row` has `{…}`; `None` when the path is another. Nothing has an empty name.
fn parts(row: &Row, segments: &[String]) -> Option<Vec<String>> {
    if row.segments().count() != segments.len() {
        return None;
    }
    let mut parts = Vec::new();
    for (expected, found) in row.segments().zip(segments) {
        if expected.starts_with('{') {
            if found.is_empty() {
                return None;
            }
            parts.push(found.clone());
        } else if expected != found {
            return None;
        }
    }
    Some(parts)
}

/// For `Allow`: who may `GET` may also `HEAD`.
fn allowed(methods: &[&Method]) -> String {
    let mut all = Vec::new();
    for method in methods {
        all.push(method.as_str());
        if **method == Method::GET {
            all.push("HEAD");
        }
    }
    all.push("OPTIONS");
    all.join(", ")
}

/// What is not UTF-8 becomes U+FFFD, which is in no name.
fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::super::table::Call;
    use super::*;

    #[test]
    fn the_tree_is_ours() {
        for (path, inside) in [
            ("/v1", true),
            ("/v1/", true),
            ("/v1/hosts", true),
            ("/%761/hosts", true),
            ("/v10", false),
            ("//v1", false),
            ("/api/v1", false),
            ("/", false),
            ("*", false),
        ] {
            assert_eq!(is_inside(path), inside, "{path}");
        }
    }

    #[test]
    fn paths_are_found_segment_by_segment() {
        for (method, path, expected) in [
            ("GET", "/v1/hosts", Ok((Call::Hosts, vec![]))),
            ("HEAD", "/v1/hosts", Ok((Call::Hosts, vec![]))),
            ("GET", "/v1/%68osts", Ok((Call::Hosts, vec![]))),
            ("GET", "/v1/hosts/a%2Fb", Ok((Call::Host, vec!["a/b"]))),
            ("GET", "/v1/hosts/..", Ok((Call::Host, vec![".."]))),
            ("PUT", "/v1/hosts/fe80::1%25eth0", Ok((Call::PutHost, vec!["fe80::1%eth0"]))),
            ("GET", "/v1/hosts/%ff", Ok((Call::Host, vec!["\u{fffd}"]))),
            ("DELETE", "/v1/clusters/web/hosts/a", Ok((Call::Leave, vec!["web", "a"]))),
            ("GET", "/v1", Err(None)),
            ("GET", "/v1/", Err(None)),
            ("GET", "/v1/hosts/", Err(None)),
            ("GET", "/v1/hosts//status", Err(None)),
            ("GET", "/v1/hosts/a/", Err(None)),
            ("GET", "/v1/Hosts", Err(None)),
            ("DELETE", "/v1/hosts", Err(Some("GET, HEAD, POST, OPTIONS"))),
            ("POST", "/v1/hosts/a", Err(Some("GET, HEAD, PUT, PATCH, DELETE, OPTIONS"))),
            ("OPTIONS", "/v1/openapi.json", Err(Some("GET, HEAD, OPTIONS"))),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let found = match find(&method, path) {
                Found::Row(row, parts) => Ok((row.call, parts)),
                Found::NoPath => Err(None),
                Found::NoMethod(methods) => Err(Some(methods)),
            };
            let expected = expected
                .map(|(call, parts)| (call, parts.into_iter().map(str::to_owned).collect::<Vec<_>>()))
                .map_err(|methods: Option<&str>| methods.map(str::to_owned));
            assert_eq!(found, expected, "{method} {path}");
        }
    }

    #[test]
    fn every_row_can_be_found_and_stands_there_once() {
        for row in ROWS.iter() {
            let path = format!("/v1{}", row.path.replace(['{', '}'], ""));
            assert!(
                matches!(find(&row.method, &path), Found::Row(found, _) if found.call == row.call),
                "{path}"
            );
            let same = |other: &&Row| other.id == row.id || other.call == row.call;
            assert_eq!(ROWS.iter().filter(same).count(), 1, "{}", row.id);
        }
    }
}
