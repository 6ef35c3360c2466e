//! One process of `ansible-playbook`, from its beginning to its report.

use std::collections::{BTreeMap, VecDeque};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use crate::begin::{RunFolder, Settings};
use crate::inventory::{self, Entry};
use crate::report::{HostReport, Report, Task, Told};
use crate::trouble::{Reason, Trouble, cut, last_line};
use crate::{Error, Play, report};

/// The longest line of the callback plugin that is read; longer ones are none of ours.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much a run may say in all.
const SAID_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much is kept of what Ansible complains of.
const COMPLAINTS_BYTES_MAX: usize = 16 * 1024;
/// How long what is left in the pipes may take to be read when the process is over.
const DRAIN: Duration = Duration::from_secs(5);
/// Hosts failed or were not reached, which the report tells; everything above is Ansible's own failure.
const OF_HOSTS: [i32; 4] = [0, 2, 3, 4];

/// A task whose tag is done on a host: the next task, which does not have it, has ended as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// On which host.
    pub host: String,
    /// The tag.
    pub tag: String,
}

/// A playbook that is being run. Dropping it ends all of its processes.
#[derive(Debug)]
pub struct Run {
    child: Child,
    /// `None` when it is at its end.
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    folder: RunFolder,
    /// Given back when everything else is gone.
    _place: OwnedSemaphorePermit,
    entries: Vec<Entry>,
    settings: Settings,
    playbook: String,
    limit: Duration,
    ends: Instant,
    /// What was read of the line that is coming.
    line: Vec<u8>,
    said_bytes: usize,
    complaints: VecDeque<u8>,
    heard: Heard,
}

/// What was told so far.
#[derive(Debug, Default)]
struct Heard {
    hosts: BTreeMap<String, HostReport>,
    /// Tags of each host's last task.
    pending: BTreeMap<String, Vec<String>>,
    done: VecDeque<Done>,
    last: String,
    has_ended: bool,
}

impl Run {
    pub(crate) fn new(
        mut child: Child,
        (folder, place): (RunFolder, OwnedSemaphorePermit),
        entries: Vec<Entry>,
        play: &Play,
        settings: Settings,
    ) -> Self {
        let hosts = entries.iter().map(|entry| (entry.host.name.clone(), HostReport::default())).collect();
        Self {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            folder,
            _place: place,
            entries,
            settings,
            playbook: play.playbook.name.clone(),
            limit: play.deadline,
            ends: Instant::now() + play.deadline,
            line: Vec::new(),
            said_bytes: 0,
            complaints: VecDeque::new(),
            heard: Heard { hosts, ..Heard::default() },
        }
    }

    /// The next tag that is done; nothing when the run is over. Can be dropped and asked for again.
    ///
    /// # Errors
    /// [`Error`]; the run is over then, too.
    pub async fn next(&mut self) -> Result<Option<Done>, Error> {
        let ended = loop {
            if let Some(done) = self.heard.done.pop_front() {
                return Ok(Some(done));
            }
            let (mut out, mut err) = (Vec::with_capacity(16 * 1024), Vec::with_capacity(4096));
            tokio::select! {
                read = read(&mut self.stdout, &mut out) => self.hear(read, &out)?,
                read = read(&mut self.stderr, &mut err) => self.note(read, &err)?,
                ended = self.child.wait() => break ended,
                () = tokio::time::sleep_until(self.ends) => {
                    self.folder.end_processes().await;
                    let (playbook, last) = (self.playbook.clone(), self.heard.last.clone());
                    return Err(Error::Overdue { playbook, after: self.limit, last });
                }
            }
        };
        let ended = ended.map_err(|source| self.unread(source))?;
        // Connections that are kept would keep the pipes open as well.
        self.folder.end_processes().await;
        let drained = timeout(DRAIN, self.drain()).await;
        drained.unwrap_or(Ok(()))?;
        if let Some(done) = self.heard.done.pop_front() {
            return Ok(Some(done));
        }
        self.judge(ended)?;
        Ok(None)
    }

