//! What a connection takes that nobody uses.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::ours::Ours;
use super::site::Site;
use crate::Failure;
use crate::process::own_resident_bytes;
use crate::report::{Row, Section, Unit};
use crate::run::note;

/// How many connections stand before memory is looked at: what the first of them takes once is not a connection's.
const FIRST: usize = 10;
/// How many ssh processes are looked at.
const PROCESSES: usize = 10;

pub(super) fn measure(hosts: usize) -> Result<Section, Failure> {
    let site = Site::start(hosts.max(2 * FIRST))?;
    let count = site.hosts.all().len();
    let ours = Ours::new(&site)?;
    note("keeping connections");
    ours.connect(FIRST)?;
    let before = own_resident_bytes()?;
    ours.connect(count)?;
    let each = own_resident_bytes()?.saturating_sub(before) as f64 / (count - FIRST) as f64;
    Ok(Section {
        title: format!("{count} connections that are kept"),
        rival: "ssh",
        rows: vec![Row {
            what: "memory of one".into(),
            unit: Unit::Kilobytes,
            ours: (each / 1e3).into(),
            theirs: (processes(&site)? / 1e3).into(),
        }],
        notes: vec!["ssh: what each of its processes has for itself (Private_* of smaps_rollup)".into()],
    })
}

/// What an `ssh` process has for itself, in bytes, once it is signed in; the mean of some.
fn processes(site: &Site) -> Result<f64, Failure> {
    let failed = |what: String| Failure::Program { program: "ssh".into(), what };
    let mut children: Vec<Running> = Vec::new();
    for host in &site.hosts.all()[..PROCESSES] {
        let mut command = Command::new("ssh");
        command.args(["-F", "none"]).args(site.ssh_options()).arg(format!("root@{}", host.address()));
        command.args(["echo signed in; cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        children.push(Running(command.spawn().map_err(|error| failed(error.to_string()))?));
    }
    let mut bytes = 0;
    for Running(child) in &mut children {
        let mut said = [0; 9];
        let stdout = child.stdout.as_mut().ok_or_else(|| failed("it has no output".into()))?;
        std::io::Read::read_exact(stdout, &mut said).map_err(|error| failed(error.to_string()))?;
        let path = format!("/proc/{}/smaps_rollup", child.id());
        let map = fs::read_to_string(&path).map_err(Failure::file(Path::new(&path)))?;
        bytes += private_bytes(&map);
    }
    Ok(bytes as f64 / PROCESSES as f64)
}

/// What nobody else has, out of `smaps_rollup` (proc(5)).
fn private_bytes(map: &str) -> u64 {
    let kilobytes = map.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim().strip_suffix(" kB")?;
        name.starts_with("Private_").then(|| value.parse::<u64>().ok())?
    });
    kilobytes.sum::<u64>() * 1024
}

/// A process that ends when nobody needs it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_summed() {
        let map = "5500-7fff ---p 00000000 00:00 0 [rollup]\nRss: 9000 kB\nPss: 3000 kB\nShared_Clean: 5 kB\n\
                   Private_Clean:        100 kB\nPrivate_Dirty:       1200 kB\n";
        assert_eq!(private_bytes(map), 1300 * 1024);
    }
}
