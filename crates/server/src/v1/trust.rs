//! Who provides trust for whom, and whether everybody has what they are to have.

use std::collections::BTreeSet;
use std::time::Duration;

use base::{Span, Timestamp};
use bus::Heard;
use futures_util::StreamExt as _;
use http::StatusCode;
use identity::Permit;
use tokio::time::{Instant, sleep_until, timeout_at};
use trust::{
    Anchor, BundleSince, EventId, Finding, Fingerprint, InPlace, Offer, Only, PlaceEvent, ProviderName,
    RequirerName, SetChange, Terms, Trust, Unit, UnitState, Why,
};
use wire::Page;

use super::V1;
use super::answer::Answer;
use super::asked::{Asked, cursor};
use super::refusal::Refusal;
use super::table::Parameter;

mod places;

/// What the cursors of these lists begin with.
const PROVIDERS: char = 'p';
const REQUIRERS: char = 'r';
const RELATIONS: char = 'n';
const PLACES: char = 'u';
const HISTORY: char = 't';

/// How long a bundle is not looked at again, however much happens: of many changes at once, each who waits looks at few.
const LOOKS_APART: Duration = Duration::from_millis(250);
/// How long a bundle that nobody hints at is not looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl V1 {
    fn trust(&self) -> &std::sync::Arc<Trust> {
        self.house.trust()
    }

    pub(super) async fn trust_providers(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (limit, after) = (asked.limit()?, asked.after::<ProviderName>(PROVIDERS)?);
        let all = self.trust().list_providers(asked.permit()?).await?;
        let behind =
            all.into_iter().filter(|provider| after.as_ref().is_none_or(|after| provider.name > *after));
        Ok(Answer::ok(&page(behind.map(provider), limit, PROVIDERS, |provider| provider.name.clone())))
    }

    pub(super) async fn trust_provider(&self, asked: Asked) -> Result<Answer, Refusal> {
        let found = self.trust().provider(asked.permit()?, &asked.part(0)?).await?;
        let found = found.ok_or_else(|| not_found("there is no such provider"))?;
        Ok(Answer::ok(&provider(found)))
    }

    pub(super) async fn put_trust_provider(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let (permit, name) = (asked.permit()?, asked.part::<ProviderName>(0)?);
        let said: wire::NewTrustProvider = asked.json().await?;
        let mut terms = Terms::default();
        if let Some(refuse) = &said.refuse {
            let finding = |name: &String| {
                Finding::from_name(name).ok_or_else(|| {
                    let known: Vec<&str> = Finding::all().map(Finding::name).collect();
                    Refusal::unfit("`refuse` has a word that is not known")
                        .hint(Some(format!("known are {}", known.join(", "))))
                })
            };
            terms.refuse = refuse.iter().map(finding).collect::<Result<BTreeSet<_>, _>>()?;
        }
        terms.only = Only::new(said.only).map_err(|error| Refusal::unfit(error.to_string()))?;
        if let Some(seconds) = said.grace_seconds {
            if seconds > wire::GRACE_SECONDS_MAX {
                return Err(Refusal::unfit("a grace is a year at most"));
            }
            terms.grace = Span::seconds(i64::from(seconds));
        }
        let (trust, why) = (self.trust().clone(), why(said.why.as_deref())?);
        let set = async move { trust.set_provider(permit, &name, &terms, &why).await };
        Ok(Answer::ok(&provider(self.house.tasks().complete(set).await?)))
    }

    pub(super) async fn delete_trust_provider(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (permit, name) = (asked.permit()?, asked.part::<ProviderName>(0)?);
        let (confirmed, why) = (asked.flag(Parameter::Confirm)?, asked_why(&asked)?);
        let trust = self.trust().clone();
        let remove = async move { trust.remove_provider(permit, &name, confirmed, &why).await };
        self.house.tasks().complete(remove).await?;
        Ok(Answer::gone())
    }

    pub(super) async fn provider_certificates(&self, asked: Asked) -> Result<Answer, Refusal> {
        let found = self.trust().provider_set(asked.permit()?, &asked.part(0)?).await?;
        let (set, anchors) = found.ok_or_else(|| not_found("there is no such provider"))?;
        Ok(Answer::ok(&certificates(&set, anchors.iter(), self.house.clock().now())))
    }

    pub(super) async fn offer_trust(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let (permit, name) = (asked.permit()?, asked.part::<ProviderName>(0)?);
        let said: wire::NewTrustOffer = asked.json().await?;
        let why = why(said.why.as_deref())?;
        let offer = offer(said)?;
        let trust = self.trust().clone();
        let done = async move { trust.offer(permit, &name, &offer, &why).await };
        let done = self.house.tasks().complete(done).await.map_err(|error| match error {
            refused @ trust::ChangeError::Refused(_) => {
                Refusal::with(StatusCode::UNPROCESSABLE_ENTITY, &refused)
            }
            error => error.into(),
        })?;
        Ok(Answer::ok(&wire::TrustOffer {
            set: set(&done.set),
            came: texts(&done.came),
            went: texts(&done.went),
            findings: done
                .findings
                .iter()
                .map(|(which, found)| wire::TrustFinding {
                    fingerprint: which.to_string(),
                    findings: names(found),
                })
                .collect(),
        }))
    }

    pub(super) async fn explain_trust(&self, asked: Asked) -> Result<Answer, Refusal> {
        let which = fingerprint(asked.text(0))?;
        let found = self.trust().explain(asked.permit()?, which).await?;
        let found = found.ok_or_else(|| not_found("nobody ever brought that certificate"))?;
        let now = self.house.clock().now();
        let has = |has: trust::Has| wire::TrustHas {
            requirer: has.requirer.to_string(),
            wanted: has.wanted,
            places: has.units.into_iter().map(place_state).collect(),
            more: has.more,
        };
        Ok(Answer::ok(&wire::TrustExplanation {
            fingerprint: which.to_string(),
            certificate: found.anchor.as_ref().map(|anchor| certificate(anchor, now)),
            brought: found
                .brought
                .into_iter()
                .map(|brought| wire::TrustBrought {
                    from: brought.from,
                    by: brought.by,
                    at: brought.at.to_string(),
                    why: brought.why,
                })
                .collect(),
            offered: found
                .offered
                .into_iter()
                .map(|(provider, relation)| wire::TrustOffered { provider: provider.to_string(), relation })
                .collect(),
            requirers: found.requirers.into_iter().map(has).collect(),
        }))
    }

    pub(super) async fn trust_requirers(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (limit, after) = (asked.limit()?, asked.after::<RequirerName>(REQUIRERS)?);
        let (found, more) = self.trust().list_requirers(asked.permit()?, after.as_ref(), limit).await?;
        let next = found.last().filter(|_| more).map(|last| cursor(REQUIRERS, last.requirer.name.as_str()));
        let items: Vec<_> = found.into_iter().map(requirer).collect();
        Ok(Answer::ok(&Page { items, next }))
    }

    pub(super) async fn trust_requirer(&self, asked: Asked) -> Result<Answer, Refusal> {
        let found = self.trust().requirer(asked.permit()?, &asked.part(0)?).await?;
        Ok(Answer::ok(&requirer(found)))
    }

    pub(super) async fn put_trust_requirer(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let (permit, look, name) = (asked.permit()?, asked.permit()?, asked.part::<RequirerName>(0)?);
        let said: wire::NewTrustRequirer = asked.json().await?;
        let why = why(said.why.as_deref())?;
        let place = places::read(said.place)?;
        let trust = self.trust().clone();
        let set = async move { trust.set_requirer(permit, &name, &place, &why).await };
        let set = self.house.tasks().complete(set).await?;
        let found = self.trust().requirer(look, &set.name).await?;
        Ok(Answer::ok(&requirer(found)))
    }

    pub(super) async fn delete_trust_requirer(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (permit, name) = (asked.permit()?, asked.part::<RequirerName>(0)?);
        let (leave_behind, why) = (asked.flag(Parameter::LeaveBehind)?, asked_why(&asked)?);
        let trust = self.trust().clone();
        let remove = async move { trust.remove_requirer(permit, &name, leave_behind, &why).await };
        self.house.tasks().complete(remove).await?;
        Ok(Answer::gone())
    }

    pub(super) async fn trust_bundle(&self, asked: Asked) -> Result<Answer, Refusal> {
        let bundle = self.awaited_bundle(asked).await?.bundle;
        let certificates = bundle.anchors().iter().map(|anchor| anchor.pem().to_owned()).collect();
        let hash = bundle.hash().to_owned();
        Ok(Answer::ok(&wire::TrustBundle { hash: hash.clone(), certificates }).tag(hash))
    }

    pub(super) async fn trust_bundle_pem(&self, asked: Asked) -> Result<Answer, Refusal> {
        let bundle = self.awaited_bundle(asked).await?.bundle;
        Ok(Answer::pem(bundle.pem()).tag(bundle.hash().to_owned()))
    }

    /// What a requirer is to have: at once, or as soon as it is something that whoever asks does not have.
    async fn awaited_bundle(&self, asked: Asked) -> Result<BundleSince, Refusal> {
        let (by, name) = (asked.by().clone(), asked.part::<RequirerName>(0)?);
        let permit = asked.permit()?;
        let until = Instant::now() + wait(&asked)?;
        // Listened to before it is looked at: no hint in between is missed.
        let mut hints = self.house.hints();
        let mut bundle = self.trust().bundle(permit, &name).await?;
        let condition = asked.condition;
        while condition.names(bundle.bundle.hash())
            && Instant::now() < until
            && !self.house.stopping().is_asked()
        {
            let (soonest, look) = (Instant::now() + LOOKS_APART, until.min(Instant::now() + LOOK_AGAIN));
            let hinted = async {
                loop {
                    match hints.next().await {
                        Some(Heard::Hint(hint)) if !hint.what.starts_with("trust ") => {}
                        Some(Heard::Hint(_) | Heard::Lost) => break,
                        // The house is ending.
                        None => std::future::pending().await,
                    }
                }
            };
            tokio::select! {
                _ = timeout_at(look, hinted) => sleep_until(soonest.min(until)).await,
                () = self.house.stopping().asked() => {}
            }
            bundle = self.trust().bundle(Permit::grant(by.clone())?, &name).await?;
        }
        Ok(bundle)
    }

    pub(super) async fn trust_places(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (limit, after) = (asked.limit()?, asked.after::<String>(PLACES)?);
        let name = asked.part::<RequirerName>(0)?;
        let (found, more) = self.trust().units(asked.permit()?, &name, after.as_deref(), limit).await?;
        let next = found.last().filter(|_| more).map(|last| cursor(PLACES, &last.name));
        Ok(Answer::ok(&Page { items: found.into_iter().map(place_state).collect::<Vec<_>>(), next }))
    }

    pub(super) async fn trust_history(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (limit, after) = (asked.limit()?, asked.after::<EventId>(HISTORY)?);
        let (permit, name) = (asked.permit()?, asked.part::<RequirerName>(0)?);
        let (found, next) = self.trust().requirer_history(permit, &name, after.as_ref(), limit).await?;
        let items: Vec<_> = found.into_iter().map(place_event).collect();
        Ok(Answer::ok(&Page { items, next: next.map(|next| cursor(HISTORY, &next.to_string())) }))
    }

    pub(super) async fn trust_applied(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let (permit, name) = (asked.permit()?, asked.part::<RequirerName>(0)?);
        let said: wire::TrustApplied = asked.json().await?;
        if said.begun && said.failing.is_some() {
            return Err(Refusal::unfit("what is only begun is not `failing` yet"));
        }
        if said.untouched && said.failing.is_none() {
            return Err(Refusal::unfit("`untouched` is said of what is `failing`"));
        }
        let trust = self.trust().clone();
        let note = async move {
            let wire::TrustApplied { place, hash, failing, begun, untouched } = &said;
            match failing {
                Some(reason) if *untouched => trust.decline(permit, &name, place, hash, reason).await,
                Some(reason) => trust.fail(permit, &name, place, hash, reason).await,
                None if *begun => trust.begin(permit, &name, place, hash).await,
                None => trust.confirm(permit, &name, place, hash).await,
            }
        };
        self.house.tasks().complete(note).await.map_err(|error| match error {
            // What is no name and no reason is described as any text is.
            unfit @ (trust::ConfirmError::Unit | trust::ConfirmError::Reason) => {
                Refusal::with(StatusCode::UNPROCESSABLE_ENTITY, &unfit)
            }
            error => error.into(),
        })?;
        Ok(Answer::gone())
    }

    pub(super) async fn trust_relations(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (limit, after) = (asked.limit()?, asked.after::<RelationPlace>(RELATIONS)?);
        let provider = parsed::<ProviderName>(asked.one(Parameter::Provider)?)?;
        let requirer = parsed::<RequirerName>(asked.one(Parameter::Requirer)?)?;
        let permit = asked.permit()?;
        let all = self.trust().list_relations(permit, provider.as_ref(), requirer.as_ref()).await?;
        let behind = all.into_iter().filter(|found| {
            after.as_ref().is_none_or(|after| {
                (found.requirer.as_str(), found.number) > (after.requirer.as_str(), after.number)
            })
        });
        let place = |relation: &wire::TrustRelation| format!("{} {}", relation.number, relation.requirer);
        Ok(Answer::ok(&page(behind.map(relation), limit, RELATIONS, place)))
    }

    pub(super) async fn relate_trust(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let said: wire::NewTrustRelation = asked.json().await?;
        let provider: ProviderName =
            said.provider.parse().map_err(|error| Refusal::unfit(format!("`provider`: {error}")))?;
        let requirer: RequirerName =
            said.requirer.parse().map_err(|error| Refusal::unfit(format!("`requirer`: {error}")))?;
        let (trust, why) = (self.trust().clone(), why(said.why.as_deref())?);
        let relate = async move { trust.relate(permit, &provider, &requirer, &why).await };
        Ok(Answer::ok(&relation(self.house.tasks().complete(relate).await?)))
    }

    pub(super) async fn trust_relation(&self, asked: Asked) -> Result<Answer, Refusal> {
        let found = self.trust().relation(asked.permit()?, number(&asked)?).await?;
        let found = found.ok_or_else(|| not_found("there is no such relation"))?;
        Ok(Answer::ok(&relation(found)))
    }

    pub(super) async fn unrelate_trust(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (permit, number) = (asked.permit()?, number(&asked)?);
        let (confirmed, why) = (asked.flag(Parameter::Confirm)?, asked_why(&asked)?);
        let trust = self.trust().clone();
        let end = async move { trust.unrelate(permit, number, confirmed, &why).await };
        self.house.tasks().complete(end).await?;
        Ok(Answer::gone())
    }

    pub(super) async fn relation_certificates(&self, asked: Asked) -> Result<Answer, Refusal> {
        let found = self.trust().relation_set(asked.permit()?, number(&asked)?).await?;
        let (set, anchors) = found.ok_or_else(|| not_found("there is no such relation"))?;
        Ok(Answer::ok(&certificates(&set, anchors.iter(), self.house.clock().now())))
    }
}

