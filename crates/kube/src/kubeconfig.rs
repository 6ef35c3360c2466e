//! Settings from a kubeconfig: those of its current context.
//!
//! ```text
//! current-context ──► contexts[name].context ──► clusters[name].cluster   server, whom to believe to be it
//!                                            └─► users[name].user         a token or a client certificate
//! ```
//! Paths are relative to the file's folder; `-data` is base64 and comes first, as kubectl has it. What cannot be done as
//! it says is refused rather than left out: programs to run for a token (`exec`, `auth-provider`), to act as somebody
//! else (`as`), a proxy, another name in the server's certificate. User names with passwords too: no API server has
//! taken them since Kubernetes 1.19.
//! Source: Kubernetes, "kubeconfig (v1)".

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::settings::{ClientCertificate, Credentials, Settings, Trust, read_file};

/// A kubeconfig that cannot be used.
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
    /// It wants something that is not done here.
    #[error("{} wants `{what}`, which is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it wants.
        what: &'static str,
    },
    /// The user has no credentials.
    #[error("user `{user}` in {} has neither a token nor a client certificate with its key", path.display())]
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
            Self::Io { .. } => Kind::Unavailable,
            Self::Malformed { .. }
            | Self::Missing { .. }
            | Self::Unsupported { .. }
            | Self::Nothing { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("`kubectl config get-contexts` shows what there is".to_owned()),
            Self::Unsupported { .. } | Self::Nothing { .. } => {
                Some("use a service account's token: `kubectl create token`".to_owned())
            }
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
    clusters: Vec<NamedCluster>,
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
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    proxy_url: Option<IgnoredAny>,
    tls_server_name: Option<IgnoredAny>,
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
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    r#as: Option<IgnoredAny>,
}

