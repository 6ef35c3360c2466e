//! Credentials from a kubeconfig: those of the current context's user.
//!
//! ```text
//! current-context ──► contexts[name].context.user ──► users[name].user
//! token, tokenFile                                  a bearer token
//! username, password                                a user name and a password
//! client-certificate[-data], client-key[-data]      a client certificate
//! ```
//! Paths are relative to the file's folder; `-data` is base64 and comes first, as kubectl has it. Programs to
//! run for a token (`exec`, `auth-provider`) are not run. Which server the context names is not looked at.
//! Source: commissaire, section 12.1; Kubernetes, "kubeconfig (v1)".

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::credentials::{Authorization, Credentials};

/// A kubeconfig that says nothing of use.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file is unreadable: the kubeconfig, or one that it names.
    #[error("could not read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no kubeconfig.
    #[error("{} is not a kubeconfig: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, in one line.
        what: String,
    },
    /// Something that is referred to is not there.
    #[error("{} has no {what} `{name}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The user has no credentials that are understood.
    #[error("user `{user}` in {} has neither a token, nor a user name and password, nor a client certificate with its key", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// The user.
        user: String,
    },
}

impl Explain for KubeconfigError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::NotFound,
            Self::Malformed { .. } | Self::Missing { .. } | Self::Nothing { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("`kubectl config get-contexts` shows what there is".to_owned()),
            Self::Nothing { .. } => Some("programs that fetch a token (`exec`) are not run".to_owned()),
            Self::Io { .. } | Self::Malformed { .. } => None,
        }
    }
}

#[derive(Deserialize)]
struct Kubeconfig {
    #[serde(rename = "current-context", default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    user: String,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    username: Option<String>,
    password: Option<String>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
}

/// The credentials of the current context's user in the file at `path`.
///
/// # Errors
/// When it or a file that it names is unreadable, when it is no kubeconfig, and when there is nothing to use.
pub fn kubeconfig(path: &Path) -> Result<Credentials, KubeconfigError> {
    let text = String::from_utf8(read(path)?).map_err(|_| malformed(path, "it is not UTF-8"))?;
    let config: Kubeconfig = serde_saphyr::from_str(&text).map_err(|error| {
        // The library draws the place; the first line says what and where.
        malformed(path, error.to_string().lines().next().unwrap_or_default())
    })?;
    let missing =
        |what, name: &str| KubeconfigError::Missing { path: path.to_owned(), what, name: name.to_owned() };
    let context = config.contexts.into_iter().find(|context| context.name == config.current_context);
    let context = context.ok_or_else(|| missing("context", &config.current_context))?.context;
    let user = config.users.into_iter().find(|user| user.name == context.user);
    let user = user.ok_or_else(|| missing("user", &context.user))?.user;
    let found = credentials(user, path)?;
    if found.authorization.is_none() && found.certificate.is_none() {
        return Err(KubeconfigError::Nothing { path: path.to_owned(), user: context.user });
    }
    Ok(found)
}

fn credentials(user: User, path: &Path) -> Result<Credentials, KubeconfigError> {
    let beside = |file: PathBuf| path.parent().unwrap_or(Path::new("")).join(file);
    let token = match (user.token, user.token_file) {
        (Some(token), _) => Some(token),
        (None, Some(file)) => {
            let token = String::from_utf8(read(&beside(file))?)
                .map_err(|_| malformed(path, "the token is not UTF-8"))?;
            Some(token.trim().to_owned())
        }
        (None, None) => None,
    };
    let authorization = match (token, user.username, user.password) {
        (Some(token), _, _) => Some(Authorization::Bearer(Secret::new(token))),
        (None, Some(username), Some(password)) => {
            Some(Authorization::Basic { username, password: Secret::new(password) })
        }
        (None, _, _) => None,
    };
    let pem = |data: Option<String>, file: Option<PathBuf>| match (data, file) {
        (Some(data), _) => {
            let pem = STANDARD.decode(data.trim());
            pem.map(Some).map_err(|_| malformed(path, "a certificate or key is not base64"))
        }
        (None, Some(file)) => read(&beside(file)).map(Some),
        (None, None) => Ok(None),
    };
    let certificate = pem(user.client_certificate_data, user.client_certificate)?;
    let key = pem(user.client_key_data, user.client_key)?.map(Secret::new);
    let certificate = certificate.zip(key).map(|(certificate, key)| {
        Secret::new([certificate.as_slice(), b"\n", key.expose().as_slice()].concat())
    });
    Ok(Credentials { authorization, certificate })
}

