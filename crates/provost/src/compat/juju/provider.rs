//! The side that says what is to be trusted.

use std::collections::BTreeMap;
use std::path::Path;

use base::Timestamp;
use serde_json::Value;
use trust::{Certificates, Change, Databag, Level};
use x509::{Certificate, pem};

use super::CharmError;
use super::server::{self, Known, Server};
use super::tools::{self, RelationId};

/// One event, seen from this side.
pub struct Provider<'a> {
    pub application: &'a str,
    pub unit: &'a str,
    pub is_leader: bool,
    /// Whether the options say what is handed on, and not the actions.
    pub follows_options: bool,
    pub wanted: Wanted,
    /// Its relations, but for one that is ending.
    pub relations: Vec<RelationId>,
}

/// What every relation is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// What it has: actions change it, or the options cannot be used.
    WhatIsThere,
    /// These, beside what it has: nobody knows yet what else it is to have, and so what is to go.
    AtLeast(Certificates),
    /// These and no others.
    Exactly(Certificates),
}

/// What is not as an operator would like it to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It stays so until somebody does something.
    Blocked(String),
    /// It may pass.
    Waiting(String),
}

/// The options of this side.
pub struct Options<'a> {
    publish: &'a str,
    pem: &'a str,
    server: &'a str,
    server_ca: &'a str,
    authorities: &'a str,
}

impl<'a> Options<'a> {
    pub fn of(options: &'a BTreeMap<String, Value>) -> Self {
        let text = |name: &str| options.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        Self {
            publish: text("publish"),
            pem: text("pem"),
            server: text("server"),
            server_ca: text("server-ca"),
            authorities: text("authorities"),
        }
    }

    /// Whether they say what is handed on.
    pub fn say(&self) -> bool {
        [self.publish, self.pem, self.server].iter().any(|text| !text.is_empty())
    }

    /// What every relation is to have; a server that is named is asked `afresh`, or where nothing is known of it.
    pub fn look(
        &self,
        charm: &Path,
        now: Timestamp,
        afresh: bool,
    ) -> Result<(Wanted, Option<Trouble>), CharmError> {
        if self.server.is_empty() {
            server::forget(charm)?;
        }
        let (given, server) = match self.read() {
            Ok(read) => read,
            // What cannot be used changes nothing.
            Err(why) => {
                tools::log(Level::Error, &why);
                return Ok((Wanted::WhatIsThere, Some(Trouble::Blocked(why))));
            }
        };
        let Some(server) = server else {
            return Ok((if self.say() { Wanted::Exactly(given) } else { Wanted::WhatIsThere }, None));
        };
        let Known { certificates, trouble } = server.look(charm, now, afresh)?;
        let wanted = match certificates {
            Some(more) => Wanted::Exactly(given.into_iter().chain(more).collect()),
            None => Wanted::AtLeast(given),
        };
        Ok((wanted, trouble.map(Trouble::Waiting)))
    }

    /// What they give, and the server that they name.
    fn read(&self) -> Result<(Certificates, Option<Server>), String> {
        const KEY: &str =
            "there is a private key in the options, which is no certificate; take it out and replace it";
        if [self.publish, self.pem, self.server_ca].iter().any(|text| has_private_key(text)) {
            return Err(KEY.into());
        }
        let given = given(self.publish, self.pem)?;
        // What JSON says may be written in other ways.
        if given.iter().any(|text| has_private_key(text)) {
            return Err(KEY.into());
        }
        let server =
            Server::of(self.server, self.server_ca, self.authorities).map_err(|error| error.to_string())?;
        Ok((given, server))
    }
}