/// A requirer, and how it is with its places.
fn requirer(trust::RequirerView { requirer, wanted, counts }: trust::RequirerView) -> wire::TrustRequirer {
    wire::TrustRequirer {
        name: requirer.name.to_string(),
        place: requirer.place.map(places::show),
        hash: wanted.bundle.hash().to_owned(),
        count: wanted.bundle.anchors().len(),
        changed: wanted.since.to_string(),
        places: wire::TrustCounts { in_step: counts.in_step, behind: counts.behind, failing: counts.failing },
        since: requirer.since.to_string(),
        by: requirer.by,
        leaving: requirer.leaving,
    }
}

/// Where a page of relations ended.
struct RelationPlace {
    number: u64,
    requirer: String,
}

impl std::str::FromStr for RelationPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, requirer) = text.split_once(' ').ok_or(())?;
        Ok(Self { number: number.parse().map_err(drop)?, requirer: requirer.to_owned() })
    }
}

fn not_found(detail: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, detail)
}

/// The first `limit` of `items`, and where the next page begins.
fn page<T>(
    mut items: impl Iterator<Item = T>,
    limit: usize,
    list: char,
    place: impl Fn(&T) -> String,
) -> Page<T> {
    let some: Vec<T> = items.by_ref().take(limit).collect();
    let next = items.next().and_then(|_| some.last().map(|last| cursor(list, &place(last))));
    Page { items: some, next }
}

