//! Whom a holder trusts, and what was revoked, brought up to date: *updateCA* and *updateCRL* of the caucase contract,
//! section 7.1.

use base::{Timestamp, hex};
use client::compat::caucase::{Authority, Lists, Server, Unusable, anchors, follow, pinned};
use x509::{Certificate, Crl};

use super::collection::Collection;
use super::error::HolderError;
use super::pin::{Successors, is_among};

/// What came of looking after CA certificates.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Those that are valid, in the order in which they are held.
    pub(crate) certificates: Vec<Certificate>,
    /// Whether what is on disk is anything else than before.
    pub(crate) is_new: bool,
    /// The one that was trusted for being the first, or for its fingerprint.
    pub(crate) first: Option<Certificate>,
}

/// Brings the CA certificates of `authority` up to date: those that ended go, and those that followed come.
///
/// Where none are held, the one with the fingerprint `pin` is trusted, the SHA-256 of its DER; without a pin, the one that
/// the server says is the oldest, whoever it is that answers.
///
/// # Errors
/// When the server does not answer or says what cannot be used, when a file cannot be read or written, when none of those
/// that are held is valid, or the server has not the one that is pinned. Then what is held is what it was.
pub(crate) async fn update_authorities(
    server: &Server,
    authority: Authority,
    held: &Collection<Certificate>,
    pin: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<Trusted, HolderError> {
    let (known, first) = known_or_first(server, authority, held, pin, now).await?;
    let chain = server.chain(authority).await?;
    let certificates = follow(&known, &chain, now).map_err(|source| unusable(server, source))?;
    let is_new = held.store(&certificates)?;
    Ok(Trusted { certificates, is_new, first })
}

/// The same for whoever wants to hear of it when the server has another authority than the one that is trusted, which the
/// programs of old never say. And where all that are held are over, the one with the fingerprint `pin` is trusted, if it is
/// none of them: somebody said so since. Where others are held, trust has to lead from the pinned one to one of them, or from
/// them to it.
///
/// # Errors
/// As [`update_authorities`]; when the server has none of those that are trusted; and when those are not the pinned one's.
pub(crate) async fn update_same_authorities(
    server: &Server,
    authority: Authority,
    held: &Collection<Certificate>,
    pin: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<Trusted, HolderError> {
    let Followed { certificates, first, from_pin } =
        follow_same_authorities(server, authority, held, pin, now).await?;
    let is_new = held.store(&certificates)?;
    if let Some(pin) = pin {
        Successors::beside(held).remember(pin, &from_pin);
    }
    Ok(Trusted { certificates, is_new, first })
}

/// The same for whoever only wants to know that it is that server: nothing is written.
///
/// # Errors
/// As [`update_same_authorities`].
pub(crate) async fn refuse_other_authorities(
    server: &Server,
    authority: Authority,
    held: &Collection<Certificate>,
    pin: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<(), HolderError> {
    follow_same_authorities(server, authority, held, pin, now).await.map(drop)
}

/// Whom trust has led to.
struct Followed {
    certificates: Vec<Certificate>,
    /// The one that is trusted for being the first, or for its fingerprint.
    first: Option<Certificate>,
    /// Those to whom it has led from the pinned one, where one is.
    from_pin: Vec<Certificate>,
}

async fn follow_same_authorities(
    server: &Server,
    authority: Authority,
    held: &Collection<Certificate>,
    pin: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<Followed, HolderError> {
    let (known, first) = match known_or_first(server, authority, held, pin, now).await {
        Err(HolderError::NoneValid(path)) => {
            let items = held.load().items;
            let new = pin.filter(|pin| !items.iter().any(|one| one.fingerprint() == **pin));
            let Some(new) = new else { return Err(HolderError::NoneValid(path)) };
            let one = first_of(server, authority, Some(new), now).await?;
            (vec![one.clone()], Some(one))
        }
        known => known?,
    };
    let chain = server.chain(authority).await?;
    let certificates = follow(&known, &chain, now).map_err(|source| unusable(server, source))?;
    // Of those that were begun with just now, the pinned one is the root.
    let mut from_pin = certificates.clone();
    if first.is_none() {
        let oldest = server.oldest(authority).await?;
        if let Some(pin) = pin {
            from_pin = reached(server, held, &certificates, pin, (&oldest, &chain), now)?;
        }
        refuse_another(server, authority, held, &certificates, (&oldest, &chain))?;
    }
    Ok(Followed { certificates, first, from_pin })
}

/// Those that are held and valid; where none are held, the one to begin with, and that it is that one.
async fn known_or_first(
    server: &Server,
    authority: Authority,
    held: &Collection<Certificate>,
    pin: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<(Vec<Certificate>, Option<Certificate>), HolderError> {
    let found = held.load();
    let known = anchors(&found.items, now);
    // Whoever is there and cannot be read may be the one who is to be trusted.
    if let (true, Some(unreadable)) = (known.is_empty(), found.unreadable.into_iter().next()) {
        return Err(unreadable.into());
    }
    if found.items.is_empty() {
        let one = first_of(server, authority, pin, now).await?;
        return Ok((vec![one.clone()], Some(one)));
    }
    if known.is_empty() {
        return Err(HolderError::NoneValid(held.path().to_owned()));
    }
    Ok((known, None))
}

/// Those that are `trusted` to whom trust has gone from the one whose fingerprint is `pin`, that one included. The server has
/// to have it, or one to whom trust had gone when it was last looked; and it, or such a one, has to be held, or lead to one
/// that is. Of the server's answers, the oldest one and the chain, is believed what is signed.
fn reached(
    server: &Server,
    held: &Collection<Certificate>,
    trusted: &[Certificate],
    pin: &[u8; 32],
    (oldest, chain): (&[u8], &[u8]),
    now: Timestamp,
) -> Result<Vec<Certificate>, HolderError> {
    let unusable = |source| unusable(server, source);
    let mut from = Successors::beside(held).of(pin);
    from.push(*pin);
    let mut roots = Vec::new();
    for fingerprint in &from {
        roots.extend(pinned(oldest, chain, fingerprint).map_err(unusable)?);
    }
    // One that has ended is trusted no more, and still says that this is its authority's file.
    let is_held = is_among(&from, trusted) || is_among(&from, &held.load().items);
    if roots.is_empty() && is_held {
        let found = hex::encode(&read(server, oldest)?.fingerprint());
        return Err(HolderError::NotPinned { found });
    }
    let mut led = roots.clone();
    for root in roots {
        led.extend(follow(&[root], chain, now).map_err(unusable)?);
    }
    let reached: Vec<Certificate> = trusted.iter().filter(|one| led.contains(one)).cloned().collect();
    match reached.is_empty() && !is_held {
        true => Err(HolderError::TrustsOthers(held.path().to_owned())),
        false => Ok(reached),
    }
}

/// Refuses a server that has none of those that are `trusted`, be it the oldest one or in its chain. Nothing is believed for
/// that: what it says of them is not looked at.
fn refuse_another(
    server: &Server,
    authority: Authority,
    held: &Collection<Certificate>,
    trusted: &[Certificate],
    (oldest, chain): (&[u8], &[u8]),
) -> Result<(), HolderError> {
    for one in trusted {
        let found = pinned(oldest, chain, &one.fingerprint());
        if found.map_err(|source| unusable(server, source))?.is_some() {
            return Ok(());
        }
    }
    let fingerprint = |one: &Certificate| hex::encode(&one.fingerprint());
    Err(HolderError::Another {
        url: server.url().to_string(),
        authority,
        offered: fingerprint(&read(server, oldest)?),
        path: held.path().to_owned(),
        trusted: trusted.iter().map(fingerprint).collect::<Vec<_>>().join(", "),
    })
}

/// The CA certificate to begin with.
async fn first_of(
    server: &Server,
    authority: Authority,
    pin: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<Certificate, HolderError> {
    let oldest = server.oldest(authority).await?;
    let one = match pin {
        None => read(server, &oldest)?,
        Some(fingerprint) => match pinned(&oldest, &server.chain(authority).await?, fingerprint)
            .map_err(|source| unusable(server, source))?
        {
            Some(one) => one,
            None => {
                let one = read(server, &oldest)?;
                return Err(HolderError::NotPinned { found: hex::encode(&one.fingerprint()) });
            }
        },
    };
    if anchors(std::slice::from_ref(&one), now).is_empty() {
        return Err(unusable(server, Unusable::Ended));
    }
    Ok(one)
}

fn read(server: &Server, answer: &[u8]) -> Result<Certificate, HolderError> {
    Certificate::from_pem(answer).map_err(|error| unusable(server, Unusable::Certificate(error)))
}

fn unusable(server: &Server, source: Unusable) -> HolderError {
    HolderError::Authorities { url: server.url().to_string(), source }
}

/// What came of looking after revocation lists.
#[derive(Debug)]
pub(crate) struct Revoked {
    pub(crate) lists: Vec<Crl>,
    /// Whether what is on disk is anything else than before.
    pub(crate) is_new: bool,
}

/// Brings the revocation lists of `authority` up to date, of which `trusted` are the CA certificates.
///
/// # Errors
/// When the server does not answer, none of the lists it answers with is signed by one of `trusted`, or a file cannot be
/// written. Then what is held is what it was.
pub(crate) async fn update_lists(
    server: &Server,
    authority: Authority,
    held: &Collection<Crl>,
    trusted: &[Certificate],
) -> Result<Revoked, HolderError> {
    // What is there and cannot be read is replaced: nobody is trusted for it.
    let found = held.load();
    let unusable = |source| HolderError::Lists { url: server.url().to_string(), source };
    let chosen = Lists::chosen(&found.items, &server.lists(authority).await?, trusted).map_err(unusable)?;
    let is_new =
        if chosen.is_new || !found.unreadable.is_empty() { held.store(&chosen.lists)? } else { false };
    Ok(Revoked { lists: chosen.lists, is_new })
}
