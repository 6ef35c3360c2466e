//! The file that says who may sign in to the fleet, in the form of `commissaire-server`'s configuration.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Clock, Entropy, report};
use identity::Role;
use identity::sign_in::{
    AskAuthority, AskAuthorityError, BasicConfig, Config, Ground, MethodConfig, Roles, Shared, SignInError,
    Stack, Work, users,
};
use serde_json::{Map, Value};
use store::regular_file;

use super::Fleet;
use super::nearest::meant;
use super::problem::{Origin, Problem};
use crate::compat::commissaire::sign_in::{self, SignIn};

/// What is read here. The original takes `-` and `_` for the same.
const READ: [&str; 3] = ["authentication-plugins", "self-auths", "tls-clientverifyfile"];
/// What else the original's file may have. It is about the server, whose settings are ours.
const PASSED_OVER: [&str; 7] =
    ["listen-interface", "listen-port", "tls-pemfile", "bus-exchange", "bus-uri", "debug", "logging"];

/// The file, read and found good.
#[derive(Debug)]
pub struct SignInFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub config: Config,
    /// What prevents nothing.
    pub notes: Vec<Problem>,
}

impl SignInFile {
    /// Reads the file at `path`, whose content is `text`. Relative paths in it start from its directory.
    /// `client_ca_file` is the server's, for clients' certificates where the file names none for them.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: PathBuf, text: &[u8], client_ca_file: Option<&Path>) -> Result<Self, Vec<Problem>> {
        let origin = Origin::File(path.clone());
        let as_a_whole = |what: String| vec![Problem { origin: origin.clone(), key: None, what, hint: None }];
        let object: Map<String, Value> = match serde_json::from_slice(text) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(as_a_whole("is no JSON object".to_owned())),
            Err(error) => return Err(as_a_whole(format!("is not JSON: {error}"))),
        };
        let (mut problems, mut notes) = members(&object, &origin);
        // Where the server finds its own: that does not start from this file's directory.
        let client_ca_file = client_ca_file.and_then(|file| std::path::absolute(file).ok());
        let said = sign_in::Said {
            file: Some((&path, &object)),
            plugins: &[],
            self_auths: &[],
            client_verify_file: client_verify_file(&object).map(Path::new).or(client_ca_file.as_deref()),
            server_wide: "`server.client_ca_file`",
        };
        let SignIn { mut config, notes: more } = match sign_in::sign_in(&said) {
            Ok(found) => found,
            Err(more) => {
                problems.extend(more);
                return Err(problems);
            }
        };
        notes.extend(more);
        let directory = path.parent().unwrap_or(Path::new(""));
        config.methods.iter_mut().flat_map(files).for_each(|file| *file = directory.join(&*file));
        match Self::tried_out(path, config, notes) {
            Ok(file) if problems.is_empty() => Ok(file),
            Ok(_) => Err(problems),
            Err(more) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }

    /// What was read at `path`, once its methods have been set up and forgotten; `notes` are there already.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn tried_out(
        path: PathBuf,
        mut config: Config,
        mut notes: Vec<Problem>,
    ) -> Result<Self, Vec<Problem>> {
        let origin = Origin::File(path.clone());
        let as_a_whole = |what: String| Problem { origin: origin.clone(), key: None, what, hint: None };
        let problems: Vec<_> = try_out(&config).into_iter().map(as_a_whole).collect();
        for file in config.methods.iter_mut().flat_map(files) {
            if let Err(error) = regular_file::open(file) {
                let what = format!("{} cannot be read, so it lets nobody in: {error}", file.display());
                notes.push(as_a_whole(what));
            }
        }
        notes.extend(config.methods.iter().flat_map(wrong_users).map(as_a_whole));
        if problems.is_empty() { Ok(Self { path, config, notes }) } else { Err(problems) }
    }
}

impl Fleet {
    /// How people sign in: as the file says, then by what a Kubernetes says of their tokens, and last by a certificate
    /// of our own users authority. Whoever has one of those may approve others already, so that nothing is gained by
    /// refusing them here.
    pub fn methods(&self) -> Config {
        let mut config = self.sign_in.as_ref().map(|file| file.config.clone()).unwrap_or_default();
        config.methods.extend(self.token_review.clone().map(MethodConfig::TokenReview));
        config.methods.push(MethodConfig::UsersAuthority(Roles::everybody(Role::Administrator)));
        config
    }
}

