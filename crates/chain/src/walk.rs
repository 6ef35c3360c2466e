//! Going through a chain from its beginning, link by link, to see whether the history is still what was linked.

use x509::PublicKey;

use crate::error::Broken;
use crate::hash::{Hash, Head};
use crate::link::{Anchor, Link, Signed, moment_of};

/// How much later than it says an event may come to be linked, without a word: a clock that is a little behind, or a
/// server that was away from the store. Milliseconds.
pub const LATE_MILLISECONDS: i64 = 10 * 60 * 1_000;
/// How many of those that came later are named.
const LATE_NAMED_MAX: usize = 10;

/// Who checks, and how far they are. Needs no more memory for a longer chain.
#[derive(Debug)]
pub struct Walk {
    key: PublicKey,
    kept: Option<Head>,
    summary: Summary,
    total: u64,
}

/// What became of the head that somebody kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// None was named.
    NotNamed,
    /// It is a link of this chain: nothing up to it was changed.
    Found,
    /// It was dropped as too old: only what came after it can be looked at.
    Dropped,
}

/// What was looked at. All of it is as it was linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The last link.
    pub head: Head,
    /// The last link that was dropped, if any was.
    pub dropped: Option<Head>,
    /// How many links there are.
    pub links: u64,
    /// How many events they have.
    pub events: u64,
    /// When the last link was made.
    pub at_milliseconds: i64,
    /// What became of the head that was kept.
    pub kept: Kept,
    /// How many events came to be linked long after they say they happened.
    pub late: u64,
    /// The first of those.
    pub late_named: Vec<String>,
}

/// What a key is called: the SHA-256 of its SubjectPublicKeyInfo.
#[must_use]
pub fn fingerprint(key: &PublicKey) -> String {
    Hash::of(key.spki()).to_string()
}

impl Walk {
    /// Begins behind what `anchor` says was dropped. `kept` is the head that somebody kept, which has to be there.
    ///
    /// # Errors
    /// [`Broken`] when the anchor is not by `key`, or contradicts `kept`.
    pub fn begin(key: PublicKey, anchor: Option<&Signed>, kept: Option<Head>) -> Result<Self, Broken> {
        let anchor = match anchor {
            Some(signed) if !signed.is_by(&key) => return Err(Broken::AnchorSignature),
            Some(signed) => Some(Anchor::parse(&signed.text).map_err(Broken::Anchor)?),
            None => None,
        };
        let dropped = anchor.map(|anchor| anchor.head);
        let head = dropped.unwrap_or(Head::NONE);
        let summary = Summary {
            head,
            dropped,
            links: 0,
            events: 0,
            at_milliseconds: anchor.map_or(0, |anchor| anchor.at_milliseconds),
            kept: match kept {
                None => Kept::NotNamed,
                Some(kept) if kept.number < head.number => Kept::Dropped,
                Some(kept) if kept == head => Kept::Found,
                Some(kept) if kept.number == head.number => return Err(Broken::Rewritten { kept }),
                // To be found out.
                Some(_) => Kept::NotNamed,
            },
            late: 0,
            late_named: Vec::new(),
        };
        Ok(Self { key, kept, summary, total: anchor.map_or(0, |anchor| anchor.total) })
    }

