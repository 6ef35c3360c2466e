//! What Commissaire's clients send.

use server::fleet_fuzzing as fuzzing;

/// A path, the end of its line, and a body.
pub(crate) fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (path, body) = data.split_at(end);
    fuzzing::path(&String::from_utf8_lossy(path));
    fuzzing::body(body);
}
