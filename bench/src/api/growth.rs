//! Whether looking at a few hosts takes longer when there are many others.

use std::time::Instant;

use fleet::{ClusterName, HostAddress, HostFilter, HostStatus, Labels};

use super::contenders::{InProcess, Place, Store};
use super::filling::{FEW, address, fill};
use super::{Bench, FEWER};
use crate::Failure;
use crate::http::Client;
use crate::process::Served;
use crate::report::{Measured, Row, Section, Unit, number};
use crate::run::note;
use crate::signed_in::request;

/// What is looked at.
enum Look {
    /// So many hosts behind the one in the middle, or from the start.
    Page { limit: usize, from_the_middle: bool },
    /// A page of 100 that are found by something: so many of them are expected.
    Found { filter: HostFilter, expected: usize },
    /// All that are found by something, page after page.
    All { filter: HostFilter, expected: usize },
    /// How many hosts a cluster has, and how they do.
    Counts(&'static str),
}

fn looks() -> Vec<(&'static str, Look)> {
    let labels = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Labels::new(labels).expect("they keep to the rules")
    };
    let found = |filter, expected| Look::Found { filter, expected };
    let any = HostFilter::default;
    vec![
        ("the first 100", Look::Page { limit: 100, from_the_middle: false }),
        ("100 from the middle", Look::Page { limit: 100, from_the_middle: true }),
        ("the first 1,000, all fields", Look::Page { limit: 1_000, from_the_middle: false }),
        ("100 of one OS of two", found(HostFilter { os: Some("fedora".into()), ..any() }, 100)),
        ("20 failed ones", found(HostFilter { status: Some(HostStatus::Failed), ..any() }, FEW)),
        ("20 with a label", found(HostFilter { labels: labels(&[("role", "database")]), ..any() }, FEW)),
        (
            "100 of one OS, active, with a label",
            found(
                HostFilter {
                    os: Some("fedora".into()),
                    status: Some(HostStatus::Active),
                    labels: labels(&[("role", "web")]),
                    ..any()
                },
                100,
            ),
        ),
        (
            "active, with a label that 20 have",
            found(
                HostFilter {
                    status: Some(HostStatus::Active),
                    labels: labels(&[("role", "database")]),
                    ..any()
                },
                FEW,
            ),
        ),
        (
            "all 20 with two labels that half have each",
            Look::All {
                filter: HostFilter { labels: labels(&[("zone", "a"), ("kind", "x")]), ..any() },
                expected: FEW,
            },
        ),
        ("counts of a small cluster", Look::Counts("small")),
        ("counts of the large cluster", Look::Counts("large")),
    ]
}

impl Look {
    async fn at(&self, within: &InProcess, middle: &HostAddress) -> Result<(), Failure> {
        let (seen, expected) = match self {
            Self::Page { limit, from_the_middle } => {
                let after = from_the_middle.then_some(middle);
                let any = HostFilter::default();
                let page = within.fleet.hosts(within.permit()?, &any, after, *limit).await;
                (page.map_err(Failure::fleet)?.hosts.len(), *limit)
            }
            Self::Found { filter, expected } => {
                let page = within.fleet.hosts(within.permit()?, filter, None, 100).await;
                (page.map_err(Failure::fleet)?.hosts.len(), *expected)
            }
            Self::All { filter, expected } => {
                let (mut seen, mut after) = (0, None);
                loop {
                    let page = within.fleet.hosts(within.permit()?, filter, after.as_ref(), 100).await;
                    let page = page.map_err(Failure::fleet)?;
                    seen += page.hosts.len();
                    after = page.next;
                    if after.is_none() {
                        break (seen, *expected);
                    }
                }
            }
            Self::Counts(name) => {
                let name: ClusterName = name.parse().expect("a name");
                let view = within.fleet.cluster(within.permit()?, &name).await.map_err(Failure::fleet)?;
                (usize::from(view.counts().total > 0), 1)
            }
        };
        let wrong = || Failure::Fleet(format!("{seen} were found instead of {expected}"));
        (seen == expected).then_some(()).ok_or_else(wrong)
    }
}

pub(super) fn measure(bench: &Bench, store: Store) -> Result<Section, Failure> {
    let mut places = Vec::new();
    for count in [bench.hosts, FEWER] {
        note(&format!("growth {}: taking in {count} hosts", store.name()));
        let name = format!("growth-{count}");
        let place = bench.runtime.block_on(async {
            let place = Place::found(bench, store, &name).await?;
            place.serve().await?.stop().await?;
            Ok::<_, Failure>(place)
        })?;
        let within = place.open()?;
        fill(&within, count)?;
        places.push((place, within, address(count / 2)));
    }
    let mut rows = Vec::new();
    let row = |what: &str, [ours, theirs]: [Measured; 2]| Row {
        what: what.into(),
        unit: Unit::Microseconds,
        ours,
        theirs,
    };
    for (what, look) in looks() {
        note(&format!("growth {}: {what}", store.name()));
        let mut measured = [Measured::default(), Measured::default()];
        for _ in 0..bench.rounds {
            for ((_, within, middle), measured) in places.iter().zip(&mut measured) {
                measured.add(within.runtime.block_on(timed(bench, || look.at(within, middle)))?);
            }
        }
        rows.push(row(what, measured));
    }
    let mut served = Vec::new();
    for (place, within, _) in places {
        within.close()?;
        served.push((bench.runtime.block_on(place.serve())?, place));
    }
    let mut measured = [Measured::default(), Measured::default()];
    for _ in 0..bench.rounds {
        for ((served, _), measured) in served.iter().zip(&mut measured) {
            measured.add(bench.runtime.block_on(read_cluster(bench, served))?);
        }
    }
    rows.push(row("a cluster of 100 over HTTP", measured));
    for (served, _) in served {
        bench.runtime.block_on(served.stop())?;
    }
    let hosts = number(bench.hosts as f64);
    Ok(Section {
        title: format!("{hosts} hosts {} against 1,000, one look after the other", store.name()),
        rival: "with 1,000",
        rows,
        notes: vec!["in process, but for the last row".into()],
    })
}

/// How long `look` takes, in microseconds, done over and over.
async fn timed<F>(bench: &Bench, mut look: impl FnMut() -> F) -> Result<f64, Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    // What comes once in a while is not what is measured: pages of the file that are read for the first time.
    look().await?;
    let began = Instant::now();
    let mut turns = 0;
    while began.elapsed() < bench.duration {
        look().await?;
        turns += 1;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(turns))
}

async fn read_cluster(bench: &Bench, served: &Served) -> Result<f64, Failure> {
    let mut client = Client::new(served.address);
    let request = request("GET", "/api/v0/cluster/small", None);
    client.expect(200, &request).await?;
    let began = Instant::now();
    let mut turns = 0;
    while began.elapsed() < bench.duration {
        client.expect(200, &request).await?;
        turns += 1;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(turns))
}
