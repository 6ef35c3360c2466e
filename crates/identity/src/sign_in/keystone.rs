//! Sign-in that an OpenStack Keystone judges: by password, or by a token (contract of `/api/v0`, section 7.5;
//! Identity API v3, "Password authentication with unscoped authorization" and "Token authentication").
//!
//! Whoever gets a token from Keystone is somebody: the answer's status is a success, and it has `X-Subject-Token`,
//! which is passed on to the client. The body says who it is, which roles they have there, and when the token ends.

use base::{Clock, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::cache::CacheKey;
use super::config::KeystoneConfig;
use super::error::ServiceError;
use super::guard::{Found, Guard};
use super::method::{Away, Known, Method, Verdict};
use super::offer::Offer;
use super::service::{Answer, Asker};
use super::turns::Turn;

const X_SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// A Keystone.
pub(crate) struct Keystone {
    means: Means,
    asker: Asker,
    config: KeystoneConfig,
    guard: Guard,
}

/// What Keystone is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    Password,
    Token,
}

impl Keystone {
    pub(crate) fn new(
        means: Means,
        config: KeystoneConfig,
        guard: Guard,
        clock: &Clock,
    ) -> Result<Self, ServiceError> {
        Ok(Self { means, asker: Asker::new(&config.service, clock)?, config, guard })
    }

    /// What Keystone is asked, and what its answer depends on; nothing when nothing is offered.
    fn question(&self, offer: &Offer) -> Option<(Value, CacheKey)> {
        match self.means {
            Means::Password => {
                let login = offer.login()?;
                let (user, password) = (login.user.as_str(), login.password.expose().as_str());
                let user_and_domain =
                    json!({"name": user, "password": password, "domain": {"name": self.config.domain}});
                let identity = json!({"methods": ["password"], "password": {"user": user_and_domain}});
                Some((identity, self.guard.key(&[user.as_bytes(), password.as_bytes()])))
            }
            Means::Token => {
                let token = offer.auth_token()?.expose().as_str();
                let identity = json!({"methods": ["token"], "token": {"id": token}});
                Some((identity, self.guard.key(&[token.as_bytes()])))
            }
        }
    }

    async fn look(&self, attempt: &Attempt<'_>, offer: &Offer, identity: Value, key: CacheKey) -> Verdict {
        let look = async |turn: Turn| {
            let question = self.asker.post(&json!({"auth": {"identity": identity}}));
            let answer = self.asker.ask(question).await;
            drop(turn);
            match answer {
                Ok(answer) => self.found(&answer),
                Err(silence) => {
                    self.asker.tell("Keystone could not be asked", &silence);
                    Found::Unavailable
                }
            }
        };
        match self.guard.judge(attempt, offer, key, look).await {
            // While it is away nobody is told how often they guessed: only those whom another method knows are counted
            // then, and would be told from the others by it.
            Verdict::TooSoon(_) if self.asker.is_away() => Verdict::Unavailable(Away::Service),
            verdict => verdict,
        }
    }

    fn found(&self, answer: &Answer) -> Found {
        if answer.status == StatusCode::UNAUTHORIZED {
            self.asker.judged();
            return Found::Nobody;
        }
        let token = answer.headers.get(&X_SUBJECT_TOKEN).filter(|_| answer.status.is_success());
        let Some(subject_token) = token else {
            // Nor does it say that the password is wrong: the URL may be, or the request may be forbidden to us.
            let what = "Keystone did not say whether it knows somebody";
            self.asker.tell_refusal(what, answer.status, false);
            return Found::Unknown;
        };
        self.asker.judged();
        let token = Token::read(&answer.json());
        // A name says who it is only together with the domain.
        let name = token.user.as_deref().filter(|_| token.domain.as_deref() == Some(&self.config.domain));
        let Some(role) = self.config.roles.of(name, token.roles.iter().map(String::as_str)) else {
            return Found::Stranger;
        };
        let mut subject_token = subject_token.clone();
        subject_token.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(X_SUBJECT_TOKEN, subject_token);
        // Whatever ends at a time that we are not told may have ended.
        let end = token.expires_at.unwrap_or(Timestamp::from_unix(0));
        Found::Known(Known::new(token.name(), role).with_headers(headers), Some(end))
    }
}

