//! One hook of a requirer's unit: what every event of every unit costs.
//!
//! Both charms are in the tests' model of Juju, with the same hook commands: each starts a shell that asks one process over
//! loopback, and what that takes is part of the hook, as with Juju's own. What a hook command costs by itself is measured
//! beside it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use base::{Clock, Span};
use serde_json::json;
use testkit::{CharmBy, Juju, charm, charms_python};
use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

use crate::Failure;
use crate::process::{children_cpu, resident_bytes_peak_of};
use crate::report::{Measured, Row, Section, Unit, number};
use crate::run::note;

/// How many hooks each contender runs, one after the other, before the other one's turn.
const TURN: usize = 5;
const PROVIDER: (&str, &str) = ("provider", "send-ca-cert");
const UNIT: &str = "requirer/0";
const RELATION: [(&str, &str); 4] = [
    ("JUJU_RELATION", "receive-ca-cert"),
    ("JUJU_RELATION_ID", "receive-ca-cert:1"),
    ("JUJU_REMOTE_APP", "provider"),
    ("JUJU_REMOTE_UNIT", ""),
];

/// What happens to the unit.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// The provider has another set, of so many certificates.
    Changed(usize),
    /// It has the same, of so many: `update-status`.
    Nothing(usize),
}

/// One charm, in a model of its own.
struct Contender {
    juju: Juju,
    /// How many hooks it was given: each second one has the other set.
    hooks: usize,
}

/// What a hook took, by round.
#[derive(Default)]
struct Took {
    wall: Measured,
    cpu: Measured,
    memory: Measured,
}

pub(super) fn measure(provost: &Path, rounds: usize) -> Result<Section, Failure> {
    let sets = [certificates(0)?, certificates(1)?];
    let (mut ours, mut theirs) = (Contender::new(CharmBy::Us(provost)), Contender::new(CharmBy::Library));
    let mut rows = Vec::new();
    for happens in [Happens::Changed(1), Happens::Changed(100), Happens::Nothing(100)] {
        let what = match happens {
            Happens::Changed(1) => "1 other certificate".to_owned(),
            Happens::Changed(count) => format!("{count} other certificates"),
            Happens::Nothing(count) => format!("update-status, {count} certificates"),
        };
        note(&format!("dispatch: {what}"));
        let mut took = [Took::default(), Took::default()];
        // The first time files are read from the disk, and what was there before is another event.
        for contender in [&mut ours, &mut theirs] {
            contender.hook(happens, &sets)?;
        }
        for _ in 0..rounds {
            for (contender, took) in [&mut ours, &mut theirs].into_iter().zip(&mut took) {
                contender.turn(happens, &sets, took)?;
            }
        }
        let [ours, theirs] = took;
        rows.push(Row { what: what.clone(), unit: Unit::Milliseconds, ours: ours.wall, theirs: theirs.wall });
        let (what, unit) = (format!("{what}: processor time"), Unit::Milliseconds);
        rows.push(Row { what: what.clone(), unit, ours: ours.cpu, theirs: theirs.cpu });
        let what = what.replace("processor time", "memory at most");
        rows.push(Row { what, unit: Unit::Megabytes, ours: ours.memory, theirs: theirs.memory });
    }
    let command = ours.hook_command(rounds)?;
    let notes = vec![
        format!(
            "processor time includes that of the hook commands; one takes {} ms",
            number(command.median())
        ),
        "memory is that of the charm's own process".to_owned(),
    ];
    Ok(Section { title: "One hook of a requirer's unit".into(), rival: "ops", rows, notes })
}