impl Provider<'_> {
    /// Writes what this relation is to have, as its requirer reads it.
    pub fn publish(&self, relation: &RelationId) -> Result<(), CharmError> {
        let change = match &self.wanted {
            Wanted::Exactly(certificates) => Change::Set(certificates.clone()),
            Wanted::AtLeast(certificates) => Change::Add(certificates.clone()),
            Wanted::WhatIsThere => Change::Publish,
        };
        self.write(relation, &change)
    }

    /// The same, for all.
    pub fn publish_all(&self) -> Result<(), CharmError> {
        self.relations.iter().try_for_each(|relation| self.publish(relation))
    }

    /// `add-certificates`.
    pub fn add(&self, certificates: &str, relation: Option<u64>) -> Result<(), CharmError> {
        match list(certificates) {
            Some(certificates) if certificates.iter().any(|text| has_private_key(text)) => {
                Ok(tools::fail_action("a private key is no certificate; nothing was added")?)
            }
            Some(certificates) => self.change(relation, &Change::Add(certificates)),
            None => Ok(tools::fail_action("`certificates` is not a JSON list of texts")?),
        }
    }

    /// `remove-certificate`.
    pub fn remove(&self, certificate: &str, relation: Option<u64>) -> Result<(), CharmError> {
        self.change(relation, &Change::Remove(certificate.to_owned()))
    }

    /// `remove-all-certificates`.
    pub fn remove_all(&self, relation: Option<u64>) -> Result<(), CharmError> {
        self.change(relation, &Change::RemoveAll)
    }

    fn change(&self, relation: Option<u64>, change: &Change) -> Result<(), CharmError> {
        if self.follows_options {
            let why =
                "the options `publish`, `pem` and `server` say exactly what is handed on; empty them first";
            return Ok(tools::fail_action(why)?);
        }
        if !self.is_leader {
            tools::log(Level::Warning, "only the leader hands certificates on; nothing was changed");
            return Ok(());
        }
        let mut asked =
            self.relations.iter().filter(|one| relation.is_none_or(|number| one.number == number));
        let mut asked = asked.by_ref().peekable();
        if asked.peek().is_none() {
            tools::log(Level::Debug, "there is no such relation; nothing was changed");
        }
        asked.try_for_each(|relation| self.write(relation, change))
    }

    fn write(&self, relation: &RelationId, change: &Change) -> Result<(), CharmError> {
        let unit = tools::unit_bag(relation, self.unit)?;
        if !self.is_leader {
            // Another leads by now: its record counts.
            return Ok(tools::write_unit(relation, &trust::stand_down(&unit))?);
        }
        let requirer = match tools::remote_application(relation)? {
            Some(name) => tools::application_bag(relation, &name)?,
            None => Databag::new(),
        };
        let application = tools::application_bag(relation, self.application)?;
        let provided =
            trust::Provider { application: &application, unit: &unit, requirer: &requirer }.provide(change);
        for note in &provided.notes {
            tools::log_note(relation, note);
        }
        tools::write_application(relation, &provided.application)?;
        Ok(tools::write_unit(relation, &provided.unit)?)
    }
}

/// The certificates that the options themselves have.
fn given(publish: &str, pem: &str) -> Result<Certificates, String> {
    let mut certificates = Certificates::new();
    if !publish.is_empty() {
        certificates = list(publish).ok_or("`publish` is not a JSON list of texts")?;
    }
    let blocks = pem::read(pem.as_bytes(), pem::SEVERAL_BYTES_MAX)
        .map_err(|error| format!("`pem` is not PEM: {error}"))?;
    // A path, or base64 alone: taken for no certificates, it would end the trust of everybody.
    if !pem.is_empty() && blocks.is_empty() {
        return Err("there is no certificate in `pem`; give the text of PEM certificates itself".into());
    }
    for block in blocks {
        if block.label != "CERTIFICATE" {
            return Err(format!("there is a `{}` in `pem`, which is no certificate", block.label));
        }
        Certificate::from_anchor_der(&block.der)
            .map_err(|error| format!("there is a certificate in `pem` that cannot be read: {error}"))?;
        certificates.insert(pem::write("CERTIFICATE", &block.der).trim_end().to_owned());
    }
    Ok(certificates)
}

fn list(json: &str) -> Option<Certificates> {
    serde_json::from_str(json).ok()
}

