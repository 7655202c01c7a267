//! Files on the host's own disk: always replaced as a whole, always synced.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pvecm_core::protocol::Attempt;

use crate::ports::{Disk, DiskFile, LedgerStore};

const DATABASE: &str = "/var/lib/pve-cluster/config.db";
const BACKUPS: &str = "/var/lib/pve-cluster/backup";
/// Where corosync keeps the number of the last ring that it was in.
const RINGS: &str = "/var/lib/corosync";

/// A name of its own for every attempt: undoing one must never bring back what another set aside.
fn aside(attempt: Attempt) -> String {
    format!("{}.db", prefix(attempt))
}

/// How everything begins that this attempt set aside.
pub(super) fn prefix(attempt: Attempt) -> String {
    let Attempt { change, stage, attempt } = attempt;
    format!("{BACKUPS}/before-change-{change}-{stage}-{attempt}")
}

/// The backup folder holds keys: root alone may look.
pub(super) fn make_backups() -> io::Result<()> {
    fs::create_dir_all(BACKUPS)?;
    fs::set_permissions(BACKUPS, Permissions::from_mode(0o700))
}

/// How a file, or a folder of them, is called while it is written.
pub(super) const UNFINISHED: &str = ".pvecm-";

/// Replaces a file so that after a crash either the old or the new bytes are there, never a part.
pub fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    File::open(folder)?.sync_all()
}

/// Removes what was being written when an earlier life of the agent was killed: it may hold a secret.
pub fn remove_unfinished(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            }?;
        }
    }
    Ok(())
}

/// The bytes of a file, `None` when it is not there.
pub(super) fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The files of corosync and pmxcfs.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    fn path(file: DiskFile) -> (&'static Path, u32) {
        match file {
            DiskFile::Conf => (Path::new("/etc/corosync/corosync.conf"), 0o644),
            DiskFile::TrialConf => (Path::new("/etc/corosync/corosync.conf.trial"), 0o644),
            DiskFile::Authkey => (Path::new("/etc/corosync/authkey"), 0o400),
            DiskFile::NewAuthkey => (Path::new("/etc/corosync/authkey.new"), 0o400),
            DiskFile::OldAuthkey => (Path::new("/etc/corosync/authkey.old"), 0o400),
        }
    }
}

impl Disk for RealDisk {
    fn read(&self, file: DiskFile) -> io::Result<Option<Vec<u8>>> {
        read_optional(Self::path(file).0)
    }

    fn replace(&self, file: DiskFile, bytes: &[u8]) -> io::Result<()> {
        let (path, mode) = Self::path(file);
        replace_file(path, bytes, mode)
    }

    fn remove(&self, file: DiskFile) -> io::Result<()> {
        match fs::remove_file(Self::path(file).0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn set_database_aside(&self, attempt: Attempt) -> io::Result<()> {
        if !Path::new(DATABASE).exists() {
            return Ok(());
        }
        make_backups()?;
        let aside = aside(attempt);
        // After a crash in the middle the host's own database is aside already, and this is a new one.
        let to = if Path::new(&aside).exists() {
            format!("{BACKUPS}/config-{}.db", jiff::Timestamp::now().as_millisecond())
        } else {
            aside
        };
        move_database(DATABASE, &to)?;
        File::open(BACKUPS)?.sync_all()
    }

    fn bring_database_back(&self, attempt: Attempt) -> io::Result<()> {
        let aside = aside(attempt);
        if !Path::new(&aside).exists() {
            return Ok(());
        }
        for suffix in ["-wal", "-shm"] {
            let left_over = format!("{DATABASE}{suffix}");
            if Path::new(&left_over).exists() {
                fs::remove_file(left_over)?;
            }
        }
        move_database(&aside, DATABASE)
    }

    fn copy_database_aside(&self, attempt: Attempt) -> io::Result<()> {
        if !Path::new(DATABASE).exists() {
            return Ok(());
        }
        make_backups()?;
        copy_database(DATABASE, &aside(attempt))?;
        File::open(BACKUPS)?.sync_all()
    }

    fn set_corosync_aside(&self, attempt: Attempt) -> io::Result<()> {
        make_backups()?;
        let files = [
            (DiskFile::Conf, "corosync.conf"),
            (DiskFile::Authkey, "authkey"),
            (DiskFile::NewAuthkey, "authkey.new"),
            (DiskFile::OldAuthkey, "authkey.old"),
        ];
        for (file, name) in files {
            let Some(bytes) = self.read(file)? else { continue };
            // Copied and then removed: /etc and /var may be two file systems.
            replace_file(Path::new(&format!("{}.{name}", prefix(attempt))), &bytes, 0o400)?;
            self.remove(file)?;
        }
        File::open("/etc/corosync")?.sync_all()?;
        // With the numbers of its rings a host that joins another cluster claims to have seen newer ones
        // (facts/pve.md G34).
        set_files_aside(Path::new(RINGS), &prefix(attempt))
    }
}

/// Moves the files of a folder, each to a name that begins so. They are copied and then removed: /etc and /var may
/// be two file systems.
pub(super) fn set_files_aside(from: &Path, to: &str) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name();
            let kept = format!("{to}.{}", name.to_string_lossy());
            replace_file(Path::new(&kept), &fs::read(entry.path())?, 0o400)?;
            fs::remove_file(entry.path())?;
        }
    }
    File::open(from)?.sync_all()
}