    /// Looks at the next link; gives what it says. Its events are to be looked at next, in their order.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn link(&mut self, signed: &Signed) -> Result<Link, Broken> {
        let expected = self.summary.head.number.saturating_add(1);
        if !signed.is_by(&self.key) {
            return Err(Broken::Signature { number: expected });
        }
        let link = Link::parse(&signed.text).map_err(|source| Broken::Link { number: expected, source })?;
        let number = link.number;
        if number != expected {
            return Err(Broken::Number { expected, found: number });
        }
        if link.previous != self.summary.head.hash {
            return Err(Broken::Previous { number });
        }
        let count = link.events.len() as u64;
        if self.total.checked_add(count) != Some(link.total) {
            return Err(Broken::Total { number });
        }
        let head = Head { number, hash: signed.hash() };
        match self.kept {
            Some(kept) if kept.number == number && kept != head => return Err(Broken::Rewritten { kept }),
            Some(kept) if kept == head => self.summary.kept = Kept::Found,
            _ => {}
        }
        self.total = link.total;
        self.summary.head = head;
        self.summary.links += 1;
        self.summary.at_milliseconds = link.at_milliseconds;
        Ok(link)
    }

    /// Looks at the event at `place` in `link`: its bytes as they are stored, or nothing where it is not there.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn event(&mut self, link: &Link, place: usize, bytes: Option<&[u8]>) -> Result<(), Broken> {
        let Some(mark) = link.events.get(place) else { return Err(Broken::Total { number: link.number }) };
        let (number, id) = (link.number, || mark.id.clone());
        let Some(bytes) = bytes else { return Err(Broken::EventMissing { number, id: id() }) };
        if Hash::of(bytes) != mark.digest {
            return Err(Broken::EventChanged { number, id: id() });
        }
        self.summary.events += 1;
        let told = moment_of(&mark.id).unwrap_or(i64::MAX);
        if link.at_milliseconds.saturating_sub(told) > LATE_MILLISECONDS {
            self.summary.late += 1;
            if self.summary.late_named.len() < LATE_NAMED_MAX {
                self.summary.late_named.push(id());
            }
        }
        Ok(())
    }

    /// How far it is.
    #[must_use]
    pub fn head(&self) -> Head {
        self.summary.head
    }

    /// Ends where the chain does.
    ///
    /// # Errors
    /// [`Broken::Truncated`] when the head that was kept has not come.
    pub fn end(self) -> Result<Summary, Broken> {
        match self.kept {
            Some(kept) if kept.number > self.summary.head.number => {
                Err(Broken::Truncated { last: self.summary.head.number, kept })
            }
            _ => Ok(self.summary),
        }
    }
}

#[cfg(test)]
mod tests {
    use x509::{KeySpec, PrivateKey};

    use super::*;
    use crate::link::EventMark;

    /// Links and their events, as they were stored.
    type Chain = Vec<(Signed, Vec<Option<Vec<u8>>>)>;

    fn id(number: u64) -> String {
        format!("{:020}-{number:016x}", 1_700_000_000_000 + number)
    }

    fn chain(key: &PrivateKey, links: u64) -> Chain {
        let mut head = Head::NONE;
        (1..=links)
            .map(|number| {
                let bytes: Vec<_> =
                    (0..3).map(|place| format!("event {}", number * 3 + place).into_bytes()).collect();
                let events = (0..3)
                    .zip(&bytes)
                    .map(|(place, bytes)| EventMark { id: id(number * 3 + place), digest: Hash::of(bytes) });
                let at_milliseconds = 1_700_000_001_000;
                let link = Link {
                    number,
                    previous: head.hash,
                    at_milliseconds,
                    total: number * 3,
                    events: events.collect(),
                };
                let signed = Signed::new(link.text(), key);
                head = Head { number, hash: signed.hash() };
                (signed, bytes.into_iter().map(Some).collect())
            })
            .collect()
    }

    fn check(
        key: &PrivateKey,
        anchor: Option<&Signed>,
        chain: &Chain,
        kept: Option<Head>,
    ) -> Result<Summary, Broken> {
        let mut walk = Walk::begin(key.public().clone(), anchor, kept)?;
        for (signed, events) in chain {
            let link = walk.link(signed)?;
            for (place, bytes) in events.iter().enumerate() {
                walk.event(&link, place, bytes.as_deref())?;
            }
        }
        walk.end()
    }

    fn head(chain: &Chain, number: usize) -> Head {
        Head { number: number as u64, hash: chain[number - 1].0.hash() }
    }

    #[test]
    fn what_is_whole_is_found_whole() {
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let whole = chain(&key, 7);
        let summary = check(&key, None, &whole, Some(head(&whole, 4))).unwrap();
        assert_eq!((summary.links, summary.events, summary.late), (7, 21, 0));
        assert_eq!((summary.head, summary.kept), (head(&whole, 7), Kept::Found));
        assert_eq!(check(&key, None, &Chain::new(), None).unwrap().head, Head::NONE);
    }

