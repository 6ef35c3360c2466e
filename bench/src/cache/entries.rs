//! What a signature costs that old readers of entries understand.

use std::time::Instant;

use base::{Clock, Entropy, Span};
use entry::{Entry, SigningKey, TrustList};
use x509::Serial;

use super::Bench;
use crate::Failure;
use crate::report::{Measured, Row, Section, Unit};

/// How many are made and looked at in one run.
const TURNS: u32 = 500;
/// What is aimed at, in microseconds.
const SIGN_AIM: f64 = 150.0;
const VERIFY_AIM: f64 = 20.0;

pub(super) fn measure(bench: &Bench) -> Result<Section, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::Program {
        program: "entry".into(),
        what: base::report(error),
    };
    let now = Clock::system().now();
    let key = SigningKey::generate(1024).map_err(|error| failed(&error))?;
    let serial = Serial::random(&Entropy::system());
    let certificate = key.certificate("bench", serial, now, now + Span::days(1));
    let trust = TrustList::parse(&certificate.map_err(|error| failed(&error))?);
    let trust = trust.map_err(|error| failed(&error))?;
    let text = format!(
        "{{\"sha512\": \"{}\", \"url\": \"http://example.invalid/a.tar.gz\"}}",
        base::Sha512::of(b"")
    );
    let (mut signing, mut verifying) = (Measured::default(), Measured::default());
    for _ in 0..bench.rounds {
        let began = Instant::now();
        let mut signature = String::new();
        for _ in 0..TURNS {
            signature = key.sign(&text);
        }
        signing.add(began.elapsed().as_secs_f64() * 1e6 / f64::from(TURNS));
        let entry = Entry::new(text.clone(), signature).map_err(|error| failed(&error))?;
        let began = Instant::now();
        for _ in 0..TURNS {
            if trust.verified_by(&entry).is_none() {
                return Err(Failure::Program {
                    program: "entry".into(),
                    what: "its own signature is wrong".into(),
                });
            }
        }
        verifying.add(began.elapsed().as_secs_f64() * 1e6 / f64::from(TURNS));
    }
    let row = |what: &str, ours, aim: f64| Row {
        what: what.into(),
        unit: Unit::Microseconds,
        ours,
        theirs: aim.into(),
    };
    let rows = vec![row("signing", signing, SIGN_AIM), row("verifying", verifying, VERIFY_AIM)];
    let title = "An entry's signature, RSA-1024 with SHA-1, on one core".into();
    Ok(Section { title, rival: "the aim", rows, notes: Vec::new() })
}