fn parsed<T: std::str::FromStr<Err = trust::BadName>>(text: Option<&str>) -> Result<Option<T>, Refusal> {
    text.map(|text| text.parse().map_err(|error: trust::BadName| Refusal::malformed(error.to_string())))
        .transpose()
}

fn number(asked: &Asked) -> Result<u64, Refusal> {
    let text = asked.text(0);
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.ok_or_else(|| Refusal::malformed("a relation has a number for a name"))
}

fn fingerprint(text: &str) -> Result<Fingerprint, Refusal> {
    Fingerprint::parse(text).ok_or_else(|| {
        Refusal::malformed("a fingerprint is the SHA-256 of a certificate's DER, 64 hexadecimal digits")
    })
}

fn asked_why(asked: &Asked) -> Result<Why, Refusal> {
    why(asked.one(Parameter::Why)?)
}

fn why(text: Option<&str>) -> Result<Why, Refusal> {
    let why = text.map(Why::new).transpose().map_err(|error| Refusal::unfit(error.to_string()))?;
    Ok(why.unwrap_or_default())
}

fn wait(asked: &Asked) -> Result<Duration, Refusal> {
    let Some(text) = asked.one(Parameter::Wait)? else { return Ok(Duration::ZERO) };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds =
        text.parse().ok().filter(|seconds| is_number && (1..=wire::WAIT_SECONDS_MAX).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        Refusal::malformed(format!("`wait` is not a number from 1 to {}", wire::WAIT_SECONDS_MAX))
    })
}

