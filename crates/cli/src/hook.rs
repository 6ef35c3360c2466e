//! The command that is run when a file is another one.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

/// How a hook failed: what comes behind "the hook".
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    /// There is no shell, or no room for it.
    #[error("could not be started: {0}")]
    NotStarted(io::Error),
    /// Nobody knows how it ended.
    #[error("is lost: {0}")]
    Lost(io::Error),
    /// It says so itself, or was ended by somebody else.
    #[error("{}", ended(*.0))]
    Failed(ExitStatus),
    /// It took longer than it may.
    #[error("took longer than {} s, and was ended", .0.as_secs_f64())]
    TooLong(Duration),
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("failed with exit code {code}"),
        None => format!("was ended by signal {}", status.signal().unwrap_or_default()),
    }
}

/// Runs `command` in a shell to its end, which is made after `within`. When this is dropped before, it is asked to end,
/// with whatever it has started.
pub(crate) async fn run(command: &str, within: Duration) -> Result<(), HookError> {
    let mut shell = std::process::Command::new("sh");
    // In a group of its own, so that whatever it starts ends with it. Standard output is for what we have to say.
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(std::io::stderr()).process_group(0);
    let mut child = tokio::process::Command::from(shell).spawn().map_err(HookError::NotStarted)?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let ended = tokio::time::timeout(within, child.wait()).await;
    match ended {
        Ok(ended) => {
            group.0 = None;
            let status = ended.map_err(HookError::Lost)?;
            if status.success() { Ok(()) } else { Err(HookError::Failed(status)) }
        }
        Err(_) => {
            group.signal(Signal::KILL);
            Err(HookError::TooLong(within))
        }
    }
}

/// The same with a few more variables in its environment; each line that it writes is given to `say`, but for the middle of what is
/// too long for anybody to read. Of what it leaves running
/// nothing more is heard: that has to write elsewhere.
pub(crate) async fn run_heard(
    command: &str,
    environment: &[(&str, &std::ffi::OsStr)],
    within: Duration,
    mut say: impl FnMut(&str),
) -> Result<(), HookError> {
    let (heard, said) = std::io::pipe().map_err(HookError::NotStarted)?;
    let mut heard = Receiver::from_owned_fd(heard.into()).map_err(HookError::NotStarted)?;
    let mut shell = std::process::Command::new("sh");
    let also = said.try_clone().map_err(HookError::NotStarted)?;
    // Nobody listens any more to one that is asked to end: it is not to be killed for what it says then.
    let command = format!("trap '' PIPE\n{command}");
    shell.args(["-c", &command]).stdin(Stdio::null()).stdout(said).stderr(also).process_group(0);
    shell.envs(environment.iter().copied());
    let mut shell = tokio::process::Command::from(shell);
    let mut child = shell.spawn().map_err(HookError::NotStarted)?;
    // It holds our own ends of the pipe, which would never be closed.
    drop(shell);
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let mut lines = Lines::default();
    let ended = tokio::time::timeout(within, async {
        let mut is_open = true;
        loop {
            tokio::select! {
                ended = child.wait() => return ended,
                read = lines.read(&mut heard, &mut say), if is_open => is_open = read,
            }
        }
    });
    let ended = ended.await;
    if ended.is_err() {
        group.signal(Signal::KILL);
    }
    // What it said last is in the pipe; whoever it left running may hold that for ever.
    while let Ok(true) = tokio::time::timeout(QUIET, lines.read(&mut heard, &mut say)).await {}
    lines.finish(&mut say);
    match ended {
        Ok(ended) => {
            group.0 = None;
            let status = ended.map_err(HookError::Lost)?;
            if status.success() { Ok(()) } else { Err(HookError::Failed(status)) }
        }
        Err(_) => Err(HookError::TooLong(within)),
    }
}

/// How long nothing comes from a hook that has ended, before nothing is expected any more.
const QUIET: Duration = Duration::from_millis(100);

/// The longest line of a hook that is shown in one piece, in bytes.
const LINE_BYTES_MAX: usize = 4096;

/// So much is shown at once, and so much of what comes last: of more, the middle is left out.
const SHOWN_BYTES_MAX: usize = 32 * 1024;
/// What each line takes beside what is in it, where it is shown.
const LINE_BYTES: usize = 16;

/// Lines that come in pieces.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    /// How much was shown.
    shown: usize,
    /// What came last, and is shown at the end.
    last: VecDeque<Vec<u8>>,
    last_bytes: usize,
    left_out: usize,
}

impl Lines {
    /// Reads what there is, and whether there may be more.
    async fn read(&mut self, from: &mut Receiver, say: &mut impl FnMut(&str)) -> bool {
        let mut piece = [0; LINE_BYTES_MAX];
        let length = match from.read(&mut piece).await {
            Ok(0) | Err(_) => return false,
            Ok(length) => length,
        };
        for byte in piece.iter().take(length) {
            match byte {
                b'\n' => self.end(say),
                _ => self.line.push(*byte),
            }
            if self.line.len() == LINE_BYTES_MAX {
                self.end(say);
            }
        }
        true
    }

