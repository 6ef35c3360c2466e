//! Who really asks, where a proxy stands in between.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::{HeaderMap, HeaderName};

/// Where proxies note for whom they ask, each behind the ones before it.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A range of addresses: those whose first bits are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    bits: u32,
}

impl Subnet {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl FromStr for Subnet {
    type Err = String;

    /// `ADDRESS` or `ADDRESS/BITS`. The error says what is wrong, in words.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| format!("`{text}` is no address"))?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= all)
                .ok_or_else(|| format!("`{text}` does not end with a number of bits up to {all}"))?,
        };
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Subnet {
    /// Without its bits where it is one address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.bits) {
            (IpAddr::V4(address), 32) => write!(f, "{address}"),
            (IpAddr::V6(address), 128) => write!(f, "{address}"),
            (address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

/// The proxies that are believed when they say for whom they ask.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<Subnet>);

impl TrustedProxies {
    /// Those in any of `subnets`.
    #[must_use]
    pub fn new(subnets: Vec<Subnet>) -> Self {
        Self(subnets)
    }

    /// Who sent a request that came from `peer`: the nearest one who is no trusted proxy, or the one furthest away
    /// when all are. What anybody else wrote is not looked at. `None` when a trusted proxy names nobody who could
    /// be reached, though it wrote the header.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return Some(client);
        }
        let mut has_named = !headers.contains_key(FORWARDED_FOR);
        // The proxy before us wrote the last one.
        for field in headers.get_all(FORWARDED_FOR).into_iter().rev() {
            // What stands furthest to the left comes from strangers, and need not even be text.
            let hops = field.as_bytes().rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            for hop in hops.filter(|hop| !hop.is_empty()) {
                client = address(std::str::from_utf8(hop).ok()?)?.to_canonical();
                if !is_somebodys(client) {
                    return None;
                }
                has_named = true;
                if !self.trusts(client) {
                    return Some(client);
                }
            }
        }
        has_named.then_some(client)
    }

    /// Whether a request came from a trusted proxy that does not say for whom it asks.
    pub(crate) fn is_silent(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.trusts(peer.to_canonical()) && !headers.contains_key(FORWARDED_FOR)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|subnet| subnet.contains(address))
    }
}

/// Whether one machine can have this address. `client` is in its canonical form.
fn is_somebodys(client: IpAddr) -> bool {
    let is_broadcast = matches!(client, IpAddr::V4(address) if address.is_broadcast());
    !(client.is_unspecified() || client.is_multicast() || is_broadcast)
}

/// An address as proxies write it: some add a port, and then brackets around IPv6.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bare).or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_have_an_address_and_bits() {
        for (text, inside, outside) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("10.1.2.3/8", "10.255.0.0", "11.0.0.0"),
            ("0.0.0.0/0", "192.0.2.1", "::1"),
            ("::1", "::1", "::2"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::/0", "fe80::1", "10.0.0.1"),
        ] {
            let subnet: Subnet = text.parse().unwrap();
            assert_eq!(subnet.to_string(), text);
            assert!(subnet.contains(inside.parse().unwrap()), "{text} and {inside}");
            assert!(!subnet.contains(outside.parse().unwrap()), "{text} and {outside}");
        }
        for text in ["", "host", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "/8", "10.0.0.1:80"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_that_names_nobody_is_known_by_that() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        for (peer, header, expected) in [
            ("10.0.0.1", None, true),
            ("::ffff:10.0.0.1", None, true),
            ("10.0.0.1", Some("192.0.2.1"), false),
            ("10.0.0.1", Some(""), false),
            ("192.0.2.1", None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(field) = header {
                headers.append(FORWARDED_FOR, http::HeaderValue::from_static(field));
            }
            assert_eq!(proxies.is_silent(peer.parse().unwrap(), &headers), expected, "{peer} {header:?}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let subnets = ["10.0.0.0/24", "fd00::/8"].map(|text| text.parse().unwrap());
        let proxies = TrustedProxies::new(subnets.to_vec());
        for (peer, fields, client) in [
            ("192.0.2.1", &[][..], Some("192.0.2.1")),
            ("::ffff:192.0.2.1", &[], Some("192.0.2.1")),
            // Anybody can write a header.
            ("192.0.2.1", &["203.0.113.9"], Some("192.0.2.1")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
            ("::ffff:10.0.0.1", &["203.0.113.9"], Some("203.0.113.9")),
            // The client wrote something, and the proxy what it saw.
            ("10.0.0.1", &["198.51.100.1, 203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["nonsense,203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["\u{e9}, 203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["198.51.100.1", "203.0.113.9"], Some("203.0.113.9")),
            // One proxy behind the other.
            ("10.0.0.1", &["198.51.100.1, 203.0.113.9, 10.0.0.2,"], Some("203.0.113.9")),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            ("fd00::1", &["2001:db8::1"], Some("2001:db8::1")),
            ("fd00::1", &["[2001:db8::1]"], Some("2001:db8::1")),
            ("fd00::1", &["[2001:db8::1]:80"], Some("2001:db8::1")),
            ("10.0.0.1", &["203.0.113.9:1234"], Some("203.0.113.9")),
            ("10.0.0.1", &["::ffff:203.0.113.9"], Some("203.0.113.9")),
            ("10.0.0.1", &["unknown"], None),
            ("10.0.0.1", &["203.0.113.9, _hidden"], None),
            ("10.0.0.1", &["\u{e9}"], None),
            // Nobody is not the proxy itself.
            ("10.0.0.1", &[""], None),
            ("10.0.0.1", &[" , ,"], None),
            ("10.0.0.1", &["203.0.113.9", ""], Some("203.0.113.9")),
            // Nor is it a machine that anybody could reach.
            ("10.0.0.1", &["0.0.0.0"], None),
            ("10.0.0.1", &["203.0.113.9, 0.0.0.0"], None),
            ("10.0.0.1", &["255.255.255.255"], None),
            ("10.0.0.1", &["224.0.0.1"], None),
            ("10.0.0.1", &["::"], None),
            ("10.0.0.1", &["ff02::1"], None),
            ("10.0.0.1", &["::ffff:0.0.0.0"], None),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(FORWARDED_FOR, http::HeaderValue::from_bytes(field.as_bytes()).unwrap());
            }
            let found = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(found, client.map(|text| text.parse().unwrap()), "{peer} {fields:?}");
        }
    }
}
