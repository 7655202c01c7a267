//! Watches whether /etc/pve takes writes, as pmxcfs says it: by the mode of its entries.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::sink::Sink;

/// A shorter read-only phase may go unseen.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
/// The state is repeated as often as this: silence then means that the recorder, or its look into
/// the file system, hangs, and the reader of the record counts it as trouble.
const REPEAT_EVERY: Duration = Duration::from_secs(1);

/// Samples `path` and records until the process ends.
pub fn watch(path: &Path, sink: &Sink) -> ! {
    let mut last: Option<(bool, Instant)> = None;
    loop {
        let writable = is_writable(path);
        if last.is_none_or(|(was, at)| was != writable || at.elapsed() >= REPEAT_EVERY) {
            sink.record(Event::Writable { writable });
            last = Some((writable, Instant::now()));
        }
        sleep(SAMPLE_EVERY);
    }
}

/// pmxcfs takes the owner's write bit from everything, its symbolic links included, while it
/// refuses writes. A missing or dead mount is an error here, and not writable.
fn is_writable(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.permissions().mode() & 0o200 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use super::*;

    #[test]
    fn the_owners_write_bit_decides_and_nothing_there_is_not_writable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local");
        assert!(!is_writable(&path));
        write(&path, "").unwrap();
        set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert!(is_writable(&path));
        set_permissions(&path, Permissions::from_mode(0o555)).unwrap();
        assert!(!is_writable(&path));
    }
}
