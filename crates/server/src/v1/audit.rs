//! The history, and the links by which it is seen that nobody rewrote it.

use base::Timestamp;
use engine::audit::{AuditLink, Trade, Wanted};
use store::Event;
use wire::Page;

use super::V1;
use super::answer::Answer;
use super::asked::{Asked, cursor};
use super::refusal::Refusal;
use super::table::Parameter;

/// What the cursors of these lists begin with.
const EVENTS: char = 'e';
const LINKS: char = 'l';

/// The most links on a page: each has up to 96 events.
const LINKS_MAX: usize = 20;
/// The longest words that are looked for, in characters.
const WORDS_MAX: usize = 200;
/// How a moment is written.
const FORM: &str = "0000-00-00T00:00:00Z";

impl V1 {
    pub(super) async fn audit_events(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (permit, limit) = (asked.permit()?, asked.limit()?);
        let after = asked.after::<String>(EVENTS)?;
        if after.as_deref().is_some_and(|after| after.contains('\0') || after.len() > WORDS_MAX) {
            return Err(Refusal::unfit("`after` is not from this list"));
        }
        let wanted = Wanted {
            since: moment(&asked, Parameter::Since)?,
            until: moment(&asked, Parameter::Until)?,
            what: words(&asked, Parameter::What)?,
            about: words(&asked, Parameter::About)?,
            by: words(&asked, Parameter::By)?,
            trade: match asked.one(Parameter::Trade)? {
                None => None,
                Some(name) => {
                    let trade = Trade::from_name(name);
                    let unknown =
                        || Refusal::malformed(format!("`trade` is none of {}", wire::TRADES.join(", ")));
                    Some(trade.ok_or_else(unknown)?)
                }
            },
        };
        let found = self.house.audit().find(permit, &wanted, after.as_deref(), limit).await?;
        let items = found.events.into_iter().map(|(id, event)| shown(id, event)).collect::<Vec<_>>();
        Ok(Answer::ok(&Page { items, next: found.next.map(|next| cursor(EVENTS, &next)) }))
    }

    pub(super) async fn audit_head(&self, asked: Asked) -> Result<Answer, Refusal> {
        let found = self.house.audit().show_head(asked.permit()?).await?;
        let (key, fingerprint) = found.key.unzip();
        let anchor =
            found.anchor.map(|anchor| wire::AuditAnchor { text: anchor.text, signature: anchor.signature });
        let (head, links, events) = (found.head.to_string(), found.links, found.events);
        Ok(Answer::ok(&wire::AuditHead { head, key, fingerprint, anchor, links, events }))
    }

    pub(super) async fn audit_links(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (permit, limit) = (asked.permit()?, asked.limit()?.min(LINKS_MAX));
        let after = asked.after::<u64>(LINKS)?.unwrap_or(0);
        let (links, more) = self.house.audit().links(permit, after, limit).await?;
        let next = links.last().filter(|_| more).map(|last| cursor(LINKS, &last.head.number.to_string()));
        Ok(Answer::ok(&Page { items: links.into_iter().map(link).collect::<Vec<_>>(), next }))
    }
}

fn shown(id: String, event: Event) -> wire::AuditEvent {
    wire::AuditEvent {
        id,
        at: Timestamp::from_unix(event.at_milliseconds.div_euclid(1_000)).to_string(),
        trade: Trade::of(&event).as_str().to_owned(),
        what: event.what,
        about: event.about,
        by: event.by,
        from: event.from,
        facts: event.facts,
    }
}

fn link(link: AuditLink) -> wire::AuditLink {
    // What is no text was none of ours: its hash will say so.
    let text = |bytes: bytes::Bytes| String::from_utf8_lossy(&bytes).into_owned();
    wire::AuditLink {
        number: link.head.number,
        text: link.signed.text,
        signature: link.signed.signature,
        events: link
            .events
            .into_iter()
            .map(|(id, bytes)| wire::AuditLinkEvent { id, text: bytes.map(text) })
            .collect(),
    }
}

/// In milliseconds.
fn moment(asked: &Asked, parameter: Parameter) -> Result<Option<i64>, Refusal> {
    let Some(text) = asked.one(parameter)? else { return Ok(None) };
    let no_moment = || format!("`{}` is no time in UTC: 2026-11-22T10:05:00Z", parameter.name());
    let is_of_form = text.len() == FORM.len()
        && text.bytes().zip(FORM.bytes()).all(|(found, form)| match form {
            b'0' => found.is_ascii_digit(),
            form => found == form,
        });
    if !is_of_form {
        return Err(Refusal::malformed(no_moment()));
    }
    // There are days that no month has.
    let at = Timestamp::from_rfc3339(text).ok_or_else(|| Refusal::unfit(no_moment()))?;
    Ok(Some(at.as_unix().saturating_mul(1_000)))
}

fn words(asked: &Asked, parameter: Parameter) -> Result<Option<String>, Refusal> {
    let Some(text) = asked.one(parameter)? else { return Ok(None) };
    if text.is_empty() || text.chars().count() > WORDS_MAX {
        let detail = format!("`{}` has 1 to {WORDS_MAX} characters", parameter.name());
        return Err(Refusal::malformed(detail));
    }
    Ok(Some(text.to_owned()))
}
