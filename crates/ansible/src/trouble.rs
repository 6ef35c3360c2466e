//! Which task did not succeed, and why.
//!
//! Of a host that was not reached, or where sudo does not do as it should, Ansible passes on what OpenSSH and sudo said.
//! Their words are read here, so that a person is told the same whichever way a host is reached.

use crate::report::Task;

/// How much of what was said is told, in characters.
const SAID_CHARACTERS_MAX: usize = 300;

/// A task that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What the task is called.
    pub task: String,
    /// Why it did not succeed.
    pub reason: Reason,
    /// The last words: of the command, of Ansible, or of ssh; at most 300 characters.
    pub said: String,
}

/// Why a task did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// What it ran failed, with this exit status where there was one.
    Failed {
        /// The exit status.
        status: Option<i64>,
    },
    /// It took longer than the task's `timeout`.
    Overdue,
    /// The name has no address.
    NoSuchName,
    /// Nobody listens there.
    Refused,
    /// The network knows no way there.
    NoRoute,
    /// It did not take the connection in time.
    TimedOut,
    /// It took the connection, and did not greet in time.
    Silent,
    /// It was not heard of any more, in the middle.
    Lost,
    /// It proves another host key than the pinned one.
    HostKeyChanged,
    /// The user or the key is not let in.
    Denied {
        /// The methods of sign-in that it would take.
        offers: Vec<String>,
    },
    /// The connection ended in the middle.
    Closed,
    /// The user is not root, and there is no sudo.
    SudoMissing,
    /// sudo does not let the user do this without a password.
    SudoRefused,
    /// It said more than [`SAID_MIB_MAX`](crate::SAID_MIB_MAX), and was not listened to any more.
    TooMuch,
    /// The host was not reached for another reason.
    Unreachable,
}

impl Trouble {
    /// What `task` tells, of a host that was reached.
    pub(crate) fn failed(task: &Task) -> Self {
        let all = [task.msg.as_str(), &task.stderr, &task.stdout].join("\n");
        let has = |words: &[&str]| words.iter().any(|words| all.contains(words));
        // Ansible's words for a command that was run and failed: what that printed tells nothing of the way to it.
        let was_run = task.msg.trim() == "non-zero return code";
        let reason = if was_run {
            Reason::Failed { status: task.rc }
        } else if has(&["sudo: command not found", "sudo: not found", "sudo: No such file"]) {
            Reason::SudoMissing
        } else if has(&[
            "Missing sudo password",
            "sudo: a password is required",
            "is not in the sudoers file",
        ]) || has(&["sudo: sorry", "is not allowed to execute", "may not run sudo"])
        {
            Reason::SudoRefused
        } else if ["Timed out after", "timed out after"].iter().any(|words| task.msg.contains(words))
            && task.rc.is_none()
        {
            Reason::Overdue
        } else {
            Reason::Failed { status: task.rc }
        };
        let is_sudo = matches!(reason, Reason::SudoMissing | Reason::SudoRefused);
        let of_sudo = || all.lines().map(str::trim).find(|line| is_sudo && line.contains("sudo"));
        // Of a command its own words, and Ansible's where it has none.
        let said = of_sudo().or_else(|| last_line(&task.stderr)).or_else(|| last_line(&task.stdout));
        Self {
            task: task.task.clone(),
            reason,
            said: cut(said.or_else(|| last_line(&task.msg)).unwrap_or_default()),
        }
    }

