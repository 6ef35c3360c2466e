//! Showing the history, and its links.

use base::{Explain as _, report};
use bytes::Bytes;
use chain::{Anchor, Head, Link, Signed, moment_of};
use futures_util::{StreamExt as _, TryStreamExt as _};
use identity::Permit;
use store::{Event, Page};

use super::{ANCHOR, Audit, AuditError, ReadAudit, link_id};

/// How many events are looked at for one page, whatever is found.
const LOOKED_AT_MAX: usize = 5_000;
/// How many events are read at once.
const READ_AT_ONCE: usize = 16;

/// Whose matter an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trade {
    /// The certificate authorities'.
    Ca,
    /// Of the hosts and clusters.
    Fleet,
    /// Of trust that is handed on.
    Trust,
    /// The house's own: who was refused what.
    House,
}

impl Trade {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ca, Self::Fleet, Self::Trust, Self::House];

    /// What it is called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::Fleet => "fleet",
            Self::Trust => "trust",
            Self::House => "house",
        }
    }

    /// The one that is called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trade| trade.as_str() == name)
    }

    /// The one whose words `event` is in.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        if event.what.ends_with(" refused") {
            return Self::House;
        }
        match first(&event.about).as_str() {
            "services" | "users" | "server" => Self::Ca,
            "provider" | "requirer" | "relation" => Self::Trust,
            "host" | "cluster" | "network" | "container" => Self::Fleet,
            _ => Self::House,
        }
    }
}

/// Which events are wanted: those of which all of this is true. Words count wherever they stand, whatever their case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// From then on: milliseconds since 1970.
    pub since: Option<i64>,
    /// Before then.
    pub until: Option<i64>,
    /// What happened.
    pub what: Option<String>,
    /// To what.
    pub about: Option<String>,
    /// Who did it.
    pub by: Option<String>,
    /// Whose matter it is.
    pub trade: Option<Trade>,
}

impl Wanted {
    fn has(&self, event: &Event) -> bool {
        let says = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| text.to_lowercase().contains(&wanted.to_lowercase()))
        };
        says(&self.what, &event.what)
            && says(&self.about, &event.about)
            && says(&self.by, &event.by)
            && self.trade.is_none_or(|trade| trade == Trade::of(event))
    }
}

/// A page of the history, the oldest first.
#[derive(Debug)]
pub struct Found {
    /// Events with their ids.
    pub events: Vec<(String, Event)>,
    /// Behind which id the next page begins, if there is more to look at.
    pub next: Option<String>,
}

/// How far the history is linked, and what is needed to check it.
#[derive(Debug)]
pub struct HeadShown {
    /// The last link; none yet at number 0.
    pub head: Head,
    /// The key that signs links, PEM, and what it is called.
    pub key: Option<(String, String)>,
    /// Up to where links were dropped.
    pub anchor: Option<Signed>,
    /// How many links there are.
    pub links: u64,
    /// How many events they have.
    pub events: u64,
}

/// A link and its events, as they are stored.
#[derive(Debug)]
pub struct AuditLink {
    /// Which.
    pub head: Head,
    /// The link.
    pub signed: Signed,
    /// Ids and bytes of its events; none where one is not there.
    pub events: Vec<(String, Option<Bytes>)>,
}

impl Audit {
    /// At most `limit` events that are `wanted`, behind the id `after`. There may be fewer though more follow.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(
        &self,
        _permit: Permit<ReadAudit>,
        wanted: &Wanted,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Found, AuditError> {
        let since = wanted.since.map(|since| format!("{:020}", since.max(0)));
        // An id that begins with that moment is behind the moment itself.
        let mut after = after.map(str::to_owned).into_iter().chain(since).max();
        let (mut events, mut looked_at) = (Vec::new(), 0);
        loop {
            let page =
                Page { after: after.as_deref().map(|id| self.history.key(id)).transpose()?, ..Page::full() };
            let listing = self.engine.list(&self.history, page).await?;
            for (key, found) in &listing.entries {
                let id = self.history.rest(key).unwrap_or_default();
                if wanted.until.is_some_and(|until| moment_of(id).is_some_and(|at| at >= until)) {
                    return Ok(Found { events, next: None });
                }
                looked_at += 1;
                let event = store::decode::<Event>(&found.value).unwrap_or_else(|_| unreadable(id));
                if wanted.has(&event) {
                    events.push((id.to_owned(), event));
                }
                if events.len() >= limit || looked_at >= LOOKED_AT_MAX {
                    return Ok(Found { events, next: Some(id.to_owned()) });
                }
                after = Some(id.to_owned());
            }
            if listing.next.is_none() {
                return Ok(Found { events, next: None });
            }
        }
    }

    /// How far the history is linked.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn show_head(&self, _permit: Permit<ReadAudit>) -> Result<HeadShown, AuditError> {
        let record = self.tables.head.get(super::HEAD).await?.map(|found| found.record);
        let signed = self.tables.anchor.get(ANCHOR).await?.map(|found| found.record.signed());
        let anchor = signed.as_ref().map(|signed| Anchor::parse(&signed.text)).transpose();
        let anchor = anchor.map_err(chain::Broken::Anchor)?;
        let head = record.as_ref().map_or(Ok(Head::NONE), super::HeadRecord::head)?;
        let key = self.public_key().await?;
        let dropped = anchor.map_or((0, 0), |anchor| (anchor.head.number, anchor.total));
        Ok(HeadShown {
            head,
            key: key.map(|key| (x509::pem::write("PUBLIC KEY", key.spki()), chain::fingerprint(&key))),
            anchor: signed,
            links: head.number.saturating_sub(dropped.0),
            events: record.map_or(0, |record| record.total).saturating_sub(dropped.1),
        })
    }

    /// At most `limit` links behind number `after`, with their events.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn links(
        &self,
        _permit: Permit<ReadAudit>,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<AuditLink>, bool), AuditError> {
        self.read_links(after, limit).await
    }

    pub(super) async fn read_links(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<AuditLink>, bool), AuditError> {
        let after = self.tables.link.key(&link_id(after))?;
        let listing = self.tables.link.list(Page { after: Some(after), limit }).await?;
        let mut links = Vec::new();
        for (id, found) in listing.entries {
            let signed = found.record.signed();
            let number = id.parse().unwrap_or(u64::MAX);
            let ids = Link::parse(&signed.text).map(|link| link.events).unwrap_or_default();
            let events = futures_util::stream::iter(ids)
                .map(async |event| {
                    let found = self.engine.get(&self.history.key(&event.id)?).await?;
                    Ok::<_, store::Error>((event.id, found.map(|found| found.value)))
                })
                .buffered(READ_AT_ONCE)
                .try_collect()
                .await?;
            links.push(AuditLink { head: Head { number, hash: signed.hash() }, signed, events });
        }
        Ok((links, listing.next.is_some()))
    }

    /// Logs the last link, so that whoever keeps logs elsewhere can check later.
    pub(crate) async fn tell(&self) {
        match self.head().await {
            Ok(Head::NONE) => {}
            Ok(head) => tracing::info!(%head, "history is linked up to here"),
            Err(error) => {
                tracing::warn!(error = %report(&error), hint = error.help(), "the last link cannot be read");
            }
        }
    }
}

/// What is shown of a record that is no event.
fn unreadable(id: &str) -> Event {
    Event {
        at_milliseconds: moment_of(id).unwrap_or_default(),
        what: "record cannot be read".into(),
        about: format!("history {id}"),
        by: "unknown".into(),
        from: None,
        facts: std::collections::BTreeMap::new(),
    }
}
