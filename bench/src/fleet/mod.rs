//! Hosts: Provost's way to them beside what an operator would use instead, on real sshd hosts of this machine.
//!
//! ```text
//! asking        facts of all hosts, and a command that does nothing     against ssh, pssh, clush, Ansible
//! connections   memory of a connection that is kept                      against an ssh process that is
//! restarting    a rolling restart, beyond the hosts' own downtime         against Ansible's `reboot`
//! watching      20,000 simulated hosts, looked at every five minutes      against limits
//! ```
//! The hosts are on the same processors as whoever asks them: signing in costs them as much as it costs the other side, so
//! that the time that passes says less than the processor time of the asking side does. Contenders take turns, round by
//! round, and the median of the rounds counts. Root is needed.

mod asking;
mod connections;
mod ours;
mod restarting;
mod rival;
mod site;
mod watching;

use std::process::ExitCode;

use clap::{Parser as _, ValueEnum};

use crate::Failure;
use crate::process::Moment;
use crate::report::Section;
use crate::run::{self, Settings};
use rival::Programs;

/// Measures Provost's way to hosts beside ssh, pssh, clush and Ansible
#[derive(clap::Parser)]
#[command(name = "fleet")]
struct Options {
    /// What to measure; everything when nothing is named
    sections: Vec<Chosen>,
    /// How many hosts there are; 50 and then 200 when nothing is said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=200))]
    hosts: Vec<u8>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chosen {
    Asking,
    Connections,
    Restarting,
    Watching,
}

/// Measures what the command line names, and prints it.
#[must_use]
pub fn main() -> ExitCode {
    run::exit("fleet", measure(&Options::parse()))
}

fn measure(options: &Options) -> Result<(), Failure> {
    options.settings.check()?;
    let wanted = |section| options.sections.is_empty() || options.sections.contains(&section);
    let sizes: &[u8] = if options.hosts.is_empty() { &[50, 200] } else { &options.hosts };
    let began = Moment::now()?;
    let mut sections: Vec<Section> = Vec::new();
    // First: what other work leaves in memory would be used again.
    if wanted(Chosen::Connections) {
        let most = sizes.iter().copied().max().unwrap_or(50);
        sections.push(connections::measure(usize::from(most))?);
    }
    if wanted(Chosen::Asking) {
        let programs = Programs::find()?;
        for &hosts in sizes {
            sections.extend(asking::measure(&programs, usize::from(hosts), options.settings.rounds)?);
        }
    }
    if wanted(Chosen::Restarting) {
        let (provost, programs) = (options.settings.provost()?, Programs::find()?);
        sections.push(restarting::measure(&programs, &provost, options.settings.rounds)?);
    }
    if wanted(Chosen::Watching) {
        sections.push(watching::measure()?);
    }
    options.settings.print(&began, &sections)
}
