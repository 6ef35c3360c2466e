//! Taking in hosts.
//!
//! Everything is checked before anything is written, and all of it is written at once: the host, its credentials,
//! its place in a cluster. So no address is ever stuck with half a host (commissaire contract, section 3.2).

use base::{Explain, Kind};
use identity::{Permit, Principal};
use store::{CommitError, Loaded};

use crate::address::HostAddress;
use crate::draft::{Draft, Line};
use crate::error::{OpenSecretError, from_store, of_store};
use crate::event::Happened;
use crate::host::{Host, NewHost};
use crate::index;
use crate::name::ClusterName;
use crate::record::{ClusterRecord, HostRecord, MarkRecord};
use crate::service::{AddHost, Expected, Fleet, Put, RegisterHost};

/// Why a host was not added. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AddHostError {
    /// Who registers itself did not come over the network.
    #[error("a host registers itself by the address it comes from, and there is none")]
    NoAddress,
    /// Nothing can be reached under this name.
    #[error("`{address}` is neither the IP address of a host nor a DNS name")]
    Unreachable {
        /// Which.
        address: HostAddress,
    },
    /// The cluster it was to join does not exist.
    #[error("the cluster `{cluster}` does not exist")]
    NoSuchCluster {
        /// Which.
        cluster: String,
    },
    /// It exists, with another key.
    #[error("the host {address} exists, with another SSH key")]
    DifferentKey {
        /// Which.
        address: HostAddress,
    },
    /// It is not as whoever asks has seen it.
    #[error("the host {address} was changed meanwhile")]
    Changed {
        /// Which.
        address: HostAddress,
    },
    /// It exists, and is not in the cluster that was named.
    #[error("the host {address} exists, and is not in the cluster `{cluster}`")]
    NotInCluster {
        /// Which.
        address: HostAddress,
        /// The cluster that was named.
        cluster: ClusterName,
    },
    /// It is said to come from an inventory that is not known.
    #[error("the inventory `{source_name}` is not known")]
    NoSuchSource {
        /// Which.
        source_name: String,
    },
    /// Something that is said about it is too long.
    #[error("`{what}` is longer than {bytes_max} bytes")]
    TooLong {
        /// Which member.
        what: &'static str,
        /// How long it may be.
        bytes_max: usize,
    },
    /// Its stored credentials cannot be opened.
    #[error("the stored credentials of {address} cannot be opened")]
    Sealed {
        /// Whose.
        address: HostAddress,
        /// Why.
        #[source]
        source: OpenSecretError,
    },
    /// The store failed, or others were faster too often.
    #[error("could not read or write the host")]
    Store(#[source] CommitError),
}

impl Explain for AddHostError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoAddress | Self::Unreachable { .. } | Self::NoSuchSource { .. } | Self::TooLong { .. } => {
                Kind::Invalid
            }
            Self::NoSuchCluster { .. }
            | Self::DifferentKey { .. }
            | Self::Changed { .. }
            | Self::NotInCluster { .. } => Kind::Conflict,
            Self::Sealed { .. } => Kind::Internal,
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoSuchCluster { .. } => Some("create the cluster first".into()),
            Self::DifferentKey { .. } => Some("delete the host first, to add it with this key".into()),
            Self::NotInCluster { .. } => Some("let it join the cluster instead".into()),
            Self::NoSuchSource { .. } => Some(
                "leave `source` out, or empty: there are no inventories but this server's own yet".into(),
            ),
            Self::NoAddress
            | Self::Unreachable { .. }
            | Self::Changed { .. }
            | Self::TooLong { .. }
            | Self::Sealed { .. }
            | Self::Store(_) => None,
        }
    }
}

from_store!(AddHostError);

impl Fleet {
    /// Adds a host; the same again changes nothing. Looking at it is somebody else's work: it stays as `new` says. One
    /// whose record cannot be read is replaced.
    ///
    /// # Errors
    /// See [`AddHostError`]. Of a host that exists only key and cluster count; the rest of `new` is ignored.
    pub async fn add_host(
        &self,
        permit: Permit<AddHost>,
        address: HostAddress,
        new: NewHost,
    ) -> Result<Put<Host>, AddHostError> {
        self.add_host_if(permit, address, new, Expected::Anything).await
    }

    /// As [`Self::add_host`], provided there is what is `expected`.
    ///
    /// # Errors
    /// As for [`Self::add_host`], and [`AddHostError::Changed`] when there is something else.
    pub async fn add_host_if(
        &self,
        permit: Permit<AddHost>,
        address: HostAddress,
        new: NewHost,
        expected: Expected,
    ) -> Result<Put<Host>, AddHostError> {
        self.take_in(address, new, (permit.by(), false), expected).await
    }

