//! Runs ssh for Ansible, which keeps all that a host says in memory: of one that never stops talking no more is passed on
//! than a bound.
//!
//! What is said is passed on at once, since Ansible waits for some of it, and Ansible's own input goes to ssh without us.
//!
//! ```text
//! ansible-playbook ── its worker ──► relay ──► relayed, which becomes ssh
//!                     each ends with the one before it, however that one ends
//! ```
//! Nobody can be told from outside to end with its parent, only the process itself: so ours is between, and becomes ssh
//! when it has seen to that. A connection that ssh shares goes into the background, and stays.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// The name by which a program is called that is to do [`relay`].
pub const RELAY: &str = "provost-ssh";
/// The name by which it is called that is to become ssh: [`relayed`].
pub const RELAYED: &str = "provost-ssh-relayed";
/// What runs by that name: this very program, whatever has become of its file.
const ITSELF: &str = "/proc/self/exe";
/// How much a host may say to one task, in MiB, where nobody says otherwise: more than any module of Ansible's does.
pub const SAID_MIB_MAX: u64 = 32;
/// The variable that tells a relay how much that is.
pub(crate) const SAID_MIB_MAX_VARIABLE: &str = "PROVOST_ANSIBLE_SAID_MIB_MAX";
/// How ssh exits where it could not do its work: Ansible tells the last words then.
const NOT_DONE: u8 = 255;
/// How often it is looked whether ssh has ended whose output has not: a connection that it shares may keep that open.
const LOOKS: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Does what ssh does with these arguments, and exits as it does, unless a host says too much.
pub fn relay(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (out, err) = (io::stdout(), io::stderr());
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        tell(err.as_fd(), &not_started(&error.into()));
        return ExitCode::from(NOT_DONE);
    }
    let mut ssh = Command::new(ITSELF);
    ssh.arg0(RELAYED).arg(getpid().to_string()).args(arguments);
    let said = std::env::var(SAID_MIB_MAX_VARIABLE).ok().and_then(|mib| mib.parse().ok());
    ExitCode::from(run(&mut ssh, out.as_fd(), err.as_fd(), said.unwrap_or(SAID_MIB_MAX)))
}

/// Becomes ssh with these arguments, but for the first: that is the process with which it ends.
pub fn relayed(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let relay = arguments.next();
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    // One that ended before that was said tells nobody.
    let is_there = || getppid().is_some_and(|parent| relay == Some(parent.to_string().into()));
    let error = match bound {
        Ok(()) if is_there() => Command::new("ssh").args(arguments).exec(),
        Ok(()) => return ExitCode::from(NOT_DONE),
        Err(error) => error.into(),
    };
    tell(io::stderr().as_fd(), &not_started(&error));
    ExitCode::from(NOT_DONE)
}

fn not_started(error: &io::Error) -> String {
    format!("ssh could not be started: {error}")
}

/// Runs `command`, whose output goes to `out` and `err`; how it ended.
fn run(command: &mut Command, out: BorrowedFd<'_>, err: BorrowedFd<'_>, mib_max: u64) -> u8 {
    let mut child = match command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            tell(err, &not_started(&error));
            return NOT_DONE;
        }
    };
    let passed = pass_on(&mut child, (out, err), mib_max.saturating_mul(1 << 20));
    if !matches!(passed, Ok(Passed::Whole)) {
        // It may have ended by itself by now.
        let _ = child.kill();
    }
    let ended = child.wait();
    match passed {
        Ok(Passed::Whole) => {
            let status = ended.ok().and_then(|ended| ended.code());
            status.and_then(|status| u8::try_from(status).ok()).unwrap_or(NOT_DONE)
        }
        Ok(Passed::TooMuch) => {
            tell(err, &format!("it said more than {mib_max} MiB, and was not listened to any more"));
            NOT_DONE
        }
        Err(error) => {
            tell(err, &format!("what ssh said could not be passed on: {error}"));
            NOT_DONE
        }
    }
}

/// Something that is read, and where it goes; `None` at its end.
type Stream<'a> = Option<(OwnedFd, BorrowedFd<'a>)>;

/// What was passed on.
enum Passed {
    Whole,
    TooMuch,
}

/// Passes on what `child` says, until there is no more or it is too much.
fn pass_on(child: &mut Child, to: (BorrowedFd<'_>, BorrowedFd<'_>), bytes_max: u64) -> io::Result<Passed> {
    let out = child.stdout.take().map(|from| (OwnedFd::from(from), to.0));
    let err = child.stderr.take().map(|from| (OwnedFd::from(from), to.1));
    let mut streams = [out, err];
    let mut bytes = vec![0; 64 * 1024];
    let (mut said, mut has_ended) = (0, false);
    while streams.iter().any(Option::is_some) {
        // What it said before it ended is there by then.
        let limit = if has_ended { Timespec::default() } else { LOOKS };
        let mut is_quiet = true;
        let ready = ready(&streams, &limit)?;
        for (stream, is_ready) in streams.iter_mut().zip(ready) {
            let Some((from, to)) = stream.as_ref().filter(|_| is_ready) else { continue };
            is_quiet = false;
            let read = rustix::io::retry_on_intr(|| rustix::io::read(from, &mut bytes))?;
            said += u64::try_from(read).unwrap_or(u64::MAX);
            if said > bytes_max {
                return Ok(Passed::TooMuch);
            }
            write(*to, &bytes[..read])?;
            if read == 0 {
                *stream = None;
            }
        }
        if is_quiet && has_ended {
            break;
        }
        has_ended = has_ended || is_quiet && child.try_wait()?.is_some();
    }
    Ok(Passed::Whole)
}

