//! What the operator reads when the doors are open.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::settings::{Binding, WhichDoors};

/// What there is to tell.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What this start began with.
    pub beginning: Beginning,
    /// Where we listen.
    pub bindings: Vec<Binding>,
    /// Which of the two doors there are.
    pub doors: WhichDoors,
    /// Whether the certificate authorities are served.
    pub authorities: bool,
    /// Where clients reach us over HTTPS, if they do: `https://HOST:PORT`.
    pub https_url: Option<String>,
    /// SHA-256 of the DER of each authority's newest certificate.
    pub fingerprints: Fingerprints,
    /// The data directory.
    pub data: PathBuf,
    /// The first administrator's key and certificate, if they are still where the first start put them.
    pub admin: Option<PathBuf>,
    /// The certificate of the authority that signs the HTTPS port's; none where the operator's own is shown there.
    pub server_ca: Option<PathBuf>,
}

/// What a start begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing: it makes the authorities, and the first administrator.
    First,
    /// Authorities of caucase's, with users: nobody else is let in.
    TakenOver,
    /// Authorities of caucase's of whose users none can sign in: it makes an administrator.
    TakenOverWithoutUsers,
    /// A house that was there.
    Again,
}

/// SHA-256 of the DER of each authority's newest certificate.
#[derive(Debug, Clone)]
pub struct Fingerprints {
    /// The authority for services.
    pub services: [u8; 32],
    /// The authority for users.
    pub users: [u8; 32],
    /// The authority that signs the HTTPS port's certificate.
    pub server: [u8; 32],
}

/// The greeting: several lines, the last one ends with a line break.
pub fn greeting(facts: &Facts) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "  {label:<10}{value}"); // writing to a String cannot fail
    };
    for binding in &facts.bindings {
        line("listening", &addresses(binding, facts.doors));
    }
    line("data", &facts.data.display().to_string());
    if facts.beginning == Beginning::TakenOver {
        line("admin", "none was made: the users whom caucase knew sign in, and nobody else");
    }
    if facts.beginning == Beginning::TakenOverWithoutUsers {
        line("admin", "one was made: no user whom caucase knew has a certificate that is good");
    }
    if let Some(admin) = &facts.admin {
        line("admin", &format!("{} (the first administrator's key: keep it secret)", admin.display()));
    }
    line("services", &fingerprint(&facts.fingerprints.services));
    line("users", &fingerprint(&facts.fingerprints.users));
    if facts.server_ca.is_some() {
        line("server", &fingerprint(&facts.fingerprints.server));
    }
    let version = env!("CARGO_PKG_VERSION");
    let first = match facts.beginning {
        Beginning::First => "made its authorities and ",
        Beginning::TakenOver | Beginning::TakenOverWithoutUsers => "has the authorities of caucase and ",
        Beginning::Again => "",
    };
    format!("provost {version} {first}is ready\n{text}next: {}\n", next(facts))
}

/// The URLs of the doors at one address.
pub fn addresses(binding: &Binding, doors: WhichDoors) -> String {
    match doors {
        WhichDoors::Both => format!("http://{}  https://{}", binding.http, binding.https),
        WhichDoors::Http => format!("http://{}", binding.http),
        WhichDoors::Https => format!("https://{}", binding.https),
    }
}

/// The one command to run next: an administrator looks at the pending requests, anyone else at the
/// certificate of the authority for services.
fn next(facts: &Facts) -> String {
    let trusting =
        facts.server_ca.iter().map(|path| format!("--cacert {} ", quoted(path))).collect::<String>();
    if facts.beginning == Beginning::TakenOver && facts.admin.is_none() {
        let admin = quoted(&facts.data.join("admin.pem"));
        return format!(
            "put the key and certificate of one of the users into {admin}, mode 0600, for commands here"
        );
    }
    let Some(url) = &facts.https_url else {
        return match facts.bindings.first() {
            Some(binding) => format!("curl http://{}/readyz", binding.http),
            None => "curl http://127.0.0.1/readyz".to_owned(),
        };
    };
    match (&facts.admin, facts.authorities) {
        (Some(admin), true) => {
            format!("curl {trusting}--cert {} {url}/cas/csr", quoted(admin))
        }
        (Some(admin), false) => {
            format!("curl {trusting}--cert {} {url}/api/v0/hosts", quoted(admin))
        }
        (None, true) => format!("curl {trusting}{url}/cas/crt/ca.crt.pem"),
        (None, false) => format!("curl {trusting}{url}/readyz"),
    }
}

