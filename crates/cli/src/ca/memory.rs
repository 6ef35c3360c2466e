//! What was submitted for a key, remembered beside its file until the certificate is there: `.NAME.provost-request`.
//!
//! The request is remembered before it is sent, and its number when it is known, so whoever is killed in between asks with the
//! very same bytes again, under which the server finds what it has.
//!
//! Where whoever approved it had something else certified, it stays remembered for what that is: who asks for the same again has
//! its certificate, and whoever asks for something else has not.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use client::compat::caucase::{Authority, ServerUrl};
use serde::{Deserialize, Serialize};
use x509::{Certificate, PublicKey, SigningRequest};

use super::error::CaCommandError;
use super::shown::{covers, whom};
use crate::durable::sync_folder_of;
use crate::kept_file::{KeptFile, NewFile};

/// What was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submitted {
    /// To which server.
    pub(super) server: String,
    /// To which of its authorities.
    pub(super) authority: String,
    /// The request, PEM.
    pub(super) csr: String,
    /// Its number, once the server has said it.
    pub(super) id: Option<String>,
    /// Whom the certificate is about that came of it, where that is something else than what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) given: Option<String>,
}

impl Submitted {
    pub(super) fn new(url: &ServerUrl, authority: Authority, request: &SigningRequest) -> Self {
        Self {
            server: url.to_string(),
            authority: authority.to_string(),
            csr: request.to_pem(),
            id: None,
            given: None,
        }
    }

    /// Whether it is the same thing, asked of the same authority.
    pub(super) fn is(&self, url: &ServerUrl, authority: Authority, request: &SigningRequest) -> bool {
        let is_its_key = |own: &SigningRequest| own.public_key() == request.public_key();
        let is_same = self.request().is_some_and(|own| is_its_key(&own) && asks_for_the_same(&own, request));
        self.is_of(url, authority) && is_same
    }

    /// Whether what `request` asks of the same authority was answered with what `there` is for, whatever its key is by now: it was
    /// renewed since.
    pub(super) fn was_given(
        &self,
        url: &ServerUrl,
        authority: Authority,
        request: &SigningRequest,
        there: &Certificate,
    ) -> bool {
        self.is_of(url, authority)
            && self.given.as_ref() == Some(&whom(there.subject(), there.extensions()))
            && self.request().is_some_and(|own| asks_for_the_same(&own, request))
    }

    /// Whether it was this authority that was asked.
    fn is_of(&self, url: &ServerUrl, authority: Authority) -> bool {
        let is_there = ServerUrl::by_either_door(&self.server).is_ok_and(|server| server.is(url));
        is_there && self.authority == authority.name()
    }

    /// The request, if that is what stands there.
    pub(super) fn request(&self) -> Option<SigningRequest> {
        SigningRequest::from_pem(self.csr.as_bytes()).ok()
    }
}

fn asks_for_the_same(one: &SigningRequest, other: &SigningRequest) -> bool {
    one.subject() == other.subject() && one.extensions() == other.extensions()
}

/// Where it is remembered.
#[derive(Debug, Clone)]
pub(super) struct Memory(PathBuf);