/// Which of `streams` have something to read, or are at their end; waits until one is, for `limit`.
fn ready(streams: &[Stream<'_>; 2], limit: &Timespec) -> io::Result<[bool; 2]> {
    let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(2);
    polled.extend(streams.iter().flatten().map(|(from, _)| PollFd::new(from, PollFlags::IN)));
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(limit)))?;
    let mut polled = polled.iter().map(|stream| !stream.revents().is_empty());
    Ok([0, 1].map(|number: usize| streams[number].is_some() && polled.next() == Some(true)))
}

fn write(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(to, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Says why it was not done, where ssh says such.
fn tell(err: BorrowedFd<'_>, words: &str) {
    // Nobody listens any more: then nobody misses it.
    let _ = write(err, format!("{words}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::process::Stdio;

    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    /// What is passed on of `command`, and how it ends.
    fn said(command: &mut Command, mib_max: u64) -> (String, String, u8) {
        let ((mut out, to_out), (mut err, to_err)) = (io::pipe().unwrap(), io::pipe().unwrap());
        std::thread::scope(|scope| {
            let out = scope.spawn(move || {
                let mut said = Vec::new();
                out.read_to_end(&mut said).unwrap();
                String::from_utf8(said).unwrap()
            });
            let status = run(command, to_out.as_fd(), to_err.as_fd(), mib_max);
            drop((to_out, to_err));
            let mut complaints = String::new();
            err.read_to_string(&mut complaints).unwrap();
            (out.join().unwrap(), complaints, status)
        })
    }

    #[test]
    fn it_is_as_if_there_were_nobody_between() {
        let check = |script: &str, out: &str, err: &str, status: u8| {
            assert_eq!(said(&mut sh(script), 1), (out.to_owned(), err.to_owned(), status), "{script}");
        };
        check("echo yes; echo no >&2; exit 3", "yes\n", "no\n", 3);
        check("exec >&-; sleep 0.1; echo late >&2", "", "late\n", 0);
        check("kill -9 $$", "", "", 255);
        let (out, err, status) = said(&mut Command::new("/nonexistent/ssh"), 1);
        assert_eq!((out.as_str(), status), ("", 255));
        assert!(err.starts_with("ssh could not be started: "), "{err}");
        let (out, ..) = said(&mut sh("head -c 1000000 /dev/zero; echo end"), 1);
        assert!(out.len() == 1_000_004 && out.ends_with("end\n"), "{}", out.len());
    }

    /// Ansible waits for some of what is said before it says more itself.
    #[test]
    fn nothing_is_held_back() {
        let ((input, mut to_input), (out, to_out)) = (io::pipe().unwrap(), io::pipe().unwrap());
        let mut command = sh("echo ready; read word; echo got $word");
        command.stdin(input);
        std::thread::scope(|scope| {
            scope.spawn(move || run(&mut command, to_out.as_fd(), to_out.as_fd(), 1));
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            assert_eq!(lines.next().as_deref(), Some("ready"));
            to_input.write_all(b"it\n").unwrap();
            assert_eq!(lines.next().as_deref(), Some("got it"));
        });
    }

    #[test]
    fn who_never_stops_talking_is_not_listened_to_for_long() {
        for script in ["exec yes", "yes >&2 & echo; wait"] {
            let ((mut out, to_out), (mut err, to_err)) = (io::pipe().unwrap(), io::pipe().unwrap());
            let mut drain = [Vec::new(), Vec::new()];
            let [of_out, of_err] = &mut drain;
            let status = std::thread::scope(|scope| {
                scope.spawn(move || out.read_to_end(of_out).unwrap());
                scope.spawn(move || err.read_to_end(of_err).unwrap());
                let mut command = sh(script);
                let status = run(&mut command, to_out.as_fd(), to_err.as_fd(), 2);
                drop((to_out, to_err));
                status
            });
            let bytes = drain.iter().map(Vec::len).sum::<usize>();
            assert!(status == 255 && bytes <= (2 << 20) + 100, "{script}: {status}, {bytes}");
            let words = "it said more than 2 MiB, and was not listened to any more\n";
            assert!(drain[1].ends_with(words.as_bytes()), "{script}");
        }
    }

    /// As a connection does that is shared, and stays.
    #[test]
    fn whoever_keeps_the_output_open_is_not_waited_for() {
        let (out, _, status) = said(&mut sh("sleep 1000 & echo $!; exit 4"), 1);
        let left = testkit::run(Command::new("kill").arg(out.trim()));
        assert_eq!((left.code, status), (Some(0), 4), "{out}");
    }
}
