//! What the tests have in common.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use base::{Clock, Secret};
use kube::{Client, NodeName, Settings};
use testkit::ApiServer;

use crate::schema;

pub(crate) const TOKEN: &str = "s3cret-token";

/// An API server that knows our token, and what was said is held against the schema in the end.
pub(crate) struct World {
    pub(crate) server: ApiServer,
    pub(crate) client: Client,
}

impl World {
    pub(crate) fn new() -> Self {
        let server = ApiServer::http();
        server.set_token(TOKEN, "provost");
        let client = client(&server.url());
        Self { server, client }
    }

    /// The bodies of all that was asked with `method`, as text.
    pub(crate) fn bodies(&self, method: &str) -> Vec<String> {
        let asked = self.server.asked().into_iter().filter(|asked| asked.method == method);
        asked.map(|asked| String::from_utf8(asked.body).unwrap()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            schema::hold(&self.server.exchanged());
        }
    }
}

pub(crate) fn settings(url: &str) -> Settings {
    let mut settings = Settings::new(url.parse().unwrap());
    settings.credentials.token = Some(Secret::new(TOKEN.to_owned()));
    settings.deadline = testkit::LIMIT;
    settings
}

/// A client with the right token.
pub(crate) fn client(url: &str) -> Client {
    Client::new(&settings(url), &Clock::system()).unwrap()
}

/// The same, patient for as long as a test wants to wait for nothing.
pub(crate) fn impatient(url: &str) -> Client {
    let settings = Settings { deadline: Duration::from_millis(200), ..settings(url) };
    Client::new(&settings, &Clock::system()).unwrap()
}

pub(crate) fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// A server that reads a request and says these bytes to whoever comes, and then hangs up, or does not. Its URL; it ends
/// with the test's process.
pub(crate) fn says(bytes: Vec<u8>, hangs_up: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            read_request(&mut stream);
            // Somebody who has heard enough hangs up.
            let _ = stream.get_mut().write_all(&bytes);
            if !hangs_up {
                kept.push(stream);
            }
        }
    });
    url
}

/// All of it: what is left unread when one hangs up may cost the other side the answer.
fn read_request(stream: &mut BufReader<TcpStream>) {
    let (mut line, mut length) = (String::new(), 0);
    while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    // Somebody who hung up is nobody's failure.
    let _ = stream.read_exact(&mut body);
}
