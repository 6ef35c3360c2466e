//! Which doors there are, and what is shown at them.

use std::path::PathBuf;

use identity::sign_in::check_authorities;
use server::doors::ClientCertificates;

use super::netloc::{Netloc, Ports};
use super::reader::Reader;
use super::{Doors, WhichDoors};

/// See [`super::Settings::from`].
pub fn doors(reader: &mut Reader<'_>) -> Option<Doors> {
    let which = which(reader);
    let tls_file = reader.path("server.tls_file");
    let client_certificates = reader.choice("server.client_certificates").map(|word| match word {
        "required" => ClientCertificates::Required,
        _ => ClientCertificates::Asked,
    });
    let client_ca_file = client_ca_file(reader);
    Some(Doors { which: which?, tls_file, client_certificates: client_certificates?, client_ca_file })
}

/// The file of authorities whose certificates pass the handshake; that it is not there is a note.
pub fn client_ca_file(reader: &mut Reader<'_>) -> Option<PathBuf> {
    const NAME: &str = "server.client_ca_file";
    let path = reader.path(NAME)?;
    let checked = check_authorities(&path).map_err(|error| base::report(&error));
    reader.or_wrong(NAME, checked).map(|()| path)
}

/// Which there are, by themselves: the ports follow from it.
pub fn which(reader: &mut Reader<'_>) -> Option<WhichDoors> {
    Some(match reader.choice("server.doors")? {
        "http" => WhichDoors::Http,
        "https" => WhichDoors::Https,
        _ => WhichDoors::Both,
    })
}

impl WhichDoors {
    /// The ports when the first one is `port`; the error says why there are none.
    pub fn ports(self, port: u16) -> Result<Ports, String> {
        match (self, port) {
            (Self::Both, _) | (Self::Http | Self::Https, 0) => Ports::of(port),
            (Self::Http | Self::Https, _) => Ok(Ports { http: port, https: port }),
        }
    }

    /// Where clients reach the service over HTTPS, if they do.
    pub fn https_url(self, netloc: &Netloc) -> Option<String> {
        match self {
            Self::Both => Some(netloc.https_url()),
            Self::Http => None,
            Self::Https => Some(match netloc.ports().http {
                443 => format!("https://{}", netloc.host()),
                port => format!("https://{}:{port}", netloc.host()),
            }),
        }
    }
}

/// The files that have to be there, by the settings that name them.
pub fn files(doors: &Doors) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    [("server.tls_file", doors.tls_file.as_ref()), ("server.client_ca_file", doors.client_ca_file.as_ref())]
        .into_iter()
        .filter_map(|(name, path)| Some((name, path?)))
}

/// What is said, and counts for nothing because there is no HTTPS port.
pub fn without_https(doors: &Doors, reader: &Reader<'_>) -> Vec<&'static str> {
    let names = ["server.tls_file", "server.client_certificates", "server.client_ca_file"];
    let is_idle = |name: &&str| doors.which == WhichDoors::Http && reader.is_said(name);
    names.into_iter().filter(is_idle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_alone_is_on_the_port_itself() {
        let check = |which: WhichDoors, port: u16, expected: Option<(u16, u16)>| {
            let found = which.ports(port).ok().map(|ports| (ports.http, ports.https));
            assert_eq!(found, expected, "{which:?} {port}");
        };
        check(WhichDoors::Both, 8000, Some((8000, 8001)));
        check(WhichDoors::Both, 65535, None);
        check(WhichDoors::Http, 8000, Some((8000, 8000)));
        check(WhichDoors::Https, 65535, Some((65535, 65535)));
        check(WhichDoors::Https, 0, None);
    }

    #[test]
    fn clients_are_told_where_https_is() {
        let check = |which: WhichDoors, netloc: &str, expected: Option<&str>| {
            let netloc: Netloc = netloc.parse().unwrap();
            assert_eq!(which.https_url(&netloc).as_deref(), expected, "{which:?} {netloc}");
        };
        check(WhichDoors::Both, "a:8000", Some("https://a:8001"));
        check(WhichDoors::Https, "a:8000", Some("https://a:8000"));
        check(WhichDoors::Https, "a:443", Some("https://a"));
        check(WhichDoors::Http, "a:8000", None);
    }
}
