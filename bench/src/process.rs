//! A server that is started, watched and stopped; and what a process has used.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

use crate::Failure;
use crate::http::{self, Client};

/// How long a server may take to answer the first time.
const START_MAX: Duration = Duration::from_secs(60);
/// How long it may take to end.
const STOP_MAX: Duration = Duration::from_secs(20);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What `/proc` counts processor time in: `USER_HZ`, 100 in a second on all of Linux's current platforms.
const TICK: Duration = Duration::from_millis(10);

/// A server of ours, or of theirs, that answers on a port pair of its own. Killed when dropped.
pub(crate) struct Served {
    name: &'static str,
    child: Child,
    /// Where it speaks HTTP.
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first answer.
    pub(crate) started_in: Duration,
}

/// A port that is free, and the next one as well.
pub(crate) fn free_ports() -> Result<u16, Failure> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    for _ in 0..100 {
        let Ok(first) = bind(0) else { continue };
        let Ok(address) = first.local_addr() else { continue };
        if let Some(second) = address.port().checked_add(1)
            && bind(second).is_ok()
        {
            return Ok(address.port());
        }
    }
    Err(Failure::Missing("no two neighbouring ports are free on 127.0.0.1".into()))
}

impl Served {
    /// Starts `command`, which will listen on `port`, and waits until it answers `ready` with 200. What it
    /// says goes to files in `folder`, as it would to a log.
    pub(crate) async fn start(
        name: &'static str,
        mut command: Command,
        port: u16,
        ready: &str,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let log = |what: &str| {
            let path = folder.join(what);
            File::options().append(true).create(true).open(&path).map_err(Failure::file(&path))
        };
        command.stdin(Stdio::null()).stdout(log("stdout")?).stderr(log("stderr")?);
        let began = Instant::now();
        let failed = |what: String| Failure::Program { program: name.into(), what };
        let mut child = command.spawn().map_err(|error| failed(format!("could not be started: {error}")))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let request = http::request("GET", ready, None);
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let ended = child.try_wait().map_err(|error| failed(error.to_string()))?;
            if ended.is_none()
                && let Ok(answer) = Client::new(address).ask(&request).await
                && answer.status == 200
            {
                return Ok(Self { name, child, address, started_in: began.elapsed() });
            }
            let why = match ended {
                Some(status) => format!("ended at once ({status})"),
                None if began.elapsed() > START_MAX => format!("did not answer within {START_MAX:?}"),
                None => continue,
            };
            let _ = child.kill();
            let _ = child.wait();
            let said = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
            return Err(failed(format!("{why}; it said:\n{}", said.trim_end())));
        }
    }

    /// Processor time it has used since it began.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        cpu_of(&self.child.id().to_string())
    }

    /// How much of it is in memory now, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64, Failure> {
        self.status("VmRSS:")
    }

    /// How much of it has been in memory at most, in bytes.
    pub(crate) fn resident_bytes_peak(&self) -> Result<u64, Failure> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Result<u64, Failure> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).map_err(Failure::file(Path::new(&path)))?;
        bytes_of(&status, name).ok_or_else(|| Failure::Program {
            program: self.name.into(),
            what: "its memory is not told by /proc".into(),
        })
    }

    /// Asks it to end, and waits for that.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        let failed = |what: String| Failure::Program { program: self.name.into(), what };
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).map_err(|error| failed(error.to_string()))?;
        let asked = Instant::now();
        let mut look = tokio::time::interval(LOOK_EVERY);
        let ended: ExitStatus = loop {
            look.tick().await;
            if let Some(status) = self.child.try_wait().map_err(|error| failed(error.to_string()))? {
                break status;
            }
            if asked.elapsed() > STOP_MAX {
                return Err(failed(format!("did not end within {STOP_MAX:?}")));
            }
        };
        tokio::task::yield_now().await;
        // caucased ends by the signal itself.
        if ended.success() || ended.code().is_none() {
            Ok(())
        } else {
            Err(failed(format!("ended with {ended}")))
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the processors did at one moment since they began, and how much of it was for us.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    busy: Duration,
    all: Duration,
    ours: Duration,
}

impl Moment {
    /// This one. What the servers used is ours once they were stopped.
    pub(crate) fn now() -> Result<Self, Failure> {
        let read = |path: &str| fs::read_to_string(path).map_err(Failure::file(Path::new(path)));
        let odd =
            |what: &str| Failure::Program { program: what.into(), what: "is not as proc(5) says".into() };
        let (busy, all) = processors(&read("/proc/stat")?).ok_or_else(|| odd("/proc/stat"))?;
        let ours = ticks(&read("/proc/self/stat")?, 4).ok_or_else(|| odd("/proc/self/stat"))?;
        Ok(Self { busy, all, ours })
    }

    /// Which part of all processors was used by others from `earlier` until this moment.
    pub(crate) fn others_since(&self, earlier: &Self) -> f64 {
        let busy = self.busy.saturating_sub(earlier.busy);
        let others = busy.saturating_sub(self.ours.saturating_sub(earlier.ours));
        others.as_secs_f64() / self.all.saturating_sub(earlier.all).max(TICK).as_secs_f64()
    }
}

