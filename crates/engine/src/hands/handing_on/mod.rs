//! Certificates that are to be trusted are handed on: what is decided in `trust` is carried there and done.

mod host;

pub use host::{Delivered, DeliveryError, deliver, withdraw};
