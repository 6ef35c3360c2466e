//! Where this machine's own server is, should nobody know its name: a certificate may have one that is in no DNS yet.
//!
//! Over HTTPS only those go there who look at the server's certificate, which has to have the name. Over plain HTTP nobody proves
//! who they are, wherever a name leads: what is signed is believed, and nothing else. So an address that the operator wrote down
//! for this machine takes nothing from whoever asks there.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::endpoint::Endpoint;

/// How long a name is looked up that has an address here in any case: where nobody answers for a while, that would be all the time
/// that a connection has.
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(1);

/// Names whose servers are on this machine, and the address that they have here where looking them up leads nowhere, or takes
/// long.
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
            let looking = async { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) };
            let found = found(looking, here, LOOKED_UP_WITHIN).await?;
            Ok::<Addrs, _>(Box::new(found.into_iter()))
        })
    }
}

/// What `looking` finds; `here`, where there is that, and nothing is found `within` so long.
async fn found(
    looking: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    here: Option<IpAddr>,
    within: Duration,
) -> io::Result<Vec<SocketAddr>> {
    let Some(here) = here else { return looking.await };
    match tokio::time::timeout(within, looking).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) | Err(_) => Ok(vec![SocketAddr::new(here, 0)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever answers is believed; where nobody does, or not in time, the name has its address here, if it has one.
    #[tokio::test]
    async fn a_name_is_not_looked_up_for_ever() {
        let here = Some(IpAddr::from([127, 0, 0, 1]));
        let [there, own] = [[192, 0, 2, 1], [127, 0, 0, 1]].map(|ip| SocketAddr::new(IpAddr::from(ip), 0));
        let long = Duration::from_secs(60);
        assert_eq!(found(async { Ok(vec![there]) }, here, long).await.unwrap(), [there]);
        let unknown = || async { Err(io::Error::from(io::ErrorKind::NotFound)) };
        assert_eq!(found(unknown(), here, long).await.unwrap(), [own]);
        assert!(found(unknown(), None, long).await.is_err());
        let nobody = std::future::pending();
        assert_eq!(found(nobody, here, Duration::from_millis(1)).await.unwrap(), [own]);
    }
}
