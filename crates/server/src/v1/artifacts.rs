//! What is in the artifact cache, and how it is looked after.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base::Sha512;
use cache::{
    AfterEntry, Cache, Collected, EntryKey, FoundArtifact, FoundEntry, How, NOTE_BYTES_MAX, Pattern, Pinned,
    Removed, Scrubbed,
};
use entry::Filter;
use http::StatusCode;
use wire::Page;

use super::V1;
use super::answer::Answer;
use super::asked::{Asked, cursor};
use super::refusal::Refusal;
use super::table::Parameter;

/// What the cursors of these lists begin with.
const ARTIFACTS: char = 'a';
const KEYS: char = 'k';
const ENTRIES: char = 'e';
const PINS: char = 'p';

const NO_DIGEST: &str = "artifacts have 128 lower-case hexadecimal digits for a name";

/// The most artifacts that one request asks about.
const NAMES_MAX: usize = 1000;

impl V1 {
    pub(super) fn cache(&self) -> Result<&Arc<Cache>, Refusal> {
        let refusal = || {
            Refusal::new(StatusCode::NOT_FOUND, "there is no artifact cache here")
                .hint(Some("the server's setting is `cache.api`".into()))
        };
        self.house.cache().ok_or_else(refusal)
    }

    pub(super) async fn artifacts(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (limit, after) = (asked.limit()?, asked.after::<Digest>(ARTIFACTS)?);
        let found = self.cache()?.find_artifacts(&asked.permit()?, after.map(|after| after.0), limit).await?;
        let next = found.next.map(|next| cursor(ARTIFACTS, &next.to_string()));
        Ok(Answer::ok(&Page { items: found.items.iter().map(artifact).collect::<Vec<_>>(), next }))
    }

    pub(super) async fn artifact(&self, asked: Asked) -> Result<Answer, Refusal> {
        let digest = digest(asked.text(0))?;
        let found = self.cache()?.find_artifact(&asked.permit()?, digest).await?;
        let (found, is_pinned, keys) =
            found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no such artifact"))?;
        Ok(Answer::ok(&wire::ArtifactReport { artifact: artifact(&found), is_pinned, keys }))
    }

    pub(super) async fn missing_artifacts(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let said: wire::ArtifactNames = asked.json().await?;
        if said.sha512.len() > NAMES_MAX {
            return Err(Refusal::unfit(format!("at most {NAMES_MAX} artifacts are looked for at once")));
        }
        let digest = |text: &String| Sha512::parse(text).ok_or_else(|| Refusal::unfit(NO_DIGEST));
        let digests = said.sha512.iter().map(digest).collect::<Result<Vec<_>, _>>()?;
        let missing = self.cache()?.missing(&permit, &digests).await?;
        Ok(Answer::ok(&wire::ArtifactNames { sha512: missing.iter().map(Sha512::to_string).collect() }))
    }

    pub(super) async fn entry_keys(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (limit, after) = (asked.limit()?, asked.after::<EntryKey>(KEYS)?);
        let pattern = pattern(&asked)?;
        let found = self.cache()?.find_keys(&asked.permit()?, &pattern, after.as_ref(), limit).await?;
        let next = found.next.map(|next| cursor(KEYS, next.as_str()));
        let key =
            |found: cache::FoundKey| wire::EntryKey { key: found.key.to_string(), entries: found.entries };
        Ok(Answer::ok(&Page { items: found.items.into_iter().map(key).collect::<Vec<_>>(), next }))
    }

    pub(super) async fn cache_entries(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (limit, after) = (asked.limit()?, asked.after::<After>(ENTRIES)?);
        let pattern = pattern(&asked)?;
        let filter = Filter::parse(asked.all(Parameter::Where))
            .map_err(|error| Refusal::unfit(error.to_string()).hint(base::Explain::help(&error)))?;
        let (permit, after) = (asked.permit()?, after.map(|after| after.0));
        let found = self.cache()?.find_entries(&permit, &pattern, &filter, after.as_ref(), limit).await?;
        let next = found.next.map(|next| cursor(ENTRIES, &After(next).to_string()));
        Ok(Answer::ok(&Page { items: found.items.into_iter().map(entry).collect::<Vec<_>>(), next }))
    }

    pub(super) async fn pins(&self, asked: Asked) -> Result<Answer, Refusal> {
        let (limit, after) = (asked.limit()?, asked.after::<Pinned>(PINS)?);
        let pins = self.cache()?.pins(asked.permit()?, after.as_ref(), limit).await?;
        let next = pins.next.map(|next| cursor(PINS, &next.to_string()));
        let pin = |pin: cache::PinnedSince| {
            let (key, sha512) = match pin.what {
                Pinned::Key(key) => (Some(key.to_string()), None),
                Pinned::Artifact(digest) => (None, Some(digest.to_string())),
            };
            wire::Pin { key, sha512, at: pin.at.to_string(), by: pin.by, note: pin.note }
        };
        Ok(Answer::ok(&Page { items: pins.items.into_iter().map(pin).collect::<Vec<_>>(), next }))
    }

    pub(super) async fn pin_key(&self, asked: Asked) -> Result<Answer, Refusal> {
        let what = Pinned::Key(asked.part(0)?);
        self.pin(asked, what).await
    }

    pub(super) async fn pin_artifact(&self, asked: Asked) -> Result<Answer, Refusal> {
        let what = Pinned::Artifact(digest(asked.text(0))?);
        self.pin(asked, what).await
    }

    pub(super) async fn unpin_key(&self, asked: Asked) -> Result<Answer, Refusal> {
        let what = Pinned::Key(asked.part(0)?);
        self.unpin(asked, what).await
    }

