//! Where browsers' requests come from, and what our own addresses are called.

use http::HeaderMap;
use http::header::HOST;

use crate::doors::Peer;

/// How this server was addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    /// The host as a URL writes it: IPv6 in brackets.
    host: String,
    http_port: u16,
    https_port: u16,
}

impl Own {
    /// From the `Host` header (HTTP/1) or the target's authority (HTTP/2); without either, from the address
    /// that was connected to.
    pub(super) fn of(headers: &HeaderMap, authority: Option<&http::uri::Authority>, peer: &Peer) -> Self {
        let named =
            headers.get(HOST).and_then(|host| host.to_str().ok()).or(authority.map(|host| host.as_str()));
        let (host, port) = match named.map(split_port) {
            Some((host, port)) if !host.is_empty() => {
                (host.to_owned(), port.unwrap_or(if peer.secure { 443 } else { 80 }))
            }
            _ => {
                let ip = peer.local.ip();
                (if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }, peer.local.port())
            }
        };
        // The port rule (section 2.1): HTTPS is 443 beside 80, else one above HTTP.
        let (http_port, https_port) = match (peer.secure, port) {
            (false, 80) => (80, 443),
            (false, port) => (port, port.saturating_add(1)),
            (true, 443) => (80, 443),
            (true, port) => (port.saturating_sub(1), port),
        };
        Self { host, http_port, https_port }
    }

    /// `https://HOST:PORT`, without the port when it is 443.
    pub(super) fn https(&self) -> String {
        match self.https_port {
            443 => format!("https://{}", self.host),
            port => format!("https://{}:{port}", self.host),
        }
    }

    /// Whether `origin` is ours, over either door (RFC 6454 §6.2: the default port is left out).
    pub(super) fn is_own(&self, origin: &str) -> bool {
        let http = match self.http_port {
            80 => format!("http://{}", self.host),
            port => format!("http://{}:{port}", self.host),
        };
        origin.eq_ignore_ascii_case(&http) || origin.eq_ignore_ascii_case(&self.https())
    }
}

/// Cuts `host:port`; the host of an IPv6 literal keeps its brackets.
fn split_port(host: &str) -> (&str, Option<u16>) {
    let after_brackets = host.rfind(']').map_or(0, |end| end + 1);
    match host[after_brackets..].rfind(':') {
        Some(colon) => {
            let (name, port) = host.split_at(after_brackets + colon);
            (name, port[1..].parse().ok())
        }
        None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(secure: bool) -> Peer {
        let local = if secure { "[::1]:8001" } else { "[::1]:8000" };
        Peer {
            address: "[::1]:50000".parse().expect("an address"),
            local: local.parse().expect("an address"),
            secure,
            certificate: None,
            recent: std::sync::Arc::default(),
            own: crate::doors::Own::default(),
        }
    }

    fn own(host: Option<&str>, secure: bool) -> Own {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(HOST, host.parse().expect("a header"));
        }
        Own::of(&headers, None, &peer(secure))
    }

    #[test]
    fn the_port_rule_leads_to_https() {
        for (host, secure, https) in [
            (Some("ca.example"), false, "https://ca.example"),
            (Some("ca.example:8000"), false, "https://ca.example:8001"),
            (Some("ca.example:8001"), true, "https://ca.example:8001"),
            (Some("[2001:db8::1]:8009"), false, "https://[2001:db8::1]:8010"),
            (Some("[2001:db8::1]"), false, "https://[2001:db8::1]"),
            (None, false, "https://[::1]:8001"),
            (None, true, "https://[::1]:8001"),
        ] {
            assert_eq!(own(host, secure).https(), https, "{host:?}");
        }
    }

    #[test]
    fn both_doors_are_our_own_origin() {
        let own = own(Some("ca.example:8000"), false);
        assert!(own.is_own("http://ca.example:8000"));
        assert!(own.is_own("https://CA.example:8001"));
        assert!(!own.is_own("https://ca.example"));
        assert!(!own.is_own("http://ca.example.evil:8000"));
        assert!(!own.is_own("null"));
    }
}
