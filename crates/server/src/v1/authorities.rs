//! What is done about certificate authorities.

use ca::AuthorityName;
use http::StatusCode;
use x509::Certificate;

use super::V1;
use super::answer::Answer;
use super::asked::Asked;
use super::refusal::Refusal;

impl V1 {
    pub(super) async fn rotate_authority(&self, mut asked: Asked) -> Result<Answer, Refusal> {
        let permit = asked.permit()?;
        let all = [AuthorityName::Services, AuthorityName::Users, AuthorityName::Server];
        let name = all.into_iter().find(|name| name.as_str() == asked.text(0));
        let said: wire::NewRotation = asked.json().await?;
        let name = name.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no such authority"))?;
        let authority = self.house.authority(name).clone();
        // To its end, also when the client hangs up.
        let rotate = async move { authority.rotate(permit, said.dry_run).await };
        let rotation = self.house.tasks().complete(rotate).await?;
        Ok(Answer::ok(&wire::Rotation {
            authority: name.to_string(),
            current: shown(&rotation.current),
            next: rotation.next.as_ref().map(shown),
            signs_after: rotation.signs_after.to_string(),
            not_after: rotation.not_after.to_string(),
        }))
    }
}

fn shown(certificate: &Certificate) -> wire::CaCertificate {
    wire::CaCertificate {
        fingerprint: base::hex::encode(&certificate.fingerprint()),
        not_before: certificate.not_before().to_string(),
        not_after: certificate.not_after().to_string(),
        pem: certificate.to_pem(),
    }
}