/// Processor time that this process has used since it began.
pub(crate) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // The kernel gives both from 0 on.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Processor time that children of this process have used, and theirs, which have ended and were waited for.
pub(crate) fn children_cpu() -> Result<Duration, Failure> {
    let path = "/proc/self/stat";
    let stat = fs::read_to_string(path).map_err(Failure::file(Path::new(path)))?;
    let both = ticks(&stat, 4).zip(ticks(&stat, 2));
    let odd = || Failure::Program { program: path.into(), what: "is not as proc(5) says".into() };
    both.map(|(all, own)| all.saturating_sub(own)).ok_or_else(odd)
}

/// Runs `command` to its end; how much of it was in memory at most, in bytes, what it started not included. It is looked at
/// again and again, so how long it takes says nothing.
pub(crate) fn resident_bytes_peak_of(mut command: Command) -> Result<u64, Failure> {
    let what = format!("{command:?}");
    let failed = |what: &str, why: String| Failure::Program { program: what.to_owned(), what: why };
    let mut child = command.spawn().map_err(|error| failed(&what, error.to_string()))?;
    let path = format!("/proc/{}/status", child.id());
    let mut most = None;
    let status = loop {
        // One that has ended has none any more.
        let told = fs::read_to_string(&path).ok();
        most = told.and_then(|status| bytes_of(&status, "VmHWM:")).or(most);
        if let Some(status) = child.try_wait().map_err(|error| failed(&what, error.to_string()))? {
            break status;
        }
        // Without a pause: some live for a few milliseconds, and have the most at their end.
        std::thread::yield_now();
    };
    match most {
        Some(most) if status.success() => Ok(most),
        _ => Err(failed(&what, status.to_string())),
    }
}

/// How much of this process is in memory now, in bytes.
pub(crate) fn own_resident_bytes() -> Result<u64, Failure> {
    let path = "/proc/self/status";
    let status = fs::read_to_string(path).map_err(Failure::file(Path::new(path)))?;
    let odd = || Failure::Program { program: path.into(), what: "is not as proc(5) says".into() };
    bytes_of(&status, "VmRSS:").ok_or_else(odd)
}

/// Processor time that the process of this number (or `self`) has used since it began.
pub(crate) fn cpu_of(process: &str) -> Result<Duration, Failure> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).map_err(Failure::file(Path::new(&path)))?;
    cpu(&stat).ok_or_else(|| Failure::Program { program: path, what: "is not as proc(5) says".into() })
}

/// User and system time out of `/proc/PID/stat`.
fn cpu(stat: &str) -> Option<Duration> {
    ticks(stat, 2)
}

/// The sum of `count` fields of `/proc/PID/stat` from the 14th on (proc(5)): user and system time, then the
/// same of children that ended. The second field, in parentheses, may have anything in it.
fn ticks(stat: &str, count: usize) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<u32> =
        rest.split_ascii_whitespace().skip(11).take(count).map_while(|field| field.parse().ok()).collect();
    (fields.len() == count).then(|| TICK * fields.iter().sum())
}

/// How long the processors were busy, and how long there were processors, out of `/proc/stat` (proc(5)).
fn processors(stat: &str) -> Option<(Duration, Duration)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    // User, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen.
    let ticks: Vec<f64> =
        line.split_ascii_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let all = ticks.iter().sum::<f64>();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((TICK.mul_f64(all - idle), TICK.mul_f64(all)))
}

/// A number of bytes, such as `VmRSS:`, out of `/proc/PID/status` (proc(5)).
fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_it_is_documented() {
        let stat = "17 (a ) (b) S 1 17 17 0 -1 4194560 100 0 0 0 150 25 3 4 20 0 2 0 100 1000 10";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(ticks(stat, 4), Some(Duration::from_millis(1_820)));
        assert_eq!((cpu("17 (a"), cpu("17 (a) S 1")), (None, None));
        let seconds = |busy, all| Some((Duration::from_secs(busy), Duration::from_secs(all)));
        assert_eq!(processors("cpu  100 200 300 4000 500 0 0 100 7 7\ncpu0 1"), seconds(7, 52));
        assert_eq!(processors("cpu  100 200 300"), None);
        assert_eq!(bytes_of("Name:\ta\nVmRSS:\t    9300 kB\nThreads:\t2\n", "VmRSS:"), Some(9_523_200));
        assert_eq!(bytes_of("Name:\ta\n", "VmRSS:"), None);
        assert!(own_cpu() > Duration::ZERO);
    }

    #[test]
    fn what_others_use_is_what_is_left() {
        let at = |busy, all, ours| {
            let seconds = Duration::from_secs;
            Moment { busy: seconds(busy), all: seconds(all), ours: seconds(ours) }
        };
        assert_eq!(at(70, 200, 40).others_since(&at(30, 100, 10)), 0.1);
        assert_eq!(at(30, 200, 41).others_since(&at(0, 100, 10)), 0.0);
        assert!(Moment::now().is_ok());
    }
}
