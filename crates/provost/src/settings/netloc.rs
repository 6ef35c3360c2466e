//! The name of the service, and the addresses it listens on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use base::{Explain, Kind};

/// The longest netloc in characters: the longest name made from it, `Caucased CA at NETLOC`, is a common
/// name and has at most 64 (RFC 5280 appendix A.1, `ub-common-name`).
pub const NETLOC_CHARACTERS_MAX: usize = 64 - "Caucased CA at ".len();

/// A host: where to listen, or how clients call us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name that a resolver knows.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    /// As in a URL: an IPv6 address stands in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl FromStr for Host {
    type Err = String;

    /// What `bind` takes: a name, an IPv4 address, an IPv6 address with or without brackets; no port.
    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Some(bare) = bare {
            return parse_v6(bare).map(|address| Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        // `fe80::1%eth0` is an address that only the resolver can read.
        if text.split_once('%').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok()) {
            return Ok(Self::Name(text.to_owned()));
        }
        if text.starts_with('[') && !text.contains(']') {
            return Err(format!("`{text}` has a `[` without its `]`"));
        }
        if text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            return Err(format!("`{text}` has a port, which is said with `base_port`"));
        }
        parse_name(text).map(Self::Name)
    }
}

/// The name of the service: `HOST[:PORT]`, kept as it was written, because certificates carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netloc {
    text: String,
    host: Host,
    port: Option<u16>,
}

impl Netloc {
    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The HTTP port that clients use.
    pub fn ports(&self) -> Ports {
        Ports::of(self.port.unwrap_or(80))
            .expect("a netloc with a port that leaves none for HTTPS is not parsed")
    }

    /// Where clients reach us over HTTPS: `https://HOST:PORT`, no port where it is 443.
    pub fn https_url(&self) -> String {
        match self.ports().https {
            443 => format!("https://{}", self.host),
            port => format!("https://{}:{port}", self.host),
        }
    }
}

impl fmt::Display for Netloc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Netloc {
    type Err = String;

    /// The error says what is wrong, in words.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.chars().count() > NETLOC_CHARACTERS_MAX {
            return Err(format!(
                "`{text}` has more than {NETLOC_CHARACTERS_MAX} characters, too many for a certificate"
            ));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']').ok_or("has a `[` without a `]`")?;
                let port = match rest {
                    "" => None,
                    rest => {
                        Some(rest.strip_prefix(':').ok_or_else(|| format!("has `{rest}` after the `]`"))?)
                    }
                };
                (Host::Address(parse_v6(address)?.into()), port)
            }
            None if text.parse::<Ipv6Addr>().is_ok() => {
                return Err(format!("has an IPv6 address without brackets: write [{text}]"));
            }
            None => {
                let (host, port) =
                    text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
                let host = host.parse::<Ipv4Addr>().map_or_else(
                    |_| parse_name(host).map(Host::Name),
                    |address| Ok(Host::Address(address.into())),
                )?;
                (host, port)
            }
        };
        let port = port.map(parse_port).transpose()?;
        Ok(Self { text: text.to_owned(), host, port })
    }
}

fn parse_v6(text: &str) -> Result<Ipv6Addr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IPv6 address"))
}

fn parse_port(text: &str) -> Result<u16, String> {
    // `+80` would be read as a number, and mean something else to others.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port =
        text.parse::<u16>().ok().filter(|_| digits).ok_or_else(|| format!("`{text}` is not a port"))?;
    Ports::of(port).map(|ports| ports.http)
}

