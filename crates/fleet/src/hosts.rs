//! Looking at hosts.
//!
//! A page of hosts that are found by several things at once is made from the keys of the index: of the lists that
//! could be gone through, the one that comes to the furthest address with a page is, less what the others are known
//! not to have. What is left is loaded and compared with the whole filter, so what is answered is true of the host as
//! it was loaded. A call looks at some
//! thousand keys at most; where it finds little among them, the page is short, and says where to go on.

use base::{Explain, Kind};
use futures_util::future::join_all;
use identity::Permit;
use store::{CommitError, Loaded, Page, Table};

use crate::address::HostAddress;
use crate::draft::{Draft, Line};
use crate::error::{ListError, from_store, of_store};
use crate::event::Happened;
use crate::host::{Host, HostStatus, TEXT_BYTES_MAX};
use crate::index::{self, FoundBy};
use crate::label::{BadLabel, LabelChange, Labels};
use crate::manager::NodeStatus;
use crate::name::ClusterName;
use crate::record::{HostRecord, MarkRecord};
use crate::service::{Expected, Fleet, LabelHost, ReadHosts, Seen, unreadable};

/// The most hosts or clusters in one page.
pub const PAGE_MAX: usize = 1_000;
/// How many keys of each list are looked at in one go, when there are several lists.
const KEYS_AT_ONCE: usize = 256;
/// How often that is done for one page.
const ROUNDS_MAX: usize = 16;
/// How many records are loaded at the same time.
pub(crate) const LOADS_AT_ONCE: usize = 64;

/// Which hosts are wanted: those of which all of it is true.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFilter {
    /// Of this cluster.
    pub cluster: Option<ClusterName>,
    /// With this status; any that is none of ours stands for all of those.
    pub status: Option<HostStatus>,
    /// With this operating system.
    pub os: Option<String>,
    /// With all of these labels.
    pub labels: Labels,
}

impl HostFilter {
    /// Whether there can be such hosts: none has an OS that is longer than is kept.
    fn is_possible(&self) -> bool {
        self.os.as_ref().is_none_or(|os| os.len() <= TEXT_BYTES_MAX)
    }

    fn criteria(&self) -> Vec<FoundBy<'_>> {
        let labels = self.labels.as_map().iter().map(|(key, value)| FoundBy::Label(key, value));
        let cluster = self.cluster.as_ref().map(|cluster| FoundBy::Cluster(cluster.as_str()));
        let status = self.status.as_ref().map(|status| FoundBy::Status(status.as_str()));
        let os = self.os.as_deref().map(FoundBy::Os);
        labels.chain(cluster).chain(status).chain(os).collect()
    }
}

/// A page of hosts, in the bytewise order of their addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostPage {
    /// The hosts. Perhaps fewer than were asked for, also when there are more.
    pub hosts: Vec<Seen<Host>>,
    /// Behind which address the next page begins; nothing on the last one.
    pub next: Option<HostAddress>,
}

/// Hosts that may be what is looked for, in bytewise order.
struct Candidates {
    addresses: Vec<String>,
    /// The last address that was considered; nobody else up to there is looked for.
    last: Option<String>,
    /// Whether there may be others behind it.
    more: bool,
}

/// Why a host could not be shown, labelled or deleted.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no such host.
    #[error("the host {address} does not exist")]
    NoSuchHost {
        /// Which.
        address: HostAddress,
    },
    /// It is not as whoever asks has seen it.
    #[error("the host {address} was changed meanwhile")]
    Changed {
        /// Which.
        address: HostAddress,
    },
    /// It would have labels that no host may have.
    #[error(transparent)]
    Labels(#[from] BadLabel),
    /// The store failed, or others were faster too often.
    #[error("could not read or write the host")]
    Store(#[source] CommitError),
}

impl Explain for HostError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchHost { .. } => Kind::NotFound,
            Self::Changed { .. } => Kind::Conflict,
            Self::Labels(error) => error.kind(),
            Self::Store(source) => of_store(source),
        }
    }
}

from_store!(HostError);

impl Fleet {
    /// One host.
    ///
    /// # Errors
    /// [`HostError::NoSuchHost`] only when there is none.
    pub async fn host(
        &self,
        _permit: Permit<ReadHosts>,
        address: &HostAddress,
    ) -> Result<Seen<Host>, HostError> {
        let address = self.known(address).await?;
        match self.tables.host.get(address.as_str()).await? {
            Some(found) => Ok(self.seen(address, found)?),
            None => Err(HostError::NoSuchHost { address }),
        }
    }

    /// One host, and what its container manager says about it.
    ///
    /// # Errors
    /// As for [`Self::host`]. A container manager that is not there is part of the answer.
    pub async fn host_status(
        &self,
        permit: Permit<ReadHosts>,
        address: &HostAddress,
    ) -> Result<(Seen<Host>, NodeStatus), HostError> {
        let host = self.host(permit, address).await?;
        let node = self.node_status(&host.is).await?;
        Ok((host, node))
    }

