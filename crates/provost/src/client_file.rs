//! What commands on this machine have to know to reach the server: the text of `client.toml` in the data directory.
//!
//! ```text
//! doors            server                       ca               certificate
//! both, https      https://NETLOC's HTTPS port  server-ca.pem    admin.pem
//! … with tls_file  the same                     the system's     admin.pem
//! http             http://ADDRESS:PORT          none             none: there is nobody to show it to
//! ```
//! The address is one that is listened on: a name is of use with TLS only, where a certificate has it. Beside a name it says where
//! the server is on this machine, should nobody know that name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::settings::{Binding, Doors, FirstStartFiles, Host, Netloc};

/// The text of the file, which the files that it names lie beside; `None` when nothing is listened on.
pub fn client_file(
    doors: &Doors,
    netloc: &Netloc,
    bindings: &[Binding],
    files: &FirstStartFiles,
) -> Option<String> {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let addresses = bindings.iter().map(|binding| near(binding.http));
    let address = addresses.min_by_key(|address| !address.ip().is_loopback());
    let Some(https_url) = doors.which.https_url(netloc) else {
        let url = format!("http://{}", address?);
        return Some(cli::client_file_for_this_machine(&url, None, None, None));
    };
    let here = address.map(|address| address.ip()).filter(|_| matches!(netloc.host(), Host::Name(_)));
    // Who issued the certificate in the operator's file is not known; it is not our own authority.
    let ca = doors.tls_file.is_none().then(|| name(&files.server_ca));
    Some(cli::client_file_for_this_machine(&https_url, here, ca.as_deref(), Some(&name(&files.admin))))
}

/// Where this machine itself reaches what listens on `address`.
fn near(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use server::doors::ClientCertificates;

    use super::*;
    use crate::settings::WhichDoors;

    #[test]
    fn it_names_a_door_that_there_is() {
        let files = FirstStartFiles {
            admin: "/d/admin.pem".into(),
            server_ca: "/d/server-ca.pem".into(),
            client: "/d/client.toml".into(),
        };
        let check = |which: WhichDoors, tls_file: Option<&str>, bind: &[&str], expected: &str| {
            let tls_file = tls_file.map(Into::into);
            let doors = Doors {
                which,
                tls_file,
                client_certificates: ClientCertificates::Asked,
                client_ca_file: None,
            };
            let ports = which.ports(8000).unwrap();
            let at = |ip: &&str| {
                let ip: IpAddr = ip.parse().unwrap();
                let [http, https] = [ports.http, ports.https].map(|port| SocketAddr::new(ip, port));
                Binding { http, https }
            };
            let bindings: Vec<_> = bind.iter().map(at).collect();
            let text =
                client_file(&doors, &"fleet.example:8000".parse().unwrap(), &bindings, &files).unwrap();
            let said: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(said.join("; "), expected, "{which:?} {tls_file:?}", tls_file = doors.tls_file);
        };
        let any = &["0.0.0.0"][..];
        check(
            WhichDoors::Both,
            None,
            any,
            r#"server = "https://fleet.example:8001"; address = "127.0.0.1"; ca = "server-ca.pem"; certificate = "admin.pem""#,
        );
        check(
            WhichDoors::Both,
            Some("/tls.pem"),
            any,
            r#"server = "https://fleet.example:8001"; address = "127.0.0.1"; certificate = "admin.pem""#,
        );
        check(
            WhichDoors::Https,
            None,
            any,
            r#"server = "https://fleet.example:8000"; address = "127.0.0.1"; ca = "server-ca.pem"; certificate = "admin.pem""#,
        );
        check(
            WhichDoors::Https,
            Some("/tls.pem"),
            any,
            r#"server = "https://fleet.example:8000"; address = "127.0.0.1"; certificate = "admin.pem""#,
        );
        check(WhichDoors::Http, None, any, r#"server = "http://127.0.0.1:8000""#);
        check(WhichDoors::Http, None, &["::"], r#"server = "http://[::1]:8000""#);
        check(WhichDoors::Http, None, &["192.0.2.1", "127.0.0.1"], r#"server = "http://127.0.0.1:8000""#);
        check(WhichDoors::Http, None, &["192.0.2.1"], r#"server = "http://192.0.2.1:8000""#);
    }
}