/// The settings that the current context of the file at `path` says.
///
/// # Errors
/// When it or a file that it names is unreadable, when it is no kubeconfig, and when there is nothing to use.
pub fn kubeconfig(path: &Path) -> Result<Settings, KubeconfigError> {
    let text = String::from_utf8(read(path)?).map_err(|_| malformed(path, "it is not UTF-8"))?;
    let config: Kubeconfig = serde_saphyr::from_str(&text).map_err(|error| {
        // The library draws the place, with what stands there; the first line says what and where.
        malformed(path, error.to_string().lines().next().unwrap_or_default())
    })?;
    let missing =
        |what, name: &str| KubeconfigError::Missing { path: path.to_owned(), what, name: name.to_owned() };
    let context = config.contexts.into_iter().find(|context| context.name == config.current_context);
    let context = context.ok_or_else(|| missing("context", &config.current_context))?.context;
    let cluster = config.clusters.into_iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.ok_or_else(|| missing("cluster", &context.cluster))?.cluster;
    let user = config.users.into_iter().find(|user| user.name == context.user);
    let user = user.ok_or_else(|| missing("user", &context.user))?.user;
    for (what, wanted) in
        [("proxy-url", &cluster.proxy_url), ("tls-server-name", &cluster.tls_server_name), ("as", &user.r#as)]
    {
        if wanted.is_some() {
            return Err(KubeconfigError::Unsupported { path: path.to_owned(), what });
        }
    }
    let server = cluster.server.parse().map_err(|error| malformed(path, &format!("{error}")))?;
    Ok(Settings {
        trust: trust(cluster, path)?,
        credentials: credentials(user, &context.user, path)?,
        ..Settings::new(server)
    })
}

fn trust(cluster: Cluster, path: &Path) -> Result<Trust, KubeconfigError> {
    let Cluster { certificate_authority, certificate_authority_data, insecure_skip_tls_verify, .. } = cluster;
    let authorities = pem(certificate_authority_data, certificate_authority, path)?;
    Ok(match (insecure_skip_tls_verify, authorities) {
        (true, _) => Trust::Anyone,
        (false, Some(pem)) => Trust::Only(pem),
        (false, None) => Trust::System,
    })
}

fn credentials(user: User, name: &str, path: &Path) -> Result<Credentials, KubeconfigError> {
    let token = match (user.token, user.token_file) {
        (Some(token), _) => Some(token),
        (None, Some(file)) => {
            let token = String::from_utf8(read(&beside(path, file))?)
                .map_err(|_| malformed(path, "the token is not UTF-8"))?;
            Some(token.trim().to_owned())
        }
        (None, None) => None,
    };
    let chain = pem(user.client_certificate_data, user.client_certificate, path)?;
    let key = pem(user.client_key_data, user.client_key, path)?.map(Secret::new);
    let certificate = chain.zip(key).map(|(chain, key)| ClientCertificate { chain, key });
    if token.is_none() && certificate.is_none() {
        let path = path.to_owned();
        return Err(match (user.exec, user.auth_provider) {
            (Some(_), _) => KubeconfigError::Unsupported { path, what: "exec" },
            (None, Some(_)) => KubeconfigError::Unsupported { path, what: "auth-provider" },
            (None, None) => KubeconfigError::Nothing { path, user: name.to_owned() },
        });
    }
    Ok(Credentials { token: token.map(Secret::new), certificate })
}

fn pem(data: Option<String>, file: Option<PathBuf>, path: &Path) -> Result<Option<Vec<u8>>, KubeconfigError> {
    match (data, file) {
        (Some(data), _) => {
            let pem = STANDARD.decode(data.trim());
            pem.map(Some).map_err(|_| malformed(path, "a certificate or key is not base64"))
        }
        (None, Some(file)) => read(&beside(path, file)).map(Some),
        (None, None) => Ok(None),
    }
}

fn beside(path: &Path, file: PathBuf) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(file)
}

fn read(path: &Path) -> Result<Vec<u8>, KubeconfigError> {
    read_file(path).map_err(|source| KubeconfigError::Io { path: path.to_owned(), source })
}

fn malformed(path: &Path, what: &str) -> KubeconfigError {
    KubeconfigError::Malformed { path: path.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from a kubeconfig with `cluster` and `user`: token, certificate and key, trust.
    fn of(cluster: &str, user: &str) -> Result<(Option<String>, Option<String>, String), String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("crt.pem", "CRT"), ("key.pem", "KEY"), ("ca.pem", "CA"), ("token", "filed\n")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let text = format!(
            "apiVersion: v1\nkind: Config\npreferences: {{}}\ncurrent-context: here\n\
             clusters:\n- name: d\n  cluster: {{server: \"https://wrong\"}}\n- name: c\n  cluster: {cluster}\n\
             contexts:\n- name: there\n  context: {{cluster: d, user: other}}\n\
             - name: here\n  context:\n    cluster: c\n    user: me\n    namespace: n\n\
             users:\n- name: other\n  user: {{token: wrong}}\n- name: me\n  user: {user}\n"
        );
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        let settings = kubeconfig(&path)
            .map_err(|error| base::report(&error).replace(folder.path().to_str().unwrap(), "DIR"))?;
        assert_eq!(settings.server.to_string(), "https://k:6443");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let trust = match settings.trust {
            Trust::System => "system".to_owned(),
            Trust::Only(pem) => text(pem),
            Trust::Anyone => "anyone".to_owned(),
        };
        let Credentials { token, certificate } = settings.credentials;
        let certificate = certificate.map(|one| text(one.chain) + &text(one.key.expose().clone()));
        Ok((token.map(|token| token.expose().clone()), certificate, trust))
    }

    const PLAIN: &str = "{server: \"https://k:6443/\"}";

    #[test]
    fn the_current_context_says_where_and_who() {
        let check = |cluster: &str, user: &str, token: Option<&str>, pem: Option<&str>, trust: &str| {
            let found = of(cluster, user).unwrap();
            assert_eq!((found.0.as_deref(), found.1.as_deref(), found.2.as_str()), (token, pem, trust));
        };
        check(PLAIN, "{token: abc}", Some("abc"), None, "system");
        check(PLAIN, "{tokenFile: token}", Some("filed"), None, "system");
        check(PLAIN, "{token: abc, tokenFile: nowhere, exec: {command: x}}", Some("abc"), None, "system");
        check(PLAIN, "{client-certificate: crt.pem, client-key: key.pem}", None, Some("CRTKEY"), "system");
        let inline = "{client-certificate-data: Q1JU, client-key-data: S0VZ, client-key: nowhere, token: t}";
        check(PLAIN, inline, Some("t"), Some("CRTKEY"), "system");
        let with = |more: &str| format!("{{server: \"https://k:6443\", {more}}}");
        check(&with("certificate-authority: ca.pem"), "{token: t}", Some("t"), None, "CA");
        check(&with("certificate-authority-data: Q0E="), "{token: t}", Some("t"), None, "CA");
        check(&with("insecure-skip-tls-verify: true"), "{token: t}", Some("t"), None, "anyone");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let nothing = "user `me` in DIR/config has neither a token nor a client certificate with its key";
        let with = |more: &str| format!("{{server: \"https://k:6443\", {more}}}");
        for (cluster, user, expected) in [
            (PLAIN.to_owned(), "{}", nothing),
            (PLAIN.to_owned(), "{username: u, password: p}", nothing),
            (PLAIN.to_owned(), "{client-certificate: crt.pem}", nothing),
            (PLAIN.to_owned(), "{exec: {command: x}}", "DIR/config wants `exec`, which is not supported"),
            (
                PLAIN.to_owned(),
                "{auth-provider: {name: gcp}}",
                "DIR/config wants `auth-provider`, which is not supported",
            ),
            (PLAIN.to_owned(), "{token: t, as: root}", "DIR/config wants `as`, which is not supported"),
            (
                with("proxy-url: \"http://p\""),
                "{token: t}",
                "DIR/config wants `proxy-url`, which is not supported",
            ),
            (
                with("tls-server-name: other"),
                "{token: t}",
                "DIR/config wants `tls-server-name`, which is not supported",
            ),
            (
                PLAIN.to_owned(),
                "{client-certificate: nowhere.pem, client-key: key.pem}",
                "could not read DIR/nowhere.pem: No such file or directory (os error 2)",
            ),
            (
                with("certificate-authority-data: '*'"),
                "{token: t}",
                "DIR/config is not a kubeconfig: a certificate or key is not base64",
            ),
            (
                "{server: \"https://me:hunter2@k\"}".to_owned(),
                "{token: t}",
                "DIR/config is not a kubeconfig: an API server is at `https://host:port` or `http://host:port`, without user and password",
            ),
        ] {
            assert_eq!(of(&cluster, user), Err(expected.to_owned()), "{cluster} {user}");
        }
    }

    #[test]
    fn what_is_no_kubeconfig_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        for (text, expected) in [
            ("current-context: here\n", "has no context `here`"),
            (
                "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: b}}]",
                "has no cluster `c`",
            ),
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
