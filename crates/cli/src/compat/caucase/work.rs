//! What `caucase` does (caucase contract, 7.2), one action after the other: the first one that the server refuses, or whose
//! files cannot be read, ends it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use base::{Clock, Secret, report};
use client::compat::caucase::{Authority, Pending, Server};
use x509::oid::ObjectIdentifier;
use x509::{Certificate, PrivateKey, SigningRequest, extension, oid, pem, verify};

use super::caucase::{Line, pairs};
use super::error::CommandError;
use super::{Warnings, python, request_in};
use crate::holder::{
    Appended, Collection, HolderError, LoadedPair, NotOnePair, Pair, PairError, Pem, PemFileError, Recovered,
    append, append_certificate, renewal, update_authorities, update_lists,
};
use crate::output;

/// What says of a certificate that it was approved automatically: as it is called now, and as it was called once.
const AUTOMATIC: [ObjectIdentifier; 2] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.37476.9000.70.0.0"),
    ObjectIdentifier::new_unwrap("2.25.285541874270823339875695650038637483517.0"),
];

/// The work of one call, and what has come of it so far.
pub(super) struct Work<'l> {
    line: &'l Line,
    clock: &'l Clock,
    server: Server,
    /// The CA certificates of services, and of users, as far as they are known.
    services: Vec<Certificate>,
    users: Vec<Certificate>,
    warnings: Warnings,
    /// Whether anything was written of which the hook is to know.
    pub(super) has_written: bool,
    pub(super) has_error: bool,
    pub(super) has_warning: bool,
}

impl<'l> Work<'l> {
    pub(super) fn new(line: &'l Line, clock: &'l Clock) -> Result<Self, CommandError> {
        Ok(Self {
            line,
            clock,
            server: Server::new(line.ca_url.clone())?,
            services: Vec::new(),
            users: Vec::new(),
            warnings: Warnings::of("caucase"),
            has_written: false,
            has_error: false,
            has_warning: false,
        })
    }

    fn authority(&self) -> Authority {
        self.line.mode.authority()
    }

    /// Those who stand for certificates of the authority that it is about.
    fn authorities(&self) -> &[Certificate] {
        match self.authority() {
            Authority::Services => &self.services,
            Authority::Users => &self.users,
        }
    }