/// Also half of one: whoever pasted it has to know.
fn has_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY") || x509::has_private_key(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial};

    use super::*;

    fn read(publish: &str, pem: &str, server: [&str; 3]) -> Result<(Certificates, Option<Server>), String> {
        let [server, server_ca, authorities] = server;
        Options { publish, pem, server, server_ca, authorities }.read()
    }

    fn anchor() -> String {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let name = Name::from_common_name("a").unwrap();
        let template = CertificateTemplate {
            serial: Serial::from_decimal("1").unwrap(),
            issuer: name.clone(),
            subject: name,
            not_before: Timestamp::from_unix(1_700_000_000),
            not_after: Timestamp::from_unix(1_900_000_000),
            public_key: key.public().clone(),
            extensions: Vec::new(),
        };
        template.sign(&key).to_pem()
    }

    #[test]
    fn options_say_exactly_what_is_handed_on() {
        let set = |texts: &[&str]| Ok(texts.iter().map(|text| (*text).to_owned()).collect::<Certificates>());
        let pem = anchor();
        let key = pem::write("PRIVATE KEY", b"x");
        let torn = pem::write("CERTIFICATE", b"x");
        let refused = |why: &str| Err(why.to_owned());
        let none = "there is no certificate in `pem`; give the text of PEM certificates itself";
        let secret =
            "there is a private key in the options, which is no certificate; take it out and replace it";
        for (publish, text, expected) in [
            ("", String::new(), set(&[])),
            ("[]", String::new(), set(&[])),
            (r#"["b", "a", "b"]"#, String::new(), set(&["a", "b"])),
            ("", format!("words\n{pem}\n{pem}"), set(&[pem.trim_end()])),
            ("[\"a\"]", pem.clone(), set(&[pem.trim_end(), "a"])),
            ("a", String::new(), refused("`publish` is not a JSON list of texts")),
            ("[1]", String::new(), refused("`publish` is not a JSON list of texts")),
            ("", "/etc/ssl/ca.pem".into(), refused(none)),
            ("[\"a\"]", "hello".into(), refused(none)),
            ("", pem.lines().nth(1).unwrap().to_owned(), refused(none)),
            ("", pem.lines().collect(), refused("`pem` is not PEM: a PEM BEGIN or END line is malformed")),
            ("", key.clone(), refused(secret)),
            (
                "",
                format!("{pem}{torn}"),
                refused("there is a certificate in `pem` that cannot be read: the certificate is malformed"),
            ),
            ("[\"-----BEGIN RSA PRIVATE KEY\"]", String::new(), refused(secret)),
            ("[\"PuTTY-User-Key-File-3: ssh-rsa\\nEncryption: none\"]", String::new(), refused(secret)),
            ("", format!("{pem}PuTTY-User-Key-File-2: ssh-rsa\n"), refused(secret)),
            (
                "",
                pem::write("X509 CRL", b"x"),
                refused("there is a `X509 CRL` in `pem`, which is no certificate"),
            ),
        ] {
            let given = read(publish, &text, [""; 3]).map(|(given, server)| {
                assert_eq!(server, None);
                given
            });
            assert_eq!(given, expected, "{publish} {text}");
        }
        let options =
            |publish, pem, server| Options { publish, pem, server, server_ca: "x", authorities: "x" };
        assert!(!options("", "", "").say());
        for say in [options("[]", "", ""), options("", "x", ""), options("", "", "x")] {
            assert!(say.say());
        }
    }

    #[test]
    fn a_server_proves_who_it_is_or_is_not_asked() {
        let (key, crl) = (pem::write("PRIVATE KEY", b"x"), pem::write("X509 CRL", b"x"));
        for (server, expected) in [
            (
                ["http://a:8000", "", ""],
                "option `server`: `http://a:8000` proves nothing about who answers; give",
            ),
            (["a:8001", "", ""], "option `server`: endpoint `a:8001` is not the URL of a server"),
            (["https://u:pw@a", "", ""], "option `server`: endpoint `…@a` has a user in it"),
            (["https://a", "nonsense", ""], "option `server-ca` is not PEM of CA certificates"),
            (["https://a", &crl, ""], "option `server-ca` is not PEM of CA certificates"),
            (["https://a", &key, ""], "there is a private key in the options"),
            (["https://a", "", "cas,xyz"], "option `authorities`: `xyz` is no authority: there are"),
        ] {
            let why = read("", "", server).unwrap_err();
            assert!(why.starts_with(expected), "{why}");
        }
        let named = |authorities| read("", "", ["https://a/", "", authorities]).unwrap().1.unwrap();
        assert_eq!(named(""), named("cas"));
        assert_eq!(named("cau, cas"), named("cas cau cas"));
        assert_ne!(named("cau"), named("cas"));
    }
}
