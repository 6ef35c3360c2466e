//! A short life; the long one is `cargo xtask life`.

use proof::life::{Plan, live};

/// One in which everything happens.
const CHOSEN: u64 = 41;

/// A year and a half with some holders in memory, and half of that on disk. `PROVOST_LIFE_SEED` chooses another one.
#[test]
fn a_year_and_a_half() {
    let seed = std::env::var("PROVOST_LIFE_SEED").map_or(CHOSEN, |text| text.parse().unwrap());
    let mut total = [0; 7];
    for (seed, on_disk) in [(seed, false), (seed + 1, true)] {
        println!("PROVOST_LIFE_SEED={seed}");
        let (days, holders) = if on_disk { (280, 6) } else { (550, 25) };
        let short = Plan {
            users: 3,
            step_hours: (12, 48),
            openssl_every: 40,
            rsa_keys: 6,
            ..Plan::long(seed, 1, holders)
        };
        let figures = live(&Plan { days, on_disk, rsa_issuers: false, ..short });
        println!("{figures:#?}");
        let (ca_certificates, verified) = if on_disk { (4, 500) } else { (6, 2_000) };
        assert!(figures.ca_certificates >= ca_certificates && figures.verified > verified, "{figures:?}");
        assert!(figures.renewed > 10 && figures.kills + figures.stops > 3, "{figures:?}");
        total[0] += figures.restores;
        total[1] += figures.restores_of_caucase;
        total[2] += figures.taken_over;
        total[3] += figures.rotated;
        total[4] += figures.retired;
        total[5] += figures.restores_of_older;
        total[6] += figures.refused_without_issuer;
    }
    if seed == CHOSEN {
        let what = "put back, from caucase's backup, taken over, rotated, retired, put back from before the latest CA \
                    certificate, refused what that had signed";
        assert!(!total.contains(&0), "{what}: {total:?}");
    }
}