fn read(path: &Path) -> Result<Vec<u8>, KubeconfigError> {
    std::fs::read(path).map_err(|source| KubeconfigError::Io { path: path.to_owned(), source })
}

fn malformed(path: &Path, what: &str) -> KubeconfigError {
    KubeconfigError::Malformed { path: path.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The credentials of a user who is written as `user`: header and certificate.
    fn of(user: &str) -> Result<(Option<String>, Option<String>), String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("crt.pem", "CRT"), ("key.pem", "KEY"), ("token", "from-a-file\n")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters:\n- name: c\n  cluster: {{server: \"https://k\"}}\n\
             contexts:\n- name: there\n  context: {{cluster: c, user: other}}\n\
             - name: here\n  context:\n    cluster: c\n    user: me\n    namespace: n\n\
             users:\n- name: other\n  user: {{token: wrong}}\n- name: me\n  user: {user}\n"
        );
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        let found = kubeconfig(&path)
            .map_err(|error| base::report(&error).replace(folder.path().to_str().unwrap(), "DIR"))?;
        let header = found.authorization.map(|one| one.header().unwrap().to_str().unwrap().to_owned());
        let pem = found.certificate.map(|pem| String::from_utf8(pem.expose().clone()).unwrap());
        Ok((header, pem))
    }

    fn check(user: &str, header: Option<&str>, pem: Option<&str>) {
        let found = of(user).unwrap();
        assert_eq!((found.0.as_deref(), found.1.as_deref()), (header, pem), "{user}");
    }

    #[test]
    fn every_kind_of_credentials_is_found() {
        check("{token: abc}", Some("Bearer abc"), None);
        check("{tokenFile: token}", Some("Bearer from-a-file"), None);
        check("{token: abc, tokenFile: nowhere, username: u, password: p}", Some("Bearer abc"), None);
        check("{username: u, password: \"p:q\"}", Some("Basic dTpwOnE="), None);
        // A password of digits is a text all the same.
        check("{username: u, password: 1234}", Some("Basic dToxMjM0"), None);
        check("{client-certificate: crt.pem, client-key: key.pem}", None, Some("CRT\nKEY"));
        let inline = "{client-certificate-data: Q1JU, client-key-data: S0VZ, client-key: nowhere, token: t}";
        check(inline, Some("Bearer t"), Some("CRT\nKEY"));
    }

    #[test]
    fn what_is_of_no_use_says_so() {
        for (user, expected) in [
            (
                "{}",
                "user `me` in DIR/config has neither a token, nor a user name and password, nor a client certificate with its key",
            ),
            (
                "{username: u}",
                "user `me` in DIR/config has neither a token, nor a user name and password, nor a client certificate with its key",
            ),
            (
                "{exec: {command: get-token}}",
                "user `me` in DIR/config has neither a token, nor a user name and password, nor a client certificate with its key",
            ),
            (
                "{client-certificate: nowhere.pem, client-key: key.pem}",
                "could not read DIR/nowhere.pem: No such file or directory (os error 2)",
            ),
            (
                "{client-certificate: crt.pem, client-key-data: '*'}",
                "DIR/config is not a kubeconfig: a certificate or key is not base64",
            ),
        ] {
            assert_eq!(of(user), Err(expected.to_owned()), "{user}");
        }
    }

    #[test]
    fn what_is_no_kubeconfig_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        for (text, expected) in [
            ("current-context: here\n", "has no context `here`"),
            ("", "has no context ``"),
            ("current-context: a\ncontexts: [{name: a, context: {user: b}}]", "has no user `b`"),
            ("contexts: 3\n", "is not a kubeconfig: "),
            ("a: [", "is not a kubeconfig: "),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = kubeconfig(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