    /// Adds whoever asks, under the address that they ask from; the same again changes nothing. What they say of their
    /// status, their facts and their source does not count: machines know a password that is in many hands.
    ///
    /// # Errors
    /// As for [`Self::add_host`], and [`AddHostError::NoAddress`] when they do not ask over the network.
    pub async fn register_host(
        &self,
        permit: Permit<RegisterHost>,
        new: NewHost,
    ) -> Result<Put<Host>, AddHostError> {
        // An IPv4 address stays one, also where a socket for both kinds took the connection.
        let from = permit.by().from().ok_or(AddHostError::NoAddress)?.to_canonical();
        let address = from.to_string().parse().map_err(|_| AddHostError::NoAddress)?;
        // How far it has come is for those to say who look at it.
        let NewHost { cluster, labels, credentials, .. } = new;
        let new = NewHost { cluster, labels, credentials, ..NewHost::default() };
        self.take_in(address, new, (permit.by(), true), Expected::Anything).await
    }

    async fn take_in(
        &self,
        address: HostAddress,
        new: NewHost,
        (by, registers): (&Principal, bool),
        expected: Expected,
    ) -> Result<Put<Host>, AddHostError> {
        let address = self.known(&address).await?;
        let mut line = Line::default();
        loop {
            let cluster = self.wanted_cluster(&new).await?;
            let (found, replaced) = match self.tables.host.get(address.as_str()).await {
                // Whoever registers cannot do away with what somebody else may still want to look at.
                Err(store::Error::Record { .. }) if !registers => {
                    (None, self.host_or_traces(&address).await?)
                }
                read => (read?, None),
            };
            // One that cannot be read is there all the same, but nobody has seen a version of it.
            let seen = found.as_ref().map(|found| found.version);
            if !expected.holds(seen) || replaced.is_some() && expected != Expected::Anything {
                return Err(AddHostError::Changed { address });
            }
            if let Some(found) = found {
                let key = self.stored_key(&address).await?;
                let checked = new.check_again(&address, &found.record, &key);
                if let Err(AddHostError::NotInCluster { cluster, .. }) = &checked {
                    line.step_aside();
                    if !self.is_settled(cluster, &address, false, 0).await? {
                        continue;
                    }
                }
                checked?;
                if let Some(cluster) = &new.cluster {
                    // One that is about to leave it, or whose cluster goes, is no member to whoever asks now.
                    line.step_aside();
                    if self.settle(cluster.as_str(), 0).await? {
                        continue;
                    }
                }
                let version = found.version;
                return Ok(Put { is: self.host_from(address, found.record)?, version, is_new: false });
            }
            new.check()?;
            let record = new.record(&address);
            let mut draft = Draft::default();
            self.stage_host(&mut draft, replaced.as_ref(), Some(&record))?;
            if let Some(replaced) = replaced {
                self.stage_replacement(&mut draft, &replaced.record, &record).await?;
            }
            self.stage_addition(&mut draft, &address, &new, cluster.as_ref(), (by, registers))?;
            if let Some(version) = self.commit(draft, &mut line).await? {
                return Ok(Put { is: self.host_from(address, record)?, version, is_new: true });
            }
        }
    }

    /// The cluster that a new host is to join.
    async fn wanted_cluster(&self, new: &NewHost) -> Result<Option<Loaded<ClusterRecord>>, AddHostError> {
        let Some(name) = &new.cluster else { return Ok(None) };
        let found = self.tables.cluster.get(name.as_str()).await?;
        found.map(Some).ok_or_else(|| AddHostError::NoSuchCluster { cluster: name.to_string() })
    }

    /// A host that is replaced leaves its cluster, unless the new one is in it as well; and the index of the new one is
    /// whole, whatever that of the old one was.
    async fn stage_replacement(
        &self,
        draft: &mut Draft,
        replaced: &HostRecord,
        new: &HostRecord,
    ) -> Result<(), store::Error> {
        for key in index::keys(new).intersection(&index::keys(replaced)) {
            self.tables.index.put(&mut draft.batch, key, &MarkRecord)?;
        }
        if replaced.cluster != new.cluster
            && let Some(name) = replaced.cluster.as_deref()
            && let Some(cluster) = self.tables.cluster.get(name).await?
        {
            self.stage_roster(draft, &cluster, &[], std::slice::from_ref(&replaced.address))?;
        }
        Ok(())
    }

    /// All that is written for a new host besides its record.
    fn stage_addition(
        &self,
        draft: &mut Draft,
        address: &HostAddress,
        new: &NewHost,
        cluster: Option<&Loaded<ClusterRecord>>,
        (by, registers): (&Principal, bool),
    ) -> Result<(), store::Error> {
        self.stage_credentials(draft, address, &new.credentials)?;
        if let Some(cluster) = cluster {
            self.stage_roster(draft, cluster, &[address.to_string()], &[])?;
        }
        let cluster = new.cluster.as_ref();
        let happened = if registers {
            Happened::HostRegistered { address, cluster }
        } else {
            Happened::HostAdded { address, cluster }
        };
        self.record_event(draft, &happened, by)
    }
}
