//! Debian's strace: what a program does to some files, one call after the other, its end before any of them, and what it
//! does when they fail.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Process, Ran, run};

/// The calls that change what is on the disk; those without which an architecture does, it does not have.
const CALLS: &str = "openat,write,writev,?pwrite64,pwritev,?sendfile,copy_file_range,fsync,fdatasync,?truncate,ftruncate,?chmod,fchmod,\
    fchmodat,fchown,?rename,?renameat,renameat2,?unlink,unlinkat,?link,linkat";

/// SIGKILL, with which strace(1) ends itself when what it traces was ended with it.
const KILL: i32 = 9;

/// Who is not root may trace what they start, and what lets them.
const REFUSED: &str = "Debian's strace has to be allowed to trace what it starts or is shown (ptrace(2)): be root; a \
                       container may need `--cap-add SYS_PTRACE`, and a machine `sysctl -w kernel.yama.ptrace_scope=0`";

/// Whose calls are looked at: those about some files, and their folder.
#[derive(Debug, Clone)]
pub struct Strace {
    folder: PathBuf,
    names: Vec<String>,
}

/// A call that changes what is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskCall {
    /// What it is called.
    pub name: String,
    /// As how manieth of its name its process made it, from 1.
    pub number: usize,
    /// All of it, as strace writes it down.
    pub line: String,
    /// Whether it came to its end, and well.
    pub is_done: bool,
}

impl Strace {
    /// Those about the files `names` in `folder`, in which the program is started, and about `folder` itself.
    #[must_use]
    pub fn of(folder: &Path, names: &[&str]) -> Self {
        Self { folder: folder.to_owned(), names: names.iter().map(ToString::to_string).collect() }
    }

    /// Runs `command` to its end: what it did.
    ///
    /// # Panics
    /// When strace is not installed or not permitted, or the program does not end with 0.
    #[track_caller]
    pub fn watch(&self, command: &Command) -> Vec<DiskCall> {
        let (ran, calls) = self.run(command, None);
        assert!(ran.code == Some(0) || !ran.stderr.contains("strace: "), "{REFUSED}:\n{}", ran.stderr);
        ran.ok();
        calls
    }

    /// Runs `command`, and kills it before `call`, which [`Strace::watch`] found: what it did before, and that call.
    ///
    /// # Panics
    /// When it comes to its end before.
    #[track_caller]
    pub fn cut_before(&self, command: &Command, call: &DiskCall) -> Vec<DiskCall> {
        let (ran, calls) = self.run(command, Some(call));
        assert_eq!(ran.code, None, "it was to be killed before {}: {ran:?}", call.line);
        let last = calls.last().map(|last| (last.name.as_str(), last.number, last.is_done));
        assert_eq!(last, Some((call.name.as_str(), call.number, false)), "before {}: {calls:#?}", call.line);
        calls
    }

    /// As [`Strace::cut_before`], for a program of several threads, which may make its calls in another order another time: it is
    /// killed somewhere near, or comes to its end. Whether it was killed.
    ///
    /// # Panics
    /// When it ends otherwise.
    #[must_use]
    #[track_caller]
    pub fn cut_if_it_comes(&self, command: &Command, call: &DiskCall) -> bool {
        let (ran, _) = self.run(command, Some(call));
        let is_killed = ran.signal == Some(KILL);
        assert!(is_killed || ran.code == Some(0), "before {}: {ran:?}", call.line);
        is_killed
    }

    /// From now on those of `calls` that the program with this number makes about the files, and not about their folder, fail
    /// with `error`, as errno(3) calls it; until what is given is dropped.
    ///
    /// # Panics
    /// When strace is not installed or not permitted.
    #[must_use]
    #[track_caller]
    pub fn fail(&self, program: u32, calls: &str, error: &str) -> Failing {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-p", &program.to_string()]);
        command.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error={error}")]);
        for name in &self.names {
            command.arg("-P").arg(self.folder.join(name));
        }
        is_installed();
        let strace = Process::spawn(&mut command);
        let said = strace.wait_for_stderr(|said| said.contains(" attached") && said.ends_with('\n'));
        said.unwrap_or_else(|said| panic!("{REFUSED}:\n{said}"));
        Failing(Some(strace))
    }