/// A host name (RFC 1123 §2.1; underscores, which it forbids, are in use).
fn parse_name(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("`{text}` is not a host name: {why}"));
    if text.is_empty() {
        return Err("has no host".to_owned());
    }
    if !text.is_ascii() {
        return wrong("write it in its ASCII form, xn--…");
    }
    if text.len() > 253 {
        return wrong("it is longer than 253 characters");
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 {
            return wrong("between the dots stand 1 to 63 characters");
        }
        // Certificates cannot name such hosts.
        if label.starts_with(['-', '_']) || label.ends_with(['-', '_']) {
            return wrong("a part begins or ends with `-` or `_`");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return wrong("only letters, digits, `-` and `.` may stand in it");
        }
    }
    // Resolvers read `127.1` as an address, certificates do not.
    if text.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit())) {
        return wrong("its last part is a number, and it is not an IPv4 address");
    }
    Ok(text.to_owned())
}

/// An HTTP port and the HTTPS port that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The HTTP port.
    pub http: u16,
    /// The HTTPS port: 443 beside 80, else one above (caucase, "Ports and listeners").
    pub https: u16,
}

impl Ports {
    /// The pair of an HTTP port; the error says why there is none.
    pub fn of(http: u16) -> Result<Self, String> {
        match http {
            0 => Err("port 0 is not a port that clients could know".to_owned()),
            80 => Ok(Self { http, https: 443 }),
            u16::MAX => Err("port 65535 leaves no port above it for HTTPS".to_owned()),
            _ => Ok(Self { http, https: http + 1 }),
        }
    }
}

/// One address to listen on, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Where HTTP is spoken.
    pub http: SocketAddr,
    /// Where HTTPS is spoken: the same address, another port.
    pub https: SocketAddr,
}

impl fmt::Display for Binding {
    /// `[ADDR]:HTTP-HTTPS`, with brackets for IPv4 as well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]:{}-{}", self.http.ip(), self.http.port(), self.https.port())
    }
}

/// A name to listen on leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The resolver does not know it, or could not be asked.
    #[error("no address is known for `{name}`, which is to be listened on")]
    Unknown {
        /// The name as given.
        name: String,
        /// What the resolver says.
        #[source]
        source: std::io::Error,
    },
    /// It is known, but has no address.
    #[error("`{name}`, which is to be listened on, has no address")]
    NoAddress {
        /// The name as given.
        name: String,
    },
}

impl Explain for ResolveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } | Self::NoAddress { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        Some("name an address with `bind`, for example --bind 0.0.0.0".to_owned())
    }
}