    /// What `made_of` makes of all hosts that can be read, in the order of their addresses, numbers by their value. Who
    /// can do with less takes pages.
    ///
    /// There may be many hosts, and no more of them than a page are held at once: only what is made of them.
    ///
    /// # Errors
    /// The store's.
    pub async fn all_hosts<T>(
        &self,
        _permit: Permit<ReadHosts>,
        mut made_of: impl FnMut(Host) -> T,
    ) -> Result<Vec<T>, ListError> {
        let mut all = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.list(&self.tables.host, page).await?;
            for (text, loaded) in found.entries {
                let host = self.address(&text).and_then(|address| self.host_from(address, loaded.record));
                let made = self.readable(host)?.map(|host| (host.address.clone(), made_of(host)));
                all.extend(made);
            }
            next = found.next;
        }
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(all.into_iter().map(|(_, made)| made).collect())
    }

    /// At most `limit` hosts (and at most [`PAGE_MAX`]) behind the address `after`, of those that `filter` asks for and
    /// that can be read.
    ///
    /// # Errors
    /// The store's.
    pub async fn hosts(
        &self,
        _permit: Permit<ReadHosts>,
        filter: &HostFilter,
        after: Option<&HostAddress>,
        limit: usize,
    ) -> Result<HostPage, ListError> {
        if !filter.is_possible() {
            return Ok(HostPage::default());
        }
        let limit = limit.clamp(1, PAGE_MAX);
        let criteria = filter.criteria();
        if criteria.is_empty() {
            return self.unfiltered(after, limit).await;
        }
        let mut page = HostPage { hosts: Vec::new(), next: after.cloned() };
        for _ in 0..ROUNDS_MAX {
            let wanted = limit - page.hosts.len();
            let candidates = self.candidates(&criteria, page.next.as_ref(), wanted).await?;
            let all_seen = self.take_matching(&mut page, &candidates, &criteria, limit).await?;
            if all_seen && !candidates.more {
                page.next = None;
                return Ok(page);
            }
            if page.hosts.len() == limit {
                return Ok(page);
            }
        }
        Ok(page)
    }

    async fn unfiltered(&self, after: Option<&HostAddress>, limit: usize) -> Result<HostPage, ListError> {
        let after = after.map(|after| self.tables.host.key(after.as_str())).transpose()?;
        let mut page = HostPage::default();
        let mut next = Some(Page { after, limit });
        // Where none can be read, the page is not over: it goes on behind the last host in it.
        while page.hosts.is_empty()
            && let Some(wanted) = next
        {
            let found = self.list(&self.tables.host, wanted).await?;
            for (text, loaded) in found.entries {
                let host = self.address(&text).and_then(|address| self.seen(address, loaded));
                page.hosts.extend(self.readable(host)?);
            }
            next = found.next;
        }
        if next.is_some() {
            page.next = page.hosts.last().map(|host| host.is.address.clone());
        }
        Ok(page)
    }

    /// Hosts behind `after` among which are all that `criteria` find, up to the last of them.
    async fn candidates(
        &self,
        criteria: &[FoundBy<'_>],
        after: Option<&HostAddress>,
        wanted: usize,
    ) -> Result<Candidates, store::Error> {
        let limit = if criteria.len() == 1 { wanted } else { wanted.max(KEYS_AT_ONCE) };
        let list = async |by: &FoundBy<'_>| {
            let prefix = format!("{}{}", index::PREFIX, by.prefix());
            let list = Table::<MarkRecord>::new(self.ground.engine.clone(), &prefix)?;
            let after = after.map(|after| list.key(after.as_str())).transpose()?;
            let found = list.list(Page { after, limit }).await?;
            let addresses: Vec<_> = found.entries.into_iter().map(|(address, _)| address).collect();
            let last = addresses.last().cloned();
            Ok::<_, store::Error>(Candidates { addresses, last, more: found.next.is_some() })
        };
        let lists = join_all(criteria.iter().map(list)).await;
        Ok(Candidates::of(lists.into_iter().collect::<Result<_, _>>()?))
    }

    /// Adds those of `candidates` that all of `criteria` find, until the page has `limit`; it goes on behind the
    /// last that was considered. Whether all were.
    async fn take_matching(
        &self,
        page: &mut HostPage,
        candidates: &Candidates,
        criteria: &[FoundBy<'_>],
        limit: usize,
    ) -> Result<bool, store::Error> {
        for some in candidates.addresses.chunks(LOADS_AT_ONCE) {
            let loaded = join_all(some.iter().map(|address| self.tables.host.get(address))).await;
            for (text, loaded) in some.iter().zip(loaded) {
                if page.hosts.len() == limit {
                    return Ok(false);
                }
                let Some(address) = self.readable(self.address(text))? else { continue };
                page.next = Some(address.clone());
                // Deleted or changed since it was listed: not what is looked for.
                if let Some(loaded) = self.readable(loaded)?.flatten()
                    && criteria.iter().all(|by| by.finds(&loaded.record))
                {
                    page.hosts.extend(self.readable(self.seen(address, loaded))?);
                }
            }
        }
        if let Some(last) = &candidates.last {
            page.next = Some(self.address(last)?);
        }
        Ok(true)
    }

    /// Changes what operators say about a host. Of two who do so at once, the one that comes later changes what the
    /// other one left.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn label_host(
        &self,
        permit: Permit<LabelHost>,
        address: &HostAddress,
        change: &LabelChange,
        expected: Expected,
    ) -> Result<Seen<Host>, HostError> {
        let address = &self.known(address).await?;
        let mut line = Line::default();
        loop {
            let found = self.tables.host.get(address.as_str()).await?;
            let found = found.ok_or_else(|| HostError::NoSuchHost { address: address.clone() })?;
            if !expected.holds(Some(found.version)) {
                return Err(HostError::Changed { address: address.clone() });
            }
            let labels = &Labels::from_record(found.record.labels.clone()).after(change)?;
            if found.record.labels == *labels.as_map() {
                return Ok(self.seen(address.clone(), found)?);
            }
            let after = HostRecord { labels: labels.as_map().clone(), ..found.record.clone() };
            let mut draft = Draft::default();
            self.stage_host(&mut draft, Some(&found), Some(&after))?;
            self.record_event(&mut draft, &Happened::HostLabelled { address, labels }, permit.by())?;
            if let Some(version) = self.commit(draft, &mut line).await? {
                return Ok(Seen { is: self.host_from(address.clone(), after)?, version });
            }
        }
    }

    fn seen(&self, address: HostAddress, loaded: Loaded<HostRecord>) -> Result<Seen<Host>, store::Error> {
        Ok(Seen { is: self.host_from(address, loaded.record)?, version: loaded.version })
    }

    /// What stands in a host's record.
    pub(crate) fn host_from(&self, address: HostAddress, record: HostRecord) -> Result<Host, store::Error> {
        Host::from_record(address.clone(), record)
            .map_err(|error| unreadable(&self.tables.host, address.as_str(), error))
    }

    /// An address that stands in a key.
    pub(crate) fn address(&self, text: &str) -> Result<HostAddress, store::Error> {
        HostAddress::stored(text).map_err(|error| unreadable(&self.tables.host, text, error))
    }
}

