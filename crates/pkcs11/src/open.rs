//! A token that is open: its module, its slot, and sessions in which somebody is logged in.
//!
//! A login holds for the whole process, and as long as one session is open: the first one is kept for that alone. Others
//! are lent to one caller each, and as many are kept as were ever in use at once; callers bound that.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base::Secret;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Fault, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use x509::Digest;

use crate::PinSource;
use crate::error::{Error, words};
use crate::key::KeyId;

/// The digest of a PIN that was refused, and what was said.
pub(crate) struct Refused {
    pin: Vec<u8>,
    reason: String,
}

/// A token that is open.
pub(crate) struct Open {
    pub(crate) label: String,
    /// Those that nobody uses now; before the module, so that they are closed first.
    idle: Mutex<Vec<Session>>,
    /// Keeps the login.
    first: Mutex<Session>,
    /// The private keys that were found.
    pub(crate) keys: Mutex<HashMap<KeyId, ObjectHandle>>,
    slot: Slot,
    module: Pkcs11,
}

/// Loads the module in the file `path`.
pub(crate) fn load(path: &Path) -> Result<Pkcs11, Error> {
    Pkcs11::new(path).map_err(|fault| {
        let reason = match &fault {
            // What the loader says names the file and why.
            Fault::LibraryLoading(error) => {
                std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
            }
            other => words(other),
        };
        Error::Module { path: path.to_owned(), reason }
    })
}

impl Open {
    /// Sets the module up anew, finds the token, and logs in.
    pub(crate) fn new(
        module: Pkcs11,
        path: &Path,
        label: &str,
        pin: &PinSource,
        refused: &mut Option<Refused>,
    ) -> Result<Self, Error> {
        let unusable = |fault: &Fault| Error::Module { path: path.to_owned(), reason: words(fault) };
        // Some modules look for tokens only here. What it says is of no use: it may not have been set up.
        let _ = module.clone().finalize();
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Fault::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(fault) => return Err(unusable(&fault)),
        }
        let slot = find(&module, label, &unusable)?;
        let first = module.open_ro_session(slot).map_err(|fault| Error::of(label, &fault))?;
        log_in(&module, &first, slot, label, pin, refused)?;
        let (first, idle, keys) = (Mutex::new(first), Mutex::default(), Mutex::default());
        Ok(Self { label: label.to_owned(), idle, first, keys, slot, module })
    }

    /// Does `work` in a session that nobody else uses. It is not used again where that failed: something may have begun
    /// in it that did not end.
    pub(crate) fn session<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match idle {
            Some(session) => session,
            None => self.module.open_ro_session(self.slot).map_err(|fault| self.failed(&fault))?,
        };
        let answer = work(&session)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        Ok(answer)
    }

    /// The same in one that may change what is in the token.
    pub(crate) fn changing<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let session = self.module.open_rw_session(self.slot).map_err(|fault| self.failed(&fault))?;
        work(&session)
    }

    pub(crate) fn failed(&self, fault: &Fault) -> Error {
        Error::of(&self.label, fault)
    }

    /// Whether the token is there, as far as its module knows.
    pub(crate) fn see(&self) -> Result<(), Error> {
        self.module.get_token_info(self.slot).map_err(|fault| self.failed(&fault))?;
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_session_info().map(drop).map_err(|fault| self.failed(&fault))
    }
}

fn find(module: &Pkcs11, label: &str, unusable: &impl Fn(&Fault) -> Error) -> Result<Slot, Error> {
    let slots = module.get_slots_with_token().map_err(|fault| unusable(&fault))?;
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for slot in slots {
        // One that was taken out in this moment is no token.
        let Ok(about) = module.get_token_info(slot) else { continue };
        if !about.token_initialized() {
            continue;
        }
        if about.label() == label {
            named.push(slot);
        } else {
            others.push(format!("`{}`", about.label()));
        }
    }
    match *named {
        [slot] => Ok(slot),
        [] => {
            let seen = if others.is_empty() {
                "its module knows of none".to_owned()
            } else {
                format!("its module knows of {}", others.join(", "))
            };
            Err(Error::NoToken { label: label.to_owned(), seen })
        }
        _ => Err(Error::Several { label: label.to_owned(), count: named.len() }),
    }
}

