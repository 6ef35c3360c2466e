//! What is counted of backups, for Prometheus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use crate::doors::Meters;

/// When the last backup was made, how large it is, and how many could not be made. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct BackupMeters {
    last: Gauge,
    bytes: Gauge,
    failures: Counter,
}

impl BackupMeters {
    /// Enters them among `meters`.
    pub fn enter(&self, meters: &Meters) {
        meters.register(|registry| {
            registry.register_with_unit(
                "backup_last_success_timestamp",
                "When the newest backup of the authorities was made, since 1970; 0 where there is none",
                Unit::Seconds,
                self.last.clone(),
            );
            registry.register_with_unit(
                "backup_last",
                "How large the last backup is that this process made",
                Unit::Bytes,
                self.bytes.clone(),
            );
            registry.register(
                "backup_failures",
                "Backups of the authorities that could not be made",
                self.failures.clone(),
            );
        });
    }

    /// There is one, made at `unix_seconds`; where this process made it, it has so many bytes.
    pub fn made(&self, unix_seconds: i64, bytes: Option<u64>) {
        self.last.set(unix_seconds);
        if let Some(bytes) = bytes {
            self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    /// One could not be made.
    pub fn failed(&self) {
        self.failures.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_backups_is_shown() {
        let (meters, backups) = (Meters::new(), BackupMeters::default());
        backups.enter(&meters);
        backups.made(1_790_000_000, Some(4_711));
        backups.made(1_790_000_001, None);
        backups.failed();
        let page = meters.render();
        for line in [
            "provost_backup_last_success_timestamp_seconds 1790000001",
            "provost_backup_last_bytes 4711",
            "provost_backup_failures_total 1",
        ] {
            assert!(page.lines().any(|have| have == line), "{line} is not in\n{page}");
        }
    }
}