    /// Whatever one does to it without the key is found.
    #[test]
    fn what_was_tampered_with_is_found() {
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let whole = chain(&key, 5);
        let tampered = |tamper: &dyn Fn(&mut Chain)| {
            let mut chain = whole.clone();
            tamper(&mut chain);
            check(&key, None, &chain, None).unwrap_err()
        };
        // Any bit of any link.
        for (number, place) in
            (0..whole.len()).flat_map(|n| (0..whole[n].0.text.len()).map(move |at| (n, at)))
        {
            let error = tampered(&|chain| {
                let mut text = std::mem::take(&mut chain[number].0.text).into_bytes();
                text[place] ^= 1;
                chain[number].0.text = String::from_utf8(text).unwrap();
            });
            assert_eq!(error, Broken::Signature { number: number as u64 + 1 });
        }
        let changed = tampered(&|chain| chain[1].1[2].as_mut().unwrap()[0] ^= 1);
        assert_eq!(changed, Broken::EventChanged { number: 2, id: id(8) });
        let removed = tampered(&|chain| chain[1].1[0] = None);
        assert_eq!(removed, Broken::EventMissing { number: 2, id: id(6) });
        assert!(matches!(tampered(&|chain| chain[1].1.swap(0, 1)), Broken::EventChanged { number: 2, .. }));
        assert_eq!(tampered(&|chain| chain.swap(1, 2)), Broken::Number { expected: 2, found: 3 });
        assert_eq!(tampered(&|chain| drop(chain.remove(0))), Broken::Number { expected: 1, found: 2 });
        assert_eq!(
            tampered(&|chain| chain.insert(2, chain[0].clone())),
            Broken::Number { expected: 3, found: 1 }
        );
        // With a key of one's own.
        let other = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        assert_eq!(check(&key, None, &chain(&other, 5), None), Err(Broken::Signature { number: 1 }));
        // With the very key, a chain that is whole by itself: only who kept a head knows.
        let mut forged = chain(&key, 5);
        let mut link = Link::parse(&forged[4].0.text).unwrap();
        link.at_milliseconds += 1;
        forged[4].0 = Signed::new(link.text(), &key);
        assert!(check(&key, None, &forged, None).is_ok());
        let kept = head(&whole, 5);
        assert_eq!(check(&key, None, &forged, Some(kept)), Err(Broken::Rewritten { kept }));
        // The same of an end that was cut off.
        let mut cut = whole.clone();
        cut.truncate(3);
        assert!(check(&key, None, &cut, None).is_ok());
        assert_eq!(check(&key, None, &cut, Some(kept)), Err(Broken::Truncated { last: 3, kept }));
    }

    #[test]
    fn what_was_dropped_is_anchored() {
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let whole = chain(&key, 6);
        let anchor = |number: usize| {
            let head = head(&whole, number);
            let anchor = Anchor { head, at_milliseconds: 5, total: head.number * 3 };
            Signed::new(anchor.text(), &key)
        };
        let rest = whole[2..].to_vec();
        let summary = check(&key, Some(&anchor(2)), &rest, Some(head(&whole, 1))).unwrap();
        assert_eq!((summary.links, summary.kept, summary.dropped), (4, Kept::Dropped, Some(head(&whole, 2))));
        let kept = |head| check(&key, Some(&anchor(2)), &rest, Some(head)).map(|summary| summary.kept);
        assert_eq!(kept(head(&whole, 2)), Ok(Kept::Found));
        let other = Head { number: 2, hash: Hash::NONE };
        assert_eq!(kept(other), Err(Broken::Rewritten { kept: other }));
        // Who cuts off the beginning has no anchor for it.
        assert_eq!(check(&key, None, &rest, None), Err(Broken::Number { expected: 1, found: 3 }));
        assert_eq!(check(&key, Some(&anchor(1)), &rest, None), Err(Broken::Number { expected: 2, found: 3 }));
        let mut forged = anchor(2);
        forged.text = forged.text.replace("at 5", "at 6");
        assert_eq!(check(&key, Some(&forged), &rest, None), Err(Broken::AnchorSignature));
    }

    #[test]
    fn what_came_long_after_it_says_is_named() {
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let events = vec![EventMark { id: id(0), digest: Hash::of(b"late") }];
        let link =
            Link { number: 1, previous: Hash::NONE, at_milliseconds: 1_700_000_600_001, total: 1, events };
        let chain = vec![(Signed::new(link.text(), &key), vec![Some(b"late".to_vec())])];
        let summary = check(&key, None, &chain, None).unwrap();
        assert_eq!((summary.late, summary.late_named), (1, vec![id(0)]));
    }
}
