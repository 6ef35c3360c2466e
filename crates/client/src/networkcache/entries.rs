//! Signed statements under a key: `GET` and `PUT`.

use entry::{Entry, List, read_list};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::timeout;

use super::service::{Failed, Service, missed};
use super::{Access, CacheError, Patience, ServiceUrl};
use crate::client::BuildError;

/// The longest list that is read, in bytes.
pub const LIST_BYTES_MAX: usize = 64 << 20;
/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 4096;
/// What is read of the answer to a `PUT`, which says nothing.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What would end a path, or not get through a URL as it is. Everything else goes out as old clients send it: not every
/// server decodes paths.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// Asks a server of entries. Its clones share their connections.
#[derive(Debug, Clone)]
pub struct Entries {
    service: Service,
}

impl Entries {
    /// Asks the server at `url`.
    ///
    /// # Errors
    /// When the user or the files of `access` are not what they should be.
    pub fn new(url: ServiceUrl, access: &Access) -> Result<Self, BuildError> {
        Self::with(url, access, Patience::LONG)
    }

    /// The same, with another patience.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(url: ServiceUrl, access: &Access, patience: Patience) -> Result<Self, BuildError> {
        Ok(Self { service: Service::new(url, access, patience)? })
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &ServiceUrl {
        &self.service.url
    }

    /// The same server, asked by a cache for others, as this `Via` header says.
    #[must_use]
    pub fn via(&self, header: &str) -> Self {
        Self { service: self.service.via(header) }
    }

    /// All entries under `key`, in the server's order. Those that are malformed are passed over, and are in
    /// [`List::skipped`] for whoever wants to say so. Nobody's signature was looked at.
    ///
    /// # Errors
    /// When the server knows no such key ([`CacheError::is_absent`]), does not answer, or answers with what is not a list or
    /// longer than [`LIST_BYTES_MAX`].
    pub async fn get(&self, key: &str) -> Result<List, CacheError> {
        let url = self.url_of(key)?;
        let (service, at) = (&self.service, url.as_str());
        let ask = || async move {
            let response = service.asked(Method::GET, at, service.request(Method::GET, at)).await?;
            service.body(at, response, LIST_BYTES_MAX).await
        };
        let patience = self.service.patience.list;
        let body = timeout(patience, self.service.until_done(ask)).await;
        let body = body.unwrap_or_else(|_| {
            let why = format!("it did not end within {} s", patience.as_secs());
            Err(CacheError::Broken { url: url.clone(), why })
        })?;
        Ok(read_list(&body, LIST_BYTES_MAX)?)
    }

    /// The keys that `pattern` fits (`*` any characters, `?` one), of a server of ours that lets us list them.
    ///
    /// # Errors
    /// When it is none, does not let us, or does not answer.
    pub async fn keys(&self, pattern: &str) -> Result<Vec<String>, CacheError> {
        let Some(keys) = self.service.url.keys() else {
            return Err(CacheError::Unlisted { url: self.service.url.to_string() });
        };
        let (mut found, mut next) = (Vec::new(), None::<String>);
        loop {
            let mut url = format!("{keys}?limit=1000&key={}", utf8_percent_encode(pattern, NON_ALPHANUMERIC));
            if let Some(next) = &next {
                url += &format!("&after={}", utf8_percent_encode(next, NON_ALPHANUMERIC));
            }
            let (service, at) = (&self.service, url.as_str());
            let ask = || async move {
                let response = service.asked(Method::GET, at, service.request(Method::GET, at)).await?;
                service.body(at, response, LIST_BYTES_MAX).await
            };
            let body = self.service.until_done(ask).await.map_err(|error| match error.is_absent() {
                true => CacheError::Unlisted { url: self.service.url.to_string() },
                false => error,
            })?;
            let page: wire::Page<wire::EntryKey> =
                serde_json::from_slice(&body).map_err(|_| CacheError::Unlisted { url: keys.clone() })?;
            let is_new = page.next != next;
            next = page.next;
            found.extend(page.items.into_iter().map(|item| item.key));
            if next.is_none() || !is_new {
                return Ok(found);
            }
        }
    }

    /// Adds an entry under `key`.
    ///
    /// # Errors
    /// When the server does not take it, or does not answer.
    pub async fn put(&self, key: &str, entry: &Entry) -> Result<(), CacheError> {
        let url = self.url_of(key)?;
        let body = entry.to_json();
        self.service.until_done(|| self.put_once(&url, &body)).await
    }

    async fn put_once(&self, url: &str, body: &str) -> Result<(), Failed> {
        let json = HeaderValue::from_static("application/json");
        let request = self.service.request(Method::PUT, url).header(CONTENT_TYPE, json).body(body.to_owned());
        let patience = self.service.patience.write;
        let response = timeout(patience, request.send()).await.map_err(|_| Failed::silent(url, patience))?;
        let response = response.map_err(|error| missed(url, error))?;
        if response.status().as_u16() != 201 {
            return Err(self.service.refused(Method::PUT, url, response).await);
        }
        // It is done, whatever is said beside it; read only so that the connection can be used again.
        let _ = self.service.body(url, response, ANSWER_BYTES_MAX).await;
        Ok(())
    }

    fn url_of(&self, key: &str) -> Result<String, CacheError> {
        let is_odd = key.is_empty()
            || key.len() > KEY_BYTES_MAX
            || key.split('/').any(|part| matches!(part, "." | ".."));
        if is_odd {
            return Err(CacheError::Key(key.chars().take(100).collect()));
        }
        Ok(self.service.url.under(&utf8_percent_encode(key, ESCAPED).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_out_as_they_are_unless_they_would_not_arrive() {
        let entries = Entries::new("http://a/b/".parse().unwrap(), &Access::default()).unwrap();
        for (key, expected) in [
            ("file-urlmd5:abc", Some("file-urlmd5:abc")),
            ("pypi:pytz=2016.10", Some("pypi:pytz=2016.10")),
            ("'slapos-generic-upgrade-key'", Some("'slapos-generic-upgrade-key'")),
            ("a/b+c@d!e~f", Some("a/b+c@d!e~f")),
            ("a#b?c", Some("a%23b%3Fc")),
            ("a b%41é\\", Some("a%20b%2541%C3%A9%5C")),
            ("", None),
            ("..", None),
            ("a/../b", None),
            ("./a", None),
        ] {
            let url = entries.url_of(key).ok();
            assert_eq!(url, expected.map(|key| format!("http://a/b/{key}")), "{key}");
            // What is sent is what was made here.
            let sent =
                url.map(|url| entries.service.request(Method::GET, &url).build().unwrap().url().to_string());
            assert_eq!(sent, expected.map(|key| format!("http://a/b/{key}")), "{key}");
        }
    }
}
