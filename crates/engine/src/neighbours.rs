//! Reads again what is kept of the authorities when another process has changed it.
//!
//! Revocations need nobody to say so: their number is looked at each time. A CA certificate that another process
//! made is told of by the history, long before anything is signed with it; it is read then, so that those who
//! cannot wait, in the TLS handshake, know it.

use std::sync::Arc;
use std::time::Duration;

use bus::{Heard, Listener};
use ca::Authority;
use futures_util::StreamExt as _;

use crate::tasks::Stop;

/// How long it waits when the store cannot be read, before it tries again.
const PAUSE: Duration = Duration::from_secs(2);

/// Reads everything once, and what changed whenever `hints` say that something did, until `stop` is asked.
pub(crate) async fn run(authorities: Vec<Arc<Authority>>, mut hints: Listener, stop: Stop) {
    // What happened between the opening and the first hint was told to nobody.
    let mut outdated = vec![true; authorities.len()];
    loop {
        for (authority, is_outdated) in authorities.iter().zip(&mut outdated) {
            if *is_outdated {
                let read = authority.look_again().await;
                if let Err(error) = &read {
                    let authority = authority.profile().name;
                    tracing::warn!(%authority, error = %base::report(error), "CA certificates not read again yet");
                }
                *is_outdated = read.is_err();
            }
        }
        let again = async {
            if outdated.contains(&true) {
                tokio::time::sleep(PAUSE).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = stop.asked() => return,
            () = again => {}
            heard = hints.next() => match heard {
                Some(Heard::Hint(hint)) if hint.what != ca::CA_CERTIFICATE_MADE => {}
                Some(Heard::Hint(hint)) => {
                    for (authority, is_outdated) in authorities.iter().zip(&mut outdated) {
                        *is_outdated |= hint.about.split(' ').next() == Some(authority.profile().name.as_str());
                    }
                }
                Some(Heard::Lost) => outdated.fill(true),
                // The bus never ends while we hold it.
                None => return,
            },
        }
    }
}