impl Candidates {
    /// Those of the list that comes furthest that each other list has, or may have behind its end. Who is in all
    /// lists all the time is never left out, whatever else is written meanwhile.
    fn of(lists: Vec<Self>) -> Self {
        let mut lists = lists.into_iter();
        let Some(mut best) = lists.next() else {
            return Self { addresses: Vec::new(), last: None, more: false };
        };
        let mut others = Vec::new();
        for list in lists {
            let other =
                if list.comes_further_than(&best) { std::mem::replace(&mut best, list) } else { list };
            others.push(other);
        }
        best.addresses.retain(|address| others.iter().all(|other| other.may_have(address)));
        best
    }

    fn may_have(&self, address: &String) -> bool {
        let is_behind = self.more && self.last.as_ref() < Some(address);
        is_behind || self.addresses.binary_search(address).is_ok()
    }

    /// Whether more of what is looked for is behind it when it was gone through: the end is furthest, and of two
    /// that come there the shorter one is the better.
    fn comes_further_than(&self, other: &Self) -> bool {
        match (self.more, other.more) {
            (false, false) => self.addresses.len() < other.addresses.len(),
            (false, true) => true,
            (true, false) => false,
            (true, true) => self.last > other.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_what_no_list_speaks_against() {
        let list = |addresses: &str, more: bool| {
            let addresses: Vec<String> = addresses.split_whitespace().map(str::to_owned).collect();
            Candidates { last: addresses.last().cloned(), addresses, more }
        };
        for (lists, expected, last, more) in [
            (vec![list("a b", true)], "a b", Some("b"), true),
            // Both are known to their ends: what both have, and nothing follows.
            (vec![list("a b c", false), list("b d", false)], "b", Some("d"), false),
            (vec![list("", false), list("a", true)], "", None, false),
            // The second comes further; the first says nothing about what is behind `c`.
            (vec![list("a c", true), list("b c d e", true)], "c d e", Some("e"), true),
            // One that has ended wins, though the other may have more.
            (vec![list("a b c d", true), list("b e", false)], "b e", Some("e"), false),
            (vec![list("a b", true), list("c d", true), list("a d", true)], "d", Some("d"), true),
        ] {
            let found = Candidates::of(lists);
            assert_eq!((found.addresses.join(" ").as_str(), found.last.as_deref()), (expected, last));
            assert_eq!(found.more, more, "{expected}");
        }
    }
}
