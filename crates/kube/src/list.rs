//! Lists, page by page.

use std::time::Duration;

use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ask::Question;
use crate::client::Client;
use crate::error::{Action, Error};

/// How many pages a list has at most. A node has some hundred pods, a cluster some thousand namespaces; this is what a
/// faulty server cannot exceed.
const PAGES_MAX: usize = 100;
/// How often a list is begun again because its rest has expired (410).
const LISTS_MAX: usize = 3;

/// What stays as it is in a part of a path or a query (RFC 3986 §2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Deserialize)]
struct Page<T> {
    metadata: Metadata,
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    r#continue: String,
}

/// A text as part of a path or a query.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

impl Client {
    /// Everything that is listed at `first`, which has a query that says how long a page is. `take` makes something of
    /// each; each page may take `within`.
    pub(crate) async fn list<T: DeserializeOwned, R>(
        &self,
        action: &Action,
        first: &str,
        within: Duration,
        mut take: impl FnMut(T) -> Result<R, Error>,
    ) -> Result<Vec<R>, Error> {
        let (mut path, mut all) = (first.to_owned(), Vec::new());
        let mut lists = 1;
        for _ in 0..PAGES_MAX {
            let question =
                Question { action: action.clone(), method: Method::GET, path: &path, body: None, within };
            let answer = self.asker.ask(question).await?;
            if answer.status == StatusCode::GONE && lists < LISTS_MAX {
                (path, lists) = (first.to_owned(), lists + 1);
                all.clear();
                continue;
            }
            let page: Page<T> = answer.object()?;
            for item in page.items.unwrap_or_default() {
                all.push(take(item)?);
            }
            if page.metadata.r#continue.is_empty() {
                return Ok(all);
            }
            path = format!("{first}&continue={}", escaped(&page.metadata.r#continue));
        }
        Err(self.asker.malformed(action.clone(), format!("the list of {} has no end", action.resource)))
    }
}
