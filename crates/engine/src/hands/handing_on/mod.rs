//! Trust handed on: what is decided in `trust` is carried to where requirers look for it.

mod host;
pub(crate) mod kubernetes;
pub(crate) mod webhook;

pub use host::{Delivered, DeliveryError, deliver, deliver_each, make_so, withdraw};
pub use webhook::{Courier, Letter, Replied, Unanswered};