    pub(super) async fn unpin_artifact(&self, asked: Asked) -> Result<Answer, Refusal> {
        let what = Pinned::Artifact(digest(asked.text(0))?);
        self.unpin(asked, what).await
    }

    async fn pin(&self, mut asked: Asked, what: Pinned) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let said: wire::NewPin = asked.json().await?;
        if said.note.len() > NOTE_BYTES_MAX {
            return Err(Refusal::unfit(format!("a note has at most {NOTE_BYTES_MAX} bytes")));
        }
        let cache = self.cache()?.clone();
        let pin = async move { cache.pin(permit, &what, &said.note).await };
        self.house.tasks().complete(pin).await?;
        Ok(Answer::gone())
    }

    async fn unpin(&self, asked: Asked, what: Pinned) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let cache = self.cache()?.clone();
        let unpin = async move { cache.unpin(permit, &what).await };
        match self.house.tasks().complete(unpin).await? {
            true => Ok(Answer::gone()),
            false => Err(Refusal::new(StatusCode::NOT_FOUND, "that is not pinned")),
        }
    }

    pub(super) async fn collect(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let said: wire::NewCollection = asked.json().await?;
        self.cache()?;
        let house = self.house.clone();
        let how = How { is_dry: said.dry_run, strays: said.strays };
        // To its end, also when whoever asked goes away.
        let collect = async move { house.collect_artifacts(&permit, how).await };
        let collected = self.house.tasks().complete(collect).await?;
        Ok(Answer::ok(&collection(collected)))
    }

    pub(super) async fn scrub(&self, asked: Asked) -> Result<Answer, Refusal> {
        let scrubbed = self.cache()?.scrubbed(&asked.permit()?).await?;
        Ok(Answer::ok(&scrub(scrubbed)))
    }

    pub(super) async fn ask_for_scrub(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        self.cache()?;
        let house = self.house.clone();
        let ask = async move { house.scrub_artifacts(&permit).await };
        let scrubbed = self.house.tasks().complete(ask).await?;
        Ok(Answer::ok(&scrub(scrubbed)))
    }
}

/// An artifact's name, as a cursor has it.
struct Digest(Sha512);

impl FromStr for Digest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Sha512::parse(text).map(Self).ok_or(())
    }
}

/// Behind which entry a page begins, as a cursor has it: the place, or nothing, a blank, and the key.
struct After(AfterEntry);

impl FromStr for After {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (place, key) = text.split_once(' ').ok_or(())?;
        let place = match place {
            "" => None,
            place => Some(place.parse().map_err(drop)?),
        };
        Ok(Self(AfterEntry { key: key.parse().map_err(drop)?, place }))
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.0.place {
            write!(f, "{place}")?;
        }
        write!(f, " {}", self.0.key)
    }
}

fn digest(text: &str) -> Result<Sha512, Refusal> {
    Sha512::parse(text).ok_or_else(|| Refusal::malformed(NO_DIGEST))
}

fn pattern(asked: &Asked) -> Result<Pattern, Refusal> {
    Ok(Pattern::new(asked.one(Parameter::Key)?.unwrap_or("*")))
}

fn artifact(found: &FoundArtifact) -> wire::Artifact {
    wire::Artifact {
        sha512: found.digest.to_string(),
        bytes: found.bytes,
        at: found.at.to_string(),
        by: found.by.clone(),
        used_at: found.used_at.to_string(),
        unnamed_since: found.unnamed_since.map(|since| since.to_string()),
    }
}

fn entry(found: FoundEntry) -> wire::CacheEntry {
    wire::CacheEntry {
        key: found.key.to_string(),
        place: found.place,
        at: found.at.to_string(),
        by: found.by,
        sha512: found.entry.statement().sha512().to_string(),
        text: found.entry.text().to_owned(),
        signature: found.entry.signature().to_owned(),
        withdrawn_by: found.withdrawn_by.map(|digest| digest.to_string()),
    }
}

fn scrub(scrubbed: Scrubbed) -> wire::Scrub {
    let at = |at: Option<base::Timestamp>| at.map(|at| at.to_string());
    let names = |digests: Vec<Sha512>| digests.iter().map(Sha512::to_string).collect();
    wire::Scrub {
        since: at(scrubbed.since),
        ended: at(scrubbed.ended),
        bytes: scrubbed.bytes,
        damaged: scrubbed.damaged,
        put_aside: names(scrubbed.aside),
        unreadable: names(scrubbed.unreadable),
        is_asked_for: scrubbed.is_asked_for,
        percent: scrubbed.percent,
        is_whole: scrubbed.is_whole,
    }
}

fn collection(collected: Collected) -> wire::Collection {
    let removed = |removed: Removed| match removed {
        Removed::Entry { key, artifact, at } => wire::Removed {
            sha512: artifact.to_string(),
            key: Some(key.to_string()),
            at: Some(at.to_string()),
            bytes: None,
        },
        Removed::Artifact { digest, bytes } => {
            wire::Removed { sha512: digest.to_string(), key: None, at: None, bytes: Some(bytes) }
        }
    };
    wire::Collection {
        entries: collected.entries,
        artifacts: collected.artifacts,
        waiting: collected.waiting,
        strays: collected.strays,
        bytes: collected.bytes,
        removed: collected.told.into_iter().map(removed).collect(),
        is_partial: collected.is_partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for (key, place) in [("a", None), ("a b", Some(7)), (" ", Some(u64::MAX)), ("7 a", None)] {
            let after = AfterEntry { key: key.parse().unwrap(), place };
            let read: After = After(after.clone()).to_string().parse().ok().unwrap();
            assert_eq!(read.0, after);
        }
        assert!(
            "7".parse::<After>().is_err()
                && "x a".parse::<After>().is_err()
                && "7 ".parse::<After>().is_err()
        );
    }
}
