//! Where this machine's own server is, should nobody know its name: a certificate may have one that is in no DNS yet.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::endpoint::Endpoint;

/// Names whose servers are on this machine, and the address that they have here where looking them up leads nowhere. Whoever
/// answers there has to have the certificate of the name all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearby {
    names: Vec<String>,
    address: IpAddr,
}

impl Nearby {
    /// The servers of `endpoints`, at `address`.
    #[must_use]
    pub fn at(endpoints: &[Endpoint], address: IpAddr) -> Self {
        let name = |endpoint: &Endpoint| Url::parse(&endpoint.url("/")).ok()?.host_str().map(str::to_owned);
        Self { names: endpoints.iter().filter_map(name).collect(), address }
    }

    /// How `builder`'s connections find who is asked: as all do, and then as this says.
    pub(crate) fn lead(this: Option<&Self>, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        match this {
            Some(this) => builder.dns_resolver(Arc::new(this.clone())),
            None => builder,
        }
    }
}

impl Resolve for Nearby {
    fn resolve(&self, name: Name) -> Resolving {
        let here = self.names.iter().any(|one| one == name.as_str()).then_some(self.address);
        Box::pin(async move {
            // The port is the URL's.
            let found = match (tokio::net::lookup_host((name.as_str(), 0)).await, here) {
                (Ok(found), _) => found.collect(),
                (Err(_), Some(address)) => vec![SocketAddr::new(address, 0)],
                (Err(error), None) => return Err(error.into()),
            };
            Ok::<Addrs, _>(Box::new(found.into_iter()))
        })
    }
}
