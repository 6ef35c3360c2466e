//! Ends all processes of a run.
//!
//! Ansible's workers are in sessions of their own, and a connection that is shared outlives the task that made it, so a
//! process group does not hold them. What they have in common is their environment: it has the run's mark.

use std::ffi::OsStr;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// The variable with the mark: the path of the run's folder.
pub(crate) const VARIABLE: &str = "PROVOST_ANSIBLE_RUN";
/// A process may be begun while the others are ended, so it is looked again; not for ever.
const ROUNDS_MAX: usize = 20;

/// Ends every process of this user whose mark begins with `mark`. Where it may block.
pub(crate) fn end(mark: &str) {
    for _ in 0..ROUNDS_MAX {
        if kill(all(mark)) == 0 {
            return;
        }
    }
    not_ended(mark);
}

/// The same, where it may not.
pub(crate) async fn end_without_blocking(mark: &str) {
    for _ in 0..ROUNDS_MAX {
        let mut marked = Vec::new();
        let Ok(mut processes) = tokio::fs::read_dir("/proc").await else { return };
        while let Ok(Some(process)) = processes.next_entry().await {
            let Some(id) = id(&process.file_name()) else { continue };
            let Ok(environment) = tokio::fs::read(environment_of(id)).await else { continue };
            if is_marked(&environment, mark) {
                marked.extend(Pid::from_raw(id));
            }
        }
        if kill(marked) == 0 {
            return;
        }
    }
    not_ended(mark);
}

fn all(mark: &str) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.flatten().filter_map(|process| id(&process.file_name()));
    // Of another user, or over: neither is ours.
    let is_ours =
        |id: &i32| fs::read(environment_of(*id)).is_ok_and(|environment| is_marked(&environment, mark));
    ids.filter(is_ours).filter_map(Pid::from_raw).collect()
}

fn id(name: &OsStr) -> Option<i32> {
    name.to_str()?.parse().ok()
}

fn environment_of(id: i32) -> String {
    format!("/proc/{id}/environ")
}

fn is_marked(environment: &[u8], mark: &str) -> bool {
    let wanted = format!("{VARIABLE}={mark}");
    environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(wanted.as_bytes()))
}

/// Ends these; how many they were.
fn kill(marked: Vec<Pid>) -> usize {
    for process in &marked {
        // One that ended meanwhile needs no signal.
        let _ = kill_process(*process, Signal::KILL);
    }
    marked.len()
}

fn not_ended(mark: &str) {
    tracing::warn!(mark, "processes of a playbook could not be ended");
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn whoever_has_the_mark_is_ended_and_nobody_else() {
        let begin = |mark: &str| {
            // Its child is in a session of its own, as Ansible's workers are.
            let mut command = Command::new("sh");
            command.args(["-c", "setsid sleep 1000 & echo begun; wait"]).env(VARIABLE, mark);
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut said = [0; 5];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
            child
        };
        let folder = format!("/nonexistent/{}", std::process::id());
        let (mut one, mut other) = (begin(&format!("{folder}/run-1")), begin(&format!("{folder}-2/run-1")));
        end(&format!("{folder}/"));
        assert!(one.wait().unwrap().code().is_none(), "it was killed");
        assert!(all(&format!("{folder}/")).is_empty());
        assert!(other.try_wait().unwrap().is_none() && !all(&format!("{folder}-2/")).is_empty());
        end_without_blocking(&format!("{folder}-2/")).await;
        other.wait().unwrap();
    }
}
