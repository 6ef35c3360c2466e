//! Renews the server's own certificate before it ends; new connections use it at once. Tells whoever shows the
//! certificates of its authority when there are new ones.

use std::path::PathBuf;
use std::sync::Arc;

use base::{Clock, Span, Timestamp};
use ca::Authority;
use futures_util::future::BoxFuture;
use identity::Permit;
use x509::{Certificate, KeySpec, PrivateKey};

use crate::reconciler::{Next, Reconciler, StepError};
use crate::server_identity::{self, ServerIdentity, ServerIdentityError, ServerName};
use crate::tasks::{Stop, Tasks};

/// Told whenever the server has a new certificate.
pub type OnIdentity = Arc<dyn Fn(&ServerIdentity) + Send + Sync>;

/// Told the certificates of the server's authority. Says whether whoever needs them can have them now; if not
/// it is told again.
pub type OnAnchors = Arc<dyn Fn(&[Certificate]) -> bool + Send + Sync>;

/// How soon the certificates are told again to who could not take them.
const TOLD_AGAIN: Span = Span::seconds(600);

pub(crate) struct ServerCertificate {
    pub(crate) authority: Arc<Authority>,
    pub(crate) name: ServerName,
    pub(crate) path: PathBuf,
    pub(crate) threshold: Span,
    pub(crate) key_spec: KeySpec,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) on_change: OnIdentity,
    pub(crate) on_anchors: OnAnchors,
    pub(crate) current: Option<ServerIdentity>,
    /// The authority's certificates that were told.
    pub(crate) told: Vec<Certificate>,
}

impl ServerCertificate {
    /// Brings the certificate up to date and says when to look again.
    pub(crate) async fn refresh(&mut self) -> Result<Next, ServerIdentityError> {
        let anchors = self.authority.anchors().await?;
        let are_told = self.tell(&anchors).await;
        let at = self.refresh_own(&anchors).await?;
        Ok(Next::At(if are_told { at } else { at.min(self.clock.now() + TOLD_AGAIN) }))
    }

    /// Gives when to look again.
    async fn refresh_own(&mut self, anchors: &[Certificate]) -> Result<Timestamp, ServerIdentityError> {
        let now = self.clock.now();
        if self.current.is_none()
            && let Some(held) = server_identity::load(&self.path, anchors, &self.name, now)?
        {
            (self.on_change)(&held);
            self.current = Some(held);
        }
        let due = |held: &ServerIdentity| server_identity::renew_at(&held.certificate, self.threshold);
        match &self.current {
            Some(held) if now < due(held) && x509::verify(&held.certificate, anchors, now).is_ok() => {
                Ok(due(held))
            }
            _ => {
                let made = self.make().await?;
                // A life too short to be good for anything must not keep the house busy.
                let at = due(&made).max(self.clock.now() + Span::seconds(1));
                // Used before it is stored: a full disk must not leave the door with an expired one.
                (self.on_change)(&made);
                self.current = Some(made.clone());
                let path = self.path.clone();
                self.tasks.compute(move || server_identity::save(&path, &made)).await?;
                Ok(at)
            }
        }
    }

    async fn tell(&mut self, anchors: &[Certificate]) -> bool {
        if self.told == anchors {
            return true;
        }
        let (on_anchors, telling) = (self.on_anchors.clone(), anchors.to_vec());
        let is_taken = self.tasks.compute(move || on_anchors(&telling)).await;
        if is_taken {
            self.told = anchors.to_vec();
        }
        is_taken
    }

    async fn make(&self) -> Result<ServerIdentity, ServerIdentityError> {
        let spec = self.key_spec;
        let key =
            self.tasks.compute(move || PrivateKey::generate(spec)).await.map_err(ServerIdentityError::Key)?;
        let csr = server_identity::request(&key, &self.name)?;
        let certificate = self.authority.issue(Permit::house(), &csr, &csr.to_pem()).await?;
        tracing::info!(not_after = %certificate.not_after(), "server certificate issued");
        Ok(ServerIdentity { certificate, key })
    }
}

impl Reconciler for ServerCertificate {
    fn name(&self) -> &'static str {
        "server-certificate"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move { Ok(self.refresh().await?) })
    }

    /// It is this process's own.
    fn is_own(&self) -> bool {
        true
    }

    fn cares(&self, what: &str) -> bool {
        what == ca::CA_CERTIFICATE_MADE
    }
}
