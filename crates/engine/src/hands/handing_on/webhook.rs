//! Trust handed on to whoever listens at a URL: what it is told, and what came of it.
//!
//! What is sent and what an answer means is `trust`'s (`webhook.rs`); how it gets there is known to whoever builds the
//! house. A URL is given by an operator, and the server connects to it.

use base::Timestamp;
use futures_util::future::BoxFuture;
use trust::webhook::{Key, MEDIA_TYPE, Notice, SIGNATURE, Taken, Url};

use crate::hands::told;

/// Something to be posted.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Where to.
    pub url: Url,
    /// The certificates of those who vouch for it there, as PEM; those whom the system trusts where it is absent.
    pub authorities: Option<Vec<u8>>,
    /// What is said beside it, by name.
    pub headers: Vec<(&'static str, String)>,
    /// What is posted.
    pub body: String,
}

/// How it was answered, whatever it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replied {
    /// The status.
    pub status: u16,
    /// How the body begins.
    pub body: Vec<u8>,
}

/// It was not answered. Whether it arrived is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unanswered {
    /// Why, in one line, without the URL.
    pub reason: String,
    /// Whether it may pass although nobody does anything about it.
    pub may_pass: bool,
}

/// Takes letters to where they are to go: once, to there and nowhere else, and with an end to every wait.
pub trait Courier: Send + Sync {
    /// Posts it, and brings back how it was answered.
    fn post(&self, letter: Letter) -> BoxFuture<'_, Result<Replied, Unanswered>>;
}

/// Where a requirer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    /// Where.
    pub(crate) url: Url,
    /// What it knows us by.
    pub(crate) key: Key,
    /// The certificates of those who vouch for it, as PEM; those whom the system trusts where it is absent.
    pub(crate) authorities: Option<Vec<u8>>,
}

/// A notice was not delivered, or it is not known that it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{because}")]
pub(crate) struct NotDelivered {
    /// Why, for a person: whose webhook it is, but for its path.
    pub(crate) because: String,
    /// Whether it may pass although nobody does anything about it.
    pub(crate) may_pass: bool,
}

/// Tells a requirer its whole set. To tell it again does no harm.
///
/// # Errors
/// When it was not taken.
pub(crate) async fn deliver(
    courier: &dyn Courier,
    hook: &Hook,
    notice: Notice<'_>,
    now: Timestamp,
) -> Result<Taken, NotDelivered> {
    let Hook { url, key, authorities } = hook;
    let failed = |because: &str, may_pass| {
        let because = format!("the webhook at {} was not told: {because}", url.place());
        NotDelivered { because, may_pass }
    };
    let body = notice.body();
    let headers = vec![("Content-Type", MEDIA_TYPE.to_owned()), (SIGNATURE, key.sign(now, &body))];
    let letter = Letter { url: url.clone(), authorities: authorities.clone(), headers, body };
    let answered = courier.post(letter).await;
    let Replied { status, body } = answered.map_err(|error| failed(&error.reason, error.may_pass))?;
    let taken = notice.answered(url, status, &body);
    let taken = taken.map_err(|refused| failed(&told(&refused), refused.may_pass()))?;
    tracing::info!(requirer = notice.requirer, webhook = %url, revision = notice.revision, "webhook told");
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use base::{Secret, hex, hmac_sha256};

    use super::*;

    /// Answers everybody so, and keeps what was posted.
    struct Answering(Result<Replied, Unanswered>, Mutex<Vec<Letter>>);

    impl Courier for Answering {
        fn post(&self, letter: Letter) -> BoxFuture<'_, Result<Replied, Unanswered>> {
            self.1.lock().unwrap().push(letter);
            Box::pin(async { self.0.clone() })
        }
    }

    fn hook() -> Hook {
        Hook {
            url: "https://hooks.example.com:8443/S3CRET".parse().unwrap(),
            key: Key::new(Secret::new(b"0123456789abcdef".to_vec())).unwrap(),
            authorities: Some(b"PEM".to_vec()),
        }
    }

    async fn answered(answer: Result<(u16, &str), Unanswered>) -> (Result<Taken, NotDelivered>, Letter) {
        let answer = answer.map(|(status, body)| Replied { status, body: body.as_bytes().to_vec() });
        let (courier, now) = (Answering(answer, Mutex::default()), Timestamp::from_unix(1_790_000_000));
        let certificates = BTreeSet::from(["a".to_owned()]);
        let notice = Notice { requirer: "shop", revision: Some(3), certificates: &certificates };
        let taken = deliver(&courier, &hook(), notice, now).await;
        (taken, courier.1.into_inner().unwrap().remove(0))
    }

    #[tokio::test]
    async fn a_notice_is_signed_and_goes_where_it_should() {
        let (taken, letter) = answered(Ok((200, ""))).await;
        assert_eq!(taken, Ok(Taken::Unsaid));
        assert_eq!((letter.url, letter.authorities), (hook().url, hook().authorities));
        let code = hmac_sha256(b"0123456789abcdef", format!("1790000000.{}", letter.body).as_bytes());
        let signature = format!("t=1790000000,v1={}", hex::encode(&code));
        let headers = [("Content-Type", "application/json".to_owned()), ("Provost-Signature", signature)];
        assert_eq!(letter.headers, headers);
        let body: serde_json::Value = serde_json::from_str(&letter.body).unwrap();
        assert_eq!((&body["requirer"], &body["certificates"]), (&"shop".into(), &serde_json::json!(["a"])));
        let applied = format!("{{\"applied\":{}}}", body["hash"]);
        assert_eq!(answered(Ok((202, &applied))).await.0, Ok(Taken::Applied));
    }

    #[tokio::test]
    async fn what_was_not_taken_says_why_and_where() {
        let silent = Unanswered { reason: "it did not answer within 30 s".into(), may_pass: true };
        for (answer, expected, may_pass) in [
            (Err(silent), "it did not answer within 30 s", true),
            (Ok((500, "no POST /S3CRET")), "it answered 500: no POST (our URL)", true),
            (Ok((404, "")), "it answered 404", false),
            (
                Ok((401, "")),
                "it answered 401; look whether the receiver has the same secret, and the right time",
                false,
            ),
            (
                Ok((302, "")),
                "it sends us elsewhere (302), and we do not go; give the requirer the URL that it leads to",
                false,
            ),
            (Ok((200, "{\"applied\":\"x\"}")), "it says that it has applied another set: \"x\"", true),
        ] {
            let because = format!("the webhook at https://hooks.example.com:8443 was not told: {expected}");
            assert_eq!(answered(answer).await.0, Err(NotDelivered { because, may_pass }));
        }
        assert!(!format!("{:?}", hook()).contains("S3CRET"));
    }
}
