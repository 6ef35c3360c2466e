//! Running programs: their output is collected as it comes, and they end with the test.

use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::LIMIT;

/// What a program that ended left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Ran {
    /// The standard output of a program that must have ended with 0.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.stdout
    }
}

/// Runs `command` to its end, without input.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    Process::spawn(command).wait()
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Output,
    stderr: Output,
    what: String,
}

impl Process {
    /// Starts `command` and collects what it says. Its input stays open and empty until something is
    /// [said](Process::say) or it is [closed](Process::close_input).
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        heed_interrupts();
        let what = format!("{command:?}");
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{what}: {error}"));
        let stdout = Output::collect(child.stdout.take().unwrap());
        let stderr = Output::collect(child.stderr.take().unwrap());
        let stdin = child.stdin.take();
        Self { child, stdin, stdout, stderr, what }
    }

    /// Writes to its standard input. A program that no longer reads has ended, which its exit code tells.
    pub fn say(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the input is still open");
        match stdin.write_all(bytes).and_then(|()| stdin.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{}: {error}", self.what),
            Ok(()) | Err(_) => {}
        }
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until its standard output so far is such that `is_it`; that output. `Err` when it closed its
    /// output before.
    ///
    /// # Errors
    /// All of its output, when it closed it before.
    pub fn wait_for_stdout(&self, is_it: impl Fn(&str) -> bool) -> Result<String, String> {
        self.stdout.wait_for(&self.what, is_it)
    }

    /// As [`Process::wait_for_stdout`], for standard error.
    ///
    /// # Errors
    /// The same.
    pub fn wait_for_stderr(&self, is_it: impl Fn(&str) -> bool) -> Result<String, String> {
        self.stderr.wait_for(&self.what, is_it)
    }

    /// Its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// Its standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as service managers do.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops it where it is, until it is [resumed](Process::resume).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after it was stopped.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{}: {error}", self.what));
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within [`LIMIT`].
    #[track_caller]
    pub fn wait(mut self) -> Ran {
        self.close_input();
        let stdout = self.stdout.wait_for_end(&self.what);
        let stderr = self.stderr.wait_for_end(&self.what);
        let status: ExitStatus = self.child.wait().unwrap();
        Ran { code: status.code(), signal: status.signal(), stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has whoever is started from here on heed Ctrl-C, also where this process was started by somebody who ignores it, as shells
/// have what runs in the background do: what is ignored is handed on to another program, and what is caught is not.
fn heed_interrupts() {
    /// The bit of SIGINT, signal 2.
    const INTERRUPT: u64 = 1 << 1;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        if ignored.is_some_and(|ignored| ignored & INTERRUPT != 0) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            let _inside = runtime.enter();
            // It stays caught when nobody listens any more.
            drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).unwrap());
        }
    });
}

/// What a program says, while it says it.
#[derive(Debug, Clone)]
struct Output(Arc<(Mutex<Said>, Condvar)>);

#[derive(Debug, Default)]
struct Said {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    fn collect(mut from: impl Read + Send + 'static) -> Self {
        let output = Self(Arc::default());
        let collector = output.clone();
        std::thread::spawn(move || {
            let (said, changed) = &*collector.0;
            let mut buffer = [0; 8192];
            loop {
                // An error ends it as the end does: there is nobody to tell.
                let read = from.read(&mut buffer).unwrap_or(0);
                let mut said = said.lock().unwrap();
                said.bytes.extend_from_slice(&buffer[..read]);
                said.ended = read == 0;
                changed.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        output
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }

    fn wait_for(&self, what: &str, is_it: impl Fn(&str) -> bool) -> Result<String, String> {
        let (said, changed) = &*self.0;
        let begun = Instant::now();
        let mut said = said.lock().unwrap();
        loop {
            let text = String::from_utf8_lossy(&said.bytes).into_owned();
            if is_it(&text) {
                return Ok(text);
            }
            if said.ended {
                return Err(text);
            }
            let left = LIMIT.saturating_sub(begun.elapsed());
            assert!(!left.is_zero(), "{what}: waited in vain, it has said only:\n{text}");
            (said, _) = changed.wait_timeout(said, left).unwrap();
        }
    }

    #[track_caller]
    fn wait_for_end(&self, what: &str) -> String {
        match self.wait_for(what, |_| false) {
            Ok(text) | Err(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_is_told() {
        let ran = run(&mut sh("echo out; echo err >&2; exit 3"));
        assert_eq!(ran, Ran { code: Some(3), signal: None, stdout: "out\n".into(), stderr: "err\n".into() });
    }

    #[test]
    fn a_running_program_can_be_talked_to() {
        let mut process = Process::spawn(&mut sh("read line; echo \"got $line\"; read line; echo never"));
        process.say(b"one\n");
        assert_eq!(process.wait_for_stdout(|said| said.contains("one")), Ok("got one\n".to_owned()));
        process.terminate();
        assert_eq!(process.wait().code, None);
    }

    /// As in the background of a shell: what is started in there can be interrupted all the same.
    #[test]
    fn who_is_started_heeds_interrupts() {
        const INSIDE: &str = "PROVOST_TEST_IGNORES_INTERRUPTS";
        if std::env::var_os(INSIDE).is_some() {
            let process = Process::spawn(&mut sh("echo begun; exec sleep 60"));
            process.wait_for_stdout(|said| said.contains("begun")).unwrap();
            process.interrupt();
            assert_eq!(process.wait().code, None);
            return;
        }
        let mut command = sh(
            "trap '' INT; exec \"$0\" --exact --nocapture process::tests::who_is_started_heeds_interrupts",
        );
        command.arg(std::env::current_exe().unwrap()).env(INSIDE, "1");
        assert!(run(&mut command).ok().contains("1 passed"));
    }

    #[test]
    fn an_end_ends_the_waiting() {
        let process = Process::spawn(&mut sh("echo out"));
        assert_eq!(process.wait_for_stdout(|said| said.contains("never")), Err("out\n".to_owned()));
    }
}