    fn run(&self, command: &Command, cut: Option<&DiskCall>) -> (Ran, Vec<DiskCall>) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o"]).arg(log.path()).args(["-e", &format!("trace={CALLS}")]);
        if let Some(call) = cut {
            traced.args(["-e", &format!("inject={}:signal=KILL:when={}", call.name, call.number)]);
        }
        // By either path: what a call names is compared, and nothing is followed.
        for path in [Path::new(".").to_owned(), self.folder.clone()] {
            traced.arg("-P").arg(path);
        }
        for name in &self.names {
            traced.args(["-P", name]).arg("-P").arg(self.folder.join(name));
        }
        traced.arg(command.get_program()).args(command.get_args()).current_dir(&self.folder).env_clear();
        traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        is_installed();
        let ran = run(&mut traced);
        (ran, calls_in(&std::fs::read_to_string(log.path()).unwrap()))
    }
}

/// Calls that fail, for as long as this is held.
pub struct Failing(Option<Process>);

impl Drop for Failing {
    fn drop(&mut self) {
        if let Some(strace) = self.0.take() {
            strace.interrupt();
            strace.wait();
        }
    }
}

#[track_caller]
fn is_installed() {
    if let Err(error) = Command::new("strace").arg("--version").output() {
        let help = "this test needs Debian's strace; install it with: cargo xtask witnesses";
        assert_ne!(error.kind(), ErrorKind::NotFound, "{help}");
    }
}

/// The calls in what strace wrote down, each behind the number of its process; without those that only read. Where another
/// process came in between, the rest of a call has a line of its own.
fn calls_in(log: &str) -> Vec<DiskCall> {
    let mut all: Vec<(&str, DiskCall)> = Vec::new();
    for line in log.lines() {
        let (process, line) = line.split_once(' ').unwrap_or_default();
        let line = line.trim();
        if line.starts_with("<... ") {
            let (_, rest) = line.split_once("resumed>").unwrap_or_default();
            if let Some((_, call)) = all.iter_mut().rfind(|(own, _)| *own == process) {
                call.line.push_str(rest);
                call.is_done = is_done(rest);
            }
        } else if let Some((name, _)) = line.split_once('(') {
            let same = |(own, call): &&(&str, DiskCall)| *own == process && call.name == name;
            let (name, number) = (name.to_owned(), 1 + all.iter().filter(same).count());
            let call = DiskCall { name, number, line: line.to_owned(), is_done: is_done(line) };
            all.push((process, call));
        }
    }
    let mut all: Vec<DiskCall> = all.into_iter().map(|(_, call)| call).collect();
    all.retain(|call| call.name != "openat" || !call.line.contains("O_RDONLY"));
    all
}

/// Whether a line of strace's ends with what came of a call, and that is no fault and not unknown.
fn is_done(line: &str) -> bool {
    let result = line.rsplit_once(" = ").map(|(_, result)| result);
    result.is_some_and(|result| result.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strace_wrote_down_is_read() {
        let log = "7 openat(AT_FDCWD, \"a\", O_RDONLY) = 3\n7 openat(AT_FDCWD, \"b\", O_WRONLY|O_CREAT, 0600) = 3\n\
                   7 fsync(3 <unfinished ...>\n8 fsync(4)   = -1 EIO (Input/output error)\n\
                   7 <... fsync resumed>) = 0\n8 fsync(4 <unfinished ...>\n7 fsync(3) = ?\n7 +++ killed by SIGKILL +++\n";
        let calls = calls_in(log);
        let found: Vec<_> =
            calls.iter().map(|call| (call.name.as_str(), call.number, call.is_done)).collect();
        let expected = [
            ("openat", 2, true),
            ("fsync", 1, true),
            ("fsync", 1, false),
            ("fsync", 2, false),
            ("fsync", 2, false),
        ];
        assert_eq!(found, expected);
        assert_eq!(calls[1].line, "fsync(3 <unfinished ...>) = 0");
    }

    #[test]
    fn a_program_is_killed_before_any_of_its_calls() {
        let folder = tempfile::tempdir().unwrap();
        let strace = Strace::of(folder.path(), &["a", "b"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo other > c; read line < c; echo one > a; mv a b"])
            .env("PATH", "/usr/bin:/bin");
        let calls = strace.watch(&command);
        let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        assert!(names.starts_with(&["openat", "write"]) && names[2].starts_with("rename"), "{calls:#?}");
        std::fs::remove_file(folder.path().join("b")).unwrap();
        let is_there = |name: &str| folder.path().join(name).exists();
        strace.cut_before(&command, &calls[0]);
        assert!(is_there("c") && !is_there("a"));
        strace.cut_before(&command, &calls[1]);
        assert_eq!(std::fs::read_to_string(folder.path().join("a")).unwrap(), "");
    }
}
