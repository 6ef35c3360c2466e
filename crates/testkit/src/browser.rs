//! Debian's chromium, without a window, with a profile of its own.
//!
//! It is told what to do in the DevTools protocol, over a pipe: JSON documents, each ended by a NUL. That needs no
//! program but the browser, no port that somebody else could find, and no library; and it tells what a page itself is
//! not allowed to know: why a request was refused, which cookies went along. (`chromium-driver` speaks WebDriver, and
//! knows none of that.)

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use serde_json::{Value, json};

use crate::wait::{LIMIT, wait_for};

/// What nobody here needs, and would go out to the network.
const QUIET: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--password-store=basic",
    "--remote-debugging-pipe",
];

/// What becomes of cookies that a page's requests to other sites would take along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThirdParties {
    /// What a new profile has.
    AsInstalled,
    /// They go along, as the person chose in the browser's settings.
    Allowed,
}

/// A browser with one page. Dropping it ends it.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    output: Receiver<Value>,
    events: Vec<Value>,
    session: Option<String>,
    calls: u64,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it. All hosts of `example` are this machine. TLS is as everywhere, but that a certificate is believed
    /// whose key has this digest: base64 of the SHA-256 of its `SubjectPublicKeyInfo`.
    ///
    /// # Panics
    /// When it is not installed.
    #[must_use]
    pub fn start(believed: &str, cookies: ThirdParties) -> Self {
        let profile = tempfile::tempdir().unwrap();
        if cookies == ThirdParties::Allowed {
            let folder = profile.path().join("Default");
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("Preferences"), r#"{"profile": {"cookie_controls_mode": 0}}"#)
                .unwrap();
        }
        // The browser reads from the descriptor 3 and writes to 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"]).args(QUIET);
        command
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--ignore-certificate-errors-spki-list={believed}"))
            .arg("--host-resolver-rules=MAP *.example 127.0.0.1")
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, receive) = channel();
        std::thread::spawn(move || {
            for message in output.split(0) {
                let Ok(message) = message else { return };
                if send.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            input,
            output: receive,
            events: Vec::new(),
            session: None,
            calls: 0,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached =
            browser.call("Target.attachToTarget", &json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Calls a method of the protocol; what it gives.
    ///
    /// # Panics
    /// When it fails.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let text = [message.to_string().as_bytes(), b"\0"].concat();
        self.input.write_all(&text).unwrap_or_else(|error| panic!("{NOT_THERE}: {error}"));
        loop {
            let mut answer = self.next();
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            self.events.push(answer);
        }
    }

    fn next(&mut self) -> Value {
        self.output.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("{NOT_THERE}: {error}"))
    }

    /// The first event called `name` about which `is_it`, since they were [forgotten](Self::forget). What the network
    /// says and what the page says come in any order.
    ///
    /// # Panics
    /// When it never comes.
    pub fn event(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        let is_wanted = |event: &Value| event["method"] == name && is_it(&event["params"]);
        let mut looked_at = 0;
        loop {
            if let Some(found) = self.events[looked_at..].iter().find(|event| is_wanted(event)) {
                return found["params"].clone();
            }
            looked_at = self.events.len();
            assert!(begun.elapsed() < LIMIT, "waited in vain for {name}");
            let event = self.next();
            self.events.push(event);
        }
    }

    /// Forgets the events so far.
    pub fn forget(&mut self) {
        self.events.clear();
    }

    /// Goes to `url`, and waits until everything there is loaded.
    pub fn go(&mut self, url: &str) {
        self.forget();
        self.call("Page.navigate", &json!({"url": url}));
        self.event("Page.loadEventFired", |_| true);
    }

    /// What a script on the page comes to, promises included.
    ///
    /// # Panics
    /// When it throws.
    pub fn run(&mut self, script: &str) -> Value {
        let asked = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].take()
    }

    /// Runs `script`, which leads to another page, and waits until the address begins with `url`, and everything there
    /// is loaded.
    pub fn run_to(&mut self, script: &str, url: &str) {
        self.run(script);
        wait_for(url, || {
            // While one page goes and the other comes there may be none to run it in.
            let asked = json!({"expression": "[location.href, document.readyState]", "returnByValue": true});
            let there = self.call("Runtime.evaluate", &asked)["result"]["value"].take();
            let is_there = there[0].as_str().is_some_and(|there| there.starts_with(url));
            (is_there && there[1] == "complete").then_some(())
        });
    }

    /// All cookies that it has.
    pub fn cookies(&mut self) -> Vec<Value> {
        self.call("Storage.getCookies", &json!({}))["cookies"].as_array().cloned().unwrap_or_default()
    }
}

const NOT_THERE: &str =
    "chromium is not there, which this test needs; install it with: cargo xtask witnesses";

impl Drop for Browser {
    fn drop(&mut self) {
        // Its children end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
