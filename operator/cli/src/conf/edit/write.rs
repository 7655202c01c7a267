//! A file replaced as a whole: after a crash the old bytes are there or the new ones.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

/// Puts bytes in the place of a file, with its owner and mode. A link is followed.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let old = fs::metadata(&path)?;
    let mut file = tempfile::Builder::new().prefix(".pvecm-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    // pmxcfs gives every file its own owner and mode and refuses to hear of others.
    let new = file.as_file().metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        chown(file.path(), Some(old.uid()), Some(old.gid()))?;
    }
    if new.mode() != old.mode() {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|failed| failed.error)?;
    File::open(folder)?.sync_all()
}
