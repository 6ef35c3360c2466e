//! Signing, and putting on record what was signed.
//!
//! The serial is on record first (`stock.rs`); the certificate is handed out only once it is on record too.

use std::future::poll_fn;
use std::task::Poll;

use base::Timestamp;
use identity::Principal;
use store::Batch;
use x509::Certificate;

use crate::error::SignError;
use crate::event::Happened;
use crate::issue::{self, Mark, Wish};
use crate::record::{CertificateRecord, IssuedRecord};
use crate::request::RequestId;
use crate::service::Authority;
use crate::stock::Reserved;

/// A certificate that nobody has seen yet.
pub(crate) struct Signed {
    pub(crate) certificate: Certificate,
    pub(crate) reserved: Reserved,
    /// When request and certificate may be dropped.
    drop_at: Timestamp,
}

impl Authority {
    /// Draws up what is wished, and signs it.
    pub(crate) async fn sign(&self, wish: &Wish<'_>) -> Result<Signed, SignError> {
        // The CA certificate after the serial: one that was given up before it was reserved is not held any more.
        let reserved = self.reserved_serial().await?;
        let issuer = match self.active().await {
            Ok(issuer) => issuer,
            Err(error) => {
                self.put_back(reserved);
                return Err(error.into());
            }
        };
        let now = self.now();
        let draft = match issue::draft(&self.profile, &issuer, wish, reserved.serial(), now) {
            Ok(draft) => draft,
            Err(error) => {
                self.put_back(reserved);
                return Err(error.into());
            }
        };
        let_others_go_first().await;
        let drop_at = now + self.profile.admission.keep_issued;
        match draft.sign().await {
            Ok(certificate) => Ok(Signed { certificate, reserved, drop_at }),
            Err(error) => {
                self.put_back(reserved);
                Err(error.into())
            }
        }
    }

    /// Adds the certificate that came of request `id`, and its event. That its reservation stands is to be
    /// expected as well ([`Authority::expect_reservations`]).
    pub(crate) fn stage_certificate(
        &self,
        batch: &mut Batch,
        id: RequestId,
        signed: &Signed,
        by: Option<&Principal>,
        mark: Mark,
    ) -> Result<(), store::Error> {
        let (certificate, serial) = (&signed.certificate, signed.reserved.serial());
        let issued = IssuedRecord { serial: serial.hex(), drop_at: signed.drop_at.as_unix(), fetched: false };
        let record = CertificateRecord { certificate: certificate.to_pem(), request: id.as_u64() };
        self.tables.issued.create(batch, &id.key(), &issued)?;
        self.tables.certificate.create(batch, &serial.hex(), &record)?;
        self.record_event(batch, &Happened::Issued { id, certificate, serial: &serial, mark }, by)
    }

    /// To be told once what [`Authority::stage_certificate`] added is committed.
    pub(crate) fn certificate_is_stored(&self, id: RequestId, signed: &Signed, by: Option<&Principal>) {
        signed.reserved.is_on_record();
        self.remember_due(id, signed.drop_at);
        let serial = signed.reserved.serial();
        let by = by.map(tracing::field::display);
        tracing::info!(authority = %self.profile.name, request = %id, %serial, by, "certificate issued");
    }

    /// Whether `signed` is on record, of which that is not known because the answer to a commit was lost.
    pub(crate) async fn is_stored_after_all(
        &self,
        signed: &Signed,
        by: Option<&Principal>,
    ) -> Result<bool, store::Error> {
        let Some(found) = self.tables.certificate.get(&signed.reserved.serial().hex()).await? else {
            return Ok(false);
        };
        self.certificate_is_stored(RequestId::from_record(found.record.request), signed, by);
        Ok(true)
    }

    /// Signs again if what was signed cannot come on record any more.
    pub(crate) async fn sign_again_if_void(
        &self,
        signed: Signed,
        wish: &Wish<'_>,
    ) -> Result<Signed, SignError> {
        if signed.reserved.stands() { Ok(signed) } else { self.sign(wish).await }
    }
}

/// Steps back behind everybody who is ready to go on. Signing takes as long as a hundred other steps, and
/// whoever decides for the next group would stand behind it while the disk has nothing to do.
async fn let_others_go_first() {
    let mut stepped_back = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stepped_back, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    // Also behind the store's thread, which may have been woken meanwhile and wait for this very core.
    std::thread::yield_now();
}
