//! The client file: where the server is, and who asks it, for whoever does not say so at the command.
//!
//! ```toml
//! server = "https://fleet.example:8001"     # or a list, tried in order
//! address = "127.0.0.1"                     # where the one server is on this machine, should nobody know its name
//! ca = "server-ca.pem"                      # the authorities to trust, PEM, in place of the system's
//! certificate = "admin.pem"                 # a client certificate with its key, PEM
//! user = "alice"                            # with a password, which is asked for or in
//! password_file = "password"
//! token_file = "token"
//! kubeconfig = "/home/alice/.kube/config"
//! ```
//! Everything may be left out. Paths start from the folder of the file. What is not known is refused. No secret
//! stands in it.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base::{Explain, Kind};
use client::{BadEndpoint, Endpoint, Nearby};
use toml_edit::{Document, Item, Value};

use crate::connection::Who;

const MEMBERS: &str = "server, address, ca, certificate, user, password_file, token_file and kubeconfig";

/// A client file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientFileError {
    /// It is unreadable.
    #[error("could not read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{}, line {line}: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

impl Explain for ClientFileError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::NotFound,
            Self::Malformed { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Io { .. } => Some("name another one with --client-config FILE".to_owned()),
            Self::Malformed { .. } => Some(format!("a client file may have {MEMBERS}")),
        }
    }
}

/// What a client file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientFile {
    pub(crate) servers: Vec<Endpoint>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) who: Who,
}

impl ClientFile {
    /// Which servers are on this machine.
    pub(crate) fn nearby(&self) -> Option<Nearby> {
        self.address.map(|address| Nearby::at(&self.servers, address))
    }
}

/// Reads the file at `path`.
pub(crate) fn read(path: &Path) -> Result<ClientFile, ClientFileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ClientFileError::Io { path: path.to_owned(), source })?;
    let at = |line, what| ClientFileError::Malformed { path: path.to_owned(), line, what };
    parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(|(line, what)| at(line, what))
}

/// The text of the file that a server leaves for those who use it on the same machine: `server` is its URL, `address` where it
/// is should nobody know its name, `ca` and `certificate` are files beside it. Without a `ca` the system's authorities are trusted.
#[must_use]
pub fn for_this_machine(
    server: &str,
    address: Option<IpAddr>,
    ca: Option<&str>,
    certificate: Option<&str>,
) -> String {
    let address = address.map(|address| address.to_string());
    let mut text = "# For commands on this machine; written anew by `provost up`. A file of your own, like this one, is\n\
                    # ~/.config/provost/client.toml.\n"
        .to_owned();
    for (name, value) in
        [("server", Some(server)), ("address", address.as_deref()), ("ca", ca), ("certificate", certificate)]
    {
        if let Some(value) = value.map(Value::from) {
            text.extend([name, " = ", &value.to_string(), "\n"]);
        }
    }
    text
}

/// What `text` says; a line and what is wrong there when it cannot be used.
fn parse(text: &str, folder: &Path) -> Result<ClientFile, (usize, String)> {
    let line = |offset: usize| {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    };
    let document = Document::parse(text).map_err(|error| {
        (line(error.span().map_or(0, |span| span.start)), error.message().replace('\n', ", "))
    })?;
    let (mut file, mut address_line) = (ClientFile::default(), 0);
    for (name, item) in document.as_table() {
        let span = document.as_table().key(name).and_then(|key| key.span()).or_else(|| item.span());
        let here = line(span.map_or(0, |span| span.start));
        let text = || match item.as_str() {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err((here, format!("`{name}` is a text that is not empty"))),
        };
        let path = || Ok(Some(folder.join(text()?)));
        match name {
            "server" => file.servers = servers(item).map_err(|what| (here, what))?,
            "address" => {
                let address = text()?.parse().map_err(|_| (here, format!("`{name}` is an IP address")))?;
                (file.address, address_line) = (Some(address), here);
            }
            "ca" => file.ca = path()?,
            "certificate" => file.who.certificate = path()?,
            "user" => file.who.user = Some(text()?.to_owned()),
            "password_file" => file.who.password_file = path()?,
            "token_file" => file.who.token_file = path()?,
            "kubeconfig" => file.who.kubeconfig = path()?,
            other => return Err((here, format!("nothing is called `{other}` here"))),
        }
    }
    if file.address.is_some() && file.servers.len() > 1 {
        let what = "`address` is where one server is on this machine, and `server` has several";
        return Err((address_line, what.to_owned()));
    }
    Ok(file)
}

