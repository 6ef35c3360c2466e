//! The command that is run when a file is another one.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// A hook that takes longer is ended, and has failed: what comes after it must not be kept waiting.
const WITHIN: Duration = Duration::from_secs(600);

/// Runs `command` in a shell to its end; `Err` says how it failed. When this is dropped before, it is asked to end, with
/// whatever it has started.
pub(crate) async fn run(command: &str) -> Result<(), String> {
    let mut shell = std::process::Command::new("sh");
    // In a group of its own, so that whatever it starts ends with it. Standard output is for what we have to say.
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(std::io::stderr()).process_group(0);
    let started = tokio::process::Command::from(shell).spawn();
    let mut child = started.map_err(|error| format!("could not be started: {error}"))?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let ended = tokio::time::timeout(WITHIN, child.wait()).await;
    match ended {
        Ok(ended) => {
            group.0 = None;
            ended.map_err(|error| format!("is lost: {error}")).and_then(read)
        }
        Err(_) => {
            group.signal(Signal::KILL);
            Err(format!("took longer than {} s, and was ended", WITHIN.as_secs()))
        }
    }
}

fn read(ended: ExitStatus) -> Result<(), String> {
    match (ended.code(), ended.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("failed with exit code {code}")),
        (None, signal) => Err(format!("was ended by signal {}", signal.unwrap_or_default())),
    }
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
    fn run(command: &str) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(super::run(command))
    }

    #[test]
    fn a_hook_tells_how_it_ended() {
        for (command, expected) in [
            ("true", Ok(())),
            ("exit 3", Err("failed with exit code 3")),
            ("kill -9 $$", Err("was ended by signal 9")),
            ("read line", Err("failed with exit code 1")),
        ] {
            assert_eq!(run(command), expected.map_err(str::to_owned), "{command}");
        }
    }
}