/// Every distinct address of `hosts`, in order, with both ports. Asks the resolver, and waits for it.
pub fn resolve(hosts: &[Host], ports: Ports) -> Result<Vec<Binding>, ResolveError> {
    let mut bindings = Vec::new();
    for host in hosts {
        let found: Vec<SocketAddr> = match host {
            Host::Address(address) => vec![SocketAddr::new(*address, ports.http)],
            Host::Name(name) => (name.as_str(), ports.http)
                .to_socket_addrs()
                .map_err(|source| ResolveError::Unknown { name: name.clone(), source })?
                .collect(),
        };
        if found.is_empty() {
            return Err(ResolveError::NoAddress { name: host.to_string() });
        }
        for http in found {
            let mut https = http;
            https.set_port(ports.https);
            let binding = Binding { http, https };
            if !bindings.contains(&binding) {
                bindings.push(binding);
            }
        }
    }
    // Who listens everywhere listens there too, and could not do so twice.
    let everywhere: Vec<_> =
        bindings.iter().map(|binding| binding.http.ip()).filter(IpAddr::is_unspecified).collect();
    bindings.retain(|binding| {
        let ip = binding.http.ip();
        ip.is_unspecified() || !everywhere.iter().any(|all| all.is_ipv4() == ip.is_ipv4())
    });
    Ok(bindings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netloc_is_a_host_and_perhaps_a_port() {
        let check = |text: &str, host: &str, http: u16, https: u16, url: &str| {
            let netloc: Netloc = text.parse().unwrap();
            assert_eq!(netloc.to_string(), text);
            assert_eq!(netloc.host().to_string(), host);
            assert_eq!(netloc.ports(), Ports { http, https }, "{text}");
            assert_eq!(netloc.https_url(), url);
        };
        check("127.0.0.1:8000", "127.0.0.1", 8000, 8001, "https://127.0.0.1:8001");
        check("ca.example.com", "ca.example.com", 80, 443, "https://ca.example.com");
        check("ca:80", "ca", 80, 443, "https://ca");
        check("[2001:db8::1]", "[2001:db8::1]", 80, 443, "https://[2001:db8::1]");
        check("[::1]:8009", "[::1]", 8009, 8010, "https://[::1]:8010");
        check("my_host:65534", "my_host", 65534, 65535, "https://my_host:65535");
    }

    #[test]
    fn an_address_is_not_bound_beside_all_addresses() {
        let check = |hosts: &[&str], expected: &[&str]| {
            let hosts: Vec<Host> = hosts.iter().map(|host| host.parse().unwrap()).collect();
            let bound = resolve(&hosts, Ports { http: 80, https: 443 }).unwrap();
            let bound: Vec<_> = bound.iter().map(|binding| binding.http.ip().to_string()).collect();
            assert_eq!(bound, expected, "{hosts:?}");
        };
        check(&["0.0.0.0", "127.0.0.1", "::1"], &["0.0.0.0", "::1"]);
        check(&["127.0.0.1", "::1", "::", "0.0.0.0", "0.0.0.0"], &["::", "0.0.0.0"]);
        check(&["127.0.0.1", "::1", "127.0.0.1"], &["127.0.0.1", "::1"]);
    }

    #[test]
    fn a_bracket_that_is_not_closed_is_told() {
        assert_eq!("[::1".parse::<Host>().unwrap_err(), "`[::1` has a `[` without its `]`");
        assert!("[::1]:80".parse::<Host>().unwrap_err().contains("has a port"));
    }

    #[test]
    fn what_is_no_netloc_is_told() {
        let check = |text: &str, expected: &str| {
            let told = text.parse::<Netloc>().unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        };
        check("", "has no host");
        check(":80", "has no host");
        check("::1", "write [::1]");
        check("[::1", "without a `]`");
        check("[::1]80", "`80` after the `]`");
        check("[ca]:80", "not an IPv6 address");
        check("ca:", "is not a port");
        check("ca:+80", "is not a port");
        check("ca:65536", "is not a port");
        check("ca:65535", "no port above it");
        check("ca:0", "port 0");
        check("c a", "only letters");
        check("ca.example.", "1 to 63");
        for text in ["-ca", "ca-", "_ca", "ca_", "ca._a.example"] {
            check(text, "begins or ends");
        }
        check("300.1.1.1", "not an IPv4 address");
        check("käse", "xn--");
        check("a23456789.b23456789.c23456789.d23456789.e2345:8000", "more than 49 characters");
        assert!("a23456789.b23456789.c23456789.d23456789.e234:8000".parse::<Netloc>().is_ok());
    }

    #[test]
    fn every_address_is_listened_on_once() {
        let ports = Ports::of(80).unwrap();
        let hosts = ["127.0.0.1", "[::1]", "::1", "127.0.0.1"].map(|text| text.parse().unwrap());
        let shown: Vec<_> = resolve(&hosts, ports).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["[127.0.0.1]:80-443", "[::1]:80-443"]);

        let names = resolve(&["localhost".parse().unwrap()], ports).unwrap();
        assert!(names.iter().all(|binding| binding.http.ip().is_loopback()), "{names:?}");
        // RFC 6761 §6.4: this name never has an address.
        let error = resolve(&["nowhere.invalid".parse().unwrap()], ports).unwrap_err();
        assert!(error.to_string().contains("nowhere.invalid"), "{error}");
    }

    #[test]
    fn addresses_to_listen_on_have_no_port() {
        let check = |text: &str, expected: bool| assert_eq!(text.parse::<Host>().is_ok(), expected, "{text}");
        check("0.0.0.0", true);
        check("::", true);
        check("fe80::1%eth0", true);
        check("localhost", true);
        check("127.0.0.1:80", false);
        check("localhost:80", false);
        check("", false);
    }
}