fn servers(item: &Item) -> Result<Vec<Endpoint>, String> {
    let wrong = || "`server` is a text or a list of texts".to_owned();
    let texts: Vec<&str> = match (item.as_str(), item.as_array()) {
        (Some(text), _) => vec![text],
        (None, Some(texts)) => texts.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?,
        (None, None) => return Err(wrong()),
    };
    texts.into_iter().map(|text| text.parse().map_err(|error: BadEndpoint| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(texts: &[&str]) -> Vec<Endpoint> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn paths_start_from_the_folder_of_the_file() {
        let text = "server = [\"https://a:1\", \"http://b\"]\nca = \"ca.pem\"\nuser = \"ada\"\n\
                    password_file = \"/run/password\"\ntoken_file = \"t\"\nkubeconfig = \"../k\"\n";
        let file = parse(text, Path::new("/etc/provost")).unwrap();
        assert_eq!(file.servers, endpoints(&["https://a:1", "http://b"]));
        assert_eq!(file.ca, Some("/etc/provost/ca.pem".into()));
        let expected = Who {
            certificate: None,
            user: Some("ada".into()),
            password_file: Some("/run/password".into()),
            token_file: Some("/etc/provost/t".into()),
            kubeconfig: Some("/etc/provost/../k".into()),
        };
        assert_eq!(file.who, expected);
    }

    #[test]
    fn what_a_server_leaves_is_understood() {
        let text = for_this_machine(
            "https://[::1]:8001",
            Some("::1".parse().unwrap()),
            Some("server-ca.pem"),
            Some("admin.pem"),
        );
        let file = parse(&text, Path::new("/d")).unwrap();
        assert_eq!(file.servers, endpoints(&["https://[::1]:8001"]));
        assert_eq!(file.address, Some("::1".parse().unwrap()));
        assert_eq!(
            (file.ca, file.who.certificate),
            (Some("/d/server-ca.pem".into()), Some("/d/admin.pem".into()))
        );
        let file =
            parse(&for_this_machine("http://127.0.0.1:8000", None, None, None), Path::new("/d")).unwrap();
        assert_eq!((file.servers, file.ca), (endpoints(&["http://127.0.0.1:8000"]), None));
        assert_eq!(file.who, Who::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, what) in [
            ("\nservre = \"https://a\"", 2, "nothing is called `servre` here"),
            ("server = 1", 1, "`server` is a text or a list of texts"),
            ("server = [\"https://a\", 1]", 1, "`server` is a text or a list of texts"),
            ("address = \"a\"", 1, "`address` is an IP address"),
            (
                "server = [\"https://a\", \"https://b\"]\naddress = \"::1\"",
                2,
                "`address` is where one server is on this machine, and `server` has several",
            ),
            ("ca = \"\"", 1, "`ca` is a text that is not empty"),
            ("[user]\nname = \"a\"", 1, "`user` is a text that is not empty"),
            (
                "server = \"https://u:secret@a\"",
                1,
                "endpoint `…@a` has a user in it: who asks is said apart from whom",
            ),
        ] {
            assert_eq!(parse(text, Path::new("")).unwrap_err(), (line, what.to_owned()), "{text}");
        }
        assert_eq!(parse("ca = \"a\"\nca = \"b\"", Path::new("")).unwrap_err().0, 2);
    }
}