/// What is to be done, if it is said as it has to be.
fn offer(said: wire::NewTrustOffer) -> Result<Offer, Refusal> {
    use wire::TrustChange::{Add, Empty, Remove, Replace};
    let read = |pem: &str| {
        trust::read_anchors(pem.as_bytes()).map_err(|error| {
            let hint = base::Explain::help(&error);
            Refusal::unfit(base::report(&error)).hint(hint)
        })
    };
    let change = match (said.change, said.pem.as_deref(), said.fingerprint.as_deref()) {
        (Add, Some(pem), None) => SetChange::Add(read(pem)?),
        (Replace, Some(pem), None) => SetChange::Exactly(read(pem)?),
        (Remove, None, Some(which)) => SetChange::Remove(
            Fingerprint::parse(which).ok_or_else(|| Refusal::unfit("`fingerprint` is none"))?,
        ),
        (Empty, None, None) => SetChange::Empty,
        (Add | Replace, ..) => {
            return Err(Refusal::unfit("`add` and `replace` take `pem`, and no `fingerprint`"));
        }
        (Remove, ..) => return Err(Refusal::unfit("`remove` takes `fingerprint`, and no `pem`")),
        (Empty, ..) => return Err(Refusal::unfit("`empty` takes neither `pem` nor `fingerprint`")),
    };
    Ok(Offer { change, relation: said.relation, basis: said.revision, confirmed: said.confirm })
}

