//! Whose keys may read a backup.

use std::sync::Arc;

use base::Timestamp;
use store::{Engine, Error, Page};
use x509::{Certificate, PublicKey};

use crate::authority::AuthorityName;
use crate::service::Tables;
use crate::takeover::take::leaf;

/// The keys of the users whose certificates are good at `now`: within their dates, of a CA certificate that is there and
/// good too, and not revoked (caucase contract, section 9). Only of those whose request is there as well, as a backup has
/// no row of others (`give_back`), and whoever restores it is looked up by the row. Keys that nothing is sealed to are among
/// them, also of sizes that are not certified any more: whoever seals says how many there are.
///
/// # Errors
/// When the store cannot be read.
pub async fn keys_of_users(engine: &Arc<dyn Engine>, now: Timestamp) -> Result<Vec<PublicKey>, Error> {
    let tables = Tables::new(engine, AuthorityName::Users)?;
    let issuers = tables.issuer.all().await?.into_iter();
    let anchors: Vec<_> = issuers
        .filter_map(|(_, held)| Certificate::from_pem(held.record.certificate.as_bytes()).ok())
        .collect();
    let mut keys = Vec::new();
    let mut next = Some(Page::full());
    while let Some(page) = next {
        let listed = tables.request.list(page).await?;
        for (key, _) in listed.entries {
            let Some(issued) = tables.issued.get(&key).await? else { continue };
            let serial = issued.record.serial;
            let Some(held) = tables.certificate.get(&serial).await? else { continue };
            // One that cannot be read is nobody's.
            let Ok(certificate) = leaf(held.record.certificate.as_bytes()) else { continue };
            if x509::verify(&certificate, &anchors, now).is_ok()
                && tables.revoked.get(&serial).await?.is_none()
            {
                keys.push(certificate.public_key().clone());
            }
        }
        next = listed.next;
    }
    Ok(keys)
}
