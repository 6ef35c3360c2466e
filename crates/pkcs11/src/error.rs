//! Why a token did not do what it was asked for.

use std::path::PathBuf;

use base::{Explain, Kind};
use cryptoki::error::{Error as Fault, RvError};

use crate::key::KeyId;

/// Why a token did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The module could not be loaded or set up.
    #[error("the PKCS#11 module {} cannot be used: {reason}", path.display())]
    Module {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No token has this label.
    #[error("there is no PKCS#11 token `{label}`; {seen}")]
    NoToken {
        /// It.
        label: String,
        /// Which there are.
        seen: String,
    },
    /// Several have it.
    #[error("{count} PKCS#11 tokens are called `{label}`")]
    Several {
        /// It.
        label: String,
        /// How many.
        count: usize,
    },
    /// There is no PIN to log in with.
    #[error("there is no PIN for the PKCS#11 token `{label}`: {reason}")]
    Pin {
        /// The token.
        label: String,
        /// What is wrong.
        reason: String,
    },
    /// The token refused the PIN.
    #[error("the PKCS#11 token `{label}` refused the PIN ({reason})")]
    Refused {
        /// The token.
        label: String,
        /// In its words.
        reason: String,
    },
    /// Nobody is let in, whatever the PIN is, or one try is left for it, which is not spent here.
    #[error("the PKCS#11 token `{label}` is not logged in to: {reason}")]
    NoLogin {
        /// The token.
        label: String,
        /// Why not.
        reason: String,
        /// What somebody has to do.
        help: &'static str,
    },
    /// A key that is not there.
    #[error("the PKCS#11 token `{label}` has no key {id}")]
    NoKey {
        /// The token.
        label: String,
        /// The key.
        id: KeyId,
    },
    /// Something that this module cannot do.
    #[error("the PKCS#11 token `{label}` cannot do {what}: {reason}")]
    Cannot {
        /// The token.
        label: String,
        /// What it was asked for.
        what: &'static str,
        /// In its words.
        reason: String,
    },
    /// It failed, or is away.
    #[error("the PKCS#11 token `{label}` does not answer as it should: {reason}")]
    Failed {
        /// The token.
        label: String,
        /// In its words.
        reason: String,
        /// Whether opening it again may help.
        is_lost: bool,
    },
}

impl Error {
    /// What the module said of `label`'s.
    pub(crate) fn of(label: &str, fault: &Fault) -> Self {
        let label = label.to_owned();
        Self::Failed { label, reason: words(fault), is_lost: is_lost(fault) }
    }

    /// The same, when it was asked to do `what`, which not every module can do.
    pub(crate) fn doing(label: &str, what: &'static str, fault: &Fault) -> Self {
        let cannot = matches!(
            fault,
            Fault::NullFunctionPointer
                | Fault::NotSupported
                | Fault::Pkcs11(
                    RvError::MechanismInvalid
                        | RvError::MechanismParamInvalid
                        | RvError::FunctionNotSupported
                        | RvError::KeySizeRange
                        | RvError::CurveNotSupported
                        | RvError::ArgumentsBad
                        | RvError::TemplateInconsistent
                        | RvError::TemplateIncomplete
                        | RvError::AttributeTypeInvalid
                        | RvError::AttributeValueInvalid
                        | RvError::KeyFunctionNotPermitted
                        | RvError::KeyTypeInconsistent,
                    _
                )
        );
        if cannot {
            Self::Cannot { label: label.to_owned(), what, reason: words(fault) }
        } else {
            Self::of(label, fault)
        }
    }

    /// Whether it would be the same for whoever tries again, until somebody has done something about it.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NoLogin { .. })
    }

    /// Whether what was open is lost, so that it may help to open it again.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Failed { is_lost, .. } => *is_lost,
            // Some modules forget what was in a token that was taken out.
            Self::NoKey { .. } => true,
            Self::Module { .. }
            | Self::NoToken { .. }
            | Self::Several { .. }
            | Self::Pin { .. }
            | Self::Refused { .. }
            | Self::NoLogin { .. }
            | Self::Cannot { .. } => false,
        }
    }
}

/// What a module said, short.
pub(crate) fn words(fault: &Fault) -> String {
    match fault {
        // The text of the specification goes on for lines.
        Fault::Pkcs11(code, function) => format!("{function} said {code:?}"),
        other => other.to_string(),
    }
}

fn is_lost(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Pkcs11(
            RvError::CryptokiNotInitialized
                | RvError::DeviceError
                | RvError::DeviceRemoved
                | RvError::FunctionFailed
                | RvError::GeneralError
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::OperationActive
                | RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::SlotIdInvalid
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::UserNotLoggedIn
                | RvError::VendorDefined(_)
                | RvError::UnknownErrorCode(_),
            _
        )
    )
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Module { .. }
            | Self::NoToken { .. }
            | Self::Several { .. }
            | Self::Pin { .. }
            | Self::Refused { .. }
            | Self::NoLogin { .. }
            | Self::NoKey { .. }
            | Self::Failed { .. } => Kind::Unavailable,
            Self::Cannot { .. } => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Module { .. } => {
                "look at `ca.token.module`, and at what the module itself is told by files and variables of its own"
                    .into()
            }
            Self::NoToken { .. } | Self::Several { .. } => "look at `ca.token.label`".into(),
            Self::Pin { .. } => "look at `ca.token.pin_file`".into(),
            Self::Refused { .. } => {
                "the same PIN is not tried again, so that the token does not lock itself: put the right one into the file of \
                 `ca.token.pin_file`"
                    .into()
            }
            Self::NoLogin { help, .. } => (*help).into(),
            Self::NoKey { .. } => "put back the token that has it, or a copy of it".into(),
            Self::Failed { .. } => "nothing can be signed with its keys until it is back".into(),
            Self::Cannot { .. } => return None,
        })
    }
}
