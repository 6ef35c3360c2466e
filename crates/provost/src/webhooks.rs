//! Webhooks, told as `client` posts things.

use client::{PostError, PostLimits, Poster, Trust};
use engine::{Courier, Letter, Replied, Unanswered};
use futures_util::future::BoxFuture;

/// Takes letters to webhooks.
#[derive(Debug)]
pub struct Webhooks(Poster);

impl Webhooks {
    pub fn new(limits: PostLimits) -> Self {
        Self(Poster::new(limits))
    }
}

impl Courier for Webhooks {
    fn post(&self, letter: Letter) -> BoxFuture<'_, Result<Replied, Unanswered>> {
        Box::pin(async move {
            let Letter { url, authorities, headers, body } = letter;
            let trust = authorities.map_or(Trust::System, Trust::Only);
            let posted =
                self.0.post(url.as_str(), &trust, &headers, body).await.map_err(|error| failed(&error))?;
            Ok(Replied { status: posted.status, body: posted.body })
        })
    }
}

fn failed(error: &PostError) -> Unanswered {
    Unanswered { reason: base::report(error), may_pass: error.may_pass() }
}

#[cfg(test)]
mod tests {
    use testkit::{StandIn, StandInReply};

    use super::*;

    /// What is posted is what arrives, and how it is answered is what comes back.
    #[tokio::test]
    async fn letters_arrive_as_they_are() {
        let hook = StandIn::http(|asked| {
            let is_signed = asked.headers.get("provost-signature").is_some_and(|value| value == "t=1,v1=00");
            (asked.path == "/hooks/1").then(|| StandInReply {
                status: if is_signed { 202 } else { 401 },
                headers: Vec::new(),
                body: String::from_utf8(asked.body.clone()).unwrap(),
            })
        });
        let within = |whole| Webhooks::new(PostLimits { whole, ..PostLimits::default() });
        let webhooks = within(testkit::LIMIT);
        let letter = |path: &str, signature: &str| Letter {
            url: hook.url(path).parse().unwrap(),
            authorities: None,
            headers: vec![(trust::webhook::SIGNATURE, signature.to_owned())],
            body: "{}".to_owned(),
        };
        let said = |status| Ok(Replied { status, body: b"{}".to_vec() });
        assert_eq!(webhooks.post(letter("/hooks/1", "t=1,v1=00")).await, said(202));
        assert_eq!(webhooks.post(letter("/hooks/1", "t=1,v1=01")).await, said(401));
        let webhooks = within(std::time::Duration::from_millis(300));
        let silent = Unanswered { reason: "it did not answer within 0.3 s".into(), may_pass: true };
        assert_eq!(webhooks.post(letter("/silent", "t=1,v1=00")).await, Err(silent));
    }
}