    fn end(&mut self, say: &mut impl FnMut(&str)) {
        let line = std::mem::take(&mut self.line);
        let size = line.len() + LINE_BYTES;
        if line.is_empty() {
            return;
        }
        if self.last.is_empty() && self.shown + size <= SHOWN_BYTES_MAX {
            self.shown += size;
            return say(&String::from_utf8_lossy(&line));
        }
        self.last_bytes += size;
        self.last.push_back(line);
        while self.last_bytes > SHOWN_BYTES_MAX
            && let Some(line) = self.last.pop_front()
        {
            self.last_bytes -= line.len() + LINE_BYTES;
            self.left_out += 1;
        }
    }

    /// Shows what was kept for the end.
    fn finish(&mut self, say: &mut impl FnMut(&str)) {
        self.end(say);
        if self.left_out > 0 {
            say(&format!("({} lines are left out)", self.left_out));
        }
        for line in self.last.drain(..) {
            say(&String::from_utf8_lossy(&line));
        }
    }
}

/// Runs `command` in a shell as the programs of old do: with our input and output, in our group, and for as long as it
/// takes.
pub(crate) async fn call(command: &str) -> io::Result<ExitStatus> {
    tokio::process::Command::new("sh").args(["-c", command]).status().await
}

/// The processes of a hook that has not ended.
struct Group(Option<Pid>);

impl Group {
    fn signal(&mut self, signal: Signal) {
        if let Some(leader) = self.0.take() {
            // All of them may have ended.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, within: Duration) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(super::run(command, within)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_hook_tells_how_it_ended() {
        for (command, expected) in [
            ("true", Ok(())),
            ("exit 3", Err("failed with exit code 3")),
            ("kill -9 $$", Err("was ended by signal 9")),
            ("read line", Err("failed with exit code 1")),
        ] {
            assert_eq!(run(command, Duration::from_secs(600)), expected.map_err(str::to_owned), "{command}");
        }
    }

    /// What it says comes line by line, and nobody is waited for whom it leaves behind.
    #[test]
    fn a_hook_is_heard() {
        let heard = |command: &str, within| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut lines = Vec::new();
            let name = std::ffi::OsStr::new("web");
            let ran = runtime.block_on(super::run_heard(command, &[("NAME", name)], within, |line| {
                lines.push(line.to_owned());
            }));
            (ran.map_err(|error| error.to_string()), lines.join("|"))
        };
        let long = Duration::from_secs(600);
        let failed = Err("failed with exit code 3".to_owned());
        assert_eq!(
            heard("echo one $NAME; echo two >&2; printf three; exit 3", long),
            (failed, "one web|two|three".into())
        );
        assert_eq!(heard("sleep 3 >/dev/null 2>&1 & echo done", long), (Ok(()), "done".into()));
        assert_eq!(heard("sleep 3 & echo done", long), (Ok(()), "done".into()));
        let (ran, said) = heard("echo begun; sleep 600 & sleep 600", Duration::from_millis(500));
        assert_eq!(ran, Err("took longer than 0.5 s, and was ended".to_owned()));
        assert_eq!(said, "begun");
        let (_, said) = heard("head -c 10000 /dev/zero | tr '\\0' x", long);
        assert_eq!(said.len(), 10_002, "in pieces");
        let (ran, said) = heard("echo first; yes | head -c 3000000; echo last", long);
        assert!(ran.is_ok() && said.len() < 65_536, "{}", said.len());
        let mut lines = said.split('|');
        assert_eq!((lines.next(), lines.next_back()), (Some("first"), Some("last")));
        let shown = lines.clone().filter(|line| *line == "y").count();
        assert!(
            shown > 3_000 && said.contains(&format!("|({} lines are left out)|", 1_500_000 - shown)),
            "{shown}"
        );
    }

    #[test]
    fn a_hook_of_old_tells_how_it_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (command, status) in [("true", 0), ("exit 3", 3 * 256), ("kill -9 $$", 9)] {
            assert_eq!(runtime.block_on(call(command)).unwrap().into_raw(), status, "{command}");
        }
    }

    /// Also one that has started others, which would hold what comes after it.
    #[test]
    fn a_hook_that_takes_too_long_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let command = format!("echo $$ >>{0}; sleep 600 & echo $! >>{0}; sleep 600", pids.display());
        let ended = run(&command, Duration::from_millis(500));
        assert_eq!(ended, Err("took longer than 0.5 s, and was ended".to_owned()));
        let pids = std::fs::read_to_string(pids).unwrap();
        assert_eq!(pids.lines().count(), 2, "{pids}");
        // A moment passes between the signal and the end. Whoever waits for the shell is gone with the runtime.
        let lives = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let until = std::time::Instant::now() + Duration::from_secs(30);
        while pids.lines().any(lives) {
            assert!(std::time::Instant::now() < until, "they are still there: {pids}");
            std::thread::yield_now();
        }
    }
}
