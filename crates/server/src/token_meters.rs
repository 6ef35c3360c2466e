//! What is shown of the token that CA keys are in, for Prometheus.

use prometheus_client::metrics::gauge::Gauge;

use crate::doors::Meters;

/// Whether the token is there. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct TokenMeters {
    up: Gauge,
}

impl TokenMeters {
    /// Enters it among `meters`.
    pub fn enter(&self, meters: &Meters) {
        meters.register(|registry| {
            registry.register(
                "ca_token_up",
                "Whether the PKCS#11 token with the CA keys could be used when it was last looked: 1, or 0",
                self.up.clone(),
            );
        });
    }

    /// Whether it could be used.
    pub fn seen(&self, is_there: bool) {
        self.up.set(i64::from(is_there));
    }
}
