//! Event streams (`text/event-stream`, HTML §9.2), as a server sends them.

use std::time::Duration;

use crate::client::{SendError, Unreachable};
use crate::endpoint::Endpoint;

/// The longest line, and the most data of an event, in bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// No longer pause is made, whatever a server would like.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Something that a server tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of event it is; `message` where it does not say.
    pub name: String,
    /// What it tells.
    pub data: String,
}

/// The events that a server sends, as they come. A server that sends nothing, not even a comment, for as long as one may
/// be silent, is taken for gone.
#[derive(Debug)]
pub struct Events {
    response: reqwest::Response,
    endpoint: Endpoint,
    reader: Reader,
}

impl Events {
    pub(crate) fn new(response: reqwest::Response, endpoint: Endpoint) -> Self {
        Self { response, endpoint, reader: Reader::default() }
    }

    /// How long the server would like those to wait who connect again, if it says so; a minute at most.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.reader.pause
    }

    /// The next one; nothing when the server has ended the stream.
    ///
    /// # Errors
    /// [`SendError::Unreachable`] when the connection broke or fell silent, and [`SendError::TooLarge`].
    pub async fn next(&mut self) -> Result<Option<Event>, SendError> {
        loop {
            match self.reader.next() {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(TooLong) => {
                    let endpoint = self.endpoint.clone();
                    return Err(SendError::TooLarge { endpoint, bytes_max: EVENT_BYTES_MAX });
                }
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.reader.push(&bytes),
                // What is not complete is no event.
                Ok(None) => return Ok(None),
                Err(error) => {
                    let is_silent = error.is_timeout();
                    let why = base::report(&error.without_url());
                    let endpoint = self.endpoint.clone();
                    return Err(SendError::Unreachable(vec![Unreachable { endpoint, why, is_silent }]));
                }
            }
        }
    }
}

/// A line or an event is longer than is taken.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

/// Reads events from bytes, however these are cut.
#[derive(Debug, Default)]
struct Reader {
    /// What has come and was not read.
    bytes: Vec<u8>,
    /// How many of these are known to have no end of a line among them.
    looked: usize,
    name: String,
    data: String,
    has_data: bool,
    pause: Option<Duration>,
}

impl Reader {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole event.
    fn next(&mut self) -> Result<Option<Event>, TooLong> {
        while let Some(line) = self.line()? {
            if !line.is_empty() {
                self.field(&line)?;
                continue;
            }
            let name = std::mem::take(&mut self.name);
            let data = std::mem::take(&mut self.data);
            if std::mem::take(&mut self.has_data) {
                let name = if name.is_empty() { "message".to_owned() } else { name };
                return Ok(Some(Event { name, data }));
            }
        }
        Ok(None)
    }

    /// The next whole line, without its end: `\n` or `\r\n`.
    fn line(&mut self) -> Result<Option<String>, TooLong> {
        let Some(end) = self.bytes[self.looked..].iter().position(|byte| *byte == b'\n') else {
            self.looked = self.bytes.len();
            return if self.looked > EVENT_BYTES_MAX { Err(TooLong) } else { Ok(None) };
        };
        let rest = self.bytes.split_off(self.looked + end + 1);
        let line = std::mem::replace(&mut self.bytes, rest);
        self.looked = 0;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\n');
        Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }

    fn field(&mut self, line: &str) -> Result<(), TooLong> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
                if self.data.len() > EVENT_BYTES_MAX {
                    return Err(TooLong);
                }
            }
            "retry" => {
                let milliseconds = value.parse().ok();
                self.pause =
                    milliseconds.map(Duration::from_millis).map(|pause| pause.min(PAUSE_MAX)).or(self.pause);
            }
            // Comments have no name. Whoever connects again is told everything, so ids do not matter.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(reader: &mut Reader) -> Vec<(String, String)> {
        std::iter::from_fn(|| reader.next().unwrap()).map(|event| (event.name, event.data)).collect()
    }

    #[test]
    fn events_are_read_however_they_are_cut() {
        for (text, expected) in [
            ("", &[][..]),
            (": nothing new\n\n", &[]),
            ("event: operation\nid: 1\nretry: 2000\ndata: {}\n\n", &[("operation", "{}")]),
            ("data: a\n\ndata:b\r\n\r\n", &[("message", "a"), ("message", "b")]),
            ("data: a\ndata:  b\n\nevent: x\n\ndata\n\n", &[("message", "a\n b"), ("message", "")]),
            ("data: a", &[]),
            ("data: é\n\n", &[("message", "é")]),
        ] {
            for pieces in 1..=text.len().max(1) {
                let mut reader = Reader::default();
                let mut found = Vec::new();
                for piece in text.as_bytes().chunks(pieces) {
                    reader.push(piece);
                    found.extend(all(&mut reader));
                }
                let found: Vec<_> = found.iter().map(|(name, data)| (name.as_str(), data.as_str())).collect();
                assert_eq!(found, expected, "{text:?} in pieces of {pieces}");
            }
        }
    }

    #[test]
    fn the_pause_is_what_the_server_says_within_reason() {
        let mut reader = Reader::default();
        for (line, expected) in [
            ("retry: 50\n", Some(50)),
            ("retry: soon\n", Some(50)),
            ("retry: 90000\n", Some(60_000)),
            ("\n", Some(60_000)),
        ] {
            reader.push(line.as_bytes());
            assert_eq!(reader.next(), Ok(None));
            assert_eq!(reader.pause, expected.map(Duration::from_millis), "{line}");
        }
    }

    #[test]
    fn what_does_not_end_is_not_kept() {
        let mut reader = Reader::default();
        reader.push(b"data: ");
        reader.push(&vec![b'x'; EVENT_BYTES_MAX]);
        assert_eq!(reader.next(), Err(TooLong));
        let mut reader = Reader::default();
        for _ in 0..3 {
            reader.push(b"data: ");
            reader.push(&vec![b'x'; EVENT_BYTES_MAX / 2]);
            reader.push(b"\n");
        }
        assert_eq!(reader.next(), Err(TooLong));
    }
}