/// Copies a database with its write-ahead log. The database comes last and at once: where it lies, all of it does.
fn copy_database(from: &str, to: &str) -> io::Result<()> {
    if Path::new(to).exists() {
        return Ok(());
    }
    for suffix in ["-wal", "-shm", ""] {
        let from = format!("{from}{suffix}");
        if Path::new(&from).exists() {
            let part = format!("{to}{suffix}.part");
            fs::copy(from, &part)?;
            File::open(&part)?.sync_all()?;
            fs::rename(&part, format!("{to}{suffix}"))?;
        }
    }
    Ok(())
}

/// Moves a database with its write-ahead log, which holds what is not in the database yet.
fn move_database(from: &str, to: &str) -> io::Result<()> {
    for suffix in ["-wal", "-shm", ""] {
        let from = format!("{from}{suffix}");
        if Path::new(&from).exists() {
            fs::rename(from, format!("{to}{suffix}"))?;
        }
    }
    Ok(())
}

/// One file, readable by root only, replaced as a whole.
#[derive(Debug, Clone)]
pub struct FileStore(pub PathBuf);

impl LedgerStore for FileStore {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        read_optional(&self.0)
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        replace_file(&self.0, bytes, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_copied_once_and_the_first_copy_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (suffix, text) in [("", "first"), ("-wal", "log")] {
            fs::write(path(&format!("config.db{suffix}")), text).unwrap();
        }
        let copy = || copy_database(&path("config.db"), &path("before.db")).unwrap();
        copy();
        fs::write(path("config.db"), "changed").unwrap();
        copy();
        let read = |name: &str| fs::read_to_string(path(name)).unwrap();
        assert_eq!((read("before.db"), read("before.db-wal")), ("first".into(), "log".into()));
        assert_eq!(read("config.db"), "changed");
    }

    #[test]
    fn the_numbers_of_rings_are_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let (rings, kept) = (folder.path().join("rings"), folder.path().join("kept"));
        fs::create_dir_all(rings.join("folder")).unwrap();
        fs::write(rings.join("ringid_3"), "8").unwrap();
        let to = kept.display().to_string();
        set_files_aside(&rings, &to).unwrap();
        assert_eq!(fs::read_to_string(format!("{to}.ringid_3")).unwrap(), "8");
        assert!(!rings.join("ringid_3").exists() && rings.join("folder").exists());
        set_files_aside(&folder.path().join("not there"), &to).unwrap();
    }

    #[test]
    fn what_a_killed_life_was_writing_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        replace_file(&folder.path().join("authkey"), b"key", 0o400).unwrap();
        let killed = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder.path());
        killed.unwrap().keep().unwrap();
        let killed = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(folder.path());
        fs::write(killed.unwrap().keep().join("key4.db"), "key").unwrap();
        assert_eq!(names().len(), 3);
        remove_unfinished(folder.path()).unwrap();
        assert_eq!(names(), ["authkey"]);
        remove_unfinished(&folder.path().join("not there")).unwrap();
    }
}
