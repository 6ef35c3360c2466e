//! Signing in to etcd: a token for a user and a password, which is got again when it has ended.

use std::sync::Arc;

use reqwest::header::HeaderValue;

use super::calls::{Calls, from_json, read, to_json};
use super::failure::{Failure, code};
use super::json::{Authenticate, Authenticated};
use super::settings::EtcdUser;

/// What lets us in.
pub(super) enum Pass {
    /// Nobody has to sign in.
    Open,
    /// What etcd gave us for the password. Not shown in logs.
    Token(HeaderValue),
}

/// One who signs in.
pub(super) struct SignIn {
    user: EtcdUser,
    /// Held while somebody signs in, so that all who need a token get the same.
    pass: async_lock::Mutex<Option<Arc<Pass>>>,
}

impl SignIn {
    pub(super) fn new(user: EtcdUser) -> Self {
        Self { user, pass: async_lock::Mutex::new(None) }
    }

    /// The pass that we have, or a new one from `endpoint`. A failure is never [`Failure::Lost`]: whatever
    /// became of the signing in, what it was for was not sent.
    pub(super) async fn pass(&self, calls: &Calls, endpoint: usize) -> Result<Arc<Pass>, Failure> {
        let mut pass = self.pass.lock().await;
        if let Some(pass) = &*pass {
            return Ok(Arc::clone(pass));
        }
        let new = match self.authenticate(calls, endpoint).await {
            Ok(token) => Pass::Token(token),
            Err(Failure::Refused(refusal))
                if refusal.code == code::FAILED_PRECONDITION && refusal.message.contains("not enabled") =>
            {
                Pass::Open
            }
            Err(Failure::Lost(reason)) => return Err(Failure::NotSent(reason)),
            Err(failure) => return Err(failure),
        };
        Ok(Arc::clone(pass.insert(Arc::new(new))))
    }

    /// Does not use `used` again, unless it was replaced already.
    pub(super) async fn forget(&self, used: &Arc<Pass>) {
        self.pass.lock().await.take_if(|pass| Arc::ptr_eq(pass, used));
    }

    async fn authenticate(&self, calls: &Calls, endpoint: usize) -> Result<HeaderValue, Failure> {
        let password = self.user.password.now().map_err(Failure::NotSent)?;
        let body = to_json(&Authenticate { name: &self.user.name, password: password.expose() });
        let response = calls.send(endpoint, "/v3/auth/authenticate", body, &Pass::Open).await?;
        let answer: Authenticated = from_json(&read(response).await?).map_err(Failure::NotSent)?;
        let mut token = HeaderValue::from_str(&answer.token)
            .map_err(|_| Failure::NotSent("etcd's token is no text".to_owned()))?;
        token.set_sensitive(true);
        tracing::debug!(user = self.user.name, "signed in to etcd");
        Ok(token)
    }
}