/// As `openssl x509 -fingerprint -sha256` shows it, with the name of the digest.
pub fn fingerprint(digest: &[u8; 32]) -> String {
    let pairs: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("sha256 {}", pairs.join(":"))
}

/// As a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%,".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let binding =
            |http: &str, https: &str| Binding { http: http.parse().unwrap(), https: https.parse().unwrap() };
        Facts {
            beginning: Beginning::First,
            bindings: vec![binding("127.0.0.1:8000", "127.0.0.1:8001"), binding("[::1]:8000", "[::1]:8001")],
            doors: WhichDoors::Both,
            authorities: true,
            https_url: Some("https://ca.example:8001".to_owned()),
            fingerprints: Fingerprints { services: [0xa1; 32], users: [0xb2; 32], server: [0xc3; 32] },
            data: "/var/lib/provost".into(),
            admin: Some("/var/lib/provost/admin.pem".into()),
            server_ca: Some("/var/lib/provost/server-ca.pem".into()),
        }
    }

    #[test]
    fn the_first_start_tells_everything() {
        let print = |byte: &str| [byte; 32].join(":");
        let expected = format!(
            "provost {} made its authorities and is ready\n\
             \x20 listening http://127.0.0.1:8000  https://127.0.0.1:8001\n\
             \x20 listening http://[::1]:8000  https://[::1]:8001\n\
             \x20 data      /var/lib/provost\n\
             \x20 admin     /var/lib/provost/admin.pem (the first administrator's key: keep it secret)\n\
             \x20 services  sha256 {}\n\
             \x20 users     sha256 {}\n\
             \x20 server    sha256 {}\n\
             next: curl --cacert /var/lib/provost/server-ca.pem --cert /var/lib/provost/admin.pem \
             https://ca.example:8001/cas/csr\n",
            env!("CARGO_PKG_VERSION"),
            print("A1"),
            print("B2"),
            print("C3"),
        );
        assert_eq!(greeting(&facts()), expected);
    }

    /// Whoever comes with users is not to find that somebody else may sign in.
    #[test]
    fn what_was_taken_over_is_not_said_to_be_made() {
        let text = greeting(&Facts { beginning: Beginning::TakenOver, admin: None, ..facts() });
        assert!(
            text.contains(" has the authorities of caucase and is ready\n") && !text.contains("made its"),
            "{text}"
        );
        assert!(text.contains("  admin     none was made: the users whom caucase knew sign in"), "{text}");
        assert!(text.contains("into /var/lib/provost/admin.pem, mode 0600"), "{text}");
        let text = greeting(&Facts { beginning: Beginning::TakenOverWithoutUsers, ..facts() });
        assert!(text.contains("  admin     one was made: no user whom caucase knew"), "{text}");
        assert!(text.contains("admin.pem (the first administrator's key"), "{text}");
    }

    #[test]
    fn a_door_alone_is_said_alone() {
        let text = greeting(&Facts { doors: WhichDoors::Http, https_url: None, ..facts() });
        assert!(text.contains("  listening http://127.0.0.1:8000\n"), "{text}");
        assert!(text.ends_with("next: curl http://127.0.0.1:8000/readyz\n"), "{text}");
        let text = greeting(&Facts { doors: WhichDoors::Https, authorities: false, ..facts() });
        assert!(text.contains("  listening https://127.0.0.1:8001\n"), "{text}");
        assert!(text.ends_with(" https://ca.example:8001/api/v0/hosts\n"), "{text}");
    }

    /// Our own authority did not issue it.
    #[test]
    fn an_operators_certificate_is_not_looked_for_at_ours() {
        let text = greeting(&Facts { server_ca: None, ..facts() });
        assert!(!text.contains("\n  server "), "{text}");
        let next = "next: curl --cert /var/lib/provost/admin.pem https://ca.example:8001/cas/csr\n";
        assert!(text.ends_with(next), "{text}");
    }

    #[test]
    fn without_the_administrator_there_is_still_something_to_do() {
        let text = greeting(&Facts {
            beginning: Beginning::Again,
            admin: None,
            server_ca: Some("/my house/it's.pem".into()),
            ..facts()
        });
        assert!(text.starts_with(&format!("provost {} is ready\n", env!("CARGO_PKG_VERSION"))), "{text}");
        let next =
            "next: curl --cacert '/my house/it'\\''s.pem' https://ca.example:8001/cas/crt/ca.crt.pem\n";
        assert!(text.ends_with(next), "{text}");
        assert!(!text.contains("admin"), "{text}");
    }
}