/// Members that are not ours to read, and those that nobody reads.
fn members(object: &Map<String, Value>, origin: &Origin) -> (Vec<Problem>, Vec<Problem>) {
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    for member in object.keys() {
        let name = member.replace('_', "-");
        if PASSED_OVER.contains(&name.as_str()) {
            notes.push(Problem::new(origin.clone(), member, "is passed over: only signing in is read here"));
        } else if !READ.contains(&name.as_str()) {
            let problem = Problem::new(origin.clone(), member, "nothing in such a file has this name");
            problems.push(Problem { hint: meant(&name, READ), ..problem });
        }
    }
    (problems, notes)
}

/// The authorities of those who sign in by certificate, where the plugin does not name its own.
fn client_verify_file(object: &Map<String, Value>) -> Option<&str> {
    let found = object.iter().find(|(member, _)| member.replace('_', "-") == "tls-clientverifyfile");
    found.and_then(|(_, value)| value.as_str())
}

/// The files that a method reads while it is in use.
fn files(method: &mut MethodConfig) -> Vec<&mut PathBuf> {
    match method {
        MethodConfig::Basic(basic) => basic.file.iter_mut().collect(),
        MethodConfig::ClientCertificate(certificate) => vec![&mut certificate.ca_file],
        MethodConfig::KeystonePassword(keystone) | MethodConfig::KeystoneToken(keystone) => {
            keystone.service.ca_file.iter_mut().collect()
        }
        MethodConfig::OpenShift(openshift) => openshift.service.ca_file.iter_mut().collect(),
        MethodConfig::TokenReview(review) => {
            review.service.ca_file.iter_mut().chain([&mut review.token_file]).collect()
        }
        MethodConfig::UsersAuthority(_) | MethodConfig::ServicesAuthority(_) => Vec::new(),
    }
}

/// What is wrong with users in a file of their own. It may change at any time, so nothing of it is fatal.
fn wrong_users(method: &MethodConfig) -> Vec<String> {
    let MethodConfig::Basic(BasicConfig { file: Some(file), role, .. }) = method else { return Vec::new() };
    // That it cannot be read is told of all files.
    let Ok(bytes) = regular_file::read(file) else { return Vec::new() };
    match serde_json::from_slice(&bytes) {
        Ok(value) => {
            let (_, problems) = users(&value, *role);
            problems.iter().map(|problem| format!("{}: {problem}", file.display())).collect()
        }
        Err(error) => vec![format!("{} lets nobody in: it is not JSON: {error}", file.display())],
    }
}

/// Sets the methods up and forgets them, for what is wrong with them.
fn try_out(config: &Config) -> Vec<String> {
    let ground = Ground {
        clock: Clock::system(),
        entropy: Entropy::system(),
        compute: Arc::new(|work: Work| Box::pin(ready(work()))),
        compute_at_once: 1,
        users_authority: Some(nobody_knows()),
        services_authority: Some(nobody_knows()),
        shared: Shared::new(),
    };
    let errors = Stack::build(config.clone(), &ground).err().unwrap_or_default();
    errors.iter().map(|error| report(error)).collect()
}

