//! Ports that nobody uses.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the system takes ports for outgoing connections (Linux: 32768 and up).
const FIRST: u16 = 12_000;
/// How many pairs there are.
const PAIRS: u16 = 10_000;

/// How many pairs this process has tried.
static TRIED: AtomicU16 = AtomicU16::new(0);

/// A port P for which P and P+1 are free on all addresses now. Each process begins looking elsewhere, so
/// that tests at the same time rarely meet; whoever binds must still be ready to find it taken.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_pair() -> u16 {
    // Neighbours in time have neighbouring process ids: leave room between them.
    let start = u16::try_from(u64::from(std::process::id()) * 31 % u64::from(PAIRS)).unwrap();
    for _ in 0..PAIRS {
        let pair = start.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % PAIRS;
        let port = FIRST + 2 * pair;
        if is_free(port) && is_free(port + 1) {
            return port;
        }
    }
    panic!("no two neighbouring ports are free");
}

fn is_free(port: u16) -> bool {
    let v6 = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port));
    // Where there is no IPv6, IPv4 alone decides.
    let in_use = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
    if v6.as_ref().is_err_and(in_use) {
        return false;
    }
    drop(v6);
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_free_and_the_next_one_is_another() {
        let first = free_pair();
        let _http = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let _https = TcpListener::bind((Ipv4Addr::LOCALHOST, first + 1)).unwrap();
        assert!(!is_free(first));
        assert_ne!(free_pair(), first);
    }
}
