//! How many certificates clients get in a second: each submits a request, which is approved automatically,
//! and fetches the certificate.

use std::time::Duration;

use super::Bench;
use super::contenders::Contender;
use super::requests::{Requests, Supply};
use crate::Failure;
use crate::http::{self, Client};
use crate::load::{self, Done, Worker};
use crate::process::Served;
use crate::report::{Measured, Row, Section, Unit};
use crate::run::{count, note};

/// So many clients at once.
pub(super) const CLIENTS: [usize; 2] = [1, 8];

/// A client that gets one certificate after the other.
pub(super) struct Holder {
    client: Client,
    supply: Supply,
    fetches: bool,
}

impl Holder {
    /// With or without fetching them.
    pub(super) fn new(client: Client, supply: &Supply, fetches: bool) -> Self {
        Self { client, supply: supply.clone(), fetches }
    }
}

impl Worker for Holder {
    async fn turn(&mut self) -> Result<bool, Failure> {
        let Some(number) = self.supply.take() else { return Ok(false) };
        let body = ("application/pkcs10", self.supply.text(number).as_bytes());
        let address = self.client.address();
        let answer = self.client.expect(201, &http::request("PUT", "/cas/csr", Some(body))).await?;
        let nowhere =
            || Failure::Program { program: address.to_string(), what: "a request got no number".into() };
        let path = format!("/cas/crt/{}", answer.location.ok_or_else(nowhere)?);
        if self.fetches {
            let answer = self.client.expect(200, &http::request("GET", &path, None)).await?;
            let nothing = || Failure::Program { program: address.to_string(), what: "no certificate".into() };
            if !answer.body.starts_with(b"-----BEGIN CERTIFICATE-----") {
                return Err(nothing());
            }
        }
        Ok(true)
    }
}

/// Certificates that `clients` get from `served` in `duration`; with or without fetching them.
pub(super) async fn issue(
    served: &Served,
    supply: &Supply,
    clients: usize,
    fetches: bool,
    duration: Duration,
) -> Result<Done, Failure> {
    let holder = || Holder::new(Client::new(served.address), supply, fetches);
    let holders = std::iter::repeat_with(holder).take(clients).collect();
    Ok(load::run(holders, duration).await?.0)
}

pub(super) fn measure(bench: &Bench, requests: &Requests) -> Result<Section, Failure> {
    bench.runtime.block_on(measure_both(bench, requests))
}

async fn measure_both(bench: &Bench, requests: &Requests) -> Result<Section, Failure> {
    let contenders = [
        (Contender::Provost.start(bench, "issuing").await?, requests.supply()),
        (Contender::Caucased.start(bench, "issuing").await?, requests.supply()),
    ];
    let mut rows = Vec::new();
    for clients in CLIENTS {
        note(&format!("issuing: {}", count(clients, "client")));
        let mut measured = [Measured::default(), Measured::default()];
        for _ in 0..bench.rounds {
            for ((served, supply), measured) in contenders.iter().zip(&mut measured) {
                measured.add(issue(served, supply, clients, true, bench.duration).await?.per_second());
            }
        }
        let [ours, theirs] = measured;
        let what = format!("certificates, {}", count(clients, "client"));
        rows.push(Row { what, unit: Unit::PerSecond, ours, theirs });
    }
    let [ours, theirs] = contenders.map(|(served, _)| served);
    rows.push(Row {
        what: "memory afterwards".into(),
        unit: Unit::Megabytes,
        ours: (ours.resident_bytes()? as f64 / 1e6).into(),
        theirs: (theirs.resident_bytes()? as f64 / 1e6).into(),
    });
    ours.stop().await?;
    theirs.stop().await?;
    Ok(Section {
        title: "Submit, automatic approval, fetch over HTTP, certificates a second".into(),
        rival: Contender::Caucased.name(),
        rows,
        notes: Vec::new(),
    })
}