impl Memory {
    /// Beside the file at `path`.
    pub(super) fn beside(path: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".provost-request");
        Self(path.with_file_name(name))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What is remembered, if anything is.
    pub(super) fn read(&self) -> Result<Option<Submitted>, CaCommandError> {
        let unusable = || CaCommandError::Content {
            path: self.0.clone(),
            what: "it is not what was written there about a request",
            hint: Some("remove it to submit the request again"),
        };
        match std::fs::read(&self.0) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| unusable()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => {
                Err(crate::holder::PemFileError::Unreadable { path: self.0.clone(), source }.into())
            }
        }
    }

    pub(super) fn write(&self, submitted: &Submitted) -> Result<(), CaCommandError> {
        let written = KeptFile::at(&self.0, NewFile::Mode(0o600))
            .and_then(|file| file.make((crate::view::json(submitted) + "\n").as_bytes()));
        written.map(drop).map_err(CaCommandError::unwritable(&self.0))
    }

    /// Forgets what was submitted for `key`, if anything was.
    pub(super) fn forget_of(&self, key: &PublicKey) -> Result<(), CaCommandError> {
        let is_its = |known: &Submitted| known.request().is_some_and(|request| request.public_key() == key);
        if self.read()?.is_some_and(|known| is_its(&known)) { self.forget() } else { Ok(()) }
    }

    /// `certificate` came of `request`, and is kept. Nothing is to be remembered of that, unless it is for something else.
    pub(super) fn answered(
        &self,
        request: &SigningRequest,
        certificate: &Certificate,
    ) -> Result<(), CaCommandError> {
        let known = if covers(certificate, request) { None } else { self.read()? };
        let Some(known) = known else { return self.forget() };
        let given = whom(certificate.subject(), certificate.extensions());
        self.write(&Submitted { given: Some(given), ..known })
    }

    pub(super) fn forget(&self) -> Result<(), CaCommandError> {
        match std::fs::remove_file(&self.0).and_then(|()| sync_folder_of(&self.0)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CaCommandError::unwritable(&self.0)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::Timestamp;
    use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial};

    use super::*;

    /// What was asked for and what came of it are told apart from all else, also when it was renewed since.
    #[test]
    fn what_came_of_a_request_is_remembered_where_it_is_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::beside(&folder.path().join("web.key"));
        let [key, later] = [(); 2].map(|()| PrivateKey::generate(KeySpec::P256).unwrap());
        let named = |name| Name::from_common_name(name).unwrap();
        let request = |key: &PrivateKey, name| SigningRequest::build(key, &named(name), &[]);
        let certificate = |key: &PrivateKey, name| {
            let template = CertificateTemplate {
                serial: Serial::from_decimal("1").unwrap(),
                issuer: named("ca"),
                subject: named(name),
                not_before: Timestamp::from_unix(1_700_000_000),
                not_after: Timestamp::from_unix(1_800_000_000),
                public_key: key.public().clone(),
                extensions: Vec::new(),
            };
            template.sign(key)
        };
        let url: ServerUrl = "http://ca:8000".parse().unwrap();
        let asked = request(&key, "asked");
        memory.write(&Submitted::new(&url, Authority::Services, &asked)).unwrap();
        memory.answered(&asked, &certificate(&key, "given")).unwrap();
        let known = memory.read().unwrap().unwrap();
        for (name, given, expected) in [
            ("asked", "given", true),
            ("asked", "asked", false),
            ("asked", "other", false),
            ("other", "given", false),
        ] {
            let was_given = |url: &ServerUrl, authority| {
                known.was_given(url, authority, &request(&later, name), &certificate(&later, given))
            };
            assert_eq!(was_given(&url, Authority::Services), expected, "{name} {given}");
            assert!(!was_given(&"http://other:8000".parse().unwrap(), Authority::Services));
            assert!(!was_given(&url, Authority::Users));
        }
        memory.answered(&asked, &certificate(&key, "asked")).unwrap();
        assert_eq!(memory.read().unwrap(), None, "it is what was asked for");
        memory.answered(&asked, &certificate(&key, "given")).unwrap();
        assert_eq!(memory.read().unwrap(), None, "nothing was submitted");
    }

    /// What stands in the file is read by whatever version comes later.
    #[test]
    fn what_is_remembered_is_written_so() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::beside(&folder.path().join("web.key"));
        let submitted = Submitted {
            server: "http://ca:8000".into(),
            authority: "cas".into(),
            csr: "PEM\n".into(),
            id: None,
            given: None,
        };
        let begins = r#"{"server":"http://ca:8000","authority":"cas","csr":"PEM\n","id":"#;
        let answered = Submitted {
            id: Some("7".into()),
            given: Some("CN=given DNS:a.example".into()),
            ..submitted.clone()
        };
        for (known, rest) in
            [(submitted, "null}\n"), (answered, "\"7\",\"given\":\"CN=given DNS:a.example\"}\n")]
        {
            memory.write(&known).unwrap();
            assert_eq!(std::fs::read_to_string(memory.path()).unwrap(), format!("{begins}{rest}"));
            assert_eq!(memory.read().unwrap(), Some(known));
        }
    }

    #[test]
    fn what_was_submitted_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::beside(&folder.path().join("web.key"));
        assert_eq!(memory.path(), folder.path().join(".web.key.provost-request"));
        assert_eq!(memory.read().unwrap(), None);
        memory.forget().unwrap();
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let request = |name| SigningRequest::build(&key, &Name::from_common_name(name).unwrap(), &[]);
        let url: ServerUrl = "http://ca:8000".parse().unwrap();
        let mut submitted = Submitted::new(&url, Authority::Services, &request("web"));
        submitted.id = Some("7".into());
        memory.write(&submitted).unwrap();
        let read = memory.read().unwrap().unwrap();
        assert_eq!(read, submitted);
        // ECDSA signs in another way each time, and it is the same request nevertheless.
        assert!(read.is(&"http://ca:8000/".parse().unwrap(), Authority::Services, &request("web")));
        assert!(!read.is(&url, Authority::Users, &request("web")));
        assert!(!read.is(&url, Authority::Services, &request("other")));
        assert!(!read.is(&"http://other:8000".parse().unwrap(), Authority::Services, &request("web")));
        memory.forget().unwrap();
        assert_eq!(memory.read().unwrap(), None);
        std::fs::write(memory.path(), "half").unwrap();
        assert!(matches!(memory.read(), Err(CaCommandError::Content { .. })));
    }
}
