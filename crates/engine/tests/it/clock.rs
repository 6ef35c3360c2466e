//! Starts with a clock that is wrong, or that nobody would believe.

use std::time::Duration;

use base::{Explain as _, Span, Timestamp};
use ca::AuthorityName;
use engine::{House, HouseError, Stop, Tasks};
use store::Engine as _;
use x509::Certificate;

use crate::house::{Ground, certificate_of};

const YEARS: Span = Span::days(5 * 365);

/// Builds and stops; the services authority's oldest CA certificate.
async fn lives(ground: &Ground, clock_is_right: bool) -> Result<Certificate, HouseError> {
    let mut parts = ground.parts().0;
    parts.clock_is_right = clock_is_right;
    let house = House::build(parts, Tasks::new(), Stop::new()).await?;
    let oldest = house.authority(AuthorityName::Services).oldest_anchor().await.unwrap();
    let server = house.authority(AuthorityName::Server).anchors().await.unwrap();
    let file = std::fs::read_to_string(ground.server_file()).unwrap();
    let shown = Certificate::from_pem(&certificate_of(&file)).unwrap();
    x509::verify(&shown, &server, ground.clock.now()).unwrap();
    house.stop(Duration::from_secs(5)).await.unwrap();
    Ok(oldest)
}

#[tokio::test(start_paused = true)]
async fn years_ahead_or_behind_are_believed_when_somebody_says_so() {
    let mut ground = Ground::new();
    let begun = ground.clock.now();
    let first = lives(&ground, false).await.unwrap();
    // What nobody minds: months of sleep, and some hours.
    for passes in [Span::days(100), Span::seconds(-20 * 3_600)] {
        ground = ground.afterwards();
        ground.clock.advance(passes);
        assert_eq!(lives(&ground, false).await.unwrap(), first);
    }

    ground = ground.afterwards();
    ground.clock.advance(YEARS);
    let before = ground.engine.revision().await.unwrap();
    let error = lives(&ground, false).await.unwrap_err();
    assert!(
        matches!(error, HouseError::ClockAhead { name: AuthorityName::Services, ended, .. } if ended == first.not_after()),
        "{error}"
    );
    assert!(
        error.help().unwrap().contains("nothing was changed")
            && error.help().unwrap().contains("--clock-is-right")
    );
    assert_eq!(ground.engine.revision().await.unwrap(), before);
    assert_ne!(lives(&ground, true).await.unwrap(), first);

    // It was wrong. The house is as it was, its own certificate included.
    ground = ground.afterwards();
    ground.clock.advance(Span::seconds(3_600 - YEARS.as_seconds()));
    let error = lives(&ground, false).await.unwrap_err();
    assert!(
        matches!(error, HouseError::ClockBehind { seen, .. } if seen > begun + Span::days(300)),
        "{error}"
    );
    assert_eq!(lives(&ground, true).await.unwrap(), first);
    // From then on nobody has to say anything.
    ground = ground.afterwards();
    assert_eq!(lives(&ground, false).await.unwrap(), first);
    ground = ground.afterwards();
    ground.clock.advance(Span::days(250));
    assert_eq!(lives(&ground, false).await.unwrap(), first);
    assert!(ground.clock.now() > Timestamp::from_unix(0));
}