/// 100 CA certificates, PEM: different ones for each `seed`.
fn certificates(seed: usize) -> Result<Vec<String>, Failure> {
    let failed = |what: String| Failure::Program { program: "making certificates".into(), what };
    let key = PrivateKey::generate(KeySpec::P256).map_err(|error| failed(error.to_string()))?;
    let now = Clock::system().now();
    let make = |at: usize| {
        let name = Name::from_common_name(&format!("An authority that is trusted, number {at} of {seed}"))
            .map_err(|error| failed(error.to_string()))?;
        let template = CertificateTemplate {
            serial: Serial::from_decimal(&(at + 1).to_string())
                .ok_or_else(|| failed("no serial number".into()))?,
            issuer: name.clone(),
            subject: name,
            not_before: now,
            not_after: now + Span::days(365),
            public_key: key.public().clone(),
            extensions: vec![extension::basic_constraints(true, None)],
        };
        Ok(template.sign(&key).to_pem())
    };
    (0..100).map(make).collect()
}

impl Contender {
    fn new(by: CharmBy<'_>) -> Self {
        // The provider is never run: what it would write is written.
        let mut juju = Juju::new(&charms_python());
        let (provider, requirer) = (charm("provider", by), charm("requirer", by));
        juju.deploy(PROVIDER.0, provider.path(), 1, json!({}));
        juju.deploy("requirer", requirer.path(), 1, json!({}));
        juju.relate(PROVIDER, ("requirer", RELATION[0].1));
        Self { juju, hooks: 0 }
    }

    /// The next hook of this kind, ready to be started.
    fn prepare(&mut self, happens: Happens, sets: &[Vec<String>; 2]) -> Command {
        let mut command = match happens {
            Happens::Changed(count) => {
                self.hooks += 1;
                let mut set = sets[self.hooks % 2][..count].to_vec();
                set.sort();
                self.juju.write(1, PROVIDER.0, "certificates", &json!(set).to_string());
                self.juju.prepare(UNIT, "receive-ca-cert-relation-changed", &RELATION)
            }
            Happens::Nothing(_) => self.juju.prepare(UNIT, "update-status", &[]),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs one; how long it took, in milliseconds.
    fn hook(&mut self, happens: Happens, sets: &[Vec<String>; 2]) -> Result<f64, Failure> {
        let mut command = self.prepare(happens, sets);
        let began = Instant::now();
        let status = command.status();
        let took = began.elapsed();
        let failed = |what: String| Failure::Program { program: "dispatch".into(), what };
        match status {
            Ok(status) if status.success() => self.juju.commit(),
            Ok(status) => return Err(failed(format!("{status}\n{}", self.juju.log()))),
            Err(error) => return Err(failed(error.to_string())),
        }
        Ok(took.as_secs_f64() * 1_000.0)
    }

    /// Runs some, and then one whose memory is looked at.
    fn turn(&mut self, happens: Happens, sets: &[Vec<String>; 2], took: &mut Took) -> Result<(), Failure> {
        let before = children_cpu()?;
        let mut wall = Measured::default();
        for _ in 0..TURN {
            wall.add(self.hook(happens, sets)?);
        }
        let cpu = children_cpu()?.saturating_sub(before);
        took.wall.add(wall.median());
        took.cpu.add(cpu.as_secs_f64() * 1_000.0 / TURN as f64);
        let command = self.prepare(happens, sets);
        took.memory.add(resident_bytes_peak_of(command)? as f64 / 1e6);
        self.juju.commit();
        Ok(())
    }

    /// How long a hook command takes by itself, in milliseconds.
    fn hook_command(&mut self, rounds: usize) -> Result<Measured, Failure> {
        let mut took = Measured::default();
        for _ in 0..rounds * TURN {
            let hook = self.juju.prepare(UNIT, "update-status", &[]);
            let path = hook.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value);
            let folder = path.and_then(|path| std::env::split_paths(path).next()).unwrap_or_default();
            let program = folder.join("is-leader");
            let mut command = Command::new(&program);
            command.arg("--format=json").env_clear().stdin(Stdio::null()).stdout(Stdio::null());
            command.envs(hook.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let began = Instant::now();
            let status = command.status().map_err(Failure::file(&program))?;
            took.add(began.elapsed().as_secs_f64() * 1_000.0);
            if !status.success() {
                return Err(Failure::Program { program: "is-leader".into(), what: status.to_string() });
            }
        }
        Ok(took)
    }
}
