//! How people sign in, as `commissaire-server` was told: `authentication-plugins` and `self-auths` of its JSON file,
//! `--authentication-plugin` and `--self-auth` of its command line.
//!
//! ```text
//! plugin                     options                        ours besides
//! httpbasicauth              users, filepath                role, cache_seconds; "role" beside a user's "hash"
//! httpauthclientcert         cn                             role, roles, ca_file
//! keystonepasswordauth       url, domain                    role, roles, group_roles, verify, ca_file, cache_seconds
//! keystonetokenauth          url                            the same, and domain
//! openshiftbearertokenauth   openshift_endpoint             role, roles, group_roles, verify, ca_file, cache_seconds
//!
//! tokenreview, ours: url, token_file, audiences, role, roles, group_roles, verify, ca_file, cache_seconds
//! ```
//! A name may have the prefix `commissaire_http.authentication.`, or the older `commissaire.authentication.`. On the
//! command line a plugin is `NAME`, or `NAME:KEY=VALUE,KEY=VALUE`: split at the first colon, at commas, and each
//! at its first equals sign, so that URLs can be given. Those of the command line come after those of the file; of
//! two with one name the later counts, in the place of the earlier.
//!
//! Source: the contract of `/api/v0`, sections 7.1 to 7.5.

use std::path::Path;

use identity::Role;
use identity::sign_in::{Config, MethodConfig, OpenPath};
use serde_json::{Map, Value};

use super::conf::member;
use super::methods::{basic, client_certificate, keystone, openshift, token_review};
use super::options::{Options, role_of};
use crate::settings::{Origin, Problem, meant};

/// The prefixes that a plugin's name may have.
const PREFIXES: [&str; 2] = ["commissaire_http.authentication.", "commissaire.authentication."];

/// What was said about signing in.
pub struct Said<'a> {
    /// The configuration file and the object in it.
    pub file: Option<(&'a Path, &'a Map<String, Value>)>,
    /// The values of `--authentication-plugin`, in order.
    pub plugins: &'a [String],
    /// The values of `--self-auth`, in order.
    pub self_auths: &'a [String],
    /// The file of client certificates' authorities for the whole server, wherever it was said.
    pub client_verify_file: Option<&'a Path>,
    /// What people call that setting, here.
    pub server_wide: &'a str,
}

/// How people sign in, and what is worth saying about it.
#[derive(Debug)]
pub struct SignIn {
    /// The methods and open paths.
    pub config: Config,
    /// What prevents nothing.
    pub notes: Vec<Problem>,
}

/// What `said` means.
///
/// # Errors
/// Everything that is wrong with it.
pub fn sign_in(said: &Said<'_>) -> Result<SignIn, Vec<Problem>> {
    let mut reader = Reader { said, problems: Vec::new(), notes: Vec::new() };
    let mut plugins = Vec::new();
    if let Some((path, file)) = said.file {
        reader.plugins_in_file(path, file, &mut plugins);
    }
    for argument in said.plugins {
        if let Some(plugin) = reader.argument(argument) {
            put(&mut plugins, plugin);
        }
    }
    let methods = plugins.into_iter().filter_map(|plugin| reader.method(plugin)).collect();
    let open_paths = reader.open_paths();
    if reader.problems.is_empty() {
        Ok(SignIn { config: Config { methods, open_paths }, notes: reader.notes })
    } else {
        Err(reader.problems)
    }
}

/// One plugin and its options.
struct Plugin {
    kind: Kind,
    origin: Origin,
    options: Vec<(String, Value)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Basic,
    ClientCertificate,
    KeystonePassword,
    KeystoneToken,
    OpenShift,
    TokenReview,
}

/// The plugins and their names, without prefix.
const NAMES: [(Kind, &str); 6] = [
    (Kind::Basic, "httpbasicauth"),
    (Kind::ClientCertificate, "httpauthclientcert"),
    (Kind::KeystonePassword, "keystonepasswordauth"),
    (Kind::KeystoneToken, "keystonetokenauth"),
    (Kind::OpenShift, "openshiftbearertokenauth"),
    (Kind::TokenReview, "tokenreview"),
];

