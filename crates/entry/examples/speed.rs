//! How long one signature takes, and one verification: `cargo run --release -p entry --example speed -- KEY.pem CERT.pem`.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement, run by hand")]

use std::time::Instant;

use entry::{Entry, SigningKey, TrustList};

const ROUNDS: u32 = 5_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args().skip(1);
    let mut read = || std::fs::read_to_string(paths.next().unwrap_or_default());
    let (key, trust) = (SigningKey::from_pem(&read()?)?, TrustList::parse(&read()?)?);
    let text = format!(r#"{{"sha512": "{}", "url": "http://example.invalid/a"}}"#, base::Sha512::of(b"a"));
    let entry = Entry::new(text.clone(), key.sign(&text))?;
    let body = entry.to_json();

    let measure = |what: &str, work: &dyn Fn() -> bool| {
        let start = Instant::now();
        let done = (0..ROUNDS).all(|_| work());
        println!("{what}: {:?} each, {done}", start.elapsed() / ROUNDS);
    };
    for _ in 0..2 {
        measure("verify", &|| trust.verified_by(&entry).is_some());
        measure("sign", &|| !key.sign(&text).is_empty());
        measure("parse", &|| Entry::parse(body.as_bytes()).is_ok());
        measure("parse and verify", &|| {
            Entry::parse(body.as_bytes()).is_ok_and(|entry| trust.verified_by(&entry).is_some())
        });
    }
    Ok(())
}