    /// Waits for the end, and gives what came of it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn report(mut self) -> Result<Report, Error> {
        let ended = loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = ended {
            self.folder.clear().await;
            return Err(error);
        }
        let mut report = Report { hosts: std::mem::take(&mut self.heard.hosts) };
        for entry in &self.entries {
            let Some(host) = report.hosts.get_mut(&entry.host.name) else { continue };
            let is_other =
                host.trouble.as_ref().is_some_and(|trouble| trouble.reason == Reason::HostKeyChanged);
            host.proved = if is_other { self.offered(entry).await } else { entry.proved().await };
        }
        self.folder.clear().await;
        Ok(report)
    }

    /// The key that the host proves now, whatever was expected. Nothing where it cannot be had.
    async fn offered(&self, entry: &Entry) -> Option<String> {
        let seconds = self.settings.connect.as_secs().max(1);
        let (arguments, offered) = entry.asks_for_key(seconds);
        let mut ssh = Command::new("ssh");
        ssh.args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        // Nobody is let in, so it fails; what counts is what it wrote down.
        let _ = timeout(Duration::from_secs(2 * seconds), ssh.status()).await;
        inventory::first_key(&offered).await
    }

    async fn drain(&mut self) -> Result<(), Error> {
        while self.stdout.is_some() || self.stderr.is_some() {
            let (mut out, mut err) = (Vec::with_capacity(16 * 1024), Vec::with_capacity(4096));
            tokio::select! {
                read = read(&mut self.stdout, &mut out) => self.hear(read, &out)?,
                read = read(&mut self.stderr, &mut err) => self.note(read, &err)?,
            }
        }
        Ok(())
    }

    /// Takes what was read from standard output.
    fn hear(&mut self, read: std::io::Result<usize>, bytes: &[u8]) -> Result<(), Error> {
        if read.map_err(|source| self.unread(source))? == 0 {
            self.stdout = None;
        }
        self.said_bytes += bytes.len();
        if self.said_bytes > SAID_BYTES_MAX {
            return Err(Error::TooMuch { playbook: self.playbook.clone(), bytes_max: SAID_BYTES_MAX });
        }
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        if let Some(rest) = pieces.next() {
            self.keep(rest);
        }
        for piece in pieces {
            if let Some(told) = report::read(&std::mem::take(&mut self.line)) {
                self.heard.hear(told);
            }
            self.keep(piece);
        }
        Ok(())
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// Takes what was read from standard error.
    fn note(&mut self, read: std::io::Result<usize>, bytes: &[u8]) -> Result<(), Error> {
        if read.map_err(|source| self.unread(source))? == 0 {
            self.stderr = None;
        }
        self.complaints.extend(bytes);
        let surplus = self.complaints.len().saturating_sub(COMPLAINTS_BYTES_MAX);
        self.complaints.drain(..surplus);
        Ok(())
    }

    /// Whether Ansible itself came to its end.
    fn judge(&mut self, ended: ExitStatus) -> Result<(), Error> {
        let is_of_hosts = ended.code().is_some_and(|code| OF_HOSTS.contains(&code));
        if ended.success() {
            // The playbook made up for it itself, with `rescue`.
            self.heard.hosts.values_mut().for_each(|host| host.trouble = None);
        }
        let has_trouble = self.heard.hosts.values().any(|host| host.trouble.is_some());
        if self.heard.has_ended && is_of_hosts && (ended.success() || has_trouble) {
            return Ok(());
        }
        let complaints = String::from_utf8_lossy(self.complaints.make_contiguous()).into_owned();
        // What is wrong stands in the line that says so; behind it comes where.
        let wrong = complaints.lines().map(str::trim).find(|line| line.contains("ERROR"));
        let said = wrong.or_else(|| last_line(&complaints)).unwrap_or("it said nothing");
        let said = cut(said.trim_start_matches("[ERROR]: ").trim_start_matches("ERROR! "));
        Err(Error::Playbook { playbook: self.playbook.clone(), end: ended.to_string(), said })
    }

    fn unread(&self, source: std::io::Error) -> Error {
        Error::Read { program: self.settings.program.clone(), source }
    }
}

