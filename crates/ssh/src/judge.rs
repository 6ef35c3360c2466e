//! Whether the machine is the one that is expected.

use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{DisconnectReason, Handler};
use russh::keys::PublicKeyOrCertificate;

use crate::{HostKey, KnownKey};

/// Looks at the host key, for the protocol's task.
pub(crate) struct Judge {
    known: KnownKey,
    record: Arc<Mutex<Record>>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The key that the machine proved, whether it was taken or not.
    pub(crate) proved: Option<HostKey>,
    /// What it said at the end.
    pub(crate) farewell: String,
}

impl Judge {
    pub(crate) fn new(known: KnownKey) -> (Self, Arc<Mutex<Record>>) {
        let record = Arc::new(Mutex::new(Record::default()));
        (Self { known, record: record.clone() }, record)
    }
}

impl Handler for Judge {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            // Not asked for, so it cannot come.
            return Ok(false);
        };
        let offered = HostKey::new(key.clone());
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = match (&self.known, &record.proved) {
            (KnownKey::Pinned(pinned), _) => *pinned == offered,
            // When keys are exchanged again, the machine must still be the same.
            (KnownKey::Unknown, Some(before)) => *before == offered,
            (KnownKey::Unknown, None) => true,
        };
        record.proved = Some(offered);
        Ok(fits)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                record.farewell = info.message.chars().filter(|c| !c.is_control()).take(300).collect();
                Ok(())
            }
            DisconnectReason::Error(error) => {
                if matches!(error, russh::Error::KeepaliveTimeout) {
                    "it no longer answered".clone_into(&mut record.farewell);
                }
                Err(error)
            }
        }
    }
}