fn texts(which: &[Fingerprint]) -> Vec<String> {
    which.iter().map(ToString::to_string).collect()
}

fn names(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| finding.name().to_owned()).collect()
}

fn set(set: &trust::SetState) -> wire::TrustSet {
    wire::TrustSet {
        hash: set.hash.clone(),
        count: set.count,
        revision: set.revision,
        since: set.since.to_string(),
    }
}

fn provider(provider: trust::ProviderState) -> wire::TrustProvider {
    wire::TrustProvider {
        name: provider.name.to_string(),
        authority: provider.authority,
        refuse: provider.terms.refuse.iter().map(|finding| finding.name().to_owned()).collect(),
        only: provider.terms.only.names(),
        grace_seconds: provider.terms.grace.as_seconds().unsigned_abs(),
        set: set(&provider.set),
        since: provider.since.to_string(),
        by: provider.by,
        until: provider.until.map(|until| until.to_string()),
    }
}

fn relation(relation: trust::Relation) -> wire::TrustRelation {
    wire::TrustRelation {
        number: relation.number,
        provider: relation.provider.to_string(),
        requirer: relation.requirer.to_string(),
        set: set(&relation.set),
        since: relation.since.to_string(),
        by: relation.by,
    }
}

fn certificates<'a>(
    named: &trust::SetState,
    anchors: impl Iterator<Item = &'a Anchor>,
    now: Timestamp,
) -> wire::TrustCertificates {
    let certificates = anchors.map(|anchor| certificate(anchor, now)).collect();
    wire::TrustCertificates { set: set(named), certificates }
}

fn certificate(anchor: &Anchor, now: Timestamp) -> wire::TrustCertificate {
    let read = anchor.certificate().ok();
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    wire::TrustCertificate {
        fingerprint: anchor.fingerprint().to_string(),
        subject: read.as_ref().and_then(|read| read.subject().common_name()),
        not_before: at(read.as_ref().map(x509::Certificate::not_before)),
        not_after: at(read.as_ref().map(x509::Certificate::not_after)),
        findings: read.as_ref().map(|read| names(&trust::findings(read, now))).unwrap_or_default(),
        pem: anchor.pem().to_owned(),
    }
}

fn place_event(event: PlaceEvent) -> wire::TrustPlaceEvent {
    let (what, hash, reason) = match event.what {
        InPlace::Applied { hash } => (wire::TrustInPlace::Applied, Some(hash), None),
        InPlace::Drifted => (wire::TrustInPlace::Drifted, None, None),
        InPlace::Failing { reason } => (wire::TrustInPlace::Failing, None, Some(reason)),
    };
    let (at, by) = (event.at.to_string(), event.by);
    wire::TrustPlaceEvent { place: event.unit, at, what, hash, reason, by }
}

fn place_state(unit: Unit) -> wire::TrustPlaceState {
    let told = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let (state, since, reason, next) = match unit.state {
        UnitState::InStep { since } => (wire::TrustState::InStep, since, None, None),
        UnitState::Behind { since } => (wire::TrustState::Behind, since, None, None),
        UnitState::Failing { since, reason, next, .. } => {
            (wire::TrustState::Failing, since, Some(reason), next)
        }
    };
    wire::TrustPlaceState {
        name: unit.name,
        state,
        since: since.to_string(),
        reason,
        next: told(next),
        applied: unit.applied,
        looked: told(unit.looked),
        drifted: told(unit.drifted),
    }
}
