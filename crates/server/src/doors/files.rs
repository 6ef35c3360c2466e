//! How many files this process may have open, and for what.
//!
//! ```text
//! all that it may ─┬─ 128 for everything else
//!                  ├─ artifacts that are read, and those that come in
//!                  └─ connections, each with one artifact that it reads whatever the others do
//! ```
//! Each that is short of its part is refused its next one, and told so, before the others notice.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the store, the log, and whatever else is open.
const OTHER_FILES: u64 = 128;
/// The most artifacts that are read at once, and that come in at once.
const READING_MAX: u64 = 2048;
const WRITING_MAX: u64 = 256;

/// How many artifacts may be open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForArtifacts {
    /// Those that are read.
    pub(crate) reading: usize,
    /// Those that come in.
    pub(crate) writing: usize,
}

impl ForArtifacts {
    /// As this process may have files open now.
    pub(crate) fn now() -> Self {
        Self::of(limit())
    }

    fn of(files: Option<u64>) -> Self {
        let rest = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES));
        let part = |of: u64, max: u64| usize::try_from((rest / of).clamp(1, max)).unwrap_or(usize::MAX);
        Self { reading: part(4, READING_MAX), writing: part(8, WRITING_MAX) }
    }
}

/// Raises the number of files that this process may have open as far as it may. What it is then; `None` when there is
/// no limit.
pub(super) fn limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current, // then we live with what we have
    }
}

/// How many connections there is room for, leaving files for everything else.
pub(super) fn for_connections(wanted: usize, files: Option<u64>) -> usize {
    let ForArtifacts { reading, writing } = ForArtifacts::of(files);
    let Some(files) = files else { return wanted };
    let room = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    let room = (room.saturating_sub(reading + writing) / 2).max(1);
    if room < wanted {
        tracing::warn!(wanted, room, "fewer connections at a time than wanted: too few open files allowed");
    }
    wanted.min(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_its_part_of_the_files() {
        for (files, connections, reading, writing) in [
            (None, 4096, 2048, 256),
            (Some(1 << 20), 4096, 2048, 256),
            (Some(8192), 2896, 2016, 256),
            (Some(1024), 280, 224, 112),
            (Some(200), 22, 18, 9),
            (Some(3), 1, 1, 1),
        ] {
            assert_eq!(for_connections(4096, files), connections, "{files:?}");
            assert_eq!(ForArtifacts::of(files), ForArtifacts { reading, writing }, "{files:?}");
        }
    }
}
