//! The keys by which hosts are recognized.

use fleet::{HostAddress, HostKeyError, ReadHosts};
use identity::Permit;

use super::V1;
use super::answer::Answer;
use super::asked::Asked;
use super::condition::{Condition, Current};
use super::refusal::Refusal;
use super::shown;

/// How many characters of base64 a SHA-256 has, without padding.
const DIGEST_LETTERS: usize = 43;

impl V1 {
    pub(super) async fn host_key(&self, asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let address = asked.address(0)?;
        let known = self.fleet().host_key(permit, &address).await?;
        Ok(Answer::ok(&shown::host_keys(&address, &known.is)).of(shown::current(known.version)))
    }

    pub(super) async fn accept_host_key(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let address = asked.address(0)?;
        let wire::AcceptedKey { fingerprint } = asked.json().await?;
        if !is_fingerprint(&fingerprint) {
            let detail = "`fingerprint` is not `SHA256:` and 43 characters, as `ssh-keygen -l` prints it";
            return Err(Refusal::malformed(detail));
        }
        let current = self.current_key(asked.permit()?, &asked.condition, &address).await?;
        let expected = asked.condition.expected_there(current.as_ref())?;
        let host = address.clone();
        let known = self
            .change(|fleet| async move { fleet.accept_key(permit, &host, &fingerprint, expected).await })
            .await
            .map_err(Refusal::of_host_key)?;
        Ok(Answer::ok(&shown::host_keys(&address, &known.is)).of(shown::current(known.version)))
    }

    /// What is known of a host's key, by whoever writes, where the request depends on that.
    async fn current_key(
        &self,
        permit: Permit<ReadHosts>,
        condition: &Condition,
        address: &HostAddress,
    ) -> Result<Option<Current>, Refusal> {
        if !condition.is_there() {
            return Ok(None);
        }
        match self.fleet().host_key(permit, address).await {
            Ok(known) => Ok(Some(shown::current(known.version))),
            Err(HostKeyError::NoSuchHost { .. } | HostKeyError::NotMet { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// As [`wire::rules::FINGERPRINT`] has it.
fn is_fingerprint(text: &str) -> bool {
    let digest = text.strip_prefix("SHA256:").unwrap_or_default();
    digest.len() == DIGEST_LETTERS
        && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_one_of_openssh() {
        let digest = "ZZrCZPMmmkXjYEkVMJbKgVNf3Sl/7TQhsGXVVfpBS+0";
        assert!(is_fingerprint(&format!("SHA256:{digest}")));
        for bad in ["", "SHA256:", digest, &format!("SHA256:{digest}="), &format!("MD5:{digest}")] {
            assert!(!is_fingerprint(bad), "{bad}");
        }
    }
}