/// An authority that vouches for nobody.
fn nobody_knows() -> AskAuthority {
    Arc::new(|_| Box::pin(ready(Err(AskAuthorityError::Refused(SignInError::Nothing)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SignInFile, Vec<String>> {
        let told = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
        SignInFile::read(PathBuf::from("/etc/provost/sign-in.json"), text.as_bytes(), None).map_err(told)
    }

    #[test]
    fn everything_wrong_is_told_with_the_name_of_the_file() {
        for (text, expected) in [
            ("", &["is not JSON: EOF while parsing a value at line 1 column 0"][..]),
            ("{\n!", &["is not JSON: key must be a string at line 2 column 1"]),
            ("[]", &["is no JSON object"]),
            (
                r#"{"authentication-plugin": [], "self-auths": 1}"#,
                &[
                    "authentication-plugin: nothing in such a file has this name",
                    r#"self-auths: is a list of paths, such as ["/api/v0/secrets"]"#,
                ],
            ),
            (
                r#"{"authentication-plugins": [{}]}"#,
                &["authentication-plugins: a plugin in it has no `name`"],
            ),
            (
                r#"{"authentication_plugins": [
                    {"name": "keystonetokenauth", "url": "https://k.example/", "ca_file": "none.pem"}]}"#,
                &[
                    "the sign-in method `keystone-token` cannot ask its service: the certificates of authorities in \
                   /etc/provost/none.pem cannot be used: No such file or directory (os error 2)",
                ],
            ),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|what| format!("/etc/provost/sign-in.json: {what}")).collect();
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_about_the_server_is_passed_over() {
        let found = read(r#"{"listen_port": 8000, "bus-uri": "redis://", "self-auths": []}"#).unwrap();
        let notes: Vec<_> = found.notes.iter().map(|note| note.key.clone().unwrap()).collect();
        assert_eq!((notes.len(), found.config), (2, Config::default()), "{notes:?}");
    }

    #[test]
    fn paths_start_from_the_file_and_our_users_come_last() {
        let text = r#"{"tls_clientverifyfile": "clients.pem", "authentication-plugins": [
            {"name": "httpbasicauth", "filepath": "users.json"}, {"name": "httpauthclientcert"}]}"#;
        let file = read(text).unwrap();
        assert_eq!(file.notes.len(), 2, "{:?}", file.notes);
        let fleet = Fleet {
            api: true,
            plain_http: super::super::Audience::Loopback,
            trusted_proxies: Vec::new(),
            sign_in: Some(file),
            token_review: None,
            hands: super::super::check::of_text("").unwrap().fleet.hands,
        };
        let mut config = fleet.methods();
        let names: Vec<_> = config.methods.iter().map(MethodConfig::name).collect();
        assert_eq!(names, ["basic", "client-certificate", "users-authority"]);
        let files: Vec<_> = config.methods.iter_mut().flat_map(files).map(|file| file.clone()).collect();
        assert_eq!(files, ["users.json", "clients.pem"].map(|name| Path::new("/etc/provost").join(name)));
    }

    #[test]
    fn the_servers_authorities_are_those_of_the_plugin_that_names_none() {
        let path = Path::new("/etc/provost/sign-in.json");
        for (members, server, expected) in [
            (r#""name": "httpauthclientcert""#, Some("/srv/ca.pem"), Some("/srv/ca.pem")),
            (
                r#""name": "httpauthclientcert", "ca_file": "own.pem""#,
                Some("/srv/ca.pem"),
                Some("/etc/provost/own.pem"),
            ),
            (r#""name": "httpauthclientcert", "cn": """#, None, None),
        ] {
            let text = format!(r#"{{"authentication-plugins": [{{{members}}}]}}"#);
            let mut file = SignInFile::read(path.to_owned(), text.as_bytes(), server.map(Path::new)).unwrap();
            let found: Vec<_> =
                file.config.methods.iter_mut().flat_map(files).map(|file| file.clone()).collect();
            assert_eq!(found, expected.map(PathBuf::from).into_iter().collect::<Vec<_>>(), "{members}");
            if expected.is_none() {
                let note = file.notes[0].to_string();
                let told = "httpauthclientcert: ca_file: is missing, and so is `server.client_ca_file`: ";
                assert!(note.contains(told), "{note}");
            }
        }
    }

    #[test]
    fn users_in_a_file_of_their_own_are_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let text = br#"{"authentication-plugins": [{"name": "httpbasicauth", "filepath": "users.json"}]}"#;
        let notes = |users: &str| {
            std::fs::write(directory.path().join("users.json"), users).unwrap();
            let file = SignInFile::read(directory.path().join("sign-in.json"), text, None).unwrap();
            file.notes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(notes("{}"), [""; 0]);
        let hash = "$2b$04$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBu.";
        let found = notes(&format!(
            r#"{{"a": {{"hash": "plain"}}, "b": {{"hash": "{hash}", "role": "root"}}, "c": {{"hash": "{hash}"}}}}"#
        ));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("users.json: user `a`: the hash is not one of bcrypt's"), "{found:?}");
        assert!(found[1].contains("users.json: user `b`: `root` is no role"), "{found:?}");
        assert!(notes("{")[0].contains("users.json lets nobody in: it is not JSON"));
    }
}