/// Reads what there is; waits for ever at the end.
async fn read(from: &mut Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> std::io::Result<usize> {
    match from {
        Some(from) => from.read_buf(into).await,
        None => std::future::pending().await,
    }
}

impl Heard {
    fn hear(&mut self, told: Told) {
        match told {
            Told::Ok(task) | Told::Skipped(task) => {
                self.tell_of(&task.host);
                self.went_on(task);
            }
            Told::Failed(task) => self.trouble(&task, Trouble::failed(&task)),
            Told::Unreachable(task) => self.trouble(&task, Trouble::unreachable(&task)),
            Told::End { results } => {
                for (host, results) in results {
                    if let Some(host) = self.hosts.get_mut(&host) {
                        host.results = results;
                    }
                }
                self.has_ended = true;
                for (host, tags) in std::mem::take(&mut self.pending) {
                    self.done.extend(tags.into_iter().map(|tag| Done { host: host.clone(), tag }));
                }
            }
        }
    }

    fn tell_of(&mut self, host: &str) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.is_told_of = true;
        }
    }

    fn went_on(&mut self, task: Task) {
        self.last = task.task;
        let before = self.pending.insert(task.host.clone(), task.tags.clone()).unwrap_or_default();
        let done = before.into_iter().filter(|tag| !task.tags.contains(tag));
        self.done.extend(done.map(|tag| Done { host: task.host.clone(), tag }));
    }

    /// The first one counts. What was before it is done; what failed is not.
    fn trouble(&mut self, task: &Task, trouble: Trouble) {
        let before = self.pending.remove(&task.host).unwrap_or_default();
        let done = before.into_iter().filter(|tag| !task.tags.contains(tag));
        self.done.extend(done.map(|tag| Done { host: task.host.clone(), tag }));
        self.tell_of(&task.host);
        if let Some(host) = self.hosts.get_mut(&task.host) {
            host.trouble.get_or_insert(trouble);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[(&str, &str, &[&str])]) -> Heard {
        let mut heard = Heard { hosts: [("a".to_owned(), HostReport::default())].into(), ..Heard::default() };
        for (event, host, tags) in lines {
            let told =
                serde_json::json!({"event": event, "host": host, "task": "t", "tags": tags, "results": {}});
            heard.hear(serde_json::from_value(told).unwrap());
        }
        heard
    }

    #[test]
    fn a_tag_is_done_when_the_next_task_is() {
        let check = |lines: &[(&str, &str, &[&str])], expected: &[&str]| {
            let done: Vec<String> =
                heard(lines).done.into_iter().map(|done| done.host + done.tag.as_str()).collect();
            assert_eq!(done, expected, "{lines:?}");
        };
        check(&[("ok", "a", &["x"])], &[]);
        check(&[("ok", "a", &["x"]), ("ok", "a", &["x"]), ("skipped", "a", &["y"])], &["ax"]);
        check(&[("ok", "a", &["x"]), ("end", "", &[])], &["ax"]);
        check(&[("ok", "a", &["x"]), ("ok", "b", &["y"]), ("failed", "a", &["y"])], &["ax"]);
        check(&[("ok", "a", &["x"]), ("failed", "a", &["x"]), ("end", "", &[])], &[]);
        check(&[("ok", "a", &["x"]), ("unreachable", "a", &[])], &["ax"]);
    }

    #[test]
    fn the_first_trouble_is_told() {
        let heard = heard(&[("failed", "a", &[]), ("unreachable", "a", &[]), ("failed", "other", &[])]);
        assert!(matches!(heard.hosts["a"].trouble.as_ref().unwrap().reason, Reason::Failed { .. }));
        assert_eq!(heard.hosts.len(), 1);
    }
}