    /// Where those are.
    fn authorities_path(&self) -> &'l Path {
        self.path_of(self.authority())
    }

    fn path_of(&self, authority: Authority) -> &'l Path {
        match authority {
            Authority::Services => &self.line.ca_crt,
            Authority::Users => &self.line.user_ca_crt,
        }
    }

    pub(super) async fn all(&mut self) -> Result<(), CommandError> {
        let line = self.line;
        // What was cut short needs no server to be finished.
        for (certificate, key) in pairs(&line.renew_crt).chain(pairs(&line.revoke_crt)) {
            self.has_written |= pair(certificate, &key).recover()? == Recovered::Finished;
        }
        self.services = self.trusted(Authority::Services, &line.ca_crt).await?;
        if line.update_user || self.authority() == Authority::Users {
            self.users = self.trusted(Authority::Users, &line.user_ca_crt).await?;
        }
        if let Some(path) = &line.user_key {
            self.server = self.server.clone().asked_by(&self.user(path)?)?;
        }
        for path in &line.send_csr {
            self.send(path).await?;
        }
        for (id, path) in pairs(&line.get_csr) {
            self.get_request(&number(id)?, &path).await?;
        }
        for (id, path) in pairs(&line.get_crt) {
            self.get_certificate(&number(id)?, &path).await?;
        }
        for (certificate, key) in pairs(&line.revoke_crt) {
            self.revoke_own(certificate, &key).await?;
        }
        for (certificate, key) in pairs(&line.renew_crt) {
            self.renew(certificate, &key).await?;
        }
        self.as_user().await?;
        self.revoked(Authority::Services, &line.crl).await?;
        if line.update_user {
            self.revoked(Authority::Users, &line.user_crl).await?;
        }
        Ok(())
    }

    async fn as_user(&mut self) -> Result<(), CommandError> {
        let (line, authority) = (self.line, self.authority());
        for id in &line.sign_csr {
            self.server.approve(authority, &number(OsStr::new(id))?, None).await?;
        }
        for (id, path) in pairs(&line.sign_csr_with) {
            let template = request_in(&path)?.to_pem();
            self.server.approve(authority, &number(id)?, Some(&template)).await?;
        }
        for id in &line.reject_csr {
            self.server.reject(authority, &number(OsStr::new(id))?).await?;
        }
        for path in &line.revoke_other_crt {
            self.server.revoke(authority, &certificate_in(path)?).await?;
        }
        for serial in &line.revoke_serial {
            self.server.revoke_serial(authority, serial).await?;
        }
        if line.list_csr { self.list().await } else { Ok(()) }
    }

    async fn trusted(&mut self, authority: Authority, path: &Path) -> Result<Vec<Certificate>, CommandError> {
        let held = Collection::at(path);
        let trusted = update_authorities(&self.server, authority, &held, None, self.clock.now()).await;
        let trusted = trusted.map_err(|error| CommandError::from(error).naming(path))?;
        self.has_written |= trusted.is_new;
        Ok(trusted.certificates)
    }

    async fn revoked(&mut self, authority: Authority, path: &Path) -> Result<(), CommandError> {
        let trusted = match authority {
            Authority::Services => &self.services,
            Authority::Users => &self.users,
        };
        let held = Collection::at(path);
        let revoked = update_lists(&self.server, authority, &held, trusted).await;
        let revoked = revoked.map_err(|error| CommandError::from(error).naming(self.path_of(authority)))?;
        self.has_written |= revoked.is_new;
        Ok(())
    }

    /// The certificate and the key in a user's file, which may have more certificates in it.
    fn user(&mut self, path: &Path) -> Result<Secret<Vec<u8>>, CommandError> {
        Pair::in_one(path).recover()?;
        let Pem { certificates, keys, .. } = Pem::read(path)?;
        if !keys.is_empty() {
            self.warnings.look(path);
        }
        let (count, keys_count) = (certificates.len(), keys.len());
        let its_own = |key: &PrivateKey| certificates.iter().find(|one| one.public_key() == key.public());
        if let [key] = keys.as_slice()
            && let Some(certificate) = its_own(key)
        {
            let (key, certificate) = (key.to_pem(), certificate.to_pem());
            return Ok(Secret::new([key.expose().as_bytes(), certificate.as_bytes()].concat()));
        }
        let not_one = NotOnePair {
            certificate: path.to_owned(),
            certificates: count,
            key: path.to_owned(),
            keys: keys_count,
            is_one_file: true,
        };
        Err(PairError::from(not_one).into())
    }

    async fn send(&self, path: &Path) -> Result<(), CommandError> {
        let request = request_in(path)?;
        let id = self.server.submit(self.authority(), &request.to_pem()).await?;
        said(&format!("{id} {}\n", path.display()))
    }

    async fn get_request(&self, id: &str, path: &Path) -> Result<(), CommandError> {
        let answer = self.server.request(self.authority(), id).await?;
        let text = String::from_utf8(answer).ok().filter(|text| is_request(text));
        let mut text = text.ok_or_else(|| CommandError::NoRequest(id.to_owned()))?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(append(path, &text)?)
    }

    async fn get_certificate(&mut self, id: &str, path: &Path) -> Result<(), CommandError> {
        let answer = match self.server.certificate(self.authority(), id).await {
            Err(error) if error.status() == Some(404) => return self.without_certificate(id).await,
            answer => answer?,
        };
        let certificate = Certificate::from_pem(&answer).map_err(HolderError::NoCertificate)?;
        // It came over plain HTTP. Its dates are its holder's matter.
        if !is_signed_by_one_of(&certificate, self.authorities()) {
            return Err(CommandError::Untrusted {
                id: id.to_owned(),
                authorities: self.authorities_path().to_owned(),
            });
        }
        let how = if is_automatic(&certificate) { "automatically" } else { "manually" };
        said(&format!("{id} was (originally) {how} approved\n"))?;
        let path_shown = path.display();
        match append_certificate(path, &certificate) {
            Err(error) if is_about_content(&error) => {
                self.error(format_args!(
                    "Expected to find exactly one privatekey key in {path_shown}, skipping"
                ));
                output::note(format_args!("caucase: {}", report(&error)));
            }
            Err(error) => return Err(error.into()),
            Ok(Appended::Done) => {}
            Ok(Appended::NotOneKey) => self
                .error(format_args!("Expected to find exactly one privatekey key in {path_shown}, skipping")),
            Ok(Appended::DoesNotMatch) => {
                self.error(format_args!("Key in {path_shown} does not match retrieved certificate, skipping"))
            }
        }
        Ok(())
    }

    async fn without_certificate(&mut self, id: &str) -> Result<(), CommandError> {
        match self.server.request(self.authority(), id).await {
            Ok(_) => {
                self.has_warning = true;
                said(&format!("{id} CSR still pending\n"))
            }
            Err(error) if error.status() == Some(404) => {
                self.has_error = true;
                said(&format!("{id} not found - maybe CSR was rejected ?\n"))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn revoke_own(&mut self, certificate: &OsStr, key: &Path) -> Result<(), CommandError> {
        let pair = pair(certificate, key);
        let Some(found) = self.pair(&pair, key)? else { return Ok(()) };
        Ok(self.server.revoke_own(self.authority(), &found.certificate, &found.key).await?)
    }

    async fn renew(&mut self, certificate: &OsStr, key: &Path) -> Result<(), CommandError> {
        let pair = pair(certificate, key);
        let Some(found) = self.pair(&pair, key)? else { return Ok(()) };
        let path = pair.certificate.display();
        let now = self.clock.now();
        if verify(&found.certificate, self.authorities(), now).is_err() {
            return said(&format!(
                "{path} was not signed by this CA, revoked or otherwise invalid, skipping\n"
            ));
        }
        if !renewal::is_due(&found.certificate, self.line.threshold, now) {
            return said(&format!("{path} did not reach renew threshold, not renewing\n"));
        }
        let (authority, authorities) = (self.authority(), self.authorities());
        let bits = self.line.key_len;
        let renewed = renewal::renew(&self.server, authority, &pair, &found, authorities, bits, now).await;
        renewed.map_err(|error| CommandError::from(error).naming(self.authorities_path()))?;
        self.has_written = true;
        Ok(())
    }

    /// The certificate and the key of a pair, if there is exactly one of each; otherwise it was said that there is not.
    fn pair(&mut self, pair: &Pair, key: &Path) -> Result<Option<LoadedPair>, CommandError> {
        match pair.load() {
            Ok(found) => {
                self.warnings.look(&found.key_path);
                Ok(Some(found))
            }
            Err(error) if is_about_content(&error) => {
                let mut paths = vec![pair.certificate.as_path()];
                if key != Path::new("") && key != pair.certificate {
                    paths.push(key);
                }
                let paths = python::list(&paths);
                self.error(format_args!(
                    "Could not find (exactly) one matching key pair in {paths}, skipping"
                ));
                if let PairError::File(error) = &error {
                    output::note(format_args!("caucase: {}", report(error)));
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn list(&self) -> Result<(), CommandError> {
        let mode = self.line.mode.name();
        said(&format!("-- pending {mode} CSRs --\n"))?;
        said(&format!("{:>20} | subject preview (fetch csr and check full content !)\n", "csr_id"))?;
        let pending = self.server.pending(self.authority()).await?;
        let rows: String = pending.iter().map(row).collect();
        said(&format!("{rows}-- end of pending {mode} CSRs --\n"))
    }

    fn error(&mut self, what: impl std::fmt::Display) {
        self.has_error = true;
        output::note(what);
    }
}

/// Whether a file could be read, and what is in it is not one key and its certificate: no PEM, or half of it, is neither.
fn is_about_content(error: &PairError) -> bool {
    use PemFileError::{Broken, NotPem};
    matches!(error, PairError::NotOnePair(_) | PairError::File(NotPem { .. } | Broken { .. }))
}

/// A line of the list of requests. One that cannot be read has a line, too: it can be rejected.
fn row(pending: &Pending) -> String {
    let subject = match SigningRequest::from_pem(pending.csr.as_bytes()) {
        Ok(request) => format!("<Name({})>", request.subject().to_bare_text()),
        Err(error) => format!("<not readable: {error}>"),
    };
    format!("{:>20} | {}\n", one_line(&pending.id), python::quoted(&subject))
}

/// What a server says, where it is to stay on its line.
fn one_line(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

fn said(text: &str) -> Result<(), CommandError> {
    output::data(text).map_err(CommandError::Output)
}

/// The number of a request.
fn number(text: &OsStr) -> Result<String, CommandError> {
    let text = text.to_string_lossy();
    python::integer(&text).ok_or_else(|| CommandError::NotANumber(text.into_owned()))
}

/// A certificate and its key; in one file if none is named for the key.
fn pair(certificate: &OsStr, key: &Path) -> Pair {
    let certificate = PathBuf::from(certificate);
    if key == Path::new("") { Pair::in_one(&certificate) } else { Pair { certificate, key: key.to_owned() } }
}

/// The only certificate in a file, which may have its key in it.
fn certificate_in(path: &Path) -> Result<Certificate, CommandError> {
    let mut found = Pem::read(path)?.certificates;
    let certificates = found.len();
    let one = found.pop().filter(|_| certificates == 1);
    one.ok_or_else(|| CommandError::NotOneCertificate { path: path.to_owned(), certificates })
}

/// Whether `text` has one request in it and nothing else. What is in that is for whoever decides about it.
fn is_request(text: &str) -> bool {
    pem::read(text.as_bytes(), pem::ONE_BYTES_MAX).is_ok_and(|blocks| match blocks.as_slice() {
        [block] => block.label.ends_with("CERTIFICATE REQUEST"),
        _ => false,
    })
}

/// Whether one of `authorities` signed it.
pub(super) fn is_signed_by_one_of(certificate: &Certificate, authorities: &[Certificate]) -> bool {
    authorities.iter().any(|authority| {
        authority.subject() == certificate.issuer()
            && certificate.verify_signature(authority.public_key()).is_ok()
    })
}

/// Whether it says of itself that nobody looked at its request.
fn is_automatic(certificate: &Certificate) -> bool {
    let Some(found) = certificate.extension(&oid::CERTIFICATE_POLICIES) else { return false };
    extension::parse_certificate_policies(&found.value)
        .is_ok_and(|policies| policies.iter().any(|policy| AUTOMATIC.contains(&policy.oid)))
}
