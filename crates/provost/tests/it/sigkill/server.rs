//! The program as a process that can be killed and started again on the same data directory.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::program::PROVOST;

/// How long a start may take, the making of keys included.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long the end may take once it is asked for.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Where a server keeps its data and listens, however often it is started.
pub struct Place {
    pub data: PathBuf,
    pub port: u16,
    /// What stands in front of `provost`: a program that starts it in other surroundings, or nothing.
    pub inside: Vec<OsString>,
}

/// A server that runs. Killed when dropped.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// What it said on standard error so far.
    said: Vec<String>,
    begun: Instant,
}

impl Place {
    pub fn new(data: &Path) -> Self {
        Self { data: data.to_owned(), port: free_port(), inside: Vec::new() }
    }

    /// Starts the program, and does not wait for anything.
    pub fn spawn(&self, flags: &[&str]) -> Server {
        let words = [OsString::from(PROVOST), "up".into(), "--data".into(), self.data.clone().into()];
        let words: Vec<OsString> = self.inside.iter().cloned().chain(words).collect();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["--netloc", &format!("127.0.0.1:{}", self.port)])
            .args(["--log-level", "warn", "--log-access", "off"])
            .args(flags)
            // Its settings are what is said here, whatever the tests were started with.
            .env_clear()
            .env("PROVOST_FLEET_INVESTIGATE", "false")
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)).ok();
        });
        Server { child, lines, said: Vec::new(), begun: Instant::now() }
    }

    /// Starts the program and waits until its doors are open; how long that took.
    pub fn start(&self, flags: &[&str]) -> (Server, Duration) {
        let mut server = self.spawn(flags);
        server.wait_until_ready();
        let took = server.begun.elapsed();
        (server, took)
    }
}

impl Server {
    pub fn wait_until_ready(&mut self) {
        while let Some(left) = START_LIMIT.checked_sub(self.begun.elapsed()) {
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let is_ready = line.ends_with(" is ready");
                    self.said.push(line);
                    if is_ready {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => panic!("the start failed:\n{}", self.said.join("\n")),
            }
        }
        panic!("not ready after {START_LIMIT:?}:\n{}", self.said.join("\n"));
    }

    /// Waits until it says a line with `words` in it.
    pub fn wait_until_said(&mut self, words: &str) {
        let begun = Instant::now();
        while !self.said.iter().any(|line| line.contains(words)) {
            let left = START_LIMIT.saturating_sub(begun.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(error) => panic!("it did not say {words:?} ({error}):\n{}", self.said.join("\n")),
            }
        }
    }

    /// Lets it work for so long, or until its end. Whether it is still there.
    pub fn work_for(&mut self, time: Duration) -> bool {
        let begun = Instant::now();
        while let Some(left) = time.checked_sub(begun.elapsed()) {
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL. It must have been alive until then.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        self.hear_the_rest();
        assert_eq!(status.signal(), Some(9), "it ended by itself, {status}:\n{}", self.said.join("\n"));
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) {
        let sent = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert!(!self.work_for(STOP_LIMIT), "it does not end");
        let status = self.child.wait().unwrap();
        self.hear_the_rest();
        assert_eq!(status.code(), Some(0), "{}", self.said.join("\n"));
    }

    /// What it said up to its end. Nothing of it may be a panic.
    fn hear_the_rest(&mut self) {
        self.said.extend(self.lines.iter());
        assert!(!self.said.iter().any(|line| line.contains("panicked")), "{}", self.said.join("\n"));
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "what the server said explains why the test failed")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.said.extend(self.lines.try_iter());
            eprintln!("the server said:\n{}", self.said.join("\n"));
        }
    }
}

/// A port with a free one above it.
fn free_port() -> u16 {
    (0..100)
        .find_map(|_| {
            let http = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = http.local_addr().unwrap().port();
            TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok().map(|_| port)
        })
        .unwrap()
}
