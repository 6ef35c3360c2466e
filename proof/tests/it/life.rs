//! A short life; the long one is `cargo xtask life`.

use proof::life::{Plan, live};

/// A year and a half with thirty holders, once in memory and once on disk. `PROVOST_LIFE_SEED` chooses another one.
#[test]
fn a_year_and_a_half() {
    let seed = std::env::var("PROVOST_LIFE_SEED").map_or(8, |text| text.parse().unwrap());
    for (seed, on_disk) in [(seed, false), (seed + 1, true)] {
        println!("PROVOST_LIFE_SEED={seed}");
        let plan = Plan {
            days: 550,
            holders: if on_disk { 8 } else { 25 },
            users: 3,
            step_hours: (12, 48),
            on_disk,
            rsa_issuers: false,
            openssl_every: 40,
            rsa_keys: 6,
            ..Plan::long(seed, 1, 25)
        };
        let figures = live(&plan);
        println!("{figures:#?}");
        assert!(figures.ca_certificates >= 6 && figures.renewed > 30, "{figures:?}");
        assert!(figures.kills + figures.stops > 3 && figures.verified > 2_000, "{figures:?}");
    }
}
