//! The log: events of `tracing` on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::settings::{Log, LogFormat};

/// Sends every event that passes `log.level` to standard error, for the rest of the process. To be called
/// once.
pub fn install(log: &Log) {
    // Settings have read the filter before, so nothing of it is lost here.
    let filter = EnvFilter::builder().parse_lossy(&log.level);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        // It would be told on standard error, which is what failed: whoever writes a line would panic. The disk that the log
        // is on may be full, and the work has to go on.
        .log_internal_errors(false);
    match log.format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.compact().with_ansi(colours).finish().init();
        }
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).finish().init();
        }
    }
}