impl Method for Keystone {
    fn name(&self) -> &'static str {
        match self.means {
            Means::Password => "keystone-password",
            Means::Token => "keystone-token",
        }
    }

    fn judge<'a>(&'a self, attempt: &'a Attempt<'a>, offer: &'a Offer) -> BoxFuture<'a, Verdict> {
        match self.question(offer) {
            Some((identity, key)) => self.look(attempt, offer, identity, key).boxed(),
            None => std::future::ready(Verdict::Failure).boxed(),
        }
    }
}

/// What Keystone says about a token.
#[derive(Debug, Default, PartialEq, Eq)]
struct Token {
    user: Option<String>,
    domain: Option<String>,
    roles: Vec<String>,
    expires_at: Option<Timestamp>,
}

impl Token {
    /// Reads `{"token": {"user": {"name": …, "domain": {"name": …}}, "roles": [{"name": …}], "expires_at": …}}`.
    fn read(body: &Value) -> Self {
        let token = &body["token"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let roles = token["roles"].as_array().into_iter().flatten();
        Self {
            user: text(&token["user"]["name"]),
            domain: text(&token["user"]["domain"]["name"]),
            roles: roles.filter_map(|role| text(&role["name"])).collect(),
            expires_at: token["expires_at"].as_str().and_then(time),
        }
    }

    fn name(&self) -> String {
        match (&self.user, &self.domain) {
            (Some(user), Some(domain)) => format!("Keystone user {user} of {domain}"),
            (Some(user), None) => format!("Keystone user {user}"),
            (None, _) => "a Keystone user without a name".to_owned(),
        }
    }
}

/// A moment in UTC as Keystone writes it: `2015-11-07T01:58:43.578929Z`.
fn time(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_at_checked(19)?;
    let is_fraction = match fraction.strip_prefix('.') {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => fraction.is_empty(),
    };
    if !is_fraction {
        return None;
    }
    let (date, of_day) = whole.split_once('T')?;
    let (mut date, mut of_day) = (date.split('-'), of_day.split(':'));
    let fields = (
        date.next()?.parse().ok()?,
        date.next()?.parse().ok()?,
        date.next()?.parse().ok()?,
        of_day.next()?.parse().ok()?,
        of_day.next()?.parse().ok()?,
        of_day.next()?.parse().ok()?,
    );
    let is_over = date.next().is_none() && of_day.next().is_none();
    if is_over { Timestamp::from_fields(fields) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(time(text).map(Timestamp::as_unix), expected, "{text}");
        };
        check("2015-11-07T01:58:43.578929Z", Some(1_446_861_523));
        check("2015-11-07T01:58:43Z", Some(1_446_861_523));
        for text in [
            "",
            "Z",
            "2015-11-07T01:58:43",
            "2015-11-07T01:58:43+01:00",
            "2015-11-07T01:58:43.Z",
            "2015-11-07T01:58:43.5x9Z",
            "2015-13-07T01:58:43Z",
            "2015-11-07 01:58:43Z",
            "2015-1107T01:58:4:3Z",
            "2015-11-07T01:58:é",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn tokens_say_whose_they_are() {
        let body = json!({"token": {
            "user": {"name": "alice", "id": "1", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": "2", "name": "admin"}, {"id": "3"}],
            "expires_at": "2015-11-07T01:58:43.578929Z",
        }});
        let token = Token::read(&body);
        assert_eq!(token.name(), "Keystone user alice of Default");
        assert_eq!(token.roles, ["admin"]);
        assert!(token.expires_at.is_some());
        assert_eq!(Token::read(&Value::Null), Token::default());
        assert_eq!(Token::default().name(), "a Keystone user without a name");
    }
}