    /// What `task` tells, of a host that was not reached.
    pub(crate) fn unreachable(task: &Task) -> Self {
        let all = &task.msg;
        let has = |words: &[&str]| words.iter().any(|words| all.contains(words));
        let reason = if has(&["MiB, and was not listened to any more"]) {
            Reason::TooMuch
        } else if has(&["IDENTIFICATION HAS CHANGED", "Host key verification failed"]) {
            Reason::HostKeyChanged
        } else if let Some((_, methods)) = all.split_once("Permission denied (") {
            let methods = methods.split(')').next().unwrap_or_default();
            Reason::Denied { offers: methods.split(',').map(str::to_owned).collect() }
        } else if has(&["Could not resolve hostname"]) {
            Reason::NoSuchName
        } else if has(&["Connection refused"]) {
            Reason::Refused
        } else if has(&["No route to host", "Network is unreachable"]) {
            Reason::NoRoute
        } else if has(&["during banner exchange"]) {
            Reason::Silent
        } else if has(&["not responding"]) {
            Reason::Lost
        } else if has(&["Connection timed out", "Operation timed out"]) {
            Reason::TimedOut
        } else if has(&["Too many authentication failures"]) {
            Reason::Denied { offers: Vec::new() }
        } else if has(&["Connection closed", "closed by remote host", "Connection reset", "Broken pipe"]) {
            Reason::Closed
        } else {
            Reason::Unreachable
        };
        Self { task: task.task.clone(), reason, said: cut(last_line(all).unwrap_or_default()) }
    }
}

/// The last line that is not blank.
pub(crate) fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

/// `text` without what a terminal would take for a command, and not too long.
pub(crate) fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SAID_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(rc: Option<i64>, msg: &str, stdout: &str, stderr: &str) -> Task {
        Task {
            host: "h".into(),
            task: "install docker".into(),
            tags: Vec::new(),
            rc,
            msg: msg.into(),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn what_ssh_says_is_understood() {
        let check = |said: &str, expected: Reason| {
            let msg = format!("Failed to connect to the host via ssh: {said}");
            assert_eq!(Trouble::unreachable(&task(None, &msg, "", "")).reason, expected, "{said}");
        };
        check(
            "root@h: Permission denied (publickey,password).",
            Reason::Denied { offers: vec!["publickey".into(), "password".into()] },
        );
        check(
            "@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            Reason::HostKeyChanged,
        );
        check("No ED25519 host key is known for h.\nHost key verification failed.", Reason::HostKeyChanged);
        check("ssh: Could not resolve hostname h: Name or service not known", Reason::NoSuchName);
        check("ssh: connect to host h port 22: Connection refused", Reason::Refused);
        check("ssh: connect to host h port 22: No route to host", Reason::NoRoute);
        check("ssh: connect to host h port 22: Connection timed out", Reason::TimedOut);
        check("Connection timed out during banner exchange", Reason::Silent);
        check("Timeout, server h not responding.", Reason::Lost);
        check("kex_exchange_identification: Connection closed by remote host", Reason::Closed);
        check("Connection reset by h port 22", Reason::Closed);
        check("Load key \"/proc/1/fd/3\": error in libcrypto", Reason::Unreachable);
    }

    #[test]
    fn what_a_command_says_last_is_told() {
        let check = |rc, msg: &str, stdout: &str, stderr: &str, reason: Reason, said: &str| {
            let trouble = Trouble::failed(&task(rc, msg, stdout, stderr));
            assert_eq!((trouble.reason, trouble.said.as_str()), (reason, said), "{msg} {stdout} {stderr}");
        };
        let failed = |status| Reason::Failed { status };
        check(Some(3), "non-zero return code", "working\n", "no \u{1b}room\n\n", failed(Some(3)), "no room");
        check(Some(1), "non-zero return code", "out", "", failed(Some(1)), "out");
        check(Some(9), "non-zero return code", "", "sudo: not found", failed(Some(9)), "sudo: not found");
        check(None, "Could not find or access 'x'", "", "", failed(None), "Could not find or access 'x'");
        check(
            None,
            "Task failed: Timed out after 5 second(s).",
            "",
            "",
            Reason::Overdue,
            "Task failed: Timed out after 5 second(s).",
        );
        check(
            Some(1),
            "MODULE FAILURE",
            "",
            "sudo: a password is required\n",
            Reason::SudoRefused,
            "sudo: a password is required",
        );
        check(Some(1), "Missing sudo password", "", "", Reason::SudoRefused, "Missing sudo password");
        check(
            Some(127),
            "x",
            "/bin/sh: 1: sudo: not found\n",
            "",
            Reason::SudoMissing,
            "/bin/sh: 1: sudo: not found",
        );
    }
}