impl Kind {
    fn name(self) -> &'static str {
        NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// In the place of one of the same kind, or at the end.
fn put(plugins: &mut Vec<Plugin>, plugin: Plugin) {
    match plugins.iter_mut().find(|other| other.kind == plugin.kind) {
        Some(other) => *other = plugin,
        None => plugins.push(plugin),
    }
}

struct Reader<'a> {
    said: &'a Said<'a>,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
}

impl Reader<'_> {
    fn plugins_in_file(&mut self, path: &Path, file: &Map<String, Value>, plugins: &mut Vec<Plugin>) {
        const KEY: &str = "authentication-plugins";
        let origin = Origin::File(path.to_owned());
        let problem = |what: &str| Problem::new(origin.clone(), KEY, what);
        let items = match member(file, KEY) {
            None => return,
            Some(Value::Array(items)) => items,
            Some(_) => {
                let hint = r#"[{"name": "httpbasicauth", "filepath": "/etc/commissaire/users.json"}]"#;
                return self.problems.push(problem("is a list of objects").hint(hint));
            }
        };
        for item in items {
            let Value::Object(item) = item else {
                self.notes.push(problem("something in it is no object, and is passed over"));
                continue;
            };
            let Some(name) = item.get("name").and_then(Value::as_str) else {
                self.problems.push(problem("a plugin in it has no `name`"));
                continue;
            };
            if let Some(kind) = self.kind(name, &origin, KEY) {
                let options = item.iter().filter(|(option, _)| *option != "name");
                let options = options.map(|(option, value)| (option.clone(), value.clone())).collect();
                put(plugins, Plugin { kind, origin: origin.clone(), options });
            }
        }
    }

    /// `NAME:KEY=VALUE,KEY=VALUE`.
    fn argument(&mut self, argument: &str) -> Option<Plugin> {
        const FLAG: &str = "--authentication-plugin";
        let origin = Origin::Flag(FLAG.to_owned());
        let (name, options) = argument.split_once(':').unwrap_or((argument, ""));
        let kind = self.kind(name, &origin, FLAG)?;
        let options = options.split(',').filter_map(|option| option.split_once('='));
        let options = options.map(|(option, value)| (option.to_owned(), Value::String(value.to_owned())));
        Some(Plugin { kind, origin, options: options.collect() })
    }

    fn kind(&mut self, name: &str, origin: &Origin, key: &str) -> Option<Kind> {
        let short = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
        let found = NAMES.iter().find(|(_, known)| *known == short).map(|(kind, _)| *kind);
        if found.is_none() {
            let problem =
                Problem::new(origin.clone(), key, format!("there is no authentication plugin `{name}`"));
            let hint = meant(short, NAMES.iter().map(|(_, known)| *known));
            self.problems.push(Problem { hint, ..problem });
        }
        found
    }

    /// What the plugin is here. Nothing when a problem prevents it, or when nobody could ever sign in by it.
    fn method(&mut self, plugin: Plugin) -> Option<MethodConfig> {
        let mut options = Options::new(plugin.origin, plugin.kind.name(), plugin.options);
        let method = match plugin.kind {
            Kind::Basic => Some(MethodConfig::Basic(basic(&mut options))),
            Kind::ClientCertificate => {
                client_certificate(&mut options, self.said.client_verify_file, self.said.server_wide)
            }
            Kind::KeystonePassword => keystone(&mut options).map(MethodConfig::KeystonePassword),
            Kind::KeystoneToken => keystone(&mut options).map(MethodConfig::KeystoneToken),
            Kind::OpenShift => openshift(&mut options),
            Kind::TokenReview => token_review(&mut options),
        };
        let (problems, notes) = options.finish();
        self.problems.extend(problems);
        self.notes.extend(notes);
        method
    }

    /// The paths that authenticate by themselves. Whoever comes in by one may do there what the original let
    /// everybody do, everything, unless a role is said: `{"path": "/api/v0/host", "role": "registrar"}`.
    fn open_paths(&mut self) -> Vec<OpenPath> {
        const KEY: &str = "self-auths";
        let mut paths = Vec::new();
        if let Some((path, file)) = self.said.file {
            let problem = |what: &str| Problem::new(Origin::File(path.to_owned()), KEY, what);
            match member(file, KEY) {
                None => {}
                Some(Value::Array(items)) => {
                    for item in items {
                        match open_path(item) {
                            Ok(path) => paths.push(path),
                            Err(what) => self.problems.push(problem(&what)),
                        }
                    }
                }
                Some(_) => self.problems.push(problem(r#"is a list of paths, such as ["/api/v0/secrets"]"#)),
            }
        }
        let said = self.said.self_auths.iter();
        paths.extend(said.map(|path| OpenPath { path: path.clone(), role: Role::Administrator }));
        paths
    }
}

/// One member of `self-auths`.
fn open_path(item: &Value) -> Result<OpenPath, String> {
    let path = item.as_str().or_else(|| item.get("path")?.as_str());
    let path = path.ok_or("something in it is neither a path nor an object with a `path`")?.to_owned();
    let role = match item.get("role") {
        None => Role::Administrator,
        Some(role) => role_of(role).map_err(|error| format!("{path}: {error}"))?,
    };
    Ok(OpenPath { path, role })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBu.";

    fn read(file: &Value, plugins: &[&str], self_auths: &[&str]) -> Result<SignIn, Vec<String>> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let file = file.as_object().unwrap();
        let said = Said {
            file: Some((Path::new("commissaire.conf"), file)),
            plugins: &owned(plugins),
            self_auths: &owned(self_auths),
            client_verify_file: file.get("tls-clientverifyfile").and_then(Value::as_str).map(Path::new),
            server_wide: "`tls-clientverifyfile`",
        };
        sign_in(&said).map_err(|problems| problems.iter().map(told).collect())
    }

    fn told(problem: &Problem) -> String {
        match &problem.hint {
            Some(hint) => format!("{problem} ({hint})"),
            None => problem.to_string(),
        }
    }

    fn names(sign_in: &SignIn) -> Vec<&'static str> {
        sign_in.config.methods.iter().map(MethodConfig::name).collect()
    }

    /// As the original's own examples have it.
    #[test]
    fn the_samples_are_understood() {
        let file = json!({
            "listen-port": 8000,
            "tls-clientverifyfile": "/etc/commissaire/ca.pem",
            "authentication_plugins": [
                {"name": "commissaire_http.authentication.httpbasicauth",
                 "users": {"a": {"hash": HASH}}, "filepath": "/etc/commissaire/users.json"},
                {"name": "commissaire.authentication.httpauthclientcert", "cn": "alice"},
                {"name": "keystonetokenauth", "url": "https://keystone.example:5000/v3/auth/tokens"},
                {"name": "keystonepasswordauth", "url": "http://keystone.example/v3/auth/tokens", "domain": "Staff"},
                {"name": "openshiftbearertokenauth", "openshift_endpoint": "https://master.example:8443/oapi/v1/users/~"},
            ],
            "self_auths": ["/api/v0/secrets", {"path": "/api/v0/host", "role": "registrar"}],
        });
        let found = read(&file, &[], &["/api/v0/hosts"]).unwrap();
        let expected = ["basic", "client-certificate", "keystone-token", "keystone-password", "openshift"];
        assert_eq!(names(&found), expected);
        let MethodConfig::Basic(basic) = &found.config.methods[0] else { panic!() };
        assert_eq!((basic.users[0].name.as_str(), basic.users[0].role), ("a", Role::Administrator));
        assert_eq!(basic.file.as_deref(), Some(Path::new("/etc/commissaire/users.json")));
        let MethodConfig::ClientCertificate(certificate) = &found.config.methods[1] else { panic!() };
        assert_eq!(certificate.common_name.as_deref(), Some("alice"));
        assert_eq!(certificate.ca_file, Path::new("/etc/commissaire/ca.pem"));
        let MethodConfig::KeystonePassword(keystone) = &found.config.methods[3] else { panic!() };
        assert_eq!((keystone.domain.as_str(), keystone.service.verify), ("Staff", true));
        let paths: Vec<(&str, Role)> =
            found.config.open_paths.iter().map(|open| (open.path.as_str(), open.role)).collect();
        let expected = [
            ("/api/v0/secrets", Role::Administrator),
            ("/api/v0/host", Role::Registrar),
            ("/api/v0/hosts", Role::Administrator),
        ];
        assert_eq!(paths, expected);
        let notes: Vec<String> = found.notes.iter().map(told).collect();
        assert_eq!(
            notes,
            ["commissaire.conf: authentication-plugins: keystonepasswordauth: url: \
              without https, passwords and tokens can be read on their way"]
        );
    }

    #[test]
    fn arguments_may_have_urls_and_replace_what_the_file_says() {
        let file = json!({"authentication-plugins": [
            {"name": "keystonetokenauth", "url": "https://old.example/"},
            {"name": "httpbasicauth", "filepath": "/old"},
            {"name": "keystonetokenauth", "url": "https://newer.example/"},
        ]});
        let arguments = [
            "openshiftbearertokenauth:openshift_endpoint=https://master.example:8443/oapi/v1/users/~?a=b,verify=false",
            "httpbasicauth:filepath=/new,nonsense,role=operator,cache_seconds=5",
        ];
        let found = read(&file, &arguments, &[]).unwrap();
        assert_eq!(names(&found), ["keystone-token", "basic", "openshift"]);
        let MethodConfig::KeystoneToken(keystone) = &found.config.methods[0] else { panic!() };
        assert_eq!(keystone.service.url.to_string(), "https://newer.example/");
        let MethodConfig::Basic(basic) = &found.config.methods[1] else { panic!() };
        assert_eq!(basic.file.as_deref(), Some(Path::new("/new")));
        assert_eq!((basic.role, basic.cache_seconds), (Role::Operator, 5));
        let MethodConfig::OpenShift(openshift) = &found.config.methods[2] else { panic!() };
        assert_eq!(openshift.service.url.to_string(), "https://master.example:8443/oapi/v1/users/~?a=b");
        assert!(!openshift.service.verify);
        for bare in ["httpbasicauth", "httpbasicauth:"] {
            let found = read(&json!({}), &[bare], &[]).unwrap();
            assert_eq!((names(&found), found.notes.len()), (vec!["basic"], 1), "{bare}");
        }
        assert_eq!(read(&json!({}), &[], &[]).unwrap().config, Config::default());
    }

    #[test]
    fn roles_are_ours() {
        let file = json!({"authentication-plugins": [
            {"name": "httpbasicauth", "role": "reader",
             "users": {"a": {"hash": HASH}, "b": {"hash": HASH, "role": "operator"}}},
            {"name": "keystonetokenauth", "url": "https://k.example/", "role": "none",
             "roles": {"alice": "operator"}, "group_roles": {"admin": "administrator"}},
            {"name": "openshiftbearertokenauth", "openshift-endpoint": "https://o.example/"},
        ]});
        let found = read(&file, &[], &[]).unwrap();
        let MethodConfig::Basic(basic) = &found.config.methods[0] else { panic!() };
        let roles: Vec<Role> = basic.users.iter().map(|user| user.role).collect();
        assert_eq!(roles, [Role::Reader, Role::Operator]);
        let MethodConfig::KeystoneToken(keystone) = &found.config.methods[1] else { panic!() };
        assert_eq!(keystone.roles.users["alice"], Role::Operator);
        assert_eq!(keystone.roles.groups["admin"], Role::Administrator);
        assert_eq!(keystone.roles.others, None);
        let MethodConfig::OpenShift(openshift) = &found.config.methods[2] else { panic!() };
        assert_eq!(openshift.roles.others, Some(Role::Administrator));
    }

    #[test]
    fn a_kubernetes_lets_in_whom_it_is_told_to() {
        let file = json!({"authentication-plugins": [
            {"name": "tokenreview", "url": "https://k.example/reviews", "token-file": "/token",
             "audiences": ["provost"], "group_roles": {"system:nodes": "registrar"}},
        ]});
        let found = read(&file, &[], &[]).unwrap();
        let MethodConfig::TokenReview(review) = &found.config.methods[0] else { panic!() };
        assert_eq!(review.token_file, Path::new("/token"));
        assert_eq!(review.audiences, ["provost"]);
        assert_eq!((review.roles.groups["system:nodes"], review.roles.others), (Role::Registrar, None));
        let argument = "tokenreview:url=http://k.example/,token_file=/t,audiences=a,role=reader";
        let found = read(&json!({}), &[argument], &[]).unwrap();
        let MethodConfig::TokenReview(review) = &found.config.methods[0] else { panic!() };
        assert_eq!((review.audiences.len(), review.roles.others), (1, Some(Role::Reader)));
        let wrong = json!({"authentication-plugins": [{"name": "tokenreview", "audiences": [1]}]});
        let file = "commissaire.conf: authentication-plugins: tokenreview";
        let expected = [
            format!("{file}: url: is missing"),
            format!("{file}: token_file: is missing"),
            format!("{file}: audiences: is a list of texts"),
        ];
        assert_eq!(read(&wrong, &[], &[]).unwrap_err(), expected);
    }

    #[test]
    fn what_only_prevents_some_is_a_note() {
        let file = json!({"authentication-plugins": [
            "passed over",
            {"name": "httpbasicauth", "users": {"a": {"hash": "x"}, "b": {"hash": HASH}}},
            {"name": "httpauthclientcert"},
        ]});
        let found = read(&file, &[], &[]).unwrap();
        assert_eq!(names(&found), ["basic"], "nobody could sign in by a certificate");
        let notes: Vec<String> = found.notes.iter().map(told).collect();
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].contains("passed over"), "{notes:?}");
        assert!(notes[1].contains("user `a`: the hash is not one of bcrypt's"), "{notes:?}");
        assert!(notes[2].contains("ca_file: is missing, and so is `tls-clientverifyfile`"), "{notes:?}");
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let check = |file: Value, plugins: &[&str], expected: &[&str]| {
            assert_eq!(read(&file, plugins, &[]).unwrap_err(), expected, "{file} {plugins:?}");
        };
        let file = "commissaire.conf: authentication-plugins";
        check(
            json!({"authentication-plugins": {"name": "httpbasicauth"}, "self-auths": "/a"}),
            &["nothing:a=b"],
            &[
                &format!(
                    "{file}: is a list of objects \
                     ([{{\"name\": \"httpbasicauth\", \"filepath\": \"/etc/commissaire/users.json\"}}])"
                ),
                "--authentication-plugin: there is no authentication plugin `nothing`",
                "commissaire.conf: self-auths: is a list of paths, such as [\"/api/v0/secrets\"]",
            ],
        );
        check(
            json!({"authentication-plugins": [
                {"users": {}},
                {"name": "httbasicauth"},
                {"name": "os.path"},
                {"name": "httpbasicauth", "filepth": "/a", "role": "root", "cache_seconds": 61},
                {"name": "keystonetokenauth", "verify": "perhaps", "roles": ["alice"]},
                {"name": "openshiftbearertokenauth", "openshift_endpoint": "master:8443",
                 "group_roles": {"staff": 1}},
            ], "self-auths": ["/a", 1, {"path": "/b", "role": "root"}]}),
            &["keystonepasswordauth:url=https://u:p@k.example/"],
            &[
                &format!("{file}: a plugin in it has no `name`"),
                &format!(
                    "{file}: there is no authentication plugin `httbasicauth` (is `httpbasicauth` meant?)"
                ),
                &format!("{file}: there is no authentication plugin `os.path`"),
                &format!(
                    "{file}: httpbasicauth: role: `root` is no role; there are registrar, reader, publisher, operator and administrator"
                ),
                &format!("{file}: httpbasicauth: cache_seconds: is a whole number of seconds from 0 to 60"),
                &format!(
                    "{file}: httpbasicauth: filepth: the plugin has no such option (is `filepath` meant?)"
                ),
                &format!("{file}: keystonetokenauth: url: is missing"),
                &format!("{file}: keystonetokenauth: verify: is true or false"),
                &format!(
                    "{file}: keystonetokenauth: roles: is an object such as {{\"alice\": \"operator\"}}"
                ),
                &format!(
                    "{file}: openshiftbearertokenauth: openshift_endpoint: it is no URL with http:// or https:// and a host"
                ),
                &format!(
                    "{file}: openshiftbearertokenauth: group_roles: staff: `1` is no role; there are registrar, reader, publisher, operator and administrator"
                ),
                "--authentication-plugin: keystonepasswordauth: url: there must be no user and no password in the URL",
                "commissaire.conf: self-auths: something in it is neither a path nor an object with a `path`",
                "commissaire.conf: self-auths: /b: `root` is no role; there are registrar, reader, publisher, operator and administrator",
            ],
        );
    }
}
