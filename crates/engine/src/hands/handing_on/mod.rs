//! Trust handed on: what is decided in `trust` is carried to where requirers look for it.

mod everywhere;
mod host;
mod kubernetes;
mod webhook;

pub(crate) use everywhere::Everywhere;
pub use host::{Delivered, DeliveryError, deliver, withdraw};
pub use webhook::{Courier, Letter, Replied, Unanswered};