/// Whether somebody may log in, going by what the token says of its PIN: with the last try left, a PIN that is wrong would
/// lock it, and whoever is started again and again has many.
fn may_try(label: &str, is_locked: bool, is_final_try: bool) -> Result<(), Error> {
    let no_login =
        |reason: &str, help| Err(Error::NoLogin { label: label.to_owned(), reason: reason.to_owned(), help });
    if is_locked {
        return no_login("its PIN is locked, after too many that were wrong", HELP_LOCKED);
    }
    if is_final_try {
        return no_login("one more PIN that is wrong locks it", HELP_FINAL_TRY);
    }
    Ok(())
}

const HELP_LOCKED: &str = "give it a new PIN as its security officer (pkcs11-tool --login --login-type so --init-pin), and \
                           put that into the file of `ca.token.pin_file`";
const HELP_FINAL_TRY: &str = "log in once yourself with the right PIN, after which there are as many tries as before (pkcs11-tool --module MODULE \
     --token-label TOKEN --login --list-objects), and see that it is in the file of `ca.token.pin_file`";

/// Logs in for the whole process.
fn log_in(
    module: &Pkcs11,
    session: &Session,
    slot: Slot,
    label: &str,
    pin: &PinSource,
    refused: &mut Option<Refused>,
) -> Result<(), Error> {
    let pin: Secret<String> = pin().map_err(|reason| Error::Pin { label: label.to_owned(), reason })?;
    let digest = Digest::Sha256.of(pin.expose().as_bytes());
    if let Some(before) = refused.as_ref().filter(|before| before.pin == digest) {
        return Err(Error::Refused { label: label.to_owned(), reason: before.reason.clone() });
    }
    let about = module.get_token_info(slot).map_err(|fault| Error::of(label, &fault))?;
    may_try(label, about.user_pin_locked(), about.user_pin_final_try())?;
    match session.login(UserType::User, Some(&AuthPin::from(pin.expose().clone()))) {
        Ok(()) | Err(Fault::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            *refused = None;
            Ok(())
        }
        Err(fault) => Err(not_let_in(label, digest, &fault, refused)),
    }
}

/// What it means that the token did not take the PIN with this digest. Only one that is wrong is remembered: the others may
/// be right as soon as somebody has done something in the token.
fn not_let_in(label: &str, pin: Vec<u8>, fault: &Fault, refused: &mut Option<Refused>) -> Error {
    let (label, reason) = (label.to_owned(), words(fault));
    let help = match fault {
        Fault::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            *refused = Some(Refused { pin, reason: reason.clone() });
            return Error::Refused { label, reason };
        }
        Fault::Pkcs11(RvError::PinLocked, _) => HELP_LOCKED,
        Fault::Pkcs11(RvError::PinExpired, _) => {
            "give it a new PIN (pkcs11-tool --login --change-pin), and put that into the file of `ca.token.pin_file`"
        }
        Fault::Pkcs11(RvError::UserPinNotInitialized, _) => {
            "give its user a PIN (pkcs11-tool --login --login-type so --init-pin), and put that into the file of \
             `ca.token.pin_file`"
        }
        other => return Error::of(&label, other),
    };
    Error::NoLogin { label, reason, help }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn the_last_try_is_not_spent() {
        assert!(may_try("t", false, false).is_ok());
        for (is_locked, is_final_try) in [(true, false), (true, true), (false, true)] {
            let error = may_try("t", is_locked, is_final_try).unwrap_err();
            assert!(matches!(error, Error::NoLogin { .. }) && error.is_for_people(), "{error}");
        }
    }

    #[test]
    fn only_a_wrong_pin_is_remembered() {
        for (code, is_remembered, is_for_people) in [
            (RvError::PinIncorrect, true, true),
            (RvError::PinInvalid, true, true),
            (RvError::PinLenRange, true, true),
            (RvError::PinLocked, false, true),
            (RvError::PinExpired, false, true),
            (RvError::UserPinNotInitialized, false, true),
            (RvError::DeviceError, false, false),
        ] {
            let mut refused = None;
            let error = not_let_in("t", vec![1], &Fault::Pkcs11(code, Function::Login), &mut refused);
            assert_eq!(
                (refused.is_some(), error.is_for_people()),
                (is_remembered, is_for_people),
                "{code:?}"
            );
        }
    }
}
