//! The life of a process that serves: what it tells people and the service manager, and how it ends.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::program::PROVOST;

const LIMIT: Duration = Duration::from_secs(30);

/// A running program and the socket on which it talks to its service manager.
struct Life {
    child: Child,
    manager: UnixDatagram,
    output: Receiver<(String, String)>,
}

impl Life {
    fn start(program: &Path, directory: &Path, arguments: &[&str]) -> Self {
        let path = directory.join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_read_timeout(Some(LIMIT)).unwrap();
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "200000")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (send, output) = channel();
        std::thread::spawn(move || {
            let (mut out, mut err) = (String::new(), String::new());
            stderr.read_to_string(&mut err).unwrap();
            stdout.read_to_string(&mut out).unwrap();
            send.send((out, err)).unwrap();
        });
        Self { child, manager, output }
    }

    /// Reads what the service manager is told until a message has the line `wanted`; that message.
    fn told(&self, wanted: &str) -> String {
        let begun = Instant::now();
        let mut message = [0; 4096];
        while begun.elapsed() < LIMIT {
            let length = self.manager.recv(&mut message).unwrap();
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            if text.lines().any(|line| line == wanted) {
                return text;
            }
        }
        panic!("the service manager was never told {wanted}");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; its status, standard output and standard error.
    fn ended(mut self) -> (ExitStatus, String, String) {
        let (out, err) = self.output.recv_timeout(LIMIT).unwrap();
        (self.child.wait().unwrap(), out, err)
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

/// sd_notify(3): READY when the doors are open, WATCHDOG at half the time, STOPPING at the end.
#[test]
fn the_service_manager_and_the_operator_are_told() {
    for signal in ["TERM", "INT"] {
        let dir = tempfile::tempdir().unwrap();
        let netloc = format!("127.0.0.1:{}", free_port());
        let life =
            Life::start(Path::new(PROVOST), dir.path(), &["up", "--data", "data", "--netloc", &netloc]);
        let ready = life.told("READY=1");
        assert!(
            ready.lines().any(|line| line == format!("STATUS=serving {netloc} on 1 address(es)")),
            "{ready}"
        );
        life.told("WATCHDOG=1");
        life.told("WATCHDOG=1");
        life.signal(signal);
        life.told("STOPPING=1");
        let (status, _, err) = life.ended();
        assert_eq!(status.code(), Some(0), "{err}");
        assert!(err.contains("\nnext: curl --cacert "), "{err}");
        assert!(err.contains("\nstopping: open requests have up to 30 s to end"), "{err}");
    }
}

/// caucase, "Ports and listeners".
#[test]
fn caucased_says_what_caucased_says() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let program = dir.path().join("caucased");
    std::os::unix::fs::symlink(PROVOST, &program).unwrap();
    let life = Life::start(&program, dir.path(), &["--netloc", &format!("127.0.0.1:{port}")]);
    life.told("READY=1");
    life.signal("INT");
    let (status, _, err) = life.ended();
    assert_eq!(status.code(), Some(0), "{err}");
    assert_eq!(err, format!("Listening on [127.0.0.1]:{port}-{}\nExiting\n", port + 1));
}
